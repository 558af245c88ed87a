//! Modules that an artifact lacks, and how it tells so at run time.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use serde_json::json;

use glowplug_lazy::AbsentEdit;
use glowplug_package::{ArchiveEntry, Contents, rule_sentence};

use crate::subject::Subject;
use crate::variant::Recipe;

/// What was left out of a tree, as far as it can be imported.
#[derive(Debug)]
pub(crate) struct Absent {
    /// Source of the handler's module, relative to the tree.
    pub(crate) handler: Utf8PathBuf,
    /// Module → rule. What lies in an absent package is not listed: whoever imports it imports the package first.
    modules: BTreeMap<String, String>,
}

impl Absent {
    /// `None` where every module is there, or where the handler's module has no bytecode of ours that could tell.
    pub(crate) fn of(subject: &Subject, recipe: &Recipe) -> Option<Self> {
        let handler = subject.modules.get(&subject.handler_module())?.path.clone();
        if !recipe.bytecode || !subject.plain.contains_key(&handler) {
            return None;
        }
        let rule = |module: &str| {
            let file = subject.modules.get(module)?;
            recipe.dropped.get(&file.path)
        };
        let modules: BTreeMap<String, String> = subject
            .modules
            .keys()
            .filter(|module| module.rsplit_once('.').is_none_or(|(package, _)| rule(package).is_none()))
            .filter_map(|module| Some((module.clone(), rule(module)?.clone())))
            .collect();
        (!modules.is_empty()).then_some(Self { handler, modules })
    }

    /// What the handler's module begins with.
    pub(crate) fn edit(&self, subject: &Subject) -> AbsentEdit {
        let packages: BTreeSet<&str> =
            self.modules.keys().filter_map(|name| name.split('.').next()).collect();
        AbsentEdit {
            module: subject.absent.clone(),
            packages: packages.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The list that is read when something is missed.
    pub(crate) fn list(&self, subject: &Subject) -> ArchiveEntry {
        let rules: BTreeMap<&str, &str> =
            self.modules.values().map(|rule| (rule.as_str(), rule_sentence(rule))).collect();
        let list = json!({"rules": rules, "modules": self.modules});
        ArchiveEntry {
            path: format!("{}.json", subject.absent).into(),
            source: Contents::Bytes(format!("{list}\n").into_bytes()),
            executable: false,
        }
    }
}
