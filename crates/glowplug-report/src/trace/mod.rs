//! A trace for people: what failed, where the time goes, which of it nobody used, what to do next.
//!
//! Whatever was not measured is left out or `-`, never 0. The last lines are the advice.

mod advice;
mod aside;
mod bars;
mod comparison;
mod imports;
mod kinds;
mod overview;
mod package;
mod phases;
mod tables;
mod used;

use glowplug_trace::{ImportTree, Trace};
use unicode_width::UnicodeWidthChar;

use crate::style::Style;
use crate::text::wrap;

pub use comparison::render_comparison;

/// What a figure that nobody measured looks like.
const NOTHING: &str = "-";

/// Order of the imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceOrder {
    /// A tree, as one import led to another, the dearest first.
    Total,
    /// Slowest bodies first.
    Own,
    /// As they happened.
    Start,
    /// Most memory first.
    Memory,
    /// Paid for at init and used by no event, the dearest first.
    Unused,
}

/// What of a trace to show, and how.
#[derive(Debug, Clone)]
pub struct TraceView {
    /// Colours.
    pub style: Style,
    /// Columns of the terminal; 80 for a file.
    pub width: usize,
    /// How many imports; the other tables follow it.
    pub top: usize,
    /// Their order.
    pub order: TraceOrder,
    /// Only this module and what is below it.
    pub filter: Option<String>,
}

impl TraceView {
    /// Lines of the tables beside the imports.
    fn rows(&self) -> usize {
        (self.top / 4).max(3)
    }

    fn dim(&self, text: &str) -> String {
        Style::paint(self.style.dim, text)
    }

    /// A paragraph with hanging lines, ended.
    fn paragraph(&self, look: anstyle::Style, text: &str) -> String {
        Style::paint(look, &folded(text, self.width, 2)) + "\n"
    }
}

/// As [`wrap`], and words that no line has room for are broken too: names of modules and addresses are not ours.
fn folded(text: &str, limit: usize, indent: usize) -> String {
    let room = limit.saturating_sub(indent).max(1);
    let mut broken = String::new();
    for word in text.split_whitespace() {
        let mut used = 0;
        for character in word.chars() {
            let wide = character.width().unwrap_or(1);
            if used + wide > room {
                broken.push(' ');
                used = 0;
            }
            used += wide;
            broken.push(character);
        }
        broken.push(' ');
    }
    wrap(&broken, limit, indent)
}

/// A trace and what several sections read off it.
struct Subject<'a> {
    trace: &'a Trace,
    tree: ImportTree<'a>,
    view: &'a TraceView,
}

/// The trace as text that ends with a line break. With a filter only the phases and the imports are shown.
pub fn render_trace(trace: &Trace, view: &TraceView) -> String {
    let subject = Subject { trace, tree: ImportTree::new(trace), view };
    let mut sections =
        vec![overview::failure(&subject), overview::headline(&subject), phases::phases(&subject)];
    if view.filter.is_none() {
        sections.push(kinds::kinds(&subject));
    }
    sections.push(imports::imports(&subject));
    if view.filter.is_none() {
        sections.extend([
            tables::lines(&subject),
            tables::statements(&subject),
            tables::distributions(&subject),
            package::package(&subject),
            aside::aside(&subject),
            advice::advice(&subject),
        ]);
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}
