//! Calls and names by which a module reads its names as a whole, and imports that are asked for by a text.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextSize};

use super::Walker;
use crate::scopes::ScopeKind;

impl Walker<'_> {
    pub(super) fn namespace(&mut self, at: TextSize, how: &str) {
        self.found.reads_namespace.get_or_insert_with(|| (at, how.to_owned()));
    }

    /// Calls that read a whole namespace, or import by a text.
    pub(super) fn call(&mut self, call: &ExprCall) {
        let called = match call.func.as_ref() {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        let by_name = matches!(call.func.as_ref(), Expr::Name(_));
        let arguments = &call.arguments;
        let count = arguments.args.len() + arguments.keywords.len();
        let in_body = matches!(self.found.scopes.kind(self.scope), ScopeKind::Module | ScopeKind::Class);
        match called {
            "dir" if by_name && count == 0 && self.scope == 0 => self.found.listings.push(call.start()),
            "vars" | "locals" if by_name && count == 0 && in_body => {
                self.namespace(call.start(), &format!("{called}()"));
            }
            "eval" | "exec" if by_name && count < 2 => self.namespace(call.start(), &format!("{called}(…)")),
            "import_module" | "__import__" => {
                if let Some(Expr::StringLiteral(text)) = arguments.args.first() {
                    self.found.dynamic_imports.push((call.start(), text.value.to_str().to_owned()));
                }
            }
            _ => {}
        }
    }
}
