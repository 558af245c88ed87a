//! Trims, compiles and zips a tree as a build does, and prints what each step took as JSON: for `bench/package.py`.
//!
//! `package TREE PYTHON CACHE OUT [best|plain|stored]`: `TREE` is laid out as `/var/task`, `PYTHON` the target's
//! interpreter, `CACHE` a folder for bytecode, `OUT` the zip.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{
    Architecture, Cache, DecisionKind, DecisionState, Error, Libc, NoProgress, PythonVersion, Result,
};
use glowplug_package::{
    ArchiveEntry, CompileJob, CompileResult, Compiler, Contents, Effort, FileKind, PackageTree, Trim,
    TrimContext, TrimLevel, Zipper, bytecode_path, trim,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, python, cache, out, effort] = arguments.as_slice() else {
        return Err(Error::usage("package TREE PYTHON CACHE OUT best|plain"));
    };
    let effort = if effort == "plain" { Effort::Plain } else { Effort::Best };
    let version = version_of(python)?;
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    let mut timed = |name, started: Instant| seconds.insert(name, started.elapsed().as_secs_f64());

    let started = Instant::now();
    let tree = PackageTree::scan(Utf8Path::new(tree))?;
    timed("scan", started);
    let started = Instant::now();
    let trim = trimmed(&tree, version)?;
    timed("trim", started);
    let started = Instant::now();
    let dropped = dropped(&trim);
    let bytecode = compiled(&tree, &dropped, python, version, cache)?;
    timed("bytecode", started);
    let entries = entries(&tree, &dropped, trim, &bytecode, version);
    let started = Instant::now();
    let summary = Zipper::new(effort).write(&entries, Utf8Path::new(out), &NoProgress)?;
    timed("zip", started);

    let report = serde_json::json!({
        "seconds": seconds,
        "before": {"files": tree.files.len(), "bytes": tree.total_bytes()},
        "after": {"files": summary.files, "bytes": summary.unzipped_bytes, "zip_bytes": summary.bytes, "sha256": summary.sha256},
    });
    println!("{report}");
    Ok(())
}

fn version_of(python: &str) -> Result<PythonVersion> {
    let script = "import sys; print(*sys.version_info[:2])";
    let said = std::process::Command::new(python).args(["-I", "-c", script]).output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut numbers = said.split_whitespace().flat_map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok(PythonVersion::new(major, minor)),
        _ => Err(Error::usage("no interpreter").place(python)),
    }
}

fn trimmed(tree: &PackageTree, python: PythonVersion) -> Result<Trim> {
    let architecture = Architecture::host().ok_or_else(|| Error::surroundings("an unknown machine"))?;
    let context = TrimContext {
        level: TrimLevel::Safe,
        python,
        architecture,
        libc: Libc::Glibc,
        user_files: &BTreeSet::new(),
        keep: &[],
        runtime_provided: &[],
        imported: &BTreeSet::new(),
        aws_services: None,
        reached: None,
    };
    trim(tree, &context)
}

fn dropped(trim: &Trim) -> BTreeSet<Utf8PathBuf> {
    let drops = trim
        .decisions
        .iter()
        .filter(|decision| decision.kind == DecisionKind::Drop && decision.state == DecisionState::Applied);
    drops.map(|decision| Utf8PathBuf::from(&decision.place)).collect()
}

/// Bytecode by the path that it has in the package.
fn compiled(
    tree: &PackageTree,
    dropped: &BTreeSet<Utf8PathBuf>,
    python: &str,
    version: PythonVersion,
    cache: &str,
) -> Result<Vec<(Utf8PathBuf, Utf8PathBuf)>> {
    let compiler = Compiler::new(Utf8Path::new(python), version, &Cache::new(cache, true), 2)?;
    let is_source = |path: &Utf8Path| path.extension() == Some("py") && !dropped.contains(path);
    let sources: Vec<&Utf8Path> =
        tree.files.iter().map(|file| file.path.as_path()).filter(|path| is_source(path)).collect();
    let job = |path: &&Utf8Path| CompileJob {
        source: tree.root.join(path),
        task_path: format!("/var/task/{path}"),
        edits: None,
    };
    let results = compiler.compile(sources.iter().map(job).collect(), &NoProgress)?;
    let done = sources.into_iter().zip(results).filter_map(|(path, result)| match result {
        CompileResult::Done(bytecode) => Some((bytecode_path(path, version), bytecode)),
        CompileResult::Failed { .. } => None,
    });
    Ok(done.collect())
}

fn entries(
    tree: &PackageTree,
    dropped: &BTreeSet<Utf8PathBuf>,
    mut trim: Trim,
    bytecode: &[(Utf8PathBuf, Utf8PathBuf)],
    version: PythonVersion,
) -> Vec<ArchiveEntry> {
    let ours = format!(".{}.pyc", version.cache_tag());
    let linked = std::mem::take(&mut trim.linked);
    let kept = tree.files.iter().filter(|file| !dropped.contains(&file.path));
    let shipped = kept.filter(|file| file.kind != FileKind::Bytecode || !file.path.as_str().ends_with(&ours));
    let mut entries: Vec<ArchiveEntry> = shipped
        .map(|file| ArchiveEntry {
            path: file.path.clone(),
            source: match (&file.symlink, trim.stripped.remove(&file.path)) {
                (Some(target), _) => Contents::Symlink(target.clone()),
                (None, Some(bytes)) => Contents::Bytes(bytes),
                (None, None) => Contents::File(tree.root.join(&file.path)),
            },
            executable: file.executable,
        })
        .collect();
    entries.extend(linked.into_iter().map(|(path, target)| ArchiveEntry {
        path,
        source: Contents::Symlink(target),
        executable: false,
    }));
    entries.extend(bytecode.iter().map(|(path, file)| ArchiveEntry {
        path: path.clone(),
        source: Contents::File(file.clone()),
        executable: false,
    }));
    entries
}
