//! Which native libraries of a tree others are linked with, and which are modules of Python.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::Result;
use object::read::{Object, ObjectSymbol};
use object::{Endianness, ReadCache, elf};
use rayon::prelude::*;

use crate::tree::{FileKind, PackageTree};

/// What one library says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Library {
    /// `DT_SONAME`.
    name: Option<String>,
    /// `DT_NEEDED`, in order.
    needed: Vec<String>,
    /// Whether it has a function `PyInit_…`.
    extension: bool,
}

/// The native files of a tree and how they hang together.
#[derive(Debug, Clone, Default)]
pub struct NativeNeeds {
    libraries: BTreeMap<Utf8PathBuf, Library>,
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
            .map(|path| Ok(((*path).clone(), read(&tree.root.join(path))?)))
            .collect::<Result<_>>()?;
        let mut by_name: BTreeMap<String, BTreeSet<Utf8PathBuf>> = BTreeMap::new();
        for (path, library) in &libraries {
            let own = path.file_name().map(str::to_owned);
            for name in own.into_iter().chain(library.name.clone()) {
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
        Ok(Self { libraries, by_name })
    }

    /// Whether an import can load the file.
    pub fn is_extension(&self, path: &Utf8Path) -> bool {
        self.libraries.get(path).is_none_or(|library| library.extension)
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

/// Layout: System V ABI, chapter 5, "Dynamic section".
fn read(path: &Utf8Path) -> Result<Library> {
    let cache = ReadCache::new(fs::File::open(path)?.into_file());
    Ok(parse(&cache).unwrap_or_default())
}

fn parse<'a, R: object::ReadRef<'a>>(data: R) -> Option<Library> {
    let file = object::read::elf::ElfFile64::<Endianness, R>::parse(data).ok()?;
    let endian = file.endian();
    let table = file.elf_section_table();
    let mut library = Library::default();
    if let Some((entries, link)) = table.dynamic(endian, data).ok()? {
        let strings = table.strings(endian, data, link).ok()?;
        for entry in entries {
            use object::read::elf::Dyn;
            let tag = entry.tag(endian);
            if !matches!(tag, elf::DT_NEEDED | elf::DT_SONAME) {
                continue;
            }
            let name = entry.string(endian, strings).ok()?;
            let name = std::str::from_utf8(name).ok()?.to_owned();
            if tag == elf::DT_NEEDED {
                library.needed.push(name);
            } else {
                library.name = Some(name);
            }
        }
    }
    library.extension = file
        .dynamic_symbols()
        .any(|symbol| symbol.is_definition() && symbol.name().is_ok_and(|name| name.starts_with("PyInit_")));
    Some(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_follows_names_and_stops_at_what_is_not_there() {
        let library = |needed: &[&str]| Library {
            name: None,
            needed: needed.iter().map(|n| (*n).to_owned()).collect(),
            extension: false,
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
        let needs = NativeNeeds { libraries, by_name };
        let found: Vec<String> = needs
            .closure([Utf8Path::new("pkg/_core.so")])
            .into_iter()
            .map(Utf8PathBuf::into_string)
            .collect();
        // By parts of the path: `pkg` comes before `pkg.libs`.
        assert_eq!(found, ["pkg/_core.so", "pkg.libs/libblas.so", "pkg.libs/libgfortran.so"]);
    }
}
