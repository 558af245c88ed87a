//! Classes that are made at their first use because making them takes time: data classes, enumerations, typed dictionaries;
//! and names for types that are made from them.

use glowplug_core::PythonVersion;
use glowplug_lazy::Candidate;

use crate::support::Tree;

/// What waits of the user's own module and of the library `lib.py`, by name.
fn waiting(app: &str, lib: &str) -> Vec<String> {
    let tree = Tree::new(&[("lib.py", lib), ("app.py", app)]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let waits = |c: &&Candidate| c.is_global() && c.refusal.is_none();
    candidates.all().filter(waits).map(|c| c.name.clone()).collect()
}

#[test]
fn a_class_waits_for_the_time_that_making_it_takes() {
    let all = |text: &str, names: &[&str]| {
        assert_eq!(waiting(text, ""), names, "{text}");
        assert_eq!(waiting("", text), names, "{text}");
    };
    all("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n", &["A"]);
    all("import dataclasses as d\n@d.dataclass(frozen=True)\nclass A: ...\nclass B(A): ...\n", &["A", "B"]);
    all("import enum\nclass A(enum.Enum):\n    B = 1\nclass C(enum.IntFlag):\n    D = 1\n", &["A", "C"]);
    all("from typing import NamedTuple\nclass A(NamedTuple):\n    x: int\n", &["A"]);
    all("import typing\nclass A(typing.TypedDict, total=False):\n    x: int\n", &["A"]);
    all("class A: ...\nclass B(Exception): ...\n", &[]);
    // Needed at once, or found otherwise than by its name.
    all("from dataclasses import dataclass\n@dataclass\nclass A: ...\nA()\n", &[]);
    all("import enum\nclass A(enum.Enum):\n    B = 1\ndef f(a=A.B): ...\n", &[]);
    all("import enum\nclass A(enum.Enum):\n    B = 1\ndef f(): return globals()\n", &[]);
}

#[test]
fn one_thing_of_typing_is_taken_from_either_module() {
    let text = "import sys\nif sys.version_info < (3, 12):\n    from typing_extensions import TypedDict\nelse:\n    from typing import TypedDict\nclass A(TypedDict):\n    x: int\n";
    assert_eq!(waiting("", text), ["A"]);
    assert_eq!(waiting("", &text.replace("typing_extensions import", "other import Other as")), [""; 0]);
}

#[test]
fn a_union_of_types_waits_with_them() {
    let classes = "from typing import TypedDict, TypeAlias\nimport other\nclass A(TypedDict): ...\nclass B(TypedDict): ...\n";
    let lib = |text: &str| waiting("", &format!("{classes}{text}"));
    assert_eq!(lib("Any = A | B | None\n"), ["A", "B", "Any"]);
    assert_eq!(lib("Any: TypeAlias = A | list[B] | other.C\n"), ["A", "B", "Any"]);
    assert_eq!(lib("One = A | B\nTwo = One | int\n"), ["A", "B", "One", "Two"]);
    // Other things have that operator, too.
    assert_eq!(lib("Any = A | other.C\n"), ["B"]);
    assert_eq!(lib("Any = A & B\n"), [""; 0]);
    assert_eq!(lib("size = 1\nAny = A | size\n"), ["B"]);
}

#[test]
fn what_stands_in_a_branch_that_always_runs_waits_too() {
    let classes = "from typing import TYPE_CHECKING, TypedDict, Union\nclass A(TypedDict): ...\nclass B(TypedDict): ...\n";
    let lib = |text: &str| waiting("", &format!("{classes}{text}"));
    let all = ["A", "B", "Any"];
    assert_eq!(lib("MYPY = False\nif not MYPY:\n    Any = Union[A, B]\nelif False:\n    Any = int\n"), all);
    assert_eq!(lib("if not TYPE_CHECKING:\n    Any = Union[A, B]\n"), all);
    for held in [
        "MYPY = True\nif not MYPY:\n    Any = Union[A, B]\n",
        "MYPY = False\nMYPY = True\nif not MYPY:\n    Any = Union[A, B]\n",
        "def fast(): ...\nif not fast():\n    Any = Union[A, B]\n",
        "MYPY = False\nif not MYPY:\n    if A:\n        Any = Union[A, B]\n",
        "MYPY = False\nif not MYPY:\n    Any = Union[A, B]\nAny = int\n",
        "MYPY = False\ntry:\n    from local import MYPY\nexcept ImportError:\n    pass\nif not MYPY:\n    Any = Union[A, B]\n",
        "MYPY = False\ndef on():\n    global MYPY\n    MYPY = True\non()\nif not MYPY:\n    Any = Union[A, B]\n",
    ] {
        assert_eq!(lib(held), [""; 0], "{held}");
    }
    // Another module may call one of its own so.
    let classes = classes.replace("TYPE_CHECKING, ", "");
    let text =
        format!("from conf import TYPE_CHECKING\n{classes}if not TYPE_CHECKING:\n    Any = Union[A, B]\n");
    assert_eq!(waiting("", &text), [""; 0]);
}

#[test]
fn another_name_for_what_is_no_type_is_none() {
    let lib = |text: &str| waiting("", &format!("import steps\nfrom typing import TypeAlias\n{text}"));
    assert_eq!(lib("p = steps.Prompt\nm = steps.Model\nchain = p | m\n"), [""; 0]);
    // What a class is derived from tells it by its own name alone.
    let derived = "Base: TypeAlias = steps.Base\nimport enum\nclass A(Base, enum.Enum): ...\n";
    assert_eq!(lib(derived), [""; 0]);
}

#[test]
fn who_looks_at_annotations_is_known_by_where_it_comes_from() {
    let lib = |imports: &str, class: &str| {
        let costly = "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n";
        waiting("", &format!("{imports}{costly}{class}"))
    };
    let quiet = "class B(Generic[T]):\n    item: 'A'\n";
    assert_eq!(lib("from typing import Generic\n", quiet), ["A"]);
    assert_eq!(lib("from contracts import Generic\n", quiet), [""; 0]);
    assert_eq!(lib("from typing import final\n", "@final\nclass B:\n    item: 'A'\n"), ["A"]);
    assert_eq!(lib("from contracts import final\n", "@final\nclass B:\n    item: 'A'\n"), [""; 0]);
    let told = "class B: ...\nB.__init_subclass__ = look\nclass C(B):\n    item: 'A'\n";
    assert_eq!(lib("from looks import look\n", told), [""; 0]);
    assert_eq!(lib("", &told.replace("__init_subclass__", "x").replace("B.x", "x")), ["A"]);
}

#[test]
fn a_text_that_something_is_called_with_may_be_evaluated() {
    let class =
        "from typing import TypedDict\nfrom pydantic import TypeAdapter\nclass Row(TypedDict):\n    x: int\n";
    let lib = |text: &str| waiting("", &format!("{class}{text}"));
    assert_eq!(lib("Rows = TypedDict('Rows', {'row': 'Row'})\n"), [""; 0]);
    assert_eq!(lib("def read(data):\n    return TypeAdapter(list['Row']).validate_python(data)\n"), [""; 0]);
    assert_eq!(lib("def read(data):\n    raise ValueError('Row is not complete')\n"), ["Row"]);
    assert_eq!(lib("__all__ = ['Row']\n"), ["Row"]);
}

#[test]
fn a_part_of_an_object_may_be_another_one_later() {
    let app = |import: &str, default: &str| {
        let class = format!("@dataclass\nclass Job:\n    timeout: int = {default}\n");
        waiting(
            &format!("from dataclasses import dataclass\n{import}{class}"),
            "settings = object()\nclass Level:\n    low = 1\n",
        )
    };
    assert_eq!(app("from lib import settings\n", "settings.timeout"), [""; 0]);
    assert_eq!(app("import lib\n", "lib.settings.timeout"), [""; 0]);
    assert_eq!(app("import lib\nsettings = lib.make()\n", "settings.timeout"), [""; 0]);
    assert!(app("from lib import Level\n", "Level.low").contains(&"Job".to_owned()));
    assert!(app("import lib\n", "lib.Level.low").contains(&"Job".to_owned()));
}

/// As large libraries describe their data: dictionaries that name each other, and a union of all of them.
const SCHEMA: &str = "from __future__ import annotations
import sys
from typing import Any, Dict, List, Union

if sys.version_info < (3, 10):
    from typing import TypedDict
else:
    from typing import TypedDict

import heavy


class Leaf(TypedDict, total=False):
    kind: str
    frame: heavy.Frame


class Tree(TypedDict, total=False):
    left: Schema
    parts: List[Leaf]


class Named(Tree):
    name: str
    inner: Dict[str, Schema]


MYPY = False
if not MYPY:
    Schema = Union[
        Leaf,
        Tree,
        Named,
    ]
elif False:
    Schema = Dict[str, Any]


def tree(left: Schema) -> Tree:
    return Tree(left=left)


def leaf(kind: str) -> Leaf:
    return {'kind': kind}
";

fn schema() -> Tree {
    let app = "import schema\nimport typing\ndef light(): return schema.leaf('a')\ndef all(): return schema.Schema\n";
    Tree::new(&[("heavy.py", "class Frame: ...\n"), ("schema.py", SCHEMA), ("app.py", app)])
}

#[test]
fn dictionaries_that_name_each_other_are_there_for_whoever_reads_their_types() {
    for first in ["schema.Leaf", "schema.Tree", "schema.Named", "schema.Schema", "schema.tree(1)"] {
        let script = format!(
            "import app, schema, sys, threading, typing
print(app.light(), {first})
hints = typing.get_type_hints(schema.Named)
print(hints, hints['left'] is schema.Schema, app.all())
print(typing.get_type_hints(schema.tree), typing.get_type_hints(schema.Tree, include_extras=True))
print(schema.Named.__annotations__, schema.Named.__total__, schema.Named.__module__)
print([name for name in dir(schema) if not name.startswith('__')], schema.Schema.__args__)
"
        );
        schema().same(None, &script);
    }
}

#[test]
fn nothing_of_them_is_made_before_somebody_asks() {
    let script = "import app, schema\napp.light()\nprint([name for name in ('Leaf', 'Tree', 'Named', 'Schema') if name in vars(schema)])\nschema.Leaf\nprint('Leaf' in vars(schema))\n";
    for (before, after) in schema().compare(None, script) {
        assert_eq!(before, "['Leaf', 'Tree', 'Named', 'Schema']\nTrue\n");
        assert_eq!(after, "[]\nTrue\n");
    }
}

#[test]
fn threads_make_them_once() {
    let script = "import schema, sys, threading
sys.setswitchinterval(1e-6)
names = ('Leaf', 'Tree', 'Named', 'Schema')
found = []
start = threading.Barrier(8)
def look(at):
    start.wait()
    got = {names[(at + step) % 4]: getattr(schema, names[(at + step) % 4]) for step in range(4)}
    found.append([id(got[name]) for name in names])
threads = [threading.Thread(target=look, args=(at,)) for at in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), [len({ids[at] for ids in found}) for at in range(4)])
";
    for (_, after) in schema().compare(None, script) {
        assert_eq!(after, "8 [1, 1, 1, 1]\n");
    }
}

#[test]
fn a_long_chain_of_them_is_no_deep_one() {
    let one = |at: usize| format!("class T{at}(TypedDict):\n    next: T{}\n", at + 1);
    let chain: String = (0..400).map(one).collect();
    let chain = format!(
        "from __future__ import annotations\nfrom typing import TypedDict\n{chain}class T400(TypedDict):\n    x: int\n"
    );
    let script = "import app, chain, threading, typing
def look():
    print(typing.get_type_hints(chain.T0), len([name for name in vars(chain) if name.startswith('T')]))
thread = threading.Thread(target=look)
thread.start()
thread.join()
";
    Tree::new(&[("chain.py", &chain), ("app.py", "import chain\n")]).same(None, script);
}

#[test]
fn a_class_that_nobody_reads_does_not_hold_what_its_annotations_name() {
    let lib = |class: &str| {
        let text = format!(
            "from __future__ import annotations\nimport abc\nfrom dataclasses import dataclass\nfrom typing import Generic, Protocol, TypeVar, final\nT = TypeVar('T')\n@dataclass\nclass A: ...\n{class}"
        );
        waiting("", &text).contains(&"A".to_owned())
    };
    for free in [
        "class B(Generic[T]):\n    a: A\n",
        "class B(abc.ABC):\n    a: A\n",
        "class B(Exception):\n    a: A\n",
        "@final\nclass B:\n    a: A\n",
        "class B(Generic[T]): ...\nclass C(B[int]):\n    a: A\n",
    ] {
        assert!(lib(free), "{free}");
    }
    for held in [
        "class B(Protocol):\n    a: A\nB()\n",
        "import other\nclass B(other.Base):\n    a: A\n",
        "class B:\n    def __init_subclass__(cls): print(cls.__annotations__)\nclass C(B):\n    a: A\n",
        "class B: ...\nB = print(B)\nclass C(B):\n    a: A\n",
        "@print\nclass B:\n    a: A\n",
        "class B(metaclass=abc.ABCMeta):\n    a: A\nB()\n",
    ] {
        assert!(!lib(held), "{held}");
    }
}

#[test]
fn annotations_of_a_generic_class_wait_and_are_those_that_it_had() {
    let app = "import sys
from typing import Generic, TypeVar, List
import heavy
T = TypeVar('T')


class Box(Generic[T]):
    frame: heavy.Frame
    all: List[heavy.Frame] = []


class Large(Box[T]):
    other: heavy.Frame


class Failed(ValueError):
    frame: heavy.Frame


def light(): return Box[int](), Large(), 'heavy' in sys.modules
";
    let tree = Tree::new(&[("heavy.py", "class Frame: ...\n"), ("app.py", app)]);
    let script = "import app, typing
light = app.light()
print([type(made).__name__ for made in light], app.Large.__mro__)
for kind in (app.Box, app.Large, app.Failed):
    print(kind.__annotations__, typing.get_type_hints(kind))
print(light[2])
";
    for (before, after) in tree.compare(None, script) {
        let (same, loaded) = before.trim_end().rsplit_once('\n').unwrap();
        assert_eq!((loaded, after), ("True", format!("{same}\nFalse\n")));
    }
}

#[test]
fn who_looks_at_texts_before_a_class_is_there_finds_them_as_they_are() {
    let app = "import inspect
from dataclasses import dataclass


def shown(kind):
    kind.shown = str(inspect.signature(kind.child))
    return kind


@shown
class Tree:
    def child(self, other: 'Node' = None) -> 'Node': ...


def grow(node: 'Node'): ...


SEEN = str(inspect.signature(grow)), dict(grow.__annotations__)
KIND = 'oak'


@dataclass
class Node:
    kind: str = KIND


def light(): return SEEN, Tree.shown


def make(): return Node()
";
    let tree = Tree::new(&[("app.py", app)]);
    assert!(tree.candidates(PythonVersion::new(3, 12)).named("app", "Node").unwrap().refusal.is_none());
    let script = "import app, typing
print(app.light(), typing.get_type_hints(app.grow), typing.get_type_hints(app.Tree.child))
print(typing.get_type_hints(app.grow)['node'] is app.Node, app.make(), app.grow.__annotations__)
";
    tree.same(None, script);
}
