//! Several functions for people: one line each, then the layers that they share.

use glowplug_core::{Stat, format_bytes, format_ms};

use crate::grid::{Cell, Grid};
use crate::layers::{LayersCost, LayersReport};
use crate::render::View;
use crate::report::Report;
use crate::style::Style;
use crate::text::wrap;

/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// One line a function, and what they share. `folder` is the output folder.
pub fn render_fleet(reports: &[Report], layers: Option<&LayersReport>, folder: &str, view: &View) -> String {
    let style = &view.style;
    let mut grid = Grid::default();
    let titles = ["", "init", "ratio", "cold ratio", "zip", "replay"];
    grid.push(titles.into_iter().map(|title| Cell::styled(title, style.dim)).collect());
    for report in reports {
        let (before, after) = (&report.before, &report.after);
        let init = change(before.init_ms.zip(after.init_ms), |stat| format_ms(stat.median));
        let zip = change(before.zip_bytes.zip(after.zip_bytes), format_bytes);
        let (replay, look) = match report.verdict.equal {
            Some(true) => ("same", style.good),
            Some(false) => ("differs", style.bad),
            None => ("unproved", style.warning),
        };
        grid.push(vec![
            Cell::styled(&report.function.name, style.strong),
            Cell::new(init),
            Cell::new(ratio(report.ratio.init)),
            Cell::new(ratio(report.ratio.cold_weighted)),
            Cell::new(zip),
            Cell::styled(replay, look),
        ]);
    }
    let mut out = grid.render(view.width);
    if let Some(layers) = layers {
        out.push('\n');
        out += &shared(layers, view);
    }
    let last = match layers {
        Some(_) => format!(
            "{folder}/NAME/ has each function's zip, plan and report; {folder}/layers.json says how to publish and attach the layers"
        ),
        None => format!("{folder}/NAME/ has each function's zip, plan and report"),
    };
    out.push('\n');
    out += &wrap(&last, view.width, 0);
    out.push('\n');
    out
}

/// `before → after`.
fn change<T>(values: Option<(T, T)>, form: impl Fn(T) -> String) -> String {
    values.map_or_else(|| NOTHING.to_owned(), |(before, after)| format!("{} → {}", form(before), form(after)))
}

/// A ratio, with `~` where it may be one.
fn ratio(ratio: Option<Stat>) -> String {
    let mark = |ratio: Stat| if ratio.differs_from(1.0) { "" } else { " ~" };
    ratio.map_or_else(|| NOTHING.to_owned(), |ratio| format!("{:.2}{}", ratio.median, mark(ratio)))
}

/// The layers, and what they gain.
fn shared(report: &LayersReport, view: &View) -> String {
    let style = &view.style;
    if report.layers.is_empty() {
        return wrap("no layer is worth sharing: every function keeps everything in its zip", view.width, 0)
            + "\n";
    }
    let mut out = String::new();
    for layer in &report.layers {
        let names: Vec<String> =
            layer.members.iter().map(|member| format!("{} {}", member.name, member.version)).collect();
        out += &Style::paint(style.strong, &format!("layer {}  {}", layer.name, format_bytes(layer.bytes)));
        out.push('\n');
        for line in [format!("holds {}", names.join(", ")), format!("for {}", layer.functions.join(", "))] {
            out += &format!("  {}\n", wrap(&line, view.width.saturating_sub(2), 4));
        }
    }
    for function in &report.functions {
        if let Some(why) = &function.refused {
            out += &wrap(&format!("{} attaches none: {why}", function.name), view.width, 2);
            out.push('\n');
        }
    }
    out.push('\n');
    out += &compared(report, view);
    out
}

fn compared(report: &LayersReport, view: &View) -> String {
    let mut grid = Grid::default();
    let titles = ["", "stored", "downloaded", "republished", "weighted sum"];
    grid.push(titles.into_iter().map(|title| Cell::styled(title, view.style.dim)).collect());
    let row = |name: &str, cost: &LayersCost| {
        let parts = [cost.stored, cost.downloaded, cost.republished, cost.total];
        let cells = parts.into_iter().map(|bytes| Cell::new(format_bytes(bytes as u64)));
        std::iter::once(Cell::new(name.to_owned())).chain(cells).collect()
    };
    let baselines = &report.baselines;
    grid.push(row("no layers", &baselines.none.cost));
    let everything =
        if baselines.everything.fits { "one layer with all" } else { "one layer with all (too large)" };
    grid.push(row(everything, &baselines.everything.cost));
    grid.push(row("these layers", &report.objective.cost));
    let proof = if report.objective.exact {
        "no choice of layers has a smaller sum".to_owned()
    } else {
        format!("another choice could be at most {:.1} % smaller", report.objective.gap * 100.0)
    };
    let note =
        format!("stored once, downloaded by cold starts, republished when one dependency moves; {proof}");
    format!("{}{}\n", grid.render(view.width), Style::paint(view.style.dim, &wrap(&note, view.width, 0)))
}
