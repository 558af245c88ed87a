//! Which interpreters this machine has. A name proves nothing (it may be a stub that fails): each is executed once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, NoProgress, PythonVersion, Result};
use rayon::prelude::*;

use crate::Interpreter;

/// The newest version that a function without any hint runs on.
pub(crate) const NEWEST: PythonVersion = PythonVersion::new(3, 13);
/// An interpreter that has not answered by then is a stub that waits for something.
const ANSWER: Duration = Duration::from_secs(10);
/// Prints implementation, version and the real executable, also from inside a virtual environment.
const QUESTION: &str = "import os, sys; print(sys.implementation.name + getattr(sys, 'abiflags', ''), '%d.%d.%d' % sys.version_info[:3], \
os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable), sep='\\n')";

/// All interpreters that answer, the preferred first: those on `PATH`, then those of version managers, then stubs.
pub(crate) fn discover() -> Vec<Interpreter> {
    let answers: Vec<Option<Interpreter>> =
        candidates(None).par_iter().map(|candidate| ask(candidate).ok()).collect();
    let mut seen = BTreeSet::new();
    answers.into_iter().flatten().filter(|found| seen.insert(found.path.clone())).collect()
}

/// The interpreter of one minor version.
///
/// # Errors
/// Surroundings: there is none; the error lists what was found.
pub(crate) fn find(version: PythonVersion) -> Result<Interpreter> {
    Search::default().find(version).ok_or_else(|| missing(&format!("Python {version}")))
}

/// The newest version from 3.9 to [`NEWEST`] that is here and that `allowed` accepts.
pub(crate) fn newest(allowed: &dyn Fn(PythonVersion) -> bool) -> Option<PythonVersion> {
    let mut search = Search::default();
    (PythonVersion::OLDEST.minor..=NEWEST.minor)
        .rev()
        .map(|minor| PythonVersion::new(3, minor))
        .filter(|version| allowed(*version))
        .find(|version| search.find(*version).is_some())
}

/// Asks no candidate twice.
#[derive(Debug, Default)]
struct Search {
    answers: BTreeMap<Utf8PathBuf, Option<Interpreter>>,
}

impl Search {
    fn find(&mut self, version: PythonVersion) -> Option<Interpreter> {
        candidates(Some(version)).into_iter().find_map(|candidate| {
            let answer = self.answers.entry(candidate.clone()).or_insert_with(|| ask(&candidate).ok());
            answer.clone().filter(|found| found.version == version)
        })
    }
}

/// The interpreter at a path that the user names.
///
/// # Errors
/// Surroundings: it is no CPython that runs.
pub(crate) fn at(path: &Utf8Path) -> Result<Interpreter> {
    ask(path).map_err(|reason| {
        Error::surroundings(format!("`{path}` is not a Python interpreter that runs"))
            .cause(reason)
            .hint("give the path of the executable, for example `--python /usr/bin/python3.12`")
    })
}

/// Whether `--python` names an interpreter and not a version.
pub(crate) fn is_path(requested: &str) -> bool {
    requested.contains('/') || requested.parse::<PythonVersion>().is_err()
}

/// The error for a machine without `wanted`; it lists what there is.
pub(crate) fn missing(wanted: &str) -> Error {
    let list: Vec<String> = discover()
        .iter()
        .map(|interpreter| format!("{} ({})", interpreter.full_version, interpreter.path))
        .collect();
    let found = if list.is_empty() {
        "no interpreter was found".to_owned()
    } else {
        format!("found: {}", list.join(", "))
    };
    Error::surroundings(format!("there is no {wanted} on this machine"))
        .cause(found)
        .hint(format!("install {wanted}, or name its interpreter with `--python PATH`"))
        .hint("or change the function's version (`python = ` in its configuration)")
}

/// Paths to try: names of `version` on `PATH`, the folders of version managers, plain names on `PATH`, and last what
/// version managers put on `PATH`: scripts that take long to find what stands in their folders anyway.
fn candidates(version: Option<PythonVersion>) -> Vec<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let (stubs, folders): (Vec<Utf8PathBuf>, Vec<Utf8PathBuf>) = std::env::split_paths(&path)
        .filter_map(|folder| Utf8PathBuf::from_path_buf(folder).ok())
        .chain(["/usr/local/bin".into(), "/usr/bin".into()])
        .filter(|folder| folder.is_absolute())
        .partition(|folder| folder.file_name() == Some("shims"));
    let minors: Vec<u8> = match version {
        Some(version) => vec![version.minor],
        None => (PythonVersion::OLDEST.minor..=NEWEST.minor).rev().collect(),
    };
    let versioned: Vec<String> = minors.iter().map(|minor| format!("python3.{minor}")).collect();
    let plain = ["python3".to_owned(), "python".to_owned()];
    let mut found = in_folders(&versioned, &folders);
    found.extend(managed(version));
    found.extend(in_folders(&plain, &folders));
    found.extend(in_folders(&versioned, &stubs));
    found.extend(in_folders(&plain, &stubs));
    let mut seen = BTreeSet::new();
    found.retain(|candidate| {
        candidate.is_file() && identity(candidate).is_some_and(|identity| seen.insert(identity))
    });
    found
}

fn in_folders(names: &[String], folders: &[Utf8PathBuf]) -> Vec<Utf8PathBuf> {
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).collect()
}

/// Two names of one interpreter are one candidate; two names of a version manager's stub are two.
fn identity(candidate: &Utf8Path) -> Option<(Utf8PathBuf, Option<String>)> {
    let real = candidate.canonicalize_utf8().ok()?;
    let stub = !real.file_name()?.starts_with("python");
    let name = candidate.file_name().filter(|_| stub).map(str::to_owned);
    Some((real, name))
}

/// Interpreters of version managers (pyenv, uv, mise, asdf) and of the manylinux images, the newest first.
fn managed(version: Option<PythonVersion>) -> Vec<Utf8PathBuf> {
    let home = std::env::var("HOME").map(Utf8PathBuf::from).unwrap_or_default();
    let folder = |variable: &str, standard: &str| {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
            .map_or_else(|| home.join(standard), Utf8PathBuf::from)
    };
    let roots = [
        folder("PYENV_ROOT", ".pyenv").join("versions"),
        folder("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
        home.join(".local/share/mise/installs/python"),
        home.join(".asdf/installs/python"),
        Utf8PathBuf::from("/opt/python"),
    ];
    let mut found = Vec::new();
    for root in roots {
        let Ok(entries) = root.read_dir_utf8() else { continue };
        let mut versions: Vec<(Vec<u32>, Utf8PathBuf)> = entries
            .flatten()
            .map(|entry| (numbers(entry.file_name()), entry.path().join("bin/python3")))
            .filter(|(numbers, path)| fits(numbers, version) && path.is_file())
            .collect();
        versions.sort();
        found.extend(versions.into_iter().rev().map(|(_, path)| path));
    }
    found
}

/// The numbers in a folder's name: `3.12.1`, `cpython-3.12.1-linux-x86_64-gnu`, `cp312-cp312`.
fn numbers(name: &str) -> Vec<u32> {
    let parts = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut numbers: Vec<u32> = parts.filter_map(|part| part.parse().ok()).collect();
    if let (true, Some(first)) = (name.starts_with("cp3"), numbers.first().copied()) {
        let minor = first.to_string().get(1..).and_then(|digits| digits.parse().ok());
        numbers = std::iter::once(3).chain(minor).collect();
    }
    numbers
}

/// A name that says nothing fits every version.
fn fits(numbers: &[u32], version: Option<PythonVersion>) -> bool {
    let Some(version) = version else { return true };
    match numbers {
        [major, minor, ..] => *major == u32::from(version.major) && *minor == u32::from(version.minor),
        _ => true,
    }
}

/// Executes `path`; the reason where it is no CPython.
fn ask(path: &Utf8Path) -> Result<Interpreter, String> {
    let mut command = Command::new(path);
    command.args(["-I", "-S", "-c", QUESTION]);
    let finished = crate::process::run(&mut command, Some(ANSWER), &NoProgress, &mut |_| {})
        .map_err(|error| error.causes().first().cloned().unwrap_or_else(|| error.message().to_owned()))?;
    if !finished.success {
        return Err(finished.reason());
    }
    let mut lines = finished.stdout.lines();
    let (Some(implementation), Some(full), Some(real)) = (lines.next(), lines.next(), lines.next()) else {
        return Err("it does not answer as Python does".to_owned());
    };
    if implementation == "cpythont" {
        return Err("it is built without the global lock, and Lambda's is not".to_owned());
    }
    if implementation != "cpython" {
        return Err(format!("it is {implementation}, and Lambda runs CPython"));
    }
    let version = full.parse().map_err(|error: Error| error.message().to_owned())?;
    Ok(Interpreter { path: real.into(), version, full_version: full.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;
    use std::os::unix::fs::PermissionsExt;

    fn script(folder: &Utf8Path, name: &str, text: &str) -> Utf8PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn versions_are_told_from_paths() {
        assert!(!is_path("3.12") && !is_path("3.12.1") && !is_path("python3.12"));
        assert!(is_path("/usr/bin/python3") && is_path("./python") && is_path("pypy"));
    }

    #[test]
    fn folder_names_of_version_managers_are_understood() {
        assert_eq!(numbers("3.12.1")[..2], [3, 12]);
        assert_eq!(numbers("cpython-3.9.25-linux-x86_64-gnu")[..2], [3, 9]);
        assert_eq!(numbers("cp313-cp313"), [3, 13]);
        assert!(fits(&numbers("latest"), Some(NEWEST)) && !fits(&[3, 1], Some(NEWEST)));
    }

    #[test]
    fn a_stub_is_not_believed() {
        let keep = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(keep.path()).unwrap();
        let failing =
            script(folder, "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127");
        let error = at(&failing).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Surroundings);
        assert_eq!(error.causes(), ["pyenv: python3.12: command not found"]);
        let other = script(folder, "pypy", "printf 'pypy\\n3.10.1\\n/pypy\\n'");
        assert_eq!(at(&other).unwrap_err().causes(), ["it is pypy, and Lambda runs CPython"]);
        assert!(at(&folder.join("absent")).unwrap_err().causes()[0].contains("No such file"));
    }

    #[test]
    fn what_is_missing_is_listed_against_what_is_there() {
        let error = find(PythonVersion::new(3, 99)).unwrap_err();
        assert_eq!(error.message(), "there is no Python 3.99 on this machine");
        for interpreter in discover() {
            assert!(error.causes()[0].contains(interpreter.path.as_str()), "{error}");
        }
    }

    #[test]
    fn what_is_found_is_what_runs() {
        let all = discover();
        assert!(!all.is_empty());
        for interpreter in &all {
            assert_eq!(&at(&interpreter.path).unwrap(), interpreter);
            assert_eq!(find(interpreter.version).unwrap().version, interpreter.version);
        }
    }
}
