from datetime import datetime, timedelta
from typing import Iterable, NamedTuple


class Slot(NamedTuple):
    start: datetime
    end: datetime

    @property
    def minutes(self) -> int:
        return int((self.end - self.start) / timedelta(minutes=1))


def free_slots(day: Slot, taken: Iterable[Slot], minutes: int = 30) -> "list[Slot]":
    free, at = [], day.start
    for slot in sorted(taken):
        if slot.start - at >= timedelta(minutes=minutes):
            free.append(Slot(at, slot.start))
        at = max(at, slot.end)
    if day.end - at >= timedelta(minutes=minutes):
        free.append(Slot(at, day.end))
    return free
