from datetime import datetime, timezone

from dateutil import parser as date_parser
from dateutil.parser import ParserError
from dateutil.relativedelta import relativedelta

from .errors import BadMoment
from .zones import as_zone


def parse_moment(text: str, zone: str = "UTC") -> datetime:
    try:
        moment = date_parser.parse(text, default=datetime(2026, 1, 1))
    except (ParserError, OverflowError) as error:
        raise BadMoment(str(error)) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=as_zone(zone)).astimezone(timezone.utc)


def parse_span(text: str) -> relativedelta:
    count, unit = text.split()
    return relativedelta(**{unit if unit.endswith("s") else unit + "s": int(count)})
