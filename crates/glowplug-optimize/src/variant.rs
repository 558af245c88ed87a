//! A tree as some set of decisions makes it: the same list of entries fills a folder or a zip.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Error, NoProgress, PythonVersion, Result, TASK_ROOT};
use glowplug_lazy::FileEdits;
use glowplug_package::{ArchiveEntry, CompileJob, CompileResult, Compiler, Contents, bytecode_path};

use crate::absent::Absent;
use crate::subject::Subject;

/// Which decisions hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recipe {
    /// Whether modules carry valid bytecode; without it the tree is as the user's tools ship it.
    pub(crate) bytecode: bool,
    /// Ids of the imports that are deferred.
    pub(crate) lazy: BTreeSet<String>,
    /// Files left out, each with the rule that says so.
    pub(crate) dropped: BTreeMap<Utf8PathBuf, String>,
    /// Files replaced by a stripped copy.
    pub(crate) stripped: BTreeMap<Utf8PathBuf, Vec<u8>>,
    /// Sources whose bytecode knows no columns.
    pub(crate) lean: BTreeSet<Utf8PathBuf>,
    /// Targets of the links that stand for those of the files left out that are copies of others.
    pub(crate) linked: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

impl Recipe {
    /// The original with valid bytecode.
    pub(crate) fn before() -> Self {
        Self { bytecode: true, ..Self::default() }
    }

    /// Whether a source stays, and its bytecode too.
    pub(crate) fn ships_bytecode(&self, source: &Utf8Path, python: PythonVersion) -> bool {
        !self.dropped.contains_key(source) && !self.dropped.contains_key(&bytecode_path(source, python))
    }

    /// Links in the place of copies that are left out.
    fn links(&self) -> impl Iterator<Item = ArchiveEntry> {
        let left_out = self.linked.iter().filter(|(path, _)| self.dropped.contains_key(*path));
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
        .filter(|file| !recipe.dropped.contains_key(&file.path))
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
        let absent = Absent::of(subject, recipe);
        let edited = compile_edits(subject, recipe, absent.as_ref())?;
        let lean = if recipe.lean.is_empty() { None } else { Some(&subject.lean(&NoProgress)?.bytecode) };
        for (path, plain) in &subject.plain {
            // Edits live in bytecode, which has to stay for them.
            let ships = recipe.ships_bytecode(path, subject.ground.function.python)
                || (edited.contains_key(path) && !recipe.dropped.contains_key(path));
            if ships {
                let lean = lean.filter(|_| recipe.lean.contains(path)).and_then(|lean| lean.get(path));
                let bytecode = edited.get(path).or(lean).unwrap_or(plain);
                entries.push(bytecode_entry(subject, path, bytecode.clone()));
            }
        }
        if !recipe.lazy.is_empty() {
            entries.extend(private_module(subject, &subject.support, glowplug_lazy::SUPPORT_SOURCE)?);
        }
        if let Some(absent) = &absent {
            entries.extend(private_module(subject, &subject.absent, glowplug_lazy::ABSENT_SOURCE)?);
            entries.push(absent.list(subject));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

pub(crate) fn bytecode_entry(subject: &Subject, source: &Utf8Path, bytecode: Utf8PathBuf) -> ArchiveEntry {
    ArchiveEntry {
        path: bytecode_path(source, subject.ground.function.python),
        source: Contents::File(bytecode),
        executable: false,
    }
}

/// Bytecode that the tree came with gives way to ours.
pub(crate) fn replaced_by_ours(path: &Utf8Path, subject: &Subject) -> bool {
    let tag = subject.ground.function.python.cache_tag();
    path.extension() == Some("pyc") && path.file_stem().is_some_and(|stem| stem.ends_with(&tag))
}

/// Sources of the private modules that a tree made from the recipe carries, relative to it.
pub(crate) fn private_sources(subject: &Subject, recipe: &Recipe) -> Vec<Utf8PathBuf> {
    let support = (!recipe.lazy.is_empty()).then_some(&subject.support);
    let absent = Absent::of(subject, recipe).map(|_| &subject.absent);
    support.into_iter().chain(absent).map(|name| Utf8PathBuf::from(format!("{name}.py"))).collect()
}

/// A private module and its bytecode.
pub(crate) fn private_module(subject: &Subject, name: &str, text: &str) -> Result<[ArchiveEntry; 2]> {
    let path = Utf8PathBuf::from(format!("{name}.py"));
    let source = subject.ground.work().join(&path);
    fs::write(&source, text)?;
    let job = CompileJob { source: source.clone(), task_path: format!("{TASK_ROOT}/{path}"), edits: None };
    let Some(CompileResult::Done(bytecode)) = subject.compiler.compile(vec![job], &NoProgress)?.pop() else {
        return Err(Error::defect("a private module does not compile"));
    };
    let module = ArchiveEntry { path: path.clone(), source: Contents::File(source), executable: false };
    Ok([module, bytecode_entry(subject, &path, bytecode)])
}

/// Source path → edited bytecode, for the files that the deferred imports touch, and the handler's where modules are
/// absent.
fn compile_edits(
    subject: &Subject,
    recipe: &Recipe,
    absent: Option<&Absent>,
) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    let mut edits = BTreeMap::new();
    if !recipe.lazy.is_empty() {
        edits = subject.candidates.edits(&recipe.lazy, &subject.support);
    }
    if let Some(absent) = absent {
        let edit = absent.edit(subject);
        edits
            .entry(absent.handler.clone())
            .and_modify(|edits: &mut FileEdits| edits.absent = Some(edit.clone()))
            .or_insert_with(|| FileEdits::of_absent(edit));
    }
    let (lean, full): (Edits, Edits) = edits.into_iter().partition(|(path, _)| recipe.lean.contains(path));
    let mut compiled = compile_with(subject, &subject.compiler, full)?;
    if !lean.is_empty() {
        compiled.extend(compile_with(subject, &subject.lean(&NoProgress)?.compiler, lean)?);
    }
    Ok(compiled)
}

/// Source path → what is edited in it.
type Edits = BTreeMap<Utf8PathBuf, FileEdits>;

fn compile_with(
    subject: &Subject,
    compiler: &Compiler,
    edits: Edits,
) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
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
    let results = compiler.compile(jobs, &NoProgress)?;
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
