//! What the rules know of a package. Paths are relative to their root; sizes are in bytes, times in ms.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, PythonVersion};
use glowplug_imports::{ModuleAnalysis, Site};

/// Everything that the rules look at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the package is, and what it runs on.
    pub subject: Subject,
    /// The folders of Python's path that the package fills, in their order on it: what comes first hides the others.
    pub roots: Vec<Root>,
    /// Installed distributions, by root and name.
    pub distributions: Vec<Distribution>,
    /// Every file, by root and path.
    pub files: Vec<File>,
    /// Import statements that lead from one distribution, or from the user's own code, to another distribution.
    pub links: Vec<Link>,
    /// The user's own modules.
    pub own: Vec<OwnModule>,
    /// Requirement lines, by the normalised name of the distribution.
    pub requirements: BTreeMap<String, Requirement>,
    /// What the trimming rules of a build would leave out.
    pub trimmed: Vec<Trimmed>,
    /// Native libraries.
    pub natives: Vec<Native>,
    /// The state of the bytecode.
    pub bytecode: Bytecode,
    /// What traced starts showed; `None` where none was traced.
    pub traced: Option<Traced>,
    /// Normalised names of distributions that the configuration says the runtime brings.
    pub runtime_provided: BTreeSet<String>,
    /// Size of the zip: its own where the package is one, else estimated; `None` where it was not looked at.
    pub zip_bytes: Option<u64>,
    /// Whether [`Facts::zip_bytes`] is estimated.
    pub zip_estimated: bool,
}

/// What kind of thing was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A source folder whose dependencies were installed for this look.
    Source,
    /// A folder that holds its dependencies.
    Folder,
    /// A function's zip.
    Zip,
    /// A layer, as folder or zip.
    Layer,
    /// A container image.
    Image,
}

impl Kind {
    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "function",
            Self::Folder => "folder",
            Self::Zip => "zip",
            Self::Layer => "layer",
            Self::Image => "image",
        }
    }
}

/// What the package is, and what it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The version that runs it.
    pub python: PythonVersion,
    /// The machine that runs it.
    pub architecture: Architecture,
}

/// What a folder of Python's path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// The function's own folder, `/var/task`.
    Task,
    /// Part of a layer, below `/opt`.
    Layer,
    /// The site folder of an interpreter in an image.
    Site,
}

/// A folder of Python's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it is.
    pub kind: RootKind,
    /// What stands before a path in it when people read it; empty for the function's own folder.
    pub prefix: String,
}

/// An installed distribution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// Index into [`Facts::roots`].
    pub root: usize,
    /// As its metadata spells it.
    pub name: String,
    /// The form in which names are compared (PEP 503).
    pub key: String,
    /// As its metadata spells it.
    pub version: String,
    /// Its metadata folder, relative to the root.
    pub dist_info: Utf8PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// The same in a zip, estimated.
    pub zip_bytes: Option<u64>,
    /// Names of its modules and packages at the root.
    pub top_level: Vec<String>,
    /// Normalised names of the distributions that it requires here, those of extras left out.
    pub requires: BTreeSet<String>,
    /// Whether it brings entry points for other programs than start scripts: others may load it by those.
    pub is_plugin: bool,
    /// Where the user's own text or settings write the name of one of its modules, so that it may be imported by that.
    pub mentioned_at: Option<String>,
    /// Whether a traced start loaded one of its modules.
    pub is_loaded: bool,
    /// Files that its list of files and that of another distribution at this root both name.
    pub shares_with: BTreeMap<usize, Vec<Utf8PathBuf>>,
    /// Files of its list that the user's own ones replace.
    pub replaced: Vec<Utf8PathBuf>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// A Python source.
    Code,
    /// A shared library.
    Native,
    /// Anything that code may open.
    Data,
    /// Everything else.
    Other,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Index into [`Facts::roots`].
    pub root: usize,
    /// Relative to the root.
    pub path: Utf8PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its size in a zip, estimated.
    pub zip_bytes: Option<u64>,
    /// What it is for.
    pub used_as: FileUse,
    /// Index into [`Facts::distributions`].
    pub distribution: Option<usize>,
}

/// An import statement that leads to a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The distribution in whose modules it stands; `None` for the user's own.
    pub from: Option<usize>,
    /// The distribution that it leads to.
    pub to: usize,
    /// `file:line`.
    pub place: String,
    /// Whether a `try` or a condition decides if it runs.
    pub is_conditional: bool,
    /// Whether it stands in a test module.
    pub is_test: bool,
}

/// A module of the user's own.
#[derive(Debug, Clone)]
pub struct OwnModule {
    /// What the analysis says of it.
    pub analysis: ModuleAnalysis,
    /// Where it uses what it imports.
    pub sites: Vec<Site>,
    /// By identifier: the lines on which it stands, comments and texts included.
    pub words: BTreeMap<String, BTreeSet<u32>>,
    /// Lines that tell checkers to leave them alone (`# noqa`).
    pub excused: BTreeSet<u32>,
    /// Whether it is a test.
    pub is_test: bool,
    /// By the module that an import names: the distribution that it comes from.
    pub targets: BTreeMap<String, usize>,
    /// Modules that it imports and whose loading changes something on purpose: patches, registers, starts.
    pub acting: BTreeSet<String>,
}

/// A line that asks for a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// `file:line`.
    pub place: String,
    /// The line.
    pub text: String,
}

/// A file that a trimming rule leaves out or shortens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// The trimming rule.
    pub rule: String,
    /// Index into [`Facts::roots`].
    pub root: usize,
    /// Relative to the root.
    pub path: Utf8PathBuf,
    /// What it saves.
    pub bytes: u64,
    /// The same in a zip, estimated.
    pub zip_bytes: Option<u64>,
    /// Index into [`Facts::distributions`].
    pub distribution: Option<usize>,
}

/// What keeps a native library from being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeFault {
    /// Another machine or system; as the user reads it: `is built for arm64`.
    Machine(String),
    /// A newer C library.
    Glibc(String),
    /// Another Python version, for example `3.11`.
    Python(String),
    /// It cannot be read.
    Damaged(String),
}

/// A native library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Index into [`Facts::roots`].
    pub root: usize,
    /// Relative to the root.
    pub path: Utf8PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its contents.
    pub digest: String,
    /// Its own name for the loader (`DT_SONAME`).
    pub soname: Option<String>,
    /// Index into [`Facts::distributions`].
    pub distribution: Option<usize>,
    /// What is wrong with it.
    pub fault: Option<NativeFault>,
}

/// The state of the bytecode, as far as the files tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytecode {
    /// Modules with a source.
    pub modules: usize,
    /// Sources without bytecode for the target's version, relative to the first root that has some.
    pub missing: Vec<String>,
    /// Sources whose bytecode the interpreter will not take.
    pub stale: Vec<String>,
}

/// What traced starts showed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traced {
    /// Names of the events.
    pub events: Vec<String>,
    /// By `file:line` of the user's own code: what its imports cost at init without compiling, in ms.
    pub lines_ms: BTreeMap<String, f64>,
    /// Files of the package that were opened, relative to the function's own folder.
    pub opened: BTreeSet<Utf8PathBuf>,
    /// Modules that had no bytecode, and that had one which was not taken.
    pub missing: usize,
    /// The same with bytecode that was not taken.
    pub stale: usize,
    /// What compiling them costs every start, in ms.
    pub compile_ms: f64,
    /// Whether every event ended well, so that what was not seen was not used.
    pub is_complete: bool,
}

impl Facts {
    /// How people read the path of a file at a root.
    pub fn shown(&self, root: usize, path: &camino::Utf8Path) -> String {
        format!("{}{path}", self.roots[root].prefix)
    }

    /// The line that asks for a distribution, else its metadata folder.
    pub fn place_of(&self, distribution: usize) -> String {
        let found = &self.distributions[distribution];
        match self.requirements.get(&found.key) {
            Some(requirement) => requirement.place.clone(),
            None => self.shown(found.root, &found.dist_info),
        }
    }

    /// `name version`.
    pub fn named(&self, distribution: usize) -> String {
        let found = &self.distributions[distribution];
        format!("{} {}", found.name, found.version).trim_end().to_owned()
    }

    /// The distributions of that normalised name.
    pub fn by_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.distributions.iter().enumerate().filter(move |(_, d)| d.key == key).map(|(index, _)| index)
    }

    /// Whether the user has code of their own here: without it nothing can be said of what is used.
    pub fn has_own_code(&self) -> bool {
        self.own.iter().any(|module| !module.is_test)
    }
}
