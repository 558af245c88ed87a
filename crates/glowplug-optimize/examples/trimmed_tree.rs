//! Says what a level of trimming leaves out of a tree, without a function around it; `bench/equivalence` asks it.
//!
//! `cargo run -p glowplug-optimize --example trimmed_tree -- PYTHON VERSION TREE OUT LEVEL OWN [KEEP…]`
//!
//! TREE is a folder of installed packages, OWN one of the user's code, at which reachability starts, as it does at what
//! the patterns KEEP hold; LEVEL is `safe` or `reachable`. Prints a line, `{"dropped": {path: rule}, "linked": {path:
//! target}, "stripped": {path: file}, "bytecode": {path: file}, "files", "bytes", "dropped_bytes"}`: the files that go,
//! those that become links, those that are exchanged, the bytecode that the level ships in another form than the
//! interpreter's own, and how much there is beside what KEEP holds. The files are in OUT.

mod reading;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{
    Architecture, Cache, DecisionKind, DecisionState, Error, Libc, NoProgress, PythonVersion, Result,
};
use glowplug_optimize::Code;
use glowplug_package::{
    CompileJob, CompileResult, Compiler, PackageTree, Trim, TrimContext, TrimLevel, bytecode_path,
    kept_by_pattern, trim,
};
use serde_json::json;

use reading::{Reading, read, say};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, version, tree, out, level, own, keep @ ..] = arguments.as_slice() else {
        return Err(Error::usage("say the interpreter, its version, the tree, OUT, the level and your code"));
    };
    let version: PythonVersion = version.parse()?;
    let level = match level.as_str() {
        "safe" => TrimLevel::Safe,
        "reachable" => TrimLevel::Reachable,
        _ => return Err(Error::usage("the level is `safe` or `reachable`").cause(level)),
    };
    let tree = PackageTree::scan(Utf8Path::new(tree))?;
    let own = PackageTree::scan(Utf8Path::new(own))?;
    let Reading { modules, analyses, .. } = read(&tree, Some(&own), version);
    let mut user_files: BTreeSet<Utf8PathBuf> =
        own.files.iter().map(|file| own.root.join(&file.path)).collect();
    user_files.extend(tree.files.iter().filter(|f| f.distribution.is_none()).map(|f| f.path.clone()));
    let code = Code { package: &tree, modules: &modules, analyses: &analyses, user_files: &user_files, keep };
    let trim = trimmed(&code, level, version)?;
    let dropped = dropped(&trim);
    let mut lean = code.without_columns(level, version)?;
    lean.retain(|path| !dropped.contains_key(path));
    let out = Utf8Path::new(out);
    let bytecode = compiled(&tree, &lean, Utf8Path::new(python), version, out)?;
    let stripped = written(&trim, out)?;
    let kept = kept_by_pattern(&tree, keep)?;
    let others = || tree.files.iter().filter(|file| !kept.contains(&file.path));
    say(&json!({
        "dropped": dropped, "linked": trim.linked, "stripped": stripped, "bytecode": bytecode,
        "files": others().count(),
        "bytes": others().map(|file| file.bytes).sum::<u64>(),
        "dropped_bytes": others().filter(|f| dropped.contains_key(&f.path)).map(|f| f.bytes).sum::<u64>(),
    }))
}

/// What a build would decide of the same tree, had it traced nothing.
fn trimmed(code: &Code, level: TrimLevel, version: PythonVersion) -> Result<Trim> {
    let architecture =
        Architecture::host().ok_or_else(|| Error::surroundings("this machine is not known"))?;
    let imported = code.imported(&BTreeSet::new())?;
    let reached = match level {
        TrimLevel::Reachable => Some(code.reachable(BTreeSet::new(), BTreeSet::new())?),
        _ => None,
    };
    let services = code.services();
    let context = TrimContext {
        level,
        python: version,
        architecture,
        libc: Libc::host(),
        user_files: code.user_files,
        keep: code.keep,
        runtime_provided: &[],
        imported: &imported,
        aws_services: services.as_ref(),
        reached: reached.as_ref(),
    };
    trim(code.package, &context)
}

/// Path → rule.
fn dropped(trim: &Trim) -> BTreeMap<Utf8PathBuf, &str> {
    let applied = trim.decisions.iter().filter(|decision| decision.state == DecisionState::Applied);
    let drops = applied.filter(|decision| decision.kind == DecisionKind::Drop);
    drops.map(|decision| (Utf8PathBuf::from(&decision.place), decision.subject.as_str())).collect()
}

/// The bytecode of `sources` without columns, by where the interpreter looks for it.
fn compiled(
    tree: &PackageTree,
    sources: &BTreeSet<Utf8PathBuf>,
    python: &Utf8Path,
    version: PythonVersion,
    out: &Utf8Path,
) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    let compiler = Compiler::new(python, version, &Cache::new(out, true), 1)?.without_columns();
    let job = |path: &Utf8PathBuf| {
        let source = tree.root.join(path);
        CompileJob { task_path: source.to_string(), source, edits: None }
    };
    let results = compiler.compile(sources.iter().map(job).collect(), &NoProgress)?;
    let done = sources.iter().zip(results).filter_map(|(path, result)| match result {
        CompileResult::Done(bytecode) => Some((bytecode_path(path, version), bytecode)),
        CompileResult::Failed { .. } => None,
    });
    Ok(done.collect())
}

/// The new contents of native libraries, each in a file of its own.
fn written(trim: &Trim, out: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    let mut files = BTreeMap::new();
    for (number, (path, bytes)) in trim.stripped.iter().enumerate() {
        let file = out.join(format!("stripped-{number}"));
        fs_err::write(&file, bytes)?;
        files.insert(path.clone(), file);
    }
    Ok(files)
}
