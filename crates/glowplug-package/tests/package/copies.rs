//! Copies of shared libraries, and libraries for other systems: what becomes a link, what goes, what stays.

use std::collections::BTreeSet;
use std::process::Command;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Architecture, DecisionState, Libc, PythonVersion};
use glowplug_package::{Trim, TrimContext, TrimLevel, links, trim};

use crate::support::{Tree, python, pythons};

/// Paths and contents.
type Files<'a> = [(&'a str, &'a [u8])];

/// Builds `name` from a C source in `folder`, next to the libraries that it is linked with.
fn build(folder: &Tree, name: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    fs::write(folder.root.join("source.c"), source).unwrap();
    // Symbols for debuggers would be stripped, which is another rule.
    let mut command = Command::new("cc");
    command.args(["-s", "-shared", "-fPIC", "-o", name, "source.c", "-L."]).args(flags);
    assert!(command.current_dir(&folder.root).status().unwrap().success());
    fs::read(folder.root.join(name)).unwrap()
}

fn shared(folder: &Tree, soname: &str, flags: &[&str]) -> Vec<u8> {
    let named = format!("-Wl,-soname,{soname}");
    let source = "static int state = 40; int state_of(void) { return ++state; }";
    build(folder, soname, source, &[&[named.as_str()], flags].concat())
}

fn trimmed(tree: &Tree, libc: Libc) -> Trim {
    let context = TrimContext {
        level: TrimLevel::Safe,
        python: PythonVersion::new(3, 12),
        architecture: Architecture::host().unwrap(),
        libc,
        user_files: &BTreeSet::new(),
        keep: &[],
        runtime_provided: &[],
        imported: &BTreeSet::from(["kept".to_owned()]),
        aws_services: None,
        reached: None,
    };
    trim(&tree.scan(), &context).unwrap()
}

/// The links of a tree, and the reasons of what was refused.
fn copies(tree: &Tree) -> (Vec<(String, String)>, Vec<String>) {
    let trim = trimmed(tree, Libc::Glibc);
    let links = trim.linked.iter().map(|(path, target)| (path.to_string(), target.to_string())).collect();
    let of_rule = trim.decisions.iter().filter(|decision| decision.subject == "duplicates");
    let refused = of_rule.filter(|decision| decision.state == DecisionState::Refused);
    (links, refused.map(|decision| format!("{}: {}", decision.place, decision.reason)).collect())
}

/// Paths of what one rule drops.
fn gone_by(rule: &str, tree: &Tree, libc: Libc) -> Vec<String> {
    let decisions = trimmed(tree, libc).decisions.into_iter();
    decisions.filter(|decision| decision.subject == rule).map(|decision| decision.place).collect()
}

/// What two libraries say that both use the copied one, loaded in this order.
fn said(folder: &Utf8Path, order: [&str; 2]) -> String {
    let script =
        "import ctypes, sys\nprint(*[ctypes.CDLL(sys.argv[1] + '/' + p).ask() for p in sys.argv[2:]])";
    let (_, interpreter) = pythons().remove(0);
    python(&interpreter, script, &[folder.as_str(), order[0], order[1]])
}

#[test]
fn copies_that_wheels_hold_for_links_become_links_again() {
    let made = Tree::new();
    let library = shared(&made, "libx.so.1", &[]);
    let asks = "int state_of(void); int ask(void) { return state_of(); }";
    let main = build(&made, "main.so", asks, &["-l:libx.so.1", "-Wl,-rpath,$ORIGIN"]);
    let files: [(&str, &[u8]); 4] = [
        ("p/libx.so", &library),
        ("p/libx.so.1", &library),
        ("p/libx.so.1.2", &library),
        ("p/main.so", &main),
    ];
    let tree = Tree::new().distribution("p", &files);
    let (links, refused) = copies(&tree);
    assert_eq!(refused, Vec::<String>::new());
    let expected = [("p/libx.so.1", "libx.so"), ("p/libx.so.1.2", "libx.so")];
    assert_eq!(links, expected.map(|(path, target)| (path.to_owned(), target.to_owned())));
    let before = said(&tree.root, ["p/main.so", "p/main.so"]);
    for (path, target) in links {
        fs::remove_file(tree.root.join(&path)).unwrap();
        std::os::unix::fs::symlink(target, tree.root.join(path)).unwrap();
    }
    assert_eq!(said(&tree.root, ["p/main.so", "p/main.so"]), before);
    // Links are no copies.
    assert!(copies(&tree).0.is_empty());
}

#[test]
fn a_plan_finds_its_links_again() {
    let library = shared(&Tree::new(), "libx.so.1", &[]);
    let other = [library.as_slice(), b"x"].concat();
    let files: [(&str, &[u8]); 4] =
        [("p/a.so", &other), ("p/libx.so", &library), ("p/libx.so.1", &library), ("p/libx.so.1.2", &library)];
    let tree = Tree::new().distribution("p", &files);
    let set = |paths: &[&str]| paths.iter().map(camino::Utf8PathBuf::from).collect::<BTreeSet<_>>();
    let found = trimmed(&tree, Libc::Glibc).linked;
    let mut dropped = set(&["p/libx.so.1", "p/libx.so.1.2"]);
    assert_eq!(links(&tree.scan(), dropped.clone(), &mut dropped).unwrap(), found);
    assert_eq!(dropped.len(), 2);
    // Where the plan leaves every copy out, one that only a link would stand for stays.
    let mut all = set(&["p/libx.so", "p/libx.so.1", "p/libx.so.1.2"]);
    let left = links(&tree.scan(), set(&["p/libx.so.1", "p/libx.so.1.2"]), &mut all).unwrap();
    assert_eq!(all, set(&["p/libx.so", "p/libx.so.1.2"]));
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [("p/libx.so.1.2".into(), "libx.so.1".into())]);
}

#[test]
fn a_library_that_two_distributions_bring_is_one_in_either_order_of_loading() {
    let made = Tree::new();
    shared(&made, "liby-1.so", &[]);
    let y = fs::read(made.root.join("liby-1.so")).unwrap();
    let calls = "int state_of(void); int twice(void) { return 2 * state_of(); }";
    let flags = ["-Wl,-soname,libx-1.so", "-l:liby-1.so", "-Wl,-rpath,$ORIGIN"];
    let x = build(&made, "libx-1.so", calls, &flags);
    let asks = "int twice(void); int ask(void) { return twice(); }";
    let rpath = |name| format!("-Wl,-rpath,$ORIGIN/../{name}.libs");
    let a = build(&made, "a.so", asks, &["-l:libx-1.so", "-Wl,-rpath-link,.", &rpath("a")]);
    let b = build(&made, "b.so", asks, &["-l:libx-1.so", "-Wl,-rpath-link,.", &rpath("b")]);
    let tree = || {
        Tree::new()
            .distribution("a", &[("a/a.so", &a), ("a.libs/libx-1.so", &x), ("a.libs/liby-1.so", &y)])
            .distribution("b", &[("b/b.so", &b), ("b.libs/libx-1.so", &x), ("b.libs/liby-1.so", &y)])
    };
    let (original, linked) = (tree(), tree());
    let (links, refused) = copies(&linked);
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(links.len(), 2, "{links:?}");
    for (path, target) in &links {
        assert!(path.starts_with("b.libs/") && target.starts_with("../a.libs/"), "{links:?}");
        fs::remove_file(linked.root.join(path)).unwrap();
        std::os::unix::fs::symlink(target, linked.root.join(path)).unwrap();
    }
    for order in [["a/a.so", "b/b.so"], ["b/b.so", "a/a.so"]] {
        let before = said(&original.root, order);
        assert_eq!((before.as_str(), said(&linked.root, order).as_str()), ("82 84", "82 84"), "{order:?}");
    }
}

#[test]
fn copies_that_may_not_be_one_are_told_and_stay() {
    let made = Tree::new();
    let x = shared(&made, "libx.so", &[]);
    let far = shared(&made, "libfar.so", &["-Wl,-rpath,$ORIGIN/../other"]);
    let nameless = build(&made, "nameless.so", "int f(void) { return 1; }", &[]);
    let needs = build(
        &made,
        "libneeds.so",
        "int state_of(void); int g(void) { return state_of(); }",
        &["-Wl,-soname,libneeds.so", "-l:libx.so", "-Wl,-rpath,$ORIGIN"],
    );
    let loads: &[u8] = b"import ctypes, ctypes.util\nctypes.CDLL('p/libx.so')\n";
    let cases: [(&str, &Files); 5] = [
        ("code names it", &[("p/__init__.py", loads), ("p/a/libx.so", &x), ("p/libx.so", &x)]),
        ("no name of its own", &[("p/one.so", &nameless), ("p/two.so", &nameless)]),
        ("by its folder", &[("p/libx.so", &x), ("p/glibc-hwcaps/x86-64-v3/libx.so", &x)]),
        ("in other folders", &[("p/libfar.so", &far), ("q/libfar.so", &far)]),
        (
            "beside one of the copies",
            &[("p/libneeds.so", &needs), ("p/libx.so", &x), ("q/libneeds.so", &needs)],
        ),
    ];
    for (reason, files) in cases {
        let (links, refused) = copies(&Tree::new().distribution("p", files));
        assert!(links.is_empty(), "{reason}: {links:?}");
        assert!(refused.len() == 1 && refused[0].contains(reason), "{reason}: {refused:?}");
    }
    // Nobody's files are the user's.
    let (links, refused) = copies(&Tree::new().file("a/libx.so", &x).file("b/libx.so", &x));
    assert!(links.is_empty() && refused.is_empty());
}

#[test]
fn variants_for_newer_processors_stay() {
    let made = Tree::new();
    let (x, faster) = (shared(&made, "libx.so", &[]), shared(&made, "libx.so", &["-O2", "-Wl,-z,now"]));
    let files: [(&str, &[u8]); 2] = [("p/libx.so", &x), ("p/glibc-hwcaps/x86-64-v3/libx.so", &faster)];
    assert!(trimmed(&Tree::new().distribution("p", &files), Libc::Glibc).decisions.is_empty());
}

#[test]
fn libraries_for_musl_go_from_a_tree_for_glibc() {
    let made = Tree::new();
    build(&made, "libc.musl-x86_64.so.1", "", &["-nostdlib", "-Wl,-soname,libc.musl-x86_64.so.1"]);
    let flags = ["-nostdlib", "-Wl,--no-as-needed", "-l:libc.musl-x86_64.so.1"];
    let musl = build(&made, "m.so", "int m(void) { return 1; }", &flags);
    let ours = shared(&made, "libx.so", &[]);
    let files: [(&str, &[u8]); 3] = [("p/m.so", &musl), ("p/x.so", &ours), ("kept.so", &musl)];
    let tree = Tree::new().distribution("p", &files);
    assert_eq!(gone_by("foreign-libc", &tree, Libc::Glibc), ["p/m.so"]);
    assert!(gone_by("foreign-libc", &tree, Libc::Musl).is_empty());
    // A distribution may bring the C library that it needs.
    let brought = fs::read(made.root.join("libc.musl-x86_64.so.1")).unwrap();
    let with = Tree::new().distribution("p", &[("p/m.so", &musl), ("p/libc.musl-x86_64.so.1", &brought)]);
    assert!(gone_by("foreign-libc", &with, Libc::Glibc).is_empty());
}

#[test]
fn extension_modules_for_the_other_c_library_go_where_there_is_one_for_the_targets() {
    let machine = std::env::consts::ARCH;
    let name = |libc: &str| format!("p/m.cpython-312-{machine}-linux-{libc}.so");
    let (gnu, musl, alone) = (name("gnu"), name("musl"), name("musl").replace("p/m.", "p/alone."));
    let library = shared(&Tree::new(), "m.so", &[]);
    let tree = Tree::new().distribution("p", &[(&gnu, &library), (&musl, &library[..9000]), (&alone, b"x")]);
    assert_eq!(gone_by("foreign-native", &tree, Libc::Glibc), std::slice::from_ref(&musl));
    assert_eq!(gone_by("foreign-native", &tree, Libc::Musl), std::slice::from_ref(&gnu));
}

#[test]
fn libraries_for_macos_and_windows_go_whatever_their_name() {
    let mac: &[u8] = &[0xCF, 0xFA, 0xED, 0xFE, 7, 0, 0, 1];
    let files: [(&str, &[u8]); 4] = [
        ("p/mac.so", mac),
        ("p/win.so", b"MZ\x90\0"),
        ("p/text.so", b"GROUP ( libx.so.1 )"),
        ("kept.so", mac),
    ];
    let tree = Tree::new().distribution("p", &files);
    assert_eq!(gone_by("foreign-format", &tree, Libc::Glibc), ["p/mac.so", "p/win.so"]);
}
