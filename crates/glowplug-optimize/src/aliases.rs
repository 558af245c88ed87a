//! Modules that a package gives a second name while it loads, as `requests.packages` does with all that `urllib3` has
//! loaded by then: they load when they did, or whoever asks for the second name would load a second copy.

use std::collections::{BTreeMap, BTreeSet};

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

    /// Why an import of one of `targets` in `importer` stays: the target has a second name that a package gave it, which
    /// may load with the importer and without the target.
    pub(crate) fn hold(&self, importer: &str, targets: &BTreeSet<String>) -> Option<String> {
        let named = || self.own.iter().filter_map(|(entry, own)| Some((entry, own, self.giver(entry)?)));
        let (entry, ..) = named().find(|(_, own, giver)| {
            let comes_with_it = || top(importer) == top(giver) || named().any(|(_, own, _)| own == importer);
            targets.contains(*own) && *own != importer && comes_with_it()
        })?;
        Some(format!("it is also found as `{entry}`, where it has loaded by then"))
    }

    /// The innermost package around an entry that is no second name itself.
    fn giver<'e>(&self, entry: &'e str) -> Option<&'e str> {
        let mut packages = entry.rmatch_indices('.').map(|(at, _)| &entry[..at]);
        packages.find(|package| !self.own.contains_key(*package))
    }
}

fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_a_second_name_loads_with_those_around_it() {
        let mut aliases = Aliases::default();
        let entries = ["r.packages.u", "r.packages.u.retry", "r.packages.u.pool", "short"];
        let own = |entry: &str| entry.strip_prefix("r.packages.").unwrap_or("long").to_owned();
        aliases.extend(&entries.map(|entry| (entry.to_owned(), own(entry))).into());
        let held =
            |importer: &str, target: &str| aliases.hold(importer, &BTreeSet::from([target.to_owned()]));
        assert!(held("u.pool", "u.retry").unwrap().contains("`r.packages.u.retry`"));
        assert!(held("r.adapters", "u.pool").is_some(), "the package that gives the name");
        assert_eq!(held("app", "u.pool"), None, "who loads both later");
        assert_eq!(held("u.pool", "u.other"), None, "it has one name alone");
        assert_eq!(held("u.pool", "long"), None, "nobody knows who gave it that name");
    }
}
