//! Distributions that do nothing here: backports, tools of development, second copies.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Facts, RootKind};
use crate::finding::{Finding, Level};
use crate::graph::Graph;
use crate::names::{BACKPORTS, is_tool};

use super::{listed, plural};

/// Backports that no other distribution here requires, and that no library imports come what may.
pub(super) fn backports(facts: &Facts) -> Vec<Finding> {
    let graph = Graph::new(facts);
    let mut found = Vec::new();
    for row in BACKPORTS.iter().filter(|row| facts.subject.python >= row.since) {
        let Some(index) = facts.by_key(row.key).next() else { continue };
        let required = facts.distributions.iter().any(|other| other.requires.contains(row.key));
        let needed = facts
            .links
            .iter()
            .any(|link| link.to == index && link.from.is_some() && !link.is_conditional && !link.is_test);
        if required || needed {
            continue;
        }
        let own = facts.links.iter().filter(|link| link.to == index && link.from.is_none() && !link.is_test);
        let places: Vec<String> = own.map(|link| link.place.clone()).collect();
        let (bytes, zip_bytes) = graph.bytes(&graph.goes_with(&BTreeSet::from([index])));
        let name = &facts.distributions[index].name;
        let message = format!("Python {} has what `{name}` brings to older versions", facts.subject.python);
        let mut remedy = removal(facts, index);
        if !places.is_empty() {
            remedy = format!("use `{}` in the place of `{name}`, and {remedy}", row.instead);
        }
        found.push(
            Finding::new(Level::Warning, facts.place_of(index), message, remedy)
                .bytes(bytes, zip_bytes)
                .at(places),
        );
    }
    found
}

/// Tools that the function's code does not import, no traced start loaded and no library requires.
pub(super) fn tools(facts: &Facts) -> Vec<Finding> {
    let graph = Graph::new(facts);
    let used = graph.imported_by_user();
    let tools: BTreeSet<usize> = (0..facts.distributions.len())
        .filter(|index| {
            let found = &facts.distributions[*index];
            // The interpreter of an image comes with its own installer.
            let of_image = facts.roots[found.root].kind == RootKind::Site
                && matches!(found.key.as_str(), "pip" | "setuptools" | "wheel");
            is_tool(&found.key)
                && !of_image
                && !used.contains(index)
                && !found.is_loaded
                && found.mentioned_at.is_none()
                && !facts
                    .distributions
                    .iter()
                    .any(|other| !is_tool(&other.key) && other.requires.contains(&found.key))
        })
        .collect();
    let heads = tools.iter().copied().filter(|index| {
        facts.requirements.contains_key(&facts.distributions[*index].key)
            || !facts.distributions.iter().enumerate().any(|(other, found)| {
                other != *index
                    && tools.contains(&other)
                    && found.requires.contains(&facts.distributions[*index].key)
            })
    });
    heads
        .map(|index| {
            let mut goes = graph.goes_with(&BTreeSet::from([index]));
            goes.retain(|one| *one == index || !tools.contains(one));
            let others: Vec<String> = goes
                .iter()
                .filter(|one| **one != index)
                .map(|one| format!("`{}`", facts.distributions[*one].name))
                .collect();
            let (bytes, zip_bytes) = graph.bytes(&goes);
            let name = &facts.distributions[index].name;
            let mut message =
                format!("`{name}` is a tool of development, and the function's code does not import it");
            if !others.is_empty() {
                message += &format!("; with it go {}", listed(&others));
            }
            Finding::new(Level::Warning, facts.place_of(index), message, removal(facts, index))
                .bytes(bytes, zip_bytes)
        })
        .collect()
}

fn removal(facts: &Facts, index: usize) -> String {
    let found = &facts.distributions[index];
    match facts.requirements.get(&found.key) {
        Some(requirement) => format!("delete `{}` ({})", requirement.text, requirement.place),
        None => format!("leave `{}` out of what is installed", found.name),
    }
}

/// Metadata of one name twice at one root, which an update over an older installation leaves, and the same distribution
/// in the function and in a layer.
pub(super) fn duplicates(facts: &Facts) -> Vec<Finding> {
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, found) in facts.distributions.iter().enumerate() {
        by_key.entry(&found.key).or_default().push(index);
    }
    let mut found = Vec::new();
    for (_, all) in by_key.into_iter().filter(|(_, all)| all.len() > 1) {
        let mut by_root: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in all {
            by_root.entry(facts.distributions[index].root).or_default().push(index);
        }
        found.extend(by_root.values().filter(|same| same.len() > 1).map(|same| twice(facts, same)));
        let firsts: Vec<usize> = by_root.into_values().map(|same| same[0]).collect();
        for hidden in firsts.iter().skip(1) {
            found.push(hides(facts, firsts[0], *hidden));
        }
    }
    found
}

fn twice(facts: &Facts, same: &[usize]) -> Finding {
    let versions: Vec<String> =
        same.iter().map(|index| facts.distributions[*index].version.clone()).collect();
    let name = &facts.distributions[same[0]].name;
    let places = same.iter().map(|index| {
        let found = &facts.distributions[*index];
        facts.shown(found.root, &found.dist_info)
    });
    let places: Vec<String> = places.collect();
    let message = format!(
        "`{name}` has the metadata of {} ({}): `importlib.metadata` tells one of them, whatever the modules are",
        plural(same.len(), "version"),
        versions.join(", ")
    );
    let remedy = "install into an empty folder: an installation over another leaves the old metadata";
    Finding::new(Level::Warning, places[0].clone(), message, remedy).at(places)
}

fn hides(facts: &Facts, first: usize, hidden: usize) -> Finding {
    let (one, other) = (&facts.distributions[first], &facts.distributions[hidden]);
    let where_ = |index: usize| {
        let root = &facts.roots[facts.distributions[index].root];
        if root.prefix.is_empty() {
            "the function".to_owned()
        } else {
            format!("`{}`", root.prefix.trim_end_matches('/'))
        }
    };
    let message = if one.version == other.version {
        format!("`{}` is in {} and in {}", facts.named(first), where_(first), where_(hidden))
    } else {
        format!("`{}` in {} hides {} in {}", facts.named(first), where_(first), other.version, where_(hidden))
    };
    let remedy = format!("keep `{}` in one of them", one.name);
    let place = facts.shown(other.root, &other.dist_info);
    let bytes = one.bytes.min(other.bytes);
    Finding::new(Level::Warning, place, message, remedy).bytes(bytes, one.zip_bytes.min(other.zip_bytes))
}
