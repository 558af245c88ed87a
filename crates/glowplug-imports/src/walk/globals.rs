//! Statements of the module's body that could run at the first use of what they bind, as far as their text says.

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprContext, Operator, Stmt, StmtClassDef};
use ruff_text_size::Ranged;

use super::Walker;
use crate::effects::{sets_up, written};
use crate::found::GlobalFound;
use crate::shapes::{is_type_alias, last_part};
use crate::signatures::could_wait;
use crate::{ImportStatement, UseKind};

impl Walker<'_> {
    /// Notes `name = value`, or `name: annotation = value`, where the value calls something, or is a part of such a
    /// value, and can be moved; and what sets such a value up.
    pub(super) fn global(&mut self, statement: &Stmt) {
        if self.scope != 0 || self.depth > self.certain {
            return;
        }
        let mut is_declared = false;
        let (target, value) = match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [target] => (target, assign.value.as_ref()),
                _ => return,
            },
            Stmt::AnnAssign(assign) => match &assign.value {
                Some(value) => {
                    is_declared = is_type_alias(&assign.annotation);
                    (assign.target.as_ref(), value.as_ref())
                }
                None => return,
            },
            Stmt::Expr(expression) if expression.range() == expression.value.range() => {
                return self.set_up(statement, &[&expression.value]);
            }
            _ => return,
        };
        let Expr::Name(name) = target else {
            if matches!(statement, Stmt::Assign(_)) {
                self.set_up(statement, &[target, value]);
            }
            return;
        };
        let shape = Shape::of(&[value]);
        let made_by = match value {
            Expr::Call(call) => root(&call.func),
            _ => part_of(value),
        };
        let is_value = |index: usize| !self.found.globals[index].is_class;
        let is_part = made_by.and_then(|name| self.noted(name)).is_some_and(is_value);
        let is_type = self.is_type(value) || self.is_union(value, is_declared);
        let is_alias = !is_part && (is_type || self.is_of_module(value));
        if is_type {
            self.types.insert(name.id.clone());
        }
        let counts = shape.calls || is_alias || (is_part && part_of(value).is_some());
        if counts && !shape.fixed {
            self.found.globals.push(GlobalFound {
                name: name.id.clone(),
                target: name.start(),
                statement: statement.range(),
                value: value.range(),
                is_class: false,
                is_alias,
                is_costly: false,
                keeps_texts: false,
                fresh: matches!(value, Expr::Call(_)) && !is_part,
                set_up: Vec::new(),
                mentions: shape.names.iter().filter_map(|name| self.noted(name)).collect(),
                shared: self.shared_by_making(value),
            });
        }
    }

    /// Whether a value is a type of the standard library with others in it: `Callable[[Frame], None]`.
    fn is_type(&self, value: &Expr) -> bool {
        let Expr::Subscript(generic) = value else { return false };
        let inner = Inner::of(&generic.slice);
        self.is_generic(&generic.value)
            && could_wait(value)
            && inner.0.iter().all(|inner| self.is_type(inner))
    }

    /// Whether it is a union of types, `Circle | Square | None`: of the module's own classes, built-in ones, and of imported
    /// ones where it is declared to be a type.
    fn is_union(&self, value: &Expr, is_declared: bool) -> bool {
        let Expr::BinOp(operation) = value else { return false };
        operation.op == Operator::BitOr
            && [&operation.left, &operation.right].into_iter().all(|part| match part.as_ref() {
                Expr::NoneLiteral(_) => true,
                Expr::Name(name) => match self.noted(&name.id) {
                    Some(at) => self.found.globals[at].is_class || self.types.contains(&name.id),
                    None if self.is_imported(&name.id) => is_declared,
                    None => {
                        let known = [&GENERICS[..], &PLAIN_TYPES].concat().contains(&name.id.as_str());
                        known && self.bound_times(&name.id) == 0
                    }
                },
                Expr::Attribute(_) => is_declared && root(part).is_some_and(|name| self.is_imported(name)),
                other => self.is_type(other) || self.is_union(other, is_declared),
            })
    }

    fn is_imported(&self, name: &Name) -> bool {
        self.found.clauses.iter().any(|clause| clause.name == name.as_str())
    }

    /// Whether it is something that an imported module has at its top: `ElementTree.ParseError`.
    fn is_of_module(&self, value: &Expr) -> bool {
        let Expr::Attribute(attribute) = value else { return false };
        let (Some(name), owner) = (root(value), written(&attribute.value)) else { return false };
        let bound = self.found.clauses.iter().filter(|clause| clause.name == name.as_str());
        let mut statements = bound.map(|clause| &clause.statement);
        let is_module = |statement: &ImportStatement| {
            // `import a.b` binds `a`, and `import a.b as c` the module itself.
            let bound = if statement.binds_top { statement.module.as_str() } else { name.as_str() };
            statement.attribute.is_none() && owner == bound
        };
        let rebound = self.found.rebound.iter().any(|(bound, _)| bound == name);
        !rebound && statements.next().is_some_and(is_module) && statements.next().is_none()
    }

    /// Whether it is a type of the standard library that others are put into, as far as is bound by now.
    pub(super) fn is_generic(&self, owner: &Expr) -> bool {
        let Some(name) = root(owner) else { return false };
        let bound = self.found.clauses.iter().find(|clause| clause.name == name.as_str());
        if let Some(clause) = bound {
            return TYPES.contains(&clause.statement.module.as_str());
        }
        let rebound = self.found.rebound.iter().any(|(bound, _)| bound == name);
        GENERICS.contains(&name.as_str()) && !rebound
    }

    /// Whether a class could be made somewhere else, as far as its own text says: it stands in the module's body, and
    /// its header names no surroundings.
    pub(super) fn could_move(&self, class: &StmtClassDef) -> bool {
        let decorators = class.decorator_list.iter().map(|decorator| &decorator.expression);
        let arguments = class.arguments.iter().flat_map(|arguments| {
            arguments.args.iter().chain(arguments.keywords.iter().map(|keyword| &keyword.value))
        });
        let header: Vec<&Expr> = decorators.chain(arguments).collect();
        // Where the word `class` stands is told by its name.
        let (start, name) = ((self.place_of)(class.start()), (self.place_of)(class.name.start()));
        let decorated = !class.decorator_list.is_empty();
        let usual = name.column == CLASS_NAME_COLUMN && (decorated || start.line == name.line);
        // `Base[int]` may run anything; `isinstance` would ask another class.
        let generic = |base: &Expr| matches!(base, Expr::Subscript(_)) && !self.is_type(base);
        let is_told = |base: &Expr| root(base).is_some_and(|name| self.told_classes.contains(name));
        let odd = class.bases().iter().any(|base| generic(base) || is_told(base))
            || class.body.iter().any(|statement| {
                matches!(statement, Stmt::FunctionDef(method) if method.name.as_str() == "__subclasshook__")
            });
        let here = self.scope == 0 && self.depth == 0 && !self.typing_only && usual;
        let mut outward = Outward::default();
        outward.visit_body(&class.body);
        here && !odd && class.type_params.is_none() && !Shape::of(&header).fixed && !outward.found
    }

    /// Notes a class that could be made at its first use; `reads` is how many there were before it.
    pub(super) fn class_that_moves(&mut self, class: &StmtClassDef, reads: usize) {
        let needed = self.found.reads[reads..].iter().filter(|read| read.kind != UseKind::Later);
        let mentions = needed.filter_map(|read| self.noted(&read.name)).collect();
        self.found.globals.push(GlobalFound {
            name: class.name.id.clone(),
            target: class.name.start(),
            statement: class.range(),
            value: class.range(),
            is_class: true,
            is_alias: false,
            is_costly: self.is_costly(class),
            keeps_texts: self.keeps_texts(class),
            fresh: false,
            set_up: Vec::new(),
            mentions,
            shared: BTreeSet::new(),
        });
    }

    /// Whether a class takes time to make by its header: what code is written or looked into for it.
    fn is_costly(&self, class: &StmtClassDef) -> bool {
        let is_one = |expr: &Expr, known: &[&str]| last_part(expr).is_some_and(|name| known.contains(&name));
        let decorated =
            class.decorator_list.iter().any(|decorator| is_one(&decorator.expression, &COSTLY_DECORATORS));
        let derived = |base: &Expr| {
            let of_costly = |name: &Name| self.noted(name).is_some_and(|at| self.found.globals[at].is_costly);
            is_one(base, &COSTLY_BASES) || root(base).is_some_and(of_costly)
        };
        decorated || class.bases().iter().any(derived)
    }

    /// Whether a class is a `TypedDict`, which keeps what its annotations have as text as it is.
    fn keeps_texts(&self, class: &StmtClassDef) -> bool {
        let is_one = |base: &Expr| {
            let known = |name: &Name| self.noted(name).is_some_and(|at| self.found.globals[at].keeps_texts);
            last_part(base) == Some("TypedDict") || root(base).is_some_and(known)
        };
        class.decorator_list.is_empty() && class.bases().first().is_some_and(is_one)
    }

    /// Which of the values noted so far a name is.
    fn noted(&self, name: &Name) -> Option<usize> {
        self.found.globals.iter().position(|global| global.name == *name)
    }

    /// Notes a statement that does nothing but set a value up which was noted before, and which is not part of any
    /// other.
    fn set_up(&mut self, statement: &Stmt, parts: &[&Expr]) {
        let Some(name) = sets_up(statement) else { return };
        let Some(own) = self.noted(name).filter(|own| self.found.globals[*own].fresh) else { return };
        let shape = Shape::of(parts);
        let once = shape.names.iter().filter(|named| *named == name).count() == 1;
        let others: BTreeSet<usize> =
            shape.names.iter().filter_map(|name| self.noted(name)).filter(|other| *other != own).collect();
        // Two values that wait for each other would never be made.
        if shape.fixed || !once || others.iter().any(|other| self.needs(*other, own)) {
            return;
        }
        // What was made from it before saw it without this.
        if self.found.globals.iter().any(|global| global.mentions.contains(&own)) {
            return;
        }
        let parts = parts_set(statement);
        if self.found.globals[own].holds_of_others(&parts) {
            return;
        }
        let global = &mut self.found.globals[own];
        global.set_up.push(statement.range());
        if !others.is_empty() {
            // `a.b = c` shares `b`; a method may put it anywhere.
            let of_one =
                matches!(statement, Stmt::Assign(_)).then(|| parts.first().cloned().flatten()).flatten();
            global.shared.insert(of_one);
        }
        global.mentions.extend(others);
    }

    /// Attributes of a value that may be parts of other ones which it was made from: named as the argument is.
    fn shared_by_making(&self, value: &Expr) -> BTreeSet<Option<Name>> {
        let Expr::Call(call) = value else { return BTreeSet::new() };
        let mentions = |expr: &Expr| Shape::of(&[expr]).names.iter().any(|name| self.noted(name).is_some());
        let mut shared: BTreeSet<Option<Name>> =
            call.arguments.args.iter().filter(|argument| mentions(argument)).map(|_| None).collect();
        for keyword in call.arguments.keywords.iter().filter(|keyword| mentions(&keyword.value)) {
            shared.insert(keyword.arg.as_ref().map(|name| name.id.clone()));
        }
        shared
    }

    /// Whether making a value makes another one.
    fn needs(&self, value: usize, other: usize) -> bool {
        let mentions = &self.found.globals[value].mentions;
        mentions.contains(&other) || mentions.iter().any(|mentioned| self.needs(*mentioned, other))
    }
}

/// Dictionaries that such values make for themselves, whatever they are given.
const OWN_PARTS: [&str; 6] = ["headers", "params", "filters", "globals", "tests", "hooks"];

impl GlobalFound {
    /// Whether what is reached by these attributes and items (`None`), from the outside in, may belong to others too.
    fn holds_of_others(&self, parts: &[Option<Name>]) -> bool {
        let Some(first) = parts.first() else { return false };
        if self.shared.is_empty() || parts.len() == 1 {
            // Setting an attribute itself changes nobody's part.
            return false;
        }
        let own = first.as_ref().is_some_and(|name| OWN_PARTS.contains(&name.as_str()));
        let any = self.shared.contains(&None) && !own;
        any || self.shared.contains(first) || parts.len() > 2
    }
}

/// What a statement that sets a value up reaches for: attributes by their names and items, the method last.
fn parts_set(statement: &Stmt) -> Vec<Option<Name>> {
    let target = match statement {
        Stmt::Assign(assign) => assign.targets.first(),
        Stmt::Expr(expression) => match expression.value.as_ref() {
            Expr::Call(call) => Some(call.func.as_ref()),
            _ => None,
        },
        _ => None,
    };
    let mut parts = Vec::new();
    let mut current = target;
    while let Some(expr) = current {
        current = match expr {
            Expr::Attribute(attribute) => {
                parts.push(Some(attribute.attr.id.clone()));
                Some(attribute.value.as_ref())
            }
            Expr::Subscript(item) => {
                parts.push(None);
                Some(item.value.as_ref())
            }
            _ => None,
        };
    }
    parts.reverse();
    parts
}

/// The name of which an attribute or an item is set or deleted here.
pub(super) fn stored_part_of(expr: &Expr) -> Option<&Name> {
    let context = match expr {
        Expr::Attribute(attribute) => attribute.ctx,
        Expr::Subscript(item) => item.ctx,
        _ => return None,
    };
    matches!(context, ExprContext::Store | ExprContext::Del).then(|| root(expr)).flatten()
}

/// The name of which `value` is an item or an attribute.
fn part_of(value: &Expr) -> Option<&Name> {
    match value {
        Expr::Attribute(_) | Expr::Subscript(_) => root(value),
        _ => None,
    }
}

/// The name that a chain of attributes and items begins with.
fn root(expr: &Expr) -> Option<&Name> {
    match expr {
        Expr::Name(name) => Some(&name.id),
        Expr::Attribute(attribute) => root(&attribute.value),
        Expr::Subscript(item) => root(&item.value),
        _ => None,
    }
}

/// Modules of types that others are put into.
const TYPES: [&str; 4] = ["collections.abc", "collections", "typing", "typing_extensions"];

/// Built-in types of that kind.
const GENERICS: [&str; 6] = ["dict", "frozenset", "list", "set", "tuple", "type"];

/// Built-in types that nothing is put into.
const PLAIN_TYPES: [&str; 8] = ["bool", "bytearray", "bytes", "complex", "float", "int", "object", "str"];

/// Decorators that write code for a class, of `dataclasses` and `attrs`.
const COSTLY_DECORATORS: [&str; 5] = ["attrs", "dataclass", "define", "frozen", "mutable"];

/// Classes whose metaclasses look into each class that is derived from them.
const COSTLY_BASES: [&str; 9] =
    ["BaseModel", "Enum", "Flag", "IntEnum", "IntFlag", "NamedTuple", "StrEnum", "Struct", "TypedDict"];

/// Where the name stands in `class Name`.
const CLASS_NAME_COLUMN: u32 = 6;

/// Whether a class body binds names of the module, or imports.
#[derive(Default)]
struct Outward {
    found: bool,
}

impl<'a> Visitor<'a> for Outward {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Global(_) | Stmt::Nonlocal(_) | Stmt::Import(_) | Stmt::ImportFrom(_) => self.found = true,
            Stmt::FunctionDef(_) => {}
            _ => walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, _: &'a Expr) {}
}

/// The subscripts in an expression that are in no other.
struct Inner<'a>(Vec<&'a Expr>);

impl<'a> Inner<'a> {
    fn of(expr: &'a Expr) -> Self {
        let mut inner = Self(Vec::new());
        inner.visit_expr(expr);
        inner
    }
}

impl<'a> Visitor<'a> for Inner<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if matches!(expr, Expr::Subscript(_)) {
            self.0.push(expr);
        } else {
            walk_expr(self, expr);
        }
    }
}

/// What expressions consist of.
#[derive(Default)]
struct Shape {
    calls: bool,
    /// One binds a name, names its surroundings, or suspends: elsewhere it would mean something else.
    fixed: bool,
    names: Vec<Name>,
}

impl Shape {
    fn of(expressions: &[&Expr]) -> Self {
        let mut shape = Self::default();
        for expression in expressions {
            shape.visit_expr(expression);
        }
        shape
    }
}

impl<'a> Visitor<'a> for Shape {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(_) => self.calls = true,
            // A lambda's `__qualname__` tells where it was made.
            Expr::Lambda(_)
            | Expr::Named(_)
            | Expr::Await(_)
            | Expr::Yield(_)
            | Expr::YieldFrom(_)
            | Expr::Generator(_)
            | Expr::TString(_)
            | Expr::IpyEscapeCommand(_) => self.fixed = true,
            Expr::Name(name) => self.names.push(name.id.clone()),
            _ => {}
        }
        walk_expr(self, expr);
    }
}
