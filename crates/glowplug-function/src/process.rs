//! Runs a helper program: its output as text, its lines as they come, and its end when the user asks to stop.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use glowplug_core::{Error, Progress, Result};

/// How often a waiting step looks whether the user asked to stop.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// Lines of a failed program's output that an error shows.
const SHOWN: usize = 12;

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The last lines that say why it failed.
    pub(crate) fn reason(&self) -> String {
        self.reason_without(&[])
    }

    /// The same without lines that start with one of `noise`.
    pub(crate) fn reason_without(&self, noise: &[&str]) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let speaks = |line: &&str| !line.is_empty() && !noise.iter().any(|start| line.starts_with(start));
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(speaks).collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

/// Runs `command` to its end; `on_line` sees each line of its standard error.
///
/// # Errors
/// Surroundings: it cannot be started, or takes longer than `limit`. Interrupted: the user asked to stop; then the
/// program and its children are gone.
pub(crate) fn run(
    command: &mut Command,
    limit: Option<Duration>,
    progress: &dyn Progress,
    on_line: &mut dyn FnMut(&str),
) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Error::surroundings(format!("cannot start `{name}`")).cause(error))?;
    let stdout = child.stdout.take().map(collect);
    let (lines, reader) = child.stderr.take().map(lines).unzip();
    let mut stderr = String::new();
    let started = Instant::now();
    let waited =
        wait(&mut child, lines.as_ref(), limit.map(|limit| started + limit), progress, &mut |line| {
            on_line(line);
            stderr.push_str(line);
            stderr.push('\n');
        });
    if waited.is_err() {
        end(&mut child);
    }
    let stdout = stdout.and_then(|reader| reader.join().ok()).unwrap_or_default();
    drop(reader.map(JoinHandle::join));
    let success = waited.map_err(|error| if error.message().is_empty() { too_long(&name) } else { error })?;
    Ok(Finished { success, stdout, stderr })
}

fn too_long(name: &str) -> Error {
    Error::surroundings(format!("`{name}` does not come to an end"))
}

/// Waits for the end of the output, then of the program.
fn wait(
    child: &mut Child,
    lines: Option<&Receiver<String>>,
    deadline: Option<Instant>,
    progress: &dyn Progress,
    on_line: &mut dyn FnMut(&str),
) -> Result<bool> {
    let mut open = true;
    loop {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Error::surroundings(""));
        }
        match lines.map(|lines| lines.recv_timeout(TICK)) {
            Some(Ok(line)) => on_line(&line),
            Some(Err(RecvTimeoutError::Timeout)) => {}
            Some(Err(RecvTimeoutError::Disconnected)) | None => open = false,
        }
        if !open {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Ends the program with everything that it started.
fn end(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn lines(stream: impl Read + Send + 'static) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    (receiver, reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::{ErrorClass, NoProgress};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_lines_arrive() {
        let mut seen = Vec::new();
        let finished =
            run(&mut shell("echo out; echo one >&2; echo two >&2; exit 3"), None, &NoProgress, &mut |line| {
                seen.push(line.to_owned());
            })
            .unwrap();
        assert!(!finished.success);
        assert_eq!(finished.stdout, "out\n");
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(finished.reason(), "one\ntwo");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let limit = Some(Duration::from_millis(100));
        let error = run(&mut shell("sleep 600 & sleep 600"), limit, &NoProgress, &mut |_| {}).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Surroundings);
        assert_eq!(error.message(), "`sh` does not come to an end");
    }

    #[test]
    fn the_user_can_stop_it() {
        #[derive(Default)]
        struct Stop(AtomicBool);
        impl Progress for Stop {
            fn start(&self, _: &str, _: Option<u64>) {}
            fn advance(&self, _: u64) {}
            fn finish(&self) {}
            fn note(&self, _: &str) {}
            fn interrupted(&self) -> bool {
                self.0.load(Ordering::Relaxed)
            }
        }
        let stop = Stop::default();
        let error = run(&mut shell("echo started >&2; sleep 600"), None, &stop, &mut |_| {
            stop.0.store(true, Ordering::Relaxed);
        })
        .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Interrupted);
    }
}
