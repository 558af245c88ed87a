//! The table of a report: init, cold, warm, memory and sizes; as shipped, before, after, ratio.

use glowplug_core::{Stat, format_bytes, format_ms};
use indexmap::IndexMap;

use crate::grid::{Cell, Grid};
use crate::report::{Measured, Report};
use crate::style::Style;
use crate::text::wrap;

/// What stands where nothing was measured.
const NOTHING: &str = "-";

type ByEvent = IndexMap<String, Option<Stat>>;

/// The table and the line under it that says how the figures came about.
pub(crate) fn render_table(report: &Report, style: &Style, width: usize) -> String {
    let mut grid = Grid::default();
    grid.push(
        ["", "as shipped", "before", "after", "ratio [95 % interval]"]
            .into_iter()
            .map(|title| Cell::styled(title, style.dim))
            .collect(),
    );
    let columns = [&report.as_shipped, &report.before, &report.after];
    let times = |pick: fn(&Measured) -> Option<Stat>| columns.map(|m| cell(pick(m), ms));
    let ratio = &report.ratio;
    grid.push(row("init", times(|m| m.init_ms), ratio.init, style));
    events(&mut grid, "cold", columns.map(|m| &m.cold_ms), &ratio.cold, ms, style);
    if columns.iter().any(|m| m.cold_weighted_ms.is_some()) && report.after.cold_ms.len() > 1 {
        grid.push(row("cold, weighted", times(|m| m.cold_weighted_ms), ratio.cold_weighted, style));
    }
    events(&mut grid, "warm", columns.map(|m| &m.warm_ms), &ratio.warm, ms, style);
    events(&mut grid, "memory", columns.map(|m| &m.memory_mb), &ratio.memory, megabytes, style);
    let counts = |pick: fn(&Measured) -> Option<u64>, form: fn(u64) -> String| {
        columns.map(|m| pick(m).map_or_else(|| NOTHING.to_owned(), form))
    };
    grid.push(exact("zip", counts(|m| m.zip_bytes, format_bytes), ratio.zip_bytes));
    grid.push(exact("unzipped", counts(|m| m.unzipped_bytes, format_bytes), ratio.unzipped_bytes));
    grid.push(exact("files", counts(|m| m.files, |n| n.to_string()), None));
    grid.push(exact("modules at init", counts(|m| m.modules, |n| n.to_string()), None));
    format!("{}{}", grid.render(width), conditions(report, style, width))
}

fn events(
    grid: &mut Grid,
    label: &str,
    columns: [&ByEvent; 3],
    ratio: &ByEvent,
    form: fn(f64) -> String,
    style: &Style,
) {
    for event in columns[2].keys() {
        let of = |map: &ByEvent| map.get(event).copied().flatten();
        let cells = columns.map(|map| cell(of(map), form));
        grid.push(row(&format!("{label} {event}"), cells, of(ratio), style));
    }
}

fn row(label: &str, cells: [String; 3], ratio: Option<Stat>, style: &Style) -> Vec<Cell> {
    let mut row = vec![Cell::new(label)];
    row.extend(cells.into_iter().map(Cell::new));
    row.push(ratio.map_or_else(|| Cell::new(""), |stat| interval(stat, style)));
    row
}

fn exact(label: &str, cells: [String; 3], ratio: Option<f64>) -> Vec<Cell> {
    let mut row = vec![Cell::new(label)];
    row.extend(cells.into_iter().map(Cell::new));
    row.push(Cell::new(ratio.map_or_else(String::new, |r| format!("{r:.2}"))));
    row
}

/// A ratio with its interval; `~` marks one that is no difference.
fn interval(stat: Stat, style: &Style) -> Cell {
    let text = format!("{:.2} [{:.2}, {:.2}]", stat.median, stat.low, stat.high);
    if !stat.differs_from(1.0) {
        Cell::styled(text + " ~", style.dim)
    } else if stat.median < 1.0 {
        Cell::styled(text, style.good)
    } else {
        Cell::styled(text, style.warning)
    }
}

fn cell(stat: Option<Stat>, form: fn(f64) -> String) -> String {
    stat.map_or_else(|| NOTHING.to_owned(), |s| form(s.median))
}

fn ms(value: f64) -> String {
    format_ms(value)
}

fn megabytes(value: f64) -> String {
    if value < 100.0 { format!("{value:.1} MB") } else { format!("{value:.0} MB") }
}

fn conditions(report: &Report, style: &Style, width: usize) -> String {
    let environment = &report.environment;
    let cpu = match (environment.cpu.as_str(), environment.init_boost) {
        ("share", true) => format!("the CPU share of {} MB, init boosted", environment.memory_mb),
        ("share", false) => format!("the CPU share of {} MB", environment.memory_mb),
        _ => "unlimited CPU".to_owned(),
    };
    let runs = report.ratio.init.or(report.after.init_ms).map_or(0, |stat| stat.runs);
    let mut text = format!("Python {}, {cpu}, page cache {}", environment.python, environment.page_cache);
    if runs > 0 {
        text += &format!(", medians of {runs} runs");
    }
    text += "; before: the same tree with valid bytecode";
    if any_tie(report) {
        text += "; ~ no difference";
    }
    let mut out = Style::paint(style.dim, &wrap(&text, width, 0)) + "\n";
    for line in &environment.not_enforced {
        out += &Style::paint(style.warning, &wrap(&format!("not enforced on this host: {line}"), width, 2));
        out.push('\n');
    }
    out
}

fn any_tie(report: &Report) -> bool {
    let ratio = &report.ratio;
    let maps = [&ratio.cold, &ratio.warm, &ratio.memory];
    let stats = maps.into_iter().flat_map(|map| map.values().copied().flatten());
    stats.chain(ratio.init).chain(ratio.cold_weighted).any(|stat| !stat.differs_from(1.0))
}
