//! Functions and classes of the module: what defining them does, and what calling them would do.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{Decorator, Expr, Parameters, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::called::all_hangs;
use super::expressions::written;
use super::table;
use super::value::Value;
use super::{ScopeKind, Walker};
use crate::{Aim, EffectKind, Hang, Way};

/// Methods that run when an object of a class is made.
const MAKING: [&str; 4] = ["__new__", "__init__", "__post_init__", "model_post_init"];

/// Methods that run when members of an enumeration are made.
const ENUM_HOOKS: [&str; 3] = ["__new__", "__init__", "_generate_next_value_"];

/// Names by which a class hears of what is derived from it.
const HOOKS: [&str; 4] =
    ["__init_subclass__", "__pydantic_init_subclass__", "__class_getitem__", "__mro_entries__"];

/// Methods that run when a class is derived.
const SUBCLASS_HOOKS: [&str; 2] = ["__init_subclass__", "__pydantic_init_subclass__"];

/// Decorators of methods that a data class runs on what it is made from.
const VALIDATORS: [&str; 6] =
    ["field_validator", "model_validator", "root_validator", "validates", "validator", "default"];

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

/// Where the code of a function stands.
pub(crate) fn extent(body: &[Stmt]) -> Option<TextRange> {
    Some(TextRange::new(body.first()?.start(), body.last()?.end()))
}

/// A function or a lambda.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'a> {
    parameters: Option<&'a Parameters>,
    code: Code<'a>,
    /// The scope whose names it sees; gone once the function around it has returned.
    home: usize,
}

/// What a function is called with.
#[derive(Debug)]
pub(super) struct Arguments {
    /// The first argument, where it is known apart from the others.
    pub(super) first: Option<Value>,
    pub(super) others: Value,
    /// Where what it gives is called in turn: with what.
    pub(super) then: Option<Value>,
}

impl Arguments {
    /// Nothing is known but the first.
    pub(super) fn any(first: Option<Value>) -> Self {
        Self { first, others: Value::Foreign, then: None }
    }
}

/// A class.
#[derive(Debug)]
pub(super) struct Class<'a> {
    methods: BTreeMap<&'a str, usize>,
    /// Names that its body binds.
    bound: BTreeSet<&'a str>,
    /// Names of the methods that look at what an object is made from.
    validators: Vec<&'a str>,
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
                self.annotation(annotation);
            }
        }
        if let Some(annotation) = &definition.returns {
            self.annotation(annotation);
        }
        let code = if definition.is_async { Code::Later } else { Code::Body(&definition.body) };
        let mut value = self.remember(Some(&definition.parameters), code);
        let seen = self.found.len();
        for decorator in definition.decorator_list.iter().rev() {
            value = self.decorate(decorator, value, definition.name.as_str());
        }
        if self.found.len() > seen {
            // Some decorator may call it.
            self.followed.extend(extent(&definition.body).as_ref().map(Ranged::start));
        }
        self.bind(definition.name.as_str(), value);
    }

    fn decorate(&mut self, decorator: &'a Decorator, given: Value, name: &str) -> Value {
        let expression = &decorator.expression;
        let (target, way) = match expression {
            Expr::Call(call) => {
                self.each(&call.arguments.args);
                for keyword in &call.arguments.keywords {
                    self.value(&keyword.value);
                }
                (call.func.as_ref(), Way::Decorator)
            }
            other => (other, Way::Own),
        };
        let what = format!("decorates `{name}` with `@{}`", written(target));
        let (mut hangs_on, mut aim) = (Vec::new(), None);
        let known = match (self.value(target), target) {
            (Value::Imported(path), _) => {
                let known = table::decorated(&path, given);
                let registers = path.rsplit('.').next().is_some_and(table::is_registering);
                aim = Some(Aim { path: path.clone(), on_purpose: registers });
                hangs_on.push(Hang::Call(path, way));
                known
            }
            (Value::Function(function), _) => {
                // Called with the function, which nobody else has yet.
                let arguments = match way {
                    Way::Decorator => Arguments { then: Some(Value::Own), ..Arguments::any(None) },
                    Way::Own | Way::Any => Arguments::any(Some(Value::Own)),
                };
                Some(match self.run(decorator.start(), function, arguments, &what) {
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
            self.effect_by(decorator.start(), EffectKind::Registers, what, hangs_on, aim);
            Value::Foreign
        })
    }

    pub(super) fn define_class(&mut self, definition: &'a StmtClassDef) {
        let name = definition.name.as_str();
        let mut class = Class {
            methods: BTreeMap::new(),
            bound: BTreeSet::new(),
            validators: validators(&definition.body),
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
                if keyword.arg.is_none() {
                    let what = format!("makes `{name}` with arguments that are not there to see");
                    self.effect(keyword.start(), EffectKind::Registers, what);
                }
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
            class.bound.insert(member);
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
            self.run_methods(definition.start(), base, &SUBCLASS_HOOKS, &what);
        }
        if is_enum {
            self.run_methods(definition.start(), index, &ENUM_HOOKS, &what);
        }
        let mut value = Value::Class(index);
        let seen = self.found.len();
        for decorator in definition.decorator_list.iter().rev() {
            value = self.decorate(decorator, value, name);
        }
        // Some decorator may make one and call its methods.
        self.opaque |= self.found.len() > seen;
        self.bind(name, value);
    }

    fn base(&mut self, base: &'a Expr, name: &str, class: &mut Class<'a>) {
        // `Base[int]` stands for `Base`.
        let base = match base {
            Expr::Subscript(generic) => {
                self.value(&generic.slice);
                generic.value.as_ref()
            }
            other => other,
        };
        let value = self.value(base);
        match &value {
            Value::Class(own) => {
                class.own.push(*own);
                class.is_enum |= self.classes[*own].is_enum;
                class.plain_methods |= self.classes[*own].plain_methods;
                if self.apart {
                    self.own_base(base, *own, name);
                }
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
                let aim = path.clone().map(|path| Aim { path, on_purpose: false });
                let hangs_on = path.into_iter().map(Hang::Derive).collect();
                self.effect_by(base.start(), EffectKind::Registers, what, hangs_on, aim);
            }
        }
    }

    /// A base of the module, for a class that may be made later: what its own bases, its metaclass and its hooks do.
    fn own_base(&mut self, base: &'a Expr, own: usize, name: &str) {
        let what = format!("derives `{name}` from `{}`, which may keep a book of it", written(base));
        match self.hidden_bases(own) {
            None => self.effect(base.start(), EffectKind::Registers, what),
            Some(hidden) => {
                let hangs = hidden.into_iter().map(Hang::Derive);
                self.effects_by(base.start(), EffectKind::Registers, &what, hangs);
            }
        }
    }

    /// The imported bases of a class, at any depth; `None` where something else makes it, or hears of what is derived from
    /// it.
    pub(super) fn hidden_bases(&self, class: usize) -> Option<Vec<String>> {
        let Class { bound, own, imported, odd, is_enum, .. } = &self.classes[class];
        let binds = |name: &&str| bound.contains(*name);
        if *odd || HOOKS.iter().any(binds) || (*is_enum && ENUM_HOOKS.iter().any(binds)) {
            return None;
        }
        let mut all = imported.clone();
        for base in own {
            all.extend(self.hidden_bases(*base)?);
        }
        Some(all)
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
            Value::Class(class) => SUBCLASS_HOOKS.iter().all(|hook| self.method(*class, hook).is_none()),
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
                Value::Class(class) => Some(((*name).to_owned(), self.hidden_bases(*class)?)),
                _ => None,
            })
            .collect()
    }

    /// Names of the methods that run when an object of a class is made.
    pub(super) fn making_methods(&self, class: usize) -> Vec<&'a str> {
        let mut all = MAKING.to_vec();
        self.add_validators(class, &mut all);
        all
    }

    fn add_validators(&self, class: usize, all: &mut Vec<&'a str>) {
        all.extend(&self.classes[class].validators);
        self.classes[class].own.iter().for_each(|base| self.add_validators(*base, all));
    }

    /// A method of a class or of its bases.
    pub(super) fn method(&self, class: usize, name: &str) -> Option<usize> {
        let class = &self.classes[class];
        let own = class.methods.get(name).copied();
        own.or_else(|| class.own.iter().find_map(|base| self.method(*base, name)))
    }

    /// All methods of that name of a class and its bases, the nearest first.
    pub(super) fn all_methods(&self, class: usize, name: &str) -> Vec<usize> {
        let Class { methods, own, .. } = &self.classes[class];
        let mut all: Vec<usize> = methods.get(name).copied().into_iter().collect();
        for base in own {
            all.extend(self.all_methods(*base, name));
        }
        all
    }

    /// Whether the function was defined in the module's body, and not while another one ran.
    pub(super) fn is_of_module(&self, function: usize) -> bool {
        self.functions[function].home == 0
    }

    /// Whether no base and no metaclass of it is hidden from here.
    pub(super) fn is_all_seen(&self, class: usize) -> bool {
        let Class { own, imported, odd, .. } = &self.classes[class];
        !odd && imported.is_empty() && own.iter().all(|base| self.is_all_seen(*base))
    }

    pub(super) fn has_plain_methods(&self, class: usize) -> bool {
        self.classes[class].plain_methods
    }

    /// Follows a function of the module; what it may do becomes one effect at `at`, and `what` begins its sentence.
    pub(super) fn run(&mut self, at: TextSize, function: usize, arguments: Arguments, what: &str) -> Value {
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
        let then = arguments.then.clone();
        self.bind_parameters(parameters, arguments);
        let mut value = match code {
            Code::Body(body) => {
                self.followed.extend(extent(body).as_ref().map(Ranged::start));
                self.body(body);
                self.returned.take().unwrap_or(Value::Text)
            }
            Code::Expression(expression) => {
                self.followed.insert(expression.start());
                self.value(expression)
            }
            Code::Later => Value::Own,
        };
        if let Some(given) = then {
            value = self.call_result(at, &value, given);
        }
        self.running.pop();
        self.scopes.truncate(there + 1);
        self.scopes.extend(set_aside);
        self.returned = returned;
        let inside = std::mem::replace(&mut self.found, found);
        // What is certain is told before what hangs on others.
        let certain = inside.iter().find(|effect| effect.hangs_on.is_empty());
        if let Some(effect) = certain.or(inside.first()) {
            let hangs_on = all_hangs(&inside).unwrap_or_default();
            let what = format!("{what}, which {} in line {}", effect.what, effect.line);
            let on_purpose = inside.iter().find_map(|e| e.aim.clone().filter(|aim| aim.on_purpose));
            self.effect_by(at, effect.kind, what, hangs_on, on_purpose);
        }
        value
    }

    /// Calls what a function has given, while the names around it are still there.
    fn call_result(&mut self, at: TextSize, result: &Value, given: Value) -> Value {
        if let Value::Function(inner) = result {
            return self.run(at, *inner, Arguments::any(Some(given)), "calls what it gives");
        }
        self.effect(at, EffectKind::Runs, "calls what it gives");
        Value::Foreign
    }

    fn bind_parameters(&mut self, parameters: Option<&'a Parameters>, arguments: Arguments) {
        let Some(parameters) = parameters else { return };
        let Arguments { mut first, others, .. } = arguments;
        for parameter in parameters {
            let value = if parameter.is_variadic() {
                Value::Own
            } else {
                first.take().unwrap_or_else(|| others.clone())
            };
            self.bind(parameter.name().as_str(), value);
        }
    }
}

/// Names of the methods in a class body that look at what an object is made from.
fn validators(body: &[Stmt]) -> Vec<&str> {
    let is_one = |decorator: &Decorator| {
        let target = match &decorator.expression {
            Expr::Call(call) => call.func.as_ref(),
            other => other,
        };
        VALIDATORS.contains(&written(target).rsplit('.').next().unwrap_or_default())
    };
    let methods = body.iter().filter_map(|statement| match statement {
        Stmt::FunctionDef(method) => Some(method),
        _ => None,
    });
    methods
        .filter(|method| method.decorator_list.iter().any(is_one))
        .map(|method| method.name.as_str())
        .collect()
}
