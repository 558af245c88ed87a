//! What a module's text says about its surroundings: which environment variables it reads and changes, and whether it
//! changes the working folder, the context of decimal numbers or the state of random ones.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_arguments, walk_expr, walk_stmt};
use ruff_python_ast::{CmpOp, Expr, ExprCall, ExprContext, Stmt, StmtImport, StmtImportFrom};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::effects::table;
use crate::facts::{Change, Changed, ModuleId};

/// Methods of `os.environ` that change it, those that take the variable's name first.
const CHANGING_ONE: [&str; 3] = ["setdefault", "pop", "__setitem__"];
/// And the others.
const CHANGING_ANY: [&str; 3] = ["update", "popitem", "clear"];
/// Functions that read variables which they do not name, and those.
const READING_OTHERS: [(&str, &[&str]); 7] = [
    ("expanduser", &["HOME", "USERPROFILE"]),
    ("home", &["HOME", "USERPROFILE"]),
    ("gettempdir", &TEMPORARY),
    ("mkdtemp", &TEMPORARY),
    ("mkstemp", &TEMPORARY),
    ("TemporaryDirectory", &TEMPORARY),
    ("which", &["PATH"]),
];
const TEMPORARY: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];
/// Methods of `os.environ` that read one variable.
const READING: [&str; 3] = ["get", "__getitem__", "__contains__"];

/// Parts of a text without which nothing but imported things is of interest.
const CONCERNED: [&str; 19] = [
    "env",
    "expand",
    "home",
    "temp",
    "which",
    "chdir",
    "context",
    "seed",
    "patch",
    "attr",
    "warn",
    "sys",
    "filter",
    "Recursion",
    "tzset",
    "setlocale",
    "Config(",
    "setLoggerClass",
    "loggerDict",
];
/// How a configuration of logging says that it leaves loggers alone which were there before.
const KEEPING_LOGGERS: [&str; 3] = [
    "disable_existing_loggers\": False",
    "disable_existing_loggers': False",
    "disable_existing_loggers=False",
];
/// Methods of `sys.path` after which another module may be found; what is appended is found after all others.
const SEARCHING: [&str; 6] = ["insert", "remove", "pop", "clear", "reverse", "sort"];
/// Methods of `sys.modules` that change it, those that take the name first.
const CHANGING_MODULE: [&str; 3] = CHANGING_ONE;
/// Functions that change what becomes of warnings.
const FILTERING: [&str; 5] =
    ["simplefilter", "filterwarnings", "resetwarnings", "catch_warnings", "captureWarnings"];

/// How names begin of functions that set something up for later.
const SETTING_UP: [&str; 9] =
    ["set", "config", "install", "register", "add_", "enable", "disable", "patch", "use_"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Variables that are read; `None` stands for any.
    pub(crate) reads: BTreeSet<Read>,
    pub(crate) changes: Vec<Change>,
}

/// A variable that is read, and where the code of the function or lambda around starts; in the body itself nowhere.
pub(crate) type Read = (Option<String>, Option<TextSize>);

/// Looks through the `suite` of the module `id`, whose text is `source`; `line_of` gives a position's line, from 1.
pub(crate) fn surroundings(
    source: &str,
    id: &ModuleId,
    suite: &[Stmt],
    line_of: &dyn Fn(TextSize) -> u32,
) -> Surroundings {
    let own = CONCERNED.iter().any(|part| source.contains(part));
    let mut reader = Reader {
        id,
        line_of,
        functions: Vec::new(),
        imported: BTreeMap::new(),
        aliases: aliases(suite, source),
        own,
        keeps_loggers: KEEPING_LOGGERS.iter().any(|part| source.contains(part)),
        found: Surroundings::default(),
    };
    reader.visit_body(suite);
    reader.found
}

struct Reader<'l> {
    id: &'l ModuleId,
    line_of: &'l dyn Fn(TextSize) -> u32,
    /// The code of the functions around; where decorators and defaults are looked at, their own among them.
    functions: Vec<TextRange>,
    /// Name → dotted path of what an import has bound to it.
    imported: BTreeMap<String, String>,
    /// Names that are bound to `os.environ` somewhere in the module.
    aliases: BTreeSet<String>,
    /// Whether the text has to do with anything but imported things.
    own: bool,
    /// Whether a configuration of logging in it leaves loggers alone which were there before.
    keeps_loggers: bool,
    found: Surroundings,
}

impl Reader<'_> {
    fn reads(&mut self, at: TextSize, name: Option<String>) {
        let around = self.functions.iter().rev().find(|code| code.contains(at));
        self.found.reads.insert((name, around.map(Ranged::start)));
    }

    fn is_environment(&self, expr: &Expr) -> bool {
        is_environment(expr)
            || expr.as_name_expr().is_some_and(|name| self.aliases.contains(name.id.as_str()))
    }

    fn changes(&mut self, at: TextSize, what: Changed) {
        let line = (self.line_of)(at);
        self.found.changes.push(Change { line, in_function: !self.functions.is_empty(), what });
    }

    fn import(&mut self, import: &StmtImport) {
        for alias in &import.names {
            let module = alias.name.as_str();
            let top = module.split('.').next().unwrap_or(module);
            let (name, path) = alias.asname.as_ref().map_or((top, top), |name| (name.as_str(), module));
            self.imported.insert(name.to_owned(), path.to_owned());
        }
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        let module = import.module.as_ref().map(ruff_python_ast::Identifier::as_str);
        let Some(module) = crate::clauses::absolute(self.id, import.level, module) else { return };
        for alias in &import.names {
            let name = alias.asname.as_ref().unwrap_or(&alias.name);
            self.imported.insert(name.to_string(), format!("{module}.{}", alias.name));
        }
    }

    /// A function sets, or deletes, a part of something imported; or the body an attribute of it.
    fn part_changed(&mut self, target: &Expr) {
        let by_body = self.functions.is_empty();
        if by_body && !target.is_attribute_expr() || !by_body && self.of_search(target) {
            return;
        }
        let (owner, attribute) = match target {
            Expr::Attribute(attribute) => (attribute.value.as_ref(), Some(attribute.attr.as_str())),
            Expr::Subscript(item) => (item.value.as_ref(), None),
            _ => return,
        };
        // Of the environment, each variable is told by itself.
        let told = |path: &String| !(self.is_environment(owner) || by_body && path == "sys");
        let Some(path) = self.path_of(owner).filter(told) else { return };
        let path = attribute.map_or(path.clone(), |name| format!("{path}.{name}"));
        self.changes(target.start(), Changed::Thing { path, rebound: attribute.is_some() });
    }

    /// A function binds `os.environ` or `sys.path` again, or changes an item of `sys.path` or `sys.modules`.
    fn of_search(&mut self, target: &Expr) -> bool {
        let what = match target {
            Expr::Attribute(_) if self.is_environment(target) => Changed::Variable(None),
            Expr::Attribute(_) if is_of_sys(target, "path") => Changed::SearchPath,
            Expr::Attribute(_) if is_of_sys(target, "modules") => Changed::Modules(None),
            Expr::Subscript(item) if is_of_sys(&item.value, "path") => Changed::SearchPath,
            Expr::Subscript(item) if is_of_sys(&item.value, "modules") => {
                Changed::Modules(literal(&item.slice))
            }
            _ => return false,
        };
        self.changes(target.start(), what);
        true
    }

    /// A function replaces something by its path, as tests do: `patch("a.b", c)`, `patch.object(a, "b", c)`,
    /// `setattr(a, "b", c)`, `patch.dict(os.environ, …)`.
    fn replaced(&mut self, call: &ExprCall, (name, owner): (&str, Option<&Expr>)) {
        let [first, rest @ ..] = &*call.arguments.args else { return };
        let patcher = owner.is_some_and(|owner| {
            matches!(owner, Expr::Name(name) if name.id.as_str() == "patch")
                || matches!(owner, Expr::Attribute(part) if part.attr.as_str() == "patch")
        });
        let text = literal(first);
        let what = match name {
            "patch" => text.map(|path| Changed::Thing { path, rebound: true }),
            "object" | "multiple" if patcher => self.part_named(first, rest.first()),
            "setattr" | "delattr" => self.part_named(first, rest.first()),
            "dict" if patcher => match text.as_deref() {
                Some("os.environ") => Some(Changed::Variable(None)),
                Some("sys.modules") => Some(Changed::Modules(None)),
                Some(path) => Some(Changed::Thing { path: path.to_owned(), rebound: false }),
                None if self.is_environment(first) => Some(Changed::Variable(None)),
                None if is_of_sys(first, "modules") => Some(Changed::Modules(None)),
                None => self.path_of(first).map(|path| Changed::Thing { path, rebound: false }),
            },
            _ => None,
        };
        if let Some(what) = what.filter(|_| !self.functions.is_empty()) {
            self.changes(call.start(), what);
        }
    }

    /// The part of something imported that a text names; without the text, the whole.
    fn part_named(&self, owner: &Expr, name: Option<&Expr>) -> Option<Changed> {
        let path = self.path_of(owner)?;
        let path = name.and_then(literal).map_or(path.clone(), |name| format!("{path}.{name}"));
        Some(Changed::Thing { path, rebound: true })
    }

    /// A function calls something imported that sets it up, or adds to it, and drops what that gives.
    fn set_up(&mut self, expr: &Expr) {
        let Expr::Call(call) = expr else { return };
        let Expr::Attribute(method) = call.func.as_ref() else { return };
        let name = method.attr.as_str();
        if self.functions.is_empty()
            || self.is_environment(&method.value)
            || !(SETTING_UP.iter().any(|start| name.starts_with(start)) || table::is_registering(name))
        {
            return;
        }
        if let Some(path) = self.path_of(&method.value) {
            self.changes(expr.start(), Changed::Thing { path, rebound: false });
        }
    }

    /// The dotted path of a chain of attributes of something imported; of an item, that of what it is in.
    fn path_of(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Name(name) => self.imported.get(name.id.as_str()).cloned(),
            Expr::Attribute(part) => Some(format!("{}.{}", self.path_of(&part.value)?, part.attr)),
            Expr::Subscript(item) => self.path_of(&item.value),
            _ => None,
        }
    }

    /// A call that is about the surroundings.
    fn call(&mut self, call: &ExprCall) {
        let (name, owner) = match call.func.as_ref() {
            Expr::Name(name) => (name.id.as_str(), None),
            Expr::Attribute(attribute) => (attribute.attr.as_str(), Some(attribute.value.as_ref())),
            other => return self.visit_expr(other),
        };
        let first = call.arguments.args.first();
        self.replaced(call, (name, owner));
        let of_path = owner.is_some_and(|owner| is_of_sys(owner, "path")) && !self.functions.is_empty();
        let of_modules = owner.is_some_and(|owner| is_of_sys(owner, "modules")) && !self.functions.is_empty();
        let of_environment = owner.is_some_and(|owner| self.is_environment(owner));
        for variable in READING_OTHERS.iter().filter(|(known, _)| *known == name).flat_map(|(_, read)| *read)
        {
            self.reads(call.start(), Some((*variable).to_owned()));
        }
        match name {
            "getenv" => self.reads(call.start(), first.and_then(literal)),
            "expandvars" => self.reads(call.start(), None),
            "putenv" | "unsetenv" => self.changes(call.start(), Changed::Variable(first.and_then(literal))),
            "load_dotenv" => self.changes(call.start(), Changed::Variable(None)),
            "chdir" | "fchdir" => self.changes(call.start(), Changed::Folder),
            "localcontext" | "getcontext" | "setcontext" => self.changes(call.start(), Changed::Decimal),
            "seed" => self.changes(call.start(), Changed::Seed),
            _ if FILTERING.contains(&name) => self.changes(call.start(), Changed::Warnings),
            "setrecursionlimit" => self.changes(call.start(), Changed::Depth),
            "setLoggerClass" => self.changes(call.start(), Changed::Loggers),
            "dictConfig" | "fileConfig" if !self.keeps_loggers => {
                self.changes(call.start(), Changed::Loggers);
            }
            "setlocale" | "tzset" => {
                for module in ["locale", "time", "datetime", "calendar"] {
                    let path = module.to_owned();
                    self.changes(call.start(), Changed::Thing { path, rebound: false });
                }
            }
            _ if of_path && SEARCHING.contains(&name) => self.changes(call.start(), Changed::SearchPath),
            _ if of_modules && CHANGING_MODULE.contains(&name) => {
                self.changes(call.start(), Changed::Modules(first.and_then(literal)));
            }
            _ if of_modules && CHANGING_ANY.contains(&name) => {
                self.changes(call.start(), Changed::Modules(None));
            }
            _ if of_environment && READING.contains(&name) => {
                self.reads(call.start(), first.and_then(literal));
            }
            _ if of_environment && CHANGING_ONE.contains(&name) => {
                self.changes(call.start(), Changed::Variable(first.and_then(literal)));
            }
            _ if of_environment && CHANGING_ANY.contains(&name) => {
                self.changes(call.start(), Changed::Variable(None));
            }
            _ => self.visit_expr(&call.func),
        }
    }
}

impl<'a> Visitor<'a> for Reader<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.part_changed(target)),
            Stmt::AugAssign(assign) => self.part_changed(&assign.target),
            Stmt::AnnAssign(assign) => self.part_changed(&assign.target),
            Stmt::Expr(dropped) => self.set_up(&dropped.value),
            Stmt::Delete(delete) => delete.targets.iter().for_each(|target| self.part_changed(target)),
            _ => {}
        }
        let outer = self.functions.len();
        if let Stmt::FunctionDef(function) = statement {
            self.functions.extend(crate::effects::extent(&function.body));
        }
        walk_stmt(self, statement);
        self.functions.truncate(outer);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            // Nothing in an expression is of interest then.
            _ if !self.own => {}
            Expr::Call(call) => {
                self.call(call);
                walk_arguments(self, &call.arguments);
            }
            Expr::Lambda(lambda) => {
                self.functions.push(lambda.body.range());
                walk_expr(self, expr);
                self.functions.pop();
            }
            Expr::Subscript(item) if self.is_environment(&item.value) => {
                if item.ctx == ExprContext::Load {
                    self.reads(item.start(), literal(&item.slice));
                } else {
                    self.changes(item.start(), Changed::Variable(literal(&item.slice)));
                }
                self.visit_expr(&item.slice);
            }
            Expr::Compare(comparison)
                if matches!(*comparison.ops, [CmpOp::In | CmpOp::NotIn])
                    && self.is_environment(&comparison.comparators[0]) =>
            {
                self.reads(comparison.start(), literal(&comparison.left));
                self.visit_expr(&comparison.left);
            }
            Expr::Attribute(attribute) if attribute.attr.as_str() == "loggerDict" => {
                self.changes(expr.start(), Changed::Loggers);
            }
            Expr::Name(name) if name.id.as_str() == "RecursionError" => {
                self.changes(name.start(), Changed::Depth);
            }
            _ if self.is_environment(expr) => self.reads(expr.start(), None),
            _ => walk_expr(self, expr),
        }
    }
}

/// `os.environ`, or `environ`.
fn is_environment(expr: &Expr) -> bool {
    match expr {
        Expr::Name(name) => matches!(name.id.as_str(), "environ" | "environb"),
        Expr::Attribute(attribute) => matches!(attribute.attr.as_str(), "environ" | "environb"),
        _ => false,
    }
}

/// `sys.<name>`, or `<name>` itself where that can mean nothing else.
fn is_of_sys(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Attribute(attribute)
        if attribute.attr.as_str() == name
            && matches!(attribute.value.as_ref(), Expr::Name(owner) if owner.id.as_str() == "sys"))
}

/// Names that `name = os.environ` and `from os import environ as name` bind, anywhere in the module.
fn aliases(suite: &[Stmt], source: &str) -> BTreeSet<String> {
    let mut found = Aliases(BTreeSet::new());
    if source.contains("environ") {
        found.visit_body(suite);
    }
    found.0
}

struct Aliases(BTreeSet<String>);

impl<'a> Visitor<'a> for Aliases {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Assign(assign) if is_environment(&assign.value) => {
                let names = assign.targets.iter().filter_map(Expr::as_name_expr);
                self.0.extend(names.map(|name| name.id.to_string()));
            }
            Stmt::AnnAssign(assign) if assign.value.as_deref().is_some_and(is_environment) => {
                self.0.extend(assign.target.as_name_expr().map(|name| name.id.to_string()));
            }
            Stmt::ImportFrom(import) if import.module.as_ref().is_some_and(|m| m.as_str() == "os") => {
                let taken =
                    import.names.iter().filter(|alias| matches!(alias.name.as_str(), "environ" | "environb"));
                self.0.extend(taken.filter_map(|alias| alias.asname.as_ref()).map(ToString::to_string));
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Surroundings {
        let parsed = ruff_python_parser::parse_module(source).unwrap();
        let line_of = |at: TextSize| 1 + source[..at.to_usize()].matches('\n').count() as u32;
        let id = ModuleId { name: "m".to_owned(), is_package: false, path: "m.py".into() };
        surroundings(source, &id, parsed.suite(), &line_of)
    }

    #[test]
    fn variables_that_are_read_are_named_where_their_names_are_there_to_see() {
        let names = |source: &str| of(source).reads.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let a = || vec![Some("A".to_owned())];
        for source in [
            "os.getenv('A')",
            "os.environ['A']",
            "def f():\n    return environ.get('A', os.environ.get('A'))",
            "x = 'A' in os.environ",
            "x = 'A' not in os.environ",
        ] {
            assert_eq!(names(source), a(), "{source}");
        }
        for source in
            ["os.getenv(name)", "dict(os.environ)", "f(**os.environ)", "e = os.environ", "os.environ.items()"]
        {
            assert_eq!(names(source), [None], "{source}");
        }
        for source in ["os.environ['A'] = 'b'", "os.environ.update(A='b')", "environment = 1"] {
            assert_eq!(names(source), [], "{source}");
        }
        assert_eq!(names("shutil.which('a')"), [Some("PATH".to_owned())]);
        assert_eq!(names("def f():\n    return os.path.expandvars('$A')"), [None]);
    }

    #[test]
    fn parts_of_imported_things_that_functions_change_are_told() {
        let source = "import settings, a.b\nfrom settings import CONFIG as C\nsettings.X = 1\ndef f(own):\n    settings.DEBUG = True\n\
                      \x20   C['pool'] += 1\n    a.b.c.d = 1\n    own.x = 1\n    del settings.Y\n    a.b.setup_default(1)\n    C.append(1)\n    a.b.run()\n\
                      \x20   x = a.add_one()\n    own.append(1)\n";
        let told: Vec<(String, bool)> = of(source)
            .changes
            .into_iter()
            .map(|change| match change.what {
                Changed::Thing { path, rebound } => (path, rebound),
                other => panic!("{other:?}"),
            })
            .collect();
        let thing = |path: &str, rebound| (path.to_owned(), rebound);
        let expected = [
            thing("settings.X", true),
            thing("settings.DEBUG", true),
            thing("settings.CONFIG", false),
            thing("a.b.c.d", true),
            thing("settings.Y", true),
            thing("a.b", false),
            thing("settings.CONFIG", false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn whoever_touches_loggers_that_are_there_is_told() {
        let touched = |source: &str| !of(source).changes.is_empty();
        for source in [
            "logging.config.dictConfig({'version': 1})\n",
            "logging.config.fileConfig('logging.ini')\n",
            "logging.setLoggerClass(Mine)\n",
            "for name in logging.root.manager.loggerDict:\n    pass\n",
        ] {
            assert!(touched(source), "{source}");
        }
        for source in [
            "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})\n",
            "logging.config.fileConfig('logging.ini', disable_existing_loggers=False)\n",
            "logging.basicConfig(level=10)\n",
        ] {
            assert!(!touched(source), "{source}");
        }
    }

    #[test]
    fn changes_are_told_with_their_lines() {
        let variable = |name: &str| Changed::Variable(Some(name.to_owned()));
        let change = |line, in_function, what| Change { line, in_function, what };
        let source = "os.environ['A'] = 'b'\ndef f():\n    os.environ.pop('B')\n    os.chdir('/tmp')\n\
                      g = lambda: os.putenv('C', '')\nload_dotenv()\ndel os.environ[name]\n";
        let expected = [
            change(1, false, variable("A")),
            change(3, true, variable("B")),
            change(4, true, Changed::Folder),
            change(5, true, variable("C")),
            change(6, false, Changed::Variable(None)),
            change(7, false, Changed::Variable(None)),
        ];
        assert_eq!(of(source).changes, expected);
    }
}
