//! A `glowplug.trace/1` document for people: phases, a waterfall of the imports that cost most, the statements.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{Error, Result, Stat, format_ms};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::grid::{Cell, Grid};
use crate::style::Style;
use crate::text::{shorten, wrap};

/// Columns of the bar that shows when an import ran.
const BAR: usize = 24;
/// Statements of the user's own code below this are not worth a line, in ms.
const STATEMENT_FLOOR_MS: f64 = 0.5;

/// Order of the imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceOrder {
    /// A tree, as one import led to another.
    Total,
    /// Slowest bodies first.
    Own,
    /// As they happened.
    Start,
    /// Most memory first.
    Memory,
}

/// What of a trace to show, and how.
#[derive(Debug, Clone)]
pub struct TraceView {
    /// Colours.
    pub style: Style,
    /// Columns of the terminal; 80 for a file.
    pub width: usize,
    /// How many imports and statements.
    pub top: usize,
    /// Their order.
    pub order: TraceOrder,
    /// Only this module and what is below it.
    pub filter: Option<String>,
}

/// The parts of the document that people read.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    function: serde_json::Value,
    environment: Environment,
    phases: Phases,
    #[serde(default)]
    imports: Vec<Import>,
    #[serde(default)]
    statements: Vec<Statement>,
    unexplained_ms: Option<f64>,
    failure: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Environment {
    python: String,
    memory_mb: u32,
    cpu: String,
    #[serde(default)]
    init_boost: bool,
    page_cache: String,
    agent_overhead: Option<Stat>,
}

#[derive(Debug, Deserialize)]
struct Phases {
    provision: Option<Stat>,
    runtime: Option<Stat>,
    init: Option<Stat>,
    #[serde(default)]
    first_invoke: IndexMap<String, Option<Stat>>,
    #[serde(default)]
    warm_invoke: IndexMap<String, Option<Stat>>,
}

#[derive(Debug, Deserialize)]
struct Import {
    module: String,
    parent: Option<String>,
    #[serde(default)]
    importer: Option<String>,
    status: String,
    phase: String,
    event: Option<String>,
    start_ms: f64,
    self_ms: f64,
    total_ms: f64,
    memory_kib: Option<f64>,
    #[serde(default)]
    runtime_provided: bool,
}

#[derive(Debug, Deserialize)]
struct Statement {
    place: String,
    text: String,
    self_ms: f64,
}

/// The trace as text that ends with a line break; an error where the document is not a trace.
pub fn render_trace(trace: &serde_json::Value, view: &TraceView) -> Result<String> {
    let document: Document = Document::deserialize(trace)
        .map_err(|e| Error::defect("the trace does not have the form of `glowplug.trace/1`").cause(e))?;
    let mut out = String::new();
    if let Some(failure) = document.failure.as_ref().filter(|f| !f.is_null()) {
        let text = failure.as_str().map_or_else(|| failure.to_string(), str::to_owned);
        out += &Style::paint(view.style.bad, &wrap(&format!("the function failed: {text}"), view.width, 2));
        out += "\n\n";
    }
    out += &headline(&document, view);
    out.push('\n');
    out += &phases(&document, view);
    out.push('\n');
    out += &imports(&document, view);
    out += &statements(&document, view);
    Ok(out)
}

fn headline(document: &Document, view: &TraceView) -> String {
    let name = document.function.get("name").and_then(|n| n.as_str()).unwrap_or("the function");
    let init = match (document.phases.runtime, document.phases.init) {
        (Some(runtime), Some(init)) => format_ms(runtime.median + init.median),
        _ => return Style::paint(view.style.strong, &format!("{name} did not reach its handler")) + "\n",
    };
    let mine =
        document.imports.iter().filter(|i| i.phase == "init" && !i.runtime_provided && i.status == "ok");
    let text = format!("{name} starts in {init} and imports {} modules of its own", mine.count());
    Style::paint(view.style.strong, &wrap(&text, view.width, 2)) + "\n"
}

fn phases(document: &Document, view: &TraceView) -> String {
    let mut grid = Grid::default();
    let mut push = |label: String, stat: Option<Stat>| {
        if let Some(stat) = stat {
            let interval = format!("[{}, {}]", format_ms(stat.low), format_ms(stat.high));
            grid.push(vec![
                Cell::new(label),
                Cell::new(format_ms(stat.median)),
                Cell::styled(interval, view.style.dim),
            ]);
        }
    };
    let phases = &document.phases;
    push("provision (unpack)".to_owned(), phases.provision);
    push("runtime start".to_owned(), phases.runtime);
    push("init: your module and all it imports".to_owned(), phases.init);
    for (event, stat) in &phases.first_invoke {
        push(format!("first invoke, {event}"), *stat);
    }
    for (event, stat) in &phases.warm_invoke {
        push(format!("warm invoke, {event}"), *stat);
    }
    let environment = &document.environment;
    let cpu = match (environment.cpu.as_str(), environment.init_boost) {
        ("share", true) => format!("the CPU share of {} MB, init boosted", environment.memory_mb),
        ("share", false) => format!("the CPU share of {} MB", environment.memory_mb),
        _ => "unlimited CPU".to_owned(),
    };
    let mut conditions =
        format!("Python {}, {cpu}, page cache {}", environment.python, environment.page_cache);
    if let Some(overhead) = environment.agent_overhead {
        conditions += &format!("; tracing itself took {} more of init", format_ms(overhead.median));
    }
    grid.render(view.width) + &Style::paint(view.style.dim, &wrap(&conditions, view.width, 0)) + "\n"
}

fn imports(document: &Document, view: &TraceView) -> String {
    let wanted = |import: &&Import| match &view.filter {
        Some(name) => import.module == *name || import.module.starts_with(&format!("{name}.")),
        None => !import.runtime_provided,
    };
    let chosen: Vec<&Import> = document
        .imports
        .iter()
        .filter(|i| i.status != "cached" && i.total_ms.is_finite())
        .filter(wanted)
        .collect();
    if chosen.is_empty() {
        return match &view.filter {
            Some(name) => format!("nothing of `{name}` was imported\n"),
            None => "nothing but the runtime's own modules was imported\n".to_owned(),
        };
    }
    let span = chosen.iter().map(|i| i.start_ms + i.total_ms).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let count = chosen.len();
    let rows = match view.order {
        TraceOrder::Total => tree(&chosen, view.top),
        TraceOrder::Own => flat(chosen, view.top, |a, b| b.self_ms.total_cmp(&a.self_ms)),
        TraceOrder::Start => flat(chosen, view.top, |a, b| a.start_ms.total_cmp(&b.start_ms)),
        TraceOrder::Memory => {
            let memory = |i: &Import| i.memory_kib.unwrap_or(0.0);
            flat(chosen, view.top, |a, b| memory(b).total_cmp(&memory(a)))
        }
    };
    let mut grid = Grid::default();
    let titles =
        [format!("imports ({} of {count})", rows.len()), "total".into(), "self".into(), String::new()];
    grid.push(titles.into_iter().map(|t| Cell::styled(t, view.style.dim)).collect());
    for (depth, import) in rows {
        let mut name = format!("{}{}", "  ".repeat(depth), import.module);
        if import.status == "failed" {
            name += " (failed)";
        }
        let last = match (view.order, import.memory_kib) {
            (TraceOrder::Memory, Some(kib)) => format!("{:.1} MB", kib * 1024.0 / 1e6),
            (TraceOrder::Own, _) => shorten(import.importer.as_deref().unwrap_or(""), BAR),
            _ => bar(import, span),
        };
        let look = if import.phase == "init" { view.style.good } else { view.style.hint };
        grid.push(vec![
            Cell::new(name),
            Cell::new(format_ms(import.total_ms)),
            Cell::new(format_ms(import.self_ms)),
            Cell::styled(last, look),
        ]);
    }
    let mut out = grid.render(view.width);
    let events: BTreeSet<&str> = document.imports.iter().filter_map(|i| i.event.as_deref()).collect();
    if !events.is_empty() {
        let names: Vec<&str> = events.into_iter().collect();
        let line = format!("░ imported by the first invoke ({})", names.join(", "));
        out += &Style::paint(view.style.dim, &wrap(&line, view.width, 2));
        out.push('\n');
    }
    if let Some(rest) = document.unexplained_ms.filter(|ms| *ms >= STATEMENT_FLOOR_MS) {
        out += &Style::paint(
            view.style.dim,
            &format!("{} of init is neither import nor statement", format_ms(rest)),
        );
        out.push('\n');
    }
    out
}

/// The `top` slowest imports, each under the one that led to it. A total contains its children's, so that the
/// importer of a slow import is slow too; where it was filtered out, the import stands by itself.
fn tree<'a>(chosen: &[&'a Import], top: usize) -> Vec<(usize, &'a Import)> {
    let mut slowest: Vec<usize> = (0..chosen.len()).collect();
    slowest.sort_by(|a, b| chosen[*b].total_ms.total_cmp(&chosen[*a].total_ms).then(a.cmp(b)));
    let shown: BTreeSet<usize> = slowest.into_iter().take(top).collect();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for index in &shown {
        by_name.entry(&chosen[*index].module).or_insert(*index);
    }
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for index in &shown {
        let parent = chosen[*index].parent.as_deref().and_then(|name| by_name.get(name)).copied();
        children.entry(parent.filter(|p| p != index)).or_default().push(*index);
    }
    for list in children.values_mut() {
        list.sort_by(|a, b| chosen[*a].start_ms.total_cmp(&chosen[*b].start_ms));
    }
    let mut rows = Vec::new();
    let mut pending: Vec<(usize, usize)> =
        children.get(&None).into_iter().flatten().rev().map(|i| (0, *i)).collect();
    while let Some((depth, index)) = pending.pop() {
        rows.push((depth, chosen[index]));
        pending.extend(children.get(&Some(index)).into_iter().flatten().rev().map(|i| (depth + 1, *i)));
    }
    rows
}

fn flat(
    mut chosen: Vec<&Import>,
    top: usize,
    order: impl Fn(&Import, &Import) -> std::cmp::Ordering,
) -> Vec<(usize, &Import)> {
    chosen.sort_by(|a, b| order(a, b));
    chosen.into_iter().take(top).map(|import| (0, import)).collect()
}

fn bar(import: &Import, span: f64) -> String {
    let at = |ms: f64| ((ms.max(0.0) / span) * BAR as f64).round().min(BAR as f64) as usize;
    let start = at(import.start_ms).min(BAR - 1);
    let length = at(import.start_ms + import.total_ms).saturating_sub(start).max(1);
    let fill = if import.phase == "init" { "█" } else { "░" };
    format!("{}{}", " ".repeat(start), fill.repeat(length))
}

fn statements(document: &Document, view: &TraceView) -> String {
    let mut slow: Vec<&Statement> =
        document.statements.iter().filter(|s| s.self_ms >= STATEMENT_FLOOR_MS).collect();
    if slow.is_empty() || view.filter.is_some() {
        return String::new();
    }
    slow.sort_by(|a, b| b.self_ms.total_cmp(&a.self_ms));
    let mut grid = Grid::default();
    let titles = ["statements of your code", "self", ""];
    grid.push(titles.into_iter().map(|t| Cell::styled(t, view.style.dim)).collect());
    for statement in slow.into_iter().take(view.top) {
        grid.push(vec![
            Cell::new(shorten(&statement.place, 32)),
            Cell::new(format_ms(statement.self_ms)),
            Cell::new(shorten(&statement.text, view.width.saturating_sub(46).max(16))),
        ]);
    }
    format!("\n{}", grid.render(view.width))
}
