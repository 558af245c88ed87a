"""Builds whole folders of functions and prints what each gained: what `families/run.py` and `corpus/run.py` share.

Every function is built without trimming unless it is named as an exception, so that nothing but deferring is
measured, and with its held-out events. The figures are ratios of the result to the original with valid bytecode.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

from examples import median, release_binary, stat

# Kinds of decisions that edit a module.
EDITS = {"lazy", "global"}
SHOWN_PINS = 6


class Run:
    """One folder of functions, what was measured of each, and what was wrong."""

    def __init__(self, folder, names, limits, cold_limit, trimmed):
        self.folder, self.names, self.limits, self.cold_limit, self.trimmed = folder, names, limits, cold_limit, trimmed
        self.reports, self.seconds, self.wrong = {}, {}, []

    def limit(self, name, ratio, event):
        """The limit of a ratio; one of the whole function holds for each of its events."""
        limits = self.limits.get(name, {})
        if ratio != "cold":
            return None
        return limits.get(event, limits.get(None, self.cold_limit))

    def judge(self, name, label, value, limit):
        if limit is None:
            return ""
        if value is None:
            self.wrong.append("%s, %s: not measured" % (name, label))
            return "NOT MEASURED"
        if value <= limit:
            return "within"
        self.wrong.append("%s, %s: %.3f is over %.2f" % (name, label, value, limit))
        return "OVER"


def held_out(path):
    folder = os.path.join(path, "holdout")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".json")]


def build(run, name, out, options):
    """Builds one function; what makes the build fail is told, and the others go on."""
    path = os.path.join(run.folder, name)
    command = [options.glowplug, "build", "--fresh", path, "--runs", str(options.runs), "--format", "json"]
    command += ["--out", os.path.join(out, name), "--cache-dir", os.path.join(out, "cache")]
    command += ["--trim", "safe" if name in run.trimmed else "off"]
    for event in held_out(path):
        command += ["--holdout", event]
    if options.python:
        command += ["--python", options.python]
    print("running: glowplug build %s" % name, file=sys.stderr)
    start = time.monotonic()
    with open(os.path.join(out, name + ".log"), "wb") as log:
        finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=log)
    run.seconds[name] = time.monotonic() - start
    if finished.returncode:
        with open(os.path.join(out, name + ".log"), encoding="utf-8", errors="replace") as log:
            print("".join(log.readlines()[-20:]), file=sys.stderr)
        run.wrong.append("%s: the build ended with status %d" % (name, finished.returncode))
        return
    report = run.reports[name] = json.loads(finished.stdout)
    verdict = report["verdict"]
    if verdict["equal"] is not True:
        run.wrong.append("%s: the verdict is %s" % (name, verdict["equal"]))
    if verdict["holdout"]["equal"] is not True:
        run.wrong.append("%s: the verdict on held-out events is %s" % (name, verdict["holdout"]["equal"]))


def ratio_table(run):
    print("| function | ratio | wall | processor time | limit | |\n|---|---|---|---|---|---|")
    for name, report in run.reports.items():
        ratio = report["ratio"]
        rows = [("init", None, ratio["init"], ratio.get("init_cpu"))]
        for kind in ("cold", "warm", "memory"):
            for event, value in ratio[kind].items():
                rows.append((kind, event, value, ratio.get("cold_cpu", {}).get(event) if kind == "cold" else None))
        for kind, event, wall, cpu in rows:
            label = kind if event is None else "%s %s" % (kind, event)
            limit = run.limit(name, kind, event)
            verdict = run.judge(name, label, median(wall), limit)
            shown = "" if limit is None else "%.2f" % limit
            print("| %s | %s | %s | %s | %s | %s |" % (name, label, stat(wall), stat(cpu), shown, verdict))


def decisions(report, state):
    return [made for made in report["decisions"] if made["kind"] in EDITS and made["state"] == state]


def fact_table(run):
    print("\n| function | modules at init | edits | pinned | equal | held out | whole build |")
    print("|---|---|---|---|---|---|---|")
    for name in run.names:
        report = run.reports.get(name)
        if report is None:
            print("| %s | - | - | - | BROKEN | - | %.0f s |" % (name, run.seconds[name]))
            continue
        verdict = report["verdict"]
        held = verdict["holdout"]
        print("| %s | %s of %s | %d | %d | %s of %d | %s of %d | %.0f s |" % (
            name, report["after"]["modules"], report["before"]["modules"], len(decisions(report, "applied")),
            len(decisions(report, "pinned")), verdict["equal"], verdict["events"], held["equal"], held["events"],
            run.seconds[name]))


def mean(values):
    """The geometric mean of ratios, or a dash."""
    known = [value for value in values if value]
    return "%.3f" % math.exp(sum(map(math.log, known)) / len(known)) if known else "-"


def summary(run):
    ratios = [report["ratio"] for report in run.reports.values()]
    lightest = [min(filter(None, map(median, ratio["cold"].values())), default=None) for ratio in ratios]
    means = (
        len(ratios), mean(median(ratio["init"]) for ratio in ratios), mean(lightest),
        mean(median(ratio["cold_weighted"]) for ratio in ratios))
    print("\nGeometric means over %d functions: init %s, cold start of the lightest event %s, weighted %s." % means)
    for name, report in run.reports.items():
        pinned = decisions(report, "pinned")
        for made in pinned[:SHOWN_PINS]:
            print("pinned: %s: %s: %s" % (name, made["id"], made["reason"]))
        if len(pinned) > SHOWN_PINS:
            print("pinned: %s: and %d more" % (name, len(pinned) - SHOWN_PINS))


def arguments(description, names):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=40, help="interleaved pairs behind each figure (default 40)")
    parser.add_argument("--only", default=",".join(names), metavar="A,B", help="which ones (default all)")
    parser.add_argument("--python", help="version or interpreter to run them with (default: the newest here)")
    parser.add_argument("--keep", metavar="DIR", help="keep reports, logs and cache here (default: a temporary folder)")
    parser.add_argument("--glowplug", help="the binary (default: a release build of this checkout)")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if set(wanted) - set(names):
        parser.error("--only takes %s" % ", ".join(names))
    return options, [name for name in names if name in wanted]


def main(folder, description, limits=None, cold_limit=None, names=None, trimmed=()):
    """Builds the functions of `folder` and prints tables; ends with 1 where a limit or a function is broken."""
    sys.stdout.reconfigure(line_buffering=True)
    every = names or sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name, "events")))
    options, chosen = arguments(description, every)
    options.glowplug = os.path.abspath(options.glowplug) if options.glowplug else release_binary()
    run = Run(folder, chosen, limits or {}, cold_limit, trimmed)
    out = os.path.abspath(options.keep) if options.keep else tempfile.mkdtemp(prefix="glowplug-bench-")
    os.makedirs(os.path.join(out, "cache"), exist_ok=True)
    load = os.getloadavg()[0]
    print("%d processors, load %.2f before the first run, %d pairs\n" % (os.cpu_count(), load, options.runs))
    try:
        for name in chosen:
            build(run, name, out, options)
    finally:
        if not options.keep:
            shutil.rmtree(out, ignore_errors=True)
    ratio_table(run)
    fact_table(run)
    summary(run)
    for line in run.wrong:
        print("wrong: " + line)
    sys.exit(1 if run.wrong else 0)
