//! Trimming beyond level safe: whole builds of a function whose library is looked up in many ways.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;

use crate::support::Project;

const APP: &str = "\
import plug
import plug.colours

def handler(event, context):
    if event['action'] == 'render':
        return plug.backend(event['backend']).render()
    if event['action'] == 'rare':
        from plug import rare
        return rare.VALUE
    return plug.colours.names()
";

/// Modules that are reached by text, by a stem, by an entry point, from each other, or not at all.
const LIBRARY: &[(&str, &str)] = &[
    (
        "plug/__init__.py",
        "import importlib\nfrom importlib.metadata import entry_points\n\ndef backend(name):\n    \
         return importlib.import_module('plug.backends.' + name)\n\ndef hooks():\n    \
         return [e.load() for e in entry_points() if e.group == 'plug.hooks']\n",
    ),
    ("plug/backends/__init__.py", ""),
    ("plug/backends/png.py", "def render():\n    return 'png'\n"),
    ("plug/backends/pdf.py", "def render():\n    return 'pdf'\n"),
    (
        "plug/colours.py",
        "import json, pkgutil\n\ndef names():\n    \
         return sorted(json.loads(pkgutil.get_data('plug', 'colours.json')))\n",
    ),
    ("plug/colours.json", r#"{"red": 1, "blue": 2}"#),
    ("plug/unread.json", "{}"),
    ("plug/hook.py", "HOOK = 1\n"),
    ("plug/rare.py", "VALUE = 'rare'\n"),
    ("plug/nobody.py", "import plug.nobodys_friend\n"),
    ("plug/nobodys_friend.py", ""),
    ("idle/__init__.py", "raise RuntimeError('never')\n"),
    ("idle/table.bin", "0123456789"),
];

fn project() -> Project {
    let project = Project::new(APP);
    let mut record = String::new();
    for (path, text) in LIBRARY {
        project.write(&format!("function/{path}"), text);
        record += &format!("{path},,\n");
    }
    let info = "function/plug-1.0.dist-info";
    project.write(&format!("{info}/METADATA"), "Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n");
    project.write(&format!("{info}/RECORD"), record);
    project.write(&format!("{info}/entry_points.txt"), "[plug.hooks]\nfirst = plug.hook:HOOK\n");
    let events = project.event("names", r#"{"action": "names"}"#)
        + &project.event("render", r#"{"action": "render", "backend": "png"}"#);
    project.configure(&events);
    project
}

fn packed(project: &Project) -> BTreeSet<String> {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(project.made("demo.zip"))).unwrap();
    let names = archive.file_names().map(|name| name.unwrap().to_string());
    names.filter(|name| !name.contains("__pycache__")).collect()
}

/// Runs an import in the unpacked package, as the handler's module does after it has loaded.
fn import(project: &Project, module: &str) -> (bool, String) {
    let code = format!("import sys; sys.path.insert(0, sys.argv[1]); import app, {module}");
    let zip = project.root.join("out/demo.zip");
    let folder = project.root.join("unpacked");
    let unzip = ["-m", "zipfile", "-e", zip.as_str(), folder.as_str()];
    assert!(Command::new("python3").args(unzip).status().unwrap().success());
    let output = Command::new("python3").args(["-B", "-c", &code, folder.as_str()]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn reachable_keeps_what_texts_stems_and_entry_points_lead_to() {
    let project = project();
    let report = project.report(&["--trim", "reachable", "--runs", "1"]);
    assert_eq!(report["verdict"]["equal"], true);
    let names = packed(&project);
    for kept in [
        "plug/backends/png.py",
        "plug/backends/pdf.py",
        "plug/colours.json",
        "plug/hook.py",
        "plug/rare.py",
        "plug/unread.json",
    ] {
        assert!(names.contains(kept), "{kept} went: {names:?}");
    }
    for gone in ["plug/nobody.py", "plug/nobodys_friend.py", "idle/__init__.py", "idle/table.bin"] {
        assert!(!names.contains(gone), "{gone} stayed: {names:?}");
    }
}

/// Bytecode that is in the package, by module.
fn compiled(project: &Project) -> BTreeSet<String> {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(project.made("demo.zip"))).unwrap();
    let names = archive.file_names().map(|name| name.unwrap().to_string());
    let paths =
        names.filter(|name| name.contains("__pycache__")).map(|name| name.replace("__pycache__/", ""));
    paths.map(|name| name.split('.').next().unwrap_or_default().replace('/', ".")).collect()
}

#[test]
fn reachable_ships_bytecode_of_what_the_original_loads_for_some_event() {
    let project = project();
    // Compiled where it is imported, this one would add a line to the log.
    project.write("function/plug/rare.py", "VALUE = 'rare'\nPATTERN = '\\d'\n");
    project.report(&["--trim", "reachable", "--runs", "1"]);
    let compiled = compiled(&project);
    for there in ["app", "plug.__init__", "plug.colours", "plug.backends.png", "plug.rare"] {
        assert!(compiled.contains(there), "{there} has none: {compiled:?}");
    }
    assert!(!compiled.contains("plug.backends.pdf") && !compiled.contains("plug.hook"), "{compiled:?}");
    assert!(packed(&project).contains("plug/backends/pdf.py"));
    assert_eq!(import(&project, "plug.backends.pdf"), (true, String::new()));
    // A plan says so, and gives the same bytes.
    let first = project.made("demo.zip");
    project.write("plan.lock", project.made("glowplug.lock"));
    project.report(&["--plan", "plan.lock", "--runs", "1", "--fresh"]);
    assert_eq!(project.made("demo.zip"), first);
}

#[test]
fn observed_keeps_what_events_touch_and_an_absent_module_says_why() {
    let project = project();
    let report = project.report(&["--trim", "observed", "--runs", "1"]);
    assert_eq!(report["verdict"]["equal"], true);
    let names = packed(&project);
    assert!(names.contains("plug/backends/png.py") && names.contains("plug/colours.json"), "{names:?}");
    for gone in ["plug/backends/pdf.py", "plug/rare.py", "plug/unread.json", "idle/__init__.py"] {
        assert!(!names.contains(gone), "{gone} stayed: {names:?}");
    }
    let (done, errors) = import(&project, "plug.rare");
    assert!(!done);
    let told = "glowplug: `plug.rare` was left out of this package by glowplug: no traced run touched it (rule \
                `untouched`). Build with `--keep plug.rare`, or add it to `keep`";
    assert!(errors.contains(told), "{errors}");
    assert!(errors.contains("ImportError: `plug.rare` was left out"), "{errors}");
    // Whether it could be imported is a question, and the answer is that of the whole package.
    let (done, errors) = import(
        &project,
        "importlib.util\nfor name in ('plug.rare', 'idle', 'plug.never'):\n    print(importlib.util.find_spec(name) is not None, file=sys.stderr)",
    );
    assert!(done, "{errors}");
    assert_eq!(errors, "True\nTrue\nFalse\n");
    // Where it lies is not known any more.
    let (done, errors) =
        import(&project, "importlib.util\nprint(importlib.util.find_spec('plug.rare').origin)");
    assert!(!done && errors.contains(told), "{errors}");
    // What was never there is missed as ever.
    let (_, errors) = import(&project, "plug.never");
    assert!(errors.contains("ModuleNotFoundError: No module named 'plug.never'"), "{errors}");
}

#[test]
fn of_a_folder_only_what_a_later_request_needs_comes_back() {
    let project = Project::new(
        "import importlib\nimport lib\n\nSEEN = []\n\n\n\
         def handler(event, context):\n    SEEN.append(event)\n    if len(SEEN) < 2:\n        return lib.VALUE\n    \
         return [importlib.import_module('lib.' + kind[::-1]).VALUE for kind in ('htruof', 'driht')]\n",
    );
    let mut record = String::new();
    for (path, source) in [
        ("lib/__init__.py", "VALUE = 1\n"),
        ("lib/second.py", "VALUE = 2\n"),
        ("lib/third.py", "VALUE = 3\n"),
        ("lib/fourth.py", "VALUE = 4\n"),
        ("lib/fifth.py", "VALUE = 5\n"),
        ("lib/sixth.py", "VALUE = 6\n"),
    ] {
        project.write(&format!("function/{path}"), source);
        record += &format!("{path},,\n");
    }
    project.write("function/lib-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n");
    project.write("function/lib-1.0.dist-info/RECORD", record);
    project.configure(&(project.event("one", r#"{"a": 1}"#) + &project.event("two", r#"{"a": 2}"#)));
    let report = project.report(&["--trim", "observed", "--runs", "1"]);
    assert_eq!(report["verdict"]["equal"], true);
    let names = packed(&project);
    let has = |module: &str| names.contains(&format!("lib/{module}.py"));
    assert!(has("third") && has("fourth"), "{names:?}");
    assert!(!has("second") && !has("fifth") && !has("sixth"), "the whole folder came back: {names:?}");
    let decisions = report["decisions"].as_array().unwrap();
    let pinned: BTreeSet<&str> =
        decisions.iter().filter(|d| d["state"] == "pinned").map(|d| d["place"].as_str().unwrap()).collect();
    assert_eq!(pinned, BTreeSet::from(["lib/fourth.py", "lib/third.py"]));
}

#[test]
fn keep_brings_back_what_a_level_would_leave_out() {
    let project = project();
    project.report(&[
        "--trim",
        "observed",
        "--runs",
        "1",
        "--keep",
        "plug.rare",
        "--keep",
        "plug/unread.json",
    ]);
    let names = packed(&project);
    assert!(names.contains("plug/rare.py") && names.contains("plug/unread.json"), "{names:?}");
    assert!(import(&project, "plug.rare").0);
}

#[test]
fn a_plan_of_a_level_gives_the_same_bytes_without_tracing() {
    let project = project();
    project.report(&["--trim", "observed", "--runs", "1", "--update-lock"]);
    let first = project.made("demo.zip");
    let report = project.report(&["--locked", "--runs", "1", "--fresh"]);
    assert_eq!(project.made("demo.zip"), first);
    assert_eq!(report["verdict"]["equal"], true);
}

#[test]
fn without_a_replay_no_level_goes_beyond_safe() {
    let project = project();
    let report = project.report(&["--trim", "observed", "--no-verify", "--runs", "1"]);
    let notes = report["verdict"]["not_proved"].as_array().unwrap();
    let why = json!("no replay supports more than `--trim safe`, so that is what was left out");
    assert!(notes.contains(&why), "{notes:?}");
    assert!(packed(&project).contains("plug/rare.py"));
}
