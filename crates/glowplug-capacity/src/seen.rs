//! What was seen at the sizes, and what of it rules a size out.
//!
//! An event that ends in the same error of the handler's at every size is measured as an answer: the function means it. One
//! that some size answers, or that fails in different ways, fails for want of memory or time, and rules the size out.

use std::collections::BTreeMap;

use crate::probe::{Outcome, Round, Variant};

/// At a size: rounds by form and event, and what ended a form's runs.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) rounds: BTreeMap<(Variant, usize), Vec<Round>>,
    failed: BTreeMap<Variant, Outcome>,
}

impl Seen {
    /// One more round of a form with an event.
    pub(crate) fn add(&mut self, variant: Variant, event: usize, made: Round) {
        if made.outcome.is_served() {
            self.rounds.entry((variant, event)).or_default().push(made);
        } else {
            self.failed.insert(variant, made.outcome);
        }
    }
}

/// By size.
pub(crate) type Sizes = BTreeMap<u32, Seen>;

/// Type and message of the error that an event ends in at every size; nothing where a size answers it.
pub(crate) fn meant(sizes: &Sizes, variant: Variant, event: usize) -> Option<(&str, &str)> {
    let mut found = None;
    for round in sizes.values().filter_map(|seen| seen.rounds.get(&(variant, event))).flatten() {
        match &round.outcome {
            Outcome::Raised { kind, message } => found = Some((kind.as_str(), message.as_str())),
            _ => return None,
        }
    }
    found
}

/// Why a form cannot be chosen at a size.
pub(crate) fn ruled_out(sizes: &Sizes, size: u32, variant: Variant) -> Option<&Outcome> {
    let seen = sizes.get(&size)?;
    let raised = || {
        let of_form = seen.rounds.iter().filter(|((of, _), _)| *of == variant);
        let mut outcomes = of_form.flat_map(|((_, event), rounds)| {
            let meant = meant(sizes, variant, *event).map(|(kind, _)| kind);
            rounds.iter().map(move |round| (meant, &round.outcome))
        });
        let unlike = |(meant, outcome): &(Option<&str>, &Outcome)| match outcome {
            Outcome::Raised { kind, .. } => *meant != Some(kind.as_str()),
            _ => false,
        };
        outcomes.find(unlike).map(|(_, outcome)| outcome)
    };
    seen.failed.get(&variant).or_else(raised)
}

/// Whether a form does not run at a size for want of memory, by what was seen there and at larger ones.
pub(crate) fn is_out_of_memory(sizes: &Sizes, size: u32, variant: Variant) -> bool {
    sizes.range(size..).any(|(_, seen)| seen.failed.get(&variant) == Some(&Outcome::OutOfMemory))
}

/// The sizes at which init of a form was ended and run again.
pub(crate) fn repeated_inits(sizes: &Sizes, variant: Variant) -> Vec<u32> {
    let again = |round: &Round| round.cold.as_ref().is_some_and(|cold| cold.repeated);
    let at = |seen: &Seen| {
        let mut rounds = seen.rounds.iter().filter(|((of, _), _)| *of == variant);
        rounds.any(|(_, rounds)| rounds.iter().any(again))
    };
    sizes.iter().filter(|(_, seen)| at(seen)).map(|(size, _)| *size).collect()
}

/// Why a size cannot be chosen.
pub(crate) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered => "it was answered".to_owned(),
        Outcome::OutOfMemory => "it ran out of memory".to_owned(),
        Outcome::TimedOut => "it took longer than it may".to_owned(),
        Outcome::Raised { kind, message } | Outcome::Failed { kind, message } => {
            format!("it failed with {kind}: {message}")
        }
    }
}
