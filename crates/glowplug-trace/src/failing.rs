//! Why a function did not start, as far as the trace shows: the import and the statement that it failed in.

use crate::document::{Import, Statement, Trace};
use crate::records::{Phase, Status};
use crate::tree::{ImportTree, place_of};

/// Parts of a failure's text between which the error's type may stand twice.
const SAID_TWICE: usize = 4;

/// The failure as a person says it: the type of the error once, and no request ids.
pub fn failure_text(trace: &Trace) -> Option<String> {
    trace.failure.as_deref().map(told)
}

fn told(failure: &str) -> String {
    if let Some((before, rest)) = failure.split_once("RequestId: ")
        && let Some((_, message)) = rest.split_once(" Error: ")
    {
        let before = before.strip_suffix("Sandbox.Timedout: ").unwrap_or(before);
        return format!("{before}{message}");
    }
    let mut parts: Vec<&str> = failure.splitn(SAID_TWICE, ": ").collect();
    // A message may begin with the type that stands before it.
    for index in 1..parts.len() {
        let (kind, text) = (parts[index - 1], parts[index]);
        if kind == text {
            parts.remove(index);
            break;
        }
    }
    parts.join(": ")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_stands_once_and_no_request_id() {
        assert_eq!(told("init: KeyError: KeyError: 'x'"), "init: KeyError: 'x'");
        assert_eq!(told("init: KeyError: 'x: x: x'"), "init: KeyError: 'x: x: x'");
        assert_eq!(
            told("first invoke, a: ValueError: ValueError: ValueError: x"),
            "first invoke, a: ValueError: ValueError: x"
        );
        assert_eq!(
            told("init: Sandbox.Timedout: RequestId: 1-2 Error: Task timed out after 10.00 seconds"),
            "init: Task timed out after 10.00 seconds"
        );
    }
}
