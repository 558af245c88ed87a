//! The smallest set of deferred imports that keeps a given share of what deferring all of them gains. Pure.
//!
//! With a price on each edit, the best set is a minimum cut: a deferred import is a cut arc, a module that loads
//! costs its time. Cheaper and dearer prices give the two best sets around the share; from the larger of the two
//! imports are dropped, those first that cost the least time each, as long as the share holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::frontier::{Edge, Measured};
use crate::min_cut::Network;

#[cfg(test)]
mod tests;

/// Capacity of an arc that is never cut; far above the sum of all times and prices.
const UNCUT: u64 = u64::MAX / 8;

/// The node that stands for every module that loads whatever is deferred.
const NEEDED: usize = 0;

const NS_PER_MS: f64 = 1e6;

/// What stays deferred.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Smallest {
    /// Ids of the imports to defer.
    pub(crate) kept: BTreeSet<String>,
    /// Modules that load in init then.
    pub(crate) needed: BTreeSet<String>,
}

/// Keeps few of the `chosen` imports, so that deferring them still saves the `share` of what all of them save.
///
/// `needed` is what loads when all are deferred; what else its modules import is known not to run. An import that
/// requires one which is not chosen is never kept, and does not count towards what all of them save.
pub(crate) fn smallest(
    measured: &Measured,
    chosen: &[&Edge],
    needed: &BTreeSet<String>,
    share: f64,
) -> Smallest {
    let graph = Graph::new(measured, chosen, needed);
    let least_ns = graph.choice(graph.edges.iter().map(Import::has_effect).collect()).loaded_ns;
    let gain_ns = graph.ns.iter().sum::<u64>() - least_ns;
    let allowed_ns = least_ns + gain_ns - ((share * gain_ns as f64).round() as u64).min(gain_ns);
    let few = graph.drop_while_allowed(graph.best_at_a_price(allowed_ns), allowed_ns);
    let loaded = graph.loaded(&few.kept);
    Smallest {
        kept: members(&few.kept).map(|edge| graph.edges[edge].id.to_owned()).collect(),
        needed: needed
            .iter()
            .cloned()
            .chain((1..loaded.len()).filter(|at| loaded[*at]).map(|at| graph.names[at].to_owned()))
            .collect(),
    }
}

/// Modules and chosen imports by number.
#[derive(Debug)]
struct Graph<'m> {
    /// Names of the modules; the first stands for all needed ones.
    names: Vec<&'m str>,
    /// Module → its own time.
    ns: Vec<u64>,
    /// Module → modules that it loads whatever is deferred.
    fixed: Vec<Vec<usize>>,
    /// Module → chosen imports that it holds.
    held: Vec<Vec<usize>>,
    edges: Vec<Import<'m>>,
}

/// A chosen import.
#[derive(Debug)]
struct Import<'m> {
    id: &'m str,
    holder: usize,
    targets: Vec<usize>,
    /// Imports without which this has no effect, and it itself; none where one of them was not chosen.
    requires: BTreeSet<usize>,
    /// Imports that have no effect without this, and it itself.
    required_by: BTreeSet<usize>,
}

impl Import<'_> {
    fn has_effect(&self) -> bool {
        !self.requires.is_empty()
    }
}

/// A set of deferred imports, closed under what they require.
#[derive(Debug, Clone)]
struct Choice {
    kept: Vec<bool>,
    count: u64,
    /// Time of what loads, the needed modules apart.
    loaded_ns: u64,
}

/// The numbers of the imports in `kept`.
fn members(kept: &[bool]) -> impl Iterator<Item = usize> {
    (0..kept.len()).filter(|edge| kept[*edge])
}

impl<'m> Graph<'m> {
    fn new(measured: &'m Measured, chosen: &[&'m Edge], needed: &BTreeSet<String>) -> Self {
        let others: Vec<(&str, f64)> = measured
            .self_ms
            .iter()
            .filter(|(module, _)| !needed.contains(*module))
            .map(|(module, ms)| (module.as_str(), *ms))
            .collect();
        let names: Vec<&str> = std::iter::once("").chain(others.iter().map(|(module, _)| *module)).collect();
        let ns =
            std::iter::once(0).chain(others.iter().map(|(_, ms)| (ms * NS_PER_MS).round() as u64)).collect();
        let numbers: BTreeMap<&str, usize> =
            names.iter().enumerate().skip(1).map(|(at, name)| (*name, at)).collect();
        let mut edges = Vec::new();
        let mut held = vec![Vec::new(); names.len()];
        let mut covered: BTreeSet<(usize, usize)> = BTreeSet::new();
        for edge in chosen {
            let holder = if needed.contains(&edge.module) {
                Some(NEEDED)
            } else {
                numbers.get(edge.module.as_str()).copied()
            };
            let Some(holder) = holder else { continue };
            let targets: Vec<usize> =
                edge.targets.iter().filter_map(|t| numbers.get(t.as_str()).copied()).collect();
            covered.extend(targets.iter().map(|target| (holder, *target)));
            held[holder].push(edges.len());
            let (requires, required_by) = (BTreeSet::new(), BTreeSet::new());
            edges.push(Import { id: &edge.id, holder, targets, requires, required_by });
        }
        relate(&mut edges, chosen);
        let mut fixed = vec![Vec::new(); names.len()];
        for (module, at) in &numbers {
            let targets = measured.imports.get(*module).into_iter().flatten();
            fixed[*at] = targets
                .filter_map(|target| numbers.get(target.as_str()).copied())
                .filter(|target| !covered.contains(&(*at, *target)))
                .collect();
        }
        Self { names, ns, fixed, held, edges }
    }

    /// What loads when `kept` is deferred.
    fn loaded(&self, kept: &[bool]) -> Vec<bool> {
        let mut loaded = vec![false; self.names.len()];
        self.load(kept, &[NEEDED], &mut loaded, u64::MAX);
        loaded
    }

    /// Adds what loading `modules` brings; its time, or nothing where that is more than `limit`.
    fn load(&self, kept: &[bool], modules: &[usize], loaded: &mut [bool], limit: u64) -> Option<u64> {
        let mut time = 0;
        let mut queue = modules.to_vec();
        while let Some(module) = queue.pop() {
            if std::mem::replace(&mut loaded[module], true) {
                continue;
            }
            time += self.ns[module];
            if time > limit {
                return None;
            }
            queue.extend(&self.fixed[module]);
            for edge in self.held[module].iter().filter(|edge| !kept[**edge]) {
                queue.extend(&self.edges[*edge].targets);
            }
        }
        Some(time)
    }

    /// The members of `kept` that keep something away, and what those require.
    fn useful(&self, kept: &[bool], loaded: &[bool]) -> Vec<bool> {
        let mut useful = vec![false; kept.len()];
        for edge in members(kept).map(|edge| &self.edges[edge]) {
            if loaded[edge.holder] && edge.targets.iter().any(|target| !loaded[*target]) {
                for required in &edge.requires {
                    useful[*required] = true;
                }
            }
        }
        useful
    }

    fn choice(&self, kept: Vec<bool>) -> Choice {
        let loaded = self.loaded(&kept);
        let kept = self.useful(&kept, &loaded);
        let loaded_ns = (0..loaded.len()).filter(|at| loaded[*at]).map(|at| self.ns[at]).sum();
        Choice { count: members(&kept).count() as u64, kept, loaded_ns }
    }

    /// Of the sets that are the best at some price, the smallest that loads no more than allowed.
    fn best_at_a_price(&self, allowed_ns: u64) -> Choice {
        let mut few = self.choice(vec![false; self.edges.len()]);
        if few.loaded_ns <= allowed_ns {
            return few;
        }
        // At first time decides, and the number of imports where it is equal.
        let mut many = self.cut(1, self.edges.len() as u64 + 1);
        while many.count > few.count + 1 {
            // The price at which both are equally good shows whether a set between them is better.
            let (per_edit, per_ns) = (few.loaded_ns - many.loaded_ns, many.count - few.count);
            let cost = |choice: &Choice| choice.count * per_edit + choice.loaded_ns * per_ns;
            let between = self.cut(per_edit, per_ns);
            if cost(&between) >= cost(&many) {
                break;
            }
            if between.loaded_ns <= allowed_ns {
                many = between;
            } else {
                few = between;
            }
        }
        many
    }

    /// The set with the least price of its edits and of what loads.
    fn cut(&self, per_edit: u64, per_ns: u64) -> Choice {
        let modules = self.names.len();
        let sink = modules + self.edges.len();
        let mut network = Network::new(sink + 1);
        for module in 0..modules {
            for target in &self.fixed[module] {
                network.arc(module, *target, UNCUT);
            }
            network.arc(module, sink, self.ns[module] * per_ns);
        }
        // On the side of the source an import is not deferred: its targets load, and those that require it go too.
        for (at, edge) in self.edges.iter().enumerate() {
            let node = modules + at;
            network.arc(edge.holder, node, if edge.has_effect() { per_edit } else { UNCUT });
            for target in
                edge.targets.iter().copied().chain(edge.required_by.iter().map(|other| modules + other))
            {
                network.arc(node, target, UNCUT);
            }
        }
        let eager = network.source_side();
        let deferred =
            self.edges.iter().zip(&eager[modules..]).map(|(edge, eager)| edge.has_effect() && !eager);
        self.choice(deferred.collect())
    }

    /// Drops imports, those first that cost the least time each.
    fn drop_while_allowed(&self, from: Choice, allowed_ns: u64) -> Choice {
        let mut current = from;
        loop {
            let loaded = self.loaded(&current.kept);
            let left = allowed_ns - current.loaded_ns;
            let mut best: Option<(u64, u64, Vec<bool>)> = None;
            for (group, seeds) in self.droppable(&current.kept, &loaded) {
                let mut kept = current.kept.clone();
                for edge in group {
                    kept[edge] = false;
                }
                let mut then = loaded.clone();
                let Some(cost) = self.load(&kept, &seeds, &mut then, left) else { continue };
                let kept = self.useful(&kept, &then);
                let dropped = current.count - members(&kept).count() as u64;
                let better = best
                    .as_ref()
                    .is_none_or(|(most, least, _)| (dropped * least, dropped) > (most * cost, *most));
                if dropped > 0 && better {
                    best = Some((dropped, cost, kept));
                }
            }
            let Some((_, _, kept)) = best else { return current };
            current = self.choice(kept);
        }
    }

    /// What may go together: an import and those that require it; all that only one module makes useful. Each with
    /// the modules that load at first then.
    fn droppable(&self, kept: &[bool], loaded: &[bool]) -> BTreeSet<(Vec<usize>, Vec<usize>)> {
        let missing = |edge: usize| {
            let edge = &self.edges[edge];
            edge.targets.iter().copied().filter(|target| loaded[edge.holder] && !loaded[*target])
        };
        let mut all = BTreeSet::new();
        for edge in members(kept) {
            all.extend(missing(edge).map(|target| (Vec::new(), vec![target])));
            let group: Vec<usize> =
                self.edges[edge].required_by.iter().copied().filter(|o| kept[*o]).collect();
            let seeds = group.iter().flat_map(|other| missing(*other)).collect();
            all.insert((group, seeds));
        }
        all
    }
}

/// Fills in, both ways, what requires what in the end.
fn relate(edges: &mut [Import<'_>], chosen: &[&Edge]) {
    let numbers: BTreeMap<&str, usize> = edges.iter().enumerate().map(|(at, edge)| (edge.id, at)).collect();
    let mut direct: Vec<Option<Vec<usize>>> = vec![None; edges.len()];
    for edge in chosen {
        if let Some(at) = numbers.get(edge.id.as_str()) {
            direct[*at] = edge.requires.iter().map(|id| numbers.get(id.as_str()).copied()).collect();
        }
    }
    for at in 0..edges.len() {
        if let Some(all) = closure(&direct, at) {
            for other in &all {
                edges[*other].required_by.insert(at);
            }
            edges[at].requires = all;
        }
    }
}

/// What `from` requires in the end, itself included; nothing where some of it was not chosen.
fn closure(direct: &[Option<Vec<usize>>], from: usize) -> Option<BTreeSet<usize>> {
    let mut all = BTreeSet::new();
    let mut queue = vec![from];
    while let Some(at) = queue.pop() {
        if all.insert(at) {
            queue.extend(direct[at].as_ref()?);
        }
    }
    Some(all)
}
