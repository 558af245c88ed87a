//! The last lines: what to do next, what saves most first.

use glowplug_core::format_ms;

use crate::style::Style;
use crate::text::width;

use super::{NOTHING, Subject, folded};

/// Columns of the figure before each advice.
const FIGURE: usize = 8;
/// Entries that are shown.
const SHOWN: usize = 6;

/// The advice of the document: whoever made it knew the events' weights and the sources.
pub(super) fn advice(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let advice = &trace.advice;
    if advice.is_empty() {
        return match trace.failure {
            Some(_) => String::new(),
            None => "nothing to do next: no import, statement or missing bytecode stands out\n".to_owned(),
        };
    }
    let mut out =
        Style::paint(view.style.strong, "what to do next, and what it saves of a cold start") + "\n";
    let (shown, rest) = advice.split_at(advice.len().min(SHOWN));
    let indent = FIGURE + 2;
    for advice in shown {
        let figure = if advice.saves_ms > 0.0 { format_ms(advice.saves_ms) } else { NOTHING.to_owned() };
        let text = folded(&advice.text, view.width.saturating_sub(indent), 0);
        let text = text.replace('\n', &format!("\n{}", " ".repeat(indent)));
        let pad = " ".repeat(FIGURE.saturating_sub(width(&figure)));
        out += &format!("{pad}{}  {text}\n", Style::paint(view.style.good, &figure));
    }
    if !rest.is_empty() {
        let line = format!("… {} more: `--format json` shows them", rest.len());
        out += &format!("{}{}\n", " ".repeat(indent), view.dim(&line));
    }
    out
}
