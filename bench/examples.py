#!/usr/bin/env python3
"""Builds each example, and sets what it gained against what the project promises.

    python3 bench/examples.py [--runs N] [--examples report,api,score] [--skip share,locked,wall] [--keep DIR]

Prints Markdown tables: one with the whole CPU, one with the CPU share of 512 MB and init boosted, and one of the facts
about the build itself. Ends with status 1 where a median is over its limit. Run it on a machine that does nothing else.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = ["report", "api", "score"]
# What stays in the cache when a build with its dependencies at hand is timed.
DEPENDENCIES = {"tools", "runtimes", "trees", "uv"}
WARM_LIMIT = 1.03
ZIP_LIMIT = 0.65
WALL_LIMIT_S = 60

# Example -> (ratio, event) -> limit; None stands for every event.
LIMITS = {
    "report": {("init", None): 0.25, ("memory", "health"): 0.5, ("cold", "process_data"): 1.03},
    "api": {("cold", None): 1.02},
    "score": {("cold", None): 0.80},
}


class Bench:
    """The tool under test, the folder for what it makes, and what was over its limit."""

    def __init__(self, tool, folder, runs):
        self.tool, self.folder, self.runs = tool, folder, runs
        self.cache = os.path.join(folder, "cache")
        self.over = []

    def build(self, path, name, *options):
        """One build: its report, and its wall time in seconds."""
        out = os.path.join(self.folder, name)
        command = [self.tool, "build", path, "--out", out, "--format", "json", "--fresh", "--cache-dir", self.cache]
        print("running: glowplug build %s %s" % (os.path.relpath(path, ROOT), " ".join(options)), file=sys.stderr)
        start = time.monotonic()
        finished = subprocess.run(command + list(options), stdout=subprocess.PIPE)
        seconds = time.monotonic() - start
        if finished.returncode:
            sys.exit("the build ended with status %d" % finished.returncode)
        with open(os.path.join(self.folder, name + ".json"), "wb") as file:
            file.write(finished.stdout)
        return json.loads(finished.stdout), seconds

    def judge(self, what, value, limit):
        if value is None:
            self.over.append("%s: not measured" % what)
            return "NOT MEASURED"
        if value <= limit:
            return "within"
        self.over.append("%s: %.3f is over %s" % (what, value, limit))
        return "OVER"


def stat(value):
    return "-" if value is None else "%.3f [%.3f, %.3f]" % (value["median"], value["low"], value["high"])


def median(value):
    return None if value is None else value["median"]


def rows(example, ratio, share):
    """(label, wall, processor time or None, limit or None) of every ratio that is shown."""
    limits = {} if share else LIMITS[example]
    events = list(ratio["cold"])
    shown = [("init", ratio["init"], ratio.get("init_cpu"), limits.get(("init", None)))]
    for event in events:
        limit = limits.get(("cold", event), limits.get(("cold", None)))
        shown.append(("cold " + event, ratio["cold"].get(event), ratio.get("cold_cpu", {}).get(event), limit))
    if ratio["cold_weighted"] is not None or share:
        shown.append(("cold, weighted", ratio["cold_weighted"], None, 1.0 if share else None))
    for event in events:
        shown.append(("warm " + event, ratio["warm"].get(event), None, WARM_LIMIT))
    for event in events:
        shown.append(("memory " + event, ratio["memory"].get(event), None, limits.get(("memory", event))))
    return shown


def ratio_table(bench, reports, share):
    print("| example | ratio | wall | processor time | limit | |\n|---|---|---|---|---|---|")
    for example, report in reports.items():
        for label, wall, cpu, limit in rows(example, report["ratio"], share):
            if wall is None and cpu is None and limit is None:
                continue
            verdict = ""
            if limit is not None:
                what = "%s%s, %s" % (example, " at 512 MB" if share else "", label)
                verdicts = [bench.judge(what, median(wall), limit)]
                if cpu is not None:
                    verdicts.append(bench.judge(what + ", processor time", median(cpu), limit))
                verdict = " / ".join(verdicts)
            shown = "" if limit is None else "%.2f" % limit
            print("| %s | %s | %s | %s | %s | %s |" % (example, label, stat(wall), stat(cpu), shown, verdict))


def times_table(reports):
    print("| example | | as shipped | before | after |\n|---|---|---|---|---|")
    for example, report in reports.items():
        columns = [report[name] for name in ("as_shipped", "before", "after")]
        lines = [("init, ms", [column["init_ms"] for column in columns])]
        for field, label in (("cold_ms", "cold %s, ms"), ("warm_ms", "warm %s, ms"), ("memory_mb", "memory %s, MB")):
            for event in report["after"][field]:
                lines.append((label % event, [column[field].get(event) for column in columns]))
        for label, values in lines:
            cells = ["-" if value is None else "%.1f" % value["median"] for value in values]
            print("| %s | %s | %s |" % (example, label, " | ".join(cells)))


def ratios(bench, examples, share):
    options = ["--runs", str(bench.runs)]
    if share:
        options += ["--cpu", "share", "--memory", "512", "--init-boost", "on"]
    reports = {}
    for example in examples:
        name = example + ("-share" if share else "")
        reports[example], _ = bench.build(os.path.join(ROOT, "examples", example), name, *options)
        verdict = reports[example]["verdict"]
        if verdict["equal"] is not True:
            bench.over.append("%s: the verdict is %s" % (name, verdict["equal"]))
    title = "CPU share of 512 MB, init boosted" if share else "Unlimited CPU"
    print("\n## %s, %d interleaved pairs\n" % (title, bench.runs))
    ratio_table(bench, reports, share)
    print()
    times_table(reports)
    return reports


def zip_size(path):
    """Bytes of the zip, and of the bytecode in it before compression."""
    with zipfile.ZipFile(path) as archive:
        bytecode = sum(info.file_size for info in archive.infolist() if info.filename.endswith(".pyc"))
    return os.path.getsize(path), bytecode


def artifact(report):
    return next(made for made in report["artifacts"] if made["kind"] == "zip")


def size(bench, reports):
    report = reports["report"]
    ratio = report["ratio"]["zip_bytes"]
    verdict = bench.judge("report, zip", ratio, ZIP_LIMIT)
    before, after = report["before"]["zip_bytes"], report["after"]["zip_bytes"]
    packed, bytecode = zip_size(artifact(report)["path"])
    print("| zip of report, against the untrimmed one with bytecode | %s of %s bytes: %.3f | %.2f | %s |" % (
        after, before, ratio, ZIP_LIMIT, verdict))
    print("| bytecode in it | %d of %d bytes unpacked | | |" % (bytecode, report["after"]["unzipped_bytes"]))
    if packed != after:
        bench.over.append("report: the zip has %d bytes, the report says %d" % (packed, after))


def locked(bench):
    """Two builds from one plan: the project is copied, since a plan is kept in it."""
    project = os.path.join(bench.folder, "project")
    shutil.copytree(os.path.join(ROOT, "examples", "report"), project, ignore=shutil.ignore_patterns("glowplug-out"))
    bench.build(project, "locked-first", "--update-lock", "--runs", "3")
    reports = [bench.build(project, name, "--locked", "--runs", "3")[0] for name in ("locked-a", "locked-b")]
    digests = [artifact(report)["sha256"] for report in reports]
    same = digests[0] == digests[1]
    if not same:
        bench.over.append("two builds from one plan differ")
    print("| two `--locked` builds of report | %s | same bytes | %s |" % (
        " and ".join(digest[:12] for digest in digests), "within" if same else "DIFFERENT"))


def wall(bench):
    """A whole build with its defaults; of earlier runs the cache keeps only what was fetched."""
    for name in os.listdir(bench.cache):
        if name not in DEPENDENCIES:
            shutil.rmtree(os.path.join(bench.cache, name), ignore_errors=True)
    _, seconds = bench.build(os.path.join(ROOT, "examples", "report"), "wall")
    verdict = bench.judge("report, whole build", seconds, WALL_LIMIT_S)
    print("| whole build of report, dependencies in the cache | %.1f s | %d s | %s |" % (seconds, WALL_LIMIT_S, verdict))


def release_binary():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "glowplug"], cwd=ROOT, check=True)
    return os.path.join(ROOT, "target", "release", "glowplug")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="interleaved pairs behind each figure (default 40)")
    parser.add_argument("--examples", default=",".join(EXAMPLES), help="which ones (default all)")
    parser.add_argument("--skip", default="", help="of share, locked, wall")
    parser.add_argument("--keep", help="keep artifacts, reports and cache in this folder (default: a temporary one)")
    parser.add_argument("--glowplug", help="the binary (default: a release build of this checkout)")
    return parser.parse_args()


def main():
    sys.stdout.reconfigure(line_buffering=True)
    options = arguments()
    skip = set(filter(None, options.skip.split(",")))
    examples = [name for name in EXAMPLES if name in options.examples.split(",")]
    if skip - {"share", "locked", "wall"} or not examples:
        sys.exit("--examples takes %s; --skip takes share, locked, wall" % ", ".join(EXAMPLES))
    folder = os.path.abspath(options.keep) if options.keep else tempfile.mkdtemp(prefix="glowplug-bench-")
    os.makedirs(os.path.join(folder, "cache"), exist_ok=True)
    try:
        tool = os.path.abspath(options.glowplug) if options.glowplug else release_binary()
        bench = Bench(tool, folder, options.runs)
        print("%d processors, load %.2f before the first run" % (os.cpu_count(), os.getloadavg()[0]))
        reports = ratios(bench, examples, share=False)
        if "share" not in skip:
            ratios(bench, examples, share=True)
        if "report" in reports:
            print("\n## The build\n\n| what | measured | limit | |\n|---|---|---|---|")
            size(bench, reports)
            if "locked" not in skip:
                locked(bench)
            if "wall" not in skip:
                wall(bench)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for line in bench.over:
        print("over: " + line)
    sys.exit(1 if bench.over else 0)


if __name__ == "__main__":
    main()
