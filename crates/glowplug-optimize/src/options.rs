//! What a build is asked to do, after the command line has been understood.

use camino::Utf8PathBuf;
use glowplug_engine::Cpu;
use glowplug_package::TrimLevel;

/// How much evidence the rule on import effects asks for before an import is deferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LazyLevel {
    /// No import is deferred.
    #[default]
    Off,
    /// The user's own code, and third-party imports whose targets are proven free of effects.
    Safe,
    /// Also third-party imports that the traced run confirms and the replay supports.
    Balanced,
    /// The replay alone decides.
    Aggressive,
}

/// What the planner makes small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Billed time: init and invokes weigh the same.
    Cost,
    /// The latency of the first request at the function's own CPU share.
    Speed,
    /// Both: the default.
    Balanced,
}

/// Where the plan comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanSource {
    /// The project's `glowplug.lock` where its tree matches, else a profiling run.
    Auto,
    /// This file, whose tree must match.
    File(Utf8PathBuf),
    /// The project's lock, which must be there and match.
    Locked,
    /// A profiling run whose plan replaces the project's lock.
    Update,
}

/// What `glowplug build` is asked for.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Folder that receives the artifact, the plan and the report.
    pub out: Utf8PathBuf,
    /// Which imports may be deferred.
    pub lazy: LazyLevel,
    /// Which files may be left out.
    pub trim: TrimLevel,
    /// What the planner makes small.
    pub objective: Objective,
    /// Events that are replayed but take no part in planning.
    pub holdout: Vec<Utf8PathBuf>,
    /// Where the plan comes from.
    pub plan: PlanSource,
    /// Plan, replay and measure also where an earlier build had the same inputs.
    pub fresh: bool,
    /// Whether the result is replayed; without it `equal` is null.
    pub verify: bool,
    /// Interleaved runs per event for the report's table; `None` for the default.
    pub runs: Option<usize>,
    /// CPU that measured runs get.
    pub cpu: Cpu,
    /// Trace the tree before and the result too, as [`crate::trace()`] does, for whoever wants to see both.
    pub traces: bool,
    /// The bandwidth at which those traces have the package fetched, in Mbit/s.
    pub bandwidth_mbit: Option<f64>,
}
