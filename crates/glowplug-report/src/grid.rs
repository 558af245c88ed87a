//! Columns of text without lines: the first aligned left, the others right.

use anstyle::Style as Ansi;

use crate::style::Style;
use crate::text::{shorten, width};

/// Spaces between columns.
const GAP: usize = 2;

/// A piece of text and how it looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) style: Ansi,
}

impl Cell {
    /// A cell in the terminal's own colour.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Ansi::new() }
    }

    /// A cell in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Ansi) -> Self {
        Self { text: text.into(), style }
    }
}

/// Rows of cells; all rows have as many cells as the first.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Lines of at most `limit` columns: what does not fit is taken from the first column. The last column is
    /// aligned left, so that intervals stand under one another.
    pub(crate) fn render(&self, limit: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| width(&cell.text))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let others: usize = widths.iter().skip(1).map(|w| w + GAP).sum();
        let first = widths.first().copied().unwrap_or(0).min(limit.saturating_sub(others).max(8));
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let text = if column == 0 { shorten(&cell.text, first) } else { cell.text.clone() };
                let size = if column == 0 { first } else { widths[column] };
                let pad = " ".repeat(size.saturating_sub(width(&text)));
                let painted = if text.is_empty() { text } else { Style::paint(cell.style, &text) };
                if column > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                if column == 0 || column + 1 == columns {
                    line.push_str(&painted);
                    line.push_str(&pad);
                } else {
                    line.push_str(&pad);
                    line.push_str(&painted);
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_gives_way() {
        let mut grid = Grid::default();
        for (a, b, c) in [("a name that is too long", "12 ms", "0.5"), ("b", "1234 ms", "1.0 ~")] {
            grid.push([a, b, c].into_iter().map(Cell::new).collect());
        }
        assert_eq!(grid.render(28), "a name that…    12 ms  0.5\nb             1234 ms  1.0 ~\n");
    }
}
