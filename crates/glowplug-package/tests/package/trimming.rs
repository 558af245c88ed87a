//! The rules at work: for each of them a file that goes and one like it that stays.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, DecisionKind, DecisionState, Libc, PythonVersion};
use glowplug_package::{PackageTree, RULES, TrimContext, TrimLevel, imported_by_kept, trim};

use crate::support::Tree;

/// What a test may set; the rest is the usual.
#[derive(Default)]
struct Setting<'a> {
    user: &'a [&'a str],
    keep: &'a [&'a str],
    provided: &'a [&'a str],
    imported: &'a [&'a str],
    services: Option<&'a [&'a str]>,
    off: bool,
}

fn owned<T: FromIterator<String>>(texts: &[&str]) -> T {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Path of each file that goes → the rule.
fn dropped(tree: &PackageTree, setting: &Setting) -> BTreeMap<String, String> {
    let user: BTreeSet<Utf8PathBuf> = setting.user.iter().map(Utf8PathBuf::from).collect();
    let (keep, provided): (Vec<String>, Vec<String>) = (owned(setting.keep), owned(setting.provided));
    let imported: BTreeSet<String> = owned(setting.imported);
    let services: Option<BTreeSet<String>> = setting.services.map(owned);
    let context = TrimContext {
        level: if setting.off { TrimLevel::Off } else { TrimLevel::Safe },
        python: PythonVersion::new(3, 12),
        architecture: Architecture::X86_64,
        libc: Libc::Glibc,
        user_files: &user,
        keep: &keep,
        runtime_provided: &provided,
        imported: &imported,
        aws_services: services.as_ref(),
        reached: None,
    };
    let decisions = trim(tree, &context).unwrap().decisions;
    for decision in &decisions {
        assert_eq!((decision.kind, decision.state), (DecisionKind::Drop, DecisionState::Applied));
        assert_eq!(decision.id, format!("drop:{}", decision.place));
        assert_eq!(decision.saves_bytes, Some(tree.file(decision.place.as_str().into()).unwrap().bytes));
        assert!(!decision.evidence.is_empty() && !decision.reason.is_empty());
    }
    decisions.into_iter().map(|decision| (decision.place, decision.subject)).collect()
}

/// One rule's case: what goes, and what stays although it is like it.
#[track_caller]
fn case(rule: &str, tree: &Tree, setting: &Setting, gone: &[&str], stays: &[&str]) {
    assert!(RULES.iter().any(|known| known.id == rule), "no rule `{rule}`");
    let tree = tree.scan();
    let found = dropped(&tree, setting);
    let of_rule: Vec<&str> =
        found.iter().filter(|(_, by)| *by == rule).map(|(path, _)| path.as_str()).collect();
    assert_eq!(of_rule, gone, "{found:?}");
    for path in stays {
        assert!(tree.file((*path).into()).is_some(), "{path} is not in the tree");
        assert!(!found.contains_key(*path), "{path} went: {}", found[*path]);
    }
}

/// The first bytes of a shared library for a machine.
fn elf(machine: u8) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([3, 0, machine, 0]);
    header.resize(64, 0);
    header
}

const X86_64: u8 = 62;
const AARCH64: u8 = 183;

#[test]
fn every_rule_is_tested() {
    let source = concat!(include_str!("trimming.rs"), include_str!("copies.rs"));
    for rule in RULES {
        assert!(
            source.contains(&format!("case(\"{}\"", rule.id))
                || source.contains(&format!("\"{}\",\n", rule.id))
                || source.contains(&format!("gone_by(\"{}\"", rule.id)),
            "{}",
            rule.id
        );
    }
}

#[test]
fn what_the_runtime_brings_goes_as_a_whole() {
    let tree = Tree::new()
        .distribution("boto3", &[("boto3/__init__.py", b""), ("boto3/LICENSE", b"free")])
        .distribution("boto3-stubs", &[("stubs.py", b"")]);
    let setting = Setting { provided: &["Boto_3", "BOTO3"], ..Setting::default() };
    let gone =
        ["boto3-1.0.dist-info/METADATA", "boto3-1.0.dist-info/RECORD", "boto3/LICENSE", "boto3/__init__.py"];
    case("runtime-provided", &tree, &setting, &gone, &["stubs.py", "boto3-stubs-1.0.dist-info/METADATA"]);
}

#[test]
fn bytecode_of_others_goes() {
    let mut tree = Tree::new().distribution(
        "lib",
        &[("lib/m.py", b""), ("lib/only.pyc", b"x"), ("lib/m.pyc", b"x"), ("lib/old.pyo", b"x")],
    );
    for name in ["m.cpython-39", "m.cpython-312", "m.cpython-312.opt-1", "gone.cpython-312"] {
        tree = tree.file(&format!("lib/__pycache__/{name}.pyc"), "x");
    }
    let tree = tree.file("app.py", "").file("__pycache__/app.cpython-310.pyc", "x");
    let gone = [
        "__pycache__/app.cpython-310.pyc",
        "lib/__pycache__/gone.cpython-312.pyc",
        "lib/__pycache__/m.cpython-312.opt-1.pyc",
        "lib/__pycache__/m.cpython-39.pyc",
        "lib/m.pyc",
        "lib/old.pyo",
    ];
    case(
        "foreign-bytecode",
        &tree,
        &Setting::default(),
        &gone,
        &["lib/__pycache__/m.cpython-312.pyc", "lib/only.pyc", "app.py"],
    );
}

#[test]
fn libraries_that_cannot_be_loaded_go() {
    let (ours, theirs) = (elf(X86_64), elf(AARCH64));
    let tree = Tree::new().distribution(
        "lib",
        &[
            ("lib/a.cpython-312-x86_64-linux-gnu.so", &ours),
            ("lib/a.cpython-39-x86_64-linux-gnu.so", &ours),
            ("lib/alone.cpython-39-x86_64-linux-gnu.so", &ours),
            ("lib/b.abi3.so", &ours),
            ("lib/libother.so.1", &theirs),
            ("lib/wanted.abi3.so", &theirs),
        ],
    );
    let setting = Setting { imported: &["lib.wanted"], ..Setting::default() };
    let gone = ["lib/a.cpython-39-x86_64-linux-gnu.so", "lib/libother.so.1"];
    let stays = [
        "lib/a.cpython-312-x86_64-linux-gnu.so",
        "lib/alone.cpython-39-x86_64-linux-gnu.so",
        "lib/b.abi3.so",
        "lib/wanted.abi3.so",
    ];
    case("foreign-native", &tree, &setting, &gone, &stays);
}

#[test]
fn programs_for_other_systems_go_unless_dotnet_is_there() {
    let files: &[(&str, &[u8])] =
        &[("lib/cli-64.exe", b"MZ"), ("lib/x.dll", b"MZ"), ("lib/libx.dylib", b""), ("lib/x.pyd", b"MZ")];
    let tree = Tree::new().distribution("lib", files).file("mine.exe", "MZ");
    let all = ["lib/cli-64.exe", "lib/libx.dylib", "lib/x.dll", "lib/x.pyd"];
    case("foreign-platform", &tree, &Setting::default(), &all, &["mine.exe"]);
    let tree =
        Tree::new().distribution("lib", files).distribution("clr_loader", &[("clr_loader/__init__.py", b"")]);
    case(
        "foreign-platform",
        &tree,
        &Setting::default(),
        &["lib/libx.dylib", "lib/x.pyd"],
        &["lib/x.dll", "lib/cli-64.exe"],
    );
}

#[test]
fn tests_go_unless_something_kept_imports_or_reads_them() {
    let tree = Tree::new()
        .distribution(
            "lib",
            &[
                ("lib/__init__.py", b"import lib.core"),
                ("lib/conftest.py", b""),
                ("lib/test/__init__.py", b"# a public module"),
                ("lib/tests/LICENSE", b"free"),
                ("lib/tests/data.csv", b"1"),
                ("lib/tests/test_core.py", b""),
                ("lib/used/tests/test_x.py", b""),
            ],
        )
        .distribution(
            "reads",
            &[
                ("reads/__init__.py", b"open(here / 'tests' / 'sample.txt')"),
                ("reads/tests/sample.txt", b""),
                ("reads/tests/test_a.py", b""),
            ],
        )
        .file("tests/test_app.py", "");
    let setting = Setting { imported: &["lib.used.tests.test_x"], ..Setting::default() };
    let gone = ["lib/conftest.py", "lib/tests/data.csv", "lib/tests/test_core.py", "reads/tests/test_a.py"];
    let stays = [
        "lib/test/__init__.py",
        "lib/tests/LICENSE",
        "lib/used/tests/test_x.py",
        "reads/tests/sample.txt",
        "tests/test_app.py",
    ];
    case("tests", &tree, &setting, &gone, &stays);
}

#[test]
fn documentation_goes_unless_the_code_names_it() {
    let tree = Tree::new()
        .distribution(
            "lib",
            &[
                ("lib/__init__.py", b"# see https://lib.org/docs/x"),
                ("lib/docs/index.rst", b""),
                ("share/man/man1/lib.1", b""),
            ],
        )
        .distribution(
            "shows",
            &[("shows/__init__.py", b"PATH = join(here, 'examples')"), ("shows/examples/a.json", b"")],
        )
        .distribution("uses", &[("uses/__init__.py", b""), ("uses/samples/__init__.py", b"")]);
    let setting = Setting { imported: &["uses.samples"], ..Setting::default() };
    case(
        "docs",
        &tree,
        &setting,
        &["lib/docs/index.rst", "share/man/man1/lib.1"],
        &["shows/examples/a.json", "uses/samples/__init__.py"],
    );
}

fn aws() -> Tree {
    Tree::new()
        .distribution(
            "botocore",
            &[
                ("botocore/data/endpoints.json", b"{}"),
                ("botocore/data/ec2/2016/service-2.json.gz", b"x"),
                ("botocore/data/s3/2006/examples-1.json", b"{}"),
                ("botocore/data/s3/2006/service-2.json.gz", b"x"),
                ("botocore/data/sts/2011/service-2.json.gz", b"x"),
            ],
        )
        .distribution(
            "boto3",
            &[("boto3/data/ec2/2016/resources-1.json", b"{}"), ("boto3/examples/s3.rst", b"")],
        )
}

#[test]
fn data_of_services_that_nobody_asks_for_goes() {
    let setting = Setting { services: Some(&["s3"]), ..Setting::default() };
    let gone = ["boto3/data/ec2/2016/resources-1.json", "botocore/data/ec2/2016/service-2.json.gz"];
    let stays = [
        "botocore/data/endpoints.json",
        "botocore/data/s3/2006/service-2.json.gz",
        "botocore/data/sts/2011/service-2.json.gz",
    ];
    case("aws-services", &aws(), &setting, &gone, &stays);
    // A service's name that is computed may be any.
    case("aws-services", &aws(), &Setting::default(), &[], &["botocore/data/ec2/2016/service-2.json.gz"]);
}

#[test]
fn what_only_the_documentation_of_aws_reads_goes() {
    let gone = ["boto3/examples/s3.rst", "botocore/data/s3/2006/examples-1.json"];
    let found = dropped(&aws().scan(), &Setting::default());
    assert!(gone.iter().all(|path| found.contains_key(*path)), "{found:?}");
    case(
        "aws-docs",
        &aws(),
        &Setting::default(),
        &["botocore/data/s3/2006/examples-1.json"],
        &["botocore/data/s3/2006/service-2.json.gz"],
    );
}

#[test]
fn sources_of_compiled_modules_go_and_those_that_are_read_stay() {
    let tree = Tree::new()
        .distribution(
            "built",
            &[
                ("built/__init__.py", b"cdef(open('api.h').read())"),
                ("built/_x.abi3.so", b""),
                ("built/api.h", b""),
                ("built/x.pyx", b""),
            ],
        )
        .distribution("pure", &[("pure/__init__.py", b""), ("pure/template.c", b"")])
        .distribution("numba", &[("numba/_n.abi3.so", b""), ("numba/runtime.h", b"")]);
    case(
        "headers",
        &tree,
        &Setting::default(),
        &["built/x.pyx"],
        &["built/api.h", "pure/template.c", "numba/runtime.h"],
    );
}

#[test]
fn stubs_go_unless_they_are_read() {
    let tree = Tree::new()
        .distribution(
            "typed",
            &[("typed/__init__.py", b""), ("typed/__init__.pyi", b""), ("typed/py.typed", b"")],
        )
        .distribution(
            "lazy",
            &[
                ("lazy/__init__.py", b"a, b, c = lazy_loader.attach_stub(__name__, __file__)"),
                ("lazy/__init__.pyi", b""),
            ],
        )
        .file("mine.pyi", "");
    case(
        "stubs",
        &tree,
        &Setting::default(),
        &["typed/__init__.pyi", "typed/py.typed"],
        &["lazy/__init__.pyi", "mine.pyi"],
    );
}

#[test]
fn what_is_for_linking_goes() {
    let tree = Tree::new().distribution(
        "lib",
        &[
            ("lib/libx.a", b""),
            ("lib/pkgconfig/x.pc", b""),
            ("lib/meson.build", b""),
            ("lib/model.pc", b""),
            ("lib/libx.so", b""),
        ],
    );
    case(
        "link-time",
        &tree,
        &Setting::default(),
        &["lib/libx.a", "lib/meson.build", "lib/pkgconfig/x.pc"],
        &["lib/model.pc", "lib/libx.so"],
    );
}

#[test]
fn metadata_stays_and_notes_of_installers_go() {
    let tree = Tree::new().distribution("lib", &[("lib.py", b"")]);
    let mut tree = tree;
    for name in [
        "INSTALLER",
        "REQUESTED",
        "WHEEL",
        "entry_points.txt",
        "top_level.txt",
        "licenses/LICENSE",
        "direct_url.json",
    ] {
        tree = tree.file(&format!("lib-1.0.dist-info/{name}"), "x");
    }
    let stays = [
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "top_level.txt",
        "licenses/LICENSE",
        "direct_url.json",
    ]
    .map(|name| format!("lib-1.0.dist-info/{name}"));
    let stays: Vec<&str> = stays.iter().map(String::as_str).collect();
    let gone = ["lib-1.0.dist-info/INSTALLER", "lib-1.0.dist-info/REQUESTED"];
    case("installer-notes", &tree, &Setting::default(), &gone, &stays);
}

#[test]
fn start_scripts_of_python_go() {
    let tree = Tree::new().distribution(
        "lib",
        &[
            ("bin/tool", b"#!/build/venv/bin/python3\nimport lib\n"),
            ("bin/other", b"#!/bin/sh\n"),
            ("bin/native", b"\x7fELF"),
        ],
    );
    case("scripts", &tree, &Setting::default(), &["bin/tool"], &["bin/other", "bin/native"]);
}

#[test]
fn path_files_go_unless_the_function_reads_them() {
    let tree =
        || Tree::new().distribution("lib", &[("lib-nspkg.pth", b"import os"), ("lib/data.pth", b"weights")]);
    case(
        "path-files",
        &tree().file("app.py", "import lib"),
        &Setting::default(),
        &["lib-nspkg.pth"],
        &["lib/data.pth"],
    );
    let reads = tree().file("app.py", "import site\nsite.addsitedir('/var/task')");
    case("path-files", &reads, &Setting::default(), &[], &["lib-nspkg.pth"]);
}

#[test]
fn litter_goes() {
    let tree = Tree::new()
        .distribution(
            "lib",
            &[
                ("lib/.DS_Store", b""),
                ("lib/a.py~", b""),
                ("lib/a.py.orig", b""),
                ("lib/.gitkeep", b""),
                ("lib/notes.txt", b""),
            ],
        )
        .file(".gitignore", "x");
    case(
        "litter",
        &tree,
        &Setting::default(),
        &["lib/.DS_Store", "lib/a.py.orig", "lib/a.py~"],
        &["lib/.gitkeep", "lib/notes.txt", ".gitignore"],
    );
}

#[test]
fn keep_goes_before_every_rule_and_off_drops_nothing() {
    let tree = Tree::new()
        .distribution(
            "lib",
            &[("lib/__init__.py", b""), ("lib/tests/test_a.py", b""), ("lib/docs/a.rst", b"")],
        )
        .distribution("Other_Lib", &[("other/__init__.pyi", b"")]);
    let tree = tree.scan();
    assert_eq!(dropped(&tree, &Setting::default()).len(), 3);
    let setting = Setting { keep: &["lib.tests", "lib/docs/**", "other-lib"], ..Setting::default() };
    assert_eq!(dropped(&tree, &setting), BTreeMap::new());
    assert_eq!(dropped(&tree, &Setting { off: true, ..Setting::default() }), BTreeMap::new());
}

#[test]
fn the_users_own_files_stay_even_where_a_distribution_claims_them() {
    let tree = Tree::new().distribution(
        "mine",
        &[("mine/__init__.py", b""), ("mine/tests/test_a.py", b""), ("mine/a.pyi", b"")],
    );
    let user = ["mine/__init__.py", "mine/tests/test_a.py", "mine/a.pyi"];
    assert_eq!(dropped(&tree.scan(), &Setting { user: &user, ..Setting::default() }), BTreeMap::new());
}

#[test]
fn a_link_that_stays_keeps_what_it_points_to() {
    let tree = Tree::new().distribution(
        "lib",
        &[("lib/__init__.py", b""), ("lib/tests/test_a.py", b""), ("lib/tests/sample.bin", b"1")],
    );
    std::os::unix::fs::symlink("tests/sample.bin", tree.root.join("lib/default.bin")).unwrap();
    case(
        "tests",
        &tree,
        &Setting::default(),
        &["lib/tests/test_a.py"],
        &["lib/default.bin", "lib/tests/sample.bin"],
    );
}

#[test]
fn imports_made_by_tests_count_only_where_those_are_imported() {
    let tree = Tree::new().distribution(
        "lib",
        &[
            ("lib/__init__.py", b""),
            ("lib/tests/test_a.py", b""),
            ("lib/testing/tests/test_b.py", b""),
            ("lib/conftest.py", b""),
        ],
    );
    let tree = tree.scan();
    let edges: BTreeMap<String, BTreeSet<String>> = [
        ("app", &["lib", "lib.testing.tests.test_b"] as &[&str]),
        ("lib.tests.test_a", &["only.for.tests"]),
        ("lib.testing.tests.test_b", &["lib.conftest"]),
        ("lib.conftest", &["pytest"]),
    ]
    .map(|(name, targets)| (name.to_owned(), owned(targets)))
    .into();
    let seeds = edges["app"].clone();
    let imported = imported_by_kept(&tree, &BTreeSet::new(), &edges, &seeds);
    let expected: BTreeSet<String> = owned(&["lib", "lib.testing.tests.test_b", "lib.conftest", "pytest"]);
    assert_eq!(imported, expected);
}
