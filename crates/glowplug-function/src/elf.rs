//! Native files against the target: machine, C library and its version, Python version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Progress, PythonVersion, Result};
use glowplug_package::PackageTree;
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader};
use rayon::prelude::*;

use crate::Function;
use crate::listing::Listed;

/// How many files an error names.
const NAMED: usize = 3;
/// First bytes of a Mach-O file (either byte order) and of a universal one.
const MACH_O: [[u8; 4]; 5] = [
    [0xFE, 0xED, 0xFA, 0xCE],
    [0xFE, 0xED, 0xFA, 0xCF],
    [0xCE, 0xFA, 0xED, 0xFE],
    [0xCF, 0xFA, 0xED, 0xFE],
    [0xCA, 0xFE, 0xBA, 0xBE],
];

/// What is wrong with a native file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another machine type.
    Machine(String),
    /// Another operating system or C library.
    System(&'static str),
    /// Needs a newer glibc than the target has.
    Glibc { needs: (u32, u32), has: (u32, u32) },
    /// Cannot be read.
    Damaged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(machine) => write!(f, "is built for {machine}"),
            Self::System(system) => write!(f, "is built for {system}"),
            Self::Glibc { needs, has } => {
                write!(f, "needs glibc {}.{}, and the target has {}.{}", needs.0, needs.1, has.0, has.1)
            }
            Self::Damaged(reason) => write!(f, "is damaged: {reason}"),
        }
    }
}

/// glibc of Amazon Linux 2 (Python up to 3.11) and of Amazon Linux 2023.
pub(crate) fn glibc(version: PythonVersion) -> (u32, u32) {
    if version >= PythonVersion::new(3, 12) { (2, 34) } else { (2, 26) }
}

/// Holds every native file of `files`, which are below `root`, against the function's target. What another machine
/// or system needs is let pass where its distribution has a fitting file too: some wheels serve several.
///
/// # Errors
/// Input: a file that cannot be loaded there; it names the file, its distribution and the way out. Interrupted.
pub(crate) fn check(
    root: &Utf8Path,
    files: &[Listed],
    function: &Function,
    progress: &dyn Progress,
) -> Result<()> {
    let judged: Vec<(&Listed, Option<Fault>)> = files
        .par_iter()
        .filter(|file| file.link.is_none() && may_be_native(file))
        .filter_map(|file| {
            if progress.interrupted() {
                return Some(Err(Error::interrupted()));
            }
            let target = (function.architecture, Some(glibc(function.python)));
            judge(&root.join(&file.path), target)
                .map(|verdict| verdict.map(|fault| (file, fault)))
                .transpose()
        })
        .collect::<Result<_>>()?;
    for note in other_pythons(files, function.python) {
        progress.note(&note);
    }
    if judged.iter().all(|(_, fault)| fault.is_none()) {
        return Ok(());
    }
    let tree = PackageTree::scan(root)?;
    let owner = |path: &Utf8Path| match tree.distribution_of(path) {
        Some(distribution) => format!("{} {}", distribution.name, distribution.version),
        None => path.parent().map(Utf8Path::to_string).unwrap_or_default(),
    };
    let fitting: BTreeSet<String> =
        judged.iter().filter(|(_, fault)| fault.is_none()).map(|(file, _)| owner(&file.path)).collect();
    let faults: Vec<(&Utf8Path, &Fault)> = judged
        .iter()
        .filter_map(|(file, fault)| Some((file.path.as_path(), fault.as_ref()?)))
        .filter(|(path, fault)| {
            !matches!(fault, Fault::Machine(_) | Fault::System(_)) || !fitting.contains(&owner(path))
        })
        .collect();
    match faults.first() {
        None => Ok(()),
        Some((path, fault)) => {
            let distribution = tree.distribution_of(path).map(|_| owner(path));
            Err(error(root, &faults, distribution.as_deref(), fault, function))
        }
    }
}

fn error(
    root: &Utf8Path,
    faults: &[(&Utf8Path, &Fault)],
    distribution: Option<&str>,
    fault: &Fault,
    function: &Function,
) -> Error {
    let path = faults.first().map_or(Utf8Path::new(""), |(path, _)| path);
    let of = distribution.map_or_else(String::new, |name| format!(" of {name}"));
    let mut error = Error::input(format!("the native file `{path}`{of} {fault}"))
        .cause(format!("the function runs Python {} on {}", function.python, function.architecture))
        .place(root.join(path).into_string());
    if faults.len() > 1 {
        let others: Vec<&str> = faults.iter().skip(1).take(NAMED).map(|(path, _)| path.as_str()).collect();
        error = error.cause(format!(
            "{} more like it, for example {}",
            faults.len() - 1,
            crate::suggest::listed(others)
        ));
    }
    match (fault, distribution) {
        (Fault::Damaged(_), _) => error.hint("install its distribution again"),
        (Fault::Glibc { .. }, Some(name)) => error
            .hint(format!("choose a version of {name} with a wheel for that glibc (manylinux2014, manylinux_2_17)"))
            .hint("or a newer `python = `: from 3.12 on, Lambda has glibc 2.34"),
        (_, Some(_)) => error.hint(format!(
            "install the dependencies for the target, or set `requirements = ` and let glowplug do it, or correct `architecture = \"{}\"`",
            function.architecture
        )),
        (_, None) => error.hint(format!("build it for {} on Linux with glibc", function.architecture)),
    }
}

/// By name: shared libraries, executables, and names without an extension.
fn may_be_native(file: &Listed) -> bool {
    let name = file.path.file_name().unwrap_or_default();
    file.executable || name.contains(".so") || !name.contains('.')
}

/// `None` for what is no native file; else its fault, if it has one.
#[expect(clippy::option_option, reason = "no native file, a good one, a bad one")]
fn judge(path: &Utf8Path, target: Target) -> Result<Option<Option<Fault>>> {
    let mut start = [0; 4];
    let mut file = fs::File::open(path)?;
    if file.read(&mut start)? < start.len() {
        return Ok(None);
    }
    if MACH_O.contains(&start) && path.as_str().contains(".so") {
        return Ok(Some(Some(Fault::System("macOS"))));
    }
    if start != *b"\x7fELF" {
        return Ok(None);
    }
    let data = fs::read(path)?;
    Ok(Some(examine(&data, target)))
}

/// A machine and the glibc that it has; without one, its C library is not known, and any will do.
pub(crate) type Target = (Architecture, Option<(u32, u32)>);

/// Reads one ELF file.
pub(crate) fn examine(data: &[u8], (architecture, has): Target) -> Option<Fault> {
    let number = match data.get(18..20) {
        Some(&[low, high]) if data.get(5) == Some(&1) => u16::from_le_bytes([low, high]),
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => return Some(Fault::Damaged("it ends in its header".to_owned())),
    };
    let wanted = match architecture {
        Architecture::X86_64 => elf::EM_X86_64,
        Architecture::Arm64 => elf::EM_AARCH64,
    };
    if number != wanted.0 || data.get(4) != Some(&2) {
        return Some(Fault::Machine(machine(number)));
    }
    let needs = match (needs(data), has) {
        (Ok(_), None) => return None,
        (needs, _) => needs,
    };
    let has = has.unwrap_or_default();
    match needs {
        Err(error) => Some(Fault::Damaged(error.to_string())),
        Ok(needs) if needs.musl => Some(Fault::System("musl (Alpine Linux)")),
        Ok(needs) => needs.glibc.filter(|needs| *needs > has).map(|needs| Fault::Glibc { needs, has }),
    }
}

fn machine(number: u16) -> String {
    match number {
        3 => "32-bit x86".to_owned(),
        40 => "32-bit ARM".to_owned(),
        62 => "x86_64".to_owned(),
        183 => "arm64".to_owned(),
        other => format!("another machine (ELF number {other})"),
    }
}

/// What a library asks of the C library.
#[derive(Debug, Default)]
struct Needs {
    glibc: Option<(u32, u32)>,
    musl: bool,
}

fn needs(data: &[u8]) -> object::read::Result<Needs> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut needs = Needs::default();
    if let Some((dynamic, strings)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        for entry in dynamic {
            if entry.d_tag(endian) == elf::DT_NEEDED {
                needs.musl |= entry.string(endian, strings)?.starts_with(b"libc.musl-");
            }
        }
    }
    if let Some((mut libraries, strings)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                // A weak version may be missing at run time.
                if !version.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                    needs.glibc = needs.glibc.max(glibc_version(version.name(endian, strings)?));
                }
            }
        }
    }
    Ok(needs)
}

/// `GLIBC_2.17` as numbers. Packed relative relocations have a name of their own and came with 2.36.
fn glibc_version(name: &[u8]) -> Option<(u32, u32)> {
    if name == b"GLIBC_ABI_DT_RELR" {
        return Some((2, 36));
    }
    let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Notes on extension modules that nothing would import.
fn other_pythons(files: &[Listed], version: PythonVersion) -> Vec<String> {
    let strangers = strangers(files.iter().map(|file| file.path.as_path()), version);
    let note = |(stem, other): (Utf8PathBuf, String)| {
        format!("`{stem}` is an extension module for Python {other}: Python {version} does not see it")
    };
    strangers.into_iter().map(note).take(NAMED).collect()
}

/// Extension modules for other Python versions that have no counterpart for this one, without the ending of their
/// names, and the newest version that they are for.
pub(crate) fn strangers<'a>(
    paths: impl Iterator<Item = &'a Utf8Path>,
    version: PythonVersion,
) -> BTreeMap<Utf8PathBuf, String> {
    let ours = version.cache_tag().replace("cpython-", "");
    let mut tags: BTreeMap<Utf8PathBuf, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        let Some((stem, rest)) = name.split_once('.') else { continue };
        if !rest.ends_with("so") {
            continue;
        }
        let tag =
            rest.strip_prefix("cpython-").and_then(|rest| rest.split(['-', '.']).next()).unwrap_or("any");
        tags.entry(path.with_file_name(stem)).or_default().insert(tag);
    }
    tags.into_iter()
        .filter(|(_, tags)| !tags.contains("any") && !tags.contains(ours.as_str()))
        .map(|(stem, tags)| {
            let tag = tags.into_iter().next_back().unwrap_or_default();
            let other = tag
                .split_at_checked(1)
                .map_or_else(|| tag.to_owned(), |(major, minor)| format!("{major}.{minor}"));
            (stem, other)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of an ELF file without sections.
    fn header(class: u8, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0x7F, b'E', b'L', b'F', class, 1, 1];
        bytes.resize(16, 0);
        bytes.extend(3u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }

    /// A function for this machine and a Python whose glibc is new enough for everything here.
    fn function(root: &Utf8Path) -> Function {
        fs::write(root.join("app.py"), "def handler(event, context): ...\n").unwrap();
        crate::load(
            root,
            &crate::LoadOptions { python: Some("3.12".into()), ..crate::LoadOptions::default() },
        )
        .unwrap()
    }

    #[test]
    fn machines_are_told_apart() {
        let fault = |class, machine| examine(&header(class, machine), (Architecture::X86_64, Some((2, 34))));
        assert_eq!(fault(2, 62), None);
        assert_eq!(fault(2, 183).unwrap().to_string(), "is built for arm64");
        assert_eq!(fault(1, 3).unwrap().to_string(), "is built for 32-bit x86");
        assert_eq!(examine(&header(2, 183), (Architecture::Arm64, Some((2, 34)))), None);
        assert!(matches!(
            examine(&header(2, 62)[..12], (Architecture::X86_64, Some((2, 34)))),
            Some(Fault::Damaged(_))
        ));
        assert!(matches!(
            examine(&header(2, 62)[..40], (Architecture::X86_64, Some((2, 34)))),
            Some(Fault::Damaged(_))
        ));
    }

    #[test]
    fn this_program_needs_a_glibc() {
        let path = std::env::current_exe().unwrap();
        let data = fs::read(path).unwrap();
        let host = Architecture::host().unwrap();
        let Some(Fault::Glibc { needs, .. }) = examine(&data, (host, Some((2, 1)))) else {
            panic!("a test program that needs no glibc")
        };
        assert!(needs > (2, 2), "{needs:?}");
        assert_eq!(examine(&data, (host, Some(needs))), None);
    }

    #[test]
    fn version_names_are_read() {
        assert_eq!(glibc_version(b"GLIBC_2.17"), Some((2, 17)));
        assert_eq!(glibc_version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version(b"GLIBC_ABI_DT_RELR"), Some((2, 36)));
        assert_eq!(glibc_version(b"GLIBC_PRIVATE"), None);
        assert_eq!(glibc_version(b"GLIBCXX_3.4"), None);
    }

    #[test]
    fn a_wheel_may_serve_several_machines_but_has_to_serve_this_one() {
        let host = fs::read(std::env::current_exe().unwrap()).unwrap();
        let check_files = |contents: &[(&str, &[u8])]| {
            let keep = tempfile::tempdir().unwrap();
            let root = crate::store::utf8(keep.path()).unwrap();
            let record: Vec<String> = contents.iter().map(|(name, _)| format!("lib/{name},,")).collect();
            fs::create_dir_all(root.join("lib")).unwrap();
            fs::create_dir_all(root.join("lib-1.dist-info")).unwrap();
            fs::write(root.join("lib-1.dist-info/RECORD"), record.join("\n")).unwrap();
            for (name, content) in contents {
                fs::write(root.join("lib").join(name), content).unwrap();
            }
            let files = crate::listing::list(root).unwrap();
            check(root, &files, &function(root), &glowplug_core::NoProgress)
                .map_err(|error| error.message().to_owned())
        };
        let other = header(1, 3);
        assert_eq!(check_files(&[("a.so", &host), ("b.so", &other)]), Ok(()));
        assert_eq!(
            check_files(&[("b.so", &other)]).unwrap_err(),
            "the native file `lib/b.so` of lib 1 is built for 32-bit x86"
        );
        let mac = [0xCF, 0xFA, 0xED, 0xFE, 0, 0, 0, 0];
        assert_eq!(
            check_files(&[("b.so", &mac)]).unwrap_err(),
            "the native file `lib/b.so` of lib 1 is built for macOS"
        );
        assert_eq!(check_files(&[("notes.txt", b"\x7fELF is a magic number")]), Ok(()));
    }

    #[test]
    fn extension_modules_of_other_pythons_are_noted() {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap();
        for name in [
            "a.cpython-311-x86_64-linux-gnu.so",
            "b.cpython-311-x86_64-linux-gnu.so",
            "b.cpython-312-x86_64-linux-gnu.so",
            "c.abi3.so",
            "libd.so",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let files = crate::listing::list(root).unwrap();
        let notes = other_pythons(&files, PythonVersion::new(3, 12));
        assert_eq!(notes, ["`a` is an extension module for Python 3.11: Python 3.12 does not see it"]);
    }
}
