//! What calling a function or a class of a module from outside may do. There the module's own things are not the
//! caller's: changing them is an effect.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::Stmt;
use ruff_text_size::TextSize;

use super::definitions::Arguments;
use super::value::{Handle, Value};
use super::{MOST_STATEMENTS, Walker};
use crate::{Called, Effect, EffectKind, Hang, ModuleId, Way};

/// What calling the names `asked` of the body `suite` may do; arguments as for [`super::effects`]. Names that are not
/// bound to something that can be followed are left out.
pub(crate) fn called(
    suite: &[Stmt],
    id: &ModuleId,
    line_of: &dyn Fn(TextSize) -> u32,
    asked: &BTreeSet<String>,
) -> BTreeMap<String, Called> {
    let none = BTreeSet::new();
    let mut walker = Walker::new(id, line_of, &none);
    walker.body(suite);
    if walker.blurred {
        return BTreeMap::new();
    }
    walker.outside = Some(walker.classes.len());
    let known = |name: &String| Some((name.clone(), walker.scopes[0].names.get(name.as_str())?.clone()));
    let values: Vec<(String, Value)> = asked.iter().filter_map(known).collect();
    values.into_iter().filter_map(|(name, value)| Some((name, walker.called(&value)?))).collect()
}

/// All that the effects hang on; `None` where one of them is certain.
pub(super) fn all_hangs(effects: &[Effect]) -> Option<Vec<Hang>> {
    if effects.iter().any(|effect| effect.hangs_on.is_empty()) {
        return None;
    }
    let all: BTreeSet<Hang> = effects.iter().flat_map(|effect| effect.hangs_on.iter().cloned()).collect();
    Some(all.into_iter().collect())
}

impl Walker<'_, '_> {
    fn called(&mut self, value: &Value) -> Option<Called> {
        let ways = [Way::Own, Way::Any, Way::Decorator];
        let each = |walker: &mut Self, way| match value {
            Value::Function(function) => walker.called_function(*function, way),
            Value::Class(class) => walker.made_from_outside(*class, way),
            Value::Imported(path) => Some(vec![Hang::Call(path.clone(), way)]),
            Value::PlainClass if way != Way::Decorator => Some(Vec::new()),
            _ => None,
        };
        let known =
            matches!(value, Value::Function(_) | Value::Class(_) | Value::Imported(_) | Value::PlainClass);
        known.then(|| Called(ways.into_iter().map(|way| (way, each(self, way))).collect()))
    }

    fn called_function(&mut self, function: usize, way: Way) -> Option<Vec<Hang>> {
        let arguments = match way {
            Way::Own => Arguments { first: None, others: Value::Given, then: None },
            Way::Any => Arguments::any(None),
            Way::Decorator => Arguments { then: Some(Value::Given), ..Arguments::any(None) },
        };
        self.trial(|walker| {
            walker.run(TextSize::default(), function, arguments, "");
        })
    }

    /// A class with nothing unknown above it.
    fn made_from_outside(&mut self, class: usize, way: Way) -> Option<Vec<Hang>> {
        if way == Way::Decorator || !self.is_all_seen(class) {
            return None;
        }
        let others = if way == Way::Own { Value::Given } else { Value::Foreign };
        self.trial(|walker| {
            for name in walker.making_methods(class).into_iter().chain(["__set_name__"]) {
                for function in walker.all_methods(class, name) {
                    let first = Some(Value::Instance(class));
                    let arguments = Arguments { first, others: others.clone(), then: None };
                    walker.run(TextSize::default(), function, arguments, "");
                }
            }
        })
    }

    fn trial(&mut self, run: impl FnOnce(&mut Self)) -> Option<Vec<Hang>> {
        self.left = MOST_STATEMENTS;
        let found = std::mem::take(&mut self.found);
        run(self);
        all_hangs(&std::mem::replace(&mut self.found, found))
    }

    /// Whether changing it is the affair of whoever runs the code that is followed.
    pub(super) fn owns(&self, value: &Value) -> bool {
        let of_module = match (value, self.outside) {
            (Value::Function(function), Some(_)) => self.is_of_module(*function),
            (Value::Class(class), Some(made)) => *class < made,
            _ => false,
        };
        value.is_own() && !of_module
    }

    /// What a name of the module stands for, for whoever calls its functions from outside: objects that it holds are
    /// everybody's there.
    pub(super) fn seen_from_outside(&self, value: Value) -> Value {
        let held = matches!(
            value,
            Value::Own
                | Value::Instance(_)
                | Value::Made
                | Value::Handle(Handle::Logger { .. } | Handle::Variable)
        );
        if held && self.outside.is_some() { Value::Foreign } else { value }
    }

    /// A function binds a name of the module.
    pub(super) fn bound_from_outside(&mut self, name: &str) {
        if self.outside.is_some() {
            self.effect(TextSize::default(), EffectKind::Patches, format!("binds `{name}`"));
        }
    }
}
