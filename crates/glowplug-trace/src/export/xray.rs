//! AWS X-Ray's segment documents: one segment for each cold start, its parts as subsegments.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use super::ExportOptions;
use super::identity::{ACCOUNT, Ids, TraceId, VERSION, arn, epoch_ns};
use super::span::{ColdStart, Failure, Kind, Span};
use super::spans::cold_starts;
use crate::document::Trace;

/// Bytes of one document. The service takes 64 kB, and the daemon reads datagrams of that size with a header.
pub(crate) const DOCUMENT_BYTES: usize = 60_000;

/// Characters of a name.
const NAME: usize = 200;

/// Characters of any other text that X-Ray reads.
const TEXT: usize = 250;

/// One document a cold start, and one a warm invoke; what does not fit into a document is one of its own, which
/// names its parent.
pub(crate) fn documents(trace: &Trace, options: &ExportOptions) -> Vec<String> {
    let starts = cold_starts(trace, options.threshold_ms);
    let mut ids = Ids::new(options.seed);
    let total: u64 = starts.iter().map(ColdStart::total_ns).sum();
    let mut base = epoch_ns(options.now).saturating_sub(total);
    let mut documents = Vec::new();
    for start in &starts {
        for root in start.roots() {
            let trace_id = ids.trace(base + root.start_ns);
            let mut writer = Writer { trace, base, trace_id, ids: &mut ids, apart: Vec::new() };
            let (segment, _) = writer.segment(root, start.event.as_deref());
            documents.push(segment.to_string());
            documents.extend(writer.apart);
        }
        base += start.total_ns();
    }
    documents
}

struct Writer<'a> {
    trace: &'a Trace,
    base: u64,
    trace_id: TraceId,
    ids: &'a mut Ids,
    /// Documents of their own.
    apart: Vec<String>,
}

impl Writer<'_> {
    fn segment(&mut self, root: &Span, event: Option<&str>) -> (Json, usize) {
        let function = &self.trace.function;
        let cold = root.kind == Kind::ColdStart;
        let mut annotations = json!({
            "coldstart": cold,
            "handler": function.handler,
            "python": function.python.to_string(),
            "memory_mb": function.memory_mb,
        });
        if let Some(event) = event {
            annotations["event"] = json!(cut(event, TEXT));
        }
        let mut told = json!({
            "name": name(&function.name),
            "trace_id": self.trace_id.xray(),
            "origin": "AWS::Lambda::Function",
            "service": {"version": VERSION},
            "aws": {"account_id": ACCOUNT, "function_arn": arn(&function.name)},
            "annotations": annotations,
        });
        if !cold {
            told["aws"]["request_id"] = json!(self.ids.request());
        }
        self.filled(told, root)
    }

    fn subsegment(&mut self, span: &Span) -> (Json, usize) {
        let mut told = json!({"name": name(span_name(span))});
        if span.kind.is_invoke() {
            told["aws"] = json!({"request_id": self.ids.request()});
        }
        self.filled(told, span)
    }

    /// Adds what segments and subsegments have in common; gives the bytes of its JSON too.
    fn filled(&mut self, mut told: Json, span: &Span) -> (Json, usize) {
        let id = format!("{:016x}", self.ids.span());
        told["id"] = json!(id);
        told["start_time"] = self.seconds(span.start_ns);
        told["end_time"] = self.seconds(span.end_ns);
        if let Some(failure) = &span.failure {
            // A fault is the function's; what somebody caught does not make it fail.
            told[if failure.handled { "error" } else { "fault" }] = json!(true);
            told["cause"] = self.cause(failure);
        }
        told["metadata"] = json!({"glowplug": metadata(span)});
        let parts: Vec<(Json, usize)> = span.children.iter().map(|child| self.subsegment(child)).collect();
        let mut bytes = told.to_string().len() + r#","subsegments":[]"#.len();
        bytes += parts.iter().map(|(_, bytes)| bytes + 1).sum::<usize>();
        let subsegments = self.fitting(&id, parts, &mut bytes);
        if !subsegments.is_empty() {
            told["subsegments"] = Json::Array(subsegments);
        }
        (told, bytes)
    }

    /// Takes out the largest parts until `bytes` fit into a document.
    fn fitting(&mut self, parent: &str, mut parts: Vec<(Json, usize)>, bytes: &mut usize) -> Vec<Json> {
        while *bytes > DOCUMENT_BYTES {
            let sizes = parts.iter().enumerate().map(|(index, (_, size))| (*size, index));
            let Some((size, index)) = sizes.max() else { break };
            let (mut document, _) = parts.remove(index);
            document["type"] = json!("subsegment");
            document["trace_id"] = json!(self.trace_id.xray());
            document["parent_id"] = json!(parent);
            self.apart.push(document.to_string());
            *bytes -= size + 1;
        }
        parts.into_iter().map(|(part, _)| part).collect()
    }

    fn cause(&mut self, failure: &Failure) -> Json {
        let mut exception = json!({
            "id": format!("{:016x}", self.ids.span()),
            "message": cut(&failure.message, TEXT),
            "remote": false,
        });
        if let Some(kind) = &failure.error_type {
            exception["type"] = json!(cut(kind, TEXT));
        }
        json!({"working_directory": glowplug_core::TASK_ROOT, "exceptions": [exception]})
    }

    /// Seconds since 1970, to a microsecond.
    fn seconds(&self, ns: u64) -> Json {
        json!(((self.base + ns) / 1000) as f64 / 1e6)
    }
}

/// A statement's name is its place: code has characters that names may not have.
fn span_name(span: &Span) -> &str {
    match span.kind {
        Kind::Statement => span.name.split_once(' ').map_or(&*span.name, |(place, _)| place),
        _ => &span.name,
    }
}

fn metadata(span: &Span) -> Json {
    let mut told = Map::new();
    told.insert("kind".to_owned(), json!(span.kind.name()));
    told.insert("thread".to_owned(), json!(span.thread));
    if let Some((file, line)) = &span.place {
        told.insert("place".to_owned(), json!(format!("{file}:{line}")));
    }
    for (name, value) in &span.attributes {
        let name = name.strip_prefix("glowplug.").unwrap_or(name);
        told.insert(name.to_owned(), json!(value));
    }
    Json::Object(told)
}

/// A name without the characters that X-Ray refuses.
fn name(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || r"_.:/%&#=+\-@".contains(c);
    let mut kept = String::new();
    for c in text.chars().take(NAME) {
        let _ = write!(kept, "{}", if allowed(c) { c } else { '_' });
    }
    if kept.trim().is_empty() { "_".to_owned() } else { kept }
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_what_xray_allows() {
        assert_eq!(name("pandas._libs.tslibs"), "pandas._libs.tslibs");
        assert_eq!(name("<frozen ntpath>:45"), "_frozen ntpath_:45");
        assert_eq!(name("größe\"(x)\n"), "größe__x__");
        assert_eq!(name(" "), "_");
        assert_eq!(name(&"x".repeat(300)).len(), 200);
    }
}
