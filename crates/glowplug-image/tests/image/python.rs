//! A small root file system with an interpreter of this machine, made without any network.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_test::{Interpreter, run};
use serde_json::Value;

/// Where the interpreter is in it.
pub(crate) const PYTHON: &str = "/usr/local/bin/python3";

/// Puts the interpreter, the libraries that `ldd` names and a part of the standard library below `root`.
pub(crate) fn root_file_system(interpreter: &Interpreter, root: &Utf8Path) {
    let ask = "import json, os, sys, sysconfig\n\
               print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path('stdlib')]))";
    let said = run(Command::new(&interpreter.path).args(["-I", "-c", ask]));
    let said: Value = serde_json::from_str(&said).unwrap();
    let (executable, library) = (path(&said[0]), path(&said[1]));
    place(&executable, &root.join(PYTHON.trim_start_matches('/')));
    for library in linked(&executable) {
        place(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
    let home = root.join(format!("usr/local/lib/python{}", interpreter.version));
    for name in [
        "",
        "__pycache__",
        "encodings",
        "encodings/__pycache__",
        "json",
        "json/__pycache__",
        "lib-dynload",
        "collections",
        "collections/__pycache__",
        "re",
        "re/__pycache__",
        "importlib",
        "importlib/__pycache__",
    ] {
        let Ok(entries) = library.join(name).read_dir_utf8() else { continue };
        for entry in entries.map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_file() {
                place(entry.path(), &home.join(name).join(entry.file_name()));
            }
        }
    }
    for folder in ["proc", "sys", "dev", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
}

fn path(value: &Value) -> Utf8PathBuf {
    value.as_str().unwrap().into()
}

fn place(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// What the loader would load, itself included.
fn linked(executable: &Utf8Path) -> Vec<Utf8PathBuf> {
    let told = run(Command::new("ldd").arg(executable));
    let word = |line: &str| line.split_whitespace().find(|w| w.starts_with('/')).map(Utf8PathBuf::from);
    told.lines().filter_map(word).collect()
}
