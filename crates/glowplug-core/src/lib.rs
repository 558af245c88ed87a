//! Values that every room of glowplug shares and that know nobody else: errors with a cause and a
//! next step, measured statistics, decisions, verdicts, units, names of the contract.
//!
//! Nothing here reads a file, starts a process or prints, [`Cache`] apart, which only names folders.

mod cache;
mod decision;
mod error;
mod extents;
mod names;
mod progress;
mod python;
mod stat;
mod units;
mod verdict;

pub use cache::Cache;
pub use decision::{Decision, DecisionKind, DecisionState, Plan, PlanFunction, Together};
pub use error::{Error, ErrorClass, Result};
pub use extents::Extents;
pub use names::{
    ABSENT_MODULE, LAYER_ROOT, OUTPUT_MARKER, SCHEMA_FLEET, SCHEMA_IMAGES, SCHEMA_LAYERS, SCHEMA_PLAN,
    SCHEMA_REPORT, SCHEMA_TRACE, SCHEMA_TUNE, SUPPORT_MODULE, TASK_ROOT,
};
pub use progress::{NoProgress, Progress};
pub use python::{Architecture, Libc, PythonVersion};
pub use stat::{Stat, intervals, quantile};
pub use units::{civil_date, format_bytes, format_hex, format_ms, iso8601, parse_bytes};
pub use verdict::{Difference, Holdout, Verdict};
