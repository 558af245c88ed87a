//! The function on this machine's engine, at a memory size.

use camino::Utf8PathBuf;
use indexmap::IndexMap;
use serde_json::Value;

use glowplug_capacity::{Ask, ColdStart, Invoke, Outcome, Probe, Round, Variant, share};
use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{
    Cpu, Environment, EnvironmentSpec, Init, InitOutcome, Invocation, Outcome as Ended, error_message,
};

use crate::ground::Ground;
use crate::trial::init_payload;
use crate::tune::scale::at_share;

/// Runs trees of a function on the engine.
pub struct Local<'a> {
    ground: &'a Ground<'a>,
    trees: IndexMap<Variant, Utf8PathBuf>,
    /// Whether runs get the processor share of their memory size; otherwise their times are scaled.
    limited: bool,
    init_boost: bool,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local")
            .field("trees", &self.trees)
            .field("limited", &self.limited)
            .finish_non_exhaustive()
    }
}

impl<'a> Local<'a> {
    pub(super) fn new(
        ground: &'a Ground<'a>,
        trees: IndexMap<Variant, Utf8PathBuf>,
        limited: bool,
        init_boost: bool,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { ground, trees, limited, init_boost, progress }
    }

    /// What Lambda would give the run: the memory, the processor share, and the function's own timeout.
    fn spec(&self, ask: Ask) -> Result<EnvironmentSpec> {
        let tree = self
            .trees
            .get(&ask.variant)
            .ok_or_else(|| Error::defect("a run of a tree that was not made was asked for"))?;
        let cpu = if self.limited { Cpu::Share { init_boost: self.init_boost } } else { Cpu::Unlimited };
        let timeout = std::time::Duration::from_secs(u64::from(self.ground.function.timeout_s));
        Ok(EnvironmentSpec { memory_mb: ask.memory_mb, timeout, ..self.ground.spec(tree, cpu) })
    }

    /// Time of init in ms, as it is or would be at the share of the memory size.
    fn init_us(&self, init: &Init, memory_mb: u32) -> u64 {
        let wall = to_us(init.duration_ms());
        if self.limited {
            return wall;
        }
        let share = share(memory_mb);
        at_share(wall, to_us(init.cpu_ms), if self.init_boost { share.max(1.0) } else { share })
    }

    /// An invoke that waited `before_us` for init.
    fn invoke(&self, invocation: &Invocation, memory_mb: u32, before_us: u64) -> Invoke {
        let (wall, cpu) = (to_us(invocation.duration_ms), to_us(invocation.cpu_ms));
        let before_ms = before_us as f64 / 1e3;
        if self.limited {
            return Invoke { wall_us: wall, cpu_us: Some(cpu), billed_ms: invocation.billed_ms(before_ms) };
        }
        let wall = at_share(wall, cpu, share(memory_mb));
        let scaled = Invocation { duration_ms: wall as f64 / 1e3, ..invocation.clone() };
        Invoke { wall_us: wall, cpu_us: Some(cpu), billed_ms: scaled.billed_ms(before_ms) }
    }

    /// Whether it used more than it may where the host does not enforce the limit.
    fn is_beyond(&self, memory_mb: u32, peak_kib: u64) -> bool {
        !self.ground.engine.capabilities().memory_limit && peak_kib > u64::from(memory_mb) * 1024
    }

    /// Whether times that are scaled would be beyond the function's timeout.
    fn is_late(&self, invoke: &Invoke) -> bool {
        !self.limited && invoke.wall_us > u64::from(self.ground.function.timeout_s) * 1_000_000
    }
}

impl Probe for Local<'_> {
    fn run(&mut self, ask: Ask) -> Result<Round> {
        if self.progress.interrupted() {
            return Err(Error::interrupted());
        }
        let event = self
            .ground
            .events
            .get(ask.event)
            .ok_or_else(|| Error::defect("a run with an event that there is not was asked for"))?;
        let (mut environment, init) = self.ground.engine.start(&self.spec(ask)?)?;
        let mut round = Round {
            cold: None,
            warm: Vec::new(),
            peak_bytes: peak(init.peak_memory_kib),
            outcome: init_outcome(&init.outcome, &environment),
        };
        if round.outcome == Outcome::Answered {
            let init_us = self.init_us(&init, ask.memory_mb);
            let first = environment.invoke(&event.payload)?;
            round.peak_bytes = peak(first.peak_memory_kib);
            let invoke = self.invoke(&first, ask.memory_mb, init_us);
            round.outcome = self.outcome(&first, &invoke, ask.memory_mb, &environment);
            round.cold = Some(ColdStart { init_us, init_cpu_us: Some(to_us(init.cpu_ms)), first: invoke });
        }
        for _ in 0..ask.warm {
            if round.outcome != Outcome::Answered {
                break;
            }
            let next = environment.invoke(&event.payload)?;
            round.peak_bytes = round.peak_bytes.max(peak(next.peak_memory_kib));
            let invoke = self.invoke(&next, ask.memory_mb, 0);
            round.outcome = self.outcome(&next, &invoke, ask.memory_mb, &environment);
            if round.outcome == Outcome::Answered {
                round.warm.push(invoke);
            }
        }
        environment.finish()?;
        Ok(round)
    }
}

impl Local<'_> {
    fn outcome(
        &self,
        invocation: &Invocation,
        invoke: &Invoke,
        memory_mb: u32,
        environment: &Environment,
    ) -> Outcome {
        let kind = || invocation.error_type.clone().unwrap_or_default();
        match &invocation.outcome {
            _ if self.is_beyond(memory_mb, invocation.peak_memory_kib) => Outcome::OutOfMemory,
            Ended::Success(_) if self.is_late(invoke) => Outcome::TimedOut,
            Ended::Success(_) => Outcome::Answered,
            Ended::TimedOut(_) => Outcome::TimedOut,
            Ended::HandlerError(payload) => Outcome::Failed { kind: kind(), message: error_message(payload) },
            Ended::Exited(payload) => exited(kind(), payload, environment),
        }
    }
}

/// How init went; a function that is ready has answered so far.
fn init_outcome(outcome: &InitOutcome, environment: &Environment) -> Outcome {
    let payload = init_payload(outcome).unwrap_or_default();
    match outcome {
        InitOutcome::Ready => Outcome::Answered,
        InitOutcome::TimedOut { .. } => Outcome::TimedOut,
        InitOutcome::Error { error_type, .. } => {
            Outcome::Failed { kind: error_type.clone(), message: error_message(payload) }
        }
        InitOutcome::Exited { .. } => exited(kind_of(payload), payload, environment),
    }
}

/// A process that ended: the kernel says whether it was for want of memory.
fn exited(kind: String, payload: &[u8], environment: &Environment) -> Outcome {
    if environment.ran_out_of_memory() == Some(true) {
        return Outcome::OutOfMemory;
    }
    Outcome::Failed { kind, message: error_message(payload) }
}

/// The type that an error's payload names.
fn kind_of(payload: &[u8]) -> String {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    value["errorType"].as_str().unwrap_or_default().to_owned()
}

/// 0 is a peak that could not be read.
fn peak(kib: u64) -> Option<u64> {
    (kib > 0).then_some(kib * 1024)
}

fn to_us(ms: f64) -> u64 {
    (ms * 1e3).round() as u64
}
