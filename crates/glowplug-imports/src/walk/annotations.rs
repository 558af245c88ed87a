//! Annotations: when each is evaluated, and which functions' could wait.

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{AnyParameterRef, Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::Ranged;

use super::Walker;
use crate::UseKind;
use crate::found::{Annotations, SignatureFound};
use crate::shapes::{Strings, identifiers};
use crate::signatures::{could_wait, could_wait_in_part, is_mangled};

impl<'a> Walker<'a> {
    /// The annotations of parameters and of what is returned; `read` where a decorator may read them at once.
    pub(super) fn annotations_of(&mut self, function: &'a StmtFunctionDef, read: bool) {
        let parameters = function.parameters.iter().filter_map(AnyParameterRef::annotation);
        let annotations: Vec<&Expr> = parameters.chain(function.returns.as_deref()).collect();
        let signature = self.signature_of(function, &annotations);
        let outer = std::mem::replace(&mut self.signature, signature);
        let unevaluated = self.text_kind(read);
        let known = (self.found.reads.len(), self.found.quoted.len());
        for annotation in &annotations {
            self.visit_annotation_of(annotation, unevaluated);
        }
        self.signature = outer;
        let reads = self.found.reads[known.0..].iter().map(|read| read.kind);
        let mut kinds = reads.chain(self.found.quoted[known.1..].iter().map(|(_, _, kind)| *kind));
        if kinds.any(|kind| matches!(kind, UseKind::TextSignature { .. })) {
            self.found.text_signatures.extend(annotations.iter().map(Ranged::start).min());
        }
    }

    /// What a name in an annotation of a function is that is text. Where the function is defined while the module's
    /// body runs, whoever looks into its annotations can be given the names; on 3.14 without the future import, looking
    /// would evaluate all that is no text.
    fn text_kind(&self, read: bool) -> UseKind {
        if !self.later && !self.typing_only && self.annotations != Annotations::Lazily {
            UseKind::TextSignature { read }
        } else {
            unevaluated(read)
        }
    }

    /// Notes a function whose annotations could be evaluated later, as far as its own text says.
    fn signature_of(&mut self, function: &StmtFunctionDef, annotations: &[&Expr]) -> Option<usize> {
        let runs_at_import = !self.later && !self.typing_only && !self.guarded;
        if self.annotations != Annotations::Eagerly
            || !runs_at_import
            || function.type_params.is_some()
            || annotations.is_empty()
            || !annotations.iter().all(|annotation| could_wait_in_part(annotation))
        {
            return None;
        }
        let annotations = annotations.iter().map(Ranged::range).collect();
        self.found.signatures.push(SignatureFound { at: function.start(), annotations });
        Some(self.found.signatures.len() - 1)
    }

    /// Notes a class, which nobody else has a hand in making, whose variables' annotations could be evaluated later, as
    /// far as its own text says.
    pub(super) fn signature_of_class(&mut self, class: &StmtClassDef) -> Option<usize> {
        let runs_at_import = !self.later && !self.typing_only && !self.guarded;
        if self.annotations != Annotations::Eagerly || !runs_at_import || class.type_params.is_some() {
            return None;
        }
        let mut annotations = Vec::new();
        for statement in &class.body {
            match statement {
                Stmt::AnnAssign(variable) => {
                    let named = matches!(&*variable.target, Expr::Name(name) if !is_mangled(&name.id));
                    if !variable.simple || !named || !could_wait(&variable.annotation) {
                        return None;
                    }
                    annotations.push(variable.annotation.as_ref());
                }
                Stmt::FunctionDef(_)
                | Stmt::ClassDef(_)
                | Stmt::Pass(_)
                | Stmt::Assign(_)
                | Stmt::Expr(_) => {}
                // It may annotate too.
                _ => return None,
            }
        }
        let mut own = Own(false);
        own.visit_body(&class.body);
        if annotations.is_empty() || own.0 {
            return None;
        }
        let annotations = annotations.into_iter().map(Ranged::range).collect();
        self.found.signatures.push(SignatureFound { at: class.start(), annotations });
        Some(self.found.signatures.len() - 1)
    }

    /// The annotation of a variable; `read` where somebody may evaluate it at once even if the interpreter does not.
    pub(super) fn annotation_of_variable(&mut self, annotation: &'a Expr, read: bool) {
        self.visit_annotation_of(annotation, unevaluated(read));
    }

    /// An annotation, and what a name in it is where it is text.
    fn visit_annotation_of(&mut self, annotation: &'a Expr, unevaluated: UseKind) {
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

    /// Names in strings that something is called with: `TypeAdapter('Node')`, `TypedDict('Row', {'node': 'Node'})`. What is
    /// called may evaluate them in the names of the module.
    pub(super) fn call_texts(&mut self, expr: &Expr) {
        let Expr::Call(call) = expr else { return };
        let mut strings = Strings(Vec::new());
        strings.visit_arguments(&call.arguments);
        // Prose is sorted out before it is parsed.
        let is_word = |text: &str| !text.contains(' ') || text.contains(['[', '|', ',']);
        let could_name =
            |text: &str| text.len() <= LONGEST_TYPE && text.contains(char::is_uppercase) && is_word(text);
        let named = strings.0.into_iter().filter(|(text, _)| could_name(text) && is_expression(text));
        for (text, at) in named {
            self.found.call_texts.extend(identifiers(text).into_iter().map(|name| (Name::new(name), at)));
        }
    }

    /// Names in the strings of `Union[int, 'Node']` and `TypeVar('T', bound='Node')`: who has the type may evaluate them.
    pub(super) fn type_texts(&mut self, expr: &Expr) {
        if self.later || self.annotation.is_some() {
            return;
        }
        let mut strings = Strings(Vec::new());
        match expr {
            Expr::Subscript(generic) if self.is_generic(&generic.value) => strings.visit_expr(&generic.slice),
            Expr::Call(call) => {
                if let Some(bound) = call.arguments.find_keyword("bound") {
                    strings.visit_expr(&bound.value);
                }
            }
            _ => return,
        }
        for (text, at) in strings.0.into_iter().filter(|(text, _)| is_expression(text)) {
            let names = identifiers(text).into_iter().map(|name| (Name::new(name), at));
            self.found.type_texts.extend(names);
        }
    }

    fn quoted_names(&mut self, annotation: &Expr, kind: UseKind) {
        let mut strings = Strings(Vec::new());
        strings.visit_expr(annotation);
        // Prose, as in `Doc("…")`, is nothing that anybody could evaluate.
        for (text, at) in strings.0.into_iter().filter(|(text, _)| is_expression(text)) {
            for name in identifiers(text) {
                self.found.quoted.push((Name::new(name), at, kind));
            }
        }
    }
}

/// Whether something asks for its own annotations by their name, or for all names around it.
struct Own(bool);

impl<'a> Visitor<'a> for Own {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr {
            self.0 |=
                matches!(name.id.as_str(), "__annotations__" | "locals" | "vars" | "dir" | "exec" | "eval");
        }
        walk_expr(self, expr);
    }
}

/// Characters of the longest text that is taken for a type.
const LONGEST_TYPE: usize = 200;

fn is_expression(text: &str) -> bool {
    // `*Ts` stands in an annotation, too.
    ruff_python_parser::parse_expression(&format!("({})", text.trim_start().trim_start_matches('*'))).is_ok()
}

fn unevaluated(read: bool) -> UseKind {
    if read { UseKind::ReadAnnotation } else { UseKind::Annotation }
}
