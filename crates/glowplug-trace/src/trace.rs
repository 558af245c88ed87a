//! Many interleaved starts, with and without agents, as one `glowplug.trace/1` document.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use camino::Utf8PathBuf;
use glowplug_core::{Extents, Progress, Result, SCHEMA_TRACE, Stat};
use glowplug_engine::{Cpu, Engine, EnvironmentSpec};

use crate::document::{
    ColdCache, Environment, FileUse, FunctionUse, InvokeParts, Phases, RuntimeParts, Trace, TraceSubprocess,
};
use crate::interpreter::site_ms;
use crate::observe::{Observation, ObserveOptions};
use crate::package::{Distribution, bytes_by_kind};
use crate::passes::{Event, Passes, Seen, Starts};
use crate::records::Phase;
use crate::tree::MAIN_THREAD;
use crate::{shares, summary};

/// What a trace needs to know besides the environment and the events.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceContext {
    /// The user's own files, relative to the tree: their top-level statements are timed.
    pub user_files: BTreeSet<Utf8PathBuf>,
    /// Whether the tree's bytecode has been edited. Its statements are not timed then: they are compiled from the
    /// sources.
    pub edited: bool,
    /// The distributions in the tree.
    pub distributions: Vec<Distribution>,
    /// Starts without an agent for each event; one more goes before and does not count. At least 1.
    pub runs: usize,
    /// Starts with the agent for each event, as neighbours of the first of those. At least 1, at most `runs`.
    pub agent_runs: usize,
    /// Times of unpacking in ms, where the caller has measured them.
    pub unpack_ms: Vec<f64>,
    /// Bytes of the package as it is fetched, for the model of fetching it.
    pub package_bytes: Option<u64>,
    /// In Mbit/s (1e6 bits a second); without it, fetching is not in the trace.
    pub bandwidth_mbit: Option<f64>,
    /// Measure too with the package's files out of the page cache.
    pub cold_cache: bool,
    /// Events that hang or end the process: each is observed once, until it is cut off.
    pub unfit: Vec<(String, Vec<u8>)>,
    /// The function's timeout, at which those that hang are cut off.
    pub timeout: Duration,
}

impl TraceContext {
    /// The files whose statements are timed.
    pub(crate) fn timed_files(&self) -> BTreeSet<Utf8PathBuf> {
        if self.edited { BTreeSet::new() } else { self.user_files.clone() }
    }
}

/// Reads of `site`'s time.
const SITE_RUNS: usize = 5;

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
    let events: Vec<Event> = if events.is_empty() { vec![None] } else { events.iter().map(Some).collect() };
    let runs = context.runs.max(1);
    let plain = 1 + if context.cold_cache { 2 * runs } else { runs };
    let per_event = plain + context.agent_runs.clamp(1, runs) + 3;
    progress.start("Tracing", Some((per_event * events.len() + context.unfit.len()) as u64));
    let mut seen = Seen::default();
    passes.interleave(&events, &mut seen)?;
    if seen.failed_init {
        // Every further pass would fail in the same way; the imports up to there are worth showing.
        if seen.timed.is_empty() {
            let options = ObserveOptions {
                user_files: context.timed_files(),
                immediate: true,
                ..ObserveOptions::default()
            };
            seen.timed.push(passes.observe(None, &options)?);
        }
    } else {
        passes.extra(&events, &mut seen)?;
        passes.cut_off(&mut seen)?;
    }
    progress.finish();
    Ok(Assembly { spec, context, seen: &seen }.document())
}

/// What the passes have shown, on its way to the document.
struct Assembly<'a> {
    spec: &'a EnvironmentSpec,
    context: &'a TraceContext,
    seen: &'a Seen,
}

impl Assembly<'_> {
    fn document(&self) -> Trace {
        let Self { spec, seen, .. } = self;
        let mut imports = summary::imports(seen, self.context);
        let mut distributions = summary::distributions(&imports, self.context);
        for used in &mut distributions {
            if let Some(found) = self.context.distributions.iter().find(|d| d.name == used.name) {
                used.bytes_by_kind = bytes_by_kind(&spec.tree, found);
                used.bytes = used.bytes_by_kind.values().sum();
            }
        }
        let lines = shares::lines(&imports, &self.context.user_files);
        let (kinds, compiled) = (shares::kinds(&imports), shares::compiled(&imports));
        imports.extend(summary::cached(&seen.files, self.context));
        Trace {
            schema: SCHEMA_TRACE.to_owned(),
            function: FunctionUse {
                name: spec.function_name.clone(),
                handler: spec.handler.clone(),
                python: spec.python_version,
                architecture: spec.architecture,
                memory_mb: spec.memory_mb,
                built: self.context.edited,
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
                agent_overhead_cpu: Stat::of(&seen.overhead_cpu),
                bandwidth_mbit: self.context.bandwidth_mbit,
            },
            phases: self.phases(),
            lines,
            kinds,
            compiled,
            connections: summary::connections(&seen.timed),
            statements: summary::statements(&seen.timed, &seen.memory),
            distributions,
            package: None,
            files: files(&seen.files),
            unexplained_ms: if seen.failed_init { None } else { summary::unexplained(&seen.timed) },
            subprocesses: subprocesses(&seen.files),
            cut_off: self.context.unfit.iter().map(|(name, _)| name.clone()).collect(),
            failure: seen.failure.clone().or_else(|| {
                let why = seen.unlike.as_deref()?;
                Some(format!("only while it was traced: {why}; phases are right, what is traced is missing"))
            }),
            advice: Vec::new(),
            imports,
        }
    }

    fn phases(&self) -> Phases {
        let Self { spec, context, seen } = self;
        let Starts { interpreter, client, runtime, init, first, warm } = &seen.warm_cache;
        let unpack = Stat::of(&context.unpack_ms);
        let fetch_ms =
            context.bandwidth_mbit.zip(context.package_bytes).map(|(mbit, bytes)| fetch_ms(bytes, mbit));
        let whole: Vec<f64> = context.unpack_ms.iter().map(|ms| ms + fetch_ms.unwrap_or(0.0)).collect();
        let cold = &seen.cold_cache;
        Phases {
            provision: Stat::of(&whole),
            fetch: fetch_ms.and_then(|ms| Stat::of(&[ms])),
            unpack,
            runtime: Stat::of(runtime),
            runtime_parts: runtime_parts(spec, interpreter, client),
            init: Stat::of(init),
            first_invoke: stats(first),
            first_invoke_parts: invoke_parts(&seen.timed),
            warm_invoke: stats(warm),
            cold_cache: context.cold_cache.then(|| ColdCache {
                runtime: Stat::of(&cold.runtime),
                init: Stat::of(&cold.init),
                first_invoke: stats(&cold.first),
            }),
        }
    }
}

/// Time to fetch `bytes` at `mbit` Mbit/s (1e6 bits a second), in ms.
fn fetch_ms(bytes: u64, mbit: f64) -> f64 {
    bytes as f64 * 8.0 / (mbit * 1e3)
}

fn stats(samples: &BTreeMap<String, Vec<f64>>) -> BTreeMap<String, Option<Stat>> {
    samples.iter().map(|(event, samples)| (event.clone(), Stat::of(samples))).collect()
}

/// The engine does not see `site`: the interpreter is asked for it, outside of the limits of the environment.
fn runtime_parts(spec: &EnvironmentSpec, interpreter: &[f64], client: &[f64]) -> RuntimeParts {
    let limited = spec.cpu == Cpu::Share { init_boost: false };
    let site: Vec<f64> = if limited || interpreter.is_empty() {
        Vec::new()
    } else {
        (0..SITE_RUNS).filter_map(|_| site_ms(&spec.python)).collect()
    };
    let taken = summary::median(site.clone()).unwrap_or(0.0);
    let alone: Vec<f64> = interpreter.iter().map(|ms| ms - taken).collect();
    RuntimeParts { interpreter: Stat::of(&alone), site: Stat::of(&site), client: Stat::of(client) }
}

/// The first invoke of each event, from the starts with the agent.
fn invoke_parts(timed: &[Observation]) -> BTreeMap<String, InvokeParts> {
    let mut samples: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    for observation in timed {
        let (Some(event), Some(invocation)) = (&observation.event, &observation.invocation) else { continue };
        let now = |phase: Phase| phase == Phase::FirstInvoke;
        let waited = observation
            .imports
            .iter()
            .filter(|i| now(i.phase) && i.parent.is_none() && i.thread == MAIN_THREAD && !i.runtime_provided);
        let imports = waited.map(|import| import.total_ms).sum::<f64>() + 0.0;
        let connecting = observation.connections.iter().filter(|c| now(c.phase) && c.main);
        let connect = connecting.map(|connection| connection.duration_ms).sum::<f64>() + 0.0; // an empty sum is -0
        let rest = (invocation.duration_ms - imports - connect).max(0.0);
        let parts = samples.entry(event.clone()).or_default();
        for (part, value) in parts.iter_mut().zip([imports, connect, rest]) {
            part.push(value);
        }
    }
    let parts = |[imports, connect, handler]: [Vec<f64>; 3]| InvokeParts {
        imports_ms: summary::median(imports),
        connect_ms: summary::median(connect),
        handler_ms: summary::median(handler),
    };
    samples.into_iter().map(|(event, samples)| (event, parts(samples))).collect()
}

/// Each file once, in the order of the events' passes.
fn files(passes: &[Observation]) -> Vec<FileUse> {
    let mut known = BTreeSet::new();
    let mut parts: BTreeMap<&Utf8PathBuf, Extents> = BTreeMap::new();
    for file in passes.iter().flat_map(|pass| &pass.files) {
        let touched = file.parts.clone().unwrap_or_else(|| Extents::new([(0, file.bytes)]));
        let before = parts.entry(&file.path).or_default();
        *before = before.join(&touched);
    }
    let opened = passes.iter().flat_map(|pass| &pass.files).filter(|file| known.insert(&file.path));
    opened
        .enumerate()
        .map(|(order, file)| FileUse {
            path: file.path.clone(),
            order,
            bytes: file.bytes,
            touched_bytes: parts.get(&file.path).map(Extents::bytes),
        })
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
