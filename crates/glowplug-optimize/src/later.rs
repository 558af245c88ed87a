//! The imports to defer among what loads for events alone: a library that one event needs does not need all of itself,
//! and what a handler imports where it uses it may import what no event uses. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::explore::Late;
use crate::frontier::{Edge, Frontier, Measured, choose};
use crate::profit::Profit;

/// Chooses among the edges of modules that load after init, where `first` is what init is left with. Times in what it
/// gives are those that a first request loses in the mean, as init counts them.
pub(crate) fn later(
    measured: &Measured,
    late: &Late,
    edges: &[Edge],
    profit: Profit,
    first: &Frontier,
) -> Frontier {
    let mut imports = measured.imports.clone();
    for (module, loads) in &late.imports {
        imports.entry(module.clone()).or_default().extend(loads.iter().cloned());
    }
    let ms: BTreeMap<&String, f64> =
        measured.self_ms.iter().chain(&late.self_ms).map(|(module, ms)| (module, *ms)).collect();
    let need = |module: &String| measured.need.get(module).copied().unwrap_or(0.0);
    let shares = shares(&ms, &imports, &need, &first.needed);
    let cost = |(module, ms): (&&String, &f64)| {
        let share = shares.get(*module).copied().unwrap_or(0.0);
        ((*module).clone(), profit.cost(0.0, ms * share))
    };
    let weighted = Measured { self_ms: ms.iter().map(cost).collect(), imports, ..Measured::default() };
    let needed = ms.keys().filter(|module| need(module) > 0.0).map(|module| (*module).clone());
    let needed: BTreeSet<String> = first.needed.iter().cloned().chain(needed).collect();
    let own: Vec<Edge> = edges.iter().filter(|edge| !first.needed.contains(&edge.module)).cloned().collect();
    choose(&weighted, &own, needed)
}

/// Module → share of first requests that load it after init: those that need it, or need what imports it.
fn shares<'m>(
    ms: &BTreeMap<&'m String, f64>,
    imports: &'m BTreeMap<String, BTreeSet<String>>,
    need: &impl Fn(&String) -> f64,
    in_init: &BTreeSet<String>,
) -> BTreeMap<&'m String, f64> {
    let mut shares: BTreeMap<&String, f64> = BTreeMap::new();
    let mut needed: Vec<&String> =
        ms.keys().copied().filter(|m| need(m) > 0.0 && !in_init.contains(*m)).collect();
    needed.sort_by(|a, b| need(b).total_cmp(&need(a)));
    for from in needed {
        let mut queue = vec![from];
        while let Some(module) = queue.pop() {
            if shares.contains_key(module) {
                continue;
            }
            shares.insert(module, need(from));
            let loads = imports.get(module).into_iter().flatten();
            queue.extend(loads.filter(|m| ms.contains_key(m) && !in_init.contains(*m)));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Objective;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn edge(id: &str, module: &str, target: &str) -> Edge {
        Edge { id: id.into(), module: module.into(), targets: set(&[target]), requires: BTreeSet::new() }
    }

    #[test]
    fn what_no_event_needs_of_a_library_that_some_need_waits_too() {
        let number = |pairs: &[(&str, f64)]| -> BTreeMap<String, f64> {
            pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let measured = Measured {
            self_ms: number(&[
                ("app", 1.0),
                ("lib", 9.0),
                ("lib.plots", 60.0),
                ("lib.core", 20.0),
                ("tiny", 0.4),
            ]),
            imports: BTreeMap::from([
                ("app".to_owned(), set(&["lib"])),
                ("lib".to_owned(), set(&["lib.plots", "lib.core", "tiny"])),
                ("plugin".to_owned(), set(&["temp"])),
            ]),
            need: number(&[("app", 1.0), ("lib", 0.1), ("lib.core", 0.1), ("plugin", 1.0)]),
            forced: BTreeSet::new(),
            root: "app".to_owned(),
        };
        let late = Late { self_ms: number(&[("plugin", 2.0), ("temp", 5.0)]), ..Late::default() };
        let first = Frontier { needed: set(&["app"]), ..Frontier::default() };
        let edges = [
            edge("lib", "app", "lib"),
            edge("plots", "lib", "lib.plots"),
            edge("core", "lib", "lib.core"),
            edge("tiny", "lib", "tiny"),
            edge("temp", "plugin", "temp"),
        ];
        let profit = Profit { slowdown: 2.0, objective: Objective::Balanced };
        let found = later(&measured, &late, &edges, profit, &first);
        // A tenth of the first requests at half the speed; all of them at half the speed.
        assert_eq!(found.edges, number(&[("plots", 12.0), ("temp", 10.0)]));
    }
}
