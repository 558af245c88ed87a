from dataclasses import dataclass, field
from datetime import date as day
from typing import ClassVar, List, Optional

from fields import *

__all__ = ("Applicant", "ApplicantForm", "FORMS", "EventForm")


@dataclass
class Applicant:
    registry: ClassVar["dict[str, type]"] = {}

    name: str
    mail: str
    phone: Optional[str] = None
    skills: List[str] = field(default_factory=list)
    available: Optional[day] = None


class ApplicantForm(Schema):
    name = String(required=True, validate=validate.Length(min=2))
    mail = Email(required=True)
    phone = Phone()
    skills = Words(load_default=list)
    available = Date()

    @pre_load
    def drop_empty(self, data, **kwargs):
        return {key: value for key, value in data.items() if value != ""}

    @post_load
    def make(self, data, **kwargs):
        return Applicant(**data)


class EventForm(Schema):
    title = String(required=True)
    start = AwareDateTime(required=True)
    end = AwareDateTime(required=True)
    seats = Integer(strict=True, load_default=10)
    contact = Nested(ApplicantForm(only=("name", "mail")))
    price = Decimal(as_string=True, places=2, allow_none=True)

    @validates_schema
    def in_order(self, data, **kwargs):
        if data["end"] <= data["start"]:
            raise ValidationError("It ends before it begins.", "end")


FORMS = {"applicant": ApplicantForm(), "event": EventForm()}
