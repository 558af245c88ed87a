"""Keeps the result of each package and writes `docs/equivalence.md` from all of them."""

import glob
import json
import os

from environment import HERE, ROOT
from packages import PACKAGES
from suite import file_of

RESULTS = os.path.join(HERE, "results")
# Where those of trimming are, in the folder of a Python.
TRIMMED = "trimmed"
# Import, or test -> why there is a difference, found by a person: `{"class", "why"}`.
EXPLANATIONS = os.path.join(HERE, "explanations.json")
# Tests of a difference that the page names.
NAMED = 3

CLASSES = {
    "effect": "refused by a build: the comparison of effects, which is no part of this, sees what the load changes",
    "replaced": "the test replaces what the import takes, before its first use: a rule refuses that where the function does it",
    "looks": "the test looks at how imports happen, or at what is loaded",
    "outside": "the test reads what it does not import, and is not part of the edited tree",
    "limit": "a limit of deferring itself",
    "harness": "an artefact of these runs, not of what is left out",
    "defect": "a defect",
    "open": "not explained yet",
}

HEAD = """# Equivalence at large

Popular packages' own tests, run on the installed tree as it is and on the same tree with **every** import deferred
that [the rules](lazy-imports.md#the-rules) allow, in the package and in all that it depends on: not the few that a
build would choose because they pay. This page is written by

```
python3 bench/equivalence/run.py
```

The tests come from the source distribution; pytest, what it needs and its plugins stay as they are. The original runs
twice: tests that differ between these two runs are left out (*flaky*). A test differs where its outcome does (passed,
failed, skipped, an error, not run). Where tests differ, the script finds the guilty import by halving, defers it
alone, and asks the comparison of effects about it, the one that a build makes at its default level. What follows is
about the rules alone: a build also compares effects and replays events, and leaves out what fails either.

*Lazy* counts the imports that are deferred, *used* those among them that happened while the tests ran; all others were
never needed. *Differ* counts tests, *imports* those that make them differ; with these eager, and everything else
deferred, no test differs unless the page says so below.
"""


TRIMMED_HEAD = """
## Trimmed

The same tests on a copy of the installed tree without the files that a level of [trimming](build.md#what-it-changes)
leaves out. Only what reads is asked: no start is traced, so that `reachable` goes by the analysis alone, which is
stricter than in a build. The test modules and `conftest.py` stand for the user's own code: they stay, and reachability starts
at them; pytest, what it needs and its plugins stay whole. Native libraries are stripped, copies of them are links, and at
`reachable` libraries' bytecode knows no columns from Python 3.11 on, as a build ships it. This part is written by

```
python3 bench/equivalence/run.py --trim safe,reachable
```

*Files* and *size* are of all distributions but those that stay whole; *out* is what is left out of them. What a plugin of
pytest imports is needed too, so that a suite with many plugins shows less than one with few.

What these runs have found are rules by now, with a case each in `crates/glowplug-optimize/src/reach/tests.rs`:

- the native module of cryptography imports `_cffi_backend`, a name without a dot, which nothing but its requirements tells (all
  1650 tests failed to be collected);
- mypyc keeps the code of all of chardet in one native module at the root, which no statement can import by its name (185 of
  httpx's tests);
- SQLAlchemy imports `package + ".provision"`, a name whose end alone is said, and goes on without it (36 of its tests).
"""


def keep(result, *below):
    """Writes a result down; `below` are folders in that of its Python."""
    folder = os.path.join(RESULTS, result["python"], *below)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, result["package"] + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, sort_keys=True)
        file.write("\n")


def keep_trimmed(result):
    keep(result, TRIMMED)


def trimmed_of(package, python):
    """What is known of a package's levels."""
    path = os.path.join(RESULTS, python, TRIMMED, package + ".json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)["levels"]


def kept(*below):
    """Python -> results, in the order of the list of packages."""
    order = list(PACKAGES)
    found = {}
    for path in glob.glob(os.path.join(RESULTS, "*", *below, "*.json")):
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        if result["package"] in order:
            found.setdefault(result["python"], []).append(result)
    for results in found.values():
        results.sort(key=lambda result: order.index(result["package"]))
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def write():
    with open(EXPLANATIONS, encoding="utf-8") as file:
        explanations = json.load(file)
    parts = [HEAD]
    for python, results in kept().items():
        parts.append("\n## Python %s\n" % python)
        parts += table(results)
        missing = PACKAGES.keys() - {result["package"] for result in results}
        if missing:
            parts.append("\nIn the list, but without a result yet: %s." % ", ".join(sorted(missing)))
        if any(result["culprits"] for result in results):
            parts.append("\n### What differs, and why\n")
            parts += [part for result in results for part in described(result, explanations)]
        parts += [left_over(result) for result in results if result["rest"] or result["refused_edits"]]
    parts += trimmed(explanations)
    with open(os.path.join(ROOT, "docs", "equivalence.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(parts).rstrip() + "\n")


def table(results):
    rows = [
        "| package | version | for | distributions | tests | flaky | lazy | used | differ | imports |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    columns = ("distributions", "tests", "flaky", "deferred", "loaded")
    for result in results:
        numbers = [result[name] for name in columns] + [len(result["differed"]), len(result["culprits"])]
        cells = [result["package"], result["version"], result["kind"], *map(str, numbers)]
        rows.append("| %s |" % " | ".join(cells))
    sums = [sum(result[name] for result in results) for name in columns]
    sums += [sum(len(result[name]) for result in results) for name in ("differed", "culprits")]
    rows.append("| **%d packages** | | | %s |" % (len(results), " | ".join(map(str, sums))))
    return rows


def described(result, explanations):
    """The imports that make a difference, each with the tests that show it."""
    parts, told = [], set()
    for culprit in result["culprits"]:
        tests = {test: outcomes for test, outcomes in culprit["tests"].items() if test not in told}
        if culprit["tests"] and not tests:
            # A test that many imports change, each alone.
            continue
        many = set(tests) & set(result["everywhere"])
        told |= many
        known = [explanations[key] for key in [culprit["id"], *tests] if key in explanations]
        parts.append(one(result, culprit, tests, many, known[0] if known else None))
    return parts


def one(result, culprit, tests, many, known):
    if known is None:
        known = {"class": "effect" if culprit["effects"] else "open", "why": ""}
    head = (result["package"], culprit["id"], culprit["line"], CLASSES[known["class"]])
    lines = ["**%s**, `%s`, line %d: %s." % head]
    if known["why"]:
        lines.append(known["why"])
    if culprit["effects"]:
        lines.append("The comparison of effects says: %s." % "; ".join(culprit["effects"]))
    if many:
        lines.append("Other imports do the same, each alone.")
    elif not culprit["alone"]:
        lines.append("It takes other deferred imports for this to be seen.")
    lines.append(shown(tests))
    if culprit["message"]:
        lines.append("`%s`" % culprit["message"].replace("`", "'"))
    return "\n".join(lines) + "\n"


def shown(tests):
    """The first of some tests, with their outcomes."""
    named = ["`%s` (%s, then %s)" % (test, *outcomes) for test, outcomes in list(tests.items())[:NAMED]]
    count = "One test:" if len(tests) == 1 else "%d tests:" % len(tests)
    return "%s %s%s" % (count, ", ".join(named), ", …" if len(tests) > NAMED else ".")


def left_over(result):
    lines = ["**%s**, left over:" % result["package"]]
    for path, message in result["refused_edits"].items():
        lines.append("- the compiler does not take the edits of `%s`: %s" % (path, message))
    for test, outcomes in list(result["rest"].items())[:10]:
        lines.append("- `%s` (%s, then %s)" % (test, *outcomes))
    if len(result["rest"]) > 10:
        lines.append("- and %d more" % (len(result["rest"]) - 10))
    return "\n".join(lines) + "\n"


def trimmed(explanations):
    parts = []
    for python, results in kept(TRIMMED).items():
        parts.append("\n### Python %s\n" % python)
        parts += trimmed_table(results)
        differing = [part for result in results for part in trimmed_differences(result, explanations)]
        if differing:
            parts += ["\n#### What differs, and why\n", *differing]
    return [TRIMMED_HEAD, *parts] if parts else []


def trimmed_table(results):
    rows = [
        "| package | tests | flaky | files | size | out: `safe` | size | differ | out: `reachable` | size | differ |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        one = next(iter(result["levels"].values()))
        cells = [result["package"], result["tests"], result["flaky"], one["files"], size(one["bytes"])]
        for name in ("safe", "reachable"):
            level = result["levels"].get(name)
            cells += ["", "", ""] if level is None else [
                level["dropped"], share(level["dropped_bytes"], level["bytes"]), len(level["differed"])]
        rows.append("| %s |" % " | ".join(map(str, cells)))
    levels = [[result["levels"].get(name) for result in results] for name in ("safe", "reachable")]
    differ = [sum(len(level["differed"]) for level in each if level) for each in levels]
    sums = [sum(result[name] for result in results) for name in ("tests", "flaky")]
    rows.append("| **%d packages** | %d | %d | | | | | %d | | | %d |" % (len(results), *sums, *differ))
    return rows


def size(count):
    return "%.1f MB" % (count / 1e6)


def share(part, whole):
    return "%.0f %%" % (100 * part / whole) if whole else ""


def trimmed_differences(result, explanations):
    parts = []
    for name, level in result["levels"].items():
        # Tests with one reason stand together.
        reasons = {}
        for test, outcomes in level["differed"].items():
            known = explanations.get(test) or explanations.get(file_of(test)) or {"class": "open", "why": ""}
            message = level["messages"].get(test, "")
            key = (known["class"], known["why"] or message)
            reasons.setdefault(key, (known, message, {}))[2][test] = outcomes
        for known, message, tests in reasons.values():
            lines = ["**%s**, `%s`: %s." % (result["package"], name, CLASSES[known["class"]])]
            lines += [known["why"]] * bool(known["why"])
            lines += [shown(tests)]
            lines += ["`%s`" % message.replace("`", "'")] * bool(message)
            parts.append("\n".join(lines) + "\n")
    return parts
