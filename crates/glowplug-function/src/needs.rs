//! What a native file asks of the system that loads it: its C library and symbol versions.

use glowplug_core::PythonVersion;
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader};

/// A version of symbols, for example 2.17 or 3.4.29.
pub(crate) type Version = Vec<u32>;

/// A library of Lambda's own whose symbols carry versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Versioned {
    /// `GLIBC_2.17`.
    Glibc,
    /// `GLIBCXX_3.4.29` of libstdc++.
    Glibcxx,
    /// `CXXABI_1.3.13` of libstdc++.
    Cxxabi,
}

/// In the order in which a fault is told.
pub(crate) const VERSIONED: [Versioned; 3] = [Versioned::Glibc, Versioned::Glibcxx, Versioned::Cxxabi];

impl Versioned {
    /// How messages name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Glibcxx => "libstdc++'s GLIBCXX",
            Self::Cxxabi => "libstdc++'s CXXABI",
        }
    }

    /// What stands before the numbers in a symbol's version.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Glibc => "GLIBC_",
            Self::Glibcxx => "GLIBCXX_",
            Self::Cxxabi => "CXXABI_",
        }
    }

    /// The newest that Lambda's system for this Python has.
    ///
    /// Up to 3.11 that is Amazon Linux 2 (glibc 2.26, GCC 7.3), from 3.12 on Amazon Linux 2023 (glibc 2.34, GCC 11):
    /// "Core toolchain packages", <https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html>, and "Improved
    /// toolchain", <https://docs.aws.amazon.com/linux/al2023/ug/glibc-gcc-and-binutils.html>. Which versions came with
    /// which GCC: "ABI Policy and Guidelines", <https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html>.
    pub(crate) fn newest(self, python: PythonVersion) -> Version {
        match (self, python >= PythonVersion::new(3, 12)) {
            (Self::Glibc, false) => vec![2, 26],
            (Self::Glibc, true) => vec![2, 34],
            (Self::Glibcxx, false) => vec![3, 4, 24],
            (Self::Glibcxx, true) => vec![3, 4, 29],
            (Self::Cxxabi, false) => vec![1, 3, 11],
            (Self::Cxxabi, true) => vec![1, 3, 13],
        }
    }
}

/// What a library asks for.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    versions: Vec<(Versioned, Version)>,
    /// It is linked with glibc.
    pub(crate) glibc: bool,
    /// It is linked with musl.
    pub(crate) musl: bool,
}

impl Needs {
    /// The newest version of `library` that it asks for.
    pub(crate) fn newest(&self, library: Versioned) -> Option<&Version> {
        self.versions.iter().filter(|(of, _)| *of == library).map(|(_, version)| version).max()
    }
}

/// Reads a 64-bit ELF file. Versions of a library that a wheel brings under a name of its own do not count.
pub(crate) fn needs(data: &[u8]) -> object::read::Result<Needs> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut needs = Needs::default();
    if let Some((dynamic, strings)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        for entry in dynamic {
            if entry.d_tag(endian) == elf::DT_NEEDED {
                let name = entry.string(endian, strings)?;
                needs.musl |= name.starts_with(b"libc.musl-");
                needs.glibc |= name == b"libc.so.6" || name.starts_with(b"ld-linux-");
            }
        }
    }
    if let Some((mut libraries, strings)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((library, mut versions)) = libraries.next()? {
            let cxx = library.file(endian, strings)? == b"libstdc++.so.6";
            while let Some(version) = versions.next()? {
                // A weak version may be missing at run time.
                if version.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                    continue;
                }
                let read = versioned(version.name(endian, strings)?);
                needs.versions.extend(read.filter(|(of, _)| cxx || *of == Versioned::Glibc));
            }
        }
    }
    Ok(needs)
}

/// `GLIBC_2.17` as numbers. Packed relative relocations have a name of their own and came with 2.36.
fn versioned(name: &[u8]) -> Option<(Versioned, Version)> {
    if name == b"GLIBC_ABI_DT_RELR" {
        return Some((Versioned::Glibc, vec![2, 36]));
    }
    let text = std::str::from_utf8(name).ok()?;
    VERSIONED.into_iter().find_map(|of| {
        let numbers = text.strip_prefix(of.prefix())?.split('.').map(|part| part.parse().ok());
        Some((of, numbers.collect::<Option<Version>>()?))
    })
}

/// `2.17`.
pub(crate) fn shown(version: &[u32]) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_names_are_read() {
        assert_eq!(versioned(b"GLIBC_2.17"), Some((Versioned::Glibc, vec![2, 17])));
        assert_eq!(versioned(b"GLIBC_2.2.5"), Some((Versioned::Glibc, vec![2, 2, 5])));
        assert_eq!(versioned(b"GLIBC_ABI_DT_RELR"), Some((Versioned::Glibc, vec![2, 36])));
        assert_eq!(versioned(b"GLIBCXX_3.4.29"), Some((Versioned::Glibcxx, vec![3, 4, 29])));
        assert_eq!(versioned(b"CXXABI_1.3"), Some((Versioned::Cxxabi, vec![1, 3])));
        for name in ["GLIBC_PRIVATE", "CXXABI_TM_1", "CXXABI_FLOAT128", "OPENSSL_3.0.0", "GCC_3.0"] {
            assert_eq!(versioned(name.as_bytes()), None, "{name}");
        }
        assert!(vec![3, 4, 30] > Versioned::Glibcxx.newest(PythonVersion::new(3, 12)));
        assert!(vec![3, 4] < Versioned::Glibcxx.newest(PythonVersion::new(3, 11)));
    }
}
