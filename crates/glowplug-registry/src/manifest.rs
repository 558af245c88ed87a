//! Manifests and indexes, in OCI's form and in Docker's: which kind some bytes are, and what they name. The bytes
//! themselves are passed on as they are, since their digest is their name.

use glowplug_core::{Error, Result, format_bytes};
use serde::Deserialize;

use crate::digest::Digest;
use crate::faults::readable;
use crate::platform::Platform;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What we ask registries for.
pub(crate) const KNOWN: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// How media types of the format of 2015 begin.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What a manifest or an index says of something that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub platform: Option<Platform>,
}

/// Whether something names images or layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Index,
    Image,
}

/// A manifest or an index that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub kind: Kind,
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Vec<u8>,
    /// The manifests that an index names.
    pub entries: Vec<Descriptor>,
    /// An image's configuration.
    pub config: Option<Descriptor>,
    /// An image's layers.
    pub layers: Vec<Descriptor>,
    /// What it is about, for signatures, SBOMs and the like.
    pub subject: Option<Descriptor>,
    /// What an artifact is: its own word for it, else its configuration's media type.
    pub artifact_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Option<Vec<WrittenDescriptor>>,
    config: Option<WrittenDescriptor>,
    layers: Option<Vec<WrittenDescriptor>>,
    subject: Option<WrittenDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

impl WrittenDescriptor {
    fn check(self) -> Result<Descriptor> {
        Ok(Descriptor {
            media_type: self.media_type.unwrap_or_default(),
            digest: Digest::parse(&self.digest)?,
            size: self.size,
            platform: self.platform,
        })
    }
}

impl Descriptor {
    /// Reads one as JSON has it.
    pub(crate) fn read(value: &serde_json::Value) -> Result<Self> {
        WrittenDescriptor::deserialize(value)
            .map_err(|error| Error::input("a descriptor cannot be understood").cause(error))?
            .check()
    }

    /// Whether it names a manifest or an index.
    pub(crate) fn is_manifest(&self) -> bool {
        KNOWN.contains(&self.media_type.as_str())
    }

    #[cfg(test)]
    pub(crate) fn example(bytes: &[u8]) -> Self {
        Self {
            media_type: OCI_MANIFEST.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
        }
    }
}

impl Manifest {
    /// Understands some bytes. `named` is the media type that a registry or a descriptor gave them, if any.
    ///
    /// # Errors
    /// Input: they are no JSON, of a kind that is unknown or too old, or they contradict themselves.
    pub(crate) fn read(bytes: Vec<u8>, named: Option<&str>) -> Result<Self> {
        let named =
            named.map(|named| named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if named.as_deref().is_some_and(|named| named.starts_with(SCHEMA_1)) {
            return Err(schema_1());
        }
        let written: Written = serde_json::from_slice(&bytes).map_err(|error| {
            let message = if error.is_data() {
                "the manifest is not as the specification has it"
            } else {
                "the manifest is not JSON"
            };
            Error::input(message).cause(error)
        })?;
        if written.schema_version == Some(1) && written.media_type.is_none() {
            return Err(schema_1());
        }
        let media_type = media_type(&written, named.as_deref())?;
        let kind =
            if [OCI_INDEX, DOCKER_LIST].contains(&media_type.as_str()) { Kind::Index } else { Kind::Image };
        Self::check(written, kind, media_type, bytes)
    }

    fn check(written: Written, kind: Kind, media_type: String, bytes: Vec<u8>) -> Result<Self> {
        let lacks = |member: &str| {
            Error::input(format!("the manifest has no `{member}`"))
                .cause(format!("its media type is `{media_type}`"))
        };
        let all = |written: Option<Vec<WrittenDescriptor>>| -> Result<Vec<Descriptor>> {
            written.unwrap_or_default().into_iter().map(WrittenDescriptor::check).collect()
        };
        let artifact_type = written
            .artifact_type
            .or_else(|| written.config.as_ref().and_then(|config| config.media_type.clone()));
        match kind {
            // A document that is both would be read as one thing here and as another there.
            Kind::Index if written.layers.is_some() || written.config.is_some() => {
                return Err(Error::input("the manifest is an index and an image at once"));
            }
            Kind::Image if written.manifests.is_some() => {
                return Err(Error::input("the manifest is an index and an image at once"));
            }
            Kind::Index if written.manifests.is_none() => return Err(lacks("manifests")),
            Kind::Image if written.config.is_none() => return Err(lacks("config")),
            Kind::Image if written.layers.is_none() => return Err(lacks("layers")),
            Kind::Index | Kind::Image => {}
        }
        Ok(Self {
            kind,
            digest: Digest::of(&bytes),
            bytes,
            entries: all(written.manifests)?,
            config: written.config.map(WrittenDescriptor::check).transpose()?,
            layers: all(written.layers)?,
            subject: written.subject.map(WrittenDescriptor::check).transpose()?,
            artifact_type,
            media_type,
        })
    }

    /// Its configuration and its layers.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// How an index, or a referrer's subject, names it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
            platform: None,
        }
    }
}

/// The media type: what the bytes say of themselves, else what they were named, else what their members show.
fn media_type(written: &Written, named: Option<&str>) -> Result<String> {
    let unknown = |media_type: &str| {
        Error::input(format!("`{}` is no kind of manifest that is known here", readable(media_type, 120)))
            .hint("images and indexes of OCI, and Docker's manifests of version 2 and lists of them, are")
    };
    // Servers that do not know better say one of these.
    let named = named.filter(|named| {
        !matches!(*named, "" | "application/json" | "application/octet-stream" | "text/plain")
    });
    let own = written.media_type.as_deref().filter(|own| !own.is_empty());
    match (own, named) {
        (Some(own), Some(named)) if own != named && KNOWN.contains(&own) && KNOWN.contains(&named) => {
            Err(Error::input("the manifest says that it is of another kind than it was named")
                .cause(format!("`{own}` within, `{named}` outside")))
        }
        (Some(own), _) if KNOWN.contains(&own) => Ok(own.to_owned()),
        (Some(own), _) => Err(unknown(own)),
        (None, Some(named)) if KNOWN.contains(&named) => Ok(named.to_owned()),
        (None, Some(named)) => Err(unknown(named)),
        (None, None) if written.manifests.is_some() => Ok(OCI_INDEX.to_owned()),
        (None, None) => Ok(OCI_MANIFEST.to_owned()),
    }
}

fn schema_1() -> Error {
    Error::input("the manifest is of schema 1, which registries gave up in 2019")
        .hint("push the image anew with a current docker or skopeo, which write schema 2")
}

/// The bytes of several blobs together, each counted once.
///
/// # Errors
/// Input: more than [`crate::MAX_IMAGE_BYTES`].
pub(crate) fn total<'a>(blobs: impl IntoIterator<Item = &'a Descriptor>, image: &str) -> Result<u64> {
    let most = crate::MAX_IMAGE_BYTES;
    let sum = blobs.into_iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    if sum > most {
        return Err(Error::input(format!("{image} is too large"))
            .cause(format!("{sum} bytes in layers, where {} are allowed", format_bytes(most)))
            .hint("Lambda takes images of up to 10 GB; choose a smaller base image"));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, named: Option<&str>) -> String {
        match Manifest::read(text.as_bytes().to_vec(), named) {
            Ok(manifest) => format!("{:?} {}", manifest.kind, manifest.media_type),
            Err(error) => error.to_string(),
        }
    }

    fn image() -> String {
        let digest = Digest::of(b"x");
        format!(r#""config":{{"digest":"{digest}","size":1}},"layers":[]"#)
    }

    #[test]
    fn kinds_are_known_by_what_they_say_else_by_what_they_are() {
        let image = image();
        assert_eq!(read(&format!("{{{image}}}"), None), format!("Image {OCI_MANIFEST}"));
        assert_eq!(read(&format!("{{{image}}}"), Some("application/json")), format!("Image {OCI_MANIFEST}"));
        let named = format!("{DOCKER_MANIFEST}; charset=utf-8");
        assert_eq!(read(&format!("{{{image}}}"), Some(&named)), format!("Image {DOCKER_MANIFEST}"));
        let own = format!(r#"{{"mediaType":"{DOCKER_LIST}","manifests":[]}}"#);
        assert_eq!(read(&own, None), format!("Index {DOCKER_LIST}"));
        assert_eq!(read(r#"{"manifests":[]}"#, None), format!("Index {OCI_INDEX}"));
    }

    #[test]
    fn what_is_no_manifest_is_told_apart() {
        let image = image();
        for (text, named, cause) in [
            ("<html>", None, "not JSON"),
            ("[]", None, "not as the specification has it"),
            ("{}", None, "has no `config`"),
            (r#"{"mediaType":"a/b"}"#, None, "`a/b` is no kind"),
            ("{}", Some("text/html"), "`text/html` is no kind"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1"),
            ("{}", Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
            (&format!(r#"{{"manifests":[],{image}}}"#), None, "at once"),
            (&format!(r#"{{"mediaType":"{OCI_INDEX}",{image}}}"#), Some(OCI_MANIFEST), "another kind"),
            (r#"{"manifests":[{"digest":"sha256:1","size":1}]}"#, None, "not a digest"),
            (r#"{"manifests":[{"digest":"sha256:1","size":-1}]}"#, None, "not as the specification has it"),
        ] {
            assert!(read(text, named).contains(cause), "{text}: {}", read(text, named));
        }
    }

    #[test]
    fn sums_do_not_overflow() {
        let large = Descriptor { size: u64::MAX, ..Descriptor::example(b"x") };
        assert!(total([&large, &large], "app").unwrap_err().to_string().contains("too large"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, named in proptest::option::of("[ -~]{0,20}")) {
            let _ = Manifest::read(bytes, named.as_deref());
        }
    }
}
