//! Real code: the standard library of every interpreter, with everything deferred that the rules allow.

use std::collections::BTreeSet;

use camino::Utf8Path;
use fs_err as fs;

use crate::support::{Python, Tree, printed, pythons};

/// Modules that say something about the rules and are there from 3.9 to 3.13.
const PACKAGES: [&str; 14] = [
    "asyncio",
    "concurrent",
    "email",
    "http",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "unittest",
    "urllib",
    "wsgiref",
    "xml",
    "xmlrpc",
    "zoneinfo",
];

fn sources(python: &Python) -> Vec<(String, String)> {
    let script = "import os; print(os.path.dirname(os.__file__))";
    let library = printed(std::process::Command::new(&python.path).args(["-c", script]).output().unwrap());
    let library = Utf8Path::new(library.trim());
    let mut paths: Vec<_> =
        library.read_dir_utf8().unwrap().flatten().map(|entry| entry.path().to_owned()).collect();
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        let relative = path.strip_prefix(library).unwrap().to_owned();
        let top = relative.components().next().unwrap();
        if path.is_dir() && PACKAGES.contains(&top.as_str()) && relative.file_name() != Some("__pycache__") {
            paths.extend(path.read_dir_utf8().unwrap().flatten().map(|entry| entry.path().to_owned()));
        } else if path.extension() == Some("py")
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push((relative.to_string(), text));
        }
    }
    found
}

/// Every edit that the rules allow can be applied, and the result compiles.
#[test]
fn slow_everything_that_is_allowed_compiles() {
    for python in pythons() {
        let sources = sources(python);
        let files: Vec<(&str, &str)> =
            sources.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let tree = Tree::new(&files);
        let candidates = tree.candidates(python.version);
        let chosen: BTreeSet<String> = candidates.ids().map(str::to_owned).collect();
        println!("Python {}: {} files, {} imports deferred", python.version, files.len(), chosen.len());
        assert!(chosen.len() > 300, "{}", chosen.len());
        let edits = candidates.edits(&chosen, glowplug_core::SUPPORT_MODULE);
        tree.compile(python, &edits);
    }
}
