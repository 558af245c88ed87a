#!/usr/bin/env python3
"""Whether `glowplug tune` chooses with a few runs what measuring every size would choose, and whether time follows the share.

    python3 bench/tune/run.py [--only s3,thumbnail] [--runs 3] [--build] [--skip choice,curve]

For each function family every size is measured (`--grid`), and each objective is asked for with the runs that `tune` takes by
itself. Both are judged by the grid's own figures, made such that more memory is never slower. The curve is init of the pandas function without a boost. Take a
quiet machine: the sizes differ by less than another program does.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from examples import release_binary  # noqa: E402

FAMILIES = ["s3", "api", "predict", "thumbnail", "scrape", "report"]
OBJECTIVES = ["speed", "cost", "balanced"]
# The part of the grid's runs, and how far from the grid's best the choice may be.
RUNS_LIMIT, VALUE_LIMIT = 0.40, 1.03
# Sizes of the curve, and how far time may be from processor time divided by the share. An init is ended after 10 s.
CURVE, CURVE_LIMIT = [128, 256, 512, 1024, 1769], 0.20
LONGEST_INIT_MS = 10_000
FULL_CPU_MB = 1769.0


def tune(glowplug, options, name, more):
    path = os.path.join(os.path.dirname(HERE), "families", name)
    command = [glowplug, "tune", path, "--format", "json", "--quiet", "--runs", str(options.runs)] + more
    command += [] if options.build else ["--no-build"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if finished.returncode:
        sys.exit("%s: %s" % (name, finished.stderr[-2000:]))
    return json.loads(finished.stdout)


def falling(values):
    """The nearest values that do not rise: isotonic regression. More memory makes nothing slower, and the least of fifteen
    noisy figures is less than the least of what they are figures of."""
    pools = []
    for value in values:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-1][0] / pools[-1][1] > pools[-2][0] / pools[-2][1]:
            total, count = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + count]
    return [total / count for total, count in pools for _ in range(count)]


def values(grid, objective):
    """What an objective makes small, by size, from the figures of the grid."""
    works = [tier for tier in grid["tiers"] if tier["measured"] and tier["reason"] is None]
    measured = [tier["latency_ms"]["median"] for tier in works]
    latency = dict(zip([tier["memory_mb"] for tier in works], falling(measured)))
    usd = {
        tier["memory_mb"]: tier["usd_per_million"] * latency[tier["memory_mb"]] / ms for tier, ms in zip(works, measured)
    }
    if objective == "speed":
        return latency
    if objective == "cost":
        return usd
    slowest, dearest = max(latency.values()), max(usd.values())
    return {size: 0.5 * latency[size] / slowest + 0.5 * usd[size] / dearest for size in latency}


def choice(glowplug, options, wrong):
    print("%-10s %-9s %8s %8s %8s %8s %10s" % ("family", "objective", "grid", "chosen", "value", "runs", "model off"))
    for name in options.only:
        grid = tune(glowplug, options, name, ["--grid"])
        for objective in OBJECTIVES:
            found = tune(glowplug, options, name, ["--objective", objective])
            by_size = values(grid, objective)
            best = min(by_size, key=by_size.get)
            value = by_size.get(found["chosen"], float("inf")) / by_size[best]
            runs = found["runs"] / found["grid_runs"]
            off = "%.1f %%" % (100 * found["model_error"]) if found["model_error"] is not None else "-"
            print("%-10s %-9s %8d %8d %8.3f %8.2f %10s" % (name, objective, best, found["chosen"], value, runs, off), flush=True)
            if value > VALUE_LIMIT:
                wrong.append("%s by %s: %.3f of the grid's best" % (name, objective, value))
            if runs > RUNS_LIMIT:
                wrong.append("%s by %s: %.2f of the grid's runs" % (name, objective, runs))


def curve(glowplug, options, wrong):
    event = os.path.join(os.path.dirname(HERE), "families", "report", "events", "health.json")
    sizes = ",".join(map(str, CURVE))
    found = tune(glowplug, options, "report", ["--grid", "--tiers", sizes, "--init-boost", "off", "--event", event])
    inits = {}
    for tier in found["before"]["tiers"]:
        times = next(iter(tier["events"].values()), None)
        if tier["memory_mb"] in CURVE and times and times["init_ms"] and times["init_cpu_ms"]:
            inits[tier["memory_mb"]] = times["init_ms"]["median"], times["init_cpu_ms"]["median"]
    print("%-10s %10s %10s %10s %8s" % ("MB", "init ms", "cpu ms", "by share", "ratio"))
    before = None
    for size in CURVE:
        init, cpu = inits.get(size, (None, None))
        if init is None or init >= LONGEST_INIT_MS:
            # With the processor time of the next size: whether it had to be ended.
            cpu = next((inits[other][1] for other in CURVE if other > size and other in inits), 0)
            expected = cpu / min(1.0, size / FULL_CPU_MB)
            print("%-10d %10s %10s %10.0f" % (size, "ended", "", expected))
            if expected * (1 + CURVE_LIMIT) < LONGEST_INIT_MS:
                wrong.append("no init at %d MB" % size)
            continue
        expected = cpu / min(1.0, size / FULL_CPU_MB)
        print("%-10d %10.0f %10.0f %10.0f %8.2f" % (size, init, cpu, expected, init / expected), flush=True)
        if abs(init / expected - 1) > CURVE_LIMIT:
            wrong.append("init at %d MB is %.2f of its processor time by its share" % (size, init / expected))
        if before and init > before:
            wrong.append("init at %d MB takes longer than with less memory" % size)
        before = init


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=FAMILIES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--build", action="store_true", help="tune what a build makes, too")
    parser.add_argument("--skip", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    glowplug, wrong = release_binary(), []
    print("load before: %.2f" % os.getloadavg()[0])
    if "choice" not in options.skip:
        choice(glowplug, options, wrong)
    if "curve" not in options.skip:
        curve(glowplug, options, wrong)
    for line in wrong:
        print("OVER: " + line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
