"""What clients do with a Lambda service: `scenarios.py ENDPOINT VERSION NAME` runs one of the functions below."""

import base64
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import checked
from checked import call, create, log, refused
from emulator import beside_the_emulator  # noqa: F401, one of the scenarios
from extensions import (  # noqa: F401
    extensions, failing_extensions, frozen_subscribers, internal_extensions, rust_clients
)
from images import image_of_a_path, images, images_later  # noqa: F401
from inside import *  # noqa: F401,F403, scenarios too
from permissions import permissions  # noqa: F401
from settings import destinations, settings  # noqa: F401
from signed import signed_urls  # noqa: F401
from status import status  # noqa: F401

APP = """
import json, os, sys, time
COUNT = 0
def handler(event, context):
    global COUNT
    COUNT += 1
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if "exit" in event:
        os._exit(event["exit"])
    if "fail" in event:
        raise ValueError(event["fail"])
    if "large" in event:
        return "x" * event["large"]
    if "env" in event:
        return os.environ.get(event["env"])
    if "context" in event:
        client = context.client_context
        return {"arn": context.invoked_function_arn, "version": context.function_version,
                "custom": client.custom if client else None, "memory": context.memory_limit_in_mb,
                "left": context.get_remaining_time_in_millis() > 0, "id": context.aws_request_id}
    print("count", COUNT)
    return {"count": COUNT, "pid": os.getpid(), "event": event}
"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


def invokes(client, endpoint):
    create(client, "f", APP)
    status, answer, whole = call(client, "f", {"é": [1, None]}, LogType="Tail")
    assert (status, answer["count"], answer["event"]) == (200, 1, {"é": [1, None]}), answer
    assert whole["ExecutedVersion"] == "$LATEST" and "FunctionError" not in whole
    lines = log(whole).split("\n")
    id = whole["ResponseMetadata"]["RequestId"]
    assert lines[0].startswith("INIT_START Runtime Version: python:"), lines
    assert lines[1] == "START RequestId: %s Version: $LATEST" % id, lines
    assert lines[2:4] == ["count 1", "END RequestId: %s" % id], lines
    report = (
        r"REPORT RequestId: %s\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t" % id
    )
    assert re.fullmatch(report, lines[4]) and lines[5:] == [""], lines
    # The same environment again: nothing of an init is told.
    status, second, whole = call(client, "f", {}, LogType="Tail")
    assert second["count"] == 2 and second["pid"] == answer["pid"]
    assert "INIT" not in log(whole) and "Init" not in log(whole)
    assert call(client, "f")[1]["event"] == {}, "no payload is an empty object"
    assert "LogResult" not in call(client, "f", {})[2]


def function_errors(client, endpoint):
    create(client, "f", APP, Timeout=1)
    status, answer, whole = call(client, "f", {"fail": "no"})
    assert status == 200 and whole["FunctionError"] == "Unhandled" and whole["ExecutedVersion"] == "$LATEST"
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "no")
    assert answer["stackTrace"] and answer["requestId"] == whole["ResponseMetadata"]["RequestId"]
    status, answer, whole = call(client, "f", {"exit": 3}, LogType="Tail")
    id = whole["ResponseMetadata"]["RequestId"]
    message = "RequestId: %s Error: Runtime exited with error: exit status 3" % id
    assert answer == {"errorType": "Runtime.ExitError", "errorMessage": message}, answer
    assert log(whole).endswith("\tStatus: error\tError Type: Runtime.ExitError\t\n")
    status, answer, whole = call(client, "f", {"sleep": 30}, LogType="Tail")
    id = whole["ResponseMetadata"]["RequestId"]
    message = "RequestId: %s Error: Task timed out after 1.00 seconds" % id
    assert answer == {"errorType": "Sandbox.Timedout", "errorMessage": message}, answer
    assert "Z %s Task timed out after 1.00 seconds\n\nEND" % id in log(whole)
    assert log(whole).endswith("\tStatus: timeout\t\n")
    # The process is a new one, and answers.
    assert call(client, "f", {})[1]["count"] == 1
    answer = call(client, "f", {"large": 7_000_000})[1]
    assert answer["errorType"] == "Function.ResponseSizeTooLarge", answer
    # What cannot be imported is an error of the invoke.
    create(client, "broken", "import nowhere\n")
    status, answer, whole = call(client, "broken", {}, LogType="Tail")
    assert whole["FunctionError"] == "Unhandled" and answer["errorType"] == "Runtime.ImportModuleError", answer
    assert "\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n" in log(whole), log(whole)


def bad_requests(client, endpoint):
    create(client, "f", APP)
    missing = refused(lambda: call(client, "nope", {}), "ResourceNotFoundException")
    assert missing == "Function not found: %snope:$LATEST" % ARN, missing
    refused(lambda: call(client, "f", {}, Qualifier="7"), "ResourceNotFoundException")
    refused(lambda: call(client, "a b", {}), "ValidationException")
    refused(lambda: call(client, "f", {}, InvocationType="Later"), "ValidationException")
    text = refused(lambda: client.invoke(FunctionName="f", Payload=b"{no"), "InvalidRequestContentException")
    assert text.startswith("Could not parse request body into json: "), text
    big = json.dumps("x" * (6 * 1024 * 1024))
    text = refused(lambda: client.invoke(FunctionName="f", Payload=big), "RequestTooLargeException")
    assert text == "Request must be smaller than 6291456 bytes for the InvokeFunction operation", text
    big = json.dumps("x" * 1024 * 1024)
    later = dict(FunctionName="f", InvocationType="Event")
    refused(lambda: client.invoke(Payload=big, **later), "RequestTooLargeException")
    refused(lambda: client.invoke(FunctionName="f", Payload=b'"\xff"'), "InvalidRequestContentException")
    control = base64.b64encode(b'{"custom": {"a": "\x7f"}}').decode()
    assert call(client, "f", {"context": 1}, ClientContext=control)[1]["custom"] == {"a": "\x7f"}
    context = base64.b64encode(b"[]").decode()
    refused(lambda: call(client, "f", {}, ClientContext=context), "InvalidRequestContentException")
    assert call(client, "f", {})[0] == 200


def names_and_context(client, endpoint):
    create(client, "f", APP, MemorySize=256, Publish=True)
    for name in ["f", "f:$LATEST", "123456789012:function:f", ARN + "f", ARN + "f:$LATEST"]:
        assert call(client, name, {})[0] == 200, name
    custom = base64.b64encode(json.dumps({"custom": {"é": "ü"}}).encode()).decode()
    status, seen, whole = call(client, ARN + "f:1", {"context": 1}, ClientContext=custom)
    id = whole["ResponseMetadata"]["RequestId"]
    expected = {"arn": ARN + "f:1", "version": "1", "custom": {"é": "ü"}, "memory": "256", "left": True, "id": id}
    assert seen == expected and whole["ExecutedVersion"] == "1", seen
    assert call(client, "f", {"context": 1})[1]["arn"] == ARN + "f"
    assert call(client, "f", {"env": "AWS_LAMBDA_FUNCTION_VERSION"})[1] == "$LATEST"
    assert call(client, "f", {}, InvocationType="DryRun")[:2] == (204, None)
    refused(lambda: call(client, "nope", {}, InvocationType="DryRun"), "ResourceNotFoundException")
    mismatch = refused(lambda: call(client, "f:1", {}, Qualifier="$LATEST"), "InvalidParameterValueException")
    assert "does not match" in mismatch


def functions(client, endpoint):
    made = create(client, "f", APP, Description="d", Environment={"Variables": {"A": "1"}}, Tags={"t": "u"})
    assert made["FunctionArn"] == ARN + "f" and made["State"] == "Active" and made["Version"] == "$LATEST"
    for waiter in ["function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"]:
        client.get_waiter(waiter).wait(FunctionName="f")
    got = client.get_function(FunctionName="f")
    assert got["Configuration"]["CodeSha256"] == made["CodeSha256"] and got["Tags"] == {"t": "u"}
    assert os.path.isfile(got["Code"]["Location"].removeprefix("file://")), got
    assert "already exist" in refused(lambda: create(client, "f", APP), "ResourceConflictException")
    assert call(client, "f", {"env": "A"})[1] == "1"
    changed = client.update_function_configuration(
        FunctionName="f", Environment={"Variables": {"A": "2"}}, MemorySize=512, Timeout=7
    )
    assert (changed["MemorySize"], changed["Timeout"], changed["Description"]) == (512, 7, "d")
    assert call(client, "f", {"env": "A"})[1] == "2", "environments of before are gone"
    client.update_function_code(FunctionName="f", ZipFile=checked.zipped("def handler(e, c):\n    return 'new'\n"))
    assert call(client, "f", {})[1] == "new"
    stale = dict(FunctionName="f", RevisionId=made["RevisionId"], Description="x")
    refused(lambda: client.update_function_configuration(**stale), "PreconditionFailedException")
    for number in range(7):
        create(client, "many%d" % number, APP)
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
    assert [len(page["Functions"]) for page in pages] == [3, 3, 2]
    client.tag_resource(Resource=ARN + "f", Tags={"v": "w"})
    client.untag_resource(Resource=ARN + "f", TagKeys=["t"])
    assert client.list_tags(Resource=ARN + "f")["Tags"] == {"v": "w"}
    settings = client.get_account_settings()
    assert settings["AccountUsage"]["FunctionCount"] == 8
    client.delete_function(FunctionName="f")
    refused(lambda: client.get_function(FunctionName="f"), "ResourceNotFoundException")
    refused(lambda: client.delete_function(FunctionName="f"), "ResourceNotFoundException")
    refused(lambda: call(client, "f", {}), "ResourceNotFoundException")


def bad_functions(client, endpoint):
    def made(**more):
        settings = dict(FunctionName="b", Role=checked.ROLE, Handler="app.handler", Runtime="python3.12",
                        Code={"ZipFile": checked.zipped(APP)})
        settings.update(more)
        return lambda: client.create_function(**settings)

    refused(made(Code={"ZipFile": b"no zip"}), "InvalidParameterValueException")
    refused(made(Code={"S3Bucket": "bucket", "S3Key": "k"}), "InvalidParameterValueException")
    refused(made(Code={"ZipFile": checked.zipped("", "../out.py")}), "InvalidParameterValueException")
    refused(made(Runtime="nodejs20.x"), "InvalidParameterValueException")
    refused(made(MemorySize=10241), "ValidationException")
    refused(made(Timeout=901), "ValidationException")
    refused(made(FunctionName="a b"), "ValidationException")
    refused(made(Handler="a b"), "ValidationException")
    refused(made(Environment={"Variables": {"A": "\0"}}), "InvalidParameterValueException")
    refused(made(Architectures=["mips"]), "ValidationException")
    refused(made(Environment={"Variables": {"AWS_REGION": "x"}}), "InvalidParameterValueException")
    refused(made(Environment={"Variables": {"A": "x" * 4096}}), "InvalidParameterValueException")
    refused(made(Environment={"Variables": {"1A": "x"}}), "ValidationException")
    assert client.list_functions()["Functions"] == [], "nothing of them is left"


def versions_and_aliases(client, endpoint):
    answer = "def handler(e, c):\n    return (%r, c.function_version)\n"
    create(client, "f", answer % "one")
    first = client.publish_version(FunctionName="f", Description="first")
    assert (first["Version"], first["FunctionArn"]) == ("1", ARN + "f:1")
    assert client.publish_version(FunctionName="f")["Version"] == "1", "nothing has changed"
    client.update_function_code(FunctionName="f", ZipFile=checked.zipped(answer % "two"), Publish=True)
    assert [v["Version"] for v in client.list_versions_by_function(FunctionName="f")["Versions"]] == ["$LATEST", "1", "2"]
    assert call(client, "f", {}, Qualifier="1")[1] == ["one", "1"]
    assert call(client, "f:2", {})[1] == ["two", "2"]
    wrong = dict(FunctionName="f", CodeSha256=first["CodeSha256"])
    refused(lambda: client.publish_version(**wrong), "InvalidParameterValueException")
    alias = client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == ARN + "f:live"
    status, seen, whole = call(client, "f:live", {})
    assert seen == ["one", "1"] and whole["ExecutedVersion"] == "1"
    refused(lambda: client.create_alias(FunctionName="f", Name="live", FunctionVersion="1"), "ResourceConflictException")
    refused(lambda: client.create_alias(FunctionName="f", Name="x", FunctionVersion="9"), "ResourceNotFoundException")
    refused(lambda: client.create_alias(FunctionName="f", Name="7", FunctionVersion="1"), "ValidationException")
    client.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    seen = {call(client, "f:live", {})[2]["ExecutedVersion"] for _ in range(60)}
    assert seen == {"1", "2"}, seen
    bad = {"AdditionalVersionWeights": {"$LATEST": 0.5}}
    refused(lambda: client.update_alias(FunctionName="f", Name="live", RoutingConfig=bad), "InvalidParameterValueException")
    refused(lambda: client.delete_function(FunctionName="f", Qualifier="2"), "ResourceConflictException")
    client.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={})
    assert [a["FunctionVersion"] for a in client.list_aliases(FunctionName="f")["Aliases"]] == ["2"]
    client.delete_function(FunctionName="f", Qualifier="1")
    refused(lambda: call(client, "f:1", {}), "ResourceNotFoundException")
    refused(lambda: client.get_alias(FunctionName="f", Name="no"), "ResourceNotFoundException")
    client.delete_alias(FunctionName="f", Name="live")
    refused(lambda: call(client, "f:live", {}), "ResourceNotFoundException")


def at_once(client, name, events):
    """Answers, or reasons of a refusal, of invokes at the same time."""

    def one(event):
        try:
            return call(client, name, event)[1]
        except client.exceptions.TooManyRequestsException as error:
            assert error.response["Error"]["Message"] == "Rate Exceeded.", error.response
            return error.response["Reason"]

    with concurrent.futures.ThreadPoolExecutor(len(events)) as pool:
        return list(pool.map(one, events))


def reserved_concurrency(client, endpoint):
    create(client, "f", APP)
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert client.get_function_concurrency(FunctionName="f").get("ReservedConcurrentExecutions") is None
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert client.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    assert at_once(client, "f", [{}]) == [reason]
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    answers = at_once(client, "f", [{"sleep": 2}] * 4)
    assert sorted(answer == reason for answer in answers) == [False, False, True, True], answers
    # Room is there again as soon as the answers are.
    assert reason not in at_once(client, "f", [{}, {}])
    for _ in range(50):
        assert at_once(client, "f", [{}]) != [reason]
    # The account keeps a hundred for those that have reserved nothing.
    too_much = dict(FunctionName="f", ReservedConcurrentExecutions=901)
    refused(lambda: client.put_function_concurrency(**too_much), "InvalidParameterValueException")
    client.delete_function_concurrency(FunctionName="f")
    assert client.get_function_concurrency(FunctionName="f").get("ReservedConcurrentExecutions") is None


def account_concurrency(client, endpoint):
    create(client, "f", APP)
    answers = at_once(client, "f", [{"sleep": 2}] * 12)
    refusals = [answer for answer in answers if answer == "ConcurrentInvocationLimitExceeded"]
    assert len(refusals) == 2, answers
    pids = {answer["pid"] for answer in answers if isinstance(answer, dict)}
    counts = [answer["count"] for answer in answers if isinstance(answer, dict)]
    assert counts == [1] * 10 and len(answers) == 12, counts


def provisioned_concurrency(client, endpoint):
    create(client, "f", APP, Publish=True)
    config = dict(FunctionName="f", Qualifier="1")
    missing = "ProvisionedConcurrencyConfigNotFoundException"
    refused(lambda: client.get_provisioned_concurrency_config(**config), missing)
    put = client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=2, **config)
    assert put["Status"] == "IN_PROGRESS" and put["AllocatedProvisionedConcurrentExecutions"] == 0
    ready = settled(client, config)
    assert ready["Status"] == "READY" and ready["AvailableProvisionedConcurrentExecutions"] == 2, ready
    kinds = at_once(client, "f:1", [{"sleep": 1, "env": "AWS_LAMBDA_INITIALIZATION_TYPE"}] * 3)
    assert sorted(kinds) == ["on-demand"] + ["provisioned-concurrency"] * 2, kinds
    # An environment that was ready has no init to tell.
    status, kind, whole = call(client, "f:1", {"env": "AWS_LAMBDA_INITIALIZATION_TYPE"}, LogType="Tail")
    assert kind == "provisioned-concurrency" and "Init Duration" not in log(whole)
    with urllib.request.urlopen(endpoint + "/_glowplug/status") as shown:
        (f,) = json.loads(shown.read())["functions"]
    assert (f["invokes"]["provisioned"], f["invokes"]["spillover"]) == (3, 1), f
    assert f["environments"]["provisioned"] == 2 and f["provisioned_utilization"] in (0, 0.5), f
    listed = client.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"]
    assert [item["FunctionArn"] for item in listed] == [ARN + "f:1"]
    latest = dict(FunctionName="f", Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    refused(lambda: client.put_provisioned_concurrency_config(**latest), "InvalidParameterValueException")
    many = dict(config, ProvisionedConcurrentExecutions=901)
    refused(lambda: client.put_provisioned_concurrency_config(**many), "InvalidParameterValueException")
    low = dict(FunctionName="f", ReservedConcurrentExecutions=1)
    text = refused(lambda: client.put_function_concurrency(**low), "InvalidParameterValueException")
    expected = " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    assert text == expected, text
    client.delete_provisioned_concurrency_config(**config)
    refused(lambda: client.get_provisioned_concurrency_config(**config), missing)
    create(client, "broken", "raise SystemExit(1)\n", Publish=True)
    config["FunctionName"] = "broken"
    client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=1, **config)
    failed = settled(client, config)
    assert (failed["Status"], failed["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE"), failed


def settled(client, config):
    for _ in range(600):
        found = client.get_provisioned_concurrency_config(**config)
        if found["Status"] != "IN_PROGRESS":
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def asynchronous(client, endpoint):
    folder = os.environ["SCENARIO_FOLDER"]
    record = os.path.join(folder, "failures.jsonl")
    source = "def handler(e, c):\n    open(e['path'], 'a').write(c.aws_request_id + '\\n')\n    if e.get('fail'):\n        raise ValueError('no')\n"
    create(client, "f", source)
    # An environment's own /tmp is not ours: the function tells another one what it has done.
    create(client, "keep", "seen = []\ndef handler(e, c):\n    if 'add' in e:\n        seen.append(e['add'])\n    return seen\n")
    destination = {"OnFailure": {"Destination": "file://" + record}}
    put = client.put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60, DestinationConfig=destination
    )
    assert put["DestinationConfig"]["OnFailure"] == destination["OnFailure"], put
    assert client.get_function_event_invoke_config(FunctionName="f")["MaximumRetryAttempts"] == 0
    listed = client.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"]
    assert len(listed) == 1
    status, nothing, whole = call(client, "f", {"path": "/tmp/x", "fail": True}, InvocationType="Event")
    assert (status, nothing) == (202, None) and "ExecutedVersion" not in whole
    for _ in range(600):
        if os.path.exists(record) and os.path.getsize(record):
            break
        time.sleep(0.05)
    (failure,) = [json.loads(line) for line in open(record)]
    assert failure["requestContext"]["condition"] == "RetriesExhausted", failure
    assert failure["requestContext"]["requestId"] == whole["ResponseMetadata"]["RequestId"]
    assert failure["requestPayload"] == {"path": "/tmp/x", "fail": True}
    assert failure["responsePayload"]["errorType"] == "ValueError"
    # Events are run though nobody waits for them.
    client.put_function_concurrency(FunctionName="keep", ReservedConcurrentExecutions=1)
    for number in range(3):
        call(client, "keep", {"add": number}, InvocationType="Event")
    for _ in range(600):
        try:
            if sorted(call(client, "keep", {})[1]) == [0, 1, 2]:
                break
        except client.exceptions.TooManyRequestsException:
            pass
        time.sleep(0.05)
    else:
        raise AssertionError("not all events were run")
    bad = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:queue"}}
    config = dict(FunctionName="f", DestinationConfig=bad)
    refused(lambda: client.put_function_event_invoke_config(**config), "InvalidParameterValueException")
    client.delete_function_event_invoke_config(FunctionName="f")
    refused(lambda: client.get_function_event_invoke_config(FunctionName="f"), "ResourceNotFoundException")
    refused(lambda: call(client, "nope", {}, InvocationType="Event"), "ResourceNotFoundException")


def layers(client, endpoint):
    def layer(value):
        return {"ZipFile": checked.zipped("VALUE = %r\n" % value, "python/shared.py")}

    first = client.publish_layer_version(LayerName="l", Content=layer("one"), CompatibleRuntimes=["python3.12"])
    second = client.publish_layer_version(LayerName="l", Content=layer("two"), Description="d", LicenseInfo="MIT")
    assert (first["Version"], second["Version"]) == (1, 2), (first, second)
    arn = "arn:aws:lambda:us-east-1:123456789012:layer:l:"
    assert second["LayerVersionArn"] == arn + "2" and second["Content"]["CodeSha256"]
    listed = client.list_layers()["Layers"]
    assert [item["LatestMatchingVersion"]["Version"] for item in listed] == [2]
    assert [v["Version"] for v in client.list_layer_versions(LayerName="l")["LayerVersions"]] == [2, 1]
    assert client.get_layer_version(LayerName="l", VersionNumber=1)["CompatibleRuntimes"] == ["python3.12"]
    assert client.get_layer_version_by_arn(Arn=arn + "2")["Description"] == "d"
    refused(lambda: client.get_layer_version(LayerName="l", VersionNumber=9), "ResourceNotFoundException")
    source = "import shared\ndef handler(e, c):\n    return shared.VALUE\n"
    made = create(client, "f", source, Layers=[arn + "1"])
    assert [layer["Arn"] for layer in made["Layers"]] == [arn + "1"]
    assert call(client, "f", {})[1] == "one"
    client.update_function_configuration(FunctionName="f", Layers=[arn + "1", arn + "2"])
    assert call(client, "f", {})[1] == "two", "later ones lie over earlier ones"
    refused(lambda: create(client, "g", source, Layers=[arn + "9"]), "InvalidParameterValueException")
    # Who uses a version goes on with it when it is gone.
    client.delete_layer_version(LayerName="l", VersionNumber=2)
    refused(lambda: client.get_layer_version(LayerName="l", VersionNumber=2), "ResourceNotFoundException")
    client.update_function_configuration(FunctionName="f", Timeout=5)
    assert call(client, "f", {})[1] == "two"
    client.update_function_configuration(FunctionName="f", Layers=[])
    assert call(client, "f", {})[1]["errorType"] == "Runtime.ImportModuleError"


def frozen(client, endpoint):
    """Between events an environment stands still."""
    source = """
import threading, time
BEATS = 0
def beat():
    global BEATS
    while True:
        time.sleep(0.01)
        BEATS += 1
threading.Thread(target=beat, daemon=True).start()
def handler(event, context):
    before = BEATS
    time.sleep(event)
    return BEATS - before, BEATS
"""
    create(client, "f", source)
    beats, all = call(client, "f", 0.5)[1]
    assert beats > 10, beats
    time.sleep(2)
    _, later = call(client, "f", 0)[1]
    # The tenth of a second before it stands still, and what a slow machine adds: nothing near two hundred.
    assert later - all < 60, (all, later)


def json_logs(client, endpoint):
    source = "import logging\nlogging.getLogger().setLevel('INFO')\ndef handler(e, c):\n    logging.info('told')\n"
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"}
    made = create(client, "f", source, LoggingConfig=logging)
    assert made["LoggingConfig"]["ApplicationLogLevel"] == "DEBUG", made
    status, _, whole = call(client, "f", {}, LogType="Tail")
    records = [json.loads(line) for line in log(whole).splitlines()]
    assert [r.get("type") for r in records] == ["platform.initStart", "platform.start", None, "platform.report"], records
    assert (records[2]["level"], records[2]["message"]) == ("INFO", "told"), records
    assert records[3]["record"]["requestId"] == whole["ResponseMetadata"]["RequestId"]
    assert records[3]["record"]["metrics"]["memorySizeMB"] == 128
    bad = {"LogFormat": "Text", "SystemLogLevel": "DEBUG"}
    refused(lambda: create(client, "g", source, LoggingConfig=bad), "InvalidParameterValueException")
    client.update_function_configuration(FunctionName="f", LoggingConfig={"LogFormat": "Text"})
    assert "REPORT RequestId" in log(call(client, "f", {}, LogType="Tail")[2])
    group = "def handler(e, c):\n    return c.log_group_name\n"
    create(client, "grouped", group, LoggingConfig={"LogFormat": "Text", "LogGroup": "/mine"})
    create(client, "ungrouped", group)
    assert (call(client, "grouped", {})[1], call(client, "ungrouped", {})[1]) == ("/mine", "/aws/lambda/ungrouped")


def what_hangs_on_versions(client, endpoint):
    create(client, "f", APP, Publish=True)
    provisioned = dict(FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=3)
    client.put_provisioned_concurrency_config(**provisioned)
    client.put_function_event_invoke_config(FunctionName="f", Qualifier="1", MaximumRetryAttempts=0)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    refused(lambda: client.delete_function(FunctionName="f", Qualifier="01"), "ResourceConflictException")
    refused(lambda: client.delete_function(FunctionName="f", Qualifier="live"), "InvalidParameterValueException")
    client.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="NONE")
    client.delete_alias(FunctionName="f", Name="live")
    assert client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"] == []
    client.delete_function(FunctionName="f", Qualifier="1")
    assert client.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"] == []
    assert client.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"] == []
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    # An environment made ahead that has lost its process is replaced.
    client.update_function_configuration(FunctionName="f", Description="again")
    version = client.publish_version(FunctionName="f")["Version"]
    config = dict(FunctionName="f", Qualifier=version)
    client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=1, **config)
    settled(client, config)
    call(client, "f:" + version, {"exit": 1})
    # The client hears of the crash before the service has drawn its consequences: until then others serve.
    for _ in range(600):
        kind = call(client, "f:" + version, {"env": "AWS_LAMBDA_INITIALIZATION_TYPE"})[1]
        if kind == "provisioned-concurrency":
            break
        time.sleep(0.05)
    else:
        raise AssertionError("it was not replaced: %s" % kind)


def streamed(client, endpoint):
    create(client, "f", APP)
    answer = client.invoke_with_response_stream(FunctionName="f", Payload=b'{"a": 1}', LogType="Tail")
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    events = list(answer["EventStream"])
    payload = b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)
    assert json.loads(payload)["event"] == {"a": 1}
    done = events[-1]["InvokeComplete"]
    assert "ErrorCode" not in done and "END RequestId" in base64.b64decode(done["LogResult"]).decode()
    events = list(client.invoke_with_response_stream(FunctionName="f", Payload=b'{"fail": "no"}')["EventStream"])
    assert events[-1]["InvokeComplete"]["ErrorCode"] == "Unhandled", events
    dry = client.invoke_with_response_stream(FunctionName="f", InvocationType="DryRun")
    assert dry["StatusCode"] == 204


def function_urls(client, endpoint):
    source = """
def handler(event, context):
    if event["rawPath"] == "/fail":
        raise ValueError("no")
    if event["rawPath"] == "/page":
        return {"statusCode": 201, "headers": {"Content-Type": "text/html"}, "cookies": ["a=1", "b=2"], "body": "<p>"}
    return event
"""
    create(client, "f", source, Publish=True)
    made = client.create_function_url_config(FunctionName="f", AuthType="NONE")
    url = made["FunctionUrl"]
    again = dict(FunctionName="f", AuthType="NONE")
    refused(lambda: client.create_function_url_config(**again), "ResourceConflictException")

    def ask(path, **request):
        request = urllib.request.Request(url.rstrip("/") + path, **request)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.status, answer.read(), answer.headers

    headers = {"Cookie": "x=1; y=2", "Content-Type": "application/json", "X-Own": "v"}
    status, body, _ = ask("/a/b%20c?k=1&k=2&l=%C3%A9", data=b'{"n": 1}', headers=headers, method="PUT")
    event = json.loads(body)
    assert status == 200 and event["version"] == "2.0" and event["rawPath"] == "/a/b%20c", event
    assert event["rawQueryString"] == "k=1&k=2&l=%C3%A9"
    assert event["queryStringParameters"] == {"k": "1,2", "l": "é"}
    assert event["cookies"] == ["x=1", "y=2"] and "cookie" not in event["headers"]
    assert event["headers"]["x-own"] == "v" and event["requestContext"]["http"]["method"] == "PUT"
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": 1}', False)
    status, body, _ = ask("/", data=b"\xff\x00", headers={"Content-Type": "application/octet-stream"})
    event = json.loads(body)
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == b"\xff\x00"
    status, body, answer = ask("/page")
    assert (status, body, answer["Content-Type"]) == (201, b"<p>", "text/html")
    assert answer.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert ask("/fail")[:2] == (502, b"Internal Server Error")
    client.update_function_url_config(FunctionName="f", AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    got = client.get_function_url_config(FunctionName="f")
    assert (got["AuthType"], got["InvokeMode"], got["FunctionUrl"]) == ("AWS_IAM", "RESPONSE_STREAM", url)
    assert ask("/")[0] == 403
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "PUT"], "MaxAge": 60}
    client.update_function_url_config(FunctionName="f", AuthType="NONE", Cors=cors)
    origin = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    status, body, answer = ask("/", headers=origin, method="OPTIONS")
    assert (status, body, answer["Access-Control-Allow-Methods"]) == (200, b"", "GET,PUT"), answer
    assert ask("/", headers=origin)[2]["Access-Control-Allow-Origin"] == "https://a.example"
    assert ask("/", headers={"Origin": "https://b.example"})[2]["Access-Control-Allow-Origin"] is None
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.create_function_url_config(FunctionName="f", AuthType="NONE", Qualifier="live")
    listed = client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]
    assert sorted(item["FunctionArn"] for item in listed) == [ARN + "f", ARN + "f:live"]
    client.delete_function_url_config(FunctionName="f")
    assert ask("/")[0] == 404
    refused(lambda: client.get_function_url_config(FunctionName="f"), "ResourceNotFoundException")


def command_line(client, endpoint):
    """AWS's own command line, version 1 as PyPI has it."""
    create(client, "f", APP)
    environment = dict(os.environ, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="us-east-1")
    environment["AWS_CONFIG_FILE"] = environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

    def aws(*arguments):
        command = [sys.executable, "-m", "awscli", "lambda", *arguments, "--endpoint-url", endpoint, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    out = os.path.join(os.environ["SCENARIO_FOLDER"], "out.json")
    code, told, _ = aws("invoke", "--function-name", "f", "--payload", '{"a": 1}', "--log-type", "Tail", out)
    assert code == 0 and told["StatusCode"] == 200 and told["ExecutedVersion"] == "$LATEST", told
    assert json.load(open(out))["event"] == {"a": 1}
    code, listed, _ = aws("list-functions")
    assert code == 0 and [f["FunctionName"] for f in listed["Functions"]] == ["f"]
    code, version, _ = aws("publish-version", "--function-name", "f")
    assert code == 0 and version["Version"] == "1"
    code, _, _ = aws("wait", "published-version-active", "--function-name", "f", "--qualifier", "1")
    assert code == 0
    code, _, error = aws("get-function", "--function-name", "nope")
    assert code != 0 and "ResourceNotFoundException" in error, error


def main():
    endpoint, version, name = sys.argv[1:]
    checked.VERSION = tuple(int(part) for part in version.split("."))
    globals()[name](checked.client(endpoint), endpoint)


if __name__ == "__main__":
    main()
