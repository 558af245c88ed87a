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

/// Compares every function of a module as it is with the same one after edits, and the places of all that is left in
/// the module's own code.
const CHECK_SIGNATURES: &str = r#"
import ast, importlib.util, inspect, marshal, sys, types
import app, x

text = open("app.py").read()
plain = types.ModuleType("app")
exec(compile(text, app.__file__, "exec", dont_inherit=True), vars(plain))

def functions(module):
    for name in sorted(vars(module)):
        value = vars(module)[name]
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__ == "app":
            for inner in vars(value).values():
                yield getattr(inner, "__qualname__", ""), getattr(inner, "fget", getattr(inner, "__func__", inner))

def facts(function):
    code = function.__code__
    return (
        list(function.__annotations__.items()), str(inspect.signature(function)), inspect.getsource(function),
        code == code.replace(), code.co_firstlineno, code.co_code, code.co_varnames, function.__defaults__,
    )

before = {name: function for name, function in functions(plain) if inspect.isfunction(function)}
after = {name: function for name, function in functions(app) if inspect.isfunction(function)}
assert set(before) <= set(after), set(before) ^ set(after)
waiting = [name for name in before if type(after[name].__annotations__) is not dict]
for name in before:
    was, now = facts(before[name]), facts(after[name])
    assert str(was) == str(now), (was, now)
    assert type(after[name].__annotations__) is dict

moved = [
    node for outer in ast.walk(ast.parse(text)) if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
    for node in [outer.returns] + [a.annotation for a in ast.walk(outer.args) if isinstance(a, ast.arg)] if node
]
imports = [node.lineno for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]

def left(code):
    if hasattr(code, "co_positions"):
        for line, end_line, column, end_column in code.co_positions():
            inside = any(
                (node.lineno, node.col_offset) <= (line, column) and (end_line, end_column) <= (node.end_lineno, node.end_col_offset)
                for node in moved
            ) if None not in (line, end_line, column, end_column) else True
            if not inside and line not in imports:
                yield line, end_line, column, end_column
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name.startswith("C"):
            yield from left(constant)

path = importlib.util.cache_from_source("app.py")
lost = set(left(compile(text, "app.py", "exec", dont_inherit=True))) - set(left(marshal.loads(open(path, "rb").read()[16:])))
assert not lost, lost
print("same", len(waiting))
"#;

/// Annotations that can be evaluated on every interpreter.
fn annotation() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x.A".to_owned()),
        Just("First".to_owned()),
        Just("(x . A)".to_owned()),
        Just("int".to_owned()),
        Just("None".to_owned()),
        Just("'é'".to_owned()),
        Just("ALIAS".to_owned()),
        Just("mark(int)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("List[{a}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("Dict[{a},\n        {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("Callable[[{a}, {b}], {a}]")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("Union[{a}, {b}]")),
        ]
    })
}

/// A function with some annotations among parameters of every kind.
fn function() -> impl Strategy<Value = (String, bool)> {
    let annotated =
        || prop::option::of(annotation()).prop_map(|a| a.map_or(String::new(), |a| format!(": {a}")));
    let parameters = (annotated(), annotated(), annotated(), annotated(), annotated());
    let returns =
        prop::option::of(annotation()).prop_map(|a| a.map_or(String::new(), |a| format!(" -> {a}")));
    let decorators = prop_oneof![Just(""), Just(""), Just("@keep\n"), Just("@ keep\n@(lambda f: f)\n")];
    let start = prop_oneof![Just("def"), Just("async def")];
    (parameters, returns, decorators, start, any::<bool>()).prop_map(
        |((a, b, c, d, e), returns, decorators, start, in_class)| {
            let head = format!("{start} NAME(a{a}, /, __b{b} = 1, *c{c},\n    d{d}, **e{e}){returns}:\n");
            (format!("{decorators}{head}    return a\n"), in_class)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn functions_that_wait_are_the_same_functions(functions in prop::collection::vec(function(), 1..6)) {
        let mut source = "from typing import Callable, Dict, List, Union\nimport x\nfrom x import A as First\nALIAS = List[int]\ndef keep(f): return f\ndef mark(a): return a\n".to_owned();
        for (index, (text, in_class)) in functions.iter().enumerate() {
            let text = text.replace("NAME", &format!("f{index}"));
            if *in_class {
                let body: Vec<&str> = text.lines().collect();
                source += &format!("class C{index}:\n    {}\n", body.join("\n    "));
            } else {
                source += &text;
            }
        }
        source += "def late(a: x.A, b: First): return a\n";
        let tree = Tree::new(&[("app.py", &source), ("x.py", "class A: pass\n")]);
        for python in pythons() {
            tree.compile(python, &tree.edits(python.version, Some(&["app:x", "app:First"])));
            let output = tree.run(python, CHECK_SIGNATURES);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            prop_assert!(text.starts_with("same") && text != "same 0\n", "Python {}: {error}\n{source}", python.version);
        }
    }
}

/// Compares every class of a module as it is with the same one after edits.
const CHECK_CLASSES: &str = r#"
import inspect, pickle, re, types
import app, x

waiting = [name for name in dir(app) if re.match("C[0-9]", name) and name not in vars(app)]
plain = types.ModuleType("app")
plain.__file__ = app.__file__
exec(compile(open("app.py").read(), app.__file__, "exec", dont_inherit=True), vars(plain))

def steady(value):
    return re.sub("0x[0-9a-f]+", "0x", str(value))

def code(value):
    inner = getattr(value, "fget", getattr(value, "__func__", value))
    found = getattr(inner, "__code__", None)
    return found and (found.co_name, found.co_firstlineno, found.co_freevars, getattr(inner, "__qualname__", None))

def facts(made):
    yield made.__qualname__, made.__doc__, made.__module__, [base.__qualname__ for base in made.__mro__]
    yield sorted(vars(made)), inspect.getsource(made), list(vars(made).get("__annotations__", {}).items())
    for name, value in vars(made).items():
        if inspect.isclass(value) and value.__module__ == "app":
            yield from facts(value)
        elif name not in ("__annotations__", "__doc__"):
            yield name, code(value) or value
    for method in ("f", "p", "k"):
        if method in vars(made):
            yield getattr(made(), method) if method == "p" else getattr(made(), method)()

for name in [name for name in vars(plain) if re.match("C[0-9]", name)]:
    was, now = steady(list(facts(getattr(plain, name)))), steady(list(facts(getattr(app, name))))
    assert was == now, (name, was, now)
    assert pickle.loads(pickle.dumps(getattr(app, name))) is getattr(app, name)
print("same", len(waiting))
"#;

/// What stands in a class body.
fn member() -> impl Strategy<Value = String> {
    let all = [
        "    a: x.A = 1\n",
        "    b: List[First]\n",
        "    m = x.A\n",
        "    n = N, [i for i in range(3) if i]\n",
        "    def f(self, q=x.A) -> First:\n        return __class__.__name__, q, [First for _ in 'a']\n",
        "    @property\n    def p(self): return First\n",
        "    class In(x.A):\n        deep: First = x.A\n        def g(self): return x\n",
        "    k = lambda self: x.A\n",
        "    __private: x.A = 2\n",
        "    if N:\n        t: x.A = 1\n",
        "    f'é {x.A}'; o = f'{First}'\n",
        "    made = mark(First)\n",
    ];
    prop::sample::select(all.to_vec()).prop_map(str::to_owned)
}

fn class() -> impl Strategy<Value = String> {
    let bases =
        prop::sample::select(vec!["", "(x.A)", "(First, object)", "(BEFORE)", "(x.A, metaclass=type)"]);
    let decorators = prop::sample::select(vec!["", "", "@mark\n", "@ mark\n@mark\n"]);
    let docs = prop::sample::select(vec!["", "    '''Docs.'''\n"]);
    let members = prop::collection::vec(member(), 1..5);
    (decorators, bases, docs, members).prop_map(|(decorator, bases, docs, members)| {
        format!("{decorator}class NAME{bases}:\n{docs}{}", members.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn classes_that_wait_are_the_same_classes(classes in prop::collection::vec(class(), 1..5)) {
        let mut source = "from typing import List\nimport x\nfrom x import A as First\nN = 1\ndef mark(a): return a\nclass B: pass\n".to_owned();
        let mut before = "B".to_owned();
        for (index, text) in classes.iter().enumerate() {
            let name = format!("C{index}");
            source += &text.replace("NAME", &name).replace("BEFORE", &before);
            before = name;
        }
        source += "class C9(x.A): pass\n";
        let tree = Tree::new(&[("app.py", &source), ("x.py", "class A: pass\n")]);
        for python in pythons() {
            tree.compile(python, &tree.edits(python.version, None));
            let output = tree.run(python, CHECK_CLASSES);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            prop_assert!(text.starts_with("same") && text != "same 0\n", "Python {}: {error}\n{source}", python.version);
        }
    }
}
