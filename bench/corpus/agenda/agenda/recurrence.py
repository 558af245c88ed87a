from dataclasses import dataclass
from datetime import datetime

from dateutil.rrule import rrulestr
from dateutil.easter import easter


@dataclass(order=True)
class Series:
    start: datetime
    rule: str
    skip_easter: bool = False


def expand(series: Series, limit: int = 10) -> "list[datetime]":
    found = []
    for moment in rrulestr(series.rule, dtstart=series.start):
        if series.skip_easter and moment.date() == easter(moment.year):
            continue
        found.append(moment)
        if len(found) == limit:
            break
    return found
