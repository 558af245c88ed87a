from datetime import datetime

import pytz
from pytz import country_names, country_timezones

from ..errors import UnknownZone

_COUNTRY_OF = {}


def _country(zone):
    if not _COUNTRY_OF:
        for code in country_timezones:
            for name in country_timezones[code]:
                _COUNTRY_OF.setdefault(name, code)
    return country_names.get(_COUNTRY_OF.get(zone, ""), "somewhere")


def local_name(zone: str, moment: datetime) -> str:
    try:
        there = pytz.timezone(zone)
    except pytz.UnknownTimeZoneError as error:
        raise UnknownZone(zone) from error
    local = moment.astimezone(there)
    return f"{local:%H:%M} {local.tzname()}, {_country(zone)}"
