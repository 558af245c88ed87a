//! What `build` tells of a plan without building: `--diff` and `--explain`.

use serde_json::json;

use crate::build::{SQUARES, two_paths};

#[test]
fn diff_shows_the_edits_and_builds_nothing() {
    let project = two_paths();
    let before = project.files();
    let outcome = project.build(&["--diff"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(project.files(), before);
    assert!(
        outcome.stdout.contains("app.py") && outcome.stdout.contains("-from tables import squares"),
        "{outcome:?}"
    );
}

#[test]
fn explain_says_why_and_builds_nothing() {
    let project = two_paths();
    let before = project.files();
    let outcome = project.build(&["--explain", "tables.squares"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(project.files(), before);
    assert!(
        outcome.stdout.contains("app.py:2") && outcome.stdout.contains("why: only `export` needs it"),
        "{outcome:?}"
    );
    let text = project.build_fails(1, &["--explain", "nothing_like_it"]);
    assert!(text.contains("no decision is about `nothing_like_it`"), "{text}");
}

#[test]
fn explain_tells_effects_and_the_way_to_a_module() {
    let project = two_paths();
    let more = format!("import os\nfrom . import book\nSIZE = os.environ.get('SIZE')\n{SQUARES}");
    project.write("function/tables/squares.py", &more);
    project.write("function/tables/book.py", "import atexit\natexit.register(print)\n");
    let told = project.build(&["--explain", "tables.squares", "--format", "json"]).json()["module"].clone();
    assert_eq!((&told["effects"], &told["reads"]), (&json!([]), &json!(["environment"])), "{told}");
    let through = json!({
        "modules": ["tables.book"],
        "effect": { "kind": "registers", "line": 2, "what": "registers with atexit" },
    });
    assert_eq!(told["through"], through, "{told}");
    let chain: Vec<&str> =
        told["chain"].as_array().unwrap().iter().map(|l| l["module"].as_str().unwrap()).collect();
    assert_eq!((chain.first(), chain.last()), (Some(&"app"), Some(&"tables.squares")), "{told}");
    let text = project.build(&["--explain", "tables.book"]).stdout;
    assert!(
        text.contains("registers, line 2: registers with atexit")
            && text.contains("app, the handler's module"),
        "{text}"
    );
}
