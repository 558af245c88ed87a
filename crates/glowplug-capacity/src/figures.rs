//! The figures of one memory size, from the runs at it or from the model.

use glowplug_core::{Stat, intervals};

use crate::model::{Model, Phase, Point, median};
use crate::probe::{Outcome, Round};
use crate::speed::{Timed, Times, ms};
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
    /// Init and the first invoke, the median of each event, over the events by their weights, in ms and at one speed of the
    /// machine: what sizes are compared by.
    pub cold_ms: Option<f64>,
    /// The mean of cold and warm by the rate of cold starts, over the events by their weights, in ms and at that speed.
    pub latency: Option<Stat>,
    /// Billed duration by the same shares, in ms.
    pub billed_ms: Option<f64>,
    pub usd_per_million: Option<f64>,
    /// The 95 % interval of the cost, environments drawn; nothing where it is a model's.
    pub usd_interval: Option<(f64, f64)>,
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
            cold_ms: None,
            latency: None,
            billed_ms: None,
            usd_per_million: None,
            usd_interval: None,
            peak_bytes: None,
            events: Vec::new(),
        }
    }
}

/// Times of one event, in ms.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTimes {
    pub init: Option<Stat>,
    /// Processor time of init, where it is known of all runs.
    pub init_cpu: Option<Stat>,
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
    /// The 95 % interval of each, in their order; nothing where they are a model's. Environments are what is drawn: the warm
    /// invokes of one of them are not independent.
    pub intervals: Option<[(f64, f64); 3]>,
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
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, intervals: None })
    }

    /// Of what `times` takes from the rounds of each event, with intervals.
    fn of(rounds: &[Vec<Round>], weights: &[f64], times: fn(&Round) -> Vec<f64>) -> Option<Self> {
        let times: Vec<Vec<Vec<f64>>> =
            rounds.iter().map(|rounds| rounds.iter().map(times).collect()).collect();
        let count = times.iter().map(Vec::len).min().unwrap_or_default();
        let all: Vec<usize> = (0..count).collect();
        let found = Self::weighted(mixed(&times, weights, &all))?;
        let intervals = intervals(count, |drawn| {
            let again = Self::weighted(mixed(&times, weights, drawn)).unwrap_or(found);
            [again.p50, again.p90, again.p99]
        });
        Some(Self { intervals: Some(intervals), ..found })
    }
}

/// The times of some rounds of each event, each by its part of all events.
fn mixed(times: &[Vec<Vec<f64>>], weights: &[f64], rounds: &[usize]) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    for (times, weight) in times.iter().zip(weights) {
        let values = || rounds.iter().flat_map(|at| &times[*at]);
        let each = weight / values().count().max(1) as f64;
        all.extend(values().map(|value| (*value, each)));
    }
    all
}

/// Init and first invoke of each round that had a cold start.
fn cold(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().filter_map(|r| r.cold.as_ref()).map(|c| ms(c.init_us + c.first.wall_us)).collect()
}

/// Processor times of init; nothing where one is not known.
fn init_cpus(rounds: &[Round]) -> Option<Vec<f64>> {
    rounds.iter().filter_map(|round| round.cold.as_ref()).map(|cold| cold.init_cpu_us.map(ms)).collect()
}

fn warm(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().flat_map(|round| &round.warm).map(|invoke| ms(invoke.wall_us)).collect()
}

/// What a phase usually takes over rounds, and its processor time, in ms. An init that was ended says nothing of what it
/// takes, nor does an invoke with another one in it.
pub(crate) fn point(memory_mb: u32, times: &[Times], phase: Phase) -> Option<Point> {
    let timed: Vec<Timed> = times.iter().filter_map(|times| times.phase(phase)).collect();
    let walls: Vec<f64> = timed.iter().map(|timed| timed.wall).collect();
    let cpu: Option<Vec<f64>> = timed.iter().map(|timed| timed.cpu).collect();
    Some(Point { memory_mb, wall: median(&walls)?, cpu: cpu.and_then(|cpu| median(&cpu)) })
}

/// The figures of a size that was measured; `rounds` has those of each event, and `times` the same at one speed of the machine:
/// what sizes are compared by. `doubt` is how far that may be off, a standard error as a part.
pub(crate) fn measured(
    memory_mb: u32,
    rounds: &[Vec<Round>],
    times: &[Vec<Times>],
    doubt: f64,
    settings: &Settings,
) -> Option<Tier> {
    let (weights, rate) = (settings.shares(), settings.cold_rate);
    let each = |rounds: &Vec<Round>| EventTimes {
        init: Stat::of(
            &rounds.iter().filter_map(|r| r.cold.as_ref()).map(|c| ms(c.init_us)).collect::<Vec<_>>(),
        ),
        init_cpu: init_cpus(rounds).and_then(|cpus| Stat::of(&cpus)),
        cold: Stat::of(&cold(rounds)),
        warm: Stat::of(&warm(rounds)),
    };
    let count = times.iter().map(Vec::len).min().unwrap_or_default();
    let usd = |drawn: &[usize]| {
        let (cold, warm) = billed(times, &weights, drawn)?;
        Some(settings.usd(memory_mb, cold, warm))
    };
    let all: Vec<usize> = (0..count).collect();
    let (billed_cold, billed_warm) = billed(times, &weights, &all)?;
    let found = settings.usd(memory_mb, billed_cold, billed_warm);
    let [(low, high)] = intervals(count, |drawn| [usd(drawn).unwrap_or(found)]);
    let latency = Stat::of(&latencies(times, &weights, rate)).map(|stat| {
        let (low, high) = widened((stat.low, stat.high), stat.median, doubt);
        Stat { low, high, ..stat }
    });
    let colds = times.iter().zip(&weights).map(|(times, weight)| {
        Some(weight * median(&times.iter().filter_map(Times::cold_ms).collect::<Vec<_>>())?)
    });
    Some(Tier {
        measured: true,
        outcome: Some(Outcome::Answered),
        reason: None,
        cold: Percentiles::of(rounds, &weights, |round| cold(std::slice::from_ref(round))),
        warm: Percentiles::of(rounds, &weights, |round| warm(std::slice::from_ref(round))),
        cold_ms: colds.sum(),
        latency,
        billed_ms: Some(rate * billed_cold + (1.0 - rate) * billed_warm),
        usd_per_million: Some(found),
        usd_interval: Some(widened((low, high), found, doubt)),
        peak_bytes: rounds.iter().flatten().filter_map(|round| round.peak_bytes).max(),
        events: rounds.iter().map(each).collect(),
        ..Tier::without(memory_mb, None, String::new())
    })
}

/// An interval around a value that may be off by something else, too, a standard error as a part of it: what both make together
/// on either side, as independent errors add up.
fn widened((low, high): (f64, f64), at: f64, doubt: f64) -> (f64, f64) {
    if at <= 0.0 {
        return (low, high);
    }
    let more = 1.96 * doubt * at;
    (at - (at - low).max(0.0).hypot(more), at + (high - at).max(0.0).hypot(more))
}

/// Billed durations of a cold and of a warm invoke, in ms: what is usual over some rounds of each event, by the events' shares.
fn billed(times: &[Vec<Times>], weights: &[f64], drawn: &[usize]) -> Option<(f64, f64)> {
    let (mut cold, mut warm) = (0.0, 0.0);
    for (times, weight) in times.iter().zip(weights) {
        let usual = |of: fn(&Times) -> Option<f64>| {
            median(&drawn.iter().filter_map(|at| of(&times[*at])).collect::<Vec<_>>())
        };
        cold += weight * usual(|times| times.billed_cold)?;
        warm += weight * usual(|times| times.billed_warm)?;
    }
    Some((cold, warm))
}

/// The latency of each round, all events together.
fn latencies(times: &[Vec<Times>], weights: &[f64], rate: f64) -> Vec<f64> {
    let count = times.iter().map(Vec::len).min().unwrap_or_default();
    let one = |at: usize| {
        times.iter().zip(weights).map(move |(times, weight)| {
            let cold = times[at].cold_ms()?;
            let warm = times[at].warm.map_or(cold, |warm| warm.wall);
            Some(weight * (rate * cold + (1.0 - rate) * warm))
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
        cold_ms: Some(mean(&colds, same)),
        cold: Percentiles::weighted(colds),
        warm: Percentiles::weighted(warms),
        latency: Some(Stat { median: latency, low: latency, high: latency, spread: 0.0, runs: 0 }),
        billed_ms: Some(rate * billed_cold + (1.0 - rate) * billed_warm),
        usd_per_million: Some(settings.usd(memory_mb, billed_cold, billed_warm)),
        ..Tier::without(memory_mb, None, String::new())
    })
}

/// The value at `at` on the line between two points.
fn between(low: (f64, f64), high: (f64, f64), at: f64) -> f64 {
    if (high.0 - low.0).abs() < 1e-9 {
        return low.1;
    }
    low.1 + (high.1 - low.1) * ((at - low.0) / (high.0 - low.0)).clamp(0.0, 1.0)
}

/// What a modelled size has to be multiplied by, from what its measured neighbours are over what the model says of them.
pub(crate) fn correction(
    size: u32,
    known: &[Tier],
    models: &[[Option<Model>; 3]],
    settings: &Settings,
) -> Option<f64> {
    let ratio = |tier: &Tier| {
        let says = modelled(tier.memory_mb, models, 1.0, settings)?.latency?.median;
        Some(tier.latency?.median / says.max(1e-6))
    };
    let place = |size: u32| f64::from(size).ln();
    let usable = || known.iter().filter(|tier| tier.works().is_some());
    let below = usable().rfind(|tier| tier.memory_mb < size);
    let above = usable().find(|tier| tier.memory_mb > size);
    match (below, above) {
        (Some(below), Some(above)) => {
            let low = (place(below.memory_mb), ratio(below)?);
            let high = (place(above.memory_mb), ratio(above)?);
            Some(between(low, high, place(size)))
        }
        (Some(one), None) | (None, Some(one)) => ratio(one),
        (None, None) => None,
    }
}
