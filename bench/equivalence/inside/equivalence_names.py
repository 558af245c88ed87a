"""Imports every module of a list and says what each of its names is, as JSON: FOLDER LIST OUT.

Nothing but what an attribute is called and where it is from is written down: values need not be the same twice.
"""

import importlib
import json
import os
import signal
import sys
import types
import warnings

# Seconds that a module may take: some wait for a terminal or a network.
_PATIENCE = 20


def _expired(*_):
    raise TimeoutError("it took too long")


def _what(value):
    if isinstance(value, types.ModuleType):
        return "module " + value.__name__
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        name = "%s.%s" % (getattr(value, "__module__", ""), getattr(value, "__qualname__", ""))
        return "%s %s" % (type(value).__name__, name.partition(" at 0x")[0])
    return type(value).__name__


def _attempt(work):
    signal.alarm(_PATIENCE)
    try:
        return work()
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, str(error)[:150])
    finally:
        signal.alarm(0)


def _import(name):
    importlib.import_module(name)
    return "imported"


def _names(module):
    return {name: _attempt(lambda: _what(getattr(module, name))) for name in dir(module) if not name.startswith("__")}


def main():
    folder, modules, out = sys.argv[1:]
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _expired)
    sys.path[0] = folder
    del sys.argv[1:]
    with open(modules, encoding="utf-8") as file:
        modules = json.load(file)
    file = open(out, "w", encoding="utf-8")
    quiet = open(os.devnull, "r+", encoding="utf-8")
    sys.stdin = sys.stdout = sys.stderr = quiet
    imports = {name: _attempt(lambda: _import(name)) for name in modules}
    names = {name: _names(sys.modules[name]) for name in modules if type(sys.modules.get(name)) is types.ModuleType}
    json.dump({"imports": imports, "names": names}, file)
    file.close()
    # Threads and exit handlers of whatever was imported are nobody's business.
    os._exit(0)


if __name__ == "__main__":
    main()
