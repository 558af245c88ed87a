//! The first lines: what failed, and what the start costs most for.

use std::collections::BTreeSet;

use glowplug_core::format_ms;
use glowplug_trace::{Asker, Phase, Status, failing_import, failing_statement, timed_out};

use crate::style::Style;
use crate::text::{plural, shorten};

use super::{Subject, used};

/// A part of init that is less is not worth the headline.
const TELLING: f64 = 0.1;

/// Why there is not more, and which import it was.
pub(super) fn failure(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let Some(failure) = &trace.failure else { return String::new() };
    let mut out = view.paragraph(view.style.bad, &format!("the function failed: {failure}"));
    if let Some(import) = failing_import(trace) {
        let how = if timed_out(trace) { "timed out in" } else { "failed in" };
        let text = format!("it {how} the import of `{}` by {}", import.module, import.importer);
        out += &view.paragraph(view.style.bad, &text);
    }
    if let Some(statement) = failing_statement(trace) {
        let text = format!("at {}: `{}`", statement.place, shorten(&statement.text, 60));
        out += &view.paragraph(view.style.bad, &text);
    }
    out
}

/// One sentence: how long a start takes, and which line or statement most of it goes to.
pub(super) fn headline(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let name = &trace.function.name;
    let (Some(runtime), Some(init)) = (trace.phases.runtime, trace.phases.init) else {
        return view.paragraph(view.style.strong, &format!("{name} did not reach its handler"));
    };
    let own = |import: &&glowplug_trace::Import| {
        import.phase == Phase::Init && !import.runtime_provided && import.status == Status::Ok
    };
    let mut text = format!(
        "{name} starts in {} and imports {} of its own",
        format_ms(runtime.median + init.median),
        plural(trace.imports.iter().filter(own).count(), "module")
    );
    if let Some((what, ms, users)) = dearest(subject).filter(|(_, ms, _)| *ms >= TELLING * init.median) {
        let users = users.map(|users| used::cell(trace, users, Phase::Init, &Style::plain()).text);
        let usage = match users.as_deref().unwrap_or(super::NOTHING) {
            super::NOTHING => String::new(),
            "none" => ", used by no event".to_owned(),
            "all" => ", used by every event".to_owned(),
            some => format!(", used by {some} events"),
        };
        text += &format!("; {} of it {what}{usage}", format_ms(ms));
    }
    view.paragraph(view.style.strong, &text)
}

/// The line or statement that costs init most: what it is, its time, who uses it; nobody knows who needs what a
/// statement makes, unless it imports.
fn dearest<'a>(subject: &Subject<'a>) -> Option<(String, f64, Option<BTreeSet<&'a str>>)> {
    let trace = subject.trace;
    let lines = trace.lines.iter().filter(|line| line.phase == Phase::Init).map(|line| {
        let what = format!("{} at {}", shorten(&line.asks_for.join(", "), 32), line.place);
        (what, line.total_ms, Some(line.used_by.iter().map(String::as_str).collect()))
    });
    let statements = trace.statements.iter().enumerate().filter(|(_, s)| s.phase == Phase::Init);
    let statements = statements.map(|(index, statement)| {
        let below = subject.tree.asked_by(Asker::Statement(index));
        let importing: f64 = below.iter().map(|index| trace.imports[*index].self_ms).sum();
        let users = (!below.is_empty()).then(|| subject.tree.users(&below));
        (
            format!("`{}` at {}", shorten(&statement.text, 32), statement.place),
            statement.self_ms + importing,
            users,
        )
    });
    lines.chain(statements).max_by(|a, b| a.1.total_cmp(&b.1))
}
