//! The Extensions API (`2020-01-01`) and the Telemetry API (`2022-07-01`, and its older form for logs) over HTTP.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Cut, OK, error_body, header, json, not_found, plain, read};
use crate::exchange::Exchange;
use crate::extensions::Refusal;
use crate::telemetry::Wanted;

const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

#[derive(Deserialize)]
struct Register {
    #[serde(default)]
    events: Vec<String>,
}

/// Answers where the path, without its version, is one of an extension's.
pub(super) async fn route(
    request: Request<Incoming>,
    version: &str,
    parts: &[&str],
    exchange: &Arc<Exchange>,
) -> Answer {
    let done = match (request.method(), version, parts) {
        (&Method::POST, "2020-01-01", ["extension", "register"]) => register(request, exchange).await,
        (&Method::GET, "2020-01-01", ["extension", "event", "next"]) => next(&request, exchange).await,
        (&Method::POST, "2020-01-01", ["extension", "init", "error"]) => {
            fails(request, exchange, "Extension.InitError").await
        }
        (&Method::POST, "2020-01-01", ["extension", "exit", "error"]) => {
            fails(request, exchange, "Extension.ExitError").await
        }
        (&Method::PUT, "2022-07-01", ["telemetry"]) | (&Method::PUT, "2020-08-15", ["logs"]) => {
            subscribe(request, exchange).await
        }
        _ => return not_found(),
    };
    done.unwrap_or_else(|(kind, message)| json(StatusCode::FORBIDDEN, error_body(kind, &message)))
}

async fn register(request: Request<Incoming>, exchange: &Arc<Exchange>) -> Result<Answer, Refusal> {
    let name = header(&request, NAME).unwrap_or_default();
    let wants_account = header(&request, "lambda-extension-accept-feature")
        .is_some_and(|features| features.split(',').any(|feature| feature.trim() == "accountId"));
    let body = body(request).await?;
    let asked: Register =
        serde_json::from_slice(&body).map_err(|error| ("InvalidRequestFormat", error.to_string()))?;
    let id = exchange.extensions.register(&name, asked.events)?;
    exchange.telemetry.expect();
    exchange.look_again();
    let mut told = exchange.about.clone();
    if !wants_account {
        told.as_object_mut().map(|told| told.remove("accountId"));
    }
    let mut answer = json(StatusCode::OK, told.to_string());
    if let Ok(id) = id.parse() {
        answer.headers_mut().insert(IDENTIFIER, id);
    }
    Ok(answer)
}

async fn next(request: &Request<Incoming>, exchange: &Arc<Exchange>) -> Result<Answer, Refusal> {
    let id = identifier(request)?;
    let event = exchange.extensions.next(&id, || exchange.look_again()).await?;
    let mut answer = json(StatusCode::OK, event.to_string());
    if let Ok(id) = crate::payload::uuid().parse() {
        answer.headers_mut().insert("lambda-extension-event-identifier", id);
    }
    Ok(answer)
}

async fn fails(
    request: Request<Incoming>,
    exchange: &Arc<Exchange>,
    kind: &'static str,
) -> Result<Answer, Refusal> {
    let id = identifier(&request)?;
    let told = header(&request, ERROR_TYPE).ok_or_else(|| {
        ("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found".to_owned())
    })?;
    // Read to its end; what it says is the extension's own log's.
    body(request).await?;
    exchange.extensions.fails(&id, kind, &told)?;
    exchange.look_again();
    Ok(json(StatusCode::ACCEPTED, OK.to_owned()))
}

async fn subscribe(request: Request<Incoming>, exchange: &Arc<Exchange>) -> Result<Answer, Refusal> {
    let id = identifier(&request)?;
    let unknown = || ("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}"));
    let name = exchange.extensions.name(&id).ok_or_else(unknown)?;
    let body = body(request).await?;
    let wanted = match Wanted::parse(&body) {
        Ok(wanted) => wanted,
        Err(message) => return Ok(json(StatusCode::BAD_REQUEST, error_body("ValidationError", &message))),
    };
    if !exchange.telemetry.may_reach(&wanted) {
        let told = "destination is a port of the engine's own";
        return Ok(json(StatusCode::BAD_REQUEST, error_body("ValidationError", told)));
    }
    if exchange.telemetry.subscribe(&name, &wanted) {
        return Ok(plain(StatusCode::OK, "OK"));
    }
    Err(("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already".to_owned()))
}

fn identifier(request: &Request<Incoming>) -> Result<String, Refusal> {
    let id = header(request, IDENTIFIER).ok_or_else(|| {
        ("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header".to_owned())
    })?;
    let is_uuid = id.len() == 36 && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if is_uuid {
        Ok(id)
    } else {
        let told = "Invalid Lambda-Extension-Identifier".to_owned();
        Err(("Extension.InvalidExtensionIdentifier", told))
    }
}

async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    match read(request.into_body()).await {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(("InvalidRequestFormat", "The request is too large".to_owned())),
        Err(Cut) => Err(("InvalidRequestFormat", "The request body was truncated".to_owned())),
    }
}

/// What an extension is told of its function when it registers.
pub(crate) fn about(spec: &crate::spec::EnvironmentSpec) -> serde_json::Value {
    json!({
        "functionName": spec.function_name,
        "functionVersion": spec.identity.version,
        "handler": spec.handler,
        "accountId": crate::variables::ACCOUNT,
    })
}
