//! The shipped examples, built whole: minutes, not seconds.

use serde_json::Value;

use crate::support::Project;

/// Builds an example with its held-out events.
fn built(name: &str) -> (Project, Value) {
    let project = Project::example(name);
    let mut arguments = ["--update-lock", "--runs", "3"].map(str::to_owned).to_vec();
    let mut holdouts: Vec<String> = fs_err::read_dir(project.root.join("function/holdout"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    holdouts.sort();
    for path in holdouts {
        arguments.extend(["--holdout".to_owned(), path]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = project.report(&arguments);
    assert_eq!(report["verdict"]["equal"], true, "{}", report["verdict"]);
    assert_eq!(report["verdict"]["holdout"]["equal"], true, "{}", report["verdict"]);
    assert_eq!(project.running(), Vec::<i32>::new());
    (project, report)
}

/// The same plan gives the same bytes.
fn rebuilds(project: &Project, report: &Value) {
    let again = project.report(&["--locked", "--fresh", "--runs", "1"]);
    assert_eq!(again["artifacts"][0]["sha256"], report["artifacts"][0]["sha256"]);
    assert_eq!(again["verdict"]["equal"], true);
}

fn modules(report: &Value, column: &str) -> f64 {
    report[column]["modules"].as_f64().unwrap()
}

#[test]
fn report_loads_neither_pandas_nor_boto3_for_a_health_check() {
    let (_project, report) = built("report");
    assert!(modules(&report, "after") < 0.25 * modules(&report, "before"), "{}", report["after"]);
    assert!(report["ratio"]["zip_bytes"].as_f64().unwrap() <= 0.65, "{}", report["ratio"]);
}

#[test]
fn api_behaves_the_same_and_rebuilds_the_same() {
    let (project, report) = built("api");
    rebuilds(&project, &report);
}

#[test]
fn score_loads_less() {
    let (_project, report) = built("score");
    assert!(modules(&report, "after") < modules(&report, "before"), "{}", report["after"]);
}
