//! Who may ask: programs, and people at the address bar, but no web page.
//!
//! A page of any site could have a visitor's browser send requests to this machine, create a function and invoke it:
//! browsers let simple requests through without asking the server. They say that a page sends them, though ("Fetch", the
//! `Origin` header; "Fetch Metadata Request Headers", `Sec-Fetch-Site`). Pages that functions give are no better: here they
//! have the origin of the API. Function URLs are for browsers, and have rules of their own.

use super::{Asked, url};
use crate::error::{ApiError, Code};

/// Refuses what a page has a browser send.
pub(super) fn check(asked: &Asked) -> Result<(), ApiError> {
    if asked.path.first().is_some_and(|first| first == url::PREFIX) {
        return Ok(());
    }
    // A page whose own name leads here now, by its server's doing, says neither.
    if asked.header("host").is_some_and(|host| !may_be_called(host)) {
        return Err(ApiError::new(
            Code::AccessDenied,
            "This API answers to names of this machine: 127.0.0.1, localhost, or another address in figures.",
        ));
    }
    let of_a_page = asked.header("sec-fetch-site").is_some_and(|site| site != "none");
    if of_a_page || asked.headers.contains_key("origin") {
        return Err(ApiError::new(
            Code::AccessDenied,
            "This API does not answer web pages; a function URL does.",
        ));
    }
    Ok(())
}

/// Names that lead here: those of this machine, addresses in figures, and what containers call it.
fn may_be_called(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost")
        || NAMES.contains(&name)
}

/// What Docker, Podman and Lambda's extensions call this machine.
const NAMES: [&str; 3] = ["host.docker.internal", "host.containers.internal", "sandbox.localdomain"];

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use hyper::{HeaderMap, Method};

    use super::*;

    fn passes(path: &[&str], headers: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        check(&Asked {
            method: Method::POST,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: Vec::new(),
            headers: map,
            body: hyper::body::Bytes::new(),
            raw_path: String::new(),
            raw_query: String::new(),
        })
        .is_ok()
    }

    #[test]
    fn programs_pass_and_pages_do_not() {
        let functions = &["2015-03-31", "functions"][..];
        assert!(passes(functions, &[]));
        for host in [
            "127.0.0.1:9001",
            "localhost",
            "[::1]:9001",
            "192.168.0.2",
            "lambda:9001",
            "host.docker.internal:9001",
        ] {
            assert!(passes(functions, &[("host", host)]), "{host}");
        }
        assert!(!passes(functions, &[("host", "evil.example:9001")]), "its page could read what it likes");
        assert!(passes(&["lambda-url", "f"], &[("host", "evil.example:9001")]));
        assert!(passes(functions, &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        for page in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9001"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "same-origin"),
        ] {
            assert!(!passes(functions, &[page]), "{page:?}");
            assert!(passes(&["lambda-url", "f"], &[page]), "{page:?}");
        }
    }
}
