//! Lambda's API over HTTP: which operation a request means, and how its answer goes back.
//!
//! Methods, paths, headers and statuses are those of the service model `2015-03-31` of botocore.

use std::convert::Infallible;
use std::net::SocketAddr;

use base64::Engine as _;
use glowplug_core::{Error, Result};
use glowplug_engine::uuid;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::error::{ApiError, Code};
use crate::invoke::{Answer, Call};
use crate::names::Named;
use crate::service::Service;

/// Largest body that is read: a zip of 50 MB in base64, and some.
const MOST_BYTES: usize = 80 * 1024 * 1024;

/// Longest client context in base64 (`Invoke` of the service model).
const MOST_CONTEXT: usize = 3583;

/// The one path of AWS's runtime interface emulator.
const EMULATOR: [&str; 4] = ["2015-03-31", "functions", "function", "invocations"];

/// Threads that wait for functions: more than an account may have invokes at once.
const THREADS: usize = 2048;

type Reply = Response<Full<Bytes>>;

/// A listening server; it closes when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// Listens. Where `emulates` names a function, the path of AWS's runtime interface emulator means that one.
    ///
    /// # Errors
    /// Surroundings: the address is taken.
    pub fn start(service: Service, address: SocketAddr, emulates: Option<String>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::surroundings(format!("cannot listen on {address}"))
                .cause(error)
                .hint("`--port 0` takes any free port")
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(THREADS)
            .thread_name("glowplug-lambda")
            .enable_io()
            .enable_time()
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        runtime.spawn(accept(listener, service, emulates));
        Ok(Self { address, runtime: Some(runtime) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, service: Service, emulates: Option<String>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, for example: the client tries again, and so do we.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (service, emulates) = (service.clone(), emulates.clone());
        tokio::spawn(async move {
            let answers = service_fn(|request| {
                let (service, emulates) = (service.clone(), emulates.clone());
                async move { Ok::<_, Infallible>(route(request, service, emulates).await) }
            });
            // A client that goes away in the middle is no error of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answers)
                .await;
        });
    }
}

/// A request, taken apart.
struct Asked {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The function that a part of the path names, with the qualifier of the query.
    fn named(&self, part: &str) -> Result<Named, ApiError> {
        Named::parse(part, self.query("Qualifier"))
    }

    fn page(&self) -> (Option<&str>, Option<&str>) {
        (self.query("Marker"), self.query("MaxItems"))
    }
}

async fn route(request: Request<Incoming>, service: Service, emulates: Option<String>) -> Reply {
    let (parts, body) = request.into_parts();
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path: Vec<String> = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let query = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let query = query.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    });
    let query = query.collect();
    let body = match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let told = format!("Request must be smaller than {MOST_BYTES} bytes");
            return refused(&ApiError::new(Code::RequestTooLarge, told));
        }
    };
    let asked = Asked { method: parts.method, path, query, headers: parts.headers, body };
    answer(asked, service, emulates).await.unwrap_or_else(|error| refused(&error))
}

async fn answer(asked: Asked, service: Service, emulates: Option<String>) -> Result<Reply, ApiError> {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (&asked.method, path.as_slice()) {
        (&Method::POST, path) if path == EMULATOR && emulates.is_some() => {
            let named = asked.named(emulates.as_deref().unwrap_or_default())?;
            invoke(&asked, named, service).await
        }
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
            let named = asked.named(name)?;
            invoke(&asked, named, service).await
        }
        (&Method::POST, ["2014-11-13", "functions", name, "invoke-async"]) => {
            let named = asked.named(name)?;
            accept_event(&asked, named, service).await
        }
        _ => {
            // It may wait for the disk.
            let done = tokio::task::spawn_blocking(move || control(&asked, &service)).await;
            done.unwrap_or_else(|error| Err(ApiError::new(Code::Service, error.to_string())))
        }
    }
}

async fn invoke(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
    match asked.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "RequestResponse" => {}
        "Event" => return accept_event(asked, named, service).await,
        "DryRun" => {
            service.look(&named, |record| match record.resolve(named.qualifier.as_deref(), 1.0) {
                Some(_) => Ok(()),
                None => Err(named.not_found()),
            })?;
            return Ok(reply(StatusCode::NO_CONTENT, None, Vec::new()));
        }
        other => {
            let must = "satisfy enum value set: [Event, RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let call = call(asked, named)?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        service.invoke(&call, |result| {
            // A client that has gone away needs no answer.
            let _ = sender.send(result);
        });
    });
    let gone = || ApiError::new(Code::Service, "the invoke was interrupted");
    let answer = receiver.await.map_err(|_| gone())??;
    Ok(invoked(answer, asked.header("x-amz-log-type") == Some("Tail")))
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
        let tail = base64::engine::general_purpose::STANDARD.encode(&answer.log_tail);
        header(headers, "x-amz-log-result", &tail);
    }
    reply
}

async fn accept_event(asked: &Asked, named: Named, service: Service) -> Result<Reply, ApiError> {
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
    Ok(Call { named, body: asked.body.clone(), client_context, trace_id })
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
            Ok(byte) if byte.is_ascii() => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    Ok(escaped)
}

/// The operations of the control API.
fn control(asked: &Asked, service: &Service) -> Result<Reply, ApiError> {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let (get, put, post, delete) = (&Method::GET, &Method::PUT, &Method::POST, &Method::DELETE);
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    let (status, value) = match (&asked.method, path.as_slice()) {
        (m, ["2015-03-31", "functions"]) if m == get => {
            let all = asked.query("FunctionVersion") == Some("ALL");
            (200, service.list_functions(all, marker, most)?)
        }
        (m, ["2015-03-31", "functions"]) if m == post => (201, service.create_function(body)?),
        (m, ["2015-03-31", "functions", name]) if m == get => {
            (200, service.get_function(&asked.named(name)?)?)
        }
        (m, ["2015-03-31", "functions", name]) if m == delete => {
            service.delete_function(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2015-03-31", "functions", name, "code"]) if m == put => {
            (200, service.update_code(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "configuration"]) if m == get => {
            (200, service.get_configuration(&asked.named(name)?)?)
        }
        (m, ["2015-03-31", "functions", name, "configuration"]) if m == put => {
            (200, service.update_configuration(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "versions"]) if m == get => {
            (200, service.list_versions(&asked.named(name)?, marker, most)?)
        }
        (m, ["2015-03-31", "functions", name, "versions"]) if m == post => {
            (201, service.publish_version(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases"]) if m == get => {
            (200, service.list_aliases(&asked.named(name)?, asked.query("FunctionVersion"), marker, most)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases"]) if m == post => {
            (201, service.create_alias(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == get => {
            (200, service.get_alias(&asked.named(name)?, alias)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == put => {
            (200, service.update_alias(&asked.named(name)?, alias, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == delete => {
            service.delete_alias(&asked.named(name)?, alias)?;
            (204, Value::Null)
        }
        (m, ["2017-10-31", "functions", name, "concurrency"]) if m == put => {
            (200, service.put_reserved(&asked.named(name)?, body)?)
        }
        (m, ["2017-10-31", "functions", name, "concurrency"]) if m == delete => {
            service.delete_reserved(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2019-09-30", "functions", name, "concurrency"]) if m == get => {
            (200, service.get_reserved(&asked.named(name)?)?)
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == put => {
            (202, service.put_provisioned(&asked.named(name)?, body)?)
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == get => {
            let named = asked.named(name)?;
            if asked.query("List") == Some("ALL") {
                (200, service.list_provisioned(&named, marker, most)?)
            } else {
                (200, service.get_provisioned(&named)?)
            }
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == delete => {
            service.delete_provisioned(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2019-09-25", "functions", name, "event-invoke-config"]) => {
            let named = asked.named(name)?;
            if m == put || m == post {
                (200, service.put_event_configuration(&named, m == post, body)?)
            } else if m == delete {
                service.delete_event_configuration(&named)?;
                (204, Value::Null)
            } else {
                (200, service.get_event_configuration(&named)?)
            }
        }
        (m, ["2019-09-25", "functions", name, "event-invoke-config", "list"]) if m == get => {
            (200, service.list_event_configurations(&asked.named(name)?, marker, most)?)
        }
        (m, ["2016-08-19", "account-settings"]) if m == get => (200, service.account_settings()),
        (m, ["2017-03-31", "tags", arn]) if m == get => (200, service.tags(arn)?),
        (m, ["2017-03-31", "tags", arn]) if m == post => {
            service.tag(arn, body)?;
            (204, Value::Null)
        }
        (m, ["2017-03-31", "tags", arn]) if m == delete => {
            let keys = asked.query.iter().filter(|(key, _)| key == "tagKeys").map(|(_, value)| value.clone());
            service.untag(arn, &keys.collect::<Vec<_>>())?;
            (204, Value::Null)
        }
        _ => return Err(ApiError::new(Code::UnknownOperation, "This operation is not served here.")),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(match value {
        Value::Null => reply(status, None, Vec::new()),
        value => reply(status, Some("application/json"), value.to_string().into_bytes()),
    })
}

fn refused(error: &ApiError) -> Reply {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = reply(status, Some("application/json"), error.body().to_string().into_bytes());
    header(reply.headers_mut(), "x-amzn-errortype", error.code.name());
    if error.code == Code::TooManyRequests {
        header(reply.headers_mut(), "retry-after", "1");
    }
    reply
}

fn reply(status: StatusCode, kind: Option<&str>, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    header(reply.headers_mut(), "x-amzn-requestid", &uuid());
    if let Some(kind) = kind {
        header(reply.headers_mut(), "content-type", kind);
    }
    reply
}

/// Sets a header; none of ours holds anything else than visible characters.
fn header(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
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
        assert!(client_context(&encoded("[1]")).is_err());
        assert!(client_context("no base64!").is_err());
        assert!(client_context(&encoded(&format!("{{\"a\":\"{}\"}}", "x".repeat(4000)))).is_err());
    }
}
