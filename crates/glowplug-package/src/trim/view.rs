//! What the rules need to know about a tree as a whole, gathered once.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Result};

use super::folders::{self, Folder};
use super::levels;
use super::mentions::Mentions;
use super::needed::NativeNeeds;
use super::{Reached, TrimContext};
use crate::distribution::normalise_name;
use crate::modules::dotted;
use crate::tree::{FileEntry, FileKind, PackageTree};

/// Distributions that compile or read native sources while they run: their headers are data.
const RUNTIME_COMPILERS: &[&str] = &[
    "cffi",
    "cupy",
    "cython",
    "jax",
    "jaxlib",
    "llvmlite",
    "numba",
    "nvidia-cuda-nvrtc",
    "pybind11",
    "pycparser",
    "pycuda",
    "pyopencl",
    "pythran",
    "setuptools",
    "taichi",
    "tensorflow",
    "torch",
    "triton",
    "tvm",
    "ziglang",
];

/// The tree and the context, with indexes over them.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) tree: &'a PackageTree,
    pub(super) context: &'a TrimContext<'a>,
    /// Test and documentation folders that nothing imports.
    folders: BTreeMap<Utf8PathBuf, Folder>,
    mentions: BTreeMap<usize, Mentions>,
    /// Distributions that brought a native library.
    native: BTreeSet<usize>,
    /// Normalised names of all distributions.
    names: BTreeSet<String>,
    runtime_provided: BTreeSet<String>,
    /// Whether the user's code reads `.pth` files by itself.
    adds_site_folders: bool,
    /// What the levels beyond safe want to know.
    levels: Option<Levels>,
}

/// What the levels beyond safe want to know of a tree.
#[derive(Debug)]
struct Levels {
    natives: NativeNeeds,
    /// Native files that needed ones are linked with, and these.
    linked: BTreeSet<Utf8PathBuf>,
    /// Distributions of which some module is needed.
    distributions: BTreeSet<usize>,
    /// Folders of packages, with their dotted names.
    packages: BTreeMap<Utf8PathBuf, levels::Package>,
}

impl Levels {
    fn new(tree: &PackageTree, context: &TrimContext, reached: &Reached) -> Result<Self> {
        let natives = NativeNeeds::of(tree)?;
        let needed = |file: &&FileEntry| {
            let is_user = file.distribution.is_none() || context.user_files.contains(&file.path);
            is_user
                || reached.touched.contains(&file.path)
                || dotted(&file.path).is_some_and(|name| reached.modules.contains(&name))
        };
        let roots: Vec<&FileEntry> = tree.files.iter().filter(needed).collect();
        Ok(Self {
            linked: natives.closure(roots.iter().map(|file| file.path.as_path())),
            natives,
            distributions: roots.iter().filter_map(|file| file.distribution).collect(),
            packages: levels::packages(tree),
        })
    }
}

impl<'a> View<'a> {
    pub(super) fn new(tree: &'a PackageTree, context: &'a TrimContext<'a>) -> Result<Self> {
        let mut folders = folders::of(tree, context.user_files);
        folders.retain(|_, folder| !folder.is_imported(context.imported));
        let mut read: BTreeSet<usize> = BTreeSet::new();
        let mut native = BTreeSet::new();
        for file in &tree.files {
            let Some(distribution) = file.distribution else { continue };
            if matches!(file.kind, FileKind::Stub | FileKind::Header | FileKind::Docs | FileKind::Test) {
                read.insert(distribution);
            }
            if file.kind == FileKind::Native {
                native.insert(distribution);
            }
        }
        let mentions =
            read.into_iter().map(|index| Ok((index, Mentions::of(tree, index)?))).collect::<Result<_>>()?;
        Ok(Self {
            tree,
            context,
            folders,
            mentions,
            native,
            names: tree.distributions.iter().map(|d| normalise_name(&d.name)).collect(),
            runtime_provided: context.runtime_provided.iter().map(|name| normalise_name(name)).collect(),
            adds_site_folders: adds_site_folders(tree, context.user_files)?,
            levels: context.reached.map(|reached| Levels::new(tree, context, reached)).transpose()?,
        })
    }

    /// Whether the file is the user's own, or nobody's: such files are the user's as well.
    pub(super) fn is_users(&self, file: &FileEntry) -> bool {
        file.distribution.is_none() || self.context.user_files.contains(&file.path)
    }

    pub(super) fn distribution_name(&self, file: &FileEntry) -> Option<&str> {
        file.distribution.map(|index| self.tree.distributions[index].name.as_str())
    }

    /// Whether the file belongs to the distribution of that normalised name.
    pub(super) fn is_of(&self, file: &FileEntry, normalised: &str) -> bool {
        self.distribution_name(file).is_some_and(|name| normalise_name(name) == normalised)
    }

    /// Whether the tree holds one of these distributions (normalised names).
    pub(super) fn has_any(&self, normalised: &[&str]) -> bool {
        normalised.iter().any(|name| self.names.contains(*name))
    }

    pub(super) fn is_runtime_provided(&self, file: &FileEntry) -> bool {
        self.distribution_name(file).is_some_and(|name| self.runtime_provided.contains(&normalise_name(name)))
    }

    /// The folder of tests or documentation that nothing imports and that holds `file`.
    pub(super) fn folder_of(&self, file: &FileEntry) -> Option<(&Utf8Path, &Folder)> {
        folders::containing(&self.folders, &file.path)
    }

    /// Whether the distribution's own code names this file, or its extension.
    pub(super) fn names_file(&self, file: &FileEntry) -> bool {
        self.mentions_of(file).is_some_and(|m| m.names_file(&file.path))
    }

    /// Whether the distribution's own code names this folder in a path.
    pub(super) fn names_folder(&self, file: &FileEntry, folder: &Utf8Path) -> bool {
        let name = folder.file_name().unwrap_or_default();
        self.mentions_of(file).is_some_and(|m| m.names_folder(name))
    }

    /// Whether the distribution reads its stubs through `lazy_loader`.
    pub(super) fn attaches_stubs(&self, file: &FileEntry) -> bool {
        self.mentions_of(file).is_some_and(|m| m.attach_stub)
    }

    fn mentions_of(&self, file: &FileEntry) -> Option<&Mentions> {
        file.distribution.and_then(|index| self.mentions.get(&index))
    }

    /// Whether the native sources of the file's distribution were compiled when it was built, and
    /// are of no use to it now.
    pub(super) fn is_built(&self, file: &FileEntry) -> bool {
        let compiles = self.distribution_name(file).is_some_and(|name| {
            let name = normalise_name(name);
            RUNTIME_COMPILERS.iter().any(|known| name == *known || name.starts_with(&format!("{known}-")))
        });
        !compiles && file.distribution.is_some_and(|index| self.native.contains(&index))
    }

    pub(super) fn adds_site_folders(&self) -> bool {
        self.adds_site_folders
    }

    /// Whether some module of the file's distribution is needed.
    pub(super) fn is_reached(&self, file: &FileEntry) -> bool {
        self.levels
            .as_ref()
            .zip(file.distribution)
            .is_some_and(|(levels, index)| levels.distributions.contains(&index))
    }

    /// Whether a needed native file is linked with this one, or is it.
    pub(super) fn is_linked(&self, file: &FileEntry) -> bool {
        self.levels.as_ref().is_some_and(|levels| levels.linked.contains(&file.path))
    }

    /// Whether an import could load this native file.
    pub(super) fn is_extension(&self, file: &FileEntry) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.natives.is_extension(&file.path))
    }

    /// The package that a file belongs to: the one that [holds](Self::package_holding) it, or the innermost around it.
    pub(super) fn package_around(&self, file: &FileEntry) -> Option<String> {
        let levels = self.levels.as_ref()?;
        let holding = self.package_holding(&file.path).map(str::to_owned);
        let innermost = || file.path.ancestors().skip(1).find_map(|folder| levels.packages.get(folder));
        holding.or_else(|| innermost().map(|package| package.name.clone()))
    }

    /// The package that is the last before a folder which is none, on the way from the root to a file.
    pub(super) fn package_holding(&self, path: &Utf8Path) -> Option<&str> {
        let packages = &self.levels.as_ref()?.packages;
        let mut folders: Vec<&Utf8Path> = path.ancestors().skip(1).collect();
        folders.reverse();
        let regular = |folder: &Utf8Path| packages.get(folder).filter(|package| package.regular);
        // Namespaces stand before packages, not in them.
        let folders = folders.into_iter().skip_while(|folder| regular(folder).is_none());
        let mut last = None;
        for folder in folders {
            let Some(package) = regular(folder) else { return last };
            last = Some(package.name.as_str());
        }
        None
    }

    /// Whether a file is in the tree and of use to the target.
    pub(super) fn has(&self, path: &Utf8Path) -> bool {
        self.tree.file(path).is_some()
    }

    /// What the extension modules of the target carry in their names: `cpython-312-x86_64-linux-gnu`.
    pub(super) fn target_tag(&self) -> String {
        let machine = match self.context.architecture {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "aarch64",
        };
        format!("{}-{machine}-linux-{}", self.context.python.cache_tag(), self.context.libc.tag())
    }
}

fn adds_site_folders(tree: &PackageTree, user_files: &BTreeSet<Utf8PathBuf>) -> Result<bool> {
    for file in tree.files.iter().filter(|f| f.kind == FileKind::Code && f.symlink.is_none()) {
        let users = file.distribution.is_none() || user_files.contains(&file.path);
        if users && String::from_utf8_lossy(&fs::read(tree.root.join(&file.path))?).contains("addsitedir") {
            return Ok(true);
        }
    }
    Ok(false)
}
