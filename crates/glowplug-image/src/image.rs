//! Writes an image: reads the base, lays the trees on it, packs each layer, describes them all.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Progress, Result};
use serde::Serialize;
use serde_json::Value;

use crate::config::{self, config};
use crate::layout::{Image, Layout};
use crate::limits::{IMAGE_LIMIT, check_size};
use crate::node::Node;
use crate::oci::{
    CONFIG, CYCLONEDX, Descriptor, Digest, EMPTY, Index, MANIFEST, Manifest, Platform, REF_NAME, to_bytes,
};
use crate::order::{hot_of_layers, order};
use crate::pack::pack;
use crate::request::{Base, ImageRequest, LayerFormat, TouchedFile};
use crate::rootfs::{self, Scanned};
use crate::staging::Staging;
use crate::unlayer::{Reading, read_layer};
use crate::view::View;
use crate::{sbom, tree};

/// An image that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// Digest of its manifest.
    pub digest: Digest,
    /// From the lowest up.
    pub layers: Vec<LayerSummary>,
    /// Compressed bytes of all layers.
    pub bytes: u64,
    /// Uncompressed bytes of all layers, as Lambda counts its limit.
    pub uncompressed_bytes: u64,
    /// How many hot paths are nowhere in the image.
    pub hot_missing: usize,
    /// The bill of materials, beside the layout.
    pub sbom: Utf8PathBuf,
}

/// One layer of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// `base`, `runtime`, `dependencies` or `application`.
    pub name: String,
    /// Digest of the compressed layer.
    pub digest: Digest,
    /// Digest of the uncompressed layer.
    pub diff_id: Digest,
    /// Its compressed size.
    pub bytes: u64,
    /// The size of its tar archive.
    pub uncompressed_bytes: u64,
    /// How many entries, folders and links included; the landmark is none.
    pub entries: usize,
    /// How many hot files are in it: at its beginning, unless it is copied.
    pub hot: usize,
    /// How many files come after those, of which a start reads so small a part that they are not prefetched.
    pub hot_parts: usize,
    /// Whether it is the base's, byte for byte.
    pub copied: bool,
}

/// A layer to be.
struct Draft {
    name: &'static str,
    nodes: Vec<Node>,
    /// Uncompressed bytes: of a base the archive's, else of the contents.
    bytes: u64,
    /// The base's own layer, to be copied as it is.
    copied: Option<(Descriptor, Digest)>,
}

/// The base, read.
#[derive(Default)]
struct Below {
    drafts: Vec<Draft>,
    image: Option<(Layout, Image)>,
}

/// Writes the image into the OCI layout folder `layout`, and its bill of materials beside it as `LAYOUT.cdx.json`.
///
/// The layout appears complete or not at all, and takes the place of an earlier one. The same request gives the same
/// bytes.
///
/// Errors: a base that is damaged, not what it says or for another machine, an entry that an image cannot have, more
/// than [`IMAGE_LIMIT`] (input); a place that is no layout (usage); one path twice (defect); a file that cannot be
/// read or written (surroundings); interruption.
pub fn write_image(
    request: &ImageRequest,
    layout: &Utf8Path,
    progress: &dyn Progress,
) -> Result<ImageSummary> {
    write_image_at_most(request, layout, IMAGE_LIMIT, progress)
}

pub(crate) fn write_image_at_most(
    request: &ImageRequest,
    layout: &Utf8Path,
    limit: u64,
    progress: &dyn Progress,
) -> Result<ImageSummary> {
    check_name(&request.name)?;
    let own = own_layers(request)?;
    check_drafts(&own, limit)?;
    let beside = sbom_path(layout)?;
    let staging = Staging::begin(layout)?;
    let below = read_base(request, limit, &staging, progress)?;
    let image = below.image;
    let mut drafts = below.drafts;
    let mut view = View::default();
    for draft in &mut drafts {
        if draft.copied.is_none() {
            tree::complete_folders(&mut draft.nodes, &view)?;
        }
        view.add_layer(&draft.nodes);
    }
    for mut draft in own {
        tree::add_folders(&mut draft.nodes, &view)?;
        view.add_layer(&draft.nodes);
        drafts.push(draft);
    }
    check_drafts(&drafts, limit)?;
    let (hot, hot_missing) = hot_of_layers(&request.hot, &view, drafts.len());
    let mut layers = Vec::new();
    let mut descriptors = Vec::new();
    for (draft, hot) in drafts.into_iter().zip(hot) {
        let from = image.as_ref().map(|(layout, _)| layout);
        let (descriptor, summary) = write_layer(draft, &hot, request.format, from, &staging, progress)?;
        descriptors.push(descriptor);
        layers.push(summary);
    }
    let base = image.as_ref().map(|(_, image)| image);
    let (index, digest, bill) = describe(request, base, descriptors, &layers, &staging)?;
    staging.finish(&index, Some((&beside, &bill)))?;
    Ok(ImageSummary {
        digest,
        bytes: layers.iter().map(|layer| layer.bytes).sum(),
        uncompressed_bytes: layers.iter().map(|layer| layer.uncompressed_bytes).sum(),
        layers,
        hot_missing,
        sbom: beside,
    })
}

/// `LAYOUT.cdx.json`.
fn sbom_path(layout: &Utf8Path) -> Result<Utf8PathBuf> {
    let name = layout.file_name().ok_or_else(|| {
        Error::usage("the place for the image has no name of its own").place(layout.as_str())
    })?;
    Ok(layout.with_file_name(format!("{name}.cdx.json")))
}

/// Tags as registries take them, and the separators that a layout's names may have besides.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let letter = |b: u8| b.is_ascii_alphanumeric();
    let inner = |b: u8| letter(b) || b"-._:@/+".contains(&b);
    let right = !name.is_empty() && name.bytes().all(inner) && name.bytes().next().is_some_and(letter);
    if right {
        return Ok(());
    }
    Err(Error::usage(format!("`{name}` cannot name an image"))
        .hint("use letters, digits and `-._:@/+`, for example `latest`"))
}

fn own_layers(request: &ImageRequest) -> Result<Vec<Draft>> {
    let mut seen = BTreeSet::new();
    let mut drafts = Vec::new();
    for (name, parts) in [
        ("runtime", &request.runtime),
        ("dependencies", &request.dependencies),
        ("application", &request.application),
    ] {
        let nodes = tree::nodes(parts, &mut seen)?;
        if !nodes.is_empty() {
            drafts.push(Draft { name, bytes: contents(&nodes), nodes, copied: None });
        }
    }
    Ok(drafts)
}

/// Bytes of all contents; further names of one file take none.
fn contents(nodes: &[Node]) -> u64 {
    let mut twins = BTreeSet::new();
    let first = |node: &&Node| match node.kind {
        crate::node::Kind::File { twin: Some(twin), .. } => twins.insert(twin),
        _ => true,
    };
    nodes.iter().filter(first).map(Node::size).sum()
}

fn check_drafts(drafts: &[Draft], limit: u64) -> Result<()> {
    let sizes: Vec<(&str, u64)> = drafts.iter().map(|draft| (draft.name, draft.bytes)).collect();
    let files = drafts.iter().flat_map(|draft| &draft.nodes).map(|node| (node.path.as_str(), node.size()));
    check_size(&sizes, files, limit)
}

fn read_base(
    request: &ImageRequest,
    limit: u64,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<Below> {
    match &request.base {
        Base::Scratch => Ok(Below::default()),
        Base::RootFs { path, ownership } => {
            let Scanned { nodes, devices, dropped } = rootfs::scan(path, *ownership, progress)?;
            note_devices(devices, progress);
            if !dropped.is_empty() {
                progress.note(&format!(
                    "set-uid and set-gid bits of other users than root are left out: {}",
                    dropped.join(", ")
                ));
            }
            let draft = Draft { name: "base", bytes: contents(&nodes), nodes, copied: None };
            Ok(Below { drafts: vec![draft], image: None })
        }
        Base::Layout { path, image, convert } => {
            let layout = Layout::open(path)?;
            let image = layout.image(image.as_deref(), &[request.architecture])?;
            progress.start("reading the base", None);
            let drafts = read_base_layers(&layout, &image, *convert, limit, staging, progress);
            progress.finish();
            Ok(Below { drafts: drafts?, image: Some((layout, image)) })
        }
    }
}

/// Says that devices are left out.
fn note_devices(devices: usize, progress: &dyn Progress) {
    if devices > 0 {
        progress.note(&format!(
            "{devices} devices of the base's `/dev` are left out: whoever runs the image makes its own"
        ));
    }
}

fn read_base_layers(
    layout: &Layout,
    image: &Image,
    convert: bool,
    limit: u64,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    let mut left = limit;
    let mut devices = 0;
    for (layer, diff_id) in image.manifest.layers.iter().zip(&image.diff_ids) {
        let spool = if convert { Some(staging.scratch()?) } else { None };
        let read = read_layer(layout, layer, Some(diff_id), left, spool, Reading::Whole, progress)?;
        devices += read.devices;
        left -= read.bytes;
        let copied = (!convert).then(|| (layer.clone(), diff_id.clone()));
        drafts.push(Draft { name: "base", nodes: read.nodes, bytes: read.bytes, copied });
    }
    // A layer that is copied has them still.
    if convert {
        note_devices(devices, progress);
    }
    Ok(drafts)
}

/// Packs a layer, or copies it.
fn write_layer(
    draft: Draft,
    hot: &[TouchedFile],
    format: LayerFormat,
    from: Option<&Layout>,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(Descriptor, LayerSummary)> {
    let entries = draft.nodes.len();
    let summary = |descriptor: &Descriptor, diff_id: Digest, uncompressed_bytes, (hot, hot_parts), copied| {
        LayerSummary {
            name: draft.name.to_owned(),
            digest: descriptor.digest.clone(),
            diff_id,
            bytes: descriptor.size,
            uncompressed_bytes,
            entries,
            hot,
            hot_parts,
            copied,
        }
    };
    if let (Some((layer, diff_id)), Some(from)) = (&draft.copied, from) {
        progress.start("copying a layer of the base", Some(layer.size));
        let copied = staging.copy(from, layer, progress);
        progress.finish();
        copied?;
        let mut descriptor = layer.clone();
        if let Some(compression) = layer.compression() {
            descriptor.media_type = compression.media_type().into();
        }
        let summary = summary(&descriptor, diff_id.clone(), draft.bytes, (hot.len(), 0), true);
        return Ok((descriptor, summary));
    }
    let ordered = order(draft.nodes, hot, format == LayerFormat::EStargz)?;
    progress.start(&format!("packing the {} layer", draft.name), None);
    let mut file = staging.new_blob()?;
    let packed = pack(&ordered, format, file.as_file_mut(), progress);
    progress.finish();
    let packed = packed?;
    staging.adopt(file, &packed.descriptor.digest)?;
    let hot = (ordered.hot, ordered.hot_parts);
    let summary = summary(&packed.descriptor, packed.diff_id, packed.uncompressed_bytes, hot, false);
    Ok((packed.descriptor, summary))
}

/// Writes configuration, manifest and bill of materials; gives the index, the manifest's digest and the bill.
fn describe(
    request: &ImageRequest,
    base: Option<&Image>,
    layers: Vec<Descriptor>,
    summaries: &[LayerSummary],
    staging: &Staging,
) -> Result<(Index, Digest, Vec<u8>)> {
    let told: Vec<config::Layer<'_>> = summaries
        .iter()
        .map(|layer| config::Layer {
            name: &layer.name,
            diff_id: &layer.diff_id,
            of_base: base.is_some() && layer.name == "base",
        })
        .collect();
    let document: Value = config(base.map(|image| &image.config), request, &told);
    let config = staging.put(CONFIG, &to_bytes(&document)?)?;
    let mut annotations: BTreeMap<String, String> = request
        .labels
        .iter()
        .filter(|(key, _)| key.starts_with("org.opencontainers.image."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(base) = base {
        let digest = base.descriptor.digest.to_string();
        annotations.insert("org.opencontainers.image.base.digest".into(), digest);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.into(),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations,
    };
    let plain = staging.put(MANIFEST, &to_bytes(&manifest)?)?;
    let bill = sbom::document(request)?;
    let artifact = attach(&plain, &bill, staging)?;
    let digest = plain.digest.clone();
    let mut image = Descriptor { platform: Some(Platform::of(request.architecture)), ..plain };
    image.annotations.insert(REF_NAME.into(), request.name.clone());
    Ok((Index::new(vec![image, artifact]), digest, bill))
}

/// The bill of materials as an artifact that refers to the image (OCI image specification 1.1, "Guidelines for
/// Artifact Usage").
fn attach(image: &Descriptor, bill: &[u8], staging: &Staging) -> Result<Descriptor> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.into(),
        artifact_type: Some(CYCLONEDX.into()),
        config: staging.put(EMPTY, b"{}")?,
        layers: vec![staging.put(CYCLONEDX, bill)?],
        subject: Some(image.clone()),
        annotations: BTreeMap::new(),
    };
    let mut artifact = staging.put(MANIFEST, &to_bytes(&manifest)?)?;
    artifact.artifact_type = Some(CYCLONEDX.into());
    Ok(artifact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Ownership, Part};
    use fs_err as fs;
    use glowplug_core::{Architecture, NoProgress};
    use glowplug_package::{ArchiveEntry, Contents};

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn request(base: Base, bytes: usize) -> ImageRequest {
        let source = Contents::Bytes(vec![b'a'; bytes]);
        let entry = ArchiveEntry { path: "model.bin".into(), source, executable: false };
        ImageRequest {
            name: "latest".into(),
            base,
            architecture: Architecture::X86_64,
            python: None,
            format: LayerFormat::Gzip,
            runtime: Vec::new(),
            dependencies: Vec::new(),
            application: vec![Part { at: "/var/task".into(), entries: vec![entry] }],
            hot: Vec::new(),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: BTreeMap::new(),
            working_dir: None,
            labels: BTreeMap::new(),
            components: Vec::new(),
        }
    }

    /// The error of a request that is too large, after which nothing is left of it.
    fn too_large(request: &ImageRequest, limit: u64, root: &Utf8Path) -> Error {
        let out = root.join("out");
        fs::create_dir_all(&out).unwrap();
        let error = write_image_at_most(request, &out.join("image"), limit, &NoProgress).unwrap_err();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
        error
    }

    #[test]
    fn an_image_beyond_the_limit_names_what_is_largest() {
        let (_keep, root) = folder();
        let error = too_large(&request(Base::Scratch, 101), 100, &root);
        assert_eq!(error.message(), "the image unpacks to 101 B, and Lambda takes at most 100 B");
        assert!(error.hints()[1].contains("`var/task/model.bin` (101 B)"), "{:?}", error.hints());
        fs::create_dir_all(root.join("root")).unwrap();
        fs::write(root.join("root/large"), vec![0; 60]).unwrap();
        // Two names of one file are one file.
        fs::hard_link(root.join("root/large"), root.join("root/again")).unwrap();
        let base = || Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
        let error = too_large(&request(base(), 50), 100, &root);
        assert_eq!(error.hints()[0], "its layers are `base` (60 B), `application` (50 B)");
        assert!(write_image_at_most(&request(base(), 40), &root.join("fits"), 100, &NoProgress).is_ok());
    }

    #[test]
    fn a_base_that_unpacks_to_too_much_is_stopped_while_it_does() {
        let (_keep, root) = folder();
        write_image(&request(Base::Scratch, 1_000_000), &root.join("base"), &NoProgress).unwrap();
        for convert in [false, true] {
            let base = Base::Layout { path: root.join("base"), image: None, convert };
            let error = too_large(&request(base, 1), 500_000, &root);
            assert_eq!(error.message(), "the layer unpacks to more than 500 kB");
            assert!(error.hints()[0].contains("decompression bomb"), "{:?}", error.hints());
        }
    }
}
