from marshmallow import EXCLUDE, ValidationError
from referencing.exceptions import NoSuchResource

from forms import *
from rules import problems


def fill(name, data):
    form = FORMS[name]
    try:
        loaded = form.load(data, unknown=EXCLUDE)
    except ValidationError as error:
        return {"valid": False, "messages": error.messages}
    shown = form.dump(loaded)
    return {"valid": True, "data": shown, "type": type(loaded).__name__}


def handler(event, context):
    if "form" in event:
        return fill(event["form"], event["data"])
    try:
        found = problems(event["rule"], event["document"])
    except NoSuchResource as error:
        return {"error": "no such rule", "rule": error.ref}
    return {"valid": not found, "problems": found}
