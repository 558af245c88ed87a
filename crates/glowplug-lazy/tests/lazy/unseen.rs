//! What an event that no build has seen may do before a deferred import's first use.

use std::collections::BTreeSet;

use glowplug_core::PythonVersion;
use glowplug_lazy::{Candidates, Rule};

use crate::support::Tree;

/// The rule, and what only a replay could show, for the import of `x` in `app`; the tree's own modules are `app`, `x`,
/// `own` and `ids`.
fn judged(app: &str, others: &[(&str, &str)]) -> (Option<Rule>, Option<String>) {
    let files: Vec<(&str, &str)> = [("app.py", app)].into_iter().chain(others.iter().copied()).collect();
    let own = ["app", "x", "own", "ids"].map(str::to_owned);
    let analyses = Tree::new(&files).analyses(PythonVersion::new(3, 12));
    let candidates = Candidates::find(&analyses, &BTreeSet::from(own), &BTreeSet::new());
    let x = candidates.named("app", "x").unwrap();
    (x.refusal.as_ref().map(|refusal| refusal.rule), x.unproved.clone())
}

fn rule(app: &str, x: &str) -> Option<Rule> {
    judged(app, &[("x.py", x)]).0
}

#[test]
fn texts_that_are_evaluated_find_names_in_the_dictionary_alone() {
    let reads = Some(Rule::ReadsNamespace);
    for app in [
        "import x\ndef f(d):\n    return x, d.agg('x.mean(v)')\n",
        "import x\ndef f(d):\n    return x, d.query('a > @x.A')\n",
        "import x\nFORMULA = 'y ~ x.log(z)'\ndef f():\n    return x\n",
        "import x\ndef f(d):\n    return x, d.eval('x + 1')\n",
        "import x\ndef f(d, text):\n    return x, d.eval(text)\n",
        "import x\ndef f(text):\n    return x, eval(text, f.__globals__)\n",
        "import sys, x\ndef f(name):\n    return x, sys._getframe(1).f_globals[name]\n",
        "import sys, x\ndef f():\n    return x, sys._getframe(1).f_globals['x']\n",
        "import doctest, x\ndef f():\n    return x, doctest.testmod()\n",
    ] {
        assert_eq!(rule(app, ""), reads, "{app}");
    }
    let elsewhere =
        ("own.py", "import sys\ndef ev(text):\n    return eval(text, sys._getframe(1).f_globals)\n");
    let app = "import x\nfrom own import ev\ndef f(e):\n    return x, ev(e)\n";
    assert_eq!(judged(app, &[("x.py", ""), elsewhere]).0, reads);
    let library = ("lib.py", elsewhere.1);
    assert_eq!(judged(app, &[("x.py", ""), library]).0, None, "libraries mostly want the name of the module");
    for app in [
        "import x\ndef f(d):\n    'As x.mean(v).'\n    return x, d.get('x'), d.get('x.amazonaws.com')\n",
        "import x\ndef f(d):\n    return x, d.query(d), d.eval()\n",
        "import sys, x\ndef f():\n    return x, sys._getframe(1).f_globals['__name__']\n",
    ] {
        assert_eq!(rule(app, ""), None, "{app}");
    }
}

#[test]
fn a_star_import_in_a_text_is_one() {
    let lib = ("lib.py", "import y\ndef f():\n    return y\n");
    let of_lib = |app: &str| {
        let tree = Tree::new(&[("app.py", app), lib, ("y.py", "")]);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        candidates.named("lib", "y").unwrap().refusal.as_ref().map(|refusal| refusal.rule)
    };
    assert_eq!(of_lib("exec('from lib import *', {})\n"), Some(Rule::StarImported));
    assert_eq!(of_lib("exec('import lib', {})\n"), None);
}

#[test]
fn what_may_warn_while_it_loads_is_tried_where_filters_change() {
    let app = "import warnings, x\ndef f():\n    with warnings.catch_warnings():\n        warnings.simplefilter('error')\n        return x\n";
    let may_warn = |app: &str, x: &str| {
        let analyses = Tree::new(&[("app.py", app), ("x.py", x)]).analyses(PythonVersion::new(3, 12));
        let candidates = Candidates::find(&analyses, &BTreeSet::from(["app".to_owned()]), &BTreeSet::new());
        let x = candidates.named("app", "x").unwrap();
        assert_eq!(x.refusal, None, "{app}");
        x.may_warn.clone()
    };
    let told = may_warn(app, "import warnings\nwarnings.warn('old')\n");
    assert_eq!(told.unwrap(), "`x` may read what becomes of warnings, which app.py:3 changes");
    assert!(may_warn(app, "import telnetlib\n").is_some());
    assert_eq!(may_warn(app, "import warnings\ndef f():\n    warnings.warn('old')\n"), None);
    let before = "import warnings\nwarnings.simplefilter('error')\nimport x\ndef f():\n    return x\n";
    assert_eq!(may_warn(before, "import warnings\nwarnings.warn('old')\n"), None);
}

#[test]
fn the_environment_is_changed_under_any_name() {
    let reads = "import os\nSTAGE = os.environ.get('STAGE')\n";
    for change in [
        "env['STAGE'] = 'a'",
        "env.setdefault('STAGE', 'a')",
        "renamed.update(STAGE='a')",
        "os.environ |= {'STAGE': 'a'}",
        "os.environ = {}",
        "os.environb[b'STAGE'] = b'a'",
        "os.putenv('STAGE', 'a')",
        "mock.patch.dict(os.environ, {'STAGE': 'a'}).start()",
        "mock.patch.dict('os.environ', {'STAGE': 'a'}).start()",
    ] {
        let app = format!(
            "import os, x\nfrom os import environ as renamed\nfrom unittest import mock\nenv = os.environ\n\
             def f():\n    {change}\n    return x\n"
        );
        assert_eq!(rule(&app, reads), Some(Rule::EnvironmentChanges), "{change}");
        assert_eq!(rule(&app, "A = 1\n"), None, "{change}");
    }
}

#[test]
fn a_library_reads_what_its_body_does_not_what_its_functions_may() {
    let cache = "import os\nclass Cache:\n    FOLDER = os.path.expanduser('~/cache')\n    def __init__(self, env=None):\n        self.env = env or os.environ\ndef find(): return os.getenv('STAGE')\n";
    let rule = |variable: &str, lib: &str| {
        let app =
            format!("import os, lib as x\ndef f():\n    os.environ['{variable}'] = 'a'\n    return x\n");
        judged(&app, &[("lib.py", lib)]).0
    };
    assert_eq!(rule("STAGE", cache), None);
    let changes = Some(Rule::EnvironmentChanges);
    assert_eq!(rule("HOME", cache), changes);
    assert_eq!(rule("STAGE", &format!("{cache}CACHE = Cache()\n")), changes);
    assert_eq!(rule("STAGE", &format!("{cache}FOUND = find()\n")), changes);
    assert_eq!(rule("STAGE", &format!("import y\n{cache}y.run(find)\n")), changes);
}

#[test]
fn what_a_handler_replaces_was_taken_before() {
    let rule = |change: &str| {
        let app = format!(
            "import lib\nfrom unittest import mock\nfrom lib import x\ndef f(e):\n    {change}\n    return x\n"
        );
        judged(&app, &[("lib.py", "x = 1\n")]).0
    };
    for change in [
        "mock.patch('lib.x', 1).start()",
        "mock.patch.object(lib, 'x', 1).start()",
        "setattr(lib, 'x', 1)",
        "setattr(lib, e, 1)",
        "lib.x = 1",
    ] {
        assert_eq!(rule(change), Some(Rule::Unsettled), "{change}");
    }
    for change in ["mock.patch('lib.y', 1).start()", "lib.x.y = 1", "lib.y = 1"] {
        assert_eq!(rule(change), None, "{change}");
    }
}

#[test]
fn another_module_may_be_found_later() {
    let rule =
        |change: &str| rule(&format!("import sys, x\ndef f():\n    {change}\n    return x\n"), "import y\n");
    for change in [
        "sys.path.insert(0, '/tmp')",
        "sys.path = []",
        "sys.path[:0] = ['/tmp']",
        "sys.modules['x'] = 1",
        "sys.modules['y'] = 1",
        "del sys.modules['x']",
        "sys.modules.pop('x', None)",
        "sys.modules.clear()",
    ] {
        assert_eq!(rule(change), Some(Rule::EnvironmentChanges), "{change}");
    }
    for change in ["sys.path.append('/tmp')", "sys.modules['z'] = 1", "sys.modules.get('x')"] {
        assert_eq!(rule(change), None, "{change}");
    }
    let body = "import sys\nsys.path.insert(0, 'more')\nimport x\ndef f():\n    return x\n";
    assert_eq!(self::rule(body, ""), None, "every event finds it so");
}

#[test]
fn calls_may_be_too_deep_for_an_import() {
    let rule = |use_it: &str| rule(&format!("import sys, x\ndef f():\n    {use_it}\n    return x\n"), "");
    assert_eq!(rule("sys.setrecursionlimit(90)"), Some(Rule::EnvironmentChanges));
    assert_eq!(rule("try: g()\n    except RecursionError: pass"), Some(Rule::EnvironmentChanges));
    assert_eq!(rule("try: g()\n    except ValueError: pass"), None);
}

#[test]
fn what_functions_change_was_read_before() {
    let ids = (
        "ids.py",
        "N = 0\nITEMS = []\ndef next_id():\n    global N\n    N += 1\n    return N\ndef add(a):\n    ITEMS.append(a)\ndef same(a):\n    return a\n",
    );
    let rule =
        |x: &str| judged("import ids, x\ndef f():\n    return ids.next_id(), x\n", &[("x.py", x), ids]).0;
    for x in [
        "import ids\nID = ids.next_id()\n",
        "from ids import next_id\nID = next_id()\n",
        "import ids\nCOUNT = len(ids.ITEMS)\n",
        "from ids import ITEMS\nCOUNT = len(ITEMS)\n",
        "from ids import N\n",
    ] {
        assert_eq!(rule(x), Some(Rule::EnvironmentChanges), "{x}");
    }
    for x in [
        "import ids\nID = ids.same(1)\n",
        "import ids\ndef f():\n    return ids.next_id()\n",
        "from ids import ITEMS\ndef f():\n    return ITEMS\n",
    ] {
        assert_eq!(rule(x), None, "{x}");
    }
}

#[test]
fn numbers_are_drawn_in_their_order() {
    let app = "import random\nrandom.seed(1)\nimport x\ndef f():\n    return random.random(), x\n";
    assert_eq!(rule(app, "import random\nA = random.random()\n"), Some(Rule::EnvironmentChanges));
    assert_eq!(rule(app, "import random\ndef f():\n    return random.random()\n"), None);
}

#[test]
fn what_the_function_sets_after_its_imports_is_not_there_for_them() {
    let after = |change: &str| {
        format!("import decimal, json, logging.config, os, random, x\n{change}\ndef f():\n    return x\n")
    };
    for (change, reads) in [
        ("logging.config.dictConfig({'version': 1})", "import logging\nlog = logging.getLogger(__name__)\n"),
        ("logging.setLoggerClass(object)", "import logging\nlog = logging.getLogger(__name__)\n"),
        ("random.seed(7)", "import random\nA = random.random()\n"),
        ("decimal.getcontext().prec = 6", "from decimal import Decimal\nA = Decimal(1) / 3\n"),
        ("os.chdir('/tmp')", "import os\nA = os.getcwd()\n"),
        ("json.dumps = print", "from json import dumps\n"),
    ] {
        assert_eq!(library_rule(&after(change), reads), Some(Rule::EnvironmentChanges), "{change}");
        // Before the import it has happened for both.
        let first = format!(
            "import decimal, json, logging.config, os, random\n{change}\nimport x\ndef f():\n    return x\n"
        );
        let ordered = change.contains("seed");
        assert_eq!(library_rule(&first, reads).is_some(), ordered, "{change}");
        assert_eq!(library_rule(&after(change), "A = 1\n"), None, "{change}");
    }
    let kept = after("logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})");
    assert_eq!(library_rule(&kept, "import logging\nlog = logging.getLogger(__name__)\n"), None);
}

/// Why an import of the library `x` stays, in its user.
fn library_rule(app: &str, x: &str) -> Option<Rule> {
    let tree = Tree::new(&[("app.py", app), ("x.py", x)]);
    tree.candidates(PythonVersion::new(3, 12))
        .named("app", "x")
        .unwrap()
        .refusal
        .as_ref()
        .map(|refusal| refusal.rule)
}

#[test]
fn the_zone_and_the_locale_of_the_moment_count() {
    for change in ["time.tzset()", "locale.setlocale(locale.LC_ALL, 'C')"] {
        let app = format!("import locale, time, x\ndef f():\n    {change}\n    return x\n");
        let reads = "import datetime\nA = datetime.datetime.fromtimestamp(0)\n";
        assert_eq!(rule(&app, reads), Some(Rule::EnvironmentChanges), "{change}");
        assert_eq!(rule(&app, "import datetime\ndef f():\n    return datetime.date(1, 1, 1)\n"), None);
    }
}

#[test]
fn a_look_at_temporary_files_is_left_to_the_replays() {
    let unproved = |x: &str| judged("import x\ndef f():\n    return x\n", &[("x.py", x)]).1;
    let why = unproved("import os\nA = os.path.exists('/tmp/a')\n");
    assert!(why.is_some_and(|why| why.contains("temporary files")));
    assert_eq!(unproved("import os\nA = open('data.txt').read()\n"), None);
    assert_eq!(unproved("import os\ndef f():\n    return os.path.exists('/tmp/a')\n"), None);
}
