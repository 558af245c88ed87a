//! What is known of one module, for `--explain`: its effects, those behind it, and who asks for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use glowplug_core::{Decision, DecisionKind, DecisionState};
use glowplug_imports::{Effect, EffectKind, Source};
use glowplug_lazy::Candidate;
use glowplug_report::{Link, ModuleEffect, ModuleSummary, Through};

use crate::explore::Explored;
use crate::search::{body_imports, targets};
use crate::subject::Subject;

/// The summary of a module of the tree; `None` where the tree has no such module. `decisions` are all that the plan
/// has.
pub(crate) fn summary(
    subject: &Subject,
    explored: &Explored,
    decisions: &[Decision],
    module: &str,
) -> Option<ModuleSummary> {
    subject.modules.get(module)?;
    let effects: BTreeMap<&str, &[Effect]> = subject
        .analyses
        .iter()
        .map(|(name, analysis)| (name.as_str(), analysis.effects.as_slice()))
        .collect();
    let analysis = subject.analyses.get(module);
    Some(ModuleSummary {
        module: module.to_owned(),
        init_ms: explored.self_ms.get(module).copied(),
        needed: explored.self_ms.get(module).map(|_| explored.need.get(module).copied().unwrap_or(0.0)),
        effects: analysis.map(|a| a.effects.iter().map(told).collect()).unwrap_or_default(),
        native: analysis.is_none(),
        reads: analysis.map(|a| a.reads.iter().map(|s| source(*s).to_owned()).collect()).unwrap_or_default(),
        through: through(module, &graph(subject, explored), &effects),
        chain: Chains::new(subject, explored, decisions).to(module),
    })
}

/// Imports among the modules of the tree that bodies make, as the sources say and as the trace saw.
fn graph(subject: &Subject, explored: &Explored) -> BTreeMap<String, BTreeSet<String>> {
    let within = |module: &String| subject.modules.contains_key(module);
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, analysis) in &subject.analyses {
        let found = body_imports(subject, analysis, explored);
        graph.entry(module.clone()).or_default().extend(found.into_iter().filter(within));
    }
    for (module, found) in explored.imports.iter().filter(|(module, _)| within(module)) {
        graph.entry(module.clone()).or_default().extend(found.iter().filter(|m| within(m)).cloned());
    }
    graph
}

/// The nearest module behind `from` that is not free of effects; its body's own do not count.
fn through(
    from: &str,
    graph: &BTreeMap<String, BTreeSet<String>>,
    effects: &BTreeMap<&str, &[Effect]>,
) -> Option<Through> {
    let mut led: BTreeMap<&str, &str> = BTreeMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(module) = queue.pop_front() {
        let effect = match effects.get(module) {
            Some(found) => found.first().map(|effect| Some(told(effect))),
            None => Some(None),
        };
        if let Some(effect) = effect.filter(|_| module != from) {
            let mut modules: Vec<String> = path(&led, module).map(str::to_owned).collect();
            modules.reverse();
            modules.remove(0);
            return Some(Through { modules, effect });
        }
        for next in graph.get(module).into_iter().flatten() {
            if !led.contains_key(next.as_str()) {
                led.insert(next, module);
                queue.push_back(next);
            }
        }
    }
    None
}

/// From `module` back to where `led` began.
fn path<'a>(led: &BTreeMap<&'a str, &'a str>, module: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::successors(Some(module), |at| led.get(at).copied().filter(|before| before != at))
}

/// Who loaded what in the original's init, with what the plan makes of it.
struct Chains<'a> {
    subject: &'a Subject<'a>,
    explored: &'a Explored,
    decisions: BTreeMap<&'a str, &'a Decision>,
    /// Module → the one that loaded it.
    led: BTreeMap<&'a str, &'a str>,
}

impl<'a> Chains<'a> {
    fn new(subject: &'a Subject<'a>, explored: &'a Explored, decisions: &'a [Decision]) -> Self {
        let handler = subject.handler_module();
        let root = explored.imports.get_key_value(&handler).map(|(name, _)| name.as_str());
        let mut led: BTreeMap<&str, &str> = root.map(|root| (root, root)).into_iter().collect();
        let mut queue: VecDeque<&str> = root.into_iter().collect();
        while let Some(module) = queue.pop_front() {
            for next in explored.imports.get(module).into_iter().flatten() {
                if !led.contains_key(next.as_str()) {
                    led.insert(next, module);
                    queue.push_back(next);
                }
            }
        }
        let lazy = decisions.iter().filter(|d| matches!(d.kind, DecisionKind::Lazy | DecisionKind::Global));
        let decisions = lazy.map(|decision| (decision.id.as_str(), decision)).collect();
        Self { subject, explored, decisions, led }
    }

    /// From the handler's module; empty where no module's body loads it.
    fn to(&self, module: &str) -> Vec<Link> {
        if !self.led.contains_key(module) {
            return Vec::new();
        }
        let mut modules: Vec<&str> = path(&self.led, module).collect();
        modules.reverse();
        let handler = Link {
            module: modules[0].to_owned(),
            place: String::new(),
            state: None,
            reason: "the handler's module".to_owned(),
        };
        std::iter::once(handler).chain(modules.windows(2).map(|pair| self.link(pair[0], pair[1]))).collect()
    }

    /// The statement by which one module loads another.
    fn link(&self, from: &str, to: &str) -> Link {
        let loads = |candidate: &&Candidate| {
            candidate.module == from && targets(self.subject, candidate, &self.explored.self_ms).contains(to)
        };
        let asking: Vec<&Candidate> = self.subject.candidates.all().filter(loads).collect();
        // Of several names that one statement binds, the one that stays decides.
        let decided = |candidate: &&Candidate| self.decisions.get(candidate.id.as_str()).copied();
        let decision = asking.iter().filter_map(decided).min_by_key(|d| d.state == DecisionState::Applied);
        let place = asking.first().map_or_else(String::new, |c| format!("{}:{}", c.path, c.line));
        Link {
            module: to.to_owned(),
            place: decision.map_or(place, |decision| decision.place.clone()),
            state: decision.map(|decision| decision.state),
            reason: decision.map_or_else(String::new, |decision| decision.reason.clone()),
        }
    }
}

fn told(effect: &Effect) -> ModuleEffect {
    let kind = match effect.kind {
        EffectKind::Registers => "registers",
        EffectKind::Patches => "patches",
        EffectKind::Starts => "starts",
        EffectKind::Warns => "warns",
        EffectKind::Writes => "writes",
        EffectKind::Runs => "runs",
    };
    ModuleEffect { kind: kind.to_owned(), line: effect.line, what: effect.what.clone() }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Environment => "environment",
        Source::Files => "files",
        Source::Clock => "clock",
        Source::Random => "random",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_module_with_effects_is_told_with_the_way_to_it() {
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|m| (*m).to_owned()).collect());
        let graph =
            BTreeMap::from([edge("a", &["b", "c"]), edge("b", &["d"]), edge("c", &["a"]), edge("d", &["e"])]);
        let effect = [Effect {
            line: 3,
            kind: EffectKind::Warns,
            what: "prints".to_owned(),
            hangs_on: vec![],
            aim: None,
        }];
        let none: &[Effect] = &[];
        let effects = BTreeMap::from([("a", &effect[..]), ("b", none), ("c", none), ("d", &effect[..])]);
        let found = through("a", &graph, &effects).unwrap();
        assert_eq!((found.modules, found.effect.unwrap().line), (vec!["b".to_owned(), "d".to_owned()], 3));
        assert_eq!(
            through("d", &graph, &effects).unwrap(),
            Through { modules: vec!["e".to_owned()], effect: None }
        );
        assert_eq!(through("c", &BTreeMap::new(), &effects), None);
    }
}
