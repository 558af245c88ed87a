"""A pytest plugin: writes the outcome of every test, and which deferred imports happened, as lines of JSON.

EQUIVALENCE_OUT names the file. With EQUIVALENCE_EFFECTS, a file with the configuration of the agent that compares
effects, no test runs: once all are collected, that agent loads the imports in question and writes what it saw.
"""

import atexit
import json
import os
import re
import sys
import types

_OUT = open(os.environ["EQUIVALENCE_OUT"], "w", encoding="utf-8", buffering=1)
_PROCESS = os.getpid()
# Only the end of a failure says what happened.
_LONGEST = 4000


def _write(entry):
    if os.getpid() == _PROCESS:
        _OUT.write(json.dumps(entry) + "\n")


class _Observer(types.ModuleType):
    """What the support module tells of each load; a module, since it lies among the modules."""

    loads = {}

    def __call__(self, module, name):
        self.loads[(module, name)] = True


_observer = _Observer("_glowplug_observer")
if "EQUIVALENCE_EFFECTS" not in os.environ:
    sys.modules["_glowplug_observer"] = _observer


def _text(report):
    return str(getattr(report, "longreprtext", "") or report.longrepr or "")[-_LONGEST:]


def _node(report):
    # Ids that hold an address differ from run to run.
    return re.sub(r"0x[0-9a-f]{6,}", "0x", report.nodeid)


def pytest_runtest_logreport(report):
    expected = hasattr(report, "wasxfail")
    if report.when == "call":
        outcome = report.outcome
        if expected:
            outcome = {"skipped": "xfailed", "passed": "xpassed"}.get(outcome, outcome)
    elif report.failed:
        outcome = "error"
    elif report.skipped:
        outcome = "xfailed" if expected else "skipped"
    else:
        return
    _write({"test": _node(report), "outcome": outcome, "text": _text(report) if report.failed else ""})


def pytest_collectreport(report):
    if not report.passed:
        outcome = "not collected" if report.failed else "skipped"
        _write({"test": _node(report) or ".", "outcome": outcome, "text": _text(report) if report.failed else ""})


def pytest_collection_finish(session):
    config = os.environ.get("EQUIVALENCE_EFFECTS")
    if config is None:
        return
    with open(config, encoding="utf-8") as file:
        config = json.load(file)
    with open(config["agent"], encoding="utf-8") as file:
        agent = {"__name__": "glowplug_effects"}
        exec(compile(file.read(), config["agent"], "exec"), agent)
    force, deferred = [tuple(pair) for pair in config["force"]], {tuple(pair) for pair in config["deferred"]}
    found = agent["_measure"](force, deferred, config["support"], set(config["user"]))
    _write({"effects": found})
    _OUT.close()
    os._exit(0)


def _finish():
    loads = [list(pair) for pair in list(_observer.loads)]
    edited = sum("__gp_load__" in getattr(module, "__dict__", ()) for module in list(sys.modules.values()))
    _write({"loads": loads, "edited": edited})
    if os.getpid() == _PROCESS:
        _OUT.close()


atexit.register(_finish)
