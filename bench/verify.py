#!/usr/bin/env python3
"""How long it takes to verify a plan of many edits: `examples/report` with five events and two hundred deferred imports.

    python3 bench/verify.py [--edits N] [--keep DIR]

A first build makes the plan. Its refusals among the libraries that the rules allow, and that it left eager because they
would not pay or are not loaded any more, are then applied as well, up to the number of edits, and the function is built
again from that plan (`--plan`). Printed are the seconds of its replays, of the original and of the result, the replays
and what was pinned. The limit is a minute for both on two cores.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

from examples import release_binary

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT_S = 60
# Reasons by which a plan leaves eager what the rules allow.
LEFT = ("itself is not loaded any more", "what it alone loads takes less", "what it loads is loaded anyway", "needs it")
EVENTS = {
    "wrong": {"action": "else"},
    "empty": {"action": "process_data", "rows": []},
    "stored": {"action": "process_data", "report": "x", "store": True, "rows": []},
}


def copy_with_events(folder):
    function = os.path.join(folder, "report")
    if not os.path.exists(function):
        shutil.copytree(os.path.join(ROOT, "examples", "report"), function)
        with open(os.path.join(function, "glowplug.toml"), "a") as config:
            for name, event in EVENTS.items():
                with open(os.path.join(function, "events", name + ".json"), "w") as file:
                    json.dump(event, file)
                config.write('\n[[event]]\npath = "events/%s.json"\nweight = 0.01\n' % name)
    return function


def run(binary, arguments):
    ran = subprocess.run([binary, "build"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        sys.exit(ran.stderr)
    return ran.stdout, ran.stderr


def widen(binary, function, plan, edits):
    """The plan with more imports deferred."""
    applied = [d for d in plan["decisions"] if d["kind"] == "lazy" and d["state"] == "applied"]
    known = {decision["id"]: decision for decision in plan["decisions"]}
    for package in ("pandas", "botocore", "boto3", "numpy", "dateutil", "urllib3", "s3transfer"):
        told, _ = run(binary, [function, "--explain", package, "--format", "json"])
        for decision in json.loads(told)["decisions"]:
            if len(applied) >= edits:
                break
            if decision["kind"] != "lazy" or decision["state"] != "refused" or decision["evidence"] != "traced starts":
                continue
            if not any(reason in decision["reason"] for reason in LEFT) or decision["place"].startswith("app.py"):
                continue
            decision = dict(decision, state="applied")
            applied.append(decision)
            known[decision["id"]] = decision
    return dict(plan, decisions=sorted(known.values(), key=lambda decision: decision["id"])), len(applied)


def seconds(said, step):
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.startswith(step + ": ")]
    return sum(float(line.split(": ")[1].split()[0]) for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edits", type=int, default=200, help="deferred imports of the plan (default 200)")
    parser.add_argument("--keep", help="keep the function and its builds in this folder (default: a temporary one)")
    options = parser.parse_args()
    folder = options.keep or tempfile.mkdtemp(prefix="glowplug-verify-")
    os.makedirs(folder, exist_ok=True)
    try:
        binary, function, out = release_binary(), copy_with_events(folder), os.path.join(folder, "out")
        run(binary, [function, "--out", out, "--trim", "off"])
        with open(os.path.join(out, "glowplug.lock")) as file:
            plan, edits = widen(binary, function, json.load(file), options.edits)
        lock = os.path.join(folder, "wide.lock")
        with open(lock, "w") as file:
            json.dump(plan, file)
        report, said = run(binary, [function, "--plan", lock, "--fresh", "--out", out, "--format", "json", "--runs", "2"])
        report = json.loads(report)
        original = seconds(said, "Replaying the original")
        result = seconds(said, "Replaying the result") + seconds(said, "Finding the guilty decision")
        pinned = [d["id"] for d in report["decisions"] if d["state"] == "pinned"]
        print("%d edits, %d events, %d replays" % (edits, report["verdict"]["events"], report["verdict"]["replays"]))
        print("replaying the original %.1f s, the result %.1f s, searching included; limit %d s" % (original, result, LIMIT_S))
        print("pinned: %s" % (", ".join(pinned) or "none"))
        return 1 if original + result > LIMIT_S else 0
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
