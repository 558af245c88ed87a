//! Native libraries of a tree, each with what keeps the target from loading it: for whoever reports that instead of
//! failing.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use fs_err as fs;
use glowplug_core::{Architecture, Error, Libc, Progress, PythonVersion, Result, format_hex};
use glowplug_package::{FileKind, PackageTree};
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::elf::{Fault, Target, examine, strangers};

/// What libraries are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeTarget {
    /// The machine.
    pub architecture: Architecture,
    /// The minor version of Python.
    pub python: PythonVersion,
    /// Whether it is a managed runtime, whose C library is known; an image brings its own.
    pub managed: bool,
}

/// What keeps a library from being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeFault {
    /// Another machine or system: `is built for arm64`.
    Machine(String),
    /// A newer C library: `needs glibc 2.38, and the target has 2.34`.
    Glibc(String),
    /// Another Python version: `3.11`.
    Python(String),
    /// It cannot be read: `is damaged: …`.
    Damaged(String),
}

/// A native library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFile {
    /// Relative to the tree.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its contents, as hex.
    pub digest: String,
    /// Its own name for the loader.
    pub soname: Option<String>,
    /// What is wrong with it.
    pub fault: Option<NativeFault>,
}

/// The libraries of `tree`, by path. What another machine needs is no fault where its distribution has a fitting
/// library too: some wheels serve several.
///
/// # Errors
/// Surroundings: a file that cannot be read. Interrupted.
pub fn natives(tree: &PackageTree, target: NativeTarget, progress: &dyn Progress) -> Result<Vec<NativeFile>> {
    let files: Vec<_> = tree
        .files
        .iter()
        .filter(|file| file.symlink.is_none())
        .filter(|file| file.kind == FileKind::Native || file.path.as_str().contains(".so"))
        .collect();
    let paths = files.iter().map(|file| file.path.as_path());
    let strangers = strangers(paths, target.python);
    let held = Target {
        architecture: target.architecture,
        libc: target.managed.then_some(Libc::Glibc),
        python: target.python,
        brings_cxx: files.iter().any(|file| file.name().starts_with("libstdc++.so")),
    };
    let read = |file: &&glowplug_package::FileEntry| -> Result<Option<(NativeFile, Option<usize>)>> {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let data = fs::read(tree.root.join(&file.path))?;
        let is_elf = data.starts_with(b"\x7fELF");
        let is_mach_o =
            data.starts_with(&[0xCF, 0xFA, 0xED, 0xFE]) || data.starts_with(&[0xCA, 0xFE, 0xBA, 0xBE]);
        if !is_elf && !is_mach_o {
            return Ok(None);
        }
        let stem = file.path.file_name().and_then(|name| name.split_once('.')).map_or("", |(stem, _)| stem);
        let stranger = strangers.get(&file.path.with_file_name(stem));
        let fault = if is_mach_o {
            Some(NativeFault::Machine("is built for macOS".to_owned()))
        } else {
            examine(&data, held).map(told)
        };
        let native = NativeFile {
            path: file.path.clone(),
            bytes: file.bytes,
            digest: format_hex(&Sha256::digest(&data)),
            soname: soname(&data).ok().flatten(),
            fault: fault.or_else(|| stranger.map(|version| NativeFault::Python(version.clone()))),
        };
        Ok(Some((native, file.distribution)))
    };
    let found: Vec<(NativeFile, Option<usize>)> =
        files.par_iter().filter_map(|file| read(file).transpose()).collect::<Result<_>>()?;
    let is_foreign = |native: &NativeFile| matches!(native.fault, Some(NativeFault::Machine(_)));
    let fitting: BTreeSet<usize> =
        found.iter().filter(|(native, _)| !is_foreign(native)).filter_map(|(_, owner)| *owner).collect();
    let settled = found.into_iter().map(|(mut native, owner)| {
        if is_foreign(&native) && owner.is_some_and(|owner| fitting.contains(&owner)) {
            native.fault = None;
        }
        native
    });
    Ok(settled.collect())
}

fn told(fault: Fault) -> NativeFault {
    let text = fault.to_string();
    match fault {
        Fault::Machine(_) | Fault::System(_) => NativeFault::Machine(text),
        Fault::Symbols { .. } => NativeFault::Glibc(text),
        Fault::Damaged(_) => NativeFault::Damaged(text),
    }
}

/// `DT_SONAME` of a 64-bit library.
fn soname(data: &[u8]) -> object::read::Result<Option<String>> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((dynamic, strings)) = sections.dynamic(endian, data)? else { return Ok(None) };
    let strings = sections.strings(endian, data, strings)?;
    for entry in dynamic {
        if entry.d_tag(endian) == elf::DT_SONAME {
            return Ok(Some(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::NoProgress;

    #[test]
    fn each_library_is_told_with_its_fault() {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap();
        let host = fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut other = host[..64].to_vec();
        let machine: u16 = if Architecture::host() == Some(Architecture::Arm64) { 62 } else { 183 };
        other[18..20].copy_from_slice(&machine.to_le_bytes());
        for (name, data) in [
            ("a.cpython-312-x86_64-linux-gnu.so", &host),
            ("b.so", &other),
            ("c.so.txt", &b"text".to_vec()),
            ("d.cpython-311-x86_64-linux-gnu.so", &host),
        ] {
            fs::write(root.join(name), data).unwrap();
        }
        let tree = PackageTree::scan(root).unwrap();
        let target = NativeTarget {
            architecture: Architecture::host().unwrap(),
            python: PythonVersion::new(3, 12),
            managed: false,
        };
        let found = natives(&tree, target, &NoProgress).unwrap();
        let faults: Vec<_> =
            found.iter().map(|native| (native.path.as_str(), native.fault.clone())).collect();
        assert_eq!(faults.len(), 3);
        assert_eq!(faults[0].1, None);
        assert!(matches!(&faults[1].1, Some(NativeFault::Machine(_))), "{faults:?}");
        assert_eq!(faults[2].1, Some(NativeFault::Python("3.11".to_owned())));
        assert_eq!(found[0].digest, found[2].digest);
    }
}
