from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Literal, Optional, Union

from pydantic import BaseModel, Field, TypeAdapter


class Conclusion(str, Enum):
    success = "success"
    failure = "failure"
    cancelled = "cancelled"


class User(BaseModel):
    login: str
    name: Optional[str] = None


class Push(BaseModel):
    kind: Literal["push"]
    branch: str
    commits: list[str]
    pusher: User

    def describe(self) -> str:
        return f"{self.pusher.login} pushed {len(self.commits)} commits to {self.branch}"


class Run(BaseModel):
    kind: Literal["run"]
    branch: str
    workflow: str
    conclusion: Conclusion
    started: datetime
    finished: datetime

    def describe(self) -> str:
        seconds = (self.finished - self.started).total_seconds()
        return f"{self.workflow} on {self.branch}: {self.conclusion.value} in {seconds:.0f} s"


Event = Annotated[Union[Push, Run], Field(discriminator="kind")]
adapter: TypeAdapter[Event] = TypeAdapter(Event)
