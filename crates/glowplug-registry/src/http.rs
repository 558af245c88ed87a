//! One request to one server, and its answer part by part.
//!
//! ureq rather than a registry client: `oci-client` has no retries, no sight of `Retry-After`, no identity tokens and no
//! way to resume an upload, so that the work would be done here all the same, over a second HTTP stack of 150 crates.
//!
//! A request runs in a thread of its own, which nobody waits for without looking at [`Watch`]: an interruption is heard
//! while a registry says nothing. A thread that is left behind ends with its connection, at the latest when that stalls.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use ureq::http::{HeaderMap, Method, Request};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, SendBody};

use crate::access::Access;
use crate::attempts::Failure;
use crate::reference::is_loopback;
use crate::{address, faults};

/// Between two looks at whether to go on.
const TICK: Duration = Duration::from_millis(50);

/// Bytes that are passed on at once.
const PART: usize = 128 * 1024;

/// Parts that wait to be written: what memory a fast network may fill.
const PARTS: usize = 8;

/// Whether to go on, asked while waiting.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// Who may interrupt.
    pub progress: &'a dyn Progress,
    /// Set where a transfer beside this one has failed.
    pub stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// # Errors
    /// Interrupted: by the user, or because another transfer failed, whose error is the one that is told.
    pub(crate) fn check(&self) -> Result<()> {
        if self.progress.interrupted() || self.stop.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        Ok(())
    }
}

/// What is sent with a request. It can be sent again.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of a file, read while it is sent.
    File { path: Utf8PathBuf, offset: u64, length: u64, sent: Arc<AtomicU64> },
}

/// What comes from the thread.
enum Part {
    Head(u16, HeaderMap),
    Data(Vec<u8>),
    End,
    Broken(ureq::Error),
}

/// The beginning of an answer; the rest is asked for.
pub(crate) struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The address that answered, after redirects.
    pub url: String,
    parts: Receiver<Part>,
}

/// The agent for a registry: its trust, its timeouts, its proxy.
///
/// # Errors
/// Input: the file of certificates has none.
pub(crate) fn agent(access: &Access, host: &str) -> Result<Agent> {
    let patience = &access.patience;
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(patience.connect))
        .timeout_per_read(Some(patience.stall))
        .timeout_per_write(Some(patience.stall))
        .timeout_recv_response(Some(patience.answer))
        // Digests are of what is stored, so that a server must not compress it on the way.
        .accept_encoding("identity")
        .user_agent(concat!("glowplug/", env!("CARGO_PKG_VERSION")));
    if is_loopback(host) {
        // A proxy has another loopback.
        config = config.proxy(None);
    }
    if let Some(path) = &access.certificates {
        let roots = RootCerts::new_with_certs(&certificates(path)?);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    Ok(config.build().into())
}

fn certificates(path: &Utf8Path) -> Result<Vec<ureq::tls::Certificate<'static>>> {
    let wrong = |cause: String| {
        Error::input("cannot read the certificates to trust").place(path.as_str()).cause(cause)
    };
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(wrong("it has no certificate in PEM".to_owned())) } else { Ok(found) }
}

/// Sends a request and waits for the beginning of the answer.
///
/// `moved` is told how many bytes of the body have been sent so far.
///
/// # Errors
/// As [`Failure`] says: no connection, a broken one, an interruption.
pub(crate) fn exchange(
    agent: &Agent,
    request: Request<()>,
    body: &Body,
    watch: Watch<'_>,
    moved: &dyn Fn(u64),
) -> Result<Answer, Failure> {
    let url = request.uri().to_string();
    let (sender, parts) = sync_channel(PARTS);
    let (agent, owned) = (agent.clone(), body.clone());
    thread::spawn(move || run(&agent, request, owned, &sender));
    let mut answer = Answer { status: 0, headers: HeaderMap::new(), url, parts };
    loop {
        if let Body::File { sent, .. } = body {
            moved(sent.load(Ordering::Relaxed));
        }
        match answer.receive(watch)? {
            Some(Part::Head(status, headers)) => {
                (answer.status, answer.headers) = (status, headers);
                return Ok(answer);
            }
            Some(Part::Broken(error)) => return Err(faults::broken(&answer.url, error)),
            Some(Part::Data(_) | Part::End) | None => {}
        }
    }
}

impl Answer {
    /// A header as text, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection breaks, or an interruption.
    pub(crate) fn next(&self, watch: Watch<'_>) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            match self.receive(watch)? {
                Some(Part::Data(bytes)) => return Ok(Some(bytes)),
                Some(Part::End) => return Ok(None),
                Some(Part::Broken(error)) => return Err(faults::broken(&self.url, error)),
                Some(Part::Head(..)) | None => {}
            }
        }
    }

    /// The whole body; `None` where it is longer than `limit`.
    pub(crate) fn read(&self, limit: u64, watch: Watch<'_>) -> Result<Option<Vec<u8>>, Failure> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next(watch)? {
            if (whole.len() + bytes.len()) as u64 > limit {
                return Ok(None);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(Some(whole))
    }

    /// What has come within a tick.
    fn receive(&self, watch: Watch<'_>) -> Result<Option<Part>, Failure> {
        watch.check().map_err(Failure::Final)?;
        match self.parts.recv_timeout(TICK) {
            Ok(part) => Ok(Some(part)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::Final(
                Error::defect("the thread of a request ended early").place(address::without_query(&self.url)),
            )),
        }
    }
}

/// The thread: whoever waits may be gone, and then nobody is told.
fn run(agent: &Agent, request: Request<()>, body: Body, sender: &SyncSender<Part>) {
    let last = transfer(agent, request, body, sender).map_or_else(Part::Broken, |()| Part::End);
    let _ = sender.send(last);
}

fn transfer(
    agent: &Agent,
    request: Request<()>,
    body: Body,
    sender: &SyncSender<Part>,
) -> Result<(), ureq::Error> {
    let (mut parts, ()) = request.into_parts();
    let body = match body {
        Body::None if matches!(parts.method, Method::GET | Method::HEAD) => SendBody::none(),
        Body::None => {
            parts.headers.insert("content-length", 0.into());
            SendBody::from_owned_reader(io::empty())
        }
        Body::Bytes(bytes) => {
            parts.headers.insert("content-length", bytes.len().into());
            SendBody::from_owned_reader(io::Cursor::new(bytes))
        }
        Body::File { path, offset, length, sent } => {
            let mut file = fs::File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            sent.store(0, Ordering::Relaxed);
            parts.headers.insert("content-length", length.into());
            SendBody::from_owned_reader(Counted { file: file.take(length), sent })
        }
    };
    let response = agent.run(Request::from_parts(parts, body))?;
    let (head, body) = response.into_parts();
    if sender.send(Part::Head(head.status.as_u16(), head.headers)).is_err() {
        return Ok(());
    }
    let mut reader = body.into_reader();
    loop {
        let mut bytes = vec![0; PART];
        let count = reader.read(&mut bytes)?;
        bytes.truncate(count);
        if count == 0 || sender.send(Part::Data(bytes)).is_err() {
            return Ok(());
        }
    }
}

/// A part of a file that says how much of it was read.
struct Counted {
    file: io::Take<fs::File>,
    sent: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
