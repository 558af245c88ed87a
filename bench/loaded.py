#!/usr/bin/env python3
"""Memory and speed once everything is loaded: popular packages as they are, and with every import deferred that the rules
allow and then used.

    python3 bench/loaded.py [--runs N] [--python 3.12] [--packages pandas,boto3] [--keep DIR]

Two trees of the same packages, with bytecode; in one every import waits that may. A process imports a package, reads every
name of every module of it, so that nothing waits any more, and then does some work in a loop. Processes of the two kinds
take turns. Printed are the median ratios, lazy by original, of the resident memory before the loop and of the loop's time,
with quartiles. Ends with status 1 where one is above its limit. Packages come from PyPI by name; needs cargo.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "equivalence")]

import lazytree  # noqa: E402
import truth  # noqa: E402

LIMIT = 1.02

# Module -> distribution, and work that goes through its own code.
WORK = {
    "pandas": ("pandas", "frame = m.DataFrame({'a': range(50), 'b': list('abcde') * 10})\nframe.groupby('b').a.sum().to_dict()"),
    "boto3": ("boto3", "m.session.Session(region_name='eu-west-1').client('sts', aws_access_key_id='a', aws_secret_access_key='b')"),
    "sqlalchemy": ("sqlalchemy", "str(m.select(m.column('a'), m.column('b')).where(m.column('c') > 1).order_by(m.column('a')))"),
    "jinja2": ("jinja2", "m.Environment().from_string('{% for n in x %}{{ n|upper }} {{ n|length }}{% endfor %}').render(x=['a'] * 20)"),
    "requests": ("requests", "m.Request('GET', 'http://a.b/c', params={'d': 'e'}, headers={'f': 'g'}).prepare()"),
    "fastapi": ("fastapi", "app = m.FastAPI()\napp.get('/a/{b}')(lambda b: b)\napp.openapi()"),
}  # fmt: skip

CHILD = """
import gc, sys, time, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
import {module} as m
top = m.__name__
done = set()
while True:
    new = [n for n in sys.modules if n.split(".")[0] == top and n not in done]
    if not new:
        break
    for name in new:
        done.add(name)
        for each in list(getattr(sys.modules[name], "__dict__", ())) + dir(sys.modules[name]):
            try:
                getattr(sys.modules[name], each)
            except Exception:
                pass
def work():
    {work}
work()
gc.collect()
with open("/proc/self/status") as file:
    resident = [line.split()[1] for line in file if line.startswith("VmRSS")][0]
begin = time.process_time()
for _ in range(int(sys.argv[2])):
    work()
print(resident, time.process_time() - begin, len(sys.modules))
"""


def run(python, site, module, rounds):
    """Resident KiB, seconds of the loop, modules."""
    work = WORK[module][1].replace("\n", "\n    ")
    code = CHILD.format(module=module, work=work)
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": site, "PYTHONHASHSEED": "0"}
    command = [python, "-s", "-S", "-c", code, site, str(rounds)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if ran.returncode:
        sys.exit(ran.stderr)
    resident, seconds, modules = ran.stdout.split()
    return int(resident), float(seconds), int(modules)


def judge(ratios):
    low, middle, high = statistics.quantiles(ratios, n=4)
    return "%.3f [%.3f, %.3f]" % (middle, low, high), middle <= LIMIT


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="pairs of processes behind a figure (default 15)")
    parser.add_argument("--python", default="3.12", help="the minor version to run on (default 3.12)")
    parser.add_argument("--packages", default=",".join(WORK), help="which ones (default all)")
    parser.add_argument("--helper", help="the example lazy_tree, already built")
    parser.add_argument("--keep", help="keep the installed packages in this folder (default: a temporary one)")
    options = parser.parse_args()
    folder = options.keep or tempfile.mkdtemp(prefix="glowplug-loaded-")
    os.makedirs(folder, exist_ok=True)
    python = truth.find_pythons([options.python])[options.python]
    helper = options.helper or lazytree.build()
    modules = options.packages.split(",")
    failed = False
    try:
        original = truth.install(folder, options.python, python, modules)
        lazy = original + "-lazy"
        shutil.rmtree(lazy, ignore_errors=True)
        shutil.copytree(original, lazy)
        empty = os.path.join(folder, "empty")
        os.makedirs(empty, exist_ok=True)
        setting = SimpleNamespace(site=lazy, version=options.python, python=python, folder=empty, left=set())
        tree = lazytree.LazyTree(helper, setting)
        allowed = tree.allowed()
        tree.apply(allowed)
        print("%d imports deferred in %d files\n" % (len(allowed), len(tree.applied)))
        print("| package | modules, original | lazy | memory | loop |\n|---|---|---|---|---|", flush=True)
        for module in modules:
            memory, speed = [], []
            # As many rounds as make half a second.
            rounds = 1 + int(0.5 / (run(python, original, module, 10)[1] / 10))
            for site in (original, lazy):
                run(python, site, module, 1)  # fills the page cache, and writes what bytecode was missing
            for _ in range(options.runs):
                before, after = run(python, original, module, rounds), run(python, lazy, module, rounds)
                memory.append(after[0] / before[0])
                speed.append(after[1] / before[1])
            (shown_memory, small), (shown_speed, fast) = judge(memory), judge(speed)
            failed |= not (small and fast)
            print("| %s | %d | %d | %s | %s |" % (module, before[2], after[2], shown_memory, shown_speed), flush=True)
        tree.close()
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
