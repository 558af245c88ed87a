//! Deferred imports as a person would write them: `lazy import pandas as pd` (PEP 810).

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use glowplug_imports::{Binding, ImportStatement};
use similar::TextDiff;

/// First line, column and last line of a statement.
type Span = (u32, u32, u32);

/// The unified diff of one file, in which the imports of `names` become lazy.
pub(crate) fn of_file(path: &Utf8Path, source: &str, bindings: &[Binding], names: &BTreeSet<&str>) -> String {
    let mut statements: BTreeMap<Span, Vec<(&ImportStatement, bool)>> = BTreeMap::new();
    for binding in bindings {
        for statement in &binding.statements {
            let key = (statement.place.line, statement.place.column, statement.end_line);
            statements.entry(key).or_default().push((statement, names.contains(binding.name.as_str())));
        }
    }
    statements.retain(|_, clauses| clauses.iter().any(|(_, lazy)| *lazy));
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    // From the end, so that line numbers before it stay what they are.
    for ((line, column, end_line), mut clauses) in statements.into_iter().rev() {
        clauses.sort_by_key(|(statement, lazy)| (*lazy, statement.clause));
        let indent = " ".repeat(column as usize);
        let written = clauses.iter().map(|(statement, lazy)| {
            let keyword = if *lazy { "lazy " } else { "" };
            format!("{indent}{keyword}{}", statement.text)
        });
        let range = line.saturating_sub(1) as usize..(end_line as usize).min(lines.len());
        if range.start < range.end {
            lines.splice(range, written.collect::<Vec<_>>());
        }
    }
    let mut edited = lines.join("\n");
    if source.ends_with('\n') {
        edited.push('\n');
    }
    TextDiff::from_lines(source, &edited)
        .unified_diff()
        .context_radius(1)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}
