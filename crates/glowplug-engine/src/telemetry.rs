//! The Telemetry API of one process: who has subscribed to what, and the records on their way.
//!
//! Buffering, limits and delivery as in "Lambda Telemetry API reference" of the developer guide: arrays of records by HTTP
//! POST, or lines by TCP, to a port of the environment.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::guard::Guard;

/// What happened before somebody subscribed is kept for them; ours.
const MOST_EARLY: usize = 1000;

/// What waits for a subscriber at most, in batches; ours.
const MOST_WAITING: usize = 8;

/// How long one delivery may take, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;

/// Names of this machine as extensions call it.
const HOSTS: [&str; 4] = ["sandbox.localdomain", "sandbox", "localhost", "127.0.0.1"];

/// Which stream a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Platform,
    Function,
    Extension,
}

/// A subscription, as it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    #[serde(default)]
    schema_version: Option<String>,
    types: Vec<Kind>,
    #[serde(default)]
    buffering: Buffering,
    destination: Destination,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Buffering {
    max_items: usize,
    max_bytes: usize,
    timeout_ms: u64,
}

impl Default for Buffering {
    fn default() -> Self {
        Self { max_items: 10_000, max_bytes: 262_144, timeout_ms: 1000 }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Destination {
    protocol: String,
    #[serde(rename = "URI", default)]
    uri: Option<String>,
    #[serde(default)]
    port: Option<u16>,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Http { port: u16, path: String },
    Tcp { port: u16 },
}

#[derive(Debug)]
struct Subscription {
    name: String,
    types: Vec<Kind>,
    /// Function logs that are JSON objects are told as such (schema 2025-01-29).
    objects: bool,
    buffering: Buffering,
    target: Target,
    waiting: Vec<String>,
    bytes: usize,
    /// Records that were too much, and their bytes.
    dropped: (usize, usize),
    since: Option<Instant>,
    /// It is delivered at once.
    hurry: bool,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    subscriptions: Vec<Subscription>,
    early: Vec<(Kind, Value)>,
    /// Nobody subscribes any more.
    closed: bool,
    /// There are extensions that may.
    expected: bool,
    /// The process stands still: nothing is sent.
    paused: bool,
    /// Deliveries that are under way.
    under_way: usize,
}

/// The records of one process.
#[derive(Debug, Default)]
pub(crate) struct Telemetry(Mutex<State>, OnceLock<Guard>);

impl Wanted {
    /// Reads and checks one; the message says what is wrong.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let wanted: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let schema = wanted.schema_version.as_deref();
        if schema.is_some_and(|version| !["2022-07-01", "2022-12-13", "2025-01-29"].contains(&version)) {
            return Err("schemaVersion is not supported".to_owned());
        }
        let Buffering { max_items, max_bytes, timeout_ms } = wanted.buffering;
        for (name, value, least, most) in [
            ("maxItems", max_items as u64, 1000, 10_000),
            ("maxBytes", max_bytes as u64, 262_144, 1_048_576),
            ("timeoutMs", timeout_ms, 25, 30_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("buffering.{name} must be between {least} and {most}"));
            }
        }
        wanted.target().map(|_| wanted)
    }

    fn target(&self) -> Result<Target, String> {
        let Destination { protocol, uri, port } = &self.destination;
        match (protocol.as_str(), uri, port) {
            ("HTTP", Some(uri), _) => {
                let rest = uri.strip_prefix("http://").ok_or("destination.URI must begin with http://")?;
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (host, port) = host.split_once(':').unwrap_or((host, "80"));
                let port = port.parse().map_err(|_| "destination.URI has no port")?;
                if !HOSTS.contains(&host) {
                    return Err("destination.URI must name sandbox.localdomain".to_owned());
                }
                Ok(Target::Http { port, path: format!("/{path}") })
            }
            ("TCP", _, Some(port)) => Ok(Target::Tcp { port: *port }),
            _ => Err("destination must be HTTP with a URI, or TCP with a port".to_owned()),
        }
    }
}

impl Telemetry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription, in the place of an earlier one of the same extension; false where none are taken any more.
    pub(crate) fn subscribe(self: &Arc<Self>, name: &str, wanted: &Wanted) -> bool {
        let Ok(target) = wanted.target() else { return false };
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        let wake = Arc::new(Notify::new());
        let mut subscription = Subscription {
            name: name.to_owned(),
            types: wanted.types.clone(),
            objects: wanted.schema_version.as_deref() == Some("2025-01-29"),
            buffering: wanted.buffering.clone(),
            target,
            waiting: Vec::new(),
            bytes: 0,
            dropped: (0, 0),
            since: None,
            hurry: false,
            wake: Arc::clone(&wake),
        };
        for (kind, record) in &state.early {
            subscription.add(*kind, record);
        }
        state.subscriptions.retain(|known| known.name != name);
        state.subscriptions.push(subscription);
        drop(state);
        tokio::spawn(deliver(Arc::downgrade(self), name.to_owned(), wake));
        let types: Vec<String> = wanted.types.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        self.tell(
            Kind::Platform,
            "platform.telemetrySubscription",
            json!({"name": name, "state": "Subscribed", "types": types}),
        );
        true
    }

    /// Ports to which nothing is delivered.
    pub(crate) fn guard(&self, guard: Guard) {
        // Set once, when the process is made.
        let _ = self.1.set(guard);
    }

    /// Whether a subscription leads to a port of the function's.
    pub(crate) fn may_reach(&self, wanted: &Wanted) -> bool {
        wanted.target().is_ok_and(|target| self.is_open(&target))
    }

    fn is_open(&self, target: &Target) -> bool {
        let (Target::Http { port, .. } | Target::Tcp { port }) = target;
        !self.1.get().is_some_and(|guard| guard.is_closed(*port))
    }

    /// There are extensions, which may subscribe.
    pub(crate) fn expect(&self) {
        self.lock().expected = true;
    }

    /// Whether anybody hears, or may.
    pub(crate) fn is_heard(&self) -> bool {
        let state = self.lock();
        !state.subscriptions.is_empty() || state.expected && !state.closed
    }

    /// Sends nothing until it is resumed; false while something is under way.
    pub(crate) fn pause(&self) -> bool {
        let mut state = self.lock();
        state.paused = state.under_way == 0;
        state.paused
    }

    /// Sends again.
    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        state.paused = false;
        for subscription in state.subscriptions.iter().filter(|subscription| !subscription.waiting.is_empty())
        {
            subscription.wake.notify_one();
        }
    }

    /// Nobody subscribes from now on.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.early = Vec::new();
    }

    /// Tells a record, now.
    pub(crate) fn tell(&self, kind: Kind, name: &str, record: Value) {
        self.tell_all(kind, name, std::iter::once(record));
    }

    fn tell_all(&self, kind: Kind, name: &str, records: impl Iterator<Item = Value>) {
        let time = glowplug_core::iso8601(crate::clock::epoch()) + "Z";
        let mut state = self.lock();
        let State { subscriptions, early, closed, .. } = &mut *state;
        for record in records {
            let event = json!({"time": time, "type": name, "record": record});
            for subscription in &mut *subscriptions {
                subscription.add(kind, &event);
            }
            if !*closed && early.len() < MOST_EARLY {
                early.push((kind, event));
            }
        }
    }

    /// Tells output, a record for each line.
    pub(crate) fn tell_output(&self, kind: Kind, output: &[u8]) {
        if !self.is_heard() {
            return;
        }
        let name = if kind == Kind::Function { "function" } else { "extension" };
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.tell_all(
            kind,
            name,
            lines.map(|line| Value::String(String::from_utf8_lossy(line).into_owned())),
        );
    }

    /// Has everything delivered that waits, for a while.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let mut state = self.lock();
            let mut waits = state.under_way > 0;
            for subscription in &mut state.subscriptions {
                if !subscription.waiting.is_empty() {
                    waits = true;
                    subscription.hurry = true;
                    subscription.wake.notify_one();
                }
            }
            drop(state);
            if !waits || Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What is due for a subscription.
    fn due(&self, name: &str, wake: &Arc<Notify>) -> Due {
        let mut state = self.lock();
        let State { subscriptions, paused, under_way, .. } = &mut *state;
        let mut all = subscriptions.iter_mut();
        let Some(subscription) = all.find(|known| known.name == name && Arc::ptr_eq(&known.wake, wake))
        else {
            return Due::Gone;
        };
        let Some(since) = subscription.since.filter(|_| !*paused) else { return Due::Nothing };
        let timeout = Duration::from_millis(subscription.buffering.timeout_ms);
        let left = timeout.saturating_sub(since.elapsed());
        if !(left.is_zero() || subscription.hurry || subscription.is_full()) {
            return Due::In(left);
        }
        *under_way += 1;
        subscription.tell_dropped();
        subscription.since = None;
        subscription.hurry = false;
        subscription.bytes = 0;
        Due::Now(subscription.target.clone(), std::mem::take(&mut subscription.waiting))
    }
}

/// What there is to deliver.
enum Due {
    /// The subscription is no more.
    Gone,
    Nothing,
    In(Duration),
    Now(Target, Vec<String>),
}

impl Subscription {
    fn add(&mut self, kind: Kind, event: &Value) {
        if !self.types.contains(&kind) {
            return;
        }
        let mut event = event.clone();
        if kind == Kind::Function
            && self.objects
            && let Some(parsed) =
                event["record"].as_str().and_then(|line| serde_json::from_str::<Value>(line).ok())
            && parsed.is_object()
        {
            event["record"] = parsed;
        }
        let text = event.to_string();
        if self.bytes >= MOST_WAITING * self.buffering.max_bytes {
            self.dropped.0 += 1;
            self.dropped.1 += text.len();
            return;
        }
        self.bytes += text.len();
        self.waiting.push(text);
        self.since.get_or_insert_with(Instant::now);
        if self.is_full() || self.waiting.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Adds a record of what was too much.
    fn tell_dropped(&mut self) {
        let (records, bytes) = std::mem::take(&mut self.dropped);
        if records > 0 {
            let time = glowplug_core::iso8601(crate::clock::epoch()) + "Z";
            let reason = "The subscriber does not keep up";
            let record = json!({"droppedBytes": bytes, "droppedRecords": records, "reason": reason});
            let event = json!({"time": time, "type": "platform.logsDropped", "record": record});
            self.waiting.push(event.to_string());
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= self.buffering.max_items || self.bytes >= self.buffering.max_bytes
    }
}

/// Delivers for one subscription as long as there is one.
async fn deliver(telemetry: Weak<Telemetry>, name: String, wake: Arc<Notify>) {
    // A subscriber by TCP accepts once.
    let mut line = None;
    loop {
        let due = {
            let Some(telemetry) = telemetry.upgrade() else { return };
            telemetry.due(&name, &wake)
        };
        match due {
            Due::Gone => return,
            Due::Nothing => {
                // Looked at now and then, so that it ends with its process.
                let _ = tokio::time::timeout(PATIENCE, wake.notified()).await;
            }
            Due::In(left) => {
                let _ = tokio::time::timeout(left, wake.notified()).await;
            }
            Due::Now(target, records) => send(&telemetry, &target, records, &mut line).await,
        }
    }
}

/// Sends records; those that nobody takes are told of as dropped.
async fn send(
    telemetry: &Weak<Telemetry>,
    target: &Target,
    records: Vec<String>,
    line: &mut Option<TcpStream>,
) {
    let count = records.len();
    let body = Bytes::from(match target {
        Target::Http { .. } => format!("[{}]", records.join(",")),
        Target::Tcp { .. } => records.join("\n") + "\n",
    });
    drop(records);
    let mut arrived = false;
    for _ in 0..TRIES {
        // A port may have become the engine's since.
        if telemetry.upgrade().is_none_or(|telemetry| !telemetry.is_open(target)) {
            break;
        }
        let attempt = tokio::time::timeout(PATIENCE, attempt(target, body.clone(), line)).await;
        arrived = matches!(attempt, Ok(Ok(())));
        if arrived {
            break;
        }
        *line = None;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let Some(telemetry) = telemetry.upgrade() else { return };
    telemetry.lock().under_way -= 1;
    if !arrived {
        let reason = "The subscriber did not take them";
        let record = json!({"droppedBytes": body.len(), "droppedRecords": count, "reason": reason});
        telemetry.tell(Kind::Platform, "platform.logsDropped", record);
    }
}

async fn attempt(target: &Target, body: Bytes, line: &mut Option<TcpStream>) -> std::io::Result<()> {
    match target {
        Target::Tcp { port } => {
            let stream = match line {
                Some(stream) => stream,
                None => line.insert(TcpStream::connect(("127.0.0.1", *port)).await?),
            };
            stream.write_all(&body).await
        }
        Target::Http { port, path } => {
            let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(std::io::Error::other)?;
            let connection = tokio::spawn(connection);
            let request = hyper::Request::post(path)
                .header("Host", format!("sandbox.localdomain:{port}"))
                .header("Content-Type", "application/json")
                .body(Full::new(body))
                .map_err(std::io::Error::other)?;
            let answer = sender.send_request(request).await.map_err(std::io::Error::other);
            connection.abort();
            if answer?.status().is_success() { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(more: &Value) -> Result<Wanted, String> {
        let mut body = json!({"types": ["platform"], "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/x"}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        Wanted::parse(body.to_string().as_bytes())
    }

    #[test]
    fn subscriptions_are_checked() {
        let target = wanted(&json!({})).unwrap().target().unwrap();
        assert_eq!(target, Target::Http { port: 4243, path: "/x".to_owned() });
        let tcp = wanted(&json!({"destination": {"protocol": "TCP", "port": 9}})).unwrap().target().unwrap();
        assert_eq!(tcp, Target::Tcp { port: 9 });
        for bad in [
            json!({"types": ["weather"]}),
            json!({"schemaVersion": "1999-01-01"}),
            json!({"buffering": {"timeoutMs": 1}}),
            json!({"buffering": {"maxItems": 1}}),
            json!({"destination": {"protocol": "HTTP", "URI": "http://example.com/"}}),
            json!({"destination": {"protocol": "HTTP"}}),
        ] {
            assert!(wanted(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_came_before_is_heard_and_only_what_is_wanted() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let telemetry = Arc::new(Telemetry::default());
        telemetry.tell(Kind::Platform, "platform.initStart", json!({}));
        telemetry.expect();
        telemetry.tell_output(Kind::Function, b"a line\n\nanother");
        assert!(telemetry.subscribe("one", &wanted(&json!({})).unwrap()));
        telemetry.close();
        assert!(!telemetry.subscribe("two", &wanted(&json!({})).unwrap()));
        let waiting = telemetry.lock().subscriptions[0].waiting.clone();
        assert_eq!(waiting.len(), 2, "{waiting:?}");
        assert!(
            waiting[0].contains("platform.initStart") && waiting[1].contains("Subscribed"),
            "{waiting:?}"
        );
        let both = wanted(&json!({"types": ["function"], "schemaVersion": "2025-01-29"})).unwrap();
        let other = Arc::new(Telemetry::default());
        other.subscribe("one", &both);
        other.tell_output(Kind::Function, b"{\"level\": 1}\nplain");
        let waiting = other.lock().subscriptions[0].waiting.clone();
        assert!(
            waiting[0].contains("\"record\":{\"level\":1}") && waiting[1].contains("\"record\":\"plain\"")
        );
    }
    #[test]
    fn lines_go_over_one_connection() {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let destination = json!({"protocol": "TCP", "port": port});
            let asked = json!({"types": ["function"], "destination": destination, "buffering": {"timeoutMs": 25, "maxItems": 1000, "maxBytes": 262_144}});
            let telemetry = Arc::new(Telemetry::default());
            assert!(telemetry.subscribe("one", &wanted(&asked).unwrap()));
            telemetry.tell_output(Kind::Function, b"first");
            let (stream, _) = listener.accept().await.unwrap();
            let mut lines = BufReader::new(stream).lines();
            for expected in ["first", "second"] {
                let line = tokio::time::timeout(Duration::from_mins(1), lines.next_line()).await.unwrap();
                let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
                assert_eq!(event["record"], expected);
                telemetry.tell_output(Kind::Function, b"second");
            }
        });
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_dropped_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let telemetry = Arc::new(Telemetry::default());
        telemetry.subscribe("one", &wanted(&json!({"types": ["function"]})).unwrap());
        let line = vec![b'x'; 200 * 1024];
        for _ in 0..100 {
            telemetry.tell_output(Kind::Function, &line);
        }
        let mut state = telemetry.lock();
        let subscription = &mut state.subscriptions[0];
        assert!(subscription.bytes < 10 * 262_144, "{}", subscription.bytes);
        let kept = subscription.waiting.len();
        subscription.tell_dropped();
        let told: Value = serde_json::from_str(subscription.waiting.last().unwrap()).unwrap();
        assert_eq!(told["record"]["droppedRecords"], 100 - kept);
    }
}
