//! uv: fetched by name from PyPI into the cache, run with a cache of its own, its failures told apart.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Error, Progress, Result};

use crate::process::{Finished, run};
use crate::{Interpreter, store};

/// The version that is fetched. One version for everybody: what resolves here resolves there.
pub(crate) const VERSION: &str = "0.13.9";

/// Variables that would point uv at somebody else's environment.
const REMOVED: [&str; 7] =
    ["VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_TARGET", "UV_PROJECT", "PYTHONPATH", "PYTHONHOME"];
/// Variables that [`Uv::command`] sets.
const SET: [&str; 4] = ["UV_CACHE_DIR", "UV_PYTHON_DOWNLOADS", "UV_LINK_MODE", "UV_NO_PROGRESS"];

/// Words in uv's and pip's output that mean network or disk, not the requirements.
const SURROUNDINGS: [&str; 16] = [
    "error sending request",
    "dns error",
    "Could not connect",
    "Connection refused",
    "Connection reset",
    "NewConnectionError",
    "NameResolutionError",
    "timed out",
    "Network connectivity is disabled",
    "network was disabled",
    "Failed to fetch",
    "Request failed after",
    "certificate",
    "No space left on device",
    "Permission denied",
    "status server error",
];

/// Starts of lines that say nothing about a failure.
const NOISE: [&str; 4] = ["Using CPython", "Resolved ", "Prepared ", "warning: "];

/// A uv that is ready to run.
pub(crate) struct Uv<'a> {
    executable: Utf8PathBuf,
    cache: &'a Cache,
    progress: &'a dyn Progress,
}

impl<'a> Uv<'a> {
    /// uv from the cache, fetched with the pip of `interpreter` or of any other on this machine where it is missing.
    ///
    /// # Errors
    /// Surroundings: not in the cache while offline, no interpreter with pip, no network.
    pub(crate) fn ready(
        interpreter: &Interpreter,
        cache: &'a Cache,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let key = format!("uv-{VERSION}");
        let folder = store::entry(
            &cache.tools(),
            &key,
            progress,
            &|folder| folder.join("uv").exists(),
            &mut |folder| {
                if cache.offline() {
                    return Err(not_cached(&format!("uv {VERSION}")));
                }
                fetch(interpreter, folder, progress)
            },
        )?;
        Ok(Self { executable: folder.join("uv"), cache, progress })
    }

    /// A command of uv that fetches no interpreter, paints nothing and keeps its cache in ours.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        for variable in REMOVED {
            command.env_remove(variable);
        }
        command
            .env("UV_CACHE_DIR", self.cache.root().join("uv"))
            .env("UV_PYTHON_DOWNLOADS", "never")
            // A link would tie a tree to uv's cache: damage in one would be damage in both.
            .env("UV_LINK_MODE", "copy")
            .env("UV_NO_PROGRESS", "1")
            .env("NO_COLOR", "1");
        if self.cache.offline() {
            command.arg("--offline");
        }
        command
    }

    /// Runs one, its main steps shown as progress.
    ///
    /// # Errors
    /// As [`crate::process::run`].
    pub(crate) fn run(&self, command: &mut Command) -> Result<Finished> {
        run(command, None, self.progress, &mut |line| {
            if let Some(step) = step(line) {
                self.progress.start(&step, None);
            }
        })
    }
}

/// The user's own settings of uv (indexes, constraints, …): they change what a resolution finds, so that they are part
/// of a tree's key. Those that [`Uv::command`] sets or removes are not.
pub(crate) fn settings() -> Vec<String> {
    let ours = |name: &str| REMOVED.contains(&name) || SET.contains(&name);
    let mut settings: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with("UV_") && !ours(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    settings.sort();
    settings
}

/// What uv does after it has printed `line`.
fn step(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["Resolved", count, ..] => Some(format!("Fetching {count} packages")),
        ["Prepared", count, ..] => Some(format!("Installing {count} packages")),
        _ => None,
    }
}

/// The error for a failed run: input unless its output speaks of network or disk.
pub(crate) fn failure(what: &str, finished: &Finished, offline: bool) -> Error {
    let reason = finished.reason_without(&NOISE);
    let text = format!("{}{}", finished.stderr, finished.stdout);
    let missing = text.contains("status client error (404");
    if missing || !SURROUNDINGS.iter().any(|word| text.contains(word)) {
        return Error::input(format!("cannot install {what}")).cause(reason);
    }
    if offline {
        return not_cached(what).cause(reason);
    }
    Error::surroundings(format!("cannot fetch {what}"))
        .cause(reason)
        .hint("check the network, the index that uv is told to use, and the space on disk; then run it again")
}

/// The error for something that only the network could give.
pub(crate) fn not_cached(what: &str) -> Error {
    Error::surroundings(format!("{what}: not in the cache, and `--offline` forbids to fetch it"))
        .hint("run it once without `--offline`, or point `--cache-dir` at a cache that has it")
}

/// Puts the executable into `folder` by way of a throw-away virtual environment with pip.
fn fetch(first: &Interpreter, folder: &Utf8Path, progress: &dyn Progress) -> Result<()> {
    progress.start(&format!("Fetching uv {VERSION}"), None);
    let mut lacking = None;
    let others = crate::interpreter::discover().into_iter().filter(|other| other != first);
    for interpreter in std::iter::once(first.clone()).chain(others) {
        let attempt = tempfile::tempdir_in(folder.parent().unwrap_or(folder))?;
        let attempt = store::utf8(attempt.path())?;
        let python = match with_pip(&interpreter, attempt, progress)? {
            Ok(python) => python,
            Err(error) => {
                lacking.get_or_insert(error);
                continue;
            }
        };
        install(&python, attempt, progress)?;
        let executable = folder.join("uv");
        fs::copy(attempt.join("packages/bin/uv"), &executable)?;
        fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755))?;
        progress.finish();
        return Ok(());
    }
    let error = lacking.unwrap_or_else(|| Error::surroundings("no Python on this machine can fetch uv"));
    Err(error.hint("on Debian and Ubuntu, `apt install python3-venv` brings what is needed"))
}

/// A Python with pip: a new virtual environment below `folder`, else the interpreter itself (Debian has what a virtual
/// environment with pip needs in a package of its own); the inner error where it has neither.
fn with_pip(
    interpreter: &Interpreter,
    folder: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Result<Utf8PathBuf, Error>> {
    let environment = folder.join("venv");
    let mut venv = Command::new(&interpreter.path);
    let made = run(venv.args(["-I", "-m", "venv"]).arg(&environment), None, progress, &mut |_| {})?;
    if made.success {
        return Ok(Ok(environment.join("bin/python")));
    }
    let mut pip = Command::new(&interpreter.path);
    if run(pip.args(["-I", "-m", "pip", "--version"]), None, progress, &mut |_| {})?.success {
        return Ok(Ok(interpreter.path.clone()));
    }
    Ok(Err(Error::surroundings(format!("Python {} has neither venv nor pip", interpreter.full_version))
        .cause(made.reason())
        .place(interpreter.path.as_str())))
}

/// Installs uv into `folder/packages`.
fn install(python: &Utf8Path, folder: &Utf8Path, progress: &dyn Progress) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--retries", "2", "--only-binary", ":all:", "--target"])
        .arg(folder.join("packages"))
        .arg(format!("uv=={VERSION}"))
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME");
    let installed = run(&mut pip, None, progress, &mut |_| {})?;
    if installed.success {
        Ok(())
    } else {
        Err(failure(&format!("uv {VERSION} with pip"), &installed, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::ErrorClass;

    fn failed(stderr: &str) -> Finished {
        Finished { success: false, stdout: String::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn failures_are_told_apart() {
        let unsatisfiable = failed(
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of x",
        );
        assert_eq!(failure("x", &unsatisfiable, false).class(), ErrorClass::Input);
        let network = failed("error: Failed to fetch: `https://x/`\n  Caused by: dns error");
        assert_eq!(failure("x", &network, false).class(), ErrorClass::Surroundings);
        assert_eq!(failure("x", &unsatisfiable, true).class(), ErrorClass::Input);
        let offline =
            failed("Because six was not found in the cache\n\nhint: … because the network was disabled.");
        assert!(failure("six", &offline, true).message().contains("`--offline` forbids"));
        let absent =
            failed("error: Failed to fetch: `https://x/`\n  cause: HTTP status client error (404 Not Found)");
        assert_eq!(failure("x", &absent, false).class(), ErrorClass::Input);
    }

    #[test]
    fn an_interpreter_without_venv_and_pip_says_so() {
        let keep = tempfile::tempdir().unwrap();
        let folder = store::utf8(keep.path()).unwrap();
        let path = folder.join("python3");
        fs::write(&path, "#!/bin/sh\necho 'ensurepip is not available' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let version = glowplug_core::PythonVersion::new(3, 11);
        let interpreter = Interpreter { path, version, full_version: "3.11.2".to_owned() };
        let lacking = with_pip(&interpreter, folder, &glowplug_core::NoProgress).unwrap().unwrap_err();
        assert_eq!(lacking.message(), "Python 3.11.2 has neither venv nor pip");
        assert_eq!(lacking.causes(), ["ensurepip is not available"]);
    }

    #[test]
    fn steps_are_read_from_its_lines() {
        assert_eq!(step("Resolved 14 packages in 5ms").as_deref(), Some("Fetching 14 packages"));
        assert_eq!(step("Prepared 2 packages in 1s").as_deref(), Some("Installing 2 packages"));
        assert_eq!(step(" + numpy==2.2.6"), None);
    }
}
