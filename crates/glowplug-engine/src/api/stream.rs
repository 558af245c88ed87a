//! Streamed answers: parts that are passed on as they come, or put together, and the error that may end them.
//!
//! A runtime streams with chunked transfer encoding; an error after the first part comes in the trailers ("Building a
//! custom runtime" in the developer guide, "Response streaming").

use base64::Engine as _;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, StatusCode};

use super::{Cut, ERROR_TYPE, OK, error_body, too_large, truncated_body};
use crate::exchange::{Part, Parts, Reply};
use crate::limits::{MAX_PAYLOAD_BYTES, MAX_STREAM_BYTES};
use crate::payload;

/// The trailer with the error's payload, in base64.
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// Passes parts on; gives the client's receipt and what is answered. Whoever wanted the parts may be gone: they are read
/// all the same, since the function is not to notice.
pub(super) async fn passed_on(
    content_type: Option<String>,
    body: Incoming,
    parts: &Parts,
) -> (StatusCode, String, Option<Reply>) {
    // Closed: nobody wants them any more.
    let _ = parts.send(Part::Start { content_type }).await;
    match frames(body, MAX_STREAM_BYTES, &mut Taker::Parts(parts)).await {
        Ok(error) => {
            (StatusCode::ACCEPTED, OK.to_owned(), Some(error.unwrap_or_else(|| Reply::Response(Vec::new()))))
        }
        Err(Broken::Cut) => {
            let error_type = "Runtime.TruncatedResponse".to_owned();
            let payload = payload::platform(&error_type, "Response body was truncated");
            (StatusCode::BAD_REQUEST, truncated_body(), Some(Reply::Error { payload, error_type }))
        }
        Err(Broken::Large) => {
            let message = format!("Exceeded maximum allowed payload size ({MAX_STREAM_BYTES} bytes).");
            let answer = error_body("RequestEntityTooLarge", &message);
            (StatusCode::PAYLOAD_TOO_LARGE, answer, Some(too_large()))
        }
    }
}

/// Puts parts together: the body as if it had come in one piece, or the error in its trailers.
pub(super) async fn gathered(body: Incoming) -> (Result<Option<Vec<u8>>, Cut>, Option<Reply>) {
    let mut whole = Taker::Whole(Vec::new());
    match frames(body, MAX_PAYLOAD_BYTES, &mut whole).await {
        Ok(error) => {
            let Taker::Whole(content) = whole else { return (Ok(Some(Vec::new())), error) };
            (Ok(Some(content)), error)
        }
        Err(Broken::Cut) => (Err(Cut), None),
        Err(Broken::Large) => (Ok(None), None),
    }
}

/// Where parts go.
enum Taker<'p> {
    Parts(&'p Parts),
    Whole(Vec<u8>),
}

impl Taker<'_> {
    async fn take(&mut self, part: Bytes) {
        match self {
            Self::Parts(parts) => drop(parts.send(Part::Data(part)).await),
            Self::Whole(content) => content.extend_from_slice(&part),
        }
    }
}

/// Why there is no whole answer.
enum Broken {
    Cut,
    Large,
}

/// Reads to the end; gives the error of the trailers.
async fn frames(mut body: Incoming, most: usize, taker: &mut Taker<'_>) -> Result<Option<Reply>, Broken> {
    let (mut bytes, mut error) = (0, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Broken::Cut)?;
        match frame.into_data() {
            Ok(part) => {
                bytes += part.len();
                if bytes <= most {
                    taker.take(part).await;
                }
            }
            Err(frame) => error = frame.trailers_ref().and_then(stated),
        }
    }
    if bytes > most { Err(Broken::Large) } else { Ok(error) }
}

/// The error that trailers state.
fn stated(trailers: &HeaderMap) -> Option<Reply> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    let told = text(ERROR_TYPE)?;
    let error_type = payload::platform_type(told, "Function.Unknown");
    let body = text(ERROR_BODY).and_then(|body| base64::engine::general_purpose::STANDARD.decode(body).ok());
    let payload = body.unwrap_or_else(|| payload::platform(told, ""));
    Some(Reply::Error { payload, error_type })
}
