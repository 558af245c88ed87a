//! A mock registry: a small HTTP server over what a test gives it, which fails as the test says. Only for what a sound
//! registry does not do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_registry::Reference;
use serde_json::Value;

use crate::layouts::{MANIFEST, digest};
use crate::server::reference;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// How many requests came before it with the same method and target.
    pub before: usize,
    /// The mock's own port.
    pub port: u16,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// What is sent back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is closed.
    pub cut: Option<usize>,
    /// Whether the body is sent in chunks, so that its length is not told.
    pub chunked: bool,
    /// Whether nothing is sent, and the connection stays open.
    pub silent: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }
}

type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// The server, which runs until the test's process ends.
pub(crate) struct Mock {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Mock {
    /// Serves a layout's blobs and, as tag `1`, one of its manifests; `script` is asked first about every request.
    pub(crate) fn serve(
        layout: &Utf8Path,
        root: &str,
        script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let (layout, root) = (layout.to_owned(), root.to_owned());
        Self::run(Arc::new(move |request: &Request| {
            script(request).or_else(|| Some(content(&layout, &root, request)))
        }))
    }

    fn run(script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || answer(stream.unwrap(), port, &script, &log));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn reference(&self) -> Reference {
        reference(self.port, "team/app:1")
    }

    /// The requests that came, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests with this method had this in their target.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|request| request.is(method, part)).count()
    }
}

/// What a sound registry would answer.
fn content(layout: &Utf8Path, root: &str, request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap();
    let name = path.rsplit('/').next().unwrap();
    let file = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
    if request.method == "POST" && path.ends_with("/blobs/uploads/") {
        return Reply::new(202, "").with("location", "/v2/team/app/blobs/uploads/1?state=0");
    }
    match request.method.as_str() {
        "PATCH" => {
            let (_, end) = request.header("content-range").split_once('-').unwrap();
            return Reply::new(202, "")
                .with("location", format!("/v2/team/app/blobs/uploads/1?state={end}"))
                .with("range", format!("0-{end}"));
        }
        "PUT" => return Reply::new(201, ""),
        "HEAD" => return Reply::new(404, ""),
        _ => {}
    }
    if path.ends_with("/tags/list") {
        return Reply::new(200, r#"{"name":"team/app","tags":["1"]}"#);
    }
    let digest = if name == "1" { root } else { name };
    let Ok(bytes) = fs::read(file(digest)) else {
        return Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
    };
    if path.contains("/manifests/") {
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let kind = manifest["mediaType"].as_str().unwrap_or(MANIFEST).to_owned();
        return Reply::new(200, bytes).with("content-type", kind).with("docker-content-digest", digest);
    }
    match request.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')) {
        Some(start) => {
            let (start, whole) = (start.parse::<usize>().unwrap(), bytes.len());
            Reply::new(206, &bytes[start..])
                .with("content-range", format!("bytes {start}-{}/{whole}", whole - 1))
        }
        None => Reply::new(200, bytes),
    }
}

fn answer(stream: TcpStream, port: u16, script: &Arc<Script>, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(mut request) = read(&mut reader, port) else { return };
    {
        let mut log = log.lock().unwrap();
        let same = |other: &&Request| other.method == request.method && other.target == request.target;
        request.before = log.iter().filter(same).count();
        log.push(request.clone());
    }
    let Some(reply) = script(&request) else { return };
    if reply.silent {
        thread::park();
    }
    // A client that has heard enough goes.
    let _ = write(stream, &request, &reply);
}

fn read(reader: &mut BufReader<TcpStream>, port: u16) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body, before: 0, port })
}

fn write(mut stream: TcpStream, request: &Request, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Mock\r\nconnection: close\r\n", reply.status);
    let has = |name: &str| reply.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if reply.chunked {
        head += "transfer-encoding: chunked\r\n";
    } else if !has("content-length") && reply.status != 204 {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    if !reply.chunked {
        return stream.write_all(body);
    }
    for part in body.chunks(4096) {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
        stream.write_all(part)?;
        stream.write_all(b"\r\n")?;
    }
    if reply.cut.is_some() { Ok(()) } else { stream.write_all(b"0\r\n\r\n") }
}

/// The digest of what a request brought.
pub(crate) fn digest_of(request: &Request) -> String {
    digest(&request.body)
}
