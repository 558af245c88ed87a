//! Statements of the module's body that could run at the first use of what they bind, as far as their text says.

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use super::Walker;
use crate::effects::sets_up;
use crate::found::GlobalFound;

impl Walker<'_> {
    /// Notes `name = value`, or `name: annotation = value`, where the value calls something, or is a part of such a
    /// value, and can be moved; and what sets such a value up.
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
            Stmt::Expr(expression) if expression.range() == expression.value.range() => {
                return self.set_up(statement, &[&expression.value]);
            }
            _ => return,
        };
        let Expr::Name(name) = target else {
            if matches!(statement, Stmt::Assign(_)) {
                self.set_up(statement, &[target, value]);
            }
            return;
        };
        let shape = Shape::of(&[value]);
        let made_by = match value {
            Expr::Call(call) => root(&call.func),
            _ => part_of(value),
        };
        let is_part = made_by.is_some_and(|name| self.noted(name).is_some());
        let counts = shape.calls || (is_part && part_of(value).is_some());
        if counts && !shape.fixed {
            self.found.globals.push(GlobalFound {
                name: name.id.clone(),
                target: name.start(),
                statement: statement.range(),
                value: value.range(),
                fresh: matches!(value, Expr::Call(_)) && !is_part,
                set_up: Vec::new(),
                mentions: shape.names.iter().filter_map(|name| self.noted(name)).collect(),
            });
        }
    }

    /// Which of the values noted so far a name is.
    fn noted(&self, name: &Name) -> Option<usize> {
        self.found.globals.iter().position(|global| global.name == *name)
    }

    /// Notes a statement that does nothing but set a value up which was noted before, and which is not part of any
    /// other.
    fn set_up(&mut self, statement: &Stmt, parts: &[&Expr]) {
        let Some(name) = sets_up(statement) else { return };
        let Some(own) = self.noted(name).filter(|own| self.found.globals[*own].fresh) else { return };
        let shape = Shape::of(parts);
        let once = shape.names.iter().filter(|named| *named == name).count() == 1;
        let others: BTreeSet<usize> =
            shape.names.iter().filter_map(|name| self.noted(name)).filter(|other| *other != own).collect();
        // Two values that wait for each other would never be made.
        if shape.fixed || !once || others.iter().any(|other| self.needs(*other, own)) {
            return;
        }
        let global = &mut self.found.globals[own];
        global.set_up.push(statement.range());
        global.mentions.extend(others);
    }

    /// Whether making a value makes another one.
    fn needs(&self, value: usize, other: usize) -> bool {
        let mentions = &self.found.globals[value].mentions;
        mentions.contains(&other) || mentions.iter().any(|mentioned| self.needs(*mentioned, other))
    }
}

/// The name of which `value` is an item or an attribute.
fn part_of(value: &Expr) -> Option<&Name> {
    match value {
        Expr::Attribute(_) | Expr::Subscript(_) => root(value),
        _ => None,
    }
}

/// The name that a chain of attributes and items begins with.
fn root(expr: &Expr) -> Option<&Name> {
    match expr {
        Expr::Name(name) => Some(&name.id),
        Expr::Attribute(attribute) => root(&attribute.value),
        Expr::Subscript(item) => root(&item.value),
        _ => None,
    }
}

/// What expressions consist of.
#[derive(Default)]
struct Shape {
    calls: bool,
    /// One binds a name, names its surroundings, or suspends: elsewhere it would mean something else.
    fixed: bool,
    names: Vec<Name>,
}

impl Shape {
    fn of(expressions: &[&Expr]) -> Self {
        let mut shape = Self::default();
        for expression in expressions {
            shape.visit_expr(expression);
        }
        shape
    }
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
            Expr::Name(name) => self.names.push(name.id.clone()),
            _ => {}
        }
        walk_expr(self, expr);
    }
}
