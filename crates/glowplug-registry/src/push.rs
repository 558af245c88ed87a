//! From a layout into a registry.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use ureq::http::Method;

use crate::digest::Digest;
use crate::http::{Body, Watch};
use crate::layout::Layout;
use crate::limits::{MAX_INDEX_DEPTH, MAX_MANIFESTS};
use crate::manifest::{Descriptor, Manifest, total};
use crate::session::{Call, Session};
use crate::upload::{Way, upload};
use crate::{Access, Reference, faults, referrers, transfers};

/// Which of a layout's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// The only one that there is.
    Only,
    /// The one that the layout's index names so (`org.opencontainers.image.ref.name`).
    Named(String),
    /// The manifest or index with this digest.
    Digest(String),
}

impl FromStr for Image {
    type Err = Error;

    /// `sha256:…` is a digest, anything else a name.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(Digest::parse(text)?.to_string()));
        }
        Ok(Self::Named(text.to_owned()))
    }
}

/// What a push did. Bytes are those of configurations and layers, each counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest or index that was pushed.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// `host/repository@sha256:…`: what names it for ever.
    pub reference: String,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry took from other repositories.
    pub mounted: u64,
    /// Bytes that were in the repository.
    pub present: u64,
    /// Signatures, SBOMs and the like that went with it.
    pub referrers: usize,
}

/// Pushes an image of a layout, or an index with all its images, and what the layout has about them.
///
/// Blobs that are there are not sent; those that one of `mounts` has, repositories of the same registry, are taken from
/// there if it lets us. Manifests go after what they name, and the tag is moved last, so that whoever pulls by it gets
/// the old image or the new one.
///
/// # Errors
/// Input: the folder is no layout, has no such image or an incomplete one. Surroundings: registry, network, login.
/// Interrupted, as `progress` says. After an error the tag is what it was; blobs that were sent are not sent again.
pub fn push(
    layout: &Utf8Path,
    image: &Image,
    reference: &Reference,
    mounts: &[Reference],
    access: &Access,
    progress: &dyn Progress,
) -> Result<Pushed> {
    let layout = &Layout::open(layout)?;
    let content = Content::read(layout, &choose(layout, image)?, reference)?;
    let mounts: Vec<&str> = mounts
        .iter()
        .filter(|other| other.host() == reference.host() && other.repository() != reference.repository())
        .map(Reference::repository)
        .collect();
    let mut scopes = vec![format!("repository:{}:pull,push", reference.repository())];
    scopes.extend(mounts.iter().map(|repository| format!("repository:{repository}:pull")));
    let stop = AtomicBool::new(false);
    let session = Session::new(reference, scopes, access, Watch { progress, stop: &stop })?;

    progress.start(&format!("pushing {reference}"), Some(content.bytes));
    let outcome = transfers::all(&content.blobs, &stop, |blob| {
        upload(&session, layout, blob, &mounts).map(|way| (way, blob.size))
    });
    progress.finish();
    let ways = outcome?;
    let moved = |wanted: Way| ways.iter().filter(|(way, _)| *way == wanted).map(|(_, size)| size).sum();
    for manifest in &content.manifests {
        put(&session, manifest, manifest.digest.as_str())?;
    }
    if let Some(tag) = reference.tag() {
        put(&session, &content.root, tag)?;
    }
    Ok(Pushed {
        digest: content.root.digest.to_string(),
        media_type: content.root.media_type.clone(),
        reference: reference.at(&content.root.digest).to_string(),
        sent: moved(Way::Sent),
        mounted: moved(Way::Mounted),
        present: moved(Way::Present),
        referrers: content.referrers,
    })
}

/// All that goes into the registry.
struct Content {
    root: Manifest,
    /// Each after what it names, the root and then its referrers last.
    manifests: Vec<Manifest>,
    referrers: usize,
    blobs: Vec<Descriptor>,
    bytes: u64,
}

impl Content {
    fn read(layout: &Layout, chosen: &Descriptor, reference: &Reference) -> Result<Self> {
        let mut manifests = Vec::new();
        let root = gather(layout, chosen, 0, &mut manifests)?;
        if let Some(asked) = reference.digest().filter(|asked| *asked != root.digest.as_str()) {
            return Err(Error::input("the reference names another digest than the image has")
                .place(reference.to_string())
                .cause(format!("the image has {}, the reference {asked}", root.digest))
                .hint("leave the digest out of the reference"));
        }
        let subjects: Vec<Digest> = manifests.iter().map(|manifest| manifest.digest.clone()).collect();
        let about = referrers::find(layout, &subjects)?;
        let referrers = about.len();
        for manifest in about {
            gather(layout, &manifest.descriptor(), 0, &mut manifests)?;
        }
        let blobs: BTreeMap<&Digest, &Descriptor> =
            manifests.iter().flat_map(Manifest::blobs).map(|blob| (&blob.digest, blob)).collect();
        let blobs: Vec<Descriptor> = blobs.into_values().cloned().collect();
        if let Some(absent) = blobs.iter().find(|blob| !layout.path(&blob.digest).is_file()) {
            return Err(Error::input("the layout lacks a blob of the image")
                .place(layout.path(&absent.digest).as_str())
                .hint("make or fetch the layout anew"));
        }
        let bytes = total(&blobs, &reference.to_string())?;
        Ok(Self { root, manifests, referrers, blobs, bytes })
    }
}

/// A manifest and all below it, each after what it names.
fn gather(
    layout: &Layout,
    wanted: &Descriptor,
    depth: usize,
    manifests: &mut Vec<Manifest>,
) -> Result<Manifest> {
    if let Some(known) = manifests.iter().find(|known| known.digest == wanted.digest) {
        return Ok(known.clone());
    }
    if depth > MAX_INDEX_DEPTH || manifests.len() >= MAX_MANIFESTS {
        return Err(Error::input("the layout's image is no sensible one")
            .place(layout.path(&wanted.digest).as_str())
            .cause(format!(
                "more than {MAX_INDEX_DEPTH} indexes within each other, or {MAX_MANIFESTS} manifests"
            )));
    }
    let manifest = layout.manifest(wanted)?;
    for entry in &manifest.entries {
        gather(layout, entry, depth + 1, manifests)?;
    }
    manifests.push(manifest.clone());
    Ok(manifest)
}

fn choose(layout: &Layout, image: &Image) -> Result<Descriptor> {
    let entries = layout.entries()?;
    let names = || {
        let names: Vec<&str> = entries.iter().filter_map(|(_, name)| name.as_deref()).collect();
        if names.is_empty() {
            "it names no image".to_owned()
        } else {
            format!("it names {}", names.join(", "))
        }
    };
    match image {
        Image::Digest(digest) => {
            let digest = Digest::parse(digest)?;
            if let Some((entry, _)) = entries.iter().find(|(entry, _)| entry.digest == digest) {
                return Ok(entry.clone());
            }
            // One that only another index names is there too; its own words say what it is.
            Ok(Descriptor { media_type: String::new(), digest, size: 0, platform: None })
        }
        Image::Named(name) => {
            let found = entries.iter().find(|(_, known)| known.as_ref() == Some(name));
            found.map(|(entry, _)| entry.clone()).ok_or_else(|| {
                Error::input(format!("the layout has no image named `{}`", faults::readable(name, 128)))
                    .cause(names())
            })
        }
        Image::Only => {
            let mut images: Vec<&Descriptor> = Vec::new();
            for (entry, _) in &entries {
                let about = entry.is_manifest() && layout.manifest(entry)?.subject.is_some();
                if !about && !images.iter().any(|known| known.digest == entry.digest) {
                    images.push(entry);
                }
            }
            match images[..] {
                [only] => Ok(only.clone()),
                [] => Err(Error::input("the layout has no image")),
                _ => Err(Error::input(format!("the layout has {} images", images.len()))
                    .cause(names())
                    .hint("say which: by its name, or by its digest")),
            }
        }
    }
}

/// Pushes a manifest under a digest or a tag.
fn put(session: &Session<'_>, manifest: &Manifest, name: &str) -> Result<()> {
    let call = Call {
        method: Method::PUT,
        url: session.url(&format!("manifests/{name}")),
        headers: vec![("content-type", manifest.media_type.clone())],
        body: Body::Bytes(manifest.bytes.clone()),
        expects: &[200, 201, 202],
        what: format!("push the manifest {} to {}", manifest.digest, session.reference),
    };
    let answer = session.call(&call)?;
    match answer.header("docker-content-digest") {
        Some(stored) if stored.starts_with("sha256:") && stored != manifest.digest.as_str() => {
            let error =
                Error::surroundings("the registry stored it under another digest").place(call.url.clone());
            return Err(faults::within(&call.what, error.cause(faults::readable(stored, 100))));
        }
        _ => {}
    }
    // A registry of version 1.1 says that it has entered the manifest among its subject's referrers.
    if manifest.subject.is_some() && answer.header("oci-subject").is_none() {
        referrers::enter(session, manifest)?;
    }
    Ok(())
}
