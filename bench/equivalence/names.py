#!/usr/bin/env python3
"""Every module of a package's installed tree imported, and every name of each asked for, with and without deferral.

    python3 bench/equivalence/names.py PACKAGE… [--python 3.12] [--most 60]

Looks where no test looks: at modules that only a rare event imports, in an order that nobody chose, the alphabet's.
Prints each module that imports otherwise and each name that is something else than in the original. Not every line is
a defect: an import that fails in the original because something is not installed may go well when it is deferred, and
a package lists a submodule in `dir()` once it is loaded.
"""

import argparse
import json
import os
import subprocess
import sys

import environment
import lazytree
from packages import PACKAGES
from suite import INSIDE

# Folders whose modules are not for a function to import.
APART = ("tests", "test", "testing", "benchmarks", "__pycache__", "_pytest", "pytest")
# Seconds for all modules of a tree.
PATIENCE = 600


def modules_of(site):
    """Every module that has a source and that an import statement can reach."""
    found = []
    for folder, folders, files in os.walk(site):
        folders[:] = sorted(name for name in folders if name.isidentifier() and name not in APART)
        parts = [] if folder == site else os.path.relpath(folder, site).split(os.sep)
        for file in sorted(files):
            name = file[: -len(".py")]
            if file.endswith(".py") and name.isidentifier() and name not in ("__main__", "conftest", "_glowplug_lazy"):
                found.append(".".join(parts + [name] * (name != "__init__")))
    return found


def look(setting, modules):
    out = os.path.join(setting.work, "names.json")
    listed = os.path.join(setting.work, "modules.json")
    with open(listed, "w", encoding="utf-8") as file:
        json.dump(modules, file)
    script = os.path.join(INSIDE, "equivalence_names.py")
    subprocess.run(
        [setting.python, script, setting.site, listed, out], cwd=setting.work, timeout=PATIENCE, check=True,
        stdin=subprocess.DEVNULL, env={"PATH": os.environ.get("PATH", ""), "HOME": setting.work, "PYTHONHASHSEED": "0"},
    )
    with open(out, encoding="utf-8") as file:
        return json.load(file)


def told(original, lazy):
    """One line for each difference."""
    lines = []
    for module, before in original["imports"].items():
        after = lazy["imports"][module]
        if before != after:
            lines.append("import %s: %s, then %s" % (module, before, after))
    for module in sorted(original["names"].keys() & lazy["names"].keys()):
        before, after = original["names"][module], lazy["names"][module]
        for name in sorted(before.keys() | after.keys()):
            one, other = before.get(name, "not there"), after.get(name, "not there")
            if one != other:
                lines.append("%s.%s: %s, then %s" % (module, name, one, other))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    parser.add_argument("--python", default="3.12", help="the minor version to run on")
    parser.add_argument("--most", type=int, default=60, help="lines of differences to print")
    parser.add_argument("--helper", help="the example lazy_tree, already built")
    options = parser.parse_args()
    python = environment.interpreter(options.python)
    helper = options.helper or lazytree.build()
    for name in options.packages:
        if name not in PACKAGES:
            sys.exit("no package `%s` here; there are %s" % (name, ", ".join(PACKAGES)))
        setting = environment.prepare(PACKAGES[name], python, options.python)
        modules = modules_of(setting.site)
        tree = lazytree.LazyTree(helper, setting)
        try:
            original = look(setting, modules)
            tree.apply(tree.allowed())
            lines = told(original, look(setting, modules))
        finally:
            tree.close()
        print("%s: %d modules, %d differences" % (name, len(modules), len(lines)))
        for line in lines[: options.most]:
            print("  " + line)


if __name__ == "__main__":
    main()
