"""Keeps the result of each package and writes `docs/equivalence.md` from all of them."""

import glob
import json
import os

from environment import HERE, ROOT
from packages import PACKAGES

RESULTS = os.path.join(HERE, "results")
# Import, or test -> why there is a difference, found by a person: `{"class", "why"}`.
EXPLANATIONS = os.path.join(HERE, "explanations.json")
# Tests of a difference that the page names.
NAMED = 3

CLASSES = {
    "effect": "refused by a build: the comparison of effects, which is no part of this, sees what the load changes",
    "looks": "the test looks at how imports happen, or at what is loaded",
    "outside": "the test reads what it does not import, and is not part of the edited tree",
    "limit": "a limit of deferring itself",
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


def keep(result):
    folder = os.path.join(RESULTS, result["python"])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, result["package"] + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, sort_keys=True)
        file.write("\n")


def kept():
    """Python -> results, in the order of the list of packages."""
    order = list(PACKAGES)
    found = {}
    for path in glob.glob(os.path.join(RESULTS, "*", "*.json")):
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
    shown = ["`%s` (%s, then %s)" % (test, *outcomes) for test, outcomes in list(tests.items())[:NAMED]]
    count = "One test:" if len(tests) == 1 else "%d tests:" % len(tests)
    lines.append("%s %s%s" % (count, ", ".join(shown), ", …" if len(tests) > NAMED else "."))
    if culprit["message"]:
        lines.append("`%s`" % culprit["message"].replace("`", "'"))
    return "\n".join(lines) + "\n"


def left_over(result):
    lines = ["**%s**, left over:" % result["package"]]
    for path, message in result["refused_edits"].items():
        lines.append("- the compiler does not take the edits of `%s`: %s" % (path, message))
    for test, outcomes in list(result["rest"].items())[:10]:
        lines.append("- `%s` (%s, then %s)" % (test, *outcomes))
    if len(result["rest"]) > 10:
        lines.append("- and %d more" % (len(result["rest"]) - 10))
    return "\n".join(lines) + "\n"
