//! Imports whose modules would find other surroundings later than now, other environment variables, another working
//! folder, another time; and imports of the user's own modules that act on others while they load.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{
    Binding, Change, Changed, Effect, EffectKind, Hang, Import, ModuleAnalysis, Source, Use, UseKind,
};

use crate::rules::{Refusal, Rule, refused};

/// Which modules look at their surroundings while they load, or load one that does.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    changes: Vec<Concerned<'a>>,
    /// Module → why only a replay can show that it may load later.
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
        let listed = own().any(|analysis| analysis.lists_subclasses);
        let is_own = |path: &str| path.rsplit_once('.').is_some_and(|(top, _)| within(user, top));
        let timed: Vec<(&str, String)> =
            own().filter_map(|a| Some((a.name.as_str(), timed(a, &is_own, listed)?))).collect();
        let changes: Vec<(&ModuleAnalysis, &Change)> =
            own().flat_map(|module| module.changes.iter().map(move |change| (module, change))).collect();
        if timed.is_empty() && changes.is_empty() {
            return Self::default();
        }
        let importers = importers(analyses);
        let concerned = |(module, change): (&'a ModuleAnalysis, &'a Change)| {
            let asks = |a: &ModuleAnalysis| match &change.what {
                Changed::Variable(name) => {
                    let mut called = a.hangs.iter().filter_map(|hang| called(hang, analyses));
                    called.any(|called| asks_for(&called.environment_reads, name.as_ref()))
                }
                _ => false,
            };
            let reads = analyses
                .values()
                .filter(|a| reads(a, &change.what, &module.name, user.contains(&a.name)) || asks(a));
            let concerns = |a: &&ModuleAnalysis| {
                !(matches!(change.what, Changed::State { .. }) && a.name == module.name)
            };
            let seeds = reads
                .filter(concerns)
                .map(|analysis| (analysis.name.as_str(), analysis.name.as_str()))
                .collect();
            Concerned { module, change, readers: spread(seeds, &importers) }
        };
        Self { changes: changes.into_iter().map(concerned).collect(), timed: spread(timed, &importers) }
    }

    /// Where the user's own code changes the context of decimal numbers when, or after, line `line` of a module has run.
    pub(crate) fn decimals_changed_after(
        &self,
        analysis: &ModuleAnalysis,
        line: u32,
        is_user: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, u32)> {
        let mut changes = self.changes.iter().filter(|change| change.change.what == Changed::Decimal);
        let later = changes.find(|change| change.may_follow(analysis, line, &is_user));
        later.map(|change| (change.module.path.as_str(), change.change.line))
    }

    /// Where the user's own code changes the environment variables, or the working folder for one that reads `files`, when, or
    /// after, line `line` of a module has run.
    /// `is_user` tells the user's own modules.
    pub(crate) fn environment_written_after(
        &self,
        analysis: &ModuleAnalysis,
        (line, files): (u32, bool),
        is_user: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, u32)> {
        let changes = self.changes.iter().filter(|c| match c.change.what {
            Changed::Variable(_) => true,
            Changed::Folder => files,
            _ => false,
        });
        let mut later = changes.filter(|change| change.may_follow(analysis, line, &is_user));
        later.next().map(|change| (change.module.path.as_str(), change.change.line))
    }

    /// Where the user's own code changes something imported when, or after, line `line` of a module has run, and `is_it`
    /// knows its dotted path.
    pub(crate) fn thing_changed_after(
        &self,
        analysis: &ModuleAnalysis,
        line: u32,
        is_user: impl Fn(&str) -> bool,
        is_it: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, &'a str, u32)> {
        self.changes.iter().find_map(|change| match &change.change.what {
            Changed::Thing { path, .. } if is_it(path) && change.may_follow(analysis, line, &is_user) => {
                Some((path.as_str(), change.module.path.as_str(), change.change.line))
            }
            _ => None,
        })
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
        if let Some(refusal) = self.judge_itself(analysis, binding) {
            return Some(refusal);
        }
        let changes = |changed: &Changed| *changed != Changed::Warnings;
        self.read(analysis, binding, is_user, changes)
            .and_then(|detail| refused(Rule::EnvironmentChanges, detail))
    }

    /// Why a module that the binding loads must not warn while it does: another filter may be there at its first use.
    pub(crate) fn may_warn(
        &self,
        analysis: &ModuleAnalysis,
        binding: &Binding,
        is_user: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.read(analysis, binding, is_user, |changed| *changed == Changed::Warnings)
    }

    /// What of the changes that are meant a module that the binding loads may read, and where it changes.
    fn read(
        &self,
        analysis: &ModuleAnalysis,
        binding: &Binding,
        is_user: impl Fn(&str) -> bool,
        is_meant: impl Fn(&Changed) -> bool,
    ) -> Option<String> {
        let line = binding.statements.last().map_or(0, |statement| statement.end_line);
        let targets = targets(binding);
        self.changes.iter().filter(|change| is_meant(&change.change.what)).find_map(|change| {
            let reader = targets.iter().find_map(|target| change.readers.get(target.as_str()))?;
            if !change.may_follow(analysis, line, &is_user) {
                return None;
            }
            let what = match &change.change.what {
                Changed::Variable(Some(name)) => format!("the environment variable `{name}`"),
                Changed::Variable(None) => "environment variables".to_owned(),
                Changed::Folder => "the working folder".to_owned(),
                Changed::Thing { path, .. } => format!("`{path}`"),
                Changed::Decimal => "the context of decimal numbers".to_owned(),
                Changed::Seed => "random numbers".to_owned(),
                Changed::Warnings => "what becomes of warnings".to_owned(),
                Changed::Loggers => "which loggers there are".to_owned(),
                Changed::SearchPath => "`sys.path`".to_owned(),
                Changed::Modules(_) => "`sys.modules`".to_owned(),
                Changed::Depth => "how deep calls may go".to_owned(),
                Changed::State { name, .. } => format!("`{}.{name}`", change.module.name),
            };
            let place = format!("{}:{}", change.module.path, change.change.line);
            Some(format!("`{reader}` may read {what}, which {place} changes"))
        })
    }

    /// Why the import itself could give something else, or fail, at its first use.
    fn judge_itself(&self, analysis: &ModuleAnalysis, binding: &Binding) -> Option<Refusal> {
        self.changes.iter().find_map(|change| {
            let place = format!("{}:{}", change.module.path, change.change.line);
            let detail = match &change.change.what {
                _ if !change.change.in_function => return None,
                Changed::SearchPath => {
                    format!("another module may be found later: {place} changes `sys.path`")
                }
                Changed::Modules(name) if loads(binding, name.as_deref()) => {
                    format!("another module may be there later: {place} changes `sys.modules`")
                }
                Changed::Depth if change.module.name == analysis.name => {
                    format!("calls may be too deep for an import then, {place}")
                }
                Changed::Thing { path, rebound: true } if takes(binding, path) => {
                    return refused(Rule::Unsettled, format!("{place} replaces `{path}`"));
                }
                _ => return None,
            };
            refused(Rule::EnvironmentChanges, detail)
        })
    }

    /// Why only a replay can show that the binding may load later.
    pub(crate) fn unproved(&self, binding: &Binding) -> Option<String> {
        if self.timed.is_empty() {
            return None;
        }
        targets(binding).iter().find_map(|target| self.timed.get(target.as_str()).cloned())
    }
}

impl Concerned<'_> {
    /// Whether the change may happen when, or after, line `line` of a module has run. What stands before it in the
    /// same module has happened, and so has what a module does before it imports any other of the user's own, or for a
    /// library what it does before it imports any that reads what is changed.
    fn may_follow(&self, analysis: &ModuleAnalysis, line: u32, is_user: impl Fn(&str) -> bool) -> bool {
        let at = self.change.line;
        let imports_own = || {
            let before = self.module.imports.iter().filter(|import| import.line < at);
            let is_reader = |module: &str| !is_user(&analysis.name) && self.readers.contains_key(module);
            before.flat_map(names_of).any(|module| is_user(&module) || is_reader(&module))
        };
        // Whoever draws a number first takes the others' from them.
        let ordered = matches!(self.change.what, Changed::Seed);
        self.change.in_function
            || ordered
            || if self.module.name == analysis.name { at > line } else { imports_own() }
    }
}

/// Whether loading a module reads what is changed, as far as its text says. A function of the user's own may be called
/// by a module that loads.
/// `module` is the one that makes the change.
fn reads(analysis: &ModuleAnalysis, changed: &Changed, module: &str, own: bool) -> bool {
    match changed {
        Changed::Variable(name) => {
            let of_body = analysis.reads.contains(&Source::Environment)
                && asks_for(&analysis.body_environment_reads, name.as_ref());
            of_body || (own && asks_for(&analysis.environment_reads, name.as_ref()))
        }
        Changed::Folder => analysis.reads.contains(&Source::Files),
        Changed::Thing { path, rebound } => (own || *rebound) && reads_thing(analysis, path, *rebound),
        Changed::Seed => analysis.reads.contains(&Source::Random),
        Changed::Decimal if own => analysis.imports.iter().any(|import| import.module == "decimal"),
        Changed::Decimal => uses_at_once(analysis, "decimal"),
        Changed::Warnings => analysis.warns || imports_warning(analysis),
        Changed::Loggers => imports_at_once(analysis, |module| module == "logging"),
        Changed::Modules(Some(name)) => imports_at_once(analysis, |module| module == name),
        Changed::State { name, by, rebound } => own && reads_state(analysis, module, (name, by), *rebound),
        Changed::SearchPath | Changed::Modules(None) | Changed::Depth => false,
    }
}

/// Modules of the standard library that warn when they are loaded: they are to be removed.
const WARNING: [&str; 25] = [
    "aifc",
    "asynchat",
    "asyncore",
    "audioop",
    "cgi",
    "cgitb",
    "chunk",
    "crypt",
    "distutils",
    "imghdr",
    "imp",
    "lib2to3",
    "mailcap",
    "msilib",
    "nis",
    "nntplib",
    "ossaudiodev",
    "pipes",
    "smtpd",
    "sndhdr",
    "spwd",
    "sunau",
    "telnetlib",
    "uu",
    "xdrlib",
];

fn imports_warning(analysis: &ModuleAnalysis) -> bool {
    imports_at_once(analysis, |module| WARNING.contains(&module.split('.').next().unwrap_or(module)))
}

/// Whether loading a module may import one that `is_it` knows.
fn imports_at_once(analysis: &ModuleAnalysis, is_it: impl Fn(&str) -> bool) -> bool {
    let mut at_once = analysis.imports.iter().filter(|import| !import.in_function && !import.typing_only);
    at_once.any(|import| names_of(import).any(|module| is_it(&module)))
}

/// Whether a body does something with what it imports from a module.
fn uses_at_once(analysis: &ModuleAnalysis, module: &str) -> bool {
    let at_once = |used: &Use| matches!(used.kind, UseKind::AtImport | UseKind::Global);
    let of_module =
        |binding: &&Binding| binding.statements.iter().any(|statement| statement.module == module);
    analysis.bindings.iter().filter(of_module).any(|binding| binding.uses.iter().any(at_once))
}

/// Whether a binding imports a module, or something in it; `None` stands for any.
fn loads(binding: &Binding, module: Option<&str>) -> bool {
    module.is_none_or(|module| targets(binding).contains(module))
}

/// Whether a binding takes what has this dotted path, or something in it, from where it is.
fn takes(binding: &Binding, path: &str) -> bool {
    binding.statements.iter().any(|statement| {
        statement
            .attribute
            .as_ref()
            .is_some_and(|name| is_within(&format!("{}.{name}", statement.module), path))
    })
}

/// Whether a body takes, uses or has changed by a call what functions of `module` change: `name`, in `by`.
fn reads_state(analysis: &ModuleAnalysis, module: &str, (name, by): (&str, &str), rebound: bool) -> bool {
    let path = format!("{module}.{name}");
    let asks = reads_thing(analysis, &path, rebound)
        && (takes_any(analysis, &path) || analysis.attribute_paths.iter().any(|read| is_within(read, &path)));
    let function = format!("{module}.{by}");
    let called = |hang: &Hang| matches!(hang, Hang::Call(path, _) if is_within(path, &function));
    let calls = || analysis.hangs.iter().any(called);
    asks || calls()
}

fn takes_any(analysis: &ModuleAnalysis, path: &str) -> bool {
    analysis.bindings.iter().any(|binding| takes(binding, path))
}

/// The module whose function or class a body calls.
fn called<'a>(hang: &Hang, analyses: &'a BTreeMap<String, ModuleAnalysis>) -> Option<&'a ModuleAnalysis> {
    let Hang::Call(path, _) = hang else { return None };
    path.rmatch_indices('.').find_map(|(at, _)| analyses.get(&path[..at]))
}

/// Whether an environment variable is among those that are read; `None` stands for any.
fn asks_for(read: &BTreeSet<Option<String>>, name: Option<&String>) -> bool {
    read.iter().any(|read| read.is_none() || name.is_none() || read.as_ref() == name)
}

/// Whether one dotted path is the other, or leads to it.
pub(crate) fn meet(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a body takes something that is bound again, or uses what is changed.
fn reads_thing(analysis: &ModuleAnalysis, path: &str, rebound: bool) -> bool {
    analysis.bindings.iter().any(|binding| {
        let used = binding.uses.iter().any(|used| matches!(used.kind, UseKind::AtImport | UseKind::Global));
        binding.statements.iter().any(|statement| {
            let taken = match &statement.attribute {
                Some(name) => format!("{}.{name}", statement.module),
                None => statement.module.clone(),
            };
            (rebound && is_within(&taken, path)) || (used && meet(path, &taken))
        })
    })
}

/// Why only a replay can show that a module of the user's own may load later: what its body makes depends on the time, or
/// it acts on others. `own` tells the user's own paths, `listed` whether somebody asks for derived classes.
fn timed(analysis: &ModuleAnalysis, own: &dyn Fn(&str) -> bool, listed: bool) -> Option<String> {
    if analysis.reads.contains(&Source::Clock) {
        return Some(format!("what `{}` makes while it loads depends on the time", analysis.name));
    }
    if analysis.temporary && analysis.reads.contains(&Source::Files) {
        return Some(format!("`{}` looks for temporary files while it loads", analysis.name));
    }
    if listed && analysis.hangs.iter().any(|hang| matches!(hang, Hang::Derive(_))) {
        return Some(format!(
            "`{}` derives a class, and the function asks for derived classes",
            analysis.name
        ));
    }
    let effect = analysis.effects.iter().find(|effect| acts_on_others(effect, own, listed))?;
    Some(format!("`{}` acts on others while it loads: line {}: {}", analysis.name, effect.line, effect.what))
}

/// Whether an effect is there for its own sake, or makes something known to the user's own modules.
fn acts_on_others(effect: &Effect, own: &dyn Fn(&str) -> bool, listed: bool) -> bool {
    let Some(aim) = &effect.aim else { return false };
    let derives = effect.hangs_on.iter().any(|hang| matches!(hang, Hang::Derive(_)));
    aim.on_purpose || (effect.kind == EffectKind::Registers && own(&aim.path) && (listed || !derives))
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

/// Whether a dotted path is a module of a set, or something in one.
fn within(modules: &BTreeSet<String>, path: &str) -> bool {
    modules.contains(path) || path.match_indices('.').any(|(at, _)| modules.contains(&path[..at]))
}

/// The modules that an import may load.
pub(crate) fn names_of(import: &Import) -> impl Iterator<Item = String> + '_ {
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
