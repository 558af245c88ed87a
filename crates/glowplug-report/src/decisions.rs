//! The decisions of a plan as text: what was changed and what each change saves, what was pinned or refused, why.

use std::collections::BTreeMap;

use glowplug_core::{Decision, DecisionKind, DecisionState, Together, format_bytes, format_ms};

use crate::render::View;
use crate::report::Report;
use crate::style::Style;
use crate::text::{plural, width, wrap};

/// Decisions of each state that a report shows unless asked for all.
const SHOWN: usize = 10;
/// Refusals that a report shows unless asked for all.
const REFUSALS_SHOWN: usize = 5;
/// Less than this is shown as nothing, in ms: it would be written `0.00`.
const LEAST_MS: f64 = 0.005;
/// Columns of the figure that stands before each decision.
const FIGURE: usize = 10;

/// One line of a list: one decision, or all dropped or stripped files that one rule covers.
struct Entry {
    saves_ms: Option<f64>,
    saves_bytes: Option<u64>,
    text: String,
}

/// The decisions of a report: applied, pinned, refused.
pub(crate) fn render_report_decisions(report: &Report, view: &View) -> String {
    let importance = Importance {
        init_ms: report.before.init_ms.map_or(1.0, |s| s.median).max(f64::MIN_POSITIVE),
        bytes: report.before.unzipped_bytes.unwrap_or(1).max(1) as f64,
    };
    let mut out = String::new();
    let applied = importance.sorted(entries(&report.decisions, DecisionState::Applied));
    let total = report.decisions.iter().filter(|d| d.state == DecisionState::Applied).count();
    if applied.is_empty() {
        out += "nothing was changed\n";
    } else {
        let shown = if view.all { applied.len() } else { SHOWN };
        let title = format!("what changed ({}), by what it saves", plural(total, "decision"));
        out += &list(&title, &applied, shown, view);
    }
    let pinned = importance.sorted(entries(&report.decisions, DecisionState::Pinned));
    if !pinned.is_empty() {
        let shown = if view.all { pinned.len() } else { SHOWN };
        let title = format!("tried and undone ({})", pinned.len());
        out.push('\n');
        out += &list(&title, &pinned, shown, view);
    }
    let refused = importance.sorted(entries(&report.decisions, DecisionState::Refused));
    if !refused.is_empty() {
        let shown = if view.all { refused.len() } else { REFUSALS_SHOWN };
        let title = format!("left as it was ({}), the most costly first", plural(refused.len(), "refusal"));
        out.push('\n');
        out += &list(&title, &refused, shown, view);
    }
    out
}

/// All that is known about some decisions.
pub(crate) fn render_decisions(decisions: &[Decision], style: &Style, width: usize) -> String {
    let mut out = String::new();
    for decision in decisions {
        let (state, look) = match decision.state {
            DecisionState::Applied => ("applied", style.good),
            DecisionState::Pinned => ("pinned", style.warning),
            DecisionState::Refused => ("refused", style.dim),
        };
        out += &format!("{}: {}\n", wrap(&title(decision), width, 2), Style::paint(look, state));
        let mut line = |label: &str, text: &str| {
            if !text.is_empty() {
                out += &format!("  {}\n", wrap(&format!("{label}: {text}"), width.saturating_sub(2), 4));
            }
        };
        if is_about_a_file(decision.kind) {
            line("rule", &decision.subject);
        }
        line("why", &decision.reason);
        line("evidence", &decision.evidence);
        line("saves", &figure(decision.saves_ms, decision.saves_bytes).unwrap_or_default());
        if let Some(shared) = with_others(decision) {
            let what = format!("{}, of what loads with `{}`", format_ms(shared.saves_ms), shared.subject);
            line("saves with the other ways to it", &what);
        }
        line("needed by the first request of", &decision.events.join(", "));
        line("id", &decision.id);
    }
    out
}

/// What makes a decision important: the larger of its shares of init time and of size.
struct Importance {
    init_ms: f64,
    bytes: f64,
}

impl Importance {
    fn of(&self, entry: &Entry) -> f64 {
        let time = entry.saves_ms.unwrap_or(0.0) / self.init_ms;
        let size = entry.saves_bytes.unwrap_or(0) as f64 / self.bytes;
        time.max(size)
    }

    fn sorted(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.sort_by(|a, b| self.of(b).total_cmp(&self.of(a)).then_with(|| a.text.cmp(&b.text)));
        entries
    }
}

fn entries(decisions: &[Decision], state: DecisionState) -> Vec<Entry> {
    let mut statements: BTreeMap<(String, &str), Vec<&Decision>> = BTreeMap::new();
    let mut together: BTreeMap<&str, Vec<&Decision>> = BTreeMap::new();
    let mut files: BTreeMap<(DecisionKind, &str), Vec<&Decision>> = BTreeMap::new();
    for decision in decisions.iter().filter(|d| d.state == state) {
        if is_about_a_file(decision.kind) {
            files.entry((decision.kind, &decision.reason)).or_default().push(decision);
        } else if let Some(shared) = with_others(decision) {
            together.entry(&shared.subject).or_default().push(decision);
        } else {
            statements.entry((title(decision), &decision.reason)).or_default().push(decision);
        }
    }
    // One statement may import many names: what is said of all of them is said once, with its largest figure.
    let mut made: Vec<Entry> = statements
        .into_values()
        .map(|same| Entry {
            saves_ms: same.iter().filter_map(|d| d.saves_ms).reduce(f64::max),
            saves_bytes: same.iter().filter_map(|d| d.saves_bytes).max(),
            text: sentence(same[0]),
        })
        .collect();
    made.extend(together.into_iter().map(|(subject, all)| Entry {
        saves_ms: all.first().and_then(|decision| Some(decision.together.as_ref()?.saves_ms)),
        saves_bytes: None,
        text: together_text(subject, &all),
    }));
    made.extend(files.into_iter().map(|((_, rule), files)| Entry {
        saves_ms: None,
        saves_bytes: files.iter().map(|d| d.saves_bytes).sum(),
        text: match files.as_slice() {
            [one] => sentence(one),
            many => format!("{} {}: {rule}", verb(many[0]), plural(many.len(), "file")),
        },
    }));
    made
}

/// What a decision saves only with others, where that is all that it saves.
fn with_others(decision: &Decision) -> Option<&Together> {
    let alone = decision.saves_ms.is_some_and(|ms| ms >= LEAST_MS);
    decision.together.as_ref().filter(|_| decision.state == DecisionState::Applied && !alone)
}

/// Decisions that save something together: what, and where the first of them stands.
fn together_text(subject: &str, all: &[&Decision]) -> String {
    let what = match subject.split_once(':') {
        Some((module, name)) => format!("make on first use: `{name}` of {module}"),
        None => format!("import on first use: {subject}"),
    };
    let first = all.iter().find(|d| d.subject == subject).or(all.first());
    let place = first.map_or("", |decision| decision.place.as_str());
    let mut reasons: Vec<&str> = all.iter().map(|decision| decision.reason.as_str()).collect();
    reasons.dedup();
    let reason = if let [one] = reasons.as_slice() { format!(": {one}") } else { String::new() };
    match all.len() {
        1 => format!("{what} ({place}), with others{reason}"),
        many => format!("{what} ({place} and {}, together){reason}", plural(many - 1, "other")),
    }
}

/// Whether the subject is a rule, and the place the file.
fn is_about_a_file(kind: DecisionKind) -> bool {
    matches!(kind, DecisionKind::Drop | DecisionKind::Strip)
}

/// The decision and what it is about.
fn title(decision: &Decision) -> String {
    let Decision { kind, subject, place, .. } = decision;
    let verb = verb(decision);
    if is_about_a_file(*kind) && !place.is_empty() {
        format!("{verb} {place}")
    } else if place.is_empty() || place == subject {
        format!("{verb} {subject}")
    } else {
        format!("{verb} {subject} ({place})")
    }
}

fn sentence(decision: &Decision) -> String {
    let reason = &decision.reason;
    if reason.is_empty() { title(decision) } else { format!("{}: {reason}", title(decision)) }
}

/// What is done to the subject.
fn verb(decision: &Decision) -> &'static str {
    match decision.kind {
        DecisionKind::Lazy => "import on first use:",
        DecisionKind::Global => "make on first use:",
        DecisionKind::Drop => "leave out",
        DecisionKind::Strip if decision.subject == "columns" => "leave columns out of",
        DecisionKind::Strip => "strip symbols of",
        DecisionKind::Bytecode => "ship valid bytecode:",
        DecisionKind::Regex => "compile expressions ahead:",
        DecisionKind::Compile => "compile strings ahead:",
        DecisionKind::Gc => "no collection while importing:",
        DecisionKind::Bundle => "bundle bytecode:",
        DecisionKind::Threads => "fit thread pools:",
    }
}

/// What a decision saves by itself; `None` where that is nothing that shows, as of one that saves only with others.
fn figure(saves_ms: Option<f64>, saves_bytes: Option<u64>) -> Option<String> {
    match (saves_ms.filter(|ms| ms.abs() >= LEAST_MS), saves_bytes) {
        (Some(ms), _) => Some(format_ms(ms)),
        (None, Some(bytes)) => Some(format_bytes(bytes)),
        (None, None) => None,
    }
}

fn list(title: &str, entries: &[Entry], shown: usize, view: &View) -> String {
    let mut out = Style::paint(view.style.strong, title) + "\n";
    for entry in entries.iter().take(shown) {
        let figure = figure(entry.saves_ms, entry.saves_bytes).unwrap_or_else(|| "-".to_owned());
        let pad = " ".repeat(FIGURE.saturating_sub(width(&figure)));
        let text = wrap(&entry.text, view.width.saturating_sub(FIGURE + 2), 0);
        let text = text.replace('\n', &format!("\n{}", " ".repeat(FIGURE + 2)));
        out += &format!("{pad}{}  {text}\n", Style::paint(view.style.good, &figure));
    }
    if entries.len() > shown {
        let rest = entries.len() - shown;
        let line = format!("and {rest} more: `-v` or `--format json` shows them");
        out += &format!("{}{}\n", " ".repeat(FIGURE + 2), Style::paint(view.style.dim, &line));
    }
    out
}
