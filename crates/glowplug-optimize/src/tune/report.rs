//! From a function to its report: the sizes, what is measured of them, the choice.

use std::time::Instant;

use indexmap::IndexMap;

use glowplug_capacity::{
    EventTimes, Outcome, Percentiles, Place, Prices, Probe, Settings, TIERS, Tier, Tuning, Variant, Watcher,
};
use glowplug_core::{Cache, Error, Progress, Result};
use glowplug_function::Function;
use glowplug_report::{
    Best, EventFigures, TierStatus, TuneForm, TuneFunction, TuneParameters, TuneReport, TuneTier,
};

use crate::options::Objective;
use crate::tune::{TuneOptions, tune};

/// Rounds where no number is given.
pub const ROUNDS: usize = 5;
/// Warm invokes after each cold one.
pub const WARM: u32 = 4;
/// Bytes in what reports call a MB.
const MIB: f64 = 1024.0 * 1024.0;

/// What is chosen, among what.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceOptions {
    /// Sizes in MB; none for the usual ones and the function's own.
    pub sizes: Vec<u32>,
    /// Whether every size is measured, not only those that the choice depends on.
    pub grid: bool,
    /// New environments for each form, size and event.
    pub runs: Option<usize>,
    /// What the choice makes small.
    pub objective: Objective,
    /// What cost counts where that is both, from 0 to 1.
    pub balanced_weight: f64,
    /// Share of requests that start cold, from 0 to 1.
    pub cold_rate: f64,
    /// What time costs.
    pub prices: Prices,
    /// Where it costs that.
    pub region: String,
}

/// What is tuned, whoever runs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The function.
    pub function: TuneFunction,
    /// `local` or `aws`.
    pub target: String,
    /// Names of the events with their shares, in the order in which a probe is asked for them.
    pub events: Vec<(String, f64)>,
    /// Its forms; the last one is chosen for.
    pub variants: Vec<Variant>,
    /// Size of `/tmp` in MB.
    pub ephemeral_mb: u32,
    /// The largest size that can be run, in MB.
    pub most_mb: u32,
    /// Whether init has one vCPU at least.
    pub boost: bool,
    /// Whether times are scaled from processor time.
    pub scaled: bool,
    /// What a reader has to know, a sentence each.
    pub notes: Vec<String>,
}

/// Runs `function` at memory sizes and chooses one. An interruption gives what there was until then
/// ([`TuneReport::complete`]).
///
/// # Errors
/// As [`tune()`]; input where a named size needs more processors than this machine has.
pub fn tune_report(
    function: &Function,
    options: &TuneOptions,
    choice: &ChoiceOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<TuneReport> {
    tune(function, options, cache, progress, |bench, probe| {
        if let Some(size) = choice.sizes.iter().find(|size| **size > bench.most_mb) {
            return Err(Error::input(format!("{size} MB cannot be measured here"))
                .cause("its share of processors is more than this machine has (1769 MB are one)")
                .hint(format!("leave out of `--tiers` what is above {} MB", bench.most_mb)));
        }
        let tuned = Tuned {
            function: TuneFunction {
                name: function.name.clone(),
                architecture: function.architecture,
                memory_mb: function.memory_mb,
            },
            target: "local".to_owned(),
            events: bench.events.clone(),
            variants: bench.variants.clone(),
            ephemeral_mb: glowplug_capacity::FREE_EPHEMERAL_MB,
            most_mb: bench.most_mb,
            boost: options.init_boost,
            scaled: bench.scaled,
            notes: bench.notes.clone(),
        };
        choose(&tuned, choice, probe, progress)
    })
}

/// Has a probe run what is tuned, and reports what comes of it.
///
/// # Errors
/// As [`glowplug_capacity::tune`].
pub fn choose(
    tuned: &Tuned,
    choice: &ChoiceOptions,
    probe: &mut dyn Probe,
    progress: &dyn Progress,
) -> Result<TuneReport> {
    let settings = settings(tuned, choice);
    progress.start("Running it at memory sizes", None);
    let mut told = Told { progress, started: Instant::now(), runs: 0 };
    let tuning = glowplug_capacity::tune(&settings, probe, &mut told);
    progress.finish();
    Ok(document(tuned, choice, &tuning?))
}

fn settings(tuned: &Tuned, choice: &ChoiceOptions) -> Settings {
    let named = !choice.sizes.is_empty();
    Settings {
        tiers: if named { choice.sizes.clone() } else { TIERS.to_vec() },
        current_mb: Some(tuned.function.memory_mb)
            .filter(|size| *size <= tuned.most_mb && (!named || choice.sizes.contains(size))),
        grid: choice.grid,
        objective: match choice.objective {
            Objective::Cost => glowplug_capacity::Objective::Cost,
            Objective::Speed => glowplug_capacity::Objective::Speed,
            Objective::Balanced => glowplug_capacity::Objective::Balanced,
        },
        balanced_weight: choice.balanced_weight,
        cold_rate: choice.cold_rate,
        weights: tuned.events.iter().map(|(_, weight)| *weight).collect(),
        variants: tuned.variants.clone(),
        rounds: choice.runs.unwrap_or(ROUNDS) as u32,
        warm: WARM,
        most_mb: tuned.most_mb,
        boost: tuned.boost,
        scaled: tuned.scaled,
        prices: choice.prices.clone(),
        place: Place {
            architecture: tuned.function.architecture,
            region: choice.region.clone(),
            ephemeral_mb: tuned.ephemeral_mb,
        },
    }
}

/// Tells how far it is, and now and then how long it will take.
struct Told<'a> {
    progress: &'a dyn Progress,
    started: Instant,
    runs: usize,
}

impl Watcher for Told<'_> {
    fn ran(&mut self, runs: usize, expected: usize) {
        self.runs = runs;
        self.progress.advance(1);
        let quarter = expected.div_ceil(4);
        if runs > 0 && runs.is_multiple_of(quarter) && runs < expected {
            let each = self.started.elapsed().as_secs_f64() / runs as f64;
            let left = each * (expected - runs) as f64;
            if left >= 1.0 {
                self.progress.note(&format!("{runs} runs, about {left:.0} s left at most"));
            }
        }
    }
}

fn document(tuned: &Tuned, choice: &ChoiceOptions, tuning: &Tuning) -> TuneReport {
    let form = |variant: Variant| {
        let tiers = tuning.forms.iter().find(|(of, _)| *of == variant).map(|(_, tiers)| tiers);
        tiers.map(|tiers| TuneForm { tiers: tiers.iter().map(|tier| figures(tuned, tuning, tier)).collect() })
    };
    let mut tiers = tuning.forms.iter().flat_map(|(_, tiers)| tiers);
    let modelled = tiers.any(|tier| !tier.measured && tier.latency.is_some());
    let (before, after) = (form(Variant::Before).unwrap_or_default(), form(Variant::After));
    TuneReport {
        schema: TuneReport::SCHEMA.to_owned(),
        function: tuned.function.clone(),
        parameters: TuneParameters {
            target: tuned.target.clone(),
            cpu: if tuned.scaled { "unlimited" } else { "share" }.to_owned(),
            init_boost: tuned.boost,
            cold_rate: choice.cold_rate,
            objective: objective(choice.objective).to_owned(),
            balanced_weight: choice.balanced_weight,
            region: choice.region.clone(),
            prices: choice.prices.dated.clone(),
        },
        tiers: after.as_ref().unwrap_or(&before).tiers.clone(),
        best: Best { speed: tuning.best.speed, cost: tuning.best.cost, balanced: tuning.best.balanced },
        chosen: tuning.chosen,
        pareto: tuning.pareto.clone(),
        lowest_mb: tuning.lowest_mb,
        runs: tuning.runs,
        grid_runs: tuning.grid_runs,
        model_error: tuning.model_error.map(|(median, _)| median).filter(|_| modelled),
        before,
        after,
        advice: tuning.advice.clone(),
        complete: tuning.complete,
        notes: tuned.notes.iter().cloned().chain(raised(tuned, tuning)).chain(tuning.notes.clone()).collect(),
    }
}

/// The events that fail on purpose, as it seems.
fn raised<'a>(tuned: &'a Tuned, tuning: &'a Tuning) -> impl Iterator<Item = String> + 'a {
    let pairs = tuned.events.iter().zip(&tuning.raised);
    let failing = pairs.filter_map(|((name, _), kind)| Some((name, kind.as_ref()?)));
    failing.map(|(name, kind)| {
        format!("event `{name}` ends in `{kind}` at every size: it is measured as an answer like any other")
    })
}

fn figures(tuned: &Tuned, tuning: &Tuning, tier: &Tier) -> TuneTier {
    let status = match &tier.outcome {
        None => TierStatus::NotMeasured,
        Some(Outcome::Answered) => TierStatus::Answered,
        Some(Outcome::OutOfMemory) => TierStatus::OutOfMemory,
        Some(Outcome::TimedOut) => TierStatus::TimedOut,
        Some(Outcome::Raised { .. } | Outcome::Failed { .. }) => TierStatus::Failed,
    };
    let too_small = tier.outcome.is_none() && tuning.lowest_mb.is_some_and(|least| tier.memory_mb < least);
    let percentiles = |times: Option<Percentiles>| {
        times.map(|t| glowplug_report::Percentiles {
            p50: t.p50,
            p90: t.p90,
            p99: t.p99,
            intervals: t.intervals.map(|[p50, p90, p99]| glowplug_report::Intervals { p50, p90, p99 }),
        })
    };
    let times = |times: &EventTimes| EventFigures {
        init_ms: times.init,
        init_cpu_ms: times.init_cpu,
        cold_ms: times.cold,
        warm_ms: times.warm,
    };
    let events: IndexMap<String, EventFigures> =
        tuned.events.iter().map(|(name, _)| name.clone()).zip(tier.events.iter().map(times)).collect();
    TuneTier {
        memory_mb: tier.memory_mb,
        measured: tier.measured,
        status,
        reason: tier.reason.clone(),
        cold_ms: percentiles(tier.cold),
        warm_ms: percentiles(tier.warm),
        latency_ms: tier.latency,
        billed_ms: tier.billed_ms,
        usd_per_million: tier.usd_per_million,
        usd_interval: tier.usd_interval,
        out_of_memory: status == TierStatus::OutOfMemory || too_small,
        peak_mb: tier.peak_bytes.map(|bytes| bytes as f64 / MIB),
        events,
    }
}

fn objective(objective: Objective) -> &'static str {
    match objective {
        Objective::Cost => "cost",
        Objective::Speed => "speed",
        Objective::Balanced => "balanced",
    }
}
