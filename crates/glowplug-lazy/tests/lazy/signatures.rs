//! Annotations of functions that wait until somebody reads them: what every reader sees, and what is refused.

use std::collections::BTreeMap;

use glowplug_core::PythonVersion;
use glowplug_lazy::Rule;
use glowplug_test::python_with;

use crate::support::{Tree, printed, pythons};

/// A module that says when it is loaded.
pub(crate) const HEAVY: &str = "print('heavy is loaded')\nfrom typing import Generic, TypeVar\nT = TypeVar('T')\nclass Frame:\n    pass\nclass Box(Generic[T]):\n    pass\n";

/// Functions of every kind.
pub(crate) const APP: &str = "import functools
from typing import Dict, List, Optional, Callable, Tuple
import heavy
from heavy import Frame, Box as B

Alias = Dict[str, int]
_KEPT = 'text'


def plain(df: heavy.Frame, n: int = 1) -> Frame:
    '''Docs.'''
    return df

def every(first: Frame, /, second: 'Frame', *rest: List[heavy.Frame], named: Optional[Frame] = None, **more: B[Frame]) -> Tuple[Alias, ...]:
    return rest

async def waits(a: Callable[[Frame], None]) -> None: return a

def generates(a: Frame):
    yield a

@functools.lru_cache(
    maxsize=None)
def decorated(
    a: Frame,
    b: List[
        heavy.Frame
    ] = None,
):
    return a

def untouched(a: int) -> str:
    return a

if _KEPT:
    def conditional(a: -1, b: [Frame, b'', 1.5, True, ...]) -> (Frame,): return a


class Own:
    Local = int

    def method(self, __secret: Frame, __kept__: Frame, other: 'Own') -> B[Frame]:
        return other

    @property
    def value(self) -> Frame:
        return 1

    @staticmethod
    def still(a: heavy.Frame): return a

    @classmethod
    def of(cls, a: Frame): return a

    class __Inner__:
        def deep(self, __x: Frame): return 1

def late(a: Own, b: Frame) -> None:
    def inner(c: Frame): return c
    return inner
";

/// `functions()` gives every function of the module that `fresh()` imports anew.
const FUNCTIONS: &str = "
import sys, inspect, re
def fresh():
    global app
    sys.modules.pop('app', None), sys.modules.pop('heavy', None)
    import app
    print('started', 'heavy' in sys.modules)
def functions():
    yield from ((n, inspect.unwrap(f)) for n, f in sorted(vars(app).items()) if inspect.isfunction(inspect.unwrap(f)) and not n.startswith('__'))
    own = vars(app.Own)
    yield from ((n, f) for n, f in [('method', app.Own.method), ('value', app.Own.value.fget), ('still', app.Own.still), ('of', app.Own.of.__func__), ('deep', app.Own.__Inner__.deep)])
";

fn tree() -> Tree {
    Tree::new(&[("heavy.py", HEAVY), ("app.py", APP)])
}

/// The edited tree prints the same but for when `heavy` loads, which is no longer at import.
pub(crate) fn same_but_later(tree: &Tree, script: &str) {
    for (before, after) in tree.compare(None, &format!("{FUNCTIONS}{script}")) {
        assert_eq!(
            after.matches("started False\n").count(),
            before.matches("started True\n").count(),
            "{after}"
        );
        let later = after.replace("heavy is loaded\n", "").replace("started False", "started True");
        let before = before.replace("heavy is loaded\n", "");
        for (is, was) in later.lines().zip(before.lines()) {
            assert_eq!(is, was);
        }
        assert_eq!(later.lines().count(), before.lines().count());
    }
}

#[test]
fn every_reader_sees_what_was_there() {
    let mut script = String::new();
    for read in [
        "f.__annotations__",
        "list(f.__annotations__)",
        "len(f.__annotations__), bool(f.__annotations__)",
        "'return' in f.__annotations__, 'zz' in f.__annotations__",
        "f.__annotations__.get('a'), f.__annotations__.get('zz', 3)",
        "list(f.__annotations__.keys()), list(f.__annotations__.values())",
        "list(f.__annotations__.items()), list(reversed(f.__annotations__))",
        "dict(f.__annotations__), {**f.__annotations__}, (lambda **k: k)(**f.__annotations__)",
        "f.__annotations__ == f.__annotations__, f.__annotations__ == dict(f.__annotations__), {} == f.__annotations__, f.__annotations__ != {}",
        "f.__annotations__ | {'x': 1}, {'x': 1} | f.__annotations__",
        "type(f.__annotations__.fromkeys('ab')), f.__annotations__.copy()",
        "__import__('copy').copy(f.__annotations__), type(__import__('copy').copy(f.__annotations__))",
        "__import__('copy').deepcopy(f.__annotations__) == f.__annotations__",
        "__import__('pickle').loads(__import__('pickle').dumps(f.__annotations__))",
        "__import__('json').dumps(f.__annotations__, default=str)",
        "__import__('json').dumps(f.__annotations__, default=str, indent=1)",
        "len(f.__annotations__), __import__('pprint').pformat(f.__annotations__), type(f.__annotations__)",
        "'%s' % f.__annotations__, f'{f.__annotations__}', str(f.__annotations__)",
        "{}.update(f.__annotations__), __import__('collections').OrderedDict(f.__annotations__)",
        "__import__('collections').ChainMap(f.__annotations__).maps, __import__('types').MappingProxyType(f.__annotations__)",
        "isinstance(f.__annotations__, dict), type(f.__annotations__.copy()), hash and f.__annotations__.__hash__",
        "type(f.__annotations__)(f.__annotations__), type(f.__annotations__)(a=1)['a']",
        "inspect.signature(f), inspect.getfullargspec(f)",
        "inspect.get_annotations(f) if hasattr(inspect, 'get_annotations') else ''",
        "__import__('pydoc').render_doc(f)",
        "inspect.getsource(f), f.__code__.co_firstlineno, f.__defaults__, f.__kwdefaults__, f.__doc__, f.__qualname__",
        "(f.__annotations__, f.__annotations__.pop('a', 0), f.__annotations__.setdefault('q', 5), f.__annotations__.update(z=1), f.__annotations__)",
        "len(f.__annotations__) and f.__annotations__.popitem(), f.__annotations__, f.__annotations__.clear(), f.__annotations__",
    ] {
        script += &format!(
            "fresh()\nfor name, f in functions():\n    print(name, re.sub('0x[0-9a-f]+', '', str(({read}))))\n"
        );
    }
    same_but_later(&tree(), &script);
}

#[test]
fn every_method_evaluates_them() {
    let mut script = String::new();
    for call in [
        "held['df']",
        "held.get('df')",
        "held.get('n', 3)",
        "'df' in held",
        "list(held)",
        "list(reversed(held))",
        "len(held)",
        "repr(held)",
        "list(held.keys())",
        "list(held.values())",
        "list(held.items())",
        "held.copy()",
        "held.setdefault('df', 1)",
        "held.pop('df')",
        "held.popitem()",
        "held.clear()",
        "held.update(df=1)",
        "held.__setitem__('more', 1)",
        "held.__delitem__('df')",
        "held == {'df': app.heavy.Frame, 'n': int, 'return': app.heavy.Frame}",
        "held != {'df': app.heavy.Frame, 'n': int, 'return': app.heavy.Frame}",
        "held | {'more': 1}",
        "{'more': 1} | held",
        "held.__ior__({'more': 1})",
        "bool(held)",
    ] {
        script += &format!(
            "fresh()\nheld = app.plain.__annotations__\nprint({call}, held, app.plain.__annotations__)\n"
        );
    }
    same_but_later(&tree(), &script);
}

#[test]
fn libraries_that_read_them_see_what_was_there() {
    let mut script = String::new();
    for read in [
        "import typing\nfor name, f in functions():\n    print(name, typing.get_type_hints(f))\n",
        "import functools\nfor name, f in functions():\n    @functools.wraps(f)\n    def wrapper(*a): pass\n    wrapper.__annotations__['more'] = 1\n    print(name, f.__annotations__, wrapper.__annotations__, inspect.signature(wrapper))\n",
        "import functools\ngeneric = functools.singledispatch(lambda value: 'any')\nprint(generic(1))\ngeneric.register(app.plain)\nprint(type(generic(app.heavy.Frame())))\n",
        "import dataclasses, typing\nprint(dataclasses.make_dataclass('Made', list(app.late.__annotations__.items())[:2])(1, 2))\nprint(typing.NamedTuple('N', list(app.plain.__annotations__.items())[:2])._fields)\n",
        "print(inspect.signature(app.decorated), app.decorated.__annotations__)\n",
        "from unittest import mock\nprint(inspect.signature(mock.create_autospec(app.plain)))\n",
        "f = app.plain\nheld = f.__annotations__\nf.__annotations__['more'] = 1\nheld['even'] = 2\nprint(held, f.__annotations__, type(f.__annotations__), held == f.__annotations__)\nf.__annotations__ |= {'q': 1}\nprint(f.__annotations__)\n",
        "app.plain.__annotations__ = {'a': app.heavy.Frame}\nprint(app.plain.__annotations__)\ndel app.late.__annotations__\nprint(app.late.__annotations__)\n",
        "a, b = app.plain.__annotations__, app.late.__annotations__\nprint(a == b, a != b)\nprint({**a, **b}, a | b)\n",
        "held = app.plain.__annotations__\ndel held['df']\nprint(app.plain.__annotations__, held)\n",
        "held = app.plain.__annotations__\nprint(len(held), list(dict.items(held)))\n",
        "held = app.plain.__annotations__\napp.plain.__annotations__ = {'mine': 1}\nprint(held)\nprint(app.plain.__annotations__)\n",
        "own = app.Own\nprint(own.still.__annotations__ == own.of.__annotations__, own.__Inner__.deep.__annotations__ != own.value.fget.__annotations__)\n",
        "app.plain.__code__ = (lambda df, n=1: df).__code__\nprint(app.plain.__annotations__)\n",
        "print(app.plain.__annotations__['df'] is app.heavy.Frame, app.every.__annotations__['more'] is app.every.__annotations__['more'])\n",
    ] {
        script += &format!("fresh()\n{read}");
    }
    same_but_later(&tree(), &script);
}

#[test]
fn what_is_called_and_never_read_loads_nothing() {
    let tree = tree();
    let script = "import app, sys\nprint(app.plain(1), app.every(1, 2, 3), app.Own().value, app.untouched.__annotations__, type(app.untouched.__annotations__))\nprint('heavy' in sys.modules)\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before.replace("heavy is loaded\n", "").replace("True", "False"), after);
    }
}

#[test]
fn a_failing_annotation_fails_at_each_read_and_shows_its_line() {
    let tree = Tree::new(&[
        ("heavy.py", "class Frame: pass\n"),
        ("app.py", "import heavy\n\n\ndef use(a: int,\n        b: heavy.Absent):\n    return a\n"),
    ]);
    let script = "import app, traceback\nfor _ in range(2):\n    try:\n        len(app.use.__annotations__)\n    except AttributeError:\n        print(traceback.format_exc())\nprint(app.use(1, 2))\napp.heavy.Absent = int\nprint(app.use.__annotations__)\n";
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let text = printed(tree.run(python, script));
        assert_eq!(text.matches("has no attribute 'Absent'").count(), 2, "{text}");
        assert_eq!(
            text.matches("app.py\", line 5, in __gp_annotations__\n    b: heavy.Absent").count(),
            2,
            "{text}"
        );
        assert!(text.ends_with("1\n{'a': <class 'int'>, 'b': <class 'int'>}\n"), "{text}");
    }
}

#[test]
fn threads_that_race_for_a_first_read_see_the_same_objects() {
    let tree = Tree::new(&[
        ("heavy.py", "import time\ntime.sleep(0.05)\nclass Frame: pass\n"),
        ("app.py", "from typing import Callable\nimport heavy\n\ndef use(a: [heavy.Frame]):\n    return a\n"),
    ]);
    let script = "import app\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    print(len(set(pool.map(lambda _: id(app.use.__annotations__['a']), range(16)))))\n";
    tree.same(None, script);
}

#[test]
fn what_reads_them_at_import_loads_it_at_import() {
    let tree = Tree::new(&[
        ("heavy.py", HEAVY),
        (
            "app.py",
            "import inspect, heavy\n\ndef register(f):\n    print(inspect.signature(f))\n    return f\n\n@register\ndef use(a: heavy.Frame):\n    return a\nprint('done')\n",
        ),
    ]);
    tree.same(None, "import app\n");
}

fn rule_of(files: &[(&str, &str)], minor: u8) -> Option<Rule> {
    let tree = Tree::new(files);
    let candidates = tree.candidates(PythonVersion::new(3, minor));
    candidates.named("app", "x").unwrap().refusal.as_ref().map(|refusal| refusal.rule)
}

#[test]
fn annotations_wait_only_where_they_mean_the_same_later() {
    for (source, waits) in [
        ("import x\ndef f(a: x.A): pass\n", true),
        ("import x\ndef f(a, b=1) -> 'x.A' and x.A: pass\n", false),
        ("import x\nasync def f() -> x.A: pass\n", true),
        ("import x\nclass C(Base):\n    class D:\n        def f(self, a: x.A): pass\n", true),
        ("import x\n@register\ndef f(a: x.A): pass\n", true),
        ("import x\nif 1:\n    def f(a: x.A): pass\n", true),
        ("import x\nimport x.y\ndef f(a: x.A): pass\n", true),
        // Not part of a function.
        ("import x\na: x.A = 1\n", false),
        ("import x\nclass C(B):\n    a: x.A = 1\nC()\n", false),
        // Evaluating it does something, or could mean something else.
        ("import x\ndef f(a: x.A()): pass\n", false),
        ("import x\ndef f(a: x.A, b: call()): pass\n", true),
        ("import x\ndef f(a: x.A, b: (c := 1)): pass\n", false),
        ("import x\ndef f(a: lambda: x.A): pass\n", false),
        ("import x\ndef f(a: [x for x in x.A]): pass\n", false),
        ("import x\ndef f(a: f'{x.A}'): pass\n", false),
        ("import x\ndef f(a: x.A + 1): pass\n", false),
        ("import x\ndef f(a: x.A[1:2]): pass\n", false),
        ("import x\ndef f(a: x.A if 1 else 2): pass\n", false),
        ("import x\nclass C:\n    def f(self, a: x.__A): pass\nC()\n", false),
        ("import x\nclass C:\n    def f(self, a: x.A, b: __B): pass\n", true),
        // Names around it that are not settled, or not the module's.
        ("import x\nclass C:\n    B = 1\n    def f(self, a: x.A, b: B): pass\n", false),
        ("import x\nclass C:\n    def f(self, a: x.A, b: B): pass\n    B = 1\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\n", true),
        ("import x\ntry:\n    B = 1\nexcept E:\n    B = 2\ndef f(a: x.A, b: B): pass\n", true),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\nB = 2\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\ndel B\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\nimport B\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\nfor B in []: pass\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\ndef B(): pass\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\n[B := 1 for _ in []]\n", false),
        ("import x\nB = 1\ndef f(a: x.A, b: B): pass\ndef g():\n    global B\n    B = 2\n", false),
        ("import x\nB = 1\nclass B:\n    def f(a: x.A, b: B): pass\n", false),
        ("import x\nclass B: pass\ndef f(a: x.A, b: B): pass\n", true),
        ("import x\ndef f(a: x.A, b: f): pass\n", false),
        ("import x\ndef f(a: x.A, b: Unknown): pass\n", false),
        ("import x\ndef f(a: x.A, b: list): pass\n", true),
        ("import x\ndef f(a: x.A, b: list): pass\nlist = 1\n", false),
        ("import x\nfrom y import *\ndef f(a: x.A): pass\n", false),
        ("import x\ndef f(a: x.A): pass\nglobals()['B'] = 1\n", false),
        ("import x\ndef f(a: x.A): pass\nglobals().update(B=1)\n", false),
        // Somebody may catch what fails, or run it again.
        ("import x\ntry:\n    def f(a: x.A): pass\nexcept NameError: pass\n", false),
        ("import x\nwith y:\n    def f(a: x.A): pass\n", false),
        ("import x\nfor _ in y:\n    def f(a: x.A): pass\n", false),
        ("import x\nwhile 1:\n    class C:\n        def f(a: x.A): pass\n", false),
        // Still used elsewhere while the module runs.
        ("import x\ndef f(a: x.A = x.B): pass\n", false),
        ("import x\ndef f(a: x.A): pass\ny = x.A\n", false),
    ] {
        let expected = (!waits).then_some(Rule::UsedAtImport);
        assert_eq!(rule_of(&[("app.py", source)], 12), expected, "{source}");
    }
    assert_eq!(rule_of(&[("app.py", "import x\ndef f[T](a: x.A): pass\n")], 12), Some(Rule::UsedAtImport));
    assert_eq!(rule_of(&[("app.py", "import x\nclass C[T]:\n    def f(a: x.A): pass\n")], 12), None);
    let generic = "import x\nclass C[T]:\n    def f(a: x.A, b: T): pass\n";
    assert_eq!(rule_of(&[("app.py", generic)], 12), Some(Rule::UsedAtImport));
    let starred = "import x\ndef f(*a: *x.A): pass\n";
    assert_eq!(rule_of(&[("app.py", starred)], 12), Some(Rule::UsedAtImport));
}

#[test]
fn a_name_that_a_submodule_would_take_is_not_settled() {
    let package = "import x\nfrom y import B\ndef f(a: x.A, b: B): pass\n";
    let tree =
        |submodule| Tree::new(&[("lib/__init__.py", package), (submodule, ""), ("x.py", ""), ("y.py", "")]);
    for (submodule, waits) in [("lib/other.py", true), ("lib/B.py", false)] {
        let candidates = tree(submodule).candidates(PythonVersion::new(3, 12));
        assert_eq!(candidates.named("lib", "x").unwrap().refusal.is_none(), waits, "{submodule}");
    }
}

#[test]
fn refusals_tell_an_annotation_from_a_use() {
    for (source, detail) in [
        ("import x\n\ndef f(a: x.A()): pass\n", "used in an annotation that cannot wait, line 3"),
        ("import x\ndef f(a: x.A): pass\ny = x.A\n", "used while the module runs, line 3"),
    ] {
        let tree = Tree::new(&[("app.py", source)]);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        assert_eq!(candidates.named("app", "x").unwrap().refusal.as_ref().unwrap().detail, detail);
    }
}

#[test]
fn from_python_3_14_and_under_the_future_import_functions_keep_their_annotations() {
    for (source, minor) in [
        ("import x\ndef f(a: x.A): return x\n", 14),
        ("from __future__ import annotations\nimport x\ndef f(a: x.A): return x\n", 12),
    ] {
        let tree = Tree::new(&[("app.py", source)]);
        let edits = tree.edits(PythonVersion::new(3, minor), Some(&["app:x"]));
        assert!(edits.values().all(|edit| edit.signatures.is_empty()));
        assert_eq!(edits.len(), 1);
    }
}

#[test]
fn only_functions_that_use_a_deferred_name_wait() {
    let source = "import x, y\ndef f(a: x.A): pass\ndef g(a: y.A): pass\ndef h(a: int, b: y.A, c: x.A): pass\ndef i(a: 'x.A'): pass\n";
    let tree = Tree::new(&[("app.py", source)]);
    let edits = tree.edits(PythonVersion::new(3, 12), Some(&["app:x"]));
    let places: Vec<(u32, u32)> = edits.values().flat_map(|edit| edit.signatures.iter().copied()).collect();
    assert_eq!(places, [(2, 9), (4, 9)]);
}

#[test]
fn the_diff_quotes_what_waits() {
    let source = "import x, y\n\ndef f(a: x.A, b: int, c: Optional[\n    x.A\n], d: 'é' | x.A) -> y.B:\n    return [\n        a]\n";
    let tree = Tree::new(&[("app.py", &format!("from typing import Optional\n{source}"))]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let source = format!("from typing import Optional\n{source}");
    let lazy = ["lazy:app.py:x".to_owned()].into();
    insta::assert_snapshot!(candidates.diff(&lazy, &|_| source.clone()), @r#"
    --- a/app.py
    +++ b/app.py
    @@ -1,7 +1,6 @@
     from typing import Optional
    -import x, y
    +import y
    +lazy import x
     
    -def f(a: x.A, b: int, c: Optional[
    -    x.A
    -], d: 'é' | x.A) -> y.B:
    +def f(a: "x.A", b: int, c: "Optional[ x.A ]", d: "'é' | x.A") -> y.B:
         return [
    "#);
}

/// Real readers: pydantic's `validate_call` and a FastAPI route.
#[test]
fn slow_pydantic_and_fastapi_read_them() {
    let tree = Tree::new(&[
        (
            "heavy.py",
            "print('heavy is loaded')\nfrom pydantic import BaseModel\nclass Item(BaseModel):\n    size: int\n",
        ),
        (
            "app.py",
            "from typing import List\nimport heavy\nfrom pydantic import validate_call\nfrom fastapi import FastAPI\napi = FastAPI()\n\ndef light(a: heavy.Item) -> int:\n    return 1\n\ndef check(items: List[heavy.Item], n: int = 1) -> int:\n    return items[0].size + n\n\nasync def route(item: heavy.Item, n: int) -> heavy.Item:\n    return item\n",
        ),
    ]);
    let script = "import app, sys, json\nprint('started', 'heavy' in sys.modules)\nprint(app.light(1))\nfrom pydantic import validate_call\ncheck = validate_call(app.check)\nprint(check([{'size': '4'}], n='2'))\ntry:\n    check([{'size': 'x'}])\nexcept ValueError as error:\n    print(error)\napp.api.post('/items')(app.route)\nprint(json.dumps(app.api.openapi(), sort_keys=True))\n";
    for interpreter in pythons() {
        let path = python_with(interpreter, "typed", &["pydantic>=2", "fastapi"]);
        let mut python = interpreter.clone();
        python.path = path;
        tree.compile(&python, &BTreeMap::new());
        let before = printed(tree.run_with_packages(&python, script));
        tree.compile(&python, &tree.edits(python.version, Some(&["app:heavy"])));
        let after = printed(tree.run_with_packages(&python, script));
        assert!(before.starts_with("heavy is loaded\nstarted True\n1\n6\n"), "{before}");
        assert!(after.starts_with("started False\n1\nheavy is loaded\n6\n"), "{after}");
        let rest = |text: &str| text.split_once("\n6\n").unwrap().1.to_owned();
        assert_eq!(rest(&before), rest(&after));
    }
}
