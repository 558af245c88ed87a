"""Scenarios for the entry point for HTTP: `http_entry.py SCENARIO PYTHON SOURCE FOLDER URL`."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

SCENARIO, PYTHON, SOURCE, FOLDER, URL = sys.argv[1:6]
# What differs between two servers that answer alike.
OWN = ("date", "connection", "x-amzn-requestid", "keep-alive")


class Entry:
    """The entry point as a process, with a function of its own."""

    def __init__(self, source=None, handler="app.handler", wait=True, **variables):
        self.task = os.path.join(FOLDER, "task")
        os.makedirs(self.task, exist_ok=True)
        if source is not None:
            with open(os.path.join(self.task, "app.py"), "w") as file:
                file.write(source)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"], "HANDLER": handler, "PORT": str(self.port), "LAMBDA_TASK_ROOT": self.task,
            "K_SERVICE": "f", "PYTHONDONTWRITEBYTECODE": "1", **variables,
        }  # fmt: skip
        self.log = open(os.path.join(FOLDER, "log"), "w+")
        self.process = subprocess.Popen(
            [PYTHON, SOURCE], env=environment, stdout=self.log, stderr=subprocess.STDOUT, cwd="/"
        )
        if wait:
            until(self.is_open)

    def is_open(self):
        assert self.process.poll() is None, self.logged()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def logged(self):
        with open(self.log.name) as file:
            return file.read()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method="GET", path="/", body=None, headers=None):
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.read(), answer.headers
        connection.close()
        return result

    def raw(self, data):
        """All that comes back for these bytes until the connection is closed."""
        return exchange(("127.0.0.1", self.port), data)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(30)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def exchange(address, data):
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        parts = []
        while True:
            part = connection.recv(65536)
            if not part:
                return b"".join(parts)
            parts.append(part)


def split(answer):
    """Status, headers but for those that each server has for itself, body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return int(first.split()[1]), sorted(item for item in headers if item[0] not in OWN), body


def masked(body):
    """An event without what no two requests share."""
    try:
        event = json.loads(body)
        context = event["requestContext"]
    except (ValueError, KeyError, TypeError):
        return body
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", context["requestId"])
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"]), context
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 3600
    for name in ("requestId", "time", "timeEpoch"):
        context[name] = None
    return json.dumps(event)


def requests():
    """Requests as bytes, with `{prefix}` ahead of their paths."""
    form = "content-type: application/x-www-form-urlencoded"
    yield b"GET {prefix}/ HTTP/1.1\r\nhost: h.example\r\n"
    yield b"GET {prefix}/a/b%20c//d?k=1&k=2&l=%C3%A9&m&=n&&o=a+b%2Bc&p=%ff%zz&k=3&%41=x HTTP/1.1\r\nhost: h\r\n"
    yield "GET {prefix}/ HTTP/1.1\r\nhost: h\r\nX-B: 1\r\nx-b:  2 \r\nX-A: é\r\nuser-agent: u\r\n".encode()
    yield b"GET {prefix}/ HTTP/1.1\r\nhost: h\r\ncookie: x=1; y=2\r\nCookie: z=3;w=4\r\naccept: */*\r\n"
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GET", "PURGE"):
        yield method.encode() + b" {prefix}/m HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n"
    for kind, body in [
        ("content-type: application/json", b'{"n": 1}'), ("content-type: Text/Plain; charset=utf-8", "é".encode()),
        ("content-type: text/plain", b"\xff"), ("content-type: application/octet-stream", b"\xff\x00"),
        ("content-type: application/problem+json", b"{}"), ("content-type: image/svg+xml", b"<svg/>"),
        ("content-type: image/png", b"text"), ("x: y", b"no type"), (form, b"a=1&b=2"),
    ]:  # fmt: skip
        head = "POST {{prefix}}/body HTTP/1.1\r\nhost: h\r\n{}\r\ncontent-length: {}\r\n".format(kind, len(body))
        yield head.encode() + b"\n" + body
    yield b"POST {prefix}/c HTTP/1.1\r\nhost: h\r\ncontent-type: text/a\r\ntransfer-encoding: chunked\r\n\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    yield b"GET {prefix}/fail HTTP/1.1\r\nhost: h\r\n"
    for path in RESULTS:
        for method in (b"GET", b"HEAD"):
            yield method + b" {prefix}" + path.encode() + b" HTTP/1.1\r\nhost: h\r\n"


def beside_the_function_url():
    sys.path.insert(0, os.path.join(FOLDER, "task"))
    global RESULTS
    from app import RESULTS

    asked = urllib.request.Request(URL + "/2021-10-31/functions/f/url", b'{"AuthType": "NONE"}', method="POST")
    urllib.request.urlopen(asked).close()
    host, port = URL.split("//")[1].split(":")
    count, differences = 0, []
    with Entry() as entry:
        for request in requests():
            # A bare line feed separates head and body in the list above.
            head, separator, body = request.partition(b"\r\n\n")
            head = head if separator else head.rstrip(b"\r\n")
            whole = head + b"\r\nconnection: close\r\n\r\n" + body
            there = split(exchange((host, int(port)), whole.replace(b"{prefix}", b"/lambda-url/f")))
            here = split(entry.raw(whole.replace(b"{prefix}", b"")))
            there, here = ((status, headers, masked(body)) for status, headers, body in (there, here))
            if there != here:
                differences.append((request, there, here))
            count += 1
        log = entry.logged()
    assert count > 80 and not differences, (count, *differences, log)
    assert "[WARNING]\t" in log and "\tabout to fail" in log, log
    error = log[log.index("[ERROR] ValueError: no\n") :].split("\n")
    assert error[1] == "Traceback (most recent call last):" and error[2].startswith('  File "'), error[:4]
    assert error[2].endswith("app.py\", line {}, in handler".format(line_of('raise ValueError("no")'))), error[:4]
    assert "[ERROR] Runtime.MarshalError: Unable to marshal response: " in log


def line_of(text):
    with open(os.path.join(FOLDER, "task", "app.py")) as file:
        return next(number for number, line in enumerate(file, 1) if text in line)


ASKS_THE_CLIENT = """
import json, sys
sys.path[0:0] = [sys.argv[1], sys.argv[2]]
from awslambdaric import bootstrap
for name in sys.argv[3:]:
    try:
        bootstrap._get_handler(name)
    except bootstrap.FaultException as fault:
        print(json.dumps([fault.exception_type, fault.msg, fault.trace or []]))
"""


def failures():
    names = ["app", "absent.handler", "app.absent", "sys.exit", "broken.handler", "needs.handler", "a/b.handler"]
    with Entry("def handler(event, context): pass\n"):
        pass
    task = os.path.join(FOLDER, "task")
    for name, text in [("broken", "def (:\n"), ("needs", "import nobody_has_this\n"), ("raises", "1 / 0\n")]:
        with open(os.path.join(task, name + ".py"), "w") as file:
            file.write(text)
    script = [PYTHON, "-c", ASKS_THE_CLIENT, os.environ["CLIENT_PACKAGES"], task, *names]
    told = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == len(names), told
    for name, line in zip(names, told):
        kind, message, trace = json.loads(line)
        with Entry(handler=name, wait=False) as entry:
            assert entry.process.wait(30) == 1
            expected = "[ERROR] {}: {}\nTraceback (most recent call last):\n".format(kind, message)
            assert entry.logged().startswith(expected), (entry.logged(), expected)
            assert entry.logged()[len(expected) :].strip() == "\n".join(trace).strip(), (entry.logged(), trace)
    with Entry(handler="raises.handler", wait=False) as entry:
        assert entry.process.wait(30) == 1
        log = entry.logged()
        assert log.startswith("[ERROR] ZeroDivisionError: division by zero\nTraceback"), log
        assert log.endswith('raises.py", line 1, in <module>\n    1 / 0\n') and "entry.py" not in log, log
    with Entry(wait=False, GLOWPLUG_CONCURRENCY="none") as entry:
        assert entry.process.wait(30) == 1
        assert "GLOWPLUG_CONCURRENCY is 'none', which is not a number above 0" in entry.logged(), entry.logged()
    with Entry(handler="raises.handler", wait=False, AWS_LAMBDA_LOG_FORMAT="JSON") as entry:
        assert entry.process.wait(30) == 1
        record = json.loads(entry.logged())
        assert (record["errorType"], record["level"]) == ("ZeroDivisionError", "ERROR"), record
        assert record["stackTrace"][-1].endswith("1 / 0\n"), record


LISTENS = """
import os, sys, time
while not os.path.exists(os.path.join(os.getcwd(), "go")):
    time.sleep(0.01)
first = sys.path[0]
def handler(event, context):
    members = ("aws_request_id", "function_name", "function_version", "memory_limit_in_mb", "log_group_name",
        "log_stream_name", "invoked_function_arn", "client_context", "tenant_id")
    told = {name: getattr(context, name) for name in members}
    told["identity"] = context.identity.cognito_identity_id
    told["left"] = context.get_remaining_time_in_millis()
    return {"event": event, "context": told, "path": first, "trace": os.environ.get("_X_AMZN_TRACE_ID")}
"""


def wire():
    more = {"GLOWPLUG_HEALTH_PATH": "/healthz", "GLOWPLUG_TIMEOUT": "30", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}
    with Entry(LISTENS, wait=False, **more) as entry:
        time.sleep(0.3)
        assert not entry.is_open(), "the port is open before the function is initialised"
        with open(os.path.join(entry.task, "go"), "w"):
            pass
        until(entry.is_open)
        status, body, headers = entry.ask(headers={"X-Amzn-Trace-Id": "Root=1-2"})
        told = json.loads(body)
        context = told["context"]
        assert told["path"] == entry.task and told["trace"] == "Root=1-2", told
        assert context["aws_request_id"] == told["event"]["requestContext"]["requestId"] == headers["x-amzn-requestid"]
        assert (context["function_name"], context["function_version"]) == ("f", "$LATEST"), context
        assert context["memory_limit_in_mb"] == "256" and 0 < context["left"] <= 30000, context
        assert context["invoked_function_arn"] == "arn:aws:lambda:us-east-1:123456789012:function:f"
        assert (context["client_context"], context["identity"], context["tenant_id"]) == (None, None, None)
        assert json.loads(entry.ask()[1])["trace"] is None, "a trace is that of its event alone"

        assert entry.ask(path="/healthz")[:2] == (200, b"") and entry.ask("HEAD", "/healthz")[:2] == (200, b"")
        assert entry.ask("POST", "/healthz", b"x")[0] == 200 and json.loads(entry.ask("POST", "/healthz")[1])["event"]

        connection = entry.connect()
        connection.connect()
        used = connection.sock
        for method in ("GET", "HEAD", "POST"):
            connection.request(method, "/again", b"body" if method == "POST" else None)
            answer = connection.getresponse()
            length = int(answer.headers["content-length"])
            assert answer.status == 200 and len(answer.read()) == (0 if method == "HEAD" else length)
            assert connection.sock is used and answer.headers["connection"] == "keep-alive"
        connection.close()
        both = entry.raw(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert both.count(b"HTTP/1.1 200 OK") == 2 and both.index(b'"/1"') < both.index(b'"/2"'), both
        assert b"connection: close" in entry.raw(b"GET / HTTP/1.0\r\n\r\n")
        absolute = entry.raw(b"GET http://h.example/a?b=c HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert b'"rawPath": "/a"' in absolute and b'"rawQueryString": "b=c"' in absolute, absolute
        waits = entry.raw(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx")
        assert waits.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), waits
        refuses(entry)
    with Entry(GLOWPLUG_REQUEST_LIMIT="10") as entry:
        assert entry.ask("POST", "/", b"0123456789")[0] == 200
        assert entry.ask("POST", "/", b"01234567890")[:2] == (413, b'{"Message":"Request body is too large"}')
        chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n01234\r\n0\r\n\r\n"
        assert entry.raw(chunked).startswith(b"HTTP/1.1 413 "), chunked


def refuses(entry):
    """Requests that are none, or that two servers could read in two ways."""
    for status, head in [
        (400, b"GET\r\n\r\n"), (400, b"GET / HTTP/2.0\r\n\r\n"), (400, b"G(T / HTTP/1.1\r\n\r\n"),
        (400, b"GET /a b HTTP/1.1\r\n\r\n"), (400, b"\x16\x03\x01\x00\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"), (400, b"GET / HTTP/1.1\r\na : b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n"), (400, b"GET / HTTP/1.1\r\na: b\rc\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        (400, b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\na"), (400, b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        (400, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\ncontent-length: 6291457\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\na: " + b"b" * 20000 + b"\r\n\r\n"), (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n"),
    ]:  # fmt: skip
        answer = entry.raw(head)
        assert answer.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in answer, (head, answer)
    # What ends too early gets nothing, and harms nobody.
    for head in (b"", b"GET / HT", b"GET / HTTP/1.1\r\na: b", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab"):
        with socket.create_connection(("127.0.0.1", entry.port), timeout=30) as connection:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            assert not connection.recv(100).startswith(b"HTTP/1.1 200"), head
    assert entry.ask()[0] == 200


ECHO = """
def handler(event, context):
    if isinstance(event, dict) and event.get("type") == "nothing":
        return None
    if isinstance(event, dict) and event.get("type") == "reply":
        return {"specversion": "1.0", "id": "2", "source": "/f", "type": "answer"}
    return {"got": event}
"""


def cloud_events():
    structured = b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}'
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-own": "a%20%C3%A9+b"}
    with Entry(ECHO) as entry:
        assert json.loads(entry.ask("POST", "/", structured, kind)[1]) == {"got": json.loads(structured)}
        assert json.loads(entry.ask("POST", "/", b"{}", binary)[1])["got"]["version"] == "2.0"
        status, body, _ = entry.ask("POST", "/", b"{", kind)
        assert status == 400 and json.loads(body)["Message"].startswith("The body is not JSON"), body
    with Entry(ECHO, GLOWPLUG_HTTP_EVENT="raw") as entry:

        def got(body, **headers):
            status, answer, _ = entry.ask("POST", "/", body, {name.replace("_", "-"): headers[name] for name in headers})
            assert status == 200, answer
            return json.loads(answer)["got"]

        attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "own": "a é+b"}
        json_kind = {"content_type": "application/json"}
        assert got(b'{"a": 1}', **binary, **json_kind) == {
            **attributes, "datacontenttype": "application/json", "data": {"a": 1}
        }  # fmt: skip
        assert got(b"", **binary) == attributes
        assert got("é".encode(), **binary, content_type="text/plain")["data"] == "é"
        for kind_of, body in (("text/plain", b"\xff"), ("application/octet-stream", b"\xff")):
            event = got(body, **binary, content_type=kind_of)
            assert event["data_base64"] == "/w==" and "data" not in event, event
        assert got(structured, **kind) == json.loads(structured)
        assert got(b"[1, 2]", **json_kind) == [1, 2]
        assert got(b"words", content_type="text/plain") == "words"
        assert got(b"\xff", content_type="image/png") == "/w=="
        assert entry.ask("POST", "/", b"[", {"content-type": "application/json"})[0] == 400
        nothing = entry.ask("POST", "/", b"", {**binary, "ce-type": "nothing"})
        assert nothing[:2] == (204, b""), nothing
        status, body, headers = entry.ask("POST", "/", b"", {**binary, "ce-type": "reply"})
        assert headers["content-type"].startswith("application/cloudevents+json") and json.loads(body)["type"] == "answer"


SLOW = """
import threading, time
lock, now, most = threading.Lock(), 0, 0
def handler(event, context):
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(0.05)
    with lock:
        now -= 1
    return [most, threading.current_thread() is threading.main_thread(), event["rawPath"]]
"""


def concurrency():
    for most in (1, 3):
        with Entry(SLOW, GLOWPLUG_CONCURRENCY=str(most)) as entry:
            answers = [None] * 12

            def ask(number):
                answers[number] = json.loads(entry.ask(path="/{}".format(number))[1])

            threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(answers))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert [answer[2] for answer in answers] == ["/{}".format(number) for number in range(len(answers))]
            assert max(answer[0] for answer in answers) == most, answers
            assert {answer[1] for answer in answers} == {most == 1}, "one at a time runs in the main thread"


WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("the function's own", flush=True))
def handler(event, context):
    if event["rawPath"] == "/exit":
        sys.exit(7)
    if event["rawPath"] == "/alarm":
        rung = []
        signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(0.2)
        return rung
    if event["rawPath"] == "/wait":
        print("waiting", flush=True)
        while not os.path.exists("finish"):
            time.sleep(0.01)
    return "done"
"""


def ends():
    for more in ({}, {"GLOWPLUG_CONCURRENCY": "2"}):
        finish = os.path.join(FOLDER, "task", "finish")
        if os.path.exists(finish):
            os.remove(finish)
        with Entry(WAITS, GLOWPLUG_HEALTH_PATH="/healthz", **more) as entry:
            if not more:
                assert entry.ask(path="/alarm")[1] == b"[1]" and entry.ask()[1] == b"done", "signals of its own are no end"
            idle = entry.connect()
            idle.request("GET", "/")
            assert idle.getresponse().read() == b"done"
            busy = entry.connect()
            busy.request("GET", "/wait")
            until(lambda: "waiting" in entry.logged())
            entry.process.send_signal(signal.SIGTERM)
            until(lambda: not entry.is_open())
            assert entry.process.poll() is None, "what is under way goes on"
            assert idle.sock.recv(1) == b"", "idle connections are closed"
            with open(finish, "w"):
                pass
            answer = busy.getresponse()
            assert (answer.read(), answer.headers["connection"]) == (b"done", "close")
            assert entry.process.wait(30) == 0
            assert "the function's own" in entry.logged(), entry.logged()
        with Entry(WAITS, **more) as entry:
            assert entry.end(signal.SIGINT) == 0
        with Entry(WAITS, **more) as entry:
            assert entry.ask(path="/exit")[:2] == (502, b"Internal Server Error")
            assert entry.process.wait(30) == 7
            assert "[ERROR] SystemExit: 7\n" in entry.logged()


globals()[SCENARIO]()
