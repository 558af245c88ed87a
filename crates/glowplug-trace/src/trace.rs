//! Many interleaved starts, with and without agents, as one `glowplug.trace/1` document.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use glowplug_core::{Error, Progress, Result, SCHEMA_TRACE, Stat};
use glowplug_engine::{Cpu, Engine, EnvironmentSpec, Init, InitOutcome, Outcome};

use crate::document::{Environment, FileUse, FunctionUse, Phases, Trace, TraceSubprocess};
use crate::observe::{Observation, ObserveOptions, Usage, observe_with, usage};
use crate::package::{Distribution, bytes_by_kind};
use crate::records::Phase;
use crate::summary;

/// What a trace needs to know besides the environment and the events.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceContext {
    /// The user's own files, relative to the tree: their top-level statements are timed. Empty where the
    /// tree's bytecode has been edited: statements are compiled from the sources.
    pub user_files: BTreeSet<Utf8PathBuf>,
    /// The distributions in the tree.
    pub distributions: Vec<Distribution>,
    /// Starts without an agent for each event; one more goes before and does not count. At least 1.
    pub runs: usize,
    /// Starts with the agent for each event, as neighbours of the first of those. At least 1, at most `runs`.
    pub agent_runs: usize,
    /// Provisioning times in ms, where the caller has measured them.
    pub provision_ms: Vec<f64>,
}

/// Traces a function with each event, or init alone without any. A function that fails is a trace with
/// its `failure`, not an error.
pub fn trace(
    engine: &Engine,
    spec: &EnvironmentSpec,
    events: &[(String, Vec<u8>)],
    context: &TraceContext,
    progress: &dyn Progress,
) -> Result<Trace> {
    let passes = Passes { engine, spec, context, progress };
    let events: Vec<Option<&(String, Vec<u8>)>> =
        if events.is_empty() { vec![None] } else { events.iter().map(Some).collect() };
    let runs = context.runs.max(1);
    let per_event = 1 + runs + context.agent_runs.clamp(1, runs) + 3;
    progress.start("Tracing", Some((per_event * events.len()) as u64));
    let mut seen = Seen::default();
    passes.interleave(&events, &mut seen)?;
    if seen.failed_init {
        // Every further pass would fail in the same way; the imports up to there are worth showing.
        if seen.timed.is_empty() {
            seen.timed.push(passes.observe(None, &ObserveOptions::default())?);
        }
    } else {
        passes.extra(&events, &mut seen)?;
    }
    progress.finish();
    Ok(passes.document(&seen))
}

/// What the passes have shown.
#[derive(Debug, Default)]
struct Seen {
    runtime: Vec<f64>,
    init: Vec<f64>,
    first: BTreeMap<String, Vec<f64>>,
    warm: BTreeMap<String, Vec<f64>>,
    /// Init with the agent, less the same without it.
    overhead: Vec<f64>,
    timed: Vec<Observation>,
    memory: Vec<Observation>,
    files: Vec<Observation>,
    usages: BTreeMap<String, Usage>,
    failure: Option<String>,
    failed_init: bool,
}

struct Passes<'a> {
    engine: &'a Engine,
    spec: &'a EnvironmentSpec,
    context: &'a TraceContext,
    progress: &'a dyn Progress,
}

type Event<'e> = Option<&'e (String, Vec<u8>)>;

impl Passes<'_> {
    /// Starts without the agent and, as their neighbours, starts with it; the first fills the page cache.
    fn interleave(&self, events: &[Event], seen: &mut Seen) -> Result<()> {
        let timed =
            ObserveOptions { user_files: self.context.user_files.clone(), ..ObserveOptions::default() };
        for run in 0..=self.context.runs.max(1) {
            for event in events {
                let init = self.plain(*event, run > 0, seen)?;
                if seen.failed_init {
                    return Ok(());
                }
                if (1..=self.context.agent_runs.max(1)).contains(&run) {
                    let observation = self.observe(*event, &timed)?;
                    if observation.init.outcome == InitOutcome::Ready {
                        seen.overhead.push(observation.init.init_ms - init.init_ms);
                    }
                    seen.timed.push(observation);
                }
            }
        }
        Ok(())
    }

    /// One start without an agent: the first invoke, and a second one, which finds everything warm.
    fn plain(&self, event: Event, counts: bool, seen: &mut Seen) -> Result<Init> {
        self.step()?;
        let (mut environment, init) = self.engine.start(self.spec)?;
        if let Some(failure) = init_failure(&init.outcome) {
            seen.failure = Some(failure);
            seen.failed_init = true;
        } else if let Some((name, payload)) = event {
            let first = environment.invoke(payload)?;
            let (failure, alive) = invoke_failure(name, &first.outcome);
            seen.failure = seen.failure.take().or(failure);
            let warm = if alive { Some(environment.invoke(payload)?.duration_ms) } else { None };
            if counts {
                seen.first.entry(name.clone()).or_default().push(first.duration_ms);
                seen.warm.entry(name.clone()).or_default().extend(warm);
            }
        }
        environment.finish()?;
        if counts && !seen.failed_init {
            seen.runtime.push(init.runtime_ms);
            seen.init.push(init.init_ms);
        }
        Ok(init)
    }

    /// The passes that would distort times: memory, files, usage.
    fn extra(&self, events: &[Event], seen: &mut Seen) -> Result<()> {
        for event in events {
            let memory = ObserveOptions { memory: true, ..ObserveOptions::default() };
            seen.memory.push(self.observe(*event, &memory)?);
            let files = ObserveOptions { files: true, ..ObserveOptions::default() };
            seen.files.push(self.observe(*event, &files)?);
            if let Some((name, payload)) = event {
                self.step()?;
                let used = usage(self.engine, self.spec, Some((name, payload)))?;
                seen.usages.insert(name.clone(), used);
            }
        }
        Ok(())
    }

    fn observe(&self, event: Event, options: &ObserveOptions) -> Result<Observation> {
        self.step()?;
        let event = event.map(|(name, payload)| (name.as_str(), payload.as_slice()));
        observe_with(self.engine, self.spec, event, options)
    }

    fn step(&self) -> Result<()> {
        if self.progress.interrupted() {
            return Err(Error::interrupted());
        }
        self.progress.advance(1);
        Ok(())
    }

    fn document(&self, seen: &Seen) -> Trace {
        let spec = self.spec;
        let imports = summary::imports(&seen.timed, &seen.memory, &seen.usages, self.context);
        let mut distributions = summary::distributions(&imports, self.context);
        for used in &mut distributions {
            if let Some(found) = self.context.distributions.iter().find(|d| d.name == used.name) {
                used.bytes_by_kind = bytes_by_kind(&spec.tree, found);
                used.bytes = used.bytes_by_kind.values().sum();
            }
        }
        let stats = |samples: &BTreeMap<String, Vec<f64>>| {
            samples.iter().map(|(event, samples)| (event.clone(), Stat::of(samples))).collect()
        };
        Trace {
            schema: SCHEMA_TRACE.to_owned(),
            function: FunctionUse {
                name: spec.function_name.clone(),
                handler: spec.handler.clone(),
                python: spec.python_version,
                architecture: spec.architecture,
                memory_mb: spec.memory_mb,
            },
            environment: Environment {
                python: spec.python_version,
                memory_mb: spec.memory_mb,
                cpu: match spec.cpu {
                    Cpu::Unlimited => "unlimited".to_owned(),
                    Cpu::Share { .. } => "share".to_owned(),
                },
                init_boost: spec.cpu == Cpu::Share { init_boost: true },
                page_cache: "warm".to_owned(),
                agent_overhead: Stat::of(&seen.overhead),
            },
            phases: Phases {
                provision: Stat::of(&self.context.provision_ms),
                runtime: Stat::of(&seen.runtime),
                init: Stat::of(&seen.init),
                first_invoke: stats(&seen.first),
                warm_invoke: stats(&seen.warm),
            },
            statements: summary::statements(&seen.timed),
            distributions,
            files: files(&seen.files),
            unexplained_ms: if seen.failed_init { None } else { summary::unexplained(&seen.timed) },
            subprocesses: subprocesses(&seen.files),
            failure: seen.failure.clone(),
            imports,
        }
    }
}

/// Each file once, in the order of the events' passes.
fn files(passes: &[Observation]) -> Vec<FileUse> {
    let mut known = BTreeSet::new();
    let opened = passes.iter().flat_map(|pass| &pass.files).filter(|file| known.insert(&file.path));
    opened
        .enumerate()
        .map(|(order, file)| FileUse { path: file.path.clone(), order, bytes: file.bytes })
        .collect()
}

/// Those of init once, those of every event's invoke.
fn subprocesses(passes: &[Observation]) -> Vec<TraceSubprocess> {
    let started = passes.iter().enumerate().flat_map(|(index, pass)| {
        pass.subprocesses.iter().filter(move |process| index == 0 || process.phase == Phase::FirstInvoke)
    });
    started
        .map(|process| TraceSubprocess {
            event: process.event.clone(),
            what: process.what.clone(),
            phase: process.phase,
        })
        .collect()
}

fn init_failure(outcome: &InitOutcome) -> Option<String> {
    match outcome {
        InitOutcome::Ready => None,
        InitOutcome::Error { error_type, payload } => {
            Some(format!("init: {error_type}: {}", message(payload)))
        }
        InitOutcome::Exited { payload } | InitOutcome::TimedOut { payload } => {
            Some(format!("init: {}", message(payload)))
        }
    }
}

/// The failure, if it is one, and whether the environment can take another event.
fn invoke_failure(event: &str, outcome: &Outcome) -> (Option<String>, bool) {
    let told = |payload: &[u8]| Some(format!("first invoke, {event}: {}", message(payload)));
    match outcome {
        Outcome::Success(_) => (None, true),
        Outcome::HandlerError(payload) => (told(payload), true),
        Outcome::Exited(payload) | Outcome::TimedOut(payload) => (told(payload), false),
    }
}

/// Lambda's error payload as a person says it.
fn message(payload: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    match (value["errorType"].as_str(), value["errorMessage"].as_str()) {
        (Some(kind), Some(text)) => format!("{kind}: {text}"),
        (None, Some(text)) => text.to_owned(),
        _ => String::from_utf8_lossy(payload).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_phase_and_the_error() {
        let payload = br#"{"errorMessage":"boom","errorType":"ValueError","stackTrace":[]}"#.to_vec();
        let (failure, alive) = invoke_failure("health", &Outcome::HandlerError(payload));
        assert_eq!(failure.as_deref(), Some("first invoke, health: ValueError: boom"));
        assert!(alive);
        let exited = Outcome::Exited(br#"{"errorMessage":"Runtime exited"}"#.to_vec());
        assert_eq!(invoke_failure("x", &exited), (Some("first invoke, x: Runtime exited".to_owned()), false));
        assert_eq!(init_failure(&InitOutcome::Ready), None);
    }
}
