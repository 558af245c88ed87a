//! Columns in the bytecode of libraries: what they are for, and whose can go.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use fs_err as fs;

use glowplug_core::{Decision, DecisionKind, DecisionState, Progress, PythonVersion, Result};
use glowplug_package::{TrimLevel, kept_by_pattern};

use crate::subject::Subject;
use crate::variant::Recipe;

/// The subject of the decisions, as the id of a rule.
pub(crate) const COLUMNS: &str = "columns";
/// Distributions that find expressions by their columns while a program runs.
const READERS: [&str; 1] = ["executing"];

/// The modules of libraries that `recipe` keeps and that can do without columns: at the levels beyond safe, from Python
/// 3.11 on, whose bytecode has them (PEP 657). The user's own modules keep theirs, so that the lines of their tracebacks
/// are marked.
///
/// # Errors
/// As [`Subject::lean`]; a pattern that is no glob.
pub(crate) fn decisions(
    subject: &Subject,
    level: TrimLevel,
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Vec<Decision>> {
    let ground = &subject.ground;
    let read = ground.package.distributions.iter().any(|d| READERS.contains(&d.name.as_str()));
    if level <= TrimLevel::Safe || ground.function.python < PythonVersion::new(3, 11) || read {
        return Ok(Vec::new());
    }
    let spared: BTreeSet<Utf8PathBuf> = kept_by_pattern(&ground.package, &ground.function.package.keep)?;
    let lean = &subject.lean(progress)?.bytecode;
    let stays = |path: &Utf8PathBuf| {
        ground.user_files().contains(path)
            || ground.package.distribution_of(path).is_none()
            || spared.contains(path)
            || recipe.dropped.contains_key(path)
    };
    let mut decisions = Vec::new();
    for (path, plain) in subject.plain.iter().filter(|(path, _)| !stays(path)) {
        let Some(lean) = lean.get(path) else { continue };
        let saves = fs::metadata(plain)?.len().saturating_sub(fs::metadata(lean)?.len());
        if saves > 0 {
            decisions.push(decision(path, saves));
        }
    }
    Ok(decisions)
}

fn decision(path: &Utf8PathBuf, saves: u64) -> Decision {
    Decision {
        id: format!("strip:{path}"),
        kind: DecisionKind::Strip,
        subject: COLUMNS.to_owned(),
        place: path.to_string(),
        state: DecisionState::Applied,
        saves_ms: None,
        saves_bytes: Some(saves),
        evidence: "compiled without them by the function's own interpreter; lines stay".to_owned(),
        reason: "only the marks under a traceback's lines are drawn from columns, here in libraries"
            .to_owned(),
        events: Vec::new(),
    }
}
