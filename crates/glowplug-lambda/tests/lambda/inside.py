"""Scenarios of what goes on inside environments: what functions reach, and other runtimes than Python's."""

import base64
import concurrent.futures
import io
import json
import os
import re
import urllib.request
import zipfile

import checked
from checked import call, create, log

KNOCK = """
import os, urllib.error, urllib.request
def handler(event, context):
    found = []
    for path in event["files"]:
        try:
            found.append(sorted(os.listdir(path)))
        except OSError as error:
            found.append(error.errno)
    try:
        with urllib.request.urlopen(event["url"] + "/2015-03-31/functions", timeout=5) as answer:
            return ["reached", answer.status, found]
    except urllib.error.URLError as error:
        return ["refused", error.reason.errno, found]
"""


def kept_apart(client, endpoint):
    state = os.environ["STATE"]
    create(client, "f", KNOCK)
    create(client, "trusted", KNOCK, Environment={"Variables": {"AWS_ENDPOINT_URL_LAMBDA": endpoint}})
    event = {"url": endpoint, "files": [state, state + "/code"]}
    assert call(client, "f", event)[1] == ["refused", 111, [[], 2]]
    assert call(client, "trusted", event)[1] == ["reached", 200, [[], 2]]
    # Nobody else is kept away.
    assert len(client.list_functions()["Functions"]) == 2


# A runtime of its own: what it is told to say to the Runtime API is in the event.
RUNTIME = """
import base64, http.client, json, os, socket
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = "/2018-06-01/runtime"

def ask(method, path, body=None, headers={}):
    client = http.client.HTTPConnection(HOST, int(PORT))
    client.request(method, (BASE + path).replace("/runtime/..", ""), body, headers)
    answer = client.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

def stream(id, event):
    peer = socket.create_connection((HOST, int(PORT)))
    headers = {"Host": "x", "Transfer-Encoding": "chunked", "Lambda-Runtime-Function-Response-Mode": "streaming",
               "Content-Type": event.get("type", "text/plain")}
    if "error" in event:
        headers["Trailer"] = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    lines = ["POST %s/invocation/%s/response HTTP/1.1" % (BASE, id)]
    lines += ["%s: %s" % pair for pair in headers.items()]
    peer.sendall(("\\r\\n".join(lines) + "\\r\\n\\r\\n").encode())
    for part in event["parts"]:
        if part == "wait":
            # Until somebody has read what was sent.
            while not os.path.exists("/tmp/read"):
                pass
            continue
        part = part.encode()
        peer.sendall(b"%x\\r\\n%s\\r\\n" % (len(part), part))
    if event.get("cut"):
        peer.shutdown(socket.SHUT_WR)
        # Until the other side has noticed.
        while peer.recv(4096):
            pass
        return 0
    peer.sendall(b"0\\r\\n")
    if "error" in event:
        body = base64.b64encode(json.dumps({"errorMessage": event["error"], "errorType": "Oops"}).encode())
        peer.sendall(b"Lambda-Runtime-Function-Error-Type: Function.Oops\\r\\n")
        peer.sendall(b"Lambda-Runtime-Function-Error-Body: %s\\r\\n" % body)
    peer.sendall(b"\\r\\n")
    return int(peer.recv(4096).split()[1])

said = []
while True:
    _, headers, body = ask("GET", "/invocation/next")
    id, event = headers["lambda-runtime-aws-request-id"], json.loads(body)
    if "rawPath" in event:
        event = json.loads(event["body"])
    path = "/invocation/%s/" % id
    if "parts" in event:
        said.append(stream(id, event))
        continue
    if "mode" in event:
        said.append(ask("POST", path + "response", b"1", {"Lambda-Runtime-Function-Response-Mode": event["mode"]})[0])
        continue
    if "failure" in event:
        headers = {"Lambda-Runtime-Function-Error-Type": event["failure"]}
        said.append(ask("POST", path + "error", json.dumps({"errorType": event["failure"]}), headers)[0])
        continue
    wrong = [ask("POST", "/invocation/other/response", b"1")[0],
             ask("POST", path + "response", b"1", {"Lambda-Runtime-Invocation-Id": "other"})[0],
             ask("POST", "/init/error", b"{}")[0],
             ask("GET", "/../ping")[0], ask("GET", "/nowhere")[0]]
    answer = {"wrong": wrong, "said": said, "env": os.environ.get("AWS_EXECUTION_ENV"), "cwd": os.getcwd()}
    said = []
    mine = {"Lambda-Runtime-Invocation-Id": headers["lambda-runtime-invocation-id"]}
    ask("POST", path + "response", json.dumps(answer), mine)
    said += [ask("POST", path + "response", b"2")[0], ask("POST", path + "error", b"{}")[0]]
"""


def with_runtime(source, mode=0o755):
    """A zip with a `bootstrap`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = (0o100000 | mode) << 16
        archive.writestr(info, "#!%s\n%s" % (os.environ["CLIENT_PYTHON"], source))
    return content.getvalue()


def provided(client, name, source, mode=0o755, **more):
    code = {"ZipFile": with_runtime(source, mode)}
    made = dict(Runtime="provided.al2023", Role="arn:aws:iam::1:role/r", Handler="none", Code=code, Timeout=20)
    return client.create_function(FunctionName=name, **{**made, **more})


def parts(client, event, **more):
    """The parts of a streamed answer, and its last event."""
    payload = json.dumps(event).encode()
    stream = client.invoke_with_response_stream(FunctionName="own", Payload=payload, **more)
    assert stream["ExecutedVersion"] == "$LATEST"
    events = list(stream["EventStream"])
    return [part["PayloadChunk"]["Payload"] for part in events[:-1]], events[-1]["InvokeComplete"]


def with_one_environment(client, endpoint):
    """A client that waits for the one environment of `own`, also where that is slow to ask for its next event: what it
    remembers is asked for."""
    client.put_function_concurrency(FunctionName="own", ReservedConcurrentExecutions=1)
    return checked.client(endpoint, retries=10)


def own_runtimes(client, endpoint):
    provided(client, "own", RUNTIME)
    client = with_one_environment(client, endpoint)
    answer = call(client, "own", {})[1]
    assert answer == {"wrong": [400, 400, 403, 200, 404], "said": [], "env": None, "cwd": "/var/task"}, answer
    # An answer that comes after the answer is out of turn.
    assert call(client, "own", {})[1]["said"] == [403, 403]
    client.update_function_configuration(FunctionName="own", LoggingConfig={"LogFormat": "JSON"})
    for failure, told in [("Function.Oops", "Function.Oops"), ("ValueError", "Function.Unknown")]:
        _, answer, whole = call(client, "own", {"failure": failure}, LogType="Tail")
        assert answer == {"errorType": failure} and whole["FunctionError"] == "Unhandled", answer
        report = json.loads(log(whole).strip().split("\n")[-1])["record"]
        assert (report["status"], report["errorType"]) == ("error", told), report
    # One that cannot be executed is the function's fault.
    provided(client, "closed", RUNTIME, mode=0o644)
    _, answer, whole = call(client, "closed", {}, LogType="Tail")
    assert answer["errorType"] == "Runtime.InvalidEntrypoint" and whole["FunctionError"] == "Unhandled", answer
    assert "Status: error\tError Type: Runtime.InvalidEntrypoint\n" in log(whole), log(whole)


def streams(client, endpoint):
    provided(client, "own", RUNTIME)
    client = with_one_environment(client, endpoint)
    read, done = parts(client, {"parts": ["one ", "two"]}, LogType="Tail")
    assert b"".join(read) == b"one two" and "ErrorCode" not in done, (read, done)
    assert "END RequestId" in base64.b64decode(done["LogResult"]).decode()
    # An invoke that does not stream gets it in one piece.
    body = json.dumps({"parts": ["[1,", "2]"]}).encode()
    assert client.invoke(FunctionName="own", Payload=body)["Payload"].read() == b"[1,2]"
    # Errors in the middle.
    read, done = parts(client, {"parts": ["one"], "error": "no"})
    assert read == [b"one"] and done["ErrorCode"] == "Unhandled", (read, done)
    assert json.loads(done["ErrorDetails"]) == {"errorMessage": "no", "errorType": "Oops"}, done
    _, answer, whole = call(client, "own", {"parts": ["one"], "error": "no"})
    assert answer["errorMessage"] == "no" and whole["FunctionError"] == "Unhandled"
    read, done = parts(client, {"parts": ["one"], "cut": True})
    assert read == [b"one"] and json.loads(done["ErrorDetails"])["errorType"] == "Runtime.TruncatedResponse", done
    _, answer, _ = call(client, "own", {"mode": "sideways"})
    assert answer["errorType"] == "Runtime.InvalidResponseModeHeader", answer
    answer = call(client, "own", {})[1]
    assert answer["said"] == [202, 202, 202, 202, 0, 400], answer
    client.delete_function_concurrency(FunctionName="own")
    # The first part is there before the function has said the last: this one waits until it was read.
    url = client.create_function_url_config(FunctionName="own", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    prelude = json.dumps({"statusCode": 201, "headers": {"X-Kind": "é".encode().hex()}, "cookies": ["a=b"]})
    kind = "application/vnd.awslambda.http-integration-response"
    assert through_url(url, {"parts": ["hello ", "you"]}) == (200, "text/plain", None, b"hello you")
    with_prelude = {"parts": [prelude + "\0" * 5, "\0\0\0he", "llo"], "type": kind}
    assert through_url(url, with_prelude) == (201, "application/json", "a=b", b"hello")
    endless = client.invoke_with_response_stream(FunctionName="own", Payload=json.dumps({"parts": ["first", "wait", "x"]}))
    events = iter(endless["EventStream"])
    assert next(events)["PayloadChunk"]["Payload"] == b"first"
    client.update_function_configuration(FunctionName="own", Timeout=1)
    late = client.invoke_with_response_stream(FunctionName="own", Payload=json.dumps({"parts": ["first", "wait"]}))
    last = list(late["EventStream"])[-1]["InvokeComplete"]
    assert json.loads(last["ErrorDetails"])["errorType"] == "Sandbox.Timedout", last


def through_url(url, event):
    """What the function's address answers: its runtime finds the event in the body."""
    request = urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        headers = answer.headers
        return answer.status, headers["content-type"], headers["set-cookie"], answer.read()


def wrappers(client, endpoint):
    source = "import os\ndef handler(event, context):\n    return [os.environ.get('WRAPPED'), __import__('sys').argv]\n"
    wrapper = "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source)
        info = zipfile.ZipInfo("wrap")
        info.external_attr = 0o100755 << 16
        archive.writestr(info, wrapper)
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}}
    create(client, "f", source, Environment=variables)
    client.update_function_code(FunctionName="f", ZipFile=content.getvalue())
    assert call(client, "f", {})[1] == ["yes", ["/var/runtime/bootstrap.py"]]
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/none"}}
    client.update_function_configuration(FunctionName="f", Environment=variables)
    answer = call(client, "f", {})[1]
    assert answer["errorType"] == "Runtime.ExitError" and answer["errorMessage"].endswith("exit status 127"), answer


SNAPSHOT = """
import os, time, uuid
print("made")
MADE, ID = os.getpid(), str(uuid.uuid4())
def handler(event, context):
    if event.get("exit"):
        os._exit(1)
    time.sleep(event.get("sleep", 0))
    return {"forked": os.getpid() != MADE, "id": ID, "pid": os.getpid(), "log": context.log_stream_name}
"""


def snapshots(client, endpoint):
    create(client, "f", SNAPSHOT, Timeout=20)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: call(client, "f", {"sleep": 1}, LogType="Tail"), range(4)))
    found = [answer for _, answer, _ in answers]
    assert all(answer["forked"] for answer in found), found
    assert len({answer["id"] for answer in found}) == 1 and len({answer["pid"] for answer in found}) == 4, found
    for _, _, whole in answers:
        lines = log(whole).split("\n")
        assert lines[0].startswith("RESTORE_START Runtime Version: python:"), lines
        assert re.fullmatch(r"RESTORE_REPORT Restore Duration: \d+\.\d\d ms", lines[1]), lines
        assert re.search(r"\tRestore Duration: \d+\.\d\d ms\tBilled Restore Duration: \d+ ms\t$", lines[-2]), lines
    # After a crash the snapshot is restored again.
    whole = call(client, "f", {"exit": 1})[2]
    assert whole["FunctionError"] == "Unhandled"
    assert call(client, "f", {})[1]["forked"]
    # The snapshot itself is gone: whoever comes next does not notice.
    source = "import os, time\ndef handler(event, context):\n    if event.get('all'):\n        os.kill(os.getppid(), 9)\n        time.sleep(60)\n    time.sleep(event.get('sleep', 0))\n    return 1\n"
    create(client, "fatal", source, Timeout=20)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: call(client, "fatal", {"sleep": 0.5})[1], range(6))) == [1] * 6
    assert call(client, "fatal", {"all": True})[2]["FunctionError"] == "Unhandled"
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: call(client, "fatal", {"sleep": 0.5})[1], range(6))) == [1] * 6
    # What cannot be forked starts on its own, and says why.
    source = "import threading, time\n" + "threading.Thread(target=time.sleep, args=(600,), daemon=True, name='beat').start()\n"
    create(client, "threads", source + "def handler(event, context):\n    return event\n")
    _, answer, whole = call(client, "threads", {"a": 1}, LogType="Tail")
    assert answer == {"a": 1}
