//! Full deferral: with every import deferred that may be, what still loads for an event is what the event needs.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Error, Progress, Result, TASK_ROOT};
use glowplug_engine::{Cpu, InitOutcome, Outcome, error_message};
use glowplug_lazy::Candidate;
use glowplug_trace::{LazyLoad, Phase};

use crate::bisect::culprits;
use crate::explore::{Explored, OWN, loaded, node, observe_event, outcome_kind, owner};
use crate::folders::materialise;
use crate::mask::steady;
use crate::options::LazyLevel;
use crate::subject::Subject;
use crate::trial::init_payload;
use crate::variant::Recipe;

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
        LazyLevel::Off | LazyLevel::Safe => {
            !candidate.is_global() && candidate.unproved.is_none() && candidate.may_warn.is_none()
        }
        LazyLevel::Balanced => candidate.unproved.is_none(),
        // Nobody tries whether it warns.
        LazyLevel::Aggressive => candidate.may_warn.is_none(),
    };
    !allowed
}

/// Imports that are tried together: the user's own one by one, others by file.
fn units(subject: &Subject, explored: &Explored) -> Vec<Vec<String>> {
    let mut own = Vec::new();
    let mut by_file: BTreeMap<&Utf8Path, Vec<String>> = BTreeMap::new();
    for candidate in subject.candidates.deferrable() {
        if !explored.loads(&candidate.module)
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
    while let Some(broken) = full_deferral(subject, &units, outcomes, explored, progress)? {
        if units.is_empty() {
            // Not even the original behaves as it did before: nothing can be learnt about it.
            explored.need = explored.self_ms.keys().map(|module| (module.clone(), 1.0)).collect();
            break;
        }
        let guilty: Vec<usize> = match patience.checked_sub(1) {
            Some(left) => {
                patience = left;
                let event = broken.event;
                search_guilty(subject, &units, &broken, |kept| {
                    if progress.interrupted() {
                        return Err(Error::interrupted());
                    }
                    Ok(failure(subject, kept, event, outcomes[event])?.is_none())
                })?
            }
            None => others_first(subject, &units),
        };
        for index in guilty.into_iter().rev() {
            explored.breaking.extend(units.remove(index).into_iter().map(|id| (id, broken.how.clone())));
        }
    }
    Ok(())
}

/// An event that went another way than in the original.
struct Broken {
    event: usize,
    /// In the payload's words.
    how: String,
    /// Files of the tree that the payload names.
    files: BTreeSet<Utf8PathBuf>,
}

/// The position of a unit without which the event goes as in the original, given those before it: among those in the
/// files that the error names, where it goes well without them; among all otherwise.
fn search_guilty(
    subject: &Subject,
    units: &[Vec<String>],
    broken: &Broken,
    mut goes_well: impl FnMut(&[Vec<String>]) -> Result<bool>,
) -> Result<Vec<usize>> {
    let in_named: BTreeSet<&str> = subject
        .candidates
        .deferrable()
        .filter(|candidate| broken.files.contains(&candidate.path))
        .map(|candidate| candidate.id.as_str())
        .collect();
    let is_named = |index: &usize| units[*index].iter().any(|id| in_named.contains(id.as_str()));
    let (mut order, named): (Vec<usize>, Vec<usize>) = (0..units.len()).partition(|index| !is_named(index));
    let mut of =
        |kept: &[usize]| goes_well(&kept.iter().map(|index| units[*index].clone()).collect::<Vec<_>>());
    let cleared = if named.is_empty() || !of(&order)? { 0 } else { order.len() };
    order.extend(named);
    let (clear, suspects) = order.split_at(cleared);
    let found = culprits(suspects.len(), 1, |kept| {
        let kept = clear.iter().copied().chain(kept.iter().map(|index| suspects[*index]));
        of(&kept.collect::<Vec<_>>())
    })?;
    Ok(found.into_iter().map(|index| suspects[index]).collect())
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

/// Traces every event with all units deferred; gives the first event that went another way than in the original.
fn full_deferral(
    subject: &Subject,
    units: &[Vec<String>],
    outcomes: &[Option<u8>],
    explored: &mut Explored,
    progress: &dyn Progress,
) -> Result<Option<Broken>> {
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
        if let Some(payload) = deviation(&observation.init.outcome, outcome, outcomes[index]) {
            return Ok(Some(broken(index, &payload)));
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

/// What the payload of an event that went another way says.
fn broken(event: usize, payload: &[u8]) -> Broken {
    let text = String::from_utf8_lossy(payload);
    let root = format!("{TASK_ROOT}/");
    let files = text.split(&root).skip(1);
    let files = files.filter_map(|rest| Some(Utf8PathBuf::from(&rest[..rest.find(".py")? + 3])));
    Broken { event, how: steady(&error_message(payload)), files: files.collect() }
}

/// The payload of one event that goes another way than in the original with these units deferred.
fn failure(
    subject: &Subject,
    units: &[Vec<String>],
    event: usize,
    expected: Option<u8>,
) -> Result<Option<Vec<u8>>> {
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

/// The payload of what went another way than in the original.
fn deviation(init: &InitOutcome, outcome: Option<&Outcome>, expected: Option<u8>) -> Option<Vec<u8>> {
    if let Some(payload) = init_payload(init) {
        return Some(payload.to_vec());
    }
    let outcome = outcome.filter(|outcome| Some(outcome_kind(outcome)) != expected)?;
    Some(match outcome {
        Outcome::Success(_) => b"an event that fails in the original succeeds".to_vec(),
        Outcome::HandlerError(payload) | Outcome::Exited(payload) | Outcome::TimedOut(payload) => {
            payload.clone()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_files_of_its_traceback() {
        let payload = br#"{"errorMessage": "cannot import name 'A' from 'p.q' (/var/task/p/q/__init__.py)",
            "errorType": "ImportError", "stackTrace": ["  File \"/var/task/app.py\", line 1, in <module>\n"]}"#;
        let found = broken(3, payload);
        assert_eq!(found.files.into_iter().collect::<Vec<_>>(), ["app.py", "p/q/__init__.py"]);
        assert_eq!((found.event, found.how.contains("cannot import name")), (3, true));
        assert!(broken(0, b"/var/task/ has no file").files.is_empty());
    }
}
