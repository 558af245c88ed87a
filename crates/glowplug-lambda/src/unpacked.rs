//! Root file systems of images that were given as paths, unpacked in the cache: each is there for its layout, and goes when
//! that holds another image, is gone, or has not been served for a month.
//!
//! ```text
//! HASH/            the files of the image with this digest
//! HASH.layouts     the layouts that hold it, a line each; locked as long as the files are used
//! lock             held while files are given away or taken back
//! ```

use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use glowplug_image::LayoutImage;

use crate::image::is_layout;

/// What nobody has asked for this long is not needed any more.
const KEPT: Duration = Duration::from_hours(24 * 30);
/// What is unpacked this long is not unpacked any more: the program was killed.
const UNPACKED: Duration = Duration::from_hours(24);
const UNPACKING: &str = "unpacking-";
const REMOVING: &str = "removing-";
const LAYOUTS: &str = ".layouts";

/// The files of an image, which are there as long as this is.
#[derive(Debug)]
pub(crate) struct Unpacked {
    cache: Utf8PathBuf,
    digest: String,
    /// Locked; `None` once the files are given back.
    used: Option<fs::File>,
}

impl Unpacked {
    /// The root file system of the image that a layout holds now.
    ///
    /// # Errors
    /// Input: a damaged image. Surroundings: the disk.
    pub(crate) fn of(
        image: &LayoutImage,
        layout: &Utf8Path,
        cache: &Utf8Path,
        progress: &dyn Progress,
    ) -> Result<Self> {
        fs::create_dir_all(cache)?;
        let digest = image.digest().hex().to_owned();
        let used = {
            let _turn = turn(cache)?;
            let note = cache.join(format!("{digest}{LAYOUTS}"));
            let used = fs::OpenOptions::new().create(true).append(true).open(&note)?;
            used.file().lock_shared()?;
            let mut layouts = layouts(&note);
            layouts.push(layout.to_owned());
            write(&note, &layouts)?;
            used
        };
        let unpacked = Self { cache: cache.to_owned(), digest, used: Some(used) };
        if !unpacked.tree().exists() {
            unpacked.unpack(image, progress)?;
        }
        let _turn = turn(cache)?;
        sweep(cache, Some((layout, &unpacked.digest)));
        Ok(unpacked)
    }

    /// Where they are.
    pub(crate) fn tree(&self) -> Utf8PathBuf {
        self.cache.join(&self.digest)
    }

    /// Complete or not there at all.
    fn unpack(&self, image: &LayoutImage, progress: &dyn Progress) -> Result<()> {
        let work = tempfile::Builder::new().prefix(UNPACKING).tempdir_in(&self.cache)?;
        let root = work.path().join("root");
        fs::create_dir(&root)?;
        let inside = Utf8Path::from_path(&root)
            .ok_or_else(|| Error::surroundings("the cache's path is not UTF-8").place(self.cache.as_str()))?;
        image.unpack(inside, progress)?;
        match fs::rename(inside, self.tree()) {
            // Somebody else was quicker.
            Err(_) if self.tree().exists() => Ok(()),
            other => Ok(other?),
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Ok(_turn) = turn(&self.cache) {
            drop(self.used.take());
            sweep(&self.cache, None);
        }
    }
}

/// One program at a time.
fn turn(cache: &Utf8Path) -> Result<fs::File> {
    let lock = fs::File::create(cache.join("lock"))?;
    lock.file().lock()?;
    Ok(lock)
}

fn layouts(note: &Utf8Path) -> Vec<Utf8PathBuf> {
    fs::read_to_string(note).unwrap_or_default().lines().map(Utf8PathBuf::from).collect()
}

fn write(note: &Utf8Path, layouts: &[Utf8PathBuf]) -> Result<()> {
    let mut lines: Vec<&str> = layouts.iter().map(|layout| layout.as_str()).collect();
    lines.sort_unstable();
    lines.dedup();
    // The file stays the one that is locked.
    Ok(fs::write(note, lines.join("\n"))?)
}

/// Removes what nobody needs; `now` is a layout with the digest of what it holds. What cannot be removed stays until the next
/// time. It is the caller's turn.
fn sweep(cache: &Utf8Path, now: Option<(&Utf8Path, &str)>) {
    for entry in cache.read_dir_utf8().into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if let Some(digest) = name.strip_suffix(LAYOUTS) {
            if !is_needed(path, digest, now) {
                remove(cache, digest);
                let _ = fs::remove_file(path);
            }
        } else if name.starts_with(REMOVING) || name.starts_with(UNPACKING) && is_older(path, UNPACKED) {
            let _ = fs::remove_dir_all(path);
        } else if is_digest(name) && !cache.join(format!("{name}{LAYOUTS}")).exists() {
            // Left by a program that was killed, or by an earlier version.
            remove(cache, name);
        }
    }
}

fn is_needed(note: &Utf8Path, digest: &str, now: Option<(&Utf8Path, &str)>) -> bool {
    let holds_it = |layout: &Utf8Path| now.is_none_or(|(of, holds)| of != layout || holds == digest);
    let old = is_older(note, KEPT);
    let mut there = layouts(note);
    let known = there.len();
    there.retain(|layout| is_layout(layout) && holds_it(layout));
    if there.len() < known {
        // Counts when it is not used any more.
        let _ = write(note, &there);
    }
    let used = fs::File::open(note).is_ok_and(|file| file.file().try_lock().is_err());
    used || !there.is_empty() && !old
}

fn remove(cache: &Utf8Path, digest: &str) {
    // Half a tree must not have its name.
    let away = cache.join(format!("{REMOVING}{digest}"));
    if fs::rename(cache.join(digest), &away).is_ok() {
        let _ = fs::remove_dir_all(away);
    }
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_older(path: &Utf8Path, age: Duration) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|about| about.modified());
    changed.is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|since| since > age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const NEW: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// A cache with one tree, which is there for two layouts, of which one is there.
    fn cache(folder: &Utf8Path) -> (Utf8PathBuf, Utf8PathBuf) {
        let (cache, layout) = (folder.join("cache"), folder.join("layout"));
        for made in [&cache.join(OLD), &layout] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(layout.join("oci-layout"), "").unwrap();
        let note = cache.join(format!("{OLD}{LAYOUTS}"));
        write(&note, &[layout.clone(), folder.join("gone")]).unwrap();
        (cache, layout)
    }

    #[test]
    fn a_tree_goes_when_its_layout_holds_another_and_nobody_uses_it() {
        let keep = tempfile::tempdir().unwrap();
        let (cache, layout) = cache(Utf8Path::from_path(keep.path()).unwrap());
        sweep(&cache, Some((&layout, OLD)));
        assert!(cache.join(OLD).exists());
        let note = fs::File::open(cache.join(format!("{OLD}{LAYOUTS}"))).unwrap();
        note.file().lock_shared().unwrap();
        sweep(&cache, Some((&layout, NEW)));
        assert!(cache.join(OLD).exists(), "it is used");
        drop(note);
        sweep(&cache, None);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_goes_when_its_layout_is_gone_or_it_is_old() {
        let keep = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(keep.path()).unwrap();
        let (cache, layout) = self::cache(folder);
        let note = fs::File::options().write(true).open(cache.join(format!("{OLD}{LAYOUTS}"))).unwrap();
        note.file().set_modified(SystemTime::now() - KEPT + Duration::from_hours(1)).unwrap();
        sweep(&cache, None);
        assert!(cache.join(OLD).exists());
        note.file().set_modified(SystemTime::now() - KEPT - Duration::from_hours(1)).unwrap();
        sweep(&cache, None);
        assert!(!cache.join(OLD).exists());
        let (cache, _) = self::cache(folder);
        fs::remove_dir_all(&layout).unwrap();
        sweep(&cache, None);
        assert!(!cache.join(OLD).exists());
    }

    #[test]
    fn what_the_dead_have_left_goes() {
        let keep = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(keep.path()).unwrap();
        for left in [OLD.to_owned(), format!("{REMOVING}{NEW}"), format!("{UNPACKING}x"), "other".to_owned()]
        {
            fs::create_dir(cache.join(left)).unwrap();
        }
        sweep(cache, None);
        let mut rest: Vec<String> =
            cache.read_dir_utf8().unwrap().flatten().map(|entry| entry.file_name().to_owned()).collect();
        rest.sort();
        assert_eq!(rest, ["other", "unpacking-x"], "somebody may be unpacking");
    }
}
