//! What the modules of a tree say about each other: the view from outside on a name.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{ModuleAnalysis, Use, UseKind};

/// Facts that no module knows of itself.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) analyses: &'a BTreeMap<String, ModuleAnalysis>,
    /// Modules of the user's own code.
    pub(crate) user: &'a BTreeSet<String>,
    /// Modules that another one takes everything from.
    pub(crate) star_imported: BTreeSet<&'a str>,
    /// `(module, name)` that another module takes or reads.
    wanted: BTreeSet<(String, String)>,
}

impl<'a> World<'a> {
    pub(crate) fn new(analyses: &'a BTreeMap<String, ModuleAnalysis>, user: &'a BTreeSet<String>) -> Self {
        let mut star_imported = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for analysis in analyses.values() {
            for import in &analysis.imports {
                if import.star {
                    star_imported.insert(import.module.as_str());
                }
                wanted.extend(import.names.iter().map(|name| (import.module.clone(), name.clone())));
            }
            for path in &analysis.attribute_paths {
                if let Some((module, name)) = path.rsplit_once('.') {
                    wanted.insert((module.to_owned(), name.to_owned()));
                }
            }
        }
        Self { analyses, user, star_imported, wanted }
    }

    pub(crate) fn is_user(&self, module: &str) -> bool {
        self.user.contains(module)
    }

    /// Whether some module takes `name` from `module`, or reads it there.
    pub(crate) fn is_wanted(&self, module: &str, name: &str) -> bool {
        self.wanted.contains(&(module.to_owned(), name.to_owned()))
    }

    /// Whether an annotation that could be evaluated later would mean the same then. In a package it may not where
    /// it uses the name of a submodule: loading that binds the name again.
    pub(crate) fn could_wait(&self, analysis: &ModuleAnalysis, used: &Use) -> bool {
        used.kind == UseKind::Signature
            && analysis.signature_around(used.place).is_some_and(|signature| {
                !signature.names.iter().any(|name| self.is_submodule(&analysis.name, name))
            })
    }

    /// Whether `module.name` is a module of the tree.
    pub(crate) fn is_submodule(&self, module: &str, name: &str) -> bool {
        self.analyses.contains_key(&format!("{module}.{name}"))
    }
}
