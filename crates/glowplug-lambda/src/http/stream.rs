//! Answers that come in parts: the client hears the first one before the function has said the last.

use glowplug_engine::Part;
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Body, invoke};
use crate::error::ApiError;
use crate::invoke::{Answer, Begun, Call};
use crate::service::Service;

/// Parts that wait for a client which reads slowly; then the function waits.
const WAITING: usize = 8;

/// An answer, or its beginning.
pub(super) enum Opened {
    /// The function did not stream.
    Whole(Answer),
    Parts(Streaming),
}

/// An answer of which the first part has come.
pub(super) struct Streaming {
    pub(super) begun: Begun,
    pub(super) content_type: Option<String>,
    parts: mpsc::Receiver<Part>,
    answer: oneshot::Receiver<Result<Answer, ApiError>>,
}

/// Invokes, and waits for the first part or for the answer.
///
/// # Errors
/// The function does not run, or was interrupted.
pub(super) async fn open(mut call: Call, service: Service) -> Result<Opened, ApiError> {
    let (sender, mut parts) = mpsc::channel(WAITING);
    call.parts = Some(sender);
    let begun = call.begun.clone();
    let mut answer = invoke::begin(call, service);
    let first = tokio::select! {
        // A part was sent before the answer.
        biased;
        part = parts.recv() => part,
        answer = &mut answer => return whole(answer),
    };
    match (first, begun.get().cloned()) {
        (Some(Part::Start { content_type }), Some(begun)) => {
            Ok(Opened::Parts(Streaming { begun, content_type, parts, answer }))
        }
        // It is over without a part.
        _ => whole(answer.await),
    }
}

type Arrived = Result<Result<Answer, ApiError>, oneshot::error::RecvError>;

fn whole(answer: Arrived) -> Result<Opened, ApiError> {
    Ok(Opened::Whole(answer.map_err(|_| invoke::interrupted())??))
}

impl Streaming {
    /// The next part, or the answer after the last one.
    pub(super) async fn next(&mut self) -> Result<Bytes, Result<Answer, ApiError>> {
        loop {
            let part = tokio::select! {
                // All parts were sent before the answer.
                biased;
                Some(part) = self.parts.recv() => part,
                answer = &mut self.answer => return Err(answer.unwrap_or_else(|_| Err(invoke::interrupted()))),
            };
            if let Part::Data(part) = part {
                return Ok(part);
            }
        }
    }

    /// The body that a client reads: `first`, then each part as `show` writes it, and what `end` makes of the answer. Where a function
    /// did not come to its end and `end` gives nothing, the body breaks off.
    pub(super) fn body(
        mut self,
        first: Vec<u8>,
        show: impl Fn(Bytes) -> Bytes + Send + 'static,
        end: impl FnOnce(Result<Answer, ApiError>) -> Vec<u8> + Send + 'static,
    ) -> Body {
        let (mut sender, body) = Channel::new(WAITING);
        tokio::spawn(async move {
            if !first.is_empty() && sender.send_data(first.into()).await.is_err() {
                return;
            }
            let answer = loop {
                match self.next().await {
                    Ok(part) => {
                        // A client that is gone wants nothing more; the function goes on.
                        if sender.send_data(show(part)).await.is_err() {
                            return;
                        }
                    }
                    Err(answer) => break answer,
                }
            };
            let failed = answer.as_ref().map_or(true, |answer| answer.failed);
            let last = end(answer);
            if failed && last.is_empty() {
                sender.abort(std::io::ErrorKind::ConnectionAborted.into());
            } else if !last.is_empty() {
                let _ = sender.send_data(last.into()).await;
            }
        });
        Body::Right(body)
    }
}
