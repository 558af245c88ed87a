//! The page at `/`, and the document that it shows: for people, and for nobody but them who sit at this machine.
//!
//! Both only tell. No page of another origin reads them: nothing allows it to, and a name that merely leads to this machine
//! gets no answer.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::{Asked, Reply, reply};
use crate::service::Service;

/// Made from `web/`.
const PAGE: &str = include_str!("../../assets/status.html");

/// Path of the document.
const DOCUMENT: [&str; 2] = ["_glowplug", "status"];

/// What browsers are told of both. The page's own policy is stricter about what it may load.
const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// The answer, if the page or its document is meant.
pub(super) fn answer(asked: &Asked, service: &Service) -> Option<Reply> {
    if asked.method != Method::GET || !asked.header("host").is_some_and(is_here) {
        return None;
    }
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let (kind, body) = match path.as_slice() {
        [] => ("text/html; charset=utf-8", PAGE.to_owned()),
        path if path == DOCUMENT => ("application/json", service.status().to_string()),
        _ => return None,
    };
    let mut reply = reply(StatusCode::OK, Some(kind), body.into_bytes());
    for (name, value) in HEADERS {
        reply.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Some(reply)
}

/// Whether a `Host` header names this machine itself, and not only an address that leads to it.
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine_are_known() {
        for host in ["127.0.0.1", "127.0.0.1:9001", "localhost:1", "[::1]:9001", "[::1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9001", "127.0.0.1.evil.example", "localhost:x", "127.0.0.2"]
        {
            assert!(!is_here(host), "{host}");
        }
    }
}
