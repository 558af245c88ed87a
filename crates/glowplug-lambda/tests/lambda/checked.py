"""A boto3 client of Lambda, unmodified, whose every answer is held against botocore's own service model.

An answer must have the status of its operation, no member that the model does not have, every member that it
requires, values of the right type and none outside an enumeration; an error must have the code, the status and the
members of its shape.
"""

import base64
import io
import json
import zipfile

import boto3
from botocore.config import Config

# Codes that every AWS service answers with and that no model lists.
COMMON = {"ValidationException": 400, "UnknownOperationException": 404}


class Broken(AssertionError):
    """An answer that the model does not allow."""


def check_value(shape, value, where):
    kinds = {
        "string": str, "integer": int, "long": int, "boolean": bool, "float": (int, float), "double": (int, float),
        "timestamp": (int, float, str), "list": list, "map": dict, "structure": dict, "blob": str,
    }
    if not isinstance(value, kinds[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise Broken("%s is no %s: %r" % (where, shape.type_name, value))
    if shape.type_name == "structure":
        check_structure(shape, value, where)
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            check_value(shape.member, item, "%s[%d]" % (where, index))
    elif shape.type_name == "map":
        for key, item in value.items():
            check_value(shape.value, item, "%s[%r]" % (where, key))
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum and shape.name != "Runtime":
            raise Broken("%s: %r is none of %s" % (where, value, shape.enum))


def check_structure(shape, value, where):
    members = {
        member.serialization.get("name", name): (name, member)
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    for name, item in value.items():
        if name not in members:
            raise Broken("%s has no member %s" % (where, name))
        check_value(members[name][1], item, "%s.%s" % (where, name))
    for name in shape.required_members:
        if name in {known for known, _ in members.values()} and name not in value:
            raise Broken("%s lacks %s" % (where, name))


def check(operation_model, response_dict, **_):
    status, body = response_dict["status_code"], response_dict["body"]
    headers = {name.lower(): value for name, value in response_dict["headers"].items()}
    if not headers.get("x-amzn-requestid"):
        raise Broken("no request id")
    name = operation_model.name
    if status >= 300:
        return check_error(operation_model, status, headers, json.loads(body))
    shape = operation_model.output_shape
    expected = operation_model.http["responseCode"]
    told = any(member.serialization.get("location") == "statusCode" for member in shape.members.values()) if shape else False
    if status != expected and not told:
        raise Broken("%s answers %d, not %d" % (name, status, expected))
    if shape is None or shape.serialization.get("payload") or operation_model.has_streaming_output:
        return
    value = json.loads(body) if body else {}
    check_structure(shape, value, name)


def check_error(operation_model, status, headers, body):
    code = headers["x-amzn-errortype"].split(":")[0]
    if code in COMMON:
        if status != COMMON[code] or "message" not in body:
            raise Broken("%s: %d %r" % (code, status, body))
        return
    shapes = {shape.name: shape for shape in operation_model.error_shapes}
    if code not in shapes:
        raise Broken("%s has no error %s" % (operation_model.name, code))
    shape = shapes[code]
    if status != shape.metadata["error"]["httpStatusCode"]:
        raise Broken("%s has the status %d" % (code, status))
    check_structure(shape, body, code)
    if not any(key.lower() == "message" for key in body):
        raise Broken("%s says nothing" % code)


def client(endpoint, retries=0, **config):
    made = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"max_attempts": retries}, max_pool_connections=50, **config),
    )
    # botocore has no answer yet that could be changed here: this is the wire.
    made.meta.events.register("before-parse.lambda", check)
    return made


def refused(call, code):
    """The message of the error with which a call is refused."""
    try:
        call()
    except Exception as error:
        response = getattr(error, "response", None)
        if response is None or response["Error"]["Code"] != code:
            raise
        return response["Error"]["Message"]
    raise AssertionError("%s was expected" % code)


def zipped(source, name="app.py"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, source)
    return file.getvalue()


ROLE = "arn:aws:iam::123456789012:role/r"


def create(client, name, source, **more):
    more.setdefault("Runtime", "python%d.%d" % VERSION)
    return client.create_function(
        FunctionName=name, Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(source)}, **more
    )


def call(client, name, event=None, **more):
    """Status, payload and the whole answer of an invoke."""
    payload = {} if event is None else {"Payload": json.dumps(event)}
    answer = client.invoke(FunctionName=name, **payload, **more)
    body = answer["Payload"].read()
    return answer["StatusCode"], json.loads(body) if body else None, answer


def log(answer):
    return base64.b64decode(answer["LogResult"]).decode()


# The version of the interpreter that the functions run on; set by who calls.
VERSION = (3, 12)
