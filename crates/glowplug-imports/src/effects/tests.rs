//! What counts as an effect, and what does not.

use std::collections::BTreeSet;

use ruff_text_size::TextSize;

use super::effects;
use crate::{Effect, EffectKind, ModuleId, Source};

fn of(source: &str) -> Vec<Effect> {
    let parsed = ruff_python_parser::parse_module(source).unwrap();
    let line_of = |at: TextSize| source[..at.to_usize()].matches('\n').count() as u32 + 1;
    let id = ModuleId { name: "pkg".to_owned(), is_package: true, path: "pkg/__init__.py".into() };
    effects(parsed.suite(), &id, &line_of, &BTreeSet::new()).effects
}

#[track_caller]
fn free(source: &str) {
    assert_eq!(of(source), [], "{source}");
}

/// One effect, in that line and with these words.
#[track_caller]
fn effect(source: &str, line: u32, what: &str) {
    let found: Vec<(u32, String)> = of(source).into_iter().map(|effect| (effect.line, effect.what)).collect();
    assert_eq!(found, [(line, what.to_owned())], "{source}");
}

#[test]
fn names_functions_and_literals_are_free() {
    free(
        "\"\"\"Text.\"\"\"\nimport os, a.b.c\nfrom .x import y as z\n__all__ = ['f']\nX: int = 1\nY = -X + 2 if X else {}\n",
    );
    free(
        "def f(a, b: int = 3, *c, d=(1, 2), **e) -> None:\n    os.remove(a)\nasync def g(): ...\nh = lambda x: x.go()\n",
    );
    free("def __getattr__(name):\n    import other\n    return getattr(other, name)\n");
    free("A, B = 1, [2]\nB.append(3)\nB[0] = 4\n(C, *D) = B\ndel A\nX = Y = {}\nX['a'] = 1\nY.update(b=2)\n");
    free(
        "import sys\nIS64 = sys.maxsize > 2**32\nNAME = f'{sys.platform!r:>{8}}'\nLINUX = sys.platform.startswith('linux')\n",
    );
    free("from m import *\n__all__ = ['a']\n__all__ += ['b']\n");
    free("import m\n__all__ = m.__all__ + ['x']\n__all__ += ['y']\n");
}

#[test]
fn known_calls_are_free() {
    free(
        "import re\nfrom collections import namedtuple as nt, OrderedDict\nP = re.compile('x')\nQ = nt('Q', 'a b')\nR = Q(1, 2)\nO = OrderedDict(a=P.sub('', 'x'))\n",
    );
    free(
        "from typing import TypeVar, NewType, Dict\nT = TypeVar('T', bound='X')\nId = NewType('Id', int)\nOne = Id(1)\nAlias = Dict[str, Id]\n",
    );
    free(
        "import os\nfrom pathlib import Path\nHOME = os.environ.get('HOME') or os.path.join('a', 'b')\nHERE = Path(__file__).resolve().parent\nVERSION = (HERE / 'VERSION').read_text().strip()\n",
    );
    free(
        "import threading, weakref, contextvars, functools\nL = threading.RLock()\nW = weakref.WeakSet()\nV = contextvars.ContextVar('v', default=None)\nwith L:\n    V.get()\n",
    );
    free(
        "S = sorted({'b': 1}.items(), key=lambda pair: pair[1])\nM = dict(map(str.upper, []))\nN = [n.lower() for n in dir() if not n.startswith('_')]\n",
    );
    free("with open(__file__) as f:\n    TEXT = f.read().split(',')\n");
    free("E = ValueError('x')\nSENTINEL = object()\n");
}

#[test]
fn a_librarys_logger_is_free_and_no_other() {
    free("import logging\nlog = logging.getLogger(__name__)\nlog.addHandler(logging.NullHandler())\n");
    free("import logging\nlogging.getLogger('pkg.sub').addHandler(logging.NullHandler())\n");
    effect(
        "import logging\nlogging.getLogger('x').addHandler(logging.NullHandler())\n",
        2,
        "calls `logging.getLogger().addHandler()`",
    );
    effect(
        "import logging\nlog = logging.getLogger(__name__)\nlog.setLevel(10)\n",
        3,
        "calls `log.setLevel()`",
    );
    effect("import logging\nlogging.basicConfig()\n", 2, "configures the root logger");
}

#[test]
fn branches_are_followed_where_they_may_run() {
    free(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    setup()\nif __name__ == '__main__':\n    main()\n",
    );
    free(
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib\n",
    );
    free("try:\n    import orjson as json\nexcept ImportError:\n    json = None\nfinally:\n    pass\n");
    free("for name in ('a', 'b'):\n    X = name.upper()\nelse:\n    del name\n");
    free("match 1:\n    case int(x) if x > 0:\n        Y = x\n");
    effect("if cond:\n    pass\nelif go():\n    pass\n", 3, "calls `go()`");
    effect("if not TYPE_CHECKING:\n    go()\n", 2, "calls `go()`");
    effect(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    go()\n",
        5,
        "calls `go()`",
    );
    effect(
        "try:\n    import x\nexcept ImportError:\n    import warnings\n    warnings.warn('no x')\n",
        5,
        "warns",
    );
    effect(
        "import a\nX = []\nfor i in range(2):\n    X.append(i)\n    X = a.shared\n",
        4,
        "calls `X.append()`",
    );
    effect("import a\nif a.on:\n    X = a.registry\nelse:\n    X = {}\nX['me'] = 1\n", 6, "sets `X[…]`");
}

#[test]
fn changing_what_others_hold_is_an_effect() {
    effect("import a\na.b = 1\n", 2, "sets `a.b`");
    effect("import a\na.c.d[1] = 2\n", 2, "sets `a.c.d[…]`");
    effect("from a import registry\nregistry.update(x=1)\n", 2, "calls `registry.update()`");
    effect("from a import names\nnames += ['x']\n", 2, "changes `names` in place");
    effect("from a import names\nmine = names\ndel mine[0]\n", 3, "deletes `mine[…]`");
    effect("import a\nsetattr(a, 'x', 1)\n", 2, "sets an attribute of `a`");
    effect("import sys\nsys.path.insert(0, 'x')\n", 2, "changes `sys.path`");
    effect("import sys\nsys.modules[__name__] = object()\n", 2, "changes `sys.modules`");
    effect("import os\nos.environ['X'] = '1'\n", 2, "changes the environment variables");
    effect("import os\nos.environ.setdefault('X', '1')\n", 2, "changes the environment variables");
    effect("from a import t\nt >> t\n", 2, "evaluates an operator for what it does");
}

#[test]
fn unknown_and_known_bad_calls_are_effects() {
    effect("import atexit\natexit.register(print)\n", 2, "registers with atexit");
    effect("import signal\nsignal.signal(2, None)\n", 2, "installs a signal handler");
    effect("import warnings as w\nw.filterwarnings('ignore')\n", 2, "changes the warning filters");
    effect("import boto3\nclient = boto3.client('s3')\n", 2, "calls `boto3.client()`");
    effect("from a import b\nX = [b(n) for n in range(3)]\n", 2, "calls `b()`");
    effect("print('hello')\n", 1, "prints");
    effect("exec('x = 1')\n", 1, "runs code from a string");
    effect("open('x', 'w')\n", 1, "opens a file to write to it");
    effect(
        "import importlib\nfor n in NAMES:\n    importlib.import_module(n)\n",
        3,
        "imports a module whose name is computed",
    );
    effect("import a\nwith a.lock:\n    pass\n", 2, "enters `a.lock`");
    effect("import weakref\nweakref.finalize(1, print)\n", 2, "calls `weakref.finalize()`");
    effect("import threading\nT = threading.Thread(target=print)\n", 2, "makes a thread");
    effect("X = sorted([], key=go)\n", 1, "has `sorted()` call what is not known");
    effect("import a\nX = list(map(a.go, []))\n", 2, "has `map()` call what is not known");
    effect("from contextvars import ContextVar\nV = ContextVar('v')\nV.set(1)\n", 3, "calls `V.set()`");
}

#[test]
fn names_may_be_hidden() {
    effect("def dict(): go()\nX = dict()\n", 2, "calls `dict()`, which calls `go()` in line 1");
    effect("from a import len\nX = len('x')\n", 2, "calls `len()`");
    effect("from a import *\nX = len('x')\n", 2, "calls `len()`");
    effect("import re\nglobals()['re'] = object\nX = re.compile('x')\n", 3, "calls `re.compile()`");
    effect("import re\nfor re in NAMES:\n    pass\nX = re.compile('x')\n", 4, "calls `re.compile()`");
}

#[test]
fn own_functions_are_followed() {
    free(
        "def _make(n):\n    out = {}\n    for i in range(n):\n        out[i] = str(i)\n    return out\nTABLE = _make(3)\nTABLE['x'] = 1\n",
    );
    free("def f(n):\n    return f(n - 1) if n else 0\nX = f(3)\n");
    free("X = None\ndef f():\n    global X\n    X = 1\nf()\n");
    free("async def f():\n    go()\nX = f()\n");
    effect(
        "def f():\n    g()\ndef g():\n    import a\n    a.go()\nX = f()\n",
        6,
        "calls `f()`, which calls `g()`, which calls `a.go()` in line 5 in line 2",
    );
    effect(
        "import a\nX = []\ndef f():\n    global X\n    X = a.shared\nf()\nX.append(1)\n",
        7,
        "calls `X.append()`",
    );
    effect("def f(x):\n    x.append(1)\nf([])\n", 3, "calls `f()`, which calls `x.append()` in line 2");
    effect(
        "def f():\n    def g():\n        pass\n    return g\nf()()\n",
        5,
        "calls `f()()`, which cannot be followed",
    );
}

#[test]
fn decorators_are_known_or_followed() {
    free(
        "import functools as ft\nfrom contextlib import contextmanager\n@ft.lru_cache(maxsize=None)\ndef f(): ...\n@contextmanager\ndef g(): yield\n@ft.singledispatch\ndef h(x): ...\n@h.register(int)\ndef _(x): ...\n",
    );
    free(
        "from functools import wraps\ndef deco(f):\n    @wraps(f)\n    def inner(*a):\n        return f(*a)\n    return inner\n@deco\ndef x(): go()\n",
    );
    free(
        "class A:\n    @property\n    def x(self): return go()\n    @x.setter\n    def x(self, v): go()\n    @staticmethod\n    def s(): go()\n",
    );
    effect(
        "from a import app\n@app.route('/')\ndef index(): ...\n",
        2,
        "decorates `index` with `@app.route`",
    );
    effect(
        "import a\ndef deco(f):\n    a.keep(f)\n    return f\n@deco\ndef x(): ...\n",
        5,
        "decorates `x` with `@deco`, which calls `a.keep()` in line 3",
    );
    effect(
        "from a import handles\n@handles.register\ndef x(): ...\n",
        2,
        "decorates `x` with `@handles.register`",
    );
}

#[test]
fn classes_are_free_where_nobody_keeps_a_book_of_them() {
    free(
        "from abc import ABC, abstractmethod\nfrom typing import Generic, TypeVar, NamedTuple, TypedDict, Protocol\nfrom dataclasses import dataclass, field\nT = TypeVar('T')\nclass A(ABC, Generic[T]):\n    @abstractmethod\n    def f(self): ...\nclass B(A[int]):\n    X = {}\n    X['a'] = 1\nclass E(ValueError): ...\nclass N(NamedTuple):\n    a: int = 1\nclass D(TypedDict, total=False):\n    a: int\n@dataclass(frozen=True)\nclass C:\n    a: list = field(default_factory=list)\nONE = C([1])\nB.__doc__ = 'x'\n",
    );
    free(
        "import enum\nclass Colour(str, enum.Enum):\n    RED = 'red'\n    BLUE = enum.auto()\nX = Colour('red')\n",
    );
    free(
        "from collections import namedtuple\nclass P(namedtuple('P', 'x y')):\n    __slots__ = ()\n    def both(self): return self\nORIGIN = P(0, 0)\n",
    );
    free(
        "class A:\n    def __init__(self, x):\n        super().__init__()\n        self.x = x\n    @classmethod\n    def make(cls): return cls\nX = A(1)\nX.y = 2\nY = A.make()\n",
    );
    free(
        "class Meta(type):\n    def __new__(m, name, bases, space):\n        return super().__new__(m, name, bases, space)\nclass A(metaclass=Meta): ...\nclass B(A): ...\n",
    );
    effect(
        "from a import Base\nclass A(Base): ...\n",
        2,
        "derives `A` from `Base`, which may keep a book of it",
    );
    effect("import a\nclass A(metaclass=a.Meta): ...\n", 2, "makes `A` with the metaclass `a.Meta`");
    effect("import a\n@a.register\nclass A: ...\n", 2, "decorates `A` with `@a.register`");
    effect("import a\nclass A:\n    X = a.make()\n", 3, "calls `a.make()`");
    effect(
        "import a\nclass A:\n    def __init_subclass__(cls):\n        a.keep(cls)\nclass B(A): ...\n",
        5,
        "defines the class `B`, which calls `a.keep()` in line 4",
    );
    effect(
        "import a\nclass A:\n    def __init__(self):\n        a.keep(self)\nX = A()\n",
        5,
        "calls `A()`, which calls `a.keep()` in line 4",
    );
    effect(
        "import a, enum\nclass A(enum.Enum):\n    X = 1\n    def __init__(self, v):\n        a.keep(self)\n",
        2,
        "defines the class `A`, which calls `a.keep()` in line 5",
    );
    effect(
        "import a\nclass D:\n    def __set_name__(self, owner, name):\n        a.keep(owner)\nclass A:\n    x = D()\n",
        5,
        "defines the class `A`, which calls `a.keep()` in line 4",
    );
    effect("import a\nX = type('X', (a.Base,), {})\n", 2, "makes a class of bases that are not known");
}

#[test]
fn every_effect_is_found_and_each_once() {
    let found = of("import a\na.b()\na.c = 1\nfor i in (1, 2):\n    a.d(i)\n");
    let lines: Vec<u32> = found.iter().map(|effect| effect.line).collect();
    assert_eq!(lines, [2, 3, 5]);
}

#[test]
fn there_is_an_end_to_it() {
    let mut source = String::from("def f0(): pass\n");
    for i in 1..40 {
        source.push_str(&format!("def f{i}():\n    f{}()\n    f{}()\n", i - 1, i - 1));
    }
    source.push_str("f39()\n");
    assert_eq!(of(&source).len(), 1);
}

#[test]
fn effects_are_told_by_kind() {
    use EffectKind::{Patches, Registers, Runs, Starts, Warns, Writes};
    for (source, kind) in [
        ("import atexit\natexit.register(print)\n", Registers),
        ("from a import registry\nregistry.update(x=1)\n", Registers),
        ("import a\n@a.register\nclass A: ...\n", Registers),
        ("import a\nclass A(a.Base): ...\n", Registers),
        ("import a\na.b = 1\n", Patches),
        ("import os\nos.environ['X'] = '1'\n", Patches),
        ("import threading\nT = threading.Thread(target=print)\n", Starts),
        ("import warnings\nwarnings.warn('old')\n", Warns),
        ("open('x', 'w')\n", Writes),
        ("import a\na.go()\n", Runs),
        // Whatever a function of the module does is told where it is called.
        ("import signal\ndef f():\n    signal.signal(2, None)\nf()\n", Patches),
    ] {
        assert_eq!(of(source)[0].kind, kind, "{source}");
    }
}

#[test]
fn what_a_body_reads_is_no_effect_and_is_told() {
    let read = |source: &str| {
        let id = ModuleId { name: "m".to_owned(), is_package: false, path: "m.py".into() };
        let analysis = crate::analyse(source, &id, "3.12".parse().unwrap()).unwrap();
        assert_eq!(analysis.effects, [], "{source}");
        analysis.reads.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(read("import os\nX = os.environ.get('X')\nY = os.getenv('Y')\n"), [Source::Environment]);
    assert_eq!(read("from os import environ\nX = environ['X']\n"), [Source::Environment]);
    assert_eq!(read("X = open('x').read()\n"), [Source::Files]);
    assert_eq!(read("import os\ndef f():\n    return os.environ['X']\n"), [], "a function reads later");
}
