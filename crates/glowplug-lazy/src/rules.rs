//! The soundness rules: why an import must stay as it is.

use glowplug_imports::{Binding, HindranceKind, ModuleAnalysis, Place, Use, UseKind};
use serde::Serialize;

use crate::globals::Judged;
use crate::provided::is_provided;
use crate::world::World;

/// Why an import stays eager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule.
    pub rule: Rule,
    /// In words, with the line: `used while the module runs, line 12`.
    pub detail: String,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// It stands in `try`, `with`, `if`, a loop or a class.
    Nested,
    /// The name is bound or deleted by something else too.
    Rebound,
    /// A function declares the name `global`.
    DeclaredGlobal,
    /// A `match` pattern uses it.
    Pattern,
    /// `f"{x=}"` uses it.
    SelfDocumentingFString,
    /// A class body binds and uses the same name.
    ClassScope,
    /// A class would mangle the name.
    Mangled,
    /// The edits could not be told apart.
    Ambiguous,
    /// A star import before it may have bound the name.
    FollowsStar,
    /// `dir()` in the module's body lists the names bound before it, and this one is bound after it.
    FollowsListing,
    /// The module reads its namespace as a whole.
    ReadsNamespace,
    /// The module puts something else in its place.
    ReplacesItself,
    /// The module's `__getattr__` is not defined in its body directly.
    ConditionalGetattr,
    /// Other modules take everything from this one, and it has no `__all__`.
    StarImported,
    /// The name is that of a submodule of its own package, and means something else.
    NamedLikeSubmodule,
    /// The import system itself asks for names with two underscores on both sides.
    Dunder,
    /// It is used while the module runs.
    UsedAtImport,
    /// It is used in an annotation that somebody may evaluate at once.
    AnnotationRead,
    /// A package around the submodule is not part of the tree, or answers for itself.
    ForeignPackage,
    /// Nothing uses it: it is imported for its effect.
    ForItsEffect,
    /// What it imports is not there: the import can only fail, and whoever asks for the module may wait for that.
    Missing,
    /// What a value is made from may change before its first use.
    Unsettled,
    /// The package that makes a value may be configured after it.
    ConfiguredLater,
    /// The environment variables, or the working folder, may change before the first use.
    EnvironmentChanges,
}

/// The first rule that forbids to defer a binding.
pub(crate) fn judge(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    globals: &Judged,
) -> Option<Refusal> {
    let last = binding.statements.last().map_or(Place { line: 0, column: 0 }, |statement| statement.place);
    judge_name(world, analysis, binding, last, globals)
        .or_else(|| of_source(world, binding))
        .or_else(|| of_target(world, analysis, binding))
        .or_else(|| of_replacement(world, binding))
        .or_else(|| of_text_annotations(world, analysis, binding))
        .or_else(|| of_effect(world, analysis, binding))
        .or_else(|| world.surroundings.judge(analysis, binding, |module| world.is_user(module)))
}

/// The first rule about the name that forbids to bind it later; `last` is where it is bound for the last time,
/// `globals` the statements that may themselves wait.
pub(crate) fn judge_name(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    last: Place,
    globals: &Judged,
) -> Option<Refusal> {
    of_module(world, analysis)
        .or_else(|| of_name(world, analysis, binding, last))
        .or_else(|| of_hindrances(world, analysis, binding, last))
        .or_else(|| of_uses(world, analysis, binding, globals))
}

#[expect(clippy::unnecessary_wraps, reason = "every caller returns an option")]
pub(crate) fn refused(rule: Rule, detail: impl Into<String>) -> Option<Refusal> {
    Some(Refusal { rule, detail: detail.into() })
}

fn of_module(world: &World, analysis: &ModuleAnalysis) -> Option<Refusal> {
    if world.is_read_whole(&analysis.name) {
        return refused(Rule::ReadsNamespace, "another module reads the namespace of this one as a whole");
    }
    if let Some((path, line, how)) = world.takes_names.filter(|_| world.is_user(&analysis.name)) {
        let detail = format!("the function takes the names of callers or functions: {how}, {path}:{line}");
        return refused(Rule::ReadsNamespace, detail);
    }
    if let Some((line, how)) = &analysis.reads_namespace {
        return refused(
            Rule::ReadsNamespace,
            format!("the module reads its namespace as a whole: `{how}`, line {line}"),
        );
    }
    let evaluates = analysis.evaluates.as_ref().filter(|_| world.is_user(&analysis.name));
    if let Some((line, how)) = evaluates {
        return refused(Rule::ReadsNamespace, format!("the module evaluates texts: `{how}`, line {line}"));
    }
    if let Some(line) = analysis.replaces_itself {
        return refused(
            Rule::ReplacesItself,
            format!("the module replaces itself in `sys.modules`, line {line}"),
        );
    }
    if let Some(line) = analysis.conditional_getattr {
        return refused(
            Rule::ConditionalGetattr,
            format!("the module defines `__getattr__` under a condition, line {line}"),
        );
    }
    None
}

fn of_name(world: &World, analysis: &ModuleAnalysis, binding: &Binding, last: Place) -> Option<Refusal> {
    let name = &binding.name;
    if name.starts_with("__") && name.ends_with("__") {
        return refused(Rule::Dunder, format!("`{name}` is a name that the interpreter itself may ask for"));
    }
    if analysis.is_package && world.is_submodule(&analysis.name, name) {
        let is_it = |module: &str, attribute: Option<&str>| match attribute {
            Some(attribute) => module == analysis.name && attribute == name,
            None => module == format!("{}.{name}", analysis.name),
        };
        let imports = &binding.statements;
        if imports.is_empty()
            || !imports.iter().all(|s| !s.binds_top && is_it(&s.module, s.attribute.as_deref()))
        {
            return refused(
                Rule::NamedLikeSubmodule,
                format!("`{name}` is also a submodule of `{}`, which would take its place", analysis.name),
            );
        }
    }
    if let Some(name) = binding.statements.iter().find_map(|s| binds_unbound(analysis, &s.module)) {
        return refused(
            Rule::NamedLikeSubmodule,
            format!("the package uses `{name}`, which is bound when that submodule loads"),
        );
    }
    if let Some(listing) = analysis.listings.first()
        && last > *listing
    {
        return refused(
            Rule::FollowsListing,
            format!("`dir()`, line {}, lists the names that are bound before it", listing.line),
        );
    }
    if let Some(line) = analysis.text_names.get(name).filter(|_| world.is_user(&analysis.name)) {
        return refused(
            Rule::ReadsNamespace,
            format!("a text uses the name as code does, and may be evaluated, line {line}"),
        );
    }
    let exported = analysis.exports.as_ref().is_some_and(|names| names.contains(name));
    let closed = analysis.exports.is_some() && !analysis.dynamic_exports;
    if world.star_imported.contains(analysis.name.as_str()) && !exported && !closed {
        return refused(
            Rule::StarImported,
            "other modules import `*` from this one, and no literal `__all__` says what that gives",
        );
    }
    None
}

/// The submodule that loading `module` binds in its package, where the package uses it without binding it.
fn binds_unbound<'m>(analysis: &ModuleAnalysis, module: &'m str) -> Option<&'m str> {
    let inner = module.strip_prefix(analysis.name.as_str())?.strip_prefix('.')?;
    let name = inner.split('.').next().unwrap_or(inner);
    analysis.unbound.contains(name).then_some(name)
}

/// Why an `import a.b` that cannot be deferred as a whole must go on loading `a.b` at once. The name `a` stays bound
/// as it was, and `a` loads its submodule when it is asked for it.
pub(crate) fn judge_submodule(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    module: &str,
) -> Option<Refusal> {
    if let Some(nested) = binding.hindrances.iter().find(|h| h.kind == HindranceKind::Nested) {
        return refused(Rule::Nested, format!("inside another statement, line {}", nested.line));
    }
    let packages = module.match_indices('.').map(|(at, _)| &module[..at]);
    for package in packages {
        let can_answer = world
            .analyses
            .get(package)
            .is_some_and(|p| p.is_package && p.conditional_getattr.is_none() && p.replaces_itself.is_none());
        if !can_answer {
            return refused(
                Rule::ForeignPackage,
                format!("`{package}` cannot load it when it is asked for it"),
            );
        }
    }
    let own = world.is_user(&analysis.name) && !world.is_user(module);
    if !analysis.attribute_paths.contains(module) && !own {
        return refused(
            Rule::ForItsEffect,
            format!("nothing here reads `{module}`: it may be imported for its effect"),
        );
    }
    of_replacement(world, binding)
        .or_else(|| world.surroundings.judge(analysis, binding, |module| world.is_user(module)))
}

/// Whether every star import before the binding says by a literal `__all__` that it does not bind the name.
fn stars_are_closed(world: &World, analysis: &ModuleAnalysis, binding: &Binding, last: Place) -> bool {
    analysis.imports.iter().filter(|import| import.star && import.line < last.line).all(|import| {
        world.analyses.get(&import.module).is_some_and(|starred| {
            let exports = starred.exports.as_ref().filter(|_| !starred.dynamic_exports);
            exports.is_some_and(|names| !names.contains(&binding.name))
        })
    })
}

fn of_hindrances(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    last: Place,
) -> Option<Refusal> {
    let closed = || stars_are_closed(world, analysis, binding, last);
    let excused = |kind| kind == HindranceKind::FollowsStar && closed();
    let first = binding.hindrances.iter().find(|hindrance| !excused(hindrance.kind))?;
    let line = first.line;
    let (rule, detail) = match first.kind {
        HindranceKind::Nested => (Rule::Nested, "inside another statement"),
        HindranceKind::Rebound => (Rule::Rebound, "the name is bound or deleted again"),
        HindranceKind::DeclaredGlobal => (Rule::DeclaredGlobal, "a function declares the name `global`"),
        HindranceKind::Pattern => (Rule::Pattern, "used in a `match` pattern"),
        HindranceKind::SelfDocumentingFString => (Rule::SelfDocumentingFString, "used in `{…=}`"),
        HindranceKind::ClassScope => (Rule::ClassScope, "a class body binds and uses the same name"),
        HindranceKind::Mangled => (Rule::Mangled, "a class would mangle the name"),
        HindranceKind::Ambiguous => (Rule::Ambiguous, "its uses in a string cannot be told apart"),
        HindranceKind::FollowsStar => (Rule::FollowsStar, "a star import before it may bind the same name"),
    };
    refused(rule, format!("{detail}, line {line}"))
}

/// The first use of a name that does not wait.
pub(crate) fn of_uses(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    globals: &Judged,
) -> Option<Refusal> {
    let waits = |place: Place| {
        let around = analysis.global_around(place);
        around.is_some_and(|global| globals.get(&global.binding.name).is_some_and(Option::is_none))
    };
    let runs = |used: &&Use| match used.kind {
        UseKind::AtImport => true,
        UseKind::Global => !waits(used.place),
        _ => false,
    };
    let read = |used: &&Use| match used.kind {
        UseKind::ReadAnnotation => true,
        UseKind::GlobalText => !waits(used.place),
        _ => false,
    };
    if let Some(used) = binding.uses.iter().find(runs) {
        return refused(Rule::UsedAtImport, format!("used while the module runs, line {}", used.place.line));
    }
    let at_once = |used: &&Use| match used.kind {
        UseKind::EagerAnnotation => true,
        UseKind::Signature => !world.could_wait(analysis, used),
        _ => false,
    };
    if let Some(used) = binding.uses.iter().find(at_once) {
        return refused(
            Rule::UsedAtImport,
            format!("used in an annotation that cannot wait, line {}", used.place.line),
        );
    }
    if let Some(used) = binding.uses.iter().find(read) {
        return refused(
            Rule::AnnotationRead,
            format!(
                "used in an annotation that a decorator or a base class may read, line {}",
                used.place.line
            ),
        );
    }
    None
}

/// A module that tries whether an optional package is there, and is itself tried by others. The user's own code apart,
/// which may name what a layer brings.
fn of_target(world: &World, analysis: &ModuleAnalysis, binding: &Binding) -> Option<Refusal> {
    let missing = binding
        .statements
        .iter()
        .map(|statement| top(&statement.module))
        .find(|top| !world.is_top(top) && !is_provided(top) && !world.is_user(&analysis.name))?;
    refused(Rule::Missing, format!("`{missing}` is not in the package: the import may be there to fail"))
}

/// A submodule that takes the place of something in its package whenever it loads.
fn of_replacement(world: &World, binding: &Binding) -> Option<Refusal> {
    let targets = binding.statements.iter().flat_map(|statement| {
        let inner = statement.attribute.as_ref().map(|name| format!("{}.{name}", statement.module));
        [Some(statement.module.clone()), inner].into_iter().flatten()
    });
    let mut replacing = targets.filter(|target| world.is_module(target)).filter_map(|target| {
        let (package, name) = target.rsplit_once('.')?;
        let defined = world.analyses.get(package)?.defined.contains(name);
        defined.then(|| format!("loading `{target}` replaces what `{package}` calls `{name}`"))
    });
    replacing.next().and_then(|detail| refused(Rule::NamedLikeSubmodule, detail))
}

/// A name whose value may be another one at its first use, since a function of its module binds it again.
fn of_source(world: &World, binding: &Binding) -> Option<Refusal> {
    bound_again(world, binding, &|_| false)
}

/// Whether a function of the module that a name comes from binds it again; of a whole module, one of its names that
/// `is_read` knows by its path.
pub(crate) fn bound_again(
    world: &World,
    binding: &Binding,
    is_read: &dyn Fn(&str) -> bool,
) -> Option<Refusal> {
    let (module, name) = binding.statements.iter().find_map(|statement| {
        let module = &statement.module;
        let mut again = world.analyses.get(module)?.declared_globals.iter();
        let name = again.find(|name| match &statement.attribute {
            Some(attribute) => attribute == *name,
            None => is_read(&format!("{module}.{name}")),
        })?;
        Some((module, name))
    })?;
    refused(Rule::Unsettled, format!("a function of `{module}` binds `{name}` again"))
}

/// The user's own code that evaluates annotations finds names only in the module's dictionary.
pub(crate) fn of_text_annotations(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
) -> Option<Refusal> {
    let used = binding.uses.iter().find(|used| used.kind == UseKind::Annotation)?;
    let read = world.evaluates_annotations && world.is_user(&analysis.name);
    let detail =
        || format!("used in an annotation, line {}, and the function evaluates annotations", used.place.line);
    if read { refused(Rule::AnnotationRead, detail()) } else { None }
}

/// Whether it loads modules of the user's own code.
fn of_own_modules(world: &World, binding: &Binding) -> bool {
    binding.statements.iter().any(|statement| {
        let inner = statement.attribute.as_ref().map(|name| format!("{}.{name}", statement.module));
        world.is_user(&statement.module) || inner.is_some_and(|module| world.is_user(&module))
    })
}

/// The top-level package of a module, or the module itself.
pub(crate) fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// A name that nothing uses is imported for what the import does. The user's own imports of libraries apart, where a
/// linter would have said so, and packages, whose names are used from outside.
fn of_effect(world: &World, analysis: &ModuleAnalysis, binding: &Binding) -> Option<Refusal> {
    let exported = analysis.exports.as_ref().is_some_and(|names| names.contains(&binding.name));
    if !binding.uses.is_empty()
        || exported
        || (world.is_user(&analysis.name) && !of_own_modules(world, binding))
        || world.is_wanted(&analysis.name, &binding.name)
    {
        return None;
    }
    let re_exports = |statement: &glowplug_imports::ImportStatement| {
        statement
            .attribute
            .as_ref()
            .is_some_and(|attribute| !world.is_submodule(&statement.module, attribute))
    };
    if analysis.is_package && binding.statements.iter().all(re_exports) {
        return None;
    }
    refused(Rule::ForItsEffect, "nothing uses the name: it may be imported for its effect")
}
