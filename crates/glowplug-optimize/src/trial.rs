//! Each event once on the original: a function that does not start, ends or hangs is not worth measuring.

use fs_err as fs;
use rayon::prelude::*;
use serde_json::Value;

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{Cpu, InitOutcome, Outcome, error_message};
use glowplug_function::Event;

use crate::ground::Ground;

/// Handler names that a hint lists.
const NAMED: usize = 6;

/// Starts `tree` once with each event.
///
/// # Errors
/// An input error where it does not start. Events that end the process or hang come back with the error that
/// they deserve; handlers that fail in an orderly way are fine.
pub(crate) fn trial(
    ground: &Ground,
    tree: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Vec<(usize, Error)>> {
    progress.start("Trying the events", Some(ground.events.len() as u64));
    let errors: Vec<Option<(usize, Error)>> = ground
        .events
        .par_iter()
        .enumerate()
        .map(|(index, event)| {
            let failed = one(ground, tree, event)?;
            progress.advance(1);
            Ok(failed.map(|error| (index, error)))
        })
        .collect::<Result<_>>()?;
    progress.finish();
    Ok(errors.into_iter().flatten().collect())
}

/// Starts `tree` once with each event, where this machine can.
///
/// # Errors
/// An input error where it does not start, or an event ends the process or hangs.
pub(crate) fn require_fit(ground: &Ground, tree: &Utf8Path, progress: &dyn Progress) -> Result<()> {
    if !ground.runs_here() {
        return Ok(());
    }
    match trial(ground, tree, progress)?.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn one(ground: &Ground, tree: &Utf8Path, event: &Event) -> Result<Option<Error>> {
    let spec = ground.spec(tree, Cpu::Unlimited);
    let (mut environment, init) = ground.engine.start(&spec)?;
    if !matches!(init.outcome, InitOutcome::Ready) {
        let blocked = environment.finish()?.blocked;
        return Err(with_blocked(init_failed(&init.outcome, Some((ground, tree))), &blocked));
    }
    let outcome = environment.invoke(&event.payload)?.outcome;
    let blocked = environment.finish()?.blocked;
    let place = event.path.as_ref().map_or_else(|| ground.function.handler.clone(), ToString::to_string);
    Ok(match outcome {
        Outcome::Success(_) | Outcome::HandlerError(_) => None,
        Outcome::Exited(payload) => Some(exited(ground, event, &payload).place(place)),
        Outcome::TimedOut(payload) => {
            let error = Error::input(format!("the handler does not answer event `{}`", event.name))
                .cause(error_message(&payload))
                .place(place)
                .hint("raise `timeout` if it needs longer, or give it an event that it can answer here");
            Some(with_blocked(error, &blocked))
        }
    })
}

fn exited(ground: &Ground, event: &Event, payload: &[u8]) -> Error {
    let cause = error_message(payload);
    let error = Error::input(format!("the function's process ends while it handles event `{}`", event.name))
        .cause(&cause);
    if cause.contains("killed") {
        let memory = ground.function.memory_mb;
        error.hint(format!("it may need more than its {memory} MB: raise `memory`, or try `--memory`"))
    } else {
        error.hint("a handler must return or raise: find what calls `sys.exit`, `os._exit` or crashes")
    }
}

/// What it tried to reach in vain is often the reason.
fn with_blocked(error: Error, blocked: &[String]) -> Error {
    match blocked.first() {
        None => error,
        Some(first) => error
            .cause(format!("{} of its connections were refused, the first to {first}", blocked.len()))
            .hint("replays reach no network: start what it needs locally with `[verify] setup`, or set `[verify] network = \"allow\"`"),
    }
}

/// What a failed start says of itself; `None` where it did not fail.
pub(crate) fn init_payload(outcome: &InitOutcome) -> Option<&[u8]> {
    match outcome {
        InitOutcome::Ready => None,
        InitOutcome::Error { payload, .. }
        | InitOutcome::Exited { payload }
        | InitOutcome::TimedOut { payload } => Some(payload),
    }
}

/// The error of a function that does not start, as its author should see it. With the place where it was
/// tried the hint can look at the source.
pub(crate) fn init_failed(outcome: &InitOutcome, tried: Option<(&Ground, &Utf8Path)>) -> Error {
    let Some(payload) = init_payload(outcome) else {
        return Error::defect("a function that is ready was taken for a failed one");
    };
    let (what, kind) = match outcome {
        InitOutcome::Error { error_type, .. } => {
            (format!("the function fails while it starts: {error_type}"), error_type.as_str())
        }
        InitOutcome::TimedOut { .. } => ("the function does not finish starting within 10 s".to_owned(), ""),
        InitOutcome::Exited { .. } | InitOutcome::Ready => {
            ("the function ends while it starts".to_owned(), "")
        }
    };
    let cause = error_message(payload);
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let frames = value.get("stackTrace").and_then(Value::as_array).into_iter().flatten();
    let stack: Vec<&str> = frames.filter_map(Value::as_str).map(str::trim_end).collect();
    let mut error = Error::input(what).cause(&cause);
    if !stack.is_empty() {
        error = error.cause(format!("raised at\n{}", stack.join("\n")));
    }
    if let Some((ground, _)) = tried {
        error = error.place(format!("handler `{}`", ground.function.handler));
    }
    error.hint(hint(kind, &cause, tried))
}

fn hint(kind: &str, cause: &str, tried: Option<(&Ground, &Utf8Path)>) -> String {
    let handler = tried.map_or("", |(ground, _)| ground.function.handler.as_str());
    let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module);
    let missing = cause.split("No module named '").nth(1).and_then(|rest| rest.split('\'').next());
    match (kind, missing) {
        (_, Some(name)) if name == module.replace('/', ".") => {
            "`handler` is `FILE.FUNCTION`, the file without `.py`, relative to the function's folder"
                .to_owned()
        }
        (_, Some(_)) => "add the missing distribution to the requirements, or fix the import".to_owned(),
        ("Runtime.HandlerNotFound", _) => {
            let functions = tried.map(|(_, tree)| functions_of(tree, module)).unwrap_or_default();
            if functions.is_empty() {
                "set `handler` to a function that the module defines".to_owned()
            } else {
                format!("the module defines {}: set `handler` to one of them", functions.join(", "))
            }
        }
        ("Runtime.UserCodeSyntaxError", _) => {
            "fix the syntax; the function's Python version decides what is allowed".to_owned()
        }
        _ => "run the handler's module by itself: what it needs at import must be there, without network"
            .to_owned(),
    }
}

/// Functions at the top of a module, as its text shows them.
fn functions_of(tree: &Utf8Path, module: &str) -> Vec<String> {
    let path = tree.join(module.replace('.', "/")).with_extension("py");
    let source = fs::read_to_string(path).unwrap_or_default();
    let names = source.lines().filter_map(|line| {
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
        let name = rest.split('(').next()?.trim();
        (!name.starts_with('_')).then(|| format!("`{name}`"))
    });
    names.take(NAMED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_start_names_cause_and_next_step() {
        let outcome = InitOutcome::Error {
            error_type: "Runtime.ImportModuleError".into(),
            payload:
                br#"{"errorMessage":"Unable to import module 'app': No module named 'yaml'","stackTrace":[]}"#
                    .to_vec(),
        };
        let error = init_failed(&outcome, None);
        assert_eq!(
            error.to_string(),
            "the function fails while it starts: Runtime.ImportModuleError: Unable to import module 'app': No module named 'yaml'"
        );
        assert!(error.hints()[0].contains("requirements"));
    }

    #[test]
    fn functions_are_listed_as_the_source_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        fs::write(tree.join("app.py"), "import json\ndef handle(event, context):\n    def inner(): ...\nasync def other(): ...\ndef _private(): ...\n").unwrap();
        assert_eq!(functions_of(tree, "app"), ["`handle`", "`other`"]);
        assert!(functions_of(tree, "missing").is_empty());
    }
}
