//! Where the bytes of the package are: by distribution and kind, what a traced start touched, what no import leads to.

use glowplug_core::format_bytes;
use glowplug_trace::PackagePart;

use crate::grid::{Cell, Grid};
use crate::text::plural;

use super::{NOTHING, Subject, tables};

/// Columns by kind: their titles, and the kinds in each. What is in none is the last.
const KINDS: [(&str, &[&str]); 4] = [
    ("code", &["code", "bytecode"]),
    ("native", &["native", "symbols"]),
    ("data", &["data"]),
    ("tests", &["tests"]),
];
/// Parts below this are not worth a line, in bytes.
const FLOOR: u64 = 50_000;

/// The table, and the whole by kind in one line.
pub(super) fn package(subject: &Subject<'_>) -> String {
    let Subject { trace, view, .. } = subject;
    let Some(package) = &trace.package else { return String::new() };
    let wide = tables::is_wide(view);
    let mut titles = vec!["bytes of the package", "size"];
    titles.extend(KINDS.iter().map(|(title, _)| *title).filter(|_| wide));
    titles.extend(["touched", "no import"]);
    let mut grid = Grid::default();
    grid.push(titles.iter().map(|title| Cell::styled(*title, view.style.dim)).collect());
    let telling: Vec<&PackagePart> = package.parts.iter().filter(|part| part.bytes >= FLOOR).collect();
    for part in telling.iter().take(view.rows()) {
        let name = if part.name.is_empty() { "the function's own files" } else { part.name.as_str() };
        grid.push(cells(name, part, wide));
    }
    if package.parts.len() > 1 {
        grid.push(cells("all", &package.total, wide));
    }
    let kinds: Vec<String> = sorted(&package.total)
        .into_iter()
        .map(|(kind, bytes)| format!("{kind} {}", format_bytes(bytes)))
        .collect();
    let line = format!("{}: {}", plural(package.files, "file"), kinds.join(", "));
    grid.render(view.width) + &view.paragraph(view.style.dim, &line)
}

fn cells(name: &str, part: &PackagePart, wide: bool) -> Vec<Cell> {
    let of = |kinds: &[&str]| kinds.iter().filter_map(|kind| part.bytes_by_kind.get(*kind)).sum::<u64>();
    let size = |bytes: u64| Cell::new(if bytes == 0 { NOTHING.to_owned() } else { format_bytes(bytes) });
    let mut cells = vec![Cell::new(name), size(part.bytes)];
    if wide {
        cells.extend(KINDS.iter().map(|(_, kinds)| size(of(kinds))));
    }
    cells.extend([size(part.touched_bytes), size(part.unreachable_bytes)]);
    cells
}

fn sorted(part: &PackagePart) -> Vec<(&str, u64)> {
    let mut kinds: Vec<(&str, u64)> = part
        .bytes_by_kind
        .iter()
        .filter(|(_, bytes)| **bytes > 0)
        .map(|(kind, bytes)| (kind.as_str(), *bytes))
        .collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    kinds
}
