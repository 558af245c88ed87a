//! What a module's body may do to others than itself while it is imported: nothing found is nothing done.
//!
//! The body is followed statement by statement with what is known of each name: the module's own things may be
//! changed freely, those of others may not. A call is free where the table knows it, or where it is to a function
//! or class of the module whose own body is free. Everything else is an effect. Taken to act on nobody else are
//! reads of attributes and items, operators, comparisons, conversions and iteration, as Python's own library and
//! common sense have it; imports are no effect by themselves: the imported module is asked on its own.

mod called;
mod calls;
mod constructors;
mod definitions;
mod expressions;
mod fixed;
mod making;
mod scope;
mod set_up;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{ExceptHandler, Expr, Stmt, StmtExpr, StmtImport, StmtImportFrom, StmtTry};
use ruff_text_size::{Ranged, TextSize};

use crate::shapes::{is_main, is_type_alias, is_type_checking};
use crate::{Aim, Effect, EffectKind, Hang, ModuleId, Source};
pub(crate) use called::called;
pub(crate) use definitions::extent;
use definitions::{Class, Function};
pub(crate) use expressions::written;
pub(crate) use making::{Input, Making};
use scope::{Scope, ScopeKind, joined};
pub(crate) use set_up::sets_up;
use value::Value;

/// Statements followed for one module, calls included: enough for any real one, and an end for all others.
const MOST_STATEMENTS: u32 = 50_000;

/// What following a module's body has shown.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// What the body may do to others.
    pub(crate) effects: Vec<Effect>,
    /// Start of a statement that was asked about → what making its value may do, and needs.
    pub(crate) globals: BTreeMap<TextSize, Making>,
    /// Calls and assignments of the body that may configure a package: line and top-level package.
    pub(crate) configures: Vec<(u32, String)>,
    /// What the body reads beside the program.
    pub(crate) reads: BTreeSet<Source>,
    /// Classes that keep no book of what is derived from them, if the ones listed do not.
    pub(crate) classes: BTreeMap<String, Vec<String>>,
    /// Where the code of the functions and lambdas starts that the body runs; `None` where it may run others too.
    pub(crate) runs: Option<BTreeSet<TextSize>>,
}

/// What the body `suite` of the module `id` may do to others; `line_of` gives a position's line, from 1. The
/// assignments that start at `asked` are told apart.
pub(crate) fn effects(
    suite: &[Stmt],
    id: &ModuleId,
    line_of: &dyn Fn(TextSize) -> u32,
    asked: &BTreeSet<TextSize>,
) -> Followed {
    let mut walker = Walker::new(id, line_of, asked);
    walker.body(suite);
    let classes = walker.plain_classes();
    let Walker { found, made, configures, reads, followed, opaque, .. } = walker;
    // Anything else may call what it is given.
    let keeps = |effect: &Effect| {
        matches!(effect.kind, EffectKind::Patches | EffectKind::Registers | EffectKind::Warns)
    };
    let runs = (!opaque && found.iter().all(keeps)).then_some(followed);
    Followed { effects: found, globals: made, configures, reads, classes, runs }
}

/// Follows a module's body.
struct Walker<'a, 'l> {
    line_of: &'l dyn Fn(TextSize) -> u32,
    /// The module.
    id: &'l ModuleId,
    found: Vec<Effect>,
    /// The module first; its names are what functions see.
    scopes: Vec<Scope<'a>>,
    made_scopes: usize,
    functions: Vec<Function<'a>>,
    classes: Vec<Class<'a>>,
    /// Functions that are being followed.
    running: Vec<usize>,
    /// What the function that is followed may return.
    returned: Option<Value>,
    /// A star import may have bound any name.
    star: bool,
    /// Something wrote to the module's namespace as a whole.
    blurred: bool,
    left: u32,
    /// Starts of the assignments that are told apart.
    asked: &'l BTreeSet<TextSize>,
    /// What is known of the value that is being followed, if it is one of those.
    making: Option<Making>,
    made: BTreeMap<TextSize, Making>,
    configures: Vec<(u32, String)>,
    reads: BTreeSet<Source>,
    /// Where the code of the functions starts that have been followed.
    followed: BTreeSet<TextSize>,
    /// Others may call methods of its classes while the body runs.
    opaque: bool,
    /// Start of the statement of the module's body that is followed.
    current: TextSize,
    /// Start of the call that is evaluated for nothing but what it does.
    dropped: Option<TextSize>,
    /// Somebody else calls the module's functions: its own things are not the caller's. Holds how many classes the
    /// module's body has made.
    outside: Option<usize>,
    /// A class statement is followed that may run later: what it reads must be the same then.
    apart: bool,
    /// Inside an annotation.
    annotating: bool,
}

impl<'a, 'l> Walker<'a, 'l> {
    fn new(id: &'l ModuleId, line_of: &'l dyn Fn(TextSize) -> u32, asked: &'l BTreeSet<TextSize>) -> Self {
        Self {
            line_of,
            id,
            found: Vec::new(),
            scopes: vec![Scope::new(ScopeKind::Module, 0)],
            made_scopes: 1,
            functions: Vec::new(),
            classes: Vec::new(),
            running: Vec::new(),
            returned: None,
            star: false,
            blurred: false,
            left: MOST_STATEMENTS,
            asked,
            making: None,
            made: BTreeMap::new(),
            configures: Vec::new(),
            reads: BTreeSet::new(),
            followed: BTreeSet::new(),
            opaque: false,
            current: TextSize::default(),
            dropped: None,
            outside: None,
            apart: false,
            annotating: false,
        }
    }

    fn effect(&mut self, at: TextSize, kind: EffectKind, what: impl Into<String>) {
        self.effect_by(at, kind, what, Vec::new(), None);
    }

    /// An effect, unless all that it hangs on turns out to be harmless.
    fn effect_by(
        &mut self,
        at: TextSize,
        kind: EffectKind,
        what: impl Into<String>,
        hangs_on: Vec<Hang>,
        aim: Option<Aim>,
    ) {
        self.add(Effect { line: (self.line_of)(at), kind, what: what.into(), hangs_on, aim });
    }

    /// One effect for each thing that it hangs on.
    fn effects_by(&mut self, at: TextSize, kind: EffectKind, what: &str, hangs: impl Iterator<Item = Hang>) {
        for hang in hangs {
            self.effect_by(at, kind, what, vec![hang], None);
        }
    }

    fn add(&mut self, effect: Effect) {
        if !self.found.contains(&effect) {
            self.found.push(effect);
        }
    }

    fn push(&mut self, kind: ScopeKind) {
        self.scopes.push(Scope::new(kind, self.made_scopes));
        self.made_scopes += 1;
    }

    fn body(&mut self, body: &'a [Stmt]) {
        for statement in body {
            if self.left == 0 {
                self.effect(statement.start(), EffectKind::Runs, "runs more than can be followed");
                return;
            }
            self.left -= 1;
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'a Stmt) {
        if self.running.is_empty() && self.scopes.len() == 1 {
            self.current = statement.start();
        }
        if self.set_up(statement) {
            return;
        }
        match statement {
            Stmt::FunctionDef(definition) => self.define_function(definition),
            Stmt::ClassDef(definition) => {
                if self.is_asked(definition.start()) {
                    self.class_apart(definition);
                }
                self.define_class(definition);
            }
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Expr(expression) => self.expression(expression),
            Stmt::Assign(assignment) => {
                let value = self.assigned(assignment.start(), &assignment.value);
                for target in &assignment.targets {
                    self.assign(target, value.clone(), Some(&assignment.value));
                }
            }
            Stmt::AnnAssign(assignment) => {
                self.annotation(&assignment.annotation);
                if let Some(value) = &assignment.value {
                    let known = self.assigned(assignment.start(), value);
                    // Another name for a class stays what that is: it may be called, or derived from.
                    let is_name = matches!(value.as_ref(), Expr::Name(_) | Expr::Attribute(_));
                    let is_type = is_type_alias(&assignment.annotation) && !is_name;
                    let known = if is_type { Value::PlainClass } else { known };
                    self.assign(&assignment.target, known, Some(value));
                }
            }
            Stmt::AugAssign(assignment) => {
                self.value(&assignment.value);
                let old = self.value(&assignment.target);
                if self.owns(&old) {
                    self.assign(&assignment.target, old.or(Value::Own), None);
                } else {
                    let name = written(&assignment.target);
                    self.changed(&old, assignment.start(), &format!("changes `{name}` in place"));
                    self.assign(&assignment.target, Value::Foreign, None);
                }
            }
            Stmt::Delete(deletion) => {
                for target in &deletion.targets {
                    self.delete(target);
                }
            }
            Stmt::If(branches) => self.branches(branches),
            Stmt::For(each) => {
                self.iterated(&each.iter);
                self.assign(&each.target, Value::Foreign, None);
                self.repeated(&each.body, &each.orelse);
            }
            Stmt::While(condition) => {
                self.value(&condition.test);
                self.repeated(&condition.body, &condition.orelse);
            }
            Stmt::Try(attempt) => self.attempt(attempt),
            Stmt::With(with) => {
                for item in &with.items {
                    let value = self.value(&item.context_expr);
                    if !value.is_own() {
                        let name = written(&item.context_expr);
                        self.effect(item.context_expr.start(), EffectKind::Runs, format!("enters `{name}`"));
                    }
                    if let Some(target) = &item.optional_vars {
                        self.assign(
                            target,
                            if value == Value::Own { Value::Own } else { Value::Foreign },
                            None,
                        );
                    }
                }
                self.body(&with.body);
            }
            Stmt::Match(choice) => {
                self.value(&choice.subject);
                self.alternatives(
                    choice.cases.iter().map(|case| (case.guard.as_deref(), case.body.as_slice())),
                );
            }
            Stmt::Raise(raise) => {
                for part in [&raise.exc, &raise.cause].into_iter().flatten() {
                    self.value(part);
                }
            }
            Stmt::Assert(assertion) => {
                self.value(&assertion.test);
                if let Some(message) = &assertion.msg {
                    self.value(message);
                }
            }
            Stmt::Return(statement) => {
                let value = statement.value.as_ref().map_or(Value::Text, |value| self.value(value));
                self.returned = Some(match self.returned.take() {
                    Some(before) => before.or(value),
                    None => value,
                });
            }
            Stmt::TypeAlias(alias) => self.assign(&alias.name, Value::Own, None),
            Stmt::Global(names) => self.declare_outer(&names.names, true),
            Stmt::Nonlocal(names) => self.declare_outer(&names.names, false),
            Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) => {}
            Stmt::IpyEscapeCommand(command) => {
                self.effect(command.start(), EffectKind::Starts, "runs a command");
            }
        }
    }

    fn expression(&mut self, expression: &'a StmtExpr) {
        if matches!(*expression.value, Expr::BinOp(_)) {
            // Nobody computes and forgets: the operands are changed.
            let what = "evaluates an operator for what it does";
            self.effect(expression.start(), EffectKind::Patches, what);
        }
        self.dropped = matches!(*expression.value, Expr::Call(_)).then(|| expression.value.start());
        self.value(&expression.value);
    }

    fn import(&mut self, import: &'a StmtImport) {
        for alias in &import.names {
            let module = alias.name.as_str();
            if let Some(name) = &alias.asname {
                self.bind(name.as_str(), Value::Imported(module.to_owned()));
            } else {
                let top = module.split('.').next().unwrap_or(module);
                self.bind(top, Value::Imported(top.to_owned()));
            }
        }
    }

    fn import_from(&mut self, import: &'a StmtImportFrom) {
        // `from ..a import b` binds `..a.b`, and `from .. import a` binds `..a`.
        let above = ".".repeat(import.level as usize);
        let within = import.module.as_ref().map_or(above.clone(), |name| format!("{above}{name}."));
        for alias in &import.names {
            if alias.name.as_str() == "*" {
                self.star = true;
                continue;
            }
            let name = alias.asname.as_ref().unwrap_or(&alias.name);
            self.bind(name.as_str(), Value::Imported(format!("{within}{}", alias.name)));
        }
    }

    /// The branches of an `if`; one that only the type checker or a script sees is not followed.
    fn branches(&mut self, branches: &'a ruff_python_ast::StmtIf) {
        self.value(&branches.test);
        let skipped = is_type_checking(&branches.test) || is_main(&branches.test);
        let first = (!skipped).then_some((None, branches.body.as_slice()));
        let others =
            branches.elif_else_clauses.iter().map(|clause| (clause.test.as_ref(), clause.body.as_slice()));
        self.alternatives(first.into_iter().chain(others));
    }

    /// Follows bodies of which at most one runs.
    fn alternatives(&mut self, bodies: impl Iterator<Item = (Option<&'a Expr>, &'a [Stmt])>) {
        let before = self.scopes.clone();
        let mut after = before.clone();
        for (test, body) in bodies {
            self.scopes.clone_from(&before);
            if let Some(test) = test {
                self.value(test);
            }
            self.body(body);
            after = joined(after, &self.scopes);
        }
        self.scopes = after;
    }

    /// A loop's body runs any number of times; twice is enough to see what one round leaves for the next.
    fn repeated(&mut self, body: &'a [Stmt], otherwise: &'a [Stmt]) {
        for _ in 0..2 {
            self.alternatives(std::iter::once((None, body)));
        }
        self.body(otherwise);
    }

    fn attempt(&mut self, attempt: &'a StmtTry) {
        let before = self.scopes.clone();
        self.body(&attempt.body);
        // A handler starts from anywhere in the body.
        let inside = joined(before, &self.scopes);
        self.body(&attempt.orelse);
        let mut after = self.scopes.clone();
        for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
            self.scopes.clone_from(&inside);
            if let Some(kind) = &handler.type_ {
                self.value(kind);
            }
            if let Some(name) = &handler.name {
                self.bind(name.as_str(), Value::Foreign);
            }
            self.body(&handler.body);
            after = joined(after, &self.scopes);
        }
        self.scopes = after;
        self.body(&attempt.finalbody);
    }

    fn delete(&mut self, target: &'a Expr) {
        match target {
            // The module's own name.
            Expr::Name(name) => self.bind(name.id.as_str(), Value::Foreign),
            Expr::Tuple(many) => many.elts.iter().for_each(|each| self.delete(each)),
            Expr::List(many) => many.elts.iter().for_each(|each| self.delete(each)),
            Expr::Attribute(attribute) => self.change_part(&attribute.value, target, "deletes"),
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice);
                self.change_part(&subscript.value, target, "deletes");
            }
            _ => {}
        }
    }

    fn assign(&mut self, target: &'a Expr, value: Value, source: Option<&'a Expr>) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), value),
            Expr::Tuple(many) => self.assign_each(&many.elts, source),
            Expr::List(many) => self.assign_each(&many.elts, source),
            Expr::Starred(rest) => self.assign(&rest.value, Value::Own, None),
            Expr::Attribute(attribute) => self.change_part(&attribute.value, target, "sets"),
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice);
                self.change_part(&subscript.value, target, "sets");
            }
            _ => {}
        }
    }

    /// `a, b = x, y` binds one by one; anything else binds what is not known.
    fn assign_each(&mut self, targets: &'a [Expr], source: Option<&'a Expr>) {
        let parts: &[Expr] = match source {
            Some(Expr::Tuple(tuple)) if tuple.elts.len() == targets.len() => &tuple.elts,
            _ => &[],
        };
        for (index, target) in targets.iter().enumerate() {
            let part = parts.get(index);
            // Seen before as a part of the whole: it is only looked up here.
            let value = match part {
                Some(part @ (Expr::Name(_) | Expr::Attribute(_))) => self.value(part),
                Some(part) if part.is_literal_expr() => Value::Text,
                Some(Expr::List(_) | Expr::Dict(_) | Expr::Set(_)) => Value::Own,
                _ => Value::Foreign,
            };
            self.assign(target, value, part);
        }
    }

    /// An attribute or an item of `owner` is set or deleted.
    fn change_part(&mut self, owner: &'a Expr, whole: &'a Expr, verb: &str) {
        let value = self.value(owner);
        if is_namespace(owner) {
            self.blurred = true;
        }
        let what = format!("{verb} `{}`", written(whole));
        if value == Value::Made && self.is_set_up(whole.start(), what.clone()) {
            return;
        }
        if !self.owns(&value) {
            self.changed(&value, whole.start(), &what);
        }
    }

    fn changed(&mut self, value: &Value, at: TextSize, otherwise: &str) {
        self.configured(value);
        let known = if let Value::Imported(path) = value { table::shared(path) } else { None };
        self.effect_by(at, EffectKind::Patches, known.unwrap_or(otherwise), Vec::new(), aim_at(value, true));
    }
}

/// An effect on a value, where that was imported: a logger of others is `logging`'s.
fn aim_at(value: &Value, on_purpose: bool) -> Option<Aim> {
    let path = match value {
        Value::Imported(path) => path.clone(),
        Value::Handle(value::Handle::Logger { own: false }) => "logging.getLogger".to_owned(),
        _ => return None,
    };
    Some(Aim { path, on_purpose })
}

/// `globals()`, `vars()` or `locals()`, which are the module's own.
fn is_namespace(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let named = matches!(call.func.as_ref(), Expr::Name(name) if matches!(name.id.as_str(), "globals" | "vars" | "locals"));
    named && call.arguments.is_empty()
}
