//! What deferred imports do: PEP 810's semantics, seen from inside and outside of the module.

use crate::support::{Tree, pythons};

/// A module that says when it is loaded.
const HEAVY: &str = "print('heavy is loaded')\nclass Frame:\n    rows = 3\n    def total(self, n=1):\n        return self.rows + n\nVALUE = 42\n";

#[test]
fn the_import_happens_at_first_use_and_once() {
    let tree = Tree::new(&[
        ("heavy.py", HEAVY),
        (
            "app.py",
            "import heavy as h\nfrom heavy import VALUE, Frame as F\n\ndef light():\n    return 1\n\ndef use():\n    return h.VALUE + VALUE + F().total()\n",
        ),
    ]);
    let script = "import app, sys\nprint(app.light(), 'heavy' in sys.modules)\nprint(app.use(), app.use())\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before, "heavy is loaded\n1 True\n88 88\n");
        assert_eq!(after, "1 False\nheavy is loaded\n88 88\n");
    }
}

#[test]
fn every_kind_of_use_loads_it() {
    let body = "import heavy\nfrom heavy import VALUE\n\
def comprehension():\n    return [heavy.VALUE + x for x in range(2)], {heavy.VALUE: y for y in 'a'}, sum(VALUE for _ in 'ab')\n\
def nested():\n    def inner():\n        return heavy.VALUE\n    return inner()\n\
def fstring(n=1):\n    return f'{heavy.VALUE:>{heavy.Frame.rows}} {VALUE!r}' f'{heavy.VALUE}'\n\
def lambdas():\n    return (lambda heavy_: heavy_ + heavy.VALUE)(1)\n\
def classes():\n    class Own(heavy.Frame):\n        more = heavy.VALUE\n    return Own.more, Own().total()\n\
def walrus():\n    return (v := heavy.VALUE) + v\n\
def deleted():\n    heavy.extra = 1\n    heavy.extra += 1\n    got = heavy.extra\n    del heavy.extra\n    return got\n\
def caught():\n    try:\n        raise ValueError(heavy.VALUE)\n    except (heavy.Frame if False else ValueError) as error:\n        return str(error)\n\
def shadowed(heavy):\n    return heavy\n\
async def waits():\n    return heavy.VALUE\n\
def generated():\n    yield from (heavy.VALUE for _ in range(1))\n\
def decorated():\n    @(lambda f: heavy.VALUE)\n    def f(a=heavy.VALUE):\n        return a\n    return f\n";
    let tree = Tree::new(&[("heavy.py", HEAVY), ("app.py", body)]);
    for name in [
        "comprehension()",
        "nested()",
        "fstring()",
        "lambdas()",
        "classes()",
        "walrus()",
        "deleted()",
        "caught()",
        "shadowed(7)",
        "generated().send(None)",
    ] {
        let script = format!("import app\nprint(app.{name})\nprint(app.{name})\n");
        for (before, after) in tree.compare(None, &script) {
            let lines = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            if name == "shadowed(7)" {
                assert!(!after.contains("heavy"), "{after}");
            } else {
                assert_eq!(lines(&before), lines(&after), "{name}");
            }
        }
    }
}

#[test]
fn others_see_the_name_through_the_module() {
    let tree = Tree::new(&[
        ("heavy.py", HEAVY),
        ("app.py", "import heavy\nfrom heavy import VALUE\n\ndef use():\n    return heavy, VALUE\n"),
        (
            "other.py",
            "from app import VALUE\nimport app\n\ndef look():\n    return app.heavy.VALUE + VALUE\n",
        ),
    ]);
    let script = "import app\nprint(sorted(n for n in dir(app) if not n.startswith('__')))\nprint(hasattr(app, 'heavy'), hasattr(app, 'nothing'))\nimport other\nprint(other.look())\nfrom app import VALUE\nprint(VALUE)\ntry:\n    app.nothing\nexcept AttributeError as error:\n    print(error)\ntry:\n    from app import missing\nexcept ImportError as error:\n    print(str(error).split(' (')[0])\n";
    for (before, after) in tree.compare(None, script) {
        let sorted = |text: &str| text.replace("heavy is loaded\n", "");
        assert_eq!(sorted(&before), sorted(&after));
        assert!(before.starts_with("heavy is loaded") && !after.starts_with("heavy is loaded"));
    }
}

#[test]
fn an_assignment_from_outside_wins() {
    let tree =
        Tree::new(&[("heavy.py", HEAVY), ("app.py", "import heavy\n\ndef use():\n    return heavy.VALUE\n")]);
    let script = "import app, types\nfrom unittest import mock\nwith mock.patch('app.heavy') as fake:\n    fake.VALUE = 1\n    print(app.use())\nprint(app.use())\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before.replace("heavy is loaded\n", ""), "1\n42\n");
        assert_eq!(after.replace("heavy is loaded\n", ""), "1\n42\n");
    }
    let script = "import app, types\napp.heavy = types.SimpleNamespace(VALUE=7)\nprint(app.use())\napp.heavy = types.SimpleNamespace(VALUE=8)\nprint(app.use())\n";
    for (_, after) in tree.compare(None, script) {
        assert_eq!(after, "7\n8\n", "and what it replaces is never loaded");
    }
}

#[test]
fn a_package_that_re_exports_its_world_defers_it() {
    let tree = Tree::new(&[
        (
            "lib/__init__.py",
            "\"\"\"Docs.\"\"\"\nfrom __future__ import annotations\nfrom .light import easy\nfrom .deep import hard\nfrom . import tools\n__all__ = ['easy', 'hard', 'tools']\n",
        ),
        ("lib/light.py", "def easy():\n    return 'easy'\n"),
        ("lib/deep.py", "print('deep is loaded')\ndef hard():\n    return 'hard'\n"),
        ("lib/tools.py", "print('tools is loaded')\nSIZE = 3\n"),
        (
            "app.py",
            "from lib import easy\nimport lib\n\ndef use():\n    return lib.hard(), lib.tools.SIZE\n\ndef light():\n    return easy()\n",
        ),
    ]);
    let script = "import app\nprint(app.light())\nprint(app.use())\nprint(app.lib.__doc__)\nfrom lib import *\nprint(hard(), tools.SIZE)\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before, "deep is loaded\ntools is loaded\neasy\n('hard', 3)\nDocs.\nhard 3\n");
        assert_eq!(after, "easy\ndeep is loaded\ntools is loaded\n('hard', 3)\nDocs.\nhard 3\n");
    }
}

#[test]
fn a_submodule_that_others_rely_on_stays_visible() {
    // `app` reads lib.errors, which only `worker` imports; deferring worker's import must not hide it.
    let tree = Tree::new(&[
        ("lib/__init__.py", "VERSION = 1\n"),
        ("lib/errors.py", "class Bad(Exception):\n    pass\n"),
        ("worker.py", "from lib.errors import Bad\n\ndef work():\n    raise Bad\n"),
        (
            "app.py",
            "import worker\nimport lib\n\ndef use():\n    try:\n        return lib.errors.Bad.__name__\n    except AttributeError:\n        return 'hidden'\n",
        ),
    ]);
    tree.same(Some(&["app:worker"]), "import app\nprint(app.use())\n");
    tree.same(Some(&["worker:Bad"]), "import app\nprint(app.use())\n");
}

#[test]
fn a_submodule_of_the_standard_library_that_others_rely_on_stays_visible() {
    let tree = Tree::new(&[
        (
            "worker.py",
            "import xml.sax.saxutils\n\ndef work(text):\n    return xml.sax.saxutils.escape(text)\n",
        ),
        ("app.py", "import worker\nimport xml\n\ndef use():\n    return xml.sax.saxutils.escape('<')\n"),
    ]);
    for names in [&["app:worker"][..], &["worker:xml"], &["app:worker", "app:xml"]] {
        tree.same(
            Some(names),
            "import app\nprint(app.use(), app.worker.work('>'), hasattr(app.xml, 'nothing'))\n",
        );
    }
}

#[test]
fn a_module_with_its_own_getattr_keeps_it() {
    let own = "def __getattr__(name):\n    if name == 'dynamic':\n        return heavy.VALUE\n    raise AttributeError('own words: ' + name)\n";
    let indented = own.replace('\n', "\n    ");
    // As libraries hide it from type checkers.
    for own in [
        own.to_owned(),
        format!("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    {indented}"),
        format!("import typing\nif typing.TYPE_CHECKING:\n    import other\nelse:\n    {indented}"),
    ] {
        let app = format!("import heavy\n\n{own}\ndef use():\n    return heavy.VALUE\n");
        let tree = Tree::new(&[("heavy.py", "VALUE = 42\n"), ("app.py", &app)]);
        tree.same(
            None,
            "import app\nprint(app.dynamic, app.use(), app.heavy.VALUE)\ntry:\n    app.nothing\nexcept AttributeError as error:\n    print(error)\n",
        );
        let waits =
            "import app, sys\nprint('heavy' in sys.modules, hasattr(app, 'heavy'), 'heavy' in sys.modules)\n";
        assert!(tree.compare(None, waits).iter().all(|(_, after)| after == "False True True\n"), "{app}");
    }
}

#[test]
fn lists_of_names_name_what_is_deferred() {
    let tree = Tree::new(&[
        ("heavy.py", "print('heavy is loaded')\nVALUE = 42\n"),
        (
            "app.py",
            "import heavy\nfrom heavy import VALUE as number\nlisted = [s for s in dir() if not s.startswith('_')]\n__all__ = listed\nglobals()['added'] = 1\n\ndef __getattr__(name):\n    try:\n        return globals()[name + '_']\n    except KeyError:\n        raise AttributeError(name)\n\ndef __dir__():\n    return sorted(globals().keys() | {'more'} - {'heavy'})\n\nanswer_ = 1\n\ndef use():\n    return heavy.VALUE + number\n",
        ),
    ]);
    let script = "import app\nprint(app.listed, [n for n in dir(app) if not n.startswith('__')], app.answer, app.added)\nfrom app import *\nprint(heavy.VALUE, number, app.use())\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before.replace("heavy is loaded\n", ""), after.replace("heavy is loaded\n", ""));
        assert!(!after.starts_with("heavy"), "{after}");
    }
}

#[test]
fn a_submodule_loads_when_it_is_read_although_its_package_is_needed_at_once() {
    let tree = Tree::new(&[
        ("lib/__init__.py", "VERSION = 1\n"),
        ("lib/heavy/__init__.py", "print('heavy is loaded')\nVALUE = 42\n"),
        ("lib/heavy/part.py", "print('part is loaded')\nVALUE = 43\n"),
        (
            "app.py",
            "import lib\nimport lib.heavy, lib.heavy.part\n\nversion = lib.VERSION\n\ndef use():\n    return lib.heavy.VALUE + lib.heavy.part.VALUE\n",
        ),
        ("other.py", "import lib\nimport lib.heavy\nnow = lib.heavy.VALUE\n"),
    ]);
    let names = ["app:lib.heavy", "app:lib.heavy.part"];
    let script = "import app\nprint(app.version)\nprint(app.use(), app.use())\n";
    for (before, after) in tree.compare(Some(&names), script) {
        assert_eq!(before, "heavy is loaded\npart is loaded\n1\n85 85\n");
        assert_eq!(after, "1\nheavy is loaded\npart is loaded\n85 85\n");
    }
    tree.same(Some(&names), "import other\nimport app\nprint(other.now, app.use())\n");
    tree.same(Some(&["app:lib.heavy"]), "import app\nprint(app.use(), hasattr(app.lib, 'nothing'))\n");
}

#[test]
fn dotted_imports_bind_their_top() {
    let tree = Tree::new(&[
        ("pkg/__init__.py", ""),
        ("pkg/one.py", "A = 1\n"),
        ("pkg/two.py", "B = 2\n"),
        (
            "app.py",
            "import pkg.one\nimport pkg.two\nimport pkg.one as first\n\ndef use():\n    return pkg.one.A + pkg.two.B + first.A\n",
        ),
    ]);
    tree.same(None, "import app\nprint(app.use(), app.pkg.two.B)\n");
}

#[test]
fn a_failing_import_fails_at_first_use_and_again_and_shows_both_places() {
    let tree = Tree::new(&[
        ("broken.py", "raise RuntimeError('no licence')\n"),
        ("app.py", "import broken\n\n\ndef use():\n    return broken.x\n"),
    ]);
    let script = "import app, traceback\nfor _ in range(2):\n    try:\n        app.use()\n    except RuntimeError:\n        print(traceback.format_exc())\n";
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let output = tree.run(python, script);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.matches("RuntimeError: no licence").count(), 2, "{text}");
        assert_eq!(text.matches("app.py\", line 5, in use").count(), 2, "{text}");
        assert_eq!(
            text.matches("app.py\", line 1, in __gp_import__\n    import broken").count(),
            2,
            "{text}"
        );
    }
}

#[test]
fn tracebacks_carets_and_sources_are_the_users() {
    let tree = Tree::new(&[
        ("heavy.py", HEAVY),
        (
            "app.py",
            "import heavy\n\n\ndef use(n):\n    wanted = heavy.Frame().total(\n        heavy.nothing)\n    return wanted\n",
        ),
    ]);
    tree.same(
        None,
        "import app, traceback, inspect\napp.heavy\nprint(inspect.getsource(app.use), inspect.signature(app.use))\ntry:\n    app.use(1)\nexcept AttributeError:\n    print(traceback.format_exc())\n",
    );
}

#[test]
fn threads_that_race_for_a_first_use_all_get_it() {
    let tree = Tree::new(&[
        ("heavy.py", "import time\ntime.sleep(0.05)\nprint('heavy is loaded')\nVALUE = 42\n"),
        ("app.py", "import heavy\n\ndef use():\n    return heavy.VALUE\n"),
    ]);
    let script = "import app\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    print(set(pool.map(lambda _: app.use(), range(16))))\n";
    tree.same(None, script);
}

#[test]
fn a_submodule_that_another_thread_is_loading_is_waited_for() {
    let tree = Tree::new(&[
        ("pkg/__init__.py", ""),
        ("pkg/heavy.py", "import time\ntime.sleep(0.05)\nVALUE = 42\n"),
        ("app.py", "from pkg import heavy\n\ndef use():\n    return heavy.VALUE\n"),
        ("other.py", "from pkg import heavy\n\ndef use():\n    return heavy.VALUE\n"),
    ]);
    let script = "import app, other\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    print(set(pool.map(lambda n: (app, other)[n % 2].use(), range(16))))\n";
    tree.same(None, script);
}

#[test]
fn annotations_are_left_alone() {
    let tree = Tree::new(&[
        ("heavy.py", HEAVY),
        (
            "app.py",
            "from __future__ import annotations\nimport heavy\n\ndef use(frame: heavy.Frame) -> heavy.Frame:\n    local: heavy.Frame = frame\n    return local\n",
        ),
    ]);
    let script = "import app, sys\nprint(app.use(1), app.use.__code__.co_firstlineno)\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before.replace("heavy is loaded\n", ""), after, "and nothing loads it");
    }
}

/// `dataclasses` looks a text annotation's names up in the module's dictionary, to tell fields from class variables.
#[test]
fn dataclasses_tell_class_variables_from_fields() {
    let head = "from __future__ import annotations\nimport dataclasses\n";
    let body = "@dataclasses.dataclass\nclass Order:\n    KIND: {} = 'order'\n    count: int = 1\n";
    let script =
        "import app, dataclasses\nprint([f.name for f in dataclasses.fields(app.Order)], app.Order(2))\n";
    for (import, annotation) in [
        ("from typing import ClassVar\n", "ClassVar[str]"),
        ("import typing\n", "typing.ClassVar[str]"),
        ("import typing as t\n", "t.ClassVar"),
    ] {
        let app = format!("{head}{import}{}", body.replace("{}", annotation));
        Tree::new(&[("app.py", &app)]).same(None, script);
    }
}

#[test]
fn a_warning_of_the_modules_own_getattr_names_its_caller() {
    let app = "import heavy\nimport warnings\n\ndef __getattr__(name):\n    if name == 'old':\n        warnings.warn('old is old', DeprecationWarning, stacklevel=2)\n        return heavy.VALUE\n    raise AttributeError(name)\n";
    let tree = Tree::new(&[("heavy.py", "VALUE = 42\n"), ("app.py", app)]);
    let script = "import app, sys, warnings\nwith warnings.catch_warnings(record=True) as told:\n    warnings.simplefilter('always')\n    print(app.old)\nprint([(w.filename, w.lineno) for w in told])\n";
    tree.same(None, script);
}

#[test]
fn an_optional_package_that_is_not_there_stays_no_hindrance() {
    let user = "try:\n    import optional\nexcept ImportError:\n    optional = None\n\ndef version():\n    return optional and optional.part.VERSION\n";
    let app = "import user, other\n\ndef use():\n    return user.version(), other.part\n";
    let tree = Tree::new(&[
        ("app.py", app),
        ("user.py", user),
        ("other.py", "def part():\n    import optional.part\n"),
        ("third.py", "import optional.part\n\ndef f():\n    return optional.part\n"),
    ]);
    tree.same(None, "import app\nprint(app.use()[0])\n");
}

#[test]
fn a_function_can_be_copied_with_the_names_that_it_uses() {
    let tree = Tree::new(&[
        ("heavy.py", "VALUE = 42\n"),
        ("app.py", "import heavy\n\ndef use():\n    return heavy.VALUE\n"),
    ]);
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let script = "import app, pickle, types\ncode = app.use.__code__\nnames = {n: app.__dict__[n] for n in code.co_names if n.startswith('__gp_')}\nnames = pickle.loads(pickle.dumps(names))\nprint(types.FunctionType(code, names)().__class__.__name__, names['__gp_load__'] is app.__gp_load__)\n";
        let output = String::from_utf8(tree.run(python, script).stdout).unwrap();
        assert_eq!(output, "int True\n", "{}", python.version);
    }
}

#[test]
fn a_first_use_deep_in_calls_has_the_room_of_the_top() {
    let tree = Tree::new(&[
        ("heavy.py", "def count(n):\n    return n and 1 + count(n - 1)\nVALUE = count(600)\n"),
        ("lib/__init__.py", ""),
        ("lib/part.py", "from heavy import count\nVALUE = count(600)\n"),
        ("app.py", ""),
        (
            // In the user's own code the rules would see that calls may be deep.
            "calls.py",
            "import sys\nimport heavy\nimport lib.part\n\ndef deep(n):\n    return deep(n - 1) if n else heavy.VALUE\n\ndef part(n):\n    return part(n - 1) if n else lib.part.VALUE\n\ndef full():\n    try:\n        return full()\n    except RecursionError:\n        return heavy.VALUE, sys.getrecursionlimit() > 1060\n\ndef limit(n):\n    return limit(n - 1) if n else (heavy.VALUE, sys.setrecursionlimit(3000))\n",
        ),
    ]);
    let script = |call: &str| {
        format!(
            "import calls, sys\nprint('heavy' in sys.modules)\nprint(calls.{call}, sys.getrecursionlimit())\n"
        )
    };
    for call in ["deep(900)", "part(900)", "full(), calls.part(0)", "limit(900)"] {
        let names = ["calls:heavy", "calls:lib"];
        for (before, after) in tree.compare(Some(&names), &script(call)) {
            assert_eq!(before.replace("True", "False"), after, "{call}");
        }
    }
}

#[test]
fn a_load_does_not_run_in_somebody_elses_error() {
    let tree = Tree::new(&[
        ("heavy.py", "import sys\nprint(sys.exc_info()[0])\nVALUE = 1\n"),
        ("broken.py", "raise ImportError('no licence')\n"),
        (
            "app.py",
            "import heavy\nimport broken\n\ndef use():\n    return heavy.VALUE\n\ndef fail():\n    return broken.x\n",
        ),
    ]);
    let script = "import sys\nsys.modules['broken'] = None\ntry:\n    import app\nexcept ImportError as error:\n    print(error.__context__)\nelse:\n    print(app.use())\n    try:\n        app.fail()\n    except ImportError as error:\n        print(error.__context__)\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before, "None\nNone\n");
        assert_eq!(after, "None\n1\nNone\n");
    }
}
