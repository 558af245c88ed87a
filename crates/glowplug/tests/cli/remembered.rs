//! Builds of what has not changed: nothing is replayed or measured, and what is written is the same.

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::support::{PLAIN, Project};

/// When the build's proof and figures were made, if that was not in this build.
fn remembered(report: &Value) -> Option<&str> {
    let field = report["verdict"].as_object().unwrap().get("remembered").expect("a field of the contract");
    field.as_str()
}

fn with_event() -> Project {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    project.configure(&event);
    project
}

/// The folder of remembered builds in the cache that the tests share.
fn builds() -> Utf8PathBuf {
    cache().join("builds")
}

/// The cache that the tests share.
pub(crate) fn cache() -> Utf8PathBuf {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cache = variable("GLOWPLUG_CACHE_DIR")
        .or_else(|| Some(variable("XDG_CACHE_HOME")? + "/glowplug"))
        .or_else(|| Some(variable("HOME")? + "/.cache/glowplug"));
    Utf8PathBuf::from(cache.expect("the program needs one of them, too"))
}

#[test]
fn a_build_of_the_same_is_written_again_and_says_when_it_was_proved() {
    let project = with_event();
    let first = project.report(&[]);
    assert_eq!(remembered(&first), None);
    let files = ["demo.zip", "glowplug.lock"].map(|name| project.made(name));
    project.write("out/demo.zip", "something else");
    let mut second = project.report(&[]);
    let stored: Value = serde_json::from_slice(&project.made("report.json")).unwrap();
    assert_eq!(stored, second);
    let when = remembered(&second).unwrap();
    assert!(when.len() == 20 && when.starts_with("20") && when.ends_with('Z'), "{when}");
    assert_eq!(["demo.zip", "glowplug.lock"].map(|name| project.made(name)), files);
    // Medians of another measurement would be others.
    second["verdict"]["remembered"] = Value::Null;
    assert_eq!(second, first);
    let text = project.build(&[]).stdout;
    assert!(text.contains("nothing has changed since 20"), "{text}");
    let arguments = ["build", "function", "--out", "elsewhere", "--runs", "2", "--format", "json"];
    let elsewhere = project.run(&arguments).json();
    assert!(remembered(&elsewhere).is_some());
    assert_eq!(elsewhere["artifacts"][0]["path"], "elsewhere/demo.zip");
    assert_eq!(project.read("elsewhere/demo.zip"), files[0]);
}

#[test]
fn whatever_counts_makes_it_another_build() {
    let project = with_event();
    project.write("late.json", r#"{"late": true}"#);
    project.report(&[]);
    for options in [&["--fresh"][..], &["--runs", "1"], &["--lazy", "off"], &["--holdout", "late.json"]] {
        assert_eq!(remembered(&project.report(options)), None, "{options:?}");
    }
    assert!(remembered(&project.report(&["--holdout", "late.json"])).is_some());
    project.write("late.json", r#"{"late": false}"#);
    let report = project.report(&["--holdout", "late.json"]);
    assert_eq!((remembered(&report), &report["verdict"]["holdout"]["equal"]), (None, &Value::Bool(true)));
    project.write("function/events/one.json", r#"{"other": 1}"#);
    assert_eq!(remembered(&project.report(&[])), None);
    project.write("function/app.py", PLAIN.replace("42", "43"));
    assert_eq!(remembered(&project.report(&[])), None);
    assert!(remembered(&project.report(&[])).is_some());
}

#[test]
fn a_plan_stands_for_the_build_that_made_it() {
    let project = with_event();
    project.report(&["--update-lock"]);
    let lock = project.read("function/glowplug.lock");
    for options in [&[][..], &["--locked"], &["--plan", "function/glowplug.lock"]] {
        assert!(remembered(&project.report(options)).is_some(), "{options:?}");
        assert_eq!(project.made("glowplug.lock"), lock);
    }
    assert_eq!(remembered(&project.report(&["--update-lock"])), None, "it is asked to profile anew");
    project.write("function/app.py", PLAIN.replace("42", "43"));
    let text = project.build_fails(1, &["--locked"]);
    assert!(text.contains("the plan is stale"), "{text}");
}

#[test]
fn a_corrupt_artifact_in_the_cache_is_made_again() {
    let project = with_event();
    // Tests that make the same zip share what the cache keeps of it, and one would put back what another damages.
    project.write("function/own.txt", project.root.as_str());
    let first = project.report(&[]);
    let sha256 = first["artifacts"][0]["sha256"].as_str().unwrap();
    let kept = builds().join(format!("{sha256}.zip"));
    fs_err::write(&kept, "not a zip").unwrap();
    let second = project.report(&[]);
    assert_eq!((remembered(&second), &second["artifacts"]), (None, &first["artifacts"]));
    assert!(remembered(&project.report(&[])).is_some());
}

#[test]
fn what_depends_on_the_surroundings_is_proved_every_time() {
    let project = with_event();
    let event = project.event("one", "{}");
    for setting in ["command = \"true\"", "setup = \"true\"", "network = \"allow\""] {
        project.configure(&format!("{event}[verify]\n{setting}\n"));
        for _ in 0..2 {
            assert_eq!(remembered(&project.report(&["--runs", "1"])), None, "{setting}");
        }
    }
}
