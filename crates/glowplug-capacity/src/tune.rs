//! Which memory sizes are run, and what comes of it.
//!
//! A few sizes are measured: one near a full vCPU, the least that does not run out of memory, the largest that this machine
//! has processors for. A model of each phase says what the others would be; what would be chosen is measured in turn, until
//! the choice rests on measured sizes or the runs are spent.

use glowplug_core::{Error, ErrorClass, Result};

use crate::choice::{Best, Objective, advice, best, close, pareto, undecided};
use crate::evidence::Evidence;
use crate::figures::Tier;
use crate::model::FULL_CPU_MB;
use crate::notes::{Facts, notes};
use crate::prices::{Place, Prices};
use crate::probe::{Ask, Outcome, Probe, Variant};
use crate::seen::{meant, reason, repeated_inits, ruled_out};

/// The sizes that are chosen among unless others are given, in MB.
pub const TIERS: [u32; 15] =
    [128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 1769, 2048, 2560, 3008];
/// The part of a whole grid's runs that is enough.
const BUDGET: f64 = 0.4;
/// Runs of so many sizes are made in any case: one near a whole vCPU, the smallest, the function's own, the largest, and the
/// choice. Where there is one more, all are measured.
const LEAST: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;

/// What is tuned, and for what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sizes to choose among, in MB.
    pub tiers: Vec<u32>,
    /// The size that the function has now, where that is to be measured in any case.
    pub current_mb: Option<u32>,
    /// Whether every size is measured.
    pub grid: bool,
    pub objective: Objective,
    /// What cost counts where the objective is balanced, from 0 to 1.
    pub balanced_weight: f64,
    /// Share of invocations that start cold, from 0 to 1.
    pub cold_rate: f64,
    /// Shares of the events; they need not add up to 1.
    pub weights: Vec<f64>,
    /// The forms of the function; the last one is chosen for.
    pub variants: Vec<Variant>,
    /// Environments for each size, event and form.
    pub rounds: u32,
    /// Warm invokes in each environment.
    pub warm: u32,
    /// The largest size whose share of processors can be given, in MB.
    pub most_mb: u32,
    /// Whether init has one vCPU at least.
    pub boost: bool,
    /// Whether runs get the whole processor, and their times are scaled by the share.
    pub scaled: bool,
    pub prices: Prices,
    pub place: Place,
}

impl Settings {
    /// The events' shares, which add up to 1.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let all: f64 = self.weights.iter().sum();
        let equal = 1.0 / self.weights.len().max(1) as f64;
        self.weights.iter().map(|weight| if all > 0.0 { weight / all } else { equal }).collect()
    }

    pub(crate) fn usd(&self, memory_mb: u32, billed_cold: f64, billed_warm: f64) -> f64 {
        self.prices.per_million(&self.place, memory_mb, billed_cold, billed_warm, self.cold_rate)
    }

    /// The sizes, each once, the smallest first.
    fn sizes(&self) -> Result<Vec<u32>> {
        let mut sizes: Vec<u32> = self.tiers.iter().copied().chain(self.current_mb).collect();
        sizes.sort_unstable();
        sizes.dedup();
        match sizes.iter().find(|size| !(128..=10_240).contains(*size)) {
            Some(size) => Err(Error::usage(format!("{size} MB is no memory size of Lambda's"))
                .hint("Lambda has 128 to 10240 MB")),
            None => Ok(sizes),
        }
    }
}

/// What is told while sizes are measured.
pub trait Watcher {
    /// One more run has ended; so many are expected in all.
    fn ran(&mut self, runs: usize, expected: usize);
}

/// What tuning has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// For each form its sizes, the smallest first.
    pub forms: Vec<(Variant, Vec<Tier>)>,
    /// Among the measured sizes of the last form.
    pub best: Best,
    /// By the objective that was asked for.
    pub chosen: Option<u32>,
    pub pareto: Vec<u32>,
    /// The smallest size that did not run out of memory, in MB.
    pub lowest_mb: Option<u32>,
    /// Environments that were started.
    pub runs: usize,
    /// Environments that measuring every size would start.
    pub grid_runs: usize,
    /// Median and worst relative error of the model at sizes that it had not seen; nothing with fewer than three sizes.
    pub model_error: Option<(f64, f64)>,
    pub advice: Option<String>,
    /// For each event the type of the error that it ends in at every size, where it does: it was measured as an answer.
    pub raised: Vec<Option<String>>,
    /// Whether it came to its end.
    pub complete: bool,
    pub notes: Vec<String>,
}

/// Measures and chooses.
///
/// # Errors
/// Usage: a size that Lambda does not have. Input: the function works at no size. Surroundings: those of the probe. An
/// interruption is none: it leaves what was measured until then.
pub fn tune(settings: &Settings, probe: &mut dyn Probe, watcher: &mut dyn Watcher) -> Result<Tuning> {
    let evidence = Evidence::new(settings, settings.sizes()?);
    let mut session = Session { settings, probe, watcher, evidence, runs: 0 };
    match session.measure_all() {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Interrupted => {
            session.evidence.interrupt();
        }
        Err(error) => return Err(error),
    }
    session.conclude()
}

struct Session<'a> {
    settings: &'a Settings,
    probe: &'a mut dyn Probe,
    watcher: &'a mut dyn Watcher,
    evidence: Evidence<'a>,
    runs: usize,
}

impl Session<'_> {
    fn runs_of_a_size(&self) -> usize {
        self.settings.variants.len() * self.settings.weights.len() * self.settings.rounds as usize
    }

    fn grid_runs(&self) -> usize {
        self.measurable().len() * self.runs_of_a_size()
    }

    fn measurable(&self) -> Vec<u32> {
        let least = self.evidence.sizes.first().copied();
        self.evidence
            .sizes
            .iter()
            .copied()
            .filter(|size| *size <= self.settings.most_mb || Some(*size) == least)
            .collect()
    }

    fn whole(&self) -> bool {
        self.settings.grid || self.measurable().len() <= LEAST + 1
    }

    fn expected(&self) -> usize {
        let all = self.grid_runs();
        let part = if self.whole() { all } else { self.budget() };
        part.max(self.runs)
    }

    fn measure_all(&mut self) -> Result<()> {
        let sizes = self.measurable();
        let anchor = self.anchor(&sizes)?;
        self.find_lowest(&sizes, anchor)?;
        if self.whole() {
            return self.measure_each(&sizes);
        }
        let lowest = self.evidence.lowest.map_or(anchor, |at| sizes[at]);
        let mut first = vec![anchor];
        for size in [Some(lowest), self.settings.current_mb, sizes.last().copied()].into_iter().flatten() {
            if self.affords(first.len() + 1)
                && sizes.contains(&size)
                && size >= lowest
                && !first.contains(&size)
            {
                first.push(size);
            }
        }
        self.measure(&first)?;
        self.settle()
    }

    /// Measures what would be chosen, and what cannot be told apart from it once more, while the runs last.
    fn settle(&mut self) -> Result<()> {
        for again in 0..self.settings.rounds {
            while let Some(size) = self.wanted().filter(|_| self.affords(1)) {
                self.measure(&[size])?;
            }
            let each = self.settings.variants.len() * self.settings.weights.len();
            let room = self.budget().saturating_sub(self.runs) / each.max(1);
            let rivals = self.rivals();
            if rivals.len().min(room) < 2 {
                break;
            }
            for size in rivals.into_iter().take(room) {
                self.round(size, self.settings.rounds + again)?;
            }
        }
        Ok(())
    }

    /// The measured size that would be chosen and those that cannot be told apart from it; nothing where it stands alone.
    fn rivals(&self) -> Vec<u32> {
        let (objective, weight) = (self.settings.objective, self.settings.balanced_weight);
        let tiers: Vec<Tier> =
            self.evidence.tiers(self.evidence.form()).into_iter().filter(|tier| tier.measured).collect();
        let Some(chosen) = best(&tiers, weight).by(objective) else { return Vec::new() };
        let mut rivals = undecided(&tiers, objective, weight, chosen);
        if !rivals.is_empty() {
            rivals.insert(0, chosen);
        }
        rivals
    }

    /// The first size at which the function works: one near a whole vCPU, else a larger one, since most failures are for want
    /// of memory or time, else a smaller one. One round tells.
    fn anchor(&mut self, sizes: &[u32]) -> Result<u32> {
        let wanted = nearest(sizes, FULL_CPU_MB as u32);
        let above = sizes.iter().filter(|size| **size >= wanted);
        let below = sizes.iter().filter(|size| **size < wanted).rev();
        for size in above.chain(below).copied() {
            if self.evidence.is_out_of_memory(size) {
                continue;
            }
            self.round(size, 0)?;
            if self.evidence.works(size) {
                return Ok(size);
            }
        }
        Err(self.nowhere())
    }

    fn measure_each(&mut self, sizes: &[u32]) -> Result<()> {
        let hopeless = |size: &u32| self.evidence.lowest.is_some_and(|at| *size < sizes[at]);
        let hopeful: Vec<u32> = sizes.iter().copied().filter(|size| !hopeless(size)).collect();
        self.measure(&hopeful)?;
        if self.evidence.lowest.is_none() {
            self.evidence.lowest = sizes.iter().position(|size| !self.evidence.is_out_of_memory(*size));
        }
        if self.evidence.sizes.iter().any(|size| self.evidence.works(*size)) {
            Ok(())
        } else {
            Err(self.nowhere())
        }
    }

    /// Runs that may be made unless every size is measured.
    fn budget(&self) -> usize {
        let part = (self.grid_runs() as f64 * BUDGET) as usize;
        part.max(LEAST * self.runs_of_a_size())
    }

    /// Whether so many more sizes may be measured.
    fn affords(&self, sizes: usize) -> bool {
        self.runs + sizes * self.runs_of_a_size() <= self.budget()
    }

    fn nowhere(&self) -> Error {
        let form = self.evidence.form();
        let last = self
            .evidence
            .seen
            .keys()
            .rev()
            .find_map(|size| Some((size, ruled_out(&self.evidence.seen, *size, form)?)));
        let error = Error::input("the function works at none of the memory sizes");
        let Some((size, outcome)) = last else { return error };
        let hint = match outcome {
            Outcome::OutOfMemory => "try larger sizes with `--tiers`",
            Outcome::TimedOut => "raise `timeout`, or give it an event that it can answer with `--event`",
            Outcome::Answered | Outcome::Raised { .. } | Outcome::Failed { .. } => {
                "see what it raises with `glowplug trace`, or give it an event that it can answer with `--event`"
            }
        };
        error.cause(format!("at {size} MB {}", reason(outcome))).hint(hint)
    }

    /// Has sizes run as often as the settings say. They take turns, so that what slows the machine for a while slows them all.
    fn measure(&mut self, sizes: &[u32]) -> Result<()> {
        for round in 0..self.settings.rounds {
            for size in sizes {
                self.round(*size, round)?;
            }
        }
        Ok(())
    }

    /// The round of that number, where it has not been run yet.
    fn round(&mut self, size: u32, round: u32) -> Result<()> {
        for event in 0..self.settings.weights.len() {
            for variant in self.settings.variants.clone() {
                let seen = &self.evidence.seen;
                let rounds = seen.get(&size).and_then(|seen| seen.rounds.get(&(variant, event)));
                let done = rounds.map_or(0, Vec::len);
                if done > round as usize || ruled_out(seen, size, variant).is_some() {
                    continue;
                }
                let ask = Ask { variant, memory_mb: size, event, warm: self.settings.warm };
                let made = self.probe.run(ask)?;
                self.runs += 1;
                self.evidence.add(size, variant, event, made);
                let expected = self.expected();
                self.watcher.ran(self.runs, expected);
            }
        }
        Ok(())
    }

    /// Goes down, or up, from where the memory that was in use would just fit.
    fn find_lowest(&mut self, sizes: &[u32], anchor: u32) -> Result<()> {
        let form = self.evidence.form();
        let peaks = self.evidence.seen.get(&anchor).into_iter().flat_map(|seen| &seen.rounds);
        let peak = peaks.filter(|((of, _), _)| *of == form).flat_map(|(_, rounds)| rounds);
        let peak_mb = peak.filter_map(|round| round.peak_bytes).max().unwrap_or_default() as f64 / MIB;
        let top = sizes.iter().position(|size| *size == anchor).unwrap_or_default();
        let mut at = sizes.iter().position(|size| f64::from(*size) >= peak_mb).unwrap_or(top).min(top);
        while at < top {
            if !self.evidence.is_out_of_memory(sizes[at]) {
                self.round(sizes[at], 0)?;
            }
            if !self.evidence.is_out_of_memory(sizes[at]) {
                break;
            }
            at += 1;
        }
        while at > 0 && !self.evidence.is_out_of_memory(sizes[at - 1]) {
            self.round(sizes[at - 1], 0)?;
            if self.evidence.is_out_of_memory(sizes[at - 1]) {
                break;
            }
            at -= 1;
        }
        self.evidence.lowest = Some(at);
        Ok(())
    }

    /// A size that is not measured and would be chosen by the objective that was asked for, or comes close to what would be;
    /// else one that another objective would choose.
    fn wanted(&self) -> Option<u32> {
        let sizes = self.measurable();
        let tiers: Vec<Tier> = self
            .evidence
            .tiers(self.evidence.form())
            .into_iter()
            .filter(|tier| sizes.contains(&tier.memory_mb))
            .collect();
        let (objective, weight) = (self.settings.objective, self.settings.balanced_weight);
        let best = best(&tiers, weight);
        let modelled = |size: &u32| tiers.iter().any(|tier| tier.memory_mb == *size && !tier.measured);
        let chosen = best.by(objective)?;
        let others = [Objective::Balanced, Objective::Cost, Objective::Speed];
        if modelled(&chosen) {
            return Some(chosen);
        }
        // What another size would take is left for what cannot be told apart.
        let more = || {
            close(&tiers, objective, weight, chosen)
                .or_else(|| others.iter().filter_map(|other| best.by(*other)).find(modelled))
        };
        if self.affords(2) { more() } else { None }
    }

    fn conclude(self) -> Result<Tuning> {
        let complete = !self.evidence.interrupted;
        let forms: Vec<(Variant, Vec<Tier>)> =
            self.settings.variants.iter().map(|variant| (*variant, self.evidence.tiers(*variant))).collect();
        let tiers = forms.last().map(|(_, tiers)| tiers.clone()).unwrap_or_default();
        let seen: Vec<Tier> = tiers.iter().filter(|tier| tier.measured).cloned().collect();
        let best = best(&seen, self.settings.balanced_weight);
        if complete && best == Best::default() {
            return Err(self.nowhere());
        }
        let chosen = best.by(self.settings.objective);
        let by_size = |size: u32| tiers.iter().find(|tier| tier.memory_mb == size);
        let from = self.settings.current_mb.and_then(by_size).filter(|tier| tier.works().is_some());
        let least = seen.iter().find(|tier| tier.works().is_some());
        let to = chosen.and_then(by_size);
        let said = from.or(least).zip(to).and_then(|(from, to)| advice(from, to));
        Ok(Tuning {
            best,
            chosen,
            pareto: pareto(&seen),
            lowest_mb: self.evidence.lowest_mb(),
            runs: self.runs,
            grid_runs: self.grid_runs(),
            model_error: self.evidence.model_error(),
            advice: said,
            raised: (0..self.settings.weights.len())
                .map(|event| {
                    meant(&self.evidence.seen, self.evidence.form(), event).map(|(kind, _)| kind.to_owned())
                })
                .collect(),
            complete,
            notes: notes(
                &Facts {
                    seen: &seen,
                    chosen,
                    repeated: &repeated_inits(&self.evidence.seen, self.evidence.form()),
                    sizes: &self.evidence.sizes,
                },
                self.settings,
            ),
            forms,
        })
    }
}

/// The size nearest to a wanted one.
fn nearest(sizes: &[u32], wanted: u32) -> u32 {
    sizes.iter().copied().min_by_key(|size| size.abs_diff(wanted)).unwrap_or(wanted)
}
