//! Which import led to which, and which line or statement of the user's own code asked for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Import, Statement, Trace};
use crate::records::{Phase, Status};

/// Python's name of the thread that loads the handler's module.
pub const MAIN_THREAD: &str = "MainThread";

/// What in the user's own code made an import happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The entry of [`Trace::lines`] with this index.
    Line(usize),
    /// The entry of [`Trace::statements`] with this index: it ran code that imports, as unpickling a model does.
    Statement(usize),
}

/// The imports of a trace as a forest; indices are those of [`Trace::imports`].
#[derive(Debug, Clone)]
pub struct ImportTree<'a> {
    trace: &'a Trace,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    askers: Vec<Option<Asker>>,
    users: Vec<BTreeSet<&'a str>>,
}

impl<'a> ImportTree<'a> {
    /// Reads the relations off a trace.
    pub fn new(trace: &'a Trace) -> Self {
        let parents = parents(&trace.imports);
        let mut children = vec![Vec::new(); parents.len()];
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(index);
            }
        }
        let count = trace.imports.len();
        let mut tree =
            Self { trace, parents, children, askers: vec![None; count], users: vec![BTreeSet::new(); count] };
        tree.find_askers();
        tree.find_users();
        tree
    }

    /// The import that led to this one.
    pub fn parent(&self, index: usize) -> Option<usize> {
        self.parents[index]
    }

    /// The imports that this one led to, in the order in which they began.
    pub fn children(&self, index: usize) -> &[usize] {
        &self.children[index]
    }

    /// The import and all below it.
    pub fn subtree(&self, index: usize) -> Vec<usize> {
        let mut found = vec![index];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            found.extend(&self.children[at]);
            next += 1;
        }
        found
    }

    /// What in the user's own code asked for it or for what led to it; `None` for the user's own modules.
    pub fn asker(&self, index: usize) -> Option<Asker> {
        self.askers[index]
    }

    /// The imports that a line or a statement made happen.
    pub fn asked_by(&self, asker: Asker) -> Vec<usize> {
        (0..self.askers.len()).filter(|index| self.askers[*index] == Some(asker)).collect()
    }

    /// Events that used the module, or one below it that belongs to it: what a library shares with others, Python's
    /// own modules above all, is no use of that library.
    pub fn used_by(&self, index: usize) -> &BTreeSet<&'a str> {
        &self.users[index]
    }

    /// Imports of init that no event used, in the sense of [`Self::used_by`]; only the topmost of each subtree.
    pub fn unused(&self) -> Vec<usize> {
        let above_is_too = |index: &usize| self.parents[*index].is_some_and(|above| self.is_unused(above));
        (0..self.parents.len()).filter(|index| self.is_unused(*index) && !above_is_too(index)).collect()
    }

    /// The import and all below that no event used either: what would not be loaded without it.
    pub fn unused_below(&self, index: usize) -> Vec<usize> {
        let mut found = vec![index];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            found.extend(self.children[at].iter().copied().filter(|child| self.is_unused(*child)));
            next += 1;
        }
        found
    }

    fn is_unused(&self, index: usize) -> bool {
        let import = &self.trace.imports[index];
        let counts = import.phase == Phase::Init && !import.runtime_provided && import.status == Status::Ok;
        counts && self.users[index].is_empty()
    }

    /// Events that used anything that a line or statement made happen: its modules, or others of the same
    /// distributions.
    pub fn users(&self, indices: &[usize]) -> BTreeSet<&'a str> {
        let imports = &self.trace.imports;
        let distributions: BTreeSet<&str> =
            indices.iter().filter_map(|index| imports[*index].distribution.as_deref()).collect();
        let others = self.trace.distributions.iter().filter(|d| distributions.contains(d.name.as_str()));
        let by_distribution = others.flat_map(|distribution| &distribution.used_by);
        let own = indices.iter().flat_map(|index| &imports[*index].used_by);
        own.chain(by_distribution).map(String::as_str).collect()
    }

    fn find_askers(&mut self) {
        let trace = self.trace;
        let mut lines: BTreeMap<(&str, Phase, Option<&str>), usize> = BTreeMap::new();
        for (index, line) in trace.lines.iter().enumerate() {
            lines.entry((&line.place, line.phase, line.event.as_deref())).or_insert(index);
        }
        let mut pending: Vec<usize> =
            (0..trace.imports.len()).rev().filter(|index| self.parents[*index].is_none()).collect();
        while let Some(index) = pending.pop() {
            let import = &trace.imports[index];
            let inherited = self.parents[index].and_then(|above| self.askers[above]);
            let line = || lines.get(&(&*import.importer, import.phase, import.event.as_deref())).copied();
            self.askers[index] = if import.runtime_provided || is_own(import) {
                None
            } else {
                inherited
                    .or_else(|| line().map(Asker::Line))
                    .or_else(|| self.statement_around(index).map(Asker::Statement))
            };
            pending.extend(self.children[index].iter().rev());
        }
    }

    fn find_users(&mut self) {
        for (index, import) in
            self.trace.imports.iter().enumerate().filter(|(_, import)| !import.used_by.is_empty())
        {
            let mut at = Some(index);
            while let Some(above) = at {
                let leads = &self.trace.imports[above];
                if is_own(leads) || owner(leads) == owner(import) {
                    self.users[above].extend(import.used_by.iter().map(String::as_str));
                }
                at = self.parents[above];
            }
        }
    }

    /// The statement of the importing module that ran when this import began.
    fn statement_around(&self, index: usize) -> Option<usize> {
        let import = &self.trace.imports[index];
        let above = &self.trace.imports[self.parents[index]?];
        let file = above.file.as_deref()?.as_str();
        let before = self.trace.statements.iter().enumerate().filter(|(_, statement)| {
            let when = (statement.phase, statement.event.as_deref());
            when == (import.phase, import.event.as_deref())
                && place_of(statement).0 == file
                && statement.start_ms <= import.start_ms
        });
        before.max_by(|(_, a), (_, b)| a.start_ms.total_cmp(&b.start_ms)).map(|(index, _)| index)
    }
}

/// Whether a module is the user's own: in the tree, in no distribution.
pub(crate) fn is_own(import: &Import) -> bool {
    import.distribution.is_none() && import.file.as_deref().is_some_and(camino::Utf8Path::is_relative)
}

/// What a module belongs to: its distribution, else its top-level package.
fn owner(import: &Import) -> &str {
    import.distribution.as_deref().unwrap_or_else(|| import.module.split('.').next().unwrap_or_default())
}

/// File and line of a statement.
pub(crate) fn place_of(statement: &Statement) -> (&str, u32) {
    split_place(&statement.place)
}

/// `app.py:8` as its two parts; line 0 where there is none.
pub(crate) fn split_place(place: &str) -> (&str, u32) {
    let parts = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    parts.unwrap_or((place, 0))
}

/// Index of each import's parent: the last of that name that began before, in the same process and thread. Nobody
/// walks in circles, whoever made the document.
pub(crate) fn parents(imports: &[Import]) -> Vec<Option<usize>> {
    let key = |import: &'_ Import, module: &str| {
        (import.phase, import.event.clone(), import.thread.clone(), module.to_owned())
    };
    let mut all: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, import) in imports.iter().enumerate().filter(|(_, i)| i.status != Status::Cached) {
        all.entry(key(import, &import.module)).or_default().push(index);
    }
    let mut found: Vec<Option<usize>> = Vec::with_capacity(imports.len());
    for (index, import) in imports.iter().enumerate() {
        let same = import.parent.as_deref().and_then(|parent| all.get(&key(import, parent)));
        let before = same.and_then(|same| same.iter().rev().find(|at| **at < index));
        found.push(before.or_else(|| same?.iter().find(|at| **at != index)).copied());
    }
    break_cycles(&mut found);
    found
}

/// A document made by others may hold a module that leads to itself; nobody shall walk in circles.
fn break_cycles(parents: &mut [Option<usize>]) {
    let mut known_good = vec![false; parents.len()];
    for start in 0..parents.len() {
        let mut path = Vec::new();
        let mut on_path = BTreeSet::new();
        let mut at = start;
        while !known_good[at] {
            path.push(at);
            on_path.insert(at);
            match parents[at] {
                Some(above) if on_path.contains(&above) => parents[at] = None,
                Some(above) => at = above,
                None => break,
            }
        }
        for index in path {
            known_good[index] = true;
        }
    }
}
