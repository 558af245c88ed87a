//! What runs give, and that the function is afterwards what it was.

use glowplug_capacity::{Outcome, Probe as _, Variant};

use crate::support::{Account, NAME, ask, plan};

/// Answers with what it was started with; ends, fails or hangs on demand.
const SOURCE: &str = r#"
import os, time
count = 0
def handler(event, context):
    global count
    count += 1
    if event.get("fail"):
        raise ValueError("no")
    if event.get("hang"):
        time.sleep(60)
    if event.get("eat"):
        len(bytearray(event["eat"] * 1024 * 1024))
    if event.get("only_first") and count > 1:
        raise KeyError("second")
    assert context.memory_limit_in_mb != "512"
    assert os.environ["STAGE"] == "test"
    return count
"#;

#[test]
fn tiers_are_measured_and_nothing_is_left() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    let target = account.target();
    let inspection = target.inspect().unwrap();
    assert_eq!((inspection.memory_mb, inspection.timeout_s), (512, 2));
    assert_eq!((inspection.package.as_str(), inspection.snap_start), ("Zip", false));
    assert!(inspection.arn.ends_with(&format!(":function:{NAME}")), "{}", inspection.arn);
    assert_eq!(Some(&inspection.code_sha256), before.code.as_ref());
    let mut session = target.begin(&inspection, plan("{}", 2), &account.cache()).unwrap();
    for memory_mb in [256, 1024, 256] {
        let round = session.run(ask(memory_mb, 2)).unwrap();
        assert_eq!(round.outcome, Outcome::Answered, "{memory_mb}");
        let cold = round.cold.unwrap();
        assert!(cold.init_us > 0 && cold.first.billed_ms * 1000 >= cold.init_us, "{cold:?}");
        assert_eq!(round.warm.len(), 2);
        assert!(round.peak_bytes.unwrap() > 1024 * 1024);
        let between = account.seen();
        assert_eq!((between.memory, &between.variables), (before.memory, &before.variables));
    }
    let done = session.finish().unwrap();
    assert_eq!((done.deleted, done.kept.len()), (1, 0), "of four versions, three were used up: {done:?}");
    assert_eq!(account.seen(), before);
    assert_eq!(target.recover(&account.cache()).unwrap(), None);
}

#[test]
fn failures_are_told_and_are_no_errors() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut plan = plan(r#"{"fail": true}"#, 1);
    plan.events.extend([&br#"{"hang": true}"#[..], br#"{"only_first": true}"#].map(<[u8]>::to_vec));
    let mut session = target.begin(&inspection, plan, &account.cache()).unwrap();
    let mut run = |event| session.run(glowplug_capacity::Ask { event, ..ask(256, 2) });
    let failed = run(0).unwrap();
    let Outcome::Raised { kind, message } = &failed.outcome else { panic!("{failed:?}") };
    assert_eq!((kind.as_str(), message.as_str()), ("ValueError", "no"));
    assert_eq!(
        (failed.cold.is_some(), failed.warm.len()),
        (true, 2),
        "the handler has come to its end each time"
    );
    assert_eq!(run(1).unwrap().outcome, Outcome::TimedOut);
    let later = run(2).unwrap();
    assert!(later.cold.is_some() && later.warm.is_empty());
    assert!(matches!(&later.outcome, Outcome::Failed { kind, .. } if kind == "KeyError"), "{later:?}");
    assert!(run(3).unwrap_err().message().contains("event 3"));
    let after = session.run(glowplug_capacity::Ask { variant: Variant::After, ..ask(256, 0) });
    assert!(after.is_err());
    session.finish().unwrap();
    assert_eq!(account.seen(), before);
}

#[test]
fn too_little_memory_is_told() {
    let account = Account::with(SOURCE);
    if !account.limits_memory {
        println!("this host cannot enforce the memory limit");
        return;
    }
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan(r#"{"eat": 300}"#, 1), &account.cache()).unwrap();
    assert_eq!(session.run(ask(128, 1)).unwrap().outcome, Outcome::OutOfMemory);
    assert_eq!(session.run(ask(1024, 1)).unwrap().outcome, Outcome::Answered);
}

#[test]
fn an_import_that_fails_is_told() {
    let account = Account::with("import glowplug_nothing\n");
    let before = account.seen();
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    let round = session.run(ask(256, 1)).unwrap();
    assert!(
        matches!(&round.outcome, Outcome::Failed { kind, .. } if kind == "Runtime.ImportModuleError"),
        "{round:?}"
    );
    assert_eq!(round.cold, None);
    drop(session);
    assert_eq!(account.seen(), before, "whoever drops a session has it cleaned up too");
}

#[test]
fn logs_in_json_are_read() {
    use aws_sdk_lambda::types::{LogFormat, LoggingConfig, SystemLogLevel};
    let account = Account::with(SOURCE);
    let log = |level| LoggingConfig::builder().log_format(LogFormat::Json).system_log_level(level).build();
    let set = |level| {
        let call = account.client.update_function_configuration().function_name(NAME);
        account.wait(call.logging_config(log(level)).send()).unwrap();
    };
    set(SystemLogLevel::Info);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    let round = session.run(ask(256, 1)).unwrap();
    assert!(round.cold.is_some() && round.warm.len() == 1, "{round:?}");
    session.finish().unwrap();
    set(SystemLogLevel::Warn);
    let error = target.inspect().unwrap_err();
    assert!(error.message().contains("system log level is WARN"), "{error}");
}
