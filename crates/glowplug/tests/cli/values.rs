//! Values of the function's own modules that are made at their first use, from the command line.

use serde_json::{Value, json};

use crate::support::Project;

/// In the place of boto3, whose constructors are known: making a client takes its time, and is logged and counted.
const MAKER: &str = "import logging\nimport time\nCOUNT = 0\ntime.sleep(0.02)\ndef client(name):\n    global COUNT\n    COUNT += 1\n    \
                     logging.getLogger('maker').info('found credentials')\n    time.sleep(0.05)\n    return [name]\n";

fn project(handler: &str) -> Project {
    let project = Project::new(&format!(
        "import logging\nimport sys\nlogging.getLogger().setLevel(logging.INFO)\nimport boto3\n\nclient = boto3.client('s3')\n\n\n{handler}"
    ));
    project.write("function/boto3.py", MAKER);
    let events = project.event("health", "{}");
    project.configure(&events);
    project
}

/// Id → state, for what is about the client.
fn states(report: &Value) -> Value {
    let decisions = report["decisions"].as_array().unwrap();
    let of = |id: &str| decisions.iter().find(|d| d["id"] == id).map_or(Value::Null, |d| d["state"].clone());
    json!([of("global:app.py:client"), of("lazy:app.py:boto3")])
}

#[test]
fn a_client_that_no_event_needs_is_not_made_and_its_lines_of_the_log_are_told() {
    let project = project(
        "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n    return client if event else 'ok'\n",
    );
    project.write("fails.json", r#"{"fail": true}"#);
    let report = project.report(&["--holdout", "fails.json"]);
    assert_eq!(states(&report), json!(["applied", "applied"]), "{report}");
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["holdout"]["equal"], true);
    let moved = report["verdict"]["moved_logs"].as_array().unwrap();
    assert!(moved.len() == 1 && moved[0].as_str().unwrap().contains("found credentials"), "{moved:?}");
    let diff = project.run(&["build", "function", "--diff"]).stdout;
    assert!(diff.contains("+client = boto3.client('s3')  # runs at the first use of the name"), "{diff}");
    assert!(diff.contains("+lazy import boto3"), "{diff}");
}

#[test]
fn an_import_that_hangs_on_a_client_which_a_replay_undoes_is_undone_with_it() {
    let handler = "def handler(event, context):\n    return getattr(sys.modules.get('boto3'), 'COUNT', 0)\n";
    let project = project(handler);
    let report = project.report(&["--update-lock"]);
    assert_eq!(states(&report), json!(["pinned", "pinned"]), "{report}");
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["moved_logs"], json!([]));
    // A plan without either gives the same bytes.
    let again = project.report(&["--locked", "--fresh"]);
    assert_eq!(again["artifacts"][0]["sha256"], report["artifacts"][0]["sha256"]);
}
