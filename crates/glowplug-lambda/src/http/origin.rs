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
    let of_a_page = asked.header("sec-fetch-site").is_some_and(|site| site != "none");
    if of_a_page || asked.headers.contains_key("origin") {
        return Err(ApiError::new(
            Code::AccessDenied,
            "This API does not answer web pages; a function URL does.",
        ));
    }
    Ok(())
}

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
        assert!(passes(functions, &[("host", "gateway.internal:9001")]), "a program may use any name");
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
