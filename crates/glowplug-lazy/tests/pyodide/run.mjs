// Runs scripts on CPython 3.14 under Pyodide: node run.mjs PYODIDE_FOLDER < request, answers on standard output.
//
// The request is a JSON list of `{"folder", "compiler", "jobs", "script"}`: the host's folder is mounted where it is,
// the compiler gets the jobs on its standard input, the script runs with the folder first on `sys.path`. All run in
// one interpreter, one after the other; the modules of a folder are forgotten before the next run. The answer is a
// list of `{"compiled", "printed", "failed"}`.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const HARNESS = `
import contextlib, importlib, io, os, sys, traceback, warnings

def forget(folder):
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder + "/"):
            del sys.modules[name]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()

def captured(action, stdin=""):
    out, before = io.StringIO(), (sys.stdin, sys.getrecursionlimit())
    failed = None
    try:
        sys.stdin = io.StringIO(stdin)
        with contextlib.redirect_stdout(out), warnings.catch_warnings():
            action()
    except BaseException:
        failed = traceback.format_exc()
    finally:
        sys.stdin = before[0]
        sys.setrecursionlimit(before[1])
    return out.getvalue(), failed

def program(text, name):
    return lambda: exec(compile(text, name, "exec"), {"__name__": "__main__"})

def run(folder, compiler, jobs, script):
    os.chdir(folder)
    sys.path.insert(0, folder)
    forget(folder)
    try:
        compiled, failed = captured(program(compiler, "compiler"), jobs)
        printed = ""
        if failed is None:
            printed, failed = captured(program(script, "<string>"))
        return compiled, printed, failed
    finally:
        forget(folder)
        sys.path.remove(folder)
`;

async function main() {
  const module = path.join(process.argv[2], "node_modules", "pyodide", "pyodide.mjs");
  const { loadPyodide } = await import(pathToFileURL(module).href);
  const pyodide = await loadPyodide();
  pyodide.runPython(HARNESS);
  const run = pyodide.globals.get("run");
  const mounted = new Set();
  const answers = [];
  for (const request of JSON.parse(readFileSync(0, "utf8"))) {
    if (!mounted.has(request.folder)) {
      pyodide.FS.mkdirTree(request.folder);
      pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: request.folder }, request.folder);
      mounted.add(request.folder);
    }
    const [compiled, printed, failed] = run(request.folder, request.compiler, request.jobs, request.script);
    answers.push({ compiled, printed, failed: failed ?? null });
  }
  process.stdout.write(JSON.stringify(answers));
}

await main();
