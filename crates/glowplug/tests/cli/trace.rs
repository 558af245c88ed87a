//! Traces of small functions.

use serde_json::Value;

use crate::support::{PLAIN, Project};

const APP: &str = "import decimal\nimport sqlite3\n\nTOTAL = sum(range(300000))\n\n\ndef handler(event, context):\n    import colorsys\n    return str(decimal.Decimal(event['n'])) + str(colorsys.rgb_to_hsv(0, 0, 0)[0])\n";

fn traced(more: &[&str]) -> (Project, Value) {
    let project = Project::new(APP);
    let event = project.event("one", r#"{"n": "1.5"}"#);
    project.configure(&event);
    let outcome = project.run(&[&["trace", "function", "--runs", "2", "--format", "json"], more].concat());
    let trace = outcome.json();
    (project, trace)
}

#[test]
fn the_document_has_the_fields_of_the_contract() {
    let (project, trace) = traced(&[]);
    assert_eq!(trace["schema"], "glowplug.trace/1");
    let keys: Vec<&str> = trace.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "schema",
            "function",
            "environment",
            "phases",
            "imports",
            "statements",
            "distributions",
            "files",
            "unexplained_ms",
            "subprocesses",
            "failure"
        ]
    );
    for phase in ["provision", "runtime", "init"] {
        assert!(trace["phases"][phase]["median"].as_f64().unwrap() > 0.0, "{phase}");
    }
    assert!(trace["phases"]["first_invoke"]["one"]["runs"].as_u64().unwrap() == 2);
    assert_eq!(trace["failure"], Value::Null);
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn imports_and_statements_say_where_they_are() {
    let (_project, trace) = traced(&[]);
    let import = |module: &str| {
        let imports = trace["imports"].as_array().unwrap();
        imports.iter().find(|import| import["module"] == module).unwrap_or_else(|| panic!("{module}")).clone()
    };
    assert_eq!(
        (&import("sqlite3")["importer"], &import("sqlite3")["phase"]),
        (&"app.py:2".into(), &"init".into())
    );
    assert_eq!(
        (&import("colorsys")["phase"], &import("colorsys")["event"]),
        (&"first_invoke".into(), &"one".into())
    );
    let statements = trace["statements"].as_array().unwrap();
    assert!(
        statements
            .iter()
            .any(|s| s["place"] == "app.py:4" && s["text"].as_str().unwrap().starts_with("TOTAL"))
    );
}

#[test]
fn a_tree_without_bytecode_is_traced_as_it_is_and_that_is_said() {
    let project = Project::new(APP);
    let event = project.event("one", r#"{"n": "1.5"}"#);
    project.configure(&event);
    let outcome = project.run(&["trace", "function", "--runs", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("no valid bytecode"), "{outcome:?}");
    assert!(outcome.stdout.contains("sqlite3") && outcome.stdout.contains("provision"), "{outcome:?}");
    let filtered = project.run(&["trace", "function", "--runs", "1", "--filter", "decimal"]);
    assert!(!filtered.stdout.contains("sqlite3"), "{filtered:?}");
}

#[test]
fn an_event_of_the_command_line_replaces_the_configured_ones() {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    project.configure(&event);
    project.write("other.json", "{\"a\": 1}");
    let outcome =
        project.run(&["trace", "function", "--runs", "1", "--event", "other.json", "--format", "json"]);
    let trace = outcome.json();
    let events: Vec<&String> = trace["phases"]["first_invoke"].as_object().unwrap().keys().collect();
    assert_eq!(events, ["other"]);
}

#[test]
fn a_function_that_does_not_start_is_traced_up_to_there_and_is_an_error() {
    let project = Project::new(
        "import sqlite3\nraise RuntimeError('no way')\n\ndef handler(event, context):\n    return 1\n",
    );
    let outcome = project.run(&["trace", "function", "--runs", "1", "--format", "json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let trace: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(trace["failure"].as_str().unwrap().contains("no way"));
    assert!(trace["imports"].as_array().unwrap().iter().any(|import| import["module"] == "sqlite3"));
    assert!(outcome.stderr.contains("error: the function failed while it was traced"), "{outcome:?}");
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn an_event_that_ends_the_process_is_left_out_and_named() {
    let project = Project::new(
        "import os\n\ndef handler(event, context):\n    if event.get('end'):\n        os._exit(1)\n    return 1\n",
    );
    let events = project.event("fine", "{}") + &project.event("end", r#"{"end": true}"#);
    project.configure(&events);
    let outcome = project.run(&["trace", "function", "--runs", "1", "--format", "json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let trace: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let events: Vec<&String> = trace["phases"]["first_invoke"].as_object().unwrap().keys().collect();
    assert_eq!(events, ["fine"]);
    assert!(trace["failure"].as_str().unwrap().contains("event `end`"));
}
