//! Which memory sizes are run, and what comes of it.
//!
//! A few sizes are measured: one near a full vCPU, the least that does not run out of memory, the largest that this machine
//! has processors for. A model of each phase says what the others would be; what would be chosen is measured in turn, until
//! the choice rests on measured sizes or the runs are spent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use glowplug_core::{Error, ErrorClass, Result};

use crate::choice::{Best, Objective, advice, best, close, pareto, undecided};
use crate::figures::{Tier, correction, measured, modelled, point};
use crate::model::{FULL_CPU_MB, Model, Phase, Point, median};
use crate::notes::{Facts, notes};
use crate::prices::{Place, Prices};
use crate::probe::{Ask, Outcome, Probe, Round, Variant};
use crate::seen::{Seen, Sizes, is_out_of_memory, meant, reason, repeated_inits, ruled_out};
use crate::speed::{Times, steady};

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
    let sizes = settings.sizes()?;
    let seen = Sizes::new();
    let mut session = Session {
        settings,
        probe,
        watcher,
        sizes,
        seen,
        runs: 0,
        lowest: None,
        interrupted: false,
        made: RefCell::default(),
    };
    match session.measure_all() {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Interrupted => {
            session.interrupted = true;
            session.made.take();
        }
        Err(error) => return Err(error),
    }
    session.conclude()
}

/// What comes of runs: times at one speed of the machine by form and event, and figures.
#[derive(Default)]
struct Made {
    times: BTreeMap<(Variant, usize), Rc<BTreeMap<u32, Vec<Times>>>>,
    figures: BTreeMap<(u32, Variant), Option<Tier>>,
}

struct Session<'a> {
    settings: &'a Settings,
    probe: &'a mut dyn Probe,
    watcher: &'a mut dyn Watcher,
    sizes: Vec<u32>,
    seen: Sizes,
    runs: usize,
    /// The place of the smallest size that does not run out of memory.
    lowest: Option<usize>,
    /// The user has ended it: what was run counts, however often.
    interrupted: bool,
    /// What comes of the runs so far, made once: intervals take a while.
    made: RefCell<Made>,
}

impl Session<'_> {
    /// The form that is chosen for.
    fn form(&self) -> Variant {
        self.settings.variants.last().copied().unwrap_or(Variant::Before)
    }

    fn runs_of_a_size(&self) -> usize {
        self.settings.variants.len() * self.settings.weights.len() * self.settings.rounds as usize
    }

    fn grid_runs(&self) -> usize {
        self.measurable().len() * self.runs_of_a_size()
    }

    fn measurable(&self) -> Vec<u32> {
        let least = self.sizes.first().copied();
        self.sizes
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
        let lowest = self.lowest.map_or(anchor, |at| sizes[at]);
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
        let tiers: Vec<Tier> = self.tiers(self.form()).into_iter().filter(|tier| tier.measured).collect();
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
            if self.is_out_of_memory(size) {
                continue;
            }
            self.round(size, 0)?;
            if self.works(size) {
                return Ok(size);
            }
        }
        Err(self.nowhere())
    }

    fn measure_each(&mut self, sizes: &[u32]) -> Result<()> {
        let hopeless = |size: &u32| self.lowest.is_some_and(|at| *size < sizes[at]);
        let hopeful: Vec<u32> = sizes.iter().copied().filter(|size| !hopeless(size)).collect();
        self.measure(&hopeful)?;
        if self.lowest.is_none() {
            self.lowest = sizes.iter().position(|size| !self.is_out_of_memory(*size));
        }
        if self.sizes.iter().any(|size| self.works(*size)) { Ok(()) } else { Err(self.nowhere()) }
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

    /// Whether the form that is chosen for is answered at a size.
    fn works(&self, size: u32) -> bool {
        self.seen.contains_key(&size) && ruled_out(&self.seen, size, self.form()).is_none()
    }

    fn nowhere(&self) -> Error {
        let form = self.form();
        let last = self.seen.keys().rev().find_map(|size| Some((size, ruled_out(&self.seen, *size, form)?)));
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
                let seen = self.seen.entry(size).or_default();
                let done = seen.rounds.get(&(variant, event)).map_or(0, Vec::len);
                if done > round as usize || ruled_out(&self.seen, size, variant).is_some() {
                    continue;
                }
                let ask = Ask { variant, memory_mb: size, event, warm: self.settings.warm };
                let made = self.probe.run(ask)?;
                self.runs += 1;
                self.made.take();
                self.seen.entry(size).or_default().add(variant, event, made);
                let expected = self.expected();
                self.watcher.ran(self.runs, expected);
            }
        }
        Ok(())
    }

    /// Goes down, or up, from where the memory that was in use would just fit.
    fn find_lowest(&mut self, sizes: &[u32], anchor: u32) -> Result<()> {
        let form = self.form();
        let peaks = self.seen.get(&anchor).into_iter().flat_map(|seen| &seen.rounds);
        let peak = peaks.filter(|((of, _), _)| *of == form).flat_map(|(_, rounds)| rounds);
        let peak_mb = peak.filter_map(|round| round.peak_bytes).max().unwrap_or_default() as f64 / MIB;
        let top = sizes.iter().position(|size| *size == anchor).unwrap_or_default();
        let mut at = sizes.iter().position(|size| f64::from(*size) >= peak_mb).unwrap_or(top).min(top);
        while at < top {
            if !self.is_out_of_memory(sizes[at]) {
                self.round(sizes[at], 0)?;
            }
            if !self.is_out_of_memory(sizes[at]) {
                break;
            }
            at += 1;
        }
        while at > 0 && !self.is_out_of_memory(sizes[at - 1]) {
            self.round(sizes[at - 1], 0)?;
            if self.is_out_of_memory(sizes[at - 1]) {
                break;
            }
            at -= 1;
        }
        self.lowest = Some(at);
        Ok(())
    }

    fn is_out_of_memory(&self, size: u32) -> bool {
        is_out_of_memory(&self.seen, size, self.form())
    }

    /// A size that is not measured and would be chosen by the objective that was asked for, or comes close to what would be;
    /// else one that another objective would choose.
    fn wanted(&self) -> Option<u32> {
        let sizes = self.measurable();
        let tiers: Vec<Tier> =
            self.tiers(self.form()).into_iter().filter(|tier| sizes.contains(&tier.memory_mb)).collect();
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

    /// What was measured of a form at a size; nothing where not all of it was.
    fn figures(&self, size: u32, variant: Variant) -> Option<Tier> {
        let seen = self.seen.get(&size)?;
        if let Some(outcome) = ruled_out(&self.seen, size, variant) {
            return Some(Tier::without(size, Some(outcome.clone()), reason(outcome)));
        }
        if let Some(found) = self.made.borrow().figures.get(&(size, variant)) {
            return found.clone();
        }
        let figures = self.make_figures(seen, size, variant);
        self.made.borrow_mut().figures.insert((size, variant), figures.clone());
        figures
    }

    fn make_figures(&self, seen: &Seen, size: u32, variant: Variant) -> Option<Tier> {
        let events = 0..self.settings.weights.len();
        let rounds: Vec<Vec<Round>> = events
            .clone()
            .map(|event| seen.rounds.get(&(variant, event)).cloned().unwrap_or_default())
            .collect();
        let enough = if self.interrupted { 1 } else { self.settings.rounds as usize };
        if rounds.iter().any(|rounds| rounds.len() < enough) {
            return None;
        }
        let times: Vec<Vec<Times>> =
            events.map(|event| self.times(variant, event).get(&size).cloned().unwrap_or_default()).collect();
        measured(size, &rounds, &times, self.settings)
    }

    /// Rounds of a form with an event, at one speed of the machine, by size; those of sizes that are ruled out are not
    /// among them.
    fn times(&self, variant: Variant, event: usize) -> Rc<BTreeMap<u32, Vec<Times>>> {
        if let Some(found) = self.made.borrow().times.get(&(variant, event)) {
            return Rc::clone(found);
        }
        let seen = self.seen.iter().filter(|(size, _)| ruled_out(&self.seen, **size, variant).is_none());
        let rounds =
            seen.filter_map(|(size, seen)| Some((*size, seen.rounds.get(&(variant, event))?.as_slice())));
        let times = Rc::new(steady(&rounds.collect(), self.settings.boost));
        self.made.borrow_mut().times.insert((variant, event), Rc::clone(&times));
        times
    }

    /// Points of a phase of an event, by size.
    fn points(&self, variant: Variant, event: usize, phase: Phase) -> Vec<Point> {
        let times = self.times(variant, event);
        times.iter().filter_map(|(size, times)| point(*size, times, phase)).collect()
    }

    fn boosted(&self, phase: Phase) -> bool {
        phase == Phase::Init && self.settings.boost
    }

    /// All sizes of a form: measured ones as they are, others by the model.
    fn tiers(&self, variant: Variant) -> Vec<Tier> {
        let models: Vec<[Option<Model>; 3]> = (0..self.settings.weights.len())
            .map(|event| {
                [Phase::Init, Phase::First, Phase::Warm]
                    .map(|phase| Model::fit(&self.points(variant, event, phase), self.boosted(phase)))
            })
            .collect();
        let known: Vec<Tier> = self.sizes.iter().filter_map(|size| self.figures(*size, variant)).collect();
        let lowest = self.lowest.map_or(0, |at| self.sizes[at]);
        let tier = |size: &u32| {
            if let Some(tier) = known.iter().find(|tier| tier.memory_mb == *size) {
                return tier.clone();
            }
            if *size < lowest {
                let why = format!("less memory than {lowest} MB, the least that was enough");
                return Tier::without(*size, None, why);
            }
            let by = correction(*size, &known, &models, self.settings);
            let modelled = modelled(*size, &models, by.unwrap_or(1.0), self.settings);
            modelled.unwrap_or_else(|| Tier::without(*size, None, "it was not measured".to_owned()))
        };
        self.sizes.iter().map(tier).collect()
    }

    /// Median and worst of the errors at sizes that a model had not seen, of the form that is chosen for.
    fn model_error(&self) -> Option<(f64, f64)> {
        let mut errors = Vec::new();
        for event in 0..self.settings.weights.len() {
            for phase in [Phase::Init, Phase::First, Phase::Warm] {
                let points = self.points(self.form(), event, phase);
                errors.extend(Model::held_out_errors(&points, self.boosted(phase)));
            }
        }
        Some((median(&errors)?, errors.iter().copied().fold(0.0, f64::max)))
    }

    fn conclude(self) -> Result<Tuning> {
        let complete = !self.interrupted;
        let forms: Vec<(Variant, Vec<Tier>)> =
            self.settings.variants.iter().map(|variant| (*variant, self.tiers(*variant))).collect();
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
            lowest_mb: self.lowest.map(|at| self.sizes[at]),
            runs: self.runs,
            grid_runs: self.grid_runs(),
            model_error: self.model_error(),
            advice: said,
            raised: (0..self.settings.weights.len())
                .map(|event| meant(&self.seen, self.form(), event).map(|(kind, _)| kind.to_owned()))
                .collect(),
            complete,
            notes: notes(
                &Facts {
                    seen: &seen,
                    chosen,
                    repeated: &repeated_inits(&self.seen, self.form()),
                    sizes: &self.sizes,
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
