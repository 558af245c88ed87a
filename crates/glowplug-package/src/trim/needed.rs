//! Which native libraries of a tree others are linked with, and which are modules of Python.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::Result;
use rayon::prelude::*;

use super::library::{Library, is_extension};
use crate::tree::{FileKind, PackageTree};

/// The native files of a tree and how they hang together.
#[derive(Debug, Clone, Default)]
pub struct NativeNeeds {
    libraries: BTreeMap<Utf8PathBuf, Library>,
    /// Those that an import can load.
    extensions: BTreeSet<Utf8PathBuf>,
    by_name: BTreeMap<String, BTreeSet<Utf8PathBuf>>,
}

impl NativeNeeds {
    /// Reads the native files of a tree; one that is no ELF file of 64 bits is linked with nothing.
    ///
    /// # Errors
    /// Surroundings: a file that cannot be read.
    pub fn of(tree: &PackageTree) -> Result<Self> {
        let natives: Vec<&Utf8PathBuf> = tree
            .files
            .iter()
            .filter(|file| file.kind == FileKind::Native && file.symlink.is_none())
            .map(|file| &file.path)
            .collect();
        let libraries: BTreeMap<Utf8PathBuf, Library> = natives
            .par_iter()
            .map(|path| Ok(((*path).clone(), Library::read(&tree.root.join(path))?.unwrap_or_default())))
            .collect::<Result<_>>()?;
        let mut extensions = BTreeSet::new();
        for path in libraries.keys() {
            if is_extension(&tree.root.join(path))? {
                extensions.insert(path.clone());
            }
        }
        let mut by_name: BTreeMap<String, BTreeSet<Utf8PathBuf>> = BTreeMap::new();
        for (path, library) in &libraries {
            let own = path.file_name().map(str::to_owned);
            for name in own.into_iter().chain(library.soname.clone()) {
                by_name.entry(name).or_default().insert(path.clone());
            }
        }
        // A link's name leads to what it points to.
        for link in tree.files.iter().filter(|file| file.symlink.is_some()) {
            let target = link.symlink.as_ref().and_then(|target| target.file_name());
            if let Some(paths) = target.and_then(|target| by_name.get(target)).cloned() {
                by_name.entry(link.name().to_owned()).or_default().extend(paths);
            }
        }
        Ok(Self { libraries, extensions, by_name })
    }

    /// Whether an import can load the file.
    pub fn is_extension(&self, path: &Utf8Path) -> bool {
        self.extensions.contains(path) || !self.libraries.contains_key(path)
    }

    /// Everything that the libraries at `roots` are linked with, they themselves included. Where several files have a
    /// name, all of them: which one the loader takes is its own affair.
    pub fn closure<'a>(&self, roots: impl IntoIterator<Item = &'a Utf8Path>) -> BTreeSet<Utf8PathBuf> {
        let mut found: BTreeSet<Utf8PathBuf> = BTreeSet::new();
        let mut queue: Vec<Utf8PathBuf> = roots.into_iter().map(Utf8Path::to_owned).collect();
        while let Some(path) = queue.pop() {
            let Some(library) = self.libraries.get(&path) else { continue };
            if found.insert(path) {
                queue.extend(library.needed.iter().filter_map(|n| self.by_name.get(n)).flatten().cloned());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_follows_names_and_stops_at_what_is_not_there() {
        let library = |needed: &[&str]| Library {
            needed: needed.iter().map(|n| (*n).to_owned()).collect(),
            ..Library::default()
        };
        let libraries: BTreeMap<Utf8PathBuf, Library> = [
            ("pkg/_core.so".into(), library(&["libblas.so", "libc.so.6"])),
            ("pkg.libs/libblas.so".into(), library(&["libgfortran.so"])),
            ("pkg.libs/libgfortran.so".into(), library(&["libblas.so"])),
            ("pkg.libs/libother.so".into(), library(&[])),
        ]
        .into();
        let by_name = libraries
            .keys()
            .map(|path: &Utf8PathBuf| (path.file_name().unwrap().to_owned(), [path.clone()].into()))
            .collect();
        let needs = NativeNeeds { libraries, by_name, ..NativeNeeds::default() };
        let found: Vec<String> = needs
            .closure([Utf8Path::new("pkg/_core.so")])
            .into_iter()
            .map(Utf8PathBuf::into_string)
            .collect();
        // By parts of the path: `pkg` comes before `pkg.libs`.
        assert_eq!(found, ["pkg/_core.so", "pkg.libs/libblas.so", "pkg.libs/libgfortran.so"]);
    }
}
