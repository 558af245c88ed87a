//! What the rules want to know of a trace.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_doctor::Traced;
use glowplug_trace::{Asker, ImportTree, Phase, Status, Trace};

/// Reads it off a trace that went well; a failed one proves nothing.
pub(super) fn read(trace: &Trace) -> Option<Traced> {
    if trace.failure.is_some() || trace.phases.init.is_none() {
        return None;
    }
    let opened = trace.files.iter().map(|file| file.path.clone());
    let imported = trace.imports.iter().filter_map(|import| import.file.clone());
    Some(Traced {
        events: trace.phases.first_invoke.keys().cloned().collect(),
        lines_ms: lines(trace),
        opened: opened.chain(imported).collect(),
        missing: trace.compiled.missing,
        stale: trace.compiled.stale,
        compile_ms: trace.compiled.compile_ms,
        is_complete: trace.cut_off.is_empty(),
    })
}

/// What each line of the user's own code brings in at init, without compiling, which is told apart.
fn lines(trace: &Trace) -> BTreeMap<String, f64> {
    let tree = ImportTree::new(trace);
    let mut lines: BTreeMap<String, f64> = BTreeMap::new();
    for (index, line) in trace.lines.iter().enumerate().filter(|(_, line)| line.phase == Phase::Init) {
        let below = tree.asked_by(Asker::Line(index)).into_iter().map(|import| &trace.imports[import]);
        let own = below.filter(|import| import.phase == Phase::Init && !import.runtime_provided);
        let ms: f64 = own.map(|import| (import.self_ms - import.compile_ms.unwrap_or(0.0)).max(0.0)).sum();
        *lines.entry(line.place.clone()).or_default() += ms;
    }
    lines
}

/// Modules that a traced start loaded.
pub(super) fn loaded(trace: &Trace) -> BTreeSet<&str> {
    let real = |status: Status| matches!(status, Status::Ok | Status::Cached);
    trace.imports.iter().filter(|import| real(import.status)).map(|import| import.module.as_str()).collect()
}
