//! Full deferral: with every import deferred that may be, what still loads for an event is what the event needs.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{Cpu, InitOutcome, Outcome, error_message};
use glowplug_lazy::Candidate;
use glowplug_trace::{LazyLoad, Phase};

use crate::bisect::culprits;
use crate::explore::{Explored, OWN, loaded, node, observe_event, outcome_kind, owner};
use crate::mask::steady;
use crate::options::LazyLevel;
use crate::subject::Subject;
use crate::trial::init_payload;
use crate::variant::{Recipe, materialise};

/// Files whose imports may turn out to break the function before the search keeps to the user's own code.
const PATIENCE: usize = 12;

/// Whether an import is never deferred although the rules allow it: native modules often import each other in an
/// order of their own, and load with whoever asks for them.
pub(crate) fn loads_native(subject: &Subject, candidate: &Candidate) -> bool {
    let native = |target: &String| subject.modules.get(target).is_some_and(|file| file.native);
    !subject.is_user(&candidate.module) && candidate.targets.iter().any(native)
}

/// Whether the level does not allow to defer a value: `safe` none, and `balanced` none that the analysis does not know.
pub(crate) fn is_unproved(candidate: &Candidate, level: LazyLevel) -> bool {
    let allowed = match level {
        LazyLevel::Off | LazyLevel::Safe => false,
        LazyLevel::Balanced => candidate.unproved.is_none(),
        LazyLevel::Aggressive => true,
    };
    candidate.is_global() && !allowed
}

/// Imports that are tried together: the user's own one by one, others by file.
fn units(subject: &Subject, explored: &Explored) -> Vec<Vec<String>> {
    let mut own = Vec::new();
    let mut by_file: BTreeMap<&Utf8Path, Vec<String>> = BTreeMap::new();
    for candidate in subject.candidates.deferrable() {
        if !explored.self_ms.contains_key(&candidate.module)
            || loads_native(subject, candidate)
            || is_unproved(candidate, explored.level)
        {
            continue;
        }
        if owner(subject, &candidate.path) == OWN {
            own.push(vec![candidate.id.clone()]);
        } else {
            by_file.entry(&candidate.path).or_default().push(candidate.id.clone());
        }
    }
    // Own ones come first: they are the last to be suspected.
    own.into_iter().chain(by_file.into_values()).collect()
}

/// Defers everything, leaves out what breaks by it until nothing does, and enters what each event needs.
/// `outcomes` are the original's, by event.
pub(crate) fn find_needed(
    subject: &Subject,
    outcomes: &[Option<u8>],
    explored: &mut Explored,
    progress: &dyn Progress,
) -> Result<()> {
    let mut units = units(subject, explored);
    let mut patience = PATIENCE;
    while let Some((event, how)) = full_deferral(subject, &units, outcomes, explored, progress)? {
        if units.is_empty() {
            // Not even the original behaves as it did before: nothing can be learnt about it.
            explored.need = explored.self_ms.keys().map(|module| (module.clone(), 1.0)).collect();
            break;
        }
        let guilty: Vec<usize> = match patience.checked_sub(1) {
            Some(left) => {
                patience = left;
                let found = culprits(units.len(), 1, |kept| {
                    if progress.interrupted() {
                        return Err(Error::interrupted());
                    }
                    let kept: Vec<Vec<String>> = kept.iter().map(|index| units[*index].clone()).collect();
                    Ok(failure(subject, &kept, event, outcomes[event])?.is_none())
                })?;
                found.into_iter().collect()
            }
            None => others_first(subject, &units),
        };
        for index in guilty.into_iter().rev() {
            explored.breaking.extend(units.remove(index).into_iter().map(|id| (id, how.clone())));
        }
    }
    Ok(())
}

/// Positions of the units outside the user's own code; of all, where there are no others.
fn others_first(subject: &Subject, units: &[Vec<String>]) -> Vec<usize> {
    let own: BTreeSet<&str> = subject
        .candidates
        .deferrable()
        .filter(|candidate| owner(subject, &candidate.path) == OWN)
        .map(|candidate| candidate.id.as_str())
        .collect();
    let is_own = |index: &usize| units[*index].iter().all(|id| own.contains(id.as_str()));
    let others: Vec<usize> = (0..units.len()).filter(|index| !is_own(index)).collect();
    if others.is_empty() { (0..units.len()).collect() } else { others }
}

fn recipe(units: &[Vec<String>]) -> Recipe {
    Recipe { lazy: units.iter().flatten().cloned().collect(), ..Recipe::before() }
}

/// Traces every event with all units deferred; gives the event that went another way than the original, and how.
fn full_deferral(
    subject: &Subject,
    units: &[Vec<String>],
    outcomes: &[Option<u8>],
    explored: &mut Explored,
    progress: &dyn Progress,
) -> Result<Option<(usize, String)>> {
    let tree = materialise(subject, &recipe(units), "explore")?;
    let mut need = BTreeMap::new();
    let deferred: BTreeSet<&String> = units.iter().flatten().collect();
    // A value that is made in init whatever comes is needed.
    for global in subject.candidates.all().filter(|c| c.is_global() && !deferred.contains(&c.id)) {
        need.insert(node(&global.module, &global.name), 1.0);
    }
    for (index, event) in subject.ground.events.iter().enumerate() {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let observation = observe_event(subject, &tree, index)?;
        let outcome = observation.invocation.as_ref().map(|invocation| &invocation.outcome);
        if let Some(how) = deviation(&observation.init.outcome, outcome, outcomes[index]) {
            return Ok(Some((index, how)));
        }
        for module in loaded(&observation, Phase::Init) {
            need.insert(module, 1.0);
        }
        for load in &observation.lazy_loads {
            if load.phase == Phase::Init && is_value(subject, load) {
                need.insert(node(&load.module, &load.name), 1.0);
            }
        }
        let made: BTreeSet<String> = observation
            .lazy_loads
            .iter()
            .filter(|load| load.phase == Phase::FirstInvoke && is_value(subject, load))
            .map(|load| node(&load.module, &load.name))
            .collect();
        for module in loaded(&observation, Phase::FirstInvoke).into_iter().chain(made) {
            let share: &mut f64 = need.entry(module).or_insert(0.0);
            *share = (*share + event.weight).min(1.0);
        }
        progress.advance(1);
    }
    explored.need = need;
    Ok(None)
}

fn is_value(subject: &Subject, load: &LazyLoad) -> bool {
    subject.candidates.named(&load.module, &load.name).is_some_and(Candidate::is_global)
}

/// How one event fails with these units deferred, if it does.
fn failure(
    subject: &Subject,
    units: &[Vec<String>],
    event: usize,
    expected: Option<u8>,
) -> Result<Option<String>> {
    let tree = materialise(subject, &recipe(units), "explore")?;
    let ground = &subject.ground;
    let (mut environment, init) = ground.engine.start(&ground.spec(&tree, Cpu::Unlimited))?;
    let outcome = match init.outcome {
        InitOutcome::Ready => Some(environment.invoke(&ground.events[event].payload)?.outcome),
        _ => None,
    };
    environment.finish()?;
    Ok(deviation(&init.outcome, outcome.as_ref(), expected))
}

/// What went another way than in the original, in the payload's words.
fn deviation(init: &InitOutcome, outcome: Option<&Outcome>, expected: Option<u8>) -> Option<String> {
    if let Some(payload) = init_payload(init) {
        return Some(steady(&error_message(payload)));
    }
    let outcome = outcome.filter(|outcome| Some(outcome_kind(outcome)) != expected)?;
    Some(match outcome {
        Outcome::Success(_) => "an event that fails in the original succeeds".to_owned(),
        Outcome::HandlerError(payload) | Outcome::Exited(payload) | Outcome::TimedOut(payload) => {
            steady(&error_message(payload))
        }
    })
}
