//! What the compiler in the target interpreter has to do to one file; see `python/glowplug_agent/edits.py`.

use std::collections::BTreeSet;

use glowplug_imports::{Binding, Global, ImportStatement, ModuleAnalysis, Place, UseKind};
use serde::Serialize;

/// The edits of one file, serialised as the JSON that the compiler reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEdits {
    /// Name of the support module.
    pub support: String,
    /// Names to defer.
    pub names: Vec<NameEdit>,
    /// Submodules that others rely on without importing them.
    pub submodules: Vec<String>,
    /// Clauses `import a.b` that go on as `import a`.
    pub weakened: Vec<ClauseEdit>,
    /// Line and column of every `dir()` that lists the module's names.
    pub listings: Vec<(u32, u32)>,
    /// Line and column of every `globals()` in the module's own `__dir__`.
    pub listed_globals: Vec<(u32, u32)>,
    /// Line and column of the first annotation of every function whose annotations wait until somebody reads them.
    pub signatures: BTreeSet<(u32, u32)>,
    /// The same of every function whose annotations are text with a deferred name, and the name: it is bound when
    /// somebody looks into the annotations.
    pub texts: BTreeSet<(u32, u32, String)>,
    /// Packages of the standard library and submodules of theirs that this module reads without importing them.
    pub borrowed: Vec<(String, String)>,
    /// What the handler's module begins with where modules were left out of the package.
    pub absent: Option<AbsentEdit>,
}

/// How a package that lacks modules tells so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AbsentEdit {
    /// Name of the module that does, whose source is [`ABSENT_SOURCE`](crate::ABSENT_SOURCE).
    pub module: String,
    /// Top-level packages of which something was left out.
    pub packages: Vec<String>,
}

/// One name to defer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameEdit {
    /// The name.
    pub name: String,
    /// The clauses that bind it.
    pub clauses: Vec<ClauseEdit>,
    /// Where the assignment or the class starts that binds it, if no import does.
    pub statement: Option<(u32, u32)>,
    /// Where the statements start that set up what it binds.
    pub set_up: Vec<(u32, u32)>,
    /// Of a class, deferred names that have to be there when it is made: its annotations have them as text.
    pub first: Vec<String>,
    /// Deferred names that have to be there when it has been made: its annotations have them as text too, and nobody looks
    /// before.
    pub then: Vec<String>,
    /// Line and column of every use outside of f-strings.
    pub uses: Vec<(u32, u32)>,
    /// Line and column of every f-string in which all uses are replaced.
    pub fstrings: Vec<(u32, u32)>,
}

/// One clause of an import statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClauseEdit {
    /// Where the statement starts.
    pub line: u32,
    /// Where the statement starts.
    pub column: u32,
    /// Which of its clauses.
    pub clause: u32,
    /// The full name, where the clause takes a submodule from its own package.
    pub submodule: Option<String>,
}

impl FileEdits {
    /// No edits yet, for a module with these facts.
    pub(crate) fn new(support: &str, analysis: &ModuleAnalysis) -> Self {
        let pairs = |places: &[Place]| places.iter().copied().map(pair).collect();
        Self {
            support: support.to_owned(),
            names: Vec::new(),
            submodules: Vec::new(),
            weakened: Vec::new(),
            listings: pairs(&analysis.listings),
            listed_globals: pairs(&analysis.listed_globals),
            signatures: BTreeSet::new(),
            texts: BTreeSet::new(),
            borrowed: Vec::new(),
            absent: None,
        }
    }

    /// Nothing but the beginning of the handler's module of a package that lacks modules.
    pub fn of_absent(absent: AbsentEdit) -> Self {
        Self {
            support: String::new(),
            names: Vec::new(),
            submodules: Vec::new(),
            weakened: Vec::new(),
            listings: Vec::new(),
            listed_globals: Vec::new(),
            signatures: BTreeSet::new(),
            texts: BTreeSet::new(),
            borrowed: Vec::new(),
            absent: Some(absent),
        }
    }
}

/// A clause as it stands, which takes no submodule from its own package.
pub(crate) fn clause_edit(statement: &ImportStatement) -> ClauseEdit {
    ClauseEdit {
        line: statement.place.line,
        column: statement.place.column,
        clause: statement.clause,
        submodule: None,
    }
}

pub(crate) fn pair(place: Place) -> (u32, u32) {
    (place.line, place.column)
}

/// The functions that have to wait with their annotations for a name to be deferred.
pub(crate) fn signatures_with(
    analysis: &ModuleAnalysis,
    binding: &Binding,
) -> impl Iterator<Item = (u32, u32)> {
    let uses = binding.uses.iter().filter(|used| used.kind == UseKind::Signature);
    uses.filter_map(|used| analysis.signature_around(used.place)).map(|signature| pair(signature.place()))
}

/// The functions whose annotations have a name as text.
pub(crate) fn texts_with(
    analysis: &ModuleAnalysis,
    binding: &Binding,
) -> impl Iterator<Item = (u32, u32, String)> {
    let uses = binding.uses.iter().filter(|used| matches!(used.kind, UseKind::TextSignature { .. }));
    let places = uses.filter_map(|used| analysis.text_signature_around(used.place));
    places.map(|place| (place.line, place.column, binding.name.clone()))
}

/// The names that a class's annotations have as text: those that are bound before it, and the others.
pub(crate) fn texts_of(analysis: &ModuleAnalysis, class: &Global) -> (Vec<String>, Vec<String>) {
    let before = |binding: &Binding| match binding.statements.last() {
        Some(statement) => statement.place < class.place,
        None => analysis.globals.iter().any(|g| g.binding.name == binding.name && g.place < class.place),
    };
    let text = |kind| matches!(kind, UseKind::GlobalText | UseKind::Annotation);
    let needed =
        |binding: &&Binding| binding.uses.iter().any(|used| text(used.kind) && class.is_around(used.place));
    let others = analysis.globals.iter().map(|global| &global.binding);
    let named = analysis.bindings.iter().chain(others).filter(needed);
    let (first, then): (Vec<&Binding>, Vec<&Binding>) = named.partition(|binding| before(binding));
    let names = |all: Vec<&Binding>| -> Vec<String> {
        let sorted: BTreeSet<&String> = all.into_iter().map(|binding| &binding.name).collect();
        sorted.into_iter().cloned().collect()
    };
    (names(first), if class.keeps_texts { names(then) } else { Vec::new() })
}

pub(crate) fn name_edit(
    analysis: &ModuleAnalysis,
    binding: &Binding,
    is_module: impl Fn(&str) -> bool,
) -> NameEdit {
    let evaluated = || {
        binding
            .uses
            .iter()
            .filter(|used| matches!(used.kind, UseKind::Later | UseKind::Signature | UseKind::Global))
    };
    let mut uses: Vec<(u32, u32)> =
        evaluated().filter(|used| used.within_fstring.is_none()).map(|used| pair(used.place)).collect();
    let mut fstrings: Vec<(u32, u32)> =
        evaluated().filter_map(|used| used.within_fstring).map(pair).collect();
    for list in [&mut uses, &mut fstrings] {
        list.sort_unstable();
        list.dedup();
    }
    let clause = |statement: &ImportStatement| ClauseEdit {
        submodule: statement
            .attribute
            .as_ref()
            .filter(|_| statement.module == analysis.name)
            .map(|attribute| format!("{}.{attribute}", statement.module))
            .filter(|full| is_module(full)),
        ..clause_edit(statement)
    };
    NameEdit {
        name: binding.name.clone(),
        clauses: binding.statements.iter().map(clause).collect(),
        statement: None,
        set_up: Vec::new(),
        first: Vec::new(),
        then: Vec::new(),
        uses,
        fstrings,
    }
}
