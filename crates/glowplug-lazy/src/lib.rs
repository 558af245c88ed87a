//! Which edits make an import lazy, and the check that they are sound: facts in, candidates and edit lists out.
//! Pure: no file is read here.
//!
//! [`Candidates::find`] judges every import of a tree by the rules in `rules`; [`Candidates::edits`] turns a choice
//! of them into what the compiler in the target interpreter does; [`Candidates::diff`] shows that choice as the
//! source a person would write.

mod candidates;
mod diff;
mod edits;
mod globals;
mod graph;
mod provided;
mod rules;
mod surroundings;
mod world;

pub use candidates::{Candidate, CandidateKind, Candidates};
pub use edits::{AbsentEdit, ClauseEdit, FileEdits, NameEdit};
pub use rules::{Refusal, Rule};

/// Source of the private module that an artifact with deferred imports carries; it goes into the tree
/// under [`glowplug_core::SUPPORT_MODULE`] or a free name like it.
pub const SUPPORT_SOURCE: &str = include_str!("../../../python/glowplug_agent/support.py");

/// The module that an artifact carries which lacks modules, under [`glowplug_core::ABSENT_MODULE`] or a free name like
/// it; beside it lies a JSON file of the same name: `rules` (rule → sentence), `modules` (dotted name → rule).
pub const ABSENT_SOURCE: &str = include_str!("../../../python/glowplug_agent/absent.py");
