//! Which events used something, in a word.

use std::collections::BTreeSet;

use anstyle::Style as Ansi;
use glowplug_trace::{Phase, Trace};

use crate::grid::Cell;
use crate::style::Style;

/// Names of the events that the trace speaks of.
pub(super) fn events(trace: &Trace) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = trace.phases.first_invoke.keys().map(String::as_str).collect();
    names.extend(trace.imports.iter().filter_map(|import| import.event.as_deref()));
    names
}

/// `all`, `1 of 3`, `none`; `-` where no event was traced. What is paid for at init and used by none stands out.
pub(super) fn cell<'a>(
    trace: &Trace,
    users: impl IntoIterator<Item = &'a str>,
    phase: Phase,
    style: &Style,
) -> Cell {
    let events = events(trace);
    let count = users.into_iter().filter(|user| events.contains(user)).collect::<BTreeSet<_>>().len();
    match (count, events.len()) {
        (_, 0) => Cell::new(super::NOTHING),
        (0, _) if phase == Phase::Init => Cell::styled("none", style.warning),
        (0, _) => Cell::new("none"),
        (count, all) if count == all => Cell::styled("all", style.dim),
        (count, all) => Cell::styled(format!("{count} of {all}"), Ansi::new()),
    }
}
