//! The imports of a tree that could be deferred, each allowed or refused by name of the rule.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_imports::{Binding, Global, ImportStatement, ModuleAnalysis, Source};

use crate::diff;
use crate::edits::{
    ClauseEdit, FileEdits, clause_edit, name_edit, pair, signatures_with, texts_of, texts_with,
};
use crate::globals::{Judged, around, imports_used, judge_all, unproved};
use crate::graph::{Deferred, Graph};
use crate::rules::{Refusal, judge, judge_submodule};
use crate::world::World;

/// What is deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// A name that imports bind.
    Import,
    /// What `import a.b` loads beside binding `a`.
    Submodule,
    /// A name that a statement of the body binds to what a call gives, or to a class.
    Global,
}

/// One name bound by imports, or by a call, in one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `lazy:app.py:pd`; of a submodule alone `lazy:app.py:scipy.stats`; of a call's value `global:app.py:s3`.
    pub id: String,
    /// What it is.
    pub kind: CandidateKind,
    /// The module that holds the import.
    pub module: String,
    /// Its source, relative to the tree.
    pub path: Utf8PathBuf,
    /// The bound name; of a submodule alone its full name.
    pub name: String,
    /// Line of the first statement that binds it.
    pub line: u32,
    /// Modules that the statements load by themselves; the packages around them go without saying. Of a call's value
    /// those that its names are imported from.
    pub targets: Vec<String>,
    /// Ids of the globals that must be deferred with it, because their values use the name.
    pub requires: BTreeSet<String>,
    /// Why only a replay can show that deferring it changes nothing.
    pub unproved: Option<String>,
    /// Why it may be deferred only if what it loads warns of nothing, as far as a try shows.
    pub may_warn: Option<String>,
    /// What the value is, as it is in the source; of globals alone.
    pub text: String,
    /// What the value is made from beside the program; of globals alone.
    pub reads: BTreeSet<Source>,
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
    /// Judges every import binding of every module. `user` names the modules of the user's own code, `modules` all of
    /// the tree, those among them that have no source, as native ones.
    pub fn find(
        analyses: &BTreeMap<String, ModuleAnalysis>,
        user: &BTreeSet<String>,
        modules: &BTreeSet<String>,
    ) -> Self {
        let world = World::new(analyses, user, modules);
        let mut all: Vec<Candidate> = analyses
            .values()
            .flat_map(|analysis| {
                let judged = judge_all(&world, analysis);
                let imports = analysis.bindings.iter();
                let mut all: Vec<Candidate> =
                    imports.flat_map(|binding| candidates_of(&world, analysis, binding, &judged)).collect();
                let globals = analysis.globals.iter();
                all.extend(globals.filter_map(|global| global_candidate(analysis, global, &judged)));
                all
            })
            .collect();
        all.sort_by(|a, b| (&a.path, a.line, &a.name).cmp(&(&b.path, b.line, &b.name)));
        let by_name =
            all.iter().enumerate().map(|(index, c)| ((c.module.clone(), c.name.clone()), index)).collect();
        Self { all, by_name, analyses: analyses.clone(), graph: Graph::new(analyses, modules) }
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
            let bindings =
                self.analyses.get(&candidate.module).map_or(&[][..], |analysis| &analysis.bindings);
            let binding = bindings.iter().find(|binding| binding.name == candidate.bound());
            binding.is_some_and(|binding| {
                candidate.statements(binding).any(|s| (s.place.line..=s.end_line).contains(&line))
            })
        })
    }

    /// The candidate that binds `name` in `module`.
    pub fn named(&self, module: &str, name: &str) -> Option<&Candidate> {
        self.by_name.get(&(module.to_owned(), name.to_owned())).map(|index| &self.all[*index])
    }

    /// The edits that defer the given ids, by file. `support` is the support module's name in this tree.
    pub fn edits(&self, lazy: &BTreeSet<String>, support: &str) -> BTreeMap<Utf8PathBuf, FileEdits> {
        let chosen = self.chosen(lazy);
        let mut files: BTreeMap<Utf8PathBuf, FileEdits> = BTreeMap::new();
        let of = |files: &mut BTreeMap<Utf8PathBuf, FileEdits>,
                  analysis: &ModuleAnalysis,
                  change: &dyn Fn(&mut FileEdits)| {
            let new = || FileEdits::new(support, analysis);
            change(files.entry(analysis.path.clone()).or_insert_with(new));
        };
        for Chosen { candidate, analysis, binding, global } in &chosen {
            if candidate.kind == CandidateKind::Submodule {
                let clauses = candidate.statements(binding).map(clause_edit);
                let clauses: Vec<ClauseEdit> = clauses.collect();
                of(&mut files, analysis, &|edits| edits.weakened.extend(clauses.iter().cloned()));
            } else {
                let mut edit = name_edit(analysis, binding, |module| self.graph.knows(module));
                if let Some(global) = global {
                    edit.statement = Some(pair(global.place));
                    edit.set_up = global.set_up.iter().map(|(start, _)| pair(*start)).collect();
                    (edit.first, edit.then) = texts_of(analysis, global);
                }
                of(&mut files, analysis, &|edits| {
                    edits.names.push(edit.clone());
                    edits.signatures.extend(signatures_with(analysis, binding));
                    edits.texts.extend(texts_with(analysis, binding));
                });
            }
        }
        let (clauses, deferred) = clauses_of(&chosen);
        let suppressed = self.graph.suppressed(&clauses);
        for (package, names) in self.graph.missing_submodules(&suppressed, &deferred) {
            let Some(analysis) = self.analyses.get(&package) else { continue };
            if analysis.conditional_getattr.is_none() && analysis.replaces_itself.is_none() {
                of(&mut files, analysis, &|edits| edits.submodules.extend(names.iter().cloned()));
            }
        }
        for analysis in self.analyses.values() {
            let borrowed = self.graph.borrowed(analysis, &suppressed);
            if !borrowed.is_empty() {
                of(&mut files, analysis, &|edits| edits.borrowed.extend(borrowed.iter().cloned()));
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
        let mut by_path: BTreeMap<&Utf8Path, Vec<Chosen>> = BTreeMap::new();
        for chosen in self.chosen(lazy) {
            by_path.entry(&chosen.candidate.path).or_default().push(chosen);
        }
        let mut out = String::new();
        for (path, chosen) in by_path {
            let names: BTreeSet<&str> = chosen.iter().map(|chosen| chosen.candidate.name.as_str()).collect();
            if let Some(first) = chosen.first() {
                out += &diff::of_file(path, &source(path), first.analysis, &names);
            }
        }
        out
    }

    /// Those of `lazy` that can be deferred together: what requires something that is not among them stays.
    pub fn effective(&self, lazy: &BTreeSet<String>) -> BTreeSet<String> {
        let known = self.deferrable().filter(|candidate| lazy.contains(&candidate.id));
        let mut left: Vec<&Candidate> = known.collect();
        loop {
            let ids: BTreeSet<String> = left.iter().map(|candidate| candidate.id.clone()).collect();
            let before = left.len();
            left.retain(|candidate| candidate.requires.is_subset(&ids));
            if left.len() == before {
                return ids;
            }
        }
    }

    fn chosen(&self, lazy: &BTreeSet<String>) -> Vec<Chosen<'_>> {
        let lazy = self.effective(lazy);
        self.deferrable()
            .filter(|candidate| lazy.contains(&candidate.id))
            .filter_map(|candidate| {
                let analysis = self.analyses.get(&candidate.module)?;
                let global = match candidate.kind {
                    CandidateKind::Global => {
                        Some(analysis.globals.iter().find(|global| global.binding.name == candidate.name)?)
                    }
                    CandidateKind::Import | CandidateKind::Submodule => None,
                };
                let binding = match global {
                    Some(global) => &global.binding,
                    None => analysis.bindings.iter().find(|b| b.name == candidate.bound())?,
                };
                Some(Chosen { candidate, analysis, binding, global })
            })
            .collect()
    }
}

impl Candidate {
    /// Whether it is not the name that is deferred, but what `import a.b` loads beside binding `a`.
    pub fn is_submodule(&self) -> bool {
        self.kind == CandidateKind::Submodule
    }

    /// Whether it is a name that a call's value is bound to.
    pub fn is_global(&self) -> bool {
        self.kind == CandidateKind::Global
    }

    /// The name that the statements bind.
    fn bound(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// The clauses that it is about.
    fn statements<'b>(&self, binding: &'b Binding) -> impl Iterator<Item = &'b ImportStatement> {
        binding.statements.iter().filter(|s| !self.is_submodule() || loads_submodule(s, &self.name))
    }
}

/// A candidate of a choice, with the facts about it.
struct Chosen<'a> {
    candidate: &'a Candidate,
    analysis: &'a ModuleAnalysis,
    binding: &'a Binding,
    global: Option<&'a Global>,
}

/// Whether a clause is `import <module>` with a dotted name, which binds only the first part.
fn loads_submodule(statement: &ImportStatement, module: &str) -> bool {
    statement.binds_top && statement.module == module && module.contains('.')
}

/// The clauses of the chosen bindings, as they stand and as keys of the graph.
fn clauses_of<'a>(chosen: &[Chosen<'a>]) -> (Vec<&'a ImportStatement>, Deferred<'a>) {
    let mut deferred = Deferred::new();
    let mut clauses: Vec<&ImportStatement> = Vec::new();
    for Chosen { candidate, binding, .. } in chosen {
        for statement in candidate.statements(binding) {
            let attribute = statement.attribute.as_deref();
            deferred.insert((&candidate.module, statement.place.line, &statement.module, attribute));
            clauses.push(statement);
        }
    }
    (clauses, deferred)
}

/// The binding as a whole; where it may not be deferred, also the submodules that its clauses load.
fn candidates_of(
    world: &World,
    analysis: &ModuleAnalysis,
    binding: &Binding,
    judged: &Judged,
) -> Vec<Candidate> {
    let whole = candidate(world, analysis, binding, judged);
    let mut all = Vec::new();
    if whole.refusal.is_some() {
        let modules: BTreeSet<&str> = binding
            .statements
            .iter()
            .map(|statement| statement.module.as_str())
            .filter(|module| binding.statements.iter().any(|s| loads_submodule(s, module)))
            .collect();
        for module in modules {
            let line = binding.statements.iter().find(|s| s.module == module).map_or(0, |s| s.place.line);
            all.push(Candidate {
                id: format!("lazy:{}:{module}", analysis.path),
                kind: CandidateKind::Submodule,
                requires: BTreeSet::new(),
                name: module.to_owned(),
                line,
                targets: vec![module.to_owned()],
                refusal: judge_submodule(world, analysis, binding, module),
                ..whole.clone()
            });
        }
    }
    all.push(whole);
    all
}

fn candidate(world: &World, analysis: &ModuleAnalysis, binding: &Binding, judged: &Judged) -> Candidate {
    let mut targets = Vec::new();
    for statement in &binding.statements {
        let submodule =
            statement.attribute.as_ref().map(|attribute| format!("{}.{attribute}", statement.module));
        let target = match submodule {
            Some(submodule) if world.is_module(&submodule) => submodule,
            _ => statement.module.clone(),
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Candidate {
        id: format!("lazy:{}:{}", analysis.path, binding.name),
        kind: CandidateKind::Import,
        requires: required(analysis, binding),
        unproved: world.surroundings.unproved(binding),
        may_warn: world.surroundings.may_warn(analysis, binding, |module| world.is_user(module)),
        text: String::new(),
        reads: BTreeSet::new(),
        module: analysis.name.clone(),
        path: analysis.path.clone(),
        name: binding.name.clone(),
        line: binding.statements.first().map_or(0, |statement| statement.place.line),
        targets,
        refusal: judge(world, analysis, binding, judged),
    }
}

fn global_id(analysis: &ModuleAnalysis, name: &str) -> String {
    format!("global:{}:{name}", analysis.path)
}

fn required(analysis: &ModuleAnalysis, binding: &Binding) -> BTreeSet<String> {
    around(analysis, binding).map(|name| global_id(analysis, name)).collect()
}

/// The value of a statement, or a class.
fn global_candidate(analysis: &ModuleAnalysis, global: &Global, judged: &Judged) -> Option<Candidate> {
    let binding = &global.binding;
    let refusal = judged.get(&binding.name)?.clone();
    let modules = imports_used(analysis, global).flat_map(|import| &import.statements);
    Some(Candidate {
        id: global_id(analysis, &binding.name),
        kind: CandidateKind::Global,
        module: analysis.name.clone(),
        path: analysis.path.clone(),
        name: binding.name.clone(),
        line: global.place.line,
        targets: modules.map(|statement| statement.module.clone()).collect(),
        requires: required(analysis, binding),
        unproved: unproved(global),
        may_warn: None,
        text: global.text.clone(),
        reads: global.reads.clone(),
        refusal,
    })
}
