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
    /// How many more times the environment serves the event after its first invoke; where that costs nothing but time, long
    /// invokes may be served less often and short ones more often.
    pub warm: u32,
}

/// What one run gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Nothing where init did not come to its end, or where the platform had an environment ready.
    pub cold: Option<ColdStart>,
    /// The warm invokes that were served, in order.
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
    /// Whether that init did not end within its limit, so that the platform ended it and ran it again within the first
    /// invoke, whose time has the second one.
    pub repeated: bool,
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
    /// The handler ended each invoke with an error of this type, as functions do that mean it: there are figures.
    Raised {
        kind: String,
        message: String,
    },
    /// The memory was not enough.
    OutOfMemory,
    /// Init or an invoke took longer than it may.
    TimedOut,
    /// The function failed otherwise, or in some invokes only: its error type and message.
    Failed {
        kind: String,
        message: String,
    },
}

impl Outcome {
    /// Whether the handler came to its end, in whatever way: then there are figures.
    pub fn is_served(&self) -> bool {
        matches!(self, Self::Answered | Self::Raised { .. })
    }

    /// What a run comes to that ended like this so far, and whose next invoke ends like `next`.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Answered, Self::Answered) => Self::Answered,
            (Self::Raised { kind, message }, Self::Raised { kind: again, .. }) if kind == again => {
                Self::Raised { kind, message }
            }
            (_, Self::Raised { kind, message }) | (Self::Raised { kind, message }, Self::Answered) => {
                Self::Failed { kind, message }
            }
            (_, next) => next,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_comes_and_goes_is_a_failure() {
        let raised = |kind: &str| Outcome::Raised { kind: kind.to_owned(), message: "no".to_owned() };
        let failed = |kind: &str| Outcome::Failed { kind: kind.to_owned(), message: "no".to_owned() };
        assert_eq!(Outcome::Answered.then(Outcome::Answered), Outcome::Answered);
        assert_eq!(raised("A").then(raised("A")), raised("A"));
        assert_eq!(raised("A").then(raised("B")), failed("B"));
        assert_eq!(raised("A").then(Outcome::Answered), failed("A"));
        assert_eq!(Outcome::Answered.then(raised("A")), failed("A"));
        assert_eq!(raised("A").then(Outcome::TimedOut), Outcome::TimedOut);
    }
}
