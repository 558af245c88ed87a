//! A tree as some set of decisions makes it: the same list of entries fills a folder or a zip.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Error, NoProgress, Result, TASK_ROOT};
use glowplug_package::{ArchiveEntry, CompileJob, CompileResult, Contents, bytecode_path};

use crate::subject::Subject;

/// Which decisions hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recipe {
    /// Whether modules carry valid bytecode; without it the tree is as the user's tools ship it.
    pub(crate) bytecode: bool,
    /// Ids of the imports that are deferred.
    pub(crate) lazy: BTreeSet<String>,
    /// Files left out.
    pub(crate) dropped: BTreeSet<Utf8PathBuf>,
    /// Files replaced by a stripped copy.
    pub(crate) stripped: BTreeMap<Utf8PathBuf, Vec<u8>>,
    /// Targets of the links that stand for those of the files left out that are copies of others.
    pub(crate) linked: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

impl Recipe {
    /// The original with valid bytecode.
    pub(crate) fn before() -> Self {
        Self { bytecode: true, ..Self::default() }
    }

    /// Links in the place of copies that are left out.
    fn links(&self) -> impl Iterator<Item = ArchiveEntry> {
        let left_out = self.linked.iter().filter(|(path, _)| self.dropped.contains(*path));
        left_out.map(|(path, target)| ArchiveEntry {
            path: path.clone(),
            source: Contents::Symlink(target.clone()),
            executable: false,
        })
    }
}

/// The entries of the artifact, sorted by path.
///
/// # Errors
/// A defect where an edit that the analysis allowed cannot be applied.
pub(crate) fn entries(subject: &Subject, recipe: &Recipe) -> Result<Vec<ArchiveEntry>> {
    let mut entries: Vec<ArchiveEntry> = subject
        .ground
        .package
        .files
        .iter()
        .filter(|file| !recipe.dropped.contains(&file.path))
        .filter(|file| !(recipe.bytecode && replaced_by_ours(&file.path, subject)))
        .map(|file| ArchiveEntry {
            path: file.path.clone(),
            source: match (&file.symlink, recipe.stripped.get(&file.path)) {
                (Some(target), _) => Contents::Symlink(target.clone()),
                (None, Some(bytes)) => Contents::Bytes(bytes.clone()),
                (None, None) => Contents::File(subject.ground.tree.root.join(&file.path)),
            },
            executable: file.executable,
        })
        .collect();
    entries.extend(recipe.links());
    if recipe.bytecode {
        let edited = compile_edits(subject, &recipe.lazy)?;
        for (path, plain) in &subject.plain {
            if !recipe.dropped.contains(path) {
                let bytecode = edited.get(path).unwrap_or(plain);
                entries.push(bytecode_entry(subject, path, bytecode.clone()));
            }
        }
        if !recipe.lazy.is_empty() {
            entries.extend(support_entries(subject)?);
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn bytecode_entry(subject: &Subject, source: &Utf8Path, bytecode: Utf8PathBuf) -> ArchiveEntry {
    ArchiveEntry {
        path: bytecode_path(source, subject.ground.function.python),
        source: Contents::File(bytecode),
        executable: false,
    }
}

/// Bytecode that the tree came with gives way to ours.
fn replaced_by_ours(path: &Utf8Path, subject: &Subject) -> bool {
    let tag = subject.ground.function.python.cache_tag();
    path.extension() == Some("pyc") && path.file_stem().is_some_and(|stem| stem.ends_with(&tag))
}

/// Where the private module lies in the tree.
pub(crate) fn support_path(subject: &Subject) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{}.py", subject.support))
}

/// The private module and its bytecode.
fn support_entries(subject: &Subject) -> Result<[ArchiveEntry; 2]> {
    let path = support_path(subject);
    let source = subject.ground.work().join(&path);
    fs::write(&source, glowplug_lazy::SUPPORT_SOURCE)?;
    let job = CompileJob { source: source.clone(), task_path: format!("{TASK_ROOT}/{path}"), edits: None };
    let Some(CompileResult::Done(bytecode)) = subject.compiler.compile(vec![job], &NoProgress)?.pop() else {
        return Err(Error::defect("the support module does not compile"));
    };
    let module = ArchiveEntry { path: path.clone(), source: Contents::File(source), executable: false };
    Ok([module, bytecode_entry(subject, &path, bytecode)])
}

/// Source path → edited bytecode, for the files that the deferred imports touch.
fn compile_edits(subject: &Subject, lazy: &BTreeSet<String>) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    if lazy.is_empty() {
        return Ok(BTreeMap::new());
    }
    let edits = subject.candidates.edits(lazy, &subject.support);
    let mut paths = Vec::with_capacity(edits.len());
    let mut jobs = Vec::with_capacity(edits.len());
    for (path, edits) in edits {
        jobs.push(CompileJob {
            source: subject.ground.tree.root.join(&path),
            task_path: format!("{TASK_ROOT}/{path}"),
            edits: Some(
                serde_json::to_value(&edits).map_err(|e| Error::defect("edits have no JSON").cause(e))?,
            ),
        });
        paths.push(path);
    }
    let results = subject.compiler.compile(jobs, &NoProgress)?;
    paths
        .into_iter()
        .zip(results)
        .map(|(path, result)| match result {
            CompileResult::Done(bytecode) => Ok((path, bytecode)),
            CompileResult::Failed { message, .. } => {
                Err(Error::defect("an edit that the analysis allowed cannot be applied")
                    .cause(message)
                    .place(path.as_str()))
            }
        })
        .collect()
}
