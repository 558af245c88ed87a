//! Makes the tree: dependencies from the cache, the user's files over them, layers beside them.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Error, Progress, Result};
use glowplug_package::{PackageTree, unpack};
use rayon::prelude::*;

use crate::listing::{self, Listed};
use crate::user_files::{Selection, UserFile};
use crate::{Function, Runtime, Tree, dependencies, elf, load};

/// How many overwritten files a note names.
const NAMED: usize = 3;

/// Makes the tree under `work`, a folder for this build alone: the user's files and, for a source folder, the
/// dependencies that uv resolves for the target. Files of dependencies may share their storage with the cache:
/// whoever changes one writes a new file and renames it.
///
/// # Errors
/// Input: a requirement that cannot be resolved, a corrupt wheel or zip, an ELF file of another machine, a link that
/// leads out, a handler that is nowhere. Surroundings: network, disk. Interrupted.
pub fn assemble(
    function: &Function,
    runtime: &Runtime,
    work: &Utf8Path,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Tree> {
    made(function, Some(runtime), work, cache, progress, true)
}

/// As [`assemble`], for whoever wants to look at the tree and not to run it: neither native files nor the handler are
/// checked. Without a `runtime` nothing can be installed.
///
/// # Errors
/// As [`assemble`], those checks apart. Surroundings: requirements to install, and no runtime.
pub fn collect(
    function: &Function,
    runtime: Option<&Runtime>,
    work: &Utf8Path,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Tree> {
    made(function, runtime, work, cache, progress, false)
}

fn made(
    function: &Function,
    runtime: Option<&Runtime>,
    work: &Utf8Path,
    cache: &Cache,
    progress: &dyn Progress,
    checked: bool,
) -> Result<Tree> {
    fs::create_dir_all(work)?;
    let root = work.join("task");
    let assembler = Assembler { function, root: &root, progress, checked };
    let (files, user_files) = if function.code.is_file() {
        unpacked(&function.code, &root, progress)?;
        (listing::list(&root)?, None)
    } else {
        fs::create_dir(&root)?;
        let installed = match &function.requirements {
            Some(file) => {
                let runtime = runtime.ok_or_else(|| {
                    Error::surroundings("there is no interpreter to install the requirements with")
                        .place(file.as_str())
                })?;
                Some(dependencies::install(function, file, runtime, work, cache, progress)?)
            }
            None => None,
        };
        progress.start("Assembling the tree", None);
        let user = assembler.copy_user_files()?;
        let paths = installed.is_some().then(|| user.iter().map(|file| file.path.clone()).collect());
        (assembler.merge(user, installed)?, paths)
    };
    let user_files = match user_files {
        Some(paths) => paths,
        None => unclaimed(&root)?,
    };
    let own: Vec<Listed> = files.iter().filter(|file| user_files.contains(&file.path)).cloned().collect();
    if checked {
        // Dependencies from the cache were checked when they were installed.
        elf::check(&root, if function.requirements.is_some() { &own } else { &files }, function, progress)?;
    }
    let layers = assembler.layers(work)?;
    let roots: Vec<&Utf8Path> =
        std::iter::once(root.as_path()).chain(layers.iter().map(|(folder, _)| folder.as_path())).collect();
    if checked {
        load::check_assembled(function, &roots)?;
    }
    let listed: Vec<&[Listed]> =
        std::iter::once(files.as_slice()).chain(layers.iter().map(|(_, files)| files.as_slice())).collect();
    let digest = listing::digest(&listed);
    progress.finish();
    Ok(Tree { root, user_files, layers: layers.into_iter().map(|(folder, _)| folder).collect(), digest })
}

/// Unpacks a zip of the user's, and tells what is odd about it.
fn unpacked(zip: &Utf8Path, into: &Utf8Path, progress: &dyn Progress) -> Result<()> {
    for remark in unpack(zip, into)?.remarks {
        progress.note(&remark);
    }
    Ok(())
}

/// Files that no installed distribution claims.
fn unclaimed(root: &Utf8Path) -> Result<BTreeSet<Utf8PathBuf>> {
    let files = PackageTree::scan(root)?.files;
    Ok(files.into_iter().filter(|file| file.distribution.is_none()).map(|file| file.path).collect())
}

struct Assembler<'a> {
    function: &'a Function,
    root: &'a Utf8Path,
    progress: &'a dyn Progress,
    /// Whether native files are held against the target.
    checked: bool,
}

impl Assembler<'_> {
    fn copy_user_files(&self) -> Result<Vec<Listed>> {
        let folder = self.function.code.canonicalize_utf8()?;
        let selection = Selection {
            folder: &folder,
            excluded: self.function.excluded.iter().map(Utf8PathBuf::as_path).collect(),
            built: load::is_built(&folder),
        };
        let files = selection.files(self.progress)?;
        make_folders(self.root, files.iter().map(|file| file.path.as_path()))?;
        files.into_par_iter().map(|file| self.copy(&folder, file)).collect()
    }

    fn copy(&self, folder: &Utf8Path, file: UserFile) -> Result<Listed> {
        if self.progress.interrupted() {
            return Err(Error::interrupted());
        }
        let target = self.root.join(&file.path);
        match &file.link {
            Some(link) => fs::os::unix::fs::symlink(link, &target)?,
            None => {
                fs::copy(folder.join(&file.path), &target)?;
            }
        }
        listing::one(self.root, file.path, file.executable, file.link)
    }

    /// Puts the dependencies under the user's files, which win.
    fn merge(&self, user: Vec<Listed>, installed: Option<dependencies::Installed>) -> Result<Vec<Listed>> {
        let Some(installed) = installed else { return Ok(user) };
        let mut files: BTreeMap<Utf8PathBuf, Listed> =
            user.into_iter().map(|file| (file.path.clone(), file)).collect();
        let mut overwritten = Vec::new();
        let mut linked = Vec::new();
        for file in installed.files {
            if files.contains_key(&file.path) {
                overwritten.push(file.path);
                continue;
            }
            self.check_shape(&files, &file.path)?;
            linked.push(file);
        }
        make_folders(self.root, linked.iter().map(|file| file.path.as_path()))?;
        linked.par_iter().try_for_each(|file| self.link(&installed.root, file))?;
        files.extend(linked.into_iter().map(|file| (file.path.clone(), file)));
        if !overwritten.is_empty() {
            let named: Vec<&str> = overwritten.iter().take(NAMED).map(|path| path.as_str()).collect();
            let count = overwritten.len();
            self.progress.note(&format!(
                "{count} of the function's own files replace files of its dependencies, for example {}",
                crate::suggest::listed(named)
            ));
        }
        Ok(files.into_values().collect())
    }

    /// A path cannot be a file here and a folder there.
    fn check_shape(&self, user: &BTreeMap<Utf8PathBuf, Listed>, path: &Utf8Path) -> Result<()> {
        let above = path.ancestors().skip(1).find(|folder| user.contains_key(*folder));
        let prefix = format!("{path}/");
        let below = user
            .range(Utf8PathBuf::from(&prefix)..)
            .next()
            .filter(|(own, _)| own.as_str().starts_with(&prefix));
        let Some(own) = above.or(below.map(|(own, _)| own.as_path())) else { return Ok(()) };
        Err(Error::input(format!(
            "`{own}` of the function and `{path}` of its dependencies cannot be in one folder"
        ))
        .place(self.function.code.join(own).into_string())
        .hint("rename the function's own"))
    }

    fn link(&self, from: &Utf8Path, file: &Listed) -> Result<()> {
        if self.progress.interrupted() {
            return Err(Error::interrupted());
        }
        let (source, target) = (from.join(&file.path), self.root.join(&file.path));
        if let Some(link) = &file.link {
            return Ok(fs::os::unix::fs::symlink(link, target)?);
        }
        if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target)?;
        }
        Ok(())
    }

    /// Layers with their files: folders in place, zips unpacked.
    fn layers(&self, work: &Utf8Path) -> Result<Vec<(Utf8PathBuf, Vec<Listed>)>> {
        let mut layers = Vec::new();
        for (index, layer) in self.function.layers.iter().enumerate() {
            let folder = if layer.is_file() {
                let folder = work.join(format!("layers/{index}"));
                unpacked(layer, &folder, self.progress)?;
                folder
            } else {
                layer.canonicalize_utf8().map_err(|error| {
                    Error::input(format!("the layer `{layer}` cannot be read"))
                        .cause(error)
                        .place(layer.as_str())
                })?
            };
            let files = listing::list(&folder)?;
            if self.checked {
                elf::check(&folder, &files, self.function, self.progress)?;
            }
            layers.push((folder, files));
        }
        Ok(layers)
    }
}

fn make_folders<'a>(root: &Utf8Path, paths: impl Iterator<Item = &'a Utf8Path>) -> Result<()> {
    let folders: BTreeSet<&Utf8Path> = paths.filter_map(Utf8Path::parent).collect();
    for folder in folders {
        fs::create_dir_all(root.join(folder))?;
    }
    Ok(())
}
