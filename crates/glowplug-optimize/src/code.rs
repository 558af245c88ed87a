//! A package and what the static analysis says of it: what can be told without a function around it, and without
//! starting anything.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{PythonVersion, Result};
use glowplug_imports::ModuleAnalysis;
use glowplug_package::{ModuleFile, PackageTree, TrimLevel, imported_by_kept, kept_by_pattern};

use crate::services::services_of;

/// Distributions that find expressions by their columns while a program runs.
const COLUMN_READERS: [&str; 1] = ["executing"];

/// A package tree, its modules, and whose they are. A build's is that of its function; a tree without a function has one
/// of its own (`examples/trimmed_tree.rs`).
#[derive(Debug, Clone, Copy)]
pub struct Code<'a> {
    /// The tree.
    pub package: &'a PackageTree,
    /// Its modules by dotted name. Those that lie elsewhere have absolute paths.
    pub modules: &'a BTreeMap<String, ModuleFile>,
    /// What their sources say.
    pub analyses: &'a BTreeMap<String, ModuleAnalysis>,
    /// The user's own files: relative to the tree, or absolute where they lie elsewhere.
    pub user_files: &'a BTreeSet<Utf8PathBuf>,
    /// What the user wants kept, as [`glowplug_package::TrimContext::keep`].
    pub keep: &'a [String],
}

impl Code<'_> {
    /// The modules that stay in any case: the user's own, and those that a pattern keeps.
    ///
    /// # Errors
    /// Input: a pattern that is no glob.
    pub(crate) fn kept(&self) -> Result<BTreeSet<String>> {
        let kept = kept_by_pattern(self.package, self.keep)?;
        let stays = |file: &Utf8PathBuf| kept.contains(file) || self.user_files.contains(file);
        let kept = self.modules.iter().filter(|(_, file)| stays(&file.path));
        Ok(kept.map(|(name, _)| name.clone()).collect())
    }

    /// Every module that one of the `seeds` is, or that a module which is kept imports: what
    /// [`glowplug_package::TrimContext::imported`] asks for.
    ///
    /// # Errors
    /// Input: a pattern that is no glob.
    pub fn imported(&self, seeds: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let edges: BTreeMap<String, BTreeSet<String>> =
            self.analyses.iter().map(|(module, analysis)| (module.clone(), targets(analysis))).collect();
        let mut seeds = seeds.clone();
        // Whatever folder they lie in: a pattern may keep some tests out of many.
        seeds.extend(self.kept()?.iter().filter_map(|module| edges.get(module)).flatten().cloned());
        Ok(imported_by_kept(self.package, self.user_files, &edges, &seeds))
    }

    /// The AWS services whose clients the code can make, by literals alone: what
    /// [`glowplug_package::TrimContext::aws_services`] asks for where nothing was traced.
    pub fn services(&self) -> Option<BTreeSet<String>> {
        let is_user =
            |module: &str| self.modules.get(module).is_some_and(|file| self.user_files.contains(&file.path));
        services_of(self.package, self.modules, self.analyses, &is_user)
    }

    /// The sources whose bytecode can do without columns: those of libraries, at the levels beyond safe, from Python 3.11
    /// on, whose bytecode has them (PEP 657). The user's own modules keep theirs, so that the lines of their tracebacks
    /// are marked.
    ///
    /// # Errors
    /// Input: a pattern that is no glob.
    pub fn without_columns(&self, level: TrimLevel, python: PythonVersion) -> Result<BTreeSet<Utf8PathBuf>> {
        let read = self.package.distributions.iter().any(|d| COLUMN_READERS.contains(&d.name.as_str()));
        if level <= TrimLevel::Safe || python < PythonVersion::new(3, 11) || read {
            return Ok(BTreeSet::new());
        }
        self.library_sources()
    }

    /// The sources of distributions, without those that a pattern keeps as they are.
    ///
    /// # Errors
    /// Input: a pattern that is no glob.
    pub(crate) fn library_sources(&self) -> Result<BTreeSet<Utf8PathBuf>> {
        let spared = kept_by_pattern(self.package, self.keep)?;
        let can = |path: &Utf8Path| {
            !self.user_files.contains(path)
                && self.package.distribution_of(path).is_some()
                && !spared.contains(path)
        };
        let sources = self.modules.values().filter(|file| !file.native).map(|file| &file.path);
        Ok(sources.filter(|path| can(path)).cloned().collect())
    }
}

/// All that a module imports; for `from a import b` both `a` and `a.b`.
fn targets(analysis: &ModuleAnalysis) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    for import in &analysis.imports {
        targets.insert(import.module.clone());
        targets.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
    }
    targets.extend(analysis.dynamic_imports.iter().map(|(_, module)| module.clone()));
    targets
}
