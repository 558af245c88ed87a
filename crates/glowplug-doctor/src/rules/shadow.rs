//! Modules that hide others of the same name: of a distribution, or of the standard library.
//!
//! On Lambda the function's folder comes first on Python's path, then layers, then the runtime and the standard
//! library: a file there takes the name from all the others.

use std::collections::BTreeMap;

use crate::facts::{Facts, RootKind};
use crate::finding::{Finding, Level};
use crate::names::{BACKPORTS, can_be_hidden};

use super::{listed, plural};

pub(super) fn distributions(facts: &Facts) -> Vec<Finding> {
    let mut found = replaced(facts);
    found.extend(clashes(facts));
    found.extend(own_modules(facts));
    found
}

/// Files of a distribution that the function's own ones replace.
fn replaced(facts: &Facts) -> Vec<Finding> {
    let told = facts.distributions.iter().filter(|found| !found.replaced.is_empty()).map(|found| {
        let first = &found.replaced[0];
        let message = format!("{} of your own replaces the one of `{}`", first, found.name);
        let message = match found.replaced.len() {
            1 => message,
            more => format!("{message}, and so do {}", plural(more - 1, "other file")),
        };
        let places = found.replaced.iter().map(ToString::to_string).collect();
        let remedy = "rename your own, unless it is meant to replace it";
        Finding::new(Level::Warning, first.as_str(), message, remedy).at(places)
    });
    told.collect()
}

/// Distributions that bring the same files: the one installed last has won.
fn clashes(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, one) in facts.distributions.iter().enumerate() {
        for (other, files) in one.shares_with.iter().filter(|(other, _)| **other > index) {
            let message = format!(
                "`{}` and `{}` bring {}, for example {}: the one that was installed last has replaced the other's",
                one.name,
                facts.distributions[*other].name,
                plural(files.len(), "same file"),
                files[0]
            );
            let places = vec![facts.place_of(index), facts.place_of(*other)];
            let remedy = "keep one of the two";
            found.push(Finding::new(Level::Warning, facts.place_of(*other), message, remedy).at(places));
        }
    }
    found
}

/// The user's own module with the name of a distribution's.
fn own_modules(facts: &Facts) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, found) in facts.distributions.iter().enumerate() {
        for top in &found.top_level {
            owners.entry(top).or_insert(index);
        }
    }
    let mut found = Vec::new();
    // Which of the two Python takes, a package goes before a module: both are told by their files.
    let own = |file: &&crate::File| {
        file.distribution.is_none() && facts.roots[file.root].kind == RootKind::Task && !facts.own.is_empty()
    };
    for file in facts.files.iter().filter(own) {
        let Some(name) = module_at_top(&file.path) else { continue };
        let Some(owner) = owners.get(name) else { continue };
        // Replaced files are told as such.
        if facts.distributions[*owner].replaced.contains(&file.path) {
            continue;
        }
        let place = facts.shown(file.root, &file.path);
        let of = &facts.distributions[*owner].name;
        let message = format!("`{place}` and `{of}` both are the module `{name}`: one hides the other");
        found.push(Finding::new(Level::Warning, place, message, "rename your own"));
    }
    found
}

/// `name` for `name.py` and `name/__init__.py`.
fn module_at_top(path: &camino::Utf8Path) -> Option<&str> {
    let mut parts = path.components().map(|part| part.as_str());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(file), None, None) => file.strip_suffix(".py"),
        (Some(folder), Some("__init__.py"), None) => Some(folder),
        _ => None,
    }
}

pub(super) fn standard(facts: &Facts) -> Vec<Finding> {
    let python = facts.subject.python;
    let mut found = Vec::new();
    for file in &facts.files {
        // The site folder of an interpreter comes after the standard library.
        if facts.roots[file.root].kind == RootKind::Site {
            continue;
        }
        let name = module_at_top(&file.path);
        let Some(name) = name.filter(|name| can_be_hidden(name, python)) else { continue };
        let owner = file.distribution.map(|index| &facts.distributions[index]);
        // A backport is told as one.
        let is_backport = |key: &str| BACKPORTS.iter().any(|row| row.key == key && python >= row.since);
        if owner.is_some_and(|owner| is_backport(&owner.key)) {
            continue;
        }
        let whose = owner.map_or_else(String::new, |owner| format!(" of `{}`", owner.name));
        let place = facts.shown(file.root, &file.path);
        let message =
            format!("`{place}`{whose} hides the standard library's `{name}` from everything that imports it");
        let remedy = match owner {
            Some(owner) => format!("leave `{}` out, or install a version without it", owner.name),
            None => "rename it".to_owned(),
        };
        let users = importers(facts, name);
        let message =
            if users.is_empty() { message } else { format!("{message}, as {} does", listed(&users)) };
        found.push(Finding::new(Level::Warning, place, message, remedy));
    }
    found
}

/// The user's own modules that import the name and mean either.
fn importers(facts: &Facts, name: &str) -> Vec<String> {
    let own = facts.own.iter().filter(|module| module.analysis.name.split('.').next() != Some(name));
    own.flat_map(|module| {
        let of_it =
            module.analysis.imports.iter().filter(|import| import.module.split('.').next() == Some(name));
        of_it.map(|import| format!("{}:{}", module.analysis.path, import.line))
    })
    .collect()
}
