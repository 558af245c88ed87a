//! One invoke: from the request to the answer, on a thread that may wait.

use std::sync::Arc;

use glowplug_engine::{Invocation, Outcome, Request};
use hyper::body::Bytes;
use serde::de::IgnoredAny;

use crate::error::{ApiError, Code};
use crate::journal::{Told, tail};
use crate::names::Named;
use crate::pool::{Cold, Kept, Pool};
use crate::service::{Admitted, Service};
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
        serde_json::from_slice::<IgnoredAny>(&self.body).map_err(|error| {
            ApiError::new(
                Code::InvalidRequestContent,
                format!("Could not parse request body into json: Could not parse payload into json: {error}"),
            )
        })?;
        Ok(self.body.clone())
    }
}

impl Service {
    /// Runs an invoke, and tells `answered` its result as soon as there is one; the rest of the work comes after that.
    /// Blocks.
    pub(crate) fn invoke(&self, call: &Call, answered: impl FnOnce(Result<Answer, ApiError>)) {
        self.invoke_as(call, None, answered);
    }

    /// The same under a request id that is known before.
    pub(crate) fn invoke_as(
        &self,
        call: &Call,
        request_id: Option<&str>,
        answered: impl FnOnce(Result<Answer, ApiError>),
    ) {
        let prepared = call.event(MOST_SYNCHRONOUS).and_then(|event| Ok((event, self.admit(&call.named)?)));
        let (event, Admitted { pool, ticket }) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return answered(Err(error)),
        };
        let (mut kept, cold) = match self.environment(&pool) {
            Ok(found) => found,
            Err(error) => {
                drop(ticket);
                return answered(Err(error));
            }
        };
        let mut request = Request::new(call.named.arn(), event);
        if let Some(id) = request_id {
            id.clone_into(&mut request.id);
        }
        request.client_context.clone_from(&call.client_context);
        if let Some(trace_id) = &call.trace_id {
            request.trace_id.clone_from(trace_id);
        }
        let (trace_id, stream) = (request.trace_id.clone(), kept.stream.clone());
        let mut answered = Some(answered);
        let announced = Arc::clone(&pool);
        let served = kept.environment.serve(&request, |invocation| {
            let answer = self.answer(&pool, cold.as_ref(), &stream, invocation, trace_id);
            announced.announce();
            // Whoever sees the answer may invoke again, and finds room.
            drop(ticket);
            if let Some(answered) = answered.take() {
                answered(Ok(answer));
            }
        });
        match served {
            Ok(()) => {
                kept.environment.forget_output();
                pool.give_back(Some(kept));
            }
            Err(error) => {
                pool.give_back(None);
                drop(kept);
                if let Some(answered) = answered.take() {
                    answered(Err(error.into()));
                }
            }
        }
    }

    /// An environment that waits, or a new one.
    fn environment(&self, pool: &Pool) -> Result<(Kept, Option<Cold>), ApiError> {
        if let Some(kept) = pool.take() {
            return Ok((kept, None));
        }
        let (kept, cold) = pool.start(&self.0.engine, false)?;
        Ok((kept, Some(cold)))
    }

    fn answer(
        &self,
        pool: &Pool,
        cold: Option<&Cold>,
        stream: &str,
        invocation: Invocation,
        trace_id: String,
    ) -> Answer {
        let configuration = &pool.configuration;
        let journal = Told {
            version: &configuration.version,
            runtime: &configuration.runtime,
            memory_mb: configuration.memory_mb,
            init: cold.map(|cold| (&cold.init, cold.output.as_slice())),
            invocation: &invocation,
            time: &time::logged(time::now()),
        }
        .journal();
        (self.0.log)(&configuration.function_name, stream, &journal.text);
        let (payload, failed) = match invocation.outcome {
            Outcome::Success(payload) => (payload, false),
            Outcome::HandlerError(payload) | Outcome::Exited(payload) | Outcome::TimedOut(payload) => {
                (payload, true)
            }
        };
        Answer {
            request_id: invocation.request_id,
            trace_id,
            version: configuration.version.clone(),
            payload,
            failed,
            log_tail: tail(&journal.text).to_vec(),
        }
    }
}
