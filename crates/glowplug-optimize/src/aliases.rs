//! Modules that a package gives a second name while it loads, as `requests.packages` does with all that `urllib3` has
//! loaded by then: they load when they did, or whoever asks for the second name would load a second copy.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::ModuleAnalysis;

/// Entries of `sys.modules` in the original under which a module was found that has one under its own name too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aliases {
    /// Entry → the module's own name.
    own: BTreeMap<String, String>,
}

impl Aliases {
    /// Adds what one start has shown.
    pub(crate) fn extend(&mut self, seen: &BTreeMap<String, String>) {
        self.own.extend(seen.iter().map(|(entry, own)| (entry.clone(), own.clone())));
    }

    /// Keeps those by which some module of the tree asks for something.
    pub(crate) fn asked_for<'a>(&self, modules: impl Iterator<Item = &'a ModuleAnalysis>) -> Self {
        let mut asked = BTreeSet::new();
        for analysis in modules {
            for import in &analysis.imports {
                asked.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
                asked.insert(import.module.clone());
            }
            asked.extend(analysis.dynamic_imports.iter().map(|(_, module)| module.clone()));
        }
        let is_asked = |entry: &String| {
            let below = format!("{entry}.");
            asked.contains(entry)
                || asked.range(below.clone()..).next().is_some_and(|m| m.starts_with(&below))
        };
        let own = self.own.iter().filter(|(entry, _)| is_asked(entry));
        Self { own: own.map(|(entry, own)| (entry.clone(), own.clone())).collect() }
    }

    /// Why an import of one of `targets` in `importer` stays: the target has a second name that a package gave it, which
    /// may load with the importer and without the target. `all` are all second names.
    pub(crate) fn hold(&self, all: &Self, importer: &str, targets: &BTreeSet<String>) -> Option<String> {
        let (entry, _) = self.own.iter().find(|(entry, own)| {
            let giver = all.giver(entry);
            let comes_with_it =
                |giver| top(importer) == top(giver) || all.own.values().any(|o| o == importer);
            targets.contains(*own) && !is_around(own, importer) && giver.is_some_and(comes_with_it)
        })?;
        Some(format!("it is also found as `{entry}`, where it has loaded by then"))
    }

    /// The innermost package around an entry that is no second name itself.
    fn giver<'e>(&self, entry: &'e str) -> Option<&'e str> {
        let mut packages = entry.rmatch_indices('.').map(|(at, _)| &entry[..at]);
        packages.find(|package| !self.own.contains_key(*package))
    }
}

/// Whether a module is another one, or a package around it, and so loads before it.
fn is_around(module: &str, inner: &str) -> bool {
    inner.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use glowplug_imports::ModuleId;

    use super::*;

    #[test]
    fn what_gets_a_second_name_loads_with_those_around_it() {
        let mut aliases = Aliases::default();
        let entries = ["r.packages.u", "r.packages.u.retry", "r.packages.u.pool", "short"];
        let own = |entry: &str| entry.strip_prefix("r.packages.").unwrap_or("long").to_owned();
        aliases.extend(&entries.map(|entry| (entry.to_owned(), own(entry))).into());
        let held = |importer: &str, target: &str| {
            aliases.hold(&aliases, importer, &BTreeSet::from([target.to_owned()]))
        };
        assert!(held("u.pool", "u.retry").unwrap().contains("`r.packages.u.retry`"));
        assert!(held("r.adapters", "u.pool").is_some(), "the package that gives the name");
        assert_eq!(held("app", "u.pool"), None, "who loads both later");
        assert_eq!(held("u.pool", "u.other"), None, "it has one name alone");
        assert_eq!(held("u.pool", "u"), None, "it is there by then");
        assert_eq!(held("u.pool", "long"), None, "nobody knows who gave it that name");
    }

    #[test]
    fn only_names_that_somebody_asks_for_count() {
        let mut aliases = Aliases::default();
        let entries = ["r.packages.u", "r.packages.u.pool", "r.packages.u.retry", "r.packages.u.wait"];
        aliases.extend(&entries.map(|entry| (entry.to_owned(), entry[11..].to_owned())).into());
        let id = ModuleId { name: "app".to_owned(), is_package: false, path: "app.py".into() };
        let source = "import r.packages.u.retry.more\ndef f():\n    from r.packages.u import pool\n";
        let asking = glowplug_imports::analyse(source, &id, "3.12".parse().unwrap()).unwrap();
        let asked = aliases.asked_for(std::iter::once(&asking));
        assert_eq!(asked.own.keys().map(String::as_str).collect::<Vec<_>>(), entries[..3]);
        let held = |target: &str| asked.hold(&aliases, "u.wait", &BTreeSet::from([target.to_owned()]));
        assert!(held("u.pool").is_some() && held("u.wait").is_none());
    }
}
