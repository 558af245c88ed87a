//! What is told where Lambda refuses: no such function, no permission, throttling, states that allow nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glowplug_capacity::Probe as _;
use glowplug_core::{Cache, Error, ErrorClass};
use serde_json::{Value, json};

use crate::mock::{MockLambda, Said, fine, refusal};
use crate::support::{Account, NAME, ask, plan, target};

const SOURCE: &str = "def handler(event, context):\n    return 1\n";

/// A configuration as Lambda shows it.
fn configuration(more: Value) -> Value {
    let mut shown = json!({
        "FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f", "MemorySize": 512,
        "Timeout": 3, "State": "Active", "LastUpdateStatus": "Successful", "RevisionId": "r", "CodeSha256": "c",
        "Architectures": ["arm64"], "PackageType": "Zip",
    });
    for (name, value) in more.as_object().unwrap() {
        shown[name] = value.clone();
    }
    shown
}

/// What inspecting a function says whose configuration has these members too.
fn inspecting(more: Value) -> Error {
    let mock = MockLambda::start(vec![("/configuration", vec![fine(configuration(more))])]);
    target(&mock.endpoint, "f", Arc::new(|| false)).inspect().unwrap_err()
}

#[test]
fn a_function_that_is_not_there_is_told() {
    let account = Account::with(SOURCE);
    let error = target(&account.endpoint, "other", Arc::new(|| false)).inspect().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert_eq!(error.message(), "there is no function `other` in us-east-1");
    let error = target(&account.endpoint, "tuned:old", Arc::new(|| false)).inspect().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
}

#[test]
fn an_alias_of_other_code_is_told_and_one_of_the_same_is_tuned() {
    let account = Account::with(SOURCE);
    target(&account.endpoint, "tuned:live", Arc::new(|| false)).inspect().unwrap();
    let call = account.client.update_function_configuration().function_name(NAME);
    account.wait(call.timeout(9).send()).unwrap();
    let error = target(&account.endpoint, "tuned:live", Arc::new(|| false)).inspect().unwrap_err();
    assert_eq!(error.message(), "`live` of `tuned` is not what `$LATEST` is");
    assert_eq!(error.causes(), ["different: timeout"]);
}

#[test]
fn provisioned_concurrency_is_told() {
    let account = Account::with(SOURCE);
    let call = account.client.put_provisioned_concurrency_config().function_name(NAME).qualifier("live");
    account.wait(call.provisioned_concurrent_executions(1).send()).unwrap();
    let inspection = account.target().inspect().unwrap();
    assert_eq!(inspection.provisioned[0].qualifier, "live");
    assert!(inspection.notes[0].starts_with("`live` keeps 1 environments ready"), "{:?}", inspection.notes);
}

#[test]
fn no_concurrency_is_told() {
    let account = Account::with(SOURCE);
    let call = account.client.put_function_concurrency().function_name(NAME);
    account.wait(call.reserved_concurrent_executions(0).send()).unwrap();
    let error = account.target().inspect().unwrap_err();
    assert_eq!(error.causes(), ["its reserved concurrency is 0"]);
}

#[test]
fn a_missing_permission_names_its_action() {
    let said = refusal(403, "AccessDeniedException", "User: me is not authorized to perform: lambda:X");
    let mock = MockLambda::start(vec![("/configuration", vec![said.clone()])]);
    let error = target(&mock.endpoint, "f", Arc::new(|| false)).inspect().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    assert_eq!(error.message(), "no permission for lambda:GetFunctionConfiguration on `f`");
    assert!(error.hints()[0].contains("allow `lambda:GetFunctionConfiguration`"), "{error:?}");
    // What is not needed is a note.
    let mock = MockLambda::start(vec![
        ("/configuration", vec![fine(configuration(json!({})))]),
        ("/concurrency", vec![said.clone()]),
        ("/provisioned-concurrency", vec![said]),
    ]);
    let inspection = target(&mock.endpoint, "f", Arc::new(|| false)).inspect().unwrap();
    assert_eq!(inspection.architecture, glowplug_core::Architecture::Arm64);
    assert_eq!(inspection.notes.len(), 2, "{:?}", inspection.notes);
    assert!(
        inspection.notes[1].contains("lambda:ListProvisionedConcurrencyConfigs"),
        "{:?}",
        inspection.notes
    );
}

#[test]
fn credentials_that_are_not_accepted_are_told() {
    let said = refusal(403, "ExpiredTokenException", "The security token included in the request is expired");
    let mock = MockLambda::start(vec![("/configuration", vec![said])]);
    let error = target(&mock.endpoint, "f", Arc::new(|| false)).inspect().unwrap_err();
    assert_eq!(error.message(), "Lambda does not accept the credentials");
}

#[test]
fn states_that_allow_nothing_are_told() {
    let cause = |more| inspecting(more).to_string();
    assert_eq!(
        cause(json!({"State": "Failed", "StateReason": "the image is gone"})),
        "`f` cannot be tuned: its state is Failed: the image is gone"
    );
    let failed = json!({"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no subnet"});
    assert!(cause(failed).ends_with("its last update failed: no subnet"));
    let hidden = json!({"Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "kms"}}});
    assert!(cause(hidden).contains("variables cannot be read"));
    let own = json!({"Environment": {"Variables": {"GLOWPLUG_TUNE": "on"}}});
    assert!(
        cause(own).contains("a variable")
            || cause(json!({"Environment": {"Variables": {"GLOWPLUG_TUNE": "on"}}})).contains("of its own")
    );
    let full = json!({"Environment": {"Variables": {"A": "x".repeat(4090)}}});
    assert!(cause(full).ends_with("4091 of 4096 bytes are in use"));
}

#[test]
fn what_does_not_answer_is_told() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = target(&format!("http://127.0.0.1:{port}"), "f", Arc::new(|| false));
    let error = target.clean(&Cache::new(std::env::temp_dir().to_str().unwrap(), false)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    assert!(error.message().starts_with("cannot reach Lambda"), "{error}");
}

fn throttled(retry_after: Option<u32>) -> Said {
    let body = json!({
        "Type": "User", "message": "Rate Exceeded.", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
    });
    Said { status: 429, kind: "TooManyRequestsException", body: body.to_string(), retry_after }
}

#[test]
fn calls_that_are_throttled_are_made_again() {
    let mock = MockLambda::start(vec![
        ("/configuration", vec![throttled(None), fine(configuration(json!({})))]),
        ("/concurrency", vec![fine(json!({}))]),
        (
            "/provisioned-concurrency",
            vec![throttled(None), fine(json!({"ProvisionedConcurrencyConfigs": []}))],
        ),
    ]);
    let inspection = target(&mock.endpoint, "f", Arc::new(|| false)).inspect().unwrap();
    assert_eq!(inspection.memory_mb, 512);
    assert_eq!(mock.asked.lock().unwrap().len(), 5);
}

/// Nobody may invoke the function, or everybody again.
fn reserve(account: &Account, none: bool) {
    if none {
        let call = account.client.put_function_concurrency().function_name(NAME);
        account.wait(call.reserved_concurrent_executions(0).send()).unwrap();
    } else {
        account.wait(account.client.delete_function_concurrency().function_name(NAME).send()).unwrap();
    }
}

#[test]
fn an_invoke_that_is_throttled_waits_and_is_a_cold_start_still() {
    let account = Account::with(SOURCE);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    reserve(&account, true);
    let round = std::thread::scope(|scope| {
        let running = scope.spawn(|| session.run(ask(256, 1)));
        std::thread::sleep(std::time::Duration::from_millis(1500));
        reserve(&account, false);
        running.join().unwrap()
    })
    .unwrap();
    assert!(round.cold.is_some() && round.warm.len() == 1, "{round:?}");
}

#[test]
fn waiting_for_an_invoke_can_be_interrupted() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let target = account.target_until(Arc::new(move || asked.load(Ordering::Relaxed)));
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    reserve(&account, true);
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| session.run(ask(256, 1)));
        std::thread::sleep(std::time::Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap()
    })
    .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Interrupted);
    session.finish().unwrap();
    assert_eq!(account.seen(), before);
}
