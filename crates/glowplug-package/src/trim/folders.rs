//! Folders of tests and of documentation, and whether anything that is kept imports them.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::modules::{dotted, folder_dotted};
use crate::tree::{DOCS_FOLDERS, FileEntry, PackageTree, TEST_FOLDERS};

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Tests,
    Docs,
}

/// A folder that may go as a whole, as long as nothing imports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) purpose: Purpose,
    /// The name under which it could be imported; `None` where no import statement can reach it.
    pub(super) dotted: Option<String>,
}

impl Folder {
    /// Whether one of the imported modules is the folder's package or lies in it.
    pub(super) fn is_imported(&self, imported: &BTreeSet<String>) -> bool {
        self.dotted.as_ref().is_some_and(|name| any_within(name, imported))
    }
}

fn any_within(package: &str, modules: &BTreeSet<String>) -> bool {
    let below = format!("{package}.");
    modules.contains(package) || modules.range(below.clone()..).next().is_some_and(|m| m.starts_with(&below))
}

/// All folders of distributions that are made of tests or documentation, the outermost of each nest.
///
/// A folder named like tests counts only if a distribution put test modules into it: `pkg/test`
/// can be a public module, and `pkg/tests` can hold nothing but data.
pub(super) fn of(tree: &PackageTree, user_files: &BTreeSet<Utf8PathBuf>) -> BTreeMap<Utf8PathBuf, Folder> {
    let mut holds_tests: BTreeSet<&Utf8Path> = BTreeSet::new();
    for file in &tree.files {
        if is_test_module(file) && file.distribution.is_some() && !user_files.contains(&file.path) {
            holds_tests.extend(file.path.ancestors().skip(1));
        }
    }
    let mut folders = BTreeMap::new();
    for file in tree.files.iter().filter(|f| f.distribution.is_some()) {
        let mut ancestors: Vec<&Utf8Path> = file.path.ancestors().skip(1).collect();
        ancestors.reverse();
        let outermost = ancestors.into_iter().find_map(|folder| {
            let name = folder.file_name()?.to_lowercase();
            if TEST_FOLDERS.contains(&name.as_str()) && holds_tests.contains(folder) {
                Some((folder, Purpose::Tests))
            } else if DOCS_FOLDERS.contains(&name.as_str()) {
                Some((folder, Purpose::Docs))
            } else {
                None
            }
        });
        if let Some((folder, purpose)) = outermost {
            let name = folder_dotted(folder).filter(|name| !name.is_empty());
            folders.insert(folder.to_owned(), Folder { purpose, dotted: name });
        }
    }
    folders
}

/// `test_x.py`, `x_test.py`, `conftest.py`.
fn is_test_module(file: &FileEntry) -> bool {
    file.name()
        .strip_suffix(".py")
        .is_some_and(|s| s.starts_with("test_") || s.ends_with("_test") || s == "conftest")
}

/// The folder in `folders` that a path lies in.
pub(super) fn containing<'a>(
    folders: &'a BTreeMap<Utf8PathBuf, Folder>,
    path: &Utf8Path,
) -> Option<(&'a Utf8Path, &'a Folder)> {
    path.ancestors().skip(1).filter_map(|a| folders.get_key_value(a)).last().map(|(p, f)| (p.as_path(), f))
}

/// The set that [`TrimContext::imported`](crate::TrimContext::imported) asks for.
///
/// `edges` gives, for every module of the tree, all that it imports (for `from a import b` both
/// `a` and `a.b`), `seeds` what is imported from elsewhere: the handler, what a traced run
/// imported. Imports made by tests, documentation and `conftest.py` of distributions count only
/// where that folder is itself imported, directly or through others like it.
pub fn imported_by_kept(
    tree: &PackageTree,
    user_files: &BTreeSet<Utf8PathBuf>,
    edges: &BTreeMap<String, BTreeSet<String>>,
    seeds: &BTreeSet<String>,
) -> BTreeSet<String> {
    let folders = of(tree, user_files);
    let mut imported = seeds.clone();
    // The importers whose fate is open, by the name whose import would keep them.
    let mut open: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for (name, module) in tree.modules() {
        let Some((key, targets)) = edges.get_key_value(&name) else { continue };
        let users = user_files.contains(&module.path);
        let folder = containing(&folders, &module.path).and_then(|(_, folder)| folder.dotted.clone());
        let installed = tree.distribution_of(&module.path).is_some();
        match folder {
            Some(folder) if !users => open.entry(folder).or_default().push(key),
            None if !users && installed && module.path.file_name() == Some("conftest.py") => {
                open.entry(name).or_default().push(key);
            }
            _ => imported.extend(targets.iter().cloned()),
        }
    }
    loop {
        let kept: Vec<String> = open.keys().filter(|name| any_within(name, &imported)).cloned().collect();
        if kept.is_empty() {
            return imported;
        }
        for name in kept {
            for module in open.remove(&name).unwrap_or_default() {
                imported.extend(edges[module].iter().cloned());
            }
        }
    }
}

/// Whether a path is a `conftest.py` that nothing imports.
pub(super) fn is_unused_conftest(path: &Utf8Path, imported: &BTreeSet<String>) -> bool {
    path.file_name() == Some("conftest.py") && dotted(path).is_none_or(|name| !imported.contains(&name))
}
