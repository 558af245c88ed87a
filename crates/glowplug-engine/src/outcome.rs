//! What a caller gets back: how init, an invoke and the whole environment went.

use std::collections::BTreeMap;

/// How init went and what it cost. All clock points are `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    /// Whether the function is ready.
    pub outcome: InitOutcome,
    /// From just before the interpreter is executed until it runs the runtime's first line, Python's `site` included,
    /// in ms; `None` where init failed before the phase "runtime" ended.
    pub interpreter_ms: Option<f64>,
    /// From just before the interpreter is executed until the handler's module is first looked for, in ms. Of a fork
    /// ([`crate::Template`]): from asking for it until it runs on its own.
    pub runtime_ms: f64,
    /// From there until the runtime client asks for its first event, or init failed, in ms. Of a fork: its hooks.
    pub init_ms: f64,
    /// Processor time of both phases together, all threads, in ms.
    pub cpu_ms: f64,
    /// Processor time of the first of the two, in ms; `None` where init failed before it ended.
    pub runtime_cpu_ms: Option<f64>,
    /// Largest resident size of the interpreter process until then, in KiB; 0 where it could not be read.
    pub peak_memory_kib: u64,
    /// Just before the interpreter is executed.
    pub process_start_ns: u64,
    /// When the runtime client asked for its first event, or init failed.
    pub ready_ns: u64,
}

impl Init {
    /// Init Duration as Lambda's log lines tell it: both phases, in ms.
    pub fn duration_ms(&self) -> f64 {
        self.runtime_ms + self.init_ms
    }
}

/// The four ways an init ends. Payloads are what a client of Lambda would be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitOutcome {
    /// The function waits for events.
    Ready,
    /// The runtime client reported an error, for example an import that failed.
    Error {
        /// The error's type, for example `Runtime.ImportModuleError`.
        error_type: String,
        /// The report, byte for byte.
        payload: Vec<u8>,
    },
    /// The process ended by itself.
    Exited {
        /// `Runtime.ExitError`.
        payload: Vec<u8>,
    },
    /// Init took longer than it may.
    TimedOut {
        /// `Sandbox.Timedout`.
        payload: Vec<u8>,
    },
}

impl InitOutcome {
    /// The word of Lambda's records for it.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Ready => "success",
            Self::TimedOut { .. } => "timeout",
            Self::Error { .. } | Self::Exited { .. } => "error",
        }
    }
}

/// How one invoke went and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What the client is given.
    pub outcome: Outcome,
    /// The type of the error as Lambda tells it in logs and telemetry, where it did not succeed; see
    /// [`crate::platform_type`].
    pub error_type: Option<String>,
    /// From handing the event to the runtime client until its answer has been received, in ms. Where the process
    /// had to be started anew first, from that start.
    pub duration_ms: f64,
    /// Processor time of the interpreter process, all threads, in that time, in ms.
    pub cpu_ms: f64,
    /// Largest resident size of the interpreter process so far, in KiB; 0 where it could not be read.
    pub peak_memory_kib: u64,
    /// What was written to standard output and standard error since the end of the phase before.
    pub log: Vec<u8>,
    /// The request's id.
    pub request_id: String,
    /// `CLOCK_MONOTONIC` at the start of the time that `duration_ms` measures.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC` at its end.
    pub end_ns: u64,
}

impl Invocation {
    /// What Lambda bills for it, in whole ms. Init that came to its end is billed as the invoke is (since 2025-08-01 for
    /// zip packages with a managed runtime too): `before_ms` is the time of it that belongs to this invoke.
    pub fn billed_ms(&self, before_ms: f64) -> u64 {
        (self.duration_ms + before_ms).ceil() as u64
    }
}

/// The four ways an invoke ends, each with its payload byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler's answer.
    Success(Vec<u8>),
    /// The handler, or init before it, failed with an error.
    HandlerError(Vec<u8>),
    /// The process ended: `Runtime.ExitError`.
    Exited(Vec<u8>),
    /// The function's timeout passed: `Sandbox.Timedout`.
    TimedOut(Vec<u8>),
}

/// What is left when an environment is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// All output of all its processes.
    pub log: Vec<u8>,
    /// What the function left in `/tmp`: path below it → SHA-256 of a file's content in hex, `dir`, `link:TARGET`,
    /// or what else it is (`socket`, `fifo`, `device`, `unreadable`).
    pub tmp: BTreeMap<String, String>,
    /// Connections that the network policy refused, each once, in order: `tcp 93.184.216.34:443`,
    /// `udp 10.0.0.2:53 (dns)`, `unix /run/dbus/system_bus_socket`.
    pub blocked: Vec<String>,
}
