// Runs scripts on CPython 3.14 under Pyodide: node run.mjs PYODIDE_FOLDER < requests, answers on standard output.
//
// The requests are a JSON list of `{"folder", "compiler", "jobs", "script"}`: the host's folder is mounted where it
// is, the compiler does the jobs, the script runs with the folder first on `sys.path`. All run in one interpreter,
// one after the other; the modules of a folder are forgotten before the next run. The answers are a list of
// `{"printed", "failed"}`.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const HARNESS = `
import contextlib, importlib, io, json, os, sys, traceback, warnings

def forget(folder):
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder + "/"):
            del sys.modules[name]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()

def compile_all(compiler, jobs):
    # As a program it would take its own folder from the path, and fork a child for each job, which nothing can here.
    namespace = {"__name__": "compiler"}
    sys.path.insert(0, "")
    exec(compile(compiler, "compiler", "exec"), namespace)
    for job in jobs:
        failure = namespace["work"](job)
        if failure is not None:
            raise RuntimeError("%s: %s" % (job["source"], failure))

def run(folder, compiler, jobs, script):
    printed, failed, path = io.StringIO(), None, sys.path[:]
    os.chdir(folder)
    forget(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile_all(compiler, json.loads(jobs))
            sys.path[:] = [folder, *path]
            with contextlib.redirect_stdout(printed):
                exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})
    except BaseException:
        failed = traceback.format_exc()
    finally:
        forget(folder)
        sys.path[:] = path
    return printed.getvalue(), failed
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
    const jobs = JSON.stringify(request.jobs);
    const [printed, failed] = run(request.folder, request.compiler, jobs, request.script);
    answers.push({ printed, failed: failed ?? null });
  }
  process.stdout.write(JSON.stringify(answers));
}

try {
  await main();
} catch (error) {
  // What node itself prints of an error begins with the line of the source, here a megabyte.
  console.error(error.stack ?? String(error));
  process.exitCode = 1;
}
