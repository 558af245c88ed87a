//! Lambda's limits: whether a package has room, and what could go where it has none.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Progress, Result};
use glowplug_imports::ModuleAnalysis;
use glowplug_package::{
    ArchiveEntry, DIRECT_UPLOAD_LIMIT, PackageTree, TrimLevel, UNZIPPED_LIMIT, Weight, check_limits, weigh,
};

use crate::plan::trim_context;
use crate::subject::Subject;

/// Refuses what Lambda does not take unpacked, before anybody waits for the search, a replay or the zip of it.
/// `loaded` are the modules that traced starts have loaded.
///
/// # Errors
/// Input: it is too large; the error names what could go.
pub(crate) fn require(
    subject: &Subject,
    entries: &[ArchiveEntry],
    level: TrimLevel,
    loaded: &BTreeSet<String>,
) -> Result<()> {
    let sizes = sizes(entries)?;
    let unzipped: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    if unzipped <= UNZIPPED_LIMIT {
        return Ok(());
    }
    check_limits(0, unzipped, &weights(subject, &sizes, level, loaded)?).map(drop)
}

/// Says what Lambda takes only in some ways.
///
/// # Errors
/// As [`require`].
pub(crate) fn note(
    subject: &Subject,
    entries: &[ArchiveEntry],
    level: TrimLevel,
    loaded: &BTreeSet<String>,
    zip_bytes: u64,
    progress: &dyn Progress,
) -> Result<()> {
    if zip_bytes <= DIRECT_UPLOAD_LIMIT {
        return Ok(());
    }
    let weights = weights(subject, &sizes(entries)?, level, loaded)?;
    for remark in check_limits(zip_bytes, 0, &weights)? {
        progress.note(&remark);
    }
    Ok(())
}

/// What is known of the distributions of a tree without an analysis of it.
pub(crate) fn unexamined(package: &PackageTree) -> Vec<Weight> {
    let weight = |d: &glowplug_package::Distribution| Weight {
        name: d.name.clone(),
        bytes: d.bytes,
        used: true,
        ..Weight::default()
    };
    package.distributions.iter().map(weight).collect()
}

fn sizes(entries: &[ArchiveEntry]) -> Result<Vec<(Utf8PathBuf, u64)>> {
    entries.iter().map(|entry| Ok((entry.path.clone(), entry.bytes()?))).collect()
}

fn weights(
    subject: &Subject,
    sizes: &[(Utf8PathBuf, u64)],
    level: TrimLevel,
    loaded: &BTreeSet<String>,
) -> Result<Vec<Weight>> {
    let package = &subject.ground.package;
    let owners = owners(subject);
    let used = used(&owners, &subject.analyses, loaded);
    let imported = crate::plan::imported(subject, loaded)?;
    let services = crate::services::aws_services(subject, None);
    weigh(package, sizes, &used, &trim_context(subject, level, &imported, services.as_ref()))
}

/// The distribution of every module; `None` for the user's own.
fn owners(subject: &Subject) -> BTreeMap<String, Option<usize>> {
    let owner = |path: &Utf8Path| subject.ground.package.file(path).and_then(|file| file.distribution);
    subject
        .modules
        .iter()
        .map(|(name, file)| {
            let users = subject.ground.user_files().contains(&file.path);
            (name.clone(), if users { None } else { owner(&file.path) })
        })
        .collect()
}

/// The distributions to which the imports of the user's own modules lead, by way of any module of each, and those
/// that traced starts have loaded. Coarse on purpose: what is not among them is not imported from anywhere near.
fn used(
    owners: &BTreeMap<String, Option<usize>>,
    analyses: &BTreeMap<String, ModuleAnalysis>,
    loaded: &BTreeSet<String>,
) -> BTreeSet<usize> {
    let mut leads: BTreeMap<Option<usize>, BTreeSet<usize>> = BTreeMap::new();
    for (module, analysis) in analyses {
        let Some(owner) = owners.get(module) else { continue };
        let targets = leads.entry(*owner).or_default();
        for import in &analysis.imports {
            targets.extend(owner_of(owners, &import.module));
            let names = import.names.iter().map(|name| format!("{}.{name}", import.module));
            targets.extend(names.filter_map(|name| owner_of(owners, &name)));
        }
        targets.extend(analysis.dynamic_imports.iter().filter_map(|(_, module)| owner_of(owners, module)));
    }
    let mut used: BTreeSet<usize> = loaded.iter().filter_map(|module| owner_of(owners, module)).collect();
    used.extend(leads.get(&None).into_iter().flatten());
    let mut todo: Vec<usize> = used.iter().copied().collect();
    while let Some(index) = todo.pop() {
        for next in leads.get(&Some(index)).into_iter().flatten() {
            if used.insert(*next) {
                todo.push(*next);
            }
        }
    }
    used
}

/// The distribution of the module of that name, or of the nearest one above it.
fn owner_of(owners: &BTreeMap<String, Option<usize>>, module: &str) -> Option<usize> {
    let mut name = module;
    loop {
        if let Some(owner) = owners.get(name) {
            return *owner;
        }
        name = name.rsplit_once('.')?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_belongs_to_the_nearest_one_that_is_there() {
        let owners = BTreeMap::from([
            ("app".to_owned(), None),
            ("numpy".to_owned(), Some(1)),
            ("google.cloud.storage".to_owned(), Some(2)),
        ]);
        assert_eq!(owner_of(&owners, "numpy.linalg"), Some(1));
        assert_eq!(owner_of(&owners, "google.cloud.storage.blob"), Some(2));
        assert_eq!(owner_of(&owners, "google.cloud"), None);
        assert_eq!(owner_of(&owners, "app"), None);
        assert_eq!(owner_of(&owners, "json"), None);
    }
}
