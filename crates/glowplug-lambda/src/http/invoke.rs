//! Invokes over HTTP: synchronous, asynchronous, tried, streamed.

use base64::Engine as _;
use http_body_util::Full;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::event_stream::Message;
use super::stream::{self, Opened};
use super::{Asked, Body, Reply, header, reply};
use crate::error::{ApiError, Code};
use crate::invoke::{Answer, Begun, Call};
use crate::names::Named;
use crate::service::Service;

/// Longest client context in base64 (`Invoke` of the service model).
const MOST_CONTEXT: usize = 3583;

pub(super) async fn invoke(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
    match asked.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "RequestResponse" => {}
        "Event" => return accept_event(asked, named, service).await,
        "DryRun" => return dry_run(&named, &service),
        other => {
            let must = "satisfy enum value set: [Event, RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let answer = run(call(asked, named)?, service).await?;
    Ok(invoked(answer, wants_log(asked)))
}

/// `InvokeWithResponseStream`: the answer as an event stream.
pub(super) async fn stream(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
    match asked.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "RequestResponse" => {}
        "DryRun" => return dry_run(&named, &service),
        other => {
            let must = "satisfy enum value set: [RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let wants_log = wants_log(asked);
    let (begun, body) = match stream::open(call(asked, named)?, service).await? {
        Opened::Whole(answer) => {
            let begun = Begun { request_id: answer.request_id.clone(), version: answer.version.clone() };
            let mut body = chunk(&answer.payload);
            body.extend(completed(&answer, wants_log));
            (begun, Body::Left(Full::new(body.into())))
        }
        Opened::Parts(streaming) => {
            let begun = streaming.begun.clone();
            let ending = move |answer: Result<Answer, ApiError>| match answer {
                Ok(answer) => completed(&answer, wants_log),
                Err(error) => complete(Some((error.code.name(), &error.message)), None),
            };
            (begun, streaming.body(Vec::new(), |part| chunk(&part).into(), ending))
        }
    };
    let mut reply = reply(StatusCode::OK, Some("application/vnd.amazon.eventstream"), Vec::new());
    let headers = reply.headers_mut();
    header(headers, "x-amzn-requestid", &begun.request_id);
    header(headers, "x-amz-executed-version", &begun.version);
    *reply.body_mut() = body;
    Ok(reply)
}

fn chunk(payload: &[u8]) -> Vec<u8> {
    Message::event("PayloadChunk", "application/octet-stream", payload)
}

fn completed(answer: &Answer, wants_log: bool) -> Vec<u8> {
    let details = String::from_utf8_lossy(&answer.payload);
    let error = answer.failed.then_some(("Unhandled", details.as_ref()));
    complete(error, wants_log.then(|| encoded(&answer.log_tail)))
}

/// The last event of a stream.
fn complete(error: Option<(&str, &str)>, log: Option<String>) -> Vec<u8> {
    let mut said = json!({});
    if let Some((code, details)) = error {
        said["ErrorCode"] = json!(code);
        said["ErrorDetails"] = json!(details);
    }
    if let Some(log) = log {
        said["LogResult"] = json!(log);
    }
    Message::event("InvokeComplete", "application/json", said.to_string().as_bytes())
}

/// Waits for the answer of a function.
pub(super) async fn run(call: Call, service: Service) -> Result<Answer, ApiError> {
    begin(call, service).await.map_err(|_| interrupted())?
}

pub(super) fn interrupted() -> ApiError {
    ApiError::new(Code::Service, "the invoke was interrupted")
}

/// Starts an invoke; its answer comes out of the result.
pub(super) fn begin(call: Call, service: Service) -> oneshot::Receiver<Result<Answer, ApiError>> {
    let (sender, receiver) = oneshot::channel();
    // A task of its own: it goes on when the client goes away.
    tokio::spawn(async move {
        let answered = Box::new(move |result| {
            // A client that has gone away needs no answer.
            let _ = sender.send(result);
        });
        service.invoke(call, None, answered).await;
    });
    receiver
}

fn dry_run(named: &Named, service: &Service) -> Result<Reply, ApiError> {
    service.check_invocable(named)?;
    Ok(reply(StatusCode::NO_CONTENT, None, Vec::new()))
}

fn wants_log(asked: &Asked) -> bool {
    asked.header("x-amz-log-type") == Some("Tail")
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn invoked(answer: Answer, wants_log: bool) -> Reply {
    let mut reply = reply(StatusCode::OK, Some("application/json"), answer.payload);
    let headers = reply.headers_mut();
    header(headers, "x-amzn-requestid", &answer.request_id);
    header(headers, "x-amzn-trace-id", &answer.trace_id);
    header(headers, "x-amz-executed-version", &answer.version);
    if answer.failed {
        header(headers, "x-amz-function-error", "Unhandled");
    }
    if wants_log {
        header(headers, "x-amz-log-result", &encoded(&answer.log_tail));
    }
    reply
}

pub(super) async fn accept_event(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
    let call = call(asked, named)?;
    let accepted = tokio::task::spawn_blocking(move || service.accept(&call)).await;
    let id = accepted.map_err(|error| ApiError::new(Code::Service, error.to_string()))??;
    let mut reply = reply(StatusCode::ACCEPTED, None, Vec::new());
    header(reply.headers_mut(), "x-amzn-requestid", &id);
    Ok(reply)
}

fn call(asked: &Asked, named: Named) -> Result<Call, ApiError> {
    let client_context = asked.header("x-amz-client-context").map(client_context).transpose()?;
    let trace_id = asked.header("x-amzn-trace-id").map(str::to_owned);
    let wants_log = wants_log(asked);
    Ok(Call { client_context, trace_id, wants_log, ..Call::new(named, asked.body.clone()) })
}

/// The client context as the runtime client gets it: JSON text without line breaks or characters beyond ASCII.
fn client_context(text: &str) -> Result<String, ApiError> {
    let refused = || {
        ApiError::new(
            Code::InvalidRequestContent,
            "Client context must be a valid Base64-encoded JSON object.",
        )
    };
    if text.len() > MOST_CONTEXT {
        return Err(ApiError::new(
            Code::InvalidRequestContent,
            format!("Client context must be at most {MOST_CONTEXT} bytes"),
        ));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| refused())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| refused())?;
    if !value.is_object() {
        return Err(refused());
    }
    let mut escaped = String::new();
    for unit in value.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if (b' '..=b'~').contains(&byte) => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_contexts_are_objects_in_base64() {
        let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        assert_eq!(
            client_context(&encoded("{\"custom\": {\"n\": \"é😀\\n\"}}")).unwrap(),
            "{\"custom\":{\"n\":\"\\u00e9\\ud83d\\ude00\\n\"}}"
        );
        assert_eq!(client_context(&encoded("{\"a\":\"\u{7f}\"}")).unwrap(), "{\"a\":\"\\u007f\"}");
        assert!(client_context(&encoded("[1]")).is_err());
        assert!(client_context("no base64!").is_err());
        assert!(client_context(&encoded(&format!("{{\"a\":\"{}\"}}", "x".repeat(4000)))).is_err());
    }
}
