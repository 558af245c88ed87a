//! An event on its way to a function, and how its invoke went.

use std::time::Instant;

use hyper::body::Bytes;

use crate::clock::{Stamp, epoch};
use crate::exchange::Parts;
use crate::outcome::Outcome;
use crate::payload::uuid;
use crate::variables::trace_id;

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request's id, which the function and its log lines see.
    pub id: String,
    /// The ARN that was invoked, with the qualifier that was named.
    pub function_arn: String,
    /// The `X-Amzn-Trace-Id` header.
    pub trace_id: String,
    /// The client context, as JSON text of one line.
    pub client_context: Option<String>,
    /// The caller's identity, as JSON text of one line.
    pub cognito_identity: Option<String>,
    /// JSON text.
    pub body: Bytes,
    /// Where the parts of an answer go that the function streams; otherwise it is put together.
    pub parts: Option<Parts>,
}

impl Request {
    /// One with a new id and a trace of its own, which is not sampled.
    pub fn new(function_arn: String, body: Bytes) -> Self {
        Self {
            id: uuid(),
            function_arn,
            trace_id: trace_id(epoch()),
            client_context: None,
            cognito_identity: None,
            body,
            parts: None,
        }
    }
}

/// How an invoke went, before it is told to the caller.
pub(crate) struct Run {
    pub(crate) request_id: String,
    pub(crate) outcome: Outcome,
    pub(crate) error_type: Option<String>,
    pub(crate) start: Stamp,
    pub(crate) end: Stamp,
    /// When the process was started, if it was for this event.
    pub(crate) started: Option<u64>,
    /// Whether the process has answered and may ask for the next event.
    pub(crate) goes_on: bool,
    pub(crate) deadline: Instant,
}
