"""An environment without the files that a level of trimming leaves out, and what the tests say in it."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess

import document
import environment
import suite
from environment import ROOT
from lazytree import built

LEVELS = ("safe", "reachable")


def build():
    """The helper that applies the rules."""
    return built("trimmed_tree")


def examine(package, helper, python, version, levels, note):
    """The result for one package at each level, as it is kept."""
    setting = environment.prepare(package, python, version)
    first, second = suite.run(setting), suite.run(setting)
    flaky = suite.unsteady(first, second)
    note("original: %d tests, %.0f s, %d flaky" % (len(first.outcomes), second.seconds, len(flaky)))
    if not first.ended or not first.outcomes:
        raise RuntimeError("the tests do not run on the original:\n" + first.output)
    known = document.trimmed_of(package.name, version)
    return {
        **suite.described(setting, second, flaky),
        "levels": {**known, **{level: at_level(setting, helper, level, second, flaky, note) for level in levels}},
    }


def at_level(setting, helper, level, original, flaky, note):
    answer = trimmed(setting, helper, level)
    # At the original's place: paths are in the names of some tests.
    with in_place(setting):
        run = suite.run(setting)
    found = suite.differences(original, run, flaky)
    note("%s: %d of %d files left out, %.0f s, %d tests differ"
         % (level, len(answer["dropped"]), answer["files"], run.seconds, len(found)))
    if not run.ended:
        note("the process did not come to its end:\n" + run.output[-1500:])
    shutil.rmtree(folder_of(setting))
    rules = list(answer["dropped"].values())
    return {
        "files": answer["files"],
        "bytes": answer["bytes"],
        "dropped": len(answer["dropped"]),
        "dropped_bytes": answer["dropped_bytes"],
        "rules": {rule: rules.count(rule) for rule in sorted(set(rules))},
        "stripped": len(answer["stripped"]),
        "linked": len(answer["linked"]),
        "without_columns": len(answer["bytecode"]),
        "ended": run.ended,
        "differed": {test: list(pair) for test, pair in found.items()},
        "messages": {test: suite.message(run.texts[test], setting.work) for test in found if test in run.texts},
    }


def folder_of(setting):
    return os.path.join(setting.work, "trimmed")


@contextlib.contextmanager
def in_place(setting):
    """Has the trimmed environment stand where the original does. Whoever is killed meanwhile installs anew the next time."""
    installed = os.path.join(setting.work, "installed")
    original, copy = os.path.join(setting.work, "venv"), os.path.join(folder_of(setting), "venv")
    aside = os.path.join(folder_of(setting), "original")
    os.remove(installed)
    os.rename(original, aside)
    os.rename(copy, original)
    try:
        yield
    finally:
        os.rename(original, copy)
        os.rename(aside, original)
        open(installed, "w").close()


def kept(setting):
    """What stays whatever the rules say, beside the tests outside of the tree: pytest, its plugins, and the tests that
    are installed. `.pth` files work here, in a site folder, as they would not in a function's."""
    patterns = [*sorted(setting.left), "*.pth"]
    for part in setting.package.inside:
        if os.path.basename(part) == "tests":
            patterns.append(part)
        else:
            patterns += [part + "/**/tests", part + "/**/conftest.py"]
    return patterns


def trimmed(setting, helper, level):
    """Makes a copy of the environment at this level; what the helper said of it."""
    work = folder_of(setting)
    shutil.rmtree(work, ignore_errors=True)
    venv, out = os.path.join(work, "venv"), os.path.join(work, "out")
    os.makedirs(out)
    original = os.path.join(setting.work, "venv")
    # Nobody writes into an installed file, so that links do.
    shutil.copytree(original, venv, symlinks=True, copy_function=os.link,
                    ignore=shutil.ignore_patterns("__pycache__"))
    moved = {setting.site: os.path.join(venv, os.path.relpath(setting.site, original))}
    copy = dataclasses.replace(
        setting, python=os.path.join(venv, "bin", "python"), site=moved[setting.site],
        root=moved.get(setting.root, setting.root),
    )
    command = [helper, copy.python, copy.version, copy.site, out, level, copy.folder, *kept(copy)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError("the helper trimmed_tree ended, with status %d" % done.returncode)
    answer = json.loads(done.stdout)
    apply(copy.site, answer)
    return answer


def apply(site, answer):
    """Makes a tree what the helper said of it."""
    for path in answer["dropped"]:
        os.remove(os.path.join(site, path))
        # A package goes with its folder: what is left of one would be imported as a namespace.
        folder = os.path.dirname(os.path.join(site, path))
        while folder != site and not os.listdir(folder):
            os.rmdir(folder)
            folder = os.path.dirname(folder)
    for path, target in answer["linked"].items():
        os.remove(os.path.join(site, path))
        os.symlink(target, os.path.join(site, path))
    for path, file in [*answer["stripped"].items(), *answer["bytecode"].items()]:
        place = os.path.join(site, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.exists(place):
            # The original is the same file.
            shutil.copymode(place, file)
            os.remove(place)
        shutil.move(file, place)
