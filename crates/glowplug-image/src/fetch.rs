//! What a snapshotter that pulls lazily has to fetch for a start, read off the tables that layers really have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Architecture, Error, Extents, NoProgress, Result};
use serde::Serialize;

use crate::layout::Layout;
use crate::limits::IMAGE_LIMIT;
use crate::node::{Data, Kind, NO_PREFETCH, Node, PREFETCH};
use crate::oci::{Descriptor, Digest};
use crate::request::TouchedFile;
use crate::toc::{self, TocEntry};
use crate::unlayer::{Reading, read_layer};
use crate::view::{Seen, View, What};

/// What a start has to fetch of an image. All figures are compressed bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchSummary {
    /// Everything: layers, manifest, configuration.
    pub total_bytes: u64,
    /// What has to be there before the touched files can be read: manifest and configuration, layers without a table
    /// whole, of the others table and chunks.
    pub fetched_bytes: u64,
    /// The same for a snapshotter that fetches what is before the prefetch landmark in any case.
    pub prefetching_bytes: u64,
    /// From the lowest up.
    pub layers: Vec<LayerFetch>,
    /// Touched paths that are not in the image.
    pub missing: Vec<Utf8PathBuf>,
}

/// What a start has to fetch of a layer, in compressed bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerFetch {
    /// The layer's digest.
    pub digest: Digest,
    /// Its size.
    pub total_bytes: u64,
    /// Whether it has a table of contents. Without one it is fetched whole, whatever is touched.
    pub lazy: bool,
    /// Its table, with the footer where that has to be read to find it.
    pub table_bytes: u64,
    /// The chunks of the touched files that hold what was touched of them.
    pub chunk_bytes: u64,
    /// Everything before the prefetch landmark; 0 where there is none.
    pub prefetch_bytes: u64,
    /// As much of `chunk_bytes` as is before the landmark.
    pub prefetched_bytes: u64,
    /// How many of the touched files it has.
    pub files: usize,
    /// Of how many of these not every chunk is needed.
    pub files_in_parts: usize,
}

/// A chunk: where its compressed bytes are in the layer, and its contents in the file.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    packed: (u64, u64),
    contents: (u64, u64),
}

impl Chunk {
    fn holds(&self, parts: Option<&Extents>) -> bool {
        parts.is_none_or(|parts| parts.meet(self.contents.0, self.contents.1))
    }
}

/// A layer's listing, and where contents are.
struct Table {
    nodes: Vec<Node>,
    chunks: BTreeMap<String, Vec<Chunk>>,
    links: BTreeMap<String, String>,
    bytes: u64,
    prefetch: u64,
}

/// Reads the tables of an image in a layout and adds up what the files `touched` need: of those that are
/// touched in parts, the chunks with these parts. `image` is a tag or digest, as for [`crate::Base::Layout`].
///
/// Chunks are counted as they are: a snapshotter that asks for larger ranges fetches more, one that has pulled before
/// less.
///
/// Errors (input): a layout, a table or a layer without one that is damaged.
pub fn fetched_before(
    layout: &Utf8Path,
    image: Option<&str>,
    architecture: Architecture,
    touched: &[TouchedFile],
) -> Result<FetchSummary> {
    let layout = Layout::open(layout)?;
    let image = layout.image(image, &[architecture])?;
    let mut view = View::default();
    let mut tables = Vec::new();
    for (layer, diff_id) in image.manifest.layers.iter().zip(&image.diff_ids) {
        let table = read_table(&layout, layer)?;
        if let Some(table) = &table {
            view.add_layer(&table.nodes);
        } else {
            let most = IMAGE_LIMIT;
            let read = read_layer(&layout, layer, Some(diff_id), most, None, Reading::Whole, &NoProgress)?;
            view.add_layer(&read.nodes);
        }
        tables.push(table);
    }
    let (files, missing) = find(touched, &view, tables.len());
    let layers: Vec<LayerFetch> = image
        .manifest
        .layers
        .iter()
        .zip(&tables)
        .zip(&files)
        .map(|((layer, table), files)| count(layer, table.as_ref(), files))
        .collect();
    let documents = image.descriptor.size + image.manifest.config.size;
    let sum = |of: &dyn Fn(&LayerFetch) -> u64| documents + layers.iter().map(of).sum::<u64>();
    Ok(FetchSummary {
        total_bytes: sum(&|layer| layer.total_bytes),
        fetched_bytes: sum(&|layer| layer.table_bytes + layer.chunk_bytes),
        prefetching_bytes: sum(&|layer| {
            layer.table_bytes + layer.prefetch_bytes + layer.chunk_bytes - layer.prefetched_bytes
        }),
        layers,
        missing,
    })
}

/// Touched files of a layer by the path of their entry.
type Files = BTreeMap<String, TouchedFile>;

/// The touched files of each layer, and the paths that lead nowhere.
fn find(touched: &[TouchedFile], view: &View, layers: usize) -> (Vec<Files>, Vec<Utf8PathBuf>) {
    let mut files = vec![Files::new(); layers];
    let mut missing = Vec::new();
    for file in touched {
        match view.resolve(file.path.as_str()) {
            Some((_, Seen { what: What::Dir { .. }, .. })) => {} // The table tells all of it.
            Some((real, seen)) => {
                if let Some(files) = files.get_mut(seen.layer) {
                    files
                        .entry(real)
                        .and_modify(|known| known.add(file.parts.as_ref()))
                        .or_insert_with(|| file.clone());
                }
            }
            None => missing.push(file.path.clone()),
        }
    }
    (files, missing)
}

fn count(layer: &Descriptor, table: Option<&Table>, files: &Files) -> LayerFetch {
    let mut fetch = LayerFetch {
        digest: layer.digest.clone(),
        total_bytes: layer.size,
        lazy: table.is_some(),
        table_bytes: 0,
        chunk_bytes: layer.size,
        prefetch_bytes: 0,
        prefetched_bytes: 0,
        files: files.len(),
        files_in_parts: 0,
    };
    let Some(table) = table else { return fetch };
    // A set: further names of a file, and files that share a chunk, are fetched once.
    let mut chunks: BTreeSet<(u64, u64)> = BTreeSet::new();
    for (path, file) in files {
        let Some(all) = table.chunks.get(table.links.get(path).unwrap_or(path)) else { continue };
        let needed = all.iter().filter(|chunk| chunk.holds(file.parts.as_ref()));
        fetch.files_in_parts += usize::from(needed.clone().count() < all.len());
        chunks.extend(needed.map(|chunk| chunk.packed));
    }
    let bytes = |chunk: &(u64, u64)| chunk.1 - chunk.0;
    fetch.table_bytes = table.bytes;
    fetch.prefetch_bytes = table.prefetch;
    fetch.chunk_bytes = chunks.iter().map(bytes).sum();
    fetch.prefetched_bytes = chunks.iter().filter(|chunk| chunk.1 <= table.prefetch).map(bytes).sum();
    fetch
}

fn read_table(layout: &Layout, layer: &Descriptor) -> Result<Option<Table>> {
    let file = layout.open_blob(layer)?;
    let Some(found) = toc::read(file.file(), layer, &layout.blob(&layer.digest))? else { return Ok(None) };
    if let Some(out) =
        found.toc.entries.iter().find(|entry| entry.offset.max(entry.end_offset) > found.contents_end)
    {
        return Err(Error::input("the table of contents of a layer is wrong")
            .cause(format!("the contents of `{}` are not in the layer", out.name.escape_debug()))
            .place(layout.blob(&layer.digest).as_str()));
    }
    let has_contents = |entry: &&TocEntry| entry.offset > 0;
    let mut bounds: BTreeSet<u64> = BTreeSet::from([found.contents_end]);
    for entry in found.toc.entries.iter().filter(has_contents) {
        bounds.insert(entry.offset);
        if entry.end_offset > 0 {
            bounds.insert(entry.end_offset);
        }
    }
    let mut table = Table {
        nodes: Vec::new(),
        chunks: BTreeMap::new(),
        links: BTreeMap::new(),
        bytes: found.bytes,
        prefetch: 0,
    };
    for entry in &found.toc.entries {
        let path = entry.name.trim_start_matches("./").trim_matches('/').to_owned();
        if path == PREFETCH {
            table.prefetch = entry.offset;
        }
        if matches!(path.as_str(), "" | PREFETCH | NO_PREFETCH) {
            continue;
        }
        if has_contents(&entry) {
            let after = (Bound::Excluded(entry.offset), Bound::Unbounded);
            let end = bounds.range(after).next().copied().unwrap_or(entry.offset);
            let length = if entry.chunk_size > 0 { entry.chunk_size } else { u64::MAX };
            let contents = (entry.chunk_offset, entry.chunk_offset.saturating_add(length));
            let chunk = Chunk { packed: (entry.offset, end), contents };
            table.chunks.entry(path.clone()).or_default().push(chunk);
        }
        let kind = match entry.r#type.as_str() {
            "chunk" => continue,
            "dir" => Kind::Dir,
            "symlink" => Kind::Symlink(entry.link_name.clone()),
            other => {
                if other == "hardlink" {
                    let target = entry.link_name.trim_start_matches("./").trim_matches('/');
                    table.links.insert(path.clone(), target.to_owned());
                }
                Kind::File { data: Data::Gone, size: entry.size, twin: None }
            }
        };
        table.nodes.push(Node::new(path, kind, entry.mode));
    }
    Ok(Some(table))
}
