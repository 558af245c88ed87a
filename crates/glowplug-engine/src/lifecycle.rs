//! What an environment tells the Telemetry API of its phases, and its extensions of its end.
//!
//! Records as in "Lambda Telemetry API Event schema reference" of the developer guide.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::clock::epoch;
use crate::environment::Environment;
use crate::exchange::Exchange;
use crate::outcome::{Init, Outcome};
use crate::process::Process;
use crate::request::{Request, Run};
use crate::telemetry::Kind;

/// How long extensions that are programs get to end ("Lambda execution environment lifecycle" in the developer guide).
const SHUTDOWN: Duration = Duration::from_secs(2);

/// How long the runtime gets where there is none of these.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(500);

/// How long what is on its way to them gets before that.
const FLUSH: Duration = Duration::from_millis(300);

/// Why an environment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    SpinDown,
    Timeout,
    Failure,
}

impl Reason {
    /// After an event that went like this.
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success(_) | Outcome::HandlerError(_) => Self::SpinDown,
            Outcome::Exited(_) => Self::Failure,
            Outcome::TimedOut(_) => Self::Timeout,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SpinDown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

/// When an init runs, as records tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitPhase {
    /// Before there is an event for it.
    Init,
    /// For an event that waits, since the process is gone.
    Invoke,
}

impl InitPhase {
    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Invoke => "invoke",
        }
    }
}

impl Environment {
    /// Why the process would end after an event that went like this.
    pub(crate) fn reason(&self, outcome: &Outcome) -> Reason {
        let failed = |process: &Process| process.exchange.extensions.failure().is_some();
        if self.process.as_ref().is_some_and(failed) { Reason::Failure } else { Reason::of(outcome) }
    }

    /// Whether somebody beside the runtime wants to know what happens.
    pub fn is_accompanied(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.exchange.extensions.is_empty())
    }

    /// Init begins.
    pub(crate) fn tell_init_start(&self, process: &Process, phase: InitPhase) {
        let identity = &self.spec.identity;
        let record = json!({
            "initializationType": identity.initialization.name(), "phase": phase.name(),
            "functionName": self.spec.function_name, "functionVersion": identity.version,
        });
        process.exchange.telemetry.tell(Kind::Platform, "platform.initStart", record);
    }

    /// Init is over, and with it the time to subscribe.
    pub(crate) fn tell_init(&self, process: &Process, init: &Init, phase: InitPhase) {
        let exchange = &process.exchange;
        let telemetry = &exchange.telemetry;
        if exchange.extensions.is_empty() {
            exchange.extensions.close();
            telemetry.close();
            return;
        }
        for told in exchange.extensions.close() {
            telemetry.tell(Kind::Platform, "platform.extension", told);
        }
        let mut record = json!({
            "initializationType": self.spec.identity.initialization.name(), "phase": phase.name(),
            "status": init.outcome.status(),
        });
        telemetry.tell(Kind::Platform, "platform.initRuntimeDone", record.clone());
        record["metrics"] = json!({"durationMs": init.runtime_ms + init.init_ms});
        telemetry.tell(Kind::Platform, "platform.initReport", record);
        telemetry.close();
    }

    /// An event is on its way: tells the extensions that want to know.
    pub(crate) fn tell_start(&self, exchange: &Exchange, request: &Request, deadline: Instant) {
        if exchange.extensions.is_empty() {
            return;
        }
        let trace = json!({"type": "X-Amzn-Trace-Id", "value": request.trace_id});
        let record =
            json!({"requestId": request.id, "version": self.spec.identity.version, "tracing": &trace});
        exchange.telemetry.tell(Kind::Platform, "platform.start", record);
        let deadline = epoch() + deadline.saturating_duration_since(Instant::now());
        exchange.extensions.invoke(&json!({
            "eventType": "INVOKE", "deadlineMs": deadline.as_millis() as u64, "requestId": request.id,
            "invokedFunctionArn": request.function_arn, "tracing": trace,
        }));
    }

    /// The runtime is through with an event.
    pub(crate) fn tell_done(&self, run: &Run) {
        let Some(process) = self.process.as_ref().filter(|_| self.is_accompanied()) else { return };
        // What it wrote comes first.
        process.drain_output();
        process.finish_lines();
        let record = json!({
            "requestId": run.request_id,
            "status": match run.outcome {
                Outcome::Success(_) => "success",
                Outcome::TimedOut(_) => "timeout",
                Outcome::HandlerError(_) => "error",
                Outcome::Exited(_) => "failure",
            },
            "metrics": {"durationMs": crate::clock::to_ms(run.end.at_ns.saturating_sub(run.start.at_ns))},
        });
        process.exchange.telemetry.tell(Kind::Platform, "platform.runtimeDone", record);
    }

    /// All are through with it: the caller's record.
    pub(crate) fn tell_report(&self, report: Option<Value>) {
        if let (Some(process), Some(report)) = (&self.process, report) {
            process.exchange.telemetry.tell(Kind::Platform, "platform.report", report);
        }
    }
}

impl Process {
    /// Lets extensions end in an orderly way, if there are any.
    pub(crate) fn shut_down(&self, reason: Reason) {
        let extensions = &self.exchange.extensions;
        if extensions.is_empty() {
            return;
        }
        self.drain_output();
        self.finish_lines();
        self.exchange.telemetry.flush(FLUSH);
        // As Lambda does where there are extensions: the runtime hears a signal.
        if self.exchange.ending().is_none()
            && let Some(runtime) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(runtime, Signal::TERM);
        }
        if extensions.shut_down(reason.name(), SHUTDOWN) {
            extensions.wait_ended(SHUTDOWN);
        } else {
            self.exchange.wait_end(Instant::now() + RUNTIME_SHUTDOWN);
        }
    }
}
