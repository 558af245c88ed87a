//! Builds for machines and systems that this one cannot run: they are made, and say that nothing was proved.

use serde_json::Value;

use crate::support::{PLAIN, Project};

#[test]
fn another_machine_is_built_for_and_nothing_is_proved() {
    let project = Project::new(PLAIN);
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "x86_64" };
    project.configure(&format!("architecture = \"{foreign}\"\n"));
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], Value::Null);
    let why = report["verdict"]["not_proved"][0].as_str().unwrap();
    assert!(why.contains(foreign), "{why}");
    assert_eq!(report["before"]["init_ms"], Value::Null, "what was not measured is null");
}

#[test]
fn an_image_on_alpine_is_built_for_and_nothing_is_proved() {
    if std::path::Path::new("/lib/ld-musl-x86_64.so.1").exists() {
        println!("skipped: this machine may run it");
        return;
    }
    let project = Project::new(PLAIN);
    project.configure("[package]\nlibc = \"musl\"\n");
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], Value::Null);
    let why = report["verdict"]["not_proved"][0].as_str().unwrap();
    assert!(why.contains("cannot run") && why.ends_with("with musl"), "{why}");
}

#[test]
fn one_platform_is_named_on_the_command_line() {
    let project = Project::new(PLAIN);
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "x86_64" };
    let report = project.report(&["--platform", foreign]);
    assert_eq!(
        (&report["function"]["architecture"], &report["verdict"]["equal"]),
        (&foreign.into(), &Value::Null)
    );
}
