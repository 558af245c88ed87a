//! The types of `glowplug.tune/1`. Times are in ms, sizes in MB as Lambda counts them, money in US dollars; what was not
//! measured is `null`.

use glowplug_core::{Architecture, SCHEMA_TUNE, Stat};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What a function does at memory sizes, and which one to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneReport {
    /// [`SCHEMA_TUNE`].
    pub schema: String,
    /// Which function.
    pub function: TuneFunction,
    /// How it was run and priced.
    pub parameters: TuneParameters,
    /// The sizes of the form that is chosen among: what a build makes, else the function as it is.
    pub tiers: Vec<TuneTier>,
    /// The best size by each objective; `null` where none works.
    pub best: Best,
    /// The best by the objective that was asked for.
    pub chosen: Option<u32>,
    /// Sizes than which no other is both faster and cheaper, the cheapest first.
    pub pareto: Vec<u32>,
    /// The smallest size that does not run out of memory.
    pub lowest_mb: Option<u32>,
    /// Environments that were started.
    pub runs: usize,
    /// Environments that measuring every size would have started.
    pub grid_runs: usize,
    /// Median relative error of the model at sizes that it was not fitted to; `null` where every size was measured, or
    /// too few were.
    pub model_error: Option<f64>,
    /// The function as it is, with valid bytecode.
    pub before: TuneForm,
    /// What a build makes of it; `null` where there is none.
    pub after: Option<TuneForm>,
    /// What moving to the chosen size gives, in a sentence.
    pub advice: Option<String>,
    /// Whether it came to its end; otherwise what had been measured until it was interrupted.
    pub complete: bool,
    /// What a reader has to know of the figures, a sentence each.
    pub notes: Vec<String>,
}

impl TuneReport {
    /// The name and version of this form.
    pub const SCHEMA: &str = SCHEMA_TUNE;

    /// Whether figures of any size are a model's.
    pub fn has_modelled(&self) -> bool {
        let tiers = self.before.tiers.iter().chain(self.after.iter().flat_map(|form| &form.tiers));
        tiers.into_iter().any(|tier| !tier.measured && tier.latency_ms.is_some())
    }

    /// The size `memory_mb` of the form that is chosen among.
    pub fn tier(&self, memory_mb: u32) -> Option<&TuneTier> {
        self.tiers.iter().find(|tier| tier.memory_mb == memory_mb)
    }
}

/// The function that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneFunction {
    /// Its name.
    pub name: String,
    /// `x86_64` or `arm64`.
    pub architecture: Architecture,
    /// The size that it has now.
    pub memory_mb: u32,
}

/// How it was run and priced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneParameters {
    /// `local` or `aws`.
    pub target: String,
    /// `share`, or `unlimited` where times are scaled from processor time.
    pub cpu: String,
    /// Whether init gets one vCPU where the share is less.
    pub init_boost: bool,
    /// Share of requests that start cold.
    pub cold_rate: f64,
    /// `speed`, `cost` or `balanced`.
    pub objective: String,
    /// What cost counts where the objective is `balanced`.
    pub balanced_weight: f64,
    /// Whose prices.
    pub region: String,
    /// Of when.
    pub prices: String,
}

/// One form of the function.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TuneForm {
    /// By size, the smallest first.
    pub tiers: Vec<TuneTier>,
}

/// How runs at a size ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierStatus {
    /// All were answered.
    Answered,
    /// The memory was not enough.
    OutOfMemory,
    /// Init or an invoke took longer than it may.
    TimedOut,
    /// The function failed.
    Failed,
    /// It was not run.
    NotMeasured,
}

/// A memory size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneTier {
    /// MB.
    pub memory_mb: u32,
    /// Whether the figures come from runs; otherwise a model's.
    pub measured: bool,
    /// How the runs ended.
    pub status: TierStatus,
    /// Why the size is not chosen from.
    pub reason: Option<String>,
    /// Init and the first invoke, over the events by their weights.
    pub cold_ms: Option<Percentiles>,
    /// Later invokes.
    pub warm_ms: Option<Percentiles>,
    /// Latency at the rate of cold starts: the mean of cold and warm by their shares, its median over the rounds.
    pub latency_ms: Option<Stat>,
    /// Billed duration at the rate of cold starts.
    pub billed_ms: Option<f64>,
    /// Cost of a million invokes at that rate.
    pub usd_per_million: Option<f64>,
    /// Its 95 % interval; `null` where it is a model's.
    #[serde(default)]
    pub usd_interval: Option<(f64, f64)>,
    /// Whether the memory was not enough.
    pub out_of_memory: bool,
    /// The most memory that the interpreter had in use, in MB.
    pub peak_mb: Option<f64>,
    /// By event.
    pub events: IndexMap<String, EventFigures>,
}

/// Of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFigures {
    /// Init.
    pub init_ms: Option<Stat>,
    /// Processor time of it, where it is known.
    pub init_cpu_ms: Option<Stat>,
    /// Init and the first invoke.
    pub cold_ms: Option<Stat>,
    /// Later invokes.
    pub warm_ms: Option<Stat>,
}

/// Percentiles of single invokes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// The 95 % bootstrap intervals, environments drawn; `null` where the figures are a model's.
    #[serde(default)]
    pub intervals: Option<Intervals>,
}

/// Lower and upper ends of the intervals of percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of the 50th.
    pub p50: (f64, f64),
    /// Of the 90th.
    pub p90: (f64, f64),
    /// Of the 99th.
    pub p99: (f64, f64),
}

/// The best sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Best {
    /// By latency.
    pub speed: Option<u32>,
    /// By cost.
    pub cost: Option<u32>,
    /// By both.
    pub balanced: Option<u32>,
}
