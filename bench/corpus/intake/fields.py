# The fields that our forms are made of.
from marshmallow import Schema, ValidationError, post_load, pre_load, validate, validates_schema
from marshmallow.fields import *

PHONE = validate.Regexp(r"^\+?[0-9 ]{6,}$", error="Not a phone number.")


class Phone(String):
    """A phone number, kept without its spaces."""

    def __init__(self, **kwargs):
        super().__init__(validate=PHONE, **kwargs)

    def _deserialize(self, value, attr, data, **kwargs):
        return super()._deserialize(value, attr, data, **kwargs).strip()


class Words(Field):
    def _serialize(self, value, attr, obj, **kwargs):
        return ", ".join(value or [])

    def _deserialize(self, value, attr, data, **kwargs):
        if not isinstance(value, str):
            raise ValidationError("Not a list of words.")
        return [word.strip() for word in value.split(",") if word.strip()]
