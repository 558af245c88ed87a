//! Reading a trace that was kept.

use glowplug_core::{Error, Result, SCHEMA_TRACE};
use serde::Deserialize;
use serde_json::Value;

use crate::document::Trace;

/// A trace from the text of a file.
///
/// # Errors
/// Input: the text is not JSON, another document, a trace of another version, or damaged. The place is the caller's to
/// add.
pub fn read_trace(text: &str) -> Result<Trace> {
    let again = || "trace again: `glowplug trace PATH --format json > FILE`";
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::input("this is not a trace: it is not JSON").cause(error).hint(again()))?;
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA_TRACE) => {}
        Some(other) if other.starts_with("glowplug.trace/") => {
            return Err(Error::input(format!("this is `{other}`; this glowplug reads `{SCHEMA_TRACE}`"))
                .hint("trace again with this glowplug, or update it"));
        }
        Some(other) => {
            return Err(
                Error::input(format!("this is `{other}`, not a trace (`{SCHEMA_TRACE}`)")).hint(again())
            );
        }
        None => return Err(Error::input("this is not a trace: it names no `schema`").hint(again())),
    }
    Trace::deserialize(value).map_err(|error| {
        Error::input(format!("this says `{SCHEMA_TRACE}`, but does not have its form"))
            .cause(error)
            .hint(again())
    })
}
