//! `[verify] setup`: the command that starts what the function needs locally.

use std::time::Duration;

use camino::Utf8Path;

use glowplug_core::{Error, Progress, Result};
use glowplug_function::Function;

use crate::shell::Shell;

/// A command that still runs after this long is a service: it is ended with the build.
const SETTLE: Duration = Duration::from_secs(3);

/// Last lines of a failed command that the error shows.
const SHOWN: usize = 20;

/// What the command started, or nothing; ended when dropped.
#[derive(Debug)]
pub(crate) struct Setup(#[expect(dead_code, reason = "held for its drop")] Option<Shell>);

impl Setup {
    /// Runs the command in the function's folder; one that exits 0 has prepared what is needed, one that
    /// keeps running is a service.
    ///
    /// # Errors
    /// An input error where it exits with another code, surroundings where it cannot be started.
    pub(crate) fn start(function: &Function, progress: &dyn Progress) -> Result<Self> {
        let Some(command) = &function.verify.setup else { return Ok(Self(None)) };
        progress.start("Running the setup command", None);
        let folder = if function.root.is_dir() { function.root.as_path() } else { Utf8Path::new(".") };
        let mut shell = Shell::start(command, folder, &[])?;
        let ended = shell.wait(Some(SETTLE), progress)?;
        progress.finish();
        match ended {
            Some(true) => Ok(Self(Some(shell))),
            Some(false) => Err(Error::input("the setup command failed")
                .cause(shell.last_lines(SHOWN))
                .place(format!("[verify] setup = {command:?}"))
                .hint("run it by itself in the function's folder")),
            None => {
                progress
                    .note("the setup command still runs: it is taken for a service and ended with the build");
                Ok(Self(Some(shell)))
            }
        }
    }
}
