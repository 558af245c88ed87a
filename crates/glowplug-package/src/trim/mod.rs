//! Which files an artifact leaves out, and why: the rules applied to a tree.
//!
//! The rules themselves are one table in `rules`; what they need to know about the tree as a
//! whole is gathered once in `view`. Every dropped file is a decision of its own, so that a
//! replay that differs can find the guilty one.

mod elf;
mod folders;
mod keep;
mod levels;
mod library;
mod mentions;
mod native;
mod needed;
mod rules;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{
    Architecture, Decision, DecisionKind, DecisionState, Libc, PythonVersion, Result, format_bytes,
};
use rayon::prelude::*;

pub use elf::symbol_bytes;
pub use folders::imported_by_kept;
pub use keep::kept_by_pattern;
pub use native::links;
pub use needed::NativeNeeds;
pub use rules::{RULES, Rule};

use crate::tree::{FileEntry, FileKind, PackageTree};
use keep::Keep;
use rules::STRIP;
use view::View;

/// The subject of decisions on copies of a shared library: one that is dropped leaves a link.
pub const DUPLICATES: &str = native::DUPLICATES.id;

/// How much proof a file needs before it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrimLevel {
    /// Nothing is left out.
    Off,
    /// What the rules prove useless at run time.
    Safe,
    /// Also what nothing leads to that starts at the handler, at the user's own modules and at what traced runs loaded.
    Reachable,
    /// Everything of distributions that no traced run touched.
    Observed,
}

/// What the levels beyond [`TrimLevel::Safe`] go by.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    /// Dotted modules that are needed, as the level sees it.
    pub modules: BTreeSet<String>,
    /// Texts in the code of these modules that may name files: whole, and their last parts.
    pub names: BTreeSet<String>,
    /// Files that traced runs opened, relative to the tree; used at [`TrimLevel::Observed`].
    pub touched: BTreeSet<Utf8PathBuf>,
}

/// What the rules may know besides the tree.
#[derive(Debug, Clone)]
pub struct TrimContext<'a> {
    /// How far to go.
    pub level: TrimLevel,
    /// The interpreter that will run the artifact.
    pub python: PythonVersion,
    /// The machine that will run the artifact.
    pub architecture: Architecture,
    /// The C library of the system that will run the artifact.
    pub libc: Libc,
    /// The user's own files, relative to the tree: never dropped, other interpreters' bytecode apart.
    pub user_files: &'a BTreeSet<Utf8PathBuf>,
    /// What the user wants kept whatever the rules say: globs on paths, dotted modules, or names
    /// of distributions.
    pub keep: &'a [String],
    /// Distributions that the runtime brings.
    pub runtime_provided: &'a [String],
    /// Dotted modules that some module that is kept imports, or that a traced run imported; for
    /// `from a import b` both `a` and `a.b`. Never dropped. [`imported_by_kept`] gives it.
    pub imported: &'a BTreeSet<String>,
    /// The AWS services whose clients the function makes; `None` where some call names its service
    /// by anything but a literal.
    pub aws_services: Option<&'a BTreeSet<String>>,
    /// What is needed; `None` up to level safe.
    pub reached: Option<&'a Reached>,
}

/// What trimming decided.
#[derive(Debug, Clone, Default)]
pub struct Trim {
    /// One for each file dropped (id `drop:PATH`) or stripped (id `strip:PATH`), by path; the
    /// subject is the rule's id, the place the file's path. Those refused tell what might have gone.
    pub decisions: Vec<Decision>,
    /// New contents of the stripped files.
    pub stripped: BTreeMap<Utf8PathBuf, Vec<u8>>,
    /// Targets of the links that take the place of dropped copies, by the copy's path.
    pub linked: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

/// Applies the rules to a tree. The tree itself is left alone.
///
/// Errors: a keep pattern that is no glob (input), a file that cannot be read (surroundings).
pub fn trim(tree: &PackageTree, context: &TrimContext) -> Result<Trim> {
    if context.level == TrimLevel::Off {
        return Ok(Trim::default());
    }
    let keep = Keep::new(context.keep)?;
    let view = View::new(tree, context)?;
    let mut dropped: BTreeMap<&Utf8Path, Decision> = BTreeMap::new();
    for file in &tree.files {
        if keep.matches(file, view.distribution_name(file)) {
            continue;
        }
        if let Some(decision) = drop_decision(&view, file)? {
            dropped.insert(&file.path, decision);
        }
    }
    restore_packages(tree, &mut dropped);
    restore_link_targets(tree, &mut dropped);
    let libraries = tree.files.iter().filter(|file| {
        file.kind == FileKind::Native
            && file.symlink.is_none()
            && file.distribution.is_some()
            && !context.user_files.contains(&file.path)
            && !dropped.contains_key(file.path.as_path())
            && !keep.matches(file, view.distribution_name(file))
    });
    let mut libraries: Vec<&FileEntry> = libraries.collect();
    let (copies, linked) = native::duplicates(&view, &libraries)?;
    libraries.retain(|file| !linked.contains_key(&file.path));
    let stripped = strip(tree, libraries)?;
    let mut trim =
        Trim { decisions: dropped.into_values().chain(copies).collect(), linked, ..Trim::default() };
    for (decision, path, bytes) in stripped {
        trim.decisions.push(decision);
        trim.stripped.insert(path, bytes);
    }
    trim.decisions.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(trim)
}

/// The first rule that holds for a file.
fn drop_decision(view: &View, file: &FileEntry) -> Result<Option<Decision>> {
    let users = view.is_users(file);
    for rule in RULES.iter().chain(levels::RULES) {
        if (users && !rule.users_files) || (rule.spares_licences && is_licence(file)) {
            continue;
        }
        if let Some(evidence) = (rule.applies)(view, file)? {
            return Ok(Some(decision(DecisionKind::Drop, rule, file, file.bytes, evidence)));
        }
    }
    Ok(None)
}

fn decision(kind: DecisionKind, rule: &Rule, file: &FileEntry, saves: u64, evidence: String) -> Decision {
    let verb = if kind == DecisionKind::Strip { "strip" } else { "drop" };
    Decision {
        id: format!("{verb}:{}", file.path),
        kind,
        subject: rule.id.to_owned(),
        place: file.path.to_string(),
        state: DecisionState::Applied,
        saves_ms: None,
        together: None,
        saves_bytes: Some(saves),
        evidence,
        reason: rule.sentence.to_owned(),
        events: Vec::new(),
    }
}

/// Why the rule of a decision leaves files out, by its id; empty for one that is unknown to this version.
pub fn rule_sentence(id: &str) -> &'static str {
    RULES.iter().chain(levels::RULES).find(|rule| rule.id == id).map_or("", |rule| rule.sentence)
}

/// Whether the rule of that id goes by what traced runs and the analysis have shown, not by what files are.
pub fn goes_by_evidence(rule: &str) -> bool {
    levels::RULES.iter().any(|known| known.id == rule)
}

/// A licence text, which has to travel with the code it covers.
fn is_licence(file: &FileEntry) -> bool {
    let name = file.name().to_lowercase();
    let text = !matches!(file.path.extension(), Some("py" | "pyi" | "pyc" | "so" | "c" | "h"));
    text && ["license", "licence", "copying", "notice", "authors"].iter().any(|start| name.starts_with(start))
}

/// Where some file in the folder of a package stays, so does its `__init__`: without it the folder would be imported as
/// a namespace, and nobody would be told that the package is not there.
fn restore_packages(tree: &PackageTree, dropped: &mut BTreeMap<&Utf8Path, Decision>) {
    let stays = |file: &&FileEntry| !dropped.contains_key(file.path.as_path());
    let folders: BTreeSet<&Utf8Path> =
        tree.files.iter().filter(stays).flat_map(|file| file.path.ancestors().skip(1)).collect();
    dropped.retain(|path, decision| {
        let package = path.file_name() == Some("__init__.py") && goes_by_evidence(&decision.subject);
        !(package && path.parent().is_some_and(|folder| folders.contains(folder)))
    });
}

/// A link that stays must not dangle: what it points to stays as well.
fn restore_link_targets(tree: &PackageTree, dropped: &mut BTreeMap<&Utf8Path, Decision>) {
    loop {
        let kept_links =
            tree.files.iter().filter(|f| f.symlink.is_some() && !dropped.contains_key(f.path.as_path()));
        let targets: Vec<Utf8PathBuf> = kept_links.filter_map(link_target).collect();
        let before = dropped.len();
        dropped.retain(|path, _| !targets.iter().any(|target| path.starts_with(target)));
        if dropped.len() == before {
            return;
        }
    }
}

/// Where a relative link points, relative to the tree's root.
fn link_target(file: &FileEntry) -> Option<Utf8PathBuf> {
    let target = file.symlink.as_ref().filter(|target| target.is_relative())?;
    let mut parts: Vec<&str> = file.path.parent()?.components().map(|part| part.as_str()).collect();
    for part in target.components() {
        match part.as_str() {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.iter().collect())
}

/// Strips the native libraries where that is safe and worth it.
fn strip(tree: &PackageTree, candidates: Vec<&FileEntry>) -> Result<Vec<(Decision, Utf8PathBuf, Vec<u8>)>> {
    let stripped: Vec<Option<_>> = candidates
        .par_iter()
        .map(|file| -> Result<Option<_>> {
            let data = fs::read(tree.root.join(&file.path))?;
            let Some(result) = elf::strip(&data) else { return Ok(None) };
            let saves = data.len() as u64 - result.data.len() as u64;
            let blanked = if result.blanked == 0 {
                String::new()
            } else {
                format!(", {} blanked in place, which the zip does not pay for", format_bytes(result.blanked))
            };
            let evidence =
                format!("{} of symbols that no segment loads{blanked}", format_bytes(saves + result.blanked));
            let decision = decision(DecisionKind::Strip, &STRIP, file, saves, evidence);
            Ok(Some((decision, file.path.clone(), result.data)))
        })
        .collect::<Result<_>>()?;
    Ok(stripped.into_iter().flatten().collect())
}
