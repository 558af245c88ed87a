//! Deferred imports as a person would write them: `lazy import pandas as pd` (PEP 810), and in quotes the annotations
//! that wait for them.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use glowplug_imports::{ImportStatement, ModuleAnalysis, Place, UseKind};
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

/// What stands in the place of these lines of the source, counted from 1, the last one included.
struct Change {
    first: u32,
    last: u32,
    written: Vec<String>,
}

/// The unified diff of one file, in which the imports of `names` become lazy: bound names, or full names of submodules.
pub(crate) fn of_file(
    path: &Utf8Path,
    source: &str,
    analysis: &ModuleAnalysis,
    names: &BTreeSet<&str>,
) -> String {
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    let quoted = quoted(analysis, names);
    let mut changes: Vec<Change> = imports(analysis, names);
    for global in analysis.globals.iter().filter(|global| names.contains(global.binding.name.as_str())) {
        // On the last lines of the statements, which keep their places; a class tells it at its head.
        let set_up = global.set_up.iter().map(|(_, end)| end.line);
        let own = if global.is_class { global.place.line } else { global.end_line };
        for last in std::iter::once(own).chain(set_up) {
            if let Some(line) = lines.get_mut((last as usize).saturating_sub(1)) {
                line.push_str("  # runs at the first use of the name");
            }
        }
    }
    // From the end, so that columns before it stay what they are, and lines too.
    for (start, end) in quoted.into_iter().rev() {
        changes.extend(quote(&mut lines, start, end));
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.first));
    for Change { first, last, written } in changes {
        let range = first.saturating_sub(1) as usize..(last as usize).min(lines.len());
        if range.start < range.end {
            lines.splice(range, written);
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

/// The import statements that have a clause which becomes lazy.
fn imports(analysis: &ModuleAnalysis, names: &BTreeSet<&str>) -> Vec<Change> {
    let mut statements: BTreeMap<Span, Vec<(&ImportStatement, How)>> = BTreeMap::new();
    for binding in &analysis.bindings {
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
    let written = |((first, column, last), mut clauses): (Span, Vec<(&ImportStatement, How)>)| {
        clauses.sort_by_key(|(statement, how)| (*how, statement.clause));
        let indent = " ".repeat(column as usize);
        let clauses = clauses.iter().map(|(statement, how)| match how {
            How::Kept => format!("{indent}{}", statement.text),
            How::Weakened => {
                let top = statement.module.split('.').next().unwrap_or_default();
                format!("{indent}import {top}  # {} loads when it is read", statement.module)
            }
            How::Lazy => format!("{indent}lazy {}", statement.text),
        });
        Change { first, last, written: clauses.collect() }
    };
    statements.into_iter().map(written).collect()
}

/// The annotations that use what becomes lazy.
fn quoted(analysis: &ModuleAnalysis, names: &BTreeSet<&str>) -> BTreeSet<(Place, Place)> {
    let lazy = analysis.bindings.iter().filter(|binding| names.contains(binding.name.as_str()));
    lazy.flat_map(|binding| &binding.uses)
        .filter(|used| used.kind == UseKind::Signature)
        .filter_map(|used| analysis.signature_around(used.place)?.around(used.place))
        .collect()
}

/// Puts an annotation into quotes, on one line: the change takes its other lines out.
fn quote(lines: &mut [String], start: Place, end: Place) -> Option<Change> {
    let (first, last) = (start.line.checked_sub(1)? as usize, end.line.checked_sub(1)? as usize);
    let before = lines.get(first)?.get(..start.column as usize)?.to_owned();
    let after = lines.get(last)?.get(end.column as usize..)?.to_owned();
    let whole: Vec<&str> = lines.get(first..=last)?.iter().map(String::as_str).collect();
    let whole = whole.join("\n");
    let text = whole.get(before.len()..whole.len() - after.len())?;
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let mark = match (text.contains('"'), text.contains('\'')) {
        (false, _) => "\"",
        (true, false) => "'",
        (true, true) => "\"\"\"",
    };
    lines[first] = format!("{before}{mark}{text}{mark}{after}");
    (last > first).then(|| Change { first: start.line + 1, last: end.line, written: Vec::new() })
}
