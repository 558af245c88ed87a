//! Which modules a module loads when it is imported, with and without the deferred imports.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_imports::{ImportStatement, ModuleAnalysis};

/// Clauses that are deferred: holder, line, module, attribute.
pub(crate) type Deferred<'a> = BTreeSet<(&'a str, u32, &'a str, Option<&'a str>)>;

/// Import statements of a tree, as edges between its modules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// Module → its statements: line, module asked for, what is taken.
    statements: BTreeMap<String, Vec<(u32, String, Option<String>)>>,
    packages: BTreeSet<String>,
}

impl Graph {
    pub(crate) fn new(analyses: &BTreeMap<String, ModuleAnalysis>) -> Self {
        let mut graph = Self::default();
        for (name, analysis) in analyses {
            let mut statements = Vec::new();
            for import in analysis.imports.iter().filter(|import| !import.in_function && !import.typing_only)
            {
                if import.names.is_empty() {
                    statements.push((import.line, import.module.clone(), None));
                }
                for taken in &import.names {
                    statements.push((import.line, import.module.clone(), Some(taken.clone())));
                }
            }
            graph.statements.insert(name.clone(), statements);
            if analysis.is_package {
                graph.packages.insert(name.clone());
            }
        }
        graph
    }

    /// Modules that one statement loads by itself, packages around them included.
    pub(crate) fn loads(&self, module: &str, attribute: Option<&str>) -> Vec<String> {
        let mut loads: Vec<String> =
            module.match_indices('.').map(|(at, _)| module[..at].to_owned()).collect();
        loads.push(module.to_owned());
        if let Some(attribute) = attribute {
            let submodule = format!("{module}.{attribute}");
            if self.statements.contains_key(&submodule) {
                loads.push(submodule);
            }
        }
        loads
    }

    /// Everything that importing `start` loads, itself included, when the deferred clauses do not run.
    fn closure(&self, start: impl IntoIterator<Item = String>, deferred: &Deferred) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut queue: Vec<String> = start.into_iter().collect();
        while let Some(module) = queue.pop() {
            if seen.contains(&module) {
                continue;
            }
            queue.extend(module.match_indices('.').map(|(at, _)| module[..at].to_owned()));
            for (line, asked, attribute) in self.statements.get(&module).into_iter().flatten() {
                if !deferred.contains(&(module.as_str(), *line, asked.as_str(), attribute.as_deref())) {
                    queue.extend(self.loads(asked, attribute.as_deref()));
                }
            }
            seen.insert(module);
        }
        seen
    }

    /// Package → submodules that the deferred clauses would have made visible on it, and that it does not load
    /// by itself: others may read them there without importing them.
    pub(crate) fn missing_submodules(
        &self,
        clauses: &[&ImportStatement],
        deferred: &Deferred,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let targets = clauses.iter().flat_map(|c| self.loads(&c.module, c.attribute.as_deref()));
        let suppressed = self.closure(targets, &Deferred::new());
        let mut by_package: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for module in &suppressed {
            if let Some((package, name)) = module.rsplit_once('.')
                && self.packages.contains(package)
            {
                by_package.entry(package.to_owned()).or_default().insert(name.to_owned());
            }
        }
        for (package, names) in &mut by_package {
            let own = self.closure([package.clone()], deferred);
            names.retain(|name| !own.contains(&format!("{package}.{name}")));
        }
        by_package.retain(|_, names| !names.is_empty());
        by_package
    }
}
