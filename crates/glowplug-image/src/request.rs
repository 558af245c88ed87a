//! What a caller asks for: a base, the trees that go on it, and how the image is to be packed and started.

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, Extents, PythonVersion};
use glowplug_package::ArchiveEntry;

/// What the image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image in an OCI layout folder.
    Layout {
        /// The folder with `oci-layout` and `index.json`.
        path: Utf8PathBuf,
        /// Its tag (`org.opencontainers.image.ref.name`) or digest; `None` where the folder has one image only.
        /// An index leads to the image of the wanted architecture.
        image: Option<String>,
        /// Pack its layers anew in the requested format, since a plain layer has to be fetched whole.
        convert: bool,
    },
    /// A folder with a root file system, which becomes the first layer.
    RootFs {
        /// The folder.
        path: Utf8PathBuf,
        /// Whose the files are in the image.
        ownership: Ownership,
    },
    /// Nothing: the trees bring all that is needed.
    Scratch,
}

/// Whose the files of a root file system are in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// User and group 0, whoever unpacked them. Set-uid and set-gid bits of files that belong to somebody else than
    /// the folder itself does are dropped: they would become those of root.
    #[default]
    Root,
    /// As on the disk.
    Kept,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerFormat {
    /// Plain tar and gzip: has to be fetched whole before the container starts.
    Gzip,
    /// gzip with a table of contents, for containerd's stargz snapshotter; any other reader sees plain gzip.
    EStargz,
    /// zstd with a table of contents, for containers/storage (podman, CRI-O); any other reader sees plain zstd.
    ZstdChunked,
}

impl LayerFormat {
    /// As it is written on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::EStargz => "estargz",
            Self::ZstdChunked => "zstd-chunked",
        }
    }
}

impl fmt::Display for LayerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Entries and the folder of the image that they go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// An absolute path in the image, for example `/var/task`.
    pub at: Utf8PathBuf,
    /// Their paths are relative to [`Part::at`].
    pub entries: Vec<ArchiveEntry>,
}

/// The licence of a component, as its metadata states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Licence {
    /// An SPDX expression (`License-Expression` of Python's metadata).
    Expression(String),
    /// Any other text.
    Name(String),
}

/// One row of the software bill of materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The distribution's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, where known.
    pub licence: Option<Licence>,
    /// Its package URL, for example `pkg:pypi/requests@2.32.3`.
    pub purl: Option<String>,
}

/// A file that a start reads, or parts of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedFile {
    /// An absolute path in the image. Links are followed.
    pub path: Utf8PathBuf,
    /// What a start reads of it; `None` for all.
    pub parts: Option<Extents>,
}

impl TouchedFile {
    /// Adds what is read of it in another place, `None` for all.
    pub fn add(&mut self, parts: Option<&Extents>) {
        self.parts = self.parts.take().zip(parts).map(|(known, parts)| known.join(parts));
    }
}

impl From<Utf8PathBuf> for TouchedFile {
    /// All of the file.
    fn from(path: Utf8PathBuf) -> Self {
        Self { path, parts: None }
    }
}

impl From<&str> for TouchedFile {
    /// All of the file.
    fn from(path: &str) -> Self {
        Self::from(Utf8PathBuf::from(path))
    }
}

/// An image to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// The tag in the layout (`org.opencontainers.image.ref.name`).
    pub name: String,
    /// What it stands on.
    pub base: Base,
    /// The machine it runs on; a base for another one is refused.
    pub architecture: Architecture,
    /// The interpreter's version, for the bill of materials; `None` where the image has none.
    pub python: Option<PythonVersion>,
    /// How layers are compressed.
    pub format: LayerFormat,
    /// Second layer: the interpreter where the base has none, the runtime client, the entry point.
    pub runtime: Vec<Part>,
    /// Third layer: what changes seldom.
    pub dependencies: Vec<Part>,
    /// Last layer: the function's own files.
    pub application: Vec<Part>,
    /// Files that a start reads, in the order of their first use: they go first in their layers, those of which it
    /// reads a small part after what is prefetched. Paths that are not in the image are counted and left out.
    pub hot: Vec<TouchedFile>,
    /// The program and its first arguments; empty keeps what the base says, and its `cmd`.
    pub entrypoint: Vec<String>,
    /// Arguments after the entry point.
    pub cmd: Vec<String>,
    /// Environment variables, over those of the base.
    pub env: BTreeMap<String, String>,
    /// The folder it starts in; `None` keeps what the base says.
    pub working_dir: Option<Utf8PathBuf>,
    /// Labels, over those of the base. Those that begin with `org.opencontainers.image.` are annotations of the
    /// manifest too.
    pub labels: BTreeMap<String, String>,
    /// What is in it, for the bill of materials.
    pub components: Vec<Component>,
}
