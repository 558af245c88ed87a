//! What people read of a trace.

use glowplug_report::{Style, TraceOrder, TraceView, render_trace};
use insta::assert_snapshot;
use serde_json::json;

fn view(order: TraceOrder) -> TraceView {
    TraceView { style: Style::plain(), width: 80, top: 20, order, filter: None }
}

fn stat(median: f64) -> serde_json::Value {
    json!({"median": median, "low": median - 0.5, "high": median + 0.5, "spread": 0.4, "runs": 5})
}

fn import(
    module: &str,
    parent: Option<&str>,
    phase: &str,
    start: f64,
    own: f64,
    total: f64,
) -> serde_json::Value {
    json!({"module": module, "parent": parent, "distribution": null, "importer": "app.py:8", "status": "ok",
           "phase": phase, "event": (phase != "init").then_some("process_data"), "thread": "MainThread",
           "start_ms": start, "self_ms": own, "total_ms": total, "memory_kib": own * 30.0,
           "runtime_provided": module == "json", "bytecode": "valid", "used_by": []})
}

fn document() -> serde_json::Value {
    json!({"schema": "glowplug.trace/1", "function": {"name": "report"},
        "environment": {"python": "3.12.1", "memory_mb": 512, "cpu": "unlimited", "init_boost": true,
                        "page_cache": "warm", "agent_overhead": stat(12.0)},
        "phases": {"provision": stat(410.0), "runtime": stat(42.0), "init": stat(301.0),
                   "first_invoke": {"health": stat(1.1), "process_data": stat(14.0)},
                   "warm_invoke": {"health": stat(0.4), "process_data": null}},
        "imports": [
            import("json", None, "init", 0.1, 0.2, 0.2),
            import("boto3", None, "init", 1.0, 2.0, 60.0),
            import("botocore.session", Some("boto3"), "init", 3.0, 20.0, 50.0),
            import("pandas", None, "init", 62.0, 30.0, 238.0),
            import("numpy", Some("pandas"), "init", 64.0, 80.0, 82.0),
            import("pandas.core.api", Some("pandas"), "init", 150.0, 120.0, 121.0),
            import("pandas.io.formats.style", Some("pandas"), "first_invoke", 305.0, 6.0, 6.0),
        ],
        "statements": [{"place": "app.py:12", "text": "client = boto3.client(\"s3\")", "start_ms": 300.0, "self_ms": 31.0, "cpu_ms": 30.0}],
        "distributions": [], "files": [], "unexplained_ms": 2.5, "subprocesses": [], "failure": null})
}

#[test]
fn phases_and_a_waterfall() {
    assert_snapshot!(render_trace(&document(), &view(TraceOrder::Total)).unwrap(), @r#"
    report starts in 343 ms and imports 5 modules of its own

    provision (unpack)                     410 ms  [410 ms, 410 ms]
    runtime start                         42.0 ms  [41.5 ms, 42.5 ms]
    init: your module and all it imports   301 ms  [300 ms, 302 ms]
    first invoke, health                   1.1 ms  [0.60 ms, 1.6 ms]
    first invoke, process_data            14.0 ms  [13.5 ms, 14.5 ms]
    warm invoke, health                   0.40 ms  [-0.10 ms, 0.90 ms]
    Python 3.12.1, unlimited CPU, page cache warm; tracing itself took 12.0 ms more
    of init

    imports (6 of 6)             total     self
    boto3                      60.0 ms   2.0 ms  █████
      botocore.session         50.0 ms  20.0 ms  ████
    pandas                      238 ms  30.0 ms       ██████████████████
      numpy                    82.0 ms  80.0 ms       ██████
      pandas.core.api           121 ms   120 ms              █████████
      pandas.io.formats.style   6.0 ms   6.0 ms                         ░
    ░ imported by the first invoke (process_data)
    2.5 ms of init is neither import nor statement

    statements of your code     self
    app.py:12                31.0 ms  client = boto3.client("s3")
    "#);
}

#[test]
fn the_slowest_bodies_first_within_a_filter() {
    let view = TraceView { filter: Some("pandas".to_owned()), top: 2, ..view(TraceOrder::Own) };
    let text = render_trace(&document(), &view).unwrap();
    let from = text.find("imports (").unwrap();
    assert_snapshot!(&text[from..], @"
    imports (2 of 3)   total     self
    pandas.core.api   121 ms   120 ms  app.py:8
    pandas            238 ms  30.0 ms  app.py:8
    ░ imported by the first invoke (process_data)
    2.5 ms of init is neither import nor statement
    ");
    let none = TraceView { filter: Some("nump".to_owned()), ..view };
    assert!(render_trace(&document(), &none).unwrap().contains("nothing of `nump` was imported"));
}

#[test]
fn a_failure_stands_first() {
    let mut document = document();
    document["failure"] = json!("No module named 'missing'");
    document["phases"]["init"] = json!(null);
    let text = render_trace(&document, &view(TraceOrder::Total)).unwrap();
    assert!(text.starts_with("the function failed: No module named 'missing'\n"), "{text}");
}

#[test]
fn another_document_is_a_defect_not_a_panic() {
    let error = render_trace(&json!({"schema": "glowplug.trace/1"}), &view(TraceOrder::Total)).unwrap_err();
    assert_eq!(error.class().exit_code(), 2);
}
