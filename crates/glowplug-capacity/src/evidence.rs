//! What the runs so far say: times at one speed of the machine, a model of them, and figures of every size.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::figures::{Tier, correction, measured, modelled, point};
use crate::model::{Model, Phase, Point, median};
use crate::probe::{Round, Variant};
use crate::seen::{Seen, Sizes, is_out_of_memory, reason, ruled_out};
use crate::speed::{Rounds, Steady, Terms, Times, raw, steady};
use crate::tune::Settings;

/// The runs so far, and what comes of them.
pub(crate) struct Evidence<'a> {
    settings: &'a Settings,
    /// All sizes, in MB, the smallest first.
    pub(crate) sizes: Vec<u32>,
    pub(crate) seen: Sizes,
    /// The place of the smallest size that does not run out of memory.
    pub(crate) lowest: Option<usize>,
    /// The user has ended it: what was run counts, however often.
    pub(crate) interrupted: bool,
    made: RefCell<Made>,
}

/// What comes of the runs, made once: intervals take a while.
#[derive(Default)]
struct Made {
    times: BTreeMap<(Variant, usize), Rc<Steady>>,
    figures: BTreeMap<(u32, Variant), Option<Tier>>,
}

impl<'a> Evidence<'a> {
    /// None so far.
    pub(crate) fn new(settings: &'a Settings, sizes: Vec<u32>) -> Self {
        Self {
            settings,
            sizes,
            seen: Sizes::new(),
            lowest: None,
            interrupted: false,
            made: RefCell::default(),
        }
    }

    /// One more round.
    pub(crate) fn add(&mut self, size: u32, variant: Variant, event: usize, round: Round) {
        self.made.take();
        self.seen.entry(size).or_default().add(variant, event, round);
    }

    /// No more will come.
    pub(crate) fn interrupt(&mut self) {
        self.made.take();
        self.interrupted = true;
    }

    /// The smallest size that does not run out of memory, where it is known.
    pub(crate) fn lowest_mb(&self) -> Option<u32> {
        self.lowest.map(|at| self.sizes[at])
    }

    /// The form that is chosen for.
    pub(crate) fn form(&self) -> Variant {
        self.settings.variants.last().copied().unwrap_or(Variant::Before)
    }

    /// Whether the form that is chosen for is answered at a size.
    pub(crate) fn works(&self, size: u32) -> bool {
        self.seen.contains_key(&size) && ruled_out(&self.seen, size, self.form()).is_none()
    }

    /// Whether it does not run there for want of memory.
    pub(crate) fn is_out_of_memory(&self, size: u32) -> bool {
        is_out_of_memory(&self.seen, size, self.form())
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
        let steady: Vec<Rc<Steady>> = events.map(|event| self.times(variant, event)).collect();
        let times: Vec<Vec<Times>> =
            steady.iter().map(|steady| steady.times.get(&size).cloned().unwrap_or_default()).collect();
        let doubts = steady.iter().filter_map(|steady| steady.doubt.get(&size));
        let doubt = doubts.copied().fold(0.0, f64::max);
        measured(size, &rounds, &times, doubt, self.settings)
    }

    /// Rounds of a form with an event, by size; those of sizes that are ruled out are not among them.
    fn rounds(&self, variant: Variant, event: usize) -> Rounds<'_> {
        let seen = self.seen.iter().filter(move |(size, _)| ruled_out(&self.seen, **size, variant).is_none());
        seen.filter_map(|(size, seen)| Some((*size, seen.rounds.get(&(variant, event))?.as_slice())))
            .collect()
    }

    /// The same at one speed of the machine.
    fn times(&self, variant: Variant, event: usize) -> Rc<Steady> {
        if let Some(found) = self.made.borrow().times.get(&(variant, event)) {
            return Rc::clone(found);
        }
        let terms = Terms { boost: self.settings.boost, scaled: self.settings.scaled };
        let times = Rc::new(steady(&self.rounds(variant, event), terms));
        self.made.borrow_mut().times.insert((variant, event), Rc::clone(&times));
        times
    }

    /// Points of a phase of an event, by size, at one speed.
    fn points(&self, variant: Variant, event: usize, phase: Phase) -> Vec<Point> {
        points(&self.times(variant, event).times, phase)
    }

    fn boosted(&self, phase: Phase) -> bool {
        phase == Phase::Init && self.settings.boost
    }

    /// All sizes of a form: measured ones as they are, others by the model.
    pub(crate) fn tiers(&self, variant: Variant) -> Vec<Tier> {
        let models: Vec<[Option<Model>; 3]> = (0..self.settings.weights.len())
            .map(|event| {
                [Phase::Init, Phase::First, Phase::Warm]
                    .map(|phase| Model::fit(&self.points(variant, event, phase), self.boosted(phase)))
            })
            .collect();
        let known: Vec<Tier> = self.sizes.iter().filter_map(|size| self.figures(*size, variant)).collect();
        let lowest = self.lowest_mb().unwrap_or_default();
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
    pub(crate) fn model_error(&self) -> Option<(f64, f64)> {
        let mut errors = Vec::new();
        for event in 0..self.settings.weights.len() {
            // As they were: what sets times right has seen all of them.
            let times = raw(&self.rounds(self.form(), event));
            for phase in [Phase::Init, Phase::First, Phase::Warm] {
                let points = points(&times, phase);
                errors.extend(Model::held_out_errors(&points, self.boosted(phase)));
            }
        }
        Some((median(&errors)?, errors.iter().copied().fold(0.0, f64::max)))
    }
}

fn points(times: &BTreeMap<u32, Vec<Times>>, phase: Phase) -> Vec<Point> {
    times.iter().filter_map(|(size, times)| point(*size, times, phase)).collect()
}
