"""Appointments across time zones."""

from . import errors
from .parsing import parse_moment, parse_span
from .recurrence import Series, expand
from .slots import Slot, free_slots
from .zones import as_zone, local_name

__all__ = [
    "Series", "Slot", "as_zone", "errors", "expand", "free_slots", "local_name", "parse_moment", "parse_span",
]
