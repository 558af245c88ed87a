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
    /// `modules` names those without a source too, which load nothing that is known.
    pub(crate) fn new(analyses: &BTreeMap<String, ModuleAnalysis>, modules: &BTreeSet<String>) -> Self {
        let mut graph = Self::default();
        graph.statements.extend(modules.iter().map(|module| (module.clone(), Vec::new())));
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

    /// Whether it is a module of the tree.
    pub(crate) fn knows(&self, module: &str) -> bool {
        self.statements.contains_key(module)
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

    /// Everything that the deferred clauses would have loaded where they stand.
    pub(crate) fn suppressed(&self, clauses: &[&ImportStatement]) -> BTreeSet<String> {
        let targets = clauses.iter().flat_map(|c| self.loads(&c.module, c.attribute.as_deref()));
        self.closure(targets, &Deferred::new())
    }

    /// Package of the tree → submodules among the suppressed ones that it does not load by itself: others may
    /// read them there without importing them.
    pub(crate) fn missing_submodules(
        &self,
        suppressed: &BTreeSet<String>,
        deferred: &Deferred,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut by_package: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for module in suppressed {
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

    /// Submodules of the standard library among the suppressed ones that this module reads without importing
    /// them: `import urllib` and `urllib.parse`.
    pub(crate) fn borrowed(
        &self,
        analysis: &ModuleAnalysis,
        suppressed: &BTreeSet<String>,
    ) -> BTreeSet<(String, String)> {
        let imported = |name: &str| {
            analysis.imports.iter().any(|import| {
                import.module == name
                    || import.names.iter().any(|taken| format!("{}.{taken}", import.module) == name)
            })
        };
        analysis
            .attribute_paths
            .iter()
            .filter(|path| suppressed.contains(*path) && !self.statements.contains_key(*path))
            .filter(|path| !imported(path))
            .filter_map(|path| path.rsplit_once('.'))
            .filter(|(package, _)| !self.statements.contains_key(*package))
            .map(|(package, name)| (package.to_owned(), name.to_owned()))
            .collect()
    }
}
