//! What the effects agent sees of a load that comes late, on every interpreter.

use std::collections::BTreeMap;
use std::process::Command;

use glowplug_test::{interpreters, run};
use serde_json::{Value, json};

use crate::support::write;

const AGENT: &str = concat!(
    include_str!("../../../../python/glowplug_agent/pictures.py"),
    include_str!("../../../../python/glowplug_agent/effects.py")
);

/// Each module is loaded late by `holder`, as a deferred import is, and compared around.
const DRIVER: &str = r#"
import sys
sys.dont_write_bytecode = True
root, name = sys.argv[1:]
sys.path.insert(0, root)
import copyreg, csv, decimal, json, logging, os, re, signal, threading, warnings
import chained, edited, holder, lazily, library, parts, proxy, registry
sys.modules["vendored.registry"] = registry  # told once
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
space = {"__name__": "_glowplug_effects"}
exec(compile(open(root + "/agent.py").read(), "effects.py", "exec"), space)
space["install"]({"output": root + "/output", "force": [["holder", name]], "deferred": [["holder", name]],
    "values": [],
    "support": "_glowplug_lazy", "user": ["registry"], "alone": [], "warnings": True})
LambdaRuntimeClient().wait_next_invocation()
raise AssertionError("it serves nothing after that")
"#;

const FILES: &[(&str, &str)] = &[
    ("awslambdaric/__init__.py", ""),
    (
        "awslambdaric/lambda_runtime_client.py",
        "class LambdaRuntimeClient:\n    def wait_next_invocation(self):\n        return 'event'\n",
    ),
    (
        "holder.py",
        "import importlib\nTABLE = {}\ndef __gp_load__(name):\n    globals()[name] = importlib.import_module(name)\n",
    ),
    (
        "library.py",
        "LIMITS = {}\nFUNCTIONS = set()\nLIST = []\nDEFAULT = None\nclass Empty: pass\nEMPTY = Empty()\nclass Limit:\n    _known = {}\n    def __init__(self, kind): Limit._known[kind] = 2\nclass Proxy:\n    @property\n    def __dict__(self): raise RuntimeError('out of context')\nPROXY = Proxy()\n",
    ),
    ("fills_a_memo.py", "import library\nlibrary.Limit('i8')\n"),
    ("speaks.py", "import sys\nprint('late')\nsys.stderr.write('and loud')\n"),
    ("takes_the_stream.py", "import io, sys\nsys.stdout = io.StringIO()\n"),
    ("joins_a_set.py", "import library\ndef f(): pass\nlibrary.FUNCTIONS.add(f)\n"),
    (
        "makes_a_default.py",
        "import library\nclass Session:\n    def __init__(self): self.parts = self\nlibrary.DEFAULT = Session()\n",
    ),
    ("fills_an_object.py", "import library\nclass Own: pass\nlibrary.EMPTY.part = Own()\n"),
    (
        "pickles_its_own.py",
        "import copyreg\nclass Native: pass\nNative.__module__ = 'nowhere'\ncopyreg.pickle(Native, repr)\n",
    ),
    ("pickles_another.py", "import copyreg\nfrom decimal import Decimal\ncopyreg.pickle(Decimal, repr)\n"),
    ("joins_a_list.py", "import library\ndef f(): pass\nlibrary.LIST.append(f)\n"),
    (
        "registry.py",
        "HANDLERS = {}\nclass Base:\n    KNOWN = []\n    def __init_subclass__(cls):\n        Base.KNOWN.append('x')\n",
    ),
    (
        "plain.py",
        "import re, logging, collections\nP = re.compile('plain+')\nlog = logging.getLogger(__name__)\nlog.addHandler(logging.NullHandler())\nclass A(dict): pass\n",
    ),
    (
        "lazily.py",
        "def __getattr__(name):\n    if name != 'Kind':\n        raise AttributeError(name)\n    import kinds\n    globals()[name] = kinds.Kind\n    return kinds.Kind\n",
    ),
    (
        "edited.py",
        "def __gp_load__(name): ...\ndef __getattr__(name):\n    import kinds\n    globals()[name] = kinds.Kind\n    return kinds.Kind\n",
    ),
    (
        "chained.py",
        "from lazily import __getattr__ as theirs\ndef __gp_load__(name): ...\ndef chain(theirs):\n    def __getattr__(name):\n        globals()[name] = theirs(name)\n        return theirs(name)\n    return __getattr__\n__getattr__ = chain(theirs)\n",
    ),
    ("asks_an_edited_module.py", "import edited\nclass A: pass\nedited.Kind\n"),
    ("asks_a_chained_module.py", "import chained\nclass A: pass\nchained.Kind\n"),
    ("kinds.py", "class Kind: pass\n"),
    (
        "proxy.py",
        "import sys\nclass Module(type(sys)):\n    def __getattr__(self, name):\n        if name != 'Kind':\n            raise AttributeError(name)\n        import kinds\n        self.__dict__[name] = kinds.Kind\n        return kinds.Kind\ninner = sys.modules['proxy.inner'] = Module('proxy.inner')\n",
    ),
    ("asks_a_module.py", "import proxy\nproxy.inner.Kind\n"),
    ("parts/__init__.py", "def wheel(): pass\n"),
    ("parts/wheel.py", ""),
    ("parts/axle.py", ""),
    ("takes_a_name.py", "import parts.wheel\n"),
    ("adds_a_submodule.py", "import parts.axle\n"),
    ("asks_for_a_name.py", "import lazily\nclass A: pass\nlazily.Kind\n"),
    ("keeps_about_a_function.py", "import library\ndef f(): pass\nlibrary.LIMITS[f] = len\n"),
    ("keeps_a_text_about_a_function.py", "import library\ndef f(): pass\nlibrary.LIMITS[f] = 'x'\n"),
    ("registers_a_function.py", "import registry\ndef f(): pass\nregistry.HANDLERS[f] = 'x'\n"),
    ("registers.py", "import registry\nregistry.HANDLERS['x'] = print\n"),
    ("derives.py", "import registry\nclass A(registry.Base): pass\n"),
    ("patches.py", "import json\njson.dumps = lambda *a, **k: '{}'\n"),
    ("extends.py", "import registry\nregistry.extra = lambda: 1\n"),
    ("filters.py", "import warnings\nwarnings.filterwarnings('ignore')\n"),
    ("environs.py", "import os\nos.environ['GLOWPLUG_LATE'] = '1'\n"),
    ("paths.py", "import sys\nsys.path.append('/nowhere')\n"),
    ("signals.py", "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n"),
    (
        "threads.py",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='late', daemon=True).start()\n",
    ),
    ("logs.py", "import logging\nlogging.getLogger().addHandler(logging.StreamHandler())\n"),
    ("finds_codecs.py", "import codecs\ncodecs.register(lambda name: None)\n"),
    (
        "makes_a_logger.py",
        "import logging\nclass Own(logging.Logger): pass\nlogging.setLoggerClass(Own)\nlogging.getLogger('own')\nlogging.setLoggerClass(logging.Logger)\n",
    ),
    ("dialects.py", "import csv\ncsv.register_dialect('late', delimiter=';')\n"),
    ("encodes.py", "import json\njson.JSONEncoder.default = lambda self, value: str(value)\n"),
    ("rounds.py", "import decimal\ndecimal.getcontext().prec = 5\n"),
    ("divides.py", "import decimal\nTHIRD = decimal.Decimal(1) / 3\n"),
    ("names_a_level.py", "import logging\nlogging.addLevelName(25, 'NOTICE')\n"),
    ("fails.py", "raise ValueError('no')\n"),
    (
        "warns.py",
        "import warnings\ndef old():\n    warnings.warn('old', DeprecationWarning, 2)\nold()\nwarnings.warn('odd')\nold()\n",
    ),
    (
        "may_warn.py",
        "import warnings\ntry:\n    import json\nexcept ImportError:\n    warnings.warn('no json')\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    warnings.warn('old')\nwith warnings.catch_warnings(record=True) as told:\n    warnings.simplefilter('always')\n    warnings.warn('old')\nassert len(told) == 1\n",
    ),
    (
        "records.py",
        "import warnings\nwith warnings.catch_warnings(record=True) as told:\n    warnings.warn('old', DeprecationWarning)\nOLD = bool(told)\n",
    ),
    ("shows_all.py", "import warnings\nwarnings.simplefilter('always')\nwarnings.warn('old')\n"),
    ("shows_all_last.py", "import warnings\nwarnings.simplefilter('always', append=True)\n"),
    (
        "filters_another.py",
        "import warnings\nwarnings.filterwarnings('ignore', 'other')\nwarnings.warn('old')\nwarnings.warn('other')\n",
    ),
    ("filters_and_warns.py", "import warnings\nwarnings.simplefilter('ignore')\nwarnings.warn('old')\n"),
];

#[test]
fn effects_on_others_are_told_and_a_plain_load_has_none() {
    let expected = BTreeMap::from([
        ("plain", ""),
        ("warns", "warns of a DeprecationWarning; warns of a UserWarning"),
        ("may_warn", ""),
        ("records", "warns of a DeprecationWarning"),
        ("shows_all", "changes warnings.filters"),
        ("shows_all_last", "changes warnings.filters"),
        ("filters_another", "warns of a UserWarning"),
        ("filters_and_warns", "changes warnings.filters"),
        ("fills_a_memo", ""),
        ("speaks", ""),
        ("takes_the_stream", "changes sys.stdout"),
        ("joins_a_set", ""),
        ("makes_a_default", ""),
        ("fills_an_object", "adds `library.EMPTY.part`"),
        ("pickles_its_own", ""),
        ("pickles_another", "registers in `copyreg.dispatch_table`"),
        ("joins_a_list", "registers in `library.LIST`"),
        ("asks_for_a_name", ""),
        ("asks_an_edited_module", "adds `edited.Kind`"),
        ("asks_a_chained_module", ""),
        ("keeps_about_a_function", ""),
        ("keeps_a_text_about_a_function", "registers in `library.LIMITS`"),
        ("registers_a_function", "registers in `registry.HANDLERS`"),
        ("registers", "registers in `registry.HANDLERS`"),
        ("derives", "registers in `registry.Base.KNOWN`"),
        ("extends", "adds `registry.extra`"),
        ("filters", "changes warnings.filters"),
        ("environs", "changes os.environ"),
        ("paths", "changes sys.path"),
        ("signals", "changes signal handlers"),
        ("threads", "changes threads"),
        ("finds_codecs", "changes what `codecs.register` keeps"),
        ("makes_a_logger", "changes loggers of a kind of their own"),
        ("logs", "changes the root logger"),
        ("fails", "fails when loaded alone: ValueError: no"),
        ("patches", "replaces `json.dumps`"),
        ("dialects", "changes the dialects of csv"),
        ("encodes", "changes json.JSONEncoder.default"),
        ("rounds", "changes the context of decimal"),
        ("divides", ""),
        ("asks_a_module", ""),
        ("takes_a_name", "replaces `parts.wheel`"),
        ("adds_a_submodule", ""),
        ("names_a_level", "registers in `logging._levelToName`"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(folder.path()).unwrap();
    write(root, FILES);
    write(root, &[("agent.py", AGENT)]);
    for interpreter in interpreters() {
        let mut told = BTreeMap::new();
        // One at a time: what one has loaded, the next would find.
        for name in expected.keys() {
            let mut command = Command::new(&interpreter.path);
            command.args(["-c", DRIVER]);
            run(command.arg(root).arg(name));
            let text = fs_err::read_to_string(root.join("output")).unwrap();
            let found: Value = serde_json::from_str(&text).unwrap();
            let sentences: Vec<&str> =
                found["effects"][0]["effects"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let log = &found["effects"][0]["log"];
            let expected_log = if *name == "speaks" { json!(["late", "and loud"]) } else { json!([]) };
            // A warning is written there, too.
            if !sentences.iter().any(|sentence| sentence.starts_with("warns")) && *name != "shows_all" {
                assert_eq!(*log, expected_log, "{name}");
            }
            told.insert(*name, sentences.join("; "));
        }
        let told: BTreeMap<&str, &str> = told.iter().map(|(name, what)| (*name, what.as_str())).collect();
        assert_eq!(told, expected, "{}", interpreter.version);
    }
}

/// As `DRIVER`, with two modules that import each other and are both deferred.
const CIRCLE: &str = r#"
import os, sys
sys.dont_write_bytecode = True
root, *names = sys.argv[1:]
sys.path.insert(0, root)
import holder
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
space = {"__name__": "_glowplug_effects"}
exec(compile(open(root + "/agent.py").read(), "effects.py", "exec"), space)
pairs = [["holder", name] for name in names]
space["install"]({"output": root + "/output", "force": pairs[:1], "deferred": pairs, "values": [], "support": "_glowplug_lazy",
    "user": [], "alone": pairs, "warnings": False})
LambdaRuntimeClient().wait_next_invocation()
"#;

#[test]
fn what_fails_as_the_first_of_all_is_told_whether_it_is_loaded_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(folder.path()).unwrap();
    write(root, FILES);
    write(
        root,
        &[
            ("agent.py", AGENT),
            ("begun.py", "VALUE = 1\nfrom ended import KEY\n"),
            ("ended.py", "from begun import VALUE\nKEY = VALUE\n"),
            ("leaves.py", "import os\nos._exit(3)\n"),
            (
                "leaves_a_child.py",
                "import os, time\nmain = os.getppid()\nif os.fork() == 0:\n    os.closerange(0, 3)\n    try:\n        while True:\n            os.kill(main, 0)\n            time.sleep(0.05)\n    finally:\n        os._exit(0)\n",
            ),
        ],
    );
    for interpreter in interpreters() {
        let mut command = Command::new(&interpreter.path);
        command.args(["-c", CIRCLE]).arg(root).args(["begun", "ended", "leaves", "leaves_a_child"]);
        run(&mut command);
        let text = fs_err::read_to_string(root.join("output")).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        let effects = found["effects"].as_array().unwrap();
        let of =
            |name: &str| effects.iter().find(|load| load["name"] == name).map(|load| &load["effects"][0]);
        assert_eq!(of("begun"), Some(&Value::Null), "{found}");
        let ended = of("ended").and_then(Value::as_str).unwrap();
        assert!(
            ended.starts_with("fails when loaded alone: ImportError: cannot import name 'KEY'"),
            "{ended}"
        );
        assert_eq!(of("leaves"), None, "a process that ends itself says nothing");
        assert_eq!(of("leaves_a_child"), None, "nor does one that outlives it, and nobody waits for it");
    }
}

/// As `DRIVER`, with values of one module.
const VALUES: &str = r#"
import os, sys
sys.dont_write_bytecode = True
root, *names = sys.argv[1:]
sys.path.insert(0, root)
import library, maker
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
space = {"__name__": "_glowplug_effects"}
exec(compile(open(root + "/agent.py").read(), "effects.py", "exec"), space)
pairs = [["maker", name] for name in names]
space["install"]({"output": root + "/output", "force": pairs, "deferred": pairs, "values": pairs, "support": "_glowplug_lazy",
    "user": [], "alone": [], "warnings": False})
LambdaRuntimeClient().wait_next_invocation()
"#;

#[test]
fn values_of_one_module_are_made_together_and_told_apart_where_one_is_seen() {
    let maker = "import library
MADE = {'fails': lambda: 1 / 0, 'prints': lambda: print('made'), 'joins': lambda: library.LIST.append(len)}
def __gp_load__(name):
    globals()[name] = MADE.get(name, object)()
";
    let folder = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(folder.path()).unwrap();
    write(root, FILES);
    write(root, &[("agent.py", AGENT), ("maker.py", maker)]);
    let plain: Vec<String> = (0..100).map(|index| format!("plain{index}")).collect();
    for seen in [&["joins"][..], &["fails", "prints"], &[]] {
        for python in interpreters() {
            let mut names: Vec<&str> = plain.iter().map(String::as_str).collect();
            names.splice(70..70, seen.iter().copied());
            run(Command::new(&python.path)
                .args(["-c", VALUES, root.as_str()])
                .args(&names)
                .current_dir(root));
            let text = fs_err::read_to_string(root.join("output")).unwrap();
            let told: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(told["error"], Value::Null);
            let all = told["effects"].as_array().unwrap();
            assert_eq!(all.iter().map(|load| load["name"].as_str().unwrap()).collect::<Vec<_>>(), names);
            let loud = all.iter().filter(|load| load["effects"] != json!([]) || load["log"] != json!([]));
            assert_eq!(loud.map(|load| load["name"].as_str().unwrap()).collect::<Vec<_>>(), seen);
        }
    }
}

#[test]
fn values_that_another_one_makes_are_told_with_it_unless_somebody_saw_that() {
    let maker = "import library
MADE = {'all': ['one', 'two'], 'tells': ['three']}
def __gp_load__(name):
    if name not in globals():
        for other in MADE.get(name, []):
            __gp_load__(other)
        if name == 'tells':
            library.LIST.append(len)
        globals()[name] = object()
";
    let folder = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(folder.path()).unwrap();
    write(root, FILES);
    write(root, &[("agent.py", AGENT), ("maker.py", maker)]);
    for (names, told) in [
        (["all", "one", "two"], &["all", "one", "two"][..]),
        // That one is asked about again, by itself.
        (["tells", "three", "one"], &["tells", "one"]),
    ] {
        for python in interpreters() {
            run(Command::new(&python.path).args(["-c", VALUES, root.as_str()]).args(names).current_dir(root));
            let text = fs_err::read_to_string(root.join("output")).unwrap();
            let found: Value = serde_json::from_str(&text).unwrap();
            let all = found["effects"].as_array().unwrap();
            assert_eq!(all.iter().map(|load| load["name"].as_str().unwrap()).collect::<Vec<_>>(), told);
            let seen = all.iter().filter(|load| load["effects"] != json!([]));
            let expected: &[&str] = if names[0] == "tells" { &["tells"] } else { &[] };
            assert_eq!(seen.map(|load| load["name"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        }
    }
}
