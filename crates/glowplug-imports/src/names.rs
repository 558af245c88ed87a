//! What a source names besides its import statements, as far as it could be a module or a file: the evidence by
//! which whatever is looked up by a text stays in a package.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, InterpolatedStringElement, Stmt};

/// Texts beyond this many bytes name nothing.
const LONGEST: usize = 200;
/// Functions that import what their first argument says.
const IMPORTERS: &[&str] = &[
    "import_module",
    "__import__",
    "find_spec",
    "find_loader",
    "run_module",
    "import_string",
    "resolve_name",
];
/// Functions that list or load the modules of a package.
const LISTERS: &[&str] = &["iter_modules", "walk_packages"];

/// What [`names`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// String constants, documentation apart, that consist of the characters of dotted names and of paths.
    pub texts: BTreeSet<String>,
    /// Beginnings of texts that something is put behind, up to a dot: `sqlalchemy.dialects.` of
    /// `"sqlalchemy.dialects.%s"`.
    pub stems: BTreeSet<String>,
    /// Whether something is imported whose name is no literal, a module's own `__getattr__` apart.
    pub imports_by_text: bool,
    /// Whether the module's own `__getattr__` imports, or is made by a call.
    pub imports_on_request: bool,
    /// Whether the modules of some package are listed.
    pub lists_modules: bool,
}

/// Reads the source of a module; `None` where it does not parse.
pub fn names(source: &str) -> Option<Names> {
    let parsed = ruff_python_parser::parse_module(source).ok()?;
    let mut search = Search { names: Names::default(), in_getattr: false, depth: 0 };
    search.visit_body(parsed.suite());
    Some(search.names)
}

struct Search {
    names: Names,
    /// Whether this is inside the module's own `__getattr__`.
    in_getattr: bool,
    /// How many functions and classes are around.
    depth: usize,
}

impl Search {
    fn text(&mut self, text: &str) {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        let end = text.find(|c| !fits(c)).unwrap_or(text.len());
        if end == text.len() {
            self.names.texts.insert(text.to_owned());
        } else {
            self.stem(&text[..end]);
        }
        // `"sqlalchemy.dialects." + name`.
        self.stem(text);
    }

    fn stem(&mut self, text: &str) {
        let dotted = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        if text.len() > 1 && text.ends_with('.') && text.chars().all(dotted) {
            self.names.stems.insert(text.to_owned());
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let called = match call.func.as_ref() {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        if LISTERS.contains(&called) {
            self.names.lists_modules = true;
        }
        let first = call.arguments.args.first().or_else(|| call.arguments.keywords.first().map(|k| &k.value));
        let literal = matches!(first, Some(Expr::StringLiteral(_)) | None);
        if IMPORTERS.contains(&called) && !literal {
            if self.in_getattr {
                self.names.imports_on_request = true;
            } else {
                self.names.imports_by_text = true;
            }
        }
    }
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
                for element in text.value.elements() {
                    if let InterpolatedStringElement::Literal(literal) = element {
                        self.text(&literal.value);
                    }
                }
            }
            Expr::Call(call) => self.call(call),
            _ => {}
        }
        walk_expr(self, expr);
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
        assert_eq!(texts(source), [".local", "data/x.json", "lib.so", "pkg.key", "pkg.sqlite"]);
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
    fn listing_a_package_is_seen() {
        assert!(names("for m in pkgutil.iter_modules(__path__): pass").unwrap().lists_modules);
        assert_eq!(names("def ("), None);
    }
}
