//! Annotations: when each is evaluated, and which functions' could wait.

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{AnyParameterRef, Expr, StmtFunctionDef};
use ruff_text_size::Ranged;

use super::Walker;
use crate::UseKind;
use crate::found::{Annotations, SignatureFound};
use crate::shapes::{Strings, identifiers};
use crate::signatures::could_wait;

impl<'a> Walker<'a> {
    /// The annotations of parameters and of what is returned; `read` where a decorator may read them at once.
    pub(super) fn annotations_of(&mut self, function: &'a StmtFunctionDef, read: bool) {
        let parameters = function.parameters.iter().filter_map(AnyParameterRef::annotation);
        let annotations: Vec<&Expr> = parameters.chain(function.returns.as_deref()).collect();
        let signature = self.signature_of(function, &annotations);
        let outer = std::mem::replace(&mut self.signature, signature);
        for annotation in annotations {
            self.visit_annotation_of(annotation, read);
        }
        self.signature = outer;
    }

    /// Notes a function whose annotations could be evaluated later, as far as its own text says.
    fn signature_of(&mut self, function: &StmtFunctionDef, annotations: &[&Expr]) -> Option<usize> {
        let runs_at_import = !self.later && !self.typing_only && !self.guarded;
        if self.annotations != Annotations::Eagerly
            || !runs_at_import
            || function.type_params.is_some()
            || annotations.is_empty()
            || !annotations.iter().all(|annotation| could_wait(annotation))
        {
            return None;
        }
        let annotations = annotations.iter().map(Ranged::range).collect();
        self.found.signatures.push(SignatureFound { at: function.start(), annotations });
        Some(self.found.signatures.len() - 1)
    }

    /// An annotation; `read` where somebody may evaluate it at once even if the interpreter does not.
    pub(super) fn visit_annotation_of(&mut self, annotation: &'a Expr, read: bool) {
        let unevaluated = if read { UseKind::ReadAnnotation } else { UseKind::Annotation };
        self.quoted_names(annotation, unevaluated);
        let (outer, later) = (self.annotation, self.later);
        match self.annotations {
            Annotations::Eagerly if self.later => {}
            Annotations::Eagerly => self.annotation = Some(UseKind::EagerAnnotation),
            Annotations::Lazily => self.later = true,
            Annotations::Never => self.annotation = Some(unevaluated),
        }
        self.visit_expr(annotation);
        (self.annotation, self.later) = (outer, later);
    }

    fn quoted_names(&mut self, annotation: &Expr, kind: UseKind) {
        let mut strings = Strings(Vec::new());
        strings.visit_expr(annotation);
        for (text, at) in strings.0 {
            for name in identifiers(text) {
                self.found.quoted.push((Name::new(name), at, kind));
            }
        }
    }
}
