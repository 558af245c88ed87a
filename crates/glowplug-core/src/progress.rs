//! How a long step tells a person that it is alive, without the rooms knowing how to print.

/// Receives what is being done; only the binary turns it into a display.
pub trait Progress: Sync + Send {
    /// A new step starts; `total` is its number of units where known.
    fn start(&self, what: &str, total: Option<u64>);
    /// `units` more of the current step are done.
    fn advance(&self, units: u64);
    /// The current step is done.
    fn finish(&self);
    /// Something worth saying that is neither an error nor the result.
    fn note(&self, line: &str);
    /// Whether the user asked to stop; long loops ask this and return [`crate::Error::interrupted`].
    fn interrupted(&self) -> bool {
        false
    }
}

/// Says nothing: for tests and `--quiet`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}
