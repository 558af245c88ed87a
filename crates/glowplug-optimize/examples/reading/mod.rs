//! What the examples share: reading the modules of a tree, and a folder of code that belongs to it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use camino::Utf8Path;
use glowplug_core::{PythonVersion, Result};
use glowplug_imports::{ModuleAnalysis, ModuleId};
use glowplug_package::{ModuleFile, PackageTree};
use rayon::prelude::*;
use serde_json::Value;

/// The modules of a tree and of the folder beside it.
pub(crate) struct Reading {
    pub(crate) modules: BTreeMap<String, ModuleFile>,
    pub(crate) analyses: BTreeMap<String, ModuleAnalysis>,
    /// Names of those that lie in the folder beside it; their paths are absolute.
    pub(crate) own: BTreeSet<String>,
}

/// What the static analysis says of every module that parses. A name that both have is the tree's.
pub(crate) fn read(tree: &PackageTree, own: Option<&PackageTree>, version: PythonVersion) -> Reading {
    let modules = tree.modules();
    let analyses = analyse_all(&tree.root, &modules, version);
    let mut reading = Reading { modules, analyses, own: BTreeSet::new() };
    for (name, file) in own.map(PackageTree::modules).unwrap_or_default() {
        let root = own.map_or(Utf8Path::new(""), |own| &own.root);
        let file = ModuleFile { path: root.join(&file.path), ..file };
        if let Entry::Vacant(place) = reading.modules.entry(name.clone()) {
            place.insert(file);
            reading.own.insert(name);
        }
    }
    let beside: BTreeMap<String, ModuleFile> =
        reading.own.iter().map(|name| (name.clone(), reading.modules[name].clone())).collect();
    reading.analyses.extend(analyse_all(&tree.root, &beside, version));
    reading
}

fn analyse_all(
    root: &Utf8Path,
    modules: &BTreeMap<String, ModuleFile>,
    version: PythonVersion,
) -> BTreeMap<String, ModuleAnalysis> {
    modules
        .par_iter()
        .filter(|(_, file)| !file.native)
        .filter_map(|(name, file)| {
            let id = ModuleId { name: name.clone(), is_package: file.is_package, path: file.path.clone() };
            let source = fs_err::read_to_string(root.join(&file.path)).ok()?;
            let analysis = glowplug_imports::analyse(&source, &id, version).ok()?;
            Some((name.clone(), analysis))
        })
        .collect()
}

/// Prints one line.
pub(crate) fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
