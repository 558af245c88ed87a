//! Classes and names of types that could be made at their first use, and which of them hold an import or take time.

use std::collections::{BTreeMap, BTreeSet};

use crate::UseKind;
use crate::found::{Clause, Found, GlobalFound};
use crate::scopes::Meaning;

/// Modules that every function has loaded, or that cost next to nothing: what hangs on them is not worth a first use.
const LIGHT: [&str; 24] = [
    "__future__",
    "_thread",
    "abc",
    "builtins",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "io",
    "itertools",
    "json",
    "logging",
    "operator",
    "os",
    "re",
    "sys",
    "threading",
    "time",
    "types",
    "typing",
    "typing_extensions",
    "warnings",
    "weakref",
];

/// A name of the module that is needed while its body runs, and the index of the global that needs it.
type Need<'a> = (&'a str, Option<usize>);

/// Leaves of the classes and types among the globals those that something imported waits for, as far as the module's own
/// text says, those that take time to make, and those that are made from them.
pub(crate) fn keep_holding(found: &mut Found) {
    if !found.globals.iter().any(GlobalFound::defines) {
        return;
    }
    let kept = holding(found);
    let stays = |index: &usize| kept.contains(index) || !found.globals[*index].defines();
    // The others are mentioned by their positions.
    let old = (0..found.globals.len()).filter(stays);
    let moved: BTreeMap<usize, usize> = old.enumerate().map(|(new, old)| (old, new)).collect();
    let mut index = 0..;
    found.globals.retain(|_| index.next().is_some_and(|old| moved.contains_key(&old)));
    for global in &mut found.globals {
        global.mentions = global.mentions.iter().filter_map(|at| moved.get(at).copied()).collect();
    }
}

/// Indexes of those to keep.
fn holding(found: &Found) -> BTreeSet<usize> {
    let needs = needs(found);
    let defines = |index: &usize| found.globals[*index].defines();
    let movable = movable(found, &needs);
    // Values wait by their own rules.
    let waits = |user: Option<usize>| user.filter(|index| !defines(index) || movable.contains(index));
    let mut kept: BTreeSet<usize> =
        movable.iter().copied().filter(|index| found.globals[*index].is_costly).collect();
    for Clause { name, statement, nested } in &found.clauses {
        let top = statement.module.split('.').next().unwrap_or_default();
        if *nested || LIGHT.contains(&top) {
            continue;
        }
        let users = needs.iter().filter(|(needed, _)| needed == name).map(|(_, user)| waits(*user));
        let all: Option<BTreeSet<usize>> = users.collect();
        kept.extend(all.into_iter().flatten().filter(defines));
    }
    loop {
        let before = kept.len();
        let names: BTreeSet<&str> = kept.iter().map(|index| found.globals[*index].name.as_str()).collect();
        let users = needs.iter().filter(|(name, _)| names.contains(name)).filter_map(|(_, user)| *user);
        let users: Vec<usize> = users.filter(defines).collect();
        kept.extend(users);
        if kept.len() == before {
            return kept;
        }
    }
}

/// Indexes of those that nothing needs while the module's body runs, but others that wait.
fn movable(found: &Found, needs: &[Need]) -> BTreeSet<usize> {
    let defines = |index: &usize| found.globals[*index].defines();
    let mut left: BTreeSet<usize> = (0..found.globals.len()).filter(defines).collect();
    loop {
        let held = |(_, user): &Need| user.is_none_or(|user| defines(&user) && !left.contains(&user));
        let names: BTreeSet<&str> = needs.iter().filter(|need| held(need)).map(|(name, _)| *name).collect();
        let before = left.len();
        let next = left.iter().copied().filter(|index| !names.contains(found.globals[*index].name.as_str()));
        left = next.collect();
        if left.len() == before {
            return left;
        }
    }
}

/// The module's own names that are needed while its body runs, annotations that could wait aside.
fn needs(found: &Found) -> Vec<Need<'_>> {
    let at_once =
        |kind| matches!(kind, UseKind::AtImport | UseKind::EagerAnnotation | UseKind::ReadAnnotation);
    let reads = found.reads.iter().filter(|read| {
        at_once(read.kind)
            && read.signature.is_none()
            && found.scopes.resolve(read.scope, &read.name) != Meaning::Local
    });
    let quoted = found.quoted.iter().filter(|(_, _, kind)| at_once(*kind));
    let quoted = quoted.map(|(name, at, _)| (name.as_str(), *at));
    let all = reads.map(|read| (read.name.as_str(), read.at)).chain(quoted);
    all.map(|(name, at)| (name, found.globals.iter().position(|global| global.is_around(at)))).collect()
}
