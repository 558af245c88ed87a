//! Makes any set of imports of a tree lazy, without a function around it; `bench/equivalence` asks it.
//!
//! `cargo run -p glowplug-optimize --example lazy_tree -- PYTHON VERSION TREE CACHE [OWN]`
//!
//! TREE is a folder of installed packages, OWN one of the tests that use them, which are read but never edited. First
//! prints a line with every import of the tree, `{"support", "candidates": [{"id", "module", "name", "path", …}]}`. Then
//! reads lines, each a list of ids, and answers each with `{"files": {source: bytecode}, "failed": {source: message},
//! "own": {source: edits}}`: the bytecode, in CACHE, of every file that deferring those imports changes, the files
//! whose edits the compiler did not take, and what it would change in OWN.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Cache, Error, NoProgress, PythonVersion, Result, SUPPORT_MODULE};
use glowplug_imports::ModuleAnalysis;
use glowplug_lazy::{Candidate, Candidates, SUPPORT_SOURCE};
use glowplug_package::{CompileJob, CompileResult, Compiler, FileKind, ModuleFile, PackageTree};
use serde_json::{Value, json};

use reading::{Reading, read, say};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, version, tree, cache, own @ ..] = arguments.as_slice() else {
        return Err(Error::usage("say the interpreter, its version, the tree and the cache"));
    };
    let version: PythonVersion = version.parse()?;
    let tree = PackageTree::scan(Utf8Path::new(tree))?;
    let own = own.first().map(|own| PackageTree::scan(Utf8Path::new(own))).transpose()?;
    let Reading { modules, mut analyses, own: user } = read(&tree, own.as_ref(), version);
    // OWN are tests, many programs in one process: what one does to the process around it concerns no other.
    analyses.iter_mut().filter(|(name, _)| user.contains(*name)).for_each(|(_, own)| own.changes.clear());
    let text = |analysis: &ModuleAnalysis| fs_err::read_to_string(tree.root.join(&analysis.path)).ok();
    glowplug_imports::settle(&mut analyses, version, &text);
    let candidates = Candidates::find(&analyses, &user, &tree.modules().into_keys().collect());
    let compiler = Compiler::new(Utf8Path::new(python), version, &Cache::new(cache, false), 1)?;
    let described: Vec<Value> = candidates
        .all()
        .filter(|candidate| !user.contains(&candidate.module))
        .map(|candidate| describe(candidate, &tree, &modules))
        .collect();
    say(&json!({"support": SUPPORT_MODULE, "support_source": SUPPORT_SOURCE, "candidates": described}))?;
    for line in std::io::stdin().lock().lines() {
        let ids = serde_json::from_str(&line?)
            .map_err(|error| Error::usage("a line is no list of ids").cause(error))?;
        say(&made(&candidates, &ids, &tree.root, &compiler)?)?;
    }
    Ok(())
}

fn describe(candidate: &Candidate, tree: &PackageTree, modules: &BTreeMap<String, ModuleFile>) -> Value {
    let native = |target: &String| modules.get(target).is_some_and(|file| file.native);
    json!({
        "id": candidate.id,
        "module": candidate.module,
        "name": candidate.name,
        "path": candidate.path,
        "line": candidate.line,
        "targets": candidate.targets,
        "native": candidate.targets.iter().any(native),
        "test": tree.file(&candidate.path).is_some_and(|file| file.kind == FileKind::Test),
        "distribution": tree.distribution_of(&candidate.path).map(|d| &d.name),
        "refusal": candidate.refusal.as_ref().map(|refusal| json!({"rule": refusal.rule, "detail": refusal.detail})),
    })
}

/// The bytecode of the files that a choice changes.
fn made(
    candidates: &Candidates,
    ids: &BTreeSet<String>,
    root: &Utf8Path,
    compiler: &Compiler,
) -> Result<Value> {
    let mut own: BTreeMap<Utf8PathBuf, Value> = BTreeMap::new();
    let mut jobs = Vec::new();
    let mut paths = Vec::new();
    for (path, edits) in candidates.edits(ids, SUPPORT_MODULE) {
        let edits = serde_json::to_value(&edits).map_err(|e| Error::defect("edits have no JSON").cause(e))?;
        if path.is_absolute() {
            own.insert(path, edits);
            continue;
        }
        let source = root.join(&path);
        jobs.push(CompileJob { task_path: source.to_string(), source, edits: Some(edits) });
        paths.push(path);
    }
    let mut files: BTreeMap<Utf8PathBuf, Utf8PathBuf> = BTreeMap::new();
    let mut failed: BTreeMap<Utf8PathBuf, String> = BTreeMap::new();
    for (path, result) in paths.into_iter().zip(compiler.compile(jobs, &NoProgress)?) {
        match result {
            CompileResult::Done(bytecode) => drop(files.insert(path, bytecode)),
            CompileResult::Failed { message, .. } => drop(failed.insert(path, message)),
        }
    }
    Ok(json!({"files": files, "failed": failed, "own": own}))
}
