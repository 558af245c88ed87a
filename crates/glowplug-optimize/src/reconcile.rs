//! What loaded in a traced start of the result against the prediction, and what the search learns from it.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_lazy::Candidate;
use glowplug_trace::{LazyLoad, Observation, Phase};

use crate::explore::{Explored, loaded};
use crate::frontier::{Edge, Measured, WORTH_MS};
use crate::search::{Search, force};
use crate::subject::Subject;

/// The imports whose deferral a lazy load makes good: that of the name, or those of a submodule that its package
/// loads when it is read.
fn deferred_by<'s>(subject: &'s Subject, load: &LazyLoad) -> Vec<&'s Candidate> {
    match subject.candidates.named(&load.module, &load.name) {
        Some(candidate) if candidate.refusal.is_none() => vec![candidate],
        _ => {
            let module = format!("{}.{}", load.module, load.name);
            subject.candidates.deferrable().filter(|c| c.is_submodule() && c.name == module).collect()
        }
    }
}

/// Enters the events whose first request loads something deferred.
pub(crate) fn record_fired(
    subject: &Subject,
    observation: &Observation,
    event: &str,
    fired: &mut BTreeMap<String, BTreeSet<String>>,
) {
    for load in observation.lazy_loads.iter().filter(|load| load.phase == Phase::FirstInvoke) {
        for candidate in deferred_by(subject, load) {
            fired.entry(candidate.id.clone()).or_default().insert(event.to_owned());
        }
    }
}

/// What loaded in init against the prediction: the import that brought it joins the choice where it can
/// be deferred too; else the module is needed after all. Says whether the next round will differ.
pub(crate) fn reconcile(
    subject: &Subject,
    observation: &Observation,
    found: &mut Search,
    measured: &mut Measured,
    edges: &mut Vec<Edge>,
) -> bool {
    let mut learnt = needed_in_init(subject, observation, found, measured, edges);
    let needed = &found.frontier.needed;
    let present = loaded(observation, Phase::Init);
    let unexpected: BTreeSet<&String> =
        present.iter().filter(|m| measured.self_ms.contains_key(*m) && !needed.contains(*m)).collect();
    let cost: f64 = unexpected.iter().filter_map(|m| measured.self_ms.get(*m)).sum();
    if cost < WORTH_MS {
        return learnt;
    }
    for record in
        observation.imports.iter().filter(|r| r.phase == Phase::Init && unexpected.contains(&r.module))
    {
        // Only the outermost ones: what they import follows from them.
        if record.parent.as_ref().is_some_and(|parent| unexpected.contains(parent)) {
            continue;
        }
        learnt |= match importer(subject, &record.importer) {
            Some(id) if extend(edges, &id, &record.module) => true,
            _ => measured.forced.insert(record.module.clone()),
        };
    }
    learnt
}

/// Modules that an event was to do without, and that loaded for it.
pub(crate) fn needed_after_all(
    observation: &Observation,
    explored: &Explored,
    found: &Search,
    measured: &mut Measured,
    weight: f64,
) -> bool {
    let in_init = loaded(observation, Phase::Init);
    let present = loaded(observation, Phase::FirstInvoke);
    let ms = |module: &String| measured.self_ms.get(module).or_else(|| explored.late.self_ms.get(module));
    let expected = |m: &String| found.later.contains(m) || found.frontier.needed.contains(m);
    let unexpected: Vec<&String> =
        present.difference(&in_init).filter(|m| ms(m).is_some() && !expected(m)).collect();
    if unexpected.iter().filter_map(|module| ms(module)).sum::<f64>() * weight < WORTH_MS {
        return false;
    }
    for module in unexpected {
        let share = measured.need.entry(module.clone()).or_insert(0.0);
        *share = (*share + weight).min(1.0);
    }
    true
}

/// Deferred imports that something needed while modules were loading: they stay eager from now on.
fn needed_in_init(
    subject: &Subject,
    observation: &Observation,
    found: &mut Search,
    measured: &mut Measured,
    edges: &mut Vec<Edge>,
) -> bool {
    let mut learnt = false;
    for load in observation.lazy_loads.iter().filter(|load| load.phase == Phase::Init) {
        for candidate in deferred_by(subject, load) {
            if edges.iter().any(|edge| edge.id == candidate.id) {
                force(&candidate.id, measured, edges);
                let file = load.file.strip_prefix("/var/task/").unwrap_or(&load.file);
                let why = format!("used while modules load: {file}:{}", load.line);
                found.refused.insert(candidate.id.clone(), why);
                learnt = true;
            }
        }
    }
    learnt
}

/// The deferrable import statement at `file:line`, if there is one.
fn importer(subject: &Subject, place: &str) -> Option<String> {
    let (file, line) = place.rsplit_once(':')?;
    let line: u32 = line.parse().ok()?;
    let path = file.strip_prefix("/var/task/").unwrap_or(file);
    subject.candidates.at(path.into(), line).map(|candidate| candidate.id.clone())
}

/// Teaches an edge one more target; false where it knew or does not exist.
fn extend(edges: &mut [Edge], id: &str, target: &str) -> bool {
    edges.iter_mut().find(|edge| edge.id == id).is_some_and(|edge| edge.targets.insert(target.to_owned()))
}
