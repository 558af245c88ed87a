//! The frontier: which deferrable imports separate what the first requests need from the rest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{dominators, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Walker};

use glowplug_core::Together;

use crate::explore::holder;
use crate::profit::Profit;
use crate::smallest::smallest;

/// Below this an import stays eager: its gain is smaller than the noise of a start, ms.
pub(crate) const WORTH_MS: f64 = 0.5;

/// The share of what could be saved that the smallest set of edits must save.
const WORTHWHILE_SHARE: f64 = 0.95;

/// A deferrable import binding, as the planner sees it.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    /// Id of the candidate.
    pub(crate) id: String,
    /// Module that holds the import.
    pub(crate) module: String,
    /// Every module that binding the name loads, re-exports followed.
    pub(crate) targets: BTreeSet<String>,
    /// Ids of the edges without which this one cannot be deferred.
    pub(crate) requires: BTreeSet<String>,
}

/// What is known about the original's init and about what the events need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Module → its own time in the original's init, ms (0 where the runtime had loaded it).
    pub(crate) self_ms: BTreeMap<String, f64>,
    /// Module → modules that its body imports, static and traced.
    pub(crate) imports: BTreeMap<String, BTreeSet<String>>,
    /// Module → share of first requests that need it (1 where init itself does).
    pub(crate) need: BTreeMap<String, f64>,
    /// Modules that a rule made eager after the events were explored: their imports that cannot be
    /// deferred are needed too, and no exploration has shown which of them run.
    pub(crate) forced: BTreeSet<String>,
    /// The handler's module.
    pub(crate) root: String,
}

/// Which edges to defer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Frontier {
    /// Id → ms of init that this edge alone controls (dominator tree).
    pub(crate) edges: BTreeMap<String, f64>,
    /// Id → the most that it controls with others.
    pub(crate) together: BTreeMap<String, Together>,
    /// Modules expected to load in init.
    pub(crate) needed: BTreeSet<String>,
    /// Self time of everything expected not to load, ms.
    pub(crate) saves_ms: f64,
}

/// Chooses the edges from the needed modules to the others: needed is what does not pay to defer.
pub(crate) fn frontier(measured: &Measured, edges: &[Edge], profit: Profit) -> Frontier {
    let mut needed: BTreeSet<String> = measured
        .self_ms
        .keys()
        .filter(|module| !profit.defers(measured.need.get(*module).copied().unwrap_or(0.0)))
        .cloned()
        .collect();
    needed.insert(measured.root.clone());
    let deferrable: BTreeMap<(&str, &str), Vec<&Edge>> = by_import(edges);
    close_over_fixed_imports(measured, &deferrable, &mut needed);
    choose(measured, edges, needed)
}

/// Chooses the edges from the `needed` modules to the others that are worth an edit.
pub(crate) fn choose(measured: &Measured, edges: &[Edge], mut needed: BTreeSet<String>) -> Frontier {
    let mut chosen: Vec<&Edge> = crossing(edges, measured, &needed);
    // Small ones stay eager, and what they load joins the needed set; that makes no other edge more worth.
    loop {
        let found = small(measured, &chosen, &needed);
        if found.is_empty() {
            break;
        }
        needed.extend(found);
        chosen = crossing(edges, measured, &needed);
    }
    // Most of the rest save next to nothing, and each is an edit that something may notice.
    let found = smallest(measured, &chosen, &needed, WORTHWHILE_SHARE);
    needed = found.needed;
    chosen.retain(|edge| found.kept.contains(&edge.id));
    let saves_ms = measured.self_ms.iter().filter(|(m, _)| !needed.contains(*m)).map(|(_, ms)| ms).sum();
    let Attributed { edges, together } = attribute(measured, &chosen, &needed);
    Frontier { edges, together, needed, saves_ms }
}

fn by_import(edges: &[Edge]) -> BTreeMap<(&str, &str), Vec<&Edge>> {
    let mut map: BTreeMap<(&str, &str), Vec<&Edge>> = BTreeMap::new();
    for edge in edges {
        for target in &edge.targets {
            map.entry((edge.module.as_str(), target.as_str())).or_default().push(edge);
        }
    }
    map
}

/// An import that cannot be deferred, made by a forced module, makes its target needed. Modules that
/// the exploration loaded need no such guess: what they import for sure was loaded with them.
fn close_over_fixed_imports(
    measured: &Measured,
    deferrable: &BTreeMap<(&str, &str), Vec<&Edge>>,
    needed: &mut BTreeSet<String>,
) {
    let mut queue: Vec<String> =
        measured.forced.iter().filter(|m| measured.self_ms.contains_key(*m)).cloned().collect();
    needed.extend(queue.iter().cloned());
    while let Some(module) = queue.pop() {
        for target in measured.imports.get(&module).into_iter().flatten() {
            let fixed = !deferrable.contains_key(&(module.as_str(), target.as_str()));
            if fixed && measured.self_ms.contains_key(target) && needed.insert(target.clone()) {
                queue.push(target.clone());
            }
        }
    }
}

/// Edges from a needed module to something that is not.
fn crossing<'e>(edges: &'e [Edge], measured: &Measured, needed: &BTreeSet<String>) -> Vec<&'e Edge> {
    edges
        .iter()
        .filter(|edge| needed.contains(&edge.module))
        .filter(|edge| {
            edge.targets
                .iter()
                .any(|target| measured.self_ms.contains_key(target) && !needed.contains(target))
        })
        .collect()
}

/// Modules outside `needed` that loading `targets` would load in the end.
fn reach(measured: &Measured, targets: &BTreeSet<String>, needed: &BTreeSet<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&String> = targets.iter().collect();
    while let Some(module) = queue.pop() {
        if !needed.contains(module) && measured.self_ms.contains_key(module) && seen.insert(module.clone()) {
            queue.extend(measured.imports.get(module).into_iter().flatten());
        }
    }
    seen
}

/// What is loaded by those of `chosen` that are not worth an edit. A module is edited once for all of its values and
/// classes, so that those count together.
fn small(measured: &Measured, chosen: &[&Edge], needed: &BTreeSet<String>) -> BTreeSet<String> {
    let ms = |loaded: &BTreeSet<String>| -> f64 {
        loaded.iter().filter_map(|module| measured.self_ms.get(module)).sum()
    };
    let reached = chosen.iter().map(|edge| reach(measured, &edge.targets, needed));
    let small: Vec<BTreeSet<String>> = reached.filter(|loaded| ms(loaded) < WORTH_MS).collect();
    let mut together: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for loaded in &small {
        if let Some(module) = holder_of_values(loaded) {
            together.entry(module).or_default().extend(loaded.iter().cloned());
        }
    }
    let counts = |loaded: &BTreeSet<String>| {
        holder_of_values(loaded)
            .and_then(|module| together.get(module))
            .is_some_and(|all| ms(all) >= WORTH_MS)
    };
    small.iter().filter(|loaded| !counts(loaded)).flatten().cloned().collect()
}

/// The module whose values these are, and nothing else.
fn holder_of_values(loaded: &BTreeSet<String>) -> Option<&str> {
    let holders: Option<Vec<&str>> = loaded.iter().map(|name| holder(name)).collect();
    holders?.first().copied()
}

/// Who controls what.
struct Attributed {
    /// Id → ms of what this edge alone controls.
    edges: BTreeMap<String, f64>,
    /// Id → the most that it controls with others.
    together: BTreeMap<String, Together>,
}

/// What each chosen edge controls: alone the time of the modules that its node dominates, with others that of a module to
/// which several lead, and of what that dominates.
fn attribute(measured: &Measured, chosen: &[&Edge], needed: &BTreeSet<String>) -> Attributed {
    let mut graph: DiGraph<f64, ()> = DiGraph::new();
    let root = graph.add_node(0.0);
    let mut nodes: BTreeMap<&str, NodeIndex> = BTreeMap::new();
    for (module, ms) in &measured.self_ms {
        if !needed.contains(module) {
            nodes.insert(module, graph.add_node(*ms));
        }
    }
    for (module, node) in &nodes {
        for target in measured.imports.get(*module).into_iter().flatten() {
            if let Some(target) = nodes.get(target.as_str()) {
                graph.add_edge(*node, *target, ());
            }
        }
    }
    let edge_nodes: Vec<NodeIndex> = chosen
        .iter()
        .map(|edge| {
            let node = graph.add_node(0.0);
            for target in edge.targets.iter().filter_map(|t| nodes.get(t.as_str())) {
                graph.add_edge(node, *target, ());
            }
            node
        })
        .collect();
    // What requires another edge hangs on it, unless both require each other.
    let numbers: BTreeMap<&str, usize> =
        chosen.iter().enumerate().map(|(at, edge)| (edge.id.as_str(), at)).collect();
    let required = |at: usize| chosen[at].requires.iter().filter_map(|id| numbers.get(id.as_str()).copied());
    for group in mutual(chosen.len(), &required) {
        for at in &group {
            let mut above = required(*at).filter(|other| !group.contains(other)).peekable();
            if above.peek().is_none() {
                graph.add_edge(root, edge_nodes[*at], ());
            }
            for above in above {
                graph.add_edge(edge_nodes[above], edge_nodes[*at], ());
            }
        }
    }
    let tree = dominators::simple_fast(&graph, root);
    let mut controlled: BTreeMap<NodeIndex, f64> = BTreeMap::new();
    for node in graph.node_indices() {
        // The nearest edge above it, or the last module that none leads to alone.
        let mut current = node;
        while !edge_nodes.contains(&current) {
            match tree.immediate_dominator(current) {
                Some(above) if above != root => current = above,
                _ => break,
            }
        }
        *controlled.entry(current).or_default() += graph[node];
    }
    let alone = |node: &NodeIndex| controlled.get(node).copied().unwrap_or(0.0);
    let names: BTreeMap<NodeIndex, &str> = nodes.iter().map(|(name, node)| (*node, *name)).collect();
    let together = |edge: NodeIndex| {
        let reached = Dfs::new(&graph, edge).iter(&graph);
        let shared = reached.filter_map(|node| Some((names.get(&node)?, controlled.get(&node)?)));
        let (name, ms) = shared.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some(Together { subject: (*name).to_owned(), saves_ms: *ms })
            .filter(|shared| shared.saves_ms >= WORTH_MS)
    };
    let by_id = || chosen.iter().map(|edge| edge.id.clone()).zip(edge_nodes.iter().copied());
    Attributed {
        edges: by_id().map(|(id, node)| (id, alone(&node))).collect(),
        together: by_id().filter_map(|(id, node)| Some((id, together(node)?))).collect(),
    }
}

/// The edges by number, those together that require each other.
fn mutual<I: Iterator<Item = usize>>(edges: usize, required: &impl Fn(usize) -> I) -> Vec<BTreeSet<usize>> {
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..edges).map(|_| graph.add_node(())).collect();
    for at in 0..edges {
        for other in required(at) {
            graph.add_edge(nodes[at], nodes[other], ());
        }
    }
    tarjan_scc(&graph).into_iter().map(|group| group.into_iter().map(NodeIndex::index).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Objective;

    /// At a memory size of a third of a vCPU, and where handler and init have the same.
    const SLOW: Profit = Profit { slowdown: 3.45, objective: Objective::Balanced };
    const EVEN: Profit = Profit { slowdown: 1.0, objective: Objective::Balanced };

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn edge(id: &str, module: &str, targets: &[&str]) -> Edge {
        Edge { id: id.into(), module: module.into(), targets: set(targets), requires: BTreeSet::new() }
    }

    fn measured(self_ms: &[(&str, f64)], imports: &[(&str, &[&str])], need: &[(&str, f64)]) -> Measured {
        Measured {
            self_ms: self_ms.iter().map(|(m, ms)| ((*m).to_owned(), *ms)).collect(),
            imports: imports.iter().map(|(m, t)| ((*m).to_owned(), set(t))).collect(),
            need: need.iter().map(|(m, w)| ((*m).to_owned(), *w)).collect(),
            forced: BTreeSet::new(),
            root: "app".to_owned(),
        }
    }

    #[test]
    fn a_heavy_import_that_few_requests_need_is_deferred() {
        let m = measured(
            &[("app", 1.0), ("pandas", 50.0), ("numpy", 100.0)],
            &[("app", &["pandas"]), ("pandas", &["numpy"])],
            &[("app", 1.0), ("pandas", 0.1), ("numpy", 0.1)],
        );
        let f = frontier(&m, &[edge("pd", "app", &["pandas"])], SLOW);
        assert_eq!(f.edges, BTreeMap::from([("pd".to_owned(), 150.0)]));
        assert_eq!(f.needed, set(&["app"]));
    }

    #[test]
    fn what_several_imports_lead_to_is_saved_by_all_of_them() {
        let m = measured(
            &[("app", 1.0), ("a", 1.0), ("b", 1.0), ("heavy", 50.0), ("deep", 20.0), ("own", 5.0)],
            &[("app", &["a", "b"]), ("a", &["heavy"]), ("b", &["heavy", "own"]), ("heavy", &["deep"])],
            &[("app", 1.0), ("a", 1.0), ("b", 1.0)],
        );
        let edges =
            [edge("one", "a", &["heavy"]), edge("two", "b", &["heavy"]), edge("three", "b", &["own"])];
        let f = frontier(&m, &edges, SLOW);
        let alone: Vec<(&str, f64)> = f.edges.iter().map(|(id, ms)| (id.as_str(), *ms)).collect();
        assert_eq!(alone, [("one", 0.0), ("three", 5.0), ("two", 0.0)]);
        let shared = Together { subject: "heavy".to_owned(), saves_ms: 70.0 };
        let together = [("one".to_owned(), shared.clone()), ("two".to_owned(), shared)];
        assert_eq!(f.together, BTreeMap::from(together));
    }

    #[test]
    fn what_many_slow_requests_need_stays_eager() {
        let m = measured(
            &[("app", 1.0), ("pandas", 50.0)],
            &[("app", &["pandas"])],
            &[("app", 1.0), ("pandas", 0.4)],
        );
        let edges = [edge("pd", "app", &["pandas"])];
        assert!(frontier(&m, &edges, SLOW).edges.is_empty());
        assert_eq!(frontier(&m, &edges, EVEN).edges.len(), 1);
    }

    #[test]
    fn the_frontier_goes_through_a_package_that_is_needed() {
        // lib was made eager; it imports a heavy part that nobody needs, and a fixed one that stays.
        let mut m = measured(
            &[("app", 1.0), ("lib", 2.0), ("lib.heavy", 80.0), ("lib.fixed", 3.0)],
            &[("app", &["lib"]), ("lib", &["lib.heavy", "lib.fixed"])],
            &[("app", 1.0)],
        );
        m.forced.insert("lib".to_owned());
        let edges = [edge("a", "app", &["lib"]), edge("h", "lib", &["lib.heavy"])];
        let f = frontier(&m, &edges, EVEN);
        assert_eq!(f.edges.keys().collect::<Vec<_>>(), ["h"]);
        assert_eq!(f.needed, set(&["app", "lib", "lib.fixed"]));
    }

    #[test]
    fn small_ones_stay_eager_unless_they_bring_something_heavy() {
        let m = measured(
            &[("app", 1.0), ("tiny", 0.1), ("bridge", 0.1), ("heavy", 90.0)],
            &[("app", &["tiny", "bridge"]), ("bridge", &["heavy"])],
            &[("app", 1.0)],
        );
        let edges = [edge("t", "app", &["tiny"]), edge("b", "app", &["bridge"])];
        let f = frontier(&m, &edges, EVEN);
        assert_eq!(f.edges.keys().collect::<Vec<_>>(), ["b"]);
        assert!(f.needed.contains("tiny"));
    }

    #[test]
    fn small_values_of_one_module_count_together() {
        let m = measured(
            &[
                ("app", 1.0),
                ("types", 1.0),
                ("other", 1.0),
                ("types:A", 0.2),
                ("types:B", 0.2),
                ("types:C", 0.2),
                ("other:D", 0.4),
            ],
            &[("types:C", &["types:A"])],
            &[("app", 1.0), ("types", 1.0), ("other", 1.0)],
        );
        let edges = [
            edge("a", "types", &["types:A"]),
            edge("b", "types", &["types:B"]),
            edge("c", "app", &["types", "types:C"]),
            edge("d", "other", &["other:D"]),
        ];
        let f = frontier(&m, &edges, EVEN);
        assert_eq!(f.edges.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(f.needed.contains("other:D"));
    }

    #[test]
    fn values_that_require_each_other_are_credited_all_the_same() {
        let m = measured(
            &[("app", 1.0), ("types", 1.0), ("types:A", 2.0), ("types:B", 3.0)],
            &[("types:B", &["types:A"])],
            &[("app", 1.0), ("types", 1.0)],
        );
        let edges = [
            Edge { requires: set(&["b"]), ..edge("a", "types", &["types:A"]) },
            Edge { requires: set(&["a"]), ..edge("b", "types", &["types:B"]) },
        ];
        let f = frontier(&m, &edges, EVEN);
        assert_eq!(f.edges, BTreeMap::from([("a".to_owned(), 0.0), ("b".to_owned(), 3.0)]));
        let shared = Together { subject: "types:A".to_owned(), saves_ms: 2.0 };
        assert_eq!(f.together.get("a"), Some(&shared));
    }

    #[test]
    fn time_behind_two_edges_is_credited_to_neither() {
        let m = measured(
            &[("app", 1.0), ("one", 5.0), ("two", 6.0), ("shared", 70.0)],
            &[("app", &["one", "two"]), ("one", &["shared"]), ("two", &["shared"])],
            &[("app", 1.0)],
        );
        let f = frontier(&m, &[edge("1", "app", &["one"]), edge("2", "app", &["two"])], EVEN);
        let same = |ms: f64, expected: f64| assert!((ms - expected).abs() < 1e-9, "{f:?}");
        same(f.edges["1"], 5.0);
        same(f.edges["2"], 6.0);
        same(f.saves_ms, 81.0);
    }
}
