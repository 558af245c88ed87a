//! The dynamic half of the rule on effects: loads deferred imports late and sees what that changes.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use fs_err as fs;
use serde::Deserialize;

use glowplug_core::{Error, Result};
use glowplug_engine::{AgentSpec, InitOutcome};
use glowplug_lazy::{Candidate, CandidateKind};

use crate::compare::untimed;
use crate::mask::steady;
use crate::subject::Subject;

/// The agent that loads every deferred import after init and compares the state around each load.
const AGENT: &str = concat!(
    include_str!("../../../python/glowplug_agent/pictures.py"),
    include_str!("../../../python/glowplug_agent/effects.py")
);

#[derive(Deserialize)]
struct Found {
    effects: Vec<Load>,
    /// Why nothing could be compared.
    error: Option<String>,
}

/// In which order loads happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Forward,
    Backward,
}

/// One late load, or value made late.
#[derive(Default, Deserialize)]
struct Load {
    module: String,
    name: String,
    /// What it changed for others.
    effects: Vec<String>,
    /// What it wrote to the log.
    log: Vec<String>,
}

/// Id → what loading it later changes for others, for those of `unconfirmed` that no other of them has loaded before.
/// All of `lazy` is deferred in the tree. Loads happen in one order and in its reverse: what one of them registers in a
/// library is seen where another has loaded the library before. With `alone`, each of `lazy` is also loaded as the first
/// of all, and those that fail then are told too, confirmed before or not: what else is deferred decides.
pub(crate) fn check(
    subject: &Subject,
    tree: &Utf8Path,
    lazy: &BTreeSet<String>,
    unconfirmed: &BTreeSet<String>,
    alone: bool,
) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (first, none) = (one_of_each(subject, lazy), BTreeSet::new());
    for order in [Order::Forward, Order::Backward] {
        let alone = if alone && order == Order::Forward { &first } else { &none };
        for (id, load) in run(subject, tree, lazy, unconfirmed, alone, order)? {
            let known = all.entry(id).or_default();
            let new: Vec<String> =
                load.effects.into_iter().filter(|effect| !known.contains(effect)).collect();
            known.extend(new);
        }
        if unconfirmed.len() < 2 {
            break;
        }
    }
    Ok(all)
}

/// One of all names that an import statement takes from the same modules: they load the same.
fn one_of_each(subject: &Subject, lazy: &BTreeSet<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let chosen = subject.candidates.deferrable().filter(|candidate| lazy.contains(&candidate.id));
    chosen
        .filter(|c| c.kind != CandidateKind::Import || seen.insert((&c.module, &c.targets)))
        .map(|candidate| candidate.id.clone())
        .collect()
}

/// Masked lines of the log that the deferred values among `lazy` write while they are made, as
/// [`crate::compare::untimed`] has them.
pub(crate) fn told(subject: &Subject, tree: &Utf8Path, lazy: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let is_value = |candidate: &&Candidate| candidate.is_global() && lazy.contains(&candidate.id);
    let values: BTreeSet<String> =
        subject.candidates.deferrable().filter(is_value).map(|candidate| candidate.id.clone()).collect();
    if values.is_empty() || !subject.ground.runs_here() {
        return Ok(BTreeSet::new());
    }
    let found = run(subject, tree, lazy, &values, &BTreeSet::new(), Order::Forward)?;
    Ok(found.into_values().flat_map(|load| load.log).map(|line| untimed(&steady(&line))).collect())
}

/// Id → what became of it, for those of `force`, and for those of `alone` that fail. All of `lazy` is deferred in the
/// tree.
fn run(
    subject: &Subject,
    tree: &Utf8Path,
    lazy: &BTreeSet<String>,
    force: &BTreeSet<String>,
    alone: &BTreeSet<String>,
    order: Order,
) -> Result<BTreeMap<String, Load>> {
    let agent = subject.ground.work().join("effects.py");
    let output = subject.ground.work().join("effects.json");
    fs::write(&agent, AGENT)?;
    fs::write(&output, "")?;
    let names = |ids: &BTreeSet<String>| -> BTreeMap<(String, String), String> {
        let chosen = subject.candidates.deferrable().filter(|candidate| ids.contains(&candidate.id));
        chosen.map(|c| ((c.module.clone(), c.name.clone()), c.id.clone())).collect()
    };
    let by_name = names(lazy);
    let mut values = by_name.clone();
    values
        .retain(|(module, name), _| subject.candidates.named(module, name).is_some_and(Candidate::is_global));
    let mut forced: Vec<(String, String)> = names(force).into_keys().collect();
    if order == Order::Backward {
        forced.reverse();
    }
    let mut tried = subject.candidates.deferrable().filter(|candidate| force.contains(&candidate.id));
    let warnings = tried.any(|candidate| candidate.may_warn.is_some());
    let user: Vec<&String> = subject.modules.keys().filter(|module| subject.is_user(module)).collect();
    let config = serde_json::json!({
        "output": output,
        "force": forced,
        "deferred": by_name.keys().collect::<Vec<_>>(),
        "alone": names(alone).keys().collect::<Vec<_>>(),
        "values": values.keys().collect::<Vec<_>>(),
        "support": subject.support,
        "user": user,
        "warnings": warnings,
    });
    let spec = subject.ground.spec_for_agent(tree, Some(AgentSpec { source: agent, config }));
    let (mut environment, init) = subject.ground.engine.start(&spec)?;
    if !matches!(init.outcome, InitOutcome::Ready) {
        // The replay will say what is wrong with this tree; nothing is confirmed here.
        return Ok(BTreeMap::new());
    }
    let invocation = environment.invoke(&subject.ground.events[0].payload)?;
    environment.finish()?;
    let text = fs::read_to_string(&output)?;
    let found: Found = serde_json::from_str(&text).map_err(|e| {
        Error::defect("the effects agent left no result")
            .cause(e)
            .cause(String::from_utf8_lossy(&invocation.log).trim())
    })?;
    if let Some(error) = found.error {
        let unknown = || Load { effects: vec![format!("cannot be compared: {error}")], ..Load::default() };
        return Ok(force.iter().map(|id| (id.clone(), unknown())).collect());
    }
    Ok(found
        .effects
        .into_iter()
        .filter_map(|load| {
            let id = by_name.get(&(load.module.clone(), load.name.clone()))?.clone();
            Some((id, load))
        })
        .collect())
}
