#!/usr/bin/env python3
"""The engine of `glowplug serve` beside AWS's runtime interface emulator, on one function that does nothing.

    python3 bench/engine/run.py [--rounds N] [--seconds S] [--glowplug BINARY]

In turns: warm invokes over one connection by a native client through the emulator (the binary that PyPI's `aws-sam-cli`
carries), the same through the engine, and the same runtime client driven by a Runtime API that always has the next event
ready: what it takes from one event to the next. What an invoke takes beyond that is the share of emulator and engine. Then throughput over eight
connections and eight environments, beside eight such clients at once; cold starts beside the bare process, in turns; forks
of an initialised pandas function; and what idle environments cost. Needs cargo, pip, a package index and a Python that `--python` names (3.12).
"""

import argparse
import concurrent.futures
import http.client
import http.server
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "equivalence"))

import environment  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
APP = "def handler(event, context):\n    return event\n"
SLOW = "import time\ndef handler(event, context):\n    time.sleep(40)\n    return event\n"
CONFIGURATION = 'name = "%s"\nhandler = "app.handler"\npython = "%s"\nmemory = 1769\ntimeout = 60\n'

# Of the emulator's share.
SHARE_LIMIT = 0.4
# Invokes a second over eight environments, or this part of what eight clients reach without an engine.
RATE_LIMIT, RATE_PART = 1500, 0.8
# Of memory of the engine with 200 idle environments, MB.
IDLE_LIMIT = 30
# Of a cold start beyond the bare process, ms.
COLD_LIMIT = 5
# Of a fork of the pandas function: until the first response, ms; and proportional memory of each, MB.
FORK_LIMIT, FORK_MEMORY = 10, 25
FORKS = 10
PANDAS = """
import time
import pandas as pd
TABLE = pd.DataFrame({"a": range(1000)})
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return int(TABLE["a"].sum())
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="glowplug-engine-")
        self.function = self.write("echo", APP)
        self.slow = self.write("slow", SLOW)
        self.pandas = self.write("pandas", PANDAS, "pandas\n")
        build = ["cargo", "build", "--release", "--quiet", "-p"]
        subprocess.run([*build, "glowplug"], cwd=ROOT, check=True)
        subprocess.run([*build, "glowplug-lambda", "--example", "load"], cwd=ROOT, check=True)
        self.glowplug = options.glowplug or os.path.join(ROOT, "target/release/glowplug")
        self.load = os.path.join(ROOT, "target/release/examples/load")
        self.prepare_clients()

    def write(self, name, source, requirements=None):
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        with open(os.path.join(folder, "app.py"), "w") as file:
            file.write(source)
        with open(os.path.join(folder, "glowplug.toml"), "w") as file:
            file.write(CONFIGURATION % (name, self.options.python))
        if requirements:
            with open(os.path.join(folder, "requirements.txt"), "w") as file:
                file.write(requirements)
        return folder

    def prepare_clients(self):
        """The runtime client in an environment of its own, and the emulator out of its wheel."""
        venv = os.path.join(self.folder, "venv")
        subprocess.run([environment.interpreter(self.options.python), "-m", "venv", venv], check=True)
        pip = [os.path.join(venv, "bin/python"), "-m", "pip", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "awslambdaric"], check=True)
        wheels = os.path.join(self.folder, "wheels")
        subprocess.run([*pip, "download", "--no-deps", "--only-binary", ":all:", "-d", wheels, "aws-sam-cli"], check=True)
        (wheel,) = os.listdir(wheels)
        shutil.unpack_archive(os.path.join(wheels, wheel), wheels, "zip")
        self.emulator = os.path.join(wheels, "samcli/local/rapid/aws-lambda-rie-x86_64")
        os.chmod(self.emulator, 0o755)
        self.client = [os.path.join(venv, "bin/python"), "-m", "awslambdaric", "app.handler"]
        self.environment = dict(
            os.environ, AWS_EXECUTION_ENV="AWS_Lambda_python" + self.options.python, AWS_LAMBDA_FUNCTION_NAME="echo",
            AWS_LAMBDA_FUNCTION_VERSION="$LATEST", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769", PYTHONDONTWRITEBYTECODE="1",
        )

    def serve(self, *arguments):
        state = tempfile.mkdtemp(prefix="state-", dir=self.folder)
        command = [self.glowplug, "serve", self.function, "-q", "--port", "0", "--format", "json", *arguments]
        command += ["--state", state]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return process, json.loads(process.stdout.readline())["endpoint"]

    def emulate(self):
        port = free_port()
        address = "127.0.0.1:%d" % port
        command = [self.emulator, "--runtime-interface-emulator-address", address, "--runtime-api-address",
                   "127.0.0.1:%d" % free_port(), *self.client]
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process = subprocess.Popen(command, cwd=self.function, env=self.environment, **quiet)
        wait_for(port)
        return process, "http://%s/2015-03-31/functions/function/invocations" % address

    def invoke(self, url, connections=1, seconds=None):
        seconds = str(seconds or self.options.seconds)
        done = subprocess.run([self.load, "invoke", url, str(connections), seconds], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def canned(self, count=1):
        """The runtime client with the next event always ready: what a round takes, and rounds a second of all."""
        ports = [free_port() for _ in range(count)]
        servers = [
            subprocess.Popen([self.load, "canned", str(port), str(self.options.seconds)], stdout=subprocess.PIPE)
            for port in ports
        ]
        time.sleep(0.3)
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        clients = []
        for port in ports:
            variables = dict(self.environment, AWS_LAMBDA_RUNTIME_API="127.0.0.1:%d" % port)
            clients.append(subprocess.Popen(self.client, cwd=self.function, env=variables, **quiet))
        told = []
        for server in servers:
            # It ends when the client comes back after the time is over.
            told.append(json.loads(server.communicate(timeout=60)[0]))
        for client in clients:
            client.kill()
            client.wait()
        return statistics.median(one["p50_us"] for one in told), sum(one["per_second"] for one in told)


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)


def warm(bench):
    serving, endpoint = bench.serve()
    emulating, emulated = bench.emulate()
    served = endpoint + "/2015-03-31/functions/echo/invocations"
    rows = []
    try:
        for url in (served, emulated):
            bench.invoke(url, seconds=1)
        for _ in range(bench.options.rounds):
            bare, _ = bench.canned()
            rows.append((bare, bench.invoke(served)["p50_us"], bench.invoke(emulated)["p50_us"]))
        many = [(bench.canned(8)[1], bench.invoke(served, 8)["per_second"]) for _ in range(bench.options.rounds)]
    finally:
        for process in (serving, emulating):
            process.terminate()
            process.wait()
    return rows, many


def idle(bench):
    """Resident memory of the engine with 200 environments that wait, MB, and without any."""
    serving, endpoint = bench.serve(bench.slow)
    try:
        before = resident(serving.pid)
        # Until the first answers, each has an environment of its own.
        clients = []
        for _ in range(8):
            command = [bench.load, "invoke", endpoint + "/2015-03-31/functions/slow/invocations", "25", "1"]
            clients.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            time.sleep(4)
        for client in clients:
            client.wait()
        time.sleep(1)
        environments = len(subprocess.run(["pgrep", "-P", str(serving.pid)], stdout=subprocess.PIPE).stdout.split())
        return before, resident(serving.pid), environments
    finally:
        serving.terminate()
        serving.wait()


class Canned(http.server.BaseHTTPRequestHandler):
    """A Runtime API for one cold start: one event, and when its answer came."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.server.answered.is_set():
            self.close_connection = True
            return
        self.send_response(200)
        for name, value in (("Lambda-Runtime-Aws-Request-Id", "1"), ("Lambda-Runtime-Deadline-Ms", "9999999999999"),
                            ("Lambda-Runtime-Invoked-Function-Arn", "a"), ("Lambda-Runtime-Trace-Id", "t"),
                            ("Content-Type", "application/json"), ("Content-Length", "2")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        self.server.at = time.perf_counter()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answered.set()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()


def bare_cold(bench):
    """From starting the runtime client until it has answered its first event, ms."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    server.handle_error = lambda *_: None
    server.answered = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    variables = dict(bench.environment, AWS_LAMBDA_RUNTIME_API="127.0.0.1:%d" % server.server_port)
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.perf_counter()
    client = subprocess.Popen(bench.client, cwd=bench.function, env=variables, **quiet)
    server.answered.wait(60)
    client.kill()
    client.wait()
    server.shutdown()
    return (server.at - began) * 1000


def first_response(endpoint, name):
    """An invoke for which there is no environment yet, ms."""
    client = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    client.connect()
    began = time.perf_counter()
    client.request("POST", "/2015-03-31/functions/%s/invocations" % name, "{}")
    answer = client.getresponse()
    answer.read()
    took = (time.perf_counter() - began) * 1000
    assert answer.status == 200 and not answer.headers["x-amz-function-error"]
    client.close()
    # Until its environment has ended.
    time.sleep(0.3)
    return took


def cold(bench):
    """Cold starts by the engine and of the bare process, in turns, ms."""
    serving, endpoint = bench.serve("--idle", "0")
    try:
        first_response(endpoint, "echo")
        return [(bare_cold(bench), first_response(endpoint, "echo")) for _ in range(bench.options.colds)]
    finally:
        serving.terminate()
        serving.wait()


def forks(bench):
    """First responses of forks of an initialised pandas function, ms, and proportional memory of ten of them, MB."""
    took = []
    serving, endpoint = bench.serve(bench.pandas, "--start", "snapshot", "--idle", "0")
    try:
        for _ in range(100):
            # Until the snapshot is there.
            if first_response(endpoint, "pandas") < 100:
                break
        took = [first_response(endpoint, "pandas") for _ in range(bench.options.colds)]
    finally:
        serving.terminate()
        serving.wait()
    serving, endpoint = bench.serve(bench.pandas, "--start", "snapshot")
    try:
        time.sleep(10)
        url = endpoint + "/2015-03-31/functions/pandas/invocations"
        with concurrent.futures.ThreadPoolExecutor(FORKS) as pool:
            list(pool.map(lambda _: ask(url, {"sleep": 5}), range(FORKS)))
        return took, [resident(pid) for pid in forked(serving.pid)]
    finally:
        serving.terminate()
        serving.wait()


def ask(url, event):
    host, _, path = url.removeprefix("http://").partition("/")
    client = http.client.HTTPConnection(host, timeout=60)
    client.request("POST", "/" + path, json.dumps(event))
    return client.getresponse().read()


def forked(engine):
    """Processes below the engine's that were forked by an interpreter: those whose parent runs the same command."""
    commands, parents = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % name) as file:
                commands[int(name)] = file.read()
            with open("/proc/%s/stat" % name) as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue

    def below(pid):
        return pid == engine or pid in parents and below(parents[pid])

    return [pid for pid, command in commands.items() if "bootstrap.py" in command and below(pid)
            and commands.get(parents[pid]) == command]


def resident(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def quartiles(values):
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--colds", type=int, default=25, help="cold starts of each kind")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--glowplug", help="the binary (default: a release build of this checkout)")
    options = parser.parse_args()
    print("%d processors, load %.2f before the first run, %d rounds" % (os.cpu_count(), os.getloadavg()[0], options.rounds))
    bench = Bench(options)
    try:
        colds = cold(bench)
        forking, memory = forks(bench)
        rows, many = warm(bench)
        before, with_idle, environments = idle(bench)
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)
    print("\n| round | bare, µs | engine, µs | emulator, µs | share of the engine by the emulator's |\n|---|---|---|---|---|")
    shares = []
    for number, (bare, ours, theirs) in enumerate(rows, 1):
        shares.append((ours - bare) / (theirs - bare))
        print("| %d | %.0f | %.0f | %.0f | %.2f |" % (number, bare, ours, theirs, shares[-1]))
    rate, part = statistics.median(r for _, r in many), statistics.median(r / bare for bare, r in many)
    print("\n| | median | range | limit | |\n|---|---|---|---|---|")
    median = statistics.median(shares)
    told = "within" if median <= SHARE_LIMIT else "OVER"
    print("| share by the emulator's | %.2f | %.2f to %.2f | %.2f | %s |" % (median, min(shares), max(shares), SHARE_LIMIT, told))
    fast = "within" if rate >= RATE_LIMIT or part >= RATE_PART else "UNDER"
    rates = [r for _, r in many]
    print("| invokes a second, 8 environments | %.0f | %.0f to %.0f | %d | %s |" % (rate, min(rates), max(rates), RATE_LIMIT, fast))
    print("| the same by 8 clients without an engine | %.2f | | %.2f | |" % (part, RATE_PART))
    beyond = [ours - bare for bare, ours in colds]
    at, told = statistics.median(beyond), "within" if statistics.median(beyond) <= COLD_LIMIT else "OVER"
    bare = statistics.median(bare for bare, _ in colds)
    print("| cold start beyond the bare process's %.0f, ms | %.1f | %.1f to %.1f (quartiles) | %d | %s |"
          % (bare, at, *quartiles(beyond), COLD_LIMIT, told))
    at, told = statistics.median(forking), "within" if statistics.median(forking) <= FORK_LIMIT else "OVER"
    print("| first response of a fork of the pandas function, ms | %.1f | %.1f to %.1f (quartiles) | %d | %s |"
          % (at, *quartiles(forking), FORK_LIMIT, told))
    at, told = statistics.median(memory), "within" if max(memory) <= FORK_MEMORY else "OVER"
    print("| proportional memory of each of %d forks, MB | %.1f | %.1f to %.1f | %d | %s |"
          % (len(memory), at, min(memory), max(memory), FORK_MEMORY, told))
    told = "within" if with_idle <= IDLE_LIMIT else "OVER"
    print("| engine memory, %d idle environments, MB | %.1f (%.1f before) | | %d | %s |" % (environments, with_idle, before, IDLE_LIMIT, told))


if __name__ == "__main__":
    sys.exit(main())
