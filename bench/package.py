#!/usr/bin/env python3
"""How long it takes to trim, compile and zip a package of some 250 MB, and how small it gets.

    python3 bench/package.py [--python PATH] [--keep DIR]

A real tree (pandas, numpy, scipy, boto3, lxml, pydantic, requests, for the interpreter that is named) is installed
with uv or pip, trimmed at level `safe`, compiled with nothing in the cache, and zipped, all in one process as a build
does. Printed are the seconds of each step, the most memory that the process and its compilers hold together (shared
pages divided), and the size of the zip against the same files at zlib's levels 6 and 9 and as they were installed. The
limits are 30 s on two cores and 500 MB.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("pandas", "numpy", "scipy", "boto3", "lxml", "pydantic", "requests")
LIMIT_S = 30
LIMIT_MB = 500


def binary():
    build = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "glowplug-package", "--example", "package"]
    subprocess.run(build, cwd=ROOT, check=True)
    folder = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(folder, "release", "examples", "package")


def install(python, tree, packages=PACKAGES):
    if os.path.exists(tree):
        return
    uv = shutil.which("uv")
    command = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    only = ["--only-binary", ":all:", "--target", tree, "--quiet"]
    subprocess.run(command + only + list(packages), check=True)


def processes(first):
    """The process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [first]
    while todo:
        found.append(todo.pop())
        todo.extend(children.get(found[-1], ()))
    return found


def proportional_kib(process):
    try:
        with open("/proc/%d/smaps_rollup" % process) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def watched(command):
    """The command's output, and the most memory that it and its children held at once, in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.05):
            most[0] = max(most[0], sum(map(proportional_kib, processes(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    over.set()
    watcher.join()
    if process.returncode:
        sys.exit("failed: %s" % " ".join(command))
    return json.loads(output), most[0] * 1024 / 1e6


def deflated(contents, level):
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15)
    return min(len(contents), len(encoder.compress(contents)) + len(encoder.flush()))


def plain_sizes(archive, levels):
    """What the same files come to at zlib's levels: headers are the same."""
    with zipfile.ZipFile(archive) as opened:
        overhead = os.path.getsize(archive) - sum(entry.compress_size for entry in opened.infolist())
        sizes = dict.fromkeys(levels, overhead)
        for entry in opened.infolist():
            contents = opened.read(entry)
            for level in levels:
                sizes[level] += deflated(contents, level)
    return sizes


def installed_size(tree):
    """The zip that a plain tool makes of the tree as it was installed."""
    total = 22
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                total += deflated(file.read(), 6) + 2 * len(os.path.relpath(path, tree)) + 76
    return total


def verdict(value, limit):
    return "within %g" % limit if value <= limit else "OVER %g" % limit


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter to install and compile for")
    parser.add_argument("--keep", help="keep what is installed and made here")
    options = parser.parse_args()
    folder = os.path.abspath(options.keep or tempfile.mkdtemp(prefix="glowplug-package-"))
    os.makedirs(folder, exist_ok=True)
    try:
        program, tree, out = binary(), os.path.join(folder, "tree"), os.path.join(folder, "package.zip")
        install(options.python, tree)
        cache = tempfile.mkdtemp(dir=folder)
        print("load before: %s" % open("/proc/loadavg").read().split()[0])
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = usage.ru_utime + usage.ru_stime
        report, memory = watched([program, tree, options.python, cache, out, "best"])
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = usage.ru_utime + usage.ru_stime - cpu
        shutil.rmtree(cache)
        before, after = report["before"], report["after"]
        print("tree: %d files, %.0f MB; package: %d files, %.0f MB"
              % (before["files"], before["bytes"] / 1e6, after["files"], after["bytes"] / 1e6))
        for step in ("scan", "trim", "bytecode", "zip"):
            print("%-9s %6.1f s" % (step, report["seconds"][step]))
        total = sum(report["seconds"].values())
        print("%-9s %6.1f s   %s s" % ("all", total, verdict(total, LIMIT_S)))
        # What other programs on the machine do not lengthen: all but the last file is evenly shared out.
        print("%-9s %6.1f s   by two cores" % ("processor", cpu / 2))
        print("%-9s %6.0f MB  %s MB" % ("memory", memory, verdict(memory, LIMIT_MB)))
        sizes = plain_sizes(out, (6, 9))
        print("%-9s %10d bytes" % ("zip", after["zip_bytes"]))
        for level, size in sizes.items():
            print("zlib %-4d %10d bytes   %.4f" % (level, size, after["zip_bytes"] / size))
        whole = installed_size(tree)
        print("%-9s %10d bytes   %.4f" % ("installed", whole, after["zip_bytes"] / whole))
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
