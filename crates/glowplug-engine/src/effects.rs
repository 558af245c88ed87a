//! What a function left in `/tmp`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use sha2::{Digest, Sha256};

/// Every path below a folder with what it is: the SHA-256 of a file's content, or its kind.
pub(crate) fn effects(folder: &Utf8Path, hidden: &BTreeSet<Utf8PathBuf>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(folder.as_std_path(), Utf8Path::new(""), hidden, &mut found);
    found
}

fn collect(
    folder: &std::path::Path,
    below: &Utf8Path,
    hidden: &BTreeSet<Utf8PathBuf>,
    found: &mut BTreeMap<String, String>,
) {
    let Ok(entries) = fs::read_dir(folder) else {
        found.insert(below.to_string(), "unreadable".to_owned());
        return;
    };
    for entry in entries.flatten() {
        let name = below.join(entry.file_name().to_string_lossy().as_ref());
        // Mount points of ours, and the folders that lead to them.
        if hidden.iter().any(|path| path.starts_with(&name)) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.insert(name.to_string(), "dir".to_owned());
            collect(&entry.path(), &name, hidden, found);
        } else {
            found.insert(name.to_string(), describe(&entry.path(), kind));
        }
    }
}

fn describe(path: &std::path::Path, kind: std::fs::FileType) -> String {
    if kind.is_symlink() {
        let target = fs::read_link(path).map(|target| target.to_string_lossy().into_owned());
        format!("link:{}", target.unwrap_or_default())
    } else if kind.is_file() {
        digest(path).unwrap_or_else(|_| "unreadable".to_owned())
    } else if kind.is_socket() {
        "socket".to_owned()
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else {
        "device".to_owned()
    }
}

fn digest(path: &std::path::Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(glowplug_core::format_hex(&hasher.finalize()))
}

/// Removes a folder whatever the modes in it are; what cannot be removed stays.
pub(crate) fn remove(folder: &Utf8Path) {
    if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
        return;
    }
    open_up(folder.as_std_path());
    let _ = std::fs::remove_dir_all(folder);
}

fn open_up(folder: &std::path::Path) {
    let _ = fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_file_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(folder.path()).unwrap();
        fs::create_dir_all(at.join("a/b")).unwrap();
        fs::write(at.join("a/b/empty"), "").unwrap();
        fs_err::os::unix::fs::symlink("/nowhere", at.join("link")).unwrap();
        fs::create_dir_all(at.join("ours/venv")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap();
        let found = effects(at, &BTreeSet::from([Utf8PathBuf::from("ours/venv")]));
        let expected = [
            ("a", "dir"),
            ("a/b", "dir"),
            ("a/b/empty", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("link", "link:/nowhere"),
            ("socket", "socket"),
        ];
        let expected: BTreeMap<String, String> =
            expected.map(|(path, what)| (path.to_owned(), what.to_owned())).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn folders_without_permissions_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(folder.path()).unwrap().join("x");
        fs::create_dir_all(at.join("closed")).unwrap();
        fs::write(at.join("closed/file"), "").unwrap();
        fs::set_permissions(at.join("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        remove(&at);
        assert!(!at.exists());
    }
}
