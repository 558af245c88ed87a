//! What the modules of a tree settle among themselves: effects that hang on what other modules define.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::PythonVersion;

use crate::analyse::called;
use crate::effects::table::{is_harmless_call, is_plain_base, is_text_method};
use crate::facts::{Called, Effect, Hang, HindranceKind, ModuleAnalysis, ModuleId};

/// Takes away the effects that hang on classes that keep no book of what is derived from them, and on calls of what
/// acts on nobody else. `source` gives the text of a module.
pub fn settle(
    analyses: &mut BTreeMap<String, ModuleAnalysis>,
    python: PythonVersion,
    source: &dyn Fn(&ModuleAnalysis) -> Option<String>,
) {
    let asked: BTreeSet<&Hang> =
        analyses.values().flat_map(effects_of).flat_map(|effect| &effect.hangs_on).collect();
    let mut tree = Tree { analyses, called: BTreeMap::new() };
    tree.follow(asked.iter().copied().cloned().collect(), python, source);
    let harmless: BTreeSet<Hang> =
        asked.into_iter().filter(|hang| tree.is_harmless(hang, &mut BTreeSet::new())).cloned().collect();
    let is_one = |effect: &Effect| {
        effect.hangs_on.is_empty() || !effect.hangs_on.iter().all(|hang| harmless.contains(hang))
    };
    for analysis in analyses.values_mut() {
        analysis.effects.retain(is_one);
        for class in analysis.globals.iter_mut().filter(|global| global.is_class) {
            class.effects.retain(is_one);
        }
    }
}

/// What a module's body may do, and what a class in it that is made later may do then.
fn effects_of(analysis: &ModuleAnalysis) -> impl Iterator<Item = &Effect> {
    let classes = analysis.globals.iter().filter(|global| global.is_class);
    analysis.effects.iter().chain(classes.flat_map(|class| &class.effects))
}

/// The modules, and what calling what they define may do.
struct Tree<'a> {
    analyses: &'a BTreeMap<String, ModuleAnalysis>,
    /// Dotted path → what calling it may do, for all that has been asked about; none where it cannot be followed.
    called: BTreeMap<String, Option<Called>>,
}

impl Tree<'_> {
    /// Finds out about all calls that something hangs on, and about those that they hang on.
    fn follow(
        &mut self,
        mut asked: BTreeSet<Hang>,
        python: PythonVersion,
        source: &dyn Fn(&ModuleAnalysis) -> Option<String>,
    ) {
        loop {
            let mut open: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for hang in &asked {
                let Hang::Call(path, _) = hang else { continue };
                if let Some((module, name)) = self.defined(path).filter(|_| !self.called.contains_key(path)) {
                    open.entry(module).or_default().insert(name.to_owned());
                }
            }
            if open.is_empty() {
                return;
            }
            let mut next = BTreeSet::new();
            let mut found = BTreeMap::new();
            for (module, names) in open {
                let analysis = &self.analyses[module];
                let ModuleAnalysis { name, is_package, path, .. } = analysis;
                let id = ModuleId { name: name.clone(), is_package: *is_package, path: path.clone() };
                let mut told =
                    source(analysis).map_or_else(BTreeMap::new, |s| called(&s, &id, python, &names));
                next.extend(told.values().flat_map(|c| c.0.values().flatten().flatten().cloned()));
                let path = |name: String| format!("{module}.{name}");
                found.extend(names.into_iter().map(|name| (path(name.clone()), told.remove(&name))));
            }
            self.called.extend(found);
            asked = next;
        }
    }

    /// The module of the tree and the name in it that a dotted path means.
    fn defined<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        path.rsplit_once('.').filter(|(module, _)| self.analyses.contains_key(*module))
    }

    /// Whether it is a method of a value that a module of the tree holds, and has the name of one of text.
    fn is_text_method(&self, path: &str) -> bool {
        let (owner, method) = path.rsplit_once('.').unwrap_or_default();
        is_text_method(method) && !self.analyses.contains_key(owner) && self.defined(owner).is_some()
    }

    /// Whether there is no effect. What is being found out further up is taken not to have one.
    fn is_harmless(&self, hang: &Hang, seen: &mut BTreeSet<Hang>) -> bool {
        match hang {
            Hang::Derive(path) => is_plain(self.analyses, path, &mut BTreeSet::new()),
            Hang::Call(path, way) => {
                if is_harmless_call(path, *way) || self.is_text_method(path) {
                    return true;
                }
                if !seen.insert(hang.clone()) {
                    return true;
                }
                let called = self.called.get(path).and_then(Option::as_ref);
                let all = called.and_then(|called| called.0.get(way)).and_then(Option::as_ref);
                all.is_some_and(|all| all.iter().all(|hang| self.is_harmless(hang, seen)))
            }
        }
    }
}

/// Whether the class at a dotted path, looked up through whatever modules hand it on, keeps no book.
fn is_plain(analyses: &BTreeMap<String, ModuleAnalysis>, path: &str, seen: &mut BTreeSet<String>) -> bool {
    let Some((module, name)) = path.rsplit_once('.') else { return false };
    if is_plain_base(path) {
        return true;
    }
    let Some(analysis) = analyses.get(module) else { return false };
    // A name that hands itself on is none.
    if !seen.insert(path.to_owned()) {
        return false;
    }
    if let Some(bases) = analysis.classes.get(name) {
        return bases.iter().all(|base| is_plain(analyses, base, &mut seen.clone()));
    }
    let Some(binding) = analysis.bindings.iter().find(|binding| binding.name == name) else { return false };
    let rebound = |kind| matches!(kind, HindranceKind::Rebound | HindranceKind::DeclaredGlobal);
    if binding.hindrances.iter().any(|hindrance| rebound(hindrance.kind)) {
        return false;
    }
    binding.statements.iter().all(|statement| match &statement.attribute {
        Some(attribute) => is_plain(analyses, &format!("{}.{attribute}", statement.module), seen),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModuleId, analyse};

    /// The effects that are left in `m`, with these modules around it.
    fn left(m: &str, others: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<(&str, &str)> = std::iter::once(("p.m", m)).chain(others.iter().copied()).collect();
        let read = |(name, source): (&str, &str)| {
            let id = ModuleId { name: name.to_owned(), is_package: name == "p", path: "x.py".into() };
            (name.to_owned(), analyse(source, &id, "3.12".parse().unwrap()).unwrap())
        };
        let mut analyses = texts.iter().copied().map(read).collect();
        let text = |analysis: &ModuleAnalysis| {
            let found = texts.iter().find(|(name, _)| *name == analysis.name);
            found.map(|(_, source)| (*source).to_owned())
        };
        settle(&mut analyses, "3.12".parse().unwrap(), &text);
        analyses["p.m"].effects.iter().map(|effect| effect.what.clone()).collect()
    }

    #[test]
    fn what_a_function_of_another_module_does_is_looked_at() {
        let free = |m: &str, util: &str| assert_eq!(left(m, &[("p.util", util)]), [""; 0], "{util}");
        let calls = "from .util import f\nX = f('a', [1])\n";
        free(calls, "def f(a, b):\n    c = [a]\n    c.append(b)\n    return c\n");
        free(calls, "def f(a, b):\n    b.x = a\n");
        free(calls, "def f(a, b):\n    return g(b)\ndef g(b):\n    b.y = 1\n    return b\n");
        free(calls, "class f:\n    def __init__(self, a, b):\n        self.a = a\n");
        free(calls, "from collections import namedtuple\nf = namedtuple('f', 'a b')\n");
        free(calls, "def f(a, b):\n    return f(a, b)\n");
        let decorates = "from .util import f\n@f\ndef g(): ...\n";
        free(decorates, "def f(g):\n    g.__doc__ = 'text'\n    return g\n");
        free(
            decorates,
            "import functools\ndef f(g):\n    @functools.wraps(g)\n    def h():\n        return g()\n    return h\n",
        );
        free(decorates, "class f:\n    def __init__(self, g):\n        self.g = g\n");
        let with = "from .util import f\n@f('a')\ndef g(): ...\n";
        free(with, "def f(a):\n    def inner(g):\n        g.a = a\n        return g\n    return inner\n");
        let derives = "from .util import Base\nclass A(Base[int]): ...\n";
        free(derives, "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass Base(Generic[T]): ...\n");
    }

    #[test]
    fn through_other_modules_too() {
        let m = "from . import util\nX = util.f()\n";
        let others = |deep| [("p.util", "from .deep import g as f\n"), ("p.deep", deep)];
        assert_eq!(left(m, &others("from p.m import X\ndef g():\n    return [1]\n")), [""; 0]);
        assert_eq!(left(m, &others("BOOK = []\ndef g():\n    BOOK.append(1)\n")).len(), 1);
        assert_eq!(left(m, &others("import q\ndef g():\n    q.f()\n")).len(), 1);
    }

    #[test]
    fn what_a_function_may_do_to_others_stays_an_effect() {
        let calls = "from .util import f\nimport q\nX = f(q.thing)\n";
        let own = "from .util import f\nX = f([])\n";
        let decorates = "from .util import f\n@f\ndef g(): ...\n";
        let with = "from .util import f\n@f('a')\ndef g(): ...\n";
        for (m, util) in [
            (calls, "def f(a):\n    a.x = 1\n"),
            (own, "BOOK = {}\ndef f(a):\n    BOOK['a'] = a\n"),
            (own, "LAST = None\ndef f(a):\n    global LAST\n    LAST = a\n"),
            (own, "def f(a):\n    f.calls = 1\n"),
            (own, "class C:\n    all = []\ndef f(a):\n    C.last = a\n"),
            (
                own,
                "class C:\n    @classmethod\n    def add(cls, a):\n        cls.last = a\ndef f(a):\n    C.add(a)\n",
            ),
            (own, "class f:\n    def __init__(self, a):\n        print(a)\n"),
            (own, "class Meta(type): ...\nclass f(metaclass=Meta): ...\n"),
            (own, "def f(a):\n    return a()\n"),
            (own, "def f(a): ...\nglobals()['f'] = print\n"),
            (own, "from q import f\n"),
            (decorates, "def f(g):\n    g()\n    return g\n"),
            (
                with,
                "def f(a):\n    def inner(g):\n        BOOK.append(g)\n        return g\n    return inner\nBOOK = []\n",
            ),
            (with, "import q\ndef f(a):\n    return q.decorator\n"),
        ] {
            assert_eq!(left(m, &[("p.util", util)]).len(), 1, "{util}");
        }
    }

    const DERIVES: &str = "from .base import Base\nclass A(Base): ...\n";

    #[test]
    fn a_class_of_another_module_is_looked_at() {
        assert_eq!(left(DERIVES, &[("p.base", "class Base(Exception): ...\n")]), [""; 0]);
        assert_eq!(
            left("import p.base\nclass A(p.base.Base): ...\n", &[("p.base", "class Base: ...\n")]),
            [""; 0]
        );
        let through = [
            ("p.base", "from ._base import Hidden as Base\n"),
            (
                "p._base",
                "from collections.abc import MutableMapping\nclass Root(MutableMapping): ...\nclass Hidden(Root): ...\n",
            ),
        ];
        assert_eq!(left(DERIVES, &through), [""; 0]);
        let either = "try:\n    from collections.abc import Mapping as Base\nexcept ImportError:\n    from collections import Mapping as Base\n";
        assert_eq!(left(DERIVES, &[("p.base", either)]), [""; 0]);
    }

    #[test]
    fn what_may_keep_a_book_stays_an_effect() {
        for base in [
            "class Base:\n    def __init_subclass__(cls):\n        BOOK.append(cls)\n",
            "class Root:\n    def __init_subclass__(cls): ...\nclass Base(Root): ...\n",
            "class Meta(type): ...\nclass Base(metaclass=Meta): ...\n",
            "import q\nclass Base(q.Model): ...\n",
            "import q\nclass Base(metaclass=q.Meta): ...\n",
            "Base = make()\n",
            "class Base: ...\nBase = wrap(Base)\n",
            "from .m import Base\n",
            "from q import *\n",
            "class Base: ...\nglobals()['Base'] = object\n",
        ] {
            assert_eq!(left(DERIVES, &[("p.base", base)]).len(), 1, "{base}");
        }
        assert_eq!(left(DERIVES, &[]).len(), 1, "it is nowhere to be seen");
    }
}
