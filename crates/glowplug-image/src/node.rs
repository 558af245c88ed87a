//! One entry of a layer, wherever it comes from, and the rules on its name.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use camino::Utf8PathBuf;
use fs_err as fs;
use glowplug_core::{Error, Result};

/// What a name begins with that hides an entry of a lower layer (OCI image specification, `layer.md`).
pub(crate) const WHITEOUT: &str = ".wh.";
/// Hides everything that lower layers have in its folder.
pub(crate) const OPAQUE: &str = ".wh..wh..opq";
/// Names that eStargz keeps for itself, at the root.
pub(crate) const TOC_NAME: &str = "stargz.index.json";
pub(crate) const PREFETCH: &str = ".prefetch.landmark";
pub(crate) const NO_PREFETCH: &str = ".no.prefetch.landmark";
/// The contents of both landmarks.
pub(crate) const LANDMARK: u8 = 0x0f;

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Relative to the root of the image, without a slash at either end.
    pub path: String,
    pub kind: Kind,
    /// Permissions with the set-uid, set-gid and sticky bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes, file capabilities above all.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Dir,
    File {
        data: Data,
        size: u64,
        /// The same number for all names of one file.
        twin: Option<u64>,
    },
    Symlink(String),
    /// Another name of the file with this path, which is earlier in the layer.
    Link(String),
}

/// Where contents are.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Path(Utf8PathBuf),
    Bytes(Arc<[u8]>),
    /// In an unpacked layer, from this offset.
    Spool(Arc<std::fs::File>, u64),
    /// Not kept: only the listing was asked for.
    Gone,
}

impl Node {
    /// An entry of root's with the fixed time.
    pub(crate) fn new(path: impl Into<String>, kind: Kind, mode: u32) -> Self {
        Self { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
    }

    /// Bytes of its contents.
    pub(crate) fn size(&self) -> u64 {
        if let Kind::File { size, .. } = self.kind { size } else { 0 }
    }

    /// The name in a tar archive: folders end with a slash.
    pub(crate) fn tar_name(&self) -> String {
        if matches!(self.kind, Kind::Dir) { format!("{}/", self.path) } else { self.path.clone() }
    }
}

impl Data {
    /// `length` bytes from `offset`. Error (surroundings): the file cannot be read, or has become shorter.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        match self {
            Self::Path(path) => {
                let mut file = fs::File::open(path)?;
                if offset > 0 {
                    file.seek(SeekFrom::Start(offset))?;
                }
                let mut bytes = vec![0; length];
                file.read_exact(&mut bytes).map_err(|error| changed(path.as_str(), &error))?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = start.checked_add(length).and_then(|end| bytes.get(start..end));
                part.map(<[u8]>::to_vec).ok_or_else(|| Error::defect("an entry is read beyond its end"))
            }
            Self::Spool(file, start) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start + offset)
                    .map_err(|error| changed("an unpacked layer", &error))?;
                Ok(bytes)
            }
            Self::Gone => Err(Error::defect("contents that were not kept are read")),
        }
    }
}

fn changed(place: &str, error: &std::io::Error) -> Error {
    let made = Error::surroundings("a file could not be read as it was listed").cause(error).place(place);
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        made.hint("it has become shorter meanwhile: do not write to the tree while an image is made")
    } else {
        made
    }
}

/// Checks a relative path, part by part; the error says what is wrong with it.
pub(crate) fn check_parts(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("leads out of the image, or is not written plainly");
    }
    if path.contains('\0') {
        return Err("holds a zero byte");
    }
    Ok(())
}

/// Whether a path is below `dev`: whoever runs an image makes the devices there, and none is needed in it.
pub(crate) fn is_device_place(path: &str) -> bool {
    path.starts_with("dev/")
}

/// Refuses names that a container runtime would read as something else than a file's name.
pub(crate) fn check_reserved(path: &str, place: &str) -> Result<()> {
    if path.split('/').any(|part| part.starts_with(WHITEOUT)) {
        return Err(Error::input(format!(
            "the name `{path}` would delete a file: `.wh.` marks deleted ones in images"
        ))
        .place(place)
        .hint("rename it, or leave it out of the image"));
    }
    if matches!(path, TOC_NAME | PREFETCH | NO_PREFETCH) {
        return Err(Error::input(format!("the name `{path}` belongs to the eStargz format"))
            .place(place)
            .hint(
                "rename it, or leave it out of the image; a root file system unpacked from an eStargz image \
                     needs none of these files",
            ));
    }
    Ok(())
}

/// Whether a symbolic link at `path` climbs over the root.
pub(crate) fn climbs(path: &str, target: &str) -> bool {
    let mut depth = if target.starts_with('/') { 0 } else { path.matches('/').count().cast_signed() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// The folders above a path, outermost first.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_climb_to_the_root_but_not_over_it() {
        for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b", "/usr/x"), ("a/b/c", "../../d/./e//f")] {
            assert!(!climbs(path, target), "{path} -> {target}");
        }
        for (path, target) in [("a", ".."), ("a/b", "../../c"), ("a/b", "/../c"), ("a/b", "c/../../../d")] {
            assert!(climbs(path, target), "{path} -> {target}");
        }
    }

    #[test]
    fn reserved_names_are_refused_where_they_mean_something() {
        for path in [".wh.x", "a/.wh.x", "a/.wh.b/c", "stargz.index.json", ".prefetch.landmark"] {
            assert!(check_reserved(path, "a tree").is_err(), "{path}");
        }
        for path in ["a/wh.x", "a/.whx", "var/task/stargz.index.json", "x.wh.y"] {
            assert!(check_reserved(path, "a tree").is_ok(), "{path}");
        }
    }

    #[test]
    fn parents_come_outermost_first() {
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(parents("a").count(), 0);
    }
}
