//! Native files against the target: machine, C library and its version, Python version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Libc, Progress, PythonVersion, Result};
use glowplug_package::PackageTree;
use object::elf;
use rayon::prelude::*;

use crate::Function;
use crate::listing::Listed;
use crate::needs::{VERSIONED, Version, Versioned, needs, shown};

/// How many files an error names.
const NAMED: usize = 3;
/// How a fault names the other C library.
const GLIBC: &str = "glibc";
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
    /// Needs newer symbols than the target has.
    Symbols { of: Versioned, needs: Version, has: Version },
    /// Cannot be read.
    Damaged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(machine) => write!(f, "is built for {machine}"),
            Self::System(system) => write!(f, "is built for {system}"),
            Self::Symbols { of, needs, has } => {
                write!(f, "needs {} {}, and the target has {}", of.name(), shown(needs), shown(has))
            }
            Self::Damaged(reason) => write!(f, "is damaged: {reason}"),
        }
    }
}

/// What native files are held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) architecture: Architecture,
    /// `None` where it is not known, and any will do.
    pub(crate) libc: Option<Libc>,
    pub(crate) python: PythonVersion,
    /// Whether a file of the tree is libstdc++ itself: the loader may take that one.
    pub(crate) brings_cxx: bool,
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
    let target = Target {
        architecture: function.architecture,
        libc: Some(function.package.libc),
        python: function.python,
        brings_cxx: files.iter().any(|file| file.path.file_name() == Some("libstdc++.so.6")),
    };
    let judged: Vec<(&Listed, Option<Fault>)> = files
        .par_iter()
        .filter(|file| file.link.is_none() && may_be_native(file))
        .filter_map(|file| {
            if progress.interrupted() {
                return Some(Err(Error::interrupted()));
            }
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
        .cause(format!(
            "the function runs Python {} on {} with {}",
            function.python, function.architecture, function.package.libc
        ))
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
        (Fault::Symbols { of: Versioned::Glibc, .. }, Some(name)) => error
            .hint(format!("choose a version of {name} with a wheel for that glibc (manylinux2014, manylinux_2_17)"))
            .hint("or a newer `python = `: from 3.12 on, Lambda has glibc 2.34"),
        (Fault::Symbols { .. }, Some(name)) => error
            .hint(format!("choose a version of {name} that is built with an older compiler (manylinux2014)"))
            .hint("or ship the `libstdc++.so.6` that it was built with beside it"),
        (Fault::System(GLIBC), _) => error
            .hint("choose versions that have wheels for musl (musllinux), or build it on Alpine Linux")
            .hint("or remove `libc = \"musl\"` from `[package]`, and use an image with glibc"),
        (_, Some(_)) => error.hint(format!(
            "install the dependencies for the target, or set `requirements = ` and let glowplug do it, or correct `architecture = \"{}\"`",
            function.architecture
        )),
        (_, None) => error.hint(format!(
            "build it for {} on Linux with {}, in a system no newer than the target's",
            function.architecture, function.package.libc
        )),
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

/// Reads one ELF file.
pub(crate) fn examine(data: &[u8], target: Target) -> Option<Fault> {
    let number = match data.get(18..20) {
        Some(&[low, high]) if data.get(5) == Some(&1) => u16::from_le_bytes([low, high]),
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => return Some(Fault::Damaged("it ends in its header".to_owned())),
    };
    let wanted = match target.architecture {
        Architecture::X86_64 => elf::EM_X86_64,
        Architecture::Arm64 => elf::EM_AARCH64,
    };
    if number != wanted.0 || data.get(4) != Some(&2) {
        return Some(Fault::Machine(machine(number)));
    }
    target.libc?;
    let needs = match needs(data) {
        Err(error) => return Some(Fault::Damaged(error.to_string())),
        Ok(needs) => needs,
    };
    match target.libc? {
        Libc::Musl => {
            (needs.glibc || needs.newest(Versioned::Glibc).is_some()).then_some(Fault::System(GLIBC))
        }
        Libc::Glibc if needs.musl => Some(Fault::System("musl (Alpine Linux)")),
        Libc::Glibc => VERSIONED.into_iter().find_map(|of| {
            let (needs, has) = (needs.newest(of)?, of.newest(target.python));
            let brought = of != Versioned::Glibc && target.brings_cxx;
            (*needs > has && !brought).then(|| Fault::Symbols { of, needs: needs.clone(), has })
        }),
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

/// Extension modules for other Python versions that have no counterpart for this one: nothing would import them.
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

    fn target(architecture: Architecture, libc: Libc, minor: u8) -> Target {
        Target { architecture, libc: Some(libc), python: PythonVersion::new(3, minor), brings_cxx: false }
    }

    #[test]
    fn machines_are_told_apart() {
        let here = target(Architecture::X86_64, Libc::Glibc, 12);
        let fault = |class, machine| examine(&header(class, machine), here);
        assert_eq!(fault(2, 62), None);
        assert_eq!(fault(2, 183).unwrap().to_string(), "is built for arm64");
        assert_eq!(fault(1, 3).unwrap().to_string(), "is built for 32-bit x86");
        assert_eq!(examine(&header(2, 183), target(Architecture::Arm64, Libc::Musl, 12)), None);
        for end in [12, 40] {
            assert!(matches!(examine(&header(2, 62)[..end], here), Some(Fault::Damaged(_))));
        }
    }

    #[test]
    fn this_program_needs_glibc() {
        let data = fs::read(std::env::current_exe().unwrap()).unwrap();
        let host = Architecture::host().unwrap();
        let found = needs(&data).unwrap();
        assert!(found.newest(Versioned::Glibc) > Some(&vec![2, 2]), "{found:?}");
        let fault = examine(&data, target(host, Libc::Musl, 12)).unwrap();
        assert_eq!(fault.to_string(), "is built for glibc");
    }

    #[test]
    fn symbols_of_cxx_are_held_against_the_targets() {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap();
        // `std::source_location`-free code that GCC 13 and later link with `std::__throw_bad_array_new_length`
        // (GLIBCXX_3.4.29); what the compiler at hand makes of it decides what can be shown.
        let source = "#include <vector>\n#include <string>\n#include <charconv>\n\
                      extern \"C\" double f(const char *a, const char *b) {\n\
                      double d = 0; std::from_chars(a, b, d); std::vector<std::string> v(3); return d + v.size(); }\n";
        fs::write(root.join("a.cc"), source).unwrap();
        let built = std::process::Command::new("c++")
            .args(["-std=c++17", "-shared", "-fPIC", "-o", "a.so", "a.cc"])
            .current_dir(root)
            .output();
        let data = match built {
            Ok(done) if done.status.success() => fs::read(root.join("a.so")).unwrap(),
            other => {
                println!("skipped: no C++ compiler that knows std::from_chars: {other:?}");
                return;
            }
        };
        let host = Architecture::host().unwrap();
        // `std::from_chars` of floating-point numbers came with GCC 11, and so after Amazon Linux 2.
        let found = needs(&data).unwrap();
        assert!(found.newest(Versioned::Glibcxx) >= Some(&vec![3, 4, 29]), "{found:?}");
        let old = Target { python: PythonVersion::new(3, 11), ..target(host, Libc::Glibc, 11) };
        let fault = examine(&data, old);
        let told = matches!(fault, Some(Fault::Symbols { of: Versioned::Glibcxx | Versioned::Glibc, .. }));
        assert!(told, "{fault:?}");
        // A tree with a libstdc++ of its own is taken at its word.
        let brought = examine(&data, Target { brings_cxx: true, ..old });
        assert!(!matches!(brought, Some(Fault::Symbols { of: Versioned::Glibcxx, .. })), "{brought:?}");
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
