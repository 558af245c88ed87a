"""Many invokes at once, of a function that does everything wrong, on a service that is killed on the way.

    faults.py GLOWPLUG FOLDER VERSION INVOKES [OPTION…]

Starts `glowplug serve` itself, with the options. Every synchronous invoke must be answered once with the right answer or the right error,
those apart that run when the program is killed; every accepted event must be run. At the end nothing may be left: no
process, no mount, no folder.
"""

import base64
import collections
import concurrent.futures
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile

GLOWPLUG, FOLDER, VERSION, INVOKES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
OPTIONS = sys.argv[5:]
AT_ONCE = 32

APP = r"""
import errno, json, os, signal, socket, subprocess, sys, threading, time, urllib.request
API = os.environ["AWS_LAMBDA_RUNTIME_API"]
HOST, PORT = API.split(":")

def fill():
    # Until there is no room any more: most of it is only set aside, so that the host's disk does not fill up too.
    with open("/tmp/rest", "ab", 0) as file:
        room = os.statvfs("/tmp")
        most = room.f_bavail * room.f_frsize - (2 << 20)
        if most > 0:
            os.posix_fallocate(file.fileno(), 0, most)
        file.seek(0, os.SEEK_END)
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    raise AssertionError("/tmp has no end")

def put(n):
    with open("/tmp/%d" % (n % 5), "wb") as file:
        file.write(os.urandom(1 << 20))

def handler(event, context):
    kind, n = event["kind"], event["n"]
    if kind == "raise":
        raise ValueError(n)
    if kind == "exit":
        os._exit(n % 7 + 1)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        time.sleep(60)
    if kind == "memory":
        hog = bytearray(1 << 30)
        hog[::4096] = b"x" * len(hog[::4096])
    if kind == "fork":
        for _ in range(3):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if kind == "threads":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if kind == "tmp":
        try:
            put(n)
        except OSError as error:
            # An event before has filled it, in this process or in one before.
            if error.errno != errno.ENOSPC:
                raise
            for name in os.listdir("/tmp"):
                os.unlink("/tmp/" + name)
            put(n)
    if kind in ("fill", "full"):
        try:
            fill()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        if kind == "full":
            os._exit(1)
    if kind == "garbage":
        for path, data in [("/next", b"x"), ("/2018-06-01/runtime/invocation/none/response", b"{}"), ("/%00", None)]:
            try:
                urllib.request.urlopen("http://" + API + path, data, timeout=5).read()
            except OSError:
                pass
        link = socket.create_connection((HOST, int(PORT)))
        link.sendall(b"\x00garbage\r\n\r\n")
        link.close()
    if kind == "half":
        link = socket.create_connection((HOST, int(PORT)))
        link.sendall(b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: 100\r\n\r\n{" % context.aws_request_id.encode())
        link.close()
    if kind == "large":
        return "x" * 7000000
    return {"n": n, "kind": kind}
"""

# What an answer must be; the rest of the kinds answers itself.
ERRORS = {
    "raise": "ValueError", "exit": "Runtime.ExitError", "killed": "Runtime.ExitError", "hang": "Sandbox.Timedout",
    "memory": "Runtime.ExitError", "full": "Runtime.ExitError", "large": "Function.ResponseSizeTooLarge",
}
KINDS = ["ok"] * 60 + ["raise"] * 10 + ["fork"] * 2 + ["threads"] * 5 + ["tmp"] * 8 + ["garbage"] * 5 + ["half"] * 5
RARE = ["exit", "killed", "hang", "memory", "large"]
# Where `/tmp` has a size: otherwise it would be the disk of the host.
FILLING = ["fill", "full"]


class Service:
    def start(self):
        command = [GLOWPLUG, "serve", "--state", os.path.join(FOLDER, "state"), "--port", "0", "--format", "json", "-q", *OPTIONS]
        environment = dict(os.environ, TMPDIR=os.path.join(FOLDER, "tmp"))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.stderr.read())
        first = json.loads(line)
        self.address = first["endpoint"].removeprefix("http://")
        self.rare = RARE + FILLING * first["enforced"]["temporary"]

    def ask(self, method, path, body=None, headers={}):
        link = http.client.HTTPConnection(self.address, timeout=120)
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            link.close()

    def create(self, name, memory=128):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("app.py", APP)
        body = {
            "FunctionName": name, "Role": "r", "Handler": "app.handler", "Runtime": "python" + VERSION, "Timeout": 8,
            "MemorySize": memory, "Code": {"ZipFile": base64.b64encode(file.getvalue()).decode()},
        }
        status, answer, _ = self.ask("POST", "/2015-03-31/functions", json.dumps(body))
        assert status == 201, answer


def right(kind, n, status, body, headers):
    """Whether an answer is the right one."""
    if status != 200:
        return False
    answer = json.loads(body)
    if kind not in ERRORS:
        return answer == {"n": n, "kind": kind} and "x-amz-function-error" not in headers
    return headers.get("x-amz-function-error") == "Unhandled" and answer["errorType"] == ERRORS[kind]


def main(service):
    os.makedirs(os.path.join(FOLDER, "tmp"))
    service.start()
    service.create("faulty")
    failures = os.path.join(FOLDER, "failures.jsonl")
    config = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": "file://" + failures}}}
    path = "/2019-09-25/functions/faulty/event-invoke-config"
    assert service.ask("PUT", path, json.dumps(config))[0] == 200
    accepted, wrong, counts = set(), [], collections.Counter()
    killed = threading.Event()
    lock = threading.Lock()

    def one(n):
        choice = random.Random(n)
        kind = choice.choice(service.rare) if n % 50 == 0 else choice.choice(KINDS)
        event = json.dumps({"kind": kind, "n": n})
        later = n % 20 == 1
        if later:
            # It fails, so that its destination tells that it ran.
            event = json.dumps({"kind": "raise", "n": n})
        headers = {"X-Amz-Invocation-Type": "Event"} if later else {}
        before = service.process.pid
        try:
            status, body, headers = service.ask("POST", "/2015-03-31/functions/faulty/invocations", event, headers)
        except (OSError, http.client.HTTPException) as error:
            with lock:
                counts["cut off"] += 1
                if not killed.is_set():
                    wrong.append((kind, n, repr(error)))
            return
        with lock:
            counts["later" if later else kind] += 1
            if later and status == 202:
                accepted.add(headers["x-amzn-requestid"])
            elif later or not right(kind, n, status, body, headers):
                wrong.append((kind, n, status, body[:300], before))

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        half = INVOKES // 2
        list(pool.map(one, range(half)))
        # The other half begins, and the program is killed in the middle of it.
        doomed = [pool.submit(one, n) for n in range(half, half + 4 * AT_ONCE)]
        time.sleep(0.2)
        killed.set()
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        concurrent.futures.wait(doomed)
        service.start()
        killed.clear()
        list(pool.map(one, range(half + 4 * AT_ONCE, INVOKES)))
    assert not wrong, (len(wrong), wrong[:10])
    deadline = time.time() + 120
    while True:
        ran = {json.loads(line)["requestContext"]["requestId"] for line in open(failures)} if os.path.exists(failures) else set()
        if accepted <= ran:
            break
        assert time.time() < deadline, "%d of %d accepted events did not run" % (len(accepted - ran), len(accepted))
        time.sleep(0.1)
    service.process.send_signal(signal.SIGINT)
    service.process.wait(60)
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and belongs(pid)]
    assert not left, "processes are left: %s" % left
    with open("/proc/self/mounts") as mounts:
        assert FOLDER not in mounts.read(), "mounts are left"
    disks = [file for file in backing_files() if FOLDER in file]
    assert not disks, "disks are left: %s" % disks
    rest = os.listdir(os.path.join(FOLDER, "tmp"))
    assert not rest, "folders are left: %s" % rest
    print(dict(counts), "%d events" % len(accepted))


def backing_files():
    """Files of loop devices."""
    for device in os.listdir("/sys/block"):
        try:
            with open("/sys/block/%s/loop/backing_file" % device) as file:
                yield file.read()
        except OSError:
            pass


def belongs(pid):
    try:
        with open("/proc/%s/environ" % pid, "rb") as file:
            return b"AWS_LAMBDA_FUNCTION_NAME=faulty\0" in file.read()
    except OSError:
        return False


if __name__ == "__main__":
    service = Service()
    try:
        main(service)
    finally:
        if service.process.poll() is None:
            service.process.terminate()
            service.process.wait(60)
