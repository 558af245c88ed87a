//! Which events used something, in a word.

use std::collections::BTreeSet;

use anstyle::Style as Ansi;
use glowplug_trace::{Phase, Trace, event_names, is_usage_known};

use crate::grid::Cell;
use crate::style::Style;

/// `all`, `1 of 3`, `none`. Where an event was not seen to its end, what is used by the others is `1+ of 3`, and what is
/// not is `-`: not known. What is paid for at init and used by none stands out.
pub(super) fn cell<'a>(
    trace: &Trace,
    users: impl IntoIterator<Item = &'a str>,
    phase: Phase,
    style: &Style,
) -> Cell {
    let (events, known) = (event_names(trace), is_usage_known(trace));
    let count = users.into_iter().filter(|user| events.contains(user)).collect::<BTreeSet<_>>().len();
    match (count, events.len()) {
        (_, 0) => Cell::new(super::NOTHING),
        (0, _) if !known => Cell::new(super::NOTHING),
        (0, _) if phase == Phase::Init => Cell::styled("none", style.warning),
        (0, _) => Cell::new("none"),
        (count, all) if count == all => Cell::styled("all", style.dim),
        (count, all) if !known => Cell::new(format!("{count}+ of {all}")),
        (count, all) => Cell::styled(format!("{count} of {all}"), Ansi::new()),
    }
}
