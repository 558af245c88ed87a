//! Every size in turn: rounds of runs, in which forms and events alternate.

use glowplug_capacity::{Ask, Outcome, Probe, Round, Variant};
use glowplug_core::{ErrorClass, Progress, Result};
use indexmap::IndexMap;
use std::time::Instant;

use crate::tune::Bench;

/// Warm invokes after each cold one.
const WARM: u32 = 4;

/// What all runs of one form at one size gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gathered {
    /// By event, in the order of the rounds.
    pub(super) rounds: Vec<Vec<Round>>,
    /// Why it is run no more.
    pub(super) ended: Option<Outcome>,
}

/// Form and size → what its runs gave.
pub(super) type Survey = IndexMap<(Variant, u32), Gathered>;

/// The runs, and whether they came to their end.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) survey: Survey,
    pub(super) runs: usize,
    pub(super) grid_runs: usize,
    pub(super) complete: bool,
}

/// Runs each form at each of `sizes` `rounds` times with each event. A size at which a form fails is not run again in
/// that form. An interruption ends it, and what there is is kept.
///
/// # Errors
/// Those of the probe, interruptions apart.
pub(super) fn survey(
    bench: &Bench,
    sizes: &[u32],
    rounds: usize,
    probe: &mut dyn Probe,
    progress: &dyn Progress,
) -> Result<Surveyed> {
    let events = bench.events.len();
    let mut survey = Survey::new();
    for size in sizes {
        for variant in &bench.variants {
            let rounds = vec![Vec::new(); events];
            survey.insert((*variant, *size), Gathered { rounds, ended: None });
        }
    }
    let grid_runs = survey.len() * events * rounds;
    let mut done = Surveyed { survey, runs: 0, grid_runs, complete: false };
    progress.start("Running it at each memory size", Some(grid_runs as u64));
    let started = Instant::now();
    for round in 0..rounds {
        for event in 0..events {
            let turn = round + event;
            for place in 0..done.survey.len() {
                // Forms of a size stand side by side: every other round begins with the other one.
                let place = if turn % 2 == 1 && bench.variants.len() == 2 { place ^ 1 } else { place };
                progress.advance(1);
                if !run(&mut done, place, event, probe)? {
                    progress.finish();
                    return Ok(done);
                }
            }
        }
        let left = started.elapsed() / (round as u32 + 1) * (rounds - round - 1) as u32;
        if round == 0 && left.as_secs() > 0 {
            progress.note(&format!("about {} s left for {} more rounds", left.as_secs(), rounds - 1));
        }
    }
    progress.finish();
    Ok(Surveyed { complete: true, ..done })
}

/// One run; false where the user wants to stop.
fn run(done: &mut Surveyed, place: usize, event: usize, probe: &mut dyn Probe) -> Result<bool> {
    let Some(((variant, memory_mb), gathered)) = done.survey.get_index_mut(place) else { return Ok(true) };
    if gathered.ended.is_some() {
        return Ok(true);
    }
    let ask = Ask { variant: *variant, memory_mb: *memory_mb, event, warm: WARM };
    let round = match probe.run(ask) {
        Ok(round) => round,
        Err(error) if error.class() == ErrorClass::Interrupted => return Ok(false),
        Err(error) => return Err(error),
    };
    done.runs += 1;
    if round.outcome != Outcome::Answered {
        gathered.ended = Some(round.outcome.clone());
    }
    gathered.rounds[event].push(round);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_capacity::{ColdStart, Invoke};
    use glowplug_core::{Error, NoProgress};

    /// Remembers what it was asked; has too little memory at 128 MB, and is interrupted at some run.
    struct Fake {
        asked: Vec<Ask>,
        interrupted_at: usize,
    }

    impl Probe for Fake {
        fn run(&mut self, ask: Ask) -> Result<Round> {
            if self.asked.len() == self.interrupted_at {
                return Err(Error::interrupted());
            }
            self.asked.push(ask);
            let invoke = Invoke { wall_us: 1, cpu_us: Some(1), billed_ms: 1 };
            let cold = ColdStart { init_us: 1, init_cpu_us: None, first: invoke.clone() };
            let outcome = if ask.memory_mb == 128 { Outcome::OutOfMemory } else { Outcome::Answered };
            Ok(Round { cold: Some(cold), warm: vec![invoke], peak_bytes: None, outcome })
        }
    }

    fn bench() -> Bench {
        Bench {
            events: vec![("a".into(), 0.5), ("b".into(), 0.5)],
            variants: vec![Variant::Before, Variant::After],
            most_mb: 1769,
            scaled: false,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_size_that_fails_is_not_run_again_and_forms_alternate() {
        let mut fake = Fake { asked: Vec::new(), interrupted_at: usize::MAX };
        let done = survey(&bench(), &[128, 256], 3, &mut fake, &NoProgress).unwrap();
        assert!(done.complete);
        // 128 MB once in each form, 256 MB three times with two events in each.
        assert_eq!((done.runs, done.grid_runs), (2 + 12, 24));
        let forms: Vec<Variant> =
            fake.asked.iter().filter(|ask| ask.memory_mb == 256).map(|ask| ask.variant).collect();
        assert_eq!(forms[..4], [Variant::Before, Variant::After, Variant::After, Variant::Before]);
        assert_eq!(done.survey[&(Variant::After, 128)].ended, Some(Outcome::OutOfMemory));
    }

    #[test]
    fn an_interruption_keeps_what_there_is() {
        let mut fake = Fake { asked: Vec::new(), interrupted_at: 3 };
        let done = survey(&bench(), &[256, 512], 3, &mut fake, &NoProgress).unwrap();
        assert!(!done.complete);
        assert_eq!(done.runs, 3);
    }
}
