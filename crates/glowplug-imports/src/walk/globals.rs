//! Statements of the module's body that could run at the first use of what they bind, as far as their text says.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use super::Walker;
use crate::found::GlobalFound;

impl Walker<'_> {
    /// Notes `name = value`, or `name: annotation = value`, where the value calls something, or is a part of such a
    /// value, and can be moved.
    pub(super) fn global(&mut self, statement: &Stmt) {
        if self.scope != 0 || self.depth > 0 {
            return;
        }
        let (target, value) = match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [target] => (target, assign.value.as_ref()),
                _ => return,
            },
            Stmt::AnnAssign(assign) => match &assign.value {
                Some(value) => (assign.target.as_ref(), value.as_ref()),
                None => return,
            },
            _ => return,
        };
        let Expr::Name(name) = target else { return };
        let mut shape = Shape::default();
        shape.visit_expr(value);
        let noted = |root: &Expr| matches!(root, Expr::Name(name) if self.found.globals.iter().any(|global| global.name == name.id));
        if (shape.calls || part_of(value).is_some_and(noted)) && !shape.fixed {
            self.found.globals.push(GlobalFound {
                name: name.id.clone(),
                target: name.start(),
                statement: statement.range(),
                value: value.range(),
            });
        }
    }
}

/// What `value` is an item or an attribute of, in the end.
fn part_of(value: &Expr) -> Option<&Expr> {
    let owner = match value {
        Expr::Attribute(attribute) => &attribute.value,
        Expr::Subscript(item) => &item.value,
        _ => return None,
    };
    Some(part_of(owner).unwrap_or(owner))
}

/// What a value consists of.
#[derive(Default)]
struct Shape {
    calls: bool,
    /// It binds a name, names its surroundings, or suspends: elsewhere it would mean something else.
    fixed: bool,
}

impl<'a> Visitor<'a> for Shape {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(_) => self.calls = true,
            // A lambda's `__qualname__` tells where it was made.
            Expr::Lambda(_)
            | Expr::Named(_)
            | Expr::Await(_)
            | Expr::Yield(_)
            | Expr::YieldFrom(_)
            | Expr::Generator(_)
            | Expr::TString(_)
            | Expr::IpyEscapeCommand(_) => self.fixed = true,
            _ => {}
        }
        walk_expr(self, expr);
    }
}
