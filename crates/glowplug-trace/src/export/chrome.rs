//! Chrome's trace events, for Perfetto and `chrome://tracing`: each cold start is a process, so that they stand
//! below each other from the same zero.

use serde_json::{Map, Value as Json, json};

use super::ExportOptions;
use super::span::{ColdStart, Span};
use super::spans::cold_starts;
use crate::document::Trace;
use crate::tree::MAIN_THREAD;

/// The document.
pub(crate) fn document(trace: &Trace, options: &ExportOptions) -> Json {
    let starts = cold_starts(trace, options.threshold_ms);
    let mut events = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        Process { id: index + 1, start, threads: Vec::new() }.write(&trace.function.name, &mut events);
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "function": trace.function.name,
            "handler": trace.function.handler,
            "python": trace.function.python.to_string(),
            "memory_mb": trace.function.memory_mb,
            "exporter": concat!("glowplug ", env!("CARGO_PKG_VERSION")),
        },
    })
}

struct Process<'a> {
    id: usize,
    start: &'a ColdStart,
    /// Names; the first has the number 1.
    threads: Vec<&'a str>,
}

impl<'a> Process<'a> {
    fn write(mut self, function: &str, events: &mut Vec<Json>) {
        let name = match &self.start.event {
            Some(event) => format!("{function}: {event}"),
            None => function.to_owned(),
        };
        events.push(self.metadata("process_name", 0, json!({"name": name})));
        events.push(self.metadata("process_sort_index", 0, json!({"sort_index": self.id})));
        self.thread(MAIN_THREAD);
        let spans: Vec<Json> = self.start.roots().flat_map(Span::walk).map(|span| self.event(span)).collect();
        for (index, thread) in self.threads.iter().enumerate() {
            events.push(self.metadata("thread_name", index + 1, json!({"name": thread})));
            events.push(self.metadata("thread_sort_index", index + 1, json!({"sort_index": index + 1})));
        }
        events.extend(spans);
    }

    fn thread(&mut self, name: &'a str) -> usize {
        let known = self.threads.iter().position(|thread| *thread == name);
        known.unwrap_or_else(|| {
            self.threads.push(name);
            self.threads.len() - 1
        }) + 1
    }

    fn event(&mut self, span: &'a Span) -> Json {
        let mut told = Map::new();
        if let Some((file, line)) = &span.place {
            told.insert("place".to_owned(), json!(format!("{file}:{line}")));
        }
        if let Some(failure) = &span.failure {
            let kind = failure.error_type.as_deref().map(|kind| format!("{kind}: ")).unwrap_or_default();
            told.insert("error".to_owned(), json!(format!("{kind}{}", failure.message)));
        }
        for (name, value) in &span.attributes {
            let name = name.strip_prefix("glowplug.").unwrap_or(name);
            told.insert(name.to_owned(), json!(value));
        }
        json!({
            "name": span.name,
            "cat": span.kind.name(),
            "ph": "X",
            "ts": microseconds(span.start_ns),
            "dur": microseconds(span.end_ns - span.start_ns),
            "pid": self.id,
            "tid": self.thread(&span.thread),
            "args": told,
        })
    }

    fn metadata(&self, name: &str, thread: usize, arguments: Json) -> Json {
        json!({"name": name, "ph": "M", "ts": 0, "pid": self.id, "tid": thread, "args": arguments})
    }
}

/// The format's unit; the digits after the point are ns.
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}
