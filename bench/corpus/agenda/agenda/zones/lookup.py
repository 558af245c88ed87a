import zoneinfo
from datetime import tzinfo

from dateutil import tz

from ..errors import UnknownZone


def as_zone(name: str) -> tzinfo:
    """A zone by its name, or by its distance from UTC such as `+0530`."""
    if name[:1] in "+-":
        sign = -1 if name[0] == "-" else 1
        return tz.tzoffset(name, sign * (int(name[1:3]) * 3600 + int(name[3:5] or 0) * 60))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise UnknownZone(name) from None
