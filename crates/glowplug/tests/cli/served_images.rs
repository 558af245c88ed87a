//! `glowplug serve` of an OCI image layout, as `build --kind image` makes it: as it is, watched, in the emulator's place.

use std::time::Duration;

use camino::Utf8PathBuf;
use fs_err as fs;
use serde_json::{Value, json};

use crate::images::{image, project};
use crate::serve::Serving;
use crate::support::Project;

/// A handler that says which one it is.
fn app(word: &str) -> String {
    format!(
        "import os\ndef handler(event, context):\n    \
         return ['{word}', context.function_name, context.function_version, context.memory_limit_in_mb, os.getcwd()]\n"
    )
}

/// Builds the function as it is now; the layout.
fn built(project: &Project, word: &str) -> Utf8PathBuf {
    project.write("function/app.py", app(word));
    let report = image(project, &["--no-verify", "--lazy", "off", "--trim", "off"]);
    let artifacts = report["artifacts"].as_array().unwrap();
    let made = artifacts.iter().find(|artifact| artifact["kind"] == "image").unwrap();
    project.root.join(made["path"].as_str().unwrap())
}

fn can() -> bool {
    let can = glowplug_engine::Engine::new().unwrap().capabilities().mounts;
    if !can {
        println!("not covered: this host allows no view of its own");
    }
    can
}

/// Folders of unpacked images in a cache.
fn unpacked(cache: &Utf8PathBuf) -> usize {
    let entries = cache.join("images/served").read_dir_utf8().into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

#[test]
fn a_layout_is_served_also_in_the_emulators_place() {
    if !can() {
        return;
    }
    let project = project();
    let layout = built(&project, "one");
    let cache = project.root.join("cache");
    let more = ["--cache-dir", cache.as_str()];
    let serving = Serving::start_of(&project, layout.as_str(), &more, &[]);
    assert_eq!(serving.first["functions"], json!(["demo"]));
    let expected = json!(["one", "demo", "$LATEST", "128", "/var/task"]);
    assert_eq!(serving.invoke("demo", &json!({})), (200, expected));
    assert_eq!(serving.stop().0, Some(0));
    assert_eq!(unpacked(&cache), 1);
    let variables = [
        ("AWS_LAMBDA_FUNCTION_NAME", "theirs"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ];
    let serving = Serving::start_of(&project, layout.as_str(), &[&more[..], &["--rie"]].concat(), &variables);
    let expected = json!(["one", "theirs", "7", "256", "/var/task"]);
    assert_eq!(serving.invoke("function", &json!({})), (200, expected));
    assert_eq!(serving.stop().0, Some(0));
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn another_image_in_a_layout_is_served_in_place_of_the_first() {
    if !can() {
        return;
    }
    let project = project();
    let layout = built(&project, "one");
    let cache = project.root.join("cache");
    let served = project.root.join("served");
    fs::rename(&layout, &served).unwrap();
    let another = built(&project, "two");
    let more = ["--cache-dir", cache.as_str(), "--watch"];
    let serving = Serving::start_of(&project, served.as_str(), &more, &[]);
    let says = || serving.invoke("demo", &json!({})).1[0].clone();
    assert_eq!(says(), "one");
    fs::rename(&served, project.root.join("old")).unwrap();
    fs::rename(&another, &served).unwrap();
    let mut said = Value::Null;
    for _ in 0..300 {
        said = says();
        if said == "two" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(said, "two");
    assert_eq!(serving.stop().0, Some(0));
    assert_eq!(unpacked(&cache), 1, "the first is needed no more");
    assert_eq!(project.running(), Vec::<i32>::new());
}
