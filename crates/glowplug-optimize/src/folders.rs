//! Trees on disk: a folder is filled once, and what differs for the next recipe is changed in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::Result;
use glowplug_package::{ArchiveEntry, Contents};

use crate::subject::Subject;
use crate::variant::{Recipe, entries};

/// Path in a tree → what is there.
type Files = BTreeMap<Utf8PathBuf, Contents>;

/// What the folders under the work folder hold, by their names.
#[derive(Debug, Default)]
pub(crate) struct Folders(Mutex<BTreeMap<String, Files>>);

impl Folders {
    /// Takes what is known of a folder: until it is put back, nothing is.
    fn take(&self, name: &str) -> Option<Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    fn put(&self, name: &str, files: Files) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), files);
    }
}

/// Makes a folder under the work folder hold what `recipe` says. Files are hard links where the disk allows and
/// environments see the tree read-only, and then a folder that an earlier recipe has filled only changes where the
/// two differ; otherwise a function could write through them into the cache, or into the next tree.
pub(crate) fn materialise(subject: &Subject, recipe: &Recipe, name: &str) -> Result<Utf8PathBuf> {
    fill(subject, entries(subject, recipe)?, name)
}

/// The same with these entries.
pub(crate) fn fill(subject: &Subject, entries: Vec<ArchiveEntry>, name: &str) -> Result<Utf8PathBuf> {
    let root = subject.ground.work().join(name);
    let links = subject.ground.engine.capabilities().mounts;
    let wanted: Files = entries.into_iter().map(|entry| (entry.path, entry.source)).collect();
    let held = subject.folders.take(name).filter(|_| links).unwrap_or_default();
    if held.is_empty() && root.exists() {
        fs::remove_dir_all(&root)?;
    }
    change(&root, &held, &wanted, links)?;
    subject.folders.put(name, wanted);
    Ok(root)
}

/// Turns a folder that holds the one into one that holds the other.
fn change(root: &Utf8Path, held: &Files, wanted: &Files, links: bool) -> Result<()> {
    for (path, contents) in held {
        if wanted.get(path) != Some(contents) {
            fs::remove_file(root.join(path))?;
            remove_empty(root, path);
        }
    }
    fs::create_dir_all(root)?;
    let mut made: BTreeSet<&Utf8Path> = BTreeSet::new();
    for (path, contents) in wanted {
        if held.get(path) == Some(contents) {
            continue;
        }
        let target = root.join(path);
        if let (Some(within), Some(parent)) = (path.parent(), target.parent())
            && made.insert(within)
        {
            fs::create_dir_all(parent)?;
        }
        place(contents, &target, links)?;
    }
    Ok(())
}

/// An empty folder would still be a package to the interpreter.
fn remove_empty(root: &Utf8Path, path: &Utf8Path) {
    for parent in path.ancestors().skip(1).filter(|parent| !parent.as_str().is_empty()) {
        if std::fs::remove_dir(root.join(parent)).is_err() {
            break;
        }
    }
}

fn place(contents: &Contents, target: &Utf8Path, links: bool) -> Result<()> {
    match contents {
        Contents::File(source) => {
            if !links || fs::hard_link(source, target).is_err() {
                fs::copy(source, target)?;
            }
        }
        Contents::Bytes(bytes) => fs::write(target, bytes)?,
        Contents::Symlink(link) => fs::os::unix::fs::symlink(link, target)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Path → text, as a folder shows it.
    fn read(root: &Utf8Path) -> BTreeMap<Utf8PathBuf, String> {
        walkdir::WalkDir::new(root)
            .min_depth(1)
            .into_iter()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let path = Utf8Path::from_path(entry.path()).unwrap();
                let text =
                    if entry.file_type().is_dir() { "/".into() } else { fs::read_to_string(path).unwrap() };
                (path.strip_prefix(root).unwrap().to_owned(), text)
            })
            .collect()
    }

    fn files() -> impl Strategy<Value = Files> {
        let path = prop_oneof!["a", "b/c", "b/d", "b/e/f", "g/h/i", "g/j"];
        let contents = prop_oneof![
            any::<u8>().prop_map(|byte| Contents::Bytes(vec![b'a' + byte % 3])),
            Just(Contents::File("src/one".into())),
            Just(Contents::File("src/two".into())),
        ];
        proptest::collection::btree_map(path.prop_map(Utf8PathBuf::from), contents, 0..6)
    }

    /// The sources of entries are absolute.
    fn rooted(files: &Files, folder: &Utf8Path) -> Files {
        let rooted = |contents: &Contents| match contents {
            Contents::File(path) => Contents::File(folder.join(path)),
            other => other.clone(),
        };
        files.iter().map(|(path, contents)| (path.clone(), rooted(contents))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_changed_folder_is_as_a_new_one(first in files(), second in files(), links in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let folder = Utf8Path::from_path(folder.path()).unwrap();
            fs::create_dir(folder.join("src")).unwrap();
            fs::write(folder.join("src/one"), "one").unwrap();
            fs::write(folder.join("src/two"), "two").unwrap();
            let (first, second) = (rooted(&first, folder), rooted(&second, folder));
            let (changed, new) = (folder.join("changed"), folder.join("new"));
            change(&changed, &Files::new(), &first, links).unwrap();
            change(&changed, &first, &second, links).unwrap();
            change(&new, &Files::new(), &second, links).unwrap();
            prop_assert_eq!(read(&changed), read(&new));
            prop_assert_eq!(fs::read_to_string(folder.join("src/one")).unwrap(), "one");
        }
    }
}
