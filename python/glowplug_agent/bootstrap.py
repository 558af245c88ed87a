"""Starts the runtime client as Lambda does: the engine's counterpart of /var/runtime/bootstrap.py.

Every start compiles this file, as it does Lambda's. So it is short, and the rest, `start.py`, comes compiled by descriptor 3:
the interpreter's `sys.hexversion` for which it was, then the lengths of the code and of its source, four bytes each, then
the two, and the engine's settings.
"""

import marshal  # these three are loaded by every interpreter as it starts
import sys
import time

_FIRST_LINE = time.monotonic_ns()


def _prepared():
    with open(3, "rb") as stream:
        given = stream.read()
    version, code, source = (int.from_bytes(given[at : at + 4], "little") for at in (0, 4, 8))
    text = given[12 + code :]
    start = marshal.loads(given[12:]) if version == sys.hexversion else text[:source]
    namespace = {"__name__": __name__, "__builtins__": __builtins__}
    exec(start, namespace)
    return namespace["prepare"](text[source:].decode("utf-8"), _FIRST_LINE)


def main():
    run, arguments = _prepared()
    run(arguments)


if __name__ == "__main__":
    main()
