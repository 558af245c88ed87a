//! Classes that are made at their first use, because something imported waits for them; annotations of a class's variables
//! that wait; annotations of which a part is evaluated at once.

use std::collections::BTreeSet;

use glowplug_core::PythonVersion;
use glowplug_lazy::{Candidate, Candidates, Rule};

use crate::signatures::HEAVY;
use crate::support::{Tree, printed, pythons};

const APP: &str = "import abc
import enum
from dataclasses import dataclass, field
from typing import Generic, List, NamedTuple, TypeVar

import heavy
from heavy import Frame

T = TypeVar('T')
KIND = 'a'


class Report(heavy.Frame, abc.ABC):
    '''Docs.'''
    kind = KIND
    made = [Frame.__name__ for _ in range(2)]

    class Inner:
        def deep(self): return __class__.__qualname__

    def __init__(self, rows=heavy.Frame):
        super().__init__()
        self.rows = rows

    def copy(self):
        return Report(self.rows)

    @classmethod
    def of(cls): return cls()


class Longer(Report):
    def copy(self):
        return super().copy()


@dataclass(
    order=True
)
class Row:
    frame: Frame
    name: str = 'n'
    all: List[heavy.Frame] = field(default_factory=list)


class Failed(Exception):
    code = Frame


class Colour(enum.Enum):
    RED = Frame
    BLUE = 2


class Pair(NamedTuple):
    one: Frame
    two: 'Frame' = None


class Stack(Generic[T]):
    kind = Frame


def light():
    return KIND


def fail():
    try:
        raise Failed('x')
    except Failed as error:
        return repr(error), isinstance(error, Failed)


def use():
    return Longer.of().copy().rows, Row(Frame), Colour.RED, Pair(1), Stack[int]
";

fn tree() -> Tree {
    Tree::new(&[("heavy.py", HEAVY), ("app.py", APP)])
}

#[test]
fn a_class_that_holds_an_import_is_made_at_its_first_use() {
    let script = "import app, sys\nprint(app.light(), 'heavy' in sys.modules)\nprint(app.fail(), 'heavy' in sys.modules)\nprint(app.use())\n";
    for (before, after) in tree().compare(None, script) {
        let (loaded, rest) = before.split_once('\n').unwrap();
        assert_eq!(loaded, "heavy is loaded");
        let rest = rest.replacen("a True", "a False", 1);
        let (first, rest) = rest.split_once('\n').unwrap();
        assert_eq!(after, format!("{first}\nheavy is loaded\n{rest}"));
    }
}

#[test]
fn it_is_the_class_that_it_was() {
    let script = "import app, copy, inspect, pickle, typing
print(sorted(name for name in dir(app) if not name.startswith('__')))
for name in ('Report', 'Longer', 'Row', 'Failed', 'Colour', 'Pair', 'Stack'):
    made = getattr(app, name)
    print(made is getattr(app, name), made.__module__, made.__qualname__, made.__doc__, made.__mro__)
    print(sorted(key for key in vars(made) if key != '__annotations__'), inspect.getsource(made))
    print(getattr(made, '__annotations__', None), getattr(made, '__firstlineno__', None))
    print(pickle.loads(pickle.dumps(made)) is made)
print(typing.get_type_hints(app.Row), typing.get_type_hints(app.Pair))
print(app.Report.Inner().deep(), app.Report.Inner.deep.__qualname__, app.Report.copy.__qualname__)
print(app.Longer().copy().__class__, app.Report.made, app.Report.__subclasses__())
row = app.Row(app.Frame, all=[1])
print(pickle.loads(pickle.dumps(row)) == row, copy.deepcopy(row) == row, row)
print(pickle.loads(pickle.dumps(app.Colour.RED)) is app.Colour.RED, list(app.Colour), app.Pair(1)._replace(two=2))
from app import Report
print(Report is app.Report, issubclass(app.Longer, Report))
from unittest import mock
with mock.patch('app.Row') as fake:
    fake.return_value = 'fake'
    print(app.Row(1))
print(app.Row(1).name)
";
    for (before, after) in tree().compare(None, script) {
        let rest = |printed: &str| printed.replacen("heavy is loaded\n", "", 1);
        assert_eq!(rest(&before), rest(&after));
    }
}

#[test]
fn types_by_other_names_wait_with_what_they_hold() {
    let app = "import typing as t
from typing import Callable, Dict, Optional
import heavy
from heavy import Frame

Maker = Callable[[Frame, 'int'], None]
Table: t.Any = t.Dict[str, heavy.Frame]
Makers = Optional[Maker]
Numbers = Dict[str, int]

def light(a: Makers = None, b: Numbers = None):
    return Numbers

def use(a: Table):
    return Maker, Table, Makers, Maker is Maker
";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]);
    let script = "import app, sys, typing\nprint(app.light(), 'heavy' in sys.modules)\nprint(app.use(1), typing.get_type_hints(app.light), app.__annotations__)\n";
    for (before, after) in tree.compare(None, script) {
        let moved =
            before.replacen("heavy is loaded\n", "", 1).replacen("True\n", "False\nheavy is loaded\n", 1);
        assert_eq!(after, moved);
    }
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let waits = candidates.all().filter(|c| c.is_global() && c.refusal.is_none());
    assert_eq!(waits.map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Maker", "Table", "Makers"]);
}

#[test]
fn other_names_for_what_a_module_has_wait_with_it() {
    let app = "import heavy.inner as inner
import xml.dom.minidom as dom
Error = inner.Error
Document = dom.Document
LIMIT = inner.LIMIT
def light():
    return 1
def use():
    try:
        raise inner.Error('x')
    except Error as error:
        return repr(error), Document.__name__, LIMIT
";
    let inner = "print('heavy is loaded')\nclass Error(Exception): ...\nLIMIT = 3\n";
    let tree = Tree::new(&[("heavy/__init__.py", ""), ("heavy/inner.py", inner), ("app.py", app)]);
    let script = "import app, sys\nprint(app.light(), 'xml.dom.minidom' in sys.modules)\nprint(app.use(), app.Error is app.inner.Error)\n";
    let wanted = ["app:inner", "app:dom", "app:Error", "app:Document", "app:LIMIT"];
    for (before, after) in tree.compare(Some(&wanted), script) {
        let moved =
            before.replacen("heavy is loaded\n", "", 1).replacen("1 True\n", "1 False\nheavy is loaded\n", 1);
        assert_eq!(after, moved);
    }
    for (lib, others) in [
        ("import heavy\nA = heavy.Frame.x\n", ""),
        ("import heavy\nif 1:\n    A = heavy.Frame\n", ""),
        ("import heavy\nimport heavy\nA = heavy.Frame\n", ""),
        ("import heavy\nheavy = heavy.Frame\nA = heavy.x\n", ""),
        ("from heavy import Frame\nA = Frame.x\n", ""),
        ("import heavy.inner\nA = heavy.Frame\n", ""),
        ("import heavy\nA = heavy.Frame\nheavy.Frame = 1\n", ""),
        ("import heavy\nA = heavy.Frame\n", "import heavy\ndef patch():\n    heavy.Frame = 1\n"),
        // The standard library may bind it again.
        ("import tempfile\nA = tempfile.tempdir\n", ""),
    ] {
        assert_eq!(waiting(lib, &[("other.py", others)]), [""; 0], "{lib}");
    }
    assert_eq!(waiting("import heavy\nA = heavy.Frame\n", &[]), ["A"]);
    let set = "import heavy\ndef f(name):\n    setattr(heavy, name, 1)\n";
    let tree =
        Tree::new(&[("heavy.py", HEAVY), ("lib.py", "import heavy\nA = heavy.Frame\n"), ("app.py", set)]);
    let all = tree.candidates(PythonVersion::new(3, 12));
    assert_eq!(all.named("lib", "A").and_then(|a| a.refusal.as_ref()).map(|r| r.rule), Some(Rule::Unsettled));
    assert_eq!(waiting("import tempfile\nA = tempfile.TemporaryDirectory\n", &[]), ["A"]);
}

#[test]
fn threads_that_race_for_it_get_one_class() {
    let app = "import base\nclass Made(base.Base):\n    pass\ndef use(_):\n    return Made\n";
    let base = "import time\nclass Base:\n    pass\nclass Slow(type(Base)):\n    pass\ntime.sleep(0.05)\n";
    let tree = Tree::new(&[("base.py", base), ("app.py", app)]);
    let script = "import app\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    print(len(set(map(id, pool.map(app.use, range(32))))))\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!((before.as_str(), after.as_str()), ("1\n", "1\n"));
    }
}

#[test]
fn what_its_annotations_name_as_text_is_there_before_it() {
    let app = "from __future__ import annotations
from dataclasses import dataclass
import heavy
from reader import reads

@reads
class Row:
    frame: heavy.Frame
    own: Row = None

class Sub(heavy.Frame):
    pass

@reads
class Table:
    rows: list[Sub]
    frame: heavy.Frame

def light():
    return 1

def use():
    return Table.seen, Row.seen
";
    let reader = "import sys
def reads(made):
    names = vars(sys.modules[made.__module__])
    made.seen = [(name, word, word in names) for name, text in made.__annotations__.items() for word in ('heavy', 'Sub', 'Row') if word in text]
    return made
";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("reader.py", reader), ("app.py", app)]);
    let script = "import app, sys\nprint(app.light())\nprint(app.use())\nprint(app.use())\n";
    for (before, after) in
        tree.compare(Some(&["app:heavy", "app:Row", "app:Sub", "app:Table", "app:reads"]), script)
    {
        assert_eq!(before.replacen("heavy is loaded\n1\n", "1\nheavy is loaded\n", 1), after);
    }
    let early = "import heavy\n@dataclass\nclass Row:\n    rest: 'Sub'\nclass Sub(heavy.Frame): pass\n";
    let tree = Tree::new(&[("app.py", early)]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let refusal =
        |name: &str| candidates.named("app", name).unwrap().refusal.as_ref().map(|refusal| refusal.rule);
    assert_eq!(refusal("Sub"), Some(Rule::AnnotationRead), "`Row` names it before it is there");
    assert_eq!(refusal("heavy"), Some(Rule::UsedAtImport));
}

#[test]
fn only_a_class_that_holds_an_import_or_takes_time_waits() {
    let kept = |app: &str| -> Vec<String> {
        let others = [("lib/__init__.py", ""), ("lib/base.py", "class Base: ...\n"), ("app.py", app)];
        let tree = Tree::new(&others);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        let waits = |c: &&Candidate| c.is_global() && c.refusal.is_none();
        candidates.all().filter(waits).map(|c| c.name.clone()).collect()
    };
    let import = "from lib.base import Base\n";
    let one = |class: &str| kept(&format!("{import}{class}"));
    assert_eq!(one("class A(Base): pass\n"), ["A"]);
    assert_eq!(one("class A(Base): pass\nclass B(A): pass\nclass C: pass\n"), ["A", "B"]);
    assert_eq!(one("class A:\n    def f(self, b=Base): pass\n"), ["A"]);
    assert_eq!(one("class A:\n    made = Base()\n"), ["A"]);
    for class in [
        "class A: pass\n",
        "class A:\n    def f(self): return Base()\n",
        // The import is needed at once anyway, or the class is.
        "class A(Base): pass\nBase()\n",
        "class A(Base): pass\nA()\n",
        "class A(Base): pass\nclass B(A): pass\nB()\n",
        "class A(Base): pass\nA.x = 1\n",
        "class A(Base): pass\ndef f(a=A): pass\n",
        "class A(Base): pass\nA = 1\n",
        "class A(Base): pass\ndef f():\n    global A\n    A = 1\n",
        "if 1:\n    class A(Base): pass\n",
        "def f():\n    class A(Base): pass\n",
        "class A[T](Base): pass\n",
        "class A(Base, key=lambda: 1): pass\n",
        "class A(Base):\n    global b\n    b = 1\n",
        "class A(Base):\n    import lib\n",
        "class  A(Base): pass\n",
        "A = Base[int]\n",
        "A = {'b': Base}['b']\n",
        "from typing import Dict\nA = Dict[str, Base]\nA.x\n",
        "from typing import Dict\nA = Dict[str, Base()]\nB = A\n",
        // It could become another one.
        "ALL = []\nclass A(Base):\n    ALL.append(1)\ndef f(): return ALL\n",
        "KEY = 1\nclass A(Base):\n    key = KEY\nKEY = 2\n",
    ] {
        assert_eq!(one(class), [""; 0], "{class}");
    }
    let listed = format!("{import}class A(Base): pass\ndef f():\n    return Base.__subclasses__()\n");
    assert_eq!(kept(&listed), [""; 0]);
}

/// The classes and types of `lib` that may wait, beside these modules and a heavy one.
fn waiting(lib: &str, others: &[(&str, &str)]) -> Vec<String> {
    let python = PythonVersion::new(3, 12);
    let heavy = "class Base: ...\nclass Frame: ...\nX = 1\n";
    let mut files = vec![("heavy.py", heavy), ("lib.py", lib), ("app.py", "import lib\n")];
    files.extend(others);
    let mut analyses = Tree::new(&files).analyses(python);
    let source = |analysis: &glowplug_imports::ModuleAnalysis| {
        let found = files.iter().find(|(path, _)| *path == analysis.path.as_str());
        found.map(|(_, text)| (*text).to_owned())
    };
    glowplug_imports::settle(&mut analyses, python, &source);
    let user = BTreeSet::from(["app".to_owned()]);
    let modules = analyses.keys().cloned().collect();
    let candidates = Candidates::find(&analyses, &user, &modules);
    let waits = candidates.all().filter(|c| c.module == "lib" && c.is_global() && c.refusal.is_none());
    waits.map(|candidate| candidate.name.clone()).collect()
}

const IMPORTS: &str = "from heavy import Base, Frame, X\n";

#[test]
fn of_libraries_classes_wait_that_act_on_nobody() {
    let deep = "class Plain: ...\nclass Sub(Plain): ...\nclass Model:\n    def __init__(self, a=None):\n        self.a = a\n";
    for class in [
        "class A(Base): pass\n",
        "from deep import Sub\nclass A(Sub):\n    x = Frame\n",
        "from deep import Model\nclass A:\n    def f(self, x=Frame, m=Model()): return x\n",
        "import enum\nclass A(enum.Enum):\n    ONE = Frame\n",
        "import typing\nT = typing.TypeVar('T')\nclass A(typing.Generic[T]):\n    x: T\n    y = Frame\n",
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: Frame\n    y: list = dataclasses.field(default_factory=list)\n",
        "from typing import Callable\nA = Callable[[Frame], None]\n",
    ] {
        assert_eq!(waiting(&format!("{IMPORTS}{class}"), &[("deep.py", deep)]), ["A"], "{class}");
    }
    let made =
        format!("{IMPORTS}from deep import Sub\nclass Own(Sub): pass\nclass A(Base):\n    x = Own()\n");
    assert_eq!(
        waiting(&made, &[("deep.py", deep)]),
        ["Own", "A"],
        "what making one of a hidden base does is looked at"
    );
}

#[test]
fn a_class_that_somebody_could_hear_of_stays() {
    let deep = "BOOK = []
class Model:
    def __init_subclass__(cls): BOOK.append(cls)
class Meta(type):
    def __new__(meta, *a): BOOK.append(1)
class Field:
    def __set_name__(self, owner, name): BOOK.append(name)
class Maker:
    def __init__(self): BOOK.append(self)
class Coded(__import__('enum').Enum):
    def __init__(self, code): BOOK.append(code)
class Typed:
    def __class_getitem__(cls, item): BOOK.append(item)
TIMEOUT = 1
CODECS = ['a']
def set_timeout(value):
    global TIMEOUT
    TIMEOUT = value
";
    for lib in [
        "from deep import Model\nclass Mid(Model): pass\nclass A(Mid):\n    x = Frame\n",
        "from deep import Meta\nclass Root(metaclass=Meta): pass\nclass A(Root):\n    x = Frame\n",
        "REG = []\nclass Meta(type):\n    def __init__(cls, *a): REG.append(cls)\nclass Root(metaclass=Meta): pass\nclass A(Root):\n    x = Frame\n",
        "from deep import Meta\nKW = {'metaclass': Meta}\nclass A(Base, **KW): pass\n",
        "REG = []\nclass Root:\n    def __init_subclass__(cls): REG.append(cls)\nclass Mid(Root):\n    def __init_subclass__(cls): super().__init_subclass__()\nclass A(Mid):\n    x = Frame\n",
        "REG = []\ndef hook(cls): REG.append(cls)\nclass Root:\n    __init_subclass__ = classmethod(hook)\nclass A(Root):\n    x = Frame\n",
        "from deep import Field\nclass A(Base):\n    x = Field()\n",
        "from deep import Maker\nclass Own(Maker): pass\nclass A(Base):\n    x = Own()\n",
        "from deep import Coded\nclass A(Coded):\n    RED = X\n",
        "from deep import Typed\nclass A(Typed[int]):\n    x = Frame\n",
        "class A(Base):\n    def __subclasshook__(cls, other): return True\n",
        "import enum\n@enum.global_enum\nclass A(enum.Enum):\n    RED = X\ndef f(): return RED\n",
        "class Registry: pass\ndef register(cls):\n    setattr(Registry, cls.__name__, cls)\n    return cls\n@register\nclass A:\n    x = Frame\n",
        "NAMES = {}\nclass A(Base):\n    NAMES['a'] = 1\n",
        "STACK = ['a', 'b']\nclass A(Base):\n    x = STACK.pop()\n",
        "import deep\nclass A(Base):\n    def f(self, t=deep.TIMEOUT): return t\n",
        "from deep import CODECS\nclass A(Base):\n    codecs = tuple(CODECS)\n",
        "import deep\nclass A(Base):\n    first = deep.CODECS[0]\n",
        "DEFAULTS = {'x': 1}\nclass A(Base):\n    x = DEFAULTS['x']\n",
        "class Config:\n    url = 'a'\n    @classmethod\n    def set(cls, u): cls.url = u\nclass A(Base):\n    url = Config.url\n",
        "import os\nclass A(Base):\n    home = os.path.expanduser('~')\n",
        "from typing import Union\nclass A(Base): pass\nTree = Union[int, 'A']\n",
        "from typing import TypeVar\nclass A(Base): pass\nT = TypeVar('T', bound='A')\n",
        "import importlib\nclass A(Base): pass\ndef load(name): return vars(importlib.import_module(name))\n",
    ] {
        assert_eq!(waiting(&format!("{IMPORTS}{lib}"), &[("deep.py", deep)]), [""; 0], "{lib}");
    }
    let plug = "class Plugin: ...\ndef names(): return Plugin.__subclasses__()\n";
    let mid = "from plug import Plugin\nclass Mid(Plugin): pass\n";
    let lib = "from mid import Mid\nclass A(Mid): pass\n";
    assert_eq!(waiting(lib, &[("plug.py", plug), ("mid.py", mid)]), [""; 0]);
}

#[test]
fn a_class_that_is_asked_for_while_it_is_made_is_made_once() {
    let heavy = "class Base: pass\nimport app\nGOT = app.A\n";
    let app =
        "from heavy import Base\nclass A(Base):\n    def f(self, b=Base): return b\ndef f(): return A\n";
    let tree = Tree::new(&[("heavy.py", heavy), ("app.py", app)]);
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, Some(&["app:Base", "app:A"])));
        let script = "import app\nprint(app.f() is __import__('heavy').GOT)\n";
        assert_eq!(printed(tree.run(python, script)), "True\n");
    }
}

#[test]
fn a_plain_class_has_what_its_annotations_name_as_text() {
    let app = "from __future__ import annotations\nimport heavy\nfrom heavy import Frame\nclass Plain:\n    y: heavy.Frame\n    x = Frame\ndef use():\n    return Plain\n";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]);
    tree.same(None, "import app, typing\nprint(typing.get_type_hints(app.use()))\n");
}

#[test]
fn annotations_of_a_class_wait_until_somebody_reads_them() {
    let app = "import heavy
from typing import List

class Holder:
    '''Docs.'''
    frame: heavy.Frame
    def method(self, a: heavy.Frame): return a
    all: List['heavy.Frame'] = None
    number: int = 1

class Only:
    frame: heavy.Frame

HOLDER = Holder()

def light():
    return HOLDER.number, Holder.all, Holder.__doc__, sorted(vars(Only))
";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]);
    let read = "import app, inspect, sys, typing
print([name for name in app.light()[3] if name != '__annotations__'], app.light()[:3])
hints = app.Holder.__annotations__
print(list(hints), len(hints), bool(hints), hints['frame'], hints == dict(hints), hints is app.Holder.__annotations__)
print(app.Only.__annotations__, typing.get_type_hints(app.Holder), app.Holder.method.__annotations__)
print(getattr(inspect, 'get_annotations', lambda c: dict(c.__annotations__))(app.Only))
import dataclasses
made = dataclasses.dataclass(app.Holder)
print(dataclasses.fields(made)[2].name, made(1), sorted(app.Only.__dict__['__annotations__'].items()))
";
    for (before, after) in tree.compare(None, read) {
        assert!(before.starts_with("heavy is loaded\n"), "{before}");
        let mut lines: Vec<&str> = before.lines().skip(1).collect();
        // Before 3.14 they are evaluated with the first look.
        lines.insert(1, "heavy is loaded");
        assert_eq!(after.lines().collect::<Vec<_>>(), lines);
    }
}

#[test]
fn calls_in_annotations_are_made_where_they_stand() {
    let app = "import heavy
from typing import Optional

CALLED = []
def mark(*what):
    CALLED.append(what)
    return Optional

def plain(a: Optional[heavy.Frame] = mark('default'), b: mark('b')[heavy.Frame] = None, *c: mark('c') [int], d: {1: 2}, e: f'{1}') -> mark('return'):
    return a

class C:
    def method(self, __a: mark('method')[heavy.Frame], b: heavy.Frame, c: lambda: 1): return b

def light():
    return CALLED
";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]);
    let script = "import app\nprint(app.light())\nfor f in app.plain, app.C.method:\n    read = f.__annotations__\n    print([(k, getattr(v, '__qualname__', v)) for k, v in read.items()])\nprint(app.light())\n";
    for (before, after) in tree.compare(None, script) {
        let (loaded, rest) = before.split_once('\n').unwrap();
        let (first, rest) = rest.split_once('\n').unwrap();
        assert_eq!(after, format!("{first}\n{loaded}\n{rest}"));
    }
}

#[test]
fn an_error_while_a_class_is_made_shows_both_places() {
    let app = "import base\nclass Made(base.Base):\n    x = base.missing\n\ndef use():\n    return Made\n";
    let tree = Tree::new(&[("base.py", "class Base: ...\n"), ("app.py", app)]);
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let script = "import app, traceback\nfor _ in range(2):\n    try:\n        app.use()\n    except AttributeError:\n        print(traceback.format_exc())\n";
        let output = String::from_utf8(tree.run(python, script).stdout).unwrap();
        for place in ["line 6, in use\n    return Made", "line 3, in Made\n    x = base.missing"] {
            assert_eq!(output.matches(place).count(), 2, "{place}: {output}");
        }
    }
}

#[test]
fn a_module_of_hundreds_of_classes_waits_as_a_whole() {
    let mut lib =
        "from __future__ import annotations\nfrom typing import Dict\nfrom heavy import Base\n".to_owned();
    for i in 0..300 {
        let (one, other) = (i / 2, i / 3);
        lib.push_str(&format!(
            "class A{i}(Base):\n    def f(self, x: A{one}) -> A{other}:\n        return A{}()\nR{i} = Dict[str, A{i}]\n",
            299 - i
        ));
    }
    assert_eq!(waiting(&lib, &[]).len(), 600);
}
