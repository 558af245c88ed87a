//! What may happen to the files of a shared layer: only what the builds of all its functions have decided.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_lazy::FileEdits;

use crate::fleet::member::{Member, Named};
use crate::variant::Recipe;
use crate::verify::Pinned;

/// Why a decision is undone.
const ALONE: &str = "its file is in a shared layer, and not every function that attaches it decided so";

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

/// Takes back, function by function, what not all agree upon.
pub(crate) fn agree(members: &[Member], layers: &[Chosen]) -> Vec<Agreed> {
    let mut agreed: Vec<Agreed> = members
        .iter()
        .map(|member| Agreed { recipe: member.recipe.clone(), undone: Pinned::new() })
        .collect();
    for layer in layers {
        agree_on_files(members, layer, &mut agreed);
    }
    agree_on_edits(members, layers, &mut agreed);
    agreed
}

/// What all who have a distribution leave out of it, or strip alike.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) dropped: BTreeSet<Utf8PathBuf>,
    pub(crate) stripped: BTreeMap<Utf8PathBuf, Vec<u8>>,
}

impl Common {
    /// Of the functions `users`, as their own builds have decided.
    pub(crate) fn of(members: &[Member], named: &Named, users: &BTreeSet<usize>) -> Self {
        let holders: Vec<&Member> =
            users.iter().map(|at| &members[*at]).filter(|member| member.has.contains_key(named)).collect();
        let Some(first) = holders.first() else { return Self::default() };
        let mut common = Self::default();
        for path in paths(first, named) {
            if holders.iter().all(|member| member.recipe.dropped.contains(path)) {
                common.dropped.insert(path.to_owned());
            } else if let Some(bytes) = first.recipe.stripped.get(path)
                && holders.iter().all(|member| {
                    let recipe = &member.recipe;
                    recipe.stripped.get(path) == Some(bytes) && !recipe.dropped.contains(path)
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

/// Files that are left out or stripped.
fn agree_on_files(members: &[Member], layer: &Chosen, agreed: &mut [Agreed]) {
    for named in &layer.members {
        let common = Common::of(members, named, &layer.users);
        for at in &layer.users {
            let Agreed { recipe, undone } = &mut agreed[*at];
            for path in paths(&members[*at], named) {
                if !common.dropped.contains(path) && recipe.dropped.remove(path) {
                    undone.insert(format!("drop:{path}"), ALONE.to_owned());
                }
                if !common.stripped.contains_key(path) && recipe.stripped.remove(path).is_some() {
                    undone.insert(format!("strip:{path}"), ALONE.to_owned());
                }
            }
        }
    }
}

/// Deferred imports. Edits of one file can follow from imports of another, so that whole edits are compared; each round
/// takes something back, until all agree.
fn agree_on_edits(members: &[Member], layers: &[Chosen], agreed: &mut [Agreed]) {
    loop {
        let edits: Vec<BTreeMap<Utf8PathBuf, FileEdits>> = members
            .iter()
            .zip(agreed.iter())
            .map(|(member, agreed)| {
                member.subject.candidates.edits(&agreed.recipe.lazy, &member.subject.support)
            })
            .collect();
        let mut undo: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for layer in layers {
            for named in &layer.members {
                let users = layer.users.iter().copied().filter(|at| members[*at].has.contains_key(named));
                let users: Vec<usize> = users.collect();
                let Some(first) = users.first().copied() else { continue };
                for path in paths(&members[first], named) {
                    if users.iter().any(|at| edits[*at].get(path) != edits[first].get(path)) {
                        let disputed = Disputed { members, agreed, users: &users, path };
                        for at in &users {
                            let ids = disputed.undo(*at, edits[*at].contains_key(path));
                            undo.entry(*at).or_default().extend(ids);
                        }
                    }
                }
            }
        }
        undo.retain(|_, ids| !ids.is_empty());
        if undo.is_empty() {
            return;
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

/// A file whose edits are not the same for all.
struct Disputed<'a> {
    members: &'a [Member<'a>],
    agreed: &'a [Agreed],
    users: &'a [usize],
    path: &'a Utf8Path,
}

impl Disputed<'_> {
    /// What one function takes back; `edited` says whether it edits the file.
    fn undo(&self, at: usize, edited: bool) -> BTreeSet<String> {
        let inside = self.inside(at);
        let common = self
            .users
            .iter()
            .map(|user| self.inside(*user))
            .reduce(|one, other| one.intersection(&other).cloned().collect())
            .unwrap_or_default();
        let alone: BTreeSet<String> = inside.difference(&common).cloned().collect();
        let somebody = self.users.iter().any(|user| self.inside(*user) != common);
        if somebody {
            return alone;
        }
        if !common.is_empty() {
            // The same imports, and yet other edits: what else is deferred decides.
            return common;
        }
        if edited { self.around(at) } else { BTreeSet::new() }
    }

    /// Ids of deferred imports in the file.
    fn inside(&self, at: usize) -> BTreeSet<String> {
        self.ids(at, |candidate| candidate.path == self.path)
    }

    /// Ids of deferred imports of the file's package and what is below it; all, where there are none.
    fn around(&self, at: usize) -> BTreeSet<String> {
        let parent = self.path.parent().unwrap_or(Utf8Path::new(""));
        let package = parent.as_str().replace('/', ".");
        let within = |module: &String| {
            module.strip_prefix(&package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found = self.ids(at, |candidate| candidate.targets.iter().any(within));
        if found.is_empty() { self.agreed[at].recipe.lazy.clone() } else { found }
    }

    fn ids(&self, at: usize, which: impl Fn(&glowplug_lazy::Candidate) -> bool) -> BTreeSet<String> {
        let lazy = &self.agreed[at].recipe.lazy;
        let candidates = self.members[at].subject.candidates.deferrable();
        let chosen = candidates.filter(|candidate| lazy.contains(&candidate.id) && which(candidate));
        chosen.map(|candidate| candidate.id.clone()).collect()
    }
}
