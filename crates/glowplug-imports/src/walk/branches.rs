//! Conditions of the module's body: which branches run in every import, and which in none.

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{Expr, Stmt, StmtAssign, StmtIf, UnaryOp};

use super::Walker;
use super::quiet::TYPING;
use crate::shapes::{is_main, is_type_checking};

impl<'a> Walker<'a> {
    pub(super) fn condition(&mut self, statement: &'a StmtIf) {
        self.visit_expr(&statement.test);
        let (typing_only, conditional, later) = (self.typing_only, self.conditional, self.later);
        self.conditional = true;
        if is_type_checking(&statement.test) {
            self.typing_only = true;
        } else if self.scope == 0 && is_main(&statement.test) {
            self.later = true;
        }
        let here = self.scope == 0 && self.depth == self.certain;
        let certain = here && self.is_certain(&statement.test);
        self.branch(certain, &statement.body);
        (self.typing_only, self.later) = (typing_only, later);
        let dead = self.dead;
        self.dead |= certain;
        for clause in &statement.elif_else_clauses {
            if let Some(test) = &clause.test {
                self.visit_expr(test);
            }
            let alone = statement.elif_else_clauses.len() == 1 && clause.test.is_none();
            self.branch(here && alone && self.is_typing_flag(&statement.test), &clause.body);
        }
        self.dead = dead;
        self.conditional = conditional;
    }

    fn branch(&mut self, certain: bool, body: &'a [Stmt]) {
        self.certain += u32::from(certain);
        self.nested(|walker| walker.visit_body(body));
        self.certain -= u32::from(certain);
    }

    /// Whether a condition of the module's body holds in every import: `not TYPE_CHECKING`, `not MYPY` after `MYPY = False`.
    fn is_certain(&self, test: &Expr) -> bool {
        let Expr::UnaryOp(operation) = test else { return false };
        let is_false = |name: &Name| self.false_names.contains(name) && self.bound_times(name) == 1;
        operation.op == UnaryOp::Not
            && match operation.operand.as_ref() {
                Expr::Name(name) if is_false(&name.id) => true,
                operand => self.is_typing_flag(operand),
            }
    }

    /// Whether it is `typing`'s own constant, and no name that somebody else gave the same.
    fn is_typing_flag(&self, test: &Expr) -> bool {
        self.is_of(test, "TYPE_CHECKING", TYPING)
    }

    /// Notes a name of the module that holds `False`.
    pub(super) fn holds_false(&mut self, assign: &StmtAssign) {
        if let (Expr::BooleanLiteral(literal), [Expr::Name(name)]) =
            (&*assign.value, assign.targets.as_slice())
            && self.scope == 0
            && self.depth == 0
            && !literal.value
        {
            self.false_names.insert(name.id.clone());
        }
    }
}
