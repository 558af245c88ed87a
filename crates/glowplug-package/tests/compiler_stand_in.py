"""A minimal compiler that speaks the worker protocol, for as long as tests need one."""

import importlib._bootstrap_external as external
import importlib.util
import json
import os
import sys

for line in sys.stdin:
    job = json.loads(line)
    answer = {"id": job["id"], "ok": True}
    try:
        with open(job["source"], "rb") as file:
            source = file.read()
        code = compile(source, job["filename"], "exec", dont_inherit=True, optimize=0)
        data = external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
        with open(job["out"] + ".tmp", "wb") as file:
            file.write(data)
        os.replace(job["out"] + ".tmp", job["out"])
    except (SyntaxError, ValueError) as error:
        answer = {"id": job["id"], "ok": False, "kind": "syntax", "error": str(error)}
    print(json.dumps(answer), flush=True)
