//! What else happened: work on other threads, processes, connections.

use std::collections::BTreeMap;

use glowplug_core::format_ms;
use glowplug_trace::{Import, MAIN_THREAD, Phase, Status};

use crate::text::{plural, shorten};

use super::{Subject, TraceView};

/// Lines of each kind.
const SHOWN: usize = 3;

/// A line for each; nothing is lost, what is not shown is counted.
pub(super) fn aside(subject: &Subject<'_>) -> String {
    let view = subject.view;
    [threads(subject), processes(subject), connections(subject)]
        .into_iter()
        .map(|lines| list(&lines, view))
        .collect()
}

fn list(lines: &[String], view: &TraceView) -> String {
    let mut out: String =
        lines.iter().take(SHOWN).map(|line| view.paragraph(anstyle::Style::new(), line)).collect();
    if lines.len() > SHOWN {
        out += &view.dim(&format!("… {} more of these", lines.len() - SHOWN));
        out.push('\n');
    }
    out
}

fn threads(subject: &Subject<'_>) -> Vec<String> {
    let mut threads: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    let beside = |i: &&Import| {
        let paid = i.status != Status::Cached && !i.runtime_provided;
        paid && i.thread != MAIN_THREAD && i.phase == Phase::Init
    };
    for import in subject.trace.imports.iter().filter(beside) {
        let sums = threads.entry(&import.thread).or_default();
        sums.0 += 1;
        sums.1 += import.self_ms;
    }
    let told = |(name, (count, ms)): (&str, (usize, f64))| {
        format!(
            "thread during init: {name}, {}, {} beside the main thread",
            plural(count, "module"),
            format_ms(ms)
        )
    };
    threads.into_iter().map(told).collect()
}

fn when(phase: Phase, event: Option<&str>) -> String {
    match (phase, event) {
        (Phase::Init, _) => "init".to_owned(),
        (Phase::FirstInvoke, Some(event)) => format!("the first invoke of {event}"),
        (Phase::FirstInvoke, None) => "a first invoke".to_owned(),
    }
}

fn processes(subject: &Subject<'_>) -> Vec<String> {
    let told = |process: &glowplug_trace::TraceSubprocess| {
        let what = shorten(&process.what, 48);
        format!("process started during {}: `{what}`, whose work is in no import", when(process.phase, None))
    };
    subject.trace.subprocesses.iter().map(told).collect()
}

fn connections(subject: &Subject<'_>) -> Vec<String> {
    let mut all: Vec<_> = subject.trace.connections.iter().collect();
    all.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    let told = |made: &glowplug_trace::ConnectionUse| {
        let kind = if made.kind == "resolve" { "look-up" } else { "connection" };
        let (when, address) = (when(made.phase, made.event.as_deref()), shorten(&made.address, 40));
        format!("{kind} during {when}: {address}, {}", format_ms(made.total_ms))
    };
    all.into_iter().map(told).collect()
}
