//! Error payloads in Lambda's exact shapes, and the ids that go into them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::extensions::Failure;
use crate::limits::MAX_PAYLOAD_BYTES;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With a status.
    Status(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// From the status word of `wait4`.
    pub(crate) fn from_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Status(libc::WEXITSTATUS(status))
        }
    }

    /// As Go's `ExitError` says it.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Status(status) => format!("exit status {status}"),
            Self::Signal(signal) => format!("signal: {}", signal_name(signal)),
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Status(0) => "Runtime exited without providing a reason".to_owned(),
            Self::Status(status) => format!("Runtime exited with error: exit status {status}"),
            Self::Signal(signal) => format!("Runtime exited with error: signal: {}", signal_name(signal)),
        }
    }
}

/// Signals as Go's `syscall.Signal` prints them, since Lambda's supervisor does.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGUSR1 => "user defined signal 1",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGUSR2 => "user defined signal 2",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// An error as Lambda prints it: the order of the two fields differs between kinds of error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypeFirst<'a> {
    error_type: &'a str,
    error_message: &'a str,
}

fn type_first(error_type: &str, error_message: &str) -> Vec<u8> {
    serde_json::to_vec(&TypeFirst { error_type, error_message }).unwrap_or_default()
}

/// The type of a process that ended without an answer.
pub(crate) const EXIT_ERROR: &str = "Runtime.ExitError";

/// The type of an event that took longer than it may.
pub(crate) const TIMED_OUT: &str = "Sandbox.Timedout";

/// The process ended without an answer.
pub(crate) fn exited(request_id: &str, exit: Exit) -> Vec<u8> {
    type_first(EXIT_ERROR, &format!("RequestId: {request_id} Error: {}", exit.reason()))
}

/// A function's own runtime cannot be executed.
pub(crate) const INVALID_ENTRYPOINT: &str = "Runtime.InvalidEntrypoint";

/// The payload of that.
pub(crate) fn invalid_entrypoint(request_id: &str, reason: &str) -> Vec<u8> {
    type_first(INVALID_ENTRYPOINT, &format!("RequestId: {request_id} Error: {reason}"))
}

/// The function's timeout, or the one of init, passed.
pub(crate) fn timed_out(request_id: &str, limit: Duration) -> Vec<u8> {
    let seconds = limit.as_secs_f64();
    type_first(
        TIMED_OUT,
        &format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds"),
    )
}

/// An extension ended, or said that it cannot go on.
pub(crate) fn failed(request_id: &str, failure: &Failure) -> Vec<u8> {
    type_first(failure.error_type, &format!("RequestId: {request_id} Error: {}", failure.reason))
}

/// An error that Lambda itself states.
pub(crate) fn platform(error_type: &str, message: &str) -> Vec<u8> {
    json!({"errorMessage": message, "errorType": error_type}).to_string().into_bytes()
}

/// The type of an error as Lambda tells it in logs and telemetry: those of its own kind stay
/// (`(Runtime|Function)\.[A-Z][a-zA-Z]+` in AWS's runtime interface emulator, and those of extensions), others become
/// `unknown`.
pub fn platform_type(error_type: &str, unknown: &str) -> String {
    let prefixes = ["Runtime.", "Function.", "Extension."];
    let name = prefixes.iter().find_map(|prefix| error_type.strip_prefix(prefix));
    let known = name.is_some_and(|name| {
        name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphabetic())
    });
    if known { error_type } else { unknown }.to_owned()
}

/// The type of an answer that is larger than Lambda takes.
pub(crate) const TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

/// The payload of that.
pub(crate) fn too_large() -> Vec<u8> {
    let message =
        format!("Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes).");
    platform(TOO_LARGE, &message)
}

/// The type in an error report, or what its header said, or Lambda's word for neither.
pub(crate) fn error_type(payload: &[u8], header: Option<&str>) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    parsed
        .as_ref()
        .and_then(|value| value.get("errorType"))
        .and_then(serde_json::Value::as_str)
        .filter(|text| !text.is_empty())
        .or(header)
        .unwrap_or("Runtime.Unknown")
        .to_owned()
}

/// What an error payload says, for people: its message without request ids, which are the engine's own; the payload as
/// text where it has none.
pub fn error_message(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let message = value.get("errorMessage").and_then(serde_json::Value::as_str).unwrap_or(&text);
    match message.split_once("Error: ") {
        Some((start, rest)) if start.starts_with("RequestId: ") => rest.to_owned(),
        _ => message.trim().to_owned(),
    }
}

/// 64 random bits.
pub(crate) fn random_u64() -> u64 {
    // Every `RandomState` has its own keys, seeded from the system's randomness.
    RandomState::new().build_hasher().finish()
}

/// A random number from 0 to less than 1.
pub fn random_share() -> f64 {
    // The 53 bits that a double holds.
    (random_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A random UUID (version 4).
pub fn uuid() -> String {
    let (high, low) = (random_u64(), random_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: Vec<u8>) -> String {
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn timeouts_read_as_lambda_writes_them() {
        assert_eq!(
            text(timed_out("id", Duration::from_secs(3))),
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 3.00 seconds"}"#
        );
    }

    #[test]
    fn exits_read_as_lambda_writes_them() {
        let message = |exit| text(exited("id", exit));
        assert_eq!(
            message(Exit::Status(0)),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited without providing a reason"}"#
        );
        assert!(message(Exit::Status(127)).ends_with(r#"Runtime exited with error: exit status 127"}"#));
        assert!(message(Exit::Signal(9)).ends_with(r#"Runtime exited with error: signal: killed"}"#));
    }

    #[test]
    fn wait_words_are_read() {
        assert_eq!(Exit::from_wait(3 << 8), Exit::Status(3));
        assert_eq!(Exit::from_wait(9), Exit::Signal(9));
    }

    #[test]
    fn large_answers_are_refused_in_lambdas_words() {
        assert_eq!(
            text(too_large()),
            r#"{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}"#
        );
    }

    #[test]
    fn error_types_come_from_the_report_first() {
        assert_eq!(error_type(br#"{"errorType":"ValueError"}"#, Some("Runtime.X")), "ValueError");
        assert_eq!(error_type(b"not json", Some("Runtime.X")), "Runtime.X");
        assert_eq!(error_type(b"{}", None), "Runtime.Unknown");
    }

    #[test]
    fn lambda_tells_only_types_of_its_own() {
        for known in ["Runtime.ImportModuleError", "Function.Oops"] {
            assert_eq!(platform_type(known, "?"), known);
        }
        for other in
            ["", "ValueError", "Runtime.", "Runtime.A", "Runtime.oops", "Function.A1", "Sandbox.Timedout"]
        {
            assert_eq!(platform_type(other, "?"), "?", "{other}");
        }
    }

    #[test]
    fn request_ids_leave_the_message() {
        let payload = exited("1-2", Exit::Status(1));
        assert_eq!(error_message(&payload), "Runtime exited with error: exit status 1");
        assert_eq!(error_message(br#"{"errorMessage":" no "}"#), "no");
        assert_eq!(error_message(b"not json\n"), "not json");
    }

    #[test]
    fn ids_are_random_and_well_formed() {
        let (a, b) = (uuid(), uuid());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
        assert_eq!(a.as_bytes()[14], b'4');
        assert!(matches!(a.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
