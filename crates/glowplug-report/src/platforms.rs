//! Images for several machines and their index: type and text.

use glowplug_core::format_bytes;
use serde::{Deserialize, Serialize};

use crate::grid::{Cell, Grid};
use crate::render::View;
use crate::report::Report;
use crate::text::wrap;

/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// One name for the images for several machines, in an OCI layout folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIndexReport {
    /// The layout, as the user can type it; it holds the images too.
    pub path: String,
    /// Digest of the index.
    pub digest: String,
    /// The machines that it has images for, as in `linux/amd64`, sorted.
    pub platforms: Vec<String>,
    /// What names it for ever in the registry that it was pushed to.
    pub pushed: Option<String>,
}

/// One line a machine, what could not be proved, and the index. `folder` is the output folder.
pub fn render_platforms(reports: &[Report], index: &ImageIndexReport, folder: &str, view: &View) -> String {
    let style = &view.style;
    let mut grid = Grid::default();
    let titles = ["", "image", "a start fetches", "replay"];
    grid.push(titles.into_iter().map(|title| Cell::styled(title, style.dim)).collect());
    for report in reports {
        let image = report.image.as_ref();
        let most = image.and_then(|image| image.fetched_bytes.values().max());
        let bytes = |bytes: Option<u64>| bytes.map_or_else(|| NOTHING.to_owned(), format_bytes);
        let (replay, look) = match report.verdict.equal {
            Some(true) => ("same", style.good),
            Some(false) => ("differs", style.bad),
            None => ("unproved", style.warning),
        };
        grid.push(vec![
            Cell::styled(report.function.architecture.platform(), style.strong),
            Cell::new(bytes(image.map(|image| image.bytes))),
            Cell::new(bytes(most.copied())),
            Cell::styled(replay, look),
        ]);
    }
    let mut out = grid.render(view.width);
    out.push('\n');
    for report in reports {
        for why in &report.verdict.not_proved {
            let line = format!("{}: {why}", report.function.architecture.platform());
            out += &(wrap(&line, view.width, 2) + "\n");
        }
    }
    let mut last = format!("index: {} in {}", index.digest, index.path);
    if let Some(pushed) = &index.pushed {
        last += &format!(", pushed as {pushed}");
    }
    out += &(wrap(&last, view.width, 2) + "\n");
    let folders = format!("{folder}/PLATFORM/ has the plan and the report of each");
    out + &wrap(&folders, view.width, 0) + "\n"
}
