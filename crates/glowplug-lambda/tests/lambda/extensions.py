"""Scenarios of extensions and the Telemetry API."""

import io
import json
import os
import time
import urllib.request
import zipfile

from checked import call, create, log

# A program that registers, subscribes, and writes down what it hears, for the function to read.
WATCH = """#!%s
import http.client, http.server, json, os, sys, threading, time
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
NAME = os.path.basename(sys.argv[0])
MODE = os.environ.get("WATCH_MODE", "")

def ask(method, path, body=None, **headers):
    client = http.client.HTTPConnection(HOST, int(PORT))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, path, None if body is None else json.dumps(body), headers)
    answer = client.getresponse()
    return answer.status, answer.headers, answer.read()

def note(kind, what):
    with open("/tmp/seen", "a") as file:
        file.write(json.dumps([kind, what]) + "\\n")

class Records(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for record in json.loads(self.rfile.read(int(self.headers["content-length"]))):
            note("record", record)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

if MODE == "launch":
    sys.exit(3)
variables = sorted(name for name in ("_HANDLER", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_FUNCTION_NAME") if name in os.environ)
note("variables", variables)
status, headers, body = ask("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]},
                            Lambda_Extension_Name=NAME, Lambda_Extension_Accept_Feature="accountId")
note("registered", [status, json.loads(body)])
ID = {"Lambda_Extension_Identifier": headers["Lambda-Extension-Identifier"]}
note("again", ask("POST", "/2020-01-01/extension/register", {"events": []}, Lambda_Extension_Name=NAME)[0])
note("nobody", ask("GET", "/2020-01-01/extension/event/next")[0])
if MODE == "init":
    ask("POST", "/2020-01-01/extension/init/error", {}, Lambda_Extension_Function_Error_Type="Extension.NoKey", **ID)
    sys.exit(1)
server = http.server.HTTPServer(("sandbox.localdomain", 0), Records)
threading.Thread(target=server.serve_forever, daemon=True).start()
target = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:%%d/records" %% server.server_port}
wanted = {"schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"], "destination": target}
note("refused", ask("PUT", "/2022-07-01/telemetry", {**wanted, "buffering": {"timeoutMs": 1}}, **ID)[0])
own = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:%%s/2018-06-01/ping" %% PORT}
note("closed", ask("PUT", "/2022-07-01/telemetry", {**wanted, "destination": own}, **ID)[0])
soon = {"timeoutMs": 25, "maxItems": 1000, "maxBytes": 262144}
status, _, body = ask("PUT", "/2022-07-01/telemetry", wanted if MODE == "patient" else {**wanted, "buffering": soon}, **ID)
note("subscribed", [status, body.decode()])
print("watching", flush=True)
while True:
    event = json.loads(ask("GET", "/2020-01-01/extension/event/next", **ID)[2])
    note("event", event)
    if event["eventType"] == "SHUTDOWN":
        break
    if MODE == "crash":
        sys.exit(7)
    if MODE == "late":
        # While it waits for the next event.
        threading.Timer(0.2, os._exit, [5]).start()
        continue
    if event["eventType"] == "INVOKE":
        # Works after the function has answered.
        time.sleep(0.2)
        note("worked", event["requestId"])
"""

READER = """
import json, os, time
def handler(event, context):
    print("hello from", event.get("n"))
    if event.get("exit"):
        os._exit(1)
    try:
        return [json.loads(line) for line in open("/tmp/seen")]
    except FileNotFoundError:
        return []
"""


def layer(client, **programs):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, source in programs.items():
            info = zipfile.ZipInfo("extensions/" + name)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, source)
    return client.publish_layer_version(LayerName="watch", Content={"ZipFile": content.getvalue()})["LayerVersionArn"]


def seen(answer, kind):
    return [what for name, what in answer if name == kind]


def patiently(client, event):
    """Another event for the same environment, which is at work after its answer."""
    time.sleep(0.6)
    return call(client, "f", event)[1]


def extensions(client, endpoint):
    arn = layer(client, watch=WATCH % os.environ["CLIENT_PYTHON"])
    create(client, "f", READER, Layers=[arn], Timeout=10)
    _, first, whole = call(client, "f", {"n": 1}, LogType="Tail")
    assert "watching\n" in log(whole) and "hello from 1\n" in log(whole), log(whole)
    assert seen(first, "variables") == [["AWS_LAMBDA_FUNCTION_NAME"]], first
    about = {"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler", "accountId": "123456789012"}
    assert seen(first, "registered") == [[200, about]], first
    assert (seen(first, "again"), seen(first, "nobody")) == ([403], [403]), first
    assert (seen(first, "refused"), seen(first, "subscribed")) == ([400], [[200, "OK"]]), first
    assert seen(first, "closed") == [400], "records would go where the function itself may not"
    second = patiently(client, {"n": 2})
    invokes = [event for event in seen(second, "event") if event["eventType"] == "INVOKE"]
    assert invokes[0]["requestId"] == whole["ResponseMetadata"]["RequestId"], invokes
    assert invokes[0]["invokedFunctionArn"].endswith(":function:f") and invokes[0]["deadlineMs"] > 1e12, invokes
    # The next event comes when it is through with this one, and the report tells that time too.
    assert seen(second, "worked")[:1] == [invokes[0]["requestId"]], second
    duration = float(log(whole).split("\tDuration: ")[1].split(" ms")[0])
    assert duration >= 200, duration
    third = patiently(client, {"n": 3})
    records = seen(third, "record")
    kinds = [record["type"] for record in records]
    for kind in ("initStart", "telemetrySubscription", "extension", "initRuntimeDone", "initReport", "start",
                 "runtimeDone", "report"):
        assert "platform." + kind in kinds, kinds
    assert [record["record"] for record in records if record["type"] == "function"][:1] == ["hello from 1"], records
    assert "watching" in [record["record"] for record in records if record["type"] == "extension"], records
    report = next(record["record"] for record in records if record["type"] == "platform.report")
    assert report["status"] == "success" and report["metrics"]["billedDurationMs"] >= 200, report
    assert kinds.index("platform.start") < kinds.index("platform.runtimeDone") < kinds.index("platform.report"), kinds
    patiently(client, {"exit": 1})
    patiently(client, {"n": 4})
    records = seen(patiently(client, {"n": 5}), "record")
    inits = [(r["type"], r["record"]["phase"]) for r in records if r["type"] in ("platform.initStart", "platform.initReport")]
    assert set(inits) == {(kind, phase) for kind in ("platform.initStart", "platform.initReport") for phase in ("init", "invoke")}, inits


def failing_extensions(client, endpoint):
    arn = layer(client, watch=WATCH % os.environ["CLIENT_PYTHON"])
    for mode, kind in (("launch", "Extension.LaunchError"), ("init", "Extension.InitError"), ("crash", "Extension.Crash")):
        create(client, mode, READER, Layers=[arn], Timeout=10, Environment={"Variables": {"WATCH_MODE": mode}})
        _, answer, whole = call(client, mode, {}, LogType="Tail")
        if mode == "crash":
            # It may end before or after the function has answered; the environment is gone in any case.
            answer = answer if isinstance(answer, dict) else call(client, mode, {})[1]
            continue
        assert whole["FunctionError"] == "Unhandled" and answer["errorType"] == kind, answer
    told = {"launch": "exit status 3", "init": "Extension.NoKey"}
    for mode, reason in told.items():
        assert call(client, mode, {})[1]["errorMessage"].endswith("Error: " + reason)


def frozen_subscribers(client, endpoint):
    arn = layer(client, watch=WATCH % os.environ["CLIENT_PYTHON"])
    # The environment stands still long before a batch of the usual buffering is due.
    variables = {"Variables": {"WATCH_MODE": "patient"}}
    create(client, "f", READER, Layers=[arn], Timeout=10, Environment=variables)
    call(client, "f", {"n": 1})
    time.sleep(4)
    call(client, "f", {"n": 2})
    time.sleep(4)
    records = seen(call(client, "f", {"n": 3})[1], "record")
    kinds = [record["type"] for record in records]
    assert kinds.count("platform.initReport") == 1 and "platform.logsDropped" not in kinds, kinds
    # One that ends between two events is replaced before the next.
    variables = {"Variables": {"WATCH_MODE": "late"}}
    create(client, "late", READER, Layers=[arn], Timeout=10, Environment=variables)
    for n in (1, 2):
        _, answer, whole = call(client, "late", {"n": n})
        assert "FunctionError" not in whole and isinstance(answer, list), answer
        time.sleep(1)


INNER = """
import http.client, json, os, threading
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
EVENTS = []
def ask(method, path, body=None, headers={}):
    client = http.client.HTTPConnection(HOST, int(PORT))
    client.request(method, path, body, headers)
    answer = client.getresponse()
    return answer.status, answer.headers, answer.read()
def register(events):
    body = json.dumps({"events": events})
    return ask("POST", "/2020-01-01/extension/register", body, {"Lambda-Extension-Name": "inner"})
REFUSED = json.loads(register(["SHUTDOWN"])[2])
STATUS, HEADERS, _ = register(["INVOKE"])
def listen():
    while True:
        path = "/2020-01-01/extension/event/next"
        event = ask("GET", path, headers={"Lambda-Extension-Identifier": HEADERS["Lambda-Extension-Identifier"]})[2]
        EVENTS.append(json.loads(event)["eventType"])
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    late = json.loads(register(["INVOKE"])[2])["errorType"]
    return {"status": STATUS, "refused": REFUSED["errorType"], "late": late, "events": len(EVENTS)}
"""


def internal_extensions(client, endpoint):
    create(client, "f", INNER, Timeout=10)
    answer = call(client, "f", {})[1]
    assert (answer["status"], answer["refused"]) == (200, "Extension.InvalidEventType"), answer
    assert answer["late"] == "Extension.RegistrationClosed", answer
    patiently(client, {})
    assert patiently(client, {})["events"] >= 2


def program(path, name):
    """A zip with one program."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o100755 << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        with open(path, "rb") as file:
            archive.writestr(info, file.read())
    return content.getvalue()


def rust_clients(client, endpoint):
    made = dict(Runtime="provided.al2023", Role="arn:aws:iam::1:role/r", Handler="none", Timeout=20)
    client.create_function(FunctionName="rust", Code={"ZipFile": program(os.environ["RUST_RUNTIME"], "bootstrap")}, **made)
    client.get_waiter("function_active_v2").wait(FunctionName="rust")
    stream = client.invoke_with_response_stream(FunctionName="rust", Payload=b'{"a": 1}')["EventStream"]
    text = b"".join(event["PayloadChunk"]["Payload"] for event in stream if "PayloadChunk" in event)
    # The crate puts status and headers before it, for function URLs.
    assert text.split(b"\0" * 8)[1] == b'rust {"a":1}', text
    url = client.create_function_url_config(FunctionName="rust", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    with urllib.request.urlopen(url["FunctionUrl"], timeout=30) as answer:
        kind, text = answer.headers["content-type"], answer.read()
    assert kind == "application/octet-stream" and text.startswith(b"rust {"), (kind, text)
    _, answer, whole = call(client, "rust", {"fail": "no"})
    assert whole["FunctionError"] == "Unhandled" and answer["errorMessage"] == "no", answer
    code = program(os.environ["RUST_EXTENSION"], "extensions/rust_extension")
    arn = client.publish_layer_version(LayerName="rust", Content={"ZipFile": code})["LayerVersionArn"]
    source = "import os\ndef handler(event, context):\n    print('said')\n    return open('/tmp/heard').read().split('\\n') if os.path.exists('/tmp/heard') else []\n"
    create(client, "f", source, Layers=[arn], Timeout=20)
    first = call(client, "f", {})[2]["ResponseMetadata"]["RequestId"]
    # What is due while the environment stands still is delivered with the next event.
    time.sleep(2)
    patiently(client, {})
    heard = patiently(client, {})
    assert "invoke " + first in heard, heard
    for kind in ("PlatformInitStart", "PlatformStart", "PlatformRuntimeDone", "PlatformReport", "Function"):
        assert "record " + kind in heard, heard
