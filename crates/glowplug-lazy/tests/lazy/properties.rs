//! What holds for any module: positions, names and code are those of the original.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::support::{Python, Tree, pythons};

/// Compares the code of a source with the code of the same source after edits, inside the interpreter.
const CHECK: &str = r#"
import importlib.util, marshal, sys, types

def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)

def load(path):
    with open(path, "rb") as file:
        return marshal.loads(file.read()[16:])

def grouped(code):
    groups = {}
    for inner in codes(code):
        groups.setdefault((inner.co_name, inner.co_firstlineno), []).append(inner)
    return groups

def every(read, group):
    return {item for code in group for item in read(code)}

def lines(code):
    return [line for _, _, line in code.co_lines() if line] if hasattr(code, "co_lines") else []

def positions(code):
    return [p for p in code.co_positions() if None not in p] if hasattr(code, "co_positions") else []

def names(code):
    return [n for n in code.co_names + code.co_varnames + code.co_freevars if not n.startswith("__gp_")]

original = grouped(compile(open("app.py").read(), "app.py", "exec", dont_inherit=True))
edited = grouped(load(importlib.util.cache_from_source("app.py")))
for key, group in original.items():
    if key[0] == "<module>":
        continue
    other = edited[key]
    assert every(names, group) == every(names, other), (key, every(names, group) ^ every(names, other))
    assert every(lines, group) == every(lines, other), (key, every(lines, group) ^ every(lines, other))
    lost = every(positions, group) - every(positions, other)
    assert not lost, (key, lost)
assert {key[0] for key in set(edited) - set(original)} <= {"__gp_import__"}, set(edited) - set(original)
print("same")
"#;

fn check(tree: &Tree, python: &Python) {
    tree.compile(python, &tree.edits(python.version, None));
    let output = tree.run(python, CHECK);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "same\n", "Python {}: {error}", python.version);
}

#[test]
fn without_edits_the_code_is_the_interpreters_own() {
    let source = "import x\n\ndef f(a, *b, c=1, **d):\n    '''Docs.'''\n    return [x.y for _ in b if c] or f'{a!r:>{c}}' or (lambda: d)\n\nclass C(object):\n    z: int = 1\n";
    let tree = Tree::new(&[("app.py", source)]);
    for python in pythons() {
        tree.compile(python, &BTreeMap::new());
        let script = "import importlib.util, marshal\ncode = marshal.loads(open(importlib.util.cache_from_source('app.py'), 'rb').read()[16:])\nimport os\npath = code.co_filename\nprint(code == compile(open('app.py').read(), path, 'exec', dont_inherit=True))\n";
        assert_eq!(String::from_utf8_lossy(&tree.run(python, script).stdout), "True\n");
    }
}

/// Expressions that use `x`, and that are valid on every interpreter.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_owned()),
        Just("x.a".to_owned()),
        Just("(1)".to_owned()),
        Just("n".to_owned()),
        Just("'é'".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.call({b}, key={a})")),
            inner.clone().prop_map(|a| format!("[{a} for y in {a} if y]")),
            inner.clone().prop_map(|a| format!("[{a} for x in {a}]")),
            inner.clone().prop_map(|a| format!("(lambda q={a}: {a})")),
            inner.clone().prop_map(|a| format!("(lambda x: {a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} if {b} else {a})")),
            inner.clone().prop_map(|a| format!("{{{a}: {a}}}")),
            inner.clone().prop_map(|a| format!("{a}[{a}:{a}]")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        expression().prop_map(|e| format!("    return {e}\n")),
        expression().prop_map(|e| format!("    z = {e}\n    z += {e}\n")),
        expression().prop_map(|e| format!("    for i in {e}:\n        print({e})\n")),
        expression().prop_map(|e| format!("    with {e} as w:\n        del x.a\n")),
        expression().prop_map(|e| format!(
            "    try:\n        {e}\n    except x.Error as error:\n        raise {e} from error\n"
        )),
        expression().prop_map(|e| format!("    class C({e}):\n        m = {e}\n")),
        expression().prop_map(|e| format!("    def g(a={e}) -> None:\n        return {e}\n")),
        expression().prop_map(|e| format!("    @{e}\n    def h():\n        nonlocal_ = {e}\n")),
        expression().prop_map(|e| format!("    f'é {{x}} {{n!r:>{{n}}}}' \\\n        f'{{x.a}}'\n    {e}\n")),
        expression().prop_map(|e| format!("    assert {e}, {e}\n    x.b = (y := {e})\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn positions_and_names_never_change(
        bodies in prop::collection::vec(prop::collection::vec(statement(), 1..4), 1..4),
        gap in 0_usize..3,
    ) {
        let mut source = "'''Docs.'''\nfrom __future__ import annotations\nimport os, x\nfrom x import a as first, b\n".to_owned();
        for (index, body) in bodies.iter().enumerate() {
            source += &"\n".repeat(gap);
            source += &format!("def f{index}(n):\n{}    return first, b\n", body.concat());
        }
        let tree = Tree::new(&[("app.py", &source), ("x.py", "")]);
        for python in pythons() {
            check(&tree, python);
        }
    }
}
