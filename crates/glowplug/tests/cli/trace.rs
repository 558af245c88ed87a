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
            "package",
            "files",
            "lines",
            "kinds",
            "compiled",
            "unexplained_ms",
            "connections",
            "subprocesses",
            "cut_off",
            "failure",
            "advice"
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
    assert!(outcome.stdout.contains("without bytecode: compiling costs"), "{outcome:?}");
    assert!(outcome.stdout.contains("sqlite3") && outcome.stdout.contains("provision"), "{outcome:?}");
    let filtered = project.run(&["trace", "function", "--runs", "1", "--filter", "decimal"]);
    assert!(!filtered.stdout.lines().any(|line| line.trim_start().starts_with("sqlite3")), "{filtered:?}");
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

#[test]
fn a_trace_is_compared_with_an_earlier_one_and_with_another_function() {
    let (project, trace) = traced(&["--bandwidth", "100"]);
    let fetch = &trace["phases"]["fetch"];
    assert!(fetch["median"].as_f64() > Some(0.0) && fetch["runs"] == 1, "{fetch}");
    project.write("old.json", trace.to_string());
    project.write("other/app.py", APP.replace("import sqlite3", "import unittest.mock"));
    let run =
        |more: &[&str]| project.run(&[&["trace", "function", "--runs", "2", "--compare"], more].concat());

    let same = run(&["old.json", "--format", "json"]).json();
    assert_eq!(same["schema"], "glowplug.trace/1");
    assert_eq!(same["comparison"]["schema"], "glowplug.comparison/1");
    // Whether it was as fast is the machine's to say; it imports what it imported.
    let text = run(&["old.json"]).stdout;
    assert!(text.contains("init ") && !text.contains(" imported "), "{text}");

    let other = run(&["other"]).stdout;
    assert!(other.contains("unittest.mock is not imported any more (app.py:2)"), "{other}");
}

#[test]
fn what_cannot_be_compared_with_is_refused_before_anything_is_measured() {
    let project = Project::new(APP);
    for (text, said) in [
        (r#"{"schema": "glowplug.trace/2"}"#, "glowplug.trace/2"),
        (r#"{"schema": "glowplug.report/1"}"#, "glowplug.report/1"),
        ("nothing", "JSON"),
    ] {
        project.write("old.json", text);
        let outcome = project.run(&["trace", "function", "--compare", "old.json"]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(said) && outcome.stderr.contains("hint: "), "{outcome:?}");
        assert!(!outcome.stderr.contains("Tracing"), "{outcome:?}");
    }
    project.write("old.txt", "nothing");
    for other in ["none", "none.json", "old.txt"] {
        let outcome = project.run(&["trace", "function", "--compare", other]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(
            outcome.stderr.contains("error: not a trace") && outcome.stderr.contains(other),
            "{outcome:?}"
        );
    }
    let nothing = project.run(&["trace", "function", "--filter", ""]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    let unknown = project.run(&["trace", "function", "--export", "jaeger=x"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("speedscope"), "{unknown:?}");
}

#[test]
fn a_trace_is_exported_and_shown_on_a_page() {
    let project = Project::new(APP);
    let event = project.event("one", r#"{"n": "1.5"}"#);
    project.configure(&event);
    let outcome = project.run(&[
        "trace",
        "function",
        "--runs",
        "1",
        "--html",
        "page.html",
        "--export",
        "speedscope=s.json",
        "--export",
        "importtime=i.txt",
        "--export",
        "otlp=o.pb",
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let speedscope: Value = serde_json::from_slice(&project.read("s.json")).unwrap();
    assert!(speedscope["$schema"].as_str().unwrap().contains("speedscope"));
    let importtime = String::from_utf8(project.read("i.txt")).unwrap();
    assert!(importtime.lines().any(|line| line.starts_with("import time:") && line.ends_with("sqlite3")));
    assert!(!project.read("o.pb").is_empty());
    let page = String::from_utf8(project.read("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("sqlite3"));
}

#[test]
fn an_event_that_hangs_is_cut_at_the_timeout_and_what_it_imported_is_kept() {
    let project = Project::new(
        "def handler(event, context):\n    import colorsys\n    while event.get('hang'):\n        pass\n    return 1\n",
    );
    let events = project.event("fine", "{}") + &project.event("hang", r#"{"hang": true}"#);
    project.configure(&format!("timeout = 1\n{events}"));
    let outcome = project.run(&["trace", "function", "--runs", "1", "--format", "json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let trace: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(trace["failure"].as_str().unwrap().contains("hang"), "{}", trace["failure"]);
    let imports = trace["imports"].as_array().unwrap();
    let events: Vec<&Value> =
        imports.iter().filter(|i| i["module"] == "colorsys").map(|i| &i["event"]).collect();
    assert!(events.contains(&&"hang".into()) && events.contains(&&"fine".into()), "{events:?}");
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn logging_clients_and_settings_are_statements_with_their_cost() {
    let app = "import logging\nimport sqlite3\n\nlogging.basicConfig(level=logging.INFO)\nSETTINGS = \
               {'table': 'x'.upper()}\nclient = sqlite3.connect(':memory:')\n\n\ndef handler(event, context):\n    \
               return 1\n";
    let project = Project::new(app);
    let trace = project.run(&["trace", "function", "--runs", "1", "--format", "json"]).json();
    let statements = trace["statements"].as_array().unwrap();
    for (place, text) in
        [("app.py:4", "logging.basicConfig"), ("app.py:5", "SETTINGS"), ("app.py:6", "client = ")]
    {
        let statement = statements.iter().find(|s| s["place"] == place).unwrap_or_else(|| panic!("{place}"));
        assert!(statement["text"].as_str().unwrap().starts_with(text), "{statement}");
        assert!(statement["self_ms"].as_f64() > Some(0.0) && statement["cpu_ms"].is_number(), "{statement}");
    }
}

#[test]
fn a_zip_is_traced_as_it_is_with_what_the_build_has_deferred() {
    let app = "import unittest.mock\n\n\ndef handler(event, context):\n    if event.get('mock'):\n        return \
               str(unittest.mock.sentinel.x)\n    return 1\n";
    let project = Project::new(app);
    let event = project.event("plain", "{}");
    project.configure(&event);
    let built = project.build(&[]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let outcome = project.run(&[
        "trace",
        "out/demo.zip",
        "--runs",
        "1",
        "--python",
        &project.python,
        "--format",
        "json",
    ]);
    let trace = outcome.json();
    assert!(outcome.stderr.contains("edited by `glowplug build`"), "{outcome:?}");
    assert!(trace["phases"]["unpack"]["median"].as_f64() > Some(0.0));
    let paid = |import: &&Value| import["runtime_provided"] == false && import["status"] == "ok";
    let imports: Vec<&Value> = trace["imports"].as_array().unwrap().iter().filter(paid).collect();
    assert!(imports.iter().any(|import| import["module"] == "app"), "{imports:?}");
    assert!(!imports.iter().any(|import| import["module"] == "unittest.mock"), "{imports:?}");
    // What a build ships is not compiled.
    assert_eq!((&trace["compiled"]["missing"], &trace["kinds"]["compile"]), (&0.into(), &0.0.into()));
}

#[test]
fn what_cannot_be_exported_keeps_nothing_else_from_being_told() {
    let project = Project::new(APP);
    let event = project.event("one", r#"{"n": "1.5"}"#);
    project.configure(&event);
    // Nothing listens at port 9, and nobody makes folders below /proc.
    let outcome = project.run(&[
        "trace",
        "function",
        "--runs",
        "1",
        "--init-boost",
        "off",
        "--html",
        "page.html",
        "--export",
        "otlp=http://127.0.0.1:9",
        "--export",
        "chrome=/proc/none/trace.json",
        "--export",
        "speedscope=s.json",
    ]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stdout.contains("sqlite3"), "{outcome:?}");
    assert!(!project.read("s.json").is_empty() && !project.read("page.html").is_empty());
    for told in ["127.0.0.1:9", "/proc/none", "`--init-boost off` changes nothing without `--cpu share`"] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
}

#[test]
fn the_build_is_not_named_for_what_it_refuses() {
    let app = "import asyncio\nimport unittest.mock as um\nfrom xml.dom import (\n    minidom,\n    pulldom,\n)\nimport \
               sqlite3\n\n\nclass Box:\n    lock = asyncio.Lock\n\n\n@um.patch.dict('os.environ', {})\ndef \
               decorated():\n    return 1\n\n\nOPTIONS = [\n    minidom.Document,\n]\n\n\ndef \
               handler(event, context):\n    return 1\n";
    let project = Project::new(app);
    let events = project.event("one", "{}") + &project.event("two", "{}");
    project.configure(&events);
    let trace = project.run(&["trace", "function", "--runs", "1", "--format", "json"]).json();
    let advice = trace["advice"].as_array().unwrap();
    let about = |place: &str| advice.iter().find(|one| one["text"].as_str().unwrap().contains(place));
    let dear = about("(app.py:1)").unwrap_or_else(|| panic!("{advice:?}"));
    assert!(dear["text"].as_str().unwrap().contains("app.py:11 uses it"), "{dear}");
    // What little costs has no line at all; none that is refused has the command.
    for place in ["(app.py:1)", "(app.py:2)", "(app.py:3)"] {
        if let Some(one) = about(place) {
            assert_eq!(one["command"], Value::Null, "{one}");
        }
    }
}
