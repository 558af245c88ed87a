//! The facts about a module.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// Which module a source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleId {
    /// Its full dotted name.
    pub name: String,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
    /// Its source, relative to the tree.
    pub path: Utf8PathBuf,
}

/// A position as Python's `ast` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// Bytes of UTF-8 from the start of the line, from 0.
    pub column: u32,
}

/// An import statement anywhere in a module, relative ones resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module that is asked for.
    pub module: String,
    /// What is taken from it; empty for a plain `import` and for a star.
    pub names: Vec<String>,
    /// Whether it takes everything.
    pub star: bool,
    /// Where the statement stands.
    pub line: u32,
    /// Whether it stands in a function, and so runs only when that is called.
    pub in_function: bool,
    /// Whether the type checker alone reads it (`if TYPE_CHECKING:`).
    pub typing_only: bool,
    /// Whether a condition or a `try` decides if it runs.
    pub conditional: bool,
}

impl Import {
    /// Whether it runs while the module is imported, whatever happens.
    pub fn runs_at_import(&self) -> bool {
        !self.in_function && !self.typing_only && !self.conditional
    }
}

/// One `import` clause in the module's body that binds a name: `import a, b` has two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportStatement {
    /// Where the whole statement starts.
    pub place: Place,
    /// Its last line.
    pub end_line: u32,
    /// Which of its clauses.
    pub clause: u32,
    /// The module that is imported; relative ones resolved.
    pub module: String,
    /// What is taken from it; `None` for a plain `import`.
    pub attribute: Option<String>,
    /// Whether the name is bound to the first part of `module` (`import a.b` binds `a`).
    pub binds_top: bool,
    /// The clause as a person writes it: `import pandas as pd`, `from .a import b`.
    pub text: String,
}

/// Where and how a name is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Where the name stands.
    pub place: Place,
    /// When it is evaluated.
    pub kind: UseKind,
    /// The outermost f-string around it: before Python 3.12 positions inside are not reliable.
    pub within_fstring: Option<Place>,
}

/// When a use is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UseKind {
    /// When a function is called, or under `if __name__ == "__main__"`.
    Later,
    /// While the module's body runs.
    AtImport,
    /// While the module's body runs, in an annotation that has to be evaluated there.
    EagerAnnotation,
    /// While the module's body runs, in the value of a [`Global`], or in its class statement.
    Global,
    /// In an annotation that is text, of a variable of a class that is a [`Global`], after the name is bound: who makes
    /// the class may evaluate it at once.
    GlobalText,
    /// In the annotations of a [`Signature`]: while the module's body runs, but any later time would do.
    Signature,
    /// In an annotation that nothing evaluates by itself, a string, or any under the future import, of a function that
    /// is defined while the module's body runs, after the name is bound: one of [`ModuleAnalysis::text_signatures`].
    TextSignature {
        /// Whether it has a decorator that may evaluate it.
        read: bool,
    },
    /// In another such annotation.
    Annotation,
    /// In such an annotation of a variable in a class body with a decorator or a base class, or of a decorated function
    /// that is defined later, or before the name is bound: who made those may evaluate it at once.
    ReadAnnotation,
}

/// A function whose annotations, of parameters and of what it returns, may as well be evaluated when somebody reads
/// them: they use nothing that is bound again once the function is defined, calls in them aside, which are made where
/// they stand. Or such a class, with those of its variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The names of the module that they use later.
    pub names: BTreeSet<String>,
    /// Start and end of each annotation, in the order of the source; never empty.
    pub annotations: Vec<(Place, Place)>,
}

impl Signature {
    /// Whether something at `place` is part of one of the annotations: which.
    pub fn around(&self, place: Place) -> Option<(Place, Place)> {
        self.annotations.iter().copied().find(|(start, end)| (*start..*end).contains(&place))
    }

    /// Where the first annotation starts; tells it from every other function's.
    pub fn place(&self) -> Place {
        self.annotations[0].0
    }
}

/// What stands against deferring a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hindrance {
    /// The rule.
    pub kind: HindranceKind,
    /// Where.
    pub line: u32,
}

/// The rules that a module's own text can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HindranceKind {
    /// The import stands in `try`, `with`, `if`, a loop, a class or `match`.
    Nested,
    /// The name is assigned, deleted, or bound by something else in the module.
    Rebound,
    /// A function declares it `global`.
    DeclaredGlobal,
    /// It is used in a `match` pattern.
    Pattern,
    /// It is used in `f"{x=}"`.
    SelfDocumentingFString,
    /// A class body binds and uses the same name.
    ClassScope,
    /// Mangling in a class would change it.
    Mangled,
    /// It is used in a template string, or an f-string around it gives the same name two meanings.
    Ambiguous,
    /// A star import before it may have bound the name already.
    FollowsStar,
}

/// A name that import clauses bind in the module's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// What binds it, in order: `import a.b` and `import a.c` both bind `a`.
    pub statements: Vec<ImportStatement>,
    /// Every use that resolves to it.
    pub uses: Vec<Use>,
    /// What stands against deferring it.
    pub hindrances: Vec<Hindrance>,
}

/// A statement of the module's body that binds a name to what a call gives, to a class or to a type, and could do so at
/// the first use of the name: `s3 = boto3.client("s3")`, `class Report(pandas.DataFrame): …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Global {
    /// The name, its uses and what stands against deferring it; no import statement.
    pub binding: Binding,
    /// Where the statement starts; a class with its first line after the decorators.
    pub place: Place,
    /// Its last line.
    pub end_line: u32,
    /// Whether it is a class.
    pub is_class: bool,
    /// Whether it is a type of the standard library with others in it, `Rows = list[Frame]`, or another name for what a
    /// module has at its top: `ParseError = ElementTree.ParseError`.
    pub is_alias: bool,
    /// Whether it is a class whose making looks at no name that its annotations have as text: a `TypedDict`.
    pub keeps_texts: bool,
    /// Of a class or another name for a type: the attributes of imported things that are read while it is made, by
    /// their dotted paths.
    pub attributes: BTreeSet<String>,
    /// Start and end of the value; of a class the whole statement, with its decorators.
    pub value: (Place, Place),
    /// Start and end of later statements that do nothing but set the value up: `session.headers.update(…)`.
    pub set_up: Vec<(Place, Place)>,
    /// The value's, or the class's, first line, as it is in the source.
    pub text: String,
    /// What making the value may do to others; empty where everything that it calls is known to act on nobody else.
    pub effects: Vec<Effect>,
    /// Why the value could be another later: a line and a sentence.
    pub unsettled: Option<(u32, String)>,
    /// Top-level packages of the clients, engines and the like that it makes.
    pub makes: BTreeSet<String>,
    /// What it reads.
    pub reads: BTreeSet<Source>,
    /// Names of the module that it is made from.
    pub inputs: BTreeSet<String>,
    /// It is the same whenever it is made: compiled regular expressions whose texts depend on nothing but the module's
    /// own names, or the path of an installed package's file.
    pub fixed: bool,
    /// It is made from something that others may change, of the module itself or imported.
    pub loose: bool,
}

impl Global {
    /// Whether something at `place` is part of the value, or of what sets it up.
    pub fn is_around(&self, place: Place) -> bool {
        std::iter::once(&self.value).chain(&self.set_up).any(|(start, end)| (*start..*end).contains(&place))
    }
}

/// A place that changes the surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// From 1.
    pub line: u32,
    /// Whether it stands in a function, and so happens at any time.
    pub in_function: bool,
    /// What is changed.
    pub what: Changed,
}

/// Part of the surroundings of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// An environment variable; `None` stands for any.
    Variable(Option<String>),
    /// The working folder.
    Folder,
    /// Something imported, by its dotted path.
    Thing {
        path: String,
        /// Whether the name means another object afterwards; else the object is changed in place.
        rebound: bool,
    },
    /// The context of `decimal`.
    Decimal,
    /// The state of a generator of random numbers.
    Seed,
    /// What becomes of warnings.
    Warnings,
    /// What kind of loggers there are, or which of those that there are may speak.
    Loggers,
    /// Where modules are looked for, and found before others.
    SearchPath,
    /// What `sys.modules` has under a name; `None` stands for any.
    Modules(Option<String>),
    /// How deep calls may go, or what happens when they go too deep.
    Depth,
    /// Something at the top of the module itself.
    State {
        name: String,
        /// The function or class of the module in which that happens.
        by: String,
        /// Whether the name means another object afterwards; else the object is changed in place.
        rebound: bool,
    },
}

/// What a value is made from beside the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// Environment variables.
    Environment,
    /// Files.
    Files,
    /// The time.
    Clock,
    /// Random numbers, identifiers of the process.
    Random,
}

/// What kind of thing an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EffectKind {
    /// Makes something known where others look it up: a registry, the subclasses of a class, a decorator's book.
    Registers,
    /// Changes what belongs to another module or to the process.
    Patches,
    /// Starts a thread or a process, or waits.
    Starts,
    /// Warns, prints or logs, or changes what becomes of that.
    Warns,
    /// Writes files.
    Writes,
    /// Runs what is not known here.
    Runs,
}

/// Something that a module's body may do to others than itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Where.
    pub line: u32,
    /// What kind of thing it is.
    pub kind: EffectKind,
    /// For a person: `registers with atexit`, `calls configure()`.
    pub what: String,
    /// What decides in other modules whether there is an effect at all: none where all of it is harmless. Empty: there
    /// is one.
    pub hangs_on: Vec<Hang>,
    /// What is acted on, where that was imported.
    pub aim: Option<Aim>,
}

/// Something imported that a module's body acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aim {
    /// Its dotted path.
    pub path: String,
    /// Whether the body does it for nothing else: it sets a part of it, or drops what a call gives.
    pub on_purpose: bool,
}

/// Something that is done with what another module defines, by its dotted path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hang {
    /// A class is derived from it.
    Derive(String),
    /// It is called.
    Call(String, Way),
}

/// How something is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    /// With arguments that the caller alone holds, or that cannot change.
    Own,
    /// With any arguments.
    Any,
    /// With any arguments, and what it gives is called with something that the caller alone holds: a decorator with
    /// arguments.
    Decorator,
}

/// What calling a function or a class may do, by the way in which it is called: what that hangs on, or `None` where it
/// has an effect, or may have one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Called(pub BTreeMap<Way, Option<Vec<Hang>>>);

/// All facts about a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleAnalysis {
    /// The module's name.
    pub name: String,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
    /// Its source, relative to the tree.
    pub path: Utf8PathBuf,
    /// Every import statement, in order.
    pub imports: Vec<Import>,
    /// Names bound by import clauses that stand directly in the body or nested in it, functions apart.
    pub bindings: Vec<Binding>,
    /// Functions whose annotations may wait, in order.
    pub signatures: Vec<Signature>,
    /// Where the first annotation starts of each function that has names in annotations that are text, in order.
    pub text_signatures: Vec<Place>,
    /// Statements of the body that could run at the first use of what they bind, in order.
    pub globals: Vec<Global>,
    /// Calls and assignments of the body that may configure a package: line and top-level package.
    pub configures: Vec<(u32, String)>,
    /// What its body calls in, and derives from, other modules.
    pub hangs: BTreeSet<Hang>,
    /// Changes of the surroundings, in order.
    pub changes: Vec<Change>,
    /// Whether it asks a class for those that are derived from it.
    pub lists_subclasses: bool,
    /// Whether it may look for classes in modules that it loads by computed names.
    pub discovers: bool,
    /// Whether its text has to do with folders that outlive no process, or belong to one user.
    pub temporary: bool,
    /// Whether its body warns, as far as its text says.
    pub warns: bool,
    /// Where it takes the names of functions or callers as a whole: line and how.
    pub takes_names: Option<(u32, String)>,
    /// Where it has a text evaluated, with its own names, that is not there to see: line and how.
    pub evaluates: Option<(u32, String)>,
    /// Names that its texts use as code does, with the line of the first: `x.mean(` or `@x`.
    pub text_names: BTreeMap<String, u32>,
    /// Environment variables that the module reads, in its body or in a function; `None` stands for any.
    pub environment_reads: BTreeSet<Option<String>>,
    /// Those that its body reads, as far as can be told, while it runs.
    pub body_environment_reads: BTreeSet<Option<String>>,
    /// The literal `__all__`, if it is one.
    pub exports: Option<BTreeSet<String>>,
    /// Whether `__all__` is there but is more than a literal.
    pub dynamic_exports: bool,
    /// Names that a function of the module declares `global`: it may bind them again at any time.
    pub declared_globals: BTreeSet<String>,
    /// Where the module reads its own namespace as a whole: line and how (`globals()`).
    pub reads_namespace: Option<(u32, String)>,
    /// Calls of `dir()` in the body: they list the names bound so far.
    pub listings: Vec<Place>,
    /// Calls of `globals()` in its own `__dir__`, for the names.
    pub listed_globals: Vec<Place>,
    /// Where it binds `__getattr__` inside another statement.
    pub conditional_getattr: Option<u32>,
    /// Where it puts something else in its place in `sys.modules`.
    pub replaces_itself: Option<u32>,
    /// `import_module("literal")` and `__import__("literal")`: line and module.
    pub dynamic_imports: Vec<(u32, String)>,
    /// Attribute chains read from imported modules, as far as they could be modules: `xml.sax`.
    pub attribute_paths: BTreeSet<String>,
    /// Of a package, names that its body binds by something else than an import.
    pub defined: BTreeSet<String>,
    /// Of a package, names that it reads or deletes and does not bind itself: the import system may, for a submodule.
    pub unbound: BTreeSet<String>,
    /// What the body may do to others; empty where it is proven to do nothing.
    pub effects: Vec<Effect>,
    /// What the body reads beside the program, as far as it is seen.
    pub reads: BTreeSet<Source>,
    /// Classes of the body that keep no book of what is derived from them, if the ones listed, by their dotted paths,
    /// do not either.
    pub classes: BTreeMap<String, Vec<String>>,
}

impl ModuleAnalysis {
    /// The statement among `globals` in whose value, or in what sets it up, `place` is.
    pub fn global_around(&self, place: Place) -> Option<&Global> {
        self.globals.iter().find(|global| global.is_around(place))
    }

    /// The function among `signatures` in whose annotations `place` is.
    pub fn signature_around(&self, place: Place) -> Option<&Signature> {
        let next = self.signatures.partition_point(|signature| signature.place() <= place);
        // Methods may stand between the variables of a class.
        self.signatures[..next].iter().rev().find(|signature| signature.around(place).is_some())
    }

    /// The function among `text_signatures` that a [`UseKind::TextSignature`] at `place` is about: no other kind of
    /// annotation stands between the first of a function and its last.
    pub fn text_signature_around(&self, place: Place) -> Option<Place> {
        let next = self.text_signatures.partition_point(|first| *first <= place);
        self.text_signatures[..next].last().copied()
    }
}
