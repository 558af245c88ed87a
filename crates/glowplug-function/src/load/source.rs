//! Reads files of a function alike from a folder and from a zip.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use glowplug_package::open_zip;

/// The largest file that is read out of a zip before it is unpacked: configuration, events, a handler's module.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A folder or a zip; paths are relative to it.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Folder(Utf8PathBuf),
    Zip { path: Utf8PathBuf, names: Arc<BTreeSet<Utf8PathBuf>> },
}

impl Source {
    /// The zip at `path`.
    ///
    /// # Errors
    /// Input: it is none.
    pub(crate) fn zip(path: &Utf8Path) -> Result<Self> {
        let archive = open_zip(path)?;
        let names = archive
            .file_names()
            .filter_map(Result::ok)
            .filter(|name| !name.ends_with('/'))
            .map(|name| Utf8PathBuf::from(name.into_owned()))
            .collect();
        Ok(Self::Zip { path: path.to_owned(), names: Arc::new(names) })
    }

    /// Contents of a file; `None` where there is none of that name.
    ///
    /// # Errors
    /// Input: a damaged zip. Surroundings: it cannot be read.
    pub(crate) fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(_) if !self.is_file(path) => Ok(None),
            Self::Folder(root) => Ok(Some(fs::read(root.join(path))?)),
            Self::Zip { path: zip, names } => {
                if !names.contains(path) {
                    return Ok(None);
                }
                let mut archive = open_zip(zip)?;
                let damaged = |error: &dyn std::fmt::Display| {
                    Error::input(format!("cannot read `{path}` in the zip")).cause(error).place(zip.as_str())
                };
                let entry = archive.by_name(path.as_str()).map_err(|error| damaged(&error))?;
                let mut content = Vec::new();
                entry.take(MOST_BYTES).read_to_end(&mut content).map_err(|error| damaged(&error))?;
                Ok(Some(content))
            }
        }
    }

    pub(crate) fn is_file(&self, path: &Utf8Path) -> bool {
        match self {
            Self::Folder(root) => root.join(path).is_file(),
            Self::Zip { names, .. } => names.contains(path),
        }
    }

    /// Names directly in a folder, sorted; none where the folder is missing.
    pub(crate) fn names(&self, folder: &Utf8Path) -> Vec<String> {
        let names: BTreeSet<String> = match self {
            Self::Folder(root) => {
                let entries = root.join(folder).read_dir_utf8();
                entries.into_iter().flatten().flatten().map(|entry| entry.file_name().to_owned()).collect()
            }
            Self::Zip { names, .. } => names
                .iter()
                .filter_map(|name| name.strip_prefix(folder).ok()?.iter().next().map(str::to_owned))
                .collect(),
        };
        names.into_iter().collect()
    }

    /// How a message names the file.
    pub(crate) fn place(&self, path: &Utf8Path) -> String {
        match self {
            Self::Folder(root) => shown(root, path).into_string(),
            Self::Zip { path: zip, .. } => format!("{zip}/{path}"),
        }
    }

    /// The file's own path; `None` inside a zip.
    pub(crate) fn path(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        match self {
            Self::Folder(root) => Some(shown(root, path)),
            Self::Zip { .. } => None,
        }
    }
}

/// `root/path` without `./` before it.
pub(crate) fn shown(root: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    let joined: Utf8PathBuf = root.join(path).components().filter(|part| part.as_str() != ".").collect();
    if joined.as_str().is_empty() { Utf8PathBuf::from(".") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_people_write_them() {
        assert_eq!(shown(Utf8Path::new("."), Utf8Path::new("a/b")), "a/b");
        assert_eq!(shown(Utf8Path::new("./x"), Utf8Path::new("./a")), "x/a");
        assert_eq!(shown(Utf8Path::new("."), Utf8Path::new("")), ".");
        assert_eq!(shown(Utf8Path::new("x"), Utf8Path::new("../y")), "x/../y");
    }
}
