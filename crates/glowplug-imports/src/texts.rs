//! Names that texts use as code does, and code that takes the names of functions or callers as a whole: what is
//! evaluated there finds names in a module's dictionary alone.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::{Ranged, TextSize};

/// Attributes that give the names of a function's, or a caller's, module.
const NAMES: [&str; 2] = ["f_globals", "__globals__"];
/// Methods and functions that evaluate a text, or a module's documentation, with the names of whoever calls them.
const EVALUATING: [&str; 3] = ["eval", "evaluate", "testmod"];
/// Functions and methods whose texts are for people.
const TELLING: [&str; 9] =
    ["print", "debug", "info", "warn", "warning", "error", "exception", "critical", "log"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Names that texts use as code does, with the line of the first.
    pub(crate) names: BTreeMap<String, u32>,
    /// Where the names of functions or callers are taken, and how.
    pub(crate) takes: Option<(u32, String)>,
    /// A text is evaluated that nobody can see here, with the names of this module.
    pub(crate) evaluates: Option<(u32, String)>,
}

/// Looks through a `suite`; `line_of` gives a position's line, from 1.
pub(crate) fn texts(suite: &[Stmt], line_of: &dyn Fn(TextSize) -> u32) -> Texts {
    let mut reader = Reader { line_of, found: Texts::default() };
    reader.visit_body(suite);
    reader.found
}

struct Reader<'l> {
    line_of: &'l dyn Fn(TextSize) -> u32,
    found: Texts,
}

impl Reader<'_> {
    /// `data.eval(text)`: the names of a literal are there to see.
    fn call(&mut self, call: &ExprCall) {
        let Expr::Attribute(method) = call.func.as_ref() else { return };
        let (name, first) = (method.attr.as_str(), call.arguments.args.first());
        let at = (self.line_of)(call.start());
        match first {
            _ if !EVALUATING.contains(&name) => {}
            Some(Expr::StringLiteral(text)) => {
                let names = crate::shapes::identifiers(text.value.to_str());
                for name in names {
                    self.found.names.entry(name.to_owned()).or_insert(at);
                }
            }
            Some(_) => {
                self.found.evaluates.get_or_insert((at, format!("{name}(…)")));
            }
            None if name == "testmod" => {
                self.found.evaluates.get_or_insert((at, "testmod()".to_owned()));
            }
            None => {}
        }
    }
}

impl Reader<'_> {
    /// A call that tells people something: of its arguments texts are no code.
    fn told(&mut self, call: &ExprCall) {
        self.visit_expr(&call.func);
        let named = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        let arguments = call.arguments.args.iter().chain(named);
        arguments.filter(|argument| !argument.is_string_literal_expr()).for_each(|it| self.visit_expr(it));
    }

    /// Of the names of a function or a caller one is asked for.
    fn asked(&mut self, name: &Expr) {
        if let Expr::StringLiteral(text) = name {
            let at = (self.line_of)(name.start());
            self.found.names.entry(text.value.to_str().to_owned()).or_insert(at);
        }
    }
}

/// `print(…)`, `logger.info(…)`.
fn is_telling(call: &ExprCall) -> bool {
    let name = match call.func.as_ref() {
        Expr::Name(name) => &name.id,
        Expr::Attribute(method) => &method.attr.id,
        _ => return false,
    };
    TELLING.contains(&name.as_str())
}

fn is_names(expr: &Expr) -> bool {
    matches!(expr, Expr::Attribute(part) if NAMES.contains(&part.attr.as_str()))
}

/// `frame.f_globals.get("x")`.
fn is_asked_for_one(call: &ExprCall) -> bool {
    matches!(call.func.as_ref(), Expr::Attribute(get) if get.attr.as_str() == "get" && is_names(&get.value))
        && call.arguments.args.first().is_some_and(Expr::is_string_literal_expr)
}

impl<'a> Visitor<'a> for Reader<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            // Documentation, and notes in the form of a text.
            Stmt::Expr(dropped) if dropped.value.is_string_literal_expr() => {}
            Stmt::Raise(raise) => match raise.exc.as_deref() {
                Some(Expr::Call(error)) => {
                    self.told(error);
                    raise.cause.iter().for_each(|cause| self.visit_expr(cause));
                }
                _ => walk_stmt(self, statement),
            },
            _ => walk_stmt(self, statement),
        }
    }

    /// Who evaluates annotations is asked elsewhere, and for all names.
    fn visit_annotation(&mut self, _annotation: &'a Expr) {}

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::StringLiteral(text) => {
                for name in used_as_code(text.value.to_str()) {
                    self.found.names.entry(name.to_owned()).or_insert((self.line_of)(expr.start()));
                }
            }
            Expr::Subscript(item) if is_names(&item.value) && item.slice.is_string_literal_expr() => {
                self.asked(&item.slice);
                return;
            }
            Expr::Call(call) if is_asked_for_one(call) => {
                call.arguments.args.iter().take(1).for_each(|name| self.asked(name));
                return;
            }
            Expr::Attribute(part) if NAMES.contains(&part.attr.as_str()) => {
                let how = format!("`{}`", part.attr);
                self.found.takes.get_or_insert(((self.line_of)(expr.start()), how));
            }
            Expr::Call(call) if is_telling(call) => return self.told(call),
            Expr::Call(call) => self.call(call),
            _ => {}
        }
        walk_expr(self, expr);
    }
}

/// Names at which a call or an item of a text begins, and those after an `@`: `x.mean(`, `x[`, `@x`.
fn used_as_code(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let mut names = BTreeSet::new();
    for (end, opening) in text.char_indices().filter(|(_, c)| matches!(c, '(' | '[')) {
        let from = text[..end]
            .rfind(|c: char| !is_part(c) && c != '.')
            .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
        let chain = &text[from..end];
        // A word before a parenthesis, as in `3 rows(s)`, is no use of a name unless something of it is asked for.
        if chain.contains('.') || opening == '[' {
            names.extend(chain.split('.').next());
        }
    }
    for (at, _) in text.match_indices('@') {
        let free = !text[..at].ends_with(is_part);
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        names.extend(free.then(|| &rest[..end]));
    }
    names.retain(|name| name.starts_with(|c: char| c == '_' || c.is_alphabetic()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Texts {
        let parsed = ruff_python_parser::parse_module(source).unwrap();
        texts(parsed.suite(), &|at| 1 + source[..at.to_usize()].matches('\n').count() as u32)
    }

    #[test]
    fn names_that_texts_use_as_code_are_told() {
        for (text, expected) in [
            ("x.mean([1])", vec!["x"]),
            ("y ~ np.log(z)", vec!["np"]),
            ("a > @x and b", vec!["x"]),
            ("é.x(1) + x[0]", vec!["x", "é"]),
            ("1.5(x)", vec![]),
            ("s3.amazonaws.com", vec![]),
            ("mail@x.org (row(s))", vec![]),
            ("x", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(used_as_code(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
        }
        assert!(of("def f():\n    'x.mean(1)'\n").names.is_empty());
        for source in [
            "a: 'x[y]' = {}\ndef f(a: 'x[y]') -> 'x[y]': ...\n",
            "raise ValueError('x.get(1) failed')\n",
            "logger.error('x.get(%s) failed', extra='x.get(1)')\nprint('x.get(1)')\n",
        ] {
            assert!(of(source).names.is_empty(), "{source}");
        }
        assert_eq!(of("\nprint(f('x.mean(1)'))\n").names, BTreeMap::from([("x".to_owned(), 2)]));
        assert_eq!(of("\nf('x.mean(1)')\n").names, BTreeMap::from([("x".to_owned(), 2)]));
    }

    #[test]
    fn code_that_takes_the_names_of_others_is_told() {
        assert_eq!(of("g = f.__globals__\n").takes, Some((1, "`__globals__`".to_owned())));
        assert_eq!(of("n = f.f_globals['__name__'], f.f_globals.get('__name__')\n").takes, None);
        assert_eq!(of("\ne = d.eval(t)\n").evaluates, Some((2, "eval(…)".to_owned())));
        assert_eq!(of("e = d.eval('a + b')\n").names.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(of("e = d.query(t)\n").evaluates, None);
    }
}
