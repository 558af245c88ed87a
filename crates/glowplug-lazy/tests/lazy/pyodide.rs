//! The same behaviour on CPython 3.14, which runs under Pyodide where Node is at hand: what its annotations and
//! template strings change, and that nothing else does.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::PythonVersion;
use glowplug_lazy::{FileEdits, Rule};
use glowplug_package::COMPILER_SOURCE;
use serde_json::{Value, json};

use crate::support::Tree;

const VERSION: PythonVersion = PythonVersion::new(3, 14);

/// A module that says when it is loaded.
const HEAVY: &str = "print('heavy is loaded')\nclass Frame:\n    rows = 3\nVALUE = 42\n";

/// The line that says so.
const LOADED: &str = "heavy is loaded\n";

/// What a test asks of Python 3.14: a tree, the names to defer (all that may be, where none are given), a script.
struct Case<'a> {
    tree: Tree,
    names: Option<&'a [&'a str]>,
    script: &'a str,
}

impl<'a> Case<'a> {
    fn new(files: &[(&str, &str)], script: &'a str) -> Self {
        Self { tree: Tree::new(files), names: None, script }
    }

    fn deferring(self, names: &'a [&'a str]) -> Self {
        Self { names: Some(names), ..self }
    }
}

/// The cache folder's Pyodide, which `scripts/test` fetches, if node is there to run it.
fn pyodide() -> Option<Utf8PathBuf> {
    let from = |variable: &str| std::env::var(variable).ok().filter(|value| !value.is_empty());
    let cache = from("GLOWPLUG_CACHE_DIR").map(Utf8PathBuf::from).or_else(|| {
        let caches = from("XDG_CACHE_HOME").map(Utf8PathBuf::from);
        let caches = caches.or_else(|| Some(Utf8PathBuf::from(from("HOME")?).join(".cache")))?;
        Some(caches.join("glowplug"))
    })?;
    let folder = cache.join("pyodide");
    if !folder.join("node_modules/pyodide/pyodide.mjs").exists() {
        println!("Python 3.14 not covered: no Pyodide in {folder}; scripts/test fetches it");
        return None;
    }
    if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("Python 3.14 not covered: no node to run Pyodide with");
        return None;
    }
    println!("ran on 3.14 under Pyodide");
    Some(folder)
}

fn request(case: &Case, edits: &BTreeMap<Utf8PathBuf, FileEdits>) -> Value {
    let root = case.tree.root().canonicalize_utf8().unwrap();
    let jobs: Vec<Value> = sources(&root)
        .into_iter()
        .map(|source| {
            let cache = source.parent().unwrap().join("__pycache__");
            fs::create_dir_all(&cache).unwrap();
            let out = cache.join(format!("{}.{}.pyc", source.file_stem().unwrap(), VERSION.cache_tag()));
            let edits = edits.get(source.strip_prefix(&root).unwrap());
            json!({"id": 1, "source": source, "filename": source, "out": out, "edits": edits})
        })
        .collect();
    json!({"folder": root, "compiler": COMPILER_SOURCE, "jobs": jobs, "script": case.script})
}

fn sources(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("py") {
                found.push(path);
            }
        }
    }
    found
}

/// What each case's script prints on the tree as it is and on the edited one; nothing where 3.14 is not at hand.
fn compare(cases: &[Case]) -> Vec<(String, String)> {
    let Some(pyodide) = pyodide() else { return Vec::new() };
    let requests: Vec<Value> = cases
        .iter()
        .flat_map(|case| {
            let edits = case.tree.edits(VERSION, case.names);
            assert!(!edits.is_empty(), "nothing is deferred: {}", case.script);
            [request(case, &BTreeMap::new()), request(case, &edits)]
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests");
    fs::write(&file, serde_json::to_string(&requests).unwrap()).unwrap();
    let output = Command::new("node")
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pyodide/run.mjs"), pyodide.as_str()])
        .stdin(fs::File::open(&file).unwrap().into_file())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let printed: Vec<String> = answers
        .iter()
        .map(|answer| {
            assert!(answer["failed"].is_null(), "{}", answer["failed"].as_str().unwrap_or_default());
            answer["printed"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(printed.len(), 2 * cases.len());
    printed.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// The edited trees print the same as the originals, but that importing `app` no longer loads `heavy`.
fn same(cases: &[Case]) -> Vec<(String, String)> {
    let printed = compare(cases);
    for (case, (before, after)) in cases.iter().zip(&printed) {
        let rest = before.strip_prefix(LOADED).unwrap_or(before);
        assert_eq!(rest, after.replacen(LOADED, "", 1), "{}", case.script);
        assert!(!after.starts_with(LOADED), "loaded at import: {}", case.script);
    }
    printed
}

#[test]
fn on_3_14_the_import_happens_at_first_use_and_once() {
    let files = [
        ("heavy.py", HEAVY),
        (
            "app.py",
            "import heavy as h\nfrom heavy import VALUE, Frame as F\n\ndef light():\n    return 1\n\ndef use():\n    return h.VALUE + VALUE + F().rows\n",
        ),
    ];
    let script = "import app, sys\nprint(app.light(), 'heavy' in sys.modules)\nprint(app.use(), app.use())\n";
    for (before, after) in compare(&[Case::new(&files, script)]) {
        assert_eq!(before, "heavy is loaded\n1 True\n87 87\n");
        assert_eq!(after, "1 False\nheavy is loaded\n87 87\n");
    }
}

#[test]
fn on_3_14_every_kind_of_use_loads_it() {
    let app = "import heavy\nfrom heavy import VALUE\n\
def comprehension():\n    return [heavy.VALUE + x for x in range(2)], {heavy.VALUE: y for y in 'a'}, sum(VALUE for _ in 'ab')\n\
def fstring():\n    return f'{heavy.VALUE:>{heavy.Frame.rows}} {VALUE!r} {f'{heavy.VALUE}'}' f'{VALUE}'\n\
def nested():\n    return (lambda n: [lambda: heavy.VALUE + n][0]())(1)\n\
def classes():\n    class Own[T](heavy.Frame):\n        more = heavy.VALUE\n    return Own.more, Own().rows\n\
def alias():\n    type Wide = heavy.Frame | None\n    return Wide.__value__\n\
def generic():\n    def inner[T: heavy.Frame](n: T) -> T:\n        return n\n    return inner.__type_params__[0].__bound__\n\
def groups():\n    try:\n        raise ExceptionGroup('', [ValueError(heavy.VALUE)])\n    except* (ValueError if VALUE else heavy.Frame) as group:\n        got = str(group.exceptions)\n    return got\n\
def left():\n    for _ in 'a':\n        try:\n            pass\n        finally:\n            return heavy.VALUE\n";
    let files = [("heavy.py", HEAVY), ("app.py", app)];
    let scripts = [
        "comprehension()",
        "fstring()",
        "nested()",
        "classes()",
        "alias()",
        "generic()",
        "groups()",
        "left()",
    ]
    .map(|call| format!("import app\nprint('imported')\nprint(app.{call}, app.{call})\n"));
    let cases: Vec<Case> = scripts.iter().map(|script| Case::new(&files, script)).collect();
    same(&cases);
}

#[test]
fn on_3_14_others_see_the_name_through_the_module() {
    let app = ("app.py", "import heavy\n\ndef use():\n    return heavy.VALUE\n");
    let other = ("other.py", "from app import heavy as h\nVALUE = h.VALUE\n");
    let own = (
        "app.py",
        "import heavy\n\ndef __getattr__(name):\n    if name == 'dynamic':\n        return heavy.VALUE\n    raise AttributeError('own words: ' + name)\n",
    );
    let outside = "import app\nprint(sorted(n for n in dir(app) if not n.startswith('__')))\nprint(hasattr(app, 'heavy'), hasattr(app, 'nothing'), app.heavy.VALUE)\nimport other\nprint(other.VALUE)\ntry:\n    app.nothing\nexcept AttributeError as error:\n    print(error, error.name, error.obj is app)\ntry:\n    from app import missing\nexcept ImportError as error:\n    print(str(error).split(' (')[0])\n";
    let patched = "import app, types\nprint('imported')\nfrom unittest import mock\nwith mock.patch('app.heavy') as fake:\n    fake.VALUE = 1\n    print(app.use())\nprint(app.use())\napp.heavy = types.SimpleNamespace(VALUE=7)\nprint(app.use())\n";
    let getattr = "import app\nprint('imported')\nprint(app.dynamic, app.heavy.VALUE)\ntry:\n    app.other\nexcept AttributeError as error:\n    print(error)\n";
    same(&[
        Case::new(&[("heavy.py", HEAVY), app, other], outside),
        Case::new(&[("heavy.py", HEAVY), app], patched),
        Case::new(&[("heavy.py", HEAVY), own], getattr),
    ]);
}

#[test]
fn on_3_14_packages_re_export_and_submodules_stay_visible() {
    let package = [
        (
            "lib/__init__.py",
            "from .light import easy\nfrom .deep import hard\nfrom . import tools\n__all__ = ['easy', 'hard', 'tools']\n",
        ),
        ("lib/light.py", "def easy():\n    return 'easy'\n"),
        ("lib/deep.py", "print('deep is loaded')\ndef hard():\n    return 'hard'\n"),
        ("lib/tools.py", "print('tools is loaded')\nSIZE = 3\n"),
        (
            "app.py",
            "from lib import easy\nimport lib\n\ndef use():\n    return lib.hard(), lib.tools.SIZE\n\ndef light():\n    return easy()\n",
        ),
    ];
    let script =
        "import app\nprint(app.light())\nprint(app.use())\nfrom lib import *\nprint(hard(), tools.SIZE)\n";
    let relied = [
        ("lib/__init__.py", "VERSION = 1\n"),
        ("lib/errors.py", "class Bad(Exception):\n    pass\n"),
        ("worker.py", "from lib.errors import Bad\n\ndef work():\n    raise Bad\n"),
        (
            "app.py",
            "import worker\nimport lib\n\ndef use():\n    return lib.errors.Bad.__name__, worker.__name__\n",
        ),
    ];
    let visible = "import app\nprint(app.use())\n";
    let printed = compare(&[
        Case::new(&package, script),
        Case::new(&relied, visible).deferring(&["app:worker"]),
        Case::new(&relied, visible).deferring(&["worker:Bad"]),
    ]);
    if let Some((before, after)) = printed.first() {
        assert_eq!(before, "deep is loaded\ntools is loaded\neasy\n('hard', 3)\nhard 3\n");
        assert_eq!(after, "easy\ndeep is loaded\ntools is loaded\n('hard', 3)\nhard 3\n");
    }
    for (before, after) in printed.iter().skip(1) {
        assert_eq!((before.as_str(), after.as_str()), ("('Bad', 'worker')\n", "('Bad', 'worker')\n"));
    }
}

/// Annotations wait by themselves (PEP 649): no future import, and nothing loads until somebody reads them.
#[test]
fn on_3_14_annotations_are_lazy_by_nature() {
    let app = "import heavy\nfrom heavy import Frame\nimport dataclasses\n\n\
def use(frame: heavy.Frame, n: Frame | None = None) -> list[heavy.Frame]:\n    local: heavy.Frame = frame\n    return local\n\n\
class Plain:\n    frame: heavy.Frame\n    def method(self, other: Frame) -> Plain:\n        return self\n\n\
size: heavy.Frame\n";
    let files = [("heavy.py", HEAVY), ("app.py", app)];
    let unread = "import app, sys\nprint(app.use(1), app.Plain().method(2) is not None)\n";
    let read = [
        "print(app.use.__annotations__, app.Plain.__annotations__, app.Plain.method.__annotations__)",
        "print(app.__annotations__)",
        "import typing\nprint(typing.get_type_hints(app.use), typing.get_type_hints(app.Plain))",
        "import inspect\nprint(inspect.signature(app.use))",
        "import annotationlib as a\nprint([a.get_annotations(o, format=f) for o in (app.use, app.Plain) for f in (a.Format.VALUE, a.Format.FORWARDREF, a.Format.STRING)])",
        "print(dataclasses.fields(dataclasses.dataclass(app.Plain)))",
        "from unittest import mock\nwith mock.patch('app.heavy') as fake:\n    fake.Frame = int\n    print(app.use.__annotations__['frame'])",
    ]
    .map(|script| format!("import app, dataclasses\nprint('imported')\n{script}\n"));
    let mut cases = vec![Case::new(&files, unread)];
    cases.extend(read.iter().map(|script| Case::new(&files, script)));
    if let Some((_, after)) = same(&cases).first() {
        assert_eq!(after, "1 True\n", "and nothing loads it");
    }
}

/// Under the future import annotations are text, as on every version, and the names in them stay resolvable.
#[test]
fn on_3_14_the_future_import_still_means_text() {
    let app = "from __future__ import annotations\nimport heavy\n\ndef use(frame: heavy.Frame) -> heavy.Frame:\n    return frame\n";
    let files = [("heavy.py", HEAVY), ("app.py", app)];
    let scripts = [
        "import app\nprint(app.use(1))\n",
        "import app, typing\nprint('imported')\napp.heavy\nprint(typing.get_type_hints(app.use))\n",
        "import app, typing\nprint('imported')\nprint(typing.get_type_hints(app.use))\n",
        "import app, annotationlib as a\nprint('imported')\nprint([a.get_annotations(app.use, format=f) for f in (a.Format.VALUE, a.Format.FORWARDREF, a.Format.STRING)])\n",
        "import app, inspect\nprint('imported')\nprint(inspect.signature(app.use, eval_str=True), inspect.signature(app.use))\n",
    ];
    let cases = scripts.map(|script| Case::new(&files, script));
    same(&cases);
}

#[test]
fn on_3_14_errors_are_those_of_the_users_code() {
    let files = [
        ("heavy.py", HEAVY),
        (
            "app.py",
            "import heavy\n\n\ndef use(n):\n    wanted = heavy.Frame().total(\n        heavy.nothing)\n    return wanted\n",
        ),
    ];
    let script = "import app, traceback, inspect\nprint('imported')\napp.heavy\nprint(inspect.getsource(app.use), inspect.signature(app.use))\ntry:\n    app.use(1)\nexcept AttributeError:\n    print(traceback.format_exc())\n";
    let broken = [
        ("broken.py", "raise RuntimeError('no licence')\n"),
        ("app.py", "import broken\n\n\ndef use():\n    return broken.x\n"),
    ];
    let twice = "import traceback\nfor _ in range(2):\n    try:\n        import app\n        app.use()\n    except RuntimeError:\n        print(traceback.format_exc())\n";
    let printed = compare(&[Case::new(&files, script), Case::new(&broken, twice)]);
    if let [(before, after), (failing, later)] = printed.as_slice() {
        assert_eq!(before.strip_prefix(LOADED).unwrap(), after.replacen(LOADED, "", 1));
        for text in ["RuntimeError: no licence", "app.py\", line 1, in "] {
            assert_eq!(failing.matches(text).count(), 2, "{failing}");
            assert_eq!(later.matches(text).count(), 2, "{later}");
        }
        assert_eq!(later.matches("app.py\", line 5, in use").count(), 2, "{later}");
    }
}

/// Template strings keep the text of each expression, which an edit would change.
#[test]
fn on_3_14_template_strings_are_refused() {
    for (source, rule) in [
        ("import x\ndef f():\n    return t'{x.A}'\n", Some(Rule::Ambiguous)),
        ("import x\ndef f():\n    return t'{x.A:>{x.B}}'\n", Some(Rule::Ambiguous)),
        ("import x\ndef f():\n    return t'{f'{x.A}'}'\n", Some(Rule::Ambiguous)),
        ("import x\ndef f():\n    return t'{1}', x.A\n", None),
        ("import x\ndef f(x):\n    return t'{x}'\n", None),
    ] {
        let tree = Tree::new(&[("app.py", source), ("x.py", "A = 1\n")]);
        let candidates = tree.candidates(VERSION);
        let refusal = candidates.named("app", "x").unwrap().refusal.as_ref();
        assert_eq!(refusal.map(|refusal| refusal.rule), rule, "{source}");
    }
}
