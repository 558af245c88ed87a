//! Turns what search, trimming and verification found into the decisions of a plan.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Decision, DecisionKind, DecisionState, Stat};
use glowplug_imports::Source;
use glowplug_lazy::Candidate;
use glowplug_package::{goes_by_evidence, source_of_bytecode};

use crate::columns::COLUMNS;
use crate::explore::{Explored, node};
use crate::frontier::WORTH_MS;
use crate::profit::Profit;
use crate::search::{Search, targets};
use crate::subject::Subject;
use crate::verify::{BYTECODE, Pinned, Unit};

/// The decision on valid bytecode: what it gains over the tree as shipped.
pub(crate) fn bytecode(modules: usize, shipped: Option<Stat>, before: Option<Stat>) -> Decision {
    Decision {
        id: BYTECODE.to_owned(),
        kind: DecisionKind::Bytecode,
        subject: format!("{modules} modules"),
        place: String::new(),
        state: DecisionState::Applied,
        saves_ms: shipped.zip(before).map(|(shipped, before)| shipped.median - before.median),
        together: None,
        saves_bytes: None,
        evidence: "unchecked-hash bytecode, checked to be what the interpreter loads".to_owned(),
        reason: "without it the interpreter compiles every module at every cold start".to_owned(),
        events: Vec::new(),
    }
}

/// What the decisions on imports are made from.
pub(crate) struct Found<'a> {
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) explored: &'a Explored,
    pub(crate) search: &'a Search,
    pub(crate) profit: Profit,
    /// Guilty ids and what they did.
    pub(crate) pinned: &'a Pinned,
    /// What speaks for an applied one.
    pub(crate) evidence: &'a str,
    /// Every refusal, not only those that cost something.
    pub(crate) all: bool,
}

impl Found<'_> {
    /// Decisions on imports of modules that the original loads: the applied, the pinned, the refused. Imports
    /// of one thing in one file that stay for the same reason are one refusal, unless all are asked for.
    pub(crate) fn imports(&self) -> Vec<Decision> {
        let mut said = BTreeSet::new();
        let loaded = |candidate: &&Candidate| self.explored.loads(&candidate.module);
        self.subject
            .candidates
            .all()
            .filter(loaded)
            .filter_map(|candidate| self.import(candidate))
            .filter(|decision| {
                let refused = decision.state == DecisionState::Refused && !self.all;
                let file = decision.place.rsplit_once(':').map_or("", |(file, _)| file).to_owned();
                !refused || said.insert((file, decision.subject.clone(), decision.reason.clone()))
            })
            .collect()
    }

    fn import(&self, candidate: &Candidate) -> Option<Decision> {
        let saves = self.search.frontier.edges.get(&candidate.id).copied();
        if let Some(why) = self.pinned.get(&candidate.id) {
            return Some(decision(candidate, DecisionState::Pinned, saves, why, "measured on the result"));
        }
        if let Some(ms) = saves {
            let fired = self.search.fired.get(&candidate.id).into_iter().flatten();
            let events: Vec<String> = fired.cloned().collect();
            let reason = format!("{}{}", applied_reason(&events), reads(candidate));
            let applied = decision(candidate, DecisionState::Applied, Some(ms), &reason, self.evidence);
            let together = self.search.frontier.together.get(&candidate.id).cloned();
            return Some(Decision { events, together, ..applied });
        }
        self.refused(candidate)
    }

    fn refused(&self, candidate: &Candidate) -> Option<Decision> {
        let cost = self.cost(candidate);
        let counts = cost.is_some_and(|ms| ms >= WORTH_MS);
        // Most values take no time worth a word.
        let own = self.subject.is_user(&candidate.module) && !candidate.is_global();
        if !self.all && !own && (!counts || self.is_gone(candidate)) {
            return None;
        }
        let (why, evidence) = match (&candidate.refusal, self.search.refused.get(&candidate.id)) {
            (Some(refusal), _) => (refusal.detail.clone(), "analysis"),
            (None, Some(why)) => (why.clone(), "analysis and traced starts"),
            (None, None) => (self.not_chosen(candidate, cost)?, "traced starts"),
        };
        Some(decision(candidate, DecisionState::Refused, cost, &why, evidence))
    }

    /// Whether init no longer loads the module that holds the import.
    fn is_gone(&self, candidate: &Candidate) -> bool {
        let frontier = &self.search.frontier;
        !frontier.edges.is_empty() && !frontier.needed.contains(&candidate.module)
    }

    /// Why an import that the rules allow to defer stays eager; `None` where it loads nothing in init.
    fn not_chosen(&self, candidate: &Candidate, cost: Option<f64>) -> Option<String> {
        let need = |module: &String| self.search.need.get(module).copied();
        let targets = self.targets(candidate);
        let least = targets.iter().filter_map(need).reduce(f64::min);
        // A package around the target is needed more often than what the import is about.
        let weight = match least {
            Some(weight) if !self.profit.defers(weight) => least,
            _ => targets.iter().filter_map(need).reduce(f64::max),
        };
        match (weight, cost) {
            _ if self.search.later.contains(&candidate.module) => {
                Some(format!("`{}` loads for events alone, and they need this too", candidate.module))
            }
            _ if self.is_gone(candidate) => {
                Some(format!("`{}` itself is not loaded any more", candidate.module))
            }
            (Some(weight), _) if !self.profit.defers(weight) => Some(self.profit.reason(weight)),
            (_, Some(ms)) if ms < WORTH_MS => Some("what it alone loads takes less than 0.5 ms".to_owned()),
            (_, Some(_)) => Some("what it loads is loaded anyway, by an import that stays".to_owned()),
            (_, None) => None,
        }
    }

    fn targets(&self, candidate: &Candidate) -> BTreeSet<String> {
        targets(self.subject, candidate, &self.explored.self_ms)
    }

    /// Time of the imports in the original's init, where this importer was the first; of a value, to make it.
    fn cost(&self, candidate: &Candidate) -> Option<f64> {
        if candidate.is_global() {
            return self.explored.self_ms.get(&node(&candidate.module, &candidate.name)).copied();
        }
        let total = |target: &String| self.explored.total_ms.get(&(candidate.module.clone(), target.clone()));
        self.targets(candidate).iter().filter_map(total).copied().reduce(|a, b| a + b)
    }
}

/// What a value is made from at its first use that may be something else then.
fn reads(candidate: &Candidate) -> String {
    let named = candidate.reads.iter().map(|source| match source {
        Source::Environment => "environment variables",
        Source::Files => "files",
        Source::Clock => "the time",
        Source::Random => "random numbers",
    });
    let named: Vec<&str> = named.collect();
    if named.is_empty() { String::new() } else { format!("; it reads {} then", named.join(" and ")) }
}

fn applied_reason(events: &[String]) -> String {
    match events {
        [] => "no event's first request needs it".to_owned(),
        [one] => format!("only `{one}` needs it"),
        many => format!("only {} events need it", many.len()),
    }
}

fn decision(
    candidate: &Candidate,
    state: DecisionState,
    saves_ms: Option<f64>,
    reason: &str,
    evidence: &str,
) -> Decision {
    Decision {
        id: candidate.id.clone(),
        kind: if candidate.is_global() { DecisionKind::Global } else { DecisionKind::Lazy },
        subject: if candidate.is_global() {
            match candidate.text.strip_prefix("class ") {
                Some(class) => format!("class {}", class.trim_end_matches(':')),
                None => format!("{} = {}", candidate.name, candidate.text),
            }
        } else {
            candidate.targets.first().cloned().unwrap_or_else(|| candidate.name.clone())
        },
        place: format!("{}:{}", candidate.path, candidate.line),
        state,
        saves_ms,
        together: None,
        saves_bytes: None,
        evidence: evidence.to_owned(),
        reason: reason.to_owned(),
        events: Vec::new(),
    }
}

/// Marks the decisions that turned out guilty.
pub(crate) fn pin(decisions: &mut [Decision], pinned: &Pinned) {
    for decision in decisions {
        if let Some(why) = pinned.get(&decision.id) {
            decision.state = DecisionState::Pinned;
            decision.reason.clone_from(why);
        }
    }
}

/// What the verifier may undone one by one, the least suspected first: bytecode, stripped files, columns by
/// distribution, files dropped by
/// rule and distribution, then each deferred import.
pub(crate) fn units(subject: &Subject, lazy: &BTreeSet<String>, trimming: &[Decision]) -> Vec<Unit> {
    let mut units = vec![Unit::Bytecode];
    let owner_of = |path: &Utf8Path| {
        let package = &subject.ground.package;
        let source = || source_of_bytecode(path).and_then(|source| package.distribution_of(&source));
        let owner = package.distribution_of(path).or_else(source);
        owner.map_or_else(String::new, |distribution| distribution.name.clone())
    };
    let mut columns: BTreeMap<String, Vec<Utf8PathBuf>> = BTreeMap::new();
    let mut groups: BTreeMap<(String, String, Option<Utf8PathBuf>), Vec<Utf8PathBuf>> = BTreeMap::new();
    for decision in trimming.iter().filter(|d| d.state == DecisionState::Applied) {
        let path = Utf8PathBuf::from(&decision.place);
        match decision.kind {
            DecisionKind::Strip if decision.subject == COLUMNS => {
                columns.entry(owner_of(&path)).or_default().push(path);
            }
            DecisionKind::Strip => units.push(Unit::Strip(path)),
            DecisionKind::Drop => {
                let owner = owner_of(&path);
                // What was only not seen to be needed is undone folder by folder.
                let folder =
                    path.parent().filter(|_| goes_by_evidence(&decision.subject)).map(Utf8Path::to_owned);
                groups.entry((decision.subject.clone(), owner, folder)).or_default().push(path);
            }
            _ => {}
        }
    }
    units.extend(columns.into_values().map(Unit::Columns));
    units.extend(groups.into_values().map(Unit::Drop));
    units.extend(lazy.iter().cloned().map(Unit::Lazy));
    units
}
