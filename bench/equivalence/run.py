#!/usr/bin/env python3
"""Popular packages' own tests, on their installed tree as it is and with every import deferred that the rules allow.

    python3 bench/equivalence/run.py [--packages a,b] [--python 3.12] [--trim safe,reachable]

For each package: installs it with what it needs, takes the tests from its source distribution, runs them twice on the
original (tests that differ between these two are left out) and once with everything deferred, dependencies too, but
not pytest and its plugins. A difference is traced to the import that makes it, by halving. With `--trim`, the same is
done without the files that these levels of trimming leave out, in place of deferring. Results are kept in `results/`,
and `docs/equivalence.md` is written from all of them. Needs cargo, a Python of the version asked for and a
package index; takes an hour or so for all.
"""

import argparse
import json
import os
import sys
import time

import document
import environment
import lazytree
import suite
import trimmed
from culprits import Search
from packages import PACKAGES


def note(text):
    print("  " + text, flush=True)


def examine(package, helper, python, version):
    """The result for one package, as it is kept."""
    setting = environment.prepare(package, python, version)
    tree = lazytree.LazyTree(helper, setting)
    try:
        first, second = suite.run(setting), suite.run(setting)
        flaky = suite.unsteady(first, second)
        note("original: %d tests, %.0f s, %d flaky" % (len(first.outcomes), second.seconds, len(flaky)))
        if not first.ended or not first.outcomes:
            raise RuntimeError("the tests do not run on the original:\n" + first.output)
        allowed = tree.allowed()
        refused_edits = tree.apply(allowed)
        run = suite.run(setting)
        found = suite.differences(second, run, flaky)
        note("lazy: %d imports deferred, %.0f s, %d tests differ" % (len(allowed), run.seconds, len(found)))
        if not run.ended:
            note("the process did not come to its end:\n" + run.output[-1500:])
        search = Search(setting, tree, second, flaky, note)
        culprits, left = search.search(allowed, found) if found else ([], allowed)
        rest = found
        if found:
            # Without a culprit, once more: what comes out right this time was chance.
            tree.apply(left)
            run = suite.run(setting)
            rest = suite.differences(second, run, flaky | search.everywhere)
            note("without %d imports: %d tests differ" % (len(culprits), len(rest)))
            if not culprits:
                flaky, found = flaky | (found.keys() - rest.keys()), rest
    finally:
        tree.close()
    return result(setting, tree, second, flaky, allowed, refused_edits, run, found, search, culprits, rest)


def result(setting, tree, original, flaky, allowed, refused_edits, run, found, search, culprits, rest):
    loaded = {id for id in allowed if (tree.candidates[id]["module"], tree.candidates[id]["name"]) in run.loads}
    return {
        **suite.described(setting, original, flaky),
        "deferred": len(allowed),
        "files": len({tree.candidates[id]["path"] for id in allowed}),
        "loaded": len(loaded),
        "edited_modules": run.edited,
        "refused_edits": refused_edits,
        "differed": {test: list(pair) for test, pair in found.items()},
        "culprits": culprits,
        "everywhere": sorted(search.everywhere),
        "rest": {test: list(pair) for test, pair in rest.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", help="only these, separated by commas")
    parser.add_argument("--python", default="3.12", help="the minor version to run on")
    parser.add_argument("--trim", help="trim instead of deferring, at these levels, separated by commas")
    parser.add_argument("--helper", help="the example lazy_tree, or trimmed_tree with `--trim`, already built")
    options = parser.parse_args()
    wanted = options.packages.split(",") if options.packages else list(PACKAGES)
    for name in wanted:
        if name not in PACKAGES:
            sys.exit("no package `%s` here; there are %s" % (name, ", ".join(PACKAGES)))
    levels = options.trim.split(",") if options.trim else []
    if not set(levels) <= set(trimmed.LEVELS):
        sys.exit("the levels are %s" % " and ".join(trimmed.LEVELS))
    python = environment.interpreter(options.python)
    helper = options.helper or (trimmed.build() if levels else lazytree.build())
    failed = False
    for name in wanted:
        print("%s, %s" % (name, time.strftime("%H:%M:%S")), flush=True)
        try:
            if levels:
                document.keep_trimmed(trimmed.examine(PACKAGES[name], helper, python, options.python, levels, note))
            else:
                document.keep(examine(PACKAGES[name], helper, python, options.python))
        except RuntimeError as error:
            failed = True
            note(str(error))
    document.write()
    sys.exit(failed)


if __name__ == "__main__":
    main()
