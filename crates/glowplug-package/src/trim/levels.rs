//! The rules of the levels beyond `safe`: what nothing leads to, and what no traced run touched.
//!
//! Whoever calls says which modules are needed ([`Reached`](super::Reached)); these rules turn that into files. At both
//! levels metadata, licences and the user's own files stay, as do files that the needed code names.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::Result;

use super::rules::{Rule, rule};
use super::view::View;
use super::{Reached, TrimLevel};
use crate::distribution::source_of_bytecode;
use crate::modules::{dotted, folder_dotted};
use crate::tree::{FileEntry, FileKind, PackageTree};

/// In the order in which they are asked, after those of level safe.
pub(super) const RULES: &[Rule] = &[
    rule("unreachable", "nothing that starts at the handler leads to it", unreachable),
    rule("untouched", "no traced run touched it", untouched),
];

#[expect(clippy::unnecessary_wraps, reason = "a rule's answer, as the table wants it")]
fn unreachable(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let Some(reached) = view.context.reached.filter(|_| view.context.level == TrimLevel::Reachable) else {
        return Ok(None);
    };
    Ok(match about(view, file) {
        _ if reached.touched.contains(&file.path) => None,
        About::Module(name) => (!reached.modules.contains(&name) && !is_read(view, reached, file))
            .then(|| format!("no import, no text and no traced run leads to `{name}`")),
        About::Library => {
            let distribution = view.is_reached(file);
            (!distribution).then(|| "no module of its distribution is reachable".to_owned())
        }
        About::Data(package) => unneeded_data(view, reached, file, package.as_deref()),
        About::Always => None,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "a rule's answer, as the table wants it")]
fn untouched(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let Some(reached) = view.context.reached.filter(|_| view.context.level == TrimLevel::Observed) else {
        return Ok(None);
    };
    let named = view.is_reached(file) && names(reached, file);
    Ok(match about(view, file) {
        About::Always => None,
        _ if reached.touched.contains(&file.path) || view.is_linked(file) => None,
        About::Module(name) => {
            (!reached.modules.contains(&name)).then(|| format!("no event's first request loaded `{name}`"))
        }
        About::Library | About::Data(_) => (!named)
            .then(|| "no event's first request opened it, and no module that was loaded names it".to_owned()),
    })
}

/// Whether a module may be read as a file: needed code names it, or it lies in a folder of a needed package that is none
/// itself, as templates of projects do.
fn is_read(view: &View, reached: &Reached, file: &FileEntry) -> bool {
    let source = source_of_bytecode(&file.path).unwrap_or_else(|| file.path.clone());
    let name = source.file_name().unwrap_or_default();
    let named = name != "__init__.py" && reached.names.contains(name) && view.is_reached(file);
    // Tests lie in such folders, too.
    let test = view.tree.file(&source).is_some_and(|file| file.kind == FileKind::Test);
    named || !test && view.package_holding(&source).is_some_and(|package| reached.modules.contains(package))
}

/// A data file that belongs to a package which is not needed, or that only tests could open.
fn unneeded_data(view: &View, reached: &Reached, file: &FileEntry, package: Option<&str>) -> Option<String> {
    if file.kind == FileKind::Test {
        // By its whole name: the stems of test data are words of every kind.
        let named = view.is_reached(file) && reached.names.contains(file.name());
        return (!named).then(|| "it lies among tests, and no code that is needed names it".to_owned());
    }
    match package {
        Some(package) if !reached.modules.contains(package) => {
            let folder = file.path.parent().and_then(Utf8Path::file_name);
            let in_named = folder.is_some_and(|folder| reached.names.contains(folder));
            let named = view.is_reached(file) && (in_named || names(reached, file));
            (!named).then(|| format!("it belongs to `{package}`, which is not reachable"))
        }
        Some(_) => None,
        None => (!view.is_reached(file)).then(|| "no module of its distribution is reachable".to_owned()),
    }
}

/// Whether needed code holds the file's name, with or without its ending.
fn names(reached: &Reached, file: &FileEntry) -> bool {
    reached.names.contains(file.name())
        || file.path.file_stem().is_some_and(|stem| reached.names.contains(stem))
}

/// What decides whether a file is needed.
enum About {
    /// Whether this module is.
    Module(String),
    /// Whether a native module is linked with it.
    Library,
    /// Whether this package is; `None` outside of every package.
    Data(Option<String>),
    /// Nothing: it stays.
    Always,
}

fn about(view: &View, file: &FileEntry) -> About {
    let module = |path: &Utf8Path| dotted(path).map(About::Module);
    match file.kind {
        FileKind::Metadata => About::Always,
        FileKind::Native if view.is_linked(file) => About::Always,
        FileKind::Native => {
            let importable = view.is_extension(file);
            dotted(&file.path).filter(|_| importable).map_or(About::Library, About::Module)
        }
        FileKind::Bytecode => {
            source_of_bytecode(&file.path).and_then(|source| module(&source)).unwrap_or(About::Always)
        }
        FileKind::Code => module(&file.path).unwrap_or_else(|| About::Data(view.package_around(file))),
        FileKind::Test if file.path.extension() == Some("py") => {
            module(&file.path).unwrap_or_else(|| About::Data(view.package_around(file)))
        }
        _ => About::Data(view.package_around(file)),
    }
}

/// A folder that holds modules.
#[derive(Debug)]
pub(super) struct Package {
    /// Its dotted name.
    pub(super) name: String,
    /// Whether it has an `__init__`; else it is a namespace, or no package at all.
    pub(super) regular: bool,
}

/// Folders that hold modules: the packages to which other files may belong.
pub(super) fn packages(tree: &PackageTree) -> BTreeMap<Utf8PathBuf, Package> {
    let mut found: BTreeMap<Utf8PathBuf, Package> = BTreeMap::new();
    let holds = |file: &&FileEntry| matches!(file.kind, FileKind::Code | FileKind::Native | FileKind::Test);
    for file in tree.files.iter().filter(holds) {
        let Some(folder) = file.path.parent().filter(|folder| !folder.as_str().is_empty()) else { continue };
        if let (Some(name), Some(_)) = (folder_dotted(folder), dotted(&file.path)) {
            let regular = file.name().starts_with("__init__.");
            let package = found.entry(folder.to_owned()).or_insert(Package { name, regular });
            package.regular |= regular;
        }
    }
    found
}
