//! One compiler process: a line of JSON in, a line of JSON out.
//!
//! Asked `{"id":1,"source":"/abs/app.py","filename":"/var/task/app.py","out":"/abs/out.pyc","edits":null}`,
//! it answers `{"id":1,"ok":true}` or `{"id":1,"ok":false,"kind":"syntax|edit|io","error":"…"}`.
//! It ends when its input ends, and is killed when the [`Worker`] is dropped.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use serde::{Deserialize, Serialize};

use super::{CompileJob, FailureKind, clean_python};

/// How long one module may take: the largest known take seconds.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a waiting thread looks whether the user asked to stop.
const GLANCE: Duration = Duration::from_millis(100);
/// How much of a dead worker's last words is kept, in bytes.
const LAST_WORDS: u64 = 4096;

/// A running compiler process.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    errors: std::fs::File,
    asked: u64,
}

/// What became of a question.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Failed {
        kind: FailureKind,
        message: String,
    },
    /// The process is gone, or answers nonsense: start another one.
    Died {
        message: String,
    },
}

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    source: &'a Utf8Path,
    filename: &'a str,
    out: &'a Utf8Path,
    edits: &'a Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Response {
    id: u64,
    ok: bool,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    error: String,
}

impl Worker {
    /// Starts the compiler in `script` on the interpreter `python`, which leaves columns out if it is told to.
    pub(super) fn start(python: &Utf8Path, script: &Path, columns: bool) -> Result<Self> {
        let errors = tempfile::tempfile()?;
        let mut command = clean_python(python);
        if !columns {
            command.env("PYTHONNODEBUGRANGES", "1");
        }
        let mut child = command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()
            .map_err(|error| {
                Error::surroundings("cannot start the compiler").cause(error).place(python.as_str())
            })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::defect("the compiler was started without pipes"));
        };
        let (send, lines) = channel();
        // Ends by itself with the process, whose output it reads.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines, errors, asked: 0 })
    }

    /// Has one job compiled to `out`.
    ///
    /// Errors: interruption only; all else is an answer.
    pub(super) fn ask(
        &mut self,
        job: &CompileJob,
        out: &Utf8Path,
        progress: &dyn Progress,
    ) -> Result<Answer> {
        self.asked += 1;
        let request =
            Request { id: self.asked, source: &job.source, filename: &job.task_path, out, edits: &job.edits };
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| Error::defect("cannot write a compile request").cause(error))?;
        line.push(b'\n');
        if self.input.write_all(&line).and_then(|()| self.input.flush()).is_err() {
            return Ok(self.died("it no longer reads"));
        }
        let started = Instant::now();
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => return Ok(self.understand(&line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(self.died("it ended")),
                Err(RecvTimeoutError::Timeout) if progress.interrupted() => return Err(Error::interrupted()),
                Err(RecvTimeoutError::Timeout) if started.elapsed() > PATIENCE => {
                    return Ok(self.died("it took longer than two minutes"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn understand(&mut self, line: &str) -> Answer {
        match serde_json::from_str::<Response>(line) {
            Ok(response) if response.id != self.asked => self.died("it answered another question"),
            Ok(Response { ok: true, .. }) => Answer::Done,
            Ok(Response { kind, error, .. }) => {
                let kind = match kind.as_str() {
                    "syntax" => FailureKind::Syntax,
                    "edit" => FailureKind::Edit,
                    _ => FailureKind::Io,
                };
                Answer::Failed { kind, message: error }
            }
            Err(error) => self.died(&format!("its answer is not understood: {error}")),
        }
    }

    /// Ends the process and collects its last words.
    fn died(&mut self, why: &str) -> Answer {
        // It may be gone already; then there is nothing to kill.
        let _ = self.child.kill();
        let status =
            self.child.wait().map_or_else(|_| "unknown status".to_owned(), |status| status.to_string());
        let mut words = Vec::new();
        let length = self.errors.metadata().map_or(0, |metadata| metadata.len());
        let read = self
            .errors
            .seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))
            .and_then(|_| (&mut self.errors).take(LAST_WORDS).read_to_end(&mut words));
        let words =
            if read.is_ok() { String::from_utf8_lossy(&words).trim().to_owned() } else { String::new() };
        Answer::Died { message: format!("the compiler failed: {why} ({status}): {words}") }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
