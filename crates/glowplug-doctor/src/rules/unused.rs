//! Distributions that nothing imports: by the imports of the user's own code, and of what that needs.
//!
//! Reached counts generously. A distribution that is needed as a whole reaches all that any of its modules imports,
//! optional things too, and all that its metadata requires; so does one that brings entry points, since others find it
//! by those, and one whose module's name stands in a text of the user's own.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::finding::{Finding, Level};
use crate::graph::Graph;
use crate::names::{BACKPORTS, RUNTIME_CLIENT, is_tool};

use super::listed;

/// What is used without being imported by anybody: the standard library's `zoneinfo` asks `tzdata` for its files.
const USED_BY_PYTHON: &[&str] = &["tzdata"];

/// Distributions that nothing that is needed reaches.
pub(super) fn unreached(facts: &Facts, graph: &Graph<'_>) -> BTreeSet<usize> {
    if !facts.has_own_code() {
        return BTreeSet::new();
    }
    let mut starts = graph.in_use();
    starts.extend(USED_BY_PYTHON.iter().chain(RUNTIME_CLIENT).flat_map(|key| facts.by_key(key)));
    let reached = graph.reach(starts, &BTreeSet::new());
    (0..facts.distributions.len()).filter(|index| !reached.contains(index)).collect()
}

pub(super) fn distributions(facts: &Facts) -> Vec<Finding> {
    let graph = Graph::new(facts);
    let unreached = unreached(facts, &graph);
    // Tools and backports are told as such.
    let apart = |index: &usize| {
        let key = facts.distributions[*index].key.as_str();
        is_tool(key) || BACKPORTS.iter().any(|row| row.key == key && facts.subject.python >= row.since)
    };
    let brings_modules = |index: &usize| !facts.distributions[*index].top_level.is_empty();
    // The site folder of an image's interpreter holds what the image was made with too.
    let is_ours = |index: &usize| {
        let found = &facts.distributions[*index];
        facts.roots[found.root].kind != crate::RootKind::Site || facts.requirements.contains_key(&found.key)
    };
    let heads = heads(&graph, &unreached);
    heads
        .into_iter()
        .filter(|index| !apart(index) && brings_modules(index) && is_ours(index))
        .map(|index| finding(facts, &graph, &unreached, index))
        .collect()
}

/// Those that no other unreached one needs; of a circle the first.
fn heads(graph: &Graph<'_>, unreached: &BTreeSet<usize>) -> Vec<usize> {
    let mut heads = Vec::new();
    let mut covered = BTreeSet::new();
    let is_free = |index: &usize| graph.needed_by(*index).is_disjoint(unreached);
    let (free, bound): (Vec<usize>, Vec<usize>) = unreached.iter().partition(|index| is_free(index));
    for index in free.into_iter().chain(bound) {
        if !covered.contains(&index) {
            covered.extend(graph.reach([index], &BTreeSet::new()));
            heads.push(index);
        }
    }
    heads
}

fn finding(facts: &Facts, graph: &Graph<'_>, unreached: &BTreeSet<usize>, index: usize) -> Finding {
    let below: BTreeSet<usize> =
        graph.reach([index], &BTreeSet::new()).intersection(unreached).copied().collect();
    // What two heads need goes only with both: it is told with the first.
    let goes: BTreeSet<usize> = below
        .iter()
        .copied()
        .filter(|one| *one == index || graph.needed_by(*one).iter().all(|user| below.contains(user)))
        .collect();
    let others: Vec<String> = goes
        .iter()
        .filter(|one| **one != index)
        .map(|one| format!("`{}`", facts.distributions[*one].name))
        .collect();
    let tests = facts.links.iter().filter(|link| link.from.is_none() && link.is_test && link.to == index);
    let tests: Vec<String> = tests.map(|link| link.place.clone()).collect();
    let name = &facts.distributions[index].name;
    let mut message = if tests.is_empty() {
        format!("nothing imports `{name}`")
    } else {
        format!("only tests import `{name}`")
    };
    if !others.is_empty() {
        message += &format!("; with it go {}, which nothing else needs", listed(&others));
    }
    let (bytes, zip_bytes) = graph.bytes(&goes);
    let mut lines: Vec<String> = goes
        .iter()
        .filter_map(|one| facts.requirements.get(&facts.distributions[*one].key))
        .map(|requirement| format!("`{}` ({})", requirement.text, requirement.place))
        .collect();
    lines.sort();
    let remedy = match (lines.len(), tests.is_empty()) {
        (0, _) => format!("leave `{name}` out of what is installed"),
        (_, true) => format!("delete {}", listed(&lines)),
        (_, false) => format!("move {} to the requirements of your tests", listed(&lines)),
    };
    Finding::new(Level::Warning, facts.place_of(index), message, remedy).bytes(bytes, zip_bytes).at(tests)
}
