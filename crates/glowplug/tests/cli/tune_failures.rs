//! What `glowplug tune` does with functions that fail: at some sizes, at all of them, on purpose, late, or more slowly.

use serde_json::{Value, json};

use crate::gate::Api;
use crate::serve::Serving;
use crate::support::Project;

/// A function's sizes, without a processor limit: what is told here does not depend on it.
fn tuned(project: &Project, tiers: &str) -> Value {
    tuned_with(project, tiers, "2")
}

fn tuned_with(project: &Project, tiers: &str, runs: &str) -> Value {
    let how = ["--no-build", "--cpu", "unlimited", "--format", "json"];
    project.run(&[&["tune", "function", "--tiers", tiers, "--runs", runs], &how[..]].concat()).json()
}

fn has_note(report: &Value, told: &str) -> bool {
    report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(told))
}

/// A handler that does this where the memory size is below 512 MB.
fn below(what: &str) -> String {
    format!(
        "import os, time\n\ndef handler(event, context):\n    if int(context.memory_limit_in_mb) < 512:\n        {what}\n    return 1\n"
    )
}

#[test]
fn a_size_at_which_it_fails_is_told_and_not_chosen() {
    for (what, status, reason) in [
        ("raise ValueError('too small')", "failed", "it failed with ValueError: too small"),
        ("os._exit(3)", "failed", "exit status 3"),
        ("time.sleep(5)", "timed_out", "it took longer than it may"),
    ] {
        let project = Project::new(&below(what));
        project.configure("timeout = 2\n");
        let report = tuned(&project, "256,512,1024");
        let tier = &report["tiers"][0];
        assert_eq!((&tier["status"], &tier["cold_ms"]), (&status.into(), &Value::Null), "{report}");
        assert!(tier["reason"].as_str().unwrap().contains(reason), "{report}");
        assert_eq!(report["tiers"][1]["status"], "answered", "{report}");
        assert_ne!(report["chosen"], 256, "{report}");
        assert_eq!(project.running(), Vec::<i32>::new());
    }
}

#[test]
fn an_event_that_fails_on_purpose_is_measured_as_an_answer() {
    let app = "class NotFound(Exception):\n    pass\n\ndef handler(event, context):\n    if event['n'] == 0:\n        raise NotFound('404')\n    return 1\n";
    let project = Project::new(app);
    let events = project.event("fine", "{\"n\": 1}") + &project.event("missing", "{\"n\": 0}");
    project.configure(&events);
    let report = tuned(&project, "256,512");
    let note = "event `missing` ends in `NotFound` at every size: it is measured as an answer like any other";
    assert!(has_note(&report, note), "{report}");
    assert!(!has_note(&report, "event `fine`"), "{report}");
    for tier in report["tiers"].as_array().unwrap() {
        assert_eq!(tier["status"], "answered", "{report}");
        let figures = &tier["events"]["missing"];
        assert!(figures["cold_ms"]["runs"] == 2 && figures["warm_ms"]["median"].is_number(), "{report}");
    }
    assert!(report["chosen"].is_number(), "{report}");
    // The same through Lambda's API.
    let serving = Serving::start(&project, &[]);
    let before = Api(serving.address()).seen();
    let url = serving.url();
    let aws = ["tune", "demo", "--target", "aws", "--yes", "--endpoint-url", &url, "--event"];
    let events = ["function/events/fine.json", "--event", "function/events/missing.json"];
    let more = ["--tiers", "256,512", "--runs", "2", "--format", "json"];
    let there = project.run(&[&aws[..], &events, &more].concat()).json();
    assert!(has_note(&there, note), "{there}");
    assert_eq!(there["tiers"][0]["status"], "answered", "{there}");
    assert_eq!(Api(serving.address()).seen(), before);
}

#[test]
fn more_memory_that_is_slower_is_told() {
    let app = "import time\n\ndef handler(event, context):\n    time.sleep(int(context.memory_limit_in_mb) / 2048)\n";
    let report = tuned(&Project::new(app), "128,1024");
    assert!(has_note(&report, "1024 MB is slower than 128 MB"), "{report}");
    assert_eq!(report["best"], json!({"speed": 128, "cost": 128, "balanced": 128}), "{report}");
}

#[test]
fn slow_an_init_beyond_its_limit_is_run_again_and_measured_with_that() {
    let app = "import os, time\nif int(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']) < 512:\n    time.sleep(10.5)\n\ndef handler(event, context):\n    return 1\n";
    let project = Project::new(app);
    project.configure("timeout = 20\n");
    let here = tuned_with(&project, "256,512", "1");
    let serving = Serving::start(&project, &[]);
    let url = serving.url();
    let aws = ["tune", "demo", "--target", "aws", "--yes", "--endpoint-url", &url];
    let there =
        project.run(&[&aws[..], &["--tiers", "256,512", "--runs", "1", "--format", "json"]].concat()).json();
    for report in [here, there] {
        assert!(has_note(&report, "at 256 MB init did not come to its end in its 10 s"), "{report}");
        let tier = &report["tiers"][0];
        assert_eq!(tier["status"], "answered", "{report}");
        let times = tier["events"].as_object().unwrap().values().next().unwrap();
        let [init, cold] = ["init_ms", "cold_ms"].map(|name| times[name]["median"].as_f64().unwrap());
        assert!(cold > 2.0 * init, "what is waited for is both inits: {report}");
        assert_eq!(report["best"]["speed"], 512, "{report}");
    }
    // A timeout that is too short for the second one.
    project.configure("timeout = 3\n");
    let report = tuned_with(&project, "256,512", "1");
    assert_eq!((&report["tiers"][0]["status"], &report["chosen"]), (&"timed_out".into(), &512.into()));
}
