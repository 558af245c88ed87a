import agenda
from agenda import Series, Slot


def convert(event):
    moment = agenda.parse_moment(event["moment"], event.get("zone", "UTC"))
    if "after" in event:
        moment += agenda.parse_span(event["after"])
    return {zone: moment.astimezone(agenda.as_zone(zone)).isoformat() for zone in event["zones"]}


def repeat(event):
    start = agenda.parse_moment(event["start"], event.get("zone", "UTC"))
    series = Series(start.replace(tzinfo=None), event["rule"], event.get("skip_easter", False))
    return {"dates": [moment.isoformat() for moment in agenda.expand(series, event.get("limit", 5))]}


def free(event):
    def slot(pair):
        return Slot(*(agenda.parse_moment(text, event["zone"]) for text in pair))

    slots = agenda.free_slots(slot(event["day"]), map(slot, event["taken"]))
    return {"free": [
        {"from": agenda.local_name(event["zone"], found.start), "minutes": found.minutes} for found in slots
    ]}


def handler(event, context):
    match event:
        case {"moment": _, "zones": [_, *_]}:
            action = convert
        case {"rule": str()}:
            action = repeat
        case {"day": [_, _]}:
            action = free
        case _:
            return {"status": 400, "error": "nothing to do"}
    try:
        return {"status": 200, **action(event)}
    except agenda.errors.AgendaError as error:
        return {"status": error.status, "error": str(error), "type": type(error).__qualname__}
