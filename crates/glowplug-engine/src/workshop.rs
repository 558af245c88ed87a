//! The engine's own folder among the temporary files: views, `/tmp`s, merged layers; nothing of it stays behind.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use rustix::fs::{FlockOperation, flock};

use crate::cgroup::remove_stale;
use crate::disk::Disk;
use crate::effects::remove;

const PREFIX: &str = "glowplug-engine-";
/// The file that says where control groups are.
const GROUPS: &str = "groups";
/// The part of a template's folder that its view shows.
const FORKS: &str = "forks";
/// In it, where a view mounts processes that a fork may write to.
pub(crate) const PROCESSES: &str = "proc";
const BOOTSTRAP: &str = include_str!("../../../python/glowplug_agent/bootstrap.py");

/// The folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: Utf8PathBuf,
    /// Held as long as this engine lives, so that others can tell its folder from a dead one's.
    lock: fs::File,
    counter: AtomicU64,
    merged: Mutex<BTreeMap<Vec<Utf8PathBuf>, Utf8PathBuf>>,
}

/// The folders of one environment; removed when dropped, which must be after its processes are gone.
#[derive(Debug)]
pub(crate) struct Room {
    folder: Utf8PathBuf,
    /// Unique among all engines of the host.
    pub(crate) name: String,
    /// What is seen as `/tmp`, where it has a size.
    disk: Option<Arc<Disk>>,
}

impl Workshop {
    pub(crate) fn open() -> Result<Self> {
        let base = Utf8PathBuf::from_path_buf(std::env::temp_dir()).map_err(|path| {
            Error::surroundings(format!("the folder for temporary files, `{}`, is not UTF-8", path.display()))
                .hint("set `TMPDIR` to another folder")
        })?;
        Self::open_in(&base.canonicalize_utf8().unwrap_or(base))
    }

    fn open_in(base: &Utf8Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(base)
            .map_err(|error| {
                Error::from(error).place(base.as_str()).hint("set `TMPDIR` to a folder with room")
            })?
            .keep();
        let folder = Utf8PathBuf::from_path_buf(folder)
            .map_err(|_| Error::defect("the name of a temporary folder is not UTF-8"))?;
        // Named only when it is held: another engine takes a free one for a dead engine's.
        let lock = fs::File::create(folder.join("lock.new"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(std::io::Error::from)?;
        fs::rename(folder.join("lock.new"), folder.join("lock"))?;
        fs::write(folder.join("bootstrap.py"), BOOTSTRAP)?;
        for empty in ["opt", "home"] {
            fs::create_dir(folder.join(empty))?;
        }
        Ok(Self { folder, lock, counter: AtomicU64::new(0), merged: Mutex::new(BTreeMap::new()) })
    }

    /// Writes down in which folders control groups are made, for the engine that finds this one dead.
    pub(crate) fn note_groups(&self, folders: &BTreeSet<&Utf8Path>) -> Result<()> {
        let lines: Vec<&str> = folders.iter().map(|folder| folder.as_str()).collect();
        Ok(fs::write(self.folder.join(GROUPS), lines.join("\n"))?)
    }

    /// Removes the folders of engines that were killed, and before that their groups: the folder is the only trace of
    /// those. What is still busy is left for the next engine.
    pub(crate) fn remove_stale(&self) {
        let Some(base) = self.folder.parent() else { return };
        for entry in base.read_dir_utf8().into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_name().starts_with(PREFIX) || path == self.folder {
                continue;
            }
            // One that is being made has no lock yet; it is left alone.
            let Ok(lock) = std::fs::File::open(path.join("lock")) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let groups = fs::read_to_string(path.join(GROUPS)).unwrap_or_default();
            let folders: Vec<&Utf8Path> = groups.lines().map(Utf8Path::new).collect();
            if remove_stale(&folders, &format!("{}-", entry.file_name())) {
                remove(path);
            }
        }
    }

    /// Where everything of the engine lies.
    pub(crate) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// The start file of every interpreter.
    pub(crate) fn bootstrap(&self) -> Utf8PathBuf {
        self.folder.join("bootstrap.py")
    }

    /// The host's names of machines, and those by which extensions call this one.
    pub(crate) fn hosts(&self) -> Result<Utf8PathBuf> {
        let path = self.folder.join("hosts");
        if !path.exists() {
            let host = fs::read_to_string("/etc/hosts").unwrap_or_default();
            let work = self.folder.join("hosts.new");
            fs::write(&work, format!("{}\n127.0.0.1 sandbox.localdomain sandbox\n", host.trim_end()))?;
            fs::rename(work, &path)?;
        }
        Ok(path)
    }

    /// An empty folder that stays empty.
    pub(crate) fn empty_home(&self) -> Utf8PathBuf {
        self.folder.join("home")
    }

    /// A name for things that are not folders here.
    pub(crate) fn unique_name(&self) -> String {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.folder.file_name().unwrap_or(PREFIX))
    }

    /// Folders for one environment.
    pub(crate) fn room(&self) -> Result<Room> {
        self.room_in(&self.folder)
    }

    /// Folders for one environment, in a folder of its template's.
    pub(crate) fn room_in(&self, folder: &Utf8Path) -> Result<Room> {
        let name = self.unique_name();
        let folder = folder.join(&name);
        fs::create_dir(&folder)?;
        let room = Room { folder, name, disk: None };
        for part in ["root", "tmp", "home"] {
            fs::create_dir(room.folder.join(part))?;
        }
        fs::create_dir_all(room.forks().join(PROCESSES))?;
        fs::set_permissions(room.temporary(), std::fs::Permissions::from_mode(0o1777))?;
        Ok(room)
    }

    /// One folder that shows all layers, later ones over earlier ones; made once for each set.
    pub(crate) fn layers(&self, layers: &[Utf8PathBuf]) -> Result<Utf8PathBuf> {
        match layers {
            [] => Ok(self.folder.join("opt")),
            [one] => Ok(one
                .canonicalize_utf8()
                .map_err(|error| Error::input("cannot find a layer").place(one.as_str()).cause(error))?),
            several => {
                let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(folder) = merged.get(several) {
                    return Ok(folder.clone());
                }
                let folder = self.folder.join(format!("layers-{}", merged.len()));
                // A rest of one that failed before.
                remove(&folder);
                for layer in several {
                    merge(layer, &folder)?;
                }
                merged.insert(several.to_vec(), folder.clone());
                Ok(folder)
            }
        }
    }
}

/// Copies a folder over another: folders, files and links.
pub(crate) fn merge(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    if !to.is_dir() || to.is_symlink() {
        let _ = fs::remove_file(to);
        fs::create_dir_all(to)?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (from, to) = (from.join(&name), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            merge(&from, &to)?;
            continue;
        }
        if to.is_dir() && !to.is_symlink() {
            remove(&to);
        } else if to.symlink_metadata().is_ok() {
            fs::remove_file(&to)?;
        }
        if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(from.read_link_utf8()?, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

impl Drop for Workshop {
    fn drop(&mut self) {
        remove(&self.folder);
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Room {
    /// The mount point of the view.
    pub(crate) fn root(&self) -> Utf8PathBuf {
        self.folder.join("root")
    }

    /// What the function sees as `/tmp`, for this process.
    pub(crate) fn temporary(&self) -> Utf8PathBuf {
        self.disk.as_ref().map_or_else(|| self.folder.join("tmp"), |disk| disk.path())
    }

    /// Has the function see a disk as `/tmp`.
    pub(crate) fn furnish(&mut self, disk: Option<Arc<Disk>>) {
        self.disk = disk;
    }

    /// The disk that it sees as `/tmp`.
    pub(crate) fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    /// The last part of its folder's path.
    pub(crate) fn folder_name(&self) -> &str {
        &self.name
    }

    /// Where the folders of its forks are.
    pub(crate) fn forks(&self) -> Utf8PathBuf {
        self.folder.join(FORKS)
    }

    /// An empty home, where it cannot be made read-only.
    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.folder.join("home")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(folder.path()).unwrap();
        for (path, text) in [("a/python/x.py", "1"), ("a/python/y.py", "1"), ("b/python/y.py", "2")] {
            fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
            fs::write(at.join(path), text).unwrap();
        }
        let workshop = Workshop::open().unwrap();
        let layers = [at.join("a"), at.join("b")];
        let merged = workshop.layers(&layers).unwrap();
        assert_eq!(fs::read_to_string(merged.join("python/x.py")).unwrap(), "1");
        assert_eq!(fs::read_to_string(merged.join("python/y.py")).unwrap(), "2");
        assert_eq!(workshop.layers(&layers).unwrap(), merged);
        let room = workshop.room().unwrap();
        let place = room.temporary();
        assert!(place.is_dir());
        drop(room);
        assert!(!place.exists());
        drop(workshop);
        assert!(!merged.exists());
    }

    #[test]
    fn only_folders_of_the_dead_are_removed() {
        // Away from the engines of other tests, which clean up too.
        let base = tempfile::tempdir().unwrap();
        let open = || Workshop::open_in(Utf8Path::from_path(base.path()).unwrap()).unwrap();
        let (alive, dead) = (open(), open());
        let kept = alive.folder.clone();
        let left = dead.folder.clone();
        // Killed: the lock is gone, the folder is not.
        flock(&dead.lock, FlockOperation::Unlock).unwrap();
        let other = open();
        let groups = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(groups.path()).unwrap();
        dead.note_groups(&BTreeSet::from([folder])).unwrap();
        let group = folder.join(format!("{}-1", left.file_name().unwrap()));
        fs::create_dir_all(group.join("busy")).unwrap();
        other.remove_stale();
        assert!(left.exists() && group.exists(), "a group was still busy");
        fs::remove_dir(group.join("busy")).unwrap();
        other.remove_stale();
        assert!(!group.exists());
        assert!(kept.exists());
        assert!(!left.exists());
    }
}
