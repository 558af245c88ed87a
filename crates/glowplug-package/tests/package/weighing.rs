//! What distributions weigh in a package, and what of them could go.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, Libc, PythonVersion};
use glowplug_package::{TrimContext, TrimLevel, Weight, bytecode_path, trim, weigh};

use crate::support::Tree;

fn weights(tree: &Tree, level: TrimLevel, keep: &[String], used: &[usize]) -> Vec<Weight> {
    let scanned = tree.scan();
    let context = TrimContext {
        level,
        python: PythonVersion::new(3, 12),
        architecture: Architecture::X86_64,
        libc: Libc::Glibc,
        user_files: &BTreeSet::from([Utf8PathBuf::from("app.py")]),
        keep,
        runtime_provided: &[],
        imported: &BTreeSet::new(),
        aws_services: None,
        reached: None,
    };
    let dropped: BTreeSet<String> =
        trim(&scanned, &context).unwrap().decisions.into_iter().map(|decision| decision.place).collect();
    let kept = scanned.files.iter().filter(|file| !dropped.contains(file.path.as_str()));
    let mut shipped: Vec<_> = kept.map(|file| (file.path.clone(), file.bytes)).collect();
    shipped.push((bytecode_path("a/__init__.py".into(), PythonVersion::new(3, 12)), 1_000));
    weigh(&scanned, &shipped, &used.iter().copied().collect(), &context).unwrap()
}

#[test]
fn tests_are_counted_where_a_level_or_a_pattern_holds_them() {
    let test = [b'#'; 700];
    let tree = Tree::new()
        .file("app.py", "import a\n")
        .distribution("a", &[("a/__init__.py", b"x = 1\n"), ("a/tests/test_a.py", &test)])
        .distribution("b", &[("b/__init__.py", b"")]);
    let held = |weights: &[Weight]| -> Vec<(String, bool, u64, u64)> {
        let one = |w: &Weight| (w.name.clone(), w.used, w.kept_bytes, w.untrimmed_bytes);
        weights.iter().map(one).collect()
    };
    let expected = |kept, untrimmed| [("a".to_owned(), true, kept, untrimmed), ("b".to_owned(), false, 0, 0)];
    let trimmed = weights(&tree, TrimLevel::Safe, &[], &[0]);
    assert_eq!(held(&trimmed), expected(0, 0));
    assert!((1_006..1_300).contains(&trimmed[0].bytes), "bytecode is its module's: {trimmed:?}");
    let kept = weights(&tree, TrimLevel::Safe, &["a/tests".to_owned()], &[0]);
    assert_eq!(held(&kept), expected(700, 0));
    assert_eq!(kept[0].bytes, trimmed[0].bytes + 700);
    assert_eq!(held(&weights(&tree, TrimLevel::Off, &[], &[0])), expected(0, 700));
}
