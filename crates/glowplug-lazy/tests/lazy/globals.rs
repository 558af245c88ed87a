//! Values of the user's own modules that are made at their first use: `client = maker.Client("s3")`.

use std::collections::BTreeSet;

use glowplug_core::PythonVersion;
use glowplug_lazy::{Candidates, Rule};

use crate::support::{Tree, pythons};

/// In the place of boto3, whose constructors are known: it says when it is loaded and when something is made of it.
const MAKER: &str = "print('maker is loaded')\nclass Client:\n    def __init__(self, name, **options):\n        if name == 'broken':\n            raise ValueError('no such service')\n        print('made', name, sorted(options))\n        self.name = name\n    def call(self):\n        return self.name.upper()\n    def Table(self, name):\n        return Client(self.name + '.' + name)\nresource = Client\n";

const APP: &str = "import os\nimport boto3 as maker\n\nREGION = os.environ.get('NO_SUCH', 'north')\nOPTIONS = {'region': REGION}\nclient = maker.resource('s3', **OPTIONS)\ntable: object = client.Table(\n    'orders',\n)\n\ndef light():\n    return 1\n\ndef use():\n    return client.call(), table.call(), [table.name for _ in range(2)], f'{client.name!r}'\n";

#[test]
fn a_value_is_made_at_its_first_use_and_once_with_what_it_needs() {
    let tree = Tree::new(&[("boto3.py", MAKER), ("app.py", APP)]);
    let script = "import app, sys\nprint(app.light(), 'boto3' in sys.modules)\nprint(app.use(), app.use() == app.use(), app.__annotations__)\n";
    for (before, after) in tree.compare(None, script) {
        let made = "maker is loaded\nmade s3 ['region']\nmade s3.orders []\n";
        let used =
            "('S3', 'S3.ORDERS', ['s3.orders', 's3.orders'], \"'s3'\") True {'table': <class 'object'>}\n";
        assert_eq!(before, format!("{made}1 True\n{used}"));
        assert_eq!(after, format!("1 False\n{made}{used}"));
    }
}

#[test]
fn patterns_of_libraries_wait_and_nothing_else_that_they_make() {
    let lib = "import re\n_DIGIT = '[0-9]'\nNUMBER = re.compile('^' + _DIGIT + '+$')\nmatch = re.compile(r'\\w+').match\n\
               table = dict(a=1)\n\ndef is_number(text):\n    return bool(NUMBER.match(text)), bool(match(text)), table\n";
    let tree = Tree::new(&[("lib.py", lib), ("app.py", "import lib\n")]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let globals = candidates.all().filter(|c| c.is_global() && c.refusal.is_none());
    assert_eq!(globals.map(|c| c.name.as_str()).collect::<Vec<_>>(), ["NUMBER", "match"]);
    let script = "import lib\nprint('NUMBER' in vars(lib), lib.is_number('12'), lib.is_number('!'), lib.NUMBER is lib.NUMBER)\n\
                  print('NUMBER' in vars(lib), lib.match.__self__.pattern)\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before.replacen("True", "False", 1), after);
    }
}

#[test]
fn an_import_that_only_a_value_uses_waits_with_it_or_not_at_all() {
    let tree = Tree::new(&[("boto3.py", MAKER), ("app.py", APP)]);
    let script = "import app, sys\nprint('boto3' in sys.modules)\n";
    let loaded = |names: &[&str]| tree.compare(Some(names), script).remove(0).1.ends_with("True\n");
    assert!(!loaded(&["app:maker", "app:client", "app:table"]));
    assert!(loaded(&["app:maker"]), "nothing else waits");
    assert!(loaded(&["app:maker", "app:client"]), "`table` is made of `client` at once");
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let all = ids(&["global:app.py:client", "global:app.py:table", "lazy:app.py:maker"]);
    assert_eq!(candidates.effective(&all), all);
    assert_eq!(
        candidates.effective(&ids(&["global:app.py:client", "lazy:app.py:maker"])),
        ids(&[]),
        "both hang on `table`"
    );
    assert_eq!(candidates.effective(&ids(&["global:app.py:table"])), ids(&["global:app.py:table"]));
}

#[test]
fn others_see_the_value_through_the_module_and_may_replace_it() {
    let tree = Tree::new(&[
        ("boto3.py", MAKER),
        ("app.py", APP),
        (
            "other.py",
            "from app import table\nimport app\nprint(app.client is app.client, table is app.table)\n",
        ),
    ]);
    let names = ["app:client", "app:table"];
    tree.same(Some(&names), "import other\n");
    let mocked = "import app\nfrom unittest import mock\nwith mock.patch('app.table') as table:\n    table.call.return_value = 'fake'\n    table.name = 'n'\n    print(app.use())\nprint(app.use(), 'client' in dir(app), hasattr(app, 'table'), hasattr(app, 'no'))\n";
    tree.same(Some(&names), mocked);
    // An assignment from outside wins, and nothing is made.
    let assigned = "import app, types\napp.client = app.table = types.SimpleNamespace(name='x', call=lambda: 'y')\nprint(app.use())\n";
    for (_, after) in tree.compare(Some(&names), assigned) {
        assert_eq!(after, "maker is loaded\n('y', 'y', ['x', 'x'], \"'x'\")\n");
    }
}

#[test]
fn a_value_that_fails_fails_at_each_use_with_its_own_error_and_shows_both_places() {
    let app = "import boto3\nclient = boto3.resource('broken')\n\ndef use():\n    return client\n";
    let tree = Tree::new(&[("boto3.py", MAKER), ("app.py", app)]);
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let script = "import app, traceback\nfor _ in range(2):\n    try:\n        app.use()\n    except ValueError:\n        print(traceback.format_exc())\n";
        let output = String::from_utf8(tree.run(python, script).stdout).unwrap();
        assert_eq!(output.matches("ValueError: no such service").count(), 2, "{output}");
        for place in
            ["line 5, in use\n    return client", "line 2, in", "    client = boto3.resource('broken')"]
        {
            assert_eq!(output.matches(place).count(), 2, "{place}: {output}");
        }
    }
}

#[test]
fn threads_that_race_for_a_first_use_share_one_value() {
    let maker = "import time\nclass Client:\n    def __init__(self):\n        print('made')\n        time.sleep(0.05)\n";
    let app = "import maker\nclient = maker.Client()\nother = maker.Client()\n\ndef use(n):\n    return (client, other)[n % 2]\n";
    let tree = Tree::new(&[("maker.py", maker), ("app.py", app)]);
    let script = "import app\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    print(len(set(map(id, pool.map(app.use, range(32))))))\n";
    for (before, after) in tree.compare(None, script) {
        assert_eq!(before, "made\nmade\n2\n");
        assert_eq!(after, before);
    }
}

#[test]
fn a_value_and_a_module_that_wait_for_each_other_in_two_threads_are_found_out() {
    let app = "import maker\nLATE = False\nvalue = maker.make()\n";
    let maker = "import time\ndef make():\n    import app\n    if app.LATE:\n        time.sleep(0.2)\n        import slow\n    return 7\n";
    let slow = "import time, app\ntime.sleep(0.4)\nseen = app.value\n";
    let tree = Tree::new(&[("maker.py", maker), ("app.py", app), ("slow.py", slow)]);
    let script = "import app, threading\napp.LATE = True\ndef load():\n    import slow\nthreads = [threading.Thread(target=t, daemon=True) for t in (lambda: app.value, load)]\n[t.start() for t in threads]\n[t.join(60) for t in threads]\nprint([t.is_alive() for t in threads], app.value)\n";
    for (_, after) in tree.compare(Some(&["app:value"]), script) {
        assert_eq!(after, "[False, False] 7\n");
    }
}

fn rule(app: &str, name: &str) -> Option<Rule> {
    let tree = Tree::new(&[("app.py", app), ("boto3.py", ""), ("x.py", "")]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    candidates.named("app", name).unwrap().refusal.as_ref().map(|refusal| refusal.rule)
}

#[test]
fn each_rule_refuses_a_value() {
    for (expected, app) in [
        (None, "import boto3\nc = boto3.client('s3')\ndef f():\n    return c\n"),
        (None, "import boto3\nc = boto3.client('s3')\n"),
        (Some(Rule::UsedAtImport), "import boto3\nc = boto3.client('s3')\nd = c\n"),
        (Some(Rule::UsedAtImport), "import boto3\nc = boto3.client('s3')\ndef f(c=c):\n    pass\n"),
        (Some(Rule::UsedAtImport), "import boto3\nc = boto3.client('s3')\n@c.on('x')\ndef f():\n    pass\n"),
        (Some(Rule::Rebound), "import boto3\nc = boto3.client('s3')\nc = boto3.client('sqs')\n"),
        (Some(Rule::Rebound), "import boto3\nc = boto3.client('s3')\nif boto3:\n    c = None\n"),
        (
            Some(Rule::DeclaredGlobal),
            "import boto3\nc = boto3.client('s3')\ndef f():\n    global c\n    c = 1\n",
        ),
        (
            Some(Rule::SelfDocumentingFString),
            "import boto3\nc = boto3.client('s3')\ndef f():\n    return f'{c=}'\n",
        ),
        (
            Some(Rule::ReadsNamespace),
            "import boto3\nc = boto3.client('s3')\ndef f():\n    return globals()['c']\n",
        ),
        (Some(Rule::Unsettled), "import boto3\nR = 1\nc = boto3.client(R)\nR = 2\n"),
        (Some(Rule::Unsettled), "import boto3\nO = {}\nc = boto3.client(O)\ndef f():\n    O['a'] = 1\n"),
        (Some(Rule::FollowsStar), "import boto3\nfrom x import *\nc = boto3.client()\n"),
        (
            Some(Rule::ConfiguredLater),
            "import boto3\nc = boto3.client('s3')\nboto3.setup_default_session()\n",
        ),
        (None, "import boto3\nboto3.setup_default_session()\nc = boto3.client('s3')\n"),
        (Some(Rule::EnvironmentChanges), "import boto3, os\nc = boto3.client('s3')\nos.environ['A'] = 'b'\n"),
        (None, "import boto3, os\nos.environ.setdefault('A', 'b')\nc = boto3.client('s3')\n"),
        (
            Some(Rule::EnvironmentChanges),
            "import boto3, os\nc = boto3.client('s3')\ndef f(e):\n    os.environ['R'] = e\n",
        ),
    ] {
        assert_eq!(rule(app, "c"), expected, "{app}");
    }
}

#[test]
fn what_only_a_replay_can_support_is_told() {
    let unproved = |app: &str| {
        let tree = Tree::new(&[("app.py", app), ("boto3.py", ""), ("x.py", "")]);
        tree.candidates(PythonVersion::new(3, 12)).named("app", "c").unwrap().unproved.clone()
    };
    assert_eq!(unproved("import boto3\nc = boto3.client('s3')\n"), None);
    assert!(unproved("import x\nc = x.connect()\n").unwrap().contains("x.connect()"));
    assert!(unproved("import time\nc = time.time()\n").unwrap().contains("time"));
    assert!(unproved("import uuid\nc = str(uuid.uuid4())\n").unwrap().contains("random"));
}

#[test]
fn libraries_make_their_values_at_once() {
    let tree = Tree::new(&[("lib.py", "import boto3\nc = boto3.client('s3')\n"), ("boto3.py", "")]);
    assert!(tree.candidates(PythonVersion::new(3, 12)).named("lib", "c").is_none());
}

#[test]
fn the_diff_says_when_a_value_is_made() {
    let source = "import boto3\n\ns3 = boto3.client(\n    's3',\n)\n\n\ndef f():\n    return s3\n";
    let tree = Tree::new(&[("app.py", source), ("boto3.py", "")]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let lazy = candidates.ids().map(str::to_owned).collect();
    insta::assert_snapshot!(candidates.diff(&lazy, &|_| source.to_owned()), @r"
    --- a/app.py
    +++ b/app.py
    @@ -1,2 +1,2 @@
    -import boto3
    +lazy import boto3
     
    @@ -4,3 +4,3 @@
         's3',
    -)
    +)  # runs at the first use of the name
     
    ");
}

#[test]
fn what_a_handler_changes_is_not_taken_later() {
    let rule = |app: &str, name: &str| {
        let lib = "import re\nWORDS = ['a']\nWORD = re.compile('|'.join(WORDS))\ndef f():\n    return WORD\n";
        let analyses = Tree::new(&[("app.py", app), ("lib.py", lib)]).analyses(PythonVersion::new(3, 12));
        let own = analyses.keys().cloned().collect();
        let candidates = Candidates::find(&analyses, &own, &BTreeSet::new());
        let module = if name == "WORD" { "lib" } else { "app" };
        candidates.named(module, name).unwrap().refusal.as_ref().map(|refusal| refusal.rule)
    };
    let handler =
        |line: &str| format!("import boto3, lib\nc = boto3.client('s3')\ndef handler(e, x):\n    {line}\n");
    for line in
        ["boto3.setup_default_session(region_name='a')", "boto3.DEFAULT_SESSION.events.register('a', 1)"]
    {
        assert_eq!(rule(&handler(line), "c"), Some(Rule::Unsettled), "{line}");
    }
    assert_eq!(rule(&handler("return c, boto3.client('sqs')"), "c"), None);
    assert_eq!(rule(&handler("lib.WORDS.append('b')"), "WORD"), Some(Rule::Unsettled));
    assert_eq!(rule(&handler("lib.WORDS = []"), "WORD"), Some(Rule::Unsettled));
    assert_eq!(rule(&handler("return lib.f()"), "WORD"), None);
}

#[test]
fn a_module_that_is_loaded_again_makes_its_values_again() {
    let app = "import os\nimport boto3\nclient = boto3.resource(os.environ['NAME'])\n\ndef use():\n    return client.name\n";
    let tree = Tree::new(&[("boto3.py", MAKER), ("app.py", app)]);
    let script = "import importlib, os, sys\nos.environ['NAME'] = 'a'\nimport app\nprint('used', app.use())\n\
                  os.environ['NAME'] = 'b'\nimportlib.reload(app)\nprint('used', app.use())\n\
                  os.environ['NAME'] = 'c'\ndel sys.modules['app']\nimport app\nprint('used', app.use())\n";
    for (before, after) in tree.compare(None, script) {
        let used =
            |output: &str| output.lines().filter(|l| l.starts_with("used")).collect::<Vec<_>>().join(" ");
        assert_eq!((used(&before), used(&after).as_str()), (used(&after), "used a used b used c"));
    }
}

#[test]
fn a_package_that_another_module_configures_afterwards_keeps_its_values_early() {
    let rule = |app: &str| {
        let session = "import boto3\nboto3.setup_default_session(region_name='a')\n";
        let analyses =
            Tree::new(&[("app.py", app), ("session.py", session)]).analyses(PythonVersion::new(3, 12));
        let own = analyses.keys().cloned().collect();
        let candidates = Candidates::find(&analyses, &own, &BTreeSet::new());
        candidates.named("app", "c").unwrap().refusal.as_ref().map(|refusal| refusal.rule)
    };
    assert_eq!(rule("import boto3\nimport session\nc = boto3.client('s3')\n"), None);
    assert_eq!(rule("import boto3\nc = boto3.client('s3')\nimport session\n"), Some(Rule::ConfiguredLater));
}

/// Stands in for a library of sessions.
const SESSIONS: &str = r"
class Session:
    def __init__(self):
        print('session')
        self.headers, self.adapters, self.hooks, self.verify = {}, {}, {'response': []}, True
    def mount(self, prefix, adapter):
        if prefix == 'broken':
            raise ValueError(prefix)
        self.adapters[prefix] = adapter
";

const ADAPTERS: &str =
    "class HTTPAdapter:\n    def __init__(self, retries=0):\n        print('adapter', retries)\n";

#[test]
fn what_sets_a_value_up_runs_with_it() {
    let app = "import requests\nfrom requests.adapters import HTTPAdapter\n\nsession = requests.Session()\nTIMES = 3\nadapter = HTTPAdapter(retries=TIMES)\n\
def seen(response):\n    return 'seen ' + response\n\
session.headers.update({'agent': f'app/{TIMES}'})\nsession.verify = False\nsession.hooks['response'].append(seen)\n\
session.mount('https://', adapter)\nsession.mount('http://', HTTPAdapter())\nprint('app is loaded')\n\n\
def use():\n    return session.headers, session.verify, session.hooks['response'][0]('x'), sorted(session.adapters), session.adapters['https://'] is adapter\n";
    let tree =
        Tree::new(&[("requests/__init__.py", SESSIONS), ("requests/adapters.py", ADAPTERS), ("app.py", app)]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    for name in ["session", "adapter"] {
        let candidate = candidates.named("app", name).unwrap();
        assert!(candidate.refusal.is_none() && candidate.unproved.is_none(), "{candidate:?}");
    }
    let script = "import app\nprint('ready')\nprint(app.use())\nprint(app.session.headers, app.use())\n";
    for (before, after) in tree.compare(None, script) {
        let (of_app, of_use) = before.split_once("app is loaded\nready\n").unwrap();
        assert!(after.starts_with("app is loaded\nready\n"), "{after}");
        let (made, said): (Vec<&str>, Vec<&str>) =
            after.lines().skip(2).partition(|line| line.starts_with("adapter") || *line == "session");
        assert_eq!(said, of_use.lines().collect::<Vec<_>>());
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let owned = |lines: Vec<&str>| sorted(lines.into_iter().map(str::to_owned).collect());
        assert_eq!(owned(made), owned(of_app.lines().collect()));
    }
}

#[test]
fn a_value_whose_set_up_fails_is_not_seen_half_made() {
    let app = "import requests\nsession = requests.Session()\nsession.verify = False\nsession.mount('broken', 1)\n\ndef use():\n    return session.verify\n";
    let tree =
        Tree::new(&[("requests/__init__.py", SESSIONS), ("requests/adapters.py", ADAPTERS), ("app.py", app)]);
    for python in pythons() {
        tree.compile(python, &tree.edits(python.version, None));
        let script = "import app, traceback\nfor _ in range(2):\n    try:\n        app.use()\n    except ValueError:\n        print(traceback.format_exc())\n    print('session' in vars(app))\n";
        let output = String::from_utf8(tree.run(python, script).stdout).unwrap();
        assert_eq!(output.matches("app.py\", line 4, in").count(), 2, "{output}");
        assert_eq!(output.matches("    session.mount('broken', 1)").count(), 2, "{output}");
        assert_eq!(output.lines().filter(|line| *line == "False").count(), 2, "{output}");
    }
}

#[test]
fn each_rule_refuses_what_sets_a_value_up() {
    let rule = |app: &str| {
        let tree = Tree::new(&[("app.py", app), ("requests.py", ""), ("jinja2.py", "")]);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        let session = candidates.named("app", "s").unwrap();
        session
            .refusal
            .as_ref()
            .map(|refusal| refusal.rule)
            .or(session.unproved.as_ref().map(|_| Rule::ForItsEffect))
    };
    for (expected, lines) in [
        (None, "s.headers.update(a=1)\ns.trust_env = False\ns.proxies['a'] = 'b'\n"),
        (None, "H = {'a': 1}\ns.headers.update(H)\n"),
        (None, "a = requests.adapters.HTTPAdapter()\na.x = 1\ns.mount('a', a)\n"),
        (Some(Rule::Unsettled), "a = requests.adapters.HTTPAdapter()\ns.mount('a', a)\na.x = 1\n"),
        // What is called is not known to keep to the value.
        (Some(Rule::UsedAtImport), "s.get('https://a')\n"),
        (Some(Rule::UsedAtImport), "s.update(a=1)\n"),
        (Some(Rule::UsedAtImport), "print(s)\ns.trust_env = False\n"),
        (Some(Rule::UsedAtImport), "if s:\n    s.trust_env = False\n"),
        (Some(Rule::UsedAtImport), "s.x = s\n"),
        (Some(Rule::UsedAtImport), "s.hooks['a'] = lambda: 1\n"),
        (Some(Rule::ForItsEffect), "s.headers.update(open('x', 'w'))\n"),
        // Something else may be meant when it runs.
        (Some(Rule::Unsettled), "H = {}\ns.headers.update(H)\ndef f():\n    H['a'] = 1\n"),
        (Some(Rule::Unsettled), "H = 1\ns.x = H\nH = 2\n"),
        (Some(Rule::ConfiguredLater), "s.x = 1\nrequests.y = 2\n"),
        // Two values that wait for each other.
        (Some(Rule::UsedAtImport), "a = requests.Session()\na.x = s\ns.x = a\n"),
        // What was made from it in between saw it without that.
        (
            Some(Rule::UsedAtImport),
            "b = requests.Session()\nb.headers.update(s.headers)\ns.headers['a'] = 'secret'\n",
        ),
        // A part of it is another one's.
        (
            Some(Rule::UsedAtImport),
            "b = requests.Session()\ns.cookies = b.cookies\ns.cookies.set('a', 'b')\n",
        ),
        (
            Some(Rule::UsedAtImport),
            "a = requests.adapters.HTTPAdapter()\ns.mount('a', a)\ns.adapters['a'].x = 1\n",
        ),
        (None, "a = requests.adapters.HTTPAdapter()\ns.mount('a', a)\ns.headers.update(b=1)\n"),
        // Others hold it.
        (Some(Rule::UsedAtImport), "b = s.y\nb.x = 1\nprint(b)\n"),
    ] {
        let app = format!("import requests\ns = requests.Session()\n{lines}def g():\n    return s\n");
        assert_eq!(rule(&app), expected, "{app}");
    }
    let loader =
        "import jinja2\nl = jinja2.DictLoader()\ns = jinja2.Environment(loader=l)\ns.filters['a'] = 1\n";
    assert_eq!(rule(&format!("{loader}def g():\n    return s\n")), None);
    let shared = format!("{loader}s.loader.mapping['b'] = 'c'\ndef g():\n    return s\n");
    assert_eq!(rule(&shared), Some(Rule::UsedAtImport));
    assert_eq!(rule("import requests\ns = requests.make()\ns.x = 1\n"), Some(Rule::ForItsEffect));
    let part =
        "import requests\nt = requests.Session()\ns = t.adapters\ns['x'] = 1\ndef g():\n    return s\n";
    assert_eq!(rule(part), Some(Rule::UsedAtImport), "a part of another value is seen through that one");
}

#[test]
fn what_a_value_is_made_from_may_be_set_up_later() {
    let rule = |lines: &str| {
        let app = format!("import requests, jinja2, itertools, os, ssl\n{lines}\ndef use():\n    return v\n");
        let tree = Tree::new(&[("app.py", &app), ("requests.py", ""), ("jinja2.py", "")]);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        let value = candidates.named("app", "v").unwrap();
        value
            .refusal
            .as_ref()
            .map(|refusal| refusal.rule)
            .or(value.unproved.as_ref().map(|_| Rule::ForItsEffect))
    };
    let env = "env = jinja2.Environment()\nv = env.from_string('a')\n";
    assert_eq!(rule(env), None);
    assert_eq!(rule(&format!("{env}env.trim_blocks = False")), Some(Rule::Unsettled));
    assert_eq!(rule(&format!("{env}def f():\n    env.trim_blocks = False")), Some(Rule::Unsettled));
    let class = "class C:\n    a = 1\nv = requests.Session()\nv.x = C.a\n";
    assert_eq!(rule(class), None);
    assert_eq!(rule(&format!("{class}C.a = 2")), Some(Rule::Unsettled));
    assert_eq!(rule(&format!("{class}def f():\n    C.a = 2")), Some(Rule::Unsettled));
    let next = "n = itertools.count()\nv = requests.Session()\nv.x = next(n)\n";
    assert_eq!(rule(next), Some(Rule::ForItsEffect));
    let file = "v = open('words')";
    assert_eq!(rule(file), None);
    for file in
        [file, "v = ssl.create_default_context(cafile='a')", "v = requests.Session()\nv.load_cert_chain('a')"]
    {
        let app = format!("{file}\ndef f():\n    os.chdir('/tmp')");
        assert_eq!(rule(&app), Some(Rule::EnvironmentChanges), "{app}");
    }
}
