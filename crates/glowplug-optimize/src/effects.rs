//! The dynamic half of the rule on effects: loads deferred imports late and sees what that changes.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use fs_err as fs;
use serde::Deserialize;

use glowplug_core::{Error, Result};
use glowplug_engine::{AgentSpec, InitOutcome};

use crate::subject::Subject;

/// The agent that loads every deferred import after init and compares the state around each load.
const AGENT: &str = include_str!("../../../python/glowplug_agent/effects.py");

#[derive(Deserialize)]
struct Found {
    effects: Vec<(String, String, Vec<String>)>,
}

/// Id → what loading it later changes for others, for those of `unconfirmed` that no other of them has loaded before.
/// All of `lazy` is deferred in the tree.
pub(crate) fn check(
    subject: &Subject,
    tree: &Utf8Path,
    lazy: &BTreeSet<String>,
    unconfirmed: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<String>>> {
    let agent = subject.ground.work().join("effects.py");
    let output = subject.ground.work().join("effects.json");
    fs::write(&agent, AGENT)?;
    fs::write(&output, "")?;
    let names = |ids: &BTreeSet<String>| -> BTreeMap<(String, String), String> {
        let chosen = subject.candidates.deferrable().filter(|candidate| ids.contains(&candidate.id));
        chosen.map(|c| ((c.module.clone(), c.name.clone()), c.id.clone())).collect()
    };
    let by_name = names(unconfirmed);
    let user: Vec<&String> = subject.modules.keys().filter(|module| subject.is_user(module)).collect();
    let config = serde_json::json!({
        "output": output,
        "force": by_name.keys().collect::<Vec<_>>(),
        "deferred": names(lazy).keys().collect::<Vec<_>>(),
        "support": subject.support,
        "user": user,
    });
    let spec = subject.ground.spec_for_agent(tree, Some(AgentSpec { source: agent, config }));
    let (mut environment, init) = subject.ground.engine.start(&spec)?;
    if !matches!(init.outcome, InitOutcome::Ready) {
        // The replay will say what is wrong with this tree; nothing is confirmed here.
        return Ok(BTreeMap::new());
    }
    environment.invoke(&subject.ground.events[0].payload)?;
    environment.finish()?;
    let text = fs::read_to_string(&output)?;
    let found: Found = serde_json::from_str(&text)
        .map_err(|e| Error::defect("the effects agent left no result").cause(e))?;
    Ok(found
        .effects
        .into_iter()
        .filter_map(|(module, name, what)| Some((by_name.get(&(module, name))?.clone(), what)))
        .collect())
}
