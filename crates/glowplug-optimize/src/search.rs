//! Finds the imports to defer: frontier, trace the result, reconcile, confirm; until nothing surprises.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Error, Progress, Result};
use glowplug_imports::ModuleAnalysis;
use glowplug_lazy::Candidate;

use crate::deferral::{is_unproved, loads_native};
use crate::effects;
use crate::explore::{Explored, OWN, node, observe_event, owner};
use crate::folders::materialise;
use crate::frontier::{Edge, Frontier, Measured, frontier};
use crate::later::later;
use crate::options::LazyLevel;
use crate::profit::Profit;
use crate::reconcile::{needed_after_all, reconcile, record_fired};
use crate::subject::Subject;
use crate::variant::Recipe;
use crate::verify::Pinned;

/// Late loads of what is deferred: one may load another, which is then looked at by itself.
const CONFIRMATIONS: usize = 3;

/// Rounds of plan, trace, reconcile; each costs one traced start an event.
const ROUNDS: usize = 8;

/// The imports to defer, and what was learnt about the others.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// What to defer, and what that saves.
    pub(crate) frontier: Frontier,
    /// Id → why its target must load with its importer.
    pub(crate) refused: BTreeMap<String, String>,
    /// Id → events whose first request loads it.
    pub(crate) fired: BTreeMap<String, BTreeSet<String>>,
    /// Modules that load after init, for those events that need them.
    pub(crate) later: BTreeSet<String>,
    /// Module → share of first requests that need it, for the modules that the original's init loads.
    pub(crate) need: BTreeMap<String, f64>,
}

/// Searches the plan's imports at the given level. What a replay has `pinned` stays, and what it loads is needed.
pub(crate) fn search(
    subject: &Subject,
    level: LazyLevel,
    profit: Profit,
    explored: &Explored,
    pinned: &Pinned,
    progress: &dyn Progress,
) -> Result<Search> {
    let mut found = Search { need: explored.need.clone(), ..Search::default() };
    if level == LazyLevel::Off {
        return Ok(found);
    }
    let mut measured = Measured {
        self_ms: explored.self_ms.clone(),
        imports: import_graph(subject, explored),
        need: explored.need.clone(),
        forced: BTreeSet::new(),
        root: subject.handler_module(),
    };
    let mut edges = edges(subject, level, &measured, explored, &mut found.refused);
    for (id, why) in pinned {
        force(id, &mut measured, &mut edges);
        found.refused.insert(id.clone(), why.clone());
    }
    let compares = level != LazyLevel::Aggressive;
    let mut rounds =
        Rounds { subject, explored, found, measured, edges, confirmed: BTreeSet::new(), stale: false };
    progress.start("Planning lazy imports", Some(ROUNDS as u64));
    for _ in 0..ROUNDS {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let learnt = rounds.plan(profit, compares)?;
        progress.advance(1);
        if !learnt {
            break;
        }
    }
    if compares {
        rounds.keep_confirmed();
        // The rounds ran out: nothing is planned any more, but what is left is looked at until nothing is refused.
        while rounds.stale && !rounds.found.frontier.edges.is_empty() {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let lazy = rounds.lazy();
            let tree = rounds.tree(&lazy)?;
            rounds.confirmed.clear();
            rounds.stale = rounds.confirm(&tree, &lazy)?;
            rounds.keep_confirmed();
        }
    }
    progress.finish();
    Ok(rounds.found)
}

/// What is known between two rounds.
struct Rounds<'s, 'g> {
    subject: &'s Subject<'g>,
    explored: &'s Explored,
    found: Search,
    measured: Measured,
    edges: Vec<Edge>,
    /// Ids whose late load changes nothing for others.
    confirmed: BTreeSet<String>,
    /// Whether something was refused since all were looked at: what stays then may be what others register in.
    stale: bool,
}

impl Rounds<'_, '_> {
    /// Plans, traces what that gives, reconciles and confirms; says whether the next round will differ.
    fn plan(&mut self, profit: Profit, compares: bool) -> Result<bool> {
        self.choose(profit);
        self.found.fired.clear();
        let lazy = self.lazy();
        if lazy.is_empty() {
            return Ok(false);
        }
        let tree = self.tree(&lazy)?;
        let mut learnt = false;
        let events = &self.subject.ground.events;
        for (index, event) in events.iter().enumerate() {
            let observation = observe_event(self.subject, &tree, index)?;
            record_fired(self.subject, &observation, &event.name, &mut self.found.fired);
            let Self { subject, explored, found, measured, edges, .. } = self;
            learnt |= reconcile(subject, &observation, found, measured, edges);
            learnt |= needed_after_all(&observation, explored, found, measured, event.weight);
        }
        if learnt || !compares {
            return Ok(learnt);
        }
        if self.confirm(&tree, &lazy)? {
            self.stale = true;
            return Ok(true);
        }
        if !self.stale {
            return Ok(false);
        }
        self.confirmed.clear();
        self.stale = self.confirm(&tree, &lazy)?;
        Ok(self.stale)
    }

    /// Chooses for init, and then within what loads after it.
    fn choose(&mut self, profit: Profit) {
        let mut first = frontier(&self.measured, &self.edges, profit);
        let late = &self.explored.late;
        let second = later(&self.measured, late, &self.edges, profit, &first);
        first.edges.extend(second.edges);
        self.found.later = second.needed.difference(&first.needed).cloned().collect();
        self.found.frontier = first;
    }

    /// Ids of the chosen imports.
    fn lazy(&self) -> BTreeSet<String> {
        self.found.frontier.edges.keys().cloned().collect()
    }

    fn tree(&self, lazy: &BTreeSet<String>) -> Result<Utf8PathBuf> {
        materialise(self.subject, &Recipe { lazy: lazy.clone(), ..Recipe::before() }, "plan")
    }

    /// What was not confirmed stays eager, and what cannot wait without it.
    fn keep_confirmed(&mut self) {
        let Self { found, confirmed, .. } = self;
        found.frontier.edges.retain(|id, _| confirmed.contains(id) && !found.refused.contains_key(id));
        let effective = self.subject.candidates.effective(&self.lazy());
        self.found.frontier.edges.retain(|id, _| effective.contains(id));
    }

    /// Loads what is deferred late and sees what that changes; says whether something was refused.
    fn confirm(&mut self, tree: &Utf8Path, lazy: &BTreeSet<String>) -> Result<bool> {
        let mut refused = false;
        let mut unconfirmed: BTreeSet<String> = lazy.difference(&self.confirmed).cloned().collect();
        for round in 0..CONFIRMATIONS {
            if unconfirmed.is_empty() {
                break;
            }
            for (id, what) in effects::check(self.subject, tree, lazy, &unconfirmed, round == 0)? {
                unconfirmed.remove(&id);
                if what.is_empty() {
                    self.confirmed.insert(id);
                } else {
                    refused = true;
                    force(&id, &mut self.measured, &mut self.edges);
                    self.found.refused.insert(id, format!("loading it later {}", what.join("; ")));
                }
            }
        }
        Ok(refused)
    }
}

/// Takes an edge out of the choice and its targets into what is needed.
pub(crate) fn force(id: &str, measured: &mut Measured, edges: &mut Vec<Edge>) {
    if let Some(at) = edges.iter().position(|edge| edge.id == id) {
        measured.forced.extend(edges.remove(at).targets);
        *edges = without_dangling(std::mem::take(edges));
    }
}

/// Imports that module bodies make, as the sources say and as the trace saw.
fn import_graph(subject: &Subject, explored: &Explored) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph = explored.imports.clone();
    for (module, analysis) in &subject.analyses {
        if explored.loads(module) {
            graph.entry(module.clone()).or_default().extend(body_imports(subject, analysis, explored));
        }
    }
    // A value is made by its module's body, and needs what it is made from.
    for global in subject.candidates.all().filter(|candidate| candidate.is_global()) {
        let node = node(&global.module, &global.name);
        graph.entry(global.module.clone()).or_default().insert(node.clone());
        let inputs = subject.candidates.all().filter(|input| input.requires.contains(&global.id));
        let needed: Vec<BTreeSet<String>> =
            inputs.map(|input| targets(subject, input, &explored.self_ms)).collect();
        let taken = taken(subject, global).filter(|value| explored.self_ms.contains_key(value));
        graph.entry(node).or_default().extend(needed.into_iter().flatten().chain(taken));
    }
    graph
}

/// The values of other modules that another name for a type is made from, if they are some: `schema.Field`.
fn taken<'s>(subject: &'s Subject, global: &'s Candidate) -> impl Iterator<Item = String> + 's {
    let analysis = subject.analyses.get(&global.module);
    let globals = analysis.map_or(&[][..], |analysis| &analysis.globals).iter();
    let paths = globals.filter(|known| known.binding.name == global.name).flat_map(|known| &known.attributes);
    paths.filter_map(|path| path.rsplit_once('.').map(|(module, name)| node(module, name)))
}

/// What a module's body imports, by its source: the packages around and submodules among the names too.
pub(crate) fn body_imports(
    subject: &Subject,
    analysis: &ModuleAnalysis,
    explored: &Explored,
) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    for import in analysis.imports.iter().filter(|import| import.runs_at_import()) {
        add_with_parents(&import.module, &mut targets);
        for name in &import.names {
            let submodule = format!("{}.{name}", import.module);
            if subject.modules.contains_key(&submodule) {
                targets.insert(submodule);
            }
            let value = node(&import.module, name);
            if explored.self_ms.contains_key(&value) {
                targets.insert(value);
            }
        }
    }
    targets
}

fn add_with_parents(module: &str, targets: &mut BTreeSet<String>) {
    targets.insert(module.to_owned());
    for (at, _) in module.match_indices('.') {
        targets.insert(module[..at].to_owned());
    }
}

/// The deferrable imports of modules that the original loads, as far as the level allows.
fn edges(
    subject: &Subject,
    level: LazyLevel,
    measured: &Measured,
    explored: &Explored,
    refused: &mut BTreeMap<String, String>,
) -> Vec<Edge> {
    let mut edges = Vec::new();
    let aliases = explored.aliases.asked_for(subject.analyses.values());
    for candidate in subject.candidates.deferrable() {
        if !explored.loads(&candidate.module) {
            continue;
        }
        if is_unproved(candidate, level) {
            let why = candidate.unproved.clone().or_else(|| candidate.may_warn.clone());
            let why = why.unwrap_or_else(|| "a value waits from level `balanced` on".to_owned());
            refused.insert(candidate.id.clone(), why);
            continue;
        }
        if loads_native(subject, candidate) {
            let why = "it loads native code, which may import in an order of its own";
            refused.insert(candidate.id.clone(), why.to_owned());
            continue;
        }
        if let Some(how) = explored.breaking.get(&candidate.id) {
            refused
                .insert(candidate.id.clone(), format!("deferring it with others broke the function: {how}"));
            continue;
        }
        let targets = targets(subject, candidate, &measured.self_ms);
        if let Some(why) = aliases.hold(&explored.aliases, &candidate.module, &targets) {
            refused.insert(candidate.id.clone(), why);
            continue;
        }
        let proof_needed = level == LazyLevel::Safe && owner(subject, &candidate.path) != OWN;
        if let Some(why) = proof_needed.then(|| unproved(subject, &targets, measured)).flatten() {
            refused.insert(candidate.id.clone(), why);
            continue;
        }
        let requires = candidate.requires.clone();
        edges.push(Edge { id: candidate.id.clone(), module: candidate.module.clone(), targets, requires });
    }
    without_dangling(edges)
}

/// What is used by a value that stays is used while the module runs.
fn without_dangling(mut edges: Vec<Edge>) -> Vec<Edge> {
    loop {
        let ids: BTreeSet<String> = edges.iter().map(|edge| edge.id.clone()).collect();
        let before = edges.len();
        edges.retain(|edge| edge.requires.is_subset(&ids));
        if edges.len() == before {
            return edges;
        }
    }
}

/// Every module that binding the name loads: its targets, and through re-exports what those names are. `loaded`
/// tells names from submodules where a module is not part of the tree.
pub(crate) fn targets<V>(
    subject: &Subject,
    candidate: &Candidate,
    loaded: &BTreeMap<String, V>,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if candidate.is_global() {
        all.insert(node(&candidate.module, &candidate.name));
        return all;
    }
    for target in &candidate.targets {
        add_with_parents(target, &mut all);
    }
    if candidate.is_submodule() {
        // What binds the name stays.
        all.remove(candidate.name.split('.').next().unwrap_or_default());
        return all;
    }
    // Modules whose `attribute` has been followed.
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut pending = vec![(candidate.module.as_str(), candidate.name.as_str())];
    while let Some((module, name)) = pending.pop() {
        let analysis = subject.analyses.get(module);
        let binding = analysis.and_then(|analysis| analysis.bindings.iter().find(|b| b.name == name));
        for statement in binding.map_or(&[][..], |binding| &binding.statements) {
            let Some(attribute) = statement.attribute.as_deref() else { continue };
            if !seen.insert((&statement.module, attribute)) {
                continue;
            }
            add_with_parents(&statement.module, &mut all);
            let value = node(&statement.module, attribute);
            if loaded.contains_key(&value) {
                all.insert(value);
                continue;
            }
            let submodule = format!("{}.{attribute}", statement.module);
            if subject.modules.contains_key(&submodule) || loaded.contains_key(&submodule) {
                all.insert(submodule);
            } else {
                pending.push((&statement.module, attribute));
            }
        }
    }
    all
}

/// The first module behind the targets that the static analysis does not prove free of effects.
fn unproved(subject: &Subject, targets: &BTreeSet<String>, measured: &Measured) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&String> = targets.iter().collect();
    while let Some(module) = queue.pop() {
        if !measured.self_ms.contains_key(module) || !seen.insert(module) {
            continue;
        }
        match (subject.analyses.get(module), subject.modules.get(module)) {
            (Some(analysis), _) => {
                if let Some(effect) = analysis.effects.first() {
                    return Some(format!(
                        "`{module}` is not proven free of effects: line {}: {}",
                        effect.line, effect.what
                    ));
                }
            }
            (None, Some(_)) => return Some(format!("`{module}` is native code, whose effects are unknown")),
            // The standard library.
            (None, None) => {}
        }
        queue.extend(measured.imports.get(module).into_iter().flatten());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_with_a_module() {
        let mut all = BTreeSet::new();
        add_with_parents("a.b.c", &mut all);
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a", "a.b", "a.b.c"]);
    }
}
