//! Which modules have bytecode that the target's interpreter takes, by the files alone.
//!
//! The header of a `.pyc` (PEP 552): magic number, flags, then time and size of the source, or its hash. Time is left
//! to traced starts: what an unpacker does with it is not seen here.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::PythonVersion;
use glowplug_doctor::Bytecode;
use glowplug_package::{FileEntry, FileKind, PackageTree, bytecode_path};

/// Magic numbers of released minor versions, from 3.9 on (`Lib/importlib/_bootstrap_external.py`).
const MAGIC: [(u8, u16); 5] = [(9, 3425), (10, 3439), (11, 3495), (12, 3531), (13, 3571)];
/// Length of the header in bytes.
const HEADER: usize = 16;

/// Adds what the sources of a tree have beside them; `prefix` is what people read before a path in it. `broken` sources,
/// which do not parse, have no bytecode and never will.
pub(super) fn look(
    tree: &PackageTree,
    broken: &BTreeSet<Utf8PathBuf>,
    prefix: &str,
    python: PythonVersion,
    into: &mut Bytecode,
) {
    let code = |file: &&FileEntry| file.kind == FileKind::Code && file.symlink.is_none();
    for file in tree.files.iter().filter(code).filter(|file| !broken.contains(&file.path)) {
        let path = bytecode_path(&file.path, python);
        into.modules += 1;
        let shown = || format!("{prefix}{}", file.path);
        match tree.file(&path) {
            None => into.missing.push(shown()),
            Some(_) if is_stale(&tree.root.join(&path), file.bytes, python) => into.stale.push(shown()),
            Some(_) => {}
        }
    }
}

fn is_stale(path: &Utf8Path, source_bytes: u64, python: PythonVersion) -> bool {
    let Ok(bytes) = fs::read(path) else { return true };
    let Some(header) = bytes.get(..HEADER) else { return true };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let known = MAGIC.iter().find(|(minor, _)| *minor == python.minor).map(|(_, magic)| u32::from(*magic));
    let other_version = known.is_some_and(|magic| word(0) != magic | 0x0A0D_0000);
    let timed = word(4) == 0;
    other_version || (timed && u64::from(word(12)) != source_bytes & 0xFFFF_FFFF)
}
