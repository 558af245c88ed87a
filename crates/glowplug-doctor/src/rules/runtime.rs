//! Distributions that Lambda's managed runtimes bring: they need not be in the package.
//!
//! What only the SDK and the runtime client need goes with them. What something else here needs as well stays: the
//! runtime's version of it is not chosen for that.

use std::collections::BTreeSet;

use crate::facts::{Facts, Kind};
use crate::finding::{Finding, Level};
use crate::graph::Graph;
use crate::names::{RUNTIME_CLIENT, RUNTIME_NEEDS, RUNTIME_SDK};

use super::unused::unreached;

pub(super) fn provided(facts: &Facts) -> Vec<Finding> {
    if facts.subject.kind == Kind::Image {
        // An image brings its own runtime, or is built on one: what is in it was put there.
        return Vec::new();
    }
    let graph = Graph::new(facts);
    let unreached = unreached(facts, &graph);
    let told = |names: &[&str], what: &str| {
        let leaving: BTreeSet<usize> = (0..facts.distributions.len())
            .filter(|index| {
                let key = facts.distributions[*index].key.as_str();
                names.contains(&key) && !facts.runtime_provided.contains(key) && !unreached.contains(index)
            })
            .collect();
        finding(facts, &graph, &leaving, what)
    };
    let sdk = told(RUNTIME_SDK, "the AWS SDK");
    let client = told(RUNTIME_CLIENT, "the runtime client");
    sdk.into_iter().chain(client).collect()
}

fn finding(facts: &Facts, graph: &Graph<'_>, leaving: &BTreeSet<usize>, what: &str) -> Option<Finding> {
    let first = leaving.iter().copied().find(|index| graph.needed_by(*index).is_disjoint(leaving));
    let first = first.or_else(|| leaving.first().copied())?;
    let with = graph.goes_with(leaving);
    // Of what they need, only what the runtime has as well.
    let goes: BTreeSet<usize> = with
        .into_iter()
        .filter(|index| {
            leaving.contains(index) || RUNTIME_NEEDS.contains(&facts.distributions[*index].key.as_str())
        })
        .collect();
    let mut names: Vec<&str> = goes.iter().map(|index| facts.distributions[*index].key.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let ticked: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "Lambda's Python runtimes bring {what} ({}); their version changes without notice, so keep it where a newer \
         one is needed",
        ticked.join(", ")
    );
    let remedy = format!("`runtime_provided = [{}]` under `[package]`", quoted.join(", "));
    let (bytes, zip_bytes) = graph.bytes(&goes);
    Some(Finding::new(Level::Note, facts.place_of(first), message, remedy).bytes(bytes, zip_bytes).guessed())
}
