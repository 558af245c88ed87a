//! A plan: every change that a build makes to a tree, each with its evidence.

use serde::{Deserialize, Serialize};

use crate::{PythonVersion, SCHEMA_PLAN};

/// What a decision changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionKind {
    /// An import binds at first use.
    Lazy,
    /// A top-level assignment runs at first use.
    Global,
    /// A file is left out.
    Drop,
    /// Symbols leave a native library.
    Strip,
    /// A module ships valid bytecode.
    Bytecode,
    /// Compiled regular expressions come from a table.
    Regex,
    /// Source strings are compiled at build time.
    Compile,
    /// Collection is off while importing.
    Gc,
    /// Bytecode ships as one mapped file.
    Bundle,
    /// Thread pools fit the CPU share.
    Threads,
}

/// Whether a decision holds in the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionState {
    /// It is in the artifact.
    Applied,
    /// It was tried and undone: a replay differed, or it did not pay.
    Pinned,
    /// A rule forbids it.
    Refused,
}

/// One change, or one change not made, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Stable within a plan, for example `lazy:app.py:pd`.
    pub id: String,
    /// What it changes.
    pub kind: DecisionKind,
    /// What it is about: the module of an import, for example `pandas`; of a dropped or stripped file, the rule.
    pub subject: String,
    /// `file:line` relative to the tree, or the file for a dropped one.
    pub place: String,
    /// Whether it holds.
    pub state: DecisionState,
    /// Milliseconds of init it saves on its own, measured or attributed.
    pub saves_ms: Option<f64>,
    /// What it saves only together with the other decisions that say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
    /// Bytes of the unpacked tree it saves.
    pub saves_bytes: Option<u64>,
    /// What speaks for it.
    pub evidence: String,
    /// Why it is in this state.
    pub reason: String,
    /// Events whose first request needs what was deferred.
    pub events: Vec<String>,
}

/// What several decisions save that none of them saves alone: each of them is a way to what would load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Together {
    /// The module, or the value as `module:name`, that all of them keep from init.
    pub subject: String,
    /// Milliseconds of init, with what only that needs.
    pub saves_ms: f64,
}

/// What the plan was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFunction {
    /// The function's name.
    pub name: String,
    /// As Lambda writes it, for example `app.handler`.
    pub handler: String,
    /// The minor version.
    pub python: PythonVersion,
    /// SHA-256 over the paths and contents of the original tree, as hex.
    pub tree: String,
}

/// The file `glowplug.lock`: a person reviews and commits it; the same tree and plan give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Always [`SCHEMA_PLAN`].
    pub schema: String,
    /// What it was made for.
    pub function: PlanFunction,
    /// Name and version of the tool that made it.
    pub tool: String,
    /// Sorted by kind, then by id.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// A plan with its decisions in their stable order.
    pub fn new(function: PlanFunction, mut decisions: Vec<Decision>) -> Self {
        decisions.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        Self {
            schema: SCHEMA_PLAN.to_owned(),
            function,
            tool: concat!("glowplug ", env!("CARGO_PKG_VERSION")).to_owned(),
            decisions,
        }
    }

    /// The decisions that are in the artifact.
    pub fn applied(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|d| d.state == DecisionState::Applied)
    }
}
