//! Gathers the facts about a module from one walk over it.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, ModModule, Stmt};
use ruff_python_parser::{Mode, ParseOptions, Parsed};
use ruff_source_file::LineIndex;
use ruff_text_size::TextSize;

use glowplug_core::{Error, PythonVersion, Result};

use crate::facts::{
    Called, Effect, EffectKind, Hang, Import, ModuleAnalysis, ModuleId, Place, Signature, UseKind,
};
use crate::found::{Annotations, Found, GlobalFound};
use crate::scopes::Meaning;
use crate::surroundings::Read;
use crate::walk::Walker;

/// From this version on annotations are evaluated when somebody asks for them (PEP 649).
const LAZY_ANNOTATIONS: PythonVersion = PythonVersion::new(3, 14);

/// Deepest nesting of brackets that is parsed: that of CPython's tokenizer (`MAXLEVEL`).
const DEEPEST: usize = 200;

/// A module's syntax, and where its lines begin.
struct Text<'s> {
    source: &'s str,
    parsed: Parsed<ModModule>,
    lines: LineIndex,
}

impl<'s> Text<'s> {
    fn parse(source: &'s str, id: &ModuleId, python: PythonVersion) -> Result<Self> {
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        if foreign_encoding(source) {
            return Err(
                Error::input("the source declares an encoding other than UTF-8").place(id.path.as_str())
            );
        }
        if nests_too_deep(source) {
            return Err(Error::input("the source nests too many brackets").place(id.path.as_str()));
        }
        let version = ruff_python_ast::PythonVersion { major: python.major, minor: python.minor };
        let options = ParseOptions::from(Mode::Module).with_target_version(version);
        let parsed = ruff_python_parser::parse_unchecked(source, options)
            .try_into_module()
            .ok_or_else(|| Error::defect("a module was parsed as something else"))?;
        let text = Self { source, parsed, lines: LineIndex::from_source_text(source) };
        if let Some(error) = text.parsed.errors().first() {
            let line = text.place(error.location.start()).line;
            return Err(Error::input("the source is not valid Python")
                .cause(&error.error)
                .place(format!("{}:{line}", id.path)));
        }
        if let Some(error) = text.parsed.unsupported_syntax_errors().first() {
            let line = text.place(error.range.start()).line;
            return Err(Error::input(format!("the source is not valid Python {python}"))
                .cause(error)
                .place(format!("{}:{line}", id.path)));
        }
        Ok(text)
    }

    /// As `ast` counts: lines from 1, columns in bytes of UTF-8.
    fn place(&self, offset: TextSize) -> Place {
        let line = self.lines.line_index(offset);
        let column = offset - self.lines.line_start(line, self.source);
        Place { line: line.get() as u32, column: column.into() }
    }
}

/// What calling some of a module's names may do: see [`Called`]. Names that cannot be followed are left out, all where
/// the source cannot be read.
pub fn called(
    source: &str,
    id: &ModuleId,
    python: PythonVersion,
    asked: &BTreeSet<String>,
) -> BTreeMap<String, Called> {
    let Ok(text) = Text::parse(source, id, python) else { return BTreeMap::new() };
    let line_of = |offset: TextSize| text.place(offset).line;
    let mut all = crate::effects::called(text.parsed.suite(), id, &line_of, asked);
    let hangs = all.values_mut().flat_map(|called| called.0.values_mut()).flatten().flatten();
    hangs.for_each(|hang| locate(id, hang));
    all
}

/// What is in the text of a module that looks for files which are not part of the package.
const TEMPORARY: [&str; 5] = ["/tmp", "tempfile", "gettempdir", "expanduser", "TMPDIR"];

/// What is in the text of a module that loads others by computed names, and in one that looks at all that another has.
const LOADING: [&str; 6] = [
    "import_module(",
    "__import__(",
    "iter_modules(",
    "walk_packages(",
    "sys.modules.items()",
    "sys.modules.values()",
];
const LOOKING: [&str; 2] = ["vars(", ".__dict__"];

/// What `six` says of itself, which many packages carry along by that name: it looks into the dictionaries of classes alone.
const SIX: &str = "Utilities for writing code that runs on Python 2 and 3";

/// Reads a module.
///
/// # Errors
/// Input: the source is not Python of that version, declares an encoding other than UTF-8, or nests too deep.
pub fn analyse(source: &str, id: &ModuleId, python: PythonVersion) -> Result<ModuleAnalysis> {
    let text = Text::parse(source, id, python)?;
    let place_of = |offset: TextSize| text.place(offset);
    let (source, parsed) = (text.source, &text.parsed);
    let suite = parsed.suite();
    let annotations = if has_future_annotations(suite) {
        Annotations::Never
    } else if python >= LAZY_ANNOTATIONS {
        Annotations::Lazily
    } else {
        Annotations::Eagerly
    };
    let found = Walker::run(suite, id, annotations, &place_of);
    let line_of = |offset: TextSize| place_of(offset).line;
    let (exports, dynamic_exports) = exports(suite);
    let waiting = crate::signatures::waiting(&found, &place_of);
    let (bindings, others) = crate::bindings::bindings(&found, &waiting, &place_of);
    let followed = crate::effects::effects(suite, id, &line_of, &crate::globals::starts(&found));
    let surroundings = crate::surroundings::surroundings(source, id, suite, &line_of);
    let mut changes = surroundings.changes;
    changes.extend(crate::state::state(suite, &line_of));
    changes.sort_by_key(|change| change.line);
    let texts = crate::texts::texts(suite, &line_of);
    let warns = followed.effects.iter().any(|e| e.kind == EffectKind::Warns && e.what == "warns");
    let mut globals = crate::globals::globals(source, &found, others, &followed, &place_of);
    for global in &mut globals {
        global.effects = global.effects.drain(..).map(|effect| located(id, effect)).collect();
    }
    let effects: Vec<_> = followed.effects.into_iter().map(|effect| located(id, effect)).collect();
    Ok(ModuleAnalysis {
        name: id.name.clone(),
        is_package: id.is_package,
        path: id.path.clone(),
        imports: imports(&found, &line_of),
        attribute_paths: attribute_paths(&found, None),
        defined: if id.is_package { defined(&found) } else { BTreeSet::new() },
        unbound: if id.is_package { unbound(&found) } else { BTreeSet::new() },
        exports,
        dynamic_exports,
        declared_globals: found.scopes.all_declared_global(),
        reads_namespace: found.reads_namespace.as_ref().map(|(at, how)| (line_of(*at), how.clone())),
        evaluates: texts.evaluates,
        listings: found.listings.iter().map(|at| place_of(*at)).collect(),
        listed_globals: found.listed_globals.iter().map(|at| place_of(*at)).collect(),
        conditional_getattr: found.conditional_getattr.map(line_of),
        replaces_itself: found.replaces_itself.map(line_of),
        dynamic_imports: found
            .dynamic_imports
            .iter()
            .map(|(at, module)| (line_of(*at), module.clone()))
            .collect(),
        hangs: effects.iter().flat_map(|effect| effect.hangs_on.iter().cloned()).collect(),
        effects,
        reads: followed.reads,
        classes: followed
            .classes
            .into_iter()
            .map(|(name, bases)| (name, bases.iter().map(|base| id.absolute(base)).collect()))
            .collect(),
        configures: followed.configures,
        changes,
        temporary: TEMPORARY.iter().any(|part| source.contains(part)),
        warns,
        takes_names: texts.takes,
        text_names: texts.names,
        lists_subclasses: source.contains("__subclasses__"),
        discovers: LOADING.iter().any(|part| source.contains(part))
            && LOOKING.iter().any(|part| source.contains(part))
            && !(source.contains(SIX) && id.name.rsplit('.').next() == Some("six")),
        environment_reads: surroundings.reads.iter().map(|(name, _)| name.clone()).collect(),
        body_environment_reads: while_it_runs(&surroundings.reads, followed.runs.as_ref()),
        bindings,
        globals,
        signatures: in_order(waiting.into_iter().flatten().collect()),
        text_signatures: found.text_signatures.iter().map(|at| place_of(*at)).collect(),
    })
}

/// Variables that are read by the body or by the functions that it runs; all where those are not known.
fn while_it_runs(reads: &BTreeSet<Read>, runs: Option<&BTreeSet<TextSize>>) -> BTreeSet<Option<String>> {
    let is_run =
        |code: &Option<TextSize>| code.is_none_or(|code| runs.is_none_or(|runs| runs.contains(&code)));
    reads.iter().filter(|(_, code)| is_run(code)).map(|(name, _)| name.clone()).collect()
}

/// By their first annotations: a class's may stand behind its methods'.
fn in_order(mut signatures: Vec<Signature>) -> Vec<Signature> {
    signatures.sort_by_key(Signature::place);
    signatures
}

/// An effect whose paths are those that every module uses.
fn located(id: &ModuleId, mut effect: Effect) -> Effect {
    effect.hangs_on.iter_mut().for_each(|hang| locate(id, hang));
    if let Some(aim) = &mut effect.aim {
        aim.path = id.absolute(&aim.path);
    }
    effect
}

fn locate(id: &ModuleId, hang: &mut Hang) {
    let (Hang::Derive(path) | Hang::Call(path, _)) = hang;
    *path = id.absolute(path);
}

/// Whether a coding cookie (PEP 263) names an encoding under which columns would count differently.
fn foreign_encoding(source: &str) -> bool {
    let cookie = source.lines().take(2).filter(|line| line.trim_start().starts_with('#')).find_map(|line| {
        let (_, rest) = line.split_once("coding")?;
        let rest = rest.strip_prefix([':', '='])?.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(rest.len());
        Some(rest[..end].to_lowercase().replace('_', "-"))
    });
    cookie.is_some_and(|name| {
        !matches!(name.as_str(), "utf-8" | "utf8" | "ascii" | "us-ascii") && !source.is_ascii()
    })
}

/// Whether brackets nest deeper than any interpreter takes, by a count that knows no strings and no comments.
fn nests_too_deep(source: &str) -> bool {
    let mut depth = 0_usize;
    source.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

fn has_future_annotations(suite: &[Stmt]) -> bool {
    suite.iter().any(|statement| {
        matches!(statement, Stmt::ImportFrom(from)
            if from.module.as_ref().is_some_and(|module| module.as_str() == "__future__")
                && from.names.iter().any(|alias| alias.name.as_str() == "annotations"))
    })
}

fn imports(found: &Found, line_of: &dyn Fn(TextSize) -> u32) -> Vec<Import> {
    found
        .imports
        .iter()
        .map(|import| Import {
            module: import.module.clone(),
            names: import.names.clone(),
            star: import.star,
            line: line_of(import.at),
            in_function: import.in_function,
            typing_only: import.typing_only,
            conditional: import.conditional,
        })
        .collect()
}

/// The names of a literal `__all__`, and whether it is more than a literal.
fn exports(suite: &[Stmt]) -> (Option<BTreeSet<String>>, bool) {
    let mut names: Option<BTreeSet<String>> = None;
    let mut dynamic = false;
    let is_all = |expr: &Expr| matches!(expr, Expr::Name(name) if name.id.as_str() == "__all__");
    for statement in suite {
        let value = match statement {
            Stmt::Assign(assign) if assign.targets.iter().any(is_all) => Some(assign.value.as_ref()),
            Stmt::AnnAssign(assign) if is_all(&assign.target) => assign.value.as_deref(),
            Stmt::AugAssign(assign) if is_all(&assign.target) => Some(assign.value.as_ref()),
            Stmt::Expr(expr) => {
                let Expr::Call(call) = expr.value.as_ref() else { continue };
                let Expr::Attribute(method) = call.func.as_ref() else { continue };
                if !is_all(&method.value) {
                    continue;
                }
                call.arguments.args.first()
            }
            _ => continue,
        };
        match value.and_then(literal_names) {
            Some(found) => names.get_or_insert_default().extend(found),
            None => dynamic = true,
        }
    }
    (names, dynamic)
}

fn literal_names(expr: &Expr) -> Option<BTreeSet<String>> {
    let items = match expr {
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::StringLiteral(text) => return Some(BTreeSet::from([text.value.to_str().to_owned()])),
        _ => return None,
    };
    items
        .iter()
        .map(|item| match item {
            Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
            _ => None,
        })
        .collect()
}

/// What is read from names that imports bind, as dotted paths: `import xml` and `xml.sax.parse` give `xml.sax`
/// and `xml.sax.parse`; in the whole module, or in one of its values.
pub(crate) fn attribute_paths(found: &Found, value: Option<&GlobalFound>) -> BTreeSet<String> {
    let mut roots: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for clause in &found.clauses {
        let statement = &clause.statement;
        let root = match &statement.attribute {
            Some(attribute) => format!("{}.{attribute}", statement.module),
            None if statement.binds_top => clause.name.clone(),
            None => statement.module.clone(),
        };
        roots.entry(&clause.name).or_default().insert(root);
    }
    let mut paths = BTreeSet::new();
    let whole = [Name::new_static("__dict__")];
    // What the methods of a class read, they read later.
    let is_read = |value: &GlobalFound, read: &crate::found::Read| {
        value.is_around(read.at) && (!value.is_class || read.kind == UseKind::AtImport)
    };
    let reads = found.reads.iter().filter(|read| value.is_none_or(|value| is_read(value, read)));
    let chains = reads.map(|read| (&read.name, read.scope, read.attributes.as_slice()));
    let wholes = found
        .whole_of
        .iter()
        .filter(|_| value.is_none())
        .map(|(name, scope)| (name, *scope, whole.as_slice()));
    for (name, scope, attributes) in chains.chain(wholes) {
        if attributes.is_empty() || found.scopes.resolve(scope, name) == Meaning::Local {
            continue;
        }
        for root in roots.get(name.as_str()).into_iter().flatten() {
            let mut path = root.clone();
            for attribute in attributes {
                path.push('.');
                path.push_str(attribute);
                paths.insert(path.clone());
            }
        }
    }
    paths
}

/// Names that the body binds by something else than an import.
fn defined(found: &Found) -> BTreeSet<String> {
    let bound = found.rebound.iter().filter(|binding| !found.deleted.contains(binding));
    bound.map(|(name, _)| name.to_string()).collect()
}

/// Names of the module that it reads or deletes, and that nothing in it binds.
fn unbound(found: &Found) -> BTreeSet<String> {
    let stored = found.rebound.iter().filter(|binding| !found.deleted.contains(binding));
    let bound: BTreeSet<&str> = found
        .clauses
        .iter()
        .map(|clause| clause.name.as_str())
        .chain(stored.map(|(name, _)| name.as_str()))
        .collect();
    let read =
        found.reads.iter().filter(|read| found.scopes.resolve(read.scope, &read.name) != Meaning::Local);
    read.map(|read| read.name.as_str())
        .chain(found.deleted.iter().map(|(name, _)| name.as_str()))
        .filter(|name| !bound.contains(name) && !found.scopes.declared_global(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UseKind;

    fn read(source: &str, package: bool) -> ModuleAnalysis {
        let id = ModuleId { name: "pkg.mod".to_owned(), is_package: package, path: "pkg/mod.py".into() };
        analyse(source, &id, PythonVersion::new(3, 12)).unwrap()
    }

    fn uses(source: &str, name: &str) -> Vec<(u32, u32, UseKind)> {
        let analysis = read(source, false);
        let binding = analysis.bindings.iter().find(|binding| binding.name == name).unwrap();
        binding.uses.iter().map(|used| (used.place.line, used.place.column, used.kind)).collect()
    }

    #[test]
    fn imports_are_resolved_and_say_when_they_run() {
        let source = "import a.b, c\nfrom . import d\nfrom ..e import f as g, h\ndef later():\n    import i\nif TYPE_CHECKING:\n    import j\ntry:\n    import k\nexcept ImportError:\n    import l\nfrom m import *\n";
        let analysis = read(source, true);
        let seen: Vec<(&str, usize, bool)> =
            analysis.imports.iter().map(|i| (i.module.as_str(), i.names.len(), i.runs_at_import())).collect();
        assert_eq!(
            seen,
            [
                ("a.b", 0, true),
                ("c", 0, true),
                ("pkg.mod", 1, true),
                ("pkg.e", 2, true),
                ("i", 0, false),
                ("j", 0, false),
                ("k", 0, true),
                ("l", 0, false),
                ("m", 0, true),
            ]
        );
        let bound: Vec<&str> = analysis.bindings.iter().map(|binding| binding.name.as_str()).collect();
        assert_eq!(
            bound,
            ["a", "c", "d", "g", "h", "k", "l"],
            "functions and the type checker bind nothing here"
        );
    }

    #[test]
    fn columns_are_bytes_and_a_byte_order_mark_counts_for_nothing() {
        assert_eq!(uses("\u{feff}import x; y = 'é', x\n", "x"), [(1, 20, UseKind::AtImport)]);
        assert_eq!(uses("import x\r\ndef f():\r\n\treturn x\r\n", "x"), [(3, 8, UseKind::Later)]);
    }

    #[test]
    fn names_resolve_by_scope() {
        let source = "import x\ndef f(x):\n    return x\ndef g():\n    def h():\n        return x\n    x = 1\n    return h\ndef i():\n    return [x for x in x]\nclass C:\n    x = 1\n    def m(self):\n        return x\n";
        assert_eq!(uses(source, "x"), [(10, 23, UseKind::Later), (14, 15, UseKind::Later)]);
    }

    #[test]
    fn exports_and_dynamic_imports_are_read() {
        let analysis = read(
            "__all__ = ['a']\n__all__ += ['b']\n__all__.extend(('c',))\nimportlib.import_module('z.y')\n",
            false,
        );
        assert_eq!(analysis.exports.unwrap().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(!analysis.dynamic_exports);
        assert_eq!(analysis.dynamic_imports, [(4, "z.y".to_owned())]);
        assert!(read("__all__ = ['a'] + other.__all__\n", false).dynamic_exports);
    }

    #[test]
    fn variables_that_a_body_reads_are_told_from_those_that_functions_may_read() {
        let body = |source: &str| -> Vec<String> {
            let read = read(source, false).body_environment_reads;
            read.into_iter().map(|name| name.unwrap_or_else(|| "any".to_owned())).collect()
        };
        let home = "import os\nclass Cache:\n    folder = os.path.expanduser('~/cache')\n    def __init__(self, env=None):\n        self.env = env or os.environ\n";
        assert_eq!(body(home), ["HOME", "USERPROFILE"]);
        assert_eq!(body(&format!("{home}C = Cache()\n")), ["any", "HOME", "USERPROFILE"]);
        let calls = "import os\ndef f(): return os.getenv('F')\ndef g(x=os.getenv('D')): return os.getenv('G')\nX = f()\nh = lambda: os.environ['H']\n";
        assert_eq!(body(calls), ["D", "F"]);
        assert_eq!(body(&format!("{calls}h()\n")), ["D", "F", "H"]);
        // A decorator may call what it is given, and others any.
        assert_eq!(body(&format!("{calls}@other.wraps\ndef i(): return os.getenv('I')\n")), ["D", "F", "I"]);
        assert_eq!(body(&format!("{calls}@other.wraps\nclass J: ...\n")), ["D", "F", "G", "H"]);
        assert_eq!(body(&format!("{calls}other.run(g)\n")), ["D", "F", "G", "H"]);
    }

    #[test]
    fn attribute_paths_start_at_what_is_imported() {
        let analysis = read("import xml, os.path as p\nfrom a import b\nxml.sax.parse(p.join, b.c)\n", false);
        let paths: Vec<String> = analysis.attribute_paths.into_iter().collect();
        assert_eq!(paths, ["a.b.c", "os.path.join", "xml.sax", "xml.sax.parse"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_input_error_with_its_line() {
        let id = ModuleId { name: "m".to_owned(), is_package: false, path: "m.py".into() };
        let old = PythonVersion::new(3, 9);
        let error = analyse("import a\nmatch a:\n    case 1:\n        pass\n", &id, old).unwrap_err();
        assert_eq!(error.where_(), Some("m.py:2"), "{error}");
        assert!(analyse("def f(:\n", &id, old).is_err());
        assert!(analyse("# -*- coding: latin-1 -*-\nx = 'é'\n", &id, old).is_err());
        assert!(analyse("# -*- coding: latin-1 -*-\nx = 'e'\n", &id, old).is_ok());
        assert!(analyse(&"(".repeat(100_000), &id, old).is_err());
    }
}
