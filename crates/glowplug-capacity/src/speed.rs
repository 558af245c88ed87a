//! The rounds as they would have been at one speed of the machine.
//!
//! A machine is faster and slower from minute to minute, and one process differs from the next: the processor time of the
//! same work differs by a tenth and more, between sizes that run at different times, too. How much of it a round took is
//! known, and what is usual at its size is known better, from the rounds of all sizes together. What the model of the
//! phase takes for the one is replaced by what it takes for the other: what is left are the differences that memory makes.
//! This is a control variate (Lavenberg and Welch, Management Science 27, 1981), with the model's slope. A size whose
//! processor time differs from what the others let expect by more than chance keeps its own, as far as it is sure: empirical
//! Bayes (Efron and Morris, Journal of the American Statistical Association 70, 1975).

use std::collections::BTreeMap;

use crate::figures::point;
use crate::model::{Model, Phase, share};
use crate::probe::Round;

/// A phase of a round: ms, and processor time in ms where it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timed {
    pub(crate) wall: f64,
    pub(crate) cpu: Option<f64>,
}

/// A round: its phases in ms, and what is billed, in ms. Warm times are means over its invokes: what a caller waits for and
/// what is billed in the long run. With a part of a processor an invoke either fits into a quota or waits for the next one,
/// and the middle one of a few is either of the two.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) init: Option<Timed>,
    pub(crate) first: Option<Timed>,
    pub(crate) warm: Option<Timed>,
    /// Whether another init was run within the first invoke: then the phases say nothing of what they take.
    pub(crate) repeated: bool,
    pub(crate) billed_cold: Option<f64>,
    pub(crate) billed_warm: Option<f64>,
}

/// µs in ms.
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

impl Times {
    /// As they were.
    pub(crate) fn of(round: &Round) -> Self {
        let cold = round.cold.as_ref();
        let cpus = || round.warm.iter().map(|invoke| invoke.cpu_us);
        let known = cpus().all(|cpu| cpu.is_some());
        let warm_cpu = mean(cpus().map(|cpu| ms(cpu.unwrap_or_default()))).filter(|_| known);
        let warm = mean(round.warm.iter().map(|invoke| ms(invoke.wall_us)));
        Self {
            init: cold.map(|cold| Timed { wall: ms(cold.init_us), cpu: cold.init_cpu_us.map(ms) }),
            first: cold.map(|cold| Timed { wall: ms(cold.first.wall_us), cpu: cold.first.cpu_us.map(ms) }),
            warm: warm.map(|wall| Timed { wall, cpu: warm_cpu }),
            repeated: cold.is_some_and(|cold| cold.repeated),
            billed_cold: cold.map(|cold| cold.first.billed_ms as f64),
            billed_warm: mean(round.warm.iter().map(|invoke| invoke.billed_ms as f64)),
        }
    }

    pub(crate) fn phase(&self, phase: Phase) -> Option<Timed> {
        match phase {
            Phase::Init => self.init,
            Phase::First => self.first,
            Phase::Warm => self.warm,
        }
        .filter(|_| !(self.repeated && phase != Phase::Warm))
    }

    /// Init and first invoke.
    pub(crate) fn cold_ms(&self) -> Option<f64> {
        Some(self.init?.wall + self.first?.wall)
    }
}

/// Rounds of one form with one event, by size.
pub(crate) type Rounds<'a> = BTreeMap<u32, &'a [Round]>;

/// How the processor time of a phase becomes time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether init is boosted.
    pub(crate) boost: bool,
    /// Whether nothing was throttled: times are scaled by the share.
    pub(crate) scaled: bool,
}

/// Rounds at one speed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steady {
    pub(crate) times: BTreeMap<u32, Vec<Times>>,
    /// By size, how far warm times may be off in common with what is usual: a standard error, as a part of them.
    pub(crate) doubt: BTreeMap<u32, f64>,
}

/// The times as they were.
pub(crate) fn raw(rounds: &Rounds<'_>) -> BTreeMap<u32, Vec<Times>> {
    rounds.iter().map(|(size, rounds)| (*size, rounds.iter().map(Times::of).collect())).collect()
}

/// All rounds at one speed.
pub(crate) fn steady(rounds: &Rounds<'_>, terms: Terms) -> Steady {
    let mut times = raw(rounds);
    let [init, first, warm] =
        [Phase::Init, Phase::First, Phase::Warm].map(|phase| Usual::of(&times, phase, terms));
    for (size, times) in &mut times {
        let rounds = rounds.get(size).copied().unwrap_or_default();
        for (times, round) in times.iter_mut().zip(rounds) {
            if !times.repeated {
                times.steady_cold(*size, init.as_ref(), first.as_ref());
            }
            if let Some(usual) = &warm {
                times.steady_warm(*size, round, usual);
            }
        }
    }
    let doubt = warm.map(|usual| usual.sizes.iter().map(|(size, (_, doubt))| (*size, *doubt)).collect());
    Steady { times, doubt: doubt.unwrap_or_default() }
}

impl Times {
    fn steady_cold(&mut self, size: u32, init: Option<&Usual>, first: Option<&Usual>) {
        let mut more = 0.0;
        for (timed, usual) in [(&mut self.init, init), (&mut self.first, first)] {
            if let (Some(timed), Some(usual)) = (timed, usual) {
                more += usual.steady(size, timed);
            }
        }
        self.billed_cold = self.billed_cold.map(|billed| (billed + more).round().max(1.0));
    }

    fn steady_warm(&mut self, size: u32, round: &Round, usual: &Usual) {
        let Some(timed) = &mut self.warm else { return };
        let Some(cpu) = timed.cpu.filter(|cpu| *cpu > 0.0) else { return };
        let Some(usually) = usual.cpu(size) else { return };
        let faster = usually / cpu;
        let (mut wall, mut billed) = (0.0, 0.0);
        for invoke in &round.warm {
            // Each invoke by its own processor time: one that just fits into a quota is not slowed, one that just does not is.
            let cpu = ms(invoke.cpu_us.unwrap_or_default());
            let (took, takes) = (usual.takes(size, cpu), usual.takes(size, faster * cpu));
            let more = takes - took;
            wall += ms(invoke.wall_us) + more;
            // Where nothing is slowed this is what the invoke would have taken, and is billed in whole ms; elsewhere it is what
            // it would have taken on an average.
            let exact = took <= cpu * SAME && takes <= faster * cpu * SAME;
            billed += if exact {
                (ms(invoke.wall_us) + more).ceil().max(1.0)
            } else {
                invoke.billed_ms as f64 + more
            };
        }
        let count = round.warm.len() as f64;
        *timed = Timed { wall: (wall / count).max(0.0), cpu: Some(usually) };
        self.billed_warm = Some((billed / count).max(1.0));
    }
}

/// What the processor time of a phase usually is.
struct Usual {
    /// By size, its logarithm in ms, and the standard error of that.
    sizes: BTreeMap<u32, (f64, f64)>,
    model: Model,
    scaled: bool,
}

/// What is not slowed takes its processor time, but for how numbers are rounded.
const SAME: f64 = 1.0 + 1e-9;

/// Sizes that it takes to tell what is usual.
const FEW: usize = 3;

impl Usual {
    /// Nothing where the processor time is not known, or too little of it.
    fn of(times: &BTreeMap<u32, Vec<Times>>, phase: Phase, terms: Terms) -> Option<Self> {
        let boosted = phase == Phase::Init && terms.boost;
        let points: Vec<_> = times.iter().filter_map(|(size, times)| point(*size, times, phase)).collect();
        if points.len() < FEW {
            return None;
        }
        let mut known = BTreeMap::new();
        for (size, times) in times {
            let timed = times.iter().filter_map(|times| times.phase(phase));
            let logs: Option<Vec<f64>> =
                timed.map(|timed| Some(timed.cpu.filter(|cpu| *cpu > 0.0)?.ln())).collect();
            if let Some(group) = Group::of(less(*size, boosted), &logs?) {
                known.insert(*size, group);
            }
        }
        let model = Model::fit(&points, boosted)?;
        Some(Self { sizes: usual(&known)?, model, scaled: terms.scaled })
    }

    /// ms of the processor at a size.
    fn cpu(&self, size: u32) -> Option<f64> {
        self.sizes.get(&size).map(|(log, _)| log.exp())
    }

    /// ms that so much of it takes there.
    fn takes(&self, size: u32, cpu_ms: f64) -> f64 {
        if self.scaled {
            return cpu_ms / if self.model.boosted { share(size).max(1.0) } else { share(size) };
        }
        Model { cpu_ms, waits_ms: 0.0, ..self.model }.at(size)
    }

    /// Sets a phase right; gives the ms by which it is longer then.
    fn steady(&self, size: u32, timed: &mut Timed) -> f64 {
        let (Some(cpu), Some(usually)) = (timed.cpu, self.cpu(size)) else { return 0.0 };
        let was = timed.wall;
        timed.wall = (was + self.takes(size, usually) - self.takes(size, cpu)).max(0.0);
        timed.cpu = Some(usually);
        timed.wall - was
    }
}

/// Processor times of a size.
struct Group {
    /// The logarithm of how much less than a vCPU the size has.
    less: f64,
    /// Of the logarithms of the times: how many, their mean, and the sum of squares around it.
    count: f64,
    mean: f64,
    square: f64,
}

impl Group {
    fn of(less: f64, logs: &[f64]) -> Option<Self> {
        let mean = mean(logs.iter().copied())?;
        let square = logs.iter().map(|log| (log - mean).powi(2)).sum();
        Some(Self { less, count: logs.len() as f64, mean, square })
    }
}

/// By how much the variance of a size's mean is more than its rounds let expect: sizes are not all run in the same minutes.
const MINUTES: f64 = 3.0;

/// What is usual at each size, and its standard error. Processor time grows with what a part of a vCPU is less: who stands
/// still in between finds the caches cold. A size is as far from that line as it differs by more than chance. Nothing
/// where there is one round of each size alone.
fn usual(known: &BTreeMap<u32, Group>) -> Option<BTreeMap<u32, (f64, f64)>> {
    let all: f64 = known.values().map(|group| group.count).sum();
    let free = all - known.len() as f64;
    if free < 1.0 {
        return None;
    }
    let variance = known.values().map(|group| group.square).sum::<f64>() / free;
    let points: Vec<(f64, f64, f64)> =
        known.values().map(|group| (group.less, group.mean, group.count)).collect();
    let (whole, growth) = line(&points);
    let expected = |group: &Group| whole + growth * group.less;
    // What sizes lie off the line, less what chance makes of it.
    let chance = |group: &Group| MINUTES * variance / group.count;
    let off = known.values().map(|group| (group.mean - expected(group)).powi(2) - chance(group));
    let between = (off.sum::<f64>() / (known.len() as f64 - 2.0).max(1.0)).max(0.0);
    let of = |group: &Group| {
        let chance = chance(group);
        let own = if between > 0.0 { between / (between + chance) } else { 0.0 };
        let (line, doubt) = (expected(group), own * chance + (1.0 - own).powi(2) * MINUTES * variance / all);
        (line + own * (group.mean - line), doubt.sqrt())
    };
    Some(known.iter().map(|(size, group)| (*size, of(group))).collect())
}

/// The logarithm of how often what a phase has at a size goes into a vCPU; 0 from a whole one on.
fn less(size: u32, boosted: bool) -> f64 {
    if boosted { 0.0 } else { -share(size).min(1.0).ln() }
}

/// The line through points with weights by least squares, which does not fall: its height at 0 and its slope.
fn line(points: &[(f64, f64, f64)]) -> (f64, f64) {
    let all: f64 = points.iter().map(|point| point.2).sum();
    let mean = |of: fn(&(f64, f64, f64)) -> f64| {
        points.iter().map(|point| of(point) * point.2).sum::<f64>() / all.max(1e-9)
    };
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut with, mut square) = (0.0, 0.0);
    for point in points {
        with += point.2 * (point.0 - x) * (point.1 - y);
        square += point.2 * (point.0 - x).powi(2);
    }
    let slope = if square > 1e-9 { (with / square).max(0.0) } else { 0.0 };
    (y - slope * x, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{ColdStart, Invoke, Outcome};

    /// A round of work that waits 2 ms, on a machine that is slower by a factor.
    fn round(size: u32, work_ms: f64, slower: f64) -> Round {
        let phase = |cpu_ms: f64, boosted: bool| {
            let model = Model { waits_ms: 2.0, cpu_ms: cpu_ms * slower, parallel: 0.0, boosted };
            let wall = model.at(size);
            let us = |ms: f64| (ms * 1000.0).round() as u64;
            Invoke { wall_us: us(wall), cpu_us: Some(us(model.cpu_ms)), billed_ms: wall.ceil() as u64 }
        };
        let init = phase(300.0, true);
        let first = phase(60.0, false);
        Round {
            cold: Some(ColdStart {
                init_us: init.wall_us,
                init_cpu_us: init.cpu_us,
                repeated: false,
                first: Invoke { billed_ms: (init.wall_us + first.wall_us).div_ceil(1000), ..first },
            }),
            warm: vec![phase(work_ms, false); 3],
            peak_bytes: None,
            outcome: Outcome::Answered,
        }
    }

    /// Four sizes, each run at a speed of its own, and the same at one speed.
    fn four(work_ms: f64) -> (BTreeMap<u32, Vec<Round>>, BTreeMap<u32, Vec<Round>>) {
        let speeds = [(256, [1.3, 0.9]), (512, [0.8, 1.1]), (1769, [1.2, 1.0]), (3008, [0.7, 1.15])];
        let at = |slower: &dyn Fn(f64) -> f64| {
            let rounds = |size, speeds: [f64; 2]| speeds.map(|speed| round(size, work_ms, slower(speed)));
            speeds.iter().map(|(size, speeds)| (*size, rounds(*size, *speeds).to_vec())).collect()
        };
        (at(&|speed| speed), at(&|_| 1.0))
    }

    fn steadied(rounds: &BTreeMap<u32, Vec<Round>>) -> BTreeMap<u32, Vec<Times>> {
        let rounds = rounds.iter().map(|(size, rounds)| (*size, rounds.as_slice())).collect();
        steady(&rounds, Terms { boost: true, scaled: false }).times
    }

    /// Ratios of a time at each size to that at the last.
    fn ratios(times: &BTreeMap<u32, Vec<Times>>, of: fn(&Times) -> f64) -> Vec<f64> {
        let mean = |times: &Vec<Times>| times.iter().map(of).sum::<f64>() / times.len() as f64;
        let last = times.values().next_back().map(mean).unwrap();
        times.values().map(|times| mean(times) / last).collect()
    }

    #[test]
    fn what_the_machine_did_is_gone_and_what_memory_does_is_left() {
        for work in [3.0, 30.0, 300.0] {
            let (uneven, even) = four(work);
            let raw: BTreeMap<u32, Vec<Times>> =
                uneven.iter().map(|(size, rounds)| (*size, rounds.iter().map(Times::of).collect())).collect();
            for of in [|times: &Times| times.warm.unwrap().wall, |times: &Times| times.cold_ms().unwrap()] {
                let off = |found: &[f64], should: &[f64]| {
                    found.iter().zip(should).map(|(is, should)| (is / should - 1.0).abs()).fold(0.0, f64::max)
                };
                let should = ratios(&steadied(&even), of);
                let (found, before) = (ratios(&steadied(&uneven), of), ratios(&raw, of));
                assert!(off(&found, &should) < 0.1, "{work}: {found:?} {should:?}");
                assert!(off(&before, &should) > 1.5 * off(&found, &should), "{work}: {before:?} {should:?}");
            }
        }
    }

    #[test]
    fn a_size_that_takes_more_of_the_processor_keeps_it() {
        let speeds = [1.1, 0.9, 1.05, 0.95, 1.0];
        let rounds: BTreeMap<u32, Vec<Round>> = [(256, 30.0), (512, 30.0), (1769, 30.0), (3008, 48.0)]
            .map(|(size, work)| (size, speeds.map(|slower| round(size, work, slower)).to_vec()))
            .into();
        let steadied = steadied(&rounds);
        let cpu =
            |size: &u32| steadied[size].iter().map(|times| times.warm.unwrap().cpu.unwrap()).sum::<f64>();
        assert!((cpu(&3008) / cpu(&1769) / 1.6 - 1.0).abs() < 0.05, "{} {}", cpu(&3008), cpu(&1769));
    }

    #[test]
    fn scaled_times_are_set_right_by_the_share() {
        let at = |slower: f64| {
            let mut round = round(128, 10.0, slower);
            for invoke in &mut round.warm {
                invoke.wall_us = (10_000.0 * slower / share(128)) as u64;
            }
            round
        };
        let speeds = [1.2, 0.9];
        let mut rounds: BTreeMap<u32, Vec<Round>> = BTreeMap::from([(128, speeds.map(at).to_vec())]);
        for size in [1769, 3008] {
            rounds.insert(size, speeds.map(|slower| round(size, 10.0, slower)).to_vec());
        }
        let rounds = rounds.iter().map(|(size, rounds)| (*size, rounds.as_slice())).collect();
        let steady = steady(&rounds, Terms { boost: true, scaled: true });
        let walls: Vec<f64> = steady.times[&128].iter().map(|times| times.warm.unwrap().wall).collect();
        assert!((walls[0] / walls[1] - 1.0).abs() < 0.01, "{walls:?}");
        assert!(steady.doubt[&128] > 0.0 && steady.doubt[&128] < 0.2, "{:?}", steady.doubt);
    }

    #[test]
    fn without_processor_times_nothing_changes() {
        let (mut uneven, _) = four(30.0);
        for round in uneven.values_mut().flatten() {
            round.warm.iter_mut().for_each(|invoke| invoke.cpu_us = None);
        }
        for (size, times) in steadied(&uneven) {
            for (times, round) in times.iter().zip(&uneven[&size]) {
                let raw = Times::of(round);
                assert_eq!((times.warm, times.billed_warm), (raw.warm, raw.billed_warm));
            }
        }
        let (mut few, _) = four(30.0);
        few.retain(|size, _| *size < 1000);
        assert_eq!(steadied(&few)[&256], few[&256].iter().map(Times::of).collect::<Vec<_>>());
    }

    #[test]
    fn an_init_that_was_ended_stays_as_it_was() {
        let (mut uneven, _) = four(30.0);
        let ended = uneven.get_mut(&256).unwrap();
        ended[0].cold.as_mut().unwrap().repeated = true;
        let was = Times::of(&ended[0]);
        let times = &steadied(&uneven)[&256][0];
        assert_eq!((times.init, times.first, times.billed_cold), (was.init, was.first, was.billed_cold));
        assert_ne!(times.warm, was.warm);
    }
}
