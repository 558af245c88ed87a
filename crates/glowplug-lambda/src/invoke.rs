//! One invoke: from the request to the answer.

use std::sync::{Arc, OnceLock};

use glowplug_engine::{Invocation, Listener, Outcome, Parts, Request};
use hyper::body::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::{ApiError, Code};
use crate::history::Place;
use crate::journal::{Told, tail};
use crate::names::Named;
use crate::pool::{Cold, Kept, Pool};
use crate::service::{Service, Ticket};
use crate::time;

/// Largest event of a synchronous invoke: 6 MiB ("Lambda quotas" in the developer guide).
pub(crate) const MOST_SYNCHRONOUS: usize = 6 * 1024 * 1024;

/// Largest event of an asynchronous one: 1 MiB (the same page, since 2025).
pub(crate) const MOST_ASYNCHRONOUS: usize = 1024 * 1024;

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) named: Named,
    pub(crate) body: Bytes,
    /// JSON text, decoded.
    pub(crate) client_context: Option<String>,
    pub(crate) trace_id: Option<String>,
    /// Whether the answer comes with the end of the log.
    pub(crate) wants_log: bool,
    /// Where the parts of an answer go that the function streams.
    pub(crate) parts: Option<Parts>,
    /// What is known as soon as the invoke may run.
    pub(crate) begun: Arc<OnceLock<Begun>>,
}

/// What a client is told before there is an answer.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) request_id: String,
    /// The version that runs.
    pub(crate) version: String,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
    /// The version that ran.
    pub(crate) version: String,
    pub(crate) payload: Vec<u8>,
    /// The function did not succeed: the payload says why.
    pub(crate) failed: bool,
    /// The last lines of the log.
    pub(crate) log_tail: Vec<u8>,
}

impl Call {
    /// A plain event for a function.
    pub(crate) fn new(named: Named, body: Bytes) -> Self {
        Self {
            named,
            body,
            client_context: None,
            trace_id: None,
            wants_log: false,
            parts: None,
            begun: Arc::default(),
        }
    }

    /// The event, checked: an empty one is an empty object.
    ///
    /// # Errors
    /// It is no JSON, or larger than `most`.
    pub(crate) fn event(&self, most: usize) -> Result<Bytes, ApiError> {
        if self.body.len() > most {
            return Err(ApiError::new(
                Code::RequestTooLarge,
                format!("Request must be smaller than {most} bytes for the InvokeFunction operation"),
            ));
        }
        if self.body.is_empty() {
            return Ok(Bytes::from_static(b"{}"));
        }
        let refused = |cause: String| {
            ApiError::new(
                Code::InvalidRequestContent,
                format!("Could not parse request body into json: Could not parse payload into json: {cause}"),
            )
        };
        let text = std::str::from_utf8(&self.body).map_err(|error| refused(error.to_string()))?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| refused(error.to_string()))?;
        Ok(self.body.clone())
    }
}

/// Where the result of an invoke goes.
pub(crate) type Answered = Box<dyn FnOnce(Result<Answer, ApiError>) + Send>;

/// An invoke that has found its environment.
struct Running {
    pool: Arc<Pool>,
    kept: Kept,
    request: Request,
    hearing: Hearing,
}

/// Tells the client, and everybody else, what becomes of an invoke.
struct Hearing {
    service: Service,
    pool: Arc<Pool>,
    cold: Option<Cold>,
    place: Place,
    stream: String,
    request_id: String,
    trace_id: String,
    wants_log: bool,
    /// Extensions work after the answer: there is room for another invoke when they are through.
    accompanied: bool,
    held: Option<Ticket>,
    /// Until the answer is there.
    waiting: Option<(Ticket, Answered)>,
    /// Until the log is there, for a client that wants it.
    answer: Option<(Answer, Answered)>,
}

impl Listener for Hearing {
    fn answered(&mut self, outcome: &mut Outcome) {
        let Some((ticket, answered)) = self.waiting.take() else { return };
        self.pool.announce();
        // Whoever sees the answer may invoke again, and finds room.
        self.held = Some(ticket).filter(|_| self.accompanied);
        let (payload, failed) = match outcome {
            Outcome::Success(payload) => (std::mem::take(payload), false),
            Outcome::HandlerError(payload) => (std::mem::take(payload), true),
            // The log tells what they say.
            Outcome::Exited(payload) | Outcome::TimedOut(payload) => (payload.clone(), true),
        };
        let answer = Answer {
            request_id: self.request_id.clone(),
            trace_id: self.trace_id.clone(),
            version: self.pool.configuration.version.clone(),
            payload,
            failed,
            log_tail: Vec::new(),
        };
        if self.wants_log {
            self.answer = Some((answer, answered));
        } else {
            answered(Ok(answer));
        }
    }

    fn told(&mut self, invocation: Invocation, reports: bool) -> Option<Value> {
        let configuration = &self.pool.configuration;
        let told = Told {
            version: self.pool.told_version(),
            runtime: &configuration.runtime,
            memory_mb: configuration.memory_mb,
            function: &configuration.function_name,
            logging: &configuration.logging,
            cold: self.cold.as_ref(),
            invocation: &invocation,
            time: &time::logged(time::now()),
        };
        let journal = told.journal();
        let report = reports.then(|| told.record(journal.billed_ms));
        let init = self.cold.as_ref().map(|cold| &cold.init);
        self.service.remember(configuration, (init, self.place), &invocation, journal.billed_ms);
        if let Some((mut answer, answered)) = self.answer.take() {
            answer.log_tail = tail(&journal.text).to_vec();
            answered(Ok(answer));
        }
        (self.service.0.log)(&configuration.function_name, &self.stream, &journal.text);
        report
    }
}

impl Service {
    /// Runs an invoke, and tells `answered` its result as soon as there is one; the rest of the work comes after that.
    /// `request_id` is known before where somebody was told it.
    pub(crate) async fn invoke(&self, call: Call, request_id: Option<String>, answered: Answered) {
        let event = match call.event(MOST_SYNCHRONOUS) {
            Ok(event) => event,
            Err(error) => return answered(Err(error)),
        };
        let mut request = Request::new(call.named.arn(), event);
        if let Some(id) = request_id {
            request.id = id;
        }
        request.client_context.clone_from(&call.client_context);
        if let Some(trace_id) = &call.trace_id {
            request.trace_id.clone_from(trace_id);
        }
        let admitted = match self.admit(&call.named) {
            Ok(admitted) => admitted,
            Err(error) => return answered(Err(error)),
        };
        let version = admitted.configuration.version.clone();
        // Nobody else sets it.
        let _ = call.begun.set(Begun { request_id: request.id.clone(), version });
        request.parts = call.parts;
        if admitted.configuration.traced && call.trace_id.is_none() {
            request.trace_id = request.trace_id.replace("Sampled=0", "Sampled=1");
        }
        let waiting = (admitted.ticket, answered);
        let pool = admitted.pool;
        if let Some(pool) = pool
            && let Some(kept) = pool.take().await
        {
            let running = self.running(pool, kept, None, request, call.wants_log, waiting);
            if running.kept.environment.is_warm() {
                return running.warm().await;
            }
            tokio::task::spawn_blocking(move || running.blocking());
            return;
        }
        let service = self.clone();
        tokio::task::spawn_blocking(move || {
            let (ticket, answered) = waiting;
            let started = service.pool(admitted.configuration).and_then(|pool| {
                let (kept, cold) = pool.start(&service.0.engine, false)?;
                Ok((pool, kept, cold))
            });
            match started {
                Ok((pool, kept, cold)) => {
                    let waiting = (ticket, answered);
                    service.running(pool, kept, Some(cold), request, call.wants_log, waiting).blocking();
                }
                Err(error) => {
                    drop(ticket);
                    answered(Err(error));
                }
            }
        });
    }

    fn running(
        &self,
        pool: Arc<Pool>,
        kept: Kept,
        cold: Option<Cold>,
        request: Request,
        wants_log: bool,
        waiting: (Ticket, Answered),
    ) -> Running {
        let hearing = Hearing {
            service: self.clone(),
            pool: Arc::clone(&pool),
            cold,
            place: match (kept.provisioned, pool.provisioned()) {
                (true, _) => Place::Provisioned,
                (false, 0) => Place::OnDemand,
                (false, _) => Place::Spilled,
            },
            accompanied: kept.environment.is_accompanied(),
            held: None,
            stream: kept.stream.clone(),
            request_id: request.id.clone(),
            trace_id: request.trace_id.clone(),
            wants_log,
            waiting: Some(waiting),
            answer: None,
        };
        Running { pool, kept, request, hearing }
    }
}

impl Running {
    /// On the tasks of the engine.
    async fn warm(mut self) {
        match self.kept.environment.serve_async(&self.request, &mut self.hearing).await {
            Ok(true) => self.give_back(),
            Ok(false) => {
                tokio::task::spawn_blocking(move || {
                    self.kept.environment.end();
                    self.give_back();
                });
            }
            Err(error) => {
                tokio::task::spawn_blocking(move || self.give_up(error));
            }
        }
    }

    /// On a thread that may wait: the process has to be started.
    fn blocking(mut self) {
        match self.kept.environment.serve(&self.request, &mut self.hearing) {
            Ok(()) => self.give_back(),
            Err(_) if self.kept.environment.is_restored() && self.hearing.waiting.is_some() => {
                self.elsewhere();
            }
            Err(error) => self.give_up(error),
        }
    }

    /// In a new environment: this one's snapshot is gone, and it has not begun.
    fn elsewhere(mut self) {
        match self.pool.start(&self.hearing.service.0.engine, false) {
            Ok((kept, cold)) => {
                let lost = std::mem::replace(&mut self.kept, kept);
                drop(self.pool.give_up(lost, false));
                self.hearing.stream.clone_from(&self.kept.stream);
                self.hearing.cold = Some(cold);
                match self.kept.environment.serve(&self.request, &mut self.hearing) {
                    Ok(()) => self.give_back(),
                    Err(error) => self.give_up(error),
                }
            }
            Err(error) => self.give_up(error),
        }
    }

    fn give_back(mut self) {
        self.kept.environment.forget_output();
        let announced = self.hearing.waiting.is_none();
        if let Some(surplus) = self.pool.give_back(self.kept, announced) {
            // Ending it takes a moment.
            self.hearing.service.0.engine.handle().spawn_blocking(move || drop(surplus));
        }
    }

    /// The environment itself is broken: its client hears that, and nobody gets it again.
    fn give_up(mut self, error: glowplug_core::Error) {
        let announced = self.hearing.waiting.is_none();
        self.kept.environment.end();
        let waiting = self.hearing.waiting.take().map(|(_, answered)| answered);
        if let Some(answered) = waiting.or_else(|| self.hearing.answer.take().map(|(_, answered)| answered)) {
            answered(Err(error.into()));
        }
        drop(self.pool.give_up(self.kept, announced));
    }
}
