//! URLs of a registry's API, and where a `Location` leads from there.

use glowplug_core::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

/// What stays as it is in the value of a query: the unreserved characters of RFC 3986, and those that token servers
/// are used to seeing in scopes.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b',');

/// Scheme, host and port: what may see a login, and what may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// `host` or `host:port`.
    pub authority: String,
}

/// The origin of an absolute HTTP URL; `None` for any other text.
pub(crate) fn origin(url: &str) -> Option<Origin> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?.as_str().to_ascii_lowercase();
    // A user's name ahead of the host would have another host be taken for the registry by whoever reads the text.
    let known = matches!(scheme.as_str(), "http" | "https") && !authority.contains('@');
    known.then_some(Origin { scheme, authority })
}

/// Where a `Location` header leads, seen from `base`: an absolute URL, an absolute path or, rarely, a relative one.
///
/// # Errors
/// Surroundings: it is no HTTP URL.
pub(crate) fn join(base: &str, location: &str) -> Result<String> {
    let wrong = || {
        Error::surroundings("the registry redirects to what is no HTTP URL")
            .place(without_query(base))
            .cause(crate::faults::readable(without_query(location), 200))
    };
    let from = origin(base).ok_or_else(wrong)?;
    let root = format!("{}://{}", from.scheme, from.authority);
    let path = base.get(root.len()..).unwrap_or_default();
    let joined = if location.starts_with("//") {
        format!("{}:{location}", from.scheme)
    } else if location.starts_with('/') {
        format!("{root}{location}")
    } else if location.starts_with('?') {
        format!("{root}{}{location}", without_query(path))
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = without_query(path).rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{root}{folder}/{location}")
    };
    origin(&joined).ok_or_else(wrong)?;
    Ok(joined)
}

/// A URL without its query, which may hold a signature: for people to read.
pub(crate) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// A URL with one more parameter in its query.
pub(crate) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={}", utf8_percent_encode(value, QUERY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_from_where_they_were_given() {
        let base = "https://host.example:5000/v2/a/blobs/uploads/1?state=x";
        for (location, joined) in [
            ("https://other/b?c", "https://other/b?c"),
            ("//other/b", "https://other/b"),
            ("/v2/b?_state=%2B", "https://host.example:5000/v2/b?_state=%2B"),
            ("2?x", "https://host.example:5000/v2/a/blobs/uploads/2?x"),
            ("?y", "https://host.example:5000/v2/a/blobs/uploads/1?y"),
        ] {
            assert_eq!(join(base, location).unwrap(), joined);
        }
        for wrong in ["ftp://other/", "file:///etc/passwd", "https://user@other/", "http://", "a b"] {
            assert!(join(base, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parameters_are_escaped_and_joined() {
        assert_eq!(
            with_parameter("http://h/t", "scope", "repository:a/b:pull,push"),
            "http://h/t?scope=repository:a/b:pull,push"
        );
        assert_eq!(
            with_parameter("http://h/t?a=1", "service", "x & y"),
            "http://h/t?a=1&service=x%20%26%20y"
        );
    }
}
