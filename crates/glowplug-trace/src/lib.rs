//! What the agent saw, as spans and statistics: where a function's cold start goes.
//!
//! - [`observe`] starts one fresh process with the tracing agent and gives every import, statement and lazy load.
//! - [`usage`] starts one with the usage agent and gives the modules whose functions ran.
//! - [`trace`] interleaves many starts with and without agents into the document `glowplug.trace/1`.
//!
//! The agents are the Python files `phases.py`, `passes.py`, `tracer.py` and `usage.py`, embedded here. They
//! write what they saw to a file that the engine opens for them; [`observe`] turns that into records.
//! Figures that a person reads come from starts without an agent wherever they can.

mod agent;
mod document;
mod marshal;
mod observe;
mod package;
mod recording;
mod records;
mod summary;
mod trace;

pub use document::{
    DistributionUse, Environment, FileUse, FunctionUse, Import, Phases, Statement, Trace, TraceSubprocess,
};
pub use observe::{Observation, ObserveOptions, Usage, observe, observe_with, usage};
pub use package::Distribution;
pub use records::{
    Bytecode, CachedImport, FileRecord, ImportRecord, LazyLoad, Phase, StatementRecord, Status, Subprocess,
};
pub use trace::{TraceContext, trace};
