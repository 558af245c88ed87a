//! What the agent saw, as spans and statistics: where a function's cold start goes.
//!
//! - [`observe`] starts one fresh process with the tracing agent and gives every import, statement and lazy load.
//! - [`usage`] starts one with the usage agent and gives the modules whose functions ran.
//! - [`trace`] interleaves many starts with and without agents into the document `glowplug.trace/1`.
//! - [`advise`] reads off a trace what to do next, [`compare`] what has changed since another one.
//!
//! The agents are the Python files `phases.py`, `passes.py`, `tracer.py` and `usage.py`, embedded here. They
//! write what they saw to a file that the engine opens for them; [`observe`] turns that into records.
//! Figures that a person reads come from starts without an agent wherever they can.

mod advice;
mod agent;
mod cold;
mod compare;
mod document;
pub mod export;
mod failing;
mod interpreter;
mod marshal;
mod observe;
mod package;
mod passes;
mod reader;
mod recording;
mod records;
mod shares;
mod summary;
mod trace;
mod tree;
mod users;

pub use advice::advise;
pub use compare::{
    Blame, Cause, Comparison, Difference, DistributionChange, ModuleChange, PhaseChange, Ratio,
    SCHEMA_COMPARISON, StatementChange, compare, read_trace,
};
pub use document::{
    Advice, ColdCache, Compiled, ConnectionUse, DistributionUse, Environment, FileUse, FunctionUse, Import,
    InvokeParts, Kinds, Line, PackagePart, PackageUse, Phases, RuntimeParts, Statement, Trace,
    TraceSubprocess,
};
pub use failing::{failing_import, failing_index, failing_statement, timed_out};
pub use observe::{Observation, ObserveOptions, Usage, observe, observe_with, usage};
pub use package::Distribution;
pub use records::{
    Bytecode, CachedImport, Connection, FileRecord, ImportRecord, LazyLoad, Phase, StatementRecord, Status,
    Subprocess,
};
pub use trace::{TraceContext, trace};
pub use tree::{Asker, ImportTree, MAIN_THREAD};
pub use users::{Ruling, Rulings, event_names, is_usage_known};
