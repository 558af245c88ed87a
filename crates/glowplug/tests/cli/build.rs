//! Whole builds of small functions: artifact, plan, report and what the user reads.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::support::{PLAIN, Project, digest};

/// Two paths, of which only the rare one needs the table.
const TWO_PATHS: &str = "\
import json
from tables import squares


def handler(event, context):
    if event['action'] == 'ping':
        return {'ok': True}
    return {'squares': json.dumps([squares.TABLE[row] for row in event['rows']])}
";

/// Takes long enough for its gain to be seen on a busy machine.
pub(crate) const SQUARES: &str = "TABLE = [n * n for n in range(1_500_000)]\n";

pub(crate) fn two_paths() -> Project {
    let project = Project::new(TWO_PATHS);
    project.write("function/tables/__init__.py", "");
    project.write("function/tables/squares.py", SQUARES);
    let events = project.event("ping", r#"{"action": "ping"}"#)
        + "weight = 0.9\n"
        + &project.event("export", r#"{"action": "export", "rows": [1, 2, 3]}"#)
        + "weight = 0.1\n";
    project.configure(&format!("memory = 512\n{events}"));
    project
}

/// Names of the files in the zip.
fn packed(project: &Project) -> BTreeSet<String> {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(project.made("demo.zip"))).unwrap();
    archive.file_names().map(|name| name.unwrap().to_string()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_build_makes_the_zip_the_plan_and_the_report() {
    let project = two_paths();
    let report = project.report(&[]);
    assert_eq!(report["schema"], "glowplug.report/1");
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["events"], 2);
    let artifact = &report["artifacts"][0];
    assert_eq!((&artifact["kind"], &artifact["path"]), (&json!("zip"), &json!("out/demo.zip")));
    let bytes = project.made("demo.zip");
    assert_eq!(artifact["bytes"], bytes.len());
    assert_eq!(artifact["sha256"], digest(&bytes));
    let plan: Value = serde_json::from_slice(&project.made("glowplug.lock")).unwrap();
    assert_eq!(plan["schema"], "glowplug.plan/1");
    assert_eq!(plan["function"]["handler"], "app.handler");
    let stored: Value = serde_json::from_slice(&project.made("report.json")).unwrap();
    assert_eq!(stored, report);
    assert!(!project.root.join("out/earlier.txt").exists(), "the earlier build is replaced as a whole");
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn the_report_has_the_fields_of_the_contract() {
    let report = two_paths().report(&["--runs", "1"]);
    assert_eq!(
        keys(&report),
        [
            "schema",
            "function",
            "environment",
            "as_shipped",
            "before",
            "after",
            "ratio",
            "decisions",
            "verdict",
            "advice",
            "artifacts"
        ]
    );
    for column in ["as_shipped", "before", "after"] {
        let measured = &report[column];
        for key in ["init_ms", "cold_ms", "cold_weighted_ms", "warm_ms", "memory_mb"] {
            assert!(!measured[key].is_null(), "{column}.{key}");
        }
        for key in ["zip_bytes", "unzipped_bytes", "files", "modules"] {
            assert!(measured[key].as_u64().unwrap() > 0, "{column}.{key}");
        }
        assert_eq!(keys(&measured["cold_ms"]), ["ping", "export"]);
        assert_eq!(keys(&measured["init_ms"]), ["median", "low", "high", "spread", "runs"]);
    }
    for key in ["init", "cold", "cold_weighted", "warm", "memory", "zip_bytes", "unzipped_bytes"] {
        assert!(!report["ratio"][key].is_null(), "ratio.{key}");
    }
    assert_eq!(report["function"]["memory_mb"], 512);
    assert_eq!(report["environment"]["cpu"], "unlimited");
    assert_eq!(report["verdict"]["holdout"], json!({"events": 0, "equal": null}));
    for decision in report["decisions"].as_array().unwrap() {
        let expected = [
            "id",
            "kind",
            "subject",
            "place",
            "state",
            "saves_ms",
            "saves_bytes",
            "evidence",
            "reason",
            "events",
        ];
        assert_eq!(keys(decision), expected);
    }
}

#[test]
fn the_zip_holds_the_sources_as_they_were_and_bytecode_beside_them() {
    let project = two_paths();
    project.write("function/data/table.csv", "a,b\n");
    project.report(&[]);
    let names = packed(&project);
    let tag = format!("cpython-{}", project.python.replace('.', ""));
    assert!(names.contains("app.py") && names.contains("data/table.csv"), "{names:?}");
    assert!(names.contains(&format!("__pycache__/app.{tag}.pyc")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("out/") || name.contains(".glowplug")), "{names:?}");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(project.made("demo.zip"))).unwrap();
    let mut source = String::new();
    archive.by_name("app.py").unwrap().read_to_string(&mut source).unwrap();
    assert_eq!(source, TWO_PATHS);
}

#[test]
fn what_only_the_rare_path_needs_is_deferred() {
    let project = two_paths();
    let report = project.report(&[]);
    let decisions = report["decisions"].as_array().unwrap();
    let lazy = decisions.iter().find(|d| d["kind"] == "lazy" && d["place"] == "app.py:2").unwrap();
    assert_eq!((&lazy["state"], &lazy["events"]), (&json!("applied"), &json!(["export"])), "{lazy}");
    let modules = |column: &str| report[column]["modules"].as_u64().unwrap();
    assert!(modules("after") < modules("before"), "{report}");
    assert!(packed(&project).contains("_glowplug_lazy.py"));
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let project = two_paths();
    let first = project.report(&["--update-lock"]);
    let lock = fs_err::read(project.root.join("function/glowplug.lock")).unwrap();
    assert_eq!(lock, project.made("glowplug.lock"));
    let second = project.report(&["--locked", "--fresh"]);
    let third = project.report(&["--plan", "function/glowplug.lock", "--no-verify"]);
    let digests: Vec<&Value> =
        [&first, &second, &third].iter().map(|r| &r["artifacts"][0]["sha256"]).collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[1], digests[2]);
    assert_eq!(project.made("glowplug.lock"), lock, "a given plan is kept word for word");
    assert_eq!(fs_err::read(project.root.join("function/glowplug.lock")).unwrap(), lock);
}

#[test]
fn without_verification_the_report_says_so_first() {
    let project = two_paths();
    let outcome = project.build(&["--no-verify"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("NOT PROVED"), "{}", outcome.stdout);
    let report = project.report(&["--no-verify"]);
    assert_eq!((&report["verdict"]["equal"], &report["verdict"]["replays"]), (&Value::Null, &json!(0)));
    let second = report["verdict"]["not_proved"][1].as_str().unwrap();
    assert!(second.contains("`--lazy safe`"), "{second}");
}

#[test]
fn without_events_nothing_is_proved_and_that_is_said_first() {
    let project = Project::new(PLAIN);
    let outcome = project.build(&[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("NOT PROVED"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("the function has no events"), "{}", outcome.stdout);
    let report = project.report(&[]);
    assert_eq!((&report["verdict"]["equal"], &report["verdict"]["events"]), (&Value::Null, &json!(0)));
}

/// A module that registers itself while it is imported: deferring it changes what others see.
fn registering() -> Project {
    let project = Project::new(
        "import plugin\nimport registry\n\n\ndef handler(event, context):\n    if event.get('use'):\n        return plugin.VALUE\n    if event.get('list'):\n        return registry.NAMES\n    return 'ok'\n",
    );
    project.write("function/registry.py", "NAMES = []\n");
    let plugin = format!("import registry\n\nVALUE = 1\n{SQUARES}registry.NAMES.append('plugin')\n");
    project.write("function/plugin.py", plugin);
    project
}

#[test]
fn behind_a_guilty_deferral_the_imports_are_planned_again() {
    let project = Project::new(
        "import sys\nimport plugin\n\n\ndef handler(event, context):\n    if event.get('use'):\n        return plugin.VALUE()\n    return 'plugin' in sys.modules\n",
    );
    project.write("function/plugin.py", "import heavy\n\n\ndef VALUE():\n    return heavy.VALUE\n");
    project.write("function/heavy.py", format!("VALUE = 1\n{SQUARES}"));
    project.configure(&project.event("plain", "{}"));
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], true);
    let decisions = report["decisions"].as_array().unwrap();
    let state = |place: &str| &decisions.iter().find(|d| d["place"] == place).unwrap()["state"];
    assert_eq!((state("app.py:2"), state("plugin.py:1")), (&json!("pinned"), &json!("applied")), "{report}");
}

#[test]
fn a_deferral_that_the_replay_finds_guilty_is_undone_and_named() {
    let project = registering();
    let events = project.event("plain", "{}") + &project.event("list", r#"{"list": true}"#);
    project.configure(&events);
    let report = project.report(&["--lazy", "aggressive"]);
    assert_eq!(report["verdict"]["equal"], true);
    let decisions = report["decisions"].as_array().unwrap();
    let plugin = decisions.iter().find(|d| d["place"] == "app.py:1").unwrap();
    assert_eq!(plugin["state"], "pinned", "{plugin}");
    assert!(plugin["reason"].as_str().unwrap().contains("a replay of `list` differed"), "{plugin}");
    let difference = &report["verdict"]["differences"][0];
    assert_eq!(difference["decisions"], json!([plugin["id"]]));
}

#[test]
fn the_default_level_sees_the_registration_before_any_replay() {
    let project = registering();
    let events = project.event("plain", "{}") + &project.event("list", r#"{"list": true}"#);
    project.configure(&events);
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["differences"], json!([]));
    let decisions = report["decisions"].as_array().unwrap();
    let plugin = decisions.iter().find(|d| d["place"] == "app.py:1").unwrap();
    let reason = plugin["reason"].as_str().unwrap();
    assert!(reason.starts_with("`plugin` acts on others while it loads: line 5: "), "{plugin}");
}

#[test]
fn a_difference_that_only_the_second_event_shows_is_found() {
    let project = Project::new(
        "import journal\nimport rows\n\n\ndef handler(event, context):\n    return journal.close() if event.get('close') else rows.START\n",
    );
    // Each event alone answers the same. Where `rows` loads after the other event, it finds what that has left.
    project
        .write("function/journal.py", "def close():\n    open('/tmp/closed', 'w').close()\n    return 1\n");
    let rows = format!("import os.path\n{SQUARES}START = int(os.path.exists('/tmp/closed'))\n");
    project.write("function/rows.py", rows);
    let (count, close) = (project.event("count", "{}"), project.event("close", r#"{"close": true}"#));
    project.configure(&format!("{count}weight = 0.01\n{close}weight = 0.99\n"));
    let report = project.report(&["--lazy", "aggressive"]);
    assert_eq!(report["verdict"]["equal"], true, "{report}");
    let decisions = report["decisions"].as_array().unwrap();
    let rows = decisions.iter().find(|d| d["place"] == "app.py:2").unwrap();
    assert_eq!(rows["state"], "pinned", "{rows}");
    let difference = &report["verdict"]["differences"][0];
    assert_eq!((&difference["replay"], &difference["after"]), (&json!("all events in reverse"), &json!("1")));
}

#[test]
fn held_out_events_are_replayed_and_reported_apart() {
    let project = two_paths();
    project.write("late.json", r#"{"action": "export", "rows": []}"#);
    let report = project.report(&["--holdout", "late.json"]);
    assert_eq!(report["verdict"]["holdout"], json!({"events": 1, "equal": true}));
    assert_eq!(report["verdict"]["events"], 2);
}

#[test]
fn a_held_out_event_that_differs_fails_the_build() {
    let project = registering();
    let event = project.event("plain", "{}");
    project.configure(&event);
    project.write("list.json", r#"{"list": true}"#);
    let outcome = project.build(&["--lazy", "aggressive", "--holdout", "list.json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("differs from the original on the held-out event `list`"), "{outcome:?}");
    assert_eq!(project.made("earlier.txt"), b"from an earlier build");
}

#[test]
fn a_typed_handler_gains_as_an_untyped_one_does() {
    let app = "import json\nimport unittest.mock\n\n\ndef named(mock: unittest.mock.Mock) -> str:\n    return \
               repr(mock)\n\n\ndef handler(event, context):\n    if event.get('types'):\n        return \
               sorted(named.__annotations__), named.__annotations__['mock'].__name__\n    return json.dumps(event)\n";
    let project = Project::new(app);
    let plain = project.event("plain", "{}") + "weight = 0.9\n";
    let types = project.event("types", r#"{"types": true}"#) + "weight = 0.1\n";
    project.configure(&format!("memory = 1769\n{plain}{types}"));
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], true, "{}", report["verdict"]);
    let decision =
        report["decisions"].as_array().unwrap().iter().find(|d| d["place"] == "app.py:2").unwrap().clone();
    assert_eq!(decision["state"], "applied", "{decision}");
}

#[test]
fn connections_are_refused_and_listed() {
    let app = "import socket\n\n\ndef ask(port):\n    try:\n        socket.create_connection(('192.0.2.1', port), 1)\n    except OSError as error:\n        return type(error).__name__\n\n\nFOUND = ask(25)\n\n\ndef handler(event, context):\n    return [FOUND, ask(event['port'])]\n";
    let project = Project::new(app);
    let events = project.event("one", r#"{"port": 443}"#) + &project.event("two", r#"{"port": 80}"#);
    project.configure(&events);
    let report = project.report(&[]);
    let expected = ["init: tcp 192.0.2.1:25", "one: tcp 192.0.2.1:443", "two: tcp 192.0.2.1:80"];
    assert_eq!(report["verdict"]["blocked"], json!(expected));
}

#[test]
fn the_users_own_tests_run_on_the_built_tree() {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    let with = |command: &str| project.configure(&format!("{event}[verify]\ncommand = \"{command}\"\n"));
    with("python3 -c 'import app; assert app.handler({}, None) == {\\\"answer\\\": 42}'");
    assert_eq!(project.report(&[])["verdict"]["tests"], true);
    with("echo the answer is wrong; exit 1");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("the answer is wrong") && text.contains("[verify] command"), "{text}");
}

#[test]
fn a_setup_that_fails_shows_its_output() {
    let project = Project::new(PLAIN);
    project.configure("[verify]\nsetup = \"echo no such database; exit 4\"\n");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("the setup command failed") && text.contains("no such database"), "{text}");
}

#[test]
fn a_folder_that_holds_its_dependencies_and_a_zip_of_it_build_the_same() {
    let project = two_paths();
    project.write("function/vendored/__init__.py", "");
    project.write(
        "function/vendored-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: vendored\nVersion: 1.0\n",
    );
    project.write(
        "function/vendored-1.0.dist-info/RECORD",
        "vendored/__init__.py,,\nvendored-1.0.dist-info/METADATA,,\nvendored-1.0.dist-info/RECORD,,\n",
    );
    assert_eq!(project.report(&[])["verdict"]["equal"], true);
    let folder = packed(&project);
    assert!(folder.contains("vendored/__init__.py"), "{folder:?}");
    let mut writer = zip::ZipWriter::new(std::fs::File::create(project.root.join("function.zip")).unwrap());
    for entry in walkdir::WalkDir::new(project.root.join("function")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(project.root.join("function")).unwrap().to_str().unwrap();
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut writer, &fs_err::read(entry.path()).unwrap()).unwrap();
        }
    }
    writer.finish().unwrap();
    let outcome = project.run(&["build", "function.zip", "--out", "out", "--runs", "1", "--format", "json"]);
    assert_eq!(outcome.json()["verdict"]["equal"], true);
    // A zip is a package already: what is in it ships.
    let all = packed(&project);
    assert!(folder.is_subset(&all), "{folder:?} {all:?}");
    assert!(all.contains("glowplug.toml"), "{all:?}");
}

/// Numbers of a measurement differ from run to run.
static NUMBERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"-?\d+(\.\d+)? ms", "[MS]"),
        (r"\d+(\.\d+)? (B|kB|MB)", "[SIZE]"),
        (r"\d+(\.\d+)?x (faster|slower)", "[TIMES]"),
        (r"[0-9a-f]{64}", "[SHA256]"),
    ]
    .into_iter()
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    .collect()
});

#[test]
fn the_text_ends_with_the_artifact_and_the_next_step() {
    let project = two_paths();
    let outcome = project.build(&[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = NUMBERS
        .iter()
        .fold(outcome.stdout, |text, (regex, name)| regex.replace_all(&text, *name).into_owned());
    for expected in [
        "as shipped",
        "before",
        "after",
        "init",
        "cold ping",
        "warm export",
        "memory",
        "verified: same payloads",
    ] {
        assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
    }
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        tail,
        [
            "next: aws lambda update-function-code --function-name demo --zip-file fileb://out/demo.zip",
            "sha256 [SHA256]",
            "out/demo.zip  [SIZE]",
        ]
    );
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let project = Project::new(PLAIN);
    let outcome = project.build(&["-q", "--format", "json"]);
    assert_eq!(outcome.stderr, "");
    assert_eq!(outcome.json()["function"]["name"], "demo");
}

#[test]
fn what_registers_in_a_library_that_another_import_loads_stays() {
    let project = Project::new(
        "import first\nimport second\n\n\ndef handler(event, context):\n    if event.get('first'):\n        return first.NAME\n    return second.find(event['find']) if event.get('find') else 'ok'\n",
    );
    let slow = "sum(range(400_000))\n";
    let put = "def put(name):\n    ENTRIES[name] = 1\n    return name\n";
    project.write("function/book.py", format!("ENTRIES = {{}}\n{slow}{put}"));
    project.write("function/first.py", format!("import book\nNAME = book.put('first')\n{slow}"));
    project.write(
        "function/second.py",
        format!("import book\ndef find(name):\n    return book.ENTRIES.get(name)\n{slow}"),
    );
    let event = project.event("ping", "{}");
    project.configure(&event);
    let report = project.report(&[]);
    let decisions = report["decisions"].as_array().unwrap();
    let of = |id: &str| decisions.iter().find(|decision| decision["id"] == id).unwrap();
    // Two runs on a busy machine may find it slower, which is another matter.
    assert_ne!(of("lazy:app.py:second")["state"], "refused", "{report}");
    // Loaded before `second`, it brings the book itself, and nobody could tell.
    let first = of("lazy:app.py:first");
    assert_eq!(first["state"], "refused", "{report}");
    assert!(first["reason"].as_str().unwrap().contains("`book.ENTRIES`"), "{first}");
}

/// Modules that import each other, and that can only be begun at one end.
#[test]
fn a_circle_of_imports_is_not_entered_from_the_other_end() {
    let project = Project::new(
        "import columns\nimport mapped\n\n\ndef handler(event, context):\n    if event.get('columns'):\n        return columns.KEY\n    return mapped.KEY if event.get('mapped') else 'ok'\n",
    );
    project
        .write("function/columns.py", format!("VALUE = 1\n{SQUARES}TABLE.clear()\nfrom mapped import KEY\n"));
    project.write("function/mapped.py", format!("from columns import VALUE\n{SQUARES}KEY = VALUE + 1\n"));
    project.write("late.json", r#"{"mapped": true}"#);
    project.configure(&project.event("ping", "{}"));
    let report = project.report(&["--holdout", "late.json"]);
    assert_eq!(report["verdict"]["equal"], true, "{report}");
    assert_eq!(report["verdict"]["holdout"]["equal"], true, "{report}");
    let decisions = report["decisions"].as_array().unwrap();
    let mapped = decisions.iter().find(|d| d["place"] == "app.py:2").unwrap();
    let reason = mapped["reason"].as_str().unwrap();
    assert!(reason.contains("fails when loaded alone: ImportError: cannot import name 'KEY'"), "{mapped}");
}

#[test]
fn a_requirement_is_installed_and_shipped() {
    let project =
        Project::new("import iniconfig\n\n\ndef handler(event, context):\n    return iniconfig.__name__\n");
    project.write("function/requirements.txt", "iniconfig==2.0.0\n");
    let event = project.event("one", "{}");
    project.configure(&event);
    let report = project.report(&[]);
    assert_eq!(report["verdict"]["equal"], true);
    let names = packed(&project);
    assert!(
        names.contains("iniconfig/__init__.py") && names.contains("iniconfig-2.0.0.dist-info/METADATA"),
        "{names:?}"
    );
}
