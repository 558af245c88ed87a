//! One index over the images for several machines.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Progress, Result};
use serde::Serialize;

use crate::layout::Layout;
use crate::oci::{Descriptor, Digest, INDEX, Index, Manifest, REF_NAME, to_bytes};
use crate::staging::Staging;

/// An index that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexSummary {
    /// Its digest.
    pub digest: Digest,
    /// The machines that it has images for, as in `linux/amd64`.
    pub platforms: Vec<String>,
}

/// Writes the OCI layout folder `layout` with an index, tagged `name`, of the images in these layouts, each of which
/// has one; what refers to them comes along. The order of `images` does not matter.
///
/// Errors: no image, two for one machine, blobs that are missing or damaged (input), a place that is no layout
/// (usage), a file that cannot be written (surroundings), interruption.
pub fn index_of(
    images: &[Utf8PathBuf],
    name: &str,
    layout: &Utf8Path,
    progress: &dyn Progress,
) -> Result<IndexSummary> {
    crate::image::check_name(name)?;
    let staging = Staging::begin(layout)?;
    progress.start("gathering the images", None);
    let gathered = gather(images, &staging, progress);
    progress.finish();
    let (mut found, artifacts) = gathered?;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some([one, _]) = found.array_windows().find(|[one, other]| one.0 == other.0) {
        return Err(Error::input(format!("two of the images are for {}", one.0)).place(layout.as_str()));
    }
    let (platforms, manifests): (Vec<String>, Vec<Descriptor>) = found.into_iter().unzip();
    if manifests.is_empty() {
        return Err(Error::input("there is no image to make an index of").place(layout.as_str()));
    }
    let mut index = staging.put(INDEX, &to_bytes(&Index::new(manifests))?)?;
    let digest = index.digest.clone();
    index.annotations.insert(REF_NAME.into(), name.to_owned());
    let mut tops = vec![index];
    tops.extend(artifacts);
    staging.finish(&Index::new(tops), None)?;
    Ok(IndexSummary { digest, platforms })
}

/// The images with their machines, and what refers to them.
type Gathered = (Vec<(String, Descriptor)>, Vec<Descriptor>);

/// Copies every blob.
fn gather(images: &[Utf8PathBuf], staging: &Staging, progress: &dyn Progress) -> Result<Gathered> {
    let mut found = Vec::new();
    let mut artifacts = Vec::new();
    let mut seen = BTreeSet::new();
    for path in images {
        let from = Layout::open(path)?;
        for top in &from.index.manifests {
            if !top.is_manifest() {
                return Err(Error::input(format!("`{}` is no single image", top.media_type))
                    .place(path.as_str())
                    .hint("make an index of layouts that have an image for one machine each"));
            }
            let manifest: Manifest = from.document(top)?;
            for blob in [&manifest.config, top].into_iter().chain(&manifest.layers) {
                staging.copy(&from, blob, progress)?;
            }
            let mut plain = top.clone();
            plain.annotations.remove(REF_NAME);
            if manifest.subject.is_some() {
                if seen.insert(plain.digest.clone()) {
                    artifacts.push(plain);
                }
                continue;
            }
            let platform = plain.platform.as_ref().ok_or_else(|| {
                Error::input("an image does not say which machine it is for").place(path.as_str())
            })?;
            found.push((format!("{}/{}", platform.os, platform.architecture), plain));
        }
    }
    artifacts.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok((found, artifacts))
}
