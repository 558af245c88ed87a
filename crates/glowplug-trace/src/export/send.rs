//! The only part that talks to others: a collector over HTTP, a daemon over UDP.

use std::net::UdpSocket;
use std::time::Duration;

use glowplug_core::{Error, Result};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use super::otlp;
use super::variables::{Encoding, Otlp};

/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before each further attempt, where the collector says that it is busy.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];

/// Statuses of a collector that is busy.
const BUSY: [u16; 4] = [429, 502, 503, 504];

/// Bytes of an answer that are read: it holds a sentence.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Between two datagrams, so that none is lost to a full buffer: nobody acknowledges them.
const BETWEEN: Duration = Duration::from_millis(4);

/// What the X-Ray daemon wants before each document.
const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// Posts spans to a collector.
///
/// # Errors
/// Surroundings: no connection, a refusal, or spans that were left out.
pub(crate) fn post(url: &str, request: &ExportTraceServiceRequest, options: &Otlp) -> Result<()> {
    let (kind, body) = match options.encoding {
        Encoding::Protobuf => ("application/x-protobuf", otlp::protobuf(request)),
        Encoding::Json => ("application/json", otlp::json(request)?),
    };
    let agent = agent(url);
    let mut pauses = PAUSES.iter();
    loop {
        let (status, answer) = attempt(&agent, url, kind, &body, options)?;
        if (200..300).contains(&status) {
            return accepted(url, &answer, options.encoding, otlp::count(request));
        }
        match pauses.next() {
            Some(pause) if BUSY.contains(&status) => std::thread::sleep(*pause),
            _ => return Err(refusal(url, status, &answer)),
        }
    }
}

fn agent(url: &str) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("glowplug/", env!("CARGO_PKG_VERSION")));
    let host = url.split("://").nth(1).unwrap_or_default();
    if ["localhost", "127.", "[::1]"].iter().any(|loopback| host.starts_with(loopback)) {
        // A proxy has another loopback.
        config = config.proxy(None);
    }
    config.build().into()
}

fn attempt(
    agent: &ureq::Agent,
    url: &str,
    kind: &str,
    body: &[u8],
    options: &Otlp,
) -> Result<(u16, Vec<u8>)> {
    let unreachable = |error: ureq::Error| {
        Error::surroundings("cannot send the spans to the collector").place(url).cause(error).hint(
            "check that a collector listens there for OTLP over HTTP, usually on port 4318; 4317 is for gRPC",
        )
    };
    let mut request = agent.post(url).header("content-type", kind);
    for (name, value) in &options.headers {
        request = request.header(name, value);
    }
    let mut response = request.send(body).map_err(unreachable)?;
    let answer = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().unwrap_or_default();
    Ok((response.status().as_u16(), answer))
}

/// A collector may take some spans and leave others out.
fn accepted(url: &str, answer: &[u8], encoding: Encoding, sent: usize) -> Result<()> {
    let (rejected, why) = match encoding {
        Encoding::Protobuf => {
            let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
            let partial = answer.partial_success.unwrap_or_default();
            (partial.rejected_spans, partial.error_message)
        }
        Encoding::Json => {
            let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
            let partial = &answer["partialSuccess"];
            let rejected = &partial["rejectedSpans"];
            let count = rejected.as_i64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
            (count, partial["errorMessage"].as_str().unwrap_or_default().to_owned())
        }
    };
    if rejected == 0 {
        return Ok(());
    }
    let why = if why.is_empty() { "it does not say why".to_owned() } else { why };
    Err(Error::surroundings(format!("the collector left out {rejected} of {sent} spans"))
        .place(url)
        .cause(why))
}

fn refusal(url: &str, status: u16, answer: &[u8]) -> Error {
    let text = String::from_utf8_lossy(answer);
    let readable = !text.trim().is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    let mut error = Error::surroundings(format!("the collector answered with status {status}")).place(url);
    if readable {
        let words: String = text.trim().chars().take(300).collect();
        error = error.cause(words);
    }
    match status {
        401 | 403 => error.hint("set OTEL_EXPORTER_OTLP_HEADERS to what the collector asks for"),
        404 | 405 => error.hint("check the path of the URL: collectors take traces at `/v1/traces`"),
        415 => error.hint("try the other encoding: OTEL_EXPORTER_OTLP_PROTOCOL=http/json or http/protobuf"),
        300..=399 => error.hint("use the address that it redirects to"),
        _ => error,
    }
}

/// Sends documents to the X-Ray daemon, each as a datagram. Nobody acknowledges them: only where nothing listens on
/// this machine is that an error.
///
/// # Errors
/// Surroundings: the address cannot be resolved or reached.
pub(crate) fn datagrams(address: &str, documents: &[String]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::surroundings("cannot send the segments to the X-Ray daemon")
            .place(format!("udp://{address}"))
            .cause(error)
            .hint("check that the daemon listens there; it does so on port 2000 unless told otherwise")
    };
    let bound = UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(address).map(|()| socket));
    let socket = bound
        .or_else(|_| UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect(address).map(|()| socket)))
        .map_err(failed)?;
    for document in documents {
        socket.send(format!("{HEADER}{document}").as_bytes()).map_err(failed)?;
        std::thread::sleep(BETWEEN);
        // The kernel of this machine tells where nothing listens.
        if let Some(error) = socket.take_error().map_err(failed)? {
            return Err(failed(error));
        }
    }
    Ok(())
}
