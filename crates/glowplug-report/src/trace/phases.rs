//! The phases of a start with their parts, and when each ran.

use glowplug_core::{Stat, format_ms};
use glowplug_trace::{InvokeParts, Phases};

use crate::grid::{Cell, Grid};
use crate::text::plural;

use super::bars::{NARROWEST, span, stacked};
use super::tables::is_wide;
use super::{NOTHING, Subject, TraceView};

/// Columns that the figures and the longest usual label take; the bar gets what is left, up to its widest.
const FIGURES: usize = 67;
const COLD: usize = 12;
const WIDEST: usize = 32;
/// Events that are shown one by one.
const EVENTS: usize = 4;
/// Medians of fewer runs have no interval to speak of.
const FEWEST_RUNS: usize = 3;
/// Parts of an invoke are shown where imports or connections are this part of it.
const TELLING: f64 = 0.05;

/// One line of the table.
struct Row {
    label: String,
    stat: Option<Stat>,
    /// In place of the interval.
    note: Option<&'static str>,
    cold: Option<Stat>,
    /// When it began, in ms; `None` for what is not part of a start.
    start: Option<f64>,
    fill: char,
}

/// The table, the conditions, and what compiling costs.
pub(super) fn phases(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let cold = trace.phases.cold_cache.is_some();
    let rows = rows(&trace.phases, trace.environment.bandwidth_mbit);
    let bar = view.width.saturating_sub(FIGURES + if cold { COLD } else { 0 }).min(WIDEST);
    let bar = if bar < NARROWEST { 0 } else { bar };
    let mut out = table(&rows, bar, cold, view);
    if bar == 0 {
        out += &strip(&rows, view);
    }
    out + &folded(&trace.phases, view) + &conditions(subject) + &compiled(subject)
}

fn table(rows: &[Row], bar: usize, cold: bool, view: &TraceView) -> String {
    let whole = rows.iter().filter_map(|row| Some(row.start? + row.stat?.median)).fold(0.0, f64::max);
    let mut grid = Grid::default();
    let mut titles = vec!["phase", "median"];
    if cold {
        titles.push("cold files");
    }
    titles.push("95 % interval");
    if is_wide(view) {
        titles.extend(["spread", "runs", ""]);
    }
    grid.push(titles.into_iter().map(|title| Cell::styled(title, view.style.dim)).collect());
    for row in rows {
        let mut cells = vec![
            Cell::new(&row.label),
            Cell::new(row.stat.map_or(NOTHING.to_owned(), |s| format_ms(s.median))),
        ];
        if cold {
            cells.push(Cell::new(row.cold.map_or(String::new(), |stat| format_ms(stat.median))));
        }
        let measured = row.stat.filter(|_| row.note.is_none());
        // One run has no interval.
        let figure = |form: fn(Stat) -> String| match measured {
            None => String::new(),
            Some(stat) if stat.runs < 2 => NOTHING.to_owned(),
            Some(stat) => form(stat),
        };
        let mut figures = vec![row.note.map_or_else(|| figure(interval), str::to_owned)];
        if is_wide(view) {
            figures.push(figure(|stat| format_ms(stat.spread)));
            figures.push(measured.map_or(String::new(), |stat| stat.runs.to_string()));
        }
        cells.extend(figures.into_iter().map(|text| Cell::styled(text, view.style.dim)));
        if !is_wide(view) {
            grid.push(cells);
            continue;
        }
        let drawn = row.start.zip(row.stat).filter(|_| bar > 0);
        let drawn = drawn.map(|(start, stat)| span(start, stat.median, whole, bar, row.fill));
        cells.push(Cell::styled(drawn.unwrap_or_default(), view.style.good));
        grid.push(cells);
    }
    grid.render(view.width)
}

/// `[1137, 1143]`, in the unit of the median.
fn interval(stat: Stat) -> String {
    let bare = |ms: f64| format_ms(ms).trim_end_matches(" ms").to_owned();
    format!("[{}, {}]", bare(stat.low), bare(stat.high))
}

fn rows(phases: &Phases, bandwidth_mbit: Option<f64>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut now = 0.0;
    let cold = phases.cold_cache.as_ref();
    if let Some(provision) = phases.provision {
        let mut start = 0.0;
        rows.push(row("provision", Some(provision), Some(start), '█'));
        let fetch = bandwidth_mbit.map_or("  fetch".to_owned(), |mbit| format!("  fetch, {mbit} Mbit/s"));
        if let Some(stat) = phases.fetch {
            rows.push(Row { note: Some("modelled"), ..row(&fetch, Some(stat), Some(start), '░') });
            start += stat.median;
        }
        rows.extend(phases.unpack.map(|stat| row("  unpack", Some(stat), Some(start), '░')));
        now = provision.median;
    }
    let parts = &phases.runtime_parts;
    let parts =
        [("  interpreter", parts.interpreter), ("  site", parts.site), ("  runtime client", parts.client)];
    let cold_runtime = cold.and_then(|cold| cold.runtime);
    rows.push(Row { cold: cold_runtime, ..row("runtime start", phases.runtime, Some(now), '█') });
    let mut start = now;
    for (label, stat) in parts {
        rows.extend(stat.map(|stat| row(label, Some(stat), Some(start), '░')));
        start += stat.map_or(0.0, |stat| stat.median);
    }
    now += phases.runtime.map_or(0.0, |stat| stat.median);
    rows.push(Row { cold: cold.and_then(|cold| cold.init), ..row("init", phases.init, Some(now), '█') });
    now += phases.init.map_or(0.0, |stat| stat.median);
    for event in shown(phases) {
        let stat = phases.first_invoke.get(event).copied().flatten();
        let cold = cold.and_then(|cold| cold.first_invoke.get(event).copied().flatten());
        rows.push(Row { cold, ..row(&format!("first invoke {event}"), stat, Some(now), '█') });
        rows.extend(phases.first_invoke_parts.get(event).into_iter().flat_map(|parts| invoke(parts, now)));
    }
    for event in shown(phases).filter(|event| phases.warm_invoke.contains_key(*event)) {
        rows.push(row(&format!("warm invoke {event}"), phases.warm_invoke[event], None, ' '));
    }
    rows
}

fn row(label: &str, stat: Option<Stat>, start: Option<f64>, fill: char) -> Row {
    Row { label: label.to_owned(), stat, note: None, cold: None, start, fill }
}

/// The parts of an invoke that are something, where it is more than the handler's own work.
fn invoke(parts: &InvokeParts, mut start: f64) -> Vec<Row> {
    let named = [
        ("  imports", parts.imports_ms),
        ("  connections", parts.connect_ms),
        ("  handler", parts.handler_ms),
    ];
    let whole: f64 = named.iter().filter_map(|(_, ms)| *ms).sum();
    let waiting: f64 = named[..2].iter().filter_map(|(_, ms)| *ms).sum();
    if waiting < TELLING * whole || waiting <= 0.0 {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (label, ms) in named.into_iter().filter_map(|(label, ms)| Some((label, ms.filter(|ms| *ms > 0.0)?))) {
        let stat = Stat { median: ms, low: ms, high: ms, spread: 0.0, runs: 0 };
        rows.push(Row { note: Some("traced"), ..row(label, Some(stat), Some(start), '░') });
        start += ms;
    }
    rows
}

/// The events that are shown, those with the slowest first invoke, in their order.
fn shown(phases: &Phases) -> impl Iterator<Item = &String> {
    let median = |event: &String| phases.first_invoke[event].map_or(0.0, |stat| stat.median);
    let mut slowest: Vec<&String> = phases.first_invoke.keys().collect();
    slowest.sort_by(|a, b| median(b).total_cmp(&median(a)));
    slowest.truncate(EVENTS);
    phases.first_invoke.keys().filter(move |event| slowest.contains(event))
}

fn folded(phases: &Phases, view: &TraceView) -> String {
    match phases.first_invoke.len().saturating_sub(EVENTS) {
        0 => String::new(),
        more => {
            let shown: Vec<&String> = shown(phases).collect();
            let rest = phases.first_invoke.iter().filter(|(event, _)| !shown.contains(event));
            let most = rest.filter_map(|(_, stat)| Some((*stat)?.median)).fold(0.0, f64::max);
            let text =
                format!("… {}, first invokes of {} at most", plural(more, "more event"), format_ms(most));
            view.dim(&text) + "\n"
        }
    }
}

/// Where there is no room for bars beside the figures: one line for the whole start.
fn strip(rows: &[Row], view: &TraceView) -> String {
    let parts = [("provision", '░'), ("runtime", '▒'), ("init", '█'), ("first invoke", '▓')];
    let length = |name: &str| {
        let mine = rows.iter().filter(|row| row.start.is_some() && row.label.starts_with(name));
        mine.filter_map(|row| Some(row.stat?.median)).fold(0.0, f64::max)
    };
    let bar = stacked(&parts.map(|(name, fill)| (length(name), fill)), view.width);
    let legend = parts.into_iter().filter(|(name, _)| length(name) > 0.0);
    let legend: Vec<String> = legend.map(|(name, fill)| format!("{fill} {name}")).collect();
    format!("{}\n{}\n", crate::style::Style::paint(view.style.good, &bar), view.dim(&legend.join("  ")))
}

fn conditions(subject: &Subject<'_>) -> String {
    let environment = &subject.trace.environment;
    let cpu = match (environment.cpu.as_str(), environment.init_boost) {
        ("share", true) => format!("the CPU share of {} MB, init boosted", environment.memory_mb),
        ("share", false) => format!("the CPU share of {} MB", environment.memory_mb),
        _ => "unlimited CPU".to_owned(),
    };
    let mut text = format!("Python {}, {cpu}, page cache {}", environment.python, environment.page_cache);
    let wall = environment.agent_overhead.map(|stat| overhead(stat, format_ms));
    let processor =
        environment.agent_overhead_cpu.map(|stat| overhead(stat, |part| format!("{:.1} %", part * 100.0)));
    let measured = environment.agent_overhead.or(environment.agent_overhead_cpu);
    match (wall, processor) {
        _ if measured.is_some_and(|stat| stat.runs < FEWEST_RUNS) => {
            text += "; what tracing itself takes: too few runs to tell";
        }
        (Some(None), None | Some(None)) => text += "; tracing itself: no measurable cost",
        (Some(Some(ms)), None) => text += &format!("; tracing itself took {ms} more of init"),
        (wall, Some(processor)) => {
            let ms = wall.map(|wall| wall.unwrap_or_else(|| "no measurable time".to_owned()));
            let part =
                processor.map_or("no measurable CPU time".to_owned(), |part| format!("{part} more CPU time"));
            let both: Vec<String> = ms.into_iter().chain([part]).collect();
            text += &format!("; tracing itself took {} in init", both.join(" and "));
        }
        (None, None) => {}
    }
    if !subject.trace.phases.first_invoke_parts.is_empty() {
        text += "; figures are from starts without it, except where it says traced";
    }
    subject.view.paragraph(subject.view.style.dim, &text)
}

/// What tracing adds; `None` where the interval holds 0.
fn overhead(stat: Stat, form: fn(f64) -> String) -> Option<String> {
    (stat.low > 0.0).then(|| form(stat.median))
}

/// What missing and stale bytecode costs.
fn compiled(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let compiled = &trace.compiled;
    let kinds = [(compiled.missing, "without bytecode"), (compiled.stale, "with stale bytecode")];
    let counted: Vec<String> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", plural(count, "module")))
        .collect();
    if counted.is_empty() {
        return String::new();
    }
    let text =
        format!("{}: compiling costs {} in every start", counted.join(", "), format_ms(compiled.compile_ms));
    view.paragraph(view.style.warning, &text)
}
