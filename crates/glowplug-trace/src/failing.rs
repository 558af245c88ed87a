//! Why a function did not start, as far as the trace shows: the import and the statement that it failed in.

use crate::document::{Import, Statement, Trace};
use crate::records::{Phase, Status};
use crate::tree::{ImportTree, place_of};

/// Whether init ended because its time was up.
pub fn timed_out(trace: &Trace) -> bool {
    let failure = trace.failure.as_deref().unwrap_or_default();
    trace.phases.init.is_none() && failure.starts_with("init: ") && failure.contains("timed out after")
}

/// The import that kept the function from starting, or that was under way when its time was up: the innermost, where
/// one failed for the sake of another.
pub fn failing_import(trace: &Trace) -> Option<&Import> {
    failing_index(trace).map(|index| &trace.imports[index])
}

/// The same as an index into [`Trace::imports`].
pub fn failing_index(trace: &Trace) -> Option<usize> {
    let failure = trace.failure.as_deref()?;
    let failed = |index: &usize| {
        let import = &trace.imports[*index];
        import.status == Status::Failed && import.phase == Phase::Init
    };
    let all = 0..trace.imports.len();
    let missing = failure.split("No module named '").nth(1).and_then(|rest| rest.split('\'').next());
    let found = missing
        .and_then(|name| all.clone().filter(failed).rfind(|index| trace.imports[*index].module == name));
    if found.is_some() || trace.phases.init.is_some() {
        return found;
    }
    let tree = ImportTree::new(trace);
    let handlers = |index: &usize| !trace.imports[*index].runtime_provided && failed(index);
    let mut at = all.filter(|index| tree.parent(*index).is_none()).rfind(handlers)?;
    // A failure further up was caught where something else was imported or begun after it.
    while let Some(last) = tree.children(at).last().filter(|last| handlers(last)) {
        let below = &trace.imports[*last];
        let end = below.start_ms + below.total_ms;
        if last_statement(trace, &trace.imports[at]).is_some_and(|statement| statement.start_ms > end) {
            break;
        }
        at = *last;
    }
    Some(at)
}

/// The statement of the user's own code that raised: the last that the failing module began. `None` where init was
/// cut off, for then it may be one that has not ended.
pub fn failing_statement(trace: &Trace) -> Option<&Statement> {
    let import = failing_import(trace).filter(|_| trace.phases.init.is_none() && !timed_out(trace))?;
    last_statement(trace, import)
}

fn last_statement<'a>(trace: &'a Trace, import: &Import) -> Option<&'a Statement> {
    let file = import.file.as_deref()?.as_str();
    let own = trace.statements.iter().filter(|s| s.phase == Phase::Init && place_of(s).0 == file);
    own.max_by(|a, b| a.start_ms.total_cmp(&b.start_ms))
}
