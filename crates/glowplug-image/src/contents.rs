//! The files of an image as a container sees them, those that somebody wants to look at, in a folder. Nothing is run,
//! and no link of the image is ever followed: only folders and files are made, so that no path leads out.

use std::collections::BTreeMap;
use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Progress, Result, format_bytes};
use serde_json::Value;

use crate::layout::{Image, Layout};
use crate::limits::{IMAGE_LIMIT, LOOKED_AT_LIMIT};
use crate::node::{Data, Kind, Node};
use crate::unlayer::{Reading, read_layer};
use crate::view::{View, What};

/// Files of text of which the contents are kept, in bytes.
const MOST_TEXT: u64 = 1024 * 1024;
/// Bytes copied at once.
const COPY_BYTES: u64 = 1024 * 1024;

/// What an image says of how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// The machine that it is for.
    pub architecture: Architecture,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Where its program starts, absolute.
    pub working_folder: Utf8PathBuf,
    /// Entry point and command, one after the other.
    pub command: Vec<String>,
}

/// An image of which some files were unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFiles {
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

/// Reads the image in `layout` that a tag or digest names, or the only one, for the first of `machines` that it is
/// there for, and unpacks into `into` the files below its root that `wanted` says, given the configuration. Files that
/// hold neither code nor text keep their size alone.
///
/// # Errors
/// Input: no layout, no such image, a blob that is missing or is not what its digest says, a damaged layer, a path that
/// leads out, more than [`IMAGE_LIMIT`]. Surroundings: the disk. Interrupted.
pub fn read_image(
    layout: &Utf8Path,
    image: Option<&str>,
    machines: &[Architecture],
    wanted: &dyn Fn(&ImageConfig, &Utf8Path) -> bool,
    into: &Utf8Path,
    progress: &dyn Progress,
) -> Result<ImageFiles> {
    let layout = Layout::open(layout)?;
    let image = layout.image(image, machines)?;
    let config = described(&image.config)?;
    fs::create_dir_all(into)?;
    let mut unpacker = Unpacker { into, files: BTreeMap::new(), kept: 0 };
    progress.start("Reading layers", Some(image.manifest.layers.len() as u64));
    let outcome = unpacker.layers(&layout, &image, &|path| wanted(&config, path), progress);
    progress.finish();
    let links = outcome?;
    Ok(ImageFiles { layers: image.manifest.layers.len(), links, config })
}

/// The parts of a configuration that are of use here (OCI image specification, `config.md`).
fn described(config: &Value) -> Result<ImageConfig> {
    let run = &config["config"];
    let list = |name: &str| -> Vec<String> {
        let items = run[name].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(ImageConfig {
        architecture: config["architecture"].as_str().unwrap_or_default().parse()?,
        environment: list("Env"),
        working_folder: run["WorkingDir"].as_str().unwrap_or_default().into(),
        command: [list("Entrypoint"), list("Cmd")].concat(),
    })
}

struct Unpacker<'a> {
    into: &'a Utf8Path,
    /// What is in the folder, by the layer that it is from.
    files: BTreeMap<String, usize>,
    /// Bytes of kept contents.
    kept: u64,
}

impl Unpacker<'_> {
    /// Unpacks one layer after the other, so that no more than one is on the disk whole; gives the wanted links.
    fn layers(
        &mut self,
        layout: &Layout,
        image: &Image,
        wanted: &dyn Fn(&Utf8Path) -> bool,
        progress: &dyn Progress,
    ) -> Result<usize> {
        let mut view = View::default();
        let mut left = IMAGE_LIMIT;
        for (at, (layer, diff_id)) in image.manifest.layers.iter().zip(&image.diff_ids).enumerate() {
            let spool = tempfile::tempfile_in(self.into).map_err(Error::from)?;
            let read = read_layer(layout, layer, Some(diff_id), left, Some(spool), Reading::Files, progress)?;
            left -= read.bytes;
            view.add_layer(&read.nodes);
            let is_there = |path: &str, layer: usize| {
                view.get(path).is_some_and(|seen| seen.layer == layer && seen.what == What::File)
            };
            let sources = self.hard_links(&read.nodes)?;
            for (path, from) in std::mem::take(&mut self.files) {
                if is_there(&path, from) {
                    self.files.insert(path, from);
                } else if self.into.join(&path).is_file() {
                    fs::remove_file(self.into.join(&path))?;
                }
            }
            for node in read.nodes.iter().filter(|node| is_there(&node.path, at)) {
                if progress.interrupted() {
                    return Err(Error::interrupted());
                }
                if wanted(Utf8Path::new(&node.path)) && self.place(node, &sources)? {
                    self.files.insert(node.path.clone(), at);
                }
            }
            progress.advance(1);
        }
        let links = view.below("").filter(|path| wanted(Utf8Path::new(path)));
        let is_link = |path: &&str| matches!(view.get(path).map(|s| &s.what), Some(What::Symlink(_)));
        Ok(links.filter(is_link).count())
    }

    /// What lower layers' files hold that this layer has further names of, read before any of them is replaced.
    fn hard_links(&self, nodes: &[Node]) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut sources = BTreeMap::new();
        for node in nodes {
            let Kind::Link(target) = &node.kind else { continue };
            if self.files.contains_key(target) && !sources.contains_key(target) {
                sources.insert(target.clone(), fs::read(self.into.join(target))?);
            }
        }
        Ok(sources)
    }

    /// Writes a file; false where nothing is known of it.
    fn place(&mut self, node: &Node, sources: &BTreeMap<String, Vec<u8>>) -> Result<bool> {
        let path = self.into.join(&node.path);
        match &node.kind {
            Kind::Link(target) => {
                let Some(bytes) = sources.get(target) else { return Ok(false) };
                make_room(self.into, &path)?;
                fs::write(&path, bytes)?;
            }
            Kind::File { data, size, .. } => {
                make_room(self.into, &path)?;
                let mut out = fs::File::create(&path)?;
                if matches!(data, Data::Gone) || !is_read(Utf8Path::new(&node.path), *size) {
                    out.set_len(*size)?;
                    return Ok(true);
                }
                self.kept = self.kept.saturating_add(*size);
                if self.kept > LOOKED_AT_LIMIT {
                    let most = format_bytes(LOOKED_AT_LIMIT);
                    return Err(Error::input(format!(
                        "the image holds more than {most} of code and libraries"
                    )));
                }
                let mut done = 0;
                while done < *size {
                    let length = COPY_BYTES.min(size - done);
                    out.write_all(&data.read(done, length as usize)?)?;
                    done += length;
                }
            }
            Kind::Dir | Kind::Symlink(_) => return Ok(false),
        }
        Ok(true)
    }
}

/// Makes the folders above. A folder that is left of files that went gives way to a file, and a lower layer's file to a
/// folder.
fn make_room(root: &Utf8Path, path: &Utf8Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    }
    for above in path.ancestors().skip(1).take_while(|above| *above != root) {
        if above.is_file() {
            fs::remove_file(above)?;
        }
    }
    path.parent().map_or(Ok(()), |parent| Ok(fs::create_dir_all(parent)?))
}

/// Whether the contents of a file are kept; else its size is enough.
fn is_read(name: &Utf8Path, bytes: u64) -> bool {
    let base = name.file_name().unwrap_or_default();
    let code = matches!(name.extension(), Some("py" | "pyc" | "pyi" | "so")) || base.contains(".so.");
    let metadata = name.as_str().contains(".dist-info/") || name.as_str().contains(".egg-info/");
    let text = matches!(name.extension(), Some("txt" | "json" | "toml" | "yaml" | "yml" | "cfg" | "ini"));
    code || metadata || (text && bytes <= MOST_TEXT)
}
