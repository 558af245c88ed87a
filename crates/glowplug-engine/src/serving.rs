//! Invokes of an environment that serves: its client hears the answer before the environment is ready again.

use std::time::Instant;

use glowplug_core::Result;

use crate::environment::Environment;
use crate::lifecycle::Reason;
use crate::outcome::{Invocation, Outcome};
use crate::request::{Request, Run};

/// Who hears of an invoke.
pub trait Listener: Send {
    /// The answer is there; nothing has been measured yet. Its payload may be taken.
    fn answered(&mut self, outcome: &mut Outcome);
    /// What there is to tell of it, as far as that can be said before the environment asks for its next event, or with
    /// extensions, once all of them are through with it. Gives its record for the Telemetry API where `reports`.
    fn told(&mut self, invocation: Invocation, reports: bool) -> Option<serde_json::Value>;
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
        let (goes_on, deadline, accompanied) = (run.goes_on, run.deadline, self.is_accompanied());
        self.tell_done(&run);
        let asks = |this: &Self| this.process().is_ok_and(|process| process.exchange.wait_ready(deadline));
        let mut asked = goes_on && accompanied && asks(self);
        self.conclude(run, listener, accompanied.then_some(asked));
        asked |= goes_on && !accompanied && asks(self);
        if !asked {
            self.end_process();
        }
        Ok(())
    }

    /// Tells the rest of an invoke. With extensions it took until all were through with it, or did not come to its end.
    fn conclude(&mut self, mut run: Run, listener: &mut dyn Listener, asked: Option<bool>) {
        let goes_on = run.goes_on;
        if let (Some(_), Ok(process)) = (asked, self.process()) {
            run.end = process.exchange.stamp();
        }
        self.measure();
        let invocation = self.told(run);
        let report = listener.told(invocation, asked.is_some());
        self.tell_report(report);
        let failed = self.process().is_ok_and(|process| process.exchange.extensions.failure().is_some());
        if goes_on && asked == Some(false) && !failed {
            self.ending = Reason::Timeout;
        }
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
        let (goes_on, accompanied) = (run.goes_on, self.is_accompanied());
        self.tell_done(&run);
        let asked = goes_on && accompanied && self.process()?.exchange.ready_async(deadline).await;
        self.conclude(run, listener, accompanied.then_some(asked));
        Ok(asked || goes_on && !accompanied && self.process()?.exchange.ready_async(deadline).await)
    }

    /// Has its processes stand still until the next event, as Lambda does, where the host allows it; forks go on.
    ///
    /// # Errors
    /// Surroundings: the control group cannot be written to.
    pub fn freeze(&mut self) -> Result<()> {
        // A fork that stands still could not end with the engine: the keeper knows the group of its template alone.
        if !self.frozen && self.is_warm() && !self.is_restored() {
            // What is just being delivered arrives first.
            if self.process.as_ref().is_some_and(|process| !process.exchange.telemetry.pause()) {
                return Ok(());
            }
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
            if let Some(process) = &self.process {
                process.exchange.telemetry.resume();
            }
        }
        Ok(())
    }

    /// Whether its process waits for an event.
    pub fn is_warm(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            process.exchange.ending().is_none() && process.exchange.extensions.failure().is_none()
        })
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
