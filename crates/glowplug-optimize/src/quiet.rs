//! A progress that shows nothing of a step inside a step, but still hears that the user wants to stop.

use glowplug_core::Progress;

/// Passes on the question whether to stop, and nothing else.
pub(crate) struct Quiet<'a>(pub(crate) &'a dyn Progress);

impl Progress for Quiet<'_> {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
