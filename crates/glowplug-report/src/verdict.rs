//! The verdict as text: what was proved, what was not and why, what differed, what was blocked.

use glowplug_core::{DecisionState, Verdict};

use crate::render::View;
use crate::report::Report;
use crate::style::Style;
use crate::text::{plural, shorten, wrap};

/// Differences, unproved things and blocked connections that are shown unless all are asked for.
const SHOWN: usize = 5;

/// The line that stands above everything where nothing, or a difference, was proved; empty where all is equal.
pub(crate) fn warning_first(report: &Report, view: &View) -> String {
    let style = &view.style;
    match report.verdict.equal {
        Some(true) => String::new(),
        Some(false) => {
            let text = "DIFFERENT: the result does not behave as the original, and was not shipped";
            format!("{}\n\n", Style::paint(style.bad, &wrap(text, view.width, 2)))
        }
        None => {
            let text = match report.verdict.not_proved.first() {
                Some(reason) => format!("NOT PROVED to behave as before: {reason}"),
                None => "NOT PROVED to behave as before: no event was replayed".to_owned(),
            };
            format!("{}\n\n", Style::paint(style.warning, &wrap(&text, view.width, 2)))
        }
    }
}

/// The verdict's own paragraph.
pub(crate) fn render_verdict(report: &Report, view: &View) -> String {
    let verdict = &report.verdict;
    let style = &view.style;
    let mut out = String::new();
    let mut line = |look: anstyle::Style, text: &str| {
        out += &Style::paint(look, &wrap(text, view.width, 2));
        out.push('\n');
    };
    match verdict.equal {
        Some(true) => line(
            style.good,
            &format!(
                "verified: same payloads, errors, logs and files for {} in {}",
                plural(verdict.events, "event"),
                plural(verdict.replays, "replay")
            ),
        ),
        Some(false) => line(style.bad, "verified: the behaviour differs"),
        None => line(style.warning, "not verified"),
    }
    if let Some(when) = &verdict.remembered {
        let text = format!(
            "nothing has changed since {when}, when this was found and measured; `--fresh` does both anew"
        );
        line(style.dim, &text);
    }
    holdout_and_tests(verdict, style, &mut line);
    differences(report, view, &mut line);
    let shown = if view.all { usize::MAX } else { SHOWN };
    // Where nothing is proved the first reason already stands at the top.
    let reasons = &verdict.not_proved[usize::from(verdict.equal.is_none()).min(verdict.not_proved.len())..];
    listed(reasons, "not proved", shown, style.warning, &mut line);
    listed(&verdict.varying, "varies by itself, compared by type", shown, style.dim, &mut line);
    let moved = "logged when a value is made at its first use, later than before or never";
    listed(&verdict.moved_logs, moved, shown, style.dim, &mut line);
    listed(&verdict.blocked, "blocked connection", shown, style.warning, &mut line);
    if !verdict.blocked.is_empty() {
        line(style.hint, "hint: replays reach no network unless `[verify] network = \"allow\"` says so");
    }
    out
}

type Line<'a> = dyn FnMut(anstyle::Style, &str) + 'a;

fn holdout_and_tests(verdict: &Verdict, style: &Style, line: &mut Line<'_>) {
    let events = plural(verdict.holdout.events, "held-out event");
    match verdict.holdout.equal {
        Some(true) => line(style.good, &format!("{events}: same")),
        Some(false) => line(style.bad, &format!("{events}: different")),
        None => {}
    }
    match verdict.tests {
        Some(true) => line(style.good, "your tests pass on the built tree"),
        Some(false) => line(style.bad, "your tests fail on the built tree"),
        None => {}
    }
}

fn differences(report: &Report, view: &View, line: &mut Line<'_>) {
    let found = &report.verdict.differences;
    if found.is_empty() {
        return;
    }
    let pinned = report.decisions.iter().filter(|d| d.state == DecisionState::Pinned).count();
    if report.verdict.equal == Some(true) {
        let text = format!(
            "{} found on the way; {} pinned, and the result behaves as the original",
            plural(found.len(), "difference"),
            plural(pinned, "decision"),
        );
        line(view.style.warning, &text);
    }
    let shown = if view.all { usize::MAX } else { SHOWN };
    for difference in found.iter().take(shown) {
        let mut text = format!(
            "{} ({}), {}: {} became {}",
            difference.event,
            difference.replay,
            difference.path,
            shorten(&difference.before, 60),
            shorten(&difference.after, 60),
        );
        if !difference.decisions.is_empty() {
            text += &format!(", by {}", difference.decisions.join(", "));
        }
        line(view.style.dim, &text);
    }
    if found.len() > shown {
        line(view.style.dim, &format!("and {} more", found.len() - shown));
    }
}

fn listed(items: &[String], label: &str, shown: usize, look: anstyle::Style, line: &mut Line<'_>) {
    for item in items.iter().take(shown) {
        line(look, &format!("{label}: {item}"));
    }
    if items.len() > shown {
        line(look, &format!("{label}: and {} more", items.len() - shown));
    }
}
