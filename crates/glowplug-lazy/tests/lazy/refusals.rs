//! Every soundness rule, by the smallest module that breaks it.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::PythonVersion;
use glowplug_lazy::{Candidates, Rule};

use crate::support::Tree;

fn judged(candidates: &Candidates) -> BTreeMap<String, Option<Rule>> {
    candidates
        .all()
        .map(|c| (format!("{}:{}", c.module, c.name), c.refusal.as_ref().map(|refusal| refusal.rule)))
        .collect()
}

fn rule_of(source: &str) -> Option<Rule> {
    let tree = Tree::new(&[("app.py", source), ("x.py", "A = 1\n")]);
    judged(&tree.candidates(PythonVersion::new(3, 12)))["app:x"]
}

#[test]
fn each_rule_refuses() {
    for (rule, source) in [
        (Rule::Nested, "try:\n    import x\nexcept ImportError:\n    pass\ndef f():\n    return x\n"),
        (Rule::Nested, "with open('f') as f:\n    import x\n"),
        (Rule::Nested, "if 1:\n    import x\ndef f():\n    return x\n"),
        (Rule::Rebound, "import x\nx = 2\n"),
        (Rule::Rebound, "import x\ndel x\n"),
        (Rule::Rebound, "import x\nfor x in []:\n    pass\n"),
        (Rule::Rebound, "import x\ndef x():\n    pass\n"),
        (Rule::Rebound, "import x\n[x := 1 for _ in 'a']\n"),
        (Rule::Rebound, "import x\nmatch 1:\n    case x:\n        pass\n"),
        (Rule::DeclaredGlobal, "import x\ndef f():\n    global x\n    x = 1\n"),
        (Rule::Pattern, "import x\ndef f(v):\n    match v:\n        case x.A:\n            return 1\n"),
        (Rule::Pattern, "import x\ndef f(v):\n    match v:\n        case x.A():\n            return 1\n"),
        (Rule::SelfDocumentingFString, "import x\ndef f():\n    return f'{x.A=}'\n"),
        (Rule::ClassScope, "import x\ndef f():\n    class C:\n        y = x\n        x = 1\n"),
        (Rule::ReadsNamespace, "import x\ndef f():\n    return globals()['x']\n"),
        (Rule::ReadsNamespace, "import x\nvars()\n"),
        (Rule::ReadsNamespace, "import x\ndef f(n):\n    return __import__(n, f(globals()))\n"),
        (Rule::ReadsNamespace, "import x, sys\nthis = sys.modules[__name__]\nprint(this)\n"),
        (
            Rule::ReadsNamespace,
            "import x, sys\nthis = sys.modules[__name__]\ndef f():\n    return vars(this)\n",
        ),
        (
            Rule::ReadsNamespace,
            "import x, sys\ndef f():\n    this = sys.modules[__name__]\n    return lambda: this.__dict__\n",
        ),
        (Rule::ReadsNamespace, "import x, sys\nclass C:\n    this = sys.modules[__name__]\n"),
        (Rule::ReadsNamespace, "import x, sys\ndef f(globals):\n    return globals\nglobals()\n"),
        (Rule::ReadsNamespace, "import x\ndef f():\n    return globals().get('x')\n"),
        (Rule::FollowsListing, "__all__ = dir()\nimport x\ndef f():\n    return x\n"),
        (Rule::ReadsNamespace, "import x\ndef f():\n    return eval('x')\n"),
        (Rule::ReadsNamespace, "import x, sys\ndef f():\n    return sys.modules[__name__].__dict__\n"),
        (Rule::ReplacesItself, "import x, sys\nsys.modules[__name__] = x\n"),
        (Rule::ConditionalGetattr, "import x\nif 1:\n    def __getattr__(n):\n        return x\n"),
        (Rule::UsedAtImport, "import x\ny = x.A, 1\n"),
        (Rule::UsedAtImport, "import x\n@x.decorate\ndef f():\n    pass\n"),
        (Rule::UsedAtImport, "import x\ndef f(a=x.A):\n    pass\n"),
        (Rule::UsedAtImport, "import x\nclass C(x.Base):\n    pass\nC()\n"),
        (Rule::UsedAtImport, "import x\nclass C:\n    y = x.A\nC()\n"),
        (Rule::UsedAtImport, "import x\ny = [x.A for _ in 'a']\n"),
        (Rule::UsedAtImport, "import x\nif x.A:\n    pass\n"),
        (Rule::UsedAtImport, "import x\ndef f(a: x.A()):\n    pass\n"),
        (Rule::UsedAtImport, "import x\nclass C:\n    a: x.A\n    b: x.B()\nC()\n"),
        (Rule::UsedAtImport, "import x\nfor _ in x.A:\n    pass\n"),
        (Rule::UsedAtImport, "import x\nlambda a=x.A: a\n"),
        (
            Rule::AnnotationRead,
            "from __future__ import annotations\nimport x\nclass C(Base):\n    a: x.A\nC()\n",
        ),
        (Rule::AnnotationRead, "import x\n@register\nclass C:\n    a: 'x.A'\nC()\n"),
        (
            Rule::AnnotationRead,
            "from __future__ import annotations\nimport x\ndef g():\n    @register\n    def f(a: x.A):\n        pass\n",
        ),
        (
            Rule::AnnotationRead,
            "from __future__ import annotations\n@register\ndef f(a: x.A):\n    pass\nimport x\n",
        ),
        (Rule::Ambiguous, "import x\ndef f():\n    return f'{x} {[x for x in []]}'\n"),
        (Rule::FollowsStar, "from y import *\nimport x\ndef f():\n    return x\n"),
    ] {
        assert_eq!(rule_of(source), Some(rule), "{source}");
    }
}

#[test]
fn what_only_looks_like_it_is_allowed() {
    for source in [
        "import x\ndef f():\n    return x\n",
        "import x\nglobals()['y'] = 1\nglobals().update(z=1)\ndef f():\n    return x\n",
        "import x\n__all__ = [s for s in dir() if s]\ndef f():\n    return x\n",
        "import x\ndef __getattr__(n):\n    return globals()[n]\ndef f():\n    return x\n",
        "import x\ndef __dir__():\n    return globals().keys() | {'more'}\ndef f():\n    return x\n",
        "import x\ndef f():\n    x = 1\n    return x\ndef g():\n    return x\n",
        "import x\ndef f(x):\n    return x\n",
        "import x\ndef f(globals):\n    return globals['y'], x\n",
        "import x\nm = __import__('y', globals(), locals(), ['a'], 1)\ndef f():\n    return x\n",
        "import x\ndef f():\n    vars = locals = x.A\n    return vars(), x\n",
        "import x, sys\ndef f():\n    setattr(sys.modules[__name__], 'y', sys.modules[__name__].x)\n",
        "import x, sys\nthis = sys.modules[__name__]\nfor n in 'ab':\n    setattr(this, n, 1)\nthis.y = this.x\n",
        "import x, sys\ndef f(this):\n    return this\ndef g():\n    this = sys.modules[__name__]\n    return getattr(this, 'x')\n",
        "import x\ndef f():\n    return [x for x in 'ab']\n",
        "import x\nif __name__ == '__main__':\n    print(x)\n",
        "import x\ndef f():\n    return locals()\ndef g():\n    return exec('1', {})\n",
        "import x\ndef f():\n    del x.A\n",
        "import x\nclass C:\n    def m(self):\n        return x.A\n",
        "import x\nclass C:\n    x = 1\n    def m(self):\n        return x.A\n",
        "from typing import TYPE_CHECKING\nimport x\nif TYPE_CHECKING:\n    y: x.A\n",
        "from __future__ import annotations\nimport x\n@register\ndef f(a: x.A):\n    pass\n",
        "from __future__ import annotations\nimport x\nclass C(Base):\n    def f(self, a: x.A):\n        pass\n",
        "import x\n@register\ndef f(a: 'x.A'):\n    pass\n",
        "from __future__ import annotations\nimport x\ndef f(a: x.A):\n    pass\n",
        "import x\ndef f(a: x.A) -> x.B:\n    pass\n",
        "import x\ndef f():\n    y: x.A = 1\n",
        "import x\ndef f(v):\n    match v:\n        case 1 if x.A:\n            return 1\n",
    ] {
        assert_eq!(rule_of(source), None, "{source}");
    }
}

#[test]
fn rules_that_need_the_whole_tree() {
    let tree = Tree::new(&[
        (
            "lib/__init__.py",
            "from .part import part\nfrom . import other\nfrom .part import thing as __version__\n",
        ),
        ("lib/part.py", "def part():\n    pass\nthing = 1\n"),
        ("lib/other.py", "import effect\nfrom starred import *\n"),
        ("starred.py", "import effect\ndef f():\n    return effect\n"),
        ("listed.py", "import effect\n__all__ = ['f']\ndef f():\n    return effect\n"),
        ("effect.py", ""),
        ("app.py", "import effect\nfrom listed import *\nimport lib\ndef f():\n    return lib.other\n"),
    ]);
    let judged = judged(&tree.candidates(PythonVersion::new(3, 12)));
    assert_eq!(judged["lib:part"], Some(Rule::NamedLikeSubmodule));
    assert_eq!(judged["lib:other"], None, "the submodule itself");
    assert_eq!(judged["lib:__version__"], Some(Rule::Dunder));
    assert_eq!(judged["lib.other:effect"], Some(Rule::ForItsEffect));
    assert_eq!(judged["starred:effect"], Some(Rule::StarImported));
    assert_eq!(judged["listed:effect"], None, "a literal `__all__` says what a star gives");
    assert_eq!(judged["app:effect"], None, "in the user's own code the replay decides");
}

#[test]
fn own_modules_that_nothing_uses_are_imported_for_their_effect() {
    // `Tree` takes `app` alone for the user's own.
    let app =
        "import app, lib.part, lib.read\nfrom app import other\nimport lib\ndef f():\n    return lib.read\n";
    let tree =
        Tree::new(&[("app.py", app), ("lib/__init__.py", ""), ("lib/part.py", ""), ("lib/read.py", "")]);
    let judged = judged(&tree.candidates(PythonVersion::new(3, 12)));
    assert_eq!(judged["app:app"], Some(Rule::ForItsEffect));
    assert_eq!(judged["app:other"], Some(Rule::ForItsEffect));
    assert_eq!(judged["app:lib"], None);
}

#[test]
fn a_package_takes_its_own_submodules_for_their_effect() {
    let package = "from . import added, shown, read\n__all__ = ['shown']\n";
    let app = "import lib\ndef f():\n    return lib.read\n";
    let files = ["lib/added.py", "lib/shown.py", "lib/read.py"].map(|path| (path, ""));
    let tree = Tree::new(&[&[("app.py", app), ("lib/__init__.py", package)], &files[..]].concat());
    let judged = judged(&tree.candidates(PythonVersion::new(3, 12)));
    assert_eq!(judged["lib:added"], Some(Rule::ForItsEffect));
    assert_eq!((judged["lib:shown"], judged["lib:read"]), (None, None));
}

#[test]
fn a_name_that_its_module_binds_again_stays() {
    let app = "from lib import MODE, fixed\ndef f():\n    return MODE, fixed\n";
    let lib = "MODE = 'a'\nfixed = 1\ndef set_mode(mode):\n    global MODE\n    MODE = mode\n";
    let judged =
        judged(&Tree::new(&[("app.py", app), ("lib.py", lib)]).candidates(PythonVersion::new(3, 12)));
    assert_eq!((judged["app:MODE"], judged["app:fixed"]), (Some(Rule::Unsettled), None));
}

#[test]
fn names_in_text_stay_where_the_function_evaluates_annotations() {
    let app = "from __future__ import annotations\nimport x\nclass f:\n    a: x.A\n";
    let function = "from __future__ import annotations\nimport x\ndef f(a: x.A) -> None: ...\n";
    let reading = [
        "from typing import get_type_hints\ndef g():\n    return get_type_hints(f)\n",
        "import typing\ndef g():\n    return typing.get_type_hints(f)\n",
        "import inspect\ndef g():\n    return inspect.get_annotations(f, eval_str=True)\n",
    ];
    let rule = |app: &str, more: &str| {
        let tree = Tree::new(&[("app.py", &format!("{app}{more}")), ("x.py", "")]);
        judged(&tree.candidates(PythonVersion::new(3, 12)))["app:x"]
    };
    assert_eq!(rule(app, ""), None);
    for more in reading {
        assert_eq!(rule(app, more), Some(Rule::AnnotationRead), "{more}");
        assert_eq!(
            rule(function, more),
            None,
            "who looks into those of a function is given the names: {more}"
        );
    }
}

#[test]
fn an_import_that_can_only_fail_stays() {
    let source =
        "import greenlet, zoneinfo, boto3, lib.part\ndef f():\n    return greenlet, zoneinfo, boto3, lib\n";
    let tree = Tree::new(&[("app.py", source), ("lib/__init__.py", source), ("lib/part.py", "")]);
    let judged = judged(&tree.candidates(PythonVersion::new(3, 12)));
    assert_eq!(judged["lib:greenlet"], Some(Rule::Missing));
    for there in ["lib:zoneinfo", "lib:boto3", "lib:lib"] {
        assert_eq!(judged[there], None, "{there}");
    }
    assert_eq!(judged["app:greenlet"], None, "a layer may bring what the user's own code imports");
}

#[test]
fn a_star_import_with_a_literal_list_of_other_names_hinders_nothing() {
    let app = "from listed import *\nimport x\ndef f():\n    return x\n";
    for (listed, allowed) in [
        ("__all__ = ['f', 'g']\n", true),
        ("__all__ = ['x']\n", false),
        ("__all__ = ['f'] + more()\n", false),
        ("y = 1\n", false),
    ] {
        let tree = Tree::new(&[("app.py", app), ("listed.py", listed), ("x.py", "")]);
        let rule = judged(&tree.candidates(PythonVersion::new(3, 12)))["app:x"];
        assert_eq!(rule, (!allowed).then_some(Rule::FollowsStar), "{listed}");
    }
}

#[test]
fn the_diff_is_what_a_person_would_write() {
    let source = "import os\nimport x, heavy as h\nfrom y import (\n    a,\n    b as c,\n)\n\n\ndef f():\n    return x, h, a, c\n";
    let tree = Tree::new(&[("app.py", source)]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let lazy = ["h", "c"].map(|name| format!("lazy:app.py:{name}")).into();
    insta::assert_snapshot!(candidates.diff(&lazy, &|_| source.to_owned()), @r"
    --- a/app.py
    +++ b/app.py
    @@ -1,7 +1,6 @@
     import os
    -import x, heavy as h
    -from y import (
    -    a,
    -    b as c,
    -)
    +import x
    +lazy import heavy as h
    +from y import a
    +lazy from y import b as c
     
    ");
}

#[test]
fn a_native_submodule_is_loaded_as_one_and_stays_visible() {
    let tree = Tree::new(&[
        (
            "pkg/__init__.py",
            "from . import _fast, core\n__all__ = ['_fast']\ndef use():\n    return core.X\n",
        ),
        ("pkg/core.py", "from . import _slow\nX = 1\ndef f():\n    return _slow\n"),
        ("pkg/_fast.so", ""),
        ("pkg/_slow.so", ""),
    ]);
    let candidates = tree.candidates(PythonVersion::new(3, 12));
    let fast = candidates.named("pkg", "_fast").unwrap();
    assert_eq!(fast.targets, ["pkg._fast"]);
    let lazy = candidates.ids().map(str::to_owned).collect();
    let edits = &candidates.edits(&lazy, "support")[camino::Utf8Path::new("pkg/__init__.py")];
    let clause = &edits.names.iter().find(|edit| edit.name == "_fast").unwrap().clauses[0];
    assert_eq!(clause.submodule.as_deref(), Some("pkg._fast"), "the package would ask itself");
    assert!(edits.submodules.contains(&"_slow".to_owned()), "{:?}", edits.submodules);
}

#[test]
fn a_package_that_uses_a_name_which_its_submodule_binds_loads_that_at_once() {
    let rule = |init: &str| {
        let tree = Tree::new(&[("pkg/__init__.py", init), ("pkg/_api.py", "def f(): pass\n")]);
        judged(&tree.candidates(PythonVersion::new(3, 12)))["pkg:f"]
    };
    assert_eq!(rule("from ._api import f\ndel _api\n"), Some(Rule::NamedLikeSubmodule));
    assert_eq!(rule("from ._api import f\ndef g():\n    return _api.f\n"), Some(Rule::NamedLikeSubmodule));
    assert_eq!(rule("from ._api import f\ndef g(_api):\n    return _api.f\n"), None);
}

#[test]
fn a_module_whose_namespace_another_reads_as_a_whole_defers_nothing() {
    for reads in ["low.__dict__.values()", "vars(low)"] {
        let init = format!("from . import low\nfor each in {reads}:\n    pass\n");
        let tree = Tree::new(&[
            ("pkg/__init__.py", init.as_str()),
            ("pkg/low.py", "import x\ndef f():\n    return x\n"),
            ("x.py", ""),
        ]);
        let rules = judged(&tree.candidates(PythonVersion::new(3, 12)));
        assert_eq!(rules["pkg.low:x"], Some(Rule::ReadsNamespace), "{reads}");
    }
}

/// Rule and open question of `import x` in `app`, where all but the modules called `lib…` are the user's own.
fn import_of_x(app: &str, others: &[(&str, &str)]) -> (Option<Rule>, Option<String>) {
    let files: Vec<(&str, &str)> = [("app.py", app)].into_iter().chain(others.iter().copied()).collect();
    let analyses = Tree::new(&files).analyses(PythonVersion::new(3, 12));
    let own = analyses.keys().filter(|name| !name.starts_with("lib")).cloned().collect();
    let candidates = Candidates::find(&analyses, &own, &BTreeSet::new());
    let import = candidates.named("app", "x").unwrap();
    (import.refusal.as_ref().map(|refusal| refusal.rule), import.unproved.clone())
}

#[test]
fn a_module_that_reads_what_the_users_own_code_changes_stays() {
    let rule = |app: &str, others: &[(&str, &str)]| import_of_x(app, others).0;
    let sets = "import os, x\ndef f():\n    os.environ['A'] = 'b'\n    return x\n";
    let changes = Some(Rule::EnvironmentChanges);
    let function = "import os\ndef f():\n    return os.getenv('A')\n";
    for (expected, others) in [
        (changes, &[("x.py", "import os\nA = os.environ.get('A')\n")][..]),
        (changes, &[("x.py", "import os\nALL = dict(os.environ)\n")]),
        (changes, &[("x.py", "import lib\n"), ("lib.py", "from os import environ\nA = environ['A']\n")]),
        (changes, &[("x.py", "import y\nA = y.f()\n"), ("y.py", function)]),
        (None, &[("x.py", "import lib\n"), ("lib.py", function)]),
        (None, &[("x.py", "import os\nA = os.environ.get('B')\n")]),
        (None, &[("x.py", "A = 1\n")]),
    ] {
        assert_eq!(rule(sets, others), expected, "{others:?}");
    }
    let reads = [("x.py", "import os\nA = os.environ.get('A')\n")];
    let before = "import os\nos.environ['A'] = 'b'\nimport x\ndef f():\n    return x\n";
    assert_eq!(rule(before, &reads), None, "it has been set before either way");
    let after = "import os, x\nos.environ['A'] = 'b'\ndef f():\n    return x\n";
    assert_eq!(rule(after, &reads), changes);
    let moves = "import os, x\ndef f():\n    os.chdir('/tmp')\n    return x\n";
    assert_eq!(rule(moves, &[("x.py", "A = open('a.txt').read()\n")]), changes);
    assert_eq!(rule(moves, &[("x.py", "import pathlib\nA = pathlib.Path('a').read_text()\n")]), changes);
    assert_eq!(rule(moves, &[("x.py", "A = 1\n")]), None);
}

#[test]
fn a_module_of_the_users_own_that_reads_the_time_is_left_to_the_replays() {
    let app = "import x\ndef f():\n    return x\n";
    let started = "import time\nSTARTED = time.time()\n";
    let why = "what `x` makes while it loads depends on the time";
    assert_eq!(import_of_x(app, &[("x.py", started)]), (None, Some(why.to_owned())));
    assert_eq!(import_of_x(app, &[("x.py", "import lib\n"), ("lib.py", started)]), (None, None));
}

#[test]
fn a_submodule_that_takes_the_place_of_something_in_its_package_loads_at_once() {
    let rule = |package: &str, app: &str| {
        let tree = Tree::new(&[("app.py", app), ("p/__init__.py", package), ("p/run.py", "A = 1\n")]);
        let judged = judged(&tree.candidates(PythonVersion::new(3, 12)));
        judged.into_iter().find(|(name, _)| name.starts_with("app:") && name != "app:p").map(|(_, rule)| rule)
    };
    let replaces = Some(Some(Rule::NamedLikeSubmodule));
    let app = "from p.run import A\ndef f():\n    return A\n";
    assert_eq!(rule("def run(): ...\n", app), replaces);
    assert_eq!(rule("run = 1\n", app), replaces);
    assert_eq!(rule("from .run import A as run\n", app), Some(None), "it has been replaced by then");
    assert_eq!(rule("", app), Some(None));
    let dotted = "import p.run\nB = p\ndef f():\n    return p.run.A\n";
    assert_eq!(rule("def run(): ...\n", dotted), replaces);
    assert_eq!(rule("", dotted), Some(None));
    assert_eq!(rule("def run(): ...\n", "from p import run as r\ndef f():\n    return r\n"), replaces);
}

#[test]
fn a_module_of_the_users_own_that_acts_on_others_is_left_to_the_replays() {
    let app = "import x\ndef f():\n    return x\n";
    let unproved = |others: &[(&str, &str)]| import_of_x(app, others).1;
    let y = (
        "y.py",
        "import functools\n@functools.singledispatch\ndef f(a): ...\ndef g(a, b): a.b = b\nIDS = iter([])\nclass B: ...\n",
    );
    for x in [
        "from y import f\n@f.register\ndef _(a: int): ...\n",
        "from y import f\n@f.register(int)\ndef _(a): ...\n",
        "from lib import Image\nImage.LIMIT = 1\n",
        "import lib\nlib.seterr(all='raise')\n",
        "import os\nos.umask(7)\n",
        "import y\ny.g(y, 1)\n",
        "from y import IDS\nID = next(IDS)\n",
        "import logging\nlogging.getLogger('lib').setLevel(10)\n",
        "import lib\ndef setup():\n    lib.configure()\nsetup()\n",
    ] {
        let why = unproved(&[("x.py", x), y, ("lib.py", "")]);
        assert!(
            why.as_ref().is_some_and(|why| why.contains("`x` acts on others while it loads")),
            "{x}: {why:?}"
        );
    }
    for x in [
        "import lib\nlog = lib.get_logger()\nlog.info('a')\n",
        "import lib\n@lib.retry(3)\ndef f(): ...\n",
        "import logging\nlog = logging.getLogger(__name__)\nlog.setLevel(10)\n",
        "import random\nR = random.Random(3)\n",
        "from y import B\nclass C(B): ...\n",
        "OWN = {}\nOWN['a'] = 1\n",
    ] {
        assert_eq!(unproved(&[("x.py", x), y, ("lib.py", "")]), None, "{x}");
    }
    let listing = ("y.py", "class B: ...\ndef all():\n    return B.__subclasses__()\n");
    assert!(unproved(&[("x.py", "from y import B\nclass C(B): ...\n"), listing]).is_some());
}

#[test]
fn numbers_are_computed_with_the_context_of_their_moment() {
    let app = "import decimal, x\ndef f():\n    with decimal.localcontext():\n        return x\n";
    let computes = ("x.py", "from decimal import Decimal\nA = Decimal(1) / 3\n");
    assert_eq!(import_of_x(app, &[computes]).0, Some(Rule::EnvironmentChanges));
    assert_eq!(import_of_x(app, &[("x.py", "A = 1 / 3\n")]).0, None);
    let seeds = "import random, x\ndef f():\n    random.seed(1)\n    return x\n";
    let draws = ("x.py", "import random\nA = random.random()\n");
    assert_eq!(import_of_x(seeds, &[draws]).0, Some(Rule::EnvironmentChanges));
}

#[test]
fn a_class_that_somebody_lists_is_derived_when_it_was() {
    let others = [("x.py", "from base import Base\nclass X(Base): ...\n"), ("base.py", "class Base: ...\n")];
    let app = |use_it: &str| format!("import x\nfrom base import Base\ndef f():\n    return x, {use_it}\n");
    let unproved = |use_it: &str| import_of_x(&app(use_it), &others).1;
    assert!(unproved("Base.__subclasses__()").unwrap().contains("asks for derived classes"));
    assert_eq!(unproved("Base()"), None);
}

#[test]
fn a_library_that_asks_another_one_for_the_environment_stays() {
    let app = "import os, x\ndef f():\n    os.environ['LANG'] = 'b'\n    return x\n";
    let asks = "import os\ndef find(name):\n    return os.environ.get(name)\n";
    let rule = |x: &str| {
        let tree = Tree::new(&[("app.py", app), ("x.py", x), ("core.py", asks)]);
        let candidates = tree.candidates(PythonVersion::new(3, 12));
        candidates.named("app", "x").unwrap().refusal.as_ref().map(|refusal| refusal.rule)
    };
    assert_eq!(rule("from core import find\nLOCALE = find('LANG')\n"), Some(Rule::EnvironmentChanges));
    assert_eq!(rule("from core import find\ndef g():\n    return find('LANG')\n"), None);
}

#[test]
fn a_module_that_takes_what_a_handler_changes_stays() {
    let rule = |app: &str, x: &str| {
        let app = format!("import settings, x\ndef f():\n    {app}\n    return x\n");
        import_of_x(&app, &[("x.py", x), ("settings.py", "DEBUG = False\nCONFIG = {}\n")]).0
    };
    let changes = Some(Rule::EnvironmentChanges);
    let takes = "from settings import DEBUG\ndef g():\n    return DEBUG\n";
    let uses = "import settings\nSIZE = settings.CONFIG['a']\n";
    let shares = "from settings import CONFIG\ndef g():\n    return CONFIG\n";
    assert_eq!(rule("settings.DEBUG = True", takes), changes);
    assert_eq!(rule("settings.CONFIG['a'] = 1", uses), changes);
    assert_eq!(rule("settings.CONFIG['a'] = 1", shares), None, "it is the same object");
    assert_eq!(rule("settings.CONFIG.update(a=1)", uses), changes);
    assert_eq!(rule("settings.CONFIG.get('a')", uses), None);
    assert_eq!(rule("settings.OTHER = 1", takes), None);
    assert_eq!(rule("settings.DEBUG = True", "import settings\ndef g():\n    return settings.DEBUG\n"), None);
}
