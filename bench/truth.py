#!/usr/bin/env python3
"""Sets the tracing agent's figures against the interpreter's own, `-X importtime`, and measures what the agent costs.

    python3 bench/truth.py [--runs N] [--packages pandas,boto3] [--pythons 3.9,3.13] [--keep DIR] [--instructions]

For each package and each interpreter that is here, three kinds of fresh processes import the package in turns: one
under `-X importtime`, one with the full agent, one more under `-X importtime`; at least N rounds, and up to five times as
many where the machine is unsteady. Per module the median of the self times is
taken, and three things are shown: Spearman's correlation of the agent with importtime over the modules above 0.2 ms, the
same of importtime with itself, and the median ratio of the summed totals of neighbouring processes. Then pandas, boto3
and FastAPI are imported in pairs with and without the agent, and the processor time is compared; with `--instructions`,
the instructions that valgrind counts, which another process on the machine does not change. Ends with status 1 where a figure is outside its limit.
Packages come from PyPI by name. All processes run on one processor. Run it on a machine that does nothing else.
"""

import argparse
import glob
import marshal
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
AGENT = os.path.join(ROOT, "python", "glowplug_agent")
PARTS = ["phases.py", "passes.py", "work.py", "hooks.py", "tracer.py"]
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
# Module -> distribution.
PACKAGES = {
    "numpy": "numpy", "pandas": "pandas", "scipy.stats": "scipy", "sklearn.linear_model": "scikit-learn", "boto3": "boto3",
    "fastapi": "fastapi", "pydantic": "pydantic", "sqlalchemy": "sqlalchemy", "requests": "requests", "httpx": "httpx",
    "jinja2": "jinja2", "flask": "flask", "django.db.models": "django", "aiohttp": "aiohttp",
    "cryptography.x509": "cryptography", "lxml.html": "lxml", "PIL.Image": "pillow", "matplotlib.figure": "matplotlib",
    "networkx": "networkx", "sympy": "sympy",
}  # fmt: skip
MEMORY = "/dev/shm"
OVERHEAD = ["pandas", "boto3", "fastapi"]
FLOOR_US = 200
CORRELATION, SLACK, TOTAL, COST = 0.98, 0.01, 0.03, 0.05
# Rounds go on until the standard error of the total is that small, but not beyond so many times what was asked for.
ENOUGH, MOST = 0.008, 5

# The same for all kinds. All load the agent, and one installs it: what happens once in a while in a process then comes
# at the same moment in all, and does not pass for a module's. Three such things are kept away altogether: collections,
# since a few objects more or less decide which module one falls on; the growth of the table of names, a millisecond
# long; and, from 3.11 on, the end of the piece of memory that holds Python's frames: calls at that depth, a few frames
# earlier with the agent's among them, ask the system for memory each time and take ten times as long. So the table is
# large from the start, and the frame around the import has room for all others. Next comes what the runtime client
# brings. Printed are the processor time of the import alone, since loading the agent is not part of init, and the modules
# that were there before.
CHILD = """
import gc, sys, time
sys.path[0] = sys.argv[1]
space = dict(__name__="_glowplug_agent", __builtins__=__builtins__, _counts=gc.get_count())
with open(sys.argv[2]) as file:
    exec(file.read(), space)
names = [sys.intern("name of a table that is large %d" % number) for number in range(180_000)]
def roomy():
    import {module}
roomy.__code__ = roomy.__code__.replace(co_stacksize=140_000)
gc.collect()
gc.disable()
if len(sys.argv) > 3:
    space["_counts"] = gc.get_count()
    space["install"](dict(output=sys.argv[3], task_root=sys.argv[1], user_files=[], statements=False))
import json, logging, traceback, decimal
before = list(sys.modules)
begin = time.process_time_ns()
roomy()
print(time.process_time_ns() - begin, *before)
"""


def find_pythons(wanted):
    found = {}
    names = ["python" + version for version in VERSIONS]
    names += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))
    for name in names:
        try:
            asked = subprocess.run(
                [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True,
            )  # fmt: skip
        except OSError:
            continue
        if asked.returncode == 0:
            version, path = asked.stdout.split(None, 1)
            if version in wanted:
                found.setdefault(version, path.strip())
    return found


def install(folder, version, python, modules):
    """The packages for one interpreter, with bytecode."""
    tools = os.path.join(folder, "tools")
    uv = os.path.join(tools, "bin", "uv")
    if not os.path.exists(uv):
        venv.create(tools, with_pip=True)
        subprocess.run([os.path.join(tools, "bin", "pip"), "install", "--quiet", "uv"], check=True)
    target = os.path.join(folder, "site-" + version)
    if not os.path.exists(target):
        names = sorted({PACKAGES[module] for module in modules})
        command = [uv, "pip", "install", "--quiet", "--python", python, "--target", target]
        subprocess.run(command + names, check=True)
        subprocess.run([python, "-m", "compileall", "-q", "-j2", target], stdout=subprocess.DEVNULL)
    return target


def agent(folder):
    path = os.path.join(folder, "agent.py")
    with open(path, "w") as joined:
        for part in PARTS:
            with open(os.path.join(AGENT, part)) as file:
                joined.write(file.read() + "\n")
    return path


def run(python, options, code, arguments, environment):
    """What it wrote to standard output and to standard error: files, which no reader has to wake up for, in memory, since
    importtime writes each line in the time of the module around it."""
    command = [python, "-s", "-S"] + options + ["-c", code] + arguments
    folder = MEMORY if os.path.isdir(MEMORY) else None
    with tempfile.TemporaryFile(dir=folder) as output, tempfile.TemporaryFile(dir=folder) as errors:
        status = subprocess.run(command, stdout=output, stderr=errors, env=environment).returncode
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    if status:
        sys.exit(texts[1])
    return texts


def by_importtime(python, module, site, source, environment):
    """Module -> self time in us."""
    said, told = run(python, ["-X", "importtime"], CHILD.format(module=module), [site, source], environment)
    before = set(said.split())
    times = {}
    for line in told.splitlines():
        columns = line.partition("import time:")[2].split("|")
        if len(columns) == 3 and columns[0].strip().isdigit() and columns[2].strip() not in before:
            name = columns[2].strip()
            times[name] = times.get(name, 0) + float(columns[0])  # some are imported twice
    return times


def by_agent(python, module, site, source, environment):
    """Module -> self time in us and the module it was imported within, and the processor time of the import in ns."""
    output = source + ".out"
    open(output, "wb").close()
    took, _ = run(python, [], CHILD.format(module=module), [site, source, output], environment)
    times = {}
    with open(output, "rb") as file:
        data = file.read()
    while data:
        length = int.from_bytes(data[4:8], "little")
        for packed in marshal.loads(data[8 : 8 + length])["imports"]:
            row = marshal.loads(packed)
            times[row[0]] = (times.get(row[0], (0, ""))[0] + row[9] / 1e3, row[1])
        data = data[8 + length :]
    return times, int(took.split()[0])


def folded(times, known):
    """Module -> self time, where those that importtime does not show are part of what imported them: it does not see
    what `importlib.import_module` loads."""
    sums = {}
    for name, (time, parent) in times.items():
        owner = name
        while owner not in known and owner in times and times[owner][1]:
            owner = times[owner][1]
        sums[owner] = sums.get(owner, 0) + time
    return sums


def without(python, module, site, source, environment):
    return int(run(python, [], CHILD.format(module=module), [site, source], environment)[0].split()[0])


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    ranked = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for index in order[at:end]:
            ranked[index] = (at + end - 1) / 2
        at = end
    return ranked


def spearman(left, right):
    left, right = ranks(left), ranks(right)
    middle = (len(left) - 1) / 2
    covariance = sum((a - middle) * (b - middle) for a, b in zip(left, right))
    spread = (sum((a - middle) ** 2 for a in left) * sum((b - middle) ** 2 for b in right)) ** 0.5
    return covariance / spread if spread else 1.0


def medians(samples):
    """Module -> median, of the modules that every run has. A run in which the whole machine was slower than in the
    others counts at their pace: what slows everything says nothing about a module."""
    common = set(samples[0]).intersection(*samples[1:])
    totals = [sum(sample[name] for name in common) for sample in samples]
    middle = statistics.median(totals)
    paces = [middle / total for total in totals]
    return {name: statistics.median(s[name] * pace for s, pace in zip(samples, paces)) for name in common}


def totals(ours, first, second):
    """The agent's total against importtime's before and after it, which were taken right around it: median, quartiles."""
    common = set(ours[0]).intersection(*ours[1:], *first, *second)
    whole = lambda sample: sum(sample[name] for name in common)
    ratios = [2 * whole(b) / (whole(a) + whole(c)) for a, b, c in zip(first, ours, second)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def compare(python, module, site, source, runs, environment):
    """Correlation with importtime, importtime's with itself, ratio of totals, count of modules."""
    first, second, ours = [], [], []
    for number in range(MOST * runs + 1):
        if number > runs and error(*totals(ours, first, second), len(ours)) <= ENOUGH:
            break
        a = by_importtime(python, module, site, source, environment)
        b, _ = by_agent(python, module, site, source, environment)
        b = folded(b, a)
        c = by_importtime(python, module, site, source, environment)
        if number:  # the first round fills the page cache
            first.append(a)
            ours.append(b)
            second.append(c)
    total = totals(ours, first, second) + (len(ours),)
    first, second, ours = medians(first), medians(second), medians(ours)
    names = sorted(set(first) & set(second) & set(ours))
    large = [name for name in names if first[name] > FLOOR_US]
    column = lambda times: [times[name] for name in large]
    agree = spearman(column(ours), column(first))
    itself = spearman(column(second), column(first))
    return agree, itself, total, len(large)


def error(_, low, high, runs):
    """The standard error of a median: 1.25 of that of a mean, and a standard deviation is 1 / 1.35 of what quartiles span."""
    return 1.25 * (high - low) / 1.35 / runs**0.5


def judge(agree, itself, total, low, high, runs):
    """Whether figures are within their limits; where importtime does not reach them by itself, or the limit is within two
    standard errors of the median, nobody can tell."""
    if agree < itself - SLACK or (agree < CORRELATION <= itself):
        return "OUTSIDE"
    beyond = abs(total - 1) - TOTAL
    if beyond > 2 * error(total, low, high, runs):
        return "OUTSIDE"
    return "within" if beyond <= 0 and agree >= CORRELATION else "too noisy to tell"


def cost(python, module, site, source, runs, environment):
    """What the agent adds to the processor time of an import, as a part of it: median, quartiles."""
    ratios = []
    for number in range(runs + 1):
        plain = without(python, module, site, source, environment)
        _, traced = by_agent(python, module, site, source, environment)
        if number:
            ratios.append(traced / plain - 1)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def instructions(python, module, site, source, environment):
    """What the agent adds to the instructions of an import, as a part of them."""
    counts = []
    for imported in (module, "sys"):
        for output in ([], [source + ".out"]):
            # The end of the process is not part of init.
            code = CHILD.format(module=imported) + "sys.stdout.flush()\n__import__('os')._exit(0)"
            tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
            command = tool + [python, "-s", "-S", "-c", code, site, source] + output
            said = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment).stderr
            counts.append(int(said.decode().partition("I   refs:")[2].split()[0].replace(",", "")))
    plain, traced, nothing, agent_alone = counts
    return (traced - agent_alone) / (plain - nothing) - 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="processes of each kind behind a median (default 9)")
    parser.add_argument("--packages", default=",".join(PACKAGES), help="modules to import (default all twenty)")
    parser.add_argument("--pythons", default=",".join(VERSIONS), help="minor versions (default all that are here)")
    parser.add_argument("--instructions", action="store_true", help="count the cost in instructions, with valgrind")
    parser.add_argument("--keep", help="keep the installed packages in this folder (default: a temporary one)")
    return parser.parse_args()


def main():
    options = arguments()
    folder = options.keep or tempfile.mkdtemp(prefix="glowplug-truth-")
    os.makedirs(folder, exist_ok=True)
    modules = options.packages.split(",")
    outside = []
    # Processors of one machine differ in pace from minute to minute, by what others do on them: all stay on one.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": folder, "MPLCONFIGDIR": folder, "PYTHONHASHSEED": "0"}
    try:
        source = agent(folder)
        pythons = find_pythons(options.pythons.split(","))
        print("| Python | package | modules | rounds | agent with importtime | importtime with itself | total [quartiles] | |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for version, python in sorted(pythons.items(), key=lambda item: int(item[0].split(".")[1])):
            site = install(folder, version, python, set(modules) | set(OVERHEAD))
            for module in modules:
                agree, itself, (total, low, high, rounds), count = compare(
                    python, module, site, source, options.runs, environment
                )
                verdict = judge(agree, itself, total, low, high, rounds)
                if verdict != "within":
                    outside.append("%s on %s: %s" % (module, version, verdict))
                row = (version, module, count, rounds, agree, itself, total, low, high, verdict)
                print("| %s | %s | %d | %d | %.3f | %.3f | %.3f [%.2f, %.2f] | %s |" % row, flush=True)
        print("\n| Python | package | the agent's cost, of init | quartiles | |\n|---|---|---|---|---|", flush=True)
        for version, python in sorted(pythons.items(), key=lambda item: int(item[0].split(".")[1])):
            site = os.path.join(folder, "site-" + version)
            for module in OVERHEAD:
                if options.instructions:
                    middle = low = high = instructions(python, module, site, source, environment)
                else:
                    middle, low, high = cost(python, module, site, source, 2 * options.runs, environment)
                if middle > COST:
                    outside.append("cost of %s on %s" % (module, version))
                row = (version, module, 100 * middle, 100 * low, 100 * high, "within" if middle <= COST else "OUTSIDE")
                print("| %s | %s | %.1f %% | [%.1f, %.1f] | %s |" % row, flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for what in outside:
        print("outside its limit: " + what)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
