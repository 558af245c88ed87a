//! What the modules of a tree say about each other: the view from outside on a name.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{Changed, Global, ModuleAnalysis, Use, UseKind};

use crate::rules::top;
use crate::surroundings::{Surroundings, names_of};

/// Facts that no module knows of itself.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) analyses: &'a BTreeMap<String, ModuleAnalysis>,
    /// Modules of the user's own code.
    pub(crate) user: &'a BTreeSet<String>,
    /// All modules, those without a source among them.
    modules: &'a BTreeSet<String>,
    /// Top-level packages and modules of the tree.
    tops: BTreeSet<&'a str>,
    /// Whether the user's own code evaluates annotations.
    pub(crate) evaluates_annotations: bool,
    /// Where the user's own code takes the names of callers or functions as a whole: a path, a line and how.
    pub(crate) takes_names: Option<(&'a str, u32, &'a str)>,
    /// Modules that another one takes everything from.
    pub(crate) star_imported: BTreeSet<&'a str>,
    /// Top-level package → a module of it that asks a class for what is derived from it.
    pub(crate) lists_subclasses: BTreeMap<&'a str, &'a str>,
    /// Top-level package → a module of it that may look for classes in modules that it loads by computed names.
    pub(crate) discovers: BTreeMap<&'a str, &'a str>,
    /// Dotted path of an imported thing → a module of the tree that puts another in its place.
    pub(crate) replaces: BTreeMap<&'a str, &'a str>,
    /// Modules whose namespace another one reads as a whole.
    read_whole: BTreeSet<String>,
    /// `(module, name)` that another module takes or reads.
    wanted: BTreeSet<(String, String)>,
    /// What depends on the surroundings at the time of an import.
    pub(crate) surroundings: Surroundings<'a>,
}

/// Top-level package → the path of a module of it that is one of those.
fn tops_where(
    analyses: &BTreeMap<String, ModuleAnalysis>,
    is_one: impl Fn(&ModuleAnalysis) -> bool,
) -> BTreeMap<&str, &str> {
    let found = analyses.values().filter(|analysis| is_one(analysis));
    found.map(|analysis| (top(&analysis.name), analysis.path.as_str())).collect()
}

/// What the modules of the tree replace of others.
fn replaces(analyses: &BTreeMap<String, ModuleAnalysis>) -> BTreeMap<&str, &str> {
    let changes = analyses.values().flat_map(|a| a.changes.iter().map(move |change| (a, change)));
    let replaced = changes.filter_map(|(analysis, change)| match &change.what {
        Changed::Thing { path, rebound: true } => Some((path.as_str(), analysis.path.as_str())),
        _ => None,
    });
    replaced.collect()
}

impl<'a> World<'a> {
    pub(crate) fn new(
        analyses: &'a BTreeMap<String, ModuleAnalysis>,
        user: &'a BTreeSet<String>,
        modules: &'a BTreeSet<String>,
    ) -> Self {
        let mut star_imported = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        let mut read_whole = BTreeSet::new();
        for analysis in analyses.values() {
            for import in &analysis.imports {
                if import.star {
                    star_imported.insert(import.module.as_str());
                }
                // What a module takes from itself it has loaded by it: its own submodules.
                if import.module != analysis.name {
                    wanted.extend(import.names.iter().map(|name| (import.module.clone(), name.clone())));
                }
            }
            for path in &analysis.attribute_paths {
                read_whole.extend(path.strip_suffix(".__dict__").map(str::to_owned));
                if let Some((module, name)) = path.rsplit_once('.') {
                    wanted.insert((module.to_owned(), name.to_owned()));
                }
            }
        }
        let evaluates = |analysis: &ModuleAnalysis| {
            let named = analysis.imports.iter().flat_map(|import| &import.names).map(String::as_str);
            let read = analysis.attribute_paths.iter().filter_map(|path| path.rsplit('.').next());
            named.chain(read).any(|name| matches!(name, "get_type_hints" | "get_annotations"))
        };
        let evaluates_annotations = user.iter().filter_map(|module| analyses.get(module)).any(evaluates);
        let tops = analyses.keys().chain(modules).map(|module| top(module)).collect();
        Self {
            analyses,
            user,
            modules,
            tops,
            evaluates_annotations,
            takes_names: user.iter().filter_map(|module| analyses.get(module)).find_map(|analysis| {
                let (line, how) = analysis.takes_names.as_ref()?;
                Some((analysis.path.as_str(), *line, how.as_str()))
            }),
            star_imported,
            lists_subclasses: tops_where(analyses, |analysis| analysis.lists_subclasses),
            discovers: tops_where(analyses, |analysis| analysis.discovers),
            replaces: replaces(analyses),
            read_whole,
            wanted,
            surroundings: Surroundings::new(analyses, user),
        }
    }

    pub(crate) fn is_user(&self, module: &str) -> bool {
        self.user.contains(module)
    }

    /// Whether the tree has something of that top-level name.
    pub(crate) fn is_top(&self, top: &str) -> bool {
        self.tops.contains(top)
    }

    /// Whether another module reads the whole namespace of `module`.
    pub(crate) fn is_read_whole(&self, module: &str) -> bool {
        self.read_whole.contains(module)
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

    /// Where another of the user's own modules, not imported before the statement, acts on a package that makes its value.
    pub(crate) fn configured_elsewhere(
        &self,
        analysis: &ModuleAnalysis,
        global: &Global,
    ) -> Option<(&'a str, u32)> {
        let imported_before = |module: &str| {
            let before = analysis.imports.iter().filter(|i| i.runs_at_import() && i.line < global.place.line);
            before.flat_map(names_of).any(|name| name == module)
        };
        let others = self.analyses.values().filter(|other| {
            self.is_user(&other.name) && other.name != analysis.name && !imported_before(&other.name)
        });
        let mut acts = others.flat_map(|other| other.effects.iter().map(move |effect| (other, effect)));
        let top = |path: &str| path.split('.').next().unwrap_or(path).to_owned();
        let found = acts.find(|(_, effect)| {
            effect.aim.as_ref().is_some_and(|aim| aim.on_purpose && global.makes.contains(&top(&aim.path)))
        });
        found.map(|(other, effect)| (other.path.as_str(), effect.line))
    }

    /// Whether `module.name` is a module of the tree.
    pub(crate) fn is_submodule(&self, module: &str, name: &str) -> bool {
        self.is_module(&format!("{module}.{name}"))
    }

    /// Whether it is a module of the tree.
    pub(crate) fn is_module(&self, module: &str) -> bool {
        self.analyses.contains_key(module) || self.modules.contains(module)
    }
}
