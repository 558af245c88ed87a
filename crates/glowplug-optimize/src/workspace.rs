//! A folder for one build's scratch files below the cache; what a killed build left there goes with the next one.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use glowplug_core::{Cache, Error, Result};

const PREFIX: &str = "build-";
/// Held as long as the build lives, so that others can tell its folder from a dead one's.
const LOCK: &str = ".lock";

/// The folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: Utf8PathBuf,
    _folder: tempfile::TempDir,
    _lock: fs::File,
}

impl Workspace {
    /// Makes one, and removes those of builds that are dead.
    pub(crate) fn open(cache: &Cache) -> Result<Self> {
        let place = cache.root().join("work");
        fs::create_dir_all(&place)?;
        remove_dead(&place);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&place)
            .map_err(|error| Error::from(error).place(place.as_str()))?;
        let path = utf8(folder.path())?.to_owned();
        let lock = fs::File::create(path.join(".lock.new"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(std::io::Error::from)?;
        fs::rename(path.join(".lock.new"), path.join(LOCK))?;
        Ok(Self { path, _folder: folder, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

fn remove_dead(place: &Utf8Path) {
    for entry in place.read_dir_utf8().into_iter().flatten().flatten() {
        // One that is being made has no lock yet; it is left alone.
        let Ok(lock) = std::fs::File::open(entry.path().join(LOCK)) else { continue };
        if entry.file_name().starts_with(PREFIX)
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            // Another build may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A path of ours as UTF-8.
pub(crate) fn utf8(path: &std::path::Path) -> Result<&Utf8Path> {
    Utf8Path::from_path(path).ok_or_else(|| {
        Error::surroundings(format!("`{}` is not UTF-8", path.display()))
            .hint("choose another folder with `--cache-dir`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_builds_folder_goes_and_a_living_ones_stays() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(utf8(root.path()).unwrap(), true);
        let living = Workspace::open(&cache).unwrap();
        let dead = living.path().with_file_name("build-dead");
        fs::create_dir_all(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let next = Workspace::open(&cache).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists() && next.path().exists());
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}
