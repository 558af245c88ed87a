//! Credential helpers: programs `docker-credential-NAME` that keep logins, asked by docker's protocol. `get` has the
//! server on standard input and a JSON object on standard output.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use serde::Deserialize;

use super::{Login, Secret};
use crate::faults::readable;

/// How long a helper may take; some of them ask a cloud.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks at a helper.
const TICK: Duration = Duration::from_millis(20);

/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 64 * 1024;

/// The name that stands for an identity token in the answers.
const TOKEN_USER: &str = "<token>";

/// How helpers say that they do not know a server: with this text and a status other than 0.
const UNKNOWN: &str = "credentials not found";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// A question to a helper.
pub(super) struct Question<'a> {
    /// What follows `docker-credential-` in the program's name.
    pub name: &'a str,
    /// The key under which the login is kept.
    pub server: &'a str,
    /// The file that names the helper.
    pub file: &'a Utf8Path,
    /// Where the program is looked for; `PATH` where this is `None`.
    pub path: Option<&'a OsStr>,
    /// How long it may take.
    pub timeout: Duration,
}

impl<'a> Question<'a> {
    /// About a server, with the usual patience.
    pub(super) fn new(name: &'a str, server: &'a str, file: &'a Utf8Path) -> Self {
        Self { name, server, file, path: None, timeout: TIMEOUT }
    }

    /// What the helper knows of the server; `None` where it knows nothing.
    ///
    /// # Errors
    /// Surroundings: there is no such program, it fails or takes too long.
    pub(super) fn ask(&self, progress: &dyn Progress) -> Result<Option<Login>> {
        let mut child = self.start()?;
        // A helper that does not read its input is judged by its answer.
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(self.server.as_bytes());
        }
        let output = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(output) = output {
                let _ = output.take(ANSWER_BYTES).read_to_end(&mut text);
            }
            text
        });
        let status = wait(&mut child, self.timeout, progress)
            .inspect_err(|_| end(&mut child))?
            .ok_or_else(|| self.failed(format!("it took more than {} s", self.timeout.as_secs())))?;
        let text = collect(reader).ok_or_else(|| self.failed("it left its output open"))?;
        if status.success() {
            return self.understand(&text).map(Some);
        }
        let said = String::from_utf8_lossy(&text).to_lowercase();
        // What it said otherwise is not quoted: it may hold what it was to keep.
        if said.contains(UNKNOWN) { Ok(None) } else { Err(self.failed(format!("it ended with {status}"))) }
    }

    fn start(&self) -> Result<Child> {
        if self.name.contains('/') {
            return Err(self.failed("its name has a slash"));
        }
        let mut command = Command::new(format!("docker-credential-{}", self.name));
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = self.path {
            command.env("PATH", path);
        }
        command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.failed("there is no such program on PATH"),
            _ => self.failed(error),
        })
    }

    fn understand(&self, text: &[u8]) -> Result<Login> {
        let answer: Answer = serde_json::from_slice(text)
            .map_err(|_| self.failed("its answer is not JSON as docker wants it"))?;
        let secret = Secret::new(answer.secret);
        Ok(match answer.user {
            user if user == TOKEN_USER => Login::Identity(secret),
            user => Login::Password { user, secret },
        })
    }

    fn failed(&self, cause: impl std::fmt::Display) -> Error {
        let program = format!("docker-credential-{}", readable(self.name, 100));
        Error::surroundings(format!("the credential helper `{program}` gave no login"))
            .cause(cause)
            .place(self.file.as_str())
            .hint("see that the helper works, or take it out of `credHelpers` and `credsStore` of that file")
    }
}

/// `None` where time is up; the helper is ended then.
fn wait(
    child: &mut Child,
    timeout: Duration,
    progress: &dyn Progress,
) -> Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        if started.elapsed() > timeout {
            end(child);
            return Ok(None);
        }
        thread::sleep(TICK);
    }
}

/// The answer of a helper that has ended. One that leaves a child behind, which holds the pipe open, gets no more time.
fn collect(reader: thread::JoinHandle<Vec<u8>>) -> Option<Vec<u8>> {
    let started = Instant::now();
    while !reader.is_finished() {
        if started.elapsed() > Duration::from_secs(1) {
            return None;
        }
        thread::sleep(TICK);
    }
    reader.join().ok()
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use fs_err as fs;
    use glowplug_core::NoProgress;

    use super::*;

    /// What a helper that is this script tells.
    fn ask(name: &str, script: &str) -> Result<Option<Login>> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-mock");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let file = Utf8Path::new("/c.json");
        let mut question = Question::new(name, "host.example", file);
        question.path = Some(OsStr::new(&path));
        question.timeout = Duration::from_secs(2);
        question.ask(&NoProgress)
    }

    #[test]
    fn a_helper_is_given_the_server_and_gives_the_login() {
        let script =
            r#"read server; printf '{"ServerURL":"%s","Username":"%s","Secret":"s"}' "$server" "$1-$server""#;
        let password = Login::Password { user: "get-host.example".into(), secret: Secret::new("s") };
        assert_eq!(ask("mock", script).unwrap(), Some(password));
        let token = r#"echo '{"Username":"<token>","Secret":"t"}'"#;
        assert_eq!(ask("mock", token).unwrap(), Some(Login::Identity(Secret::new("t"))));
        assert_eq!(ask("mock", "echo credentials not found in native keychain; exit 1").unwrap(), None);
    }

    #[test]
    fn a_helper_that_fails_is_named_with_the_file_that_wants_it() {
        for (name, script, cause) in [
            ("of-nobody", "", "no such program"),
            ("../../bin/sh", "", "slash"),
            ("mock", "echo hush; exit 3", "exit status: 3"),
            ("mock", "echo hush", "not JSON"),
            ("mock", "exec sleep 60", "more than 2 s"),
            ("mock", "sleep 5 & exit 0", "left its output open"),
        ] {
            let error = ask(name, script).err().unwrap();
            assert!(error.to_string().contains(cause) && error.where_() == Some("/c.json"), "{error}");
            assert!(error.message().contains("docker-credential-") && !error.to_string().contains("hush"));
        }
    }
}
