//! Deferred imports as a person would write them: `lazy import pandas as pd` (PEP 810).

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use glowplug_imports::{Binding, ImportStatement};
use similar::TextDiff;

/// What becomes of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Kept,
    /// `import a.b` that goes on as `import a`.
    Weakened,
    Lazy,
}

/// First line, column and last line of a statement.
type Span = (u32, u32, u32);

/// The unified diff of one file, in which the imports of `names` become lazy: bound names, or full names of submodules.
pub(crate) fn of_file(path: &Utf8Path, source: &str, bindings: &[Binding], names: &BTreeSet<&str>) -> String {
    let mut statements: BTreeMap<Span, Vec<(&ImportStatement, How)>> = BTreeMap::new();
    for binding in bindings {
        for statement in &binding.statements {
            let key = (statement.place.line, statement.place.column, statement.end_line);
            let how = if names.contains(binding.name.as_str()) {
                How::Lazy
            } else if statement.binds_top && names.contains(statement.module.as_str()) {
                How::Weakened
            } else {
                How::Kept
            };
            statements.entry(key).or_default().push((statement, how));
        }
    }
    statements.retain(|_, clauses| clauses.iter().any(|(_, how)| *how != How::Kept));
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    // From the end, so that line numbers before it stay what they are.
    for ((line, column, end_line), mut clauses) in statements.into_iter().rev() {
        clauses.sort_by_key(|(statement, how)| (*how, statement.clause));
        let indent = " ".repeat(column as usize);
        let written = clauses.iter().map(|(statement, how)| match how {
            How::Kept => format!("{indent}{}", statement.text),
            How::Weakened => {
                let top = statement.module.split('.').next().unwrap_or_default();
                format!("{indent}import {top}  # {} loads when it is read", statement.module)
            }
            How::Lazy => format!("{indent}lazy {}", statement.text),
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
