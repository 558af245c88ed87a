//! One walk over a module: scopes, reads of names, imports, and reads of whole namespaces.

mod annotations;
mod branches;
mod globals;
mod namespaces;
mod quiet;

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_pattern, walk_stmt};
use ruff_python_ast::{
    AnyParameterRef, Comprehension, ExceptHandler, Expr, ExprContext, Identifier, InterpolatedStringElement,
    Parameters, Pattern, Stmt, StmtClassDef, StmtFunctionDef, StmtImportFrom, TypeParams,
};
use ruff_text_size::{Ranged, TextSize};

use self::globals::stored_part_of;
use self::namespaces::{OWN_MODULE, OwnModule};
use self::quiet::hears_of_derived;
use crate::found::{Annotations, AnyImport, Clause, Fixed, Found, Read};
use crate::scopes::{ScopeId, ScopeKind};
use crate::shapes::{chain, is_globals, is_own_module, is_quiet, is_update_of_globals};
use crate::signatures::waits;
use crate::{ModuleId, UseKind};

/// The state of the walk.
pub(crate) struct Walker<'a> {
    id: &'a ModuleId,
    annotations: Annotations,
    place_of: &'a dyn Fn(TextSize) -> crate::Place,
    found: Found,
    scope: ScopeId,
    /// Whether what is read now is read when a function runs.
    later: bool,
    /// Compound statements of the module's body around the current statement.
    depth: u32,
    /// How many of them are branches that run in every import.
    certain: u32,
    /// In a branch that runs in no import.
    dead: bool,
    /// Classes of the module in whose making, and in that of classes derived from them, nobody looks at annotations.
    quiet_classes: BTreeSet<Name>,
    /// Names of classes that the module gives an `__init_subclass__` after they are made.
    told_classes: BTreeSet<Name>,
    /// Names of the module that hold `False`.
    false_names: BTreeSet<Name>,
    /// Names of the module for types with others in them, and for unions.
    types: BTreeSet<Name>,
    in_function: bool,
    typing_only: bool,
    conditional: bool,
    /// Set inside an annotation, unless it is evaluated with what is around it.
    annotation: Option<UseKind>,
    /// Index of the signature around, where its annotations could wait.
    signature: Option<usize>,
    /// Index of that of the class around, for the annotations of its variables.
    class_signature: Option<usize>,
    /// A statement around may catch what fails here, or run it again.
    guarded: bool,
    fstring: Option<TextSize>,
    fixed: Option<Fixed>,
    /// Whether the class around reads the annotations of its body.
    class_reads: bool,
    /// The module's own `__getattr__` or `__dir__` around: whole reads of the namespace there are served.
    answering: Option<&'a str>,
    /// Expressions that read the module's names as a whole, if their own names mean what they seem to.
    whole_reads: Vec<(TextSize, String, ScopeId)>,
    /// Names that are bound to the module itself.
    own_modules: Vec<OwnModule>,
    /// Where names stand that are asked for one of their attributes by `getattr` and the like.
    asked: BTreeSet<TextSize>,
}

impl<'a> Walker<'a> {
    pub(crate) fn run(
        suite: &'a [Stmt],
        id: &'a ModuleId,
        annotations: Annotations,
        place_of: &'a dyn Fn(TextSize) -> crate::Place,
    ) -> Found {
        let mut walker = Self {
            id,
            annotations,
            place_of,
            found: Found::default(),
            scope: 0,
            later: false,
            depth: 0,
            certain: 0,
            dead: false,
            quiet_classes: BTreeSet::new(),
            told_classes: BTreeSet::new(),
            false_names: BTreeSet::new(),
            types: BTreeSet::new(),
            in_function: false,
            typing_only: false,
            conditional: false,
            annotation: None,
            signature: None,
            class_signature: None,
            guarded: false,
            fstring: None,
            fixed: None,
            class_reads: false,
            answering: None,
            whole_reads: Vec::new(),
            own_modules: Vec::new(),
            asked: BTreeSet::new(),
        };
        walker.visit_body(suite);
        walker.settle_namespace();
        crate::classes::keep_holding(&mut walker.found);
        walker.found
    }

    fn bind(&mut self, name: &Identifier) {
        self.bind_name(&name.id.clone(), name.start());
    }

    fn bind_name(&mut self, name: &Name, at: TextSize) {
        self.found.scopes.bind(self.scope, name);
        if self.scope == 0 && !self.dead {
            self.found.rebound.push((name.clone(), at));
            if self.depth > self.certain && name.as_str() == "__getattr__" {
                self.found.conditional_getattr.get_or_insert(at);
            }
        }
    }

    /// Runs `body` in a new scope.
    fn inside(&mut self, kind: ScopeKind, body: impl FnOnce(&mut Self)) {
        let outer = self.scope;
        self.scope = self.found.scopes.open(kind, outer);
        body(self);
        self.scope = outer;
    }

    /// Runs `body` as what a later call runs.
    fn called_later(&mut self, body: impl FnOnce(&mut Self)) {
        let (later, in_function) = (self.later, self.in_function);
        (self.later, self.in_function) = (true, true);
        body(self);
        (self.later, self.in_function) = (later, in_function);
    }

    fn nested(&mut self, body: impl FnOnce(&mut Self)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// Runs `body` as what a statement of the module catches the errors of, or repeats.
    fn guarded(&mut self, body: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.guarded, true);
        self.nested(body);
        self.guarded = outer;
    }

    fn import(&mut self, statement: &'a Stmt) {
        let place = (self.place_of)(statement.start());
        let end_line = (self.place_of)(statement.end()).line;
        let at = statement.start();
        let clauses = match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.record_import(at, alias.name.to_string(), Vec::new(), false);
                }
                crate::clauses::of_import(import, place, end_line)
            }
            Stmt::ImportFrom(from) => {
                self.record_import_from(at, from);
                let star = from.names.iter().any(|alias| alias.name.as_str() == "*");
                if star && self.scope == 0 {
                    self.found.star.get_or_insert(at);
                }
                crate::clauses::of_import_from(self.id, from, place, end_line)
            }
            _ => return,
        };
        for (name, statement) in clauses {
            self.found.scopes.bind(self.scope, &Name::new(&name));
            if self.scope == 0 && !self.typing_only {
                self.found.clauses.push(Clause { name, statement, nested: self.depth > 0 });
            }
        }
    }

    fn record_import_from(&mut self, at: TextSize, from: &StmtImportFrom) {
        let star = from.names.iter().any(|alias| alias.name.as_str() == "*");
        let asked = from.module.as_ref().map(Identifier::as_str);
        if let Some(module) = crate::clauses::absolute(self.id, from.level, asked) {
            let names =
                if star { Vec::new() } else { from.names.iter().map(|a| a.name.to_string()).collect() };
            self.record_import(at, module, names, star);
        }
    }

    fn record_import(&mut self, at: TextSize, module: String, names: Vec<String>, star: bool) {
        self.found.imports.push(AnyImport {
            at,
            module,
            names,
            star,
            in_function: self.in_function,
            typing_only: self.typing_only,
            conditional: self.conditional,
        });
    }

    fn function(&mut self, function: &'a StmtFunctionDef) {
        self.bind(&function.name);
        let name = function.name.as_str();
        let answers = (self.scope == 0 && matches!(name, "__getattr__" | "__dir__")).then_some(name);
        for decorator in &function.decorator_list {
            self.visit_decorator(decorator);
        }
        let read = function.decorator_list.iter().any(|decorator| !is_quiet(decorator));
        self.typed(function.type_params.as_deref(), |walker| {
            walker.defaults(&function.parameters);
            walker.annotations_of(function, read);
            walker.inside(ScopeKind::Function, |walker| {
                walker.parameters(&function.parameters);
                walker.called_later(|walker| {
                    let class_reads = std::mem::take(&mut walker.class_reads);
                    let outer = walker.answering;
                    walker.answering = outer.or(answers);
                    walker.visit_body(&function.body);
                    (walker.class_reads, walker.answering) = (class_reads, outer);
                });
            });
        });
    }

    /// Type parameters are a scope of their own around what they belong to.
    fn typed(&mut self, parameters: Option<&'a TypeParams>, body: impl FnOnce(&mut Self)) {
        let Some(parameters) = parameters else { return body(self) };
        self.inside(ScopeKind::Function, |walker| {
            for parameter in &parameters.type_params {
                walker.found.scopes.bind(walker.scope, &parameter.name().id.clone());
            }
            walker.visit_type_params(parameters);
            body(walker);
        });
    }

    /// They belong to the scope around the function.
    fn defaults(&mut self, parameters: &'a Parameters) {
        for default in parameters.iter().filter_map(AnyParameterRef::default) {
            self.visit_expr(default);
        }
    }

    fn parameters(&mut self, parameters: &Parameters) {
        for parameter in parameters {
            self.found.scopes.bind(self.scope, &parameter.name().id.clone());
        }
    }

    fn class(&mut self, class: &'a StmtClassDef) {
        let (moves, reads_before) = (self.could_move(class), self.found.reads.len());
        self.bind(&class.name);
        if self.scope == 0 {
            self.found.classes.push((class.name.id.clone(), class.end()));
        }
        for decorator in &class.decorator_list {
            self.visit_decorator(decorator);
        }
        let reads = !self.ignores_annotations(class);
        if !reads && self.scope == 0 && self.depth == 0 && !hears_of_derived(class) {
            self.quiet_classes.insert(class.name.id.clone());
        }
        self.typed(class.type_params.as_deref(), |walker| {
            if let Some(arguments) = &class.arguments {
                walker.visit_arguments(arguments);
            }
            let signature = if reads { None } else { walker.signature_of_class(class) };
            walker.inside(ScopeKind::Class, |walker| {
                let outer = std::mem::replace(&mut walker.class_reads, reads);
                let signature = std::mem::replace(&mut walker.class_signature, signature);
                walker.nested(|walker| walker.visit_body(&class.body));
                (walker.class_reads, walker.class_signature) = (outer, signature);
            });
        });
        if moves {
            self.class_that_moves(class, reads_before);
        }
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], results: &[&'a Expr]) {
        // The first source is evaluated outside.
        if let Some(first) = generators.first() {
            self.visit_expr(&first.iter);
        }
        self.inside(ScopeKind::Comprehension, |walker| {
            for (index, generator) in generators.iter().enumerate() {
                if index > 0 {
                    walker.visit_expr(&generator.iter);
                }
                walker.visit_expr(&generator.target);
                for condition in &generator.ifs {
                    walker.visit_expr(condition);
                }
            }
            for result in results {
                walker.visit_expr(result);
            }
        });
    }

    fn name(&mut self, expr: &'a Expr, attributes: Vec<Name>) {
        let Expr::Name(name) = expr else { return };
        match name.ctx {
            ExprContext::Load => {
                match (name.id.as_str(), self.answering) {
                    // Deferred names are never asked for there.
                    ("globals", Some("__getattr__")) => {}
                    ("globals", Some(_)) => self.found.listed_globals.push(name.start()),
                    ("globals", None) => self.namespace(name.start(), "globals()"),
                    _ => {}
                }
                if self.typing_only {
                    return;
                }
                self.found.reads.push(Read {
                    name: name.id.clone(),
                    at: name.start(),
                    scope: self.scope,
                    kind: self.annotation.unwrap_or(if self.later {
                        UseKind::Later
                    } else {
                        UseKind::AtImport
                    }),
                    fstring: self.fstring,
                    fixed: self.fixed,
                    attributes,
                    signature: self.signature,
                });
            }
            context => {
                self.bind_name(&name.id.clone(), name.start());
                if self.scope == 0 && context == ExprContext::Del {
                    self.found.deleted.push((name.id.clone(), name.start()));
                }
            }
        }
    }
}

impl<'a> Visitor<'a> for Walker<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.global(stmt);
        match stmt {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.import(stmt),
            Stmt::Global(global) => {
                for name in &global.names {
                    self.found.scopes.declare_global(self.scope, &name.id);
                }
            }
            Stmt::Nonlocal(nonlocal) => {
                for name in &nonlocal.names {
                    self.found.scopes.declare_nonlocal(self.scope, &name.id);
                }
            }
            Stmt::Assign(assign) if self.keeps_own_module(assign) => {}
            Stmt::Assign(assign) => {
                self.holds_false(assign);
                walk_stmt(self, stmt);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                }
                // In a function they are not evaluated at all.
                if self.found.scopes.kind(self.scope) != ScopeKind::Function {
                    let of_class = self.found.scopes.kind(self.scope) == ScopeKind::Class;
                    let signature = self.class_signature.filter(|_| of_class);
                    let outer = std::mem::replace(&mut self.signature, signature);
                    self.annotation_of_variable(&assign.annotation, self.class_reads && of_class);
                    self.signature = outer;
                }
                self.visit_expr(&assign.target);
            }
            Stmt::TypeAlias(alias) => {
                self.visit_expr(&alias.name);
                self.typed(alias.type_params.as_deref(), |walker| {
                    walker.called_later(|walker| walker.visit_expr(&alias.value));
                });
            }
            Stmt::If(statement) => self.condition(statement),
            Stmt::Try(statement) => {
                self.guarded(|walker| walker.visit_body(&statement.body));
                let conditional = std::mem::replace(&mut self.conditional, true);
                self.guarded(|walker| {
                    for handler in &statement.handlers {
                        walker.visit_except_handler(handler);
                    }
                    walker.visit_body(&statement.orelse);
                    walker.visit_body(&statement.finalbody);
                });
                self.conditional = conditional;
            }
            Stmt::For(_) | Stmt::While(_) | Stmt::With(_) | Stmt::Match(_) => {
                self.guarded(|walker| walk_stmt(walker, stmt));
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind(name);
        }
        ruff_python_ast::visitor::walk_except_handler(self, handler);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if self.asks_own_module(expr) {
            return;
        }
        if self.signature.is_some() && !waits(expr) {
            // It is evaluated where it stands.
            let signature = self.signature.take();
            self.visit_expr(expr);
            self.signature = signature;
            return;
        }
        if let Expr::Attribute(_) | Expr::Subscript(_) = expr
            && let Some(name) = stored_part_of(expr)
        {
            if expr.as_attribute_expr().is_some_and(|part| part.attr.as_str() == "__init_subclass__") {
                self.quiet_classes.remove(name);
                self.told_classes.insert(name.clone());
            }
            self.found.part_stores.push((name.clone(), expr.start(), self.scope));
        }
        self.type_texts(expr);
        self.call_texts(expr);
        match expr {
            Expr::Name(_) => self.name(expr, Vec::new()),
            Expr::Attribute(_) => match chain(expr) {
                Some((base, attributes)) => self.name(base, attributes),
                None => walk_expr(self, expr),
            },
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.defaults(parameters);
                }
                self.inside(ScopeKind::Function, |walker| {
                    if let Some(parameters) = &lambda.parameters {
                        walker.parameters(parameters);
                    }
                    walker.called_later(|walker| walker.visit_expr(&lambda.body));
                });
            }
            Expr::ListComp(c) => self.comprehension(&c.generators, &[&c.elt]),
            Expr::SetComp(c) => self.comprehension(&c.generators, &[&c.elt]),
            Expr::Generator(c) => self.comprehension(&c.generators, &[&c.elt]),
            Expr::DictComp(c) => {
                let mut results: Vec<&Expr> = c.key.as_deref().into_iter().collect();
                results.push(&c.value);
                self.comprehension(&c.generators, &results);
            }
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                if let Expr::Name(name) = named.target.as_ref() {
                    let target = self.found.scopes.outside_comprehensions(self.scope);
                    let outer = std::mem::replace(&mut self.scope, target);
                    self.bind_name(&name.id.clone(), name.start());
                    self.scope = outer;
                }
            }
            Expr::FString(_) => {
                let outer = self.fstring;
                self.fstring.get_or_insert(expr.start());
                walk_expr(self, expr);
                self.fstring = outer;
            }
            Expr::TString(_) => {
                let outer = self.fixed.replace(Fixed::Template);
                walk_expr(self, expr);
                self.fixed = outer;
            }
            // `globals()[name] = value` reads nothing.
            Expr::Subscript(subscript)
                if subscript.ctx == ExprContext::Store && is_globals(&subscript.value) =>
            {
                self.found.writes_namespace = true;
                self.visit_expr(&subscript.slice);
            }
            Expr::Call(call) if is_update_of_globals(call) => {
                self.found.writes_namespace = true;
                self.visit_arguments(&call.arguments);
            }
            Expr::Subscript(subscript) if is_own_module(&subscript.value, &subscript.slice) => {
                if subscript.ctx == ExprContext::Load {
                    self.namespace(expr.start(), OWN_MODULE);
                } else {
                    self.found.replaces_itself.get_or_insert(expr.start());
                }
                walk_expr(self, expr);
            }
            Expr::Call(call) if self.imports_by_call(call) => {}
            Expr::Call(call) => {
                self.call(call);
                walk_expr(self, expr);
            }
            _ => walk_expr(self, expr),
        }
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        let outer = self.fixed;
        if let InterpolatedStringElement::Interpolation(inner) = element
            && inner.debug_text.is_some()
        {
            self.fixed = self.fixed.or(Some(Fixed::SelfDocumenting));
        }
        ruff_python_ast::visitor::walk_interpolated_string_element(self, element);
        self.fixed = outer;
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let bound = match pattern {
            Pattern::MatchAs(inner) => inner.name.as_ref(),
            Pattern::MatchStar(inner) => inner.name.as_ref(),
            Pattern::MatchMapping(inner) => inner.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = bound {
            self.bind(name);
        }
        let outer = self.fixed.replace(Fixed::Pattern);
        walk_pattern(self, pattern);
        self.fixed = outer;
    }
}
