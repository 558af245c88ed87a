//! What the modules of a tree settle among themselves: an effect that hangs on a class of another module.

use std::collections::{BTreeMap, BTreeSet};

use crate::effects::table::is_plain_base;
use crate::facts::{HindranceKind, ModuleAnalysis};

/// Takes away the effects of deriving from classes of other modules that keep no book of it.
pub fn settle(analyses: &mut BTreeMap<String, ModuleAnalysis>) {
    let asked: BTreeSet<&String> =
        analyses.values().flat_map(|a| a.effects.iter().filter_map(|effect| effect.base.as_ref())).collect();
    let plain: BTreeSet<String> =
        asked.into_iter().filter(|path| is_plain(analyses, path, &mut BTreeSet::new())).cloned().collect();
    for analysis in analyses.values_mut() {
        analysis.effects.retain(|effect| effect.base.as_ref().is_none_or(|base| !plain.contains(base)));
    }
}

/// Whether the class at a dotted path, looked up through whatever modules hand it on, keeps no book.
fn is_plain(analyses: &BTreeMap<String, ModuleAnalysis>, path: &str, seen: &mut BTreeSet<String>) -> bool {
    let Some((module, name)) = path.rsplit_once('.') else { return false };
    let Some(analysis) = analyses.get(module) else { return is_plain_base(path) };
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
        let all = std::iter::once(("p.m", m)).chain(others.iter().copied());
        let read = |(name, source): (&str, &str)| {
            let id = ModuleId { name: name.to_owned(), is_package: name == "p", path: "x.py".into() };
            (name.to_owned(), analyse(source, &id, "3.12".parse().unwrap()).unwrap())
        };
        let mut analyses = all.map(read).collect();
        settle(&mut analyses);
        analyses["p.m"].effects.iter().map(|effect| effect.what.clone()).collect()
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
