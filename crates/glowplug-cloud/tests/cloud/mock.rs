//! A mock of Lambda that refuses: it answers by a script, since our service denies and throttles nobody on demand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// One answer: status, error type, body, `Retry-After`.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
    pub(crate) retry_after: Option<u32>,
}

/// Requests by their path's end, and the answers that are left for them; the last one is given again and again.
type Script = Vec<(&'static str, VecDeque<Said>)>;

/// The mock, which runs until the test ends.
pub(crate) struct MockLambda {
    pub(crate) endpoint: String,
    /// Method and path of what was asked.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl MockLambda {
    pub(crate) fn start(script: Vec<(&'static str, Vec<Said>)>) -> Self {
        let script: Script = script.into_iter().map(|(end, said)| (end, said.into())).collect();
        let script = Arc::new(Mutex::new(script));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
                let listener = tokio::net::TcpListener::bind(anywhere).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                    let answers = service_fn(move |request: Request<Incoming>| {
                        let response = answer(&request, &script, &log);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answers),
                    );
                }
            });
        });
        Self { endpoint: format!("http://{}", receiver.recv().unwrap()), asked }
    }
}

fn answer(
    request: &Request<Incoming>,
    script: &Mutex<Script>,
    log: &Mutex<Vec<String>>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    log.lock().unwrap().push(format!("{} {path}", request.method()));
    let mut script = script.lock().unwrap();
    let known = script.iter_mut().find(|(end, _)| path.ends_with(end));
    let said = match known.map(|(_, left)| left) {
        Some(left) if left.len() > 1 => left.pop_front().unwrap(),
        Some(left) => left[0].clone(),
        None => {
            Said { status: 404, kind: "ResourceNotFoundException", body: "{}".to_owned(), retry_after: None }
        }
    };
    let mut response = Response::builder().status(said.status).header("content-type", "application/json");
    if !said.kind.is_empty() {
        response = response.header("x-amzn-errortype", said.kind);
    }
    if let Some(seconds) = said.retry_after {
        response = response.header("retry-after", seconds.to_string());
    }
    response.body(Full::new(Bytes::from(said.body))).unwrap()
}

/// A refusal with this message.
pub(crate) fn refusal(status: u16, kind: &'static str, message: &str) -> Said {
    let body = serde_json::json!({"Type": "User", "message": message, "Message": message}).to_string();
    Said { status, kind, body, retry_after: None }
}

/// An answer that refuses nothing.
pub(crate) fn fine(body: serde_json::Value) -> Said {
    Said { status: 200, kind: "", body: body.to_string(), retry_after: None }
}
