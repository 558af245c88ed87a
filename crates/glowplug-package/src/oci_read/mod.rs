//! Reads an image from an OCI image layout on disk: which manifest, its configuration, and of its layers those files
//! that somebody wants to look at. Nothing is run, and no link of the image is ever followed.
//!
//! Formats: "OCI Image Format Specification", <https://github.com/opencontainers/image-spec>: `image-layout.md`,
//! `image-index.md`, `manifest.md`, `config.md`, `layer.md`.

mod layers;
mod manifest;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Progress, Result};

use layers::Unpacker;
use manifest::Layout;

/// What an image says of how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// As OCI spells it: `amd64`, `arm64`.
    pub architecture: String,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Where its program starts, absolute.
    pub working_folder: Utf8PathBuf,
    /// Entry point and command, one after the other.
    pub command: Vec<String>,
}

/// An image of which some files were unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its configuration.
    pub config: ImageConfig,
    /// How many layers it has.
    pub layers: usize,
    /// Wanted paths that are links in the image: they were left out.
    pub links: usize,
}

/// Whether a folder is an image layout.
pub fn is_layout(folder: &Utf8Path) -> bool {
    folder.join("oci-layout").is_file() && folder.join("index.json").is_file()
}

/// Reads the image in `layout`, for `architecture` where it has that one, and unpacks into `into` the files below its
/// root that `wanted` says, given the configuration. Files that hold neither code nor text keep their size alone.
///
/// # Errors
/// Input: no layout, a blob that is missing or is not what its digest says, a damaged layer, a path that leads out,
/// far more than Lambda takes (10 GB). Surroundings: the disk. Interrupted.
pub fn read_image(
    layout: &Utf8Path,
    architecture: Option<Architecture>,
    wanted: &dyn Fn(&ImageConfig, &Utf8Path) -> bool,
    into: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Image> {
    let layout = Layout { root: layout };
    let (config, layers) = layout.image(architecture)?;
    fs::create_dir_all(into)?;
    let mut unpacker = Unpacker::new(into, |path| wanted(&config, path));
    progress.start("Reading layers", Some(layers.len() as u64));
    for digest in &layers {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        unpacker.layer(&layout.blob(digest)?, digest, progress)?;
        progress.advance(1);
    }
    progress.finish();
    let links = unpacker.links();
    Ok(Image { layers: layers.len(), links, config })
}
