//! The many interleaved starts behind a trace, with and without agents.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{Engine, EnvironmentSpec, Init, InitOutcome, Outcome, error_message};

use crate::cold::Files;
use crate::observe::{Observation, ObserveOptions, Usage, observe_with, usage};
use crate::records::Phase;
use crate::trace::TraceContext;

/// Figures of starts without an agent, in ms.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    pub(crate) interpreter: Vec<f64>,
    pub(crate) client: Vec<f64>,
    pub(crate) runtime: Vec<f64>,
    pub(crate) init: Vec<f64>,
    pub(crate) first: BTreeMap<String, Vec<f64>>,
    pub(crate) warm: BTreeMap<String, Vec<f64>>,
}

impl Starts {
    fn add(&mut self, start: &Start) {
        let init = &start.init;
        self.runtime.push(init.runtime_ms);
        self.init.push(init.init_ms);
        if let Some(interpreter) = init.interpreter_ms {
            self.interpreter.push(interpreter);
            self.client.push(init.runtime_ms - interpreter);
        }
        if let Some((event, first, warm)) = &start.invokes {
            self.first.entry(event.clone()).or_default().push(*first);
            self.warm.entry(event.clone()).or_default().extend(warm);
        }
    }
}

/// One start without an agent: an event's first invoke, and a second one where the process can take it.
struct Start {
    init: Init,
    invokes: Option<(String, f64, Option<f64>)>,
    /// Whether the first invoke had an answer.
    well: bool,
}

/// How a start with the agent went another way than one without; `None` where it did not.
fn unlike(observation: &Observation, start: &Start) -> Option<String> {
    if let Some(why) = init_failure(&observation.init.outcome) {
        return Some(why);
    }
    if observation.imports.is_empty() {
        return Some("it closes descriptors that it has not opened, the agent's among them".to_owned());
    }
    match (&observation.event, &observation.invocation) {
        (Some(event), Some(invocation)) if start.well => invoke_failure(event, &invocation.outcome).0,
        _ => None,
    }
}

/// What the passes have shown.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) warm_cache: Starts,
    pub(crate) cold_cache: Starts,
    /// Init with the agent, less the same without it, in ms.
    pub(crate) overhead: Vec<f64>,
    /// The same in processor time, as a part of init's.
    pub(crate) overhead_cpu: Vec<f64>,
    pub(crate) timed: Vec<Observation>,
    pub(crate) memory: Vec<Observation>,
    pub(crate) files: Vec<Observation>,
    /// The first invokes that were cut off, with nothing of their init.
    pub(crate) cut_off: Vec<Observation>,
    pub(crate) usages: BTreeMap<String, Usage>,
    pub(crate) failure: Option<String>,
    pub(crate) failed_init: bool,
    /// How the function goes another way with the agent.
    pub(crate) unlike: Option<String>,
}

pub(crate) struct Passes<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) spec: &'a EnvironmentSpec,
    pub(crate) context: &'a TraceContext,
    pub(crate) progress: &'a dyn Progress,
}

pub(crate) type Event<'e> = Option<&'e (String, Vec<u8>)>;

impl Passes<'_> {
    /// Starts without the agent and, as their neighbours, starts with it; the first fills the page cache.
    pub(crate) fn interleave(&self, events: &[Event], seen: &mut Seen) -> Result<()> {
        let mut timed =
            ObserveOptions { user_files: self.context.timed_files(), ..ObserveOptions::default() };
        let package = if self.context.cold_cache { Some(Files::of(&self.spec.tree)?) } else { None };
        for run in 0..=self.context.runs.max(1) {
            for event in events {
                let start = self.plain(*event, seen)?;
                if seen.failed_init {
                    return Ok(());
                }
                if run == 0 {
                    continue;
                }
                if run <= self.context.agent_runs.max(1) {
                    self.timed(*event, &start, &mut timed, seen)?;
                }
                seen.warm_cache.add(&start);
                if let Some(package) = &package {
                    package.drop_pages()?;
                    let start = self.plain(*event, seen)?;
                    seen.cold_cache.add(&start);
                }
            }
        }
        Ok(())
    }

    /// A start with the agent, next to one without. Where the function fails with it alone, its statements are left
    /// whole from then on; where that does not help, the trace says so.
    fn timed(
        &self,
        event: Event,
        start: &Start,
        options: &mut ObserveOptions,
        seen: &mut Seen,
    ) -> Result<()> {
        let mut observation = self.observe(event, options)?;
        let mut unlike = unlike(&observation, start);
        if unlike.is_some() && !options.user_files.is_empty() {
            let whole = ObserveOptions { user_files: BTreeSet::new(), ..options.clone() };
            observation = self.observe(event, &whole)?;
            unlike = self::unlike(&observation, start);
            if unlike.is_none() {
                self.progress.note(
                    "the function fails where its statements are timed one by one, so that they are not told apart",
                );
                *options = whole;
            }
        }
        if unlike.is_some() {
            seen.unlike = seen.unlike.take().or(unlike);
        } else {
            seen.compare(&start.init, &observation.init);
            seen.timed.push(observation);
        }
        Ok(())
    }

    /// One start without an agent: the first invoke, and a second one, which finds everything warm.
    fn plain(&self, event: Event, seen: &mut Seen) -> Result<Start> {
        self.step()?;
        let (mut environment, init) = self.engine.start(self.spec)?;
        let (mut invokes, mut well) = (None, true);
        if let Some(failure) = init_failure(&init.outcome) {
            seen.failure = Some(failure);
            seen.failed_init = true;
        } else if let Some((name, payload)) = event {
            let first = environment.invoke(payload)?;
            let (failure, alive) = invoke_failure(name, &first.outcome);
            seen.failure = seen.failure.take().or(failure);
            let warm = if alive { Some(environment.invoke(payload)?.duration_ms) } else { None };
            invokes = Some((name.clone(), first.duration_ms, warm));
            well = matches!(first.outcome, Outcome::Success(_));
        }
        environment.finish()?;
        Ok(Start { init, invokes, well })
    }

    /// The passes that would distort times: memory, files, usage.
    pub(crate) fn extra(&self, events: &[Event], seen: &mut Seen) -> Result<()> {
        for event in events {
            let memory = ObserveOptions {
                user_files: self.context.timed_files(),
                memory: true,
                ..ObserveOptions::default()
            };
            seen.memory.extend(ready(self.observe(*event, &memory)?));
            let files = ObserveOptions { files: true, cached: true, ..ObserveOptions::default() };
            seen.files.extend(ready(self.observe(*event, &files)?));
            if let Some((name, payload)) = event {
                self.step()?;
                let used = usage(self.engine, self.spec, Some((name, payload)))?;
                seen.usages.insert(name.clone(), used);
            }
        }
        Ok(())
    }

    /// What the events that end badly do until then.
    pub(crate) fn cut_off(&self, seen: &mut Seen) -> Result<()> {
        let spec = EnvironmentSpec { timeout: self.context.timeout, ..self.spec.clone() };
        let options = ObserveOptions { immediate: true, ..ObserveOptions::default() };
        for (name, payload) in &self.context.unfit {
            self.step()?;
            let mut observation = observe_with(self.engine, &spec, Some((name, payload)), &options)?;
            observation.imports.retain(|import| import.phase == Phase::FirstInvoke);
            seen.cut_off.push(observation);
        }
        Ok(())
    }

    pub(crate) fn observe(&self, event: Event, options: &ObserveOptions) -> Result<Observation> {
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
}

/// An observation of a function that started: without that its figures are missing, which is better than wrong.
fn ready(observation: Observation) -> Option<Observation> {
    Some(observation).filter(|observation| observation.init.outcome == InitOutcome::Ready)
}

impl Seen {
    /// What the agent adds, from two neighbouring starts.
    fn compare(&mut self, without: &Init, with: &Init) {
        if with.outcome != InitOutcome::Ready {
            return;
        }
        self.overhead.push(with.init_ms - without.init_ms);
        let cpu = |init: &Init| init.runtime_cpu_ms.map(|runtime| init.cpu_ms - runtime);
        if let (Some(with), Some(without)) = (cpu(with), cpu(without))
            && without > 0.0
        {
            self.overhead_cpu.push(with / without - 1.0);
        }
    }
}

fn init_failure(outcome: &InitOutcome) -> Option<String> {
    match outcome {
        InitOutcome::Ready => None,
        InitOutcome::Error { payload, .. }
        | InitOutcome::Exited { payload }
        | InitOutcome::TimedOut { payload } => Some(format!("init: {}", told(payload))),
    }
}

/// The failure, if it is one, and whether the environment can take another event.
fn invoke_failure(event: &str, outcome: &Outcome) -> (Option<String>, bool) {
    let failure = |payload: &[u8]| Some(format!("first invoke, {event}: {}", told(payload)));
    match outcome {
        Outcome::Success(_) => (None, true),
        Outcome::HandlerError(payload) => (failure(payload), true),
        Outcome::Exited(payload) | Outcome::TimedOut(payload) => (failure(payload), false),
    }
}

/// Lambda's error payload as a person says it: the type, once, and the message.
fn told(payload: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let message = error_message(payload);
    match value["errorType"].as_str() {
        // The runtime client's own errors carry the type in the message too.
        Some(kind) if !message.starts_with(&format!("{kind}: ")) => format!("{kind}: {message}"),
        _ => message,
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
        let twice = br#"{"errorMessage":"OSError: no","errorType":"OSError"}"#.to_vec();
        assert_eq!(told(&twice), "OSError: no");
        let exited = Outcome::Exited(br#"{"errorMessage":"Runtime exited"}"#.to_vec());
        assert_eq!(invoke_failure("x", &exited), (Some("first invoke, x: Runtime exited".to_owned()), false));
        assert_eq!(init_failure(&InitOutcome::Ready), None);
    }
}
