//! What lies where: the entries of a layer, and of a zip whose distributions lie in layers.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, LAYER_ROOT, Progress, Result};
use glowplug_package::{ArchiveEntry, CompileJob, CompileResult, Compiler, Contents, bytecode_path};

use crate::fleet::agree::Edits;
use crate::fleet::member::{Member, is_record};
use crate::subject::Subject;
use crate::variant::{Recipe, entries, private_module};

/// Where modules are in a layer's zip.
pub(crate) const PLACE: &str = "python";

/// The entries of a layer with these distributions of a member, sorted; the same for every member that agrees with it.
///
/// # Errors
/// A defect where an edit that all builds applied cannot be applied.
pub(crate) fn layer(
    member: &Member,
    recipe: &Recipe,
    edits: &Edits,
    distributions: &BTreeSet<usize>,
    progress: &dyn Progress,
) -> Result<Vec<ArchiveEntry>> {
    let mut all = files(member, distributions, &recipe.dropped, &recipe.stripped)?;
    all.extend(bytecode(member, recipe, edits, distributions, progress)?);
    for entry in &mut all {
        entry.path = Utf8Path::new(PLACE).join(&entry.path);
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// The files themselves, relative to the place in `sys.path`.
pub(crate) fn files(
    member: &Member,
    distributions: &BTreeSet<usize>,
    dropped: &BTreeMap<Utf8PathBuf, String>,
    stripped: &BTreeMap<Utf8PathBuf, Vec<u8>>,
) -> Result<Vec<ArchiveEntry>> {
    let root = &member.subject.ground.tree.root;
    let kept = distributions
        .iter()
        .flat_map(|index| member.files_of(*index))
        .filter(|file| !dropped.contains_key(&file.path));
    kept.map(|file| {
        let source = match (&file.symlink, stripped.get(&file.path)) {
            (Some(target), _) => Contents::Symlink(target.clone()),
            (None, Some(bytes)) => Contents::Bytes(bytes.clone()),
            (None, None) if is_record(&file.path) => Contents::Bytes(member.content(file)?),
            (None, None) => Contents::File(root.join(&file.path)),
        };
        Ok(ArchiveEntry { path: file.path.clone(), source, executable: file.executable })
    })
    .collect()
}

/// Sources of these distributions that have bytecode.
pub(crate) fn sources(
    member: &Member,
    dropped: &BTreeMap<Utf8PathBuf, String>,
    distributions: &BTreeSet<usize>,
) -> Vec<Utf8PathBuf> {
    let paths = distributions.iter().flat_map(|index| member.files_of(*index)).map(|file| &file.path);
    let python = member.subject.ground.function.python;
    let compiled = paths.filter(|path| {
        member.subject.plain.contains_key(*path)
            && !dropped.contains_key(*path)
            && !dropped.contains_key(&bytecode_path(path, python))
    });
    compiled.cloned().collect()
}

/// Bytecode that carries the paths under `/opt`.
fn bytecode(
    member: &Member,
    recipe: &Recipe,
    edits: &Edits,
    distributions: &BTreeSet<usize>,
    progress: &dyn Progress,
) -> Result<Vec<ArchiveEntry>> {
    let subject = &member.subject;
    let sources = sources(member, &recipe.dropped, distributions);
    let (lean, full): (Vec<_>, Vec<_>) = sources.into_iter().partition(|path| recipe.lean.contains(path));
    let mut made = compiled(subject, &subject.compiler, full, edits, progress)?;
    if !lean.is_empty() {
        made.extend(compiled(subject, &subject.lean(progress)?.compiler, lean, edits, progress)?);
    }
    Ok(made)
}

fn compiled(
    subject: &Subject,
    compiler: &Compiler,
    sources: Vec<Utf8PathBuf>,
    edits: &Edits,
    progress: &dyn Progress,
) -> Result<Vec<ArchiveEntry>> {
    let jobs = sources.iter().map(|path| {
        let edits = edits.get(path).map(serde_json::to_value).transpose();
        Ok(CompileJob {
            source: subject.ground.tree.root.join(path),
            task_path: format!("{LAYER_ROOT}/{path}"),
            edits: edits.map_err(|e| Error::defect("edits have no JSON").cause(e))?,
        })
    });
    let results = compiler.compile(jobs.collect::<Result<_>>()?, progress)?;
    sources
        .into_iter()
        .zip(results)
        .map(|(path, result)| match result {
            CompileResult::Done(bytecode) => Ok(ArchiveEntry {
                path: bytecode_path(&path, subject.ground.function.python),
                source: Contents::File(bytecode),
                executable: false,
            }),
            CompileResult::Failed { message, .. } => {
                Err(Error::defect("a module of a layer cannot be compiled")
                    .cause(message)
                    .place(path.as_str()))
            }
        })
        .collect()
}

/// The entries of a member's zip without these distributions. Where those are `edited`, the zip has the module that
/// their edits ask for.
pub(crate) fn rest(
    member: &Member,
    recipe: &Recipe,
    distributions: &BTreeSet<usize>,
    edited: bool,
) -> Result<Vec<ArchiveEntry>> {
    let package = &member.subject.ground.package;
    let mut elsewhere: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for file in &package.files {
        if file.distribution.is_some_and(|index| distributions.contains(&index)) {
            if file.path.extension() == Some("py") {
                elsewhere.insert(bytecode_path(&file.path, member.subject.ground.function.python));
            }
            elsewhere.insert(file.path.clone());
        }
    }
    let mut all = entries(&member.subject, recipe)?;
    all.retain(|entry| !elsewhere.contains(&entry.path));
    if edited && recipe.lazy.is_empty() {
        let subject = &member.subject;
        all.extend(private_module(subject, &subject.support, glowplug_lazy::SUPPORT_SOURCE)?);
        all.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(all)
}
