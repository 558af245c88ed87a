//! Calls and names by which a module reads its names as a whole, and imports that are asked for by a text.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextSize};

use super::Walker;
use crate::scopes::{Meaning, ScopeId, ScopeKind};
use crate::shapes::is_own_module;

impl<'a> Walker<'a> {
    pub(super) fn namespace(&mut self, at: TextSize, how: &str) {
        self.whole_reads.push((at, how.to_owned(), self.scope));
    }

    /// The first read of the whole namespace that is one: a parameter may be called `globals` too.
    pub(super) fn settle_namespace(&mut self) {
        let scopes = &self.found.scopes;
        let is_one = |(_, how, scope): &&(TextSize, String, ScopeId)| {
            let name = how.split('(').next().unwrap_or(how);
            scopes.resolve(*scope, name) != Meaning::Local
        };
        let first = self.whole_reads.iter().filter(is_one).min_by_key(|(at, ..)| *at);
        self.found.reads_namespace = first.map(|(at, how, _)| (*at, how.clone()));
    }

    /// Whether this asks the module for one name, through `sys.modules`: its `__getattr__` answers for what is deferred.
    /// What else the expression holds is visited here.
    pub(super) fn asks_own_module(&mut self, expr: &'a Expr) -> bool {
        match expr {
            Expr::Attribute(attribute) if attribute.attr.as_str() != "__dict__" => {
                self.is_read_of_own_module(&attribute.value)
            }
            Expr::Call(call) => {
                let by_name = matches!(call.func.as_ref(), Expr::Name(name)
                    if matches!(name.id.as_str(), "getattr" | "setattr" | "hasattr" | "delattr"));
                let first = call.arguments.args.first();
                let asks = by_name && first.is_some_and(|first| self.is_read_of_own_module(first));
                if asks {
                    for argument in &call.arguments.args[1..] {
                        self.visit_expr(argument);
                    }
                }
                asks
            }
            _ => false,
        }
    }

    fn is_read_of_own_module(&mut self, expr: &'a Expr) -> bool {
        let Expr::Subscript(subscript) = expr else { return false };
        let is_it = is_own_module(&subscript.value, &subscript.slice);
        if is_it {
            walk_expr(self, expr);
        }
        is_it
    }

    /// Calls that read a whole namespace, or import by a text.
    pub(super) fn call(&mut self, call: &ExprCall) {
        let called = match call.func.as_ref() {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        let by_name = matches!(call.func.as_ref(), Expr::Name(_));
        let arguments = &call.arguments;
        let count = arguments.args.len() + arguments.keywords.len();
        let in_body = matches!(self.found.scopes.kind(self.scope), ScopeKind::Module | ScopeKind::Class);
        match called {
            "dir" if by_name && count == 0 && self.scope == 0 => self.found.listings.push(call.start()),
            "vars" | "locals" if by_name && count == 0 && in_body => {
                self.namespace(call.start(), &format!("{called}()"));
            }
            "vars" if by_name && count == 1 => {
                if let Some(Expr::Name(name)) = arguments.args.first() {
                    self.found.whole_of.push((name.id.clone(), self.scope));
                }
            }
            "eval" | "exec" if by_name && count < 2 => self.namespace(call.start(), &format!("{called}(…)")),
            "import_module" | "__import__" => {
                if let Some(Expr::StringLiteral(text)) = arguments.args.first() {
                    self.found.dynamic_imports.push((call.start(), text.value.to_str().to_owned()));
                }
            }
            _ => {}
        }
    }
}
