//! What people read of a trace, and of two.

mod comparison;
mod layouts;
#[path = "../../../glowplug-trace/tests/reading/samples.rs"]
#[allow(dead_code, reason = "what is made for the tests of `glowplug-trace` too")]
mod samples;
mod states;

use std::collections::BTreeMap;

use glowplug_report::{Style, TraceOrder, TraceView};
use glowplug_trace::{Rulings, Trace, advise};
use unicode_width::UnicodeWidthStr;

fn view(order: TraceOrder, width: usize) -> TraceView {
    TraceView { style: Style::plain(), width, top: 20, order, filter: None }
}

/// With the advice of somebody who knows neither weights nor sources.
fn advised(mut trace: Trace) -> Trace {
    trace.advice = advise(&trace, &BTreeMap::new(), &Rulings::new());
    trace
}

/// The text, where no line is wider than the terminal.
fn fitting(text: String, width: usize) -> String {
    for line in text.lines() {
        assert!(line.width() <= width, "{} columns: {line}", line.width());
    }
    text
}
