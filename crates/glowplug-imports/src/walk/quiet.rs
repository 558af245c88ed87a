//! Classes in whose making nobody looks at their annotations.

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, Stmt, StmtClassDef};

use super::Walker;
use crate::shapes::last_part;

/// Built-in classes, and others by their last name, in whose making nobody looks at annotations.
const QUIET_BASES: [&str; 14] = [
    "ABC",
    "AttributeError",
    "BaseException",
    "Exception",
    "Generic",
    "ImportError",
    "KeyError",
    "LookupError",
    "OSError",
    "RuntimeError",
    "TypeError",
    "ValueError",
    "dict",
    "object",
];

/// The same of those that are taken from a module, as in `abc.ABC`.
const QUIET_IN_MODULES: [&str; 2] = ["ABC", "Generic"];

/// Whether a class is told of what is derived from it.
pub(super) fn hears_of_derived(class: &StmtClassDef) -> bool {
    class.body.iter().any(|statement| {
        matches!(statement, Stmt::FunctionDef(method) if method.name.as_str() == "__init_subclass__")
    })
}

impl Walker<'_> {
    /// Whether nobody looks at the annotations of a class while it is made: of its bases and decorators none does.
    pub(super) fn ignores_annotations(&self, class: &StmtClassDef) -> bool {
        let is_quiet = |base: &Expr| match base {
            Expr::Name(name) => {
                let own = self.quiet_classes.contains(&name.id) && self.bound_times(&name.id) == 1;
                own || QUIET_BASES.contains(&name.id.as_str()) && self.bound_times(&name.id) == 0
            }
            other => last_part(other).is_some_and(|name| QUIET_IN_MODULES.contains(&name)),
        };
        // `Base[int]` is asked for what it is derived from, and says `Base`.
        let generic =
            |base: &Expr| is_quiet(if let Expr::Subscript(item) = base { &item.value } else { base });
        let decorators = class.decorator_list.iter().map(|decorator| last_part(&decorator.expression));
        class.arguments.as_ref().is_none_or(|arguments| arguments.keywords.is_empty())
            && class.bases().iter().all(generic)
            && decorators.into_iter().all(|name| name == Some("final"))
    }

    /// How often the module's body has bound a name so far, otherwise than by an import.
    pub(super) fn bound_times(&self, name: &Name) -> usize {
        self.found.rebound.iter().filter(|(bound, _)| bound == name).count()
    }
}
