//! One shared library as the loader and the import system see it. Layout: System V ABI, chapter 5, "Dynamic section".

use std::collections::BTreeSet;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::Result;
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader};
use object::read::{Object, ObjectSymbol, ReadCache};

/// What the loader knows of a library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Library {
    /// `DT_SONAME`.
    pub(super) soname: Option<String>,
    /// `DT_NEEDED`.
    pub(super) needed: BTreeSet<String>,
    /// `DT_RPATH` and `DT_RUNPATH`, as they are written.
    pub(super) paths: Vec<String>,
}

impl Library {
    /// `None` for what is no 64-bit shared library of a Lambda machine, or is damaged.
    pub(super) fn read(path: &Utf8Path) -> Result<Option<Self>> {
        let file = std::io::BufReader::new(fs::File::open(path)?);
        Ok(Self::parse(&ReadCache::new(file)).ok().flatten())
    }

    fn parse<R: std::io::Read + std::io::Seek>(data: &ReadCache<R>) -> object::read::Result<Option<Self>> {
        let endian = LittleEndian;
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        if !header.is_little_endian() || header.e_type(endian) != elf::ET_DYN {
            return Ok(None);
        }
        let sections = header.sections(endian, data)?;
        let Some((dynamic, strings)) = sections.dynamic(endian, data)? else { return Ok(None) };
        let strings = sections.strings(endian, data, strings)?;
        let mut library = Self::default();
        for entry in dynamic {
            let tag = entry.d_tag(endian);
            let known = [elf::DT_SONAME, elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH];
            if !known.contains(&tag) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(entry.string(endian, strings)?) else { return Ok(None) };
            if tag == elf::DT_SONAME {
                library.soname = Some(text.to_owned());
            } else if tag == elf::DT_NEEDED {
                library.needed.insert(text.to_owned());
            } else {
                library.paths.extend(text.split(':').map(str::to_owned));
            }
        }
        Ok(Some(library))
    }
}

/// Whether a library has a function `PyInit_…`, by which an import loads it; not where it cannot be read.
pub(super) fn is_extension(path: &Utf8Path) -> Result<bool> {
    let data = ReadCache::new(std::io::BufReader::new(fs::File::open(path)?));
    let Ok(file) = ElfFile64::<LittleEndian, _>::parse(&data) else { return Ok(false) };
    let starts = |name: &str| name.starts_with("PyInit_");
    Ok(file.dynamic_symbols().any(|symbol| symbol.is_definition() && symbol.name().is_ok_and(starts)))
}
