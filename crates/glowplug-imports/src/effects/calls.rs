//! What a call may do: by the table, or by following what is called.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextSize};

use super::definitions::Arguments;
use super::expressions::written;
use super::table;
use super::value::{Handle, Value};
use super::{Walker, aim_at, is_namespace};
use crate::{Aim, EffectKind, Hang, Source, Way};

/// The arguments of a call, evaluated.
struct Given<'a> {
    positional: Vec<Value>,
    named: Vec<(&'a str, Value)>,
}

impl Given<'_> {
    /// Whether the caller alone holds them, and nothing is called that is among them but by what is called.
    fn is_own(&self) -> bool {
        // What an object's methods do, whoever calls them, is not followed.
        let own = |value: &Value| value.is_own() && !matches!(value, Value::Instance(_));
        self.positional.iter().all(own) && self.named.iter().all(|(_, value)| own(value))
    }

    fn find(&self, position: Option<usize>, keyword: &str) -> Option<&Value> {
        position
            .and_then(|position| self.positional.get(position))
            .or_else(|| self.named.iter().find(|(name, _)| *name == keyword).map(|(_, value)| value))
    }
}

impl<'a> Walker<'a, '_> {
    pub(super) fn call(&mut self, call: &'a ExprCall) -> Value {
        let positional = call.arguments.args.iter().map(|argument| self.value(argument)).collect();
        let mut named = Vec::new();
        for keyword in &call.arguments.keywords {
            let value = self.value(&keyword.value);
            named.push((keyword.arg.as_ref().map_or("", |name| name.as_str()), value));
        }
        let given = Given { positional, named };
        for value in given.positional.iter().chain(given.named.iter().map(|(_, value)| value)) {
            self.taken(value);
        }
        if let Expr::Attribute(attribute) = call.func.as_ref() {
            let owner = self.value(&attribute.value);
            if is_namespace(&attribute.value)
                && !table::is_fresh(attribute.attr.as_str())
                && attribute.attr.as_str() != "get"
            {
                self.blurred = true;
            }
            return match owner {
                Value::Imported(path) => self.call_path(call, &format!("{path}.{}", attribute.attr), &given),
                owner => self.call_method(call, &owner, attribute.attr.as_str(), &given),
            };
        }
        match self.value(&call.func) {
            Value::Imported(path) => self.call_path(call, &path, &given),
            Value::Function(function) => self.follow(call, function, None, &given),
            Value::Class(class) => self.construct(call, class),
            Value::PlainClass => Value::Own,
            instance @ Value::Instance(class) => {
                self.call_own_method(call, (class, &instance), "__call__", &given)
            }
            _ => self.unknown_call(call),
        }
    }

    fn unknown_call(&mut self, call: &'a ExprCall) -> Value {
        self.unknown_call_by(call, Vec::new(), None)
    }

    /// A call of something that another module may tell about.
    fn foreign_call(&mut self, call: &'a ExprCall, path: &str, given: &Given<'a>) -> Value {
        let way = if given.is_own() { Way::Own } else { Way::Any };
        let on_purpose = self.is_dropped(call) || table::is_registering(last(path));
        let aim = Aim { path: path.to_owned(), on_purpose };
        self.unknown_call_by(call, vec![Hang::Call(path.to_owned(), way)], Some(aim))
    }

    /// Whether nobody takes what the call gives.
    fn is_dropped(&self, call: &ExprCall) -> bool {
        self.dropped == Some(call.start())
    }

    fn unknown_call_by(&mut self, call: &'a ExprCall, hangs_on: Vec<Hang>, aim: Option<Aim>) -> Value {
        let what = format!("calls `{}()`", written(&call.func));
        self.effect_by(call.start(), called_kind(&call.func), what, hangs_on, aim);
        let called = root(&call.func).map(|name| self.lookup(name));
        if let Some(value) = called {
            self.configured(&value);
        }
        Value::Foreign
    }

    fn call_path(&mut self, call: &'a ExprCall, path: &str, given: &Given<'a>) -> Value {
        let made = self.constructor(call.start(), path);
        if let Some(value) = made.or_else(|| self.special(call, path, given)) {
            return value;
        }
        if let Some((position, keyword)) = table::callbacks(path)
            && let Some(callback) = given.find(position, keyword).cloned()
        {
            self.run_callback(call, &callback);
        }
        if let Some(value) = table::pure_call(path) {
            return value;
        }
        let method = path.rsplit('.').next().unwrap_or(path);
        let is_text = ["sys.", "os.", "string.", "platform."].iter().any(|module| path.starts_with(module));
        if is_text && table::is_text_method(method) && table::shared(path).is_none() {
            return Value::Own;
        }
        match table::sentence(path) {
            Some((kind, sentence)) => {
                let aim = Aim { path: path.to_owned(), on_purpose: table::is_lasting(path) };
                self.effect_by(call.start(), kind, sentence, Vec::new(), Some(aim));
                Value::Foreign
            }
            None => self.foreign_call(call, path, given),
        }
    }

    /// Calls whose arguments decide.
    fn special(&mut self, call: &'a ExprCall, path: &str, given: &Given<'a>) -> Option<Value> {
        let arguments = &call.arguments.args;
        match path {
            "logging.getLogger" => {
                let own = match arguments.first() {
                    Some(Expr::Name(name)) => name.id.as_str() == "__name__",
                    Some(Expr::StringLiteral(name)) => {
                        name.value.to_str().split('.').next() == Some(self.id.top())
                    }
                    _ => false,
                };
                Some(Value::Handle(Handle::Logger { own }))
            }
            "builtins.open" | "io.open" => {
                let mode =
                    arguments.get(1).or_else(|| call.arguments.find_keyword("mode").map(|mode| &mode.value));
                let reads = match mode {
                    None => true,
                    Some(Expr::StringLiteral(mode)) => !mode.value.to_str().contains(['w', 'a', 'x', '+']),
                    Some(_) => false,
                };
                if reads {
                    self.reads.insert(Source::Files);
                } else {
                    self.effect(call.start(), EffectKind::Writes, "opens a file to write to it");
                }
                Some(Value::Own)
            }
            "builtins.setattr" | "builtins.delattr" => {
                if !given.positional.first().is_some_and(|first| self.owns(first)) {
                    let name = arguments.first().map_or_else(|| "…".to_owned(), written);
                    let aim = given.positional.first().and_then(|first| aim_at(first, true));
                    let what = format!("sets an attribute of `{name}`");
                    self.effect_by(call.start(), EffectKind::Patches, what, Vec::new(), aim);
                }
                Some(Value::Text)
            }
            "functools.update_wrapper" => {
                let first = given.positional.first().cloned().unwrap_or(Value::Foreign);
                if !self.owns(&first) {
                    let name = arguments.first().map_or_else(|| "…".to_owned(), written);
                    self.effect(call.start(), EffectKind::Patches, format!("sets attributes of `{name}`"));
                }
                Some(first)
            }
            "builtins.getattr" => match (given.positional.first(), arguments.get(1)) {
                (Some(owner), Some(Expr::StringLiteral(name))) => {
                    Some(self.attribute(owner, name.value.to_str()))
                }
                _ => Some(Value::Foreign),
            },
            "builtins.__import__" | "importlib.import_module" => {
                if !matches!(arguments.first(), Some(Expr::StringLiteral(_))) {
                    self.effect(call.start(), EffectKind::Runs, "imports a module whose name is computed");
                }
                Some(Value::Foreign)
            }
            "builtins.type" if arguments.len() == 3 => {
                let plain = match &arguments[1] {
                    Expr::Tuple(bases) => bases.elts.iter().all(|base| {
                        let base = self.value(base);
                        self.is_plain_base(&base)
                    }),
                    _ => false,
                };
                if !plain {
                    self.effect(
                        call.start(),
                        EffectKind::Registers,
                        "makes a class of bases that are not known",
                    );
                }
                Some(Value::PlainClass)
            }
            // Who asks first gets another one.
            "builtins.next"
                if self.making.is_some()
                    && given.positional.first().is_none_or(|first| aim_at(first, true).is_none()) =>
            {
                let name = arguments.first().map_or_else(|| "…".to_owned(), written);
                self.effect(call.start(), EffectKind::Patches, format!("takes the next of `{name}`"));
                Some(Value::Foreign)
            }
            "builtins.next"
                if given.positional.first().is_some_and(|first| aim_at(first, true).is_some()) =>
            {
                let name = arguments.first().map_or_else(|| "…".to_owned(), written);
                let aim = given.positional.first().and_then(|first| aim_at(first, true));
                let what = format!("takes the next of `{name}`");
                self.effect_by(call.start(), EffectKind::Patches, what, Vec::new(), aim);
                Some(Value::Foreign)
            }
            "builtins.next" | "builtins.min" | "builtins.max" | "builtins.sum" | "copy.copy" => {
                // What they give may be what they were given.
                if let Some((position, keyword)) = table::callbacks(path)
                    && let Some(callback) = given.find(position, keyword).cloned()
                {
                    self.run_callback(call, &callback);
                }
                Some(Value::Foreign)
            }
            _ => None,
        }
    }

    fn call_method(&mut self, call: &'a ExprCall, owner: &Value, name: &str, given: &Given<'a>) -> Value {
        match owner {
            Value::Text if table::gives_text(name) => Value::Text,
            Value::Text => Value::Own,
            Value::Own | Value::PlainClass | Value::Function(_) => {
                let callbacks = given.positional.iter().chain(given.named.iter().map(|(_, value)| value));
                let functions: Vec<Value> =
                    callbacks.filter(|value| matches!(value, Value::Function(_))).cloned().collect();
                // Registering one's own function with one's own object runs nothing.
                if matches!(name, "sort" | "sub" | "subn") {
                    for function in &functions {
                        self.run_callback(call, function);
                    }
                }
                if table::is_fresh(name) { Value::Own } else { Value::Foreign }
            }
            Value::Class(class) | Value::Instance(class) => {
                self.call_own_method(call, (*class, owner), name, given)
            }
            Value::Handle(Handle::Path) if table::is_path_method(name) => {
                if table::is_file_method(name) {
                    self.read(Source::Files);
                }
                let path = matches!(name, "absolute" | "expanduser" | "joinpath" | "relative_to" | "resolve");
                if path || name.starts_with("with_") { Value::Handle(Handle::Path) } else { Value::Own }
            }
            Value::Handle(Handle::Variable) if name == "get" => Value::Foreign,
            Value::Handle(Handle::Logger { own }) => self.call_logger(call, *own, name),
            Value::Made => {
                if self.is_dropped(call) && self.is_set_up_call(call) {
                    return Value::Foreign;
                }
                let made = self.made_method(call.start(), name);
                made.unwrap_or_else(|| self.unknown_call(call))
            }
            _ if table::is_text_method(name) => Value::Own,
            _ => self.unknown_call(call),
        }
    }

    fn call_logger(&mut self, call: &'a ExprCall, own: bool, name: &str) -> Value {
        let reads = matches!(name, "getEffectiveLevel" | "hasHandlers" | "isEnabledFor");
        // A library's usual word, which changes nothing that is logged.
        let silent = name == "addHandler"
            && own
            && matches!(call.arguments.args.first(), Some(Expr::Call(handler)) if written(&handler.func).ends_with("NullHandler"));
        match name {
            "getChild" => Value::Handle(Handle::Logger { own }),
            _ if reads || silent => Value::Text,
            _ => {
                let aim = aim_at(
                    &Value::Handle(Handle::Logger { own }),
                    name.starts_with("set") || name.starts_with("add"),
                );
                self.unknown_call_by(call, Vec::new(), aim)
            }
        }
    }

    /// A method of a class of the module, by way of the class itself or of an object.
    fn call_own_method(
        &mut self,
        call: &'a ExprCall,
        (class, owner): (usize, &Value),
        name: &str,
        given: &Given<'a>,
    ) -> Value {
        match self.method(class, name) {
            Some(function) => self.follow(call, function, Some(owner.clone()), given),
            None if table::is_text_method(name) || self.has_plain_methods(class) => Value::Foreign,
            None => self.unknown_call(call),
        }
    }

    fn construct(&mut self, call: &'a ExprCall, class: usize) -> Value {
        let what = format!("calls `{}()`", written(&call.func));
        self.run_methods(call.start(), class, &self.making_methods(class), &what);
        if self.apart {
            // What hidden bases do when one is made.
            match self.hidden_bases(class) {
                None => self.effect(call.start(), EffectKind::Runs, what),
                Some(hidden) => {
                    let hangs = hidden.into_iter().map(|path| Hang::Call(path, Way::Any));
                    self.effects_by(call.start(), EffectKind::Runs, &what, hangs);
                }
            }
        }
        Value::Instance(class)
    }

    /// Something that is called by what it is given to.
    fn run_callback(&mut self, call: &'a ExprCall, callback: &Value) {
        let free = match callback {
            Value::Function(function) => {
                let what = format!("calls `{}()`", written(&call.func));
                self.run(call.start(), *function, Arguments::any(None), &what);
                true
            }
            Value::Imported(path) => {
                table::pure_call(path).is_some() || path.rsplit('.').next().is_some_and(table::is_text_method)
            }
            Value::Text | Value::PlainClass => true,
            Value::Class(class) => {
                let class = *class;
                let methods = self.making_methods(class);
                self.run_methods(call.start(), class, &methods, "makes objects of its own");
                true
            }
            _ => false,
        };
        if !free {
            let what = format!("has `{}()` call what is not known", written(&call.func));
            self.effect(call.start(), EffectKind::Runs, what);
        }
    }

    /// Follows a function of the module where it is called.
    fn follow(
        &mut self,
        call: &'a ExprCall,
        function: usize,
        first: Option<Value>,
        given: &Given<'a>,
    ) -> Value {
        let what = format!("calls `{}()`", written(&call.func));
        let others = if given.is_own() { Value::Given } else { Value::Foreign };
        self.run(call.start(), function, Arguments { first, others, then: None }, &what)
    }

    /// Runs the methods of a class that have one of these names, if it has them.
    pub(super) fn run_methods(&mut self, at: TextSize, class: usize, names: &[&str], what: &str) {
        for name in names {
            // Each may go on to the next by `super()`.
            for function in self.all_methods(class, name) {
                self.run(at, function, Arguments::any(Some(Value::Instance(class))), what);
            }
        }
    }
}

/// The last name of a dotted path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What a call of something unknown is by its name: mostly a registration, or anything.
fn called_kind(callee: &Expr) -> EffectKind {
    match callee {
        Expr::Attribute(attribute) if table::is_registering(attribute.attr.as_str()) => EffectKind::Registers,
        _ => EffectKind::Runs,
    }
}

/// The name that a chain of attributes and calls begins with.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => root(&attribute.value),
        Expr::Call(call) => root(&call.func),
        Expr::Subscript(subscript) => root(&subscript.value),
        _ => None,
    }
}
