"""The same function under AWS's own runtime interface emulator, which PyPI's `aws-sam-cli` carries."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import checked
from checked import create

ODD = """
import datetime
class Odd:
    pass
def handler(event, context):
    kind = event["kind"]
    if kind == "echo":
        return event["value"]
    if kind == "error":
        raise KeyError("é")
    if kind == "nested":
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise RuntimeError("outer") from error
    if kind == "odd":
        return Odd()
    if kind == "date":
        return {"at": datetime.datetime(2026, 1, 1)}
    if kind == "nan":
        return float("nan")
    if kind == "bytes":
        return b"raw \\xff"
    if kind == "context":
        return [context.function_name, context.memory_limit_in_mb, context.log_group_name, context.identity is not None]
"""


def beside_the_emulator(client, endpoint):
    """The same function under AWS's own emulator: the same payloads. What that one is known to do otherwise is left out:
    it has no header for errors, its own words for time limits and ends of processes, and another account."""
    create(client, "f", ODD)
    folder = os.path.join(os.environ["SCENARIO_FOLDER"], "task")
    os.mkdir(folder)
    with open(os.path.join(folder, "app.py"), "w") as file:
        file.write(ODD)
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    emulator, python, packages = (os.environ[name] for name in ("EMULATOR", "CLIENT_PYTHON", "CLIENT_PACKAGES"))
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": packages, "AWS_EXECUTION_ENV": "AWS_Lambda_python%d.%d" % checked.VERSION,
        "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [emulator, "--runtime-interface-emulator-address", "127.0.0.1:%d" % ports[0], "--runtime-api-address"]
    command += ["127.0.0.1:%d" % ports[1], python, "-m", "awslambdaric", "app.handler"]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = subprocess.Popen(command, cwd=folder, env=environment, **quiet)
    try:
        url = "http://127.0.0.1:%d/2015-03-31/functions/function/invocations" % ports[0]
        values = [None, "text", 1.5, [1, {"é": "\U0001f600"}], {}, True]
        events = [{"kind": "echo", "value": value} for value in values]
        events += [{"kind": kind} for kind in ("error", "nested", "odd", "date", "nan", "bytes", "context")]
        for event in events:
            theirs = ask_until_there(url, json.dumps(event).encode())
            ours = client.invoke(FunctionName="f", Payload=json.dumps(event))["Payload"].read()
            assert masked(ours) == masked(theirs), (event, ours, theirs)
    finally:
        running.kill()
        running.wait()


def ask_until_there(url, body):
    for _ in range(200):
        try:
            return urllib.request.urlopen(url, body).read()
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the emulator does not answer")


def masked(payload):
    """Without ids, and without the folder that the emulator's function lies in."""
    text = payload.decode("utf-8", "surrogateescape")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return re.sub(r'(File \\")[^"]*/(app\.py)', r"\1\2", text)
