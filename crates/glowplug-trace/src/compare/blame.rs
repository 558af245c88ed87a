//! Which change of the function accounts for how much of the change of init.
//!
//! Every module's change of own time goes to exactly one cause (its compiling may go to another), so that the parts
//! add up.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Import, Trace};
use crate::records::{Bytecode, Phase};
use crate::tree::{ImportTree, is_own, split_place};

use super::parts::loaded;
use super::ratio::Noise;
use super::{Blame, Cause, StatementChange};

/// The causes, the largest first; those that measuring alone may explain are left out.
pub(super) fn blame(old: &Trace, new: &Trace, noise: Noise) -> Vec<Blame> {
    let mut book =
        Book { old: Side::new(old), new: Side::new(new), accounts: BTreeMap::new(), told: BTreeMap::new() };
    for change in super::parts::statements(old, new, noise) {
        book.enter_statement(change);
    }
    let modules: BTreeSet<&str> = book.old.init.keys().chain(book.new.init.keys()).copied().collect();
    for module in modules {
        book.enter(module);
    }
    let telling = |sums: &Sums| noise.is_exceeded(Some(sums.old_ms), Some(sums.new_ms));
    let mut all: Vec<Blame> = book
        .accounts
        .iter()
        .filter(|(_, sums)| telling(sums))
        .map(|(account, sums)| Blame {
            cause: account.cause,
            subject: account.subject.clone(),
            place: account.place.clone(),
            versions: book.versions(account),
            change_ms: sums.new_ms - sums.old_ms,
            modules: sums.modules,
        })
        .collect();
    all.sort_by(|a, b| {
        b.change_ms.abs().total_cmp(&a.change_ms.abs()).then_with(|| a.subject.cmp(&b.subject))
    });
    all
}

/// One trace, by what blame looks for.
struct Side<'a> {
    trace: &'a Trace,
    tree: ImportTree<'a>,
    /// Modules of init.
    init: BTreeMap<&'a str, usize>,
    /// Modules that the first invoke of any event imports.
    invoke: BTreeSet<&'a str>,
    versions: BTreeMap<&'a str, &'a str>,
}

impl<'a> Side<'a> {
    fn new(trace: &'a Trace) -> Self {
        let loaded = loaded(trace);
        let of = |phase: Phase| loaded.iter().filter(move |((found, ..), _)| *found == phase);
        Self {
            trace,
            tree: ImportTree::new(trace),
            init: of(Phase::Init).map(|((_, _, module), index)| (*module, *index)).collect(),
            invoke: of(Phase::FirstInvoke).map(|((_, _, module), _)| *module).collect(),
            versions: trace.distributions.iter().map(|d| (d.name.as_str(), d.version.as_str())).collect(),
        }
    }

    fn import(&self, module: &str) -> Option<&'a Import> {
        self.init.get(module).map(|index| &self.trace.imports[*index])
    }

    /// Whether a module in this file is one of init's.
    fn loads(&self, file: &str) -> bool {
        self.init
            .values()
            .any(|index| self.trace.imports[*index].file.as_deref().is_some_and(|path| path == file))
    }

    /// The import that brought in one that `other` does not have, and what led to it: up to a module that both have,
    /// or to the user's own code.
    fn origin(&self, module: &str, other: &Self) -> Option<(&'a Import, Option<&'a Import>)> {
        let mut at = *self.init.get(module)?;
        loop {
            let above = self.tree.parent(at).map(|parent| (parent, &self.trace.imports[parent]));
            match above {
                Some((parent, import))
                    if !is_own(import) && !other.init.contains_key(import.module.as_str()) =>
                {
                    at = parent;
                }
                _ => return Some((&self.trace.imports[at], above.map(|(_, import)| import))),
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Account {
    cause: Cause,
    subject: String,
    place: Option<String>,
}

impl Account {
    fn of(cause: Cause, subject: &str) -> Self {
        Self { cause, subject: subject.to_owned(), place: None }
    }

    fn at(cause: Cause, import: &Import) -> Self {
        let place = Some(import.importer.clone()).filter(|place| !place.is_empty());
        Self { cause, subject: import.module.clone(), place }
    }
}

#[derive(Debug, Default)]
struct Sums {
    old_ms: f64,
    new_ms: f64,
    modules: usize,
}

/// What is entered under which account.
struct Book<'a> {
    old: Side<'a>,
    new: Side<'a>,
    accounts: BTreeMap<Account, Sums>,
    /// What statements of each file have taken, before and now.
    told: BTreeMap<String, (f64, f64)>,
}

impl Book<'_> {
    /// A statement of a module of init; it is taken out of what that module costs.
    fn enter_statement(&mut self, change: StatementChange) {
        let file = split_place(&change.place).0.to_owned();
        let sums = |side: &Side<'_>, ms: Option<f64>| if side.loads(&file) { ms.unwrap_or(0.0) } else { 0.0 };
        let (old_ms, new_ms) = (sums(&self.old, change.old_ms), sums(&self.new, change.new_ms));
        let told = self.told.entry(file).or_default();
        *told = (told.0 + old_ms, told.1 + new_ms);
        self.add(
            Account { cause: Cause::Own, subject: change.text, place: Some(change.place) },
            old_ms,
            new_ms,
        );
    }

    fn enter(&mut self, module: &str) {
        let told = |import: &Import| {
            let told = import.file.as_ref().and_then(|file| self.told.get(file.as_str()));
            told.copied().filter(|_| is_own(import)).unwrap_or_default()
        };
        match (self.old.import(module), self.new.import(module)) {
            (Some(old), Some(new)) => {
                let (was, is) = (is_compiled(old), is_compiled(new));
                let apart = |import: &Import| if was == is { 0.0 } else { import.compile_ms.unwrap_or(0.0) };
                let (old_ms, new_ms) = (old.self_ms - told(old).0, new.self_ms - told(new).1);
                if was != is {
                    self.add(Account::of(Cause::Bytecode, "bytecode"), apart(old), apart(new));
                }
                let account = self.changed(new);
                self.add(account, old_ms - apart(old), new_ms - apart(new));
            }
            (Some(old), None) => {
                let old_ms = old.self_ms - told(old).0;
                let account =
                    self.only_in(module, old, &self.old, &self.new, [Cause::Deferred, Cause::Removed]);
                self.add(account, old_ms, 0.0);
            }
            (None, Some(new)) => {
                let new_ms = new.self_ms - told(new).1;
                let account =
                    self.only_in(module, new, &self.new, &self.old, [Cause::Advanced, Cause::Added]);
                self.add(account, 0.0, new_ms);
            }
            (None, None) => {}
        }
    }

    fn add(&mut self, account: Account, old_ms: f64, new_ms: f64) {
        let sums = self.accounts.entry(account).or_default();
        sums.old_ms += old_ms;
        sums.new_ms += new_ms;
        sums.modules += 1;
    }

    /// The account of a module that both have.
    fn changed(&self, import: &Import) -> Account {
        if is_own(import) {
            Account::of(Cause::Own, &import.module)
        } else if let Some(name) = self.bumped(import) {
            Account::of(Cause::Version, name)
        } else if self.other_python() {
            Account::of(Cause::Python, "Python")
        } else {
            Account::of(Cause::Same, "unchanged modules")
        }
    }

    /// The account of a module that `here` has at init and `there` does not.
    fn only_in(
        &self,
        module: &str,
        import: &Import,
        here: &Side<'_>,
        there: &Side<'_>,
        [moved, otherwise]: [Cause; 2],
    ) -> Account {
        if is_own(import) {
            return Account::of(Cause::Own, module);
        }
        let Some((origin, above)) = here.origin(module, there) else { return self.changed(import) };
        let by_own_code = above.is_none_or(is_own);
        if !by_own_code {
            let bumped = above.and_then(|above| self.bumped(above)).or_else(|| self.bumped(origin));
            if let Some(name) = bumped {
                return Account::of(Cause::Version, name);
            }
            if self.other_python() && above.is_some_and(|above| above.distribution.is_none()) {
                return Account::of(Cause::Python, "Python");
            }
        }
        let cause = if there.invoke.contains(origin.module.as_str()) { moved } else { otherwise };
        Account::at(cause, origin)
    }

    /// The module's distribution, where its version has changed.
    fn bumped<'i>(&self, import: &'i Import) -> Option<&'i str> {
        let name = import.distribution.as_deref()?;
        let (old, new) = (self.old.versions.get(name)?, self.new.versions.get(name)?);
        (old != new).then_some(name)
    }

    fn other_python(&self) -> bool {
        self.old.trace.environment.python != self.new.trace.environment.python
    }

    fn versions(&self, account: &Account) -> Option<(String, String)> {
        let version = |side: &Side<'_>| match account.cause {
            Cause::Version => {
                side.versions.get(account.subject.as_str()).map(|version| (*version).to_owned())
            }
            Cause::Python => Some(side.trace.environment.python.to_string()),
            _ => None,
        };
        version(&self.old).zip(version(&self.new))
    }
}

/// Whether its source is compiled at every start.
fn is_compiled(import: &Import) -> bool {
    matches!(import.bytecode, Bytecode::Missing | Bytecode::Stale)
}
