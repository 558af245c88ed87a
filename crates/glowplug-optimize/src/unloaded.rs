//! Decisions to ship modules of libraries without bytecode: those that the original loads in none of its traced starts.
//!
//! They stay importable, and are the same modules. Whoever imports one on a path that no event takes pays for compiling
//! it; everybody else has less to fetch. What a deferred import loads the original has loaded, and keeps its bytecode.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Decision, DecisionKind, DecisionState, Result};
use glowplug_package::{TrimLevel, bytecode_path, silent_sources};

use crate::subject::Subject;
use crate::variant::Recipe;

/// The subject of the decisions, as the id of a rule.
pub(crate) const UNLOADED: &str = "unloaded";

/// Bytecode of modules that `recipe` keeps and that are not among the `loaded` ones.
///
/// # Errors
/// Input: a pattern that is no glob. Surroundings: a file that cannot be read, an interpreter that fails.
pub(crate) fn decisions(
    subject: &Subject,
    level: TrimLevel,
    recipe: &Recipe,
    loaded: &BTreeSet<String>,
) -> Result<Vec<Decision>> {
    if level <= TrimLevel::Safe {
        return Ok(Vec::new());
    }
    let sources = subject.code().library_sources()?;
    let loaded = loaded.iter().filter_map(|name| subject.modules.get(name)).map(|file| &file.path);
    let loaded: BTreeSet<&Utf8PathBuf> = loaded.collect();
    let can = |path: &Utf8PathBuf| {
        sources.contains(path) && !loaded.contains(path) && !recipe.dropped.contains_key(path)
    };
    let candidates: Vec<Utf8PathBuf> = subject.plain.keys().filter(|path| can(path)).cloned().collect();
    let silent = silent_sources(&subject.ground.runtime.python, &subject.ground.tree.root, &candidates)?;
    silent.iter().map(|path| decision(subject, path)).collect()
}

fn decision(subject: &Subject, source: &Utf8Path) -> Result<Decision> {
    let place = bytecode_path(source, subject.ground.function.python);
    Ok(Decision {
        id: format!("drop:{place}"),
        kind: DecisionKind::Drop,
        subject: UNLOADED.to_owned(),
        place: place.to_string(),
        state: DecisionState::Applied,
        saves_ms: None,
        together: None,
        saves_bytes: subject.plain.get(source).map(fs::metadata).transpose()?.map(|file| file.len()),
        evidence: "no traced start of the original loads the module, which stays".to_owned(),
        reason: "bytecode of modules that no event loads; whoever imports one compiles it".to_owned(),
        events: Vec::new(),
    })
}
