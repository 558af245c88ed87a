//! Copies of folders: files with their modes and times, links as links. Folders can be removed again, whatever the modes of
//! the originals.
//!
//! Times matter: bytecode that lies beside a source names the time of its change.

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Result};

/// Copies a folder to where nothing is yet.
///
/// # Errors
/// Surroundings: something cannot be read or written. Input: a name is not UTF-8, or something is neither file, folder
/// nor link.
pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::input("a file name is not valid UTF-8").place(format!("{from}/{}", name.display()))
        })?;
        let (source, target) = (from.join(&name), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            fs::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            let modified = entry.metadata()?.modified()?;
            // One that may not be written has times too.
            fs::File::open(&target)?.set_modified(modified)?;
        } else {
            return Err(Error::input("this is neither file, folder nor link").place(source.as_str()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_copy_has_modes_times_and_links() {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(keep.path()).unwrap();
        let (from, to) = (root.join("from"), root.join("to"));
        fs::create_dir_all(from.join("package")).unwrap();
        fs::write(from.join("package/run"), "#!").unwrap();
        fs::set_permissions(from.join("package/run"), std::fs::Permissions::from_mode(0o555)).unwrap();
        let then = UNIX_EPOCH + Duration::from_hours(1);
        fs::OpenOptions::new()
            .append(true)
            .open(from.join("package/run"))
            .unwrap()
            .set_modified(then)
            .unwrap();
        fs::os::unix::fs::symlink("package/run", from.join("link")).unwrap();
        copy(&from, &to).unwrap();
        let copied = fs::metadata(to.join("package/run")).unwrap();
        assert_eq!((copied.permissions().mode() & 0o777, copied.modified().unwrap()), (0o555, then));
        assert_eq!(fs::read_link(to.join("link")).unwrap().to_str(), Some("package/run"));
        assert!(copy(&from, &to).is_err(), "something is there");
    }
}
