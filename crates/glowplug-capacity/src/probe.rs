//! What is asked of whoever can run a function at a memory size, and what comes back.

use glowplug_core::Error;

/// Which form of the function a run is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// As the user has it.
    Before,
    /// As a build makes it.
    After,
}

/// One run: a new execution environment that serves the same event one or more times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub variant: Variant,
    /// MB, as Lambda counts them.
    pub memory_mb: u32,
    /// The event's place in the list of events.
    pub event: usize,
    /// How many more times the environment serves the event after its first invoke.
    pub warm: u32,
}

/// What one run gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Nothing where init did not come to its end, or where the platform had an environment ready.
    pub cold: Option<ColdStart>,
    /// The warm invokes that were answered, in order.
    pub warm: Vec<Invoke>,
    /// The most memory that the environment had in use, in bytes; nothing where it cannot be told.
    pub peak_bytes: Option<u64>,
    pub outcome: Outcome,
}

/// A cold start: init and the first invoke after it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdStart {
    /// From the start of the runtime process until it asked for its first event, in µs.
    pub init_us: u64,
    /// Processor time of it, in µs; nothing where it cannot be told.
    pub init_cpu_us: Option<u64>,
    pub first: Invoke,
}

/// One invoke.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoke {
    /// From the event's delivery to the end of the answer, in µs.
    pub wall_us: u64,
    /// Processor time of it, in µs; nothing where it cannot be told.
    pub cpu_us: Option<u64>,
    /// What the platform bills for it, a billed init included, in ms.
    pub billed_ms: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The memory was not enough.
    OutOfMemory,
    /// Init or an invoke took longer than it may.
    TimedOut,
    /// The function failed: its error type and message.
    Failed {
        kind: String,
        message: String,
    },
}

/// Whoever can run the function at a memory size: the engine on this machine, or Lambda.
pub trait Probe {
    /// Runs the function once.
    ///
    /// # Errors
    /// Where the surroundings fail (the platform cannot be reached, there is no permission) or the user interrupts;
    /// what the function itself does wrong is an [`Outcome`].
    fn run(&mut self, ask: Ask) -> Result<Round, Error>;
}
