//! Imports of the user's own modules that bind a name for nothing, or for annotations alone.
//!
//! Only what costs something is told: a linter says the rest. So a module of the standard library counts where a traced
//! start has seen what it costs, and one for annotations alone where nothing else in the function's code loads its
//! distribution.

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
        let counts = module.targets.contains_key(&statement.module) || cost.is_some_and(|ms| ms >= FLOOR_MS);
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
        // What decorators, base classes and frameworks read counts as used.
        let never_run = |kind: UseKind| {
            matches!(kind, UseKind::Annotation | UseKind::Signature | UseKind::EagerAnnotation)
        };
        let only = !binding.uses.is_empty() && binding.uses.iter().all(|used| never_run(used.kind));
        let target = module.targets.get(&statement.module)?;
        let alone =
            !facts.own.iter().filter(|other| !other.is_test).any(|other| loads(other, *target, statement));
        let counts = cost.map_or(alone, |ms| ms >= FLOOR_MS);
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

/// Whether a module imports something of the distribution besides `statement`.
fn loads(module: &OwnModule, distribution: usize, statement: &ImportStatement) -> bool {
    module.analysis.imports.iter().any(|import| {
        !import.typing_only
            && (import.line, &import.module) != (statement.place.line, &statement.module)
            && module.targets.get(&import.module) == Some(&distribution)
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
