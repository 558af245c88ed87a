#!/usr/bin/env python3
"""What a deferred name costs at each use, once it is loaded, on every interpreter at hand.

    python3 bench/use_cost.py [--pairs N]

Compiles one function twice with the project's own compiler, as it is and with its import deferred, and times the two
in turns. Prints the difference in nanoseconds for one use: the median over the pairs and their interquartile range.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
LIMIT_NS = {"3.9": 20, "3.10": 20}
LIMIT_NS_ELSE = 10

# Runs inside the interpreter that is measured.
CHILD = r'''
import gc, json, sys, time, types

agent, pairs, uses, rounds = sys.argv[1], int(sys.argv[2]), 200, 5000
sys.path.insert(0, agent)
import support, compiler

sys.modules["_glowplug_lazy"] = support
sys.modules["heavy"] = types.ModuleType("heavy")
source = "import heavy\ndef use(rounds):\n    for _ in range(rounds):\n" + "        heavy\n" * uses
edits = {
    "support": "_glowplug_lazy",
    "names": [{
        "name": "heavy",
        "clauses": [{"line": 1, "column": 0, "clause": 0, "submodule": None}],
        "uses": [[4 + index, 8] for index in range(uses)],
        "fstrings": [],
    }],
    "submodules": [],
    "borrowed": [],
    "weakened": [],
    "signatures": [],
    "listings": [],
    "listed_globals": [],
}

def made(edits):
    namespace = {"__name__": "app"}
    exec(compiler.compiled(source.encode(), "app.py", edits), namespace)
    assert ("heavy" in namespace) == (edits is None)
    namespace["use"](rounds)
    assert "heavy" in namespace
    return namespace["use"]

def timed(function):
    start = time.perf_counter_ns()
    function(rounds)
    return (time.perf_counter_ns() - start) / (rounds * uses)

plain, deferred = made(None), made(edits)
gc.disable()
print(json.dumps([[timed(plain), timed(deferred)] for _ in range(pairs)]))
'''


def interpreters():
    """Version -> an interpreter that really runs: names on the path may be stubs that do not."""
    names = ["python" + version for version in VERSIONS] + ["python3"]
    names += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))
    script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    found = {}
    for name in names:
        try:
            answer = subprocess.run([name, "-c", script], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        version, path = answer.strip().split(" ", 1)
        if version in VERSIONS:
            found.setdefault(version, path)
    return found


def measure(python, pairs):
    command = [python, "-S", "-E", "-B", "-c", CHILD, os.path.join(ROOT, "python", "glowplug_agent"), str(pairs)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        sys.exit("the measurement failed on %s" % python)
    return json.loads(finished.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=41, help="interleaved pairs on each interpreter (default 41)")
    pairs = parser.parse_args().pairs
    found = interpreters()
    if not found:
        sys.exit("no Python from %s to %s works here" % (VERSIONS[0], VERSIONS[-1]))
    print("| Python | plain global, ns | deferred adds, ns | spread | limit | |")
    print("|---|---|---|---|---|---|")
    within = True
    for version in VERSIONS:
        if version not in found:
            print("| %s | not here | | | | |" % version)
            continue
        samples = measure(found[version], pairs)
        added = [deferred - plain for plain, deferred in samples]
        median = statistics.median(added)
        low, _, high = statistics.quantiles(added, n=4)
        limit = LIMIT_NS.get(version, LIMIT_NS_ELSE)
        within = within and median <= limit
        plain = statistics.median(pair[0] for pair in samples)
        verdict = "within" if median <= limit else "OVER"
        print("| %s | %.1f | %.1f | %.1f | %d | %s |" % (version, plain, median, high - low, limit, verdict))
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
