//! The imports: as a tree with small things folded, or as a list.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::format_ms;
use glowplug_trace::{
    Bytecode, MAIN_THREAD, Phase, Status, event_names, failing_import, failing_index, is_usage_known,
    timed_out,
};

use crate::grid::{Cell, Grid};
use crate::style::Style;
use crate::text::shorten;

use super::bars::{NARROWEST, span};
use super::tables::{memory, more};
use super::{Subject, TraceOrder, used};

/// Columns that names and figures take; the bar gets what is left, up to its widest.
const FIGURES: usize = 66;
const WIDEST: usize = 40;
/// An import is only on the way to another where that takes this part of it.
const PASSES_THROUGH: f64 = 0.95;
/// Folded imports have a line of their own from this part of the whole on.
const WORTH_A_LINE: f64 = 0.02;
/// What is this part of the whole, or less, is always folded.
const FOLDED: f64 = 0.004;
/// Levels that are indented by two columns; those below by one.
const WIDE_LEVELS: usize = 5;

/// One line of the table.
enum Row {
    Import { depth: usize, index: usize },
    Folded { depth: usize, count: usize, ms: f64 },
}

/// The table of imports in the order that was asked for.
pub(super) fn imports(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let chosen: BTreeSet<usize> =
        (0..trace.imports.len()).filter(|index| is_wanted(subject, *index)).collect();
    if chosen.is_empty() {
        return match &view.filter {
            Some(name) => format!("nothing of `{name}` was imported\n"),
            None => "nothing but the runtime's own modules was imported\n".to_owned(),
        };
    }
    if view.order == TraceOrder::Unused {
        return unused(subject, &chosen);
    }
    let of = |index: usize| &trace.imports[index];
    let rows = match view.order {
        TraceOrder::Own => flat(&chosen, view.top, |a, b| of(b).self_ms.total_cmp(&of(a).self_ms)),
        TraceOrder::Start => flat(&chosen, view.top, |a, b| of(a).start_ms.total_cmp(&of(b).start_ms)),
        TraceOrder::Memory => {
            let grown = |index: usize| of(index).memory_kib.unwrap_or(f64::MIN);
            flat(&chosen, view.top, |a, b| grown(b).total_cmp(&grown(a)))
        }
        TraceOrder::Total | TraceOrder::Unused => tree(subject, &chosen),
    };
    table(subject, &chosen, &rows) + &legend(subject, &rows)
}

fn is_wanted(subject: &Subject<'_>, index: usize) -> bool {
    let import = &subject.trace.imports[index];
    let named = match &subject.view.filter {
        Some(name) => import.module == *name || import.module.starts_with(&format!("{name}.")),
        None => !import.runtime_provided,
    };
    named && import.status != Status::Cached && import.total_ms.is_finite()
}

fn flat(
    chosen: &BTreeSet<usize>,
    top: usize,
    order: impl Fn(usize, usize) -> std::cmp::Ordering,
) -> Vec<Row> {
    let mut sorted: Vec<usize> = chosen.iter().copied().collect();
    sorted.sort_by(|a, b| order(*a, *b));
    sorted.truncate(top);
    sorted.into_iter().map(|index| Row::Import { depth: 0, index }).collect()
}

/// The dearest imports, each under the one that led to it, and how much of each is not shown.
fn tree(subject: &Subject<'_>, chosen: &BTreeSet<usize>) -> Vec<Row> {
    let imports = &subject.trace.imports;
    let shown = dearest(subject, chosen);
    let above = |index: usize| {
        let mut at = subject.tree.parent(index);
        while let Some(parent) = at.filter(|parent| !shown.contains(parent)) {
            at = subject.tree.parent(parent);
        }
        at
    };
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    let mut folded: BTreeMap<Option<usize>, (usize, f64)> = BTreeMap::new();
    for index in chosen {
        if shown.contains(index) {
            children.entry(above(*index)).or_default().push(*index);
        } else {
            let sums = folded.entry(above(*index)).or_default();
            sums.0 += 1;
            sums.1 += imports[*index].self_ms;
        }
    }
    for list in children.values_mut() {
        list.sort_by(|a, b| {
            let (a, b) = (&imports[*a], &imports[*b]);
            a.phase
                .cmp(&b.phase)
                .then(b.total_ms.total_cmp(&a.total_ms))
                .then(a.start_ms.total_cmp(&b.start_ms))
        });
    }
    let whole: f64 = chosen.iter().map(|index| imports[*index].self_ms).sum();
    let mut layout =
        Layout { children, folded, floor_ms: WORTH_A_LINE * whole, rows: Vec::new(), rest: (0, 0.0) };
    layout.below(None, 0);
    let (count, ms) = layout.rest;
    if count > 0 {
        layout.rows.push(Row::Folded { depth: 0, count, ms });
    }
    layout.rows
}

/// Puts the rows of a tree in their order.
struct Layout {
    children: BTreeMap<Option<usize>, Vec<usize>>,
    folded: BTreeMap<Option<usize>, (usize, f64)>,
    floor_ms: f64,
    rows: Vec<Row>,
    rest: (usize, f64),
}

impl Layout {
    fn below(&mut self, at: Option<usize>, depth: usize) {
        for index in self.children.remove(&at).unwrap_or_default() {
            self.rows.push(Row::Import { depth, index });
            self.below(Some(index), depth + 1);
        }
        let (count, ms) = self.folded.remove(&at).unwrap_or_default();
        if at.is_some() && ms >= self.floor_ms {
            self.rows.push(Row::Folded { depth, count, ms });
        } else {
            self.rest = (self.rest.0 + count, self.rest.1 + ms);
        }
    }
}

/// The imports that are shown: the dearest, those left out that only lead to another, and what failed.
fn dearest(subject: &Subject<'_>, chosen: &BTreeSet<usize>) -> BTreeSet<usize> {
    let imports = &subject.trace.imports;
    let failing = failing_import(subject.trace);
    let is_failing =
        |index: usize| failing.is_some_and(|import| std::ptr::eq(import, &raw const imports[index]));
    let passes_through = |index: usize| {
        let asked_by_own = subject.tree.parent(index).is_none_or(|above| subject.tree.asker(above).is_none());
        let dearest = subject.tree.children(index).iter().filter(|child| chosen.contains(child));
        let dearest = dearest.map(|child| imports[*child].total_ms).fold(0.0, f64::max);
        !asked_by_own && dearest >= PASSES_THROUGH * imports[index].total_ms
    };
    let whole: f64 = chosen.iter().map(|index| imports[*index].self_ms).sum();
    let is_small = |index: usize| imports[index].total_ms <= FOLDED * whole && !is_failing(index);
    let telling = |index: &usize| !passes_through(*index) && !is_small(*index);
    let mut sorted: Vec<usize> = chosen.iter().copied().filter(telling).collect();
    sorted.sort_by(|a, b| {
        let by_time = || imports[*b].total_ms.total_cmp(&imports[*a].total_ms).then(a.cmp(b));
        is_failing(*b).cmp(&is_failing(*a)).then_with(by_time)
    });
    sorted.truncate(subject.view.top);
    sorted.into_iter().collect()
}

fn table(subject: &Subject<'_>, chosen: &BTreeSet<usize>, rows: &[Row]) -> String {
    let Subject { trace, view, .. } = subject;
    let own = chosen.iter().map(|index| &trace.imports[*index]);
    let from = own.clone().map(|i| i.start_ms).fold(f64::MAX, f64::min);
    let whole = own.map(|i| i.start_ms + i.total_ms).fold(0.0, f64::max) - from;
    let columns = view.width.saturating_sub(FIGURES).min(WIDEST);
    let columns = if columns < NARROWEST { 0 } else { columns };
    let shown = rows.iter().filter(|row| matches!(row, Row::Import { .. })).count();
    let last = match view.order {
        TraceOrder::Own => "asked for at",
        TraceOrder::Memory => "memory",
        _ => "",
    };
    let mut grid = Grid::default();
    let titles = [&format!("imports ({shown} of {})", chosen.len()), "total", "self", "used by", last];
    grid.push(titles.into_iter().map(|title| Cell::styled(title, view.style.dim)).collect());
    for row in rows {
        let (depth, index) = match row {
            Row::Import { depth, index } => (*depth, *index),
            Row::Folded { depth, count, ms } => {
                let name = Cell::styled(format!("{}… {count} more", indent(*depth)), view.style.dim);
                let empty = || Cell::new("");
                grid.push(vec![
                    name,
                    Cell::styled(format_ms(*ms), view.style.dim),
                    empty(),
                    empty(),
                    empty(),
                ]);
                continue;
            }
        };
        let import = &trace.imports[index];
        let users = subject.tree.used_by(index).iter().copied();
        let fill = if import.phase == Phase::Init { '█' } else { '░' };
        let last = match view.order {
            TraceOrder::Memory => memory(import.memory_kib),
            TraceOrder::Own => shorten(&import.importer, columns.max(16)),
            _ => span(import.start_ms - from, import.total_ms, whole, columns, fill),
        };
        let look = if import.status == Status::Failed { view.style.bad } else { anstyle::Style::new() };
        grid.push(vec![
            Cell::styled(indent(depth) + &name(subject, index), look),
            Cell::new(format_ms(import.total_ms)),
            Cell::new(format_ms(import.self_ms)),
            used::cell(trace, users, import.phase, &view.style),
            Cell::styled(last, if import.phase == Phase::Init { view.style.good } else { view.style.hint }),
        ]);
    }
    grid.render(view.width)
}

fn indent(depth: usize) -> String {
    " ".repeat(depth.min(WIDE_LEVELS) + depth)
}

/// The module, and what is special about it.
fn name(subject: &Subject<'_>, index: usize) -> String {
    let import = &subject.trace.imports[index];
    let mut marks = Vec::new();
    if import.status == Status::Failed {
        let under_way = timed_out(subject.trace) && leads_to_failing(subject, index);
        marks.push(if under_way { "timed out" } else { "failed" }.to_owned());
    }
    if import.runtime_provided {
        marks.push("the runtime's".to_owned());
    }
    if import.bytecode == Bytecode::Stale {
        marks.push("stale".to_owned());
    }
    if import.thread != MAIN_THREAD {
        marks.push(import.thread.clone());
    }
    if marks.is_empty() { import.module.clone() } else { format!("{} ({})", import.module, marks.join(", ")) }
}

/// Whether it is the import that kept the function from starting, or one that led to that.
fn leads_to_failing(subject: &Subject<'_>, index: usize) -> bool {
    let mut at = failing_index(subject.trace);
    while let Some(below) = at.filter(|at| *at != index) {
        at = subject.tree.parent(below);
    }
    at.is_some()
}

/// What the marks mean, where there are any.
fn legend(subject: &Subject<'_>, rows: &[Row]) -> String {
    let Subject { trace, view, .. } = subject;
    let shown = || {
        rows.iter().filter_map(|row| match row {
            Row::Import { index, .. } => Some(&trace.imports[*index]),
            Row::Folded { .. } => None,
        })
    };
    let mut said = Vec::new();
    let events: BTreeSet<&str> = shown().filter_map(|import| import.event.as_deref()).collect();
    if !events.is_empty() {
        let events: Vec<&str> = events.into_iter().collect();
        said.push(format!("░ imported by the first invoke of {}", events.join(", ")));
    }
    let unused = rows.iter().any(|row| match row {
        Row::Import { index, .. } => {
            trace.imports[*index].phase == Phase::Init && subject.tree.used_by(*index).is_empty()
        }
        Row::Folded { .. } => false,
    });
    if unused && is_usage_known(trace) {
        said.push("none: paid for at init, and no event ran anything of it".to_owned());
    }
    if said.is_empty() { String::new() } else { view.paragraph(view.style.dim, &said.join("; ")) }
}

/// What init pays for and no event uses: the topmost modules, with all below them.
fn unused(subject: &Subject<'_>, chosen: &BTreeSet<usize>) -> String {
    let Subject { trace, view, .. } = subject;
    if event_names(trace).is_empty() {
        return "no event was traced, so nobody knows what is used\n".to_owned();
    }
    if !is_usage_known(trace) {
        return "an event was not seen to its end, so nobody knows what is not used\n".to_owned();
    }
    let cost = |index: usize| {
        let below = subject.tree.unused_below(index);
        let own = below.iter().map(|index| &trace.imports[*index]).filter(|import| !import.runtime_provided);
        (own.clone().map(|import| import.self_ms).sum::<f64>(), own.count())
    };
    let mut tops: Vec<(usize, f64, usize)> = subject
        .tree
        .unused()
        .into_iter()
        .filter(|index| chosen.contains(index))
        .map(|index| (index, cost(index)))
        .map(|(index, (ms, modules))| (index, ms, modules))
        .collect();
    if tops.is_empty() {
        return "every module of init was used by some event\n".to_owned();
    }
    tops.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = tops.iter().map(|(_, ms, _)| ms).sum();
    let title = format!("paid for at init and used by no event: {}", format_ms(all));
    let mut grid = Grid::default();
    let titles = ["module", "with all below", "modules", "asked for at"];
    grid.push(titles.into_iter().map(|title| Cell::styled(title, view.style.dim)).collect());
    let place = (view.width / 3).max(16);
    for (index, ms, modules) in tops.iter().take(view.top) {
        let import = &trace.imports[*index];
        grid.push(vec![
            Cell::new(name(subject, *index)),
            Cell::new(format_ms(*ms)),
            Cell::new(modules.to_string()),
            Cell::styled(shorten(&import.importer, place), view.style.dim),
        ]);
    }
    let rest = &tops[tops.len().min(view.top)..];
    let rest = more(rest.len(), rest.iter().map(|(_, ms, _)| ms).sum(), view);
    Style::paint(view.style.strong, &title) + "\n" + &grid.render(view.width) + &rest
}
