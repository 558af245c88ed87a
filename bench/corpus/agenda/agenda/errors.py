class AgendaError(Exception):
    status = 400


class UnknownZone(AgendaError, KeyError):
    status = 404

    def __str__(self) -> str:
        return f"unknown time zone {self.args[0]}"


class BadMoment(AgendaError, ValueError):
    pass
