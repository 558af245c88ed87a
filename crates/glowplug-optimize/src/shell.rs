//! A command of the user's, run by the shell with all that it starts, none of which outlives us.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use glowplug_core::{Error, Progress, Result};

/// How often a waiting caller looks.
const GLANCE: Duration = Duration::from_millis(20);

/// How long what the command started gets to end by itself.
const GRACE: Duration = Duration::from_millis(300);

/// A running command; its whole process group is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Shell {
    child: Child,
    /// Keeps the group's number from being given to another process as long as the child is not waited for.
    group: Pid,
    output: std::fs::File,
}

impl Shell {
    /// Starts `command` in `folder`, with these variables on top of ours.
    pub(crate) fn start(command: &str, folder: &Utf8Path, variables: &[(&str, &str)]) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::surroundings("cannot run a command of the function's configuration")
                .cause(error)
                .place(command)
        };
        let output = tempfile::tempfile()?;
        let child = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = Pid::from_raw(child.id().cast_signed())
            .ok_or_else(|| Error::defect("a process has no number"))?;
        Ok(Self { child, group, output })
    }

    /// Waits until the shell has ended and says whether it succeeded; `None` when the time is up before.
    ///
    /// # Errors
    /// Interruption.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, progress: &dyn Progress) -> Result<Option<bool>> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let status = waitid(WaitId::Pid(self.group), options).map_err(std::io::Error::from)?;
            if let Some(status) = status {
                return Ok(Some(status.exit_status() == Some(0)));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// The last lines that it wrote to standard output and standard error.
    pub(crate) fn last_lines(&mut self, count: usize) -> String {
        let mut bytes = Vec::new();
        let read = self.output.seek(SeekFrom::Start(0)).and_then(|_| self.output.read_to_end(&mut bytes));
        if read.is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if kill_process_group(self.group, Signal::TERM).is_ok() {
            std::thread::sleep(GRACE);
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::NoProgress;

    fn here() -> &'static Utf8Path {
        Utf8Path::new("/")
    }

    #[test]
    fn output_and_success_are_told() {
        let mut shell = Shell::start("echo one; echo two >&2; exit 3", here(), &[]).unwrap();
        assert_eq!(shell.wait(None, &NoProgress).unwrap(), Some(false));
        assert_eq!(shell.last_lines(1), "two");
        let mut shell = Shell::start("test \"$GP\" = x", here(), &[("GP", "x")]).unwrap();
        assert_eq!(shell.wait(None, &NoProgress).unwrap(), Some(true));
    }

    #[test]
    fn what_it_left_in_the_background_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}", file.display());
        let mut shell = Shell::start(&command, here(), &[]).unwrap();
        assert_eq!(shell.wait(None, &NoProgress).unwrap(), Some(true));
        let pid = std::fs::File::open(&file).map(std::io::read_to_string).unwrap().unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
        assert!(process.exists());
        drop(shell);
        // The background process is nobody's child here: it may take init a moment to collect it.
        let gone = || fs_err::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
        while !gone() {
            std::thread::sleep(GLANCE);
        }
    }
}
