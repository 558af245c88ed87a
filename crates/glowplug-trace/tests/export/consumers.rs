//! Programs that others wrote open what we write, and refuse what is wrong: a check that takes everything is none.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_test::{newest, npm_package, python_with};
use serde_json::Value;
use tempfile::TempDir;

use crate::samples::{broken, large, trace, written};

/// The packages that the scripts in `consumers/` import; versions, because a check should not change by itself.
const PACKAGES: [&str; 10] = [
    "opentelemetry-proto==1.45.2",
    "opentelemetry-proto-json==0.66b2",
    // What that one imports and does not ask for.
    "typing-extensions",
    "jsonschema==4.26.0",
    "tuna==0.5.15",
    "chrometrace==0.2.1",
    "trace-lanefix==0.1.1",
    "aws-xray-sdk==2.15.0",
    "moto[xray]==5.2.5",
    "boto3",
];

/// The package that carries speedscope's schema.
const SPEEDSCOPE: &str = "speedscope@1.25.0";

fn folder() -> (TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    (folder, path)
}

/// What a script says of a file, or why it refuses it.
fn consumed(script: &str, arguments: &[&Utf8Path]) -> Result<String, String> {
    let scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/consumers");
    let mut command = Command::new(python_with(newest(), "exports", &PACKAGES));
    // The script's own folder holds `tuna.py`, which is not tuna.
    command.arg("-P").arg(scripts.join(script)).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Changes a file that was accepted, and expects it to be refused.
fn refused(
    script: &str,
    file: &Utf8Path,
    others: &[&Utf8Path],
    change: impl FnOnce(String) -> String,
) -> String {
    let text = fs::read_to_string(file).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed);
    fs::write(file, changed).unwrap();
    let mut arguments = vec![file];
    arguments.extend(others);
    consumed(script, &arguments).unwrap_err()
}

#[test]
fn slow_opentelemetrys_own_classes_read_protobuf_and_json() {
    let (_kept, folder) = folder();
    for trace in [trace(), broken(), large()] {
        let binary = written(&trace, &folder, "otlp=spans.binpb");
        let json = folder.join("spans.json");
        let read = |path: &Utf8Path| -> Value {
            serde_json::from_str(&consumed("otlp.py", &[path]).unwrap()).unwrap()
        };
        let first = read(&binary);
        written(&trace, &folder, "otlp=spans.json");
        let second = read(&json);
        assert_eq!(first["resource"], second["resource"]);
        assert_eq!(first["spans"].as_array().unwrap().len(), second["spans"].as_array().unwrap().len());
    }
    let read = consumed("otlp.py", &[&written(&trace(), &folder, "otlp=spans.binpb")]).unwrap();
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read["resource"]["faas.name"], "report");
    assert_eq!(read["resource"]["faas.max_memory"], 536_870_912);
    assert_eq!(
        read["resource"]["cloud.resource_id"],
        "arn:aws:lambda:us-east-1:123456789012:function:report"
    );
    let spans = read["spans"].as_array().unwrap();
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(named("report")["attributes"]["faas.coldstart"], true);
    assert_eq!(named("numpy")["attributes"]["glowplug.used_by"], serde_json::json!(["process_data"]));
    assert_eq!(named("awscrt")["error"], true);
    for span in spans {
        let Some(parent) = spans.iter().find(|other| other["id"] == span["parent"]) else {
            assert_eq!(span["parent"], "");
            continue;
        };
        assert_eq!(parent["trace"], span["trace"]);
        let time = |span: &Value, field: &str| span[field].as_u64().unwrap();
        assert!(time(parent, "start") <= time(span, "start") && time(span, "end") <= time(parent, "end"));
    }

    let json = written(&trace(), &folder, "otlp=spans.json");
    let wrong = refused("otlp.py", &json, &[], |text| text.replacen("\"traceId\":\"", "\"traceId\":\"zz", 1));
    assert!(!wrong.is_empty());
    fs::write(folder.join("x.binpb"), b"no spans").unwrap();
    consumed("otlp.py", &[&folder.join("x.binpb")]).unwrap_err();
}

#[test]
fn slow_speedscopes_schema_takes_the_profiles() {
    if Command::new("npm").arg("--version").output().is_err() {
        println!("not here: speedscope's schema comes from npm");
        return;
    }
    let schema = npm_package(SPEEDSCOPE).join("dist/release/file-format-schema.json");
    let (_kept, folder) = folder();
    for trace in [trace(), broken(), large()] {
        consumed("speedscope.py", &[&written(&trace, &folder, "speedscope=profile.json"), &schema]).unwrap();
    }
    let profile = written(&trace(), &folder, "speedscope=profile.json");
    refused("speedscope.py", &profile, &[&schema], |text| text.replace("nanoseconds", "ns"));
}

#[test]
fn slow_chromes_events_are_read_and_perfetto_could_show_all_of_them() {
    let (_kept, folder) = folder();
    for trace in [trace(), broken(), large()] {
        consumed("chrome.py", &[&written(&trace, &folder, "chrome=trace.json")]).unwrap();
    }
    let events = written(&trace(), &folder, "chrome=trace.json");
    refused("chrome.py", &events, &[], |text| text.replace("\"ph\":\"X\"", "\"ph\":\"Y\""));
    let events = written(&trace(), &folder, "chrome=trace.json");
    // boto3 twice as long would run into pandas.
    let wrong = refused("chrome.py", &events, &[], |text| {
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let all = document["traceEvents"].as_array_mut().unwrap();
        let longer = all.iter_mut().find(|event| event["name"] == "boto3").unwrap();
        longer["dur"] = (longer["dur"].as_f64().unwrap() * 2.0).into();
        document.to_string()
    });
    assert!(wrong.contains("moved"), "{wrong}");
}

#[test]
fn slow_tuna_opens_importtime() {
    let (_kept, folder) = folder();
    let page = folder.join("page");
    for trace in [broken(), large(), trace()] {
        consumed("tuna.py", &[&written(&trace, &folder, "importtime=import.txt"), &page]).unwrap();
    }
    let text = folder.join("import.txt");
    let tree: Value = serde_json::from_str(&consumed("tuna.py", &[&text, &page]).unwrap()).unwrap();
    let child = |of: &Value, name: &str| -> Value {
        let all = of["children"].as_array().unwrap();
        all.iter()
            .find(|child| child["text"][0] == name)
            .unwrap_or_else(|| panic!("no {name} in {all:?}"))
            .clone()
    };
    let numpy = child(&child(&child(&tree, "app"), "pandas"), "numpy");
    assert_eq!(numpy["value"], 0.255);
    child(&child(&tree, "pandas.io.excel"), "openpyxl");
    refused("tuna.py", &text, &[&page], |text| text.replace("import time: ", "import: "));
}

#[test]
fn slow_aws_own_sdk_would_write_the_segments_so_and_moto_stores_them() {
    let (_kept, folder) = folder();
    for trace in [trace(), broken(), large()] {
        consumed("xray.py", &[&written(&trace, &folder, "xray=segments.jsonl")]).unwrap();
    }
    let segments = written(&trace(), &folder, "xray=segments.jsonl");
    // A name that the SDK would clean.
    refused("xray.py", &segments, &[], |text| text.replacen("\"name\":\"boto3\"", "\"name\":\"boto3()\"", 1));
    let segments = written(&trace(), &folder, "xray=segments.jsonl");
    refused("xray.py", &segments, &[], |text| text.replacen("\"trace_id\"", "\"trace\"", 1));
}
