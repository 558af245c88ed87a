//! Handlers that hang, end, eat memory, fork or answer differently every time.

use crate::support::{PLAIN, Project};

fn with_event(app: &str, configuration: &str) -> Project {
    let project = Project::new(app);
    let event = project.event("one", "{\"n\": 1}");
    project.configure(&format!("{configuration}\n{event}"));
    project
}

#[test]
fn a_handler_that_hangs() {
    let project =
        with_event("import time\n\ndef handler(event, context):\n    time.sleep(600)\n", "timeout = 1");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("does not answer event `one`") && text.contains("timed out"), "{text}");
    assert!(text.contains("one.json") && text.contains("hint: raise `timeout`"), "{text}");
}

#[test]
fn a_handler_that_waits_for_the_network() {
    let app = "import socket, time\n\ndef handler(event, context):\n    while True:\n        try:\n            socket.create_connection(('192.0.2.1', 443), 1)\n        except OSError:\n            time.sleep(0.2)\n";
    let text = with_event(app, "timeout = 1").build_fails(1, &[]);
    assert!(text.contains("192.0.2.1:443") && text.contains("network = \"allow\""), "{text}");
}

#[test]
fn a_module_that_hangs_while_it_is_imported() {
    let project =
        with_event("import time\ntime.sleep(600)\n\ndef handler(event, context):\n    return 1\n", "");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("does not finish starting within 10 s"), "{text}");
}

#[test]
fn a_handler_that_ends_the_process() {
    let project = with_event("import os\n\ndef handler(event, context):\n    os._exit(3)\n", "");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("ends while it handles event `one`") && text.contains("exit status 3"), "{text}");
}

#[test]
fn a_handler_that_crashes() {
    let app = "import os, signal\n\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGSEGV)\n";
    let text = with_event(app, "").build_fails(1, &[]);
    assert!(
        text.contains("ends while it handles event `one`") && text.contains("segmentation fault"),
        "{text}"
    );
}

/// What this machine cannot enforce, as a build says it.
fn not_enforced(what: &str) -> bool {
    let report = with_event(PLAIN, "").report(&["--no-verify"]);
    let notes = report["environment"]["not_enforced"].as_array().unwrap().clone();
    notes.iter().any(|note| note.as_str().unwrap().contains(what))
}

#[test]
fn a_handler_that_eats_memory() {
    if not_enforced("the memory limit") {
        println!("skipped: this machine does not enforce memory limits");
        return;
    }
    let app = "def handler(event, context):\n    return len(bytearray(400 * 1024 * 1024))\n";
    let text = with_event(app, "memory = 128").build_fails(1, &[]);
    assert!(text.contains("killed") && text.contains("more than its 128 MB"), "{text}");
}

#[test]
fn a_handler_that_forks_for_ever() {
    if not_enforced("the limit on processes") {
        println!("skipped: this machine does not limit the number of processes");
        return;
    }
    let app = "import os, time\n\ndef handler(event, context):\n    while True:\n        try:\n            os.fork()\n        except OSError:\n            time.sleep(0.5)\n";
    let text = with_event(app, "timeout = 1").build_fails(1, &[]);
    assert!(text.contains("event `one`"), "{text}");
}

#[test]
fn an_answer_that_varies_as_a_whole_proves_nothing() {
    let app = "import uuid\n\ndef handler(event, context):\n    return {\"id\": str(uuid.uuid4())}\n";
    let text = with_event(app, "").build_fails(1, &[]);
    assert!(text.contains("event `one` cannot be proved") && text.contains("accept_unproved"), "{text}");

    let accepted = with_event(app, "[verify]\naccept_unproved = true").report(&[]);
    assert_eq!(accepted["verdict"]["equal"], serde_json::Value::Null);
    assert_eq!(accepted["verdict"]["events"], 0);
    let not_proved = accepted["verdict"]["not_proved"][0].as_str().unwrap();
    assert!(not_proved.contains("its whole payload varies"), "{not_proved}");
}

#[test]
fn a_part_that_varies_is_compared_by_type_and_listed() {
    let app = "import json, uuid\n\ndef handler(event, context):\n    return {\"status\": 200, \"body\": json.dumps({\"id\": str(uuid.uuid4()), \"n\": event[\"n\"]})}\n";
    let report = with_event(app, "").report(&[]);
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["varying"], serde_json::json!(["one: $.body.id"]));
}

#[test]
fn an_event_that_fails_in_the_original_is_compared_and_is_no_evidence() {
    let project = Project::new("def handler(event, context):\n    return 1 / event[\"n\"]\n");
    let events = project.event("fine", "{\"n\": 1}") + &project.event("zero", "{\"n\": 0}");
    project.configure(&events);
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["events"], 1);
    let not_proved = report["verdict"]["not_proved"][0].as_str().unwrap();
    assert!(
        not_proved.contains("event `zero` fails in the original") && not_proved.contains("ZeroDivisionError")
    );
}
