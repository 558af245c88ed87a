"""What functions can be set to: what works here, what is kept and shown, what is refused."""

import json
import os
import time

import checked
from checked import ROLE, call, create, refused

APP = "def handler(e, c):\n    if isinstance(e, dict) and e.get('fail'):\n        raise ValueError('no')\n    return e\n"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
INVALID = "InvalidParameterValueException"


def settings(client, endpoint):
    tracing_and_snap_start(client)
    kept_and_shown(client)
    refused_by_name(client)


def tracing_and_snap_start(client):
    made = create(client, "f", APP, Runtime="python3.12", TracingConfig={"Mode": "Active"}, SnapStart={"ApplyOn": "PublishedVersions"})
    assert made["TracingConfig"] == {"Mode": "Active"}, made
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}, made
    published = client.publish_version(FunctionName="f")
    assert published["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}, published
    provisioned = dict(FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=1)
    refused(lambda: client.put_provisioned_concurrency_config(**provisioned), INVALID)
    changed = client.update_function_configuration(FunctionName="f", TracingConfig={"Mode": "PassThrough"})
    assert (changed["TracingConfig"]["Mode"], changed["SnapStart"]["ApplyOn"]) == ("PassThrough", "PublishedVersions")
    large = dict(FunctionName="f", EphemeralStorage={"Size": 1024})
    refused(lambda: client.update_function_configuration(**large), INVALID)
    old = dict(FunctionName="f", Runtime="python3.11")
    message = refused(lambda: client.update_function_configuration(**old), INVALID)
    assert message == "python3.11 is not supported for SnapStart enabled functions.", message
    client.update_function_configuration(SnapStart={"ApplyOn": "None"}, **large)
    # An alias with environments that are ready does not lead to a version that starts from a snapshot.
    plain = client.publish_version(FunctionName="f")["Version"]
    client.create_alias(FunctionName="f", Name="live", FunctionVersion=plain)
    client.put_provisioned_concurrency_config(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=1)
    refused(lambda: client.update_alias(FunctionName="f", Name="live", FunctionVersion="1"), INVALID)
    for bad in [dict(TracingConfig={"Mode": "Sometimes"}), dict(SnapStart={"ApplyOn": "Always"})]:
        refused(lambda: client.update_function_configuration(FunctionName="f", **bad), "ValidationException")
    client.delete_function(FunctionName="f")


def kept_and_shown(client):
    """A deploy script that sets what is AWS's alone goes on working."""
    key = "arn:aws:kms:us-east-1:123456789012:key/k"
    system = {
        "Arn": "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-00000000000000000", "LocalMountPath": "/mnt/data",
    }
    given = dict(
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}, KMSKeyArn=key, FileSystemConfigs=[system],
        DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:123456789012:queue"},
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/mine"},
    )
    code = {"ZipFile": checked.zipped(APP), "SourceKMSKeyArn": key}
    runtime = "python%d.%d" % checked.VERSION
    made = client.create_function(FunctionName="g", Role=ROLE, Handler="app.handler", Runtime=runtime, Code=code, **given)
    assert made["VpcConfig"]["SubnetIds"] == ["subnet-1"] and made["VpcConfig"]["SecurityGroupIds"] == ["sg-1"], made
    got = client.get_function_configuration(FunctionName="g")
    for shown in made, got:
        for name in ["KMSKeyArn", "FileSystemConfigs", "DeadLetterConfig", "LoggingConfig"]:
            assert shown[name] == given[name], (name, shown)
    assert client.get_function(FunctionName="g")["Code"]["SourceKMSKeyArn"] == key
    assert call(client, "g", {"a": 1})[1] == {"a": 1}
    half = dict(FunctionName="g", VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": []})
    refused(lambda: client.update_function_configuration(**half), INVALID)
    nothing = dict(
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}, KMSKeyArn="", FileSystemConfigs=[], DeadLetterConfig={"TargetArn": ""},
    )
    changed = client.update_function_configuration(FunctionName="g", **nothing)
    assert not set(nothing) & set(changed), changed
    client.update_function_code(FunctionName="g", ZipFile=checked.zipped(APP))
    assert "SourceKMSKeyArn" not in client.get_function(FunctionName="g")["Code"]


def refused_by_name(client):
    """What would make it another function than what was asked for is not dropped in silence."""
    signing = "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-00000000000000000"
    for member, value in [
        ("ImageConfig", {"Command": ["a"]}),
        ("CodeSigningConfigArn", signing),
        ("TenancyConfig", {"TenantIsolationMode": "PER_TENANT"}),
        ("DurableConfig", {"ExecutionTimeout": 60}),
    ]:
        message = refused(lambda: create(client, "h", APP, **{member: value}), INVALID)
        assert message.startswith(member + ": "), message
    # Terraform asks for it of every function.
    assert client.get_function_code_signing_config(FunctionName="g")["CodeSigningConfigArn"] == ""
    assert create(client, "h", APP, ImageConfig={})["FunctionName"] == "h", "nothing is asked for"
    refused(lambda: client.update_function_code(FunctionName="h", ImageUri="i"), INVALID)
    long = dict(FunctionName="h", Description="x" * 257)
    refused(lambda: client.update_function_configuration(**long), "ValidationException")


def destinations(client, endpoint):
    """Where the ends of asynchronous invokes are told."""
    folder = os.environ["SCENARIO_FOLDER"]
    good, bad, dead = ("file://" + os.path.join(folder, name) for name in ("good", "bad", "dead"))
    create(client, "f", APP, DeadLetterConfig={"TargetArn": dead})
    config = {"OnSuccess": {"Destination": good}, "OnFailure": {"Destination": bad}}
    put = client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0, DestinationConfig=config)
    assert put["DestinationConfig"] == config, put
    client.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"a": 1}')
    record = only_line(good)
    assert record["requestContext"]["condition"] == "Success" and record["requestContext"]["approximateInvokeCount"] == 1, record
    assert record["responsePayload"] == {"a": 1} and "functionError" not in record["responseContext"], record
    id = client.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"fail": 1}')["ResponseMetadata"]["RequestId"]
    assert only_line(bad)["requestContext"]["condition"] == "RetriesExhausted"
    message = only_line(dead)
    assert json.loads(message["body"]) == {"fail": 1}, message
    attributes = {name: value["stringValue"] for name, value in message["messageAttributes"].items()}
    assert {"messageId", "receiptHandle", "attributes", "md5OfBody", "md5OfMessageAttributes", "eventSourceARN", "awsRegion"} <= set(message), message
    assert attributes == {"RequestID": id, "ErrorCode": "200", "ErrorMessage": "no"}, attributes
    # A function gets messages as a queue gives them.
    source = "import json\nseen = []\ndef handler(e, c):\n    seen.extend(json.loads(r['body']) for r in e.get('Records', []))\n    return seen\n"
    create(client, "keep", source)
    client.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": FUNCTION + "keep"})
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    client.put_function_concurrency(FunctionName="keep", ReservedConcurrentExecutions=1)
    client.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"fail": 2}')
    for _ in range(600):
        try:
            if call(client, "keep", {})[1] == [{"fail": 2}]:
                break
        except client.exceptions.TooManyRequestsException:
            pass
        time.sleep(0.05)
    else:
        raise AssertionError("the message did not arrive")
    itself = {"OnSuccess": {"Destination": FUNCTION + "f"}}
    refused(lambda: client.put_function_event_invoke_config(FunctionName="f", DestinationConfig=itself), INVALID)
    target = {"TargetArn": FUNCTION + "f"}
    refused(lambda: client.update_function_configuration(FunctionName="f", DeadLetterConfig=target), INVALID)


def only_line(url):
    path = url.removeprefix("file://")
    for _ in range(600):
        if os.path.exists(path) and os.path.getsize(path):
            break
        time.sleep(0.05)
    (line,) = open(path).readlines()
    return json.loads(line)
