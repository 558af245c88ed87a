//! An execution environment: init, invokes one after the other, timeouts, re-init, the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use glowplug_core::Result;
use hyper::body::Bytes;

use crate::cgroup::Group;
use crate::clock::Stamp;
use crate::effects::effects;
use crate::engine::Inner;
use crate::exchange::{Answer, Ending, Event, InitEnd, InitError, Reply};
use crate::image_view;
use crate::lifecycle::{InitPhase, Reason};
use crate::limits::{EXIT_GRACE, INIT_TIMEOUT, MEMORY_MB_PER_VCPU};
use crate::network::Blocked;
use crate::outcome::{Finished, Init, InitOutcome, Invocation, Outcome};
use crate::output::Output;
use crate::payload::{
    EXIT_ERROR, INVALID_ENTRYPOINT, TIMED_OUT, exited, invalid_entrypoint, platform_type, timed_out, uuid,
};
use crate::places::Place;
use crate::process::{Making, Process, broken};
use crate::request::{Request, Run};
use crate::snapshot::{ISOLATION, RESTORE_TIMEOUT, Said, Template};
use crate::sources::sources;
use crate::spec::{Cpu, EnvironmentSpec, Identity};
use crate::variables::function_arn;
use crate::view::{self, Sources};
use crate::workshop::Room;

/// One environment. All its processes, folders and control groups are gone when it is dropped.
#[derive(Debug)]
pub struct Environment {
    // Dropped in this order: the process first, then what it uses.
    pub(crate) process: Option<Process>,
    /// A fork that waits in its restore call.
    waiting: Option<Process>,
    pub(crate) group: Group,
    pub(crate) room: Room,
    /// What its processes are forks of; one that is itself forked has none.
    template: Option<Arc<Template>>,
    /// What its process says that is to be forked.
    pub(crate) said: Said,
    pub(crate) engine: Arc<Inner>,
    pub(crate) spec: EnvironmentSpec,
    sources: Sources,
    pub(crate) output: Arc<Output>,
    blocked: Arc<Blocked>,
    /// How much output there was at the end of the last phase.
    pub(crate) told: usize,
    /// Largest resident size seen in this process, in KiB.
    peak_memory_kib: u64,
    /// Why its process is to end, as extensions hear it.
    pub(crate) ending: Reason,
    /// Whether its processes stand still.
    pub(crate) frozen: bool,
    // Last: nothing of it is left then.
    _counted: Counted,
}

/// One of the engine's environments.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // What stands still goes on first, and extensions hear of it.
        self.end_process();
    }
}

/// How an init went, before it is told to the caller.
struct InitRun {
    end: Option<InitEnd>,
    init: Init,
}

impl Environment {
    /// Makes one and runs its init.
    pub(crate) fn start(engine: &Arc<Inner>, spec: &EnvironmentSpec) -> Result<(Self, Init)> {
        let place = engine.place(spec.memory_mb, engine.disk(spec)?)?;
        Self::make(engine, spec, place)?.initialised(INIT_TIMEOUT)
    }

    fn initialised(mut self, limit: Duration) -> Result<(Self, Init)> {
        let run = self.run_init(limit, InitPhase::Init)?;
        self.told = self.output.len();
        Ok((self, run.init))
    }

    /// Keeps a fork until the environment is needed.
    pub(crate) fn wait_to_go(&mut self, process: Process) {
        self.waiting = Some(process);
    }

    /// Whether its processes are forks of one that is gone: there are no more of them.
    pub fn is_orphaned(&self) -> bool {
        self.template.as_ref().is_some_and(|template| template.is_gone())
    }

    /// Whether its processes are forks of a snapshot.
    pub fn is_restored(&self) -> bool {
        self.template.is_some()
    }

    /// Whether it has such a fork, and that lives.
    pub(crate) fn is_ready_to_go(&self) -> bool {
        self.waiting.as_ref().is_some_and(|process| process.exchange.ending().is_none())
    }

    /// Has the fork go on, as an environment with this identity, whose processes are all forks of the template.
    pub(crate) fn restore(mut self, identity: Identity, template: &Arc<Template>) -> Result<(Self, Init)> {
        self.spec.identity = identity;
        self.template = Some(Arc::clone(template));
        self.initialised(RESTORE_TIMEOUT)
    }

    /// Makes one without a process.
    pub(crate) fn make(engine: &Arc<Inner>, spec: &EnvironmentSpec, place: Place) -> Result<Self> {
        let Place { room, group } = place;
        let sources = sources(engine, &room, spec)?;
        Ok(Self {
            process: None,
            group,
            room,
            template: None,
            said: Said::default(),
            waiting: None,
            engine: Arc::clone(engine),
            spec: spec.clone(),
            sources,
            output: Arc::new(Output::default()),
            blocked: Arc::new(Blocked::default()),
            told: 0,
            peak_memory_kib: 0,
            ending: Reason::SpinDown,
            frozen: false,
            _counted: Counted::new(&engine.environments),
        })
    }

    /// Gives the function one event and waits for what becomes of it.
    ///
    /// Where the process has ended before, it is started anew first, under the function's timeout, as Lambda does;
    /// `/tmp` is kept. Errors are ours or the host's: whatever the function does is an [`Outcome`].
    pub fn invoke(&mut self, event: &[u8]) -> Result<Invocation> {
        let arn = function_arn(&self.spec.function_name);
        let run = self.run(&Request::new(arn, Bytes::copy_from_slice(event)))?;
        // All that the function writes until it asks for the next event belongs to this one.
        self.settle(&run);
        Ok(self.told(run))
    }

    /// Starts the process anew where it is gone, hands the event to it and waits for the answer.
    pub(crate) fn run(&mut self, request: &Request) -> Result<Run> {
        let request_id = request.id.clone();
        let deadline = Instant::now() + self.spec.timeout;
        let mut started = None;
        if !self.is_warm() {
            let run = self.run_init(self.spec.timeout, InitPhase::Invoke)?;
            let (from, to) = (run.init.process_start_ns, run.init.ready_ns);
            let cpu = Some((run.init.cpu_ms * 1e6) as u64);
            let span = (Stamp { at_ns: from, cpu_ns: Some(0) }, Stamp { at_ns: to, cpu_ns: cpu });
            let mut error_type = None;
            let outcome = match run.end {
                Some(InitEnd::Ready(_)) => None,
                Some(InitEnd::Failed(error)) => {
                    error_type = Some(platform_type(&error.error_type, "Runtime.Unknown"));
                    Some(Outcome::HandlerError(error.payload))
                }
                Some(InitEnd::Ended(ending)) => Some(Outcome::Exited(exited(&request_id, ending.exit))),
                Some(InitEnd::NotLaunched(reason)) => return Err(broken(&reason)),
                Some(InitEnd::Snapshot(_)) => return Err(broken("a process speaks out of turn")),
                None => Some(Outcome::TimedOut(timed_out(&request_id, self.spec.timeout))),
            };
            if let Some(outcome) = outcome {
                let (start, end) = span;
                let goes_on = false;
                return Ok(Run { request_id, outcome, error_type, start, end, started, goes_on, deadline });
            }
            started = Some(span.0.at_ns);
        }
        let run = self.pass(request, started, deadline)?;
        self.engine.go_on()?;
        Ok(run)
    }

    /// Whether one of its processes was ended because the memory was not enough; `None` where the host does not say.
    pub fn ran_out_of_memory(&self) -> Option<bool> {
        self.group.ran_out_of_memory()
    }

    /// All output so far, of all processes.
    pub fn log(&self) -> Vec<u8> {
        if let Some(process) = &self.process {
            process.drain_output();
        }
        self.output.all()
    }

    /// The connections that the network policy has refused so far, as in [`Finished::blocked`].
    pub fn blocked(&self) -> Vec<String> {
        self.blocked.lines()
    }

    /// Ends it and says what is left.
    pub fn finish(mut self) -> Result<Finished> {
        let hidden = self.engine.hidden_in_tmp(&self.sources);
        self.end_process();
        Ok(Finished {
            log: self.output.all(),
            tmp: effects(&self.room.temporary(), &hidden),
            blocked: self.blocked.lines(),
        })
    }

    pub(crate) fn end_process(&mut self) {
        let _ = self.thaw();
        let reason = std::mem::replace(&mut self.ending, Reason::SpinDown);
        if let Some(process) = &self.process {
            process.shut_down(reason);
        }
        // Its drop ends it.
        self.process = None;
    }

    /// Starts a process and waits for its init. A process that is not ready afterwards is gone.
    fn run_init(&mut self, limit: Duration, phase: InitPhase) -> Result<InitRun> {
        self.end_process();
        self.peak_memory_kib = 0;
        let deadline = Instant::now() + limit;
        let share = share(self.spec.cpu, self.spec.memory_mb);
        let boosted = phase == InitPhase::Init && self.boosts();
        self.group.set_cpu(share.map(|share| if boosted { share.max(1.0) } else { share }))?;
        let process = match (self.waiting.take(), self.template.clone()) {
            (Some(fork), _) => fork,
            (None, Some(template)) => template.process(self)?,
            (None, None) => self.launch(deadline)?,
        };
        process.release();
        self.tell_init_start(&process, phase);
        let mut end = process.exchange.wait_init(deadline).map(|end| self.own_entrypoint(end, &process));
        if let Some(InitEnd::Snapshot(said)) = &end {
            self.said = serde_json::from_slice(said).unwrap_or_default();
            // It waits in its restore call: one that cannot be forked ends there, and its hooks do not run for nothing.
            end = Some(InitEnd::Ready(process.exchange.stamp()));
        }
        self.engine.go_on()?;
        let stamp = match &end {
            Some(InitEnd::Ready(stamp)) => *stamp,
            Some(InitEnd::Snapshot(_)) => return Err(broken("a process speaks out of turn")),
            Some(InitEnd::Failed(error)) => error.stamp,
            Some(InitEnd::Ended(ending)) => ending.stamp,
            Some(InitEnd::NotLaunched(reason)) => return Err(broken(reason)),
            None => process.exchange.stamp(),
        };
        if matches!(end, Some(InitEnd::Failed(_))) && process.exchange.extensions.failure().is_none() {
            process.exchange.wait_end(Instant::now() + EXIT_GRACE);
        }
        process.drain_output();
        let peak = process.peak_memory_kib().max(final_peak(&process));
        self.peak_memory_kib = self.peak_memory_kib.max(peak);
        let init = self.measured(&process, stamp, outcome_of(end.as_ref(), limit));
        self.tell_init(&process, &init, phase);
        if matches!(end, Some(InitEnd::Ready(_))) {
            // What it does for its forks is not the function's time.
            self.group.set_cpu(share.filter(|_| !self.said.ready))?;
            self.process = Some(process);
        } else {
            process.shut_down(if end.is_none() { Reason::Timeout } else { Reason::Failure });
            drop(process);
        }
        Ok(InitRun { end, init })
    }

    /// Starts a process of its own.
    fn launch(&self, deadline: Instant) -> Result<Process> {
        let view = if let Some(image) = &self.spec.image {
            image_view::image(&self.sources, &self.room.root(), image, self.engine.is_plain())?
        } else if self.engine.is_plain() {
            view::plain(&self.sources)
        } else {
            view::own(&self.sources, &self.room.root())?
        };
        Process::start(Making {
            runtime: self.engine.runtime(),
            isolation: if self.spec.snapshot.is_some() { ISOLATION } else { self.engine.isolation },
            spec: &self.spec,
            view,
            cgroups: self.group.entrances()?,
            thaw: self.group.thawing()?,
            output: Arc::clone(&self.output),
            blocked: Arc::clone(&self.blocked),
            ports: &self.engine.ports,
            opt: &self.sources.opt,
            deadline,
            filters: self.engine.capabilities.network_policy,
            start: &self.engine.start_code,
            stop: Arc::clone(&self.engine.stop),
        })
    }

    /// A function's own `bootstrap` that cannot be executed is the function's fault.
    fn own_entrypoint(&self, end: InitEnd, process: &Process) -> InitEnd {
        match end {
            InitEnd::NotLaunched(reason) if self.spec.own_runtime => InitEnd::Failed(InitError {
                error_type: INVALID_ENTRYPOINT.to_owned(),
                payload: invalid_entrypoint(&uuid(), &reason),
                stamp: process.exchange.stamp(),
            }),
            other => other,
        }
    }

    fn boosts(&self) -> bool {
        matches!(self.spec.cpu, Cpu::Share { init_boost: true })
    }

    fn measured(&self, process: &Process, ready: Stamp, outcome: InitOutcome) -> Init {
        let started = process.started();
        let boundary = process.boundary();
        // A fork has left the phase behind; what comes after the restore call are its hooks.
        let split = boundary.map(|boundary| boundary.end).or(process.exchange.restored()).unwrap_or(ready);
        let first_line = boundary.map(|boundary| boundary.first_line_ns.saturating_sub(started.at_ns));
        Init {
            outcome,
            interpreter_ms: first_line.map(crate::clock::to_ms),
            runtime_ms: split.ms_since(started),
            init_ms: ready.ms_since(split),
            cpu_ms: ready.cpu_ms_since(started),
            runtime_cpu_ms: boundary.map(|boundary| boundary.end.cpu_ms_since(started)),
            peak_memory_kib: self.peak_memory_kib,
            process_start_ns: started.at_ns,
            ready_ns: ready.at_ns,
        }
    }

    /// Hands the event to the waiting process.
    fn pass(&self, request: &Request, started: Option<u64>, deadline: Instant) -> Result<Run> {
        let process = self.process()?;
        let before = self.offer(request, deadline)?;
        process.exchange.wait_handed(deadline);
        let answered = process.exchange.wait_answer(deadline);
        Ok(self.concluded(process, request, (before, started, deadline), answered))
    }

    /// The process, which is there.
    pub(crate) fn process(&self) -> Result<&Process> {
        self.process.as_ref().ok_or_else(|| broken("the process is gone"))
    }

    /// Puts the event out for the process; when that was.
    pub(crate) fn offer(&self, request: &Request, deadline: Instant) -> Result<Stamp> {
        let exchange = &self.process()?.exchange;
        let before = exchange.stamp();
        self.tell_start(exchange, request, deadline);
        exchange.offer(Event {
            request_id: request.id.clone(),
            invocation_id: uuid(),
            arn: request.function_arn.clone(),
            trace_id: request.trace_id.clone(),
            client_context: request.client_context.clone(),
            cognito_identity: request.cognito_identity.clone(),
            timeout: deadline.saturating_duration_since(Instant::now()),
            body: request.body.clone(),
            parts: request.parts.clone(),
        });
        Ok(before)
    }

    /// What the answer of the process means, or that there is none. The event was put out at `before`; the process was
    /// started for it at `started`.
    pub(crate) fn concluded(
        &self,
        process: &Process,
        request: &Request,
        (before, started, deadline): (Stamp, Option<u64>, Instant),
        answered: Option<Result<Answer, Ending>>,
    ) -> Run {
        let exchange = &process.exchange;
        let request_id = request.id.as_str();
        let mut told = None;
        let (outcome, start, end, goes_on) = match answered {
            Some(Ok(Answer { reply, handed, received })) => {
                let outcome = match reply {
                    Reply::Response(payload) => Outcome::Success(payload),
                    Reply::Error { payload, error_type } => {
                        told = Some(error_type);
                        Outcome::HandlerError(payload)
                    }
                };
                (outcome, handed, received, true)
            }
            Some(Err(Ending { exit, stamp, .. })) => {
                let start = exchange.handed().unwrap_or(before);
                (Outcome::Exited(exited(request_id, exit)), start, stamp, false)
            }
            None => {
                let start = exchange.handed().unwrap_or(before);
                (Outcome::TimedOut(timed_out(request_id, self.spec.timeout)), start, exchange.stamp(), false)
            }
        };
        let request_id = request_id.to_owned();
        Run { request_id, outcome, error_type: told, start, end, started, goes_on, deadline }
    }

    /// Waits until the process asks for its next event; one that does not is gone.
    fn settle(&mut self, run: &Run) {
        let asks = |process: &Process| process.exchange.wait_ready(run.deadline);
        let goes_on = run.goes_on && self.process.as_ref().is_some_and(asks);
        self.ending = self.reason(&run.outcome);
        self.measure();
        if !goes_on {
            self.end_process();
        }
    }

    /// Keeps what the process has written and used so far.
    pub(crate) fn measure(&mut self) {
        if let Some(process) = &self.process {
            process.drain_output();
            let peak = process.peak_memory_kib().max(final_peak(process));
            self.peak_memory_kib = self.peak_memory_kib.max(peak);
        }
    }

    pub(crate) fn told(&mut self, run: Run) -> Invocation {
        let Run { request_id, outcome, error_type, start, end, started, .. } = run;
        self.ending = self.reason(&outcome);
        let start_ns = started.unwrap_or(start.at_ns);
        let log = self.output.since(self.told);
        self.told = self.output.len();
        let error_type = match &outcome {
            Outcome::Success(_) => None,
            Outcome::HandlerError(_) => error_type,
            Outcome::Exited(_) => Some(EXIT_ERROR.to_owned()),
            Outcome::TimedOut(_) => Some(TIMED_OUT.to_owned()),
        };
        Invocation {
            outcome,
            error_type,
            duration_ms: crate::clock::to_ms(end.at_ns.saturating_sub(start_ns)),
            cpu_ms: end.cpu_ms_since(start),
            peak_memory_kib: self.peak_memory_kib,
            log,
            request_id,
            start_ns,
            end_ns: end.at_ns,
        }
    }
}

/// The share of one vCPU that goes with a memory size.
fn share(cpu: Cpu, memory_mb: u32) -> Option<f64> {
    match cpu {
        Cpu::Unlimited => None,
        Cpu::Share { .. } => Some(f64::from(memory_mb) / MEMORY_MB_PER_VCPU),
    }
}

/// What the kernel counted of an ended process, in KiB. It counts the copy of ours before the interpreter was
/// executed too, so that a figure no larger than our own says nothing.
fn final_peak(process: &Process) -> u64 {
    let counted = process.exchange.ending().map_or(0, |ending| ending.peak_memory_kib);
    if counted == 0 {
        return 0;
    }
    let own = crate::clock::peak_memory_kib(std::process::id().cast_signed());
    if counted > own { counted } else { 0 }
}

fn outcome_of(end: Option<&InitEnd>, limit: Duration) -> InitOutcome {
    match end {
        Some(InitEnd::Ready(_)) => InitOutcome::Ready,
        Some(InitEnd::Failed(error)) => {
            InitOutcome::Error { error_type: error.error_type.clone(), payload: error.payload.clone() }
        }
        Some(InitEnd::Ended(ending)) => InitOutcome::Exited { payload: exited(&uuid(), ending.exit) },
        // The two are errors before they get here.
        Some(InitEnd::NotLaunched(_) | InitEnd::Snapshot(_)) | None => {
            InitOutcome::TimedOut { payload: timed_out(&uuid(), limit) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_the_memory_size() {
        let half = share(Cpu::Share { init_boost: true }, 1769 / 2 + 1);
        assert!(half.is_some_and(|share| (share - 0.5).abs() < 0.001));
        assert_eq!(share(Cpu::Unlimited, 128), None);
    }
}
