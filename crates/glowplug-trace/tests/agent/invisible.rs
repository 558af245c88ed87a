//! With the agent, tracebacks, warnings and stacks are what they are without it.

use std::process::Command;

use camino::Utf8Path;
use glowplug_engine::InitOutcome;
use glowplug_test::{Client, clients, run};

use crate::support::{Function, engine, write};

const AGENT: &str = concat!(
    include_str!("../../../../python/glowplug_agent/phases.py"),
    "\n",
    include_str!("../../../../python/glowplug_agent/pages.py"),
    include_str!("../../../../python/glowplug_agent/passes.py"),
    include_str!("../../../../python/glowplug_agent/work.py"),
    include_str!("../../../../python/glowplug_agent/hooks.py"),
    "\n",
    include_str!("../../../../python/glowplug_agent/tracer.py")
);

/// Loads the agent as the bootstrap does, if one is given, and imports every module of the folder in
/// three ways, printing what a person would see.
const DRIVER: &str = r#"
import sys
agent, output, root = sys.argv[1:4]
sys.path.insert(0, root)
sys.dont_write_bytecode = True
names = sorted(n[:-3] for n in __import__("posix").listdir(root) if n.endswith(".py")) + ["native", "package.a"]
if agent != "none":
    code = compile(open(agent).read(), "<frozen importlib._bootstrap>", "exec")
    space = {"__name__": "_glowplug_agent"}
    exec(code, space)
    files = [n + ".py" for n in names] if sys.argv[4] == "statements" else []
    space["install"]({"output": output, "task_root": root, "user_files": files})
import importlib, traceback, warnings
def show(message, category, filename, lineno, file=None, line=None):
    print("warning", category.__name__, message, filename, lineno)
warnings.showwarning = show
warnings.simplefilter("always")
for name in names:
    for way in ("statement", "import_module"):
        for loaded in list(sys.modules):
            if (getattr(sys.modules[loaded], "__file__", None) or "").startswith(root):
                del sys.modules[loaded]
        print("---", name, way)
        try:
            if way == "statement":
                exec("import " + name)
            else:
                importlib.import_module(name)
            module = sys.modules[name]
            print(sorted(k for k in vars(module) if k != "__builtins__"), repr(module.__doc__))
        except BaseException:
            traceback.print_exc(file=sys.stdout)
"#;

/// What may show a frame that should not be there.
const CASES: &[(&str, &str)] = &[
    ("missing.py", "import absent_module\n"),
    ("missing_below.py", "import missing\n"),
    ("raises.py", "x = 1\ndef f():\n    raise ValueError('boom')\nf()\ny = 2\n"),
    ("raises_below.py", "import raises\n"),
    ("syntax.py", "x = = 1\n"),
    ("syntax_below.py", "import syntax\n"),
    ("no_such_name.py", "from json import nothing_such\n"),
    ("not_a_package.py", "import os.path.foo\n"),
    (
        "chained.py",
        "def g():\n    try:\n        import absent\n    except ImportError:\n        raise KeyError('z')\ng()\n",
    ),
    ("exits.py", "raise SystemExit(3)\n"),
    ("warns.py", "import warnings\nwarnings.warn('hello', stacklevel=2)\n"),
    ("warns_below.py", "import warns\n"),
    (
        "deprecated.py",
        "import warnings\ndef old():\n    warnings.warn('old', DeprecationWarning, stacklevel=2)\n",
    ),
    ("deprecated_below.py", "import deprecated\ndeprecated.old()\n"),
    ("escape.py", "x = '\\d'\n"),
    (
        "stack.py",
        "import traceback\nfor f in traceback.extract_stack():\n    print(f.filename, f.lineno, f.name)\n",
    ),
    ("stack_below.py", "import stack\n"),
    (
        "depth.py",
        "import sys\nf = sys._getframe()\nwhile f:\n    print(f.f_code.co_name)\n    f = f.f_back\n",
    ),
    (
        "documented.py",
        "'doc'\n'not doc'\nfrom __future__ import annotations\nx: nothing = 1\nprint(__annotations__)\n",
    ),
    ("undocumented.py", "x = 1\n'not doc'\n"),
    ("empty.py", ""),
    ("only_doc.py", "'doc'\n"),
    ("future.py", "from __future__ import annotations\nclass A:\n    x: nothing\ndef f(x: nothing): pass\n"),
    ("coding.py", "# -*- coding: latin-1 -*-\nprint(ascii('\u{c3}\u{a9}'))\n"),
    ("star.py", "from string import *\nfor digit in digits: pass\n"),
    (
        "by_hand.py",
        "import importlib.util as u, os\ns = u.spec_from_file_location('hand', os.path.join(os.path.dirname(__file__), 'raises.py'))\nm = u.module_from_spec(s)\ns.loader.exec_module(m)\n",
    ),
    ("package/__init__.py", ""),
    ("package/a.py", "from . import b\nx = 1\n"),
    ("package/b.py", "from .a import x\n"),
];

fn output_of(python: &Client, folder: &Utf8Path, agent: &str, mode: &str) -> String {
    let mut command = Command::new(&python.interpreter);
    command.args(["-S", "-E"]).arg(folder.join("driver.py")).arg(agent);
    run(command.arg(folder.join("output")).arg(folder.join("cases")).arg(mode))
}

#[test]
fn tracebacks_warnings_stacks_and_names_are_the_same_with_the_agent() {
    for python in clients() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        write(root, &[("driver.py", DRIVER), ("agent.py", AGENT)]);
        write(&root.join("cases"), CASES);
        let tag = format!("cpython-{}{}", python.version.major, python.version.minor);
        for machine in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
            write(&root.join("cases"), &[(&format!("native.{tag}-{machine}.so"), "not a library")]);
        }
        let without = output_of(&python, root, "none", "");
        assert!(without.contains("ValueError: boom") && without.contains("warning DeprecationWarning old"));
        for mode in ["whole", "statements"] {
            let with = output_of(&python, root, root.join("agent.py").as_str(), mode);
            for (expected, found) in without.lines().zip(with.lines()) {
                assert_eq!(expected, found, "Python {} with modules run as {mode}", python.version);
            }
            assert_eq!(without.lines().count(), with.lines().count());
        }
    }
}

#[test]
fn a_failing_init_reports_the_same_with_the_agent() {
    for python in clients() {
        let function = Function::new(
            &python,
            &[("app.py", "import part\n"), ("part.py", "def f():\n    raise ValueError('boom')\nf()\n")],
        );
        let (environment, init) = engine().start(&function.spec).unwrap();
        environment.finish().unwrap();
        let InitOutcome::Error { payload, .. } = &init.outcome else { panic!("{:?}", init.outcome) };
        assert!(String::from_utf8_lossy(payload).contains("part.py"));
        let options = glowplug_trace::ObserveOptions {
            user_files: crate::support::paths(&["app.py", "part.py"]),
            ..Default::default()
        };
        let observation = glowplug_trace::observe_with(engine(), &function.spec, None, &options).unwrap();
        assert_eq!(observation.init.outcome, init.outcome, "Python {}", python.version);
        let failed: Vec<&str> = observation
            .imports
            .iter()
            .filter(|r| !r.loaded() && !r.runtime_provided)
            .map(|r| r.module.as_str())
            .collect();
        assert_eq!(failed, ["app", "part"]);
        assert_eq!(observation.statements.len(), 3, "{:?}", observation.statements);
    }
}
