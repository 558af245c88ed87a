//! Invokes over HTTP: synchronous, asynchronous, tried, streamed.

use base64::Engine as _;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::event_stream::Message;
use super::{Asked, Reply, header, reply};
use crate::error::{ApiError, Code};
use crate::invoke::{Answer, Call};
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

/// `InvokeWithResponseStream`: the answer as an event stream. Functions in Python answer at once, so it has one part.
pub(super) async fn stream(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
    match asked.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "RequestResponse" => {}
        "DryRun" => return dry_run(&named, &service),
        other => {
            let must = "satisfy enum value set: [RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let answer = run(call(asked, named)?, service).await?;
    let log = wants_log(asked).then(|| encoded(&answer.log_tail));
    let mut body = Message::event("PayloadChunk", "application/octet-stream", &answer.payload);
    body.extend(Message::event("InvokeComplete", "application/json", &completion(&answer, log.as_deref())));
    let mut reply = reply(StatusCode::OK, Some("application/vnd.amazon.eventstream"), body);
    let headers = reply.headers_mut();
    header(headers, "x-amzn-requestid", &answer.request_id);
    header(headers, "x-amz-executed-version", &answer.version);
    Ok(reply)
}

/// What the last event of a stream says.
fn completion(answer: &Answer, log: Option<&str>) -> Vec<u8> {
    let mut completion = json!({});
    if answer.failed {
        completion["ErrorCode"] = json!("Unhandled");
        completion["ErrorDetails"] = json!(String::from_utf8_lossy(&answer.payload));
    }
    if let Some(log) = log {
        completion["LogResult"] = json!(log);
    }
    completion.to_string().into_bytes()
}

/// Waits for the answer of a function.
pub(super) async fn run(call: Call, service: Service) -> Result<Answer, ApiError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A task of its own: it goes on when the client goes away.
    tokio::spawn(async move {
        let answered = Box::new(move |result| {
            // A client that has gone away needs no answer.
            let _ = sender.send(result);
        });
        service.invoke(call, None, answered).await;
    });
    receiver.await.map_err(|_| ApiError::new(Code::Service, "the invoke was interrupted"))?
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
    Ok(Call { named, body: asked.body.clone(), client_context, trace_id, wants_log })
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
