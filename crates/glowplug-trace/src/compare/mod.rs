//! Two traces side by side: what grew, what shrank, and which change of the function accounts for how much.

mod blame;
mod parts;
mod ratio;
mod read;

use glowplug_core::Stat;
use serde::{Deserialize, Serialize};

use crate::document::{FunctionUse, Trace};
use crate::records::Phase;

pub use ratio::{Difference, Ratio};
pub use read::read_trace;

/// Schema of `glowplug trace --compare --format json`.
pub const SCHEMA_COMPARISON: &str = "glowplug.comparison/1";

/// What has changed from one trace to another; times in ms, memory in KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Always [`SCHEMA_COMPARISON`].
    pub schema: String,
    /// What was traced before.
    pub old: FunctionUse,
    /// What was traced now.
    pub new: FunctionUse,
    /// Conditions that differ, one sentence each: then the figures differ for other reasons too.
    pub conditions: Vec<String>,
    /// The phases, in the order of a start.
    pub phases: Vec<PhaseChange>,
    /// What accounts for the change of init, the largest part first.
    pub blame: Vec<Blame>,
    /// Change of init that `blame` does not account for; `None` where either init was not measured.
    pub unexplained_ms: Option<f64>,
    /// Distributions that changed in version, time, memory or size, the largest change of time first.
    pub distributions: Vec<DistributionChange>,
    /// Modules whose own time changed by more than measuring varies, the largest change first.
    pub modules: Vec<ModuleChange>,
    /// The same for top-level statements of the user's own code.
    pub statements: Vec<StatementChange>,
}

/// One phase before and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// `provision`, `runtime`, `init`, `first_invoke` or `warm_invoke`.
    pub phase: String,
    /// Of an invoke.
    pub event: Option<String>,
    /// Before.
    pub old: Option<Stat>,
    /// Now.
    pub new: Option<Stat>,
    /// Now by before; `None` where either was not measured.
    pub ratio: Option<Ratio>,
    /// What the intervals say.
    pub difference: Difference,
}

/// What a part of the change of init comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A distribution has another version; what it newly imports, or no longer, is part of that.
    Version,
    /// Something is imported that was not.
    Added,
    /// Something is not imported any more.
    Removed,
    /// Something is imported in the first invoke instead.
    Deferred,
    /// Something that was imported in the first invoke is imported at init.
    Advanced,
    /// Bytecode that was valid is not any more, or the other way round.
    Bytecode,
    /// The user's own modules.
    Own,
    /// Another Python.
    Python,
    /// The same modules of the same versions: the machine, or chance.
    Same,
}

/// A part of the change of init, in own time of modules with the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// What kind of change.
    pub cause: Cause,
    /// A distribution, a module, or `bytecode`.
    pub subject: String,
    /// `file:line` of the import, where there is one.
    pub place: Option<String>,
    /// Version before and now, of a distribution or of Python.
    pub versions: Option<(String, String)>,
    /// How much of init, in ms; negative where it is less now.
    pub change_ms: f64,
    /// How many modules.
    pub modules: usize,
}

/// One distribution before and now; `None` where it was not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistributionChange {
    /// Its name.
    pub name: String,
    /// Version before.
    pub old_version: Option<String>,
    /// Version now.
    pub new_version: Option<String>,
    /// Own time of its modules before.
    pub old_ms: Option<f64>,
    /// The same now.
    pub new_ms: Option<f64>,
    /// Memory before.
    pub old_memory_kib: Option<f64>,
    /// Memory now.
    pub new_memory_kib: Option<f64>,
    /// Bytes in the tree before.
    pub old_bytes: Option<u64>,
    /// Bytes now.
    pub new_bytes: Option<u64>,
}

/// One module before and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleChange {
    /// Its name.
    pub module: String,
    /// Its distribution.
    pub distribution: Option<String>,
    /// When it is imported.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// Own time before; `None` where it was not imported then.
    pub old_ms: Option<f64>,
    /// Own time now.
    pub new_ms: Option<f64>,
}

/// One top-level statement before and now; the same text in the same file is the same statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementChange {
    /// Where it is now, or was.
    pub place: String,
    /// Its first line.
    pub text: String,
    /// Own time before.
    pub old_ms: Option<f64>,
    /// Own time now.
    pub new_ms: Option<f64>,
}

/// What has changed from `old` to `new`. The two were not measured in turns, so the machine's own drift is in it:
/// [`Comparison::phases`] say by their intervals what is a difference, and the parts below leave out what is small.
pub fn compare(old: &Trace, new: &Trace) -> Comparison {
    let noise = ratio::Noise::of(old, new);
    let blame = blame::blame(old, new, noise);
    let init = old.phases.init.zip(new.phases.init).map(|(old, new)| new.median - old.median);
    let explained: f64 = blame.iter().map(|part| part.change_ms).sum();
    Comparison {
        schema: SCHEMA_COMPARISON.to_owned(),
        old: old.function.clone(),
        new: new.function.clone(),
        conditions: parts::conditions(old, new),
        phases: parts::phases(old, new),
        unexplained_ms: init.map(|change| change - explained + 0.0),
        blame,
        distributions: parts::distributions(old, new, noise),
        modules: parts::modules(old, new, noise),
        statements: parts::statements(old, new, noise),
    }
}
