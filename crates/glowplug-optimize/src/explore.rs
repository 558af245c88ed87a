//! What each event really needs: every import that may be deferred is deferred, and what still loads is it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{InitOutcome, Outcome};
use glowplug_lazy::Candidate;
use glowplug_trace::{ImportRecord, Observation, ObserveOptions, Phase, StatementRecord};

use crate::aliases::Aliases;
use crate::deferral::find_needed;
use crate::options::LazyLevel;
use crate::subject::Subject;
use crate::trial::init_failed;

/// Passes over the original; the median of a module's self time is kept.
const PASSES: usize = 3;

/// What the traced starts have shown.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// The level that it was explored for.
    pub(crate) level: LazyLevel,
    /// Module → own time in the original's init, ms; 0 where the runtime had loaded it. The values of modules are
    /// among them, as [`node`] calls them, here and below.
    pub(crate) self_ms: BTreeMap<String, f64>,
    /// What the events load in the original after init.
    pub(crate) late: Late,
    /// Module → its total time in the original's init, ms, by who imported it first.
    pub(crate) total_ms: BTreeMap<(String, String), f64>,
    /// Module → modules whose load it started in the original.
    pub(crate) imports: BTreeMap<String, BTreeSet<String>>,
    /// Module → share of first requests that need it.
    pub(crate) need: BTreeMap<String, f64>,
    /// Every module that some traced start of the original loaded, in init or for an event.
    pub(crate) loaded: BTreeSet<String>,
    /// Second names that modules had in the original.
    pub(crate) aliases: Aliases,
    /// Id of an import that breaks the function when it is deferred with all others → how.
    pub(crate) breaking: BTreeMap<String, String>,
}

/// Modules that the original loads for events alone.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// Module → own time in the first invoke, ms.
    pub(crate) self_ms: BTreeMap<String, f64>,
    /// Module → modules whose load it started.
    pub(crate) imports: BTreeMap<String, BTreeSet<String>>,
}

impl Explored {
    /// Whether init or some event loads a module of the original.
    pub(crate) fn loads(&self, module: &str) -> bool {
        self.self_ms.contains_key(module) || self.late.self_ms.contains_key(module)
    }
}

/// Traces the original, then the tree with everything deferred, with every event.
/// Values that only a replay can support wait at `level` aggressive alone.
pub(crate) fn explore(
    subject: &Subject,
    original: &Utf8Path,
    level: LazyLevel,
    progress: &dyn Progress,
) -> Result<Explored> {
    let mut explored = Explored { level, ..Explored::default() };
    let events = subject.ground.events.len();
    let mut files = files_with_values(subject);
    let count = PASSES.max(events);
    progress.start("Tracing imports", Some((count + events) as u64));
    let mut outcomes = Vec::new();
    let (mut passes, mut late) = (Passes::new(), Passes::new());
    for pass in 0..count {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let event = &subject.ground.events[pass % events];
        let observation = observe_values(subject, original, event, &mut files)?;
        if !matches!(observation.init.outcome, InitOutcome::Ready) {
            return Err(init_failed(&observation.init.outcome, Some((&subject.ground, original))));
        }
        read_original(subject, &observation, &mut explored, &mut passes);
        read_late(&observation, &mut explored.late, &mut late);
        explored.loaded.extend(loaded(&observation, Phase::FirstInvoke));
        explored.aliases.extend(&observation.aliases);
        if pass < events {
            outcomes
                .push(observation.invocation.as_ref().map(|invocation| outcome_kind(&invocation.outcome)));
        }
        progress.advance(1);
    }
    explored.self_ms = medians(passes);
    explored.late.self_ms = medians(late);
    explored.late.self_ms.retain(|module, _| !explored.self_ms.contains_key(module));
    find_needed(subject, &outcomes, &mut explored, progress)?;
    progress.finish();
    Ok(explored)
}

/// The files whose statements are timed one by one: what they make may wait.
fn files_with_values(subject: &Subject) -> BTreeSet<Utf8PathBuf> {
    let globals = subject.candidates.all().filter(|candidate| candidate.is_global());
    let asked = globals.filter(|c| c.refusal.is_none() || owner(subject, &c.path) == OWN);
    asked.map(|candidate| candidate.path.clone()).collect()
}

/// A traced start that times the statements of `files`; of the user's own alone, from then on, where a library does not
/// bear it.
fn observe_values(
    subject: &Subject,
    original: &Utf8Path,
    event: &glowplug_function::Event,
    files: &mut BTreeSet<Utf8PathBuf>,
) -> Result<Observation> {
    loop {
        let options = ObserveOptions { user_files: files.clone(), ..ObserveOptions::default() };
        let observation = observe(subject, original, Some(event), &options)?;
        let before = files.len();
        if !matches!(observation.init.outcome, InitOutcome::Ready) {
            files.retain(|path| owner(subject, path) == OWN);
        }
        if files.len() == before {
            return Ok(observation);
        }
    }
}

/// How the user's own code is called where distributions are listed.
pub(crate) const OWN: &str = "the function";

/// The distribution that holds a file of the tree.
pub(crate) fn owner(subject: &Subject, path: &Utf8Path) -> String {
    if subject.ground.user_files().contains(path) {
        return OWN.to_owned();
    }
    subject.ground.package.distribution_of(path).map_or_else(|| OWN.to_owned(), |d| d.name.clone())
}

pub(crate) fn observe(
    subject: &Subject,
    tree: &Utf8Path,
    event: Option<&glowplug_function::Event>,
    options: &ObserveOptions,
) -> Result<Observation> {
    glowplug_trace::observe_with(
        &subject.ground.engine,
        &subject.ground.spec_for_agent(tree, None),
        event.map(|event| (event.name.as_str(), event.payload.as_slice())),
        options,
    )
}

/// One traced start of any tree with one event.
pub(crate) fn observe_event(subject: &Subject, tree: &Utf8Path, event: usize) -> Result<Observation> {
    observe(subject, tree, Some(&subject.ground.events[event]), &ObserveOptions::default())
}

/// How an invoke ended, whatever its payload says.
pub(crate) fn outcome_kind(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Success(_) => 0,
        Outcome::HandlerError(_) => 1,
        Outcome::Exited(_) => 2,
        Outcome::TimedOut(_) => 3,
    }
}

/// What a value of a module is called among the modules: it has a time of its own, is needed or not, and loads others.
pub(crate) fn node(module: &str, name: &str) -> String {
    format!("{module}:{name}")
}

/// The module whose value it is; nothing where it is a module itself.
pub(crate) fn holder(node: &str) -> Option<&str> {
    node.split_once(':').map(|(module, _)| module)
}

/// Own times of what the event has loaded, by module.
fn read_late(observation: &Observation, late: &mut Late, passes: &mut Passes) {
    for record in observation.imports.iter().filter(|r| r.phase == Phase::FirstInvoke && r.loaded()) {
        passes.entry(record.module.clone()).or_default().push(record.self_ms);
        if let Some(parent) = &record.parent {
            late.imports.entry(parent.clone()).or_default().insert(record.module.clone());
        }
    }
}

/// Module → its time in each start, ms.
type Passes = BTreeMap<String, Vec<f64>>;

fn medians(passes: Passes) -> BTreeMap<String, f64> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    passes.into_iter().map(|(module, values)| (module, median(values))).collect()
}

fn read_original(subject: &Subject, observation: &Observation, explored: &mut Explored, passes: &mut Passes) {
    let globals: Vec<&Candidate> = subject.candidates.all().filter(|c| c.is_global()).collect();
    let made: Vec<(&Candidate, Option<&StatementRecord>)> =
        globals.into_iter().map(|global| (global, statement(observation, global))).collect();
    for record in observation.imports.iter().filter(|r| r.phase == Phase::Init && r.loaded()) {
        let ms = if record.runtime_provided { 0.0 } else { record.self_ms };
        passes.entry(record.module.clone()).or_default().push(ms);
        let maker = record.parent.as_ref().and_then(|parent| making(&made, parent, record));
        if let Some(maker) = maker {
            explored.imports.entry(maker).or_default().insert(record.module.clone());
        } else if let Some(parent) = &record.parent {
            explored.imports.entry(parent.clone()).or_default().insert(record.module.clone());
            explored.total_ms.insert((parent.clone(), record.module.clone()), record.total_ms);
        }
    }
    for (global, statement) in made {
        let ms = statement.map_or(0.0, |statement| statement.self_ms);
        passes.entry(node(&global.module, &global.name)).or_default().push(ms);
    }
}

/// The value whose making loaded a module that its module's body does not ask for.
fn making(
    made: &[(&Candidate, Option<&StatementRecord>)],
    parent: &str,
    record: &ImportRecord,
) -> Option<String> {
    let within = |statement: &StatementRecord| {
        let end = statement.start_ms + statement.self_ms + statement.imports_ms;
        (statement.start_ms..end).contains(&record.start_ms)
    };
    let (found, _) = made
        .iter()
        .filter(|(global, _)| global.module == parent)
        .find(|(_, statement)| statement.is_some_and(within))?;
    Some(node(parent, &found.name))
}

/// The traced statement that makes a value, where init ran it.
fn statement<'o>(observation: &'o Observation, global: &Candidate) -> Option<&'o StatementRecord> {
    observation.statements.iter().find(|statement| {
        statement.phase == Phase::Init && statement.file == global.path && statement.line == global.line
    })
}

/// Modules that are there at the end of a phase.
pub(crate) fn loaded(observation: &Observation, phase: Phase) -> BTreeSet<String> {
    observation
        .imports
        .iter()
        .filter(|record| record.loaded() && (record.phase == Phase::Init || phase == Phase::FirstInvoke))
        .map(|record| record.module.clone())
        .collect()
}
