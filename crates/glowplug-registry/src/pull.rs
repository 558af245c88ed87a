//! From a registry into a layout.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::digest::Digest;
use crate::download::download;
use crate::http::{Body, Watch};
use crate::layout::Layout;
use crate::limits::{MAX_ANSWER_BYTES, MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES, MAX_MANIFESTS};
use crate::manifest::{Descriptor, KNOWN, Kind, Manifest, total};
use crate::platform::{self, Platforms};
use crate::session::{Call, Session};
use crate::{Access, Reference, faults, transfers};

/// Tags that are shown of those that there are.
const SHOWN_TAGS: usize = 10;

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of the image's manifest in the layout; of the index where all platforms were wanted and there is one.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// The digest of what the reference names: the index from which an image was chosen, else the same as `digest`.
    pub source: String,
    /// Bytes of configurations and layers, each counted once.
    pub bytes: u64,
    /// How many of them were fetched; the others were in the layout.
    pub fetched: u64,
}

/// What is to be in the layout.
struct Wanted {
    root: Manifest,
    source: Digest,
    /// All below the root, each after what it names.
    below: Vec<Manifest>,
}

/// Fetches an image into an OCI layout, which is made where there is none.
///
/// An index is resolved to one platform, or kept with all. Blobs that are in the layout, and right, are not fetched
/// again. The layout's index names the image by the reference's tag; a reference with a digest alone gives an entry
/// without a name.
///
/// # Errors
/// Input: there is no such repository, tag, blob or platform, or it is nothing that is known here; the folder is
/// something else than a layout. Surroundings: registry, network, login, disk. Interrupted, as `progress` says. Whatever
/// the error, the layout is valid, and what was whole by then is not fetched again.
pub fn pull(
    reference: &Reference,
    platforms: Platforms,
    layout: &Utf8Path,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Pulled> {
    let stop = AtomicBool::new(false);
    let watch = Watch { progress, stop: &stop };
    let scope = format!("repository:{}:pull", reference.repository());
    let session = Session::new(reference, vec![scope], access, watch)?;
    let wanted = resolve(&session, platforms)?;
    let image = reference.to_string();
    let manifests = || wanted.below.iter().chain([&wanted.root]);
    let blobs: BTreeMap<&Digest, &Descriptor> =
        manifests().flat_map(Manifest::blobs).map(|blob| (&blob.digest, blob)).collect();
    let bytes = total(blobs.values().copied(), &image)?;
    let layout = Layout::create(layout)?;
    let missing = missing(&layout, blobs.into_values(), watch)?;
    let fetched = missing.iter().map(|blob| blob.size).sum();
    progress.start(&format!("fetching {image}"), Some(fetched));
    let outcome = fetch(&session, &layout, &missing, &wanted.root, platforms, &stop);
    progress.finish();
    outcome?;
    for manifest in manifests() {
        layout.store(manifest)?;
    }
    layout.enter(entry(&layout, &wanted.root)?, reference.tag())?;
    Ok(Pulled {
        digest: wanted.root.digest.to_string(),
        media_type: wanted.root.media_type.clone(),
        source: wanted.source.to_string(),
        bytes,
        fetched,
    })
}

/// Fetches the manifests that are wanted.
fn resolve(session: &Session<'_>, platforms: Platforms) -> Result<Wanted> {
    let reference = session.reference;
    let name = reference.digest().or(reference.tag()).unwrap_or("latest");
    let mut root = manifest(session, name, None)?;
    let source = root.digest.clone();
    match platforms {
        Platforms::One(architecture) => {
            for _ in 0..MAX_INDEX_DEPTH {
                if root.kind == Kind::Image {
                    return Ok(Wanted { root, source, below: Vec::new() });
                }
                let chosen = platform::select(&root.entries, architecture, &reference.to_string())?;
                root = manifest(session, chosen.digest.as_str(), Some(chosen))?;
            }
            Err(too_many(reference, &format!("indexes are nested more than {MAX_INDEX_DEPTH} deep")))
        }
        Platforms::All => {
            let mut below = Vec::new();
            gather(session, &root, 1, &mut below)?;
            Ok(Wanted { root, source, below })
        }
    }
}

/// Everything below an index, each after what it names.
fn gather(session: &Session<'_>, index: &Manifest, depth: usize, below: &mut Vec<Manifest>) -> Result<()> {
    if depth > MAX_INDEX_DEPTH {
        let cause = format!("indexes are nested more than {MAX_INDEX_DEPTH} deep");
        return Err(too_many(session.reference, &cause));
    }
    for entry in &index.entries {
        if below.iter().any(|known| known.digest == entry.digest) {
            continue;
        }
        if below.len() >= MAX_MANIFESTS {
            return Err(too_many(session.reference, &format!("it has more than {MAX_MANIFESTS} manifests")));
        }
        let found = manifest(session, entry.digest.as_str(), Some(entry))?;
        gather(session, &found, depth + 1, below)?;
        below.push(found);
    }
    Ok(())
}

fn too_many(reference: &Reference, cause: &str) -> Error {
    Error::input(format!("{reference} is no sensible image")).cause(cause)
}

/// Fetches a manifest by tag or digest. `named` is how an index names it.
pub(crate) fn manifest(session: &Session<'_>, name: &str, named: Option<&Descriptor>) -> Result<Manifest> {
    let call = Call {
        method: Method::GET,
        url: session.url(&format!("manifests/{name}")),
        headers: vec![("accept", KNOWN.join(", "))],
        body: Body::None,
        expects: &[200, 404],
        what: format!("fetch the manifest `{name}` of {}", session.reference),
    };
    let (answer, body) = session.read(&call, MAX_MANIFEST_BYTES)?;
    let failed = |error: Error| faults::within(&call.what, error.place(call.url.clone()));
    if answer.status == 404 {
        return Err(absent(session, name, faults::words(&body.unwrap_or_default())));
    }
    let body = body
        .ok_or_else(|| failed(Error::surroundings(format!("it has more than {MAX_MANIFEST_BYTES} bytes"))))?;
    let told = answer.header("docker-content-digest").map(str::to_owned);
    let manifest = Manifest::read(body, answer.header("content-type")).map_err(failed)?;
    let other = |expected: &str, by: &str| {
        failed(Error::surroundings(format!("the registry sent another manifest than {by}")).cause(format!(
            "{} instead of {}",
            manifest.digest,
            faults::readable(expected, 100)
        )))
    };
    let asked = name.starts_with("sha256:").then_some(name);
    if let Some(asked) = asked.filter(|asked| *asked != manifest.digest.as_str()) {
        return Err(other(asked, "was asked for"));
    }
    let told = told.filter(|told| told.starts_with("sha256:") && told != manifest.digest.as_str());
    if let Some(told) = told {
        return Err(other(&told, "its own header says"));
    }
    match named {
        Some(named) if named.size != manifest.bytes.len() as u64 => Err(failed(
            Error::surroundings("the manifest has another size than its index promises").cause(format!(
                "{} bytes instead of {}",
                manifest.bytes.len(),
                named.size
            )),
        )),
        _ => Ok(manifest),
    }
}

/// Which part of a reference does not exist: registries answer alike, so that the tags are asked for.
fn absent(session: &Session<'_>, name: &str, words: Option<String>) -> Error {
    let reference = session.reference;
    let call = Call {
        method: Method::GET,
        url: session.url("tags/list?n=100"),
        headers: Vec::new(),
        body: Body::None,
        expects: &[200, 404],
        what: "list the tags".to_owned(),
    };
    let tags: Option<Vec<String>> = match session.read(&call, MAX_ANSWER_BYTES) {
        Ok((answer, body)) if answer.status == 200 => {
            let list: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
            let tags = list["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut names: Vec<String> =
                tags.iter().filter_map(Value::as_str).map(|tag| faults::readable(tag, 128)).collect();
            names.sort();
            Some(names)
        }
        Ok(_) => None,
        Err(error) if error.class() == glowplug_core::ErrorClass::Interrupted => return error,
        Err(_) => Some(Vec::new()),
    };
    let registry = reference.registry();
    let repository = reference.repository();
    let error = match &tags {
        None => Error::input(format!("there is no repository `{repository}` at {registry}"))
            .hint("check the name; a private one may need a login"),
        Some(_) if name.starts_with("sha256:") => {
            Error::input(format!("`{repository}` at {registry} has nothing with the digest {name}"))
        }
        Some(_) => Error::input(format!("`{repository}` at {registry} has no tag `{name}`")),
    };
    let error = match words {
        Some(words) => error.cause(words),
        None => error,
    };
    let error = error.place(session.url(&format!("manifests/{name}")));
    match tags.as_deref() {
        None | Some([]) => error,
        Some(tags) => {
            let more = if tags.len() > SHOWN_TAGS { ", …" } else { "" };
            let shown = tags[..tags.len().min(SHOWN_TAGS)].join(", ");
            error.hint(format!("tags there: {shown}{more}"))
        }
    }
}

/// Fetches what is missing. The configuration of a single image goes first: it tells whether the rest is wanted.
fn fetch(
    session: &Session<'_>,
    layout: &Layout,
    missing: &[&Descriptor],
    root: &Manifest,
    platforms: Platforms,
    stop: &AtomicBool,
) -> Result<()> {
    let mut missing = missing.to_vec();
    if let (Platforms::One(architecture), Some(config)) = (platforms, &root.config) {
        if config.size > MAX_MANIFEST_BYTES {
            return Err(Error::input("the image's configuration is too large")
                .cause(format!("{} bytes, of which {MAX_MANIFEST_BYTES} are allowed", config.size)));
        }
        if let Some(at) = missing.iter().position(|blob| blob.digest == config.digest) {
            download(session, layout, missing.swap_remove(at))?;
        }
        let text = fs::read(layout.path(&config.digest))?;
        platform::check(&text, architecture, &session.reference.to_string())?;
    }
    transfers::all(&missing, stop, |blob| download(session, layout, blob)).map(drop)
}

fn missing<'b>(
    layout: &Layout,
    blobs: impl IntoIterator<Item = &'b Descriptor>,
    watch: Watch<'_>,
) -> Result<Vec<&'b Descriptor>> {
    let mut missing = Vec::new();
    for blob in blobs {
        if !layout.has(blob, &|| watch.check())? {
            missing.push(blob);
        }
    }
    Ok(missing)
}

/// How the layout's index names what was fetched; an image with the platform that its configuration tells.
fn entry(layout: &Layout, root: &Manifest) -> Result<Value> {
    let mut entry = json!({
        "mediaType": root.media_type,
        "digest": root.digest.as_str(),
        "size": root.bytes.len(),
    });
    if let Some(config) = root.config.as_ref().filter(|config| config.size <= MAX_MANIFEST_BYTES) {
        let text = fs::read(layout.path(&config.digest))?;
        let config: Value = serde_json::from_slice(&text).unwrap_or_default();
        if config["architecture"].is_string() && config["os"].is_string() {
            let members = ["architecture", "os", "os.version", "os.features", "variant"];
            let told = members.iter().filter(|name| !config[**name].is_null());
            entry["platform"] = told.map(|name| ((*name).to_owned(), config[*name].clone())).collect();
        }
    }
    Ok(entry)
}
