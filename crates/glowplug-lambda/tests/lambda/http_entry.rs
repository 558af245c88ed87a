//! The entry point for HTTP, with each interpreter: beside the function URL of the service, and alone.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_package::HTTP_ENTRY_SOURCE;
use glowplug_test::Client;
use tempfile::TempDir;

use crate::support::Running;

/// Runs a scenario of `http_entry.py` with one interpreter for the entry point.
fn scenario(name: &str, client: &Client, folder: &Utf8Path, url: &str) {
    let script = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lambda/http_entry.py"));
    let source = folder.join("entry.py");
    fs::write(&source, HTTP_ENTRY_SOURCE).unwrap();
    let done = Command::new(&glowplug_test::newest().path)
        .args([script.as_str(), name, client.python.as_str(), source.as_str(), folder.as_str(), url])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CLIENT_PACKAGES", client.packages.as_str())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "Python {}: {name}: {said}", client.version);
}

fn folder() -> (TempDir, Utf8PathBuf) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().to_path_buf()).unwrap();
    (folder, path)
}

/// Runs a scenario with every interpreter at hand.
fn with_each(name: &str) {
    for client in glowplug_test::clients() {
        let (_folder, path) = folder();
        scenario(name, &client, &path, "");
    }
}

#[test]
fn http_entry_makes_events_and_responses_as_the_function_url_does() {
    let handler = include_str!("http_handler.py");
    for client in glowplug_test::clients() {
        let (_folder, path) = folder();
        let task = path.join("task");
        fs::create_dir(&task).unwrap();
        fs::write(task.join("app.py"), handler).unwrap();
        let running = Running::start(None);
        running.add_for(client.version, "f", &task, "a");
        scenario("beside_the_function_url", &client, &path, &format!("http://{}", running.address));
    }
}

#[test]
fn http_entry_fails_as_the_runtime_client_does() {
    with_each("failures");
}

#[test]
fn http_entry_reads_http_as_clients_write_it() {
    with_each("wire");
}

#[test]
fn http_entry_takes_cloud_events() {
    with_each("cloud_events");
}

#[test]
fn http_entry_runs_as_many_handlers_at_once_as_it_is_told() {
    with_each("concurrency");
}

#[test]
fn http_entry_ends_when_what_is_under_way_is_answered() {
    with_each("ends");
}
