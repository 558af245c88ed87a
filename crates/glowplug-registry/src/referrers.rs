//! What is about an image: signatures, SBOMs and the like, which name it as their `subject`.
//!
//! A registry that answers a push with `OCI-Subject` keeps the list itself. For others the distribution specification
//! has the client keep it, as an index under the tag `sha256-…` of the subject's digest.

use glowplug_core::{Error, Result};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::digest::Digest;
use crate::http::Body;
use crate::layout::Layout;
use crate::limits::MAX_MANIFEST_BYTES;
use crate::manifest::{Kind, Manifest, OCI_INDEX};
use crate::session::{Call, Session};

/// The manifests of a layout that are about one of `subjects`, or about one of those, in that order.
pub(crate) fn find(layout: &Layout, subjects: &[Digest]) -> Result<Vec<Manifest>> {
    let mut candidates = Vec::new();
    for (entry, _) in layout.entries()? {
        if !entry.is_manifest() || !layout.path(&entry.digest).is_file() {
            continue;
        }
        let manifest = layout.manifest(&entry)?;
        // Lists under the tags of subjects are indexes.
        for below in &manifest.entries {
            if below.is_manifest() && layout.path(&below.digest).is_file() {
                candidates.push(layout.manifest(below)?);
            }
        }
        candidates.push(manifest);
    }
    let mut known = subjects.to_vec();
    let mut found = Vec::new();
    loop {
        let about = |manifest: &Manifest| {
            let subject = manifest.subject.as_ref();
            subject.is_some_and(|subject| known.contains(&subject.digest))
                && !known.contains(&manifest.digest)
        };
        let Some(at) = candidates.iter().position(about) else { return Ok(found) };
        let manifest = candidates.swap_remove(at);
        known.push(manifest.digest.clone());
        found.push(manifest);
    }
}

/// Enters a manifest into the list of its subject's referrers, for a registry that keeps none itself.
///
/// # Errors
/// Surroundings: registry, network. Input: the tag of the list is of something else.
pub(crate) fn enter(session: &Session<'_>, manifest: &Manifest) -> Result<()> {
    let Some(subject) = &manifest.subject else { return Ok(()) };
    let tag = format!("sha256-{}", subject.digest.digits());
    let what = format!("enter {} into the referrers of {}", manifest.digest, subject.digest);
    let call = |method, body, headers, expects| Call {
        method,
        url: session.url(&format!("manifests/{tag}")),
        headers,
        body,
        expects,
        what: what.clone(),
    };
    let headers = vec![("accept", OCI_INDEX.to_owned())];
    let (answer, body) =
        session.read(&call(Method::GET, Body::None, headers, &[200, 404]), MAX_MANIFEST_BYTES)?;
    let wrong = || {
        Error::input(format!("cannot {what}"))
            .place(session.url(&format!("manifests/{tag}")))
            .cause("the tag for the list of referrers is of something else")
            .hint("delete that tag in the registry")
    };
    let mut list = match (answer.status, body) {
        (404, _) => json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }),
        (_, Some(body)) => {
            let read = Manifest::read(body, None).map_err(|_| wrong())?;
            if read.kind != Kind::Index {
                return Err(wrong());
            }
            serde_json::from_slice(&read.bytes).map_err(|_| wrong())?
        }
        (_, None) => return Err(wrong()),
    };
    let entries = list["manifests"].as_array_mut().ok_or_else(wrong)?;
    if entries.iter().any(|entry| entry["digest"] == manifest.digest.as_str()) {
        return Ok(());
    }
    entries.push(descriptor(manifest));
    let headers = vec![("content-type", OCI_INDEX.to_owned())];
    let body = Body::Bytes(list.to_string().into_bytes());
    session.call(&call(Method::PUT, body, headers, &[200, 201, 202]))?;
    Ok(())
}

/// How the list names a referrer: with its type and its annotations, so that readers need not fetch it.
fn descriptor(manifest: &Manifest) -> Value {
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest.as_str(),
        "size": manifest.bytes.len(),
    });
    if let Some(artifact_type) = &manifest.artifact_type {
        descriptor["artifactType"] = artifact_type.as_str().into();
    }
    let written: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    if written["annotations"].is_object() {
        descriptor["annotations"] = written["annotations"].clone();
    }
    descriptor
}
