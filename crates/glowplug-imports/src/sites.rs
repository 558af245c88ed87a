//! Where a module uses what it imports: each use with the dotted path of the thing that is used, and how it is called.
//! For questions about single libraries; which name means what is told by the import statements alone, so that a name
//! that is bound twice leads to several paths.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_source_file::LineIndex;
use ruff_text_size::Ranged;

/// One use of something imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// From 1.
    pub line: u32,
    /// What is used: `requests.get` for `get(…)` after `from requests import get`.
    pub path: String,
    /// Names of the keywords, where it is called; `**` stands for unknown ones.
    pub called_with: Option<BTreeSet<String>>,
}

/// All uses in a module of what absolute import statements bind, by line, and short string literals, which may name
/// modules. A source that does not parse has none.
pub fn sites(source: &str) -> (Vec<Site>, BTreeSet<String>) {
    let Ok(parsed) = ruff_python_parser::parse_module(source) else { return (Vec::new(), BTreeSet::new()) };
    let mut names = Names::default();
    names.visit_body(parsed.suite());
    let lines = LineIndex::from_source_text(source);
    let mut search = Search { names: names.paths, lines, sites: Vec::new(), literals: BTreeSet::new() };
    search.visit_body(parsed.suite());
    search.sites.sort();
    (search.sites, search.literals)
}

/// Longest literal that may name a module, in bytes.
const LONGEST: usize = 200;

#[derive(Default)]
struct Names {
    paths: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    fn add(&mut self, name: &str, path: String) {
        self.paths.entry(name.to_owned()).or_default().insert(path);
    }
}

impl<'a> Visitor<'a> for Names {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let path = alias.name.as_str();
                    if let Some(name) = &alias.asname {
                        self.add(name, path.to_owned());
                    } else {
                        let top = path.split('.').next().unwrap_or(path);
                        self.add(top, top.to_owned());
                    }
                }
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.add(name, format!("{module}.{}", alias.name));
                }
            }
            _ => walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, _: &'a Expr) {}
}

struct Search {
    names: BTreeMap<String, BTreeSet<String>>,
    lines: LineIndex,
    sites: Vec<Site>,
    literals: BTreeSet<String>,
}

impl Search {
    /// The paths that an attribute chain may mean.
    fn paths(&self, expr: &Expr) -> Vec<String> {
        match expr {
            Expr::Name(name) => self.names.get(name.id.as_str()).into_iter().flatten().cloned().collect(),
            Expr::Attribute(attribute) => {
                let before = self.paths(&attribute.value);
                before.into_iter().map(|path| format!("{path}.{}", attribute.attr)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn note(&mut self, expr: &Expr, called_with: Option<BTreeSet<String>>) -> bool {
        let paths = self.paths(expr);
        let line = self.lines.line_index(expr.range().start()).get() as u32;
        let found = !paths.is_empty();
        self.sites.extend(paths.into_iter().map(|path| Site {
            line,
            path,
            called_with: called_with.clone(),
        }));
        found
    }
}

fn keywords(call: &ExprCall) -> BTreeSet<String> {
    let named = call.arguments.keywords.iter();
    named.map(|keyword| keyword.arg.as_ref().map_or("**".to_owned(), ToString::to_string)).collect()
}

impl<'a> Visitor<'a> for Search {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) if self.note(&call.func, Some(keywords(call))) => {
                self.visit_arguments(&call.arguments);
            }
            Expr::Name(_) | Expr::Attribute(_) if self.note(expr, None) => {}
            Expr::StringLiteral(literal) => {
                let text = literal.value.to_str();
                if text.len() <= LONGEST && !text.contains('\n') {
                    self.literals.insert(text.to_owned());
                }
            }
            _ => walk_expr(self, expr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> Vec<(u32, String, Option<Vec<String>>)> {
        let (found, _) = sites(source);
        found.into_iter().map(|s| (s.line, s.path, s.called_with.map(|k| k.into_iter().collect()))).collect()
    }

    #[test]
    fn uses_have_the_path_of_what_is_used() {
        let source = "import a.b as c, d.e\nfrom f import g as h, i\ndef j():\n    c.k(1, l=2, **m)\n    h()\n    return d.e.n, i\n";
        let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(
            told(source),
            [
                (4, "a.b.k".to_owned(), words(&["**", "l"])),
                (5, "f.g".to_owned(), words(&[])),
                (6, "d.e.n".to_owned(), None),
                (6, "f.i".to_owned(), None),
            ]
        );
    }

    #[test]
    fn a_name_with_two_meanings_has_both_paths_and_relative_imports_none() {
        let source =
            "try:\n    import a as x\nexcept ImportError:\n    import b as x\nfrom . import c\nx.y; c.z\n";
        assert_eq!(told(source), [(6, "a.y".to_owned(), None), (6, "b.y".to_owned(), None)]);
    }

    #[test]
    fn what_a_call_gives_is_another_thing_but_its_arguments_count() {
        assert_eq!(
            told("import a\na.b(a.c).d\n"),
            [(2, "a.b".to_owned(), Some(Vec::new())), (2, "a.c".to_owned(), None)]
        );
    }

    #[test]
    fn literals_are_collected_and_damaged_sources_have_nothing() {
        assert_eq!(sites("x = load('redis')\n").1, BTreeSet::from(["redis".to_owned()]));
        assert_eq!(sites("x = (\n").0, Vec::new());
    }
}
