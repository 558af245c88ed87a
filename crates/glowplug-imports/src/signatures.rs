//! Functions whose annotations mean the same whenever they are evaluated after the function was defined.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{Expr, Operator, UnaryOp};
use ruff_text_size::{TextRange, TextSize};

use crate::facts::{Place, Signature};
use crate::found::Found;
use crate::scopes::Meaning;

/// Built-in names that stand in annotations.
const BUILTINS: [&str; 34] = [
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "ConnectionError",
    "EOFError",
    "Ellipsis",
    "Exception",
    "ImportError",
    "IndexError",
    "KeyError",
    "LookupError",
    "NotImplementedError",
    "OSError",
    "RuntimeError",
    "StopIteration",
    "TimeoutError",
    "TypeError",
    "ValueError",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "memoryview",
    "object",
    "set",
    "str",
    "tuple",
    "type",
];

/// Whether an annotation consists of names, attributes, subscripts, `|`, displays and constants: it calls nothing,
/// binds nothing, and no class would mangle its names.
pub(crate) fn could_wait(annotation: &Expr) -> bool {
    waits(annotation) && parts(annotation).into_iter().all(could_wait)
}

/// Whether all that could not wait in an annotation may be evaluated where it stands, and the rest later with what that
/// gave: `Annotated[x.Frame, Doc("…")]`.
pub(crate) fn could_wait_in_part(annotation: &Expr) -> bool {
    if waits(annotation) {
        return parts(annotation).into_iter().all(could_wait_in_part);
    }
    // These are no values, or bind names.
    !matches!(
        annotation,
        Expr::Starred(_)
            | Expr::Slice(_)
            | Expr::Named(_)
            | Expr::Await(_)
            | Expr::Yield(_)
            | Expr::YieldFrom(_)
            | Expr::IpyEscapeCommand(_)
    )
}

/// Whether an expression does nothing that could not be done later, its parts apart; the compiler tells the same.
pub(crate) fn waits(expr: &Expr) -> bool {
    match expr {
        Expr::Name(name) => !is_mangled(&name.id),
        Expr::Attribute(attribute) => !is_mangled(&attribute.attr),
        Expr::BinOp(operation) => operation.op == Operator::BitOr,
        Expr::UnaryOp(operation) => {
            operation.op == UnaryOp::USub && matches!(operation.operand.as_ref(), Expr::NumberLiteral(_))
        }
        Expr::Subscript(_)
        | Expr::Tuple(_)
        | Expr::List(_)
        | Expr::StringLiteral(_)
        | Expr::BytesLiteral(_)
        | Expr::NumberLiteral(_)
        | Expr::BooleanLiteral(_)
        | Expr::NoneLiteral(_)
        | Expr::EllipsisLiteral(_) => true,
        _ => false,
    }
}

/// What an expression that waits consists of.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Attribute(attribute) => vec![&attribute.value],
        Expr::Subscript(subscript) => vec![&subscript.value, &subscript.slice],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Tuple(tuple) => tuple.elts.iter().collect(),
        Expr::List(list) => list.elts.iter().collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn is_mangled(name: &str) -> bool {
    name.starts_with("__") && !name.ends_with("__")
}

/// For each signature that was found, its facts where all its names mean the module's own, are bound for the last
/// time before the function is defined, or are built in.
pub(crate) fn waiting(found: &Found, place_of: &dyn Fn(TextSize) -> Place) -> Vec<Option<Signature>> {
    // A star import, or a write through `globals()`, may bind any name at any time.
    if found.signatures.is_empty() || found.star.is_some() || found.writes_namespace {
        return found.signatures.iter().map(|_| None).collect();
    }
    let last_bound = last_bound(found, place_of);
    let mut all: Vec<Option<Signature>> = found
        .signatures
        .iter()
        .map(|signature| {
            let span = |range: &TextRange| (place_of(range.start()), place_of(range.end()));
            Some(Signature {
                names: BTreeSet::new(),
                annotations: signature.annotations.iter().map(span).collect(),
            })
        })
        .collect();
    for read in &found.reads {
        let Some(index) = read.signature else { continue };
        let name = read.name.as_str();
        let settled = match last_bound.get(name) {
            Some(last) => *last < place_of(found.signatures[index].at),
            None => BUILTINS.contains(&name),
        };
        if !settled
            || found.scopes.declared_global(name)
            || found.scopes.resolve(read.scope, name) != Meaning::Global
        {
            all[index] = None;
        } else if let Some(signature) = &mut all[index] {
            signature.names.insert(name.to_owned());
        }
    }
    all
}

/// Where the module's body binds or deletes each name for the last time; a class does at its end.
pub(crate) fn last_bound<'a>(
    found: &'a Found,
    place_of: &dyn Fn(TextSize) -> Place,
) -> BTreeMap<&'a str, Place> {
    let clauses = found.clauses.iter().map(|clause| (clause.name.as_str(), clause.statement.place));
    let others = found.rebound.iter().chain(&found.classes).map(|(name, at)| (name.as_str(), place_of(*at)));
    let mut last: BTreeMap<&str, Place> = BTreeMap::new();
    for (name, place) in clauses.chain(others) {
        let known = last.entry(name).or_insert(place);
        *known = place.max(*known);
    }
    last
}

#[cfg(test)]
mod tests {
    use glowplug_core::PythonVersion;

    use crate::{ModuleAnalysis, ModuleId, Place, UseKind, analyse};

    fn read(source: &str, minor: u8) -> ModuleAnalysis {
        let id = ModuleId { name: "mod".to_owned(), is_package: false, path: "mod.py".into() };
        analyse(source, &id, PythonVersion::new(3, minor)).unwrap()
    }

    /// The kinds of all uses of `x`.
    fn kinds(source: &str) -> Vec<UseKind> {
        let analysis = read(source, 12);
        let binding = analysis.bindings.iter().find(|binding| binding.name == "x").unwrap();
        binding.uses.iter().map(|used| used.kind).collect()
    }

    fn names(source: &str) -> Vec<Vec<String>> {
        read(source, 12).signatures.into_iter().map(|s| s.names.into_iter().collect()).collect()
    }

    #[test]
    fn the_facts_give_every_annotation_its_place() {
        let source =
            "import x\n@d\ndef f(a: x.A, /, b=1, *c: 'é' | x.B, e: (\n  int), **g: [x]) -> None: pass\n";
        let analysis = read(source, 12);
        let place = |line, column| Place { line, column };
        let signature = &analysis.signatures[0];
        assert_eq!(
            signature.annotations,
            [
                (place(3, 9), place(3, 12)),
                (place(3, 26), place(3, 36)),
                (place(4, 2), place(4, 5)),
                (place(4, 13), place(4, 16)),
                (place(4, 21), place(4, 25)),
            ],
        );
        assert_eq!(signature.place(), place(3, 9));
        assert_eq!(signature.names.iter().collect::<Vec<_>>(), ["int", "x"]);
        assert_eq!(signature.around(place(3, 33)), Some((place(3, 26), place(3, 36))));
        assert_eq!(signature.around(place(3, 36)), None, "the end is not part of it");
        assert_eq!(signature.around(place(3, 19)), None, "a default");
    }

    #[test]
    fn a_place_belongs_to_the_function_around_it() {
        let analysis = read(
            "import x\ndef f(a: x.A): pass\ndef g(): pass\nclass C:\n    def h(self, a: x.A) -> x.B: pass\n",
            12,
        );
        let around = |line, column| {
            analysis.signature_around(Place { line, column }).map(|signature| signature.place().line)
        };
        assert_eq!(analysis.signatures.len(), 2, "and one without annotations has none");
        assert_eq!([around(2, 9), around(5, 19), around(5, 27)], [Some(2), Some(5), Some(5)]);
        assert_eq!([around(1, 7), around(2, 4), around(3, 0), around(9, 0)], [None; 4]);
    }

    #[test]
    fn uses_say_whether_their_annotation_can_wait() {
        use UseKind::{
            Annotation, AtImport, EagerAnnotation, Later, ReadAnnotation, Signature, TextSignature,
        };
        for (source, expected) in [
            ("import x\ndef f(a: x) -> x: return x\n", vec![Signature, Signature, Later]),
            ("import x\ndef f(a: x = x): pass\n", vec![AtImport, Signature]),
            ("import x\ndef f(a: x, b: x()): pass\n", vec![Signature, EagerAnnotation]),
            ("import x\ndef f(a: x[y(x), x]): pass\n", vec![Signature, EagerAnnotation, Signature]),
            ("import x\ndef f(a: x, b: (y := x)): pass\n", vec![EagerAnnotation, EagerAnnotation]),
            ("import x\na: x = x\n", vec![AtImport, EagerAnnotation]),
            (
                "import x\nclass C:\n    a: x\n    def f(self, a: x): pass\n    b: x = x\nC()\n",
                vec![Signature, Signature, AtImport, Signature],
            ),
            (
                "import x\nclass C:\n    a: x\n    if y:\n        b: x\nC()\n",
                vec![EagerAnnotation, EagerAnnotation],
            ),
            ("import x\nclass C:\n    a: x\n    b: x()\nC()\n", vec![EagerAnnotation, EagerAnnotation]),
            ("import x\nclass C:\n    a: x\n    __annotations__\nC()\n", vec![EagerAnnotation]),
            ("import x\nclass C(B):\n    a: x\nC()\n", vec![EagerAnnotation]),
            ("import x\n@d\nclass C:\n    a: x\nC()\n", vec![EagerAnnotation]),
            ("import x\nclass C:\n    x = 1\n    a: x\nC()\n", vec![EagerAnnotation]),
            ("import x\n@d\ndef f(a: x, b: 'x'): pass\n", vec![Signature, TextSignature { read: true }]),
            ("import x\ndef f(b: 'x'): pass\n", vec![TextSignature { read: false }]),
            ("import x\ndef f(b: '*x'): pass\n", vec![TextSignature { read: false }]),
            ("import x\ndef f(b: 'see x there'): pass\n", vec![]),
            ("def f(b: 'x'): pass\nimport x\n", vec![ReadAnnotation]),
            ("import x\n@d\nclass C:\n    a: 'x'\n", vec![UseKind::GlobalText]),
            ("import x\n@d\nclass C:\n    a: 'x'\nC()\n", vec![ReadAnnotation]),
            ("@d\nclass C:\n    a: 'x'\nimport x\n", vec![ReadAnnotation]),
            ("import x\ndef f():\n    @d\n    def g(a: 'x'): pass\n", vec![ReadAnnotation]),
            ("import x\ndef f():\n    def g(a: 'x'): pass\n", vec![Annotation]),
            ("import x\ndef f():\n    def g(a: x): pass\n", vec![Later]),
            ("import x\ndef f():\n    class C:\n        def g(a: x()): pass\n", vec![Later]),
            ("import x\nif __name__ == '__main__':\n    def f(a: x): pass\n", vec![Later]),
            ("import x\nif TYPE_CHECKING:\n    def f(a: x): pass\n", vec![]),
            ("import x\ntry:\n    def f(a: x): pass\nfinally: pass\n", vec![EagerAnnotation]),
            ("import x\ntry: pass\nexcept E:\n    def f(a: x): pass\n", vec![EagerAnnotation]),
            ("import x\ntry: pass\nfinally:\n    def f(a: x): pass\n", vec![EagerAnnotation]),
            ("import x\nwith y:\n    def f(a: x): pass\n", vec![EagerAnnotation]),
            ("import x\nwhile y:\n    class C:\n        def f(a: x): pass\n", vec![EagerAnnotation]),
            ("import x\ntry: pass\nfinally: pass\ndef f(a: x): pass\n", vec![Signature]),
            ("import x\nfor i in x: pass\ndef f(a: x): pass\n", vec![AtImport, Signature]),
            ("import x\nlambda a=x: x\n", vec![AtImport, Later]),
        ] {
            assert_eq!(kinds(source), expected, "{source}");
        }
    }

    /// The kinds of `x` in an annotation, with a second parameter that shows whether the function's annotations wait.
    fn kinds_in(annotation: &str) -> Vec<UseKind> {
        let source = format!("import x\ndef f(a: x, b: {annotation}): pass\n");
        kinds(&source)
    }

    #[test]
    fn only_what_cannot_do_anything_waits() {
        for annotation in [
            "x",
            "x.y[x]",
            "x | None",
            "x[x, ...]",
            "x[[x], -1, 1, b'', True]",
            "x['y']",
            "x.__y__",
            "(x, x)",
        ] {
            assert!(kinds_in(annotation).iter().all(|kind| *kind == UseKind::Signature), "{annotation}");
        }
        // Evaluated where it stands, and the rest waits.
        for (annotation, waits) in [
            ("x & None", 0),
            ("x[-x]", 1),
            ("x[~1]", 1),
            ("x[f'{x}']", 1),
            ("x[{x}]", 1),
            ("x[lambda: x]", 1),
            ("x[x if x else x]", 1),
            ("x()", 0),
            ("x[x()]", 1),
            ("x()[x]", 1),
            ("x | x()", 1),
            ("x().y", 0),
            ("(x, x())", 1),
            ("x.__y", 0),
        ] {
            let signature = |kind: &&UseKind| **kind == UseKind::Signature;
            assert_eq!(kinds_in(annotation).iter().filter(signature).count(), 1 + waits, "{annotation}");
        }
        for annotation in ["x[x:x]", "(y := x)", "x[*x]"] {
            assert!(
                kinds_in(annotation).iter().all(|kind| *kind == UseKind::EagerAnnotation),
                "{annotation}"
            );
        }
    }

    #[test]
    fn names_have_to_be_settled() {
        for (source, waits) in [
            ("x = 1\ndef f(a: x): pass\n", true),
            ("def f(a: x): pass\nx = 1\n", false),
            ("x = 1\ndef f(a: x): pass\nx = 1\n", false),
            ("import x\ndef f(a: x): pass\nimport x\n", false),
            ("def f(a: x): pass\n", false),
            ("def f(a: int): pass\n", true),
            ("def f(a: int): pass\nint = 1\n", false),
            ("int = 1\ndef f(a: int): pass\n", true),
            ("def g():\n    global int\ndef f(a: int): pass\n", false),
            ("x = 1\nclass x:\n    def f(a: x): pass\n", false),
            ("class x: pass\ndef f(a: x): pass\n", true),
            ("x = 1\nclass C:\n    def f(a: x): pass\n    x = 1\n", false),
            ("x = 1\nclass C:\n    x = 1\n    class D:\n        def f(a: x): pass\n", true),
            ("x = 1\nclass C[x]:\n    def f(a: x): pass\n", false),
            ("x = 1\ndef f[T](a: x): pass\n", false),
            ("x = 1\ndef f(a: x): pass\nfrom y import *\n", false),
            ("x = 1\ndef f(a: x): pass\nglobals()['x'] = 2\n", false),
            ("x = 1\ndef f(a: x): pass\nglobals().update(x=2)\n", false),
            ("x = 1\ndef f(a: x, b: y): pass\n", false),
        ] {
            assert_eq!(!names(source).is_empty(), waits, "{source}");
        }
    }

    #[test]
    fn annotations_that_are_not_evaluated_need_not_wait() {
        assert_eq!(read("if TYPE_CHECKING:\n    def f(a: int): pass\n", 12).signatures, []);
        let plain = "import x\ndef f(a: x): pass\n";
        assert_eq!(read(plain, 9).signatures.len(), 1);
        assert_eq!(read(plain, 13).signatures.len(), 1);
        assert_eq!(read(plain, 14).signatures, []);
        assert_eq!(read(&format!("from __future__ import annotations\n{plain}"), 12).signatures, []);
    }
}
