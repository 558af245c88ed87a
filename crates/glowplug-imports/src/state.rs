//! What functions of a module change at its top: names that they declare `global`, containers and counters.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprContext, Identifier, Stmt};
use ruff_text_size::{Ranged, TextSize};

use crate::effects::table;
use crate::facts::{Change, Changed};

/// Methods of containers that change them, beside those that make something known.
const CHANGING: [&str; 10] =
    ["pop", "popitem", "popleft", "appendleft", "clear", "remove", "discard", "reverse", "sort", "set"];

/// Looks through the functions and classes of a `suite`; `line_of` gives a position's line, from 1.
pub(crate) fn state(suite: &[Stmt], line_of: &dyn Fn(TextSize) -> u32) -> Vec<Change> {
    let top: BTreeSet<&str> = suite.iter().flat_map(bound).collect();
    let mut changes = Vec::new();
    for statement in suite {
        let (by, body) = match statement {
            Stmt::FunctionDef(function) => (&function.name, &function.body),
            Stmt::ClassDef(class) => (&class.name, &class.body),
            _ => continue,
        };
        let mut reader =
            Reader { top: &top, local: BTreeSet::new(), global: BTreeSet::new(), found: Vec::new() };
        if let Stmt::FunctionDef(function) = statement {
            reader.local.extend(function.parameters.iter().map(|parameter| parameter.name().as_str()));
        }
        reader.visit_body(body);
        let found = std::mem::take(&mut reader.found);
        let own = found.into_iter().filter(|(_, name, _)| !reader.local.contains(name));
        changes.extend(own.map(|(at, name, rebound)| Change {
            line: line_of(at),
            in_function: true,
            what: Changed::State { name: name.to_owned(), by: by.to_string(), rebound },
        }));
    }
    changes
}

/// Names that an assignment of the body binds.
fn bound(statement: &Stmt) -> Vec<&str> {
    let targets: Vec<&Expr> = match statement {
        Stmt::Assign(assign) => assign.targets.iter().collect(),
        Stmt::AnnAssign(assign) => vec![&assign.target],
        _ => Vec::new(),
    };
    targets.into_iter().filter_map(Expr::as_name_expr).map(|name| name.id.as_str()).collect()
}

struct Reader<'a> {
    top: &'a BTreeSet<&'a str>,
    /// Names that a function binds for itself, and its parameters.
    local: BTreeSet<&'a str>,
    global: BTreeSet<&'a str>,
    /// Where, what, and whether the name is bound again.
    found: Vec<(TextSize, &'a str, bool)>,
}

impl<'a> Reader<'a> {
    fn changed(&mut self, at: TextSize, expr: &'a Expr) {
        let root = match expr {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(part) => return self.changed(at, &part.value),
            Expr::Subscript(item) => return self.changed(at, &item.value),
            _ => return,
        };
        if self.top.contains(root) {
            self.found.push((at, root, false));
        }
    }
}

impl<'a> Visitor<'a> for Reader<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Global(global) => self.global.extend(global.names.iter().map(Identifier::as_str)),
            Stmt::FunctionDef(function) => {
                self.local.extend(function.parameters.iter().map(|parameter| parameter.name().as_str()));
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) if name.ctx != ExprContext::Load => {
                if self.global.contains(name.id.as_str()) {
                    self.found.push((name.start(), name.id.as_str(), true));
                } else {
                    self.local.insert(name.id.as_str());
                }
            }
            Expr::Attribute(part) if part.ctx != ExprContext::Load => self.changed(expr.start(), &part.value),
            Expr::Subscript(item) if item.ctx != ExprContext::Load => self.changed(expr.start(), &item.value),
            Expr::Call(call) => match (call.func.as_ref(), &*call.arguments.args) {
                (Expr::Name(next), [counter, ..]) if next.id.as_str() == "next" => {
                    self.changed(expr.start(), counter);
                }
                (Expr::Attribute(method), _)
                    if table::is_registering(&method.attr) || CHANGING.contains(&method.attr.as_str()) =>
                {
                    self.changed(expr.start(), &method.value);
                }
                _ => {}
            },
            _ => {}
        }
        walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_functions_change_at_the_top_is_told() {
        let source = "N = 0\nIDS = iter([])\nITEMS = []\nBY = {}\nOTHER = []\ndef f():\n    global N\n    N += 1\n\
                      def g(OTHER):\n    OTHER.append(1)\n    ITEMS.append(next(IDS))\n\
                      class C:\n    def m(self):\n        BY[self] = len(OTHER)\n";
        let parsed = ruff_python_parser::parse_module(source).unwrap();
        let line_of = |at: TextSize| 1 + source[..at.to_usize()].matches('\n').count() as u32;
        let told: Vec<_> = state(parsed.suite(), &line_of)
            .into_iter()
            .map(|change| match change.what {
                Changed::State { name, by, rebound } => format!("{name} {by} {rebound} {}", change.line),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["N f true 8", "ITEMS g false 11", "IDS g false 11", "BY C false 14"]);
    }
}
