//! Imports of the user's own modules that bind a name for nothing, or for annotations alone.
//!
//! Only what costs something is told: a linter says the rest. So the whole statement has to be of no use, and nothing
//! else in the function's code may load its distribution, unless a traced start has seen that the line costs something.

use glowplug_imports::{Binding, ImportStatement, UseKind};

use crate::facts::{Facts, OwnModule};
use crate::finding::{Finding, Level};
use crate::names::is_standard;

/// What costs less is not worth a line, in ms.
const FLOOR_MS: f64 = 1.0;

pub(super) fn unread(facts: &Facts) -> Vec<Finding> {
    let told = |module: &OwnModule, binding: &Binding, statement: &ImportStatement| {
        let place = place(module, statement);
        let cost = cost(facts, &place);
        // A comment or an annotation that is never evaluated may mean it too.
        let own = statement.place.line..=statement.end_line;
        let lines = module.words.get(&binding.name);
        let elsewhere = lines.is_some_and(|lines| lines.iter().any(|line| !own.contains(line)));
        let never = binding.uses.is_empty() && !elsewhere;
        let alone = module
            .targets
            .get(&statement.module)
            .is_some_and(|target| !is_loaded(facts, *target, module, statement));
        let counts = (alone || cost.is_some_and(|ms| ms >= FLOOR_MS))
            && is_first(module, binding, statement)
            && with_it(module, statement).all(|other| other.uses.is_empty());
        (never && counts).then(|| {
            let message = format!("`{}` is never used: nothing reads `{}`", statement.text, binding.name);
            let remedy =
                format!("delete `{}`, unless something relies on what loading it does", statement.text);
            Finding::new(Level::Warning, place, message, remedy).ms(cost)
        })
    };
    each(facts, told)
}

pub(super) fn annotations(facts: &Facts) -> Vec<Finding> {
    let told = |module: &OwnModule, binding: &Binding, statement: &ImportStatement| {
        let place = place(module, statement);
        let cost = cost(facts, &place);
        let target = module.targets.get(&statement.module)?;
        let alone = !is_loaded(facts, *target, module, statement);
        let counts = cost.map_or(alone, |ms| ms >= FLOOR_MS);
        let only = is_first(module, binding, statement) && with_it(module, statement).all(is_for_annotations);
        (only && counts).then(|| {
            let message = format!("`{}` is used in annotations alone", statement.text);
            let remedy =
                "put it under `if TYPE_CHECKING:`, with `from __future__ import annotations` at the top, \
                          unless something reads the annotations at run time"
                    .to_owned();
            Finding::new(Level::Warning, place, message, remedy).ms(cost)
        })
    };
    each(facts, told)
}

/// What decorators, classes and frameworks may read counts as used, and so does what class bodies evaluate.
fn is_for_annotations(binding: &Binding) -> bool {
    let never_run = |kind: UseKind| {
        matches!(kind, UseKind::Annotation | UseKind::Signature | UseKind::TextSignature { read: false })
    };
    !binding.uses.is_empty() && binding.uses.iter().all(|used| never_run(used.kind))
}

/// The names that the whole statement binds: all have to go, or it stays.
fn with_it<'a>(module: &'a OwnModule, statement: &'a ImportStatement) -> impl Iterator<Item = &'a Binding> {
    let same = |other: &ImportStatement| other.place == statement.place;
    module.analysis.bindings.iter().filter(move |binding| binding.statements.iter().any(same))
}

/// A statement is told once, with its first name.
fn is_first(module: &OwnModule, binding: &Binding, statement: &ImportStatement) -> bool {
    with_it(module, statement).next().is_some_and(|first| first.name == binding.name)
}

/// Whether code of the user's own imports something of the distribution besides `statement`.
fn is_loaded(facts: &Facts, distribution: usize, module: &OwnModule, statement: &ImportStatement) -> bool {
    facts.own.iter().filter(|other| !other.is_test).any(|other| {
        other.analysis.imports.iter().any(|import| {
            let same = other.analysis.name == module.analysis.name && import.line == statement.place.line;
            !import.typing_only && !same && other.targets.get(&import.module) == Some(&distribution)
        })
    })
}

fn place(module: &OwnModule, statement: &ImportStatement) -> String {
    format!("{}:{}", module.analysis.path, statement.place.line)
}

fn cost(facts: &Facts, place: &str) -> Option<f64> {
    let traced = facts.traced.as_ref()?;
    Some(traced.lines_ms.get(place).copied().unwrap_or(0.0))
}

/// Every import whose name could be unread: none that is exported, excused, that others may read by its name, or that
/// is there for what its loading does.
fn each(
    facts: &Facts,
    told: impl Fn(&OwnModule, &Binding, &ImportStatement) -> Option<Finding>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for module in facts.own.iter().filter(|module| !module.is_test && !is_read_as_a_whole(module)) {
        for binding in module.analysis.bindings.iter().filter(|binding| !is_excused(facts, module, binding)) {
            let [statement] = binding.statements.as_slice() else { continue };
            let foreign = module.targets.contains_key(&statement.module)
                || is_standard(statement.module.split('.').next().unwrap_or_default(), facts.subject.python);
            let conditional = module
                .analysis
                .imports
                .iter()
                .any(|import| import.line == statement.place.line && !import.runs_at_import());
            if foreign && !conditional {
                found.extend(told(module, binding, statement));
            }
        }
    }
    found
}

/// Packages bind names for those who import them; so may a module without a literal `__all__`.
fn is_read_as_a_whole(module: &OwnModule) -> bool {
    let analysis = &module.analysis;
    analysis.is_package || analysis.dynamic_exports || analysis.reads_namespace.is_some()
}

fn is_excused(facts: &Facts, module: &OwnModule, binding: &Binding) -> bool {
    let exported = module.analysis.exports.as_ref().is_some_and(|names| names.contains(&binding.name));
    let renamed_to_itself = |statement: &ImportStatement| {
        let own = statement.attribute.as_ref().unwrap_or(&statement.module);
        statement.text.ends_with(&format!("{own} as {own}"))
    };
    let statements = binding.statements.iter();
    let excused = statements.clone().any(|statement| {
        let asked = || statement.place.line..=statement.end_line;
        let full = statement.attribute.as_ref().map(|name| format!("{}.{name}", statement.module));
        asked().any(|line| module.excused.contains(&line))
            || module.acting.contains(&statement.module)
            || full.is_some_and(|full| module.acting.contains(&full))
            || renamed_to_itself(statement)
            || statement.module == "__future__"
    });
    exported || excused || !binding.hindrances.is_empty() || is_taken_by_others(facts, module, binding)
}

/// Whether another module of the user's own takes the name from this one, or may.
fn is_taken_by_others(facts: &Facts, module: &OwnModule, binding: &Binding) -> bool {
    let name = &module.analysis.name;
    facts.own.iter().any(|other| {
        let path = format!("{name}.{}", binding.name);
        let takes =
            other.analysis.imports.iter().any(|import| {
                import.module == *name && (import.star || import.names.contains(&binding.name))
            });
        takes || other.analysis.attribute_paths.iter().any(|read| read.ends_with(&path))
    })
}
