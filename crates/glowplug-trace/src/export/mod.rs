//! Traces for other people's tools: OpenTelemetry, X-Ray, Chrome's trace viewers, speedscope, tuna.
//!
//! Each format is a pure function from a [`Trace`] to bytes ([`render`]); [`export`] writes them to a file, or sends
//! them to a collector or daemon. `docs/exports.md` says what consumes what.

mod attributes;
mod chrome;
mod failures;
mod file;
mod forest;
mod identity;
mod imports;
mod importtime;
mod layout;
mod otlp;
mod send;
mod span;
mod spans;
mod speedscope;
mod target;
mod variables;
mod xray;

use std::time::SystemTime;

use glowplug_core::{Error, Result};

pub use file::{check_file, write_file};
pub use target::{Export, Format, Target};
pub use variables::{Encoding, Otlp};

use crate::document::Trace;

/// Imports and statements below this many ms are left out unless the user says otherwise.
pub const THRESHOLD_MS: f64 = 1.0;

/// How to export.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportOptions {
    /// Imports and statements below this many ms are left out; importtime holds them all.
    pub threshold_ms: f64,
    /// The time at which what is exported shall have ended.
    pub now: SystemTime,
    /// Decides ids. The same seed gives the same trace ids in OTLP and X-Ray.
    pub seed: u64,
    /// What a user's environment says of OTLP.
    pub otlp: Otlp,
}

impl ExportOptions {
    /// With the default threshold, and OTLP as if the environment said nothing.
    pub fn new(now: SystemTime, seed: u64) -> Self {
        Self { threshold_ms: THRESHOLD_MS, now, seed, otlp: Otlp::default() }
    }
}

/// Whether an export can be expected to work, as far as that shows before there is a trace: to ask first costs less
/// than to measure in vain.
///
/// # Errors
/// Usage: the file is a folder, or is to lie in something that is none.
pub fn check(export: &Export) -> Result<()> {
    match &export.target {
        Target::File(path) => check_file(path),
        Target::Http(_) | Target::Udp(_) => Ok(()),
    }
}

/// Writes or sends a trace. A file appears complete or not at all.
///
/// # Errors
/// Surroundings: the file cannot be written, or whoever listens at the address cannot be reached or refuses.
pub fn export(trace: &Trace, export: &Export, options: &ExportOptions) -> Result<()> {
    match &export.target {
        Target::File(path) => write_file(path, &render(trace, export, options)?),
        Target::Http(url) => {
            let spans = otlp::request(trace, options);
            send::post(url, &spans, &options.otlp)
        }
        Target::Udp(address) => send::datagrams(address, &xray::documents(trace, options)),
    }
}

/// The bytes of a file, without writing it.
///
/// # Errors
/// A defect where a value has no JSON.
pub fn render(trace: &Trace, export: &Export, options: &ExportOptions) -> Result<Vec<u8>> {
    Ok(match export.format {
        Format::Otlp => {
            let request = otlp::request(trace, options);
            match export.encoding() {
                Encoding::Json => otlp::json(&request)?,
                Encoding::Protobuf => otlp::protobuf(&request),
            }
        }
        Format::Chrome => json(&chrome::document(trace, options))?,
        Format::Speedscope => json(&speedscope::document(trace, options))?,
        Format::Importtime => importtime::text(trace).into_bytes(),
        Format::Xray => {
            let lines = xray::documents(trace, options).into_iter().map(|document| document + "\n");
            lines.collect::<String>().into_bytes()
        }
    })
}

/// JSON as a file holds it, with a newline at the end.
fn json(value: &serde_json::Value) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec(value).map_err(|error| Error::defect("an export has no JSON").cause(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}
