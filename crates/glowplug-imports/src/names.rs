//! What a source names besides its import statements, as far as it could be a module or a file: the evidence by
//! which whatever is looked up by a text stays in a package.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, InterpolatedStringElement, Keyword, Stmt};

/// Texts beyond this many bytes name nothing.
const LONGEST: usize = 200;
/// Functions that import what their first argument says, and in what their second says, if it says anything.
const IMPORTERS: &[&str] = &[
    "import_module",
    "__import__",
    "find_spec",
    "find_loader",
    "run_module",
    "import_string",
    "resolve_name",
    "import_from_string",
    "import_object",
    "symbol_by_name",
    "locate",
];
/// Whoever is called so may import what it is given a beginning of.
const PERHAPS: &[&str] = &["import", "load", "locate", "resolve", "lookup"];
/// Functions that list or load the modules of a package.
const LISTERS: &[&str] = &["iter_modules", "walk_packages", "find_modules"];
/// Functions that find plug-ins by a group of entry points.
const PLUGINS: &[&str] = &["entry_points", "iter_entry_points"];

/// What [`names`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// String constants, documentation apart, that consist of the characters of dotted names and of paths; and dotted
    /// words in others, and words behind `import`, `from`, `-m` and before a `:`, as a text may be a program, a command
    /// or `module:function`.
    pub texts: BTreeSet<String>,
    /// Beginnings of texts that something is put behind, up to a dot: `sqlalchemy.dialects.` of
    /// `"sqlalchemy.dialects.%s"`.
    pub stems: BTreeSet<String>,
    /// Ends of texts that something is put before, from a dot on: `.models` of `"%s.models"` and of `name + ".models"`.
    pub tails: BTreeSet<String>,
    /// Texts in dictionaries: a package may look up there in which of its modules a name is.
    pub mapped: BTreeSet<String>,
    /// Names of all attributes that are read from anything.
    pub attributes: BTreeSet<String>,
    /// Whether something is imported whose name is no literal, a module's own `__getattr__` apart.
    pub imports_by_text: bool,
    /// Whether of some such name not even the beginning is a literal.
    pub imports_anything: bool,
    /// Whether the module's own `__getattr__` imports, or is made by a call.
    pub imports_on_request: bool,
    /// Whether the modules of some package are listed.
    pub lists_modules: bool,
    /// Whether modules are run as programs: `-m`, `runpy`.
    pub runs_modules: bool,
    /// Whether plug-ins are looked for in a group whose name is put together, or in all groups.
    pub asks_any_group: bool,
}

/// The text of a source file: UTF-8, or else, as every cookie that is in use agrees on what is read here, Latin-1.
pub fn decoded(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

/// Reads the source of a module; `None` where it does not parse.
pub fn names(source: &str) -> Option<Names> {
    let parsed = ruff_python_parser::parse_module(source).ok()?;
    let mut search = Search { names: Names::default(), in_getattr: false, depth: 0, in_dict: 0 };
    search.visit_body(parsed.suite());
    Some(search.names)
}

struct Search {
    names: Names,
    /// Whether this is inside the module's own `__getattr__`.
    in_getattr: bool,
    /// How many functions and classes are around.
    depth: usize,
    /// How many dictionaries are around.
    in_dict: usize,
}

impl Search {
    fn text(&mut self, text: &str) {
        self.words(text);
        let fits = |c: char| is_dotted(c) || matches!(c, '-' | '/');
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        let end = text.find(|c| !fits(c)).unwrap_or(text.len());
        if end == text.len() {
            self.names.texts.insert(text.to_owned());
            if self.in_dict > 0 {
                self.names.mapped.insert(text.to_owned());
            }
        } else if text[end..].starts_with(['%', '{']) {
            self.template(&text[..end]);
        }
        if let Some(tail) = tail(text) {
            self.names.tails.insert(tail.to_owned());
        }
        // `"sqlalchemy.dialects." + name`.
        if text.ends_with('.') {
            self.template(text);
        }
    }

    /// What stands before the part that is filled in: all up to its last dot.
    fn template(&mut self, before: &str) {
        if let Some(stem) = stem(before) {
            self.names.stems.insert(stem.to_owned());
        }
    }

    /// Words of a text that may be modules.
    fn words(&mut self, text: &str) {
        for line in text.split(['\n', ';']) {
            let (mut from, mut imports, mut before) = (None, false, "");
            let mut rest = line;
            while let Some(start) = rest.find(is_dotted) {
                let option = rest[..start].ends_with('-');
                let end = rest[start..].find(|c| !is_dotted(c)).map_or(rest.len(), |at| start + at);
                let word = rest[start..end].trim_matches('.');
                let colon = rest[end..].strip_prefix(':').is_some_and(|rest| rest.starts_with(is_dotted));
                rest = &rest[end..];
                if word == "import" {
                    imports = true;
                } else if let (true, Some(package)) = (imports, from) {
                    self.names.texts.insert(format!("{package}.{word}"));
                } else if word.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
                    if before == "from" {
                        from = Some(word);
                    }
                    if word.contains('.') || imports || colon || matches!(before, "from" | "-m") {
                        self.names.texts.insert(word.to_owned());
                    }
                }
                before = if option && word == "m" { "-m" } else { word };
                self.names.runs_modules |= before == "-m";
            }
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let called = match call.func.as_ref() {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        self.names.lists_modules |= LISTERS.contains(&called);
        self.names.runs_modules |= called == "run_module";
        let keyword = |name: &str| {
            let named = |keyword: &&Keyword| keyword.arg.as_ref().is_none_or(|arg| arg.as_str() == name);
            call.arguments.keywords.iter().find(named).map(|keyword| &keyword.value)
        };
        let positional = |index: usize| call.arguments.args.get(index);
        if PLUGINS.contains(&called) {
            let group = keyword("group").or_else(|| positional(0));
            self.names.asks_any_group |= !group.is_some_and(is_looked_up);
        }
        let first = positional(0).or_else(|| call.arguments.keywords.first().map(|k| &k.value));
        if IMPORTERS.contains(&called) {
            let literal = matches!(first, Some(Expr::StringLiteral(_)) | None);
            if let Some(Expr::StringLiteral(package)) = positional(1).or_else(|| keyword("package")) {
                let package = package.value.to_str();
                self.names.stems.insert(format!("{package}."));
                if let Some(Expr::StringLiteral(text)) = first {
                    self.names.texts.insert(format!("{package}{}", text.value.to_str()));
                }
            }
            if !literal && self.in_getattr {
                self.names.imports_on_request = true;
            } else if !literal {
                self.names.imports_by_text = true;
                self.names.imports_anything |= !first.is_some_and(has_stem);
            }
        } else if PERHAPS.iter().any(|part| called.to_lowercase().contains(part))
            && first.is_some_and(has_stem)
        {
            self.names.imports_by_text = true;
        }
    }
}

/// A character of dotted names.
fn is_dotted(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// `a.b.` of `a.b.c`; `None` where no name stands before a dot.
fn stem(before: &str) -> Option<&str> {
    let stem = &before[..=before.rfind('.')?];
    (stem.len() > 1 && stem.chars().all(is_dotted)).then_some(stem)
}

/// `.b.c` of itself, and of what follows the part of a text that is filled in: `%s.b.c`, `%(a)s.b.c`, `{a}.b.c`.
fn tail(text: &str) -> Option<&str> {
    let rest = match text.rfind(|c| !is_dotted(c)) {
        None => text,
        Some(at) => ["%s", ")s", "}"].iter().find_map(|end| text[at..].strip_prefix(end))?,
    };
    let is_name = |part: &str| part.starts_with(|c: char| c == '_' || c.is_alphabetic());
    rest.strip_prefix('.').filter(|names| names.split('.').all(is_name)).map(|_| rest)
}

/// Whether an expression puts a text together that begins with a literal package.
fn has_stem(expr: &Expr) -> bool {
    match expr {
        Expr::FString(text) => matches!(
            text.value.elements().next(),
            Some(InterpolatedStringElement::Literal(literal)) if stem(&literal.value).is_some()
        ),
        Expr::BinOp(operation) => match operation.left.as_ref() {
            Expr::StringLiteral(text) => stem(text.value.to_str()).is_some(),
            left => has_stem(left),
        },
        Expr::Call(call) => matches!(
            call.func.as_ref(),
            Expr::Attribute(method) if method.attr.as_str() == "format" && matches!(
                method.value.as_ref(),
                Expr::StringLiteral(text) if text.value.to_str().split('{').next().and_then(stem).is_some()
            )
        ),
        _ => false,
    }
}

/// Whether an expression is a literal, or a name for what may be one elsewhere.
fn is_looked_up(expr: &Expr) -> bool {
    matches!(expr, Expr::StringLiteral(_) | Expr::Name(_) | Expr::Attribute(_))
}

impl<'a> Visitor<'a> for Search {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        for (index, statement) in body.iter().enumerate() {
            let documentation = index == 0
                && matches!(statement, Stmt::Expr(expr) if matches!(*expr.value, Expr::StringLiteral(_)));
            if !documentation {
                self.visit_stmt(statement);
            }
        }
    }

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let outer = (self.in_getattr, self.depth);
        match statement {
            Stmt::FunctionDef(function) => {
                self.in_getattr |= self.depth == 0 && function.name.as_str() == "__getattr__";
                self.depth += 1;
            }
            Stmt::ClassDef(_) => self.depth += 1,
            // `__getattr__, __dir__, __all__ = lazy_loader.attach(…)`
            Stmt::Assign(assign) if self.depth == 0 => {
                let binds = |target: &Expr| match target {
                    Expr::Tuple(tuple) => tuple.elts.iter().any(is_getattr),
                    other => is_getattr(other),
                };
                if assign.targets.iter().any(binds) {
                    self.names.imports_by_text = true;
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
        (self.in_getattr, self.depth) = outer;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::StringLiteral(text) => self.text(text.value.to_str()),
            Expr::BytesLiteral(bytes) => {
                let bytes: Vec<u8> = bytes.value.bytes().collect();
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    self.text(text);
                }
            }
            Expr::FString(text) => {
                for (index, element) in text.value.elements().enumerate() {
                    if let InterpolatedStringElement::Literal(literal) = element {
                        self.text(&literal.value);
                        if index == 0 {
                            self.template(&literal.value);
                        }
                    }
                }
            }
            // `"pkg.impl_" + name`, `"pkg.impl_%s" % name`.
            Expr::BinOp(operation) => {
                if let Expr::StringLiteral(text) = operation.left.as_ref() {
                    self.template(text.value.to_str());
                }
            }
            Expr::Attribute(attribute) => drop(self.names.attributes.insert(attribute.attr.to_string())),
            Expr::Call(call) => self.call(call),
            _ => {}
        }
        let dict = usize::from(is_dict(expr));
        self.in_dict += dict;
        walk_expr(self, expr);
        self.in_dict -= dict;
    }
}

/// `{…}` or `dict(…)`.
fn is_dict(expr: &Expr) -> bool {
    match expr {
        Expr::Dict(_) => true,
        Expr::Call(call) => matches!(call.func.as_ref(), Expr::Name(name) if name.id.as_str() == "dict"),
        _ => false,
    }
}

fn is_getattr(target: &Expr) -> bool {
    matches!(target, Expr::Name(name) if name.id.as_str() == "__getattr__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        names(source).unwrap().texts.into_iter().collect()
    }

    #[test]
    fn texts_that_may_be_names_are_kept_and_documentation_is_not() {
        let source = "'''a.b'''\nBACKENDS = ['pkg.sqlite', '.local', 'two words', 'data/x.json', b'lib.so']\n\
                      def f():\n    'pkg.documented'\n    return {'pkg.key': 1}\n";
        assert_eq!(texts(source), [".local", "data/x.json", "lib.so", "pkg.key", "pkg.sqlite", "x.json"]);
        assert_eq!(names(source).unwrap().mapped.into_iter().collect::<Vec<_>>(), ["pkg.key"]);
    }

    #[test]
    fn ends_of_names_are_kept_where_something_is_put_before_them() {
        let tails = |source: &str| names(source).unwrap().tails.into_iter().collect::<Vec<_>>();
        for source in [
            "f(a + '.b.c')",
            "f('%s.b.c' % a)",
            "f('%(a)s.b.c' % x)",
            "f('{}.b.c'.format(a))",
            "f(f'{a}.b.c')",
        ] {
            assert_eq!(tails(source), [".b.c"], "{source}");
        }
        for source in
            ["f('a.b')", "f('..b')", "f('%s.5')", "f('a-s.b')", "f('%d.b')", "f('.')", "f('{a}.b.')"]
        {
            assert_eq!(tails(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn words_that_may_be_modules_are_found_in_longer_texts() {
        for (text, expected) in [
            ("'pkg.loops.auto:setup'", &["pkg.loops.auto"][..]),
            ("'app:create_app'", &["app"]),
            ("'python -m pkg.tool -v'", &["pkg.tool"]),
            ("'python -m pkg'", &["pkg"]),
            ("'import os, pkg; from pkg.a import b'", &["os", "pkg", "pkg.a", "pkg.a.b"]),
            ("'key: value, 1.5 and more.'", &[]),
        ] {
            assert_eq!(texts(&format!("f({text})")), expected, "{text}");
        }
        let long = format!("f('{} pkg.found {}')", "x".repeat(300), "y".repeat(300));
        assert_eq!(texts(&long), ["pkg.found"]);
    }

    #[test]
    fn a_name_without_a_literal_beginning_may_be_anything() {
        let anything = |source| names(source).unwrap().imports_anything;
        assert!(anything("import_module(name)") && anything("import_module(f'{a}.b')"));
        assert!(!anything("import_module(f'pkg.{a}')") && !anything("import_module('pkg.one')"));
        let relative = names("import_module('.' + name, 'pkg.plugins')").unwrap();
        assert!(relative.imports_anything && relative.stems.contains("pkg.plugins."));
    }

    #[test]
    fn groups_of_plug_ins_that_are_no_literal_are_seen() {
        let any = |source| names(source).unwrap().asks_any_group;
        assert!(any("entry_points()") && any("entry_points(group=f'a_{b}')"));
        assert!(!any("entry_points(group='a')") && !any("entry_points(group=GROUP)"));
        assert!(!any("iter_entry_points('a')"));
    }

    #[test]
    fn what_something_is_put_behind_is_a_stem() {
        for source in [
            "import_module('pkg.dialects.%s' % name)",
            "import_module(f'pkg.dialects.{name}')",
            "import_module('pkg.dialects.' + name)",
            "import_module('pkg.dialects.{}'.format(name))",
        ] {
            let found = names(source).unwrap();
            assert_eq!(found.stems.iter().collect::<Vec<_>>(), ["pkg.dialects."], "{source}");
            assert!(found.imports_by_text, "{source}");
        }
        assert!(!names("import_module('pkg.one')").unwrap().imports_by_text);
    }

    #[test]
    fn a_modules_own_getattr_is_told_apart() {
        let own = names("def __getattr__(name):\n    return import_module(f'pkg.{name}')\n").unwrap();
        assert!(own.imports_on_request && !own.imports_by_text);
        let of_a_class = names("class A:\n    def __getattr__(self, name): import_module(name)\n").unwrap();
        assert!(of_a_class.imports_by_text);
        let made = names("__getattr__, __dir__, _ = attach(__name__, ['io'])\n").unwrap();
        assert!(made.imports_by_text && made.texts.contains("io"));
    }

    #[test]
    fn sources_of_other_encodings_are_read() {
        assert_eq!(decoded(b"# \xe9\nimport a".to_vec()), "# \u{e9}\nimport a");
        assert_eq!(decoded("# \u{65e5}".as_bytes().to_vec()), "# \u{65e5}");
    }

    #[test]
    fn listing_a_package_is_seen() {
        assert!(names("for m in pkgutil.iter_modules(__path__): pass").unwrap().lists_modules);
        assert_eq!(names("def ("), None);
    }
}
