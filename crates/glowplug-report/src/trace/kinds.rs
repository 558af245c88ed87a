//! Init by kind of work, with what is left unexplained, so that the parts make up the whole.

use glowplug_core::format_ms;

use crate::style::Style;
use crate::text::width;

use super::bars::stacked;
use super::{Subject, folded};

/// How the dearest kinds are filled in the bar, and all others.
const FILLS: [char; 4] = ['█', '▓', '▒', '░'];
const OTHER: char = '·';

/// A bar and its legend; nothing where no kind was measured.
pub(super) fn kinds(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let kinds = &trace.kinds;
    let named = [
        ("finding modules", kinds.find),
        ("reading", kinds.read),
        ("compiling", kinds.compile),
        ("unmarshalling", kinds.unmarshal),
        ("running bodies", kinds.exec),
        ("native libraries", kinds.native),
        ("garbage collection", kinds.gc),
        ("regular expressions", kinds.regex),
        ("waiting", kinds.io),
        ("importing itself", kinds.rest),
        ("unexplained", trace.unexplained_ms),
    ];
    let mut known: Vec<(&str, f64)> = named.into_iter().filter_map(|(name, ms)| Some((name, ms?))).collect();
    let sum: f64 = known.iter().map(|(_, ms)| ms).sum();
    if known.len() < 2 || sum <= 0.0 {
        return String::new();
    }
    known.sort_by(|a, b| b.1.total_cmp(&a.1));
    let fill = |place: usize| FILLS.get(place).copied().unwrap_or(OTHER);
    let parts: Vec<(f64, char)> =
        known.iter().enumerate().map(|(place, (_, ms))| (*ms, fill(place))).collect();
    let mut legend: Vec<String> = known
        .iter()
        .enumerate()
        // What rounds to nothing is in the sum, and in the JSON.
        .filter(|(_, (name, ms))| *ms >= 0.005 * sum || *name == "unexplained")
        .map(|(place, (name, ms))| match FILLS.get(place) {
            Some(fill) => format!("{fill} {name} {}", format_ms(*ms)),
            None => format!("{name} {}", format_ms(*ms)),
        })
        .collect();
    let mut whole = format!("together {} with the agent", format_ms(sum));
    if let Some(init) = trace.phases.init {
        whole += &format!(", {} without", format_ms(init.median));
    }
    legend.push(whole);
    let title = Style::paint(view.style.strong, "init by kind of work");
    let bar = Style::paint(view.style.good, &stacked(&parts, view.width));
    format!("{title}\n{bar}\n{}\n", view.dim(&flowing(&legend, view.width)))
}

/// Entries after one another; none is broken, but one that is wider than the line.
fn flowing(entries: &[String], limit: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        match lines.last_mut() {
            Some(line) if width(line) + 3 + width(entry) <= limit => *line += &format!(", {entry}"),
            Some(line) => {
                line.push(',');
                lines.push(folded(entry, limit, 2));
            }
            None => lines.push(folded(entry, limit, 2)),
        }
    }
    lines.join("\n")
}
