//! The levels beyond `safe`: what goes when somebody says which modules are needed, and what stays all the same.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, Libc, PythonVersion};
use glowplug_package::{NativeNeeds, Reached, TrimContext, TrimLevel, rule_sentence, trim};

use crate::support::{Tree, pythons};

fn set<T: From<&'static str> + Ord>(texts: &[&'static str]) -> BTreeSet<T> {
    texts.iter().map(|text| T::from(text)).collect()
}

/// The files that go by a rule of the level.
fn gone(tree: &Tree, level: TrimLevel, reached: &Reached, keep: &[&str]) -> Vec<String> {
    let keep: Vec<String> = keep.iter().map(|text| (*text).to_owned()).collect();
    let user: BTreeSet<Utf8PathBuf> = set(&["app.py", "helpers/rare.py", "helpers/table.csv"]);
    let context = TrimContext {
        level,
        python: PythonVersion::new(3, 12),
        architecture: Architecture::X86_64,
        libc: Libc::Glibc,
        user_files: &user,
        keep: &keep,
        runtime_provided: &[],
        imported: &reached.modules,
        aws_services: None,
        reached: Some(reached),
    };
    let decisions = trim(&tree.scan(), &context).unwrap().decisions;
    let rule = if level == TrimLevel::Observed { "untouched" } else { "unreachable" };
    decisions.into_iter().filter(|d| d.subject == rule).map(|d| d.place).collect()
}

fn library() -> Tree {
    Tree::new()
        .file("app.py", "")
        .file("helpers/rare.py", "")
        .file("helpers/table.csv", "1")
        .distribution(
            "lib",
            &[
                ("lib/__init__.py", b""),
                ("lib/core.py", b""),
                ("lib/colours.json", b"{}"),
                ("lib/extra/__init__.py", b""),
                ("lib/extra/more.py", b""),
                ("lib/extra/scheme.json", b"{}"),
                ("lib/extra/named.json", b"{}"),
                ("lib/licensed/__init__.py", b""),
                ("lib/licensed/code.py", b""),
                ("lib/licensed/LICENSE", b"free"),
                ("share/lib/theme.css", b"a"),
            ],
        )
        .distribution("idle", &[("idle.py", b""), ("idle_data/x.bin", b"x"), ("idle_data/NOTICE", b"x")])
}

#[test]
fn what_nothing_leads_to_goes_with_its_data() {
    let reached = Reached {
        modules: set(&["app", "helpers.rare", "lib", "lib.core"]),
        names: set(&["named.json"]),
        touched: BTreeSet::new(),
    };
    let found = gone(&library(), TrimLevel::Reachable, &reached, &[]);
    // Where a licence stays, the package's own file does too: the folder must not become a namespace.
    let expected =
        ["idle.py", "idle_data/x.bin", "lib/extra/more.py", "lib/extra/scheme.json", "lib/licensed/code.py"];
    assert_eq!(found, expected);
}

#[test]
fn modules_that_are_read_as_files_stay() {
    let tree = Tree::new().file("app.py", "").distribution(
        "lib",
        &[
            ("lib/__init__.py", b""),
            // A program that is started by its path.
            ("lib/worker.py", b""),
            ("lib/extra/__init__.py", b""),
            ("lib/extra/worker_of_idle.py", b""),
            // A project's template: no packages, and one in it.
            ("lib/templates/async/env.py", b""),
            ("lib/templates/async/app/__init__.py", b""),
            ("lib/templates/async/app/models.py", b""),
            ("lib/templates/async/script.mako", b"x"),
            // A namespace stands before its packages, and is none of these.
            ("ns/one/__init__.py", b""),
            ("ns/one/part.py", b""),
            ("ns/loose.py", b""),
        ],
    );
    let reached = Reached {
        modules: set(&["app", "lib"]),
        names: set(&["worker.py", "__init__.py"]),
        touched: BTreeSet::new(),
    };
    let found = gone(&tree, TrimLevel::Reachable, &reached, &[]);
    let idle = [
        "lib/extra/__init__.py",
        "lib/extra/worker_of_idle.py",
        "ns/loose.py",
        "ns/one/__init__.py",
        "ns/one/part.py",
    ];
    assert_eq!(found, idle);
}

#[test]
fn tests_that_code_imports_keep_only_the_data_that_it_names() {
    let tree = Tree::new().file("app.py", "").distribution(
        "lib",
        &[
            ("lib/__init__.py", b""),
            // No `__init__`: by this alone its modules could be read as files.
            ("lib/tests/_types.py", b""),
            ("lib/tests/test_core.py", b""),
            ("lib/tests/data/boost.npz", b"x"),
            ("lib/tests/data/named.npz", b"x"),
            ("lib/tests/data/opened.npz", b"x"),
        ],
    );
    let reached = Reached {
        modules: set(&["app", "lib", "lib.tests", "lib.tests._types"]),
        names: set(&["boost", "named.npz"]),
        touched: set(&["lib/tests/data/opened.npz"]),
    };
    let found = gone(&tree, TrimLevel::Reachable, &reached, &[]);
    assert_eq!(found, ["lib/tests/data/boost.npz", "lib/tests/test_core.py"]);
    let kept = gone(&tree, TrimLevel::Reachable, &reached, &["lib/tests/**"]);
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn observed_keeps_what_was_opened_loaded_or_named() {
    let reached = Reached {
        modules: set(&["app", "lib", "lib.core"]),
        names: set(&["theme.css"]),
        touched: set(&["lib/extra/named.json"]),
    };
    let found = gone(&library(), TrimLevel::Observed, &reached, &[]);
    let expected = [
        "idle.py",
        "idle_data/x.bin",
        "lib/colours.json",
        "lib/extra/more.py",
        "lib/extra/scheme.json",
        "lib/licensed/code.py",
    ];
    assert_eq!(found, expected);
}

#[test]
fn keep_goes_before_the_levels() {
    let reached = Reached { modules: set(&["app"]), ..Reached::default() };
    let found = gone(&library(), TrimLevel::Reachable, &reached, &["lib.extra", "idle"]);
    assert!(!found.iter().any(|path| path.starts_with("lib/extra/") || path == "idle.py"), "{found:?}");
    assert!(found.contains(&"lib/core.py".to_owned()), "{found:?}");
}

#[test]
fn rules_of_the_levels_have_sentences() {
    assert!(!rule_sentence("unreachable").is_empty() && !rule_sentence("untouched").is_empty());
    assert_eq!(rule_sentence("of a later version"), "");
}

#[test]
fn a_native_library_stays_with_what_is_linked_with_it() {
    // The interpreter's own extension modules are real ones, each with its `PyInit_`.
    let Some(extension) = pythons().iter().find_map(|(_, python)| extension_of(python)) else {
        eprintln!("not covered: no interpreter here has an extension module in a file");
        return;
    };
    let bytes = fs_err::read(&extension).unwrap();
    let name = extension.file_name().unwrap();
    let stem = name.split('.').next().unwrap();
    let path = format!("lib/{name}");
    let files: [(&str, &[u8]); 3] =
        [("lib/__init__.py", b""), (&path, bytes.as_slice()), ("lib/plain.so", b"\x7fELF no library at all")];
    let tree = Tree::new().file("app.py", "").distribution("lib", &files);
    let needs = NativeNeeds::of(&tree.scan()).unwrap();
    assert!(needs.is_extension(path.as_str().into()));
    assert!(!needs.is_extension("lib/plain.so".into()));
    let module = format!("lib.{stem}");
    let with = Reached { modules: ["lib".to_owned(), module].into(), ..Reached::default() };
    assert_eq!(gone(&tree, TrimLevel::Reachable, &with, &[]), Vec::<String>::new());
    let without = Reached { modules: set(&["lib"]), ..Reached::default() };
    // What is no extension module may be loaded by its path: it stays with its distribution.
    assert_eq!(gone(&tree, TrimLevel::Reachable, &without, &[]), [path.as_str()]);
}

fn extension_of(python: &camino::Utf8Path) -> Option<Utf8PathBuf> {
    let script = "import _json; print(getattr(_json, '__file__', ''))";
    Some(crate::support::python(python, script, &[])).filter(|path| !path.is_empty()).map(Utf8PathBuf::from)
}
