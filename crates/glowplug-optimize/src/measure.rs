//! Interleaved cold and warm starts of several trees: the figures of the report.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use indexmap::IndexMap;

use glowplug_core::{Error, Progress, Result, Stat};
use glowplug_engine::{Cpu, Environment, Init, InitOutcome, Outcome};

use glowplug_function::Event;

use crate::ground::Ground;
use crate::profit::Profit;
use crate::trial::init_failed;

/// Warm invokes after each cold one, at least and at most; their median is one sample.
const WARM: std::ops::RangeInclusive<usize> = 3..=25;
/// How long the warm invokes of one environment go on beyond the least number. Quick ones vary most, and cost least.
const WARM_BUDGET: Duration = Duration::from_millis(40);

/// How many interleaved rounds: `most`, or as many as begin in the time `within`, but never fewer than `least`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rounds {
    pub(crate) least: usize,
    pub(crate) most: usize,
    pub(crate) within: Duration,
}

impl Rounds {
    /// So many, however long they take.
    pub(crate) fn exactly(count: usize) -> Self {
        Self { least: count, most: count, within: Duration::MAX }
    }

    /// Those that are left when `count` have been.
    pub(crate) fn after(self, count: usize) -> Self {
        Self { least: self.least.saturating_sub(count), most: self.most.saturating_sub(count), ..self }
    }
}

/// Samples of one tree. Index `r` of every list belongs to the same interleaved round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// Init Duration, ms: one for each cold start, all events together.
    pub(crate) init: Vec<f64>,
    /// Event → init plus first invoke, ms.
    pub(crate) cold: IndexMap<String, Vec<f64>>,
    /// Event → warm invoke, ms.
    pub(crate) warm: IndexMap<String, Vec<f64>>,
    /// Event → peak resident memory by the end of the first invoke, MB of 10⁶ bytes.
    pub(crate) memory: IndexMap<String, Vec<f64>>,
    /// CPU time of init, ms.
    pub(crate) init_cpu: Vec<f64>,
    /// Event → CPU time of init plus first invoke, ms.
    pub(crate) cold_cpu: IndexMap<String, Vec<f64>>,
}

impl Samples {
    /// Adds the rounds of a later measurement.
    pub(crate) fn extend(&mut self, later: Self) {
        self.init.extend(later.init);
        self.init_cpu.extend(later.init_cpu);
        for (mine, theirs) in [
            (&mut self.cold, later.cold),
            (&mut self.cold_cpu, later.cold_cpu),
            (&mut self.warm, later.warm),
            (&mut self.memory, later.memory),
        ] {
            for (event, values) in theirs {
                mine.entry(event).or_default().extend(values);
            }
        }
    }

    /// Cold time weighted by the events' shares of first requests, one value a round.
    pub(crate) fn cold_weighted(&self, weights: &IndexMap<String, f64>) -> Vec<f64> {
        let rounds = self.cold.values().map(Vec::len).min().unwrap_or(0);
        (0..rounds)
            .map(|round| {
                self.cold
                    .iter()
                    .map(|(event, ms)| ms[round] * weights.get(event).copied().unwrap_or(0.0))
                    .sum()
            })
            .collect()
    }
}

impl Samples {
    /// What the first requests cost together, one value a round, in ms: init and each event's first invoke.
    pub(crate) fn first_requests(&self, weights: &IndexMap<String, f64>, profit: Profit) -> Vec<f64> {
        let events = self.cold.len();
        let rounds = self.cold.values().map(Vec::len).min().unwrap_or(0);
        (0..rounds)
            .map(|round| {
                // Starts of a round stand side by side, one for each event.
                let inits = &self.init[round * events..(round + 1) * events];
                let init = inits.iter().sum::<f64>() / events as f64;
                let invokes = self.cold.iter().zip(inits).map(|((event, cold), init)| {
                    (cold[round] - init) * weights.get(event).copied().unwrap_or(0.0)
                });
                profit.cost(init, invokes.sum())
            })
            .collect()
    }
}

/// Medians with their intervals, in the events' order; events without samples are left out.
pub(crate) fn stats(samples: &IndexMap<String, Vec<f64>>) -> IndexMap<String, Stat> {
    samples.iter().filter_map(|(event, values)| Some((event.clone(), Stat::of(values)?))).collect()
}

/// Ratios of paired samples, in the events' order.
pub(crate) fn ratios(
    after: &IndexMap<String, Vec<f64>>,
    before: &IndexMap<String, Vec<f64>>,
) -> IndexMap<String, Stat> {
    after
        .iter()
        .filter_map(|(event, values)| Some((event.clone(), Stat::of_ratios(values, before.get(event)?)?)))
        .collect()
}

/// Starts each tree once, which does not count: it fills the page cache.
pub(crate) fn first_starts(ground: &Ground, trees: &[&Utf8Path], cpu: Cpu) -> Result<()> {
    for tree in trees {
        let (environment, _) = start(ground, tree, cpu)?;
        environment.finish()?;
    }
    Ok(())
}

/// Runs every event in every round on each tree, A B A B, the order turned from round to round.
pub(crate) fn measure<const TREES: usize>(
    ground: &Ground,
    trees: [&Utf8Path; TREES],
    rounds: Rounds,
    cpu: Cpu,
    progress: &dyn Progress,
) -> Result<[Samples; TREES]> {
    let bench = Bench { ground, trees, cpu };
    let mut samples = std::array::from_fn(|_| Samples::default());
    let started = Instant::now();
    for round in 0..rounds.most {
        if round >= rounds.least && started.elapsed() > rounds.within {
            break;
        }
        for (number, event) in ground.events.iter().enumerate() {
            let mut live: Vec<Live> = Vec::with_capacity(TREES);
            for step in 0..TREES {
                if progress.interrupted() {
                    return Err(Error::interrupted());
                }
                let which = (round + number + step) % TREES;
                let next = match bench.cold(which, event, &mut samples[which]) {
                    Ok(environment) => environment,
                    // What another one holds, such as a port: this one starts when the others are gone.
                    Err(_) if !live.is_empty() => {
                        warm(std::mem::take(&mut live), event, &mut samples)?;
                        bench.cold(which, event, &mut samples[which])?
                    }
                    Err(error) => return Err(error),
                };
                live.push(next);
                progress.advance(1);
            }
            warm(live, event, &mut samples)?;
        }
    }
    Ok(samples)
}

/// What is measured, and how.
struct Bench<'a, const TREES: usize> {
    ground: &'a Ground<'a>,
    trees: [&'a Utf8Path; TREES],
    cpu: Cpu,
}

/// An environment that has served its first event.
struct Live {
    which: usize,
    environment: Environment,
    /// Whether it is still the process that served the first event.
    warm: bool,
    /// Warm invokes, ms.
    durations: Vec<f64>,
}

fn start(ground: &Ground, tree: &Utf8Path, cpu: Cpu) -> Result<(Environment, Init)> {
    let (environment, init) = ground.engine.start(&ground.spec(tree, cpu))?;
    if !matches!(init.outcome, InitOutcome::Ready) {
        return Err(init_failed(&init.outcome, Some((ground, tree))));
    }
    Ok((environment, init))
}

impl<const TREES: usize> Bench<'_, TREES> {
    /// One cold start with its first event.
    fn cold(&self, which: usize, event: &Event, samples: &mut Samples) -> Result<Live> {
        let (mut environment, init) = start(self.ground, self.trees[which], self.cpu)?;
        let init_ms = init.runtime_ms + init.init_ms;
        let first = environment.invoke(&event.payload)?;
        samples.init.push(init_ms);
        samples.init_cpu.push(init.cpu_ms);
        push(&mut samples.cold, event, init_ms + first.duration_ms);
        push(&mut samples.cold_cpu, event, init.cpu_ms + first.cpu_ms);
        push(&mut samples.memory, event, first.peak_memory_kib as f64 * 1024.0 / 1e6);
        let warm = matches!(first.outcome, Outcome::Success(_) | Outcome::HandlerError(_));
        Ok(Live { which, environment, warm, durations: Vec::new() })
    }
}

/// Warm invokes in turns, so that what slows the machine for a while slows every tree.
fn warm(mut live: Vec<Live>, event: &Event, samples: &mut [Samples]) -> Result<()> {
    let started = Instant::now();
    for turn in 0..*WARM.end() {
        if turn >= *WARM.start() && started.elapsed() > WARM_BUDGET * live.len() as u32 {
            break;
        }
        let count = live.len();
        for step in 0..count {
            let one = &mut live[(turn + step) % count];
            if one.warm {
                one.durations.push(one.environment.invoke(&event.payload)?.duration_ms);
            }
        }
    }
    for one in live {
        if let Some(stat) = Stat::of(&one.durations) {
            push(&mut samples[one.which].warm, event, stat.median);
        }
        one.environment.finish()?;
    }
    Ok(())
}

fn push(map: &mut IndexMap<String, Vec<f64>>, event: &Event, value: f64) {
    map.entry(event.name.clone()).or_default().push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_cold_time_pairs_the_rounds() {
        let samples = Samples {
            cold: IndexMap::from([("a".to_owned(), vec![10.0, 20.0]), ("b".to_owned(), vec![100.0, 200.0])]),
            ..Samples::default()
        };
        let weights = IndexMap::from([("a".to_owned(), 0.9), ("b".to_owned(), 0.1)]);
        assert_eq!(samples.cold_weighted(&weights), [19.0, 38.0]);
    }
}
