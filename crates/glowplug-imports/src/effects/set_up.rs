//! Statements that do nothing but set up a client, an engine and the like: `session.headers.update(…)`, `env.filters["f"]
//! = f`. They change what the name before them stands for, or a part of it, and nobody else's things.

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextSize};

use super::table::within;
use super::value::Value;
use super::{Walker, expressions};
use crate::EffectKind;

/// Methods of such a value that set it up.
const OF_ITSELF: &str = "
    mount add_extension set_params configure enable disable use set_ciphers load_cert_chain load_verify_locations
    add_node add_nodes_from add_edge add_edges_from add_weighted_edges_from
";

/// Methods of a part of it, as a rule a dictionary, a list or a book of handlers.
const OF_A_PART: &str = "
    update setdefault append extend insert add set register register_first register_last
";

/// The name whose value a statement sets up, if by its text it does nothing else.
pub(crate) fn sets_up(statement: &Stmt) -> Option<&Name> {
    match statement {
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [target @ (Expr::Attribute(_) | Expr::Subscript(_))] => root(target).map(|(name, _)| name),
            _ => None,
        },
        Stmt::Expr(expression) => {
            let Expr::Call(call) = expression.value.as_ref() else { return None };
            let Expr::Attribute(method) = call.func.as_ref() else { return None };
            let (name, depth) = root(&method.value)?;
            let known = if depth == 0 { OF_ITSELF } else { OF_A_PART };
            within(known, method.attr.as_str()).then_some(name)
        }
        _ => None,
    }
}

/// The name that a chain of attributes and items begins with, and how long the chain is.
fn root(expr: &Expr) -> Option<(&Name, usize)> {
    match expr {
        Expr::Name(name) => Some((&name.id, 0)),
        Expr::Attribute(attribute) => root(&attribute.value).map(|(name, depth)| (name, depth + 1)),
        Expr::Subscript(item) => root(&item.value).map(|(name, depth)| (name, depth + 1)),
        _ => None,
    }
}

impl<'a> Walker<'a, '_> {
    /// Follows a statement that sets a value up, told apart, if it was asked about: whether it was.
    pub(super) fn set_up(&mut self, statement: &'a Stmt) -> bool {
        if !self.is_asked(statement.start()) {
            return false;
        }
        let Some(name) = sets_up(statement) else { return false };
        self.told_apart(statement.start(), |walker| {
            // Of what no known constructor made, others may hold a part, or the whole.
            if walker.lookup(name.as_str()) != Value::Made {
                walker.effect(
                    statement.start(),
                    EffectKind::Patches,
                    format!("sets `{name}` up, which others may hold"),
                );
            }
            match statement {
                Stmt::Expr(expression) => walker.expression(expression),
                Stmt::Assign(assign) => {
                    let value = walker.value(&assign.value);
                    for target in &assign.targets {
                        walker.assign(target, value.clone(), Some(&assign.value));
                    }
                }
                _ => {}
            }
        });
        true
    }

    /// Whether what is done at `at` to something that a constructor made only sets that up.
    pub(super) fn is_set_up(&mut self, at: TextSize, what: String) -> bool {
        let sets_up = self.making.is_some() && self.current == at;
        if sets_up {
            self.excuse(at, EffectKind::Patches, what);
        }
        sets_up
    }

    /// The same for a call of one of its methods.
    pub(super) fn is_set_up_call(&mut self, call: &'a ruff_python_ast::ExprCall) -> bool {
        if matches!(call.func.as_ref(), Expr::Attribute(method) if method.attr.starts_with("load_")) {
            self.read(crate::Source::Files);
        }
        self.is_set_up(call.start(), format!("calls `{}()`", expressions::written(&call.func)))
    }
}
