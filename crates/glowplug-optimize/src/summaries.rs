//! What the static analysis says of a tree's modules, kept in the cache by what they consist of.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use glowplug_core::{Cache, PythonVersion, Result, format_hex};
use glowplug_imports::{ModuleAnalysis, ModuleId};
use glowplug_package::{ModuleFile, PackageTree};

use crate::key::tool;

/// One distribution's modules, or the user's own.
type Group<'m> = Vec<(&'m String, &'m ModuleFile)>;

/// What a group's modules say; those that cannot be read or parsed are left out.
type Summaries = BTreeMap<String, ModuleAnalysis>;

/// Reads the modules of a tree, or finds in the cache what an earlier build has read: by distribution, since one is
/// exchanged as a whole. What cannot be kept is read again the next time.
///
/// # Errors
/// Surroundings, where the program cannot read itself.
pub(crate) fn summaries(
    package: &PackageTree,
    modules: &BTreeMap<String, ModuleFile>,
    python: PythonVersion,
    cache: &Cache,
) -> Result<Summaries> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (name, file) in modules.iter().filter(|(_, file)| !file.native) {
        let owner = package.distribution_of(&file.path).map_or("", |distribution| &distribution.name);
        groups.entry(owner).or_default().push((name, file));
    }
    let seed = format!("{} {python}", tool()?);
    // The largest first, so that no processor is left with it at the end.
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let folder = cache.analysis();
    Ok(groups
        .into_par_iter()
        .flat_map_iter(|group| of_group(&package.root, &group, python, &seed, &folder))
        .collect())
}

fn of_group(
    root: &Utf8Path,
    group: &[(&String, &ModuleFile)],
    python: PythonVersion,
    seed: &str,
    folder: &Utf8Path,
) -> Summaries {
    let read = |(name, file): &(&String, &ModuleFile)| {
        let id = ModuleId { name: (*name).clone(), is_package: file.is_package, path: file.path.clone() };
        Some((id, fs::read_to_string(root.join(&file.path)).ok()?))
    };
    let sources: Vec<(ModuleId, String)> = group.par_iter().filter_map(read).collect();
    let place = folder.join(key(seed, &sources));
    if let Some(known) = fs::read(&place).ok().and_then(|bytes| open(&bytes)) {
        return known;
    }
    // What does not parse is not edited.
    let analyse = |(id, source): &(ModuleId, String)| {
        Some((id.name.clone(), glowplug_imports::analyse(source, id, python).ok()?))
    };
    let made: Summaries = sources.par_iter().filter_map(analyse).collect();
    // A full disk or a cache that cannot be written is no hindrance to this build.
    let _ = keep(&made, folder, &place);
    made
}

/// What decides what the analysis says.
fn key(seed: &str, sources: &[(ModuleId, String)]) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(seed.as_bytes());
    for (id, source) in sources {
        add(id.name.as_bytes());
        add(&[u8::from(id.is_package)]);
        add(id.path.as_str().as_bytes());
        add(source.as_bytes());
    }
    format_hex(&hasher.finalize())
}

/// Kept files begin with the hash of the rest: one that was damaged is made again.
fn open(bytes: &[u8]) -> Option<Summaries> {
    let (digest, rest) = bytes.split_at_checked(32)?;
    if Sha256::digest(rest).as_slice() != digest {
        return None;
    }
    postcard::from_bytes(rest).ok()
}

fn keep(made: &Summaries, folder: &Utf8Path, place: &Utf8PathBuf) -> Option<()> {
    let rest = postcard::to_stdvec(made).ok()?;
    let mut bytes = Sha256::digest(&rest).to_vec();
    bytes.extend(rest);
    fs::create_dir_all(folder).ok()?;
    let staged = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).ok()?;
    fs::write(staged.path(), bytes).ok()?;
    staged.persist(place).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sandbox {
        _folder: tempfile::TempDir,
        root: Utf8PathBuf,
    }

    impl Sandbox {
        fn new(source: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = crate::workspace::utf8(folder.path()).unwrap().to_owned();
            fs::create_dir(root.join("tree")).unwrap();
            let sandbox = Self { _folder: folder, root };
            sandbox.write(source);
            sandbox
        }

        fn write(&self, source: &str) {
            fs::write(self.root.join("tree/m.py"), source).unwrap();
        }

        fn read(&self, python: PythonVersion) -> Summaries {
            let package = PackageTree::scan(&self.root.join("tree")).unwrap();
            let cache = Cache::new(self.root.join("cache"), true);
            summaries(&package, &package.modules(), python, &cache).unwrap()
        }

        fn kept(&self) -> Vec<Utf8PathBuf> {
            let folder = self.root.join("cache/analysis").read_dir_utf8().unwrap();
            folder.map(|entry| entry.unwrap().into_path()).collect()
        }
    }

    const PYTHON: PythonVersion = PythonVersion::new(3, 12);

    #[test]
    fn what_was_read_once_is_found_again_and_is_the_same() {
        let sandbox = Sandbox::new("import os\nX = os.environ['A']\ndef f(): ...\n");
        let first = sandbox.read(PYTHON);
        assert_eq!((first.len(), sandbox.kept().len()), (1, 1));
        assert_eq!(sandbox.read(PYTHON), first);
        assert_eq!(sandbox.kept().len(), 1);
        sandbox.read(PythonVersion::new(3, 9));
        assert_eq!(sandbox.kept().len(), 2, "another version reads otherwise");
        sandbox.write("import sys\n");
        assert_ne!(sandbox.read(PYTHON), first);
        assert_eq!(sandbox.kept().len(), 3);
    }

    #[test]
    fn a_damaged_entry_is_made_again() {
        let sandbox = Sandbox::new("import os\n");
        let first = sandbox.read(PYTHON);
        let kept = sandbox.kept().remove(0);
        let whole = fs::read(&kept).unwrap();
        for damaged in [&whole[..whole.len() / 2], b"", &[&whole[..40], b"x", &whole[41..]].concat()] {
            fs::write(&kept, damaged).unwrap();
            assert_eq!(sandbox.read(PYTHON), first);
            assert_eq!(fs::read(&kept).unwrap(), whole);
        }
    }
}
