//! Reads an OCI layout folder: finds the image that is meant, and trusts no digest or size that it states.

use std::collections::BTreeSet;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Result, format_bytes};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits::{INDEX_DEPTH, JSON_LIMIT};
use crate::oci::{self, Descriptor, Digest, Index, Manifest, REF_NAME};
use crate::verified::Verified;

/// A folder with `oci-layout`.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: Utf8PathBuf,
    pub(crate) index: Index,
}

/// An image of a layout, its documents read and checked.
#[derive(Debug)]
pub(crate) struct Image {
    pub descriptor: Descriptor,
    pub manifest: Manifest,
    pub config: Value,
    /// Digests of the uncompressed layers.
    pub diff_ids: Vec<Digest>,
}

impl Layout {
    /// Error (input): no OCI layout of version 1.
    pub(crate) fn open(root: &Utf8Path) -> Result<Self> {
        let hint = "give the folder that holds `oci-layout`, `index.json` and `blobs`";
        let read = |name: &str| -> Result<Vec<u8>> {
            let path = root.join(name);
            let file = fs::File::open(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                    Error::input("this is no OCI layout").cause(error).place(root.as_str()).hint(hint)
                }
                _ => error.into(),
            })?;
            let mut bytes = Vec::new();
            file.take(JSON_LIMIT + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > JSON_LIMIT {
                return Err(Error::input(format!("`{name}` has more than {}", format_bytes(JSON_LIMIT)))
                    .place(path.as_str()));
            }
            Ok(bytes)
        };
        let version: Value = parse(&read("oci-layout")?, &root.join("oci-layout"))?;
        if version["imageLayoutVersion"] != "1.0.0" {
            return Err(Error::input("this OCI layout has a version that we do not know")
                .cause(version["imageLayoutVersion"].to_string())
                .place(root.join("oci-layout").as_str()));
        }
        let index = parse(&read("index.json")?, &root.join("index.json"))?;
        Ok(Self { root: root.to_owned(), index })
    }

    /// Where the blob with this digest is.
    pub(crate) fn blob(&self, digest: &Digest) -> Utf8PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// The file of a blob, of the promised size. Errors (input): missing, another size.
    pub(crate) fn open_blob(&self, blob: &Descriptor) -> Result<fs::File> {
        let path = self.blob(&blob.digest);
        let file = fs::File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::input("a blob of the layout is missing").place(path.as_str()).hint(AGAIN)
            }
            _ => error.into(),
        })?;
        let size = file.metadata()?.len();
        if size != blob.size {
            return Err(Error::input(format!("a blob has {size} bytes where {} are promised", blob.size))
                .place(path.as_str())
                .hint(AGAIN));
        }
        Ok(file)
    }

    /// A small document, checked against its digest and size.
    pub(crate) fn document<T: DeserializeOwned>(&self, blob: &Descriptor) -> Result<T> {
        let path = self.blob(&blob.digest);
        if blob.size > JSON_LIMIT {
            return Err(Error::input(format!("a document has more than {}", format_bytes(JSON_LIMIT)))
                .place(path.as_str()));
        }
        let mut reader = Verified::new(self.open_blob(blob)?, blob.size);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        check_digest(reader.digest(), blob, &path)?;
        parse(&bytes, &path)
    }

    /// The image that a tag or digest names, or the only one, for the first of these machines that it is there for.
    ///
    /// Errors (input): none or several, a machine that it is not for, documents that are damaged, lie or have types
    /// that we do not know.
    pub(crate) fn image(&self, wanted: Option<&str>, machines: &[Architecture]) -> Result<Image> {
        let top = self.top(wanted, machines)?;
        let found = self.resolve(top, machines, 0)?;
        let path = self.blob(&found.digest);
        let manifest: Manifest = self.document(&found)?;
        if !manifest.config.is_config() {
            return Err(unknown(&manifest.config, "no image's configuration", &path));
        }
        if let Some(layer) = manifest.layers.iter().find(|layer| layer.compression().is_none()) {
            return Err(unknown(layer, "no layer that we can read", &path));
        }
        let config: Value = self.document(&manifest.config)?;
        let place = self.blob(&manifest.config.digest);
        let said =
            (config["os"].as_str().unwrap_or_default(), config["architecture"].as_str().unwrap_or_default());
        if said.0 != "linux" || !machines.iter().any(|machine| oci::name(*machine) == said.1) {
            return Err(Error::input(format!(
                "the image is for {}/{}, and {} is wanted",
                said.0,
                said.1,
                in_words(machines)
            ))
            .place(place.as_str())
            .hint("give an image for that machine, or build for the machine of this one"));
        }
        let diff_ids: Vec<Digest> = serde_json::from_value(config["rootfs"]["diff_ids"].clone())
            .map_err(|error| damaged(&place, &error))?;
        if diff_ids.len() != manifest.layers.len() {
            return Err(Error::input(format!(
                "the configuration counts {} layers and the manifest {}",
                diff_ids.len(),
                manifest.layers.len()
            ))
            .place(place.as_str()));
        }
        Ok(Image { descriptor: found, manifest, config, diff_ids })
    }

    /// The entry of `index.json`.
    fn top(&self, wanted: Option<&str>, machines: &[Architecture]) -> Result<&Descriptor> {
        let place = self.root.join("index.json");
        let is_image = |d: &&Descriptor| {
            // What refers to an image (a signature, a bill of materials) is none.
            let about = || self.document::<Manifest>(d).is_ok_and(|manifest| manifest.subject.is_some());
            d.artifact_type.is_none() && !(d.is_manifest() && about())
        };
        let named = |d: &&Descriptor| match wanted {
            None => is_image(d),
            Some(name) => {
                d.digest.as_str() == name || d.annotations.get(REF_NAME).is_some_and(|tag| tag == name)
            }
        };
        let found: Vec<&Descriptor> = self.index.manifests.iter().filter(named).collect();
        let tags = || {
            let tags: Vec<&str> = self
                .index
                .manifests
                .iter()
                .filter(is_image)
                .map(|d| d.annotations.get(REF_NAME).map_or(d.digest.as_str(), String::as_str))
                .collect();
            if tags.is_empty() { "it has none".to_owned() } else { format!("it has `{}`", tags.join("`, `")) }
        };
        match (found.as_slice(), wanted) {
            ([one], _) => Ok(one),
            ([], Some(name)) => Err(Error::input(format!("the layout has no image `{name}`"))
                .place(place.as_str())
                .hint(format!("name one by its tag or digest: {}", tags()))),
            ([], None) => Err(Error::input("the layout has no image").place(place.as_str())),
            ([first, rest @ ..], _) if rest.iter().all(|d| d.digest == first.digest) => Ok(first),
            // Some tools list the images for several machines here, without an index between.
            (several, None) if one_of_each(several) => first_fitting(several.iter().copied(), machines)
                .ok_or_else(|| {
                    Error::input(format!("the layout has no image for {}", in_words(machines)))
                        .place(place.as_str())
                }),
            _ => Err(Error::input("the layout has several images")
                .place(place.as_str())
                .hint(format!("name one by its tag or digest: {}", tags()))),
        }
    }

    /// Goes through indexes until it is at the manifest for the machine.
    fn resolve(&self, from: &Descriptor, machines: &[Architecture], depth: usize) -> Result<Descriptor> {
        let path = self.blob(&from.digest);
        if from.is_manifest() {
            return Ok(from.clone());
        }
        if !from.is_index() {
            return Err(unknown(from, "neither a manifest nor an index", &self.root.join("index.json")));
        }
        if depth == INDEX_DEPTH {
            return Err(Error::input("too many indexes within indexes").place(path.as_str()));
        }
        let index: Index = self.document(from)?;
        // Some tools write an index that says nothing of the machine of its one image: its configuration will.
        let silent = || match index.manifests.as_slice() {
            [one] if one.platform.is_none() => Some(one),
            _ => None,
        };
        let nested = || index.manifests.iter().find(|d| d.platform.is_none() && d.is_index());
        let next = first_fitting(&index.manifests, machines).or_else(nested).or_else(silent);
        let Some(next) = next else {
            let there: Vec<String> = index
                .manifests
                .iter()
                .filter_map(|d| d.platform.as_ref())
                .map(|p| format!("{}/{}", p.os, p.architecture))
                .collect();
            return Err(Error::input(format!("the index has no image for {}", in_words(machines)))
                .place(path.as_str())
                .hint(format!("it has {}", there.join(", "))));
        };
        self.resolve(next, machines, depth + 1)
    }
}

/// The entry for the first of these machines that there is one for.
fn first_fitting<'a>(
    entries: impl IntoIterator<Item = &'a Descriptor> + Clone,
    machines: &[Architecture],
) -> Option<&'a Descriptor> {
    let fits = |entry: &Descriptor, machine: Architecture| {
        let on = |p: &oci::Platform| p.os == "linux" && p.architecture == oci::name(machine);
        entry.platform.as_ref().is_some_and(on)
    };
    machines.iter().find_map(|machine| entries.clone().into_iter().find(|entry| fits(entry, *machine)))
}

/// Whether each says for which machine it is, and no two for the same.
fn one_of_each(entries: &[&Descriptor]) -> bool {
    let mut seen = BTreeSet::new();
    entries.iter().all(|entry| {
        entry.platform.as_ref().is_some_and(|p| seen.insert((&p.os, &p.architecture, &p.variant)))
    })
}

/// `linux/amd64 or linux/arm64`.
fn in_words(machines: &[Architecture]) -> String {
    let named: Vec<&str> = machines.iter().map(|machine| machine.platform()).collect();
    named.join(" or ")
}

const AGAIN: &str = "the layout is incomplete or damaged: pull or copy it again";

/// Error (input): another digest than the one that is promised.
pub(crate) fn check_digest(is: Digest, promised: &Descriptor, path: &Utf8Path) -> Result<()> {
    if is == promised.digest {
        return Ok(());
    }
    Err(Error::input("a blob has another digest than its name")
        .cause(format!("it is {is}"))
        .place(path.as_str())
        .hint(AGAIN))
}

fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Utf8Path) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Utf8Path, error: &dyn std::fmt::Display) -> Error {
    Error::input("a document of the layout cannot be read").cause(error).place(path.as_str())
}

fn unknown(blob: &Descriptor, what: &str, path: &Utf8Path) -> Error {
    Error::input(format!("`{}` is {what}", blob.media_type)).place(path.as_str()).hint(
        "images with OCI's or Docker's (version 2, schema 2) media types can be read; copy others with a tool that \
         converts them",
    )
}
