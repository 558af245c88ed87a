//! Values that are the same whenever they are made: compiled regular expressions of texts that never change, and paths
//! of an installed package's own files. Making one reads nothing that changes and tells nobody, so that it may wait in
//! anybody's module.

use ruff_python_ast::{Comprehension, Expr, ExprCall, InterpolatedStringElement};

use super::value::Value;
use super::{Walker, constructors, table};

/// Built-in functions and others whose result depends on their arguments alone.
const TIMELESS: &str = "
    builtins.bytes builtins.chr builtins.dict builtins.frozenset builtins.len builtins.list builtins.ord
    builtins.range builtins.repr builtins.reversed builtins.set builtins.sorted builtins.str builtins.tuple
    builtins.zip re.escape
";

/// Values of the standard library that are the same in every process.
const CONSTANT_MODULES: [&str; 2] = ["re.", "string."];

/// Methods of text and of containers that give something new, and depend on nothing else.
const METHODS: &str = "
    encode format items join keys lower lstrip replace rstrip split strip upper values
";

/// Looks at one value of a module's body.
pub(super) struct Fixed<'w, 'a, 's> {
    walker: &'w mut Walker<'a, 's>,
    /// Names of the comprehensions around.
    elements: Vec<&'a str>,
}

impl<'a> Walker<'a, '_> {
    /// Whether the value holds compiled patterns and the like, and nothing whose making could differ later. That the
    /// names in it keep their values is another question.
    pub(super) fn is_fixed(&mut self, value: &'a Expr) -> bool {
        Fixed { walker: self, elements: Vec::new() }.is_fixed(value)
    }
}

impl<'a> Fixed<'_, 'a, '_> {
    fn is_fixed(&mut self, expr: &'a Expr) -> bool {
        match expr {
            Expr::Call(call) => {
                let path = self.path_of(&call.func).map(|path| self.walker.id.absolute(&path));
                let made = |path: &str| path == "re.compile" || constructors::looked_up(path).is_some();
                path.as_deref().is_some_and(made) && self.arguments(call)
            }
            // `re.compile(…).match`
            Expr::Attribute(attribute) => self.is_fixed(&attribute.value),
            Expr::List(list) => self.are_fixed(&list.elts),
            Expr::Tuple(tuple) => self.are_fixed(&tuple.elts),
            Expr::Dict(dict) => {
                let keys: Vec<&'a Expr> = dict.items.iter().filter_map(|item| item.key.as_ref()).collect();
                let values: Vec<&'a Expr> = dict.items.iter().map(|item| &item.value).collect();
                keys.len() == values.len()
                    && keys.into_iter().all(|key| self.is_constant(key))
                    && self.are_fixed(values)
            }
            Expr::ListComp(made) => self.generated(&made.generators, |this| this.is_fixed(&made.elt)),
            Expr::DictComp(made) => self.generated(&made.generators, |this| {
                made.key.as_ref().is_some_and(|key| this.is_constant(key)) && this.is_fixed(&made.value)
            }),
            _ => false,
        }
    }

    /// Such values and constants, at least one such value among them.
    fn are_fixed(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) -> bool {
        let mut any = false;
        for expr in exprs {
            let fixed = self.is_fixed(expr);
            if !fixed && !self.is_constant(expr) {
                return false;
            }
            any |= fixed;
        }
        any
    }

    /// The dotted path of something imported or built in.
    fn path_of(&mut self, expr: &'a Expr) -> Option<String> {
        match expr {
            Expr::Name(name) if !self.elements.contains(&name.id.as_str()) => {
                match self.walker.lookup(name.id.as_str()) {
                    Value::Imported(path) => Some(path),
                    _ => None,
                }
            }
            Expr::Attribute(attribute) => {
                Some(format!("{}.{}", self.path_of(&attribute.value)?, attribute.attr))
            }
            _ => None,
        }
    }

    fn arguments(&mut self, call: &'a ExprCall) -> bool {
        let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        let mut arguments = call.arguments.args.iter().chain(keywords);
        arguments.all(|argument| self.is_constant(argument))
    }

    fn all_constant(&mut self, exprs: &'a [Expr]) -> bool {
        exprs.iter().all(|expr| self.is_constant(expr))
    }

    /// Whether an expression gives the same whenever it is evaluated, as long as the names in it keep their values, which
    /// are text and numbers.
    fn is_constant(&mut self, expr: &'a Expr) -> bool {
        match expr {
            Expr::StringLiteral(_)
            | Expr::BytesLiteral(_)
            | Expr::NumberLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_) => true,
            Expr::Name(name) => {
                let name = name.id.as_str();
                self.elements.contains(&name) || self.walker.lookup(name) == Value::Text
            }
            Expr::Attribute(_) => self
                .path_of(expr)
                .is_some_and(|path| CONSTANT_MODULES.iter().any(|module| path.starts_with(module))),
            Expr::BinOp(operation) => self.is_constant(&operation.left) && self.is_constant(&operation.right),
            Expr::UnaryOp(operation) => self.is_constant(&operation.operand),
            Expr::Subscript(item) => self.is_constant(&item.value) && self.is_constant(&item.slice),
            Expr::Slice(slice) => {
                let mut parts = [&slice.lower, &slice.upper, &slice.step].into_iter().flatten();
                parts.all(|part| self.is_constant(part))
            }
            Expr::Starred(starred) => self.is_constant(&starred.value),
            Expr::List(list) => self.all_constant(&list.elts),
            Expr::Tuple(tuple) => self.all_constant(&tuple.elts),
            Expr::Set(set) => self.all_constant(&set.elts),
            Expr::Dict(dict) => dict.items.iter().all(|item| {
                item.key.as_ref().is_none_or(|key| self.is_constant(key)) && self.is_constant(&item.value)
            }),
            Expr::ListComp(made) => self.generated(&made.generators, |this| this.is_constant(&made.elt)),
            Expr::FString(text) => text.value.elements().all(|element| self.is_constant_element(element)),
            Expr::Call(call) => self.is_timeless(call) && self.arguments(call),
            _ => false,
        }
    }

    fn is_constant_element(&mut self, element: &'a InterpolatedStringElement) -> bool {
        match element {
            InterpolatedStringElement::Literal(_) => true,
            InterpolatedStringElement::Interpolation(part) => {
                part.format_spec.is_none() && self.is_constant(&part.expression)
            }
        }
    }

    fn is_timeless(&mut self, call: &'a ExprCall) -> bool {
        if let Some(path) = self.path_of(&call.func) {
            return table::within(TIMELESS, &path);
        }
        let Expr::Attribute(method) = &*call.func else { return false };
        table::within(METHODS, method.attr.as_str()) && self.is_constant(&method.value)
    }

    /// A comprehension over constants.
    fn generated(&mut self, generators: &'a [Comprehension], result: impl FnOnce(&mut Self) -> bool) -> bool {
        let outer = self.elements.len();
        let constant = generators.iter().all(|generator| {
            let source = self.is_constant(&generator.iter);
            self.elements.extend(names(&generator.target));
            source && self.all_constant(&generator.ifs)
        });
        let all = constant && result(self);
        self.elements.truncate(outer);
        all
    }
}

/// The names that a target binds.
fn names(target: &Expr) -> Vec<&str> {
    match target {
        Expr::Name(name) => vec![name.id.as_str()],
        Expr::Tuple(many) => many.elts.iter().flat_map(names).collect(),
        Expr::List(many) => many.elts.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
