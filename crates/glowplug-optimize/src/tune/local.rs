//! The function on this machine's engine, at a memory size.

use std::thread;
use std::time::Duration;

use camino::Utf8PathBuf;
use indexmap::IndexMap;
use serde_json::Value;

use glowplug_capacity::{Ask, ColdStart, Invoke, Outcome, PERIOD_MS, Probe, Round, Variant, share, spread};
use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{
    Cpu, Environment, EnvironmentSpec, Init, InitOutcome, Invocation, Outcome as Ended, error_message,
};

use crate::ground::Ground;
use crate::trial::init_payload;
use crate::tune::scale::at_share;

/// The longest init of a function on demand, in µs: then Lambda ends it, and runs it again within the first invoke, under
/// the function's timeout and without a boost ("Lambda execution environment lifecycle" in the developer guide).
const LONGEST_INIT_US: u64 = 10_000_000;

/// Warm invokes of an environment: some, and more of them until they have taken so long. Beside its cold start short ones cost
/// little, and each says something; what takes seconds varies less, and is what the whole takes.
const SOME_WARM: usize = 2;
const MANY_WARM: usize = 16;
const LONG_WARM_US: u64 = 300_000;

/// An init as it is or would be at a memory size.
#[derive(Debug, PartialEq, Eq)]
struct Began {
    init_us: u64,
    /// Whether it was ended, and another one is part of the first invoke.
    repeated: bool,
    /// The time of that one, where the invoke has not spent it itself.
    again_us: u64,
}

impl Began {
    /// That of an init that was ready or took too long: as it was where its processor share was limited, else as it would
    /// have been.
    fn of(init: &Init, memory_mb: u32, limited: bool, boost: bool) -> Self {
        let (wall, cpu) = (to_us(init.duration_ms()), to_us(init.cpu_ms));
        let was_ended = matches!(init.outcome, InitOutcome::TimedOut { .. });
        if limited || was_ended {
            return Self { init_us: wall, repeated: was_ended, again_us: 0 };
        }
        let share = share(memory_mb);
        let init_us = at_share(wall, cpu, if boost { share.max(1.0) } else { share });
        if init_us <= LONGEST_INIT_US {
            return Self { init_us, repeated: false, again_us: 0 };
        }
        Self { init_us: LONGEST_INIT_US, repeated: true, again_us: at_share(wall, cpu, share) }
    }
}

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
        let timeout = Duration::from_secs(u64::from(self.ground.function.timeout_s));
        Ok(EnvironmentSpec { memory_mb: ask.memory_mb, timeout, ..self.ground.spec(tree, cpu) })
    }

    /// The first invoke after it.
    fn first(&self, invocation: &Invocation, memory_mb: u32, began: &Began) -> Invoke {
        // An init that was ended is not billed, as `serve` has it.
        let before_us = if began.repeated { began.again_us } else { began.init_us };
        let mut invoke = self.invoke(invocation, memory_mb, before_us);
        invoke.wall_us += began.again_us;
        invoke
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
        let was_ended = matches!(init.outcome, InitOutcome::TimedOut { .. });
        if round.outcome == Outcome::Answered || was_ended {
            let began = Began::of(&init, ask.memory_mb, self.limited, self.init_boost);
            let first = environment.invoke(&event.payload)?;
            round.peak_bytes = round.peak_bytes.max(peak(first.peak_memory_kib));
            let invoke = self.first(&first, ask.memory_mb, &began);
            round.outcome = self.outcome(&first, &invoke, ask.memory_mb, &environment);
            // What was ended and then not served has not come to its end at all.
            round.cold = (round.outcome.is_served() || !began.repeated).then_some(ColdStart {
                init_us: began.init_us,
                init_cpu_us: Some(to_us(init.cpu_ms)),
                repeated: began.repeated,
                first: invoke,
            });
        }
        while ask.warm > 0 && round.outcome.is_served() && wants_more(&round.warm) {
            if self.limited {
                thread::sleep(pause(round.warm.len()));
            }
            let next = environment.invoke(&event.payload)?;
            round.peak_bytes = round.peak_bytes.max(peak(next.peak_memory_kib));
            let invoke = self.invoke(&next, ask.memory_mb, 0);
            round.outcome = round.outcome.then(self.outcome(&next, &invoke, ask.memory_mb, &environment));
            if round.outcome.is_served() {
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
        match &invocation.outcome {
            _ if self.is_beyond(memory_mb, invocation.peak_memory_kib) => Outcome::OutOfMemory,
            Ended::Success(_) if self.is_late(invoke) => Outcome::TimedOut,
            Ended::Success(_) => Outcome::Answered,
            Ended::TimedOut(_) => Outcome::TimedOut,
            // Its answer would have come too late there.
            Ended::HandlerError(_) if self.is_late(invoke) => Outcome::TimedOut,
            Ended::HandlerError(payload) => raised(payload),
            Ended::Exited(payload) => exited(payload, environment),
        }
    }
}

/// Whether an environment is to serve another invoke after those.
fn wants_more(warm: &[Invoke]) -> bool {
    let spent: u64 = warm.iter().map(|invoke| invoke.wall_us).sum();
    warm.len() < SOME_WARM || (warm.len() < MANY_WARM && spent < LONG_WARM_US)
}

/// How long an environment stands idle before its next warm invoke: between one and two periods of its quota, so that the
/// quota is whole again, as it is where requests do not follow at once, and each invoke begins elsewhere in a period.
fn pause(number: usize) -> Duration {
    Duration::from_secs_f64(PERIOD_MS / 1e3 * (1.0 + spread(number)))
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
        InitOutcome::Exited { .. } => exited(payload, environment),
    }
}

/// A process that ended: the kernel says whether it was for want of memory.
fn exited(payload: &[u8], environment: &Environment) -> Outcome {
    if environment.ran_out_of_memory() == Some(true) {
        return Outcome::OutOfMemory;
    }
    Outcome::Failed { kind: kind_of(payload), message: error_message(payload) }
}

/// An error of the handler's own; the runtime's, of an init that was run again, is none.
fn raised(payload: &[u8]) -> Outcome {
    let (kind, message) = (kind_of(payload), error_message(payload));
    if kind.starts_with("Runtime.") {
        return Outcome::Failed { kind, message };
    }
    Outcome::Raised { kind, message }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_invokes_are_served_more_often_than_long_ones() {
        let taking = |wall_us: u64, count: usize| vec![Invoke { wall_us, cpu_us: None, billed_ms: 1 }; count];
        let served = |wall_us| (0..100).find(|count| !wants_more(&taking(wall_us, *count)));
        assert_eq!([1_000_000, 50_000, 4_000].map(served), [Some(2), Some(6), Some(16)]);
    }

    fn init(outcome: InitOutcome, wall_ms: f64, cpu_ms: f64) -> Init {
        Init {
            outcome,
            interpreter_ms: None,
            runtime_ms: 0.0,
            init_ms: wall_ms,
            cpu_ms,
            runtime_cpu_ms: None,
            peak_memory_kib: 0,
            process_start_ns: 0,
            ready_ns: 0,
        }
    }

    #[test]
    fn an_init_that_would_take_too_long_is_run_again() {
        // A second of the processor's is 13.8 s at 128 MB.
        let busy = init(InitOutcome::Ready, 1000.0, 1000.0);
        let again_us = at_share(1_000_000, 1_000_000, share(128));
        assert!(again_us > LONGEST_INIT_US);
        assert_eq!(
            Began::of(&busy, 128, false, false),
            Began { init_us: LONGEST_INIT_US, repeated: true, again_us }
        );
        let whole = Began { init_us: 1_000_000, repeated: false, again_us: 0 };
        assert_eq!(Began::of(&busy, 128, false, true), whole, "the boost gives it a whole processor");
        assert_eq!(Began::of(&busy, 1769, false, false), whole);
        assert_eq!(Began::of(&busy, 128, true, false), whole, "it had its share");
        let ended = init(InitOutcome::TimedOut { payload: Vec::new() }, 10_000.0, 1.0);
        for limited in [false, true] {
            let began = Began::of(&ended, 128, limited, false);
            assert_eq!(began, Began { init_us: LONGEST_INIT_US, repeated: true, again_us: 0 });
        }
    }
}
