//! Tables beside the imports: by line, by statement, by distribution.

use glowplug_core::{format_bytes, format_ms};
use glowplug_trace::{Asker, DistributionUse, Line, Phase, failing_statement, is_usage_known};

use crate::grid::{Cell, Grid};
use crate::text::shorten;

use super::{NOTHING, Subject, TraceOrder, TraceView, used};

/// What takes less is not worth a line, in ms.
const FLOOR_MS: f64 = 0.5;
/// Widths from which there is room for columns that matter less.
const WIDE: usize = 72;

/// What each line of the user's code brings in.
pub(super) fn lines(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let telling: Vec<&Line> = trace.lines.iter().filter(|line| line.total_ms >= FLOOR_MS).collect();
    if telling.is_empty() {
        return String::new();
    }
    let mut grid = Grid::default();
    let mut names = vec!["lines that import", "time", "memory", "used by"];
    if is_wide(view) {
        names.insert(1, "modules");
    }
    grid.push(titles(view, &names));
    for line in telling.iter().take(view.rows()) {
        let mut name = format!("{} {}", line.place, line.asks_for.join(", "));
        if let Some(event) = &line.event {
            name += &format!(" (in {event})");
        }
        let mut cells = vec![
            Cell::new(name),
            Cell::new(format_ms(line.total_ms)),
            Cell::new(memory(line.memory_kib)),
            used::cell(trace, line.used_by.iter().map(String::as_str), line.phase, &view.style),
        ];
        if is_wide(view) {
            cells.insert(1, Cell::new(line.modules.to_string()));
        }
        grid.push(cells);
    }
    let rest = &telling[telling.len().min(view.rows())..];
    grid.render(view.width) + &more(rest.len(), rest.iter().map(|line| line.total_ms).sum(), view)
}

/// The slow statements at the top of the user's own modules, with what runs imports in them.
pub(super) fn statements(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let importing = |index: usize| {
        let below = subject.tree.asked_by(Asker::Statement(index));
        below.iter().map(|index| trace.imports[*index].self_ms).sum::<f64>()
    };
    let failing = failing_statement(trace);
    let raised =
        |index: usize| failing.is_some_and(|one| std::ptr::eq(one, &raw const trace.statements[index]));
    let mut slow: Vec<(usize, f64)> = trace
        .statements
        .iter()
        .enumerate()
        .map(|(index, statement)| (index, statement.self_ms + importing(index)))
        .filter(|(index, ms)| *ms >= FLOOR_MS || raised(*index))
        .collect();
    if slow.is_empty() {
        return String::new();
    }
    slow.sort_by(|a, b| raised(b.0).cmp(&raised(a.0)).then(b.1.total_cmp(&a.1)));
    let mut grid = Grid::default();
    grid.push(titles(view, &["statements of your code", "time", "imports", ""]));
    let text = view.width.saturating_sub(50).max(16);
    for (index, ms) in slow.iter().take(view.rows()) {
        let statement = &trace.statements[*index];
        let within = ms - statement.self_ms;
        let mut place = statement.place.clone();
        if raised(*index) {
            place += " (failed)";
        }
        if let Some(event) = &statement.event {
            place += &format!(" (in {event})");
        }
        grid.push(vec![
            Cell::new(place),
            Cell::new(format_ms(*ms)),
            Cell::new(if within > 0.0 { format_ms(within) } else { String::new() }),
            Cell::new(shorten(&statement.text, text)),
        ]);
    }
    let rest = &slow[slow.len().min(view.rows())..];
    grid.render(view.width) + &more(rest.len(), rest.iter().map(|(_, ms)| ms).sum(), view)
}

/// What each distribution costs.
pub(super) fn distributions(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let unused = view.order == TraceOrder::Unused && is_usage_known(trace);
    let imported =
        |d: &DistributionUse| trace.imports.iter().any(|i| i.distribution.as_ref() == Some(&d.name));
    // What a function that did not start would have imported is not known.
    let started = trace.phases.init.is_some();
    let counts = |d: &&DistributionUse| (!unused || d.used_by.is_empty()) && (started || imported(d));
    let all: Vec<&DistributionUse> = trace.distributions.iter().filter(counts).collect();
    if all.is_empty() {
        return String::new();
    }
    let title = if unused { "distributions that no event used" } else { "distributions" };
    let mut grid = Grid::default();
    grid.push(titles(view, &[title, "time", "memory", "size", "used by"]));
    // What takes no time is there for its size.
    let count = view.rows().max(all.iter().filter(|d| d.total_ms >= FLOOR_MS).count().min(2 * view.rows()));
    for distribution in all.iter().take(count) {
        let mut used =
            used::cell(trace, distribution.used_by.iter().map(String::as_str), Phase::Init, &view.style);
        let imported = imported(distribution);
        if !imported {
            used = Cell::styled("not imported", view.style.dim);
        }
        grid.push(vec![
            Cell::new(format!("{} {}", distribution.name, distribution.version)),
            Cell::new(if imported { format_ms(distribution.total_ms) } else { NOTHING.to_owned() }),
            Cell::new(memory(distribution.memory_kib)),
            Cell::new(format_bytes(distribution.bytes)),
            used,
        ]);
    }
    let rest = &all[all.len().min(count)..];
    grid.render(view.width) + &more(rest.len(), rest.iter().map(|d| d.total_ms).sum(), view)
}

fn titles(view: &TraceView, names: &[&str]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = names.iter().map(|name| Cell::styled(*name, view.style.dim)).collect();
    if let Some(first) = cells.first_mut() {
        first.style = view.style.strong;
    }
    cells
}

/// KiB as MB of 10⁶ bytes.
pub(super) fn memory(kib: Option<f64>) -> String {
    kib.map_or(NOTHING.to_owned(), |kib| format!("{:.1} MB", kib * 1024.0 / 1e6))
}

/// The line that stands for `count` others, and what they cost if that is anything.
pub(super) fn more(count: usize, ms: f64, view: &TraceView) -> String {
    match (count, ms) {
        (0, _) => String::new(),
        (_, ..0.005) => view.dim(&format!("… {count} more")) + "\n",
        _ => view.dim(&format!("… {count} more, {}", format_ms(ms))) + "\n",
    }
}

/// Whether there is room for columns that matter less.
pub(super) fn is_wide(view: &TraceView) -> bool {
    view.width >= WIDE
}
