"""Compiles sources of a tree to unchecked-hash bytecode, with or without deferred imports.

Reads one job a line from standard input, `{"id", "source", "filename", "out", "edits"}`, and
answers each with a line, `{"id", "ok"}` or `{"id", "ok", "kind", "error"}`, where `kind` is
`syntax` (the interpreter does not take the source), `edit` (the edits do not fit it) or `io`.

The source is parsed by the interpreter that will run it, so every position stays what it was:
tracebacks, carets and `inspect.getsource` show the user's code.
`edits` is null, or what `edits.py` tells; this file is joined behind it.
"""

import importlib.util
import json
import marshal
import os

_UNCHECKED_HASH = 0b01


def compiled(source, filename, edits):
    """The code of a module."""
    if edits is None:
        return compile(source, filename, "exec", dont_inherit=True, optimize=0)
    tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST, dont_inherit=True, optimize=0)
    return compile(apply(tree, edits), filename, "exec", dont_inherit=True, optimize=0)


def bytecode(source, filename, edits):
    """The bytes of an unchecked-hash `.pyc` (PEP 552)."""
    code = compiled(source, filename, edits)
    source_hash = importlib.util.source_hash(source)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH.to_bytes(4, "little") + source_hash
    return header + marshal.dumps(code)


def work(job):
    """Does one job: None, or what went wrong as a kind and a text."""
    try:
        with open(job["source"], "rb") as file:
            source = file.read()
        data = bytecode(source, job["filename"], job["edits"])
        partial = "%s.%d.part" % (job["out"], os.getpid())
        with open(partial, "wb") as file:
            file.write(data)
        os.replace(partial, job["out"])
    except EditError as error:
        return "edit", str(error)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return "syntax", "%s: %s" % (type(error).__name__, error)
    except OSError as error:
        return "io", str(error)
    return None


def main():
    import gc
    import warnings

    # A syntax tree holds no cycles, and looking for some in it takes as long as making it.
    gc.disable()
    # Invalid escapes in other people's sources are not our news.
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(10000)
    for line in sys.stdin:
        job = json.loads(line)
        failure = work(job)
        answer = {"id": job["id"], "ok": failure is None}
        if failure is not None:
            answer["kind"], answer["error"] = failure
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
