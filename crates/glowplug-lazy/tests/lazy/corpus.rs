//! Real code: the standard library of every interpreter, with everything deferred that the rules allow.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use fs_err as fs;
use glowplug_test::python_with;

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

/// Typed packages, with and without the future import.
const TYPED: [&str; 6] = ["annotated_types", "fastapi", "idna", "pydantic", "starlette", "typing_inspection"];

/// Prints every function of the modules that can be imported: its signature, its annotations, its first line.
const SIGNATURES: &str = "
import importlib, inspect, re, sys
def functions(space, module, seen):
    for name, value in sorted(space.items()):
        value = getattr(value, 'fget', getattr(value, '__func__', value))
        if inspect.isclass(value) and value.__module__ == module and value not in seen:
            seen.add(value)
            yield from functions(dict(vars(value)), module, seen)
        elif inspect.isfunction(value) and value.__module__ == module and not name.startswith('__gp_'):
            yield value
waiting = 0
for module in MODULES:
    if module.endswith('.__main__'):
        continue
    try:
        loaded = importlib.import_module(module)
    except Exception:
        print(module, 'does not load')
        continue
    # Classes may be made when they are asked for.
    for name in dir(loaded):
        try:
            getattr(loaded, name)
        except Exception:
            pass
    # Annotations of `A | B` hold sets whose order is not fixed.
    for function in functions(dict(vars(loaded)), module, set()):
        waiting += type(function.__annotations__) is not dict
        if function.__qualname__ not in ('__getattr__', '__dir__'):
            read = str(list(function.__annotations__.items()))
            print(module, function.__qualname__, function.__code__.co_firstlineno, re.sub('0x[0-9a-f]+', '', read))
sys.stderr.write('%d wait' % waiting)
";

fn sources(python: &Python) -> Vec<(String, String)> {
    sources_of(python, "import os; print(os.path.dirname(os.__file__))", &PACKAGES)
}

/// The sources of packages beside the file that `script` prints the folder of.
fn sources_of(python: &Python, script: &str, packages: &[&str]) -> Vec<(String, String)> {
    let library = printed(std::process::Command::new(&python.path).args(["-c", script]).output().unwrap());
    let library = Utf8Path::new(library.trim());
    let mut paths: Vec<_> =
        library.read_dir_utf8().unwrap().flatten().map(|entry| entry.path().to_owned()).collect();
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        let relative = path.strip_prefix(library).unwrap().to_owned();
        let top = relative.components().next().unwrap();
        if path.is_dir() && packages.contains(&top.as_str()) && relative.file_name() != Some("__pycache__") {
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

/// With everything deferred in packages that are full of annotations, every function has those that it had.
#[test]
fn slow_typed_packages_keep_their_annotations() {
    for interpreter in pythons() {
        let path = python_with(interpreter, "typed", &["pydantic>=2", "fastapi"]);
        let python = Python { version: interpreter.version, path };
        let folder = "import os, fastapi; print(os.path.dirname(os.path.dirname(fastapi.__file__)))";
        let sources = sources_of(&python, folder, &TYPED);
        let files: Vec<(&str, &str)> =
            sources.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let tree = Tree::new(&files);
        let modules: Vec<String> = tree.analyses(python.version).into_keys().collect();
        let script = SIGNATURES.replace("MODULES", &format!("{modules:?}"));
        tree.compile(&python, &BTreeMap::new());
        let before = printed(tree.run_with_packages(&python, &script));
        let edits = tree.edits(python.version, None);
        let signatures: usize = edits.values().map(|edit| edit.signatures.len()).sum();
        tree.compile(&python, &edits);
        let output = tree.run_with_packages(&python, &script);
        println!(
            "Python {}: {signatures} functions, {}",
            python.version,
            String::from_utf8_lossy(&output.stderr)
        );
        let after = printed(output);
        // What cannot be imported for want of a package may be, once it is deferred.
        let broken: BTreeSet<&str> =
            before.lines().filter_map(|line| line.strip_suffix(" does not load")).collect();
        let rest = |text: &str| -> Vec<String> {
            let of_broken = |line: &&str| broken.contains(line.split(' ').next().unwrap_or_default());
            text.lines().filter(|line| !of_broken(line)).map(str::to_owned).collect()
        };
        let (before, after) = (rest(&before), rest(&after));
        for (is, was) in after.iter().zip(&before) {
            assert_eq!(is, was);
        }
        assert_eq!(after.len(), before.len());
        assert!(signatures > 100, "{signatures}");
    }
}
