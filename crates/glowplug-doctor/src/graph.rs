//! Which distributions need which: by the requirements in their metadata, and by the imports in their modules.

use std::collections::BTreeSet;

use crate::facts::Facts;

/// Distributions as nodes; an edge leads to what is needed.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    facts: &'a Facts,
    needs: Vec<BTreeSet<usize>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(facts: &'a Facts) -> Self {
        let mut needs: Vec<BTreeSet<usize>> = facts
            .distributions
            .iter()
            .map(|found| found.requires.iter().flat_map(|key| facts.by_key(key)).collect())
            .collect();
        for link in facts.links.iter().filter(|link| !link.is_test) {
            if let Some(from) = link.from {
                needs[from].insert(link.to);
            }
        }
        Self { facts, needs }
    }

    /// Everything that is needed from `starts` on, without passing through `barred`.
    pub(crate) fn reach(
        &self,
        starts: impl IntoIterator<Item = usize>,
        barred: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = starts.into_iter().collect();
        while let Some(at) = open.pop() {
            if !barred.contains(&at) && found.insert(at) {
                open.extend(&self.needs[at]);
            }
        }
        found
    }

    /// Distributions that the user's own code imports, tests apart.
    pub(crate) fn imported_by_user(&self) -> BTreeSet<usize> {
        let own = self.facts.links.iter().filter(|link| link.from.is_none() && !link.is_test);
        own.map(|link| link.to).collect()
    }

    /// Those that are in use whatever the rest of the graph says: imported, loaded, mentioned, or plugins.
    pub(crate) fn in_use(&self) -> BTreeSet<usize> {
        let mut starts = self.imported_by_user();
        starts.extend(self.facts.distributions.iter().enumerate().filter_map(|(index, found)| {
            (found.is_plugin || found.is_loaded || found.mentioned_at.is_some()).then_some(index)
        }));
        starts
    }

    /// Who needs `distribution`, of the others.
    pub(crate) fn needed_by(&self, distribution: usize) -> BTreeSet<usize> {
        (0..self.needs.len())
            .filter(|index| *index != distribution && self.needs[*index].contains(&distribution))
            .collect()
    }

    /// What goes with `leaving` when they go: needed by them, directly or not, and by nothing else that is in use or
    /// that nobody needs. They themselves are in it.
    pub(crate) fn goes_with(&self, leaving: &BTreeSet<usize>) -> BTreeSet<usize> {
        // That a start loads something does not say for whom.
        let mut others = self.imported_by_user();
        others.extend(
            self.facts.distributions.iter().enumerate().filter_map(|(index, found)| {
                (found.is_plugin || found.mentioned_at.is_some()).then_some(index)
            }),
        );
        others.extend((0..self.needs.len()).filter(|index| self.needed_by(*index).is_empty()));
        let stays = self.reach(others, leaving);
        self.reach(leaving.iter().copied(), &BTreeSet::new()).difference(&stays).copied().collect()
    }

    /// Bytes of distributions, unzipped and zipped.
    pub(crate) fn bytes(&self, of: &BTreeSet<usize>) -> (u64, Option<u64>) {
        let all = || of.iter().map(|index| &self.facts.distributions[*index]);
        (all().map(|found| found.bytes).sum(), all().map(|found| found.zip_bytes).sum())
    }
}
