//! Which statements may wait until the first use of what they bind: of the user's own code `s3 = boto3.client("s3")`, of
//! libraries `WORD = re.compile(r"\w+")`, of both
//! `class Report(pandas.DataFrame): …` and `Rows = list[pandas.Series]`.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{Binding, Global, ImportStatement, ModuleAnalysis, Source, Use, UseKind};

use crate::rules::{Refusal, Rule, bound_again, judge_name, of_text_annotations, of_uses, refused, top};
use crate::surroundings::meet;
use crate::world::World;

/// Through how many modules a name is followed.
const HANDED_ON: usize = 8;

/// Name → why the statement stays as it is, for every statement of a module that is asked about. Of libraries those that
/// compile patterns or look up their files, types, and classes that act on nobody: what their other values are made from, and when, is their own affair.
pub(crate) type Judged = BTreeMap<String, Option<Refusal>>;

/// Judges the statements of a module. One may use what another binds only where it waits itself, so that all are taken to
/// wait at first, and then those do not that something which does not wait uses: classes may name each other.
pub(crate) fn judge_all(world: &World, analysis: &ModuleAnalysis) -> Judged {
    let is_user = world.is_user(&analysis.name);
    let plain = |global: &Global| {
        (global.is_class || global.is_alias)
            && global.effects.is_empty()
            && global.reads.is_empty()
            && !global.loose
    };
    let is_asked = |global: &&Global| is_user || global.fixed || plain(global);
    let asked: Vec<&Global> = analysis.globals.iter().filter(is_asked).collect();
    let mut judged: Judged = asked.iter().map(|global| (global.binding.name.clone(), None)).collect();
    for global in &asked {
        let refusal = judge_name(world, analysis, &global.binding, global.place, &judged)
            .or_else(|| of_value(world, analysis, global))
            .or_else(|| of_listing(world, analysis, global))
            .or_else(|| of_text_annotations(world, analysis, &global.binding))
            .or_else(|| of_parts(world, global))
            .or_else(|| of_rebound(world, analysis, global));
        judged.insert(global.binding.name.clone(), refusal);
    }
    loop {
        let waiting = asked.iter().filter(|global| judged[&global.binding.name].is_none());
        let refusals = waiting.filter_map(|global| {
            let refusal = of_uses(world, analysis, &global.binding, &judged)?;
            Some((global.binding.name.clone(), Some(refusal)))
        });
        let refusals: Judged = refusals.collect();
        if refusals.is_empty() {
            return judged;
        }
        judged.extend(refusals);
    }
}

/// Why the value could be another one later, or somebody could notice that it is made later.
fn of_value(world: &World, analysis: &ModuleAnalysis, global: &Global) -> Option<Refusal> {
    if let Some((line, why)) = &global.unsettled {
        return refused(Rule::Unsettled, format!("what it is made from may change: {why}, line {line}"));
    }
    let later = |(line, package): &&(u32, String)| *line > global.end_line && global.makes.contains(package);
    if let Some((line, package)) = analysis.configures.iter().find(later) {
        return refused(
            Rule::ConfiguredLater,
            format!("`{package}` may be configured after it is made, line {line}"),
        );
    }
    if let Some((path, line)) = world.configured_elsewhere(analysis, global) {
        return refused(
            Rule::ConfiguredLater,
            format!("the package that makes it may be configured after it, {path}:{line}"),
        );
    }
    if let Some((what, path, line)) = changed_by_others(world, analysis, global) {
        return refused(
            Rule::Unsettled,
            format!("what it is made from may change: `{what}` is changed, {path}:{line}"),
        );
    }
    let is_user = |module: &str| world.is_user(module);
    let of_decimal = |statement: &ImportStatement| statement.module == "decimal";
    let computes = imports_used(analysis, global).any(|binding| binding.statements.iter().any(of_decimal));
    if computes
        && let Some((path, line)) =
            world.surroundings.decimals_changed_after(analysis, global.end_line, is_user)
    {
        let detail = format!("the context of decimal numbers changes, {path}:{line}");
        return refused(Rule::EnvironmentChanges, detail);
    }
    let files = global.reads.contains(&Source::Files);
    if let Some((path, line)) =
        world.surroundings.environment_written_after(analysis, (global.end_line, files), |m| world.is_user(m))
    {
        let what = if files {
            "the environment variables or the working folder change"
        } else {
            "the environment variables change"
        };
        return refused(Rule::EnvironmentChanges, format!("{what}, {path}:{line}"));
    }
    None
}

/// Whether somebody who may know a class looks for it in another way than by its name, and would find it missing.
fn of_listing(world: &World, analysis: &ModuleAnalysis, global: &Global) -> Option<Refusal> {
    if !global.is_class {
        return None;
    }
    let mut near: BTreeSet<&str> = world.user.iter().map(|module| top(module)).collect();
    near.insert(top(&analysis.name));
    if let Some(path) = near.iter().find_map(|top| world.discovers.get(top)) {
        return refused(
            Rule::ReadsNamespace,
            format!("{path} may look for classes in modules by their dictionaries"),
        );
    }
    if world.lists_subclasses.is_empty() {
        return None;
    }
    near.extend(ancestors(world, analysis, global));
    let path = near.iter().find_map(|top| world.lists_subclasses.get(top))?;
    refused(Rule::Unsettled, format!("{path} asks classes for what is derived from them"))
}

/// Whether a class takes a part of an object of another module while it is made, `settings.timeout`: a method may change
/// it. Parts of modules and of classes are asked about by name.
fn of_parts(world: &World, global: &Global) -> Option<Refusal> {
    let paths = global.attributes.iter().filter(|_| global.is_class);
    let mut parts = paths.filter_map(|path| Some((path, path.rsplit_once('.')?.0)));
    let is_object = |(_, owner): &(&String, &str)| {
        owner.rsplit_once('.').is_some_and(|(module, name)| {
            world.analyses.contains_key(module) && !world.is_module(owner) && !is_class(world, module, name)
        })
    };
    let (path, owner) = parts.find(is_object)?;
    refused(Rule::Unsettled, format!("what it is made from may change: `{path}` is a part of `{owner}`"))
}

/// Whether a name of a module is that of a class, its own or one that it hands on.
fn is_class(world: &World, module: &str, name: &str) -> bool {
    let (mut module, mut name) = (module, name);
    for _ in 0..HANDED_ON {
        let Some(analysis) = world.analyses.get(module) else { return true };
        if analysis.classes.contains_key(name) {
            return true;
        }
        let binding = analysis.bindings.iter().find(|binding| binding.name == name);
        let Some(statement) = binding.and_then(|binding| binding.statements.first()) else { return false };
        let Some(attribute) = &statement.attribute else { return true };
        (module, name) = (&statement.module, attribute);
    }
    false
}

/// The top-level packages of what a class uses while it is made, and of what that derives from in turn.
fn ancestors<'w>(world: &World<'w>, analysis: &ModuleAnalysis, global: &Global) -> BTreeSet<&'w str> {
    let statements = imports_used(analysis, global).flat_map(|binding| &binding.statements);
    let of_statement = |statement: &ImportStatement| match &statement.attribute {
        Some(name) => format!("{}.{name}", statement.module),
        None => format!("{}.", statement.module),
    };
    let mut pending: Vec<String> = statements.map(of_statement).collect();
    // Its own bases may be any of the module's.
    pending.extend(analysis.classes.values().flatten().cloned());
    let mut seen = BTreeSet::new();
    let mut tops = BTreeSet::new();
    while let Some(path) = pending.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some((module, name)) = path.rsplit_once('.') else { continue };
        let Some((known, found)) = world.analyses.get_key_value(module) else { continue };
        tops.insert(top(known));
        pending.extend(found.classes.get(name).into_iter().flatten().cloned());
        let handed_on = found.bindings.iter().filter(|binding| binding.name == name);
        pending.extend(handed_on.flat_map(|binding| &binding.statements).map(of_statement));
    }
    tops
}

/// Whether a class, or another name for something imported, takes a name of another module that a function there binds
/// again.
fn of_rebound(world: &World, analysis: &ModuleAnalysis, global: &Global) -> Option<Refusal> {
    let is_read = |path: &str| analysis.attribute_paths.contains(path);
    let defines = global.is_class || global.is_alias;
    let mut used = imports_used(analysis, global).filter(|_| defines);
    used.find_map(|binding| {
        bound_again(world, binding, &is_read).or_else(|| replaced(world, binding, global, &is_read))
    })
}

/// Whether another name for what a module has at its top could mean another thing later: some module of the tree puts
/// one in its place, or the standard library may do that itself, as with `tempfile.tempdir`. Its classes stay.
fn replaced(
    world: &World,
    binding: &Binding,
    global: &Global,
    is_read: &dyn Fn(&str) -> bool,
) -> Option<Refusal> {
    let is_path = |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    let (_, name) = global.text.rsplit_once('.').filter(|_| global.is_alias && is_path(&global.text))?;
    for statement in &binding.statements {
        let path = format!("{}.{name}", statement.module);
        if let Some(by) = world.replaces.get(path.as_str()).filter(|_| is_read(&path)) {
            return refused(Rule::Unsettled, format!("{by} replaces `{path}`"));
        }
        let is_class = name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
        if !is_class && !world.analyses.contains_key(&statement.module) {
            return refused(Rule::Unsettled, format!("`{path}` may be bound again"));
        }
    }
    None
}

/// The imports whose names the statement uses.
pub(crate) fn imports_used<'a>(
    analysis: &'a ModuleAnalysis,
    global: &'a Global,
) -> impl Iterator<Item = &'a Binding> {
    let used = |binding: &&Binding| binding.uses.iter().any(|used| global.is_around(used.place));
    analysis.bindings.iter().filter(used)
}

/// Where the user's own code changes what the value is made from, or what makes it, after the statement.
fn changed_by_others<'a>(
    world: &World<'a>,
    analysis: &ModuleAnalysis,
    global: &Global,
) -> Option<(&'a str, &'a str, u32)> {
    let own = global.inputs.iter().map(|name| format!("{}.{name}", analysis.name));
    let statements = imports_used(analysis, global).flat_map(|binding| &binding.statements);
    let imported = statements.filter_map(|statement| match &statement.attribute {
        Some(name) => Some(format!("{}.{name}", statement.module)),
        None => (global.is_alias || world.is_user(&statement.module)).then(|| statement.module.clone()),
    });
    let things: BTreeSet<String> = own.chain(imported).chain(global.makes.iter().cloned()).collect();
    let is_it = |path: &str| things.iter().any(|thing| meet(path, thing));
    world.surroundings.thing_changed_after(analysis, global.end_line, |module| world.is_user(module), is_it)
}

/// What a deferral of the value can only be tried, not proved: an effect on others, the time, random numbers.
pub(crate) fn unproved(global: &Global) -> Option<String> {
    if let Some(effect) = global.effects.first() {
        let what = if global.is_class { "making the class" } else { "its value" };
        return Some(format!("{what} may act on others: line {}: {}", effect.line, effect.what));
    }
    if global.reads.contains(&Source::Clock) {
        return Some("its value depends on the time".to_owned());
    }
    global.reads.contains(&Source::Random).then(|| "its value depends on random numbers".to_owned())
}

/// Names of the statements in whose values a name is used.
pub(crate) fn around<'a>(
    analysis: &'a ModuleAnalysis,
    binding: &'a Binding,
) -> impl Iterator<Item = &'a str> {
    let waits = |used: &&Use| matches!(used.kind, UseKind::Global | UseKind::GlobalText);
    let places = binding.uses.iter().filter(waits);
    places.filter_map(|used| analysis.global_around(used.place)).map(|global| global.binding.name.as_str())
}
