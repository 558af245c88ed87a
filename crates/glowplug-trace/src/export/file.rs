//! Files that appear complete or not at all.

use std::io::Write;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Result};

/// Refuses what cannot be written to, whatever will be written.
///
/// # Errors
/// Usage: a folder, or a path below a file.
pub fn check_file(path: &Utf8Path) -> Result<()> {
    let refused = |why: &str| Err(Error::usage(why).place(path.as_str()).hint("name another file"));
    if path.is_dir() {
        return refused("the target is a folder");
    }
    match path.ancestors().skip(1).find(|above| above.exists()) {
        Some(above) if !above.is_dir() => refused("the target is below a file"),
        _ => Ok(()),
    }
}

/// Writes beside the file and renames. What is no plain file, such as `/dev/stdout` or a named pipe, is written to
/// as it is; a missing folder is made.
///
/// # Errors
/// As [`check_file`]; surroundings where it cannot be written.
pub fn write_file(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    check_file(path)?;
    if path.exists() && !path.is_file() {
        let mut device = fs::OpenOptions::new().write(true).open(path)?;
        return Ok(device.write_all(bytes)?);
    }
    // A link goes on pointing where it points.
    let target = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let name = target.file_name().unwrap_or_default();
    let beside = target.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let done = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &target));
    if done.is_err() {
        // The first error counts.
        let _ = fs::remove_file(&beside);
    }
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;

    #[test]
    fn files_are_replaced_whole_links_stay_and_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let file = root.join("deep/trace.json");
        write_file(&file, b"old").unwrap();
        let link = root.join("link.json");
        fs::os::unix::fs::symlink(&file, &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(root.join("deep")).unwrap().count(), 1);
        assert!(write_file(&root, b"x").unwrap_err().to_string().contains("a folder"));
        // A file where a folder should be: nothing is left behind.
        assert!(write_file(&file.join("below/x"), b"x").unwrap_err().to_string().contains("below a file"));
        assert_eq!(fs::read_dir(root.join("deep")).unwrap().count(), 1);
        check_file(Utf8Path::new("new.json")).unwrap();
        write_file(Utf8Path::new("/dev/null"), b"x").unwrap();
        assert!(!Utf8Path::new("/dev/null").is_file());
    }
}
