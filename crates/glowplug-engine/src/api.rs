//! The Runtime API over HTTP/1.1: one listener on loopback for each process, speaking Lambda's words.
//!
//! Paths, status codes, bodies and headers are those of the API version `2018-06-01`, as Lambda's documentation
//! and its own runtime interface emulator have them.

pub(crate) mod extensions;
mod stream;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use glowplug_core::{Error, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::{Stamp, epoch};
use crate::exchange::{Connection, Event, Exchange, InitError, Parts, Refusal, Reply};
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::payload;
use crate::variables::{ACCESS_KEY, CREDENTIALS_PATH, CREDENTIALS_TOKEN, SECRET_KEY, SESSION_TOKEN};

const VERSION: &str = "/2018-06-01";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// A client that has given up a connection may be heard on its new one before the end of the old one is noticed:
/// how long a poll that comes out of turn waits for that, and how often it looks.
const RECONNECT_PATIENCE: Duration = Duration::from_millis(100);
const RECONNECT_GLANCE: Duration = Duration::from_millis(5);

type Answer = Response<Full<Bytes>>;

/// A running listener; closes with all its connections when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// What `AWS_LAMBDA_RUNTIME_API` says.
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of loopback and answers for one process. `restores`: it comes from a snapshot.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        exchange: Arc<Exchange>,
        restores: bool,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::surroundings("cannot listen on loopback for the Runtime API").cause(error)
        };
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        let task = runtime.spawn(accept(listener, exchange, restores));
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, exchange: Arc<Exchange>, restores: bool) {
    // Dropped with this task, and then ends the connections too.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, Arc::clone(&exchange), restores));
            }
            // Out of descriptors, for example: the client tries again, and so do we.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: tokio::net::TcpStream, exchange: Arc<Exchange>, restores: bool) {
    let connection = Arc::new(Connection::default());
    let service = service_fn(|request| {
        let (exchange, connection) = (Arc::clone(&exchange), Arc::clone(&connection));
        async move { Ok::<_, Infallible>(route(request, &exchange, &connection, restores).await) }
    });
    // A client that goes away in the middle is no error of ours.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    exchange.disconnected(&connection);
}

async fn route(
    request: Request<Incoming>,
    exchange: &Arc<Exchange>,
    connection: &Arc<Connection>,
    restores: bool,
) -> Answer {
    let arrived = exchange.stamp();
    let path = request.uri().path().to_owned();
    if restores && path == CREDENTIALS_PATH {
        return credentials(&request);
    }
    let Some(rest) = path.strip_prefix(VERSION) else {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let Some((version, parts)) = parts.split_first() else { return not_found() };
        return extensions::route(request, version, parts, exchange).await;
    };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["ping"]) => plain(StatusCode::OK, "pong"),
        (&Method::GET, ["runtime", "invocation", "next"]) => next(exchange, connection, arrived).await,
        (&Method::POST, ["runtime", "invocation", id, "response"]) => response(request, id, exchange).await,
        (&Method::POST, ["runtime", "invocation", id, "error"]) => error(request, id, exchange).await,
        (&Method::POST, ["runtime", "init", "error"]) => init_error(request, exchange).await,
        (&Method::GET, ["runtime", "restore", "next"]) if restores => {
            exchange.restore().await;
            empty()
        }
        (&Method::POST, ["runtime", "restore", "error"]) if restores => init_error(request, exchange).await,
        _ => not_found(),
    }
}

/// The long poll. When the client goes away, this future is dropped and takes no event with it.
async fn next(exchange: &Arc<Exchange>, connection: &Arc<Connection>, arrived: Stamp) -> Answer {
    let patience = tokio::time::Instant::now() + RECONNECT_PATIENCE;
    while let Err(refusal) = exchange.poll(arrived) {
        if tokio::time::Instant::now() >= patience {
            return refused(&refusal);
        }
        tokio::time::sleep(RECONNECT_GLANCE).await;
    }
    let _waiting = exchange.waiting();
    loop {
        let mut offered = pin!(exchange.offered.notified());
        // Registered before the look, so that an event offered in between is not missed.
        offered.as_mut().enable();
        if let Some(event) = exchange.take(connection) {
            return hand_out(event);
        }
        offered.await;
    }
}

fn hand_out(event: Event) -> Answer {
    let deadline_ms = (epoch() + event.timeout).as_millis();
    let mut answer = Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &event.request_id)
        .header("Lambda-Runtime-Deadline-Ms", deadline_ms.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", &event.arn)
        .header("Lambda-Runtime-Trace-Id", &event.trace_id)
        .header("Lambda-Runtime-Invocation-Id", &event.invocation_id);
    for (name, value) in [
        ("Lambda-Runtime-Client-Context", &event.client_context),
        ("Lambda-Runtime-Cognito-Identity", &event.cognito_identity),
    ] {
        if let Some(value) = value {
            answer = answer.header(name, value);
        }
    }
    answer.body(Full::new(event.body)).unwrap_or_else(|_| failed())
}

fn header(request: &Request<Incoming>, name: &str) -> Option<String> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn response(request: Request<Incoming>, id: &str, exchange: &Arc<Exchange>) -> Answer {
    let parts = match exchange.expects(id, header(&request, INVOCATION_ID).as_deref()) {
        Ok(parts) => parts,
        Err(refusal) => return refused(&refusal),
    };
    let (status, answer, reply) = match (header(&request, RESPONSE_MODE).as_deref(), parts) {
        (None, _) => whole(read(request.into_body()).await),
        // Nobody takes parts: they are put together.
        (Some("streaming"), None) => match stream::gathered(request.into_body()).await {
            (body, None) => whole(body),
            (_, error) => (StatusCode::ACCEPTED, OK.to_owned(), error),
        },
        (Some("streaming"), Some(parts)) => return streamed(request, id, exchange, parts).await,
        (Some(_), _) => {
            let message = format!("Invalid header: {RESPONSE_MODE}");
            let reply = Reply::Error {
                payload: payload::platform("Runtime.InvalidResponseModeHeader", "Invalid response mode"),
                error_type: "Runtime.InvalidResponseModeHeader".to_owned(),
            };
            (StatusCode::BAD_REQUEST, error_body("InvalidFunctionResponseMode", &message), Some(reply))
        }
    };
    receipt(id, exchange, (status, answer, reply))
}

/// Passes an answer on to whoever waits for it, if there is one, and gives the runtime client its receipt.
fn receipt(
    id: &str,
    exchange: &Exchange,
    (status, answer, reply): (StatusCode, String, Option<Reply>),
) -> Answer {
    let Some(reply) = reply else { return json(status, answer) };
    match exchange.answer(id, reply, exchange.stamp()) {
        // Whoever waits for the answer gets it after the receipt: the runtime client has the longer way to its next event.
        Ok(()) => json(status, answer),
        Err(refusal) => refused(&refusal),
    }
}

/// In a task of its own: an answer that is cut off is one, and a connection that is closed ends only its own.
async fn streamed(request: Request<Incoming>, id: &str, exchange: &Arc<Exchange>, parts: Parts) -> Answer {
    if let Err(refusal) = exchange.streams(id) {
        return refused(&refusal);
    }
    let (id, exchange) = (id.to_owned(), Arc::clone(exchange));
    let content_type = header(&request, "content-type");
    let passing = tokio::spawn(async move {
        let passed = stream::passed_on(content_type, request.into_body(), &parts).await;
        receipt(&id, &exchange, passed)
    });
    passing.await.unwrap_or_else(|_| failed())
}

/// An answer in one piece: the client's receipt, and what is answered. One that was cut off is none.
fn whole(body: Result<Option<Vec<u8>>, Cut>) -> (StatusCode, String, Option<Reply>) {
    match body {
        Err(Cut) => (StatusCode::BAD_REQUEST, truncated_body(), None),
        Ok(None) => {
            let message = format!("Exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes).");
            let answer = error_body("RequestEntityTooLarge", &message);
            (StatusCode::PAYLOAD_TOO_LARGE, answer, Some(too_large()))
        }
        Ok(Some(body)) => (StatusCode::ACCEPTED, OK.to_owned(), Some(Reply::Response(body))),
    }
}

fn too_large() -> Reply {
    Reply::Error { payload: payload::too_large(), error_type: payload::TOO_LARGE.to_owned() }
}

async fn error(request: Request<Incoming>, id: &str, exchange: &Exchange) -> Answer {
    if let Err(refusal) = exchange.expects(id, header(&request, INVOCATION_ID).as_deref()) {
        return refused(&refusal);
    }
    let told = header(&request, ERROR_TYPE);
    let reply = match read(request.into_body()).await {
        Err(Cut) => return json(StatusCode::BAD_REQUEST, truncated_body()),
        Ok(None) => too_large(),
        Ok(Some(payload)) => {
            let error_type = payload::platform_type(told.as_deref().unwrap_or_default(), "Function.Unknown");
            Reply::Error { payload, error_type }
        }
    };
    match exchange.answer(id, reply, exchange.stamp()) {
        Ok(()) => json(StatusCode::ACCEPTED, OK.to_owned()),
        Err(refusal) => refused(&refusal),
    }
}

async fn init_error(request: Request<Incoming>, exchange: &Exchange) -> Answer {
    let header = header(&request, ERROR_TYPE);
    let Ok(body) = read(request.into_body()).await else {
        return json(StatusCode::BAD_REQUEST, truncated_body());
    };
    let payload = body.unwrap_or_else(payload::too_large);
    let error_type = payload::error_type(&payload, header.as_deref());
    match exchange.init_error(InitError { error_type, payload, stamp: exchange.stamp() }) {
        Ok(()) => json(StatusCode::ACCEPTED, OK.to_owned()),
        Err(refusal) => refused(&refusal),
    }
}

/// Credentials as the SDKs want them of a container ("Container credential provider" in the SDKs and tools guide).
fn credentials(request: &Request<Incoming>) -> Answer {
    if header(request, "authorization").as_deref() != Some(CREDENTIALS_TOKEN) {
        return json(StatusCode::FORBIDDEN, error_body("Forbidden", "The token is not the right one"));
    }
    let answer = serde_json::json!({
        "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let mut answer = json(StatusCode::OK, answer.to_string());
    // A client that keeps its connection from init could not be forked.
    answer.headers_mut().insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("close"));
    answer
}

/// The client closed the connection in the middle of a body.
struct Cut;

/// A body, read to its end in any case; `None` where it is larger than Lambda takes.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, Cut> {
    let mut content = Vec::new();
    let mut large = false;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Cut)?.into_data() else { continue };
        large |= content.len() + data.len() > MAX_PAYLOAD_BYTES;
        if !large {
            content.extend_from_slice(&data);
        }
    }
    Ok((!large).then_some(content))
}

const OK: &str = "{\"status\":\"OK\"}\n";

fn error_body(error_type: &str, message: &str) -> String {
    serde_json::json!({"errorMessage": message, "errorType": error_type}).to_string()
}

fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::WrongRequest => {
            json(StatusCode::BAD_REQUEST, error_body("InvalidRequestID", "Invalid request ID"))
        }
        Refusal::WrongState { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            json(StatusCode::FORBIDDEN, error_body("InvalidStateTransition", &message))
        }
    }
}

fn truncated_body() -> String {
    error_body("TruncatedHTTPRequest", "The request body was truncated")
}

fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn json(status: StatusCode, body: String) -> Answer {
    answer(status, "application/json", body)
}

fn empty() -> Answer {
    plain(StatusCode::OK, "")
}

fn plain(status: StatusCode, body: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.to_owned())
}

fn answer(status: StatusCode, kind: &str, body: String) -> Answer {
    Response::builder()
        .status(status)
        .header("Content-Type", kind)
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|_| failed())
}

/// Only where a header could not be written, which none of ours can be.
fn failed() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::time::Instant;

    use super::*;

    const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";

    struct Rig {
        exchange: Arc<Exchange>,
        server: Server,
        _runtime: tokio::runtime::Runtime,
    }

    impl Rig {
        fn new() -> Self {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let exchange = Arc::new(Exchange::new(Arc::default(), serde_json::Value::Null));
            let server = Server::start(runtime.handle(), Arc::clone(&exchange), false).unwrap();
            Self { exchange, server, _runtime: runtime }
        }

        fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.server.address).unwrap();
            // A test that waits for nothing fails.
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        }

        fn offer(&self) {
            self.exchange.offer(Event {
                request_id: "id-1".to_owned(),
                invocation_id: "inv-1".to_owned(),
                arn: "arn".to_owned(),
                trace_id: "trace".to_owned(),
                client_context: Some("{\"custom\":{}}".to_owned()),
                cognito_identity: None,
                timeout: Duration::from_secs(3),
                body: Bytes::from_static(b"{\"a\":1}"),
                parts: None,
            });
        }
    }

    /// What has arrived when the text is in it.
    fn read_until(stream: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(end) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "closed after {text:?}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        text
    }

    #[test]
    fn an_event_carries_lambdas_headers() {
        let rig = Rig::new();
        let mut poll = rig.send(NEXT);
        rig.offer();
        let text = read_until(&mut poll, "{\"a\":1}").to_lowercase();
        assert!(text.starts_with("http/1.1 200 ok\r\n"), "{text}");
        for header in [
            "content-type: application/json",
            "lambda-runtime-aws-request-id: id-1",
            "lambda-runtime-invoked-function-arn: arn",
            "lambda-runtime-trace-id: trace",
            "lambda-runtime-invocation-id: inv-1",
            "lambda-runtime-client-context: {\"custom\":{}}",
        ] {
            assert!(text.contains(&format!("{header}\r\n")), "{header}: {text}");
        }
        let deadline = text.split("deadline-ms: ").nth(1).unwrap().split('\r').next().unwrap();
        let left = deadline.parse::<u128>().unwrap().saturating_sub(epoch().as_millis());
        assert!(left <= 3000, "{left}");
    }

    #[test]
    fn an_event_never_goes_to_a_poll_whose_client_is_gone() {
        let rig = Rig::new();
        let gone = rig.send(NEXT);
        assert!(rig.exchange.wait_init(Instant::now() + Duration::from_secs(10)).is_some());
        gone.shutdown(Shutdown::Both).unwrap();
        drop(gone);
        let mut poll = rig.send(NEXT);
        rig.offer();
        assert!(read_until(&mut poll, "{\"a\":1}").contains("id-1"));
    }

    #[test]
    fn a_body_that_is_cut_off_is_no_answer() {
        let rig = Rig::new();
        let mut poll = rig.send(NEXT);
        rig.offer();
        read_until(&mut poll, "{\"a\":1}");
        let post = |length: usize, body: &str| {
            format!(
                "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let cut = rig.send(&post(100, "{\"half\":"));
        cut.shutdown(Shutdown::Write).unwrap();
        drop(cut);
        let text = read_until(&mut rig.send(&post(2, "42")), "OK");
        assert!(text.starts_with("HTTP/1.1 202 Accepted"), "{text}");
        let answer = rig.exchange.wait_answer(Instant::now() + Duration::from_secs(10)).unwrap().unwrap();
        assert!(matches!(answer.reply, Reply::Response(body) if body == b"42"));
    }
}
