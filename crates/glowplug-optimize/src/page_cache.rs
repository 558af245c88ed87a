//! Brings the native libraries of several trees into the page cache in the same way, so that their memory compares.

use std::io::Read;

use camino::Utf8Path;
use fs_err as fs;
use rustix::fs::{Advice, fadvise, fdatasync};
use walkdir::WalkDir;

use glowplug_core::Result;

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Drops the native libraries of a tree from the page cache and reads them again. What a process maps of a file
/// counts as its resident memory, and the kernel maps more around each access of a file that was just written,
/// whose pages lie in larger units, than of one that was read.
pub(crate) fn level(tree: &Utf8Path) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    for entry in WalkDir::new(tree).into_iter().filter_map(std::result::Result::ok) {
        let native = entry.file_name().to_str().is_some_and(|name| name.contains(".so"));
        if !entry.file_type().is_file() || !native {
            continue;
        }
        let mut file = fs::File::open(entry.path())?;
        // Only clean pages can be dropped. A file system that cannot do it leaves things as they were.
        if fdatasync(file.file()).is_ok() {
            let _ = fadvise(file.file(), 0, None, Advice::DontNeed);
        }
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_cache_changes() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        let library = tree.join("a.cpython-312.so");
        fs::write(&library, vec![7; 3 * CHUNK + 5]).unwrap();
        level(tree).unwrap();
        assert_eq!(fs::read(&library).unwrap(), vec![7; 3 * CHUNK + 5]);
    }
}
