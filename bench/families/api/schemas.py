"""What goes in and out over HTTP."""

from datetime import datetime
from typing import Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, field_validator

Priority = Literal["low", "normal", "high"]


class TicketIn(BaseModel):
    title: str = Field(min_length=3, max_length=120)
    body: str = ""
    priority: Priority = "normal"
    labels: list[str] = Field(default_factory=list, max_length=5)

    @field_validator("labels")
    @classmethod
    def lower_case(cls, labels: list[str]) -> list[str]:
        return sorted({label.strip().lower() for label in labels})


class CommentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    author: str
    text: str


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    priority: Priority
    open: bool
    opened_at: datetime
    labels: list[str]


class TicketDetail(TicketOut):
    body: str
    comments: list[CommentOut]
    assignee: Optional[str] = None
