//! The rules of `glowplug doctor`: facts about a package in, findings with stable codes out. Pure: who gathers the
//! facts, and who prints the findings, is elsewhere.
//!
//! - [`Facts`]: what was found in the package, by the static analysis and by traced starts.
//! - [`RULES`]: one row a code, with its name, its sentence and the function that looks for it.
//! - [`diagnose`]: all findings of the selected rules, the most costly first.
//! - [`Findings`]: the document `glowplug.findings/1`; [`sarif`] writes the same as SARIF 2.1.0.
//!
//! A rule that is not sure stays silent. What the facts leave open (no handler, no traced start) it does not guess.

mod facts;
mod finding;
mod graph;
mod names;
mod rules;
mod sarif;
mod selection;

pub use facts::{
    Bytecode, Distribution, Facts, File, FileUse, Kind, Link, Native, NativeFault, OwnModule, Requirement,
    Root, RootKind, Subject, Traced, Trimmed,
};
pub use finding::{Finding, Findings, Level, SCHEMA_FINDINGS};
pub use names::is_standard;
pub use rules::{RULES, Rule, diagnose, rule};
pub use sarif::sarif;
pub use selection::Selection;
