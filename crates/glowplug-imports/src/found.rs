//! What one walk over a module finds, before it is known what the names mean.

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_text_size::{TextRange, TextSize};

use crate::scopes::{ScopeId, Scopes};
use crate::{ImportStatement, UseKind};

/// A read of a name, before it is known what it means.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) name: Name,
    pub(crate) at: TextSize,
    pub(crate) scope: ScopeId,
    pub(crate) kind: UseKind,
    /// Start of the outermost f-string around it.
    pub(crate) fstring: Option<TextSize>,
    /// It stands where no expression may stand in its place.
    pub(crate) fixed: Option<Fixed>,
    /// Attributes read from it, outermost last.
    pub(crate) attributes: Vec<Name>,
    /// Index of the signature that it is part of.
    pub(crate) signature: Option<usize>,
}

/// A function, or a class with variables, whose annotations could wait, as far as their text says.
#[derive(Debug)]
pub(crate) struct SignatureFound {
    /// Where the function or the class starts, with its decorators.
    pub(crate) at: TextSize,
    /// Its annotations, in the order of the source.
    pub(crate) annotations: Vec<TextRange>,
}

/// Why a read cannot be replaced by an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixed {
    Pattern,
    SelfDocumenting,
    Template,
}

/// An import clause in the module's own body, functions and classes apart.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) name: String,
    pub(crate) statement: ImportStatement,
    /// It stands in a compound statement.
    pub(crate) nested: bool,
}

/// An import statement anywhere.
#[derive(Debug)]
pub(crate) struct AnyImport {
    pub(crate) at: TextSize,
    pub(crate) module: String,
    pub(crate) names: Vec<String>,
    pub(crate) star: bool,
    pub(crate) in_function: bool,
    pub(crate) typing_only: bool,
    pub(crate) conditional: bool,
}

/// A statement of the module's body that binds one name to what a call gives, to a class or to a type.
#[derive(Debug)]
pub(crate) struct GlobalFound {
    pub(crate) name: Name,
    /// Where the name stands that it binds.
    pub(crate) target: TextSize,
    pub(crate) statement: TextRange,
    /// Of a class the whole statement.
    pub(crate) value: TextRange,
    /// It is a `class` statement.
    pub(crate) is_class: bool,
    /// It is a type by another name, `Row = dict[str, Frame]`, or another name for what a module has at its top.
    pub(crate) is_alias: bool,
    /// It is a class that takes time to make, whatever it holds: a data class, a model, an enumeration.
    pub(crate) is_costly: bool,
    /// It is a class whose making looks at no name that its annotations have as text: a `TypedDict`.
    pub(crate) keeps_texts: bool,
    /// It calls something that is no part of another such value: what it gives, nobody else holds a part of.
    pub(crate) fresh: bool,
    /// Later statements that do nothing but set its value up.
    pub(crate) set_up: Vec<TextRange>,
    /// Indexes of the others whose names these statements use.
    pub(crate) mentions: BTreeSet<usize>,
    /// Attributes of it that came from others; `None` stands for any.
    pub(crate) shared: BTreeSet<Option<Name>>,
}

impl GlobalFound {
    /// Whether it is a class, or another name for one or for types: nothing that does anything itself.
    pub(crate) fn defines(&self) -> bool {
        self.is_class || self.is_alias
    }

    /// Whether something at `at` runs when the value is made.
    pub(crate) fn is_around(&self, at: TextSize) -> bool {
        self.value.contains(at) || self.sets_up(at)
    }

    /// Whether something at `at` sets the value up.
    pub(crate) fn sets_up(&self, at: TextSize) -> bool {
        self.set_up.iter().any(|statement| statement.contains(at))
    }
}

/// What the walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) scopes: Scopes,
    pub(crate) reads: Vec<Read>,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) imports: Vec<AnyImport>,
    /// Names that the module's body binds or deletes by something else than an import clause.
    pub(crate) rebound: Vec<(Name, TextSize)>,
    /// Those among them that delete it.
    pub(crate) deleted: Vec<(Name, TextSize)>,
    /// Names whose whole namespaces are asked for by `vars(name)`.
    pub(crate) whole_of: Vec<(Name, ScopeId)>,
    /// Classes of the module's body, and where each ends and its name is bound.
    pub(crate) classes: Vec<(Name, TextSize)>,
    pub(crate) signatures: Vec<SignatureFound>,
    /// Where the first annotation starts of each function that has names in annotations that are text.
    pub(crate) text_signatures: Vec<TextSize>,
    pub(crate) globals: Vec<GlobalFound>,
    /// Names of which an attribute or an item is set or deleted.
    pub(crate) part_stores: Vec<(Name, TextSize, ScopeId)>,
    /// The module binds names through `globals()`.
    pub(crate) writes_namespace: bool,
    /// Names inside strings that stand in types outside of annotations while the module's body runs.
    pub(crate) type_texts: Vec<(Name, TextSize)>,
    /// Names inside strings that something is called with, anywhere.
    pub(crate) call_texts: Vec<(Name, TextSize)>,
    /// Names inside strings in annotations.
    pub(crate) quoted: Vec<(Name, TextSize, UseKind)>,
    pub(crate) reads_namespace: Option<(TextSize, String)>,
    pub(crate) listings: Vec<TextSize>,
    pub(crate) listed_globals: Vec<TextSize>,
    pub(crate) conditional_getattr: Option<TextSize>,
    pub(crate) replaces_itself: Option<TextSize>,
    pub(crate) dynamic_imports: Vec<(TextSize, String)>,
    /// The first star import of the module's body.
    pub(crate) star: Option<TextSize>,
}

/// When annotations are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Annotations {
    /// Where they stand.
    Eagerly,
    /// When somebody asks for them (from Python 3.14 on).
    Lazily,
    /// Never: they are strings (the future import).
    Never,
}
