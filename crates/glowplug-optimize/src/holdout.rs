//! Checks on the finished tree beyond its own events: held-out events and the user's tests.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json_path::JsonPath;

use glowplug_core::{Error, Progress, Result};
use glowplug_function::{Event, Function};

use crate::ground::Ground;
use crate::replay::{Replayer, sequences};
use crate::shell::Shell;
use crate::verify::{Proof, not_proved};

/// Last lines of a failed test run that the error shows.
const SHOWN: usize = 20;

/// Reads the held-out events.
///
/// # Errors
/// Input errors where a file cannot be read or is not JSON.
pub(crate) fn read(paths: &[Utf8PathBuf]) -> Result<Vec<Event>> {
    paths
        .iter()
        .map(|path| {
            let payload = fs::read(path).map_err(|error| {
                Error::input("cannot read the held-out event").cause(error).place(path.as_str())
            })?;
            serde_json::from_slice::<serde_json::Value>(&payload).map_err(|error| {
                Error::input("the held-out event is not JSON").cause(&error).place(format!(
                    "{path}:{}:{}",
                    error.line(),
                    error.column()
                ))
            })?;
            let name = path.file_stem().unwrap_or("holdout").to_owned();
            Ok(Event { name, path: Some(path.clone()), payload, weight: 0.0 })
        })
        .collect()
}

/// Replays events that took no part in planning. They are reported apart; a difference fails the build,
/// since it would reach production.
///
/// # Errors
/// An input error that names the event and the place of the first difference.
pub(crate) fn check(
    ground: &Ground,
    holdout: &[Event],
    [shipped, before]: [&Utf8Path; 2],
    proof: &mut Proof,
    ignore: &[JsonPath],
    progress: &dyn Progress,
) -> Result<()> {
    if holdout.is_empty() {
        return Ok(());
    }
    let replayer = Replayer { ground, events: holdout, sequences: sequences(holdout), ignore };
    let mut baseline = replayer.baseline(shipped, before, progress)?;
    // What deferred values log while they are made comes later for these events, too.
    baseline.told = proof.verdict.moved_logs.iter().cloned().collect();
    let every = replayer.every();
    progress.start("Replaying the held-out events", Some(every.len() as u64));
    let mut found = replayer.differences(&baseline, &proof.tree, &every, progress)?;
    if !found.is_empty() {
        let runs: Vec<_> = found.iter().map(|deviation| deviation.run).collect();
        let again = replayer.differences(&baseline, shipped, &runs, progress)?;
        baseline.add_varying(&again);
        found = replayer.differences(&baseline, &proof.tree, &every, progress)?;
    }
    progress.finish();
    proof.verdict.replays += baseline.replays + every.len();
    proof.verdict.holdout.events = holdout.len();
    proof.verdict.holdout.equal = Some(found.is_empty());
    proof.verdict.not_proved.extend(not_proved(&baseline).into_iter().map(|what| format!("held-out {what}")));
    match found.into_iter().next() {
        None => Ok(()),
        Some(deviation) => {
            let found = &deviation.found;
            let what =
                format!("the result differs from the original on the held-out event `{}`", found.event);
            Err(Error::input(what)
                .cause(format!(
                    "{}: `{}`: {} became {}",
                    replayer.name(deviation.run),
                    found.path,
                    found.before,
                    found.after
                ))
                .hint("add it as an `[[event]]`, so that the build finds the guilty decision and undoes it")
                .hint("or build with `--lazy off`"))
        }
    }
}

/// Runs `[verify] command` on a copy of the built tree, with what of the user's folder is not packaged beside it.
///
/// # Errors
/// An input error with the last lines of the output where it fails.
pub(crate) fn user_tests(ground: &Ground, proof: &mut Proof, progress: &dyn Progress) -> Result<()> {
    let function = ground.function;
    let Some(command) = &function.verify.command else { return Ok(()) };
    progress.start("Running the function's own tests", None);
    let copy = ground.work().join("tests");
    copy_tree(&proof.tree, &copy)?;
    add_unpackaged(function, &copy)?;
    let variables = [
        ("PYTHONPATH", copy.as_str()),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("LAMBDA_TASK_ROOT", copy.as_str()),
    ];
    let mut shell = Shell::start(command, &copy, &variables)?;
    let passed = shell.wait(None, progress)? == Some(true);
    progress.finish();
    proof.verdict.tests = Some(passed);
    if passed {
        return Ok(());
    }
    Err(Error::input("the function's own tests fail on the built tree")
        .cause(shell.last_lines(SHOWN))
        .place(format!("[verify] command = {command:?}"))
        .hint("run them on the source first; if they pass there, build with `--lazy off`"))
}

fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        copy_entry(&entry.map_err(|error| unreadable(&error))?, from, to)?;
    }
    Ok(())
}

/// The tests themselves are often not part of the package.
fn add_unpackaged(function: &Function, copy: &Utf8Path) -> Result<()> {
    if !function.code.is_dir() {
        return Ok(());
    }
    let hidden = |name: &str| name.starts_with('.') || name == "__pycache__" || name == "node_modules";
    let walk = walkdir::WalkDir::new(&function.code).min_depth(1).into_iter().filter_entry(|entry| {
        let excluded = function.excluded.iter().any(|path| {
            entry.path() == path.as_std_path() || entry.path() == function.code.join(path).as_std_path()
        });
        let environment = entry.path().join("pyvenv.cfg").exists();
        !excluded && !environment && !entry.file_name().to_str().is_some_and(hidden)
    });
    for entry in walk {
        copy_entry(&entry.map_err(|error| unreadable(&error))?, &function.code, copy)?;
    }
    Ok(())
}

/// Copies one entry of a walk, unless something has its place already.
fn copy_entry(entry: &walkdir::DirEntry, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let Some(path) = Utf8Path::from_path(entry.path()) else { return Ok(()) };
    let target = to.join(path.strip_prefix(from).unwrap_or(path));
    if entry.file_type().is_dir() {
        fs::create_dir_all(&target)?;
    } else if target.symlink_metadata().is_ok() {
        return Ok(());
    } else if entry.file_type().is_symlink() {
        fs::os::unix::fs::symlink(fs::read_link(path)?, &target)?;
    } else if entry.file_type().is_file() {
        fs::copy(path, &target)?;
    }
    Ok(())
}

fn unreadable(error: &walkdir::Error) -> Error {
    Error::surroundings("cannot copy the tree for the tests").cause(error)
}
