//! A folder laid out as `/var/task`, read once: every file with its kind and its distribution.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use walkdir::WalkDir;

use crate::distribution::{self, Distribution};
use crate::modules::{self, ModuleFile};

/// What a file is for, told by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// Python source that is not a test.
    Code,
    /// A `.pyc` or `.pyo`.
    Bytecode,
    /// A shared library or an extension module.
    Native,
    /// Anything in a folder of tests, and `conftest.py`.
    Test,
    /// Anything in a folder of documentation or examples.
    Docs,
    /// A `.pyi`, and the `py.typed` marker.
    Stub,
    /// C, C++, Fortran or Cython source and headers.
    Header,
    /// Anything in a `.dist-info` or `.egg-info` folder.
    Metadata,
    /// Everything else.
    Data,
}

/// One file or symbolic link of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the root, with `/`.
    pub path: Utf8PathBuf,
    /// Size of the contents; of a link, the length of its target.
    pub bytes: u64,
    /// Whether the owner may execute it.
    pub executable: bool,
    /// Where a symbolic link points, as it is written in the link.
    pub symlink: Option<Utf8PathBuf>,
    /// What it is for.
    pub kind: FileKind,
    /// Index into [`PackageTree::distributions`]; `None` for files that no installed distribution claims.
    pub distribution: Option<usize>,
}

impl FileEntry {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.file_name().unwrap_or_default()
    }
}

/// Everything in a folder, sorted by path.
#[derive(Debug, Clone)]
pub struct PackageTree {
    /// The folder that was read.
    pub root: Utf8PathBuf,
    /// Sorted by path; folders are not listed.
    pub files: Vec<FileEntry>,
    /// Sorted by name.
    pub distributions: Vec<Distribution>,
}

impl PackageTree {
    /// Reads the folder `root`. Links are listed, never followed.
    ///
    /// Errors: a path that is not UTF-8 (input), a device, socket or pipe (input), a folder that
    /// cannot be read (surroundings).
    pub fn scan(root: &Utf8Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in WalkDir::new(root).follow_links(false) {
            let entry = entry.map_err(|error| unreadable(root, &error))?;
            if entry.file_type().is_dir() {
                continue;
            }
            let absolute = Utf8Path::from_path(entry.path()).ok_or_else(|| {
                Error::input("a file name in the package is not valid UTF-8")
                    .place(entry.path().display().to_string())
                    .hint("rename the file: a zip for Lambda holds UTF-8 names only")
            })?;
            let path = absolute.strip_prefix(root).unwrap_or(absolute).to_owned();
            files.push(read_entry(absolute, path, &entry)?);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let distributions = distribution::read_all(root, &mut files)?;
        Ok(Self { root: root.to_owned(), files, distributions })
    }

    /// The entry at `path`, relative to the root.
    pub fn file(&self, path: &Utf8Path) -> Option<&FileEntry> {
        self.files.binary_search_by(|f| f.path.as_path().cmp(path)).ok().map(|i| &self.files[i])
    }

    /// The distribution whose file `path` is.
    pub fn distribution_of(&self, path: &Utf8Path) -> Option<&Distribution> {
        self.file(path).and_then(|f| f.distribution).map(|i| &self.distributions[i])
    }

    /// Every module that an interpreter could import with the root on `sys.path`, by dotted name.
    /// Where several files claim a name, the one that the import system finds first wins: a
    /// package over a module, an extension module over a source file.
    pub fn modules(&self) -> BTreeMap<String, ModuleFile> {
        modules::of(&self.files)
    }

    /// Sum of the sizes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }
}

fn unreadable(root: &Utf8Path, error: &walkdir::Error) -> Error {
    let place = error.path().map_or_else(|| root.to_string(), |p| p.display().to_string());
    Error::surroundings("cannot read the package folder").cause(error).place(place)
}

fn read_entry(absolute: &Utf8Path, path: Utf8PathBuf, entry: &walkdir::DirEntry) -> Result<FileEntry> {
    let metadata = entry.metadata().map_err(|error| unreadable(absolute, &error))?;
    let kind = kind_of(&path);
    if metadata.file_type().is_symlink() {
        let target = Utf8PathBuf::try_from(fs::read_link(absolute)?).map_err(|error| {
            Error::input("a link in the package has a target that is not valid UTF-8")
                .cause(error)
                .place(absolute.as_str())
        })?;
        let bytes = target.as_str().len() as u64;
        return Ok(FileEntry {
            path,
            bytes,
            executable: false,
            symlink: Some(target),
            kind,
            distribution: None,
        });
    }
    if !metadata.is_file() {
        return Err(Error::input("the package holds something that is neither file, folder nor link")
            .place(absolute.as_str())
            .hint("remove the device, socket or pipe: a zip cannot hold it"));
    }
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(FileEntry { path, bytes: metadata.len(), executable, symlink: None, kind, distribution: None })
}

/// Names of folders that hold tests, compared in lower case.
pub(crate) const TEST_FOLDERS: &[&str] = &["tests", "test", "_tests", "selftest"];
/// Names of folders that hold documentation or examples, compared in lower case.
pub(crate) const DOCS_FOLDERS: &[&str] = &["doc", "docs", "examples", "samples", "benchmarks"];
/// Endings of sources that were compiled before the package was shipped.
pub(crate) const COMPILED_SOURCES: &[&str] =
    &["h", "hh", "hpp", "hxx", "c", "cc", "cpp", "cxx", "f", "f90", "f95", "pyf", "pyx", "pxd", "pxi"];

fn kind_of(path: &Utf8Path) -> FileKind {
    let folders: Vec<String> = path
        .parent()
        .into_iter()
        .flat_map(Utf8Path::components)
        .map(|part| part.as_str().to_lowercase())
        .collect();
    let name = path.file_name().unwrap_or_default();
    let extension = path.extension().unwrap_or_default();
    let inside = |names: &[&str]| folders.iter().any(|f| names.contains(&f.as_str()));
    if folders.first().is_some_and(|f| f.ends_with(".dist-info") || f.ends_with(".egg-info")) {
        FileKind::Metadata
    } else if matches!(extension, "pyc" | "pyo") {
        FileKind::Bytecode
    } else if inside(TEST_FOLDERS) || name == "conftest.py" {
        FileKind::Test
    } else if inside(DOCS_FOLDERS) && extension != "py" {
        FileKind::Docs
    } else if extension == "py" {
        FileKind::Code
    } else if is_native(name) {
        FileKind::Native
    } else if extension == "pyi" || name == "py.typed" {
        FileKind::Stub
    } else if COMPILED_SOURCES.contains(&extension) {
        FileKind::Header
    } else {
        FileKind::Data
    }
}

/// `x.so`, `x.cpython-312-x86_64-linux-gnu.so`, `libx.so.1.2`.
fn is_native(name: &str) -> bool {
    let Some((_, after)) = name.rsplit_once(".so") else { return false };
    after.is_empty()
        || after
            .strip_prefix('.')
            .is_some_and(|rest| rest.split('.').all(|v| v.starts_with(|c: char| c.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_path() {
        for (path, kind) in [
            ("app.py", FileKind::Code),
            ("numpy/testing/utils.py", FileKind::Code),
            ("boto3/docs/service.py", FileKind::Code),
            ("boto3/examples/s3.rst", FileKind::Docs),
            ("pandas/tests/test_a.py", FileKind::Test),
            ("pandas/tests/data/a.csv", FileKind::Test),
            ("pandas/conftest.py", FileKind::Test),
            ("a/__pycache__/b.cpython-312.pyc", FileKind::Bytecode),
            ("numpy.libs/libgfortran.so.5.0.0", FileKind::Native),
            ("numpy/_core/_simd.cpython-312-x86_64-linux-gnu.so", FileKind::Native),
            ("a/b.something", FileKind::Data),
            ("a/b.pyi", FileKind::Stub),
            ("a/py.typed", FileKind::Stub),
            ("a/b.pyx", FileKind::Header),
            ("a-1.dist-info/RECORD", FileKind::Metadata),
        ] {
            assert_eq!(kind_of(Utf8Path::new(path)), kind, "{path}");
        }
    }

    #[test]
    fn a_scan_is_sorted_and_keeps_links_and_modes() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/x.py"), "1").unwrap();
        fs::write(root.join("b-run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("b-run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("c/x.py", root.join("b/link.py")).unwrap();
        let tree = PackageTree::scan(root).unwrap();
        let seen: Vec<_> =
            tree.files.iter().map(|f| (f.path.as_str(), f.executable, f.symlink.is_some())).collect();
        assert_eq!(seen, [("b/c/x.py", false, false), ("b/link.py", false, true), ("b-run", true, false)]);
        assert_eq!(tree.total_bytes(), 1 + 6 + 10);
        assert!(tree.file(Utf8Path::new("b/link.py")).is_some() && tree.file(Utf8Path::new("b")).is_none());
    }

    #[test]
    fn a_pipe_in_the_package_is_an_input_error() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let error = PackageTree::scan(root).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
        assert!(error.where_().is_some_and(|place| place.ends_with("socket")), "{error}");
    }
}
