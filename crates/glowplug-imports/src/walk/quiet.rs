//! Classes in whose making nobody looks at their annotations.

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, Stmt, StmtClassDef};

use super::Walker;
use crate::ImportStatement;
use crate::shapes::last_part;

/// Built-in classes in whose making nobody looks at annotations.
const QUIET_BASES: [&str; 12] = [
    "AttributeError",
    "BaseException",
    "Exception",
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

/// Classes and decorators of the standard library of which the same holds, with the modules that have them.
const QUIET_IN_MODULES: [(&str, &[&str]); 3] = [("ABC", &["abc"]), ("Generic", TYPING), ("final", TYPING)];

/// The modules that say what is a type, and when it is checked.
pub(super) const TYPING: &[&str] = &["typing", "typing_extensions"];

/// Whether a class is told of what is derived from it.
pub(super) fn hears_of_derived(class: &StmtClassDef) -> bool {
    class.body.iter().any(|statement| {
        matches!(statement, Stmt::FunctionDef(method) if method.name.as_str() == "__init_subclass__")
    })
}

impl Walker<'_> {
    /// Whether nobody looks at the annotations of a class of the module's body while it is made: of its bases and
    /// decorators none does.
    pub(super) fn ignores_annotations(&self, class: &StmtClassDef) -> bool {
        let is_standard = |expr: &Expr| {
            let known =
                last_part(expr).and_then(|last| QUIET_IN_MODULES.iter().find(|(name, _)| *name == last));
            known.is_some_and(|(name, modules)| self.is_of(expr, name, modules))
        };
        let is_quiet = |base: &Expr| match base {
            Expr::Name(name) if self.quiet_classes.contains(&name.id) => self.bound_times(&name.id) == 1,
            Expr::Name(name) if QUIET_BASES.contains(&name.id.as_str()) => self.bound_times(&name.id) == 0,
            other => is_standard(other),
        };
        // `Base[int]` is asked for what it is derived from, and says `Base`.
        let generic =
            |base: &Expr| is_quiet(if let Expr::Subscript(item) = base { &item.value } else { base });
        self.scope == 0
            && class.arguments.as_ref().is_none_or(|arguments| arguments.keywords.is_empty())
            && class.bases().iter().all(generic)
            && class.decorator_list.iter().all(|decorator| is_standard(&decorator.expression))
    }

    /// How often a name of the module may have been bound so far, by imports and by functions too.
    pub(super) fn bound_times(&self, name: &Name) -> usize {
        let statements = self.found.rebound.iter().filter(|(bound, _)| bound == name).count();
        let imports = self.found.clauses.iter().filter(|clause| clause.name == name.as_str()).count();
        let others = self.found.star.is_some() || self.found.scopes.declared_global(name);
        statements + imports + usize::from(others)
    }

    /// Whether an expression is what one of these modules calls `name`, as far as is bound by now.
    pub(super) fn is_of(&self, expr: &Expr, name: &str, modules: &[&str]) -> bool {
        let (root, attribute) = match expr {
            Expr::Name(root) => (&root.id, Some(name)),
            Expr::Attribute(path) if path.attr.as_str() == name => match path.value.as_ref() {
                Expr::Name(root) => (&root.id, None),
                _ => return false,
            },
            _ => return false,
        };
        let clauses = self.found.clauses.iter().filter(|clause| clause.name == root.as_str());
        let statements: Vec<&ImportStatement> = clauses.map(|clause| &clause.statement).collect();
        let is_it = |statement: &&ImportStatement| {
            modules.contains(&statement.module.as_str()) && statement.attribute.as_deref() == attribute
        };
        !statements.is_empty() && statements.iter().all(is_it) && self.bound_times(root) == statements.len()
    }
}
