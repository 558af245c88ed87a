//! From the index of a layout to the manifest of one image, its configuration and the digests of its layers.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Result, format_hex};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ImageConfig;

/// Largest index, manifest or configuration that is read, in bytes: registries take 4 MiB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// How deep indexes may lie in indexes.
const DEEPEST: usize = 4;
/// Most layers: overlay file systems take 128.
const MOST_LAYERS: usize = 1024;

/// A layout on disk.
pub(super) struct Layout<'a> {
    pub(super) root: &'a Utf8Path,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize, Clone)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize, Clone)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// A manifest, or an index in its place.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Run>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
}

impl Layout<'_> {
    /// The configuration and the digests of the layers, the lowest first.
    pub(super) fn image(&self, wanted: Option<Architecture>) -> Result<(ImageConfig, Vec<String>)> {
        let path = self.root.join("index.json");
        let bytes = read(&path)?;
        let index: Index = parse(&bytes, &path)?;
        let mut manifests = index.manifests;
        for _ in 0..DEEPEST {
            let chosen = self.choose(&manifests, wanted)?;
            let manifest: Manifest = self.document(&chosen.digest)?;
            if !manifest.manifests.is_empty() {
                manifests = manifest.manifests;
                continue;
            }
            let Some(config) = manifest.config.filter(|_| manifest.layers.len() <= MOST_LAYERS) else {
                return Err(self.error("the layout's manifest is not that of an image"));
            };
            let Config { architecture, config } = self.document(&config.digest)?;
            let run = config.unwrap_or_default();
            let command = run.entrypoint.into_iter().chain(run.cmd).flatten().collect();
            let config = ImageConfig {
                architecture,
                environment: run.env.unwrap_or_default(),
                working_folder: run.working_dir.unwrap_or_default().into(),
                command,
            };
            return Ok((config, manifest.layers.into_iter().map(|layer| layer.digest).collect()));
        }
        Err(self.error("the layout's indexes lead from one to another without end"))
    }

    /// The manifest for the wanted machine, else for this one, else the first that is an image's.
    fn choose(&self, manifests: &[Descriptor], wanted: Option<Architecture>) -> Result<Descriptor> {
        let of = |architecture: Architecture| {
            let name = match architecture {
                Architecture::X86_64 => "amd64",
                Architecture::Arm64 => "arm64",
            };
            let fits = |platform: &Platform| platform.architecture == name && platform.os == "linux";
            manifests.iter().find(|one| one.platform.as_ref().is_some_and(fits))
        };
        let is_image = |one: &&Descriptor| one.platform.as_ref().is_none_or(|p| p.architecture != "unknown");
        wanted
            .and_then(of)
            .or_else(|| Architecture::host().filter(|_| wanted.is_none()).and_then(of))
            .or_else(|| manifests.iter().find(is_image))
            .cloned()
            .ok_or_else(|| self.error("the layout names no image"))
    }

    /// Path of a blob.
    ///
    /// # Errors
    /// Input: a digest that is none, or whose blob is not there.
    pub(super) fn blob(&self, digest: &str) -> Result<Utf8PathBuf> {
        let hex = digest.strip_prefix("sha256:").filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        let hex = hex.ok_or_else(|| self.error(&format!("`{digest}` is not a SHA-256 digest")))?;
        let path = self.root.join("blobs/sha256").join(hex);
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::input(format!("the layout lacks the blob `{digest}`"))
            .place(path.as_str())
            .hint("copy the whole image again, for example with `skopeo copy … oci:FOLDER`"))
    }

    fn document<T: for<'de> Deserialize<'de>>(&self, digest: &str) -> Result<T> {
        let path = self.blob(digest)?;
        let bytes = read(&path)?;
        if format!("sha256:{}", format_hex(&Sha256::digest(&bytes))) != digest {
            return Err(differs(&path));
        }
        parse(&bytes, &path)
    }

    fn error(&self, message: &str) -> Error {
        Error::input(message).place(self.root.join("index.json").as_str())
    }
}

/// A blob that is not what its digest says.
pub(super) fn differs(path: &Utf8Path) -> Error {
    Error::input("a blob of the layout is not what its digest says")
        .place(path.as_str())
        .hint("copy the image again: it was damaged on the way")
}

fn read(path: &Utf8Path) -> Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MOST_BYTES {
        return Err(Error::input("a document of the layout is too large").place(path.as_str()));
    }
    Ok(fs::read(path)?)
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8], path: &Utf8Path) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::input("cannot read a document of the layout").cause(error).place(path.as_str())
    })
}
