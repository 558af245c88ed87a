//! Which import statements of the user's own code a build may defer, for the advice of a trace. Only the user's own
//! sources are read: what those of libraries could add is never in favour of deferring.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;

use glowplug_imports::{ModuleAnalysis, ModuleId, Use, UseKind};
use glowplug_lazy::{Candidate, Candidates, Rule};
use glowplug_trace::{Ruling, Rulings};

use crate::ground::Ground;

/// The rulings on every import statement; a file that cannot be read or parsed has none.
pub(crate) fn rulings(ground: &Ground) -> Rulings {
    let modules = ground.package.modules();
    let own = modules.iter().filter(|(_, file)| !file.native && ground.user_files().contains(&file.path));
    let read = |(name, file): (&String, &glowplug_package::ModuleFile)| {
        let id = ModuleId { name: name.clone(), is_package: file.is_package, path: file.path.clone() };
        let source = fs::read_to_string(ground.tree.root.join(&file.path)).ok()?;
        let analysis = glowplug_imports::analyse(&source, &id, ground.function.python).ok()?;
        Some((name.clone(), analysis))
    };
    of_modules(&own.filter_map(read).collect())
}

fn of_modules(analyses: &BTreeMap<String, ModuleAnalysis>) -> Rulings {
    let own: BTreeSet<String> = analyses.keys().cloned().collect();
    let candidates = Candidates::find(analyses, &own, &own);
    let mut rulings = Rulings::new();
    for analysis in analyses.values() {
        for import in analysis.imports.iter().filter(|import| !import.typing_only) {
            let ruling = if import.in_function {
                Ruling::Nested
            } else if import.star {
                Ruling::Refused("it takes every name".to_owned())
            } else {
                of_line(&candidates, analysis, import.line)
            };
            // Of several statements on one line the first that is refused counts.
            let place = format!("{}:{}", analysis.path, import.line);
            let known = rulings.entry(place).or_insert(Ruling::MayWait);
            if *known == Ruling::MayWait {
                *known = ruling;
            }
        }
    }
    rulings
}

/// The first refusal of a name that the statements of a line bind.
fn of_line(candidates: &Candidates, analysis: &ModuleAnalysis, line: u32) -> Ruling {
    let bound =
        analysis.bindings.iter().filter(|binding| binding.statements.iter().any(|s| s.place.line == line));
    for binding in bound {
        let Some(candidate) = candidates.named(&analysis.name, &binding.name) else { continue };
        if let Some(line) = made_at_once(candidates, candidate) {
            return Ruling::UsedAt(line);
        }
        if let Some(why) = candidate.unproved.as_ref().filter(|_| candidate.refusal.is_none()) {
            return Ruling::Refused(why.clone());
        }
        let Some(refusal) = &candidate.refusal else { continue };
        // In a class, or a value, that does not wait.
        let at_once = |used: &&Use| matches!(used.kind, UseKind::AtImport | UseKind::Global);
        let used = || binding.uses.iter().find(at_once);
        return match refusal.rule {
            Rule::Nested => Ruling::Nested,
            Rule::UsedAtImport => used().map_or_else(
                || Ruling::Refused(refusal.detail.clone()),
                |used| Ruling::UsedAt(used.place.line),
            ),
            _ => Ruling::Refused(refusal.detail.clone()),
        };
    }
    Ruling::MayWait
}

/// The line of a value that uses the name and may not wait without a replay that supports it.
fn made_at_once(candidates: &Candidates, candidate: &Candidate) -> Option<u32> {
    let required = candidates.all().filter(|other| candidate.requires.contains(&other.id));
    required.filter(|value| value.unproved.is_some()).map(|value| value.line).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> Vec<(String, Ruling)> {
        let id = ModuleId { name: "app".to_owned(), is_package: false, path: "app.py".into() };
        let analysis = glowplug_imports::analyse(source, &id, "3.12".parse().unwrap()).unwrap();
        of_modules(&BTreeMap::from([("app".to_owned(), analysis)])).into_iter().collect()
    }

    fn one(source: &str) -> Ruling {
        told(source).remove(0).1
    }

    #[test]
    fn whole_statements_count() {
        assert_eq!(one("import a\n\ndef handler(e, c):\n    return a.b\n"), Ruling::MayWait);
        assert_eq!(one("import a\nclass B:\n    lock = a.Lock\n"), Ruling::MayWait, "and `B` with it");
        assert_eq!(one("import a\nclass B:\n    lock = a.Lock\nB()\n"), Ruling::UsedAt(3));
        assert_eq!(one("import a\nclass B(a.C):\n    pass\n"), Ruling::UsedAt(2), "it may keep a book");
        assert_eq!(one("import a\n\n@a.patch()\ndef f():\n    return 1\n"), Ruling::UsedAt(3));
        assert_eq!(one("import a.b\nX = [\n    a.b.C,\n]\n"), Ruling::UsedAt(3));
        assert_eq!(one("import a.b\nX = dict(\n    y=a.b.C,\n)\n"), Ruling::MayWait, "and `X` with it");
        assert_eq!(one("import a\nX = a.B()\n"), Ruling::UsedAt(2), "what it does is not known");
        let several = "from a.b import (\n    C,\n    d,\n)\n\nM = C()\n";
        assert_eq!(told(several), [("app.py:1".to_owned(), Ruling::UsedAt(6))]);
    }

    #[test]
    fn what_a_build_refuses_is_not_promised() {
        assert_eq!(one("try:\n    import a\nexcept ImportError:\n    a = None\n"), Ruling::Nested);
        assert_eq!(one("def f():\n    import a\n"), Ruling::Nested);
        assert!(matches!(one("from a import *\n"), Ruling::Refused(_)));
        assert!(matches!(one("import a\nvars()\n"), Ruling::Refused(_)));
        assert_eq!(one("import a; import b; X = b.c\n"), Ruling::UsedAt(1));
    }
}
