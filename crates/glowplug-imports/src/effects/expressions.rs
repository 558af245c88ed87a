//! What an expression gives, and what evaluating it may do.

use ruff_python_ast::{Comprehension, Expr, InterpolatedStringElement, Operator, Parameters};
use ruff_text_size::Ranged;

use super::definitions::Code;
use super::table;
use super::value::{Handle, Value};
use super::{ScopeKind, Walker};
use crate::EffectKind;

impl<'a> Walker<'a, '_> {
    pub(super) fn value(&mut self, expr: &'a Expr) -> Value {
        match expr {
            Expr::Name(name) => {
                let value = self.lookup(name.id.as_str());
                self.read_value(&value);
                value
            }
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value);
                let value = self.attribute(&owner, attribute.attr.as_str());
                self.read_value(&value);
                let of_own = matches!(owner, Value::Class(_) | Value::Instance(_) | Value::Function(_));
                if self.apart && of_own && value == Value::Foreign && !attribute.attr.starts_with("__") {
                    let what = format!("reads `{}`, which may be set", written(expr));
                    self.effect(attribute.start(), EffectKind::Runs, what);
                }
                value
            }
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice);
                let owner = self.value(&subscript.value);
                self.taken(&owner);
                match owner {
                    Value::Imported(path) if table::is_generic(&path) => Value::Imported(path),
                    same @ (Value::Class(_) | Value::PlainClass | Value::Text | Value::Made) => same,
                    _ => Value::Foreign,
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::Lambda(lambda) => {
                self.defaults(lambda.parameters.as_deref());
                self.remember(lambda.parameters.as_deref(), Code::Expression(&lambda.body))
            }
            Expr::BinOp(operation) => {
                let (left, right) = (self.value(&operation.left), self.value(&operation.right));
                match (left, right) {
                    (Value::Text, Value::Text) => Value::Text,
                    (Value::Class(_) | Value::PlainClass, _) if operation.op == Operator::BitOr => {
                        Value::PlainClass
                    }
                    _ if is_text(expr) => Value::Text,
                    (path @ Value::Handle(Handle::Path), _) => path,
                    _ => Value::Own,
                }
            }
            Expr::BoolOp(operation) => self.any_of(&operation.values),
            Expr::If(choice) => {
                self.value(&choice.test);
                let body = self.value(&choice.body);
                body.or(self.value(&choice.orelse))
            }
            Expr::Named(named) => {
                let value = self.value(&named.value);
                self.assign(&named.target, value.clone(), Some(&named.value));
                value
            }
            Expr::UnaryOp(operation) => {
                self.value(&operation.operand);
                Value::Text
            }
            Expr::Compare(comparison) => {
                self.value(&comparison.left);
                self.each(&comparison.comparators);
                Value::Text
            }
            Expr::List(list) => self.container(&list.elts),
            Expr::Set(set) => self.container(&set.elts),
            Expr::Tuple(tuple) => self.container(&tuple.elts),
            Expr::Dict(dict) => {
                for item in &dict.items {
                    if let Some(key) = &item.key {
                        self.value(key);
                    }
                    self.value(&item.value);
                }
                Value::Own
            }
            Expr::ListComp(made) => self.comprehension(&made.generators, &[&made.elt]),
            Expr::SetComp(made) => self.comprehension(&made.generators, &[&made.elt]),
            Expr::Generator(made) => self.comprehension(&made.generators, &[&made.elt]),
            Expr::DictComp(made) => match &made.key {
                Some(key) => self.comprehension(&made.generators, &[key, &made.value]),
                None => self.comprehension(&made.generators, &[&made.value]),
            },
            Expr::FString(text) => {
                self.interpolated(text.value.elements());
                Value::Text
            }
            Expr::TString(text) => {
                self.interpolated(text.value.elements());
                Value::Own
            }
            Expr::Starred(starred) => {
                self.value(&starred.value);
                Value::Foreign
            }
            Expr::Slice(slice) => {
                for part in [&slice.lower, &slice.upper, &slice.step].into_iter().flatten() {
                    self.value(part);
                }
                Value::Text
            }
            Expr::Await(awaited) => {
                self.value(&awaited.value);
                Value::Foreign
            }
            Expr::Yield(given) => {
                if let Some(value) = &given.value {
                    self.value(value);
                }
                Value::Foreign
            }
            Expr::YieldFrom(given) => {
                self.value(&given.value);
                Value::Foreign
            }
            Expr::IpyEscapeCommand(command) => {
                self.effect(command.start(), EffectKind::Starts, "runs a command");
                Value::Foreign
            }
            Expr::StringLiteral(_)
            | Expr::BytesLiteral(_)
            | Expr::NumberLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_)
            | Expr::EllipsisLiteral(_) => Value::Text,
        }
    }

    pub(super) fn attribute(&self, owner: &Value, name: &str) -> Value {
        match owner {
            Value::Imported(path) => Value::Imported(format!("{path}.{name}")),
            Value::Class(class) | Value::Instance(class) => {
                self.method(*class, name).map_or(Value::Foreign, Value::Function)
            }
            Value::Made => Value::Made,
            Value::Handle(Handle::Path) if name == "parent" => Value::Handle(Handle::Path),
            Value::Handle(Handle::Path) if matches!(name, "name" | "stem" | "suffix") => Value::Text,
            _ => Value::Foreign,
        }
    }

    /// An annotation: what it names is not looked into.
    pub(super) fn annotation(&mut self, expr: &'a Expr) {
        let outer = std::mem::replace(&mut self.annotating, true);
        self.value(expr);
        self.annotating = outer;
    }

    /// What is gone through.
    pub(super) fn iterated(&mut self, expr: &'a Expr) -> Value {
        let value = self.value(expr);
        self.taken(&value);
        value
    }

    pub(super) fn each(&mut self, exprs: &'a [Expr]) {
        for expr in exprs {
            self.value(expr);
        }
    }

    fn container(&mut self, elements: &'a [Expr]) -> Value {
        self.each(elements);
        Value::Own
    }

    /// One of several values.
    fn any_of(&mut self, exprs: &'a [Expr]) -> Value {
        let mut values = exprs.iter().map(|expr| self.value(expr)).collect::<Vec<_>>().into_iter();
        let first = values.next().unwrap_or(Value::Text);
        values.fold(first, Value::or)
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], results: &[&'a Expr]) -> Value {
        self.push(ScopeKind::Comprehension);
        for generator in generators {
            self.iterated(&generator.iter);
            self.bind_elements(&generator.target);
            self.each(&generator.ifs);
        }
        for result in results {
            self.value(result);
        }
        self.scopes.pop();
        Value::Own
    }

    /// The names of a comprehension are its own.
    fn bind_elements(&mut self, target: &'a Expr) {
        match target {
            Expr::Name(name) => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.names.insert(name.id.as_str(), Value::Foreign);
                }
            }
            Expr::Tuple(many) => many.elts.iter().for_each(|each| self.bind_elements(each)),
            Expr::List(many) => many.elts.iter().for_each(|each| self.bind_elements(each)),
            Expr::Starred(rest) => self.bind_elements(&rest.value),
            other => self.assign(other, Value::Foreign, None),
        }
    }

    fn interpolated(&mut self, elements: impl Iterator<Item = &'a InterpolatedStringElement>) {
        for element in elements {
            if let InterpolatedStringElement::Interpolation(part) = element {
                self.value(&part.expression);
                if let Some(format) = &part.format_spec {
                    self.interpolated(format.elements.iter());
                }
            }
        }
    }

    /// Default values are evaluated where a function is defined.
    pub(super) fn defaults(&mut self, parameters: Option<&'a Parameters>) {
        let Some(parameters) = parameters else { return };
        for parameter in parameters.posonlyargs.iter().chain(&parameters.args).chain(&parameters.kwonlyargs) {
            if let Some(default) = &parameter.default {
                self.value(default);
            }
        }
    }
}

/// Whether an expression gives text by its look: a literal, or what is put together with one.
fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::StringLiteral(_) | Expr::BytesLiteral(_) | Expr::FString(_) => true,
        Expr::BinOp(operation) => match operation.op {
            Operator::Add => is_text(&operation.left) || is_text(&operation.right),
            Operator::Mod => is_text(&operation.left),
            _ => false,
        },
        Expr::Call(call) => match call.func.as_ref() {
            Expr::Attribute(method) => table::gives_text(method.attr.as_str()) && is_text(&method.value),
            _ => false,
        },
        _ => false,
    }
}

/// An expression as a sentence names it.
pub(crate) fn written(expr: &Expr) -> String {
    match expr {
        Expr::Name(name) => name.id.to_string(),
        Expr::Attribute(attribute) => format!("{}.{}", written(&attribute.value), attribute.attr),
        Expr::Call(call) => format!("{}()", written(&call.func)),
        Expr::Subscript(subscript) => format!("{}[…]", written(&subscript.value)),
        _ => "…".to_owned(),
    }
}
