//! One fresh process with an agent in it.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use glowplug_core::Result;
use glowplug_engine::{Engine, EnvironmentSpec, Init, InitOutcome, Invocation};

use crate::agent::{Agent, Kind};
use crate::reader::Reader;
use crate::recording::Recording;
use crate::records::{
    CachedImport, Connection, FileRecord, ImportRecord, LazyLoad, Phase, StatementRecord, Subprocess,
};

/// What an observation records beyond imports and lazy loads. Each costs time that the figures show:
/// do not take the times of imports from a pass with anything but `user_files`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObserveOptions {
    /// Modules whose top-level statements are timed, relative to the tree. Only where the tree's
    /// bytecode is what its sources compile to: they are compiled again, statement by statement.
    pub user_files: BTreeSet<Utf8PathBuf>,
    /// Growth of memory and time spent waiting, by import.
    pub memory: bool,
    /// Files opened, native libraries mapped, processes started.
    pub files: bool,
    /// Imports of modules that are loaded already.
    pub cached: bool,
    /// Writes each import down as it begins: for a function that is ended while it runs.
    pub immediate: bool,
}

/// What one process did, from its start to the end of its first event.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Every import, in the order in which they began.
    pub imports: Vec<ImportRecord>,
    /// Top-level statements of the user's own code; empty without `user_files`.
    pub statements: Vec<StatementRecord>,
    /// Deferred imports that were needed, in order.
    pub lazy_loads: Vec<LazyLoad>,
    /// Files opened, in order; empty without `files`.
    pub files: Vec<FileRecord>,
    /// Processes started; empty without `files`.
    pub subprocesses: Vec<Subprocess>,
    /// Imports of what was loaded; empty without `cached`.
    pub cached: Vec<CachedImport>,
    /// Names looked up and connections opened.
    pub connections: Vec<Connection>,
    /// Modules that the interpreter had loaded before the agent.
    pub preloaded: BTreeSet<String>,
    /// Entries of `sys.modules` under which a module was found that has one under its own name too, and that name.
    pub aliases: BTreeMap<String, String>,
    /// False where the process was ended before it could write everything: at a timeout, or by `os._exit`.
    pub complete: bool,
    /// How init went, with the agent.
    pub init: Init,
    /// Init without what the agent took of it, in ms; `None` where it did not end.
    pub init_ms: Option<f64>,
    /// The event's name.
    pub event: Option<String>,
    /// How the event went, with the agent; `None` without one, or where init failed.
    pub invocation: Option<Invocation>,
}

/// Modules whose functions ran, not only their bodies. Native callables count with the module that
/// they say they are from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// In init.
    pub init: BTreeSet<String>,
    /// In the event.
    pub event: BTreeSet<String>,
}

/// Starts one fresh process with the tracing agent, and has it handle the event (its name and its payload).
/// A function that fails is an observation, not an error.
pub fn observe(engine: &Engine, spec: &EnvironmentSpec, event: Option<(&str, &[u8])>) -> Result<Observation> {
    observe_with(engine, spec, event, &ObserveOptions::default())
}

/// As [`observe`], with more recorded.
pub fn observe_with(
    engine: &Engine,
    spec: &EnvironmentSpec,
    event: Option<(&str, &[u8])>,
    options: &ObserveOptions,
) -> Result<Observation> {
    let switches: Vec<&str> = [
        ("memory", options.memory),
        ("files", options.files),
        ("cached", options.cached),
        ("immediate", options.immediate),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect();
    let agent = Agent::new(Kind::Tracer, &options.user_files, &switches)?;
    let (recording, init, invocation) = run(engine, spec, &agent, event)?;
    let reader = Reader::new(
        &recording,
        &spec.tree,
        event.map(|(name, _)| name),
        init.process_start_ns,
        init.ready_ns,
        invocation.as_ref().map_or(init.ready_ns, |invocation| invocation.end_ns),
    );
    let last = i64::from(invocation.is_some());
    Ok(Observation {
        imports: reader.imports(&spec.handler),
        statements: reader.statements(),
        lazy_loads: reader.lazy_loads(),
        files: reader.files(),
        subprocesses: reader.subprocesses(),
        cached: reader.cached(),
        connections: reader.connections(),
        preloaded: recording.preloaded.iter().cloned().collect(),
        aliases: recording.aliases.iter().map(|(_, entry, own)| (entry.clone(), own.clone())).collect(),
        complete: !recording.truncated && recording.phase(last).is_some(),
        init_ms: reader.init_ms(&spec.handler),
        init,
        event: event.map(|(name, _)| name.to_owned()),
        invocation,
    })
}

/// Starts one fresh process with the usage agent, and has it handle the event.
pub fn usage(engine: &Engine, spec: &EnvironmentSpec, event: Option<(&str, &[u8])>) -> Result<Usage> {
    let agent = Agent::new(Kind::Usage, &BTreeSet::new(), &[])?;
    let (recording, _, _) = run(engine, spec, &agent, event)?;
    Ok(used(&recording))
}

fn used(recording: &Recording) -> Usage {
    let mut usage = Usage::default();
    for row in recording.usage.iter().filter(|row| !row.module.is_empty()) {
        let set = if row.phase == 0 { &mut usage.init } else { &mut usage.event };
        set.insert(row.module.clone());
    }
    usage
}

fn run(
    engine: &Engine,
    spec: &EnvironmentSpec,
    agent: &Agent,
    event: Option<(&str, &[u8])>,
) -> Result<(Recording, Init, Option<Invocation>)> {
    let (mut environment, init) = engine.start(&agent.join(spec))?;
    let invocation = match event {
        Some((_, payload)) if init.outcome == InitOutcome::Ready => Some(environment.invoke(payload)?),
        _ => None,
    };
    environment.finish()?;
    Ok((agent.read()?, init, invocation))
}

impl Observation {
    /// The modules that were loaded by the end of a phase, the interpreter's own among them.
    pub fn loaded(&self, phase: Phase) -> BTreeSet<&str> {
        let imported = self.imports.iter().filter(|record| record.loaded() && record.phase <= phase);
        imported
            .map(|record| record.module.as_str())
            .chain(self.preloaded.iter().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::UsageRow;

    #[test]
    fn use_is_told_by_phase_and_code_without_a_module_is_left_out() {
        let row = |module: &str, phase| UsageRow { module: module.to_owned(), file: String::new(), phase };
        let recording =
            Recording { usage: vec![row("json", 0), row("", 1), row("re", 1)], ..Recording::default() };
        let usage = used(&recording);
        assert_eq!(usage.init, BTreeSet::from(["json".to_owned()]));
        assert_eq!(usage.event, BTreeSet::from(["re".to_owned()]));
    }
}
