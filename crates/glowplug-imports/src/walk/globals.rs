//! Statements of the module's body that could run at the first use of what they bind, as far as their text says; and
//! writes to the environment variables, which such a statement might read.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::{Ranged, TextSize};

use super::Walker;
use crate::found::GlobalFound;

/// Methods of `os.environ` that change it.
const CHANGING: [&str; 6] = ["update", "setdefault", "pop", "popitem", "clear", "__setitem__"];
/// Functions that change the environment variables.
const SETTERS: [&str; 3] = ["putenv", "unsetenv", "load_dotenv"];

impl Walker<'_> {
    /// Notes `name = value`, or `name: annotation = value`, where the value calls something and can be moved.
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
        if shape.calls && !shape.fixed {
            self.found.globals.push(GlobalFound {
                name: name.id.clone(),
                target: name.start(),
                statement: statement.range(),
                value: value.range(),
            });
        }
    }

    /// Notes a change of `os.environ`.
    pub(super) fn environment_written(&mut self, at: TextSize) {
        self.found.environment_writes.push((at, self.in_function));
    }

    /// Notes calls that change the environment variables.
    pub(super) fn environment_call(&mut self, call: &ExprCall) {
        let (name, owner) = match call.func.as_ref() {
            Expr::Name(name) => (name.id.as_str(), None),
            Expr::Attribute(attribute) => (attribute.attr.as_str(), Some(attribute.value.as_ref())),
            _ => return,
        };
        if SETTERS.contains(&name) || (CHANGING.contains(&name) && owner.is_some_and(is_environment)) {
            self.environment_written(call.start());
        }
    }
}

/// `os.environ`, or `environ`.
pub(super) fn is_environment(expr: &Expr) -> bool {
    match expr {
        Expr::Name(name) => name.id.as_str() == "environ",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "environ",
        _ => false,
    }
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
