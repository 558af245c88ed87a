//! References to images, read as docker reads them: `python:3.12`, `host:5000/team/app@sha256:…`.
//!
//! The grammar is that of the distribution project's `reference` package. Written here because the library at hand
//! knows no IPv6 hosts and cannot say which part is wrong.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use glowplug_core::{Error, Result};

use crate::digest::Digest;
use crate::faults::readable;

/// The registry that is meant where a reference names none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// The host that serves [`DEFAULT_REGISTRY`]'s API.
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

/// Where the images of [`DEFAULT_REGISTRY`] are that are written without a slash.
const OFFICIAL: &str = "library";

/// Characters of host and repository together, in docker's grammar.
const MAX_NAME: usize = 255;

/// Characters of a tag.
const MAX_TAG: usize = 128;

/// An image, or several under an index, in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `host` or `host:port`, as written; `docker.io` where nothing was.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository, `library/python` for `python`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag. Where a reference has neither tag nor digest, it is `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:…`; where there is one too, the tag is only for people.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_ref().map(Digest::as_str)
    }

    /// The same repository with this digest and no tag.
    pub(crate) fn at(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// `host` or `host:port` that serves the API.
    pub(crate) fn host(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY { DEFAULT_REGISTRY_HOST } else { &self.registry }
    }

    /// Whether the registry is on this machine, as its name says.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.registry)
    }
}

/// Whether `host` or `host:port` names this machine.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// # Errors
    /// Input: a part is wrong; the error says which.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|cause| {
            let wrong = Error::input(format!("`{}` is not a reference to an image", readable(text, 200)))
                .cause(cause);
            if text.contains("://") {
                wrong.hint("write it without a scheme: `host/name:tag`; registries on loopback are asked over HTTP, others over HTTPS")
            } else {
                wrong.hint("write `name:tag`, `host:port/name:tag` or `host/name@sha256:…`")
            }
        })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.contains("://") {
        return Err("it is a URL".to_owned());
    }
    let (text, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(Digest::parse(digest).map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    // A colon after the last slash is before a tag, one ahead of it before a port.
    let name_starts = text.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match text[name_starts..].find(':') {
        Some(colon) => (&text[..name_starts + colon], Some(&text[name_starts + colon + 1..])),
        None => (text, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (registry, repository) = split(name);
    check_registry(&registry)?;
    check_repository(&repository)?;
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(format!("it has more than {MAX_NAME} characters"));
    }
    let tag = match (tag, &digest) {
        (Some(tag), _) => Some(tag.to_owned()),
        (None, None) => Some("latest".to_owned()),
        (None, Some(_)) => None,
    };
    Ok(Reference { registry, repository, tag, digest })
}

/// Docker's rule: what is ahead of the first slash is a host if it has a dot or a colon, is `localhost`, or has an
/// upper-case letter, which no repository has.
fn split(name: &str) -> (String, String) {
    let host = name.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':'])
            || *first == "localhost"
            || first.bytes().any(|byte| byte.is_ascii_uppercase())
    });
    let (registry, repository) = match host {
        Some(("index.docker.io" | DEFAULT_REGISTRY_HOST, rest)) => (DEFAULT_REGISTRY, rest),
        Some((host, rest)) => (host, rest),
        None => (DEFAULT_REGISTRY, name),
    };
    if registry == DEFAULT_REGISTRY && !repository.contains('/') && !repository.is_empty() {
        return (registry.to_owned(), format!("{OFFICIAL}/{repository}"));
    }
    (registry.to_owned(), repository.to_owned())
}

fn check_registry(registry: &str) -> Result<(), String> {
    let wrong = || format!("`{registry}` is not a host, or a host with a port");
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            ("", port.strip_prefix(':').or(port.is_empty().then_some("0")).ok_or_else(wrong)?)
        }
        None => registry.split_once(':').unwrap_or((registry, "0")),
    };
    port.parse::<u16>().map_err(|_| wrong())?;
    if registry.starts_with('[') {
        return Ok(());
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.split('.').all(label) { Ok(()) } else { Err(wrong()) }
}

/// Components of lower-case letters and digits, between which may be a dot, one or two underscores, or dashes.
fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("it names no repository".to_owned());
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("the repository `{repository}` has upper-case letters"));
    }
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    for component in repository.split('/') {
        let ends = component.bytes().next().is_some_and(alphanumeric)
            && component.bytes().last().is_some_and(alphanumeric);
        let between = component
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|byte| byte == b'-'));
        if !ends || !between {
            return Err(format!("`{component}` cannot be a part of a repository's name"));
        }
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(word);
    if !first || tag.len() > MAX_TAG || !tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) {
        return Err(format!("`{tag}` is not a tag"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn whole(text: &str) -> String {
        text.parse::<Reference>().map_or_else(|error| error.to_string(), |reference| reference.to_string())
    }

    #[test]
    fn short_names_are_completed_as_docker_does() {
        for (short, long) in [
            ("python", "docker.io/library/python:latest"),
            ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/python", "docker.io/library/python:latest"),
            ("index.docker.io/team/app:1", "docker.io/team/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("Host/app", "Host/app:latest"),
            ("127.0.0.1:5000/a/b__c/d--e:v1", "127.0.0.1:5000/a/b__c/d--e:v1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ] {
            assert_eq!(whole(short), long);
            assert_eq!(whole(long), long);
        }
        let both = format!("host.example/app:1@{DIGEST}");
        assert_eq!(whole(&both), both);
        assert_eq!(whole(&format!("app@{DIGEST}")), format!("docker.io/library/app@{DIGEST}"));
    }

    #[test]
    fn the_error_names_the_part() {
        for (wrong, part) in [
            ("", "names no repository"),
            ("https://host/app", "it is a URL"),
            ("host.example/", "names no repository"),
            ("host.example/App", "upper-case"),
            ("host:99999/app", "not a host"),
            ("-host.example/app", "not a host"),
            ("[::g]/app", "not a host"),
            ("app:", "`` is not a tag"),
            ("app:-x", "`-x` is not a tag"),
            ("app@sha256:12", "64 lower-case"),
            ("app@md5:12", "only sha256"),
            ("a//b", "`` cannot be a part"),
            ("a._b", "`a._b` cannot be a part"),
            ("../../etc/passwd", "`..` is not a host"),
            ("app\n:1", "cannot be a part"),
        ] {
            let text = whole(wrong);
            assert!(text.contains(part), "{wrong}: {text}");
        }
    }

    #[test]
    fn loopback_is_known_by_its_names() {
        for text in ["localhost/a", "localhost:5000/a", "127.1.2.3:80/a", "[::1]:5000/a", "x.localhost/a"] {
            assert!(text.parse::<Reference>().unwrap().is_loopback(), "{text}");
        }
        for text in ["python", "localhost.example/a", "128.0.0.1/a", "[::2]/a"] {
            assert!(!text.parse::<Reference>().unwrap().is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_reads_the_same_again(text in "\\PC{0,40}|[a-zA-Z0-9./:@_\\[\\]-]{0,60}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
