"""What is done before the runtime client runs: settings, the agent, paths, the clock point where the handler begins.

`bootstrap.py` executes this without a module of its own, compiled beforehand, and calls `prepare`. Descriptor 4 takes clock
points: when the handler's module is first looked for, the processor time until then, and when the first line of
`bootstrap.py` ran; descriptor 5, if it is there, is the agent's output, and descriptor 6, if it is there, asks for forks.
All are out of the way before the function's code runs, and nothing of this file stays in its way.
"""

import sys
import time  # loaded by every interpreter as it starts

_MARK, _OUTPUT, _FORKS = 4, 5, 6
# High enough to leave the function the numbers that it would have had.
_OUTPUT_PARKED, _FORKS_PARKED = 1000, 1001


class _Boundary:
    """The end of the phase "runtime": a finder that finds nothing, once, and is gone.

    Import statements leave no frame of a finder in any traceback.
    """

    def __init__(self, module, descriptor, first_line):
        self.module = module
        self.descriptor = descriptor
        self.first_line = first_line

    def find_spec(self, name, path=None, target=None):
        if name != self.module:
            return None
        import os

        cpu = time.process_time_ns()
        now = time.monotonic_ns()
        os.write(self.descriptor, b"".join(number.to_bytes(8, "little") for number in (now, cpu, self.first_line)))
        os.close(self.descriptor)
        sys.meta_path.remove(self)
        # The list has moved under the caller's loop: ask the finder that would be skipped, and the rest, here.
        for finder in list(sys.meta_path):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def _settings(text):
    import os

    # JSON is Python but for three names; the json module would be loaded before its time.
    settings = eval(text, {"__builtins__": {}, "true": True, "false": False, "null": None})
    if settings["agent"] is not None and settings["agent"]["has_output"]:
        os.dup2(_OUTPUT, _OUTPUT_PARKED, inheritable=False)
        os.close(_OUTPUT)
        settings["agent"]["config"]["output"] = _OUTPUT_PARKED
    if settings["snapshot"] is not None:
        os.dup2(_FORKS, _FORKS_PARKED, inheritable=False)
        os.close(_FORKS)
    os.set_inheritable(_MARK, False)
    return settings


def _load_agent(agent):
    namespace = {"__name__": "_glowplug_agent", "__file__": agent["path"], "__builtins__": __builtins__}
    # Not by way of `compile`, which makes the types of syntax trees: the collector would count them.
    exec(agent["source"], namespace)
    namespace["install"](agent["config"])


def _prepare_snapshot(snapshot):
    namespace = {"__name__": "_glowplug_snapshot", "__builtins__": __builtins__}
    exec(snapshot["source"], namespace)
    namespace["install"](_FORKS_PARKED, snapshot["folder"], snapshot["empty"], snapshot["event"])


def _set_paths(opt, runtime):
    """sys.path and site directories as Lambda's own bootstrap leaves them."""
    import os
    import site

    sys.path[0] = runtime
    own = "PYTHONPATH" in os.environ
    task = os.environ["LAMBDA_TASK_ROOT"]
    packages = "%s/python/lib/python%d.%d/site-packages" % (opt, sys.version_info[0], sys.version_info[1])
    if not own:
        sys.path.insert(0, opt + "/python")
        sys.path.insert(0, packages)
    sys.path.insert(0, task)
    site.addsitedir(task)
    if not own:
        site.addsitedir(packages)
        site.addsitedir(opt + "/python")
        os.environ["PYTHONPATH"] = os.environ["LAMBDA_RUNTIME_DIR"]


def prepare(text, first_line):
    """The runtime client's entry point and its arguments; `text` are the engine's settings, as JSON."""
    import os

    settings = _settings(text)
    sys.dont_write_bytecode = not settings["write_bytecode"]
    opt, runtime = settings["opt"], settings["runtime"]
    # As Lambda names it; in the host's plain view it lies elsewhere.
    sys.argv[:] = [runtime + "/bootstrap.py"]
    if runtime not in sys.path[:1]:
        sys.path[0] = runtime
    if settings["agent"] is not None:
        _load_agent(settings["agent"])
    snapshot = settings["snapshot"]
    del settings
    from awslambdaric.__main__ import main as run

    if snapshot is not None:
        _prepare_snapshot(snapshot)
        del snapshot

    _set_paths(opt, runtime)
    handler = os.environ["_HANDLER"]
    module = handler.rpartition(".")[0].replace("/", ".").partition(".")[0]
    sys.meta_path.insert(0, _Boundary(module, _MARK, first_line))
    return run, [os.environ["LAMBDA_TASK_ROOT"], handler]
