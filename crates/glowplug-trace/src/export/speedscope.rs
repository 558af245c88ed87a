//! speedscope's evented profiles: one for each cold start, and one for each further thread of it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::ExportOptions;
use super::span::{ColdStart, Span};
use super::spans::cold_starts;
use crate::document::Trace;
use crate::tree::MAIN_THREAD;

/// The document.
pub(crate) fn document(trace: &Trace, options: &ExportOptions) -> Json {
    let function = &trace.function.name;
    let mut frames = Frames::default();
    let mut profiles = Vec::new();
    for start in cold_starts(trace, options.threshold_ms) {
        let name = match &start.event {
            Some(event) => format!("{function}: {event}"),
            None => function.clone(),
        };
        for thread in threads(&start) {
            let mut events = Vec::new();
            for span in start.roots() {
                frames.write(span, &thread, &mut events);
            }
            let of_thread = if thread == MAIN_THREAD { String::new() } else { format!(", {thread}") };
            profiles.push(json!({
                "type": "evented",
                "name": format!("{name}{of_thread}"),
                "unit": "nanoseconds",
                "startValue": 0,
                "endValue": start.total_ns(),
                "events": events,
            }));
        }
    }
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("glowplug@", env!("CARGO_PKG_VERSION")),
        "name": format!("cold start of {function}"),
        "activeProfileIndex": 0,
        "shared": {"frames": frames.list},
        "profiles": profiles,
    })
}

/// The main thread, then the others in the order in which they appear.
fn threads(start: &ColdStart) -> Vec<String> {
    let mut names = vec![MAIN_THREAD.to_owned()];
    for span in start.roots().flat_map(Span::walk) {
        if !names.contains(&span.thread) {
            names.push(span.thread.clone());
        }
    }
    names
}

/// Frames that profiles share, each once.
#[derive(Default)]
struct Frames {
    list: Vec<Json>,
    known: BTreeMap<(String, Option<(String, u32)>), usize>,
}

impl Frames {
    fn index(&mut self, span: &Span) -> usize {
        let key = (span.name.clone(), span.place.clone());
        if let Some(index) = self.known.get(&key) {
            return *index;
        }
        let mut frame = json!({"name": span.name});
        if let Some((file, line)) = &span.place {
            frame["file"] = json!(file);
            frame["line"] = json!(line);
        }
        self.list.push(frame);
        self.known.insert(key, self.list.len() - 1);
        self.list.len() - 1
    }

    /// Opens and closes what ran on one thread: children lie within and do not overlap, so the order is the tree's.
    fn write(&mut self, span: &Span, thread: &str, events: &mut Vec<Json>) {
        let here = span.thread == thread;
        let frame = if here { self.index(span) } else { 0 };
        if here {
            events.push(json!({"type": "O", "frame": frame, "at": span.start_ns}));
        }
        for child in &span.children {
            self.write(child, thread, events);
        }
        if here {
            events.push(json!({"type": "C", "frame": frame, "at": span.end_ns}));
        }
    }
}
