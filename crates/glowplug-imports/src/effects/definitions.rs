//! Functions and classes of the module: what defining them does, and what calling them would do.

use std::collections::BTreeMap;

use ruff_python_ast::{Decorator, Expr, Parameters, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use super::expressions::written;
use super::table;
use super::value::Value;
use super::{ScopeKind, Walker};
use crate::{Effect, EffectKind};

/// Calls within calls that are followed.
const DEEPEST: usize = 12;

/// What a function runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code<'a> {
    Body(&'a [Stmt]),
    /// A lambda's.
    Expression(&'a Expr),
    /// A coroutine's, which a call alone does not run.
    Later,
}

/// A function or a lambda.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'a> {
    parameters: Option<&'a Parameters>,
    code: Code<'a>,
    /// The scope whose names it sees; gone once the function around it has returned.
    home: usize,
}

/// A class.
#[derive(Debug)]
pub(super) struct Class<'a> {
    methods: BTreeMap<&'a str, usize>,
    /// Bases and metaclass, as far as they are the module's own.
    own: Vec<usize>,
    is_enum: bool,
    /// Whether it inherits methods that are not to be seen here, and which act on nobody else.
    plain_methods: bool,
    /// Imported bases that are not known here, by their paths.
    imported: Vec<String>,
    /// Whether it has a base or a metaclass that no path names.
    odd: bool,
}

impl<'a> Walker<'a, '_> {
    /// Makes a function known.
    pub(super) fn remember(&mut self, parameters: Option<&'a Parameters>, code: Code<'a>) -> Value {
        let home =
            self.scopes.iter().rev().find(|scope| scope.kind != ScopeKind::Class).map_or(0, |scope| scope.id);
        self.functions.push(Function { parameters, code, home });
        Value::Function(self.functions.len() - 1)
    }

    pub(super) fn define_function(&mut self, definition: &'a StmtFunctionDef) {
        self.defaults(Some(&definition.parameters));
        for parameter in &*definition.parameters {
            if let Some(annotation) = parameter.annotation() {
                self.value(annotation);
            }
        }
        if let Some(annotation) = &definition.returns {
            self.value(annotation);
        }
        let code = if definition.is_async { Code::Later } else { Code::Body(&definition.body) };
        let mut value = self.remember(Some(&definition.parameters), code);
        for decorator in definition.decorator_list.iter().rev() {
            value = self.decorate(decorator, value, definition.name.as_str());
        }
        self.bind(definition.name.as_str(), value);
    }

    fn decorate(&mut self, decorator: &'a Decorator, given: Value, name: &str) -> Value {
        let expression = &decorator.expression;
        let target = match expression {
            Expr::Call(call) => {
                self.each(&call.arguments.args);
                for keyword in &call.arguments.keywords {
                    self.value(&keyword.value);
                }
                call.func.as_ref()
            }
            other => other,
        };
        let known = match (self.value(target), target) {
            (Value::Imported(path), _) => table::decorated(&path, given),
            (Value::Function(function), _) if matches!(expression, Expr::Name(_) | Expr::Attribute(_)) => {
                let what = format!("decorates `{name}` with `@{}`", written(target));
                // Called with the function, which nobody else has yet.
                Some(match self.run(decorator.start(), function, Some(Value::Own), &what) {
                    Value::Foreign => Value::Own,
                    other => other,
                })
            }
            // `@x.setter`, `@f.register(int)`: parts of what other decorators here have made.
            (_, Expr::Attribute(part)) if self.value(&part.value) == Value::Own => {
                matches!(part.attr.as_str(), "deleter" | "getter" | "register" | "setter")
                    .then_some(Value::Own)
            }
            _ => None,
        };
        known.unwrap_or_else(|| {
            let what = format!("decorates `{name}` with `@{}`", written(target));
            self.effect(decorator.start(), EffectKind::Registers, what);
            Value::Foreign
        })
    }

    pub(super) fn define_class(&mut self, definition: &'a StmtClassDef) {
        let name = definition.name.as_str();
        let mut class = Class {
            methods: BTreeMap::new(),
            own: Vec::new(),
            is_enum: false,
            plain_methods: false,
            imported: Vec::new(),
            odd: false,
        };
        if let Some(arguments) = &definition.arguments {
            for base in &arguments.args {
                self.base(base, name, &mut class);
            }
            for keyword in &arguments.keywords {
                let value = self.value(&keyword.value);
                if keyword.arg.as_ref().is_some_and(|argument| argument.as_str() == "metaclass") {
                    self.metaclass(&keyword.value, value, name, &mut class);
                }
            }
        }
        self.push(ScopeKind::Class);
        self.body(&definition.body);
        let members = self.scopes.pop().map(|scope| scope.names).unwrap_or_default();
        let mut instances = Vec::new();
        for (member, value) in members {
            match value {
                Value::Function(function) => drop(class.methods.insert(member, function)),
                Value::Instance(made) => instances.push(made),
                _ => {}
            }
        }
        let (inherited, is_enum) = (class.own.clone(), class.is_enum);
        self.classes.push(class);
        let index = self.classes.len() - 1;
        let what = format!("defines the class `{name}`");
        for made in instances {
            self.run_methods(definition.start(), made, &["__set_name__"], &what);
        }
        for base in inherited {
            self.run_methods(definition.start(), base, &["__init_subclass__"], &what);
        }
        if is_enum {
            self.run_methods(
                definition.start(),
                index,
                &["__new__", "__init__", "_generate_next_value_"],
                &what,
            );
        }
        let mut value = Value::Class(index);
        for decorator in definition.decorator_list.iter().rev() {
            value = self.decorate(decorator, value, name);
        }
        self.bind(name, value);
    }

    fn base(&mut self, base: &'a Expr, name: &str, class: &mut Class<'a>) {
        let value = self.value(base);
        match &value {
            Value::Class(own) => {
                class.own.push(*own);
                class.is_enum |= self.classes[*own].is_enum;
                class.plain_methods |= self.classes[*own].plain_methods;
            }
            Value::Imported(path) if table::is_plain_base(path) => {
                class.is_enum |= table::is_enum(path);
                class.plain_methods |= path.starts_with("builtins.") || path.starts_with("collections.");
            }
            Value::PlainClass => class.plain_methods = true,
            _ => {
                let shown = written(base);
                let what = format!("derives `{name}` from `{shown}`, which may keep a book of it");
                let path = if let Value::Imported(path) = value { Some(path) } else { None };
                class.odd |= path.is_none();
                class.imported.extend(path.clone());
                let line = (self.line_of)(base.start());
                self.add(Effect { line, kind: EffectKind::Registers, what, base: path });
            }
        }
    }

    fn metaclass(&mut self, written_as: &'a Expr, value: Value, name: &str, class: &mut Class<'a>) {
        match value {
            Value::Imported(path) if table::is_plain_metaclass(&path) => {
                class.is_enum |= table::is_enum(&path);
            }
            Value::Class(own) => {
                let what = format!("defines the class `{name}`");
                self.run_methods(written_as.start(), own, &["__prepare__", "__new__", "__init__"], &what);
                class.own.push(own);
                class.odd = true;
            }
            _ => {
                class.odd = true;
                let what = format!("makes `{name}` with the metaclass `{}`", written(written_as));
                self.effect(written_as.start(), EffectKind::Registers, what);
            }
        }
    }

    /// Whether a class may be derived from it without anybody noticing.
    pub(super) fn is_plain_base(&self, value: &Value) -> bool {
        match value {
            Value::Imported(path) => table::is_plain_base(path),
            Value::Class(class) => self.method(*class, "__init_subclass__").is_none(),
            Value::PlainClass => true,
            _ => false,
        }
    }

    /// Classes of the module, by name, that keep no book of what is derived from them: with the imported bases that
    /// must not either.
    pub(super) fn plain_classes(&self) -> BTreeMap<String, Vec<String>> {
        let known = self.scopes[0].names.iter().filter(|_| !self.blurred);
        known
            .filter_map(|(name, value)| match value {
                Value::Class(class) => Some(((*name).to_owned(), self.imported_bases(*class)?)),
                _ => None,
            })
            .collect()
    }

    fn imported_bases(&self, class: usize) -> Option<Vec<String>> {
        let Class { methods, own, imported, odd, .. } = &self.classes[class];
        if *odd || methods.contains_key("__init_subclass__") {
            return None;
        }
        let mut all = imported.clone();
        for base in own {
            all.extend(self.imported_bases(*base)?);
        }
        Some(all)
    }

    /// A method of a class or of its bases.
    pub(super) fn method(&self, class: usize, name: &str) -> Option<usize> {
        let class = &self.classes[class];
        let own = class.methods.get(name).copied();
        own.or_else(|| class.own.iter().find_map(|base| self.method(*base, name)))
    }

    pub(super) fn has_plain_methods(&self, class: usize) -> bool {
        self.classes[class].plain_methods
    }

    /// Follows a function of the module with nothing known of its arguments but the first; what it may do becomes
    /// one effect at `at`, and `what` begins its sentence.
    pub(super) fn run(&mut self, at: TextSize, function: usize, first: Option<Value>, what: &str) -> Value {
        if self.running.contains(&function) {
            // What it does is being found out.
            return Value::Foreign;
        }
        let Function { parameters, code, home } = self.functions[function];
        let there = self.scopes.iter().position(|scope| scope.id == home);
        let (Some(there), true) = (there, self.running.len() < DEEPEST) else {
            self.effect(at, EffectKind::Runs, format!("{what}, which cannot be followed"));
            return Value::Foreign;
        };
        let set_aside = self.scopes.split_off(there + 1);
        let found = std::mem::take(&mut self.found);
        let returned = self.returned.take();
        self.push(ScopeKind::Function);
        self.running.push(function);
        self.bind_parameters(parameters, first);
        let value = match code {
            Code::Body(body) => {
                self.body(body);
                self.returned.take().unwrap_or(Value::Text)
            }
            Code::Expression(expression) => self.value(expression),
            Code::Later => Value::Own,
        };
        self.running.pop();
        self.scopes.truncate(there + 1);
        self.scopes.extend(set_aside);
        self.returned = returned;
        let inside = std::mem::replace(&mut self.found, found);
        if let Some(effect) = inside.first() {
            self.effect(at, effect.kind, format!("{what}, which {} in line {}", effect.what, effect.line));
        }
        value
    }

    fn bind_parameters(&mut self, parameters: Option<&'a Parameters>, first: Option<Value>) {
        let Some(parameters) = parameters else { return };
        let mut first = first;
        for parameter in parameters {
            let value =
                if parameter.is_variadic() { Value::Own } else { first.take().unwrap_or(Value::Foreign) };
            self.bind(parameter.name().as_str(), value);
        }
    }
}
