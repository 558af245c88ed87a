//! What making one value of a module's body needs and does, told apart from the rest of the body.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{Expr, StmtClassDef};
use ruff_text_size::{Ranged, TextSize};

use super::value::{Handle, Value};
use super::{Walker, constructors, table};
use crate::{Effect, EffectKind, Source};

/// What one of the names is that a value is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input {
    /// Something that does not change.
    Fixed,
    /// A class or a client: it stays the same one, and somebody may set parts of it.
    Thing,
    /// Anything else: who reads it may change it.
    Loose,
}

/// What is known of one value.
#[derive(Debug, Default)]
pub(crate) struct Making {
    /// What making it may do to others, known constructors apart.
    pub(crate) effects: Vec<Effect>,
    /// Names of the module that it is made from.
    pub(crate) inputs: BTreeMap<String, Input>,
    /// Top-level packages of the known constructors among its calls.
    pub(crate) makes: BTreeSet<String>,
    /// What it reads beside the program.
    pub(crate) reads: BTreeSet<Source>,
    /// It is the same whenever it is made: see [`super::fixed`].
    pub(crate) fixed: bool,
    /// It takes what something imported holds, which others may change.
    pub(crate) takes: bool,
    /// The known constructors, as effects of the module's body.
    excused: Vec<Effect>,
}

impl<'a> Walker<'a, '_> {
    /// The value of an assignment; one that was asked about is told apart.
    pub(super) fn assigned(&mut self, start: TextSize, value: &'a Expr) -> Value {
        if !self.is_asked(start) {
            return self.value(value);
        }
        self.told_apart(start, |walker| {
            let given = walker.value(value);
            let fixed = walker.is_fixed(value);
            if let Some(making) = &mut walker.making {
                making.fixed = fixed;
            }
            given
        })
    }

    /// Follows a class statement as if it ran later: what the module held before it is everybody's by then, and hooks of
    /// its bases, whoever wrote them, may tell somebody. The module goes on as if it had not been followed.
    pub(super) fn class_apart(&mut self, definition: &'a StmtClassDef) {
        let (scopes, left) = (self.scopes.clone(), self.left);
        let found = std::mem::take(&mut self.found);
        let outside = self.outside.replace(self.classes.len());
        self.making = Some(Making::default());
        self.apart = true;
        self.define_class(definition);
        self.apart = false;
        let mut making = self.making.take().unwrap_or_default();
        making.effects = std::mem::replace(&mut self.found, found);
        self.outside = outside;
        (self.scopes, self.left) = (scopes, left);
        self.made.insert(definition.start(), making);
    }

    /// Something imported is used for what it holds.
    pub(super) fn taken(&mut self, value: &Value) {
        let known = |path: &str| {
            path.starts_with("builtins.")
                || path.starts_with("typing.")
                || path.starts_with("typing_extensions.")
        };
        if let Value::Imported(path) = value
            && self.apart
            && !self.annotating
            && !known(path)
            && let Some(making) = &mut self.making
        {
            making.takes = true;
        }
    }

    /// Whether the statement that starts there was asked about, and is not part of another one.
    pub(super) fn is_asked(&self, start: TextSize) -> bool {
        self.asked.contains(&start) && self.making.is_none() && self.scopes.len() == 1
    }

    /// Follows something and tells its effects apart, under the start of its statement.
    pub(super) fn told_apart<T>(&mut self, start: TextSize, follow: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::take(&mut self.found);
        self.making = Some(Making::default());
        let given = follow(self);
        let mut making = self.making.take().unwrap_or_default();
        making.effects = std::mem::replace(&mut self.found, outer);
        for effect in making.effects.iter().chain(&making.excused) {
            if !self.found.contains(effect) {
                self.found.push(effect.clone());
            }
        }
        self.made.insert(start, making);
        given
    }

    /// Something that is an effect of the module's body, but none of a value that is told apart.
    pub(super) fn excuse(&mut self, at: TextSize, kind: EffectKind, what: String) {
        let effect = Effect { line: (self.line_of)(at), kind, what, hangs_on: Vec::new(), aim: None };
        match &mut self.making {
            Some(making) => making.excused.push(effect),
            None => self.add(effect),
        }
    }

    /// A name of the module was read.
    pub(super) fn needed(&mut self, name: &str, value: &Value) {
        let input = match value {
            Value::Text
            | Value::PlainClass
            | Value::Imported(_)
            | Value::Function(_)
            | Value::Handle(Handle::Path) => Input::Fixed,
            Value::Class(_) | Value::Made => Input::Thing,
            Value::Own | Value::Given | Value::Instance(_) | Value::Handle(_) | Value::Foreign => {
                Input::Loose
            }
        };
        if let Some(making) = &mut self.making {
            let known = making.inputs.entry(name.to_owned()).or_insert(Input::Fixed);
            *known = input.max(*known);
        }
    }

    /// A call of something imported: what it makes, if the table knows it as a client or the like.
    pub(super) fn constructor(&mut self, at: TextSize, path: &str) -> Option<Value> {
        if let Some(source) = constructors::source(path) {
            self.read(source);
        }
        if let Some(package) = constructors::looked_up(&self.id.absolute(path)) {
            if let Some(making) = &mut self.making {
                making.makes.insert(package.to_owned());
            }
            self.excuse(at, EffectKind::Runs, format!("calls `{path}()`"));
            return Some(Value::Text);
        }
        if !constructors::is_constructor(path) || table::pure_call(path).is_some() {
            return None;
        }
        if let Some(making) = &mut self.making {
            making.makes.insert(top(path));
        }
        self.excuse(at, EffectKind::Runs, format!("calls `{path}()`"));
        Some(Value::Made)
    }

    /// A method of something that a known constructor made.
    pub(super) fn made_method(&mut self, at: TextSize, name: &str) -> Option<Value> {
        if !constructors::is_factory(name) {
            return None;
        }
        self.excuse(at, EffectKind::Runs, format!("calls a client's `{name}`"));
        Some(Value::Made)
    }

    /// Something was read, perhaps of the environment variables.
    pub(super) fn read_value(&mut self, value: &Value) {
        if let Value::Imported(path) = value
            && path.starts_with("os.environ")
        {
            self.read(Source::Environment);
        }
    }

    pub(super) fn read(&mut self, source: Source) {
        self.reads.insert(source);
        if let Some(making) = &mut self.making {
            making.reads.insert(source);
        }
    }

    /// Something of a package is changed, or called for what it does, while the body runs.
    pub(super) fn configured(&mut self, value: &Value) {
        if let Value::Imported(path) = value {
            let known = ((self.line_of)(self.current), top(path));
            if !self.configures.contains(&known) {
                self.configures.push(known);
            }
        }
    }
}

fn top(path: &str) -> String {
    path.split('.').next().unwrap_or(path).to_owned()
}
