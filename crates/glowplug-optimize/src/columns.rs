//! Decisions to ship libraries' bytecode without columns: what they are for, and what it saves.

use camino::Utf8PathBuf;
use fs_err as fs;

use glowplug_core::{Decision, DecisionKind, DecisionState, Progress, Result};
use glowplug_package::TrimLevel;

use crate::subject::Subject;
use crate::variant::Recipe;

/// The subject of the decisions, as the id of a rule.
pub(crate) const COLUMNS: &str = "columns";

/// The modules that `recipe` keeps and that can do without columns ([`crate::Code::without_columns`]).
///
/// # Errors
/// As [`Subject::lean`]; a pattern that is no glob.
pub(crate) fn decisions(
    subject: &Subject,
    level: TrimLevel,
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Vec<Decision>> {
    let can = subject.code().without_columns(level, subject.ground.function.python)?;
    if can.is_empty() {
        return Ok(Vec::new());
    }
    let lean = &subject.lean(progress)?.bytecode;
    let python = subject.ground.function.python;
    let ships = |path: &Utf8PathBuf| can.contains(path) && recipe.ships_bytecode(path, python);
    let mut decisions = Vec::new();
    for (path, plain) in subject.plain.iter().filter(|(path, _)| ships(path)) {
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
        together: None,
        saves_bytes: Some(saves),
        evidence: "compiled without them by the function's own interpreter; lines stay".to_owned(),
        reason: "only the marks under a traceback's lines are drawn from columns, here in libraries"
            .to_owned(),
        events: Vec::new(),
    }
}
