//! What goes through the exchange: events, answers, errors, endings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Bytes;

use crate::clock::Stamp;
use crate::payload::Exit;

/// An event on its way to the runtime client.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) invocation_id: String,
    pub(crate) arn: String,
    pub(crate) trace_id: String,
    pub(crate) client_context: Option<String>,
    pub(crate) cognito_identity: Option<String>,
    /// How long the handler gets from the moment the event is handed out.
    pub(crate) timeout: Duration,
    pub(crate) body: Bytes,
    /// Where an answer goes that is streamed, part by part.
    pub(crate) parts: Option<Parts>,
}

/// A part of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It begins.
    Start {
        /// `Content-Type`.
        content_type: Option<String>,
    },
    /// What comes next.
    Data(Bytes),
}

/// Takes the parts of a streamed answer; whoever sends waits while it is full.
pub type Parts = tokio::sync::mpsc::Sender<Part>;

/// A connection from the process; knows when it is over.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(super) closed: AtomicBool,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// An error report of init.
#[derive(Debug, Clone)]
pub(crate) struct InitError {
    pub(crate) error_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) stamp: Stamp,
}

/// What the runtime client said about an event. An answer that was streamed is empty.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Response(Vec<u8>),
    Error {
        payload: Vec<u8>,
        /// As Lambda tells it, which knows only types of its own.
        error_type: String,
    },
}

/// The answer to an event with its clock points.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) handed: Stamp,
    pub(crate) received: Stamp,
}

/// How the process ended, with what it had used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) exit: Exit,
    pub(crate) stamp: Stamp,
    /// Largest resident size as the kernel counted it at the end, in KiB.
    pub(crate) peak_memory_kib: u64,
}

/// Why the API refuses a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400 `InvalidRequestID`.
    WrongRequest,
    /// 403 `InvalidStateTransition`.
    WrongState { from: &'static str, to: &'static str },
}

/// How init ended.
#[derive(Debug, Clone)]
pub(crate) enum InitEnd {
    Ready(Stamp),
    /// Whether the process can be forked, in its words.
    Snapshot(Vec<u8>),
    Failed(InitError),
    Ended(Ending),
    NotLaunched(String),
}
