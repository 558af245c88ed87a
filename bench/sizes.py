#!/usr/bin/env python3
"""Builds the function families at each level of trimming, and sets the zips and the images against what is promised.

    python3 bench/sizes.py [--only s3,api] [--levels safe,reachable,observed] [--all-events]
                            [--base rootfs:DIR] [--out DIR]

What no event touches is gone at level `observed`, by what the level is: there the held-out events are left alone, or
events like the others with `--all-events`.

With `--base`, an image of each family is made as well (its Python has to be the base's: `--python 3.11`).
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from examples import release_binary  # noqa: E402

FAMILIES = ["s3", "api", "predict", "thumbnail", "scrape", "report", "report_s3"]
# Level -> geometric mean of zip / the whole tree with valid bytecode, both packed with the same effort.
LIMITS = {"safe": 0.70, "reachable": 0.55, "observed": 0.40}
# Bytes needed before the first response / the compressed image.
IMAGE_LIMIT = 0.25


def held_out(path):
    folder = os.path.join(path, "holdout")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [part for name in names if name.endswith(".json") for part in ("--holdout", os.path.join(folder, name))]


def with_all_events(family, copy):
    """A copy of a family whose held-out events are events."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(family, copy)
    names = sorted(os.listdir(os.path.join(copy, "holdout")))
    with open(os.path.join(copy, "glowplug.toml"), "a", encoding="utf-8") as settings:
        for name in names:
            os.rename(os.path.join(copy, "holdout", name), os.path.join(copy, "events", name))
            settings.write('\n[[event]]\npath = "events/%s"\nweight = 0.01\n' % name)
    return copy


def build(options, glowplug, name, level):
    """One report, or nothing where the build failed; what it said is told."""
    path = os.path.join(HERE, "families", name)
    if options.all_events:
        path = with_all_events(path, os.path.join(options.out, name))
    command = [glowplug, "build", "--fresh", path, "--runs", "1", "--format", "json", "--quiet", "--trim", level]
    command += ["--out", os.path.join(options.out, name + "-" + level), "--kind", "zip"]
    command += [] if level == "observed" else held_out(path)
    if options.base:
        command += ["--kind", "image", "--base", options.base]
    if options.python:
        command += ["--python", options.python]
    print("running: %s at level %s" % (name, level), file=sys.stderr)
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if finished.returncode:
        print(finished.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(finished.stdout)


def image_share(report):
    """The part of the image that the events need before their first response, by their shares."""
    image, delivery = report.get("image"), report.get("delivery")
    return delivery["ways"][1]["fetched_bytes"] / image["bytes"] if image else None


def mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=FAMILIES)
    parser.add_argument("--levels", type=lambda text: text.split(","), default=list(LIMITS))
    parser.add_argument("--all-events", action="store_true")
    parser.add_argument("--base")
    parser.add_argument("--python")
    parser.add_argument("--out", default=None)
    options = parser.parse_args()
    options.out = options.out or tempfile.mkdtemp(prefix="glowplug-sizes-")
    glowplug, wrong = release_binary(), []
    print("%-10s %-10s %10s %10s %7s  %-8s %-8s %s" % ("family", "level", "whole", "zip", "ratio", "replay", "held out", "image"))
    for level in options.levels:
        ratios = []
        for name in options.only:
            report = build(options, glowplug, name, level)
            if report is None:
                wrong.append("%s at %s was not built" % (name, level))
                continue
            ratio, verdict = report["ratio"]["zip_bytes"], report["verdict"]
            ratios.append(ratio)
            share = image_share(report)
            print("%-10s %-10s %8.2fMB %8.2fMB %7.3f  %-8s %-8s %s" % (
                name, level, report["before"]["zip_bytes"] / 1e6, report["after"]["zip_bytes"] / 1e6, ratio,
                verdict["equal"], verdict["holdout"]["equal"], "%.3f" % share if share else "-",
            ), flush=True)  # fmt: skip
            if verdict["equal"] is not True:
                wrong.append("%s at %s: the replay is %s" % (name, level, verdict["equal"]))
            if share and share > IMAGE_LIMIT:
                wrong.append("%s at %s: a start needs %.3f of the image" % (name, level, share))
        print("%-10s %-10s %29.3f  limit %.2f" % ("mean", level, mean(ratios), LIMITS[level]), flush=True)
        if not mean(ratios) <= LIMITS[level]:
            wrong.append("the mean at %s is over %.2f" % (level, LIMITS[level]))
    for line in wrong:
        print("OVER: " + line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
