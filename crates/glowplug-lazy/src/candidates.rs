//! The imports of a tree that could be deferred, each allowed or refused by name of the rule.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_imports::{Binding, ImportStatement, ModuleAnalysis};

use crate::diff;
use crate::edits::{FileEdits, name_edit};
use crate::graph::{Deferred, Graph};
use crate::rules::{Refusal, judge};
use crate::world::World;

/// One name bound by imports in one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `lazy:app.py:pd`.
    pub id: String,
    /// The module that holds the import.
    pub module: String,
    /// Its source, relative to the tree.
    pub path: Utf8PathBuf,
    /// The bound name.
    pub name: String,
    /// Line of the first statement that binds it.
    pub line: u32,
    /// Modules that the statements load by themselves; the packages around them go without saying.
    pub targets: Vec<String>,
    /// Why it must stay as it is; `None` where it may be deferred.
    pub refusal: Option<Refusal>,
}

/// All candidates of a tree.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    all: Vec<Candidate>,
    by_name: BTreeMap<(String, String), usize>,
    /// What the edits need to know of each module.
    analyses: BTreeMap<String, ModuleAnalysis>,
    graph: Graph,
}

impl Candidates {
    /// Judges every import binding of every module. `user` names the modules of the user's own code.
    pub fn find(analyses: &BTreeMap<String, ModuleAnalysis>, user: &BTreeSet<String>) -> Self {
        let world = World::new(analyses, user);
        let mut all: Vec<Candidate> = analyses
            .values()
            .flat_map(|analysis| analysis.bindings.iter().map(|binding| candidate(&world, analysis, binding)))
            .collect();
        all.sort_by(|a, b| (&a.path, a.line, &a.name).cmp(&(&b.path, b.line, &b.name)));
        let by_name =
            all.iter().enumerate().map(|(index, c)| ((c.module.clone(), c.name.clone()), index)).collect();
        Self { all, by_name, analyses: analyses.clone(), graph: Graph::new(analyses) }
    }

    /// Every candidate, by path and line.
    pub fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.all.iter()
    }

    /// Those that may be deferred.
    pub fn deferrable(&self) -> impl Iterator<Item = &Candidate> {
        self.all.iter().filter(|candidate| candidate.refusal.is_none())
    }

    /// Ids of those that may be deferred.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.deferrable().map(|candidate| candidate.id.as_str())
    }

    /// The first deferrable import whose statement covers a line of a file.
    pub fn at(&self, path: &Utf8Path, line: u32) -> Option<&Candidate> {
        self.deferrable().filter(|candidate| candidate.path == path).find(|candidate| {
            self.binding(candidate).is_some_and(|binding| {
                binding.statements.iter().any(|s| (s.place.line..=s.end_line).contains(&line))
            })
        })
    }

    /// The candidate that binds `name` in `module`.
    pub fn named(&self, module: &str, name: &str) -> Option<&Candidate> {
        self.by_name.get(&(module.to_owned(), name.to_owned())).map(|index| &self.all[*index])
    }

    /// The edits that defer the given ids, by file. `support` is the support module's name in this tree.
    pub fn edits(&self, lazy: &BTreeSet<String>, support: &str) -> BTreeMap<Utf8PathBuf, FileEdits> {
        let chosen: Vec<(&Candidate, &Binding)> = self.chosen(lazy).collect();
        let mut files: BTreeMap<Utf8PathBuf, FileEdits> = BTreeMap::new();
        let empty = || FileEdits {
            support: support.to_owned(),
            names: Vec::new(),
            submodules: Vec::new(),
            borrowed: Vec::new(),
        };
        for (candidate, binding) in &chosen {
            let Some(analysis) = self.analyses.get(&candidate.module) else { continue };
            let edit = name_edit(analysis, binding, |module| self.analyses.contains_key(module));
            files.entry(candidate.path.clone()).or_insert_with(empty).names.push(edit);
        }
        let (clauses, deferred) = clauses_of(&chosen);
        let suppressed = self.graph.suppressed(&clauses);
        for (package, names) in self.graph.missing_submodules(&suppressed, &deferred) {
            let Some(analysis) = self.analyses.get(&package) else { continue };
            if analysis.conditional_getattr.is_none() && analysis.replaces_itself.is_none() {
                files.entry(analysis.path.clone()).or_insert_with(empty).submodules.extend(names);
            }
        }
        for analysis in self.analyses.values() {
            let borrowed = self.graph.borrowed(analysis, &suppressed);
            if !borrowed.is_empty() {
                files.entry(analysis.path.clone()).or_insert_with(empty).borrowed.extend(borrowed);
            }
        }
        for edits in files.values_mut() {
            edits.names.sort_by(|a, b| a.name.cmp(&b.name));
            let deferred: BTreeSet<&String> = edits.names.iter().map(|edit| &edit.name).collect();
            edits.submodules.retain(|name| !deferred.contains(name));
        }
        files
    }

    /// The edits as a unified diff of what a person would have written in the syntax of PEP 810; `source` gives a
    /// file's text.
    pub fn diff(&self, lazy: &BTreeSet<String>, source: &dyn Fn(&Utf8Path) -> String) -> String {
        let mut by_path: BTreeMap<&Utf8Path, BTreeSet<&str>> = BTreeMap::new();
        for (candidate, _) in self.chosen(lazy) {
            by_path.entry(&candidate.path).or_default().insert(&candidate.name);
        }
        let mut out = String::new();
        for (path, names) in by_path {
            if let Some(analysis) = self.analyses.values().find(|analysis| analysis.path == path) {
                out += &diff::of_file(path, &source(path), &analysis.bindings, &names);
            }
        }
        out
    }

    fn chosen<'s>(&'s self, lazy: &BTreeSet<String>) -> impl Iterator<Item = (&'s Candidate, &'s Binding)> {
        let chosen: Vec<&Candidate> = self.deferrable().filter(|c| lazy.contains(&c.id)).collect();
        chosen.into_iter().filter_map(|candidate| Some((candidate, self.binding(candidate)?)))
    }

    fn binding(&self, candidate: &Candidate) -> Option<&Binding> {
        self.analyses.get(&candidate.module)?.bindings.iter().find(|binding| binding.name == candidate.name)
    }
}

/// The clauses of the chosen bindings, as they stand and as keys of the graph.
fn clauses_of<'a>(chosen: &[(&'a Candidate, &'a Binding)]) -> (Vec<&'a ImportStatement>, Deferred<'a>) {
    let mut deferred = Deferred::new();
    let mut clauses: Vec<&ImportStatement> = Vec::new();
    for (candidate, binding) in chosen {
        for statement in &binding.statements {
            let attribute = statement.attribute.as_deref();
            deferred.insert((&candidate.module, statement.place.line, &statement.module, attribute));
            clauses.push(statement);
        }
    }
    (clauses, deferred)
}

fn candidate(world: &World, analysis: &ModuleAnalysis, binding: &Binding) -> Candidate {
    let mut targets = Vec::new();
    for statement in &binding.statements {
        let submodule =
            statement.attribute.as_ref().map(|attribute| format!("{}.{attribute}", statement.module));
        let target = match submodule {
            Some(submodule) if world.analyses.contains_key(&submodule) => submodule,
            _ => statement.module.clone(),
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Candidate {
        id: format!("lazy:{}:{}", analysis.path, binding.name),
        module: analysis.name.clone(),
        path: analysis.path.clone(),
        name: binding.name.clone(),
        line: binding.statements.first().map_or(0, |statement| statement.place.line),
        targets,
        refusal: judge(world, analysis, binding),
    }
}
