//! Takes a tree's files out of the page cache, as they are where a package has just been fetched.

use std::io::IoSliceMut;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use rustix::fs::{Advice, fadvise, fdatasync, fstatfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use walkdir::WalkDir;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `linux/magic.h`: file systems whose files are their pages.
const MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// The files of one tree.
#[derive(Debug)]
pub(crate) struct Files(Vec<Utf8PathBuf>);

impl Files {
    /// Lists the tree and writes what is not on the disk yet: only clean pages can be dropped.
    ///
    /// # Errors
    /// The surroundings', where the file system keeps its files in memory.
    pub(crate) fn of(tree: &Utf8Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in WalkDir::new(tree).sort_by_file_name() {
            let entry = entry.map_err(|error| Error::surroundings("cannot list the tree").cause(error))?;
            if let Some(path) = Utf8Path::from_path(entry.path()).filter(|_| entry.file_type().is_file()) {
                let _ = fdatasync(fs::File::open(path)?.file());
                files.push(path.to_owned());
            }
        }
        let files = Self(files);
        files.drop_pages()?;
        files.check()?;
        Ok(files)
    }

    /// Drops them, which any user may who can read them. The interpreter's own files stay: on Lambda they are no part
    /// of the package.
    pub(crate) fn drop_pages(&self) -> Result<()> {
        for path in &self.0 {
            let _ = fadvise(fs::File::open(path)?.file(), 0, None, Advice::DontNeed);
        }
        Ok(())
    }

    /// Whether dropping works here: a read of the largest file that must not wait for the disk finds nothing.
    fn check(&self) -> Result<()> {
        let sizes = self.0.iter().map(|path| Ok((fs::metadata(path)?.len(), path)));
        let Some((size, largest)) = sizes.collect::<Result<Vec<_>>>()?.into_iter().max() else {
            return Ok(());
        };
        if size == 0 {
            return Ok(());
        }
        let file = fs::File::open(largest)?;
        let mut byte = [0_u8];
        let found = preadv2(file.file(), &mut [IoSliceMut::new(&mut byte)], size / 2, ReadWriteFlags::NOWAIT);
        let in_memory = fstatfs(file.file()).is_ok_and(|status| MEMORY.contains(&status.f_type));
        match found {
            Err(Errno::AGAIN | Errno::OPNOTSUPP) if !in_memory => Ok(()),
            _ => Err(Error::surroundings("cannot drop the package's files from the page cache")
                .place(largest.as_str())
                .cause("its file system keeps them in memory")
                .hint("leave `--cold-cache` out, or point `--cache-dir` to a disk")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_in_memory_is_refused_by_name() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        fs::write(tree.join("a.py"), vec![b'#'; 100_000]).unwrap();
        let error = Files::of(tree).unwrap_err();
        assert_eq!(error.message(), "cannot drop the package's files from the page cache");
        assert!(!error.hints().is_empty());
    }

    #[test]
    fn the_files_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        fs::write(tree.join("a.py"), b"x = 1\n").unwrap();
        if let Ok(files) = Files::of(tree) {
            files.drop_pages().unwrap();
        }
        assert_eq!(fs::read(tree.join("a.py")).unwrap(), b"x = 1\n");
    }
}
