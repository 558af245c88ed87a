//! A tree as a zip, and back.

use fs_err as fs;
use glowplug_core::NoProgress;
use glowplug_package::{ArchiveEntry, Contents, Effort, PackageTree, Zipper, unpack, write_zip, zip_size};

use crate::support::{Tree, pythons};

fn entries(tree: &PackageTree) -> Vec<ArchiveEntry> {
    let entry = |file: &glowplug_package::FileEntry| ArchiveEntry {
        path: file.path.clone(),
        source: file
            .symlink
            .clone()
            .map_or_else(|| Contents::File(tree.root.join(&file.path)), Contents::Symlink),
        executable: file.executable,
    };
    tree.files.iter().map(entry).collect()
}

fn tree() -> Tree {
    let tree = Tree::new()
        .file("app.py", "import lib\n")
        .file("lib/data/a.txt", "a".repeat(5000))
        .file("lib/é.txt", "name")
        .distribution("lib", &[("lib/__init__.py", b"V = 1\n")]);
    std::os::unix::fs::symlink("data/a.txt", tree.root.join("lib/link.txt")).unwrap();
    tree
}

#[test]
fn two_trees_with_the_same_contents_give_the_same_bytes() {
    let (one, two) = (tree(), tree());
    // Neither times nor the modes that a checkout happens to have may show.
    for file in two.scan().files.iter().filter(|file| file.symlink.is_none()) {
        let open = fs::OpenOptions::new().write(true).open(two.root.join(&file.path)).unwrap();
        open.file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        fs::set_permissions(two.root.join(&file.path), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }
    let out = Tree::new();
    let write = |tree: &Tree, name: &str, threads: usize| {
        let zip = out.root.join(name);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let summary = pool.install(|| write_zip(&entries(&tree.scan()), &zip, &NoProgress)).unwrap();
        (fs::read(zip).unwrap(), summary)
    };
    let (first, summary) = write(&one, "one.zip", 1);
    assert_eq!((&first, &summary), (&write(&two, "two.zip", 4).0, &write(&one, "three.zip", 3).1));
    assert_eq!(zip_size(&entries(&one.scan()), &NoProgress).unwrap().bytes, summary.bytes);
    assert_eq!(summary.unzipped_bytes, one.scan().total_bytes());
}

#[test]
fn a_file_in_several_packages_is_compressed_once() {
    let (tree, out) = (tree(), Tree::new());
    let all = entries(&tree.scan());
    let zipper = Zipper::new(Effort::Best);
    let some = zipper.write(&all[1..], &out.root.join("some.zip"), &NoProgress).unwrap();
    assert_eq!(some, write_zip(&all[1..], &out.root.join("alone.zip"), &NoProgress).unwrap());
    let measured = zipper.size(&all, &NoProgress).unwrap();
    assert_eq!(measured, zip_size(&all, &NoProgress).unwrap());
    assert!(measured.bytes > some.bytes);
    // What is known is not read again.
    fs::remove_file(tree.root.join("lib/é.txt")).unwrap();
    fs::write(tree.root.join("lib/é.txt"), "eman").unwrap();
    assert_eq!(zipper.size(&all, &NoProgress).unwrap(), measured);
    // One that is written is, whatever is known.
    let again = zipper.write(&all, &out.root.join("all.zip"), &NoProgress).unwrap();
    unpack(&out.root.join("all.zip"), &out.root.join("all")).unwrap();
    assert_eq!(fs::read_to_string(out.root.join("all/lib/é.txt")).unwrap(), "eman");
    assert_eq!(again.bytes, measured.bytes);
}

#[test]
fn more_effort_is_never_larger() {
    let (tree, out) = (tree(), Tree::new());
    let all = entries(&tree.scan());
    let write =
        |effort, name: &str| Zipper::new(effort).write(&all, &out.root.join(name), &NoProgress).unwrap();
    let (plain, best) = (write(Effort::Plain, "plain.zip"), write(Effort::Best, "best.zip"));
    assert!(best.bytes <= plain.bytes && best.unzipped_bytes == plain.unzipped_bytes);
    unpack(&out.root.join("plain.zip"), &out.root.join("plain")).unwrap();
    assert_eq!(PackageTree::scan(&out.root.join("plain")).unwrap().files, tree.scan().files);
}

#[test]
fn what_comes_out_is_what_went_in_and_python_reads_it_too() {
    let (tree, out) = (tree(), Tree::new());
    let zip = out.root.join("a.zip");
    write_zip(&entries(&tree.scan()), &zip, &NoProgress).unwrap();
    let into = out.root.join("task");
    unpack(&zip, &into).unwrap();
    let back = PackageTree::scan(&into).unwrap();
    assert_eq!(back.files, tree.scan().files);
    for file in &back.files {
        assert_eq!(
            fs::read(into.join(&file.path)).unwrap(),
            fs::read(tree.root.join(&file.path)).unwrap(),
            "{}",
            file.path
        );
    }
    let script =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), len(z.namelist()))";
    for (_, interpreter) in pythons() {
        let said = crate::support::python(&interpreter, script, &[zip.as_str()]);
        assert_eq!(said, format!("None {}", back.files.len()));
    }
}

#[test]
fn an_archive_of_nothing_but_zeros_is_stopped() {
    let out = Tree::new();
    let entry =
        ArchiveEntry { path: "0".into(), source: Contents::Bytes(vec![0; 16 << 20]), executable: false };
    write_zip(&[entry], &out.root.join("one.zip"), &NoProgress).unwrap();
    let mut one = zip::ZipArchive::new(fs::File::open(out.root.join("one.zip")).unwrap()).unwrap();
    let bomb = out.root.join("bomb.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&bomb).unwrap());
    for index in 0..160 {
        writer.raw_copy_file_rename(one.by_index(0).unwrap(), format!("{index}")).unwrap();
    }
    writer.finish().unwrap();
    let error = unpack(&bomb, &out.root.join("task")).unwrap_err();
    assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
    assert_eq!(error.message(), "the zip unpacks to 2.7 GB");
    assert!(!out.root.join("task").exists());
}
