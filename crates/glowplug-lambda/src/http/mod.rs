//! Lambda's API over HTTP: which operation a request means, and how its answer goes back.
//!
//! Methods, paths, headers and statuses are those of the service model `2015-03-31` of botocore.

mod control;
mod event_stream;
mod invoke;
mod origin;
mod page;
mod stream;
mod url;

use std::convert::Infallible;
use std::net::SocketAddr;

use glowplug_core::{Error, Result};
use glowplug_engine::uuid;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

use crate::error::{ApiError, Code};
use crate::keeper;
use crate::names::Named;
use crate::service::Service;

pub(crate) use url::url_of;

/// Largest body that is read: a zip of 50 MB in base64, and some.
const MOST_BYTES: usize = 80 * 1024 * 1024;

/// The one path of AWS's runtime interface emulator.
const EMULATOR: [&str; 4] = ["2015-03-31", "functions", "function", "invocations"];

/// Known as a whole, or coming in parts.
type Body = Either<Full<Bytes>, Channel<Bytes, std::io::Error>>;

type Reply = Response<Body>;

/// A listening server; it closes when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
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
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let handle = service.0.engine.handle().clone();
        let listener = {
            let _inside = handle.enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        service.set_address(address);
        // Not before: functions of the file system are there now.
        keeper::start(&service)?;
        let task = handle.spawn(accept(listener, service, emulates));
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, service: Service, emulates: Option<String>) {
    // Dropped with this task, and then ends the connections too.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, for example: the client tries again, and so do we.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (service, emulates) = (service.clone(), emulates.clone());
        connections.spawn(async move {
            let answers = service_fn(|request| {
                let (service, emulates) = (service.clone(), emulates.clone());
                async move { Ok::<_, Infallible>(route(request, service, emulates).await) }
            });
            // A client that goes away in the middle is no error of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answers)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A request, taken apart.
struct Asked {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// As it was sent.
    raw_path: String,
    raw_query: String,
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
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        let told = format!("Request must be smaller than {MOST_BYTES} bytes");
        return refused(&ApiError::new(Code::RequestTooLarge, told));
    };
    let body = body.to_bytes();
    let (raw_path, raw_query) =
        (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let asked =
        Asked { method: parts.method, path, query, headers: parts.headers, body, raw_path, raw_query };
    answer(asked, service, emulates).await.unwrap_or_else(|error| refused(&error))
}

async fn answer(asked: Asked, service: Service, emulates: Option<String>) -> Result<Reply, ApiError> {
    if let Some(page) = page::answer(&asked, &service) {
        return Ok(page);
    }
    origin::check(&asked)?;
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (&asked.method, path.as_slice()) {
        (&Method::POST, path) if path == EMULATOR && emulates.is_some() => {
            let named = asked.named(emulates.as_deref().unwrap_or_default())?;
            invoke::invoke(&asked, named, service).await
        }
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
            let named = asked.named(name)?;
            invoke::invoke(&asked, named, service).await
        }
        (&Method::POST, ["2021-11-15", "functions", name, "response-streaming-invocations"]) => {
            let named = asked.named(name)?;
            invoke::stream(&asked, named, service).await
        }
        (&Method::POST, ["2014-11-13", "functions", name, "invoke-async"]) => {
            let named = asked.named(name)?;
            invoke::accept_event(&asked, named, service).await
        }
        (_, [url::PREFIX, name, ..]) => Ok(url::answer(&asked, name, service).await),
        _ => {
            // It may wait for the disk.
            let done = tokio::task::spawn_blocking(move || control::control(&asked, &service)).await;
            done.unwrap_or_else(|error| Err(ApiError::new(Code::Service, error.to_string())))
        }
    }
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
    let mut reply = Response::new(Body::Left(Full::new(Bytes::from(body))));
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
