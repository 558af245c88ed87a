//! Imports and statements as drafts: those below the threshold are left out, what they led to is kept.

use std::collections::BTreeMap;

use super::attributes;
use super::failures;
use super::forest::Forest;
use super::layout::Draft;
use super::span::{Failure, Kind};
use crate::document::{Import, Statement, Trace};
use crate::records::{Phase, Status};

/// Characters of a statement in the name of its span.
const TEXT: usize = 80;

/// One part of the environment's life on its way to drafts.
pub(crate) struct Imports<'a> {
    trace: &'a Trace,
    threshold_ms: f64,
    /// What ended this part, if anything did.
    ended: Option<Failure>,
    forest: Forest,
    /// By import, the statements of its body in the order in which they ran.
    statements: BTreeMap<usize, Vec<&'a Statement>>,
}

impl<'a> Imports<'a> {
    pub(crate) fn new(
        trace: &'a Trace,
        (phase, event): (Phase, Option<&str>),
        threshold_ms: f64,
        ended: Option<Failure>,
    ) -> Self {
        let forest = Forest::new(trace, phase, event);
        Self { trace, threshold_ms, ended, forest, statements: bodies(trace) }
    }

    /// The topmost imports, those that the runtime brings and the others.
    pub(crate) fn roots(&self, runtime_provided: bool) -> impl Iterator<Item = (usize, &'a Import)> {
        let all = self.forest.roots.iter().map(|index| (*index, &self.trace.imports[*index]));
        all.filter(move |(_, import)| import.runtime_provided == runtime_provided)
    }

    /// These imports and all within.
    pub(crate) fn drafts(&self, indices: impl Iterator<Item = usize>) -> Vec<Draft> {
        indices.flat_map(|index| self.draft(index, true)).collect()
    }

    /// The import, or what of its children is to be shown where it is too short itself. `fatal`: whether all that led
    /// to it failed, so that its failure may be what ended this part.
    fn draft(&self, index: usize, fatal: bool) -> Vec<Draft> {
        let import = &self.trace.imports[index];
        let fatal = fatal && import.status == Status::Failed && self.ended.is_some();
        let direct = self.forest.children(index);
        let children = direct.iter().flat_map(|child| self.draft(*child, fatal)).collect();
        let children = self.with_statements(index, children);
        if import.total_ms < self.threshold_ms && !fatal {
            return children;
        }
        let mut draft = Draft::new(Kind::Import, &*import.module, import.start_ms, import.total_ms);
        draft.thread.clone_from(&import.thread);
        draft.place = attributes::place(&import.importer);
        draft.failure = failures::of_import(import, self.ended.as_ref().filter(|_| fatal));
        draft.attributes = attributes::of_import(import);
        draft.children = children;
        vec![draft]
    }

    /// Puts the statements of a body among the imports in it, and those that a statement led to within it.
    fn with_statements(&self, index: usize, mut children: Vec<Draft>) -> Vec<Draft> {
        let Some(body) = self.statements.get(&index) else { return children };
        for (position, statement) in body.iter().enumerate() {
            let next = body.get(position + 1).map_or(f64::INFINITY, |next| next.start_ms);
            let during = |start: f64| statement.start_ms <= start && start < next;
            let direct = self.forest.children(index).iter().map(|child| &self.trace.imports[*child]);
            let led_to: Vec<&Import> = direct.filter(|import| during(import.start_ms)).collect();
            // An import statement would be shown twice; one that runs code which imports is worth a span.
            let elsewhere = |import: &&&Import| file_of(&import.importer) != file_of(&statement.place);
            let hidden: f64 = led_to.iter().filter(elsewhere).map(|import| import.total_ms).sum();
            if statement.self_ms.max(hidden) < self.threshold_ms {
                continue;
            }
            let imports_ms = statement.imports_ms.unwrap_or_else(|| led_to.iter().map(|i| i.total_ms).sum());
            let (within, others) = children.into_iter().partition(|child: &Draft| during(child.start));
            children = others;
            let name = format!("{} {}", statement.place, shortened(&statement.text));
            let duration = statement.self_ms + imports_ms;
            let mut draft = Draft::new(Kind::Statement, name, statement.start_ms, duration);
            draft.thread.clone_from(&self.trace.imports[index].thread);
            draft.place = attributes::place(&statement.place);
            draft.attributes = attributes::of_statement(statement);
            draft.children = within;
            children.push(draft);
        }
        children
    }
}

/// Which import ran which statements: that of the same file whose time the statement began in, or next to it.
fn bodies(trace: &Trace) -> BTreeMap<usize, Vec<&Statement>> {
    let mut files: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, import) in trace.imports.iter().enumerate() {
        if let Some(file) = import.file.as_deref().filter(|_| import.status != Status::Cached) {
            files.entry(file.as_str()).or_default().push(index);
        }
    }
    let mut bodies: BTreeMap<usize, Vec<&Statement>> = BTreeMap::new();
    for statement in &trace.statements {
        let distance = |index: &usize| {
            let Import { start_ms, total_ms, .. } = trace.imports[*index];
            (start_ms - statement.start_ms).max(statement.start_ms - start_ms - total_ms).max(0.0)
        };
        let same = |index: &usize| {
            let import = &trace.imports[*index];
            import.phase == statement.phase && import.event == statement.event
        };
        let candidates = files.get(file_of(&statement.place)).into_iter().flatten().copied().filter(same);
        if let Some(index) = candidates.min_by(|a, b| distance(a).total_cmp(&distance(b))) {
            bodies.entry(index).or_default().push(statement);
        }
    }
    for body in bodies.values_mut() {
        body.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms));
    }
    bodies
}

/// The file of `file:line`.
fn file_of(place: &str) -> &str {
    place.rsplit_once(':').map_or(place, |(file, _)| file)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= TEXT {
        text.to_owned()
    } else {
        text.chars().take(TEXT - 1).chain(['…']).collect()
    }
}
