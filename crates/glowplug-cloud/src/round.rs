//! From the answers of one version, the first and the warm ones, to what a run gave.

use glowplug_capacity::{ColdStart, Invoke, Outcome, Round};

use crate::invoke::Answer;
use crate::report::{Report, Status};

/// Bytes of one MB as Lambda counts them.
const MB: u64 = 1024 * 1024;

/// What a run gave: the first invoke of a version, and those after it. The first that is not served ends it.
pub(crate) fn round(answers: &[Answer]) -> Round {
    let peak_mb = answers.iter().map(|answer| answer.report.used_mb).max();
    let mut round = Round {
        cold: None,
        warm: Vec::new(),
        peak_bytes: peak_mb.map(|mb| mb * MB),
        outcome: Outcome::Answered,
    };
    for (at, answer) in answers.iter().enumerate() {
        let now = outcome(answer);
        round.outcome = if at == 0 { now } else { round.outcome.then(now) };
        let cold = cold(&answer.report);
        match (round.outcome.is_served(), cold) {
            // One that was served in an environment of its own is no warm one.
            (true, Some(cold)) if round.cold.is_none() && round.warm.is_empty() => {
                round.cold = Some(cold);
            }
            (true, Some(_)) => {}
            (true, None) => round.warm.push(invoke(&answer.report)),
            (false, cold) => {
                // Its init has come to its end, and is known.
                if answer.report.failed_init_us.is_none() && round.cold.is_none() && round.warm.is_empty() {
                    round.cold = cold;
                }
                break;
            }
        }
    }
    round
}

/// The start before an invoke, if there was one. An init that took too long was tried again within the invoke: both are
/// waited for.
fn cold(report: &Report) -> Option<ColdStart> {
    let whole = report.init_us.or(report.restore_us);
    let init_us = whole.or(report.failed_init_us)?;
    Some(ColdStart { init_us, init_cpu_us: None, repeated: whole.is_none(), first: invoke(report) })
}

fn invoke(report: &Report) -> Invoke {
    Invoke { wall_us: report.duration_us, cpu_us: None, billed_ms: report.billed_ms }
}

pub(crate) fn outcome(answer: &Answer) -> Outcome {
    let report = &answer.report;
    let Some((kind, message)) = &answer.failure else { return Outcome::Answered };
    let is_killed = kind == "Runtime.ExitError"
        && (message.contains("signal: killed") || report.used_mb >= report.memory_mb);
    if is_killed || matches!(kind.as_str(), "Runtime.OutOfMemory" | "MemoryError") {
        return Outcome::OutOfMemory;
    }
    if report.status == Status::TimedOut
        || kind == "Sandbox.Timedout"
        || message.contains("Task timed out after")
    {
        return Outcome::TimedOut;
    }
    let (kind, message) = (kind.clone(), message.clone());
    // An init that failed has its own error, by the type that the module raises.
    let has_begun = report.failed_init_us.is_none();
    if has_begun && report.status == Status::Success && !is_platforms(&kind) {
        return Outcome::Raised { kind, message };
    }
    Outcome::Failed { kind, message }
}

/// Whether an error's type is one of Lambda's own and none that a handler raises ("Lambda Runtime API" and "Telemetry API
/// reference" in the developer guide).
fn is_platforms(kind: &str) -> bool {
    ["Runtime.", "Function.", "Sandbox.", "Extension."].iter().any(|of| kind.starts_with(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(init_us: Option<u64>, failure: Option<(&str, &str)>) -> Answer {
        let report = Report {
            duration_us: 2_000,
            billed_ms: 3,
            memory_mb: 128,
            used_mb: 40,
            init_us,
            ..Report::default()
        };
        let failure = failure.map(|(kind, message)| (kind.to_owned(), message.to_owned()));
        Answer { report, failure }
    }

    #[test]
    fn a_cold_one_comes_before_the_warm_ones() {
        let round = round(&[answer(Some(90_000), None), answer(None, None), answer(None, None)]);
        assert_eq!(round.cold.unwrap().init_us, 90_000);
        assert_eq!((round.warm.len(), round.peak_bytes), (2, Some(40 * MB)));
        assert_eq!(round.outcome, Outcome::Answered);
    }

    #[test]
    fn starts_where_none_was_expected_are_left_out() {
        let none = round(&[answer(None, None), answer(None, None)]);
        assert_eq!((none.cold, none.warm.len()), (None, 2));
        let second = round(&[answer(Some(1), None), answer(Some(2), None), answer(None, None)]);
        assert_eq!((second.cold.unwrap().init_us, second.warm.len()), (1, 1));
    }

    #[test]
    fn an_init_that_took_too_long_is_waited_for_twice() {
        let mut late = answer(None, None);
        late.report.failed_init_us = Some(9_999_000);
        let cold = round(std::slice::from_ref(&late)).cold.unwrap();
        assert_eq!((cold.init_us, cold.repeated), (9_999_000, true));
        late.failure = Some(("Sandbox.Timedout".to_owned(), String::new()));
        let failed = round(&[late]);
        assert_eq!((failed.cold, failed.outcome), (None, Outcome::TimedOut));
    }

    #[test]
    fn failures_are_told_apart() {
        let of = |kind: &str, message: &str| round(&[answer(Some(1), Some((kind, message)))]).outcome;
        let killed = "RequestId: x Error: Runtime exited with error: signal: killed";
        assert_eq!(of("Runtime.ExitError", killed), Outcome::OutOfMemory);
        assert_eq!(of("Runtime.OutOfMemory", ""), Outcome::OutOfMemory);
        assert_eq!(of("MemoryError", ""), Outcome::OutOfMemory);
        assert_eq!(of("Sandbox.Timedout", "x"), Outcome::TimedOut);
        let failed = |kind: &str| Outcome::Failed { kind: kind.to_owned(), message: "no".to_owned() };
        let raised = Outcome::Raised { kind: "ValueError".to_owned(), message: "no".to_owned() };
        assert_eq!(of("ValueError", "no"), raised);
        assert_eq!(of("Runtime.ImportModuleError", "no"), failed("Runtime.ImportModuleError"));
        assert_eq!(of("Runtime.ExitError", "no"), failed("Runtime.ExitError"));
        let mut full = answer(Some(1), Some(("Runtime.ExitError", "no")));
        full.report.used_mb = 128;
        assert_eq!(round(&[full]).outcome, Outcome::OutOfMemory);
    }

    #[test]
    fn an_error_of_the_handlers_has_figures() {
        let raised = |init| answer(init, Some(("NotFound", "no")));
        let round = round(&[raised(Some(1)), raised(None), raised(None)]);
        assert_eq!((round.cold.is_some(), round.warm.len()), (true, 2));
        assert!(matches!(round.outcome, Outcome::Raised { kind, .. } if kind == "NotFound"));
    }

    #[test]
    fn what_fails_later_keeps_what_was_before() {
        let round = round(&[answer(Some(1), None), answer(None, None), answer(None, Some(("E", "no")))]);
        assert!(round.cold.is_some() && round.warm.len() == 1);
        assert!(matches!(round.outcome, Outcome::Failed { .. }));
    }
}
