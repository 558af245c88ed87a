//! Shapes of expressions that mean something to the analysis.

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Decorator, Expr, ExprCall};
use ruff_text_size::{Ranged, TextSize};

/// Decorators that do not read the annotations of what they decorate.
const QUIET_DECORATORS: [&str; 14] = [
    "property",
    "staticmethod",
    "classmethod",
    "cached_property",
    "lru_cache",
    "cache",
    "wraps",
    "contextmanager",
    "asynccontextmanager",
    "abstractmethod",
    "overload",
    "override",
    "final",
    "deprecated",
];

/// `a.b.c` as its base and its attributes.
pub(crate) fn chain(expr: &Expr) -> Option<(&Expr, Vec<Name>)> {
    let mut attributes = Vec::new();
    let mut current = expr;
    while let Expr::Attribute(attribute) = current {
        attributes.push(attribute.attr.id.clone());
        current = &attribute.value;
    }
    attributes.reverse();
    matches!(current, Expr::Name(_)).then_some((current, attributes))
}

/// Whether an annotation says that what it stands at is a type by another name.
pub(crate) fn is_type_alias(annotation: &Expr) -> bool {
    last_part(annotation) == Some("TypeAlias")
}

/// The last name of a path, whatever is put into it or called with: of `typing.Generic[T]` it is `Generic`.
pub(crate) fn last_part(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        Expr::Call(call) => last_part(&call.func),
        Expr::Subscript(item) => last_part(&item.value),
        _ => None,
    }
}

pub(crate) fn is_quiet(decorator: &Decorator) -> bool {
    // `@name.setter` belongs to a property.
    last_part(&decorator.expression).is_some_and(|name| {
        QUIET_DECORATORS.contains(&name) || matches!(name, "setter" | "getter" | "deleter")
    })
}

pub(crate) fn is_type_checking(test: &Expr) -> bool {
    !matches!(test, Expr::Call(_)) && last_part(test) == Some("TYPE_CHECKING")
}

/// `__name__ == "__main__"`: false in every import.
pub(crate) fn is_main(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else { return false };
    let is_name = |e: &Expr| matches!(e, Expr::Name(name) if name.id.as_str() == "__name__");
    let is_text = |e: &Expr| matches!(e, Expr::StringLiteral(text) if text.value.to_str() == "__main__");
    let equal = compare.ops.len() == 1 && compare.ops[0] == ruff_python_ast::CmpOp::Eq;
    let other = &compare.comparators[0];
    equal && ((is_name(&compare.left) && is_text(other)) || (is_text(&compare.left) && is_name(other)))
}

/// A call of one of these names, without arguments.
pub(crate) fn is_call_of(expr: &Expr, names: &[&str]) -> bool {
    matches!(expr, Expr::Call(call) if call.arguments.is_empty()
        && matches!(call.func.as_ref(), Expr::Name(name) if names.contains(&name.id.as_str())))
}

/// `globals()`.
pub(crate) fn is_globals(expr: &Expr) -> bool {
    is_call_of(expr, &["globals"])
}

/// `globals().update(…)`, which writes alone.
pub(crate) fn is_update_of_globals(call: &ExprCall) -> bool {
    matches!(call.func.as_ref(), Expr::Attribute(method) if method.attr.as_str() == "update" && is_globals(&method.value))
}

/// `sys.modules[__name__]`.
pub(crate) fn is_own_module(value: &Expr, slice: &Expr) -> bool {
    last_part(value) == Some("modules") && matches!(slice, Expr::Name(name) if name.id.as_str() == "__name__")
}

/// String literals inside an expression.
pub(crate) struct Strings<'a>(pub(crate) Vec<(&'a str, TextSize)>);

impl<'a> Visitor<'a> for Strings<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::StringLiteral(text) = expr {
            self.0.push((text.value.to_str(), expr.start()));
        }
        walk_expr(self, expr);
    }
}

/// Identifiers in a text that follow no dot.
pub(crate) fn identifiers(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_part(c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let name = &text[from..at];
                if !text[..from].trim_end().ends_with('.') && !name.starts_with(|c: char| c.is_ascii_digit())
                {
                    names.insert(name);
                }
                start = None;
            }
            _ => {}
        }
    }
    names
}
