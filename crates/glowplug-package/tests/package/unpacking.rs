//! Zips from outside: one clear error each, nothing half-written, nothing outside the folder.

use std::collections::BTreeSet;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{ErrorClass, NoProgress};
use glowplug_package::{ArchiveEntry, Contents, PackageTree, Unpacked, unpack, write_zip};
use proptest::prelude::*;

use crate::support::Tree;

/// An entry as a hostile or a broken tool may write it.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    data: Vec<u8>,
    mode: u32,
    method: u16,
    flags: u16,
    /// 3 is Unix, 0 DOS.
    system: u16,
}

fn file(name: impl Into<Vec<u8>>) -> Raw {
    Raw { name: name.into(), data: b"data".to_vec(), mode: 0o100_644, method: 0, flags: 0, system: 3 }
}

fn link(name: &str, target: &str) -> Raw {
    Raw { data: target.into(), mode: 0o120_777, ..file(name) }
}

fn numbers(words: &[u16], longs: &[u32]) -> Vec<u8> {
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    words.chain(longs.iter().flat_map(|long| long.to_le_bytes())).collect()
}

/// The archive byte by byte: APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
fn zip_of(entries: &[Raw]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = bytes.len() as u32;
        let (length, name) = (entry.data.len() as u32, entry.name.len() as u16);
        let same = [numbers(
            &[20, entry.flags, entry.method, 0, 33],
            &[crc32fast::hash(&entry.data), length, length],
        )]
        .concat();
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&same);
        bytes.extend(numbers(&[name, 0], &[]));
        bytes.extend(&entry.name);
        bytes.extend(&entry.data);
        directory.extend(b"PK\x01\x02");
        directory.extend(numbers(&[entry.system << 8 | 0x14], &[]));
        directory.extend(&same);
        directory.extend(numbers(&[name, 0, 0, 0, 0], &[entry.mode << 16, at]));
        directory.extend(&entry.name);
    }
    let (count, at) = (entries.len() as u16, bytes.len() as u32);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06");
    bytes.extend(numbers(&[0, 0, count, count], &[directory.len() as u32, at]));
    bytes.extend(numbers(&[0], &[]));
    bytes
}

/// Unpacks the bytes; after an error nothing but the zip is there.
fn unpacked(bytes: &[u8]) -> Result<(Tree, Unpacked), String> {
    let tree = Tree::new();
    let (zip, into) = (tree.root.join("code.zip"), tree.root.join("task"));
    fs::write(&zip, bytes).unwrap();
    match unpack(&zip, &into) {
        Ok(done) => Ok((tree, done)),
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Input, "{error}");
            assert_eq!(error.where_(), Some(zip.as_str()), "{error}");
            assert!(!error.message().contains('\n'), "{error}");
            let there: Vec<_> = fs::read_dir(&tree.root).unwrap().collect();
            assert_eq!(there.len(), 1, "{error}: {there:?}");
            Err(error.message().to_owned())
        }
    }
}

fn refused(entries: &[Raw]) -> String {
    unpacked(&zip_of(entries)).map(|_| ()).expect_err("it unpacks")
}

fn remarks(entries: &[Raw]) -> Vec<String> {
    unpacked(&zip_of(entries)).unwrap().1.remarks
}

#[test]
fn paths_that_lead_out_or_that_linux_does_not_take() {
    for name in ["../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a/.", "..", "/", "", "a/\0b"] {
        assert!(
            refused(&[file("x"), file(name)]).starts_with("the zip holds a path that leads out of it"),
            "{name:?}"
        );
    }
    let long = "n".repeat(256);
    assert!(refused(&[file(long.as_str())]).starts_with("a name in the zip is too long: `nnn"));
    let deep = vec!["d".repeat(200); 21].join("/");
    assert!(refused(&[file(deep.as_str())]).starts_with("a name in the zip is too long: `ddd"));
    assert_eq!(
        refused(&[file(b"caf\xe9.py".to_vec())]),
        "a name in the zip is not valid UTF-8: `caf\u{fffd}.py`"
    );
    // The longest that fit do.
    let (tree, _) = unpacked(&zip_of(&[file("n".repeat(255))])).unwrap();
    assert!(tree.root.join("task").join("n".repeat(255)).is_file());
}

#[test]
fn odd_names_are_written_as_they_are_and_told() {
    let odd = [
        "a b.txt",
        "new\nline.txt",
        "back\\slash.py",
        "tab\t.txt",
        "'\"`$*?.txt",
        "-rf",
        "ünïcode☃.txt",
        "C:\\x",
    ];
    let entries: Vec<Raw> = odd.iter().map(|name| Raw { flags: 1 << 11, ..file(*name) }).collect();
    let (tree, done) = unpacked(&zip_of(&entries)).unwrap();
    for name in odd {
        assert_eq!(fs::read_to_string(tree.root.join("task").join(name)).unwrap(), "data", "{name}");
    }
    insta::assert_snapshot!(done.remarks.join("\n"), @r"
    in the zip: `back\slash.py`, `C:\x` with a backslash in the name: on Lambda that is no folder, and nothing is imported from it
    in the zip: `new\nline.txt`, `tab\t.txt` with characters in the name that no terminal shows
    ");
    // And a tree with such names packs again.
    let scanned = PackageTree::scan(&tree.root.join("task")).unwrap();
    assert_eq!(scanned.files.len(), odd.len());
}

#[test]
fn names_of_other_systems_are_read_in_their_code_page() {
    let (tree, _) = unpacked(&zip_of(&[Raw { system: 0, ..file(b"caf\x82.py".to_vec()) }])).unwrap();
    assert!(tree.root.join("task/café.py").is_file());
}

#[test]
fn names_that_differ_in_case_alone_are_told() {
    assert_eq!(
        remarks(&[file("pkg/A.py"), file("pkg/a.py"), file("PKG/b.py")]),
        [
            "in the zip: `pkg/A.py` and `pkg/a.py` differ in case alone: Linux keeps them apart, other systems do not"
        ]
    );
    assert!(remarks(&[file("a.py"), file("b.py")]).is_empty());
}

#[test]
fn names_that_come_twice() {
    assert_eq!(refused(&[file("a"), file("b"), file("a")]), "the zip holds two entries of one name");
    assert_eq!(refused(&[file("a/b"), file("a")]), "the zip holds `a` twice");
    assert_eq!(refused(&[file("a"), file("a/b")]), "the zip writes below a file: `a/b`");
    assert_eq!(refused(&[file("a"), file("a/")]), "the zip holds `a` twice");
    // A folder's own entry may come at any time.
    assert!(unpacked(&zip_of(&[file("a/b"), Raw { data: vec![], ..file("a/") }])).is_ok());
}

#[test]
fn links_that_lead_out_by_themselves_through_others_or_in_a_circle() {
    for target in ["/etc/passwd", "../x", "a/../../x", "/"] {
        assert!(
            refused(&[link("l", target)]).starts_with("the zip holds a link that leads out of it: `l`"),
            "{target}"
        );
    }
    // Each looks harmless by itself: `x/y/d` is the root, and `x/y/d/..` is above it.
    let through = [link("x/y/d", "../.."), link("e", "x/y/d/../z")];
    assert_eq!(refused(&through), "the zip holds a link that leads out of it: `e` to `x/y/d/../z`");
    assert!(
        refused(&[link("a", "b"), link("b", "a")]).starts_with("the zip holds links that lead in a circle")
    );
    assert!(refused(&[link("a", "a")]).starts_with("the zip holds links that lead in a circle"));
    assert!(refused(&[link("a", "")]).contains("has no target that Linux takes"));
    assert!(refused(&[link("a", &"t".repeat(5000))]).contains("has no target that Linux takes"));
    // Nothing is written through one, whichever comes first.
    assert_eq!(refused(&[link("l", "d"), file("l/f")]), "the zip writes through a link of its own: `l/f`");
    assert_eq!(refused(&[file("l/f"), link("l", "d")]), "the zip writes through a link of its own: `l`");
    assert_eq!(refused(&[link("l", "d"), file("l/")]), "the zip writes through a link of its own: `l`");
    // Those that stay inside are kept, whether there is something at their end or not.
    let inside = [file("d/f"), link("l", "d/f"), link("x/m", "../l"), link("nowhere", "d/absent")];
    let (tree, _) = unpacked(&zip_of(&inside)).unwrap();
    assert_eq!(fs::read_to_string(tree.root.join("task/x/m")).unwrap(), "data");
}

#[test]
fn devices_sockets_and_pipes() {
    for mode in [0o020_644, 0o060_644, 0o010_644, 0o140_755] {
        let device = Raw { mode, data: vec![], ..file("dev/null") };
        assert_eq!(refused(&[device]), "`dev/null` in the zip is neither file, folder nor link", "{mode:o}");
    }
    // Bits for the owner's identity are not kept.
    let (tree, _) = unpacked(&zip_of(&[Raw { mode: 0o104_755, ..file("run") }])).unwrap();
    let mode = fs::metadata(tree.root.join("task/run")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o7777, 0o755);
}

#[test]
fn what_lambda_cannot_read() {
    for (method, name) in [(9, "deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "zstd"), (95, "xz")] {
        let message = format!("`a.py` in the zip is compressed with {name}");
        assert_eq!(refused(&[Raw { method, ..file("a.py") }]), message);
    }
    assert!(
        refused(&[Raw { method: 77, ..file("a.py") }])
            .starts_with("`a.py` in the zip is compressed with another")
    );
    assert_eq!(refused(&[Raw { flags: 1, ..file("a.py") }]), "the zip is encrypted");
}

#[test]
fn entries_that_overlap() {
    // Both entries of the directory name one body: a small zip that unpacks to much.
    let mut bytes = zip_of(&[file("a"), file("b")]);
    let first = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let second = first + 46 + 1;
    bytes.copy_within(first + 42..first + 46, second + 42);
    assert_eq!(unpacked(&bytes).map(|_| ()).unwrap_err(), "entries of the zip overlap");
}

#[test]
fn a_zip_cut_off_anywhere_is_damaged() {
    let tree = Tree::new();
    let zip = tree.root.join("a.zip");
    write_zip(&sample(), &zip, &NoProgress).unwrap();
    let bytes = fs::read(&zip).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        assert_eq!(unpacked(&bytes[..length]).map(|_| ()).unwrap_err(), "cannot read the zip", "{length}");
    }
}

#[test]
fn a_zip64_archive_is_read() {
    let tree = Tree::new();
    let zip = tree.root.join("a.zip");
    let script = "import sys, zipfile\n\
                  with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n\
                  \x20   with z.open('big/a.txt', 'w', force_zip64=True) as f: f.write(b'a' * 100000)\n\
                  \x20   z.writestr('b.txt', 'b')\n";
    let (_, interpreter) = crate::support::pythons().remove(0);
    crate::support::python(&interpreter, script, &[zip.as_str()]);
    unpack(&zip, &tree.root.join("task")).unwrap();
    assert_eq!(fs::read(tree.root.join("task/big/a.txt")).unwrap(), vec![b'a'; 100_000]);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let tree = Tree::new().file("task/mine.txt", "mine");
    fs::write(tree.root.join("a.zip"), zip_of(&[file("a")])).unwrap();
    assert!(unpack(&tree.root.join("a.zip"), &tree.root.join("task")).is_err());
    let left: Vec<_> =
        PackageTree::scan(&tree.root).unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(left, ["a.zip", "task/mine.txt"]);
}

/// A file system of one megabyte, where this machine lets us have one.
struct Small(Utf8PathBuf);

impl Small {
    fn mounted(at: &Utf8Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk() {
    let tree = Tree::new();
    let Some(disk) = Small::mounted(&tree.root.join("disk")) else {
        println!("skipped: a full disk needs the right to mount a small one");
        return;
    };
    // Noise, so that the zip is as large as its contents.
    let mut noise = vec![0_u8; 3 << 20];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    let entries = [ArchiveEntry { path: "noise".into(), source: Contents::Bytes(noise), executable: false }];
    let zip = tree.root.join("a.zip");
    write_zip(&entries, &zip, &NoProgress).unwrap();
    let full = [
        unpack(&zip, &disk.0.join("task")).unwrap_err(),
        write_zip(&entries, &disk.0.join("a.zip"), &NoProgress).unwrap_err(),
    ];
    for error in full {
        assert_eq!(error.class(), ErrorClass::Surroundings, "{error}");
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(error.hints().iter().any(|hint| hint.starts_with("free some disk space")), "{error:?}");
    }
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing half-written");
}

fn sample() -> Vec<ArchiveEntry> {
    let entry = |path: &str, source| ArchiveEntry { path: path.into(), source, executable: false };
    vec![
        entry("app.py", Contents::Bytes(b"def handler(event, context): ...\n".repeat(9))),
        entry("data/noise.bin", Contents::Bytes((0..=255).collect())),
        entry("data/link", Contents::Symlink("noise.bin".into())),
        entry("up", Contents::Symlink("data/../app.py".into())),
        entry("empty", Contents::Bytes(Vec::new())),
    ]
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Copy {
        from: usize,
        to: usize,
        length: usize,
    },
    /// Another text over the first that is found.
    Name(&'static str, &'static str),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => any::<usize>().prop_map(Change::Cut),
        2 => (any::<usize>(), any::<usize>(), 1_usize..40)
            .prop_map(|(from, to, length)| Change::Copy { from, to, length }),
        2 => prop::sample::select(vec![
            ("noise.bin", "../../xyz"),
            ("data/link", "/tmp/evil"),
            ("data/link", "data/../."),
            ("app.py", "../e.p"),
            ("empty", "../up"),
            ("data/../app.py", "../../../../xy"),
        ])
        .prop_map(|(from, to)| Change::Name(from, to)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match change {
            Change::Flip(at, bits) => bytes[at % length] ^= bits,
            Change::Cut(at) => bytes.truncate(at % length),
            Change::Copy { from, to, length: count } => {
                let (from, to) = (from % length, to % length);
                let count = (*count).min(length - from).min(length - to);
                bytes.copy_within(from..from + count, to);
            }
            Change::Name(from, to) => {
                let places: Vec<usize> = (0..length.saturating_sub(from.len()))
                    .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
                    .collect();
                for at in places {
                    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                }
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_is_done_to_a_zip_nothing_is_written_outside(changes in prop::collection::vec(change(), 1..6)) {
        let keep = Tree::new();
        let box_ = keep.root.join("a/b");
        fs::create_dir_all(&box_).unwrap();
        let (zip, into) = (box_.join("code.zip"), box_.join("task"));
        write_zip(&sample(), &zip, &NoProgress).unwrap();
        fs::write(&zip, changed(fs::read(&zip).unwrap(), &changes)).unwrap();
        let outcome = unpack(&zip, &into);
        let above: BTreeSet<_> = fs::read_dir(&box_).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let expected: &[&str] = if outcome.is_ok() { &["code.zip", "task"] } else { &["code.zip"] };
        prop_assert_eq!(above, expected.iter().map(Into::into).collect());
        prop_assert_eq!(fs::read_dir(&keep.root).unwrap().count(), 1);
        prop_assert!(!Utf8Path::new("/tmp/evil").exists());
        if outcome.is_ok() {
            for file in PackageTree::scan(&into).unwrap().files {
                let end = into.join(&file.path).canonicalize_utf8();
                prop_assert!(end.is_err() || end.is_ok_and(|end| end.starts_with(into.canonicalize_utf8().unwrap())));
            }
        }
    }
}
