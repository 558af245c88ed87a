//! What the log of an invoke says of it: the `REPORT` line, or the record `platform.report` of a log in JSON.
//!
//! Lines are those of recorded logs ("Lambda standard output" in the developer guide has the fields): every field ends
//! with a tab. Records are those of the Telemetry API (`platform.report`, `platform.initReport`). The function may write
//! what it likes before, the like of a `REPORT` line too: the last one is Lambda's.

use serde_json::Value;

/// What Lambda reports of an invoke. Durations are in µs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    pub(crate) duration_us: u64,
    pub(crate) billed_ms: u64,
    pub(crate) memory_mb: u64,
    pub(crate) used_mb: u64,
    /// Only of a cold start whose init came to its end.
    pub(crate) init_us: Option<u64>,
    /// Only of a start from a snapshot.
    pub(crate) restore_us: Option<u64>,
    pub(crate) status: Status,
    pub(crate) error_type: Option<String>,
    /// An init before the invoke that did not come to its end: how long it took.
    pub(crate) failed_init_us: Option<u64>,
}

/// How an invoke ended, as the report has it. An error of the handler's own is no error here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Success,
    TimedOut,
    Failed,
}

impl Report {
    /// Reads the end of a log; nothing where it has no report.
    pub(crate) fn read(log: &str) -> Option<Self> {
        let mut report =
            log.lines().rev().find_map(|line| line_report(line).or_else(|| record_report(line)))?;
        report.failed_init_us =
            log.lines().find_map(|line| failed_init(line).or_else(|| failed_record(line)));
        Some(report)
    }
}

/// The fields of a line that begins with `kind`: names and values.
fn fields<'l>(line: &'l str, kind: &str) -> Option<impl Iterator<Item = (&'l str, &'l str)>> {
    let rest = line.trim_end_matches(['\r', '\n']).strip_prefix(kind)?;
    Some(rest.split('\t').filter_map(|field| field.trim().split_once(": ")))
}

fn line_report(line: &str) -> Option<Report> {
    let (mut duration, mut billed, mut memory, mut used) = (None, None, None, None);
    let mut report = Report::default();
    for (name, value) in fields(line, "REPORT ")? {
        match name {
            "Duration" => duration = micros(value),
            "Billed Duration" => billed = whole(value, " ms"),
            "Memory Size" => memory = whole(value, " MB"),
            "Max Memory Used" => used = whole(value, " MB"),
            "Init Duration" => report.init_us = micros(value),
            "Restore Duration" => report.restore_us = micros(value),
            "Status" => report.status = status(value),
            "Error Type" => report.error_type = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Report { duration_us: duration?, billed_ms: billed?, memory_mb: memory?, used_mb: used?, ..report })
}

fn record_report(line: &str) -> Option<Report> {
    let record = record(line, "platform.report")?;
    let metrics = &record["metrics"];
    let ms = |name: &str| metrics[name].as_f64().and_then(as_micros);
    Some(Report {
        duration_us: ms("durationMs")?,
        billed_ms: metrics["billedDurationMs"].as_u64()?,
        memory_mb: metrics["memorySizeMB"].as_u64()?,
        used_mb: metrics["maxMemoryUsedMB"].as_u64()?,
        init_us: ms("initDurationMs"),
        restore_us: ms("restoreDurationMs"),
        status: record["status"].as_str().map_or(Status::Success, status),
        error_type: record["errorType"].as_str().map(str::to_owned),
        failed_init_us: None,
    })
}

/// `INIT_REPORT` is written of an init that failed or took too long; its second try is part of the invoke.
fn failed_init(line: &str) -> Option<u64> {
    let mut duration = None;
    let mut is_first = false;
    for (name, value) in fields(line, "INIT_REPORT ")? {
        match name {
            "Init Duration" => duration = micros(value),
            "Phase" => is_first = value == "init",
            _ => {}
        }
    }
    duration.filter(|_| is_first)
}

fn failed_record(line: &str) -> Option<u64> {
    let record = record(line, "platform.initReport")?;
    let failed = record["phase"] == "init" && record["status"] != "success";
    failed.then(|| record["metrics"]["durationMs"].as_f64().and_then(as_micros)).flatten()
}

/// The record of a line that is one of this type.
fn record(line: &str, kind: &str) -> Option<Value> {
    if !line.contains(kind) {
        return None;
    }
    let mut value: Value = serde_json::from_str(line).ok()?;
    (value["type"] == kind).then(|| value["record"].take())
}

fn status(word: &str) -> Status {
    match word {
        "success" => Status::Success,
        "timeout" => Status::TimedOut,
        _ => Status::Failed,
    }
}

fn whole(value: &str, unit: &str) -> Option<u64> {
    value.strip_suffix(unit)?.parse().ok()
}

/// `47.28 ms` in µs.
fn micros(value: &str) -> Option<u64> {
    as_micros(value.strip_suffix(" ms")?.parse().ok()?)
}

fn as_micros(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms >= 0.0).then(|| (ms * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLD: &str = "REPORT RequestId: 8f5e\tDuration: 47.28 ms\tBilled Duration: 389 ms\tMemory Size: 128 MB\tMax Memory Used: 86 MB\tInit Duration: 340.74 ms\t\n";

    #[test]
    fn a_cold_start_is_read() {
        let log = format!("START RequestId: 8f5e Version: 3\nhello\nEND RequestId: 8f5e\n{COLD}");
        let expected = Report {
            duration_us: 47_280,
            billed_ms: 389,
            memory_mb: 128,
            used_mb: 86,
            init_us: Some(340_740),
            ..Report::default()
        };
        assert_eq!(Report::read(&log), Some(expected.clone()));
        let traced = format!("{COLD}XRAY TraceId: 1-2-3\tSegmentId: 4\tSampled: true\t\n");
        assert_eq!(Report::read(&traced), Some(expected));
    }

    #[test]
    fn restores_timeouts_and_errors_are_read() {
        let restored = Report::read("REPORT RequestId: x\tDuration: 2338.66 ms\tBilled Duration: 2521 ms\tMemory Size: 3009 MB\tMax Memory Used: 173 MB\tRestore Duration: 398.97 ms\tBilled Restore Duration: 182 ms\t\n").unwrap();
        assert_eq!((restored.restore_us, restored.init_us, restored.billed_ms), (Some(398_970), None, 2521));
        let line = "REPORT RequestId: x\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tStatus: ";
        assert_eq!(Report::read(&format!("{line}timeout\t\n")).unwrap().status, Status::TimedOut);
        let failed = Report::read(&format!("{line}error\tError Type: Runtime.ExitError\t\n")).unwrap();
        assert_eq!(
            (failed.status, failed.error_type.as_deref()),
            (Status::Failed, Some("Runtime.ExitError"))
        );
    }

    #[test]
    fn an_init_that_took_too_long_is_told_apart() {
        let log = format!(
            "INIT_REPORT Init Duration: 9999.81 ms\tPhase: init\tStatus: timeout\nINIT_REPORT Init Duration: 12000.00 ms\tPhase: invoke\tStatus: timeout\n{COLD}"
        );
        assert_eq!(Report::read(&log).unwrap().failed_init_us, Some(9_999_810));
        let again = format!("INIT_REPORT Init Duration: 12000.00 ms\tPhase: invoke\tStatus: timeout\n{COLD}");
        assert_eq!(Report::read(&again).unwrap().failed_init_us, None);
    }

    #[test]
    fn records_of_json_are_read() {
        let log = r#"{"time":"t","type":"platform.initReport","record":{"phase":"init","status":"error","metrics":{"durationMs":12.5}}}
{"message":"platform.report"}
{"time":"t","type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":47.28,"billedDurationMs":389,"memorySizeMB":128,"maxMemoryUsedMB":86,"initDurationMs":340.74},"status":"timeout"}}
"#;
        let report = Report::read(log).unwrap();
        assert_eq!((report.duration_us, report.init_us), (47_280, Some(340_740)));
        assert_eq!((report.status, report.failed_init_us), (Status::TimedOut, Some(12_500)));
    }

    #[test]
    fn the_last_report_is_lambdas() {
        let forged = COLD.replace("47.28", "1.00");
        assert_eq!(Report::read(&format!("{forged}{COLD}")).unwrap().duration_us, 47_280);
        assert_eq!(Report::read("REPORT RequestId: x\tDuration: fast\t\n"), None);
        assert_eq!(Report::read("no report"), None);
    }

    proptest! {
        #[test]
        fn figures_are_read_as_they_are_written(
            duration in 0_u64..90_000_000, billed in 0_u64..1_000_000, memory in 128_u64..10_241, used in 0_u64..10_241,
            init in proptest::option::of(0_u64..1_000_000), before in "[^\u{0}]{0,80}",
        ) {
            // Hundredths of a ms, as Lambda writes them.
            let ms = |hundredths: u64| format!("{}.{:02} ms", hundredths / 100, hundredths % 100);
            let mut line = format!(
                "REPORT RequestId: x\tDuration: {}\tBilled Duration: {billed} ms\tMemory Size: {memory} MB\tMax Memory Used: {used} MB\t",
                ms(duration)
            );
            if let Some(init) = init {
                line += &format!("Init Duration: {}\t", ms(init));
            }
            let report = Report::read(&format!("{before}\n{line}\n")).unwrap();
            prop_assert_eq!(report.duration_us, duration * 10);
            prop_assert_eq!((report.billed_ms, report.memory_mb, report.used_mb), (billed, memory, used));
            prop_assert_eq!(report.init_us, init.map(|init| init * 10));
        }

        #[test]
        fn no_log_makes_it_panic(log in "(REPORT |INIT_REPORT |\t|: |Duration|platform.report|[ -~]|\n){0,60}") {
            let _ = Report::read(&log);
        }
    }
}
