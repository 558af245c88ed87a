//! Imports whose modules would find other surroundings later than now: other environment variables, another working
//! folder, another time.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{Binding, Change, Changed, Import, ModuleAnalysis, Source};

use crate::rules::{Refusal, Rule, refused};

/// Which modules look at their surroundings while they load, or load one that does.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    changes: Vec<Concerned<'a>>,
    /// Module → why what it makes while it loads depends on when that is.
    timed: BTreeMap<&'a str, String>,
}

/// A change of the surroundings by the user's own code, and whom it concerns.
#[derive(Debug)]
struct Concerned<'a> {
    module: &'a ModuleAnalysis,
    change: &'a Change,
    /// Module → the one behind it that reads what is changed.
    readers: BTreeMap<&'a str, &'a str>,
}

impl<'a> Surroundings<'a> {
    pub(crate) fn new(analyses: &'a BTreeMap<String, ModuleAnalysis>, user: &BTreeSet<String>) -> Self {
        let own = || analyses.values().filter(|analysis| user.contains(&analysis.name));
        let timed: Vec<(&str, String)> = own().filter_map(|a| Some((a.name.as_str(), timed(a)?))).collect();
        let changes: Vec<(&ModuleAnalysis, &Change)> =
            own().flat_map(|module| module.changes.iter().map(move |change| (module, change))).collect();
        if timed.is_empty() && changes.is_empty() {
            return Self::default();
        }
        let importers = importers(analyses);
        let concerned = |(module, change): (&'a ModuleAnalysis, &'a Change)| {
            let reads = analyses.values().filter(|a| reads(a, &change.what, user.contains(&a.name)));
            let seeds = reads.map(|analysis| (analysis.name.as_str(), analysis.name.as_str())).collect();
            Concerned { module, change, readers: spread(seeds, &importers) }
        };
        Self { changes: changes.into_iter().map(concerned).collect(), timed: spread(timed, &importers) }
    }

    /// Where the user's own code changes the environment variables when, or after, line `line` of a module has run.
    /// `is_user` tells the user's own modules.
    pub(crate) fn environment_written_after(
        &self,
        analysis: &ModuleAnalysis,
        line: u32,
        is_user: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, u32)> {
        let variables = self.changes.iter().filter(|c| matches!(c.change.what, Changed::Variable(_)));
        let mut later = variables.filter(|change| change.may_follow(analysis, line, &is_user));
        later.next().map(|change| (change.module.path.as_str(), change.change.line))
    }

    /// Why a module that the binding loads could find something else at its first use.
    pub(crate) fn judge(
        &self,
        analysis: &ModuleAnalysis,
        binding: &Binding,
        is_user: impl Fn(&str) -> bool,
    ) -> Option<Refusal> {
        if self.changes.is_empty() {
            return None;
        }
        let line = binding.statements.last().map_or(0, |statement| statement.end_line);
        let targets = targets(binding);
        self.changes.iter().find_map(|change| {
            let reader = targets.iter().find_map(|target| change.readers.get(target.as_str()))?;
            if !change.may_follow(analysis, line, &is_user) {
                return None;
            }
            let what = match &change.change.what {
                Changed::Variable(Some(name)) => format!("the environment variable `{name}`"),
                Changed::Variable(None) => "environment variables".to_owned(),
                Changed::Folder => "the working folder".to_owned(),
            };
            let place = format!("{}:{}", change.module.path, change.change.line);
            refused(Rule::EnvironmentChanges, format!("`{reader}` may read {what}, which {place} changes"))
        })
    }

    /// Why what the binding loads depends on when it does.
    pub(crate) fn unproved(&self, binding: &Binding) -> Option<String> {
        if self.timed.is_empty() {
            return None;
        }
        targets(binding).iter().find_map(|target| self.timed.get(target.as_str()).cloned())
    }
}

impl Concerned<'_> {
    /// Whether the change may happen when, or after, line `line` of a module has run. What stands before it in the
    /// same module has happened, and so has what a module does before it imports any other of the user's own.
    fn may_follow(&self, analysis: &ModuleAnalysis, line: u32, is_user: impl Fn(&str) -> bool) -> bool {
        let at = self.change.line;
        let imports_own = || {
            let before = self.module.imports.iter().filter(|import| import.line < at);
            before.flat_map(names_of).any(|module| is_user(&module))
        };
        self.change.in_function || if self.module.name == analysis.name { at > line } else { imports_own() }
    }
}

/// Whether loading a module reads what is changed, as far as its text says. A function of the user's own may be called
/// by a module that loads.
fn reads(analysis: &ModuleAnalysis, changed: &Changed, own: bool) -> bool {
    match changed {
        Changed::Variable(name) => {
            let named = |read: &Option<String>| read.is_none() || name.is_none() || read == name;
            (own || analysis.reads.contains(&Source::Environment))
                && analysis.environment_reads.iter().any(named)
        }
        Changed::Folder => own && analysis.reads.contains(&Source::Files),
    }
}

/// Why what a module's body makes depends on when it runs.
fn timed(analysis: &ModuleAnalysis) -> Option<String> {
    let what = if analysis.reads.contains(&Source::Clock) {
        "the time"
    } else if analysis.reads.contains(&Source::Random) {
        "random numbers"
    } else {
        return None;
    };
    Some(format!("what `{}` makes while it loads depends on {what}", analysis.name))
}

/// The modules that importing the binding loads by name, packages around them included.
fn targets(binding: &Binding) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for statement in &binding.statements {
        with_packages(&statement.module, &mut all);
        all.extend(statement.attribute.as_ref().map(|name| format!("{}.{name}", statement.module)));
    }
    all
}

fn with_packages(module: &str, all: &mut BTreeSet<String>) {
    all.insert(module.to_owned());
    all.extend(module.match_indices('.').map(|(at, _)| module[..at].to_owned()));
}

/// The modules that an import may load.
fn names_of(import: &Import) -> impl Iterator<Item = String> + '_ {
    let inner = import.names.iter().map(|name| format!("{}.{name}", import.module));
    std::iter::once(import.module.clone()).chain(inner)
}

/// Module → modules whose bodies import it.
fn importers(analyses: &BTreeMap<String, ModuleAnalysis>) -> BTreeMap<String, Vec<&str>> {
    let mut importers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for analysis in analyses.values() {
        let mut imported = BTreeSet::new();
        for import in analysis.imports.iter().filter(|import| !import.in_function && !import.typing_only) {
            with_packages(&import.module, &mut imported);
            imported.extend(names_of(import));
        }
        for module in imported.into_iter().filter(|module| analyses.contains_key(module)) {
            importers.entry(module).or_default().push(&analysis.name);
        }
    }
    importers
}

/// What holds for the seeds holds for all that import them, directly or not.
fn spread<'a, V: Clone>(
    seeds: Vec<(&'a str, V)>,
    importers: &BTreeMap<String, Vec<&'a str>>,
) -> BTreeMap<&'a str, V> {
    let mut all = BTreeMap::new();
    let mut queue = seeds;
    while let Some((module, value)) = queue.pop() {
        if all.contains_key(module) {
            continue;
        }
        queue.extend(importers.get(module).into_iter().flatten().map(|importer| (*importer, value.clone())));
        all.insert(module, value);
    }
    all
}
