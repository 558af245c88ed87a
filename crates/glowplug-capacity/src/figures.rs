//! The figures of one memory size, from the runs at it or from the model.

use glowplug_core::Stat;

use crate::model::{Model, Phase, Point, median};
use crate::probe::{Outcome, Round};
use crate::tune::Settings;

/// A memory size of one form of the function.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    pub memory_mb: u32,
    /// Whether the figures come from runs; otherwise they are the model's, or there are none.
    pub measured: bool,
    /// How the runs ended: the first that was not answered, if any. Nothing where there were none.
    pub outcome: Option<Outcome>,
    /// Why the size is not chosen from.
    pub reason: Option<String>,
    /// Init and the first invoke, over the events by their weights, in ms.
    pub cold: Option<Percentiles>,
    /// Later invokes.
    pub warm: Option<Percentiles>,
    /// The mean of cold and warm by the rate of cold starts, over the events by their weights, in ms.
    pub latency: Option<Stat>,
    /// Billed duration by the same shares, in ms.
    pub billed_ms: Option<f64>,
    pub usd_per_million: Option<f64>,
    /// The most memory that an environment had in use.
    pub peak_bytes: Option<u64>,
    /// By event, in their order.
    pub events: Vec<EventTimes>,
}

impl Tier {
    /// Whether it can be chosen: its latency and its cost.
    pub fn works(&self) -> Option<(f64, f64)> {
        if self.reason.is_some() {
            return None;
        }
        Some((self.latency?.median, self.usd_per_million?))
    }

    /// One without figures.
    pub(crate) fn without(memory_mb: u32, outcome: Option<Outcome>, reason: String) -> Self {
        Self {
            memory_mb,
            measured: outcome.is_some(),
            outcome,
            reason: Some(reason),
            cold: None,
            warm: None,
            latency: None,
            billed_ms: None,
            usd_per_million: None,
            peak_bytes: None,
            events: Vec::new(),
        }
    }
}

/// Times of one event, in ms.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTimes {
    pub init: Option<Stat>,
    /// Init and the first invoke.
    pub cold: Option<Stat>,
    pub warm: Option<Stat>,
}

/// Percentiles of single invokes, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

impl Percentiles {
    /// Of samples that stand for different shares of what happens.
    fn weighted(mut samples: Vec<(f64, f64)>) -> Option<Self> {
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: f64 = samples.iter().map(|(_, weight)| weight).sum();
        let at = |q: f64| {
            let mut passed = 0.0;
            let found = samples.iter().find(|(_, weight)| {
                passed += weight;
                passed >= q * all - 1e-12
            });
            found.or(samples.last()).map(|(value, _)| *value)
        };
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)? })
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Init and first invoke of each round that had a cold start.
fn cold(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().filter_map(|r| r.cold.as_ref()).map(|c| ms(c.init_us + c.first.wall_us)).collect()
}

fn warm(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().flat_map(|round| &round.warm).map(|invoke| ms(invoke.wall_us)).collect()
}

/// The median of a phase over rounds, and of its processor time, in ms.
pub(crate) fn point(memory_mb: u32, rounds: &[Round], phase: Phase) -> Option<Point> {
    // An init that was ended says nothing of what it takes, nor does an invoke with another one in it.
    let colds = || rounds.iter().filter_map(|round| round.cold.as_ref()).filter(|cold| !cold.repeated);
    let warms = || rounds.iter().flat_map(|round| &round.warm);
    let (walls, cpus): (Vec<f64>, Vec<Option<u64>>) = match phase {
        Phase::Init => colds().map(|c| (ms(c.init_us), c.init_cpu_us)).unzip(),
        Phase::First => colds().map(|c| (ms(c.first.wall_us), c.first.cpu_us)).unzip(),
        Phase::Warm => warms().map(|invoke| (ms(invoke.wall_us), invoke.cpu_us)).unzip(),
    };
    let cpu: Vec<f64> = cpus.into_iter().flatten().map(ms).collect();
    Some(Point { memory_mb, wall: median(&walls)?, cpu: median(&cpu) })
}

/// The figures of a size that was measured; `rounds` has those of each event.
pub(crate) fn measured(memory_mb: u32, rounds: &[Vec<Round>], settings: &Settings) -> Option<Tier> {
    let weights = settings.shares();
    let (mut all_cold, mut all_warm, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let (mut billed_cold, mut billed_warm) = (0.0, 0.0);
    for (rounds, weight) in rounds.iter().zip(&weights) {
        let (colds, warms) = (cold(rounds), warm(rounds));
        let each = |values: &[f64]| weight / values.len().max(1) as f64;
        all_cold.extend(colds.iter().map(|value| (*value, each(&colds))));
        all_warm.extend(warms.iter().map(|value| (*value, each(&warms))));
        let inits: Vec<f64> = rounds.iter().filter_map(|r| r.cold.as_ref()).map(|c| ms(c.init_us)).collect();
        events.push(EventTimes { init: Stat::of(&inits), cold: Stat::of(&colds), warm: Stat::of(&warms) });
        let firsts = rounds.iter().filter_map(|r| r.cold.as_ref()).map(|c| c.first.billed_ms as f64);
        let laters = rounds.iter().flat_map(|r| &r.warm).map(|invoke| invoke.billed_ms as f64);
        billed_cold += weight * median(&firsts.collect::<Vec<_>>())?;
        billed_warm += weight * median(&laters.collect::<Vec<_>>())?;
    }
    let rate = settings.cold_rate;
    Some(Tier {
        measured: true,
        outcome: Some(Outcome::Answered),
        reason: None,
        cold: Percentiles::weighted(all_cold),
        warm: Percentiles::weighted(all_warm),
        latency: Stat::of(&latencies(rounds, &weights, rate)),
        billed_ms: Some(rate * billed_cold + (1.0 - rate) * billed_warm),
        usd_per_million: Some(settings.usd(memory_mb, billed_cold, billed_warm)),
        peak_bytes: rounds.iter().flatten().filter_map(|round| round.peak_bytes).max(),
        events,
        ..Tier::without(memory_mb, None, String::new())
    })
}

/// The latency of each round, all events together.
fn latencies(rounds: &[Vec<Round>], weights: &[f64], rate: f64) -> Vec<f64> {
    let count = rounds.iter().map(Vec::len).min().unwrap_or_default();
    let one = |at: usize| {
        rounds.iter().zip(weights).map(move |(rounds, weight)| {
            let round = std::slice::from_ref(&rounds[at]);
            let cold = median(&cold(round))?;
            Some(weight * (rate * cold + (1.0 - rate) * median(&warm(round)).unwrap_or(cold)))
        })
    };
    (0..count).filter_map(|at| one(at).sum::<Option<f64>>()).collect()
}

/// What the model says of each event at a size, set right by a factor. Percentiles are those of the events' figures by their
/// shares: how far single runs of one event lie apart, no model says.
pub(crate) fn modelled(
    memory_mb: u32,
    models: &[[Option<Model>; 3]],
    by: f64,
    settings: &Settings,
) -> Option<Tier> {
    let (weights, rate) = (settings.shares(), settings.cold_rate);
    let (mut colds, mut warms) = (Vec::new(), Vec::new());
    for (models, weight) in models.iter().zip(&weights) {
        let [init, first, warm] = models;
        let cold = init.as_ref()?.at(memory_mb) + first.as_ref()?.at(memory_mb);
        colds.push((by * cold, *weight));
        warms.push((by * warm.as_ref().or(first.as_ref())?.at(memory_mb), *weight));
    }
    let mean = |values: &[(f64, f64)], of: fn(f64) -> f64| -> f64 {
        values.iter().map(|(value, weight)| weight * of(*value)).sum()
    };
    let same: fn(f64) -> f64 = |ms| ms;
    let latency = rate * mean(&colds, same) + (1.0 - rate) * mean(&warms, same);
    let (billed_cold, billed_warm) = (mean(&colds, f64::ceil), mean(&warms, f64::ceil));
    Some(Tier {
        reason: None,
        cold: Percentiles::weighted(colds),
        warm: Percentiles::weighted(warms),
        latency: Some(Stat { median: latency, low: latency, high: latency, spread: 0.0, runs: 0 }),
        billed_ms: Some(rate * billed_cold + (1.0 - rate) * billed_warm),
        usd_per_million: Some(settings.usd(memory_mb, billed_cold, billed_warm)),
        ..Tier::without(memory_mb, None, String::new())
    })
}

/// The value at `at` on the line between two points.
pub(crate) fn between(low: (f64, f64), high: (f64, f64), at: f64) -> f64 {
    if (high.0 - low.0).abs() < 1e-9 {
        return low.1;
    }
    low.1 + (high.1 - low.1) * ((at - low.0) / (high.0 - low.0)).clamp(0.0, 1.0)
}
