//! The names that are visible while a body is followed, and what they stand for.

use std::collections::{BTreeMap, BTreeSet};

use super::Walker;
use super::table;
use super::value::Value;

/// Which kind of names a scope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopeKind {
    Module,
    Class,
    Function,
    Comprehension,
}

#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub(super) kind: ScopeKind,
    /// Tells one activation of a function from another.
    pub(super) id: usize,
    pub(super) names: BTreeMap<&'a str, Value>,
    /// Names that belong to an outer scope.
    outer: BTreeSet<&'a str>,
}

impl Scope<'_> {
    pub(super) fn new(kind: ScopeKind, id: usize) -> Self {
        Self { kind, id, names: BTreeMap::new(), outer: BTreeSet::new() }
    }
}

impl<'a> Walker<'a, '_> {
    pub(super) fn declare_outer(&mut self, names: &'a [ruff_python_ast::Identifier], global: bool) {
        for name in names {
            let name = name.as_str();
            if self.scopes.len() > 1
                && let Some(scope) = self.scopes.last_mut()
            {
                scope.outer.insert(name);
            }
            if global && self.scopes[0].names.contains_key(name) {
                // Whoever runs may assign it at any time.
                self.scopes[0].names.insert(name, Value::Foreign);
            }
        }
    }

    pub(super) fn bind(&mut self, name: &'a str, value: Value) {
        let here = self.scopes.iter().rposition(|scope| scope.kind != ScopeKind::Comprehension).unwrap_or(0);
        if here > 0 && self.scopes[here].outer.contains(name) {
            self.bound_from_outside(name);
            for scope in &mut self.scopes[..here] {
                if scope.kind == ScopeKind::Module || scope.names.contains_key(name) {
                    scope.names.insert(name, Value::Foreign);
                }
            }
            return;
        }
        self.scopes[here].names.insert(name, value);
    }

    pub(super) fn lookup(&mut self, name: &str) -> Value {
        let last = self.scopes.len() - 1;
        for (index, scope) in self.scopes.iter().enumerate().rev() {
            if scope.kind == ScopeKind::Class && index != last {
                continue;
            }
            if let Some(value) = scope.names.get(name) {
                let value = if self.blurred && index == 0 { Value::Foreign } else { value.clone() };
                let value = if index == 0 { self.seen_from_outside(value) } else { value };
                if index == 0 {
                    self.needed(name, &value);
                }
                return value;
            }
        }
        match name {
            "__name__" | "__file__" | "__doc__" | "__package__" | "__qualname__" | "__module__" => {
                Value::Text
            }
            "__path__" => Value::Own,
            _ if !self.star && !self.blurred && table::is_builtin(name) => {
                Value::Imported(format!("builtins.{name}"))
            }
            _ => Value::Foreign,
        }
    }
}

/// What holds after either of two ways through the code.
pub(super) fn joined<'a>(mut one: Vec<Scope<'a>>, other: &[Scope<'a>]) -> Vec<Scope<'a>> {
    for (scope, other) in one.iter_mut().zip(other) {
        for (name, value) in &other.names {
            let merged = match scope.names.remove(name) {
                Some(known) => known.or(value.clone()),
                // On the other way the name is the built-in one, or none.
                None if table::is_builtin(name) => Value::Foreign,
                None => value.clone(),
            };
            scope.names.insert(name, merged);
        }
        for (name, value) in &mut scope.names {
            if !other.names.contains_key(name) && table::is_builtin(name) {
                *value = Value::Foreign;
            }
        }
        scope.outer.extend(&other.outer);
    }
    one
}
