//! What each format holds, by its documented rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use insta::assert_snapshot;
use serde_json::Value;

use crate::samples::{NOW_S, broken, large, options, rendered, trace};
use glowplug_trace::export::{Export, render};

/// The spans of an OTLP file in JSON.
fn spans(trace: &glowplug_trace::Trace) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&rendered(trace, "otlp=spans.json")).unwrap();
    document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn nanoseconds(span: &Value, field: &str) -> u64 {
    // 64-bit numbers are text in OTLP's JSON.
    span[field].as_str().unwrap().parse().unwrap()
}

fn attributes(span: &Value) -> BTreeMap<String, Value> {
    let list = span["attributes"].as_array().unwrap();
    list.iter().map(|pair| (pair["key"].as_str().unwrap().to_owned(), pair["value"].clone())).collect()
}

/// Every span with its place in the tree; times in ms from the beginning of its trace's first span.
fn outline(trace: &glowplug_trace::Trace) -> String {
    let spans = spans(trace);
    let mut text = String::new();
    let mut depths: BTreeMap<String, usize> = BTreeMap::new();
    let mut zero = 0;
    for span in &spans {
        let depth =
            span["parentSpanId"].as_str().and_then(|parent| depths.get(parent)).map_or(0, |depth| depth + 1);
        depths.insert(span["spanId"].as_str().unwrap().to_owned(), depth);
        let (start, end) = (nanoseconds(span, "startTimeUnixNano"), nanoseconds(span, "endTimeUnixNano"));
        if depth == 0 {
            zero = start;
        }
        let ms = |ns: u64| (ns - zero) as f64 / 1e6;
        let thread = attributes(span)["thread.name"]["stringValue"].as_str().unwrap().to_owned();
        let thread = if thread == "MainThread" { String::new() } else { format!("  [{thread}]") };
        let status = if span["status"]["code"] == 2 { "  ERROR" } else { "" };
        let name = format!("{:width$}{}", "", span["name"].as_str().unwrap(), width = 2 * depth);
        let _ = writeln!(text, "{name:44} {:8.2} {:8.2}{thread}{status}", ms(start), ms(end));
    }
    text
}

#[test]
fn phases_imports_and_statements_are_one_tree_on_one_clock() {
    assert_snapshot!(outline(&trace()), @r#"
    cold start health                                0.00  1036.80
      provision                                      0.00   500.00
        fetch                                        0.00   198.02
        unpack                                     198.02   500.00
      runtime                                      500.00   536.00
        interpreter                                500.00   511.00
        site                                       511.00   513.50
        client                                     514.00   536.00
          awslambdaric.bootstrap                   514.50   534.50
            json                                   515.00   520.00
            logging                                521.00   528.00
      init                                         536.00  1036.00
        app                                        536.00  1036.00
          boto3                                    536.94   725.62
            botocore.session                       537.42   724.21
              awscrt                               587.89   591.09  ERROR
          pandas                                   725.62   999.21
            numpy                                  726.57   967.13
            pandas._libs.lib                       967.32   969.21
          app.py:12 client = boto3.client("s3")   1003.92  1025.62
            botocore.docs                         1007.70  1015.25
          app.py:14 MODEL = pickle.load(file)     1026.09  1031.28
            sklearn                               1026.19  1030.91
        sqlite3                                    636.00  1036.00  [Thread-1 (warm)]
      report                                      1036.00  1036.80
    report                                           0.00     0.40
    cold start process_data                          0.00  1096.00
      provision                                      0.00   500.00
        fetch                                        0.00   198.02
        unpack                                     198.02   500.00
      runtime                                      500.00   536.00
        interpreter                                500.00   511.00
        site                                       511.00   513.50
        client                                     514.00   536.00
          awslambdaric.bootstrap                   514.50   534.50
            json                                   515.00   520.00
            logging                                521.00   528.00
      init                                         536.00  1036.00
        app                                        536.00  1036.00
          boto3                                    536.94   725.62
            botocore.session                       537.42   724.21
              awscrt                               587.89   591.09  ERROR
          pandas                                   725.62   999.21
            numpy                                  726.57   967.13
            pandas._libs.lib                       967.32   969.21
          app.py:12 client = boto3.client("s3")   1003.92  1025.62
            botocore.docs                         1007.70  1015.25
          app.py:14 MODEL = pickle.load(file)     1026.09  1031.28
            sklearn                               1026.19  1030.91
        sqlite3                                    636.00  1036.00  [Thread-1 (warm)]
      report                                      1036.00  1096.00
        numpy.rec                                 1036.00  1048.00
        pandas.io.excel                           1055.00  1085.00
          openpyxl                                1056.00  1061.00
    report                                           0.00     5.00
    "#);
}

#[test]
fn a_function_that_does_not_start_is_shown_up_to_its_failure() {
    assert_snapshot!(outline(&broken()), @r#"
    cold start                                       0.00   575.00  ERROR
      provision                                      0.00   500.00
      runtime                                      500.00   545.00
        awslambdaric                               523.00   531.00
      init                                         545.00   575.00  ERROR
        app                                        545.00   575.00  ERROR
          boto3                                    546.00   571.00
          nope                                     572.00   572.10  ERROR
    "#);
    let spans = spans(&broken());
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    for name in ["cold start", "init", "app", "nope"] {
        assert_eq!(named(name)["status"]["message"], "Unable to import module 'app': No module named 'nope'");
        assert_eq!(attributes(named(name))["error.type"]["stringValue"], "Runtime.ImportModuleError");
    }
}

#[test]
fn otlp_follows_the_conventions_for_functions() {
    let document: Value = serde_json::from_slice(&rendered(&trace(), "otlp=spans.json")).unwrap();
    let resource = attributes(&document["resourceSpans"][0]["resource"]);
    let text = |key: &str| resource[key]["stringValue"].as_str().unwrap();
    assert_eq!(text("faas.name"), "report");
    assert_eq!(text("faas.version"), "$LATEST");
    assert_eq!(text("cloud.platform"), "aws_lambda");
    assert_eq!(text("cloud.resource_id"), "arn:aws:lambda:us-east-1:123456789012:function:report");
    // Bytes, not megabytes; a 64-bit number is text.
    assert_eq!(resource["faas.max_memory"]["intValue"], "536870912");

    let spans = spans(&trace());
    let roots: Vec<&Value> = spans.iter().filter(|span| span["parentSpanId"].is_null()).collect();
    let names: Vec<&str> = roots.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cold start health", "report", "cold start process_data", "report"]);
    // A warm invoke is another trace, and knows the cold start before it.
    assert_eq!(roots[1]["links"][0]["traceId"], roots[0]["traceId"]);
    assert_ne!(roots[1]["traceId"], roots[0]["traceId"]);
    let cold = |span: &Value| attributes(span).get("faas.coldstart").map(|value| value["boolValue"].clone());
    assert_eq!(cold(roots[0]), Some(Value::Bool(true)));
    assert_eq!(cold(roots[1]), Some(Value::Bool(false)));
    let invokes: Vec<&Value> = spans.iter().filter(|span| span["kind"] == 2).collect();
    assert_eq!(invokes.len(), 4);
    assert!(invokes.iter().all(|span| span["name"] == "report" && cold(span).is_some()));
    let requests: BTreeSet<String> =
        invokes.iter().map(|span| attributes(span)["faas.invocation_id"].to_string()).collect();
    assert_eq!(requests.len(), 4);
    assert_eq!(nanoseconds(roots[3], "endTimeUnixNano"), NOW_S * 1_000_000_000);
    assert_eq!(roots[0]["traceId"].as_str().unwrap().len(), 32);
    // It began two seconds and a bit before.
    assert!(roots[0]["traceId"].as_str().unwrap().starts_with(&format!("{:08x}", NOW_S - 3)));
}

#[test]
fn otlp_tells_of_an_import_who_asked_what_it_cost_and_who_used_it() {
    let spans = spans(&trace());
    let numpy = attributes(spans.iter().find(|span| span["name"] == "numpy").unwrap());
    assert_eq!(numpy["code.file.path"]["stringValue"], "/var/task/pandas.py");
    assert_eq!(numpy["code.line.number"]["intValue"], "7");
    assert_eq!(numpy["glowplug.distribution"]["stringValue"], "numpy");
    // As measured, though the span had to shrink.
    assert_eq!(numpy["glowplug.self_ms"]["doubleValue"], 255.0);
    assert_eq!(numpy["glowplug.compile_ms"]["doubleValue"], 127.5);
    assert_eq!(numpy["glowplug.bytecode"]["stringValue"], "missing");
    assert_eq!(numpy["glowplug.used_by"]["arrayValue"]["values"][0]["stringValue"], "process_data");
    // Not measured is not 0.
    assert!(!numpy.contains_key("glowplug.unmarshal_ms"));
}

#[test]
fn variables_change_the_resource_and_the_threshold_decides_what_is_shown() {
    let mut options = options();
    options.otlp.resource = vec![("service.name".to_owned(), "other".to_owned())];
    options.threshold_ms = 100.0;
    let export: Export = "otlp=spans.json".parse().unwrap();
    let document: Value = serde_json::from_slice(&render(&trace(), &export, &options).unwrap()).unwrap();
    let resource = attributes(&document["resourceSpans"][0]["resource"]);
    assert_eq!(resource["service.name"]["stringValue"], "other");
    assert_eq!(resource["faas.name"]["stringValue"], "report");
    let spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let kind = |span: &&Value| attributes(span)["glowplug.kind"]["stringValue"] == "import";
    let imports: BTreeSet<&str> =
        spans.iter().filter(kind).map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(
        imports.into_iter().collect::<Vec<_>>(),
        ["app", "boto3", "botocore.session", "numpy", "pandas", "sqlite3"]
    );
}

#[test]
fn importtime_is_what_the_interpreter_prints() {
    let text = String::from_utf8(rendered(&trace(), "importtime=x")).unwrap();
    assert_snapshot!(text, @r#"
    import time: self [us] | cumulative | imported package
    import time:       200 |        200 | awslambdaric
    import time:      5000 |       5000 |   json
    import time:      7000 |       7000 |   logging
    import time:      8000 |      20000 | awslambdaric.bootstrap
    import time:      3400 |       3400 |       awscrt
    import time:        50 |         50 |       certifi
    import time:    194600 |     198050 |     botocore.session
    import time:      1000 |     199050 |   boto3
    import time:    255000 |     255000 |     numpy
    import time:      2000 |       2000 |       pandas._libs.lib
    import time:       400 |       2400 |     pandas._libs
    import time:     33000 |     290400 |   pandas
    import time:      8000 |       8000 |   botocore.docs
    import time:      5000 |       5000 |   sklearn
    import time:      4000 |     506450 | app
    import time:    400000 |     400000 | sqlite3
    import time:       300 |        300 | numpy.rec
    import time:      5000 |       5000 |   openpyxl
    import time:     25000 |      30000 | pandas.io.excel
    "#);
}

#[test]
fn speedscope_opens_and_closes_frames_as_a_stack() {
    for trace in [trace(), broken(), large()] {
        let document: Value = serde_json::from_slice(&rendered(&trace, "speedscope=x")).unwrap();
        let frames = document["shared"]["frames"].as_array().unwrap().len() as u64;
        for profile in document["profiles"].as_array().unwrap() {
            let mut stack = Vec::new();
            let mut now = profile["startValue"].as_u64().unwrap();
            for event in profile["events"].as_array().unwrap() {
                let (frame, at) = (event["frame"].as_u64().unwrap(), event["at"].as_u64().unwrap());
                assert!(at >= now && frame < frames);
                now = at;
                match event["type"].as_str().unwrap() {
                    "O" => stack.push(frame),
                    _ => assert_eq!(stack.pop(), Some(frame)),
                }
            }
            assert!(stack.is_empty() && now <= profile["endValue"].as_u64().unwrap());
        }
    }
    let document: Value = serde_json::from_slice(&rendered(&trace(), "speedscope=x")).unwrap();
    let profiles = document["profiles"].as_array().unwrap();
    let names: Vec<&str> = profiles.iter().map(|profile| profile["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "report: health",
            "report: health, Thread-1 (warm)",
            "report: process_data",
            "report: process_data, Thread-1 (warm)"
        ]
    );
}

/// Every document of an X-Ray export with the ids within, checked against what AWS documents.
fn segments(trace: &glowplug_trace::Trace) -> Vec<Value> {
    let text = String::from_utf8(rendered(trace, "xray=x")).unwrap();
    assert!(text.ends_with('\n'));
    let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(text.lines().all(|line| line.len() < 64_000 - 40));
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for document in &documents {
        let trace_id = document["trace_id"].as_str().unwrap();
        let parts: Vec<&str> = trace_id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [1, 8, 24]);
        check_segment(document, trace_id, &mut known);
    }
    for document in documents.iter().filter(|document| document["type"] == "subsegment") {
        let parent = known.get(document["parent_id"].as_str().unwrap());
        assert_eq!(parent.map(String::as_str), document["trace_id"].as_str());
    }
    documents
}

fn check_segment(segment: &Value, trace_id: &str, known: &mut BTreeMap<String, String>) {
    let id = segment["id"].as_str().unwrap();
    assert!(id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(known.insert(id.to_owned(), trace_id.to_owned()), None);
    let name = segment["name"].as_str().unwrap();
    assert!(!name.is_empty() && name.chars().count() <= 200);
    assert!(name.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/%&#=+\\-@".contains(c)), "{name}");
    let time = |field: &str| segment[field].as_f64().unwrap();
    assert!(time("start_time") <= time("end_time"));
    for child in segment["subsegments"].as_array().into_iter().flatten() {
        let times = |field: &str| child[field].as_f64().unwrap();
        assert!(time("start_time") <= times("start_time") && times("end_time") <= time("end_time"));
        check_segment(child, trace_id, known);
    }
}

#[test]
fn xray_documents_are_segments_with_subsegments() {
    let documents = segments(&trace());
    assert_eq!(documents.len(), 4);
    let cold = &documents[2];
    assert_eq!(cold["name"], "report");
    assert_eq!(cold["origin"], "AWS::Lambda::Function");
    assert_eq!(cold["annotations"]["coldstart"], true);
    assert_eq!(cold["annotations"]["event"], "process_data");
    assert_eq!(documents[3]["annotations"]["coldstart"], false);
    let names = |segment: &Value| -> Vec<String> {
        segment["subsegments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(cold), ["provision", "runtime", "init", "first invoke"]);
    let app = &cold["subsegments"][2]["subsegments"][0];
    assert_eq!(names(app), ["boto3", "pandas", "app.py:12", "app.py:14"]);
    assert_eq!(app["subsegments"][2]["metadata"]["glowplug"]["statement"], "client = boto3.client(\"s3\")");
    let failed = &app["subsegments"][0]["subsegments"][0]["subsegments"][0];
    assert_eq!((&failed["name"], &failed["error"]), (&"awscrt".into(), &true.into()));
    assert!(failed["fault"].is_null());
    assert!(failed["cause"]["exceptions"][0]["id"].as_str().is_some_and(|id| id.len() == 16));
    // What ended init is the function's fault, all the way up.
    let broken = &segments(&broken())[0];
    assert!(broken["fault"] == true && broken["subsegments"][2]["subsegments"][0]["fault"] == true);
}

#[test]
fn xray_documents_that_would_be_too_large_are_split_and_nothing_is_lost() {
    let documents = segments(&large());
    assert!(documents.len() > 20);
    fn count(segment: &Value) -> usize {
        1 + segment["subsegments"].as_array().into_iter().flatten().map(count).sum::<usize>()
    }
    assert_eq!(documents.iter().map(count).sum::<usize>(), spans(&large()).len());
}

#[test]
fn the_same_trace_has_the_same_id_everywhere_and_another_seed_another() {
    let hex = segments(&trace())[0]["trace_id"].as_str().unwrap()[2..].replace('-', "");
    assert_eq!(spans(&trace())[0]["traceId"], *hex);
    let mut other = options();
    other.seed = 43;
    let export: Export = "xray=x".parse().unwrap();
    assert_ne!(render(&trace(), &export, &other).unwrap(), rendered(&trace(), "xray=x"));
}

#[test]
fn a_trace_without_anything_is_still_a_document_everywhere() {
    let mut empty = broken();
    empty.imports.clear();
    empty.phases = glowplug_trace::Phases::default();
    for export in ["otlp=x", "otlp=x.json", "chrome=x", "speedscope=x", "importtime=x", "xray=x"] {
        assert!(!rendered(&empty, export).is_empty(), "{export}");
    }
    assert_eq!(segments(&empty).len(), 1);
}
