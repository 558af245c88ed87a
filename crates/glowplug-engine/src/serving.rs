//! Invokes of an environment that serves: its client hears the answer before the environment is ready again.

use std::time::Instant;

use glowplug_core::Result;

use crate::environment::{Environment, Request};
use crate::outcome::{Invocation, Outcome};

/// Who hears of an invoke.
pub trait Listener: Send {
    /// The answer is there; nothing has been measured yet. Its payload may be taken.
    fn answered(&mut self, outcome: &mut Outcome);
    /// What there is to tell of it, as far as that can be said before the environment asks for its next event.
    fn told(&mut self, invocation: Invocation);
}

impl Environment {
    /// Gives the function one event; returns when the environment is ready for the next one. Blocks, and starts the process
    /// anew where that has ended.
    ///
    /// # Errors
    /// As [`Self::invoke`]; then the listener has heard nothing.
    pub fn serve(&mut self, request: &Request, listener: &mut dyn Listener) -> Result<()> {
        self.thaw()?;
        let mut run = self.run(request)?;
        listener.answered(&mut run.outcome);
        let (goes_on, deadline) = (run.goes_on, run.deadline);
        self.measure();
        listener.told(self.told(run));
        if !goes_on || !self.process()?.exchange.wait_ready(deadline) {
            self.end_process();
        }
        Ok(())
    }

    /// The same without holding a thread, for an environment that [is warm](Self::is_warm). False: it cannot go on, and
    /// [its process is to be ended](Self::end).
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub async fn serve_async(&mut self, request: &Request, listener: &mut dyn Listener) -> Result<bool> {
        self.thaw()?;
        let deadline = Instant::now() + self.spec.timeout;
        let before = self.offer(request, deadline)?;
        let answered = self.process()?.exchange.answer_async(deadline).await;
        self.engine.go_on()?;
        let mut run = self.concluded(self.process()?, request, (before, None, deadline), answered);
        listener.answered(&mut run.outcome);
        // Whoever waits for the answer passes it on first.
        tokio::task::yield_now().await;
        let goes_on = run.goes_on;
        self.measure();
        listener.told(self.told(run));
        Ok(goes_on && self.process()?.exchange.ready_async(deadline).await)
    }

    /// Has its processes stand still until the next event, as Lambda does, where the host allows it.
    ///
    /// # Errors
    /// Surroundings: the control group cannot be written to.
    pub fn freeze(&mut self) -> Result<()> {
        if !self.frozen && self.is_warm() {
            self.group.freeze(true)?;
            self.frozen = true;
        }
        Ok(())
    }

    /// Has them go on.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        if self.frozen {
            self.group.freeze(false)?;
            self.frozen = false;
        }
        Ok(())
    }

    /// Whether its process waits for an event.
    pub fn is_warm(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.exchange.ending().is_none())
    }

    /// Ends its process, which takes a moment. The next event starts it anew.
    pub fn end(&mut self) {
        self.end_process();
    }

    /// Takes the output away that is kept: what init wrote.
    pub fn take_output(&mut self) -> Vec<u8> {
        if let Some(process) = &self.process {
            process.drain_output();
        }
        let output = self.output.take();
        self.told = self.output.len();
        output
    }

    /// Makes room for more output: what was told so far is kept no longer. What was written since is told with the next
    /// event.
    pub fn forget_output(&mut self) {
        self.output.forget(self.told);
    }
}
