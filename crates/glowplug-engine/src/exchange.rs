//! What one runtime process and the engine tell each other: the state behind the Runtime API.
//!
//! The API's handlers write to it from the network side, the environment waits on it from the caller's side,
//! the supervisor tells it when the process ends.

mod words;

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Stamp;
use crate::extensions::{Extensions, Failure};
use crate::telemetry::Telemetry;
pub(crate) use words::{Answer, Connection, Ending, Event, InitEnd, InitError, Refusal, Reply};
pub use words::{Part, Parts};

/// How often a waiting caller looks whether the engine is stopped.
const STOP_GLANCE: Duration = Duration::from_millis(100);

/// The runtime's states, named as Lambda's answers name them.
#[derive(Debug, Clone)]
enum Phase {
    Initialising,
    InitFailed,
    /// Asked for an event, or may.
    Ready,
    /// Has an event.
    Running {
        event: Event,
        connection: Arc<Connection>,
        /// Parts of an answer may have gone out: nobody else gets the event.
        streams: bool,
    },
    /// Has answered and not yet asked again.
    Answered {
        request_id: String,
    },
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Initialising => "RuntimeStarted",
            Self::InitFailed => "RuntimeInitError",
            Self::Ready => "RuntimeReady",
            Self::Running { .. } => "RuntimeRunning",
            Self::Answered { .. } => "RuntimeResponseSent",
        }
    }
}

#[derive(Debug)]
struct State {
    phase: Phase,
    offered: Option<Event>,
    handed: Option<Stamp>,
    ready: Option<Stamp>,
    init_error: Option<InitError>,
    answer: Option<Answer>,
    ending: Option<Ending>,
    launch_failure: Option<String>,
    /// When a fork was told to go on.
    restored: Option<Stamp>,
    /// What a process says that is to be forked, until somebody hears it.
    snapshot: Option<Vec<u8>>,
}

/// Shared by the API server, the supervisor and the environment; one for each process.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What extensions are told of their function.
    pub(crate) about: serde_json::Value,
    pub(crate) extensions: Extensions,
    pub(crate) telemetry: Arc<Telemetry>,
    state: Mutex<State>,
    changed: Condvar,
    /// How many callers wait on it, counted under the lock: waking nobody would be a system call all the same.
    callers: AtomicUsize,
    pid: AtomicI32,
    /// How many polls wait for an event.
    waiting: AtomicUsize,
    /// A fork waits in its restore call as long as this is set.
    held: AtomicBool,
    /// Wakes it.
    released: tokio::sync::Notify,
    /// Set when the engine is stopped: nobody waits any longer then.
    stop: Arc<AtomicBool>,
    /// Wakes callers that wait without a thread.
    stirred: tokio::sync::Notify,
    /// Wakes a waiting poll when an event has been offered.
    pub(crate) offered: tokio::sync::Notify,
}

impl Exchange {
    pub(crate) fn new(stop: Arc<AtomicBool>, about: serde_json::Value) -> Self {
        Self {
            about,
            extensions: Extensions::default(),
            telemetry: Arc::default(),
            stop,
            state: Mutex::new(State {
                phase: Phase::Initialising,
                offered: None,
                handed: None,
                ready: None,
                init_error: None,
                answer: None,
                ending: None,
                launch_failure: None,
                restored: None,
                snapshot: None,
            }),
            changed: Condvar::new(),
            callers: AtomicUsize::new(0),
            pid: AtomicI32::new(0),
            waiting: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            released: tokio::sync::Notify::new(),
            stirred: tokio::sync::Notify::new(),
            offered: tokio::sync::Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the process whose clock stamps are read from.
    pub(crate) fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::SeqCst);
    }

    /// Now, with the process's own clock.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::now(self.pid.load(Ordering::SeqCst))
    }

    /// Something has changed with the extensions: who waits looks again.
    pub(crate) fn look_again(&self) {
        // Nobody is between its look and its wait then.
        drop(self.lock());
        self.stir();
    }

    /// Something has changed: who waits looks again.
    fn stir(&self) {
        if self.callers.load(Ordering::SeqCst) > 0 {
            self.changed.notify_all();
        }
        self.stirred.notify_waiters();
    }

    // ---- the network side ----

    /// `GET /next` has arrived. An event that went to a connection which has closed since without an answer was
    /// never read: it is offered again.
    pub(crate) fn poll(&self, stamp: Stamp) -> Result<(), Refusal> {
        let mut state = self.lock();
        let next = match &state.phase {
            Phase::Initialising | Phase::Ready | Phase::Answered { .. } => Phase::Ready,
            Phase::Running { event, connection, streams: false } if connection.is_closed() => {
                state.offered = Some(event.clone());
                Phase::Ready
            }
            refused => return Err(Refusal::WrongState { from: refused.name(), to: "RuntimeReady" }),
        };
        state.phase = next;
        state.ready.get_or_insert(stamp);
        self.stir();
        Ok(())
    }

    /// Counts a poll as waiting as long as the guard lives.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }

    /// A connection is over. If it took an event that it may not have read, and another poll waits, that one gets
    /// it; without one the process may well have read it and use a new connection for its answer.
    pub(crate) fn disconnected(&self, connection: &Arc<Connection>) {
        connection.closed.store(true, Ordering::SeqCst);
        let mut state = self.lock();
        if let Phase::Running { event, connection: holder, streams: false } = &state.phase
            && Arc::ptr_eq(holder, connection)
            && self.waiting.load(Ordering::SeqCst) > 0
        {
            state.offered = Some(event.clone());
            state.phase = Phase::Ready;
            drop(state);
            self.offered.notify_waiters();
        }
    }

    /// Takes the offered event for a connection that waits for it.
    pub(crate) fn take(&self, connection: &Arc<Connection>) -> Option<Event> {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Ready) {
            return None;
        }
        let event = state.offered.take()?;
        let connection = Arc::clone(connection);
        state.phase = Phase::Running { event: event.clone(), connection, streams: false };
        if state.handed.is_none() {
            state.handed = Some(self.stamp());
        }
        self.stir();
        Some(event)
    }

    /// Whether an answer to this request may come now, asked before its body is read; where parts of it go. A client that
    /// says which invocation it means has to mean the one that runs: the id is of one attempt, the request's is not.
    pub(crate) fn expects(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
    ) -> Result<Option<Parts>, Refusal> {
        let state = self.lock();
        match &state.phase {
            Phase::Running { event, .. }
                if event.request_id == request_id
                    && invocation_id.is_none_or(|id| id == event.invocation_id) =>
            {
                Ok(event.parts.clone())
            }
            Phase::Answered { request_id: done } if done == request_id => {
                Err(Refusal::WrongState { from: state.phase.name(), to: "RuntimeResponseSent" })
            }
            _ => Err(Refusal::WrongRequest),
        }
    }

    /// Parts of the answer to a request begin to go out.
    pub(crate) fn streams(&self, request_id: &str) -> Result<(), Refusal> {
        self.expects(request_id, None)?;
        if let Phase::Running { streams, .. } = &mut self.lock().phase {
            *streams = true;
        }
        Ok(())
    }

    /// The answer to a request has been received whole.
    pub(crate) fn answer(&self, request_id: &str, reply: Reply, received: Stamp) -> Result<(), Refusal> {
        self.expects(request_id, None)?;
        let mut state = self.lock();
        let handed = state.handed.unwrap_or(received);
        state.answer = Some(Answer { reply, handed, received });
        state.phase = Phase::Answered { request_id: request_id.to_owned() };
        self.stir();
        Ok(())
    }

    /// Init has failed and said why.
    pub(crate) fn init_error(&self, error: InitError) -> Result<(), Refusal> {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Initialising) {
            return Err(Refusal::WrongState { from: state.phase.name(), to: "RuntimeInitError" });
        }
        state.phase = Phase::InitFailed;
        state.init_error = Some(error);
        self.stir();
        Ok(())
    }

    /// The client asks whether it may go on after a snapshot: waits until it may.
    pub(crate) async fn restore(&self) {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            // Registered before the look, so that nothing in between is missed.
            released.as_mut().enable();
            if !self.held.load(Ordering::SeqCst) {
                break;
            }
            released.await;
        }
        let stamp = self.stamp();
        self.lock().restored.get_or_insert(stamp);
    }

    // ---- the supervisor's side ----

    /// The process has ended.
    pub(crate) fn ended(&self, ending: Ending) {
        let mut state = self.lock();
        if state.ending.is_none() {
            state.ending = Some(ending);
        }
        self.stir();
    }

    /// The interpreter could not be executed.
    pub(crate) fn launch_failed(&self, reason: String) {
        self.lock().launch_failure = Some(reason);
        self.stir();
    }

    /// The process says whether it can be forked.
    pub(crate) fn snapshot(&self, said: Vec<u8>) {
        self.lock().snapshot = Some(said);
        self.stir();
    }

    // ---- the caller's side ----

    /// Looks until it finds something; `None` when the time is up or the engine is stopped.
    fn wait<T>(&self, deadline: Instant, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.load(Ordering::Relaxed) {
                return None;
            }
            self.callers.fetch_add(1, Ordering::SeqCst);
            state = self
                .changed
                .wait_timeout(state, left.min(STOP_GLANCE))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            self.callers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The same without holding a thread.
    async fn wait_async<T>(&self, deadline: Instant, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        loop {
            let mut stirred = std::pin::pin!(self.stirred.notified());
            // Registered before the look, so that nothing in between is missed.
            stirred.as_mut().enable();
            if let Some(found) = look(&self.lock()) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.load(Ordering::Relaxed) {
                return None;
            }
            // Woken, or it is time to look at the clock and at the engine.
            let _ = tokio::time::timeout(left.min(STOP_GLANCE), stirred).await;
        }
    }

    /// Waits until init is over in one way or another; `None` when the time is up.
    pub(crate) fn wait_init(&self, deadline: Instant) -> Option<InitEnd> {
        self.wait(deadline, |state| {
            if let Some(reason) = &state.launch_failure {
                return Some(InitEnd::NotLaunched(reason.clone()));
            }
            if let Some(error) = &state.init_error {
                return Some(InitEnd::Failed(error.clone()));
            }
            if let Some(failure) = self.extensions.failure() {
                return Some(InitEnd::Failed(self.failed(&failure, &crate::payload::uuid())));
            }
            if let Some(ready) = state.ready
                && self.extensions.ready()
            {
                let ready = if self.extensions.is_empty() { ready } else { self.stamp() };
                return Some(InitEnd::Ready(ready));
            }
            if let Some(said) = state.snapshot.take() {
                return Some(InitEnd::Snapshot(said));
            }
            state.ending.map(InitEnd::Ended)
        })
    }

    /// An extension's end as an error of init.
    fn failed(&self, failure: &Failure, request_id: &str) -> InitError {
        let payload = crate::payload::failed(request_id, failure);
        InitError { error_type: failure.error_type.to_owned(), payload, stamp: self.stamp() }
    }

    /// Waits until all extensions that are programs have registered, or one of them has failed.
    pub(crate) fn wait_registered(&self, deadline: Instant) {
        self.wait(deadline, |state| {
            let over =
                self.extensions.all_registered() || state.ending.is_some() || state.launch_failure.is_some();
            over.then_some(())
        });
    }

    /// Has a fork wait in its restore call.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Has it go on.
    pub(crate) fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.released.notify_waiters();
    }

    /// Puts an event out for the next poll.
    pub(crate) fn offer(&self, event: Event) {
        let mut state = self.lock();
        state.answer = None;
        state.handed = None;
        state.offered = Some(event);
        drop(state);
        self.offered.notify_waiters();
    }

    /// Waits until the process has the event; `None` when it ended or the time is up before.
    pub(crate) fn wait_handed(&self, deadline: Instant) -> Option<Stamp> {
        self.wait(deadline, |state| match (state.handed, state.ending) {
            (Some(handed), _) => Some(Some(handed)),
            (None, Some(_)) => Some(None),
            (None, None) => None,
        })
        .flatten()
    }

    /// Waits for the answer or the end of the process; `None` when the time is up.
    pub(crate) fn wait_answer(&self, deadline: Instant) -> Option<Result<Answer, Ending>> {
        self.wait(deadline, |state| self.answered(state))
    }

    /// The same without holding a thread.
    pub(crate) async fn answer_async(&self, deadline: Instant) -> Option<Result<Answer, Ending>> {
        self.wait_async(deadline, |state| self.answered(state)).await
    }

    /// Waits until the process asks for its next event; false when it ended or the time is up before.
    pub(crate) fn wait_ready(&self, deadline: Instant) -> bool {
        self.wait(deadline, |state| self.idle(state)).unwrap_or(false)
    }

    /// The same without holding a thread.
    pub(crate) async fn ready_async(&self, deadline: Instant) -> bool {
        self.wait_async(deadline, |state| self.idle(state)).await.unwrap_or(false)
    }

    /// Waits for the end of the process.
    pub(crate) fn wait_end(&self, deadline: Instant) -> Option<Ending> {
        self.wait(deadline, |state| state.ending)
    }

    /// When it was told to go on after a snapshot, if it was.
    pub(crate) fn restored(&self) -> Option<Stamp> {
        self.lock().restored
    }

    /// How the process ended, if it has.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.lock().ending
    }

    /// When the event was handed out, if it was.
    pub(crate) fn handed(&self) -> Option<Stamp> {
        self.lock().handed
    }
}

impl Exchange {
    /// The answer, or the end of the process, whichever there is; an extension that has ended answers for it.
    fn answered(&self, state: &State) -> Option<Result<Answer, Ending>> {
        if let Some(answer) = &state.answer {
            return Some(Ok(answer.clone()));
        }
        if let Some(failure) = self.extensions.failure() {
            let request_id = match (&state.phase, &state.offered) {
                (Phase::Running { event, .. }, _) | (_, Some(event)) => event.request_id.clone(),
                _ => crate::payload::uuid(),
            };
            let error = self.failed(&failure, &request_id);
            let reply = Reply::Error { payload: error.payload, error_type: error.error_type };
            let handed = state.handed.unwrap_or(error.stamp);
            return Some(Ok(Answer { reply, handed, received: error.stamp }));
        }
        state.ending.map(Err)
    }

    /// Whether the process asks for an event, and no extension is at work; nothing while they do something else.
    fn idle(&self, state: &State) -> Option<bool> {
        if state.ending.is_some() || self.extensions.failure().is_some() {
            return Some(false);
        }
        (matches!(state.phase, Phase::Ready) && self.extensions.ready()).then_some(true)
    }
}

/// A poll that waits.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Exchange);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
