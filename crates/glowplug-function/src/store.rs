//! Entries of the cache: made once, whole or not at all, by one process at a time.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result, format_hex};
use sha2::{Digest, Sha256};

use crate::process::TICK;

/// The folder `parent/key`, made by `make` in a temporary folder beside it where it is missing or `fit` rejects it.
///
/// # Errors
/// Those of `make`; surroundings where the cache cannot be written; interrupted while another process makes it.
pub(crate) fn entry(
    parent: &Utf8Path,
    key: &str,
    progress: &dyn Progress,
    fit: &dyn Fn(&Utf8Path) -> bool,
    make: &mut dyn FnMut(&Utf8Path) -> Result<()>,
) -> Result<Utf8PathBuf> {
    let folder = parent.join(key);
    if folder.exists() && fit(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(parent)?;
    let lock = fs::File::create(parent.join(format!("{key}.lock")))?;
    while lock.file().try_lock().is_err() {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        std::thread::sleep(TICK);
    }
    if folder.exists() {
        if fit(&folder) {
            return Ok(folder);
        }
        fs::remove_dir_all(&folder)?;
    }
    let temporary = tempfile::Builder::new().prefix(&format!(".{key}-")).tempdir_in(parent)?;
    let inside = utf8(temporary.path())?.join("entry");
    fs::create_dir(&inside)?;
    make(&inside)?;
    fs::rename(&inside, &folder)?;
    Ok(folder)
}

/// SHA-256 over the parts, each with its length before it, as hex.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    format_hex(&hasher.finalize())
}

/// A path as UTF-8.
///
/// # Errors
/// Surroundings: the path is something else.
pub(crate) fn utf8(path: &std::path::Path) -> Result<&Utf8Path> {
    Utf8Path::from_path(path)
        .ok_or_else(|| Error::surroundings("a path is not valid UTF-8").place(path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::NoProgress;

    #[test]
    fn an_entry_is_made_once_and_never_by_halves() {
        let keep = tempfile::tempdir().unwrap();
        let parent = utf8(keep.path()).unwrap();
        let always = |_: &Utf8Path| true;
        let failed = entry(parent, "a", &NoProgress, &always, &mut |folder| {
            fs::write(folder.join("half"), "")?;
            Err(Error::input("no"))
        });
        assert!(failed.is_err() && !parent.join("a").exists());
        let mut made = 0;
        for _ in 0..2 {
            let folder = entry(parent, "a", &NoProgress, &always, &mut |folder| {
                made += 1;
                Ok(fs::write(folder.join("whole"), "")?)
            })
            .unwrap();
            assert!(folder.join("whole").exists());
        }
        assert_eq!(made, 1);
        let left: Vec<_> =
            parent.read_dir_utf8().unwrap().flatten().map(|e| e.file_name().to_owned()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn an_unfit_entry_is_made_again() {
        let keep = tempfile::tempdir().unwrap();
        let parent = utf8(keep.path()).unwrap();
        let fit = |folder: &Utf8Path| folder.join("whole").exists();
        fs::create_dir(parent.join("a")).unwrap();
        let folder =
            entry(parent, "a", &NoProgress, &fit, &mut |folder| Ok(fs::write(folder.join("whole"), "")?))
                .unwrap();
        assert!(fit(&folder));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash([b"ab".as_slice(), b"c"]), hash([b"a".as_slice(), b"bc"]));
    }
}
