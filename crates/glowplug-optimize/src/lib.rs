//! Planner, verifier and the pipelines of `glowplug build` and `glowplug trace`.
//!
//! ```text
//!  Function ──► Subject ──► explore ──► search ──► Draft ──► verify ──► settle ──► zip, plan, Report
//!               tree,       what each   which      recipe    replay,    measured
//!               bytecode,   event       imports    and its   bisect,    before
//!               analysis    needs       to defer   reasons   pin        and after
//! ```
//!
//! - [`build`] makes the artifact and its report; the output folder is replaced in one step at the end, or not at all.
//! - [`build_fleet`] makes several, and the layers that they share.
//! - [`build_platforms`] makes an image of one for each of several machines, and joins them.
//! - [`preview`] plans and changes nothing: for `--diff` and `--explain`.
//! - [`trace`] measures the function as the user's own tools ship it.
//! - [`Code`] is the part that needs no function: what a tree leads to and what its rules may know.
//! - [`tune()`] runs the function at memory sizes, before and after a build, for whoever chooses one;
//!   [`tune_report`] has [`glowplug_capacity`] choose, and [`choose`] does so for any probe.
//! - [`doctor`] gathers what the rules of `glowplug-doctor` look at, and asks them.
//!
//! Invariants: an artifact whose replay differs from the original is never shipped; the same tree and plan give the
//! same bytes; whatever fails, or is interrupted, leaves no process and no folder behind, the cache apart.

mod absent;
mod aliases;
mod bisect;
mod build;
mod code;
mod columns;
mod compare;
mod decisions;
mod deferral;
mod doctor;
mod effects;
mod explain;
mod explore;
mod fleet;
mod folders;
mod frontier;
mod ground;
mod holdout;
mod image;
mod key;
mod later;
mod lock;
mod mask;
mod measure;
mod memory;
mod min_cut;
mod options;
mod output;
mod package_use;
mod page_cache;
mod plan;
mod platforms;
mod preview;
mod profit;
mod prover;
mod quiet;
mod reach;
mod ready;
mod reconcile;
mod remembered;
mod replay;
mod results;
mod room;
mod rulings;
mod search;
mod services;
mod settle;
mod setup;
mod shell;
mod smallest;
mod subject;
mod summaries;
mod touched;
mod trace;
mod trial;
mod tune;
mod unloaded;
mod variant;
mod verify;
mod workspace;

pub use build::{Built, build};
pub use code::Code;
pub use doctor::{DoctorOptions, doctor};
pub use fleet::{FleetBuilt, FleetSettings, build_fleet};
pub use glowplug_image::LayerFormat;
pub use glowplug_package::TrimLevel;
pub use glowplug_registry::Reference;
pub use options::{BuildOptions, Entrypoint, ImageBase, ImageOptions, LazyLevel, Objective, PlanSource};
pub use platforms::{PlatformsBuilt, build_platforms};
pub use preview::{Preview, preview};
pub use ready::{Ready, ready};
pub use trace::{TraceOptions, trace};
pub use tune::{Bench, ChoiceOptions, Local, ROUNDS, TuneOptions, Tuned, WARM, choose, tune, tune_report};
