//! The files of a folder with the hash of each: what a tree's digest and the check of a cached tree are made from.

use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Result, format_hex};
use glowplug_package::PackageTree;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file or a link of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Relative to the root.
    pub(crate) path: Utf8PathBuf,
    pub(crate) executable: bool,
    /// A link's target.
    pub(crate) link: Option<Utf8PathBuf>,
    /// Hash of the contents; of a link, of its target.
    pub(crate) sha256: String,
    bytes: u64,
    modified_ns: i64,
}

/// Lists and hashes everything below `root`, sorted by path.
///
/// # Errors
/// Those of [`PackageTree::scan`]; surroundings where a file cannot be read.
pub(crate) fn list(root: &Utf8Path) -> Result<Vec<Listed>> {
    let tree = PackageTree::scan(root)?;
    tree.files.into_par_iter().map(|file| one(root, file.path, file.executable, file.symlink)).collect()
}

/// Lists one file.
pub(crate) fn one(
    root: &Utf8Path,
    path: Utf8PathBuf,
    executable: bool,
    link: Option<Utf8PathBuf>,
) -> Result<Listed> {
    let absolute = root.join(&path);
    let hash = match &link {
        Some(target) => Sha256::digest(target.as_str()),
        None => Sha256::digest(fs::read(&absolute)?),
    };
    let (bytes, modified_ns) = stamp(&absolute)?;
    Ok(Listed { path, executable, link, sha256: format_hex(&hash), bytes, modified_ns })
}

impl Listed {
    /// Whether the file below `root` is still as it was listed, told by size and time alone.
    pub(crate) fn untouched(&self, root: &Utf8Path) -> bool {
        stamp(&root.join(&self.path)).is_ok_and(|stamp| stamp == (self.bytes, self.modified_ns))
    }
}

fn stamp(path: &Utf8Path) -> Result<(u64, i64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.len(), metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec())))
}

/// SHA-256 over paths, modes, links and contents of several listed folders, each sorted by path. The mode is whether
/// a file may be executed: the rest of it depends on the machine.
pub(crate) fn digest(folders: &[&[Listed]]) -> String {
    let mut hasher = Sha256::new();
    for (index, files) in folders.iter().enumerate() {
        hasher.update(format!("folder {index}: {} files\n", files.len()));
        for file in *files {
            let kind = match (&file.link, file.executable) {
                (Some(_), _) => "link",
                (None, true) => "executable",
                (None, false) => "file",
            };
            hasher.update(format!("{kind} {} {}\0", file.sha256, file.path));
        }
    }
    format_hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_digest_follows_path_content_mode_and_link() {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut digest_now = || {
            let listed = list(root).unwrap();
            assert!(seen.insert(digest(&[&listed])), "a change that the digest does not show");
            listed
        };
        fs::write(root.join("a.py"), "x = 1").unwrap();
        let listed = digest_now();
        assert!(listed.iter().all(|file| file.untouched(root)));
        fs::write(root.join("a.py"), "x = 22").unwrap();
        assert!(!listed[0].untouched(root));
        digest_now();
        fs::set_permissions(root.join("a.py"), std::fs::Permissions::from_mode(0o755)).unwrap();
        digest_now();
        fs::os::unix::fs::symlink("a.py", root.join("b.py")).unwrap();
        let listed = digest_now();
        assert_ne!(digest(&[&listed]), digest(&[&listed, &[]]));
        fs::rename(root.join("a.py"), root.join("c.py")).unwrap();
        digest_now();
    }
}
