//! The installed distributions of all folders, with what their metadata says.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::Result;
use glowplug_doctor::Distribution;
use glowplug_package::{normalise_name, recorded_paths};

use super::metadata;
use super::prepare::{Folder, Prepared};

/// All distributions, and by folder the index of its first one.
pub(super) struct Distributions {
    pub(super) all: Vec<Distribution>,
    first: Vec<usize>,
}

impl Distributions {
    /// Index of a folder's own `index` among all.
    pub(super) fn global(&self, folder: usize, index: Option<usize>) -> Option<usize> {
        index.map(|index| self.first[folder] + index)
    }
}

pub(super) fn read(prepared: &Prepared) -> Result<Distributions> {
    let mut found = Distributions { all: Vec::new(), first: Vec::new() };
    for (index, folder) in prepared.folders.iter().enumerate() {
        let first = found.all.len();
        found.first.push(first);
        let mut own = of_folder(index, folder)?;
        clashes(folder, first, &mut own)?;
        if index == 0 {
            for distribution in &mut own {
                distribution.replaced.retain(|path| prepared.user_files.contains(path));
            }
        } else {
            for distribution in &mut own {
                distribution.replaced.clear();
            }
        }
        found.all.extend(own);
    }
    Ok(found)
}

fn of_folder(root: usize, folder: &Folder) -> Result<Vec<Distribution>> {
    let mut bytes = vec![0; folder.tree.distributions.len()];
    for file in &folder.tree.files {
        if let Some(index) = file.distribution {
            bytes[index] += file.bytes;
        }
    }
    let read = |(index, found): (usize, &glowplug_package::Distribution)| {
        let (requires, is_plugin) = metadata::read(&folder.tree.root.join(&found.dist_info));
        // What is recorded and lies in the tree: which of it the user's own files replace is told by those.
        let replaced = recorded_paths(&folder.tree.root, &found.dist_info)?;
        Ok(Distribution {
            root,
            name: found.name.clone(),
            key: normalise_name(&found.name),
            version: found.version.clone(),
            dist_info: found.dist_info.clone(),
            bytes: bytes[index],
            top_level: found.top_level.clone(),
            requires,
            is_plugin,
            replaced,
            ..Distribution::default()
        })
    };
    folder.tree.distributions.iter().enumerate().map(read).collect()
}

/// Finds paths that two distributions of a folder both record: code alone, since licences and the like do no harm.
fn clashes(folder: &Folder, first: usize, own: &mut [Distribution]) -> Result<()> {
    let mut owners: BTreeMap<Utf8PathBuf, Vec<usize>> = BTreeMap::new();
    for (index, distribution) in own.iter().enumerate() {
        for path in recorded_paths(&folder.tree.root, &distribution.dist_info)? {
            if is_code(&path) && folder.tree.file(&path).is_some() {
                owners.entry(path).or_default().push(index);
            }
        }
    }
    for (path, mut several) in owners.into_iter().filter(|(_, several)| several.len() > 1) {
        several.dedup();
        for one in &several {
            // Two versions of one distribution are told as such.
            let unlike = several.iter().filter(|other| *other != one && own[**other].key != own[*one].key);
            let unlike: BTreeSet<usize> = unlike.copied().collect();
            for other in unlike {
                own[*one].shares_with.entry(first + other).or_default().push(path.clone());
            }
        }
    }
    Ok(())
}

/// Parts of a namespace package have the same empty `__init__.py`, and those of other interpreters are not compared.
fn is_code(path: &Utf8Path) -> bool {
    let code = matches!(path.extension(), Some("py" | "so"));
    let at_top = path.components().count() == 1;
    code && (at_top || path.file_name() != Some("__init__.py")) && !path.starts_with("bin")
}
