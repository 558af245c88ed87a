//! What may happen to the files of a shared layer: only what the builds of all its functions have decided.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_lazy::FileEdits;
use glowplug_package::bytecode_path;

use crate::fleet::member::{Member, Named};
use crate::variant::Recipe;
use crate::verify::Pinned;

/// Why a decision is undone.
const ALONE: &str = "its file is in a shared layer, and not every function that attaches it decided so";

/// Why a copy stays.
const APART: &str = "a link in the place of a copy could lead from a package into a layer, or back";

/// A layer of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Its name, as it is published.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) members: BTreeSet<Named>,
    /// Who attaches it, by their place in the fleet.
    pub(crate) users: BTreeSet<usize>,
}

impl Chosen {
    /// Where a function has the distributions of the layer.
    pub(crate) fn of(&self, member: &Member) -> BTreeSet<usize> {
        self.members.iter().filter_map(|named| member.has.get(named).copied()).collect()
    }
}

/// What is left of a function's own decisions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agreed {
    pub(crate) recipe: Recipe,
    /// Undone decisions, by id, and why.
    pub(crate) undone: Pinned,
}

/// What all agree upon.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    /// By function.
    pub(crate) functions: Vec<Agreed>,
    /// By layer: the edits of its files.
    pub(crate) edits: Vec<Edits>,
}

/// Path → what is changed in the source.
pub(crate) type Edits = BTreeMap<Utf8PathBuf, FileEdits>;

/// Takes back, function by function, what not all agree upon.
pub(crate) fn agree(members: &[Member], layers: &[Chosen]) -> Agreement {
    let mut agreed: Vec<Agreed> = members
        .iter()
        .map(|member| Agreed { recipe: member.recipe.clone(), undone: Pinned::new() })
        .collect();
    for Agreed { recipe, undone } in &mut agreed {
        for path in std::mem::take(&mut recipe.linked)
            .into_keys()
            .filter(|path| recipe.dropped.remove(path).is_some())
        {
            undone.insert(format!("drop:{path}"), APART.to_owned());
        }
    }
    for layer in layers {
        agree_on_files(members, layer, &mut agreed);
    }
    let edits = agree_on_edits(members, layers, &mut agreed);
    Agreement { functions: agreed, edits }
}

/// What all who have a distribution leave out of it, or strip alike.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Path → the rule of the first of them.
    pub(crate) dropped: BTreeMap<Utf8PathBuf, String>,
    pub(crate) stripped: BTreeMap<Utf8PathBuf, Vec<u8>>,
    /// Sources whose bytecode knows no columns.
    pub(crate) lean: BTreeSet<Utf8PathBuf>,
}

impl Common {
    /// Of the functions `users`, as their own builds have decided.
    pub(crate) fn of(members: &[Member], named: &Named, users: &BTreeSet<usize>) -> Self {
        let holders: Vec<&Member> =
            users.iter().map(|at| &members[*at]).filter(|member| member.has.contains_key(named)).collect();
        let Some(first) = holders.first() else { return Self::default() };
        let mut common = Self::default();
        for path in bytecode(first, named) {
            if holders.iter().all(|member| member.recipe.dropped.contains_key(&path)) {
                let rule = first.recipe.dropped.get(&path).cloned().unwrap_or_default();
                common.dropped.insert(path, rule);
            }
        }
        for path in paths(first, named) {
            if holders.iter().all(|member| member.recipe.lean.contains(path)) {
                common.lean.insert(path.to_owned());
            }
            let drops =
                |recipe: &Recipe| recipe.dropped.contains_key(path) && !recipe.linked.contains_key(path);
            if holders.iter().all(|member| drops(&member.recipe)) {
                let rule = first.recipe.dropped.get(path).cloned().unwrap_or_default();
                common.dropped.insert(path.to_owned(), rule);
            } else if let Some(bytes) = first.recipe.stripped.get(path)
                && holders.iter().all(|member| {
                    let recipe = &member.recipe;
                    recipe.stripped.get(path) == Some(bytes) && !recipe.dropped.contains_key(path)
                })
            {
                common.stripped.insert(path.to_owned(), bytes.clone());
            }
        }
        common
    }
}

/// Paths of a distribution, which are the same for all who have it.
fn paths<'m>(member: &'m Member, named: &Named) -> impl Iterator<Item = &'m Utf8Path> {
    let index = member.has.get(named).copied();
    index.into_iter().flat_map(|index| member.files_of(index)).map(|file| file.path.as_path())
}

/// Paths of the bytecode that builds make for a distribution.
fn bytecode(member: &Member, named: &Named) -> impl Iterator<Item = Utf8PathBuf> {
    let python = member.subject.ground.function.python;
    let sources = paths(member, named).filter(|path| path.extension() == Some("py"));
    sources.map(move |path| bytecode_path(path, python))
}

/// Files that are left out or stripped.
fn agree_on_files(members: &[Member], layer: &Chosen, agreed: &mut [Agreed]) {
    for named in &layer.members {
        let common = Common::of(members, named, &layer.users);
        for at in &layer.users {
            let Agreed { recipe, undone } = &mut agreed[*at];
            for path in bytecode(&members[*at], named) {
                if !common.dropped.contains_key(&path) && recipe.dropped.remove(&path).is_some() {
                    undone.insert(format!("drop:{path}"), ALONE.to_owned());
                }
            }
            for path in paths(&members[*at], named) {
                if !common.dropped.contains_key(path) && recipe.dropped.remove(path).is_some() {
                    undone.insert(format!("drop:{path}"), ALONE.to_owned());
                }
                if !common.lean.contains(path) && recipe.lean.remove(path) {
                    undone.insert(format!("strip:{path}"), ALONE.to_owned());
                }
                if !common.stripped.contains_key(path) && recipe.stripped.remove(path).is_some() {
                    undone.insert(format!("strip:{path}"), ALONE.to_owned());
                }
            }
        }
    }
}

/// Deferred imports: those stay that all defer, with the same edit. Each round takes something back, until all agree.
fn agree_on_edits(members: &[Member], layers: &[Chosen], agreed: &mut [Agreed]) -> Vec<Edits> {
    loop {
        let edits: Vec<Edits> = members
            .iter()
            .zip(agreed.iter())
            .map(|(member, agreed)| {
                member.subject.candidates.edits(&agreed.recipe.lazy, &member.subject.support)
            })
            .collect();
        let mut undo: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let mut all = vec![Edits::new(); layers.len()];
        for (layer, merged) in layers.iter().zip(&mut all) {
            for named in &layer.members {
                let users = layer.users.iter().copied().filter(|at| members[*at].has.contains_key(named));
                let users: Vec<usize> = users.collect();
                let Some(first) = users.first().copied() else { continue };
                for path in paths(&members[first], named) {
                    let theirs: Vec<Option<&FileEdits>> =
                        users.iter().map(|at| edits[*at].get(path)).collect();
                    let supports = users.iter().map(|at| &members[*at].subject.support);
                    if let Ok(one) = merge(&theirs, &supports.collect::<BTreeSet<_>>()) {
                        merged.extend(one.map(|one| (path.to_owned(), one)));
                        continue;
                    }
                    let disputed = Disputed { members, agreed, users: &users, path };
                    for at in &users {
                        undo.entry(*at).or_default().extend(disputed.undo(*at));
                    }
                }
            }
        }
        undo.retain(|_, ids| !ids.is_empty());
        if undo.is_empty() {
            return all;
        }
        for (at, ids) in undo {
            let Agreed { recipe, undone } = &mut agreed[at];
            let before = recipe.lazy.clone();
            recipe.lazy =
                members[at].subject.candidates.effective(&before.difference(&ids).cloned().collect());
            undone.extend(before.difference(&recipe.lazy).map(|id| (id.clone(), ALONE.to_owned())));
        }
    }
}

/// Functions do not edit a file alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Differ;

/// One edit for all, or no edit. What a file offers because somebody may rely on
/// an import that another file defers is no decision about it: it offers what any of them needs, and loads none of it.
fn merge(theirs: &[Option<&FileEdits>], supports: &BTreeSet<&String>) -> Result<Option<FileEdits>, Differ> {
    let Some(some) = theirs.iter().flatten().next() else { return Ok(None) };
    let bare =
        |edits: &FileEdits| FileEdits { submodules: Vec::new(), borrowed: Vec::new(), ..edits.clone() };
    let (mut merged, same) = (bare(some), bare(some));
    let decides = |edits: &FileEdits| {
        !edits.names.is_empty() || !edits.weakened.is_empty() || !edits.signatures.is_empty()
    };
    let agrees = |edits: Option<&FileEdits>| match edits {
        Some(edits) => bare(edits) == same,
        None => !decides(&same),
    };
    if supports.len() != 1 || !theirs.iter().copied().all(agrees) {
        return Err(Differ);
    }
    let submodules: BTreeSet<String> =
        theirs.iter().flatten().flat_map(|edits| edits.submodules.iter().cloned()).collect();
    let borrowed: BTreeSet<(String, String)> =
        theirs.iter().flatten().flat_map(|edits| edits.borrowed.iter().cloned()).collect();
    merged.submodules = submodules.into_iter().collect();
    merged.borrowed = borrowed.into_iter().collect();
    Ok(Some(merged))
}

/// A file whose edits are not the same for all.
struct Disputed<'a> {
    members: &'a [Member<'a>],
    agreed: &'a [Agreed],
    users: &'a [usize],
    path: &'a Utf8Path,
}

impl Disputed<'_> {
    /// What one function takes back.
    fn undo(&self, at: usize) -> BTreeSet<String> {
        let inside = self.inside(at);
        let common = self
            .users
            .iter()
            .map(|user| self.inside(*user))
            .reduce(|one, other| one.intersection(&other).cloned().collect())
            .unwrap_or_default();
        if self.users.iter().any(|user| self.inside(*user) != common) {
            return inside.difference(&common).cloned().collect();
        }
        if !common.is_empty() {
            // The same imports, and yet other edits: what else the tree holds decides.
            return common;
        }
        // Nothing in the file is deferred, and it is edited all the same: nothing is.
        self.agreed[at].recipe.lazy.clone()
    }

    /// Ids of deferred imports in the file.
    fn inside(&self, at: usize) -> BTreeSet<String> {
        let lazy = &self.agreed[at].recipe.lazy;
        let candidates = self.members[at].subject.candidates.deferrable();
        let chosen = candidates.filter(|c| c.path == self.path && lazy.contains(&c.id));
        chosen.map(|candidate| candidate.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(support: &str, signatures: &[u32], submodules: &[&str]) -> FileEdits {
        FileEdits {
            support: support.into(),
            names: Vec::new(),
            submodules: submodules.iter().map(|name| (*name).to_owned()).collect(),
            weakened: Vec::new(),
            listings: Vec::new(),
            listed_globals: Vec::new(),
            signatures: signatures.iter().map(|line| (*line, 0)).collect(),
            texts: BTreeSet::new(),
            borrowed: Vec::new(),
            absent: None,
        }
    }

    fn merged(theirs: &[Option<FileEdits>], supports: &[&str]) -> Result<Option<FileEdits>, Differ> {
        let supports: Vec<String> = supports.iter().map(|name| (*name).to_owned()).collect();
        merge(&theirs.iter().map(Option::as_ref).collect::<Vec<_>>(), &supports.iter().collect())
    }

    #[test]
    fn the_same_edit_stays_and_offers_what_any_needs() {
        let (one, other) = (edits("s", &[1], &["a", "c"]), edits("s", &[1], &["b", "a"]));
        assert_eq!(merged(&[Some(one), Some(other)], &["s"]), Ok(Some(edits("s", &[1], &["a", "b", "c"]))));
        assert_eq!(merged(&[None, None], &["s"]), Ok(None));
    }

    #[test]
    fn a_decision_of_one_alone_does_not() {
        assert_eq!(merged(&[Some(edits("s", &[1], &[])), None], &["s"]), Err(Differ));
        assert_eq!(merged(&[Some(edits("s", &[1], &[])), Some(edits("s", &[2], &[]))], &["s"]), Err(Differ));
        let offered = edits("s", &[], &["a"]);
        assert_eq!(merged(&[None, Some(offered.clone())], &["s"]), Ok(Some(offered)));
    }

    #[test]
    fn another_support_module_is_another_edit() {
        assert_eq!(merged(&[None, Some(edits("s", &[], &["a"]))], &["s", "s_2"]), Err(Differ));
    }
}
