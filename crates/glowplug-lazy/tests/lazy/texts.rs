//! Annotations of functions that are text: whoever looks into them may evaluate them, and finds the deferred names.

use glowplug_core::PythonVersion;

use crate::signatures::{APP, HEAVY, same_but_later};
use crate::support::{Tree, printed, pythons};

/// The functions of every kind, with all their annotations as text.
fn tree() -> Tree {
    Tree::new(&[("heavy.py", HEAVY), ("app.py", &format!("from __future__ import annotations\n{APP}"))])
}

#[test]
fn every_reader_finds_the_names() {
    let mut script = "import typing\n".to_owned();
    for read in [
        "typing.get_type_hints(f)",
        "typing.get_type_hints(f, include_extras=True)",
        "inspect.signature(f)",
        "inspect.signature(f, eval_str=True) if sys.version_info >= (3, 10) else ''",
        "inspect.get_annotations(f, eval_str=True) if sys.version_info >= (3, 10) else ''",
        "len(f.__annotations__), type(f.__annotations__), f.__annotations__",
        "{n: eval(t, f.__globals__) for n, t in f.__annotations__.items()}",
        "[eval(f.__annotations__[n], f.__globals__) for n in f.__annotations__]",
        "list(f.__annotations__.keys()), list(f.__annotations__.values()), len(f.__annotations__)",
        "__import__('copy').deepcopy(f.__annotations__), __import__('pickle').loads(__import__('pickle').dumps(f.__annotations__))",
        "__import__('json').dumps(f.__annotations__), __import__('pprint').pformat(f.__annotations__)",
        "inspect.getsource(f), f.__code__.co_firstlineno, f.__defaults__, f.__kwdefaults__, f.__doc__, f.__qualname__",
        "f.__annotations__.update(z='Frame'), typing.get_type_hints(f)",
    ] {
        // `-1` and tuples are no types, which `typing` says.
        script += &format!(
            "fresh()\nfor name, f in functions():\n    try:\n        print(name, re.sub('0x[0-9a-f]+', '', str(({read}))))\n    except (TypeError, SyntaxError) as error:\n        print(name, error)\n"
        );
    }
    same_but_later(&tree(), &script);
}

#[test]
fn libraries_that_evaluate_them_find_the_names() {
    let mut script = "import typing, functools\n".to_owned();
    for read in [
        "for name, f in functions():\n    @functools.wraps(f)\n    def wrapper(*a): pass\n    print(name, inspect.signature(wrapper), wrapper.__annotations__)\n",
        "@functools.wraps(app.plain)\ndef wrapper(*a): pass\nprint(typing.get_type_hints(wrapper, vars(app)))\n",
        "generic = functools.singledispatch(lambda value: 'any')\ngeneric.register(app.plain)\nprint(type(generic(app.heavy.Frame())))\n",
        "held = app.plain.__annotations__\nheld['more'] = 'Frame'\nprint(typing.get_type_hints(app.plain), held, type(app.plain.__annotations__))\n",
        "app.plain.__annotations__ = {'a': 'heavy.Frame'}\napp.heavy\nprint(typing.get_type_hints(app.plain))\n",
        "a, b = app.plain.__annotations__, app.late.__annotations__\nprint(a == b, a | b, {**a, **b})\n",
        "app.Frame = int\nprint(typing.get_type_hints(app.plain)['return'], app.heavy)\n",
    ] {
        script += &format!("fresh()\n{read}");
    }
    same_but_later(&tree(), &script);
}

#[test]
fn what_is_called_and_never_looked_into_loads_nothing() {
    let script = "import app, sys\nprint(app.plain(1), app.every(1, 2, 3), app.Own().value, app.decorated(1), app.untouched.__annotations__, type(app.untouched.__annotations__))\nprint('heavy' in sys.modules)\n";
    for (before, after) in tree().compare(None, script) {
        assert_eq!(before.replace("heavy is loaded\n", "").replace("True", "False"), after);
    }
}

#[test]
fn a_decorator_that_evaluates_them_loads_at_once() {
    let app = "from __future__ import annotations\nimport typing, heavy\n\ndef register(f):\n    print(typing.get_type_hints(f))\n    return f\n\n@register\ndef use(a: heavy.Frame):\n    return a\nclass Own(object):\n    @register\n    def use(self, a: heavy.Frame): return a\nprint('done')\n";
    Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]).same(None, "import app\n");
}

#[test]
fn names_in_quotes_are_found_beside_annotations_that_wait() {
    let app = "from typing import List, Optional\nimport heavy\nfrom heavy import Frame, Box\n\ndef both(a: heavy.Frame, b: 'Frame', c: Optional['Box'] = None) -> List['heavy.Frame']:\n    return [a]\n\ndef quoted(a: 'Frame', *b: 'Unknown', c: call() if 0 else 'Box' = None):\n    return a\n\nclass Own:\n    def method(self, other: 'Own', frame: 'heavy.Frame') -> 'Own':\n        return self\n";
    let script = "import app, sys, typing, inspect\nprint(app.both(1, 2), app.quoted(1), app.Own().method(1, 2) is None)\nprint(typing.get_type_hints(app.both))\nprint(typing.get_type_hints(app.Own.method))\nprint(inspect.signature(app.quoted), app.quoted.__annotations__)\ntry:\n    typing.get_type_hints(app.quoted)\nexcept NameError as error:\n    print(error)\n";
    for (before, after) in Tree::new(&[("heavy.py", HEAVY), ("app.py", app)]).compare(None, script) {
        assert!(after.starts_with("[1] 1 False\nheavy is loaded\n"), "{after}");
        assert_eq!(before.replace("heavy is loaded\n", ""), after.replace("heavy is loaded\n", ""));
    }
}

#[test]
fn an_import_that_fails_does_so_at_each_look() {
    let tree = Tree::new(&[
        ("heavy.py", "raise RuntimeError('no licence')\n"),
        (
            "app.py",
            "from __future__ import annotations\nimport heavy\n\ndef use(a: heavy.Frame):\n    return a\n",
        ),
    ]);
    let script = "import app, typing\nfor _ in range(2):\n    try:\n        typing.get_type_hints(app.use)\n    except RuntimeError as error:\n        print(error)\nprint(app.use(1))\napp.heavy = typing.NamedTuple('heavy', [('Frame', int)])(int)\nprint(typing.get_type_hints(app.use), app.use.__annotations__)\n";
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let text = printed(tree.run(python, script));
        let expected = "no licence\nno licence\n1\n{'a': <class 'int'>} {'a': 'heavy.Frame'}\n";
        assert_eq!(text, expected, "Python {}", python.version);
    }
}

#[test]
fn only_functions_that_name_what_is_deferred_are_edited() {
    let source = "from __future__ import annotations\nimport x, y\ndef f(a: x.A): pass\ndef g(a: y.A): pass\nclass C:\n    a: x.A\n    def h(self, a: int, b: List['y.A']) -> x.B: pass\ndef i():\n    def j(a: x.A): pass\nif TYPE_CHECKING:\n    def k(a: x.A): pass\n";
    let tree = Tree::new(&[("app.py", source)]);
    let texts = |minor: u8, names: &[&str]| -> Vec<(u32, u32, String)> {
        let edits = tree.edits(PythonVersion::new(3, minor), Some(names));
        edits.into_values().flat_map(|edit| edit.texts).collect()
    };
    let x = |line, column| (line, column, "x".to_owned());
    assert_eq!(texts(12, &["app:x"]), [x(3, 9), x(7, 19)]);
    assert_eq!(texts(14, &["app:x"]), [x(3, 9), x(7, 19)]);
    assert_eq!(texts(12, &["app:y"]), [(4, 9, "y".to_owned()), (7, 19, "y".to_owned())]);
    let quoted = Tree::new(&[("app.py", "import x\ndef f(a: 'x.A'): return x\n")]);
    let edits = |minor| quoted.edits(PythonVersion::new(3, minor), None).into_values().next().unwrap();
    assert_eq!(edits(13).texts.len(), 1);
    assert_eq!(edits(14).texts.len(), 0, "to look there would evaluate what is no text");
}
