"""Says which sources of a tree have bytecode that this interpreter would not load as it is.

Reads {"root": "/tree", "task_root": "/var/task", "sources": ["pkg/mod.py", ...]} from standard
input; writes [{"path": "pkg/mod.py", "reason": "..."}, ...], empty where all is well.
"""

import importlib.machinery
import importlib.util
import json
import marshal
import os
import sys
import types


class CheckedLoader(importlib.machinery.SourceFileLoader):
    """The interpreter's own loader, which reports instead of compiling."""

    def source_to_code(self, *_args, **_options):
        raise LookupError("the interpreter would compile the source instead")

    def set_data(self, *_args, **_options):
        raise LookupError("the interpreter would write other bytecode")


def fault(path, expected_filename):
    """Why the bytecode of the source at `path` is not what will be loaded, or None."""
    bytecode = importlib.util.cache_from_source(path)
    try:
        with open(bytecode, "rb") as file:
            data = file.read()
    except OSError as error:
        return "no bytecode: %s" % error.strerror
    if data[:4] != importlib.util.MAGIC_NUMBER:
        return "the bytecode is another interpreter's"
    if int.from_bytes(data[4:8], "little") != 0b01:
        return "the bytecode is not of the unchecked-hash kind"
    try:
        code = marshal.loads(data[16:])
    except (EOFError, ValueError, TypeError) as error:
        return "the bytecode is damaged: %s" % error
    if not isinstance(code, types.CodeType):
        return "the bytecode holds no code"
    if code.co_filename != expected_filename:
        return "the code carries the path %s" % code.co_filename
    try:
        CheckedLoader("checked", path).get_code("checked")
    except (LookupError, ImportError, EOFError) as error:
        return str(error)
    return None


def main():
    question = json.load(sys.stdin)
    faults = []
    for source in question["sources"]:
        reason = fault(os.path.join(question["root"], source), question["task_root"] + "/" + source)
        if reason is not None:
            faults.append({"path": source, "reason": reason})
    json.dump(faults, sys.stdout)


main()
