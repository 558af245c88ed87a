//! The whole document.

use camino::Utf8PathBuf;
use glowplug_core::NoProgress;
use glowplug_trace::{Distribution, TraceContext, trace};
use serde_json::{Value, json};

use crate::fixtures::FILES;
use crate::support::{Function, any_python, engine, paths};

fn context() -> TraceContext {
    TraceContext {
        user_files: paths(&["app.py"]),
        edited: false,
        distributions: vec![Distribution {
            name: "Lib".to_owned(),
            version: "1.0".to_owned(),
            files: vec![Utf8PathBuf::from("lib")],
        }],
        runs: 2,
        agent_runs: 1,
        unpack_ms: Vec::new(),
        package_bytes: None,
        bandwidth_mbit: None,
        cold_cache: false,
        unfit: Vec::new(),
        timeout: std::time::Duration::from_secs(3),
    }
}

fn traced(function: &Function, events: &[(String, Vec<u8>)]) -> Value {
    let trace = trace(engine(), &function.spec, events, &context(), &NoProgress).unwrap();
    serde_json::to_value(&trace).unwrap()
}

#[test]
fn the_document_is_the_contract() {
    let runs = ("lib/late.py", "import os\ndef answer():\n    os.system('true')\n    return 42\n");
    let files: Vec<(&str, &str)> =
        FILES.iter().map(|file| if file.0 == runs.0 { runs } else { *file }).collect();
    let function = Function::new(&any_python(), &files);
    let events = [("go".to_owned(), b"{}".to_vec()), ("else".to_owned(), br#"{"lazy": false}"#.to_vec())];
    let trace = traced(&function, &events);
    assert_eq!(glowplug_test::lacks(glowplug_test::TRACE, &trace), Vec::<String>::new());
    for list in ["imports", "statements", "distributions", "files", "subprocesses"] {
        assert!(!trace[list].as_array().unwrap().is_empty(), "{list}");
    }
    assert_eq!(trace["schema"], "glowplug.trace/1");
    assert_eq!(trace["function"]["handler"], "app.handler");
    assert_eq!(trace["environment"]["page_cache"], "warm");
    assert_eq!(trace["environment"]["cpu"], "unlimited");
    assert_eq!(trace["environment"]["agent_overhead"]["runs"], 2);
    let phases = &trace["phases"];
    assert_eq!(phases["provision"], Value::Null);
    assert_eq!((&phases["runtime"]["runs"], &phases["init"]["runs"]), (&json!(4), &json!(4)));
    for event in ["go", "else"] {
        assert_eq!(phases["first_invoke"][event]["runs"], 2);
        assert_eq!(phases["warm_invoke"][event]["runs"], 2);
    }
    assert_eq!(trace["failure"], Value::Null);
    assert!(trace["unexplained_ms"].is_number());
    assert_eq!(trace["statements"][1]["place"], "app.py:2");
    assert_eq!(trace["statements"][1]["text"], "import json");

    let imports = trace["imports"].as_array().unwrap();
    let of = |module: &str| -> Vec<&Value> { imports.iter().filter(|i| i["module"] == module).collect() };
    for import in imports.iter().filter(|import| import["status"] != "cached") {
        assert!(import["regex_ms"].is_number(), "{import}");
        assert_eq!(import["io_ms"].is_number(), import["memory_kib"].is_number(), "{import}");
    }
    let heavy = of("lib.heavy");
    assert_eq!(heavy.len(), 1);
    assert_eq!((&heavy[0]["distribution"], &heavy[0]["phase"]), (&json!("Lib"), &json!("init")));
    assert_eq!((&heavy[0]["bytecode"], &heavy[0]["used_by"]), (&json!("missing"), &json!([])));
    assert!(heavy[0]["memory_kib"].is_number());
    assert_eq!(of("app")[0]["used_by"], json!(["else", "go"]));
    let late: Vec<(&Value, &Value)> = of("lib.late").iter().map(|i| (&i["phase"], &i["event"])).collect();
    assert_eq!(late.len(), 2);
    assert!(late.contains(&(&json!("first_invoke"), &json!("go"))));
    assert_eq!(of("absent")[0]["status"], "failed");
    assert!(of("json").iter().all(|import| import["runtime_provided"] == true));
    assert_eq!(of("json").last().unwrap()["status"], "cached");

    let lib = &trace["distributions"][0];
    assert_eq!((&lib["name"], &lib["used_by"]), (&json!("Lib"), &json!(["else", "go"])));
    let size: usize =
        files.iter().filter(|(path, _)| path.starts_with("lib/")).map(|(_, text)| text.len()).sum();
    assert_eq!((&lib["bytes"], &lib["bytes_by_kind"]), (&json!(size), &json!({"code": size})));
    assert!(lib["total_ms"].as_f64() > Some(0.0));
    assert!(trace["files"].as_array().unwrap().iter().any(|file| file["path"] == "lib/late.py"));
}

#[test]
fn a_function_that_fails_at_import_is_a_trace_with_its_failure() {
    let function =
        Function::new(&any_python(), &[("app.py", "import part\nimport absent\n"), ("part.py", "")]);
    let trace = traced(&function, &[("go".to_owned(), b"{}".to_vec())]);
    let failure = trace["failure"].as_str().unwrap();
    assert!(
        failure.starts_with("init: Runtime.ImportModuleError") && failure.contains("absent"),
        "{failure}"
    );
    assert_eq!((&trace["phases"]["init"], &trace["unexplained_ms"]), (&Value::Null, &Value::Null));
    let mine: Vec<(&str, &str)> = trace["imports"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["runtime_provided"] == false)
        .map(|i| (i["module"].as_str().unwrap(), i["status"].as_str().unwrap()))
        .collect();
    assert_eq!(mine, [("app", "failed"), ("part", "ok"), ("absent", "failed")]);
}

#[test]
fn a_handler_that_raises_is_traced_and_named() {
    let function = Function::new(
        &any_python(),
        &[("app.py", "def handler(event, context):\n    raise KeyError('x')\n")],
    );
    let trace = traced(&function, &[("go".to_owned(), b"{}".to_vec())]);
    assert_eq!(trace["failure"], "first invoke, go: KeyError: 'x'");
    assert_eq!(trace["phases"]["first_invoke"]["go"]["runs"], 2);
}

#[test]
fn without_events_init_alone_is_traced() {
    let function = Function::new(&any_python(), FILES);
    let trace = traced(&function, &[]);
    assert_eq!((&trace["phases"]["init"]["runs"], &trace["phases"]["first_invoke"]), (&json!(2), &json!({})));
    assert_eq!(trace["failure"], Value::Null);
}
