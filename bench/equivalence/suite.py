"""Runs a package's tests once, and compares two runs test by test."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field

from environment import plain

HERE = os.path.dirname(os.path.abspath(__file__))
INSIDE = os.path.join(HERE, "inside")


@dataclass
class Run:
    """What a run of the tests said."""

    # Test -> outcomes, in order: a test may report twice, failed and then an error in its teardown.
    outcomes: dict = field(default_factory=dict)
    # Test -> the end of its traceback.
    texts: dict = field(default_factory=dict)
    # (module, name) of the deferred imports that happened.
    loads: set = field(default_factory=set)
    # Modules that were imported in an edited form.
    edited: int = 0
    effects: list = None
    # Whether the process came to its end.
    ended: bool = False
    seconds: float = 0.0
    output: str = ""


def run(setting, files=None, effects=None):
    """Runs the tests of `setting`, or those in `files`, folders and files relative to its root."""
    out = os.path.join(setting.work, "outcomes.jsonl")
    if os.path.exists(out):
        os.remove(out)
    package = setting.package
    paths = [os.path.join(setting.root, path) for path in (files if files is not None else package.tests)]
    command = [setting.python, "-m", "pytest", "-p", "equivalence_recorder", "-p", "no:cacheprovider", "-q"]
    command += ["--tb=short", "--continue-on-collection-errors", "--rootdir", setting.root]
    command += ["-o", "addopts=", *setting.config]
    for plugin in package.plugins:
        command += ["-p", plugin]
    command += [*package.arguments, *paths]
    environment = {
        "PATH": os.path.dirname(setting.python) + os.pathsep + os.environ.get("PATH", ""),
        "HOME": setting.work, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": INSIDE, "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "EQUIVALENCE_OUT": out,
    }
    for name, value in package.environment.items():
        environment[name] = value.format(folder=setting.folder)
    if effects is not None:
        environment["EQUIVALENCE_EFFECTS"] = effects
    started = time.monotonic()
    output, log = "", os.path.join(setting.work, "pytest.log")
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, cwd=setting.folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )
        try:
            process.wait(package.timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # What the tests left behind goes too.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    with open(log, encoding="utf-8", errors="replace") as file:
        output = file.read()[-6000:]
    result = read(out) if os.path.exists(out) else Run()
    result.seconds, result.output = time.monotonic() - started, output
    return result


def read(path):
    """The run that the recorder wrote down."""
    result = Run()
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if "test" in entry:
                result.outcomes.setdefault(entry["test"], []).append(entry["outcome"])
                if entry["text"]:
                    result.texts[entry["test"]] = entry["text"]
            elif "effects" in entry:
                result.effects = entry["effects"]
            else:
                result.loads = {tuple(pair) for pair in entry["loads"]}
                result.edited, result.ended = entry["edited"], True
    return result


def unsteady(first, second):
    """Tests that two runs of the same tree disagree about; where an id itself is not the same twice, since it holds a
    random value, the test with every value."""
    found = set(differences(first, second))
    once = {test for test in found if test not in first.outcomes or test not in second.outcomes}
    return found | {any_value(test) for test in once if "[" in test}


def any_value(test):
    return test.partition("[")[0] + "[*]"


def differences(first, second, apart=(), within=None):
    """Test -> (outcome in the first run, in the second), where they differ; `apart` are tests left out, `within` the
    files of interest."""
    found = {}
    for test in sorted(first.outcomes.keys() | second.outcomes.keys()):
        if test in apart or any_value(test) in apart or (within is not None and file_of(test) not in within):
            continue
        one, other = first.outcomes.get(test), second.outcomes.get(test)
        if one != other:
            found[test] = (told(one), told(other))
    return found


def told(outcomes):
    return "not run" if outcomes is None else ", ".join(outcomes)


def file_of(test):
    return test.partition("::")[0]


def message(text, work):
    """The line of a traceback that says what went wrong; the last line of anything else. Names nothing of `work`."""
    lines = text.strip().splitlines()
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    line = marked[0] if marked else lines[-1] if lines else ""
    return line.replace(work, "")[:300]


def described(setting, original, flaky):
    """What is kept of the original, whatever it is compared with."""
    package, outcomes = setting.package, {}
    for outcome in original.outcomes.values():
        outcomes[told(outcome)] = outcomes.get(told(outcome), 0) + 1
    return {
        "package": package.name,
        "version": setting.versions[plain(package.name)],
        "python": setting.version,
        "kind": package.kind,
        "tests_taken": package.tests,
        "distributions": len(setting.versions.keys() - setting.left),
        "tests": len(original.outcomes),
        "outcomes": outcomes,
        "flaky": sum(test in flaky or any_value(test) in flaky for test in original.outcomes),
    }
