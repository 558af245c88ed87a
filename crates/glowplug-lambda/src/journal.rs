//! The log lines of an invoke, as Lambda writes them, and what the invoke is billed.
//!
//! The lines are those of recorded logs: fields of a `REPORT` line end with a tab each, which programs that read them
//! rely on.

use glowplug_engine::{Init, InitOutcome, Invocation, Outcome};
use serde_json::{Value, json};

use crate::model::Logging;
use crate::pool::Cold;

/// Bytes of the log that a client gets with its answer (`LogResult` of the service model).
const TAIL_BYTES: usize = 4096;

/// What is told of one invoke.
#[derive(Debug, Clone)]
pub(crate) struct Told<'a> {
    pub(crate) version: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) memory_mb: u32,
    pub(crate) function: &'a str,
    pub(crate) logging: &'a Logging,
    /// The start of the environment, where the invoke had to wait for it.
    pub(crate) cold: Option<&'a Cold>,
    pub(crate) invocation: &'a Invocation,
    /// Now, as ISO 8601.
    pub(crate) time: &'a str,
}

/// The lines, and the billed duration in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) text: Vec<u8>,
    pub(crate) billed_ms: u64,
}

impl Told<'_> {
    pub(crate) fn journal(&self) -> Journal {
        if self.logging.json {
            return self.json();
        }
        let mut text = Vec::new();
        if let Some(cold) = self.cold {
            let kind = if cold.restored { "RESTORE" } else { "INIT" };
            // An image has no runtime of Lambda's.
            if !self.runtime.is_empty() {
                text.extend(start_line(kind, self.runtime).into_bytes());
            }
            whole_lines(&mut text, cold.said.join("\n").as_bytes());
            whole_lines(&mut text, &cold.output);
            if let Some(report) = start_report(cold) {
                text.extend(report.into_bytes());
            }
        }
        let id = &self.invocation.request_id;
        text.extend(format!("START RequestId: {id} Version: {}\n", self.version).into_bytes());
        whole_lines(&mut text, &self.invocation.log);
        text.extend(self.ending().into_bytes());
        text.extend(format!("END RequestId: {id}\n").into_bytes());
        let billed_ms = self.billed_ms();
        text.extend(self.report(billed_ms).into_bytes());
        Journal { text, billed_ms }
    }

    /// The same in JSON: a record a line, as the Telemetry API has them. Those of level DEBUG are not told.
    fn json(&self) -> Journal {
        let mut text = Vec::new();
        let says = self.logging.system_level.as_deref() != Some("WARN");
        let add = |text: &mut Vec<u8>, kind: &str, record: Value| {
            if says {
                let line = json!({"time": self.time, "type": kind, "record": record});
                text.extend(format!("{line}\n").into_bytes());
            }
        };
        if let Some(cold) = self.cold {
            let [start, report] =
                if cold.restored { ["restoreStart", "restoreReport"] } else { ["initStart", "initReport"] };
            let mut record = json!({
                "functionName": self.function, "functionVersion": self.version,
            });
            if !self.runtime.is_empty() {
                record["runtimeVersion"] = json!(self.runtime.replacen("python", "python:", 1) + ".v0");
            }
            let mut ending = json!({
                "status": cold.init.outcome.status(),
                "metrics": {"durationMs": rounded(cold.init.duration_ms())},
            });
            if !cold.restored {
                for record in [&mut record, &mut ending] {
                    record["initializationType"] = json!("on-demand");
                    record["phase"] = json!("init");
                }
            }
            add(&mut text, &format!("platform.{start}"), record);
            whole_lines(&mut text, cold.said.join("\n").as_bytes());
            whole_lines(&mut text, &cold.output);
            if cold.restored || cold.init.outcome != InitOutcome::Ready {
                add(&mut text, &format!("platform.{report}"), ending);
            }
        }
        let invocation = self.invocation;
        let id = &invocation.request_id;
        add(&mut text, "platform.start", json!({"requestId": id, "version": self.version}));
        whole_lines(&mut text, &invocation.log);
        let billed_ms = self.billed_ms();
        add(&mut text, "platform.report", self.record(billed_ms));
        Journal { text, billed_ms }
    }

    /// `platform.report`, as the Telemetry API has it.
    pub(crate) fn record(&self, billed_ms: u64) -> Value {
        let (invocation, id) = (self.invocation, &self.invocation.request_id);
        let mut metrics = json!({
            "durationMs": rounded(invocation.duration_ms),
            "billedDurationMs": billed_ms,
            "memorySizeMB": self.memory_mb,
            "maxMemoryUsedMB": invocation.peak_memory_kib.div_ceil(1024),
        });
        if let Some(init_ms) = self.init_ms() {
            metrics["initDurationMs"] = json!(rounded(init_ms));
        }
        if let Some((restore_ms, billed_restore_ms)) = self.restore_ms() {
            metrics["restoreDurationMs"] = json!(rounded(restore_ms));
            metrics["billedRestoreDurationMs"] = json!(billed_restore_ms);
        }
        let mut record = json!({"requestId": id, "metrics": metrics, "status": "success"});
        match &invocation.outcome {
            Outcome::Success(_) => {}
            Outcome::TimedOut(_) => record["status"] = json!("timeout"),
            Outcome::HandlerError(_) | Outcome::Exited(_) => {
                record["status"] = json!("error");
                record["errorType"] = json!(invocation.error_type);
            }
        }
        record
    }

    /// Init is billed as the invoke is, and so is the billed part of a restore.
    fn billed_ms(&self) -> u64 {
        let restored = self.restore_ms().map_or(0, |(_, billed)| billed);
        self.invocation.billed_ms(self.init_ms().unwrap_or(0.0) + restored as f64)
    }

    /// Init Duration, where init succeeded and the invoke waited for it.
    fn init_ms(&self) -> Option<f64> {
        let cold = self.cold.filter(|cold| !cold.restored && cold.init.outcome == InitOutcome::Ready)?;
        Some(cold.init.duration_ms())
    }

    /// Restore Duration, and what of it is billed: the runtime's start and the hooks ("Lambda SnapStart" in the developer
    /// guide).
    fn restore_ms(&self) -> Option<(f64, u64)> {
        let cold = self.cold.filter(|cold| cold.restored && cold.init.outcome == InitOutcome::Ready)?;
        Some((cold.init.duration_ms(), cold.init.init_ms.ceil() as u64))
    }

    /// What the service itself writes where the function did not come to its end.
    fn ending(&self) -> String {
        let id = &self.invocation.request_id;
        match &self.invocation.outcome {
            Outcome::Success(_) | Outcome::HandlerError(_) => String::new(),
            Outcome::TimedOut(payload) => {
                let message = message(payload);
                let timed_out = message.split_once("Error: ").map_or(message.as_str(), |(_, rest)| rest);
                format!("{} {id} {timed_out}\n\n", self.time)
            }
            Outcome::Exited(payload) => format!("{}\nRuntime.ExitError\n", message(payload)),
        }
    }

    fn report(&self, billed_ms: u64) -> String {
        let invocation = self.invocation;
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {:.2} ms\tBilled Duration: {billed_ms} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
            invocation.request_id,
            invocation.duration_ms,
            self.memory_mb,
            invocation.peak_memory_kib.div_ceil(1024),
        );
        if let Some(init_ms) = self.init_ms() {
            line.push_str(&format!("Init Duration: {init_ms:.2} ms\t"));
        }
        if let Some((restore_ms, billed)) = self.restore_ms() {
            line.push_str(&format!(
                "Restore Duration: {restore_ms:.2} ms\tBilled Restore Duration: {billed} ms\t"
            ));
        }
        match &invocation.outcome {
            Outcome::Success(_) | Outcome::HandlerError(_) => {}
            Outcome::TimedOut(_) => line.push_str("Status: timeout\t"),
            Outcome::Exited(_) => line.push_str("Status: error\tError Type: Runtime.ExitError\t"),
        }
        line + "\n"
    }
}

/// The last bytes of a log, as much as a client gets.
pub(crate) fn tail(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(TAIL_BYTES)..]
}

/// What is logged of a snapshot that is made ahead of events.
pub(crate) fn snapshot(runtime: &str, init: &Init, output: &[u8]) -> Vec<u8> {
    let mut text = start_line("INIT", runtime).into_bytes();
    whole_lines(&mut text, output);
    if init.outcome != InitOutcome::Ready {
        text.extend(failed_init(init).into_bytes());
    }
    text
}

/// `INIT_START`, or `RESTORE_START`.
fn start_line(kind: &str, runtime: &str) -> String {
    let runtime = runtime.replacen("python", "python:", 1);
    format!(
        "{kind}_START Runtime Version: {runtime}.v0\tRuntime Version ARN: arn:aws:lambda:{}::runtime:{:064x}\n",
        glowplug_engine::REGION,
        0
    )
}

/// A restore has a line of its own, of inits those that failed.
fn start_report(cold: &Cold) -> Option<String> {
    let init = &cold.init;
    match (cold.restored, init.outcome == InitOutcome::Ready) {
        (true, true) => Some(format!("RESTORE_REPORT Restore Duration: {:.2} ms\n", init.duration_ms())),
        (true, false) => {
            let status = failure(&init.outcome);
            Some(format!("RESTORE_REPORT Restore Duration: {:.2} ms\tStatus: {status}\n", init.duration_ms()))
        }
        (false, true) => None,
        (false, false) => Some(failed_init(init)),
    }
}

fn failed_init(init: &Init) -> String {
    let status = failure(&init.outcome);
    format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: init\tStatus: {status}\n", init.duration_ms())
}

/// How a line tells an init that failed.
fn failure(outcome: &InitOutcome) -> String {
    match outcome {
        InitOutcome::Error { error_type, .. } => {
            format!("error\tError Type: {}", glowplug_engine::platform_type(error_type, "Runtime.Unknown"))
        }
        InitOutcome::Exited { .. } => "error\tError Type: Runtime.ExitError".to_owned(),
        InitOutcome::Ready | InitOutcome::TimedOut { .. } => outcome.status().to_owned(),
    }
}

/// Two digits after the point.
fn rounded(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

/// Output, ended by a line break if there is any.
fn whole_lines(text: &mut Vec<u8>, output: &[u8]) {
    text.extend_from_slice(output);
    if output.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
}

fn message(payload: &[u8]) -> String {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    value["errorMessage"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(outcome: Outcome) -> Invocation {
        Invocation {
            error_type: None,
            outcome,
            duration_ms: 47.276,
            cpu_ms: 1.0,
            peak_memory_kib: 86 * 1024 - 5,
            log: b"hello".to_vec(),
            request_id: "id".to_owned(),
            start_ns: 0,
            end_ns: 0,
        }
    }

    fn init(outcome: InitOutcome) -> Init {
        Init {
            outcome,
            interpreter_ms: None,
            runtime_ms: 40.0,
            init_ms: 300.741,
            cpu_ms: 1.0,
            runtime_cpu_ms: None,
            peak_memory_kib: 1,
            process_start_ns: 0,
            ready_ns: 0,
        }
    }

    fn lines(outcome: Outcome, start: Option<(&Init, &[u8])>) -> (String, u64) {
        written(outcome, start, (false, false))
    }

    fn written(
        outcome: Outcome,
        start: Option<(&Init, &[u8])>,
        (json, restored): (bool, bool),
    ) -> (String, u64) {
        let cold = start.map(|(init, output)| Cold {
            init: init.clone(),
            output: output.to_vec(),
            restored,
            said: Vec::new(),
        });
        let invocation = invocation(outcome);
        let told = Told {
            version: "$LATEST",
            runtime: "python3.13",
            memory_mb: 128,
            function: "f",
            logging: &Logging { json, ..Logging::default() },
            cold: cold.as_ref(),
            invocation: &invocation,
            time: "2026-11-29T10:00:00.000Z",
        };
        let journal = told.journal();
        (String::from_utf8(journal.text).unwrap(), journal.billed_ms)
    }

    #[test]
    fn a_warm_invoke_has_three_lines_and_its_own() {
        let (text, billed) = lines(Outcome::Success(Vec::new()), None);
        assert_eq!(
            text,
            "START RequestId: id Version: $LATEST\nhello\nEND RequestId: id\n\
             REPORT RequestId: id\tDuration: 47.28 ms\tBilled Duration: 48 ms\tMemory Size: 128 MB\tMax Memory Used: 86 MB\t\n"
        );
        assert_eq!(billed, 48);
    }

    #[test]
    fn a_cold_one_tells_its_init_and_is_billed_for_it() {
        let (text, billed) =
            lines(Outcome::Success(Vec::new()), Some((&init(InitOutcome::Ready), b"made\n")));
        assert!(text.starts_with("INIT_START Runtime Version: python:3.13.v0\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0"), "{text}");
        assert!(text.contains("\nmade\nSTART "), "{text}");
        assert!(text.ends_with("Max Memory Used: 86 MB\tInit Duration: 340.74 ms\t\n"), "{text}");
        assert_eq!(billed, 389);
    }

    #[test]
    fn what_does_not_come_to_its_end_is_told() {
        let payload = br#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 1.00 seconds"}"#;
        let (text, _) = lines(Outcome::TimedOut(payload.to_vec()), None);
        assert!(
            text.contains("\n2026-11-29T10:00:00.000Z id Task timed out after 1.00 seconds\n\nEND"),
            "{text}"
        );
        assert!(text.ends_with("Max Memory Used: 86 MB\tStatus: timeout\t\n"), "{text}");
        let payload = br#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 3"}"#;
        let failed = init(InitOutcome::Exited { payload: Vec::new() });
        let (text, billed) = lines(Outcome::Exited(payload.to_vec()), Some((&failed, b"")));
        assert!(text.contains("\nINIT_REPORT Init Duration: 340.74 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\nSTART"), "{text}");
        assert!(
            text.contains(
                "RequestId: id Error: Runtime exited with error: exit status 3\nRuntime.ExitError\nEND"
            ),
            "{text}"
        );
        assert!(text.ends_with("Status: error\tError Type: Runtime.ExitError\t\n"), "{text}");
        assert_eq!(billed, 48);
    }

    #[test]
    fn records_of_json_are_those_of_telemetry() {
        let (text, billed) =
            written(Outcome::Success(Vec::new()), Some((&init(InitOutcome::Ready), b"{}")), (true, false));
        let records: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
        let kinds: Vec<&str> = records.iter().filter_map(|record| record["type"].as_str()).collect();
        assert_eq!(kinds, ["platform.initStart", "platform.start", "platform.report"], "{text}");
        let report = &records[records.len() - 1]["record"];
        assert_eq!(
            report["metrics"],
            json!({"durationMs": 47.28, "billedDurationMs": billed, "memorySizeMB": 128, "maxMemoryUsedMB": 86, "initDurationMs": 340.74})
        );
        assert_eq!(report["status"], "success");
    }

    #[test]
    fn a_restore_is_told_and_its_hooks_are_billed() {
        let restore = init(InitOutcome::Ready);
        let (text, billed) =
            written(Outcome::Success(Vec::new()), Some((&restore, b"back\n")), (false, true));
        assert!(
            text.starts_with("RESTORE_START Runtime Version: python:3.13.v0\tRuntime Version ARN: "),
            "{text}"
        );
        assert!(text.contains("\nback\nRESTORE_REPORT Restore Duration: 340.74 ms\nSTART "), "{text}");
        let end = "Max Memory Used: 86 MB\tRestore Duration: 340.74 ms\tBilled Restore Duration: 301 ms\t\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(billed, 349);
        let (text, _) = written(Outcome::Success(Vec::new()), Some((&restore, b"")), (true, true));
        assert!(text.contains("platform.restoreStart") && text.contains("platform.restoreReport"), "{text}");
        assert!(text.contains("\"restoreDurationMs\":340.74"), "{text}");
    }

    #[test]
    fn clients_get_the_end_of_a_log() {
        assert_eq!(tail(&vec![b'x'; 5000]).len(), 4096);
        assert_eq!(tail(b"short"), b"short");
    }
}
