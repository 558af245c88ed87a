//! Calls and names by which a module reads its names as a whole, and imports that are asked for by a text.

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtAssign};
use ruff_text_size::{Ranged, TextSize};

use super::Walker;
use crate::found::Read;
use crate::scopes::{Meaning, ScopeId, ScopeKind};
use crate::shapes::{is_call_of, is_own_module};

/// How a module reads its names as a whole through itself.
pub(super) const OWN_MODULE: &str = "sys.modules[__name__]";

/// A name that is bound to the module itself.
pub(super) struct OwnModule {
    name: Name,
    scope: ScopeId,
    at: TextSize,
}

impl<'a> Walker<'a> {
    pub(super) fn namespace(&mut self, at: TextSize, how: &str) {
        self.whole_reads.push((at, how.to_owned(), self.scope));
    }

    /// `name = sys.modules[__name__]`: whether that reads all names depends on what is done with `name`.
    pub(super) fn keeps_own_module(&mut self, assign: &'a StmtAssign) -> bool {
        let ([target @ Expr::Name(name)], Expr::Subscript(subscript)) =
            (assign.targets.as_slice(), &*assign.value)
        else {
            return false;
        };
        if !is_own_module(&subscript.value, &subscript.slice) {
            return false;
        }
        // It may be for setting any of them.
        self.found.writes_namespace = true;
        self.own_modules.push(OwnModule {
            name: name.id.clone(),
            scope: self.scope,
            at: assign.value.start(),
        });
        walk_expr(self, &assign.value);
        self.visit_expr(target);
        true
    }

    /// Whether the name of the module itself is used for anything but asking for one of its names.
    fn is_passed_on(&self, own: &OwnModule) -> bool {
        let scopes = &self.found.scopes;
        let binder = scopes.binder(own.scope, &own.name);
        let whole = |read: &Read| {
            let one = read.attributes.first().is_some_and(|first| first.as_str() != "__dict__");
            !one && !self.asked.contains(&read.at)
        };
        let mut reads = self.found.reads.iter().filter(|read| read.name == own.name);
        scopes.kind(own.scope) == ScopeKind::Class
            || reads.any(|read| whole(read) && scopes.binder(read.scope, &read.name) == binder)
    }

    /// The first read of the whole namespace that is one: a parameter may be called `globals` too.
    pub(super) fn settle_namespace(&mut self) {
        let passed_on = self.own_modules.iter().filter(|own| self.is_passed_on(own));
        let passed_on: Vec<_> = passed_on.map(|own| (own.at, OWN_MODULE.to_owned(), own.scope)).collect();
        self.whole_reads.extend(passed_on);
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
                let first = call.arguments.args.first().filter(|_| by_name);
                if let Some(name @ Expr::Name(_)) = first {
                    self.asked.insert(name.start());
                }
                let asks = first.is_some_and(|first| self.is_read_of_own_module(first));
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

    /// `__import__(name, globals(), locals())`, which asks them for the package alone. What else the call holds is visited
    /// here.
    pub(super) fn imports_by_call(&mut self, call: &'a ExprCall) -> bool {
        let is_it = matches!(call.func.as_ref(), Expr::Name(name) if name.id.as_str() == "__import__");
        if !is_it {
            return false;
        }
        self.call(call);
        self.visit_expr(&call.func);
        let surroundings = |argument: &Expr| is_call_of(argument, &["globals", "locals"]);
        let arguments = call.arguments.args.iter().chain(call.arguments.keywords.iter().map(|k| &k.value));
        for argument in arguments.filter(|argument| !surroundings(argument)) {
            self.visit_expr(argument);
        }
        true
    }

    /// Notes what `exec("from x import *")` imports.
    fn imports_of_text(&mut self, call: &ExprCall) {
        let Some(Expr::StringLiteral(text)) = call.arguments.args.first() else { return };
        let Ok(parsed) = ruff_python_parser::parse_module(text.value.to_str()) else { return };
        for statement in parsed.suite() {
            match statement {
                Stmt::Import(import) => {
                    for alias in &import.names {
                        self.record_import(call.start(), alias.name.to_string(), Vec::new(), false);
                    }
                }
                Stmt::ImportFrom(from) => self.record_import_from(call.start(), from),
                _ => {}
            }
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
        if called == "exec" && by_name {
            self.imports_of_text(call);
        }
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
