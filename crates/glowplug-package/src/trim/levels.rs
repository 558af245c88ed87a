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
        About::Module(name) => (!reached.modules.contains(&name))
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

/// A data file that belongs to a package which is not needed.
fn unneeded_data(view: &View, reached: &Reached, file: &FileEntry, package: Option<&str>) -> Option<String> {
    match package {
        Some(package) if !reached.modules.contains(package) => {
            let named = view.is_reached(file) && names(reached, file);
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

/// Folders that hold modules, with their dotted names: the packages to which other files may belong.
pub(super) fn packages(tree: &PackageTree) -> BTreeMap<Utf8PathBuf, String> {
    let code = tree
        .files
        .iter()
        .filter(|file| matches!(file.kind, FileKind::Code | FileKind::Native | FileKind::Test));
    code.filter_map(|file| {
        let folder = file.path.parent().filter(|folder| !folder.as_str().is_empty())?;
        let name = folder_dotted(folder)?;
        dotted(&file.path).map(|_| (folder.to_owned(), name))
    })
    .collect()
}
