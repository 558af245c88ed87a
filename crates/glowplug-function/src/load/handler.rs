//! Which file the handler is in, and whether it defines the name: a look at the source, nothing is run.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, PythonVersion, Result};
use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_python_parser::{Mode, ParseOptions};
use ruff_source_file::{LineIndex, OneIndexed};
use ruff_text_size::TextSize;

use super::source::Source;
use crate::suggest::{listed, nearest};

/// Files that hold a handler by convention, the likeliest first.
const FILES: [&str; 5] = ["app.py", "lambda_function.py", "main.py", "handler.py", "index.py"];
/// Names of a handler by convention.
const NAMES: [&str; 2] = ["lambda_handler", "handler"];

/// A handler as Lambda writes it, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handler {
    /// Path of its module without the extension.
    pub(crate) stem: Utf8PathBuf,
    pub(crate) name: String,
}

impl Handler {
    /// Takes `app.handler`, `pkg.app.handler` or `pkg/app.handler` apart.
    pub(crate) fn parse(handler: &str) -> Option<Self> {
        let (module, name) = handler.rsplit_once('.')?;
        let stem = module.replace('.', "/");
        let whole = !name.is_empty() && stem.split('/').all(|part| !part.is_empty());
        whole.then(|| Self { stem: stem.into(), name: name.to_owned() })
    }

    /// The file that an import of the module would find in `source`.
    pub(crate) fn file(&self, source: &Source) -> Option<Utf8PathBuf> {
        let (folder, name) = (self.stem.parent()?, self.stem.file_name()?);
        let package = self.stem.join("__init__.py");
        if source.is_file(&package) {
            return Some(package);
        }
        let prefix = format!("{name}.");
        let names = source.names(folder);
        let find = |end: &str| names.iter().find(|found| found.starts_with(&prefix) && found.ends_with(end));
        let plain = |end: &str| names.iter().find(|found| **found == format!("{name}{end}"));
        find(".so").or_else(|| plain(".py")).or_else(|| plain(".pyc")).map(|found| folder.join(found))
    }
}

/// What a module defines at its top level.
#[derive(Debug, Default)]
struct Names {
    defined: BTreeSet<String>,
    /// Whether it may define more than the source shows.
    open: bool,
}

/// Where a source stops being Python.
#[derive(Debug)]
struct SyntaxFault {
    line: OneIndexed,
    message: String,
}

/// Checks a configured handler against the user's own files. With `elsewhere`, its module may come with a dependency
/// or a layer, and only an obvious slip is an error.
///
/// # Errors
/// Input: no such file, no such name in it, a syntax error.
pub(crate) fn check(
    source: &Source,
    handler: &str,
    version: PythonVersion,
    elsewhere: bool,
    place: &str,
) -> Result<()> {
    let parsed = Handler::parse(handler).ok_or_else(|| {
        Error::input(format!("`{handler}` is not a handler"))
            .place(place)
            .hint("write module and function with a dot between, for example `app.handler`")
    })?;
    let Some(file) = parsed.file(source) else {
        let modules = modules(source, parsed.stem.parent().unwrap_or(Utf8Path::new("")));
        let stem = parsed.stem.file_name().unwrap_or_default();
        let near = nearest(stem, modules.iter().map(String::as_str));
        if near.is_none() && elsewhere {
            return Ok(());
        }
        return Err(missing_module(handler, &parsed.stem, near, &modules).place(place));
    };
    let Some(text) = file.extension().filter(|end| *end == "py").and_then(|_| text(source, &file)) else {
        return Ok(());
    };
    let names = names(&text, version).map_err(|fault| syntax_error(source, &file, &fault))?;
    if names.open || names.defined.contains(&parsed.name) {
        return Ok(());
    }
    let error = Error::input(format!("`{}` does not define `{}`", source.place(&file), parsed.name))
        .cause(format!("the handler is `{handler}`"))
        .place(place);
    Err(match nearest(&parsed.name, names.defined.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("it defines {}", listed(names.defined.iter().map(String::as_str)))),
    })
}

/// The error for a module that is nowhere.
pub(crate) fn missing_module(
    handler: &str,
    stem: &Utf8Path,
    near: Option<&str>,
    modules: &[String],
) -> Error {
    let error = Error::input(format!("there is no module `{stem}` for the handler `{handler}`"));
    match near {
        Some(near) => error.hint(format!("did you mean `{}`?", stem.with_file_name(near))),
        None if modules.is_empty() => error.hint("the folder holds no Python module: is it the right one?"),
        None => error.hint(format!("the modules there are {}", listed(modules.iter().map(String::as_str)))),
    }
}

/// The handler by convention: the first of [`FILES`] that defines one of [`NAMES`], else the only other file that does.
///
/// # Errors
/// Input: none, or several outside the convention; a syntax error in a file that could hold it.
pub(crate) fn find(source: &Source, version: PythonVersion) -> Result<String> {
    let names_in_root = source.names(Utf8Path::new(""));
    let usual = FILES.iter().filter(|file| names_in_root.iter().any(|name| name == *file));
    for file in usual {
        if let Some(handler) = defined_in(source, file, version)? {
            return Ok(handler);
        }
    }
    let others = names_in_root
        .iter()
        .filter(|name| Utf8Path::new(name).extension() == Some("py") && !FILES.contains(&name.as_str()));
    let found: Vec<String> =
        others.filter_map(|name| defined_in(source, name, version).transpose()).collect::<Result<_>>()?;
    let root = source.place(Utf8Path::new(""));
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::input("no handler was found")
            .cause(format!("none of {} defines {}", listed(FILES), listed(NAMES)))
            .place(root)
            .hint("name it in `glowplug.toml`, for example `handler = \"app.handler\"`")),
        several => Err(Error::input("several files could hold the handler")
            .cause(format!("found {}", listed(several.iter().map(String::as_str))))
            .place(root)
            .hint("name the one that is meant in `glowplug.toml`: `handler = `")),
    }
}

fn defined_in(source: &Source, file: &str, version: PythonVersion) -> Result<Option<String>> {
    let path = Utf8Path::new(file);
    let Some(text) = text(source, path) else { return Ok(None) };
    let names = names(&text, version).map_err(|fault| syntax_error(source, path, &fault))?;
    let stem = path.file_stem().unwrap_or_default();
    Ok(NAMES.iter().find(|name| names.defined.contains(**name)).map(|name| format!("{stem}.{name}")))
}

fn syntax_error(source: &Source, file: &Utf8Path, fault: &SyntaxFault) -> Error {
    Error::input("the handler's module is not valid Python")
        .cause(&fault.message)
        .place(format!("{}:{}", source.place(file), fault.line))
        .hint("fix the syntax; the function's Python version decides what is allowed")
}

/// Source text without a byte order mark; `None` where it is not UTF-8.
fn text(source: &Source, path: &Utf8Path) -> Option<String> {
    let text = String::from_utf8(source.read(path).ok()??).ok()?;
    Some(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// Names of the modules and packages in a folder.
pub(crate) fn modules(source: &Source, folder: &Utf8Path) -> Vec<String> {
    let names = source.names(folder);
    let module = |name: &String| match name.strip_suffix(".py") {
        Some(stem) => Some(stem.to_owned()),
        None => source.is_file(&folder.join(name).join("__init__.py")).then(|| name.clone()),
    };
    names.iter().filter_map(module).collect()
}

/// Brackets open at a time beyond which CPython refuses a source (`MAXLEVEL` in its tokenizer); the parser here would
/// run out of stack far later.
const DEEPEST: usize = 200;

/// How many brackets are open at a time at most, those in strings and comments counted too.
fn depth(text: &str) -> usize {
    let mut open: usize = 0;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn names(text: &str, version: PythonVersion) -> Result<Names, SyntaxFault> {
    if depth(text) > DEEPEST {
        return Ok(Names { open: true, ..Names::default() });
    }
    let target = ast::PythonVersion { major: version.major, minor: version.minor };
    let options = ParseOptions::from(Mode::Module).with_target_version(target);
    let fault = |at: TextSize, message: String| SyntaxFault {
        line: LineIndex::from_source_text(text).line_index(at),
        message,
    };
    let Some(parsed) = ruff_python_parser::parse_unchecked(text, options).try_into_module() else {
        return Ok(Names { open: true, ..Names::default() });
    };
    if let Some(error) = parsed.errors().first() {
        return Err(fault(error.location.start(), error.error.to_string()));
    }
    if let Some(error) = parsed.unsupported_syntax_errors().first() {
        return Err(fault(error.range.start(), error.to_string()));
    }
    let mut names = Names { open: text.contains("globals()"), ..Names::default() };
    names.block(&parsed.syntax().body);
    names.open |= names.defined.contains("__getattr__");
    Ok(names)
}

impl Names {
    fn block(&mut self, statements: &[Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FunctionDef(def) => self.add(&def.name),
            Stmt::ClassDef(def) => self.add(&def.name),
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.target(target)),
            Stmt::AnnAssign(assign) if assign.value.is_some() => self.target(&assign.target),
            Stmt::Import(import) => {
                for alias in &import.names {
                    let first = alias.name.split('.').next().unwrap_or_default();
                    self.add(alias.asname.as_ref().map_or(first, |name| name.as_str()));
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    self.open |= alias.name.as_str() == "*";
                    self.add(alias.asname.as_ref().map_or(alias.name.as_str(), |name| name.as_str()));
                }
            }
            Stmt::If(branch) => {
                self.block(&branch.body);
                branch.elif_else_clauses.iter().for_each(|clause| self.block(&clause.body));
            }
            Stmt::Try(attempt) => {
                self.block(&attempt.body);
                for ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                    self.block(&handler.body);
                }
                self.block(&attempt.orelse);
                self.block(&attempt.finalbody);
            }
            Stmt::With(with) => {
                with.items
                    .iter()
                    .filter_map(|item| item.optional_vars.as_deref())
                    .for_each(|target| self.target(target));
                self.block(&with.body);
            }
            Stmt::For(each) => {
                self.target(&each.target);
                self.block(&each.body);
                self.block(&each.orelse);
            }
            Stmt::While(each) => self.block(&each.body),
            Stmt::Match(choice) => choice.cases.iter().for_each(|case| self.block(&case.body)),
            _ => {}
        }
    }

    fn target(&mut self, target: &Expr) {
        match target {
            Expr::Name(name) => self.add(&name.id),
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|target| self.target(target)),
            Expr::List(list) => list.elts.iter().for_each(|target| self.target(target)),
            Expr::Starred(starred) => self.target(&starred.value),
            _ => {}
        }
    }

    fn add(&mut self, name: &str) {
        self.defined.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    const VERSION: PythonVersion = PythonVersion::new(3, 12);

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(keep.path().to_owned()).unwrap();
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        (keep, Source::Folder(root))
    }

    #[test]
    fn handlers_are_taken_apart() {
        let parsed = |handler| Handler::parse(handler).map(|h| (h.stem.into_string(), h.name));
        assert_eq!(parsed("app.handler"), Some(("app".into(), "handler".into())));
        assert_eq!(parsed("src/app.handler"), Some(("src/app".into(), "handler".into())));
        assert_eq!(parsed("src.app.handler"), Some(("src/app".into(), "handler".into())));
        for bad in ["handler", "app.", ".handler", "a..b", "/app.handler"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn deep_nesting_ends_in_an_answer_and_not_in_a_crash() {
        assert!(names(&"(".repeat(50_000), VERSION).unwrap().open);
        assert!(!names(&format!("x = {}1{}", "(".repeat(100), ")".repeat(100)), VERSION).unwrap().open);
    }

    #[test]
    fn every_way_to_define_a_name_counts() {
        let text = "import a.b, c as d\nfrom e import f as g\nh: int = 1\n(i, *j) = 1, 2\n\
                    try:\n    k = 1\nexcept E:\n    l = 1\nwith x as m:\n    async def n(): o = 1\n\
                    if x:\n    class P: q = 1\nelif y:\n    r = 1\nelse:\n    s = 1\nfor t in u: pass\nv: int\n";
        let names = names(text, VERSION).unwrap();
        let expected = ["P", "a", "d", "g", "h", "i", "j", "k", "l", "m", "n", "r", "s", "t"];
        assert_eq!(names.defined.into_iter().collect::<Vec<_>>(), expected);
        assert!(!names.open);
    }

    #[test]
    fn the_convention_finds_it() {
        let found = |files: &[(&str, &str)]| {
            let (_keep, source) = folder(files);
            find(&source, VERSION).map_err(|error| error.message().to_owned())
        };
        let both = ("app.py", "def handler(): pass\ndef lambda_handler(): pass\n");
        assert_eq!(found(&[both]).unwrap(), "app.lambda_handler");
        assert_eq!(
            found(&[("app.py", "x = 1\n"), ("main.py", "handler = Mangum(app)\n")]).unwrap(),
            "main.handler"
        );
        assert_eq!(found(&[("job.py", "def handler(): pass\n"), ("lib.py", "")]).unwrap(), "job.handler");
        let two = [("a.py", "def handler(): pass\n"), ("b.py", "def handler(): pass\n")];
        assert_eq!(found(&two).unwrap_err(), "several files could hold the handler");
        assert_eq!(found(&[("app.py", "x = 1\n")]).unwrap_err(), "no handler was found");
    }

    #[test]
    fn slips_are_told() {
        let (_keep, source) =
            folder(&[("app.py", "def handler(event, context): pass\n"), ("pkg/__init__.py", "")]);
        let hint = |handler, elsewhere| {
            let result = check(&source, handler, VERSION, elsewhere, "glowplug.toml:1");
            result.map_err(|error| error.hints().first().cloned().unwrap_or_default())
        };
        assert_eq!(hint("app.handler", false), Ok(()));
        assert_eq!(hint("app.handlr", false).unwrap_err(), "did you mean `handler`?");
        assert_eq!(hint("ap.handler", true).unwrap_err(), "did you mean `app`?");
        assert_eq!(hint("wrapper.handler", true), Ok(()));
        assert_eq!(hint("wrapper.handler", false).unwrap_err(), "the modules there are `app` and `pkg`");
        assert!(hint("handler", false).unwrap_err().contains("with a dot between"));
    }

    #[test]
    fn what_the_source_does_not_show_is_let_pass() {
        for text in ["from lib import *\n", "def __getattr__(name): ...\n", "globals()['handler'] = print\n"]
        {
            let (_keep, source) = folder(&[("app.py", text)]);
            assert!(check(&source, "app.handler", VERSION, false, "").is_ok(), "{text}");
        }
    }

    #[test]
    fn syntax_errors_have_a_line() {
        let (_keep, source) = folder(&[("app.py", "x = 1\ndef handler(event, context)\n    return 1\n")]);
        let error = check(&source, "app.handler", VERSION, false, "").unwrap_err();
        assert!(error.where_().unwrap().ends_with("/app.py:2"), "{error}");
        let (_keep, source) =
            folder(&[("app.py", "def handler(e, c):\n    match e:\n        case 1: pass\n")]);
        let error = check(&source, "app.handler", PythonVersion::new(3, 9), false, "").unwrap_err();
        assert!(
            error.where_().unwrap().ends_with("/app.py:2") && error.causes()[0].contains("3.9"),
            "{error}"
        );
    }
}
