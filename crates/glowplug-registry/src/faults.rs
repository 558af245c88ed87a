//! What goes wrong between two machines, as errors that say who, where and what to do.

use std::io;
use std::time::{Duration, SystemTime};

use glowplug_core::{Error, ErrorClass};
use serde::Deserialize;

use crate::address::without_query;
use crate::attempts::Failure;
use crate::credentials::Found;
use crate::http::Answer;

/// Characters of a registry's own words that are shown.
const WORDS: usize = 300;

/// Statuses that pass by themselves: the server is busy, or the machine behind it is being replaced.
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// Text of somebody else as it may stand in a message: one line, without control characters, not too long.
pub(crate) fn readable(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = words.chars().filter(|c| !hidden(*c)).collect();
    match clean.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// The same error as a part of something larger: `what` fails because of it.
pub(crate) fn within(what: &str, error: Error) -> Error {
    let message = format!("cannot {what}");
    let mut outer = match error.class() {
        ErrorClass::Interrupted => return error,
        ErrorClass::Input => Error::input(message),
        ErrorClass::Usage => Error::usage(message),
        ErrorClass::Surroundings => Error::surroundings(message),
    };
    outer = outer.cause(error.message());
    for cause in error.causes() {
        outer = outer.cause(cause);
    }
    if let Some(place) = error.where_() {
        outer = outer.place(place);
    }
    error.hints().iter().fold(outer, Error::hint)
}

/// A connection that does not come about, or breaks.
pub(crate) fn broken(url: &str, error: ureq::Error) -> Failure {
    let place = without_query(url).to_owned();
    let failed = |message: &str| Error::surroundings(message).place(place.clone());
    match error {
        ureq::Error::Tls(cause) => Failure::Final(tls(failed("no secure connection"), cause)),
        ureq::Error::Rustls(cause) => Failure::Final(tls(failed("no secure connection"), &cause.to_string())),
        // What rustls refuses comes as invalid data of the stream.
        ureq::Error::Io(cause) if url.starts_with("https:") && cause.kind() == io::ErrorKind::InvalidData => {
            Failure::Final(tls(failed("no secure connection"), &cause.to_string()))
        }
        ureq::Error::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            Failure::passing(failed("nobody listens there").cause(cause).hint("check the host and the port"))
        }
        ureq::Error::HostNotFound => {
            Failure::passing(failed("the host has no address").hint("check the host's name, and the network"))
        }
        ureq::Error::Timeout(cause) => {
            Failure::passing(failed("the registry did not go on in time").cause(format!("{cause}")))
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Failure::Final(failed("the address cannot be asked").cause(error))
        }
        ureq::Error::Io(cause) => Failure::passing(failed("the connection broke").cause(cause)),
        other => Failure::passing(failed("the connection broke").cause(other)),
    }
}

fn tls(error: Error, cause: &str) -> Error {
    let error = error.cause(readable(cause, WORDS));
    if cause.contains("InvalidContentType") || cause.contains("corrupt message") {
        return error.hint("if that registry speaks plain HTTP, allow it to (`--plain-http`)");
    }
    error.hint(
        "set SSL_CERT_FILE to a PEM file with the certificate of the authority that signed the registry's",
    )
}

/// The errors that a registry may send with a status.
#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

/// A registry's own words: from its JSON, else from plain text.
pub(crate) fn words(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<Envelope>(body) {
        Ok(envelope) => {
            let told = envelope.errors.into_iter().map(|Told { code, message, detail }| {
                let detail = detail.as_str().map(|detail| format!(" ({detail})")).unwrap_or_default();
                if message.is_empty() {
                    format!("{code}{detail}")
                } else {
                    format!("{code}: {message}{detail}")
                }
            });
            told.collect::<Vec<_>>().join("; ")
        }
        // Pages for browsers say nothing in three hundred characters.
        Err(_) => String::from_utf8(body.to_vec()).ok().filter(|text| !text.trim_start().starts_with('<'))?,
    };
    Some(readable(&text, WORDS)).filter(|text| !text.is_empty())
}

/// A status that the caller did not expect.
pub(crate) fn status(answer: &Answer, body: &[u8], found: Option<&Found>, registry: &str) -> Failure {
    let status = answer.status;
    let mut error = Error::surroundings(format!("the registry answered with status {status}"))
        .place(without_query(&answer.url));
    let said = words(body);
    if let Some(said) = &said {
        error = error.cause(said);
    }
    if PASSING.contains(&status) {
        let wait = answer.header("retry-after").and_then(|text| retry_after(text, SystemTime::now()));
        return Failure::Passing { error, wait };
    }
    Failure::Final(match status {
        401 | 403 => denied(error, status, found, registry),
        // What servers of Go say to plain HTTP on a port for TLS; to HEAD they say nothing.
        400 if answer.url.starts_with("http:")
            && said.as_ref().is_none_or(|said| said.contains("HTTPS server")) =>
        {
            error.hint("if that registry speaks HTTPS, do not ask it over plain HTTP")
        }
        404 | 405 => error.hint("check that it is the address of a registry, and the repository's name"),
        413 => error.hint("the registry, or a proxy before it, limits the size of what it takes"),
        _ => error,
    })
}

/// Who is not let in, and what to do.
fn denied(error: Error, status: u16, found: Option<&Found>, registry: &str) -> Error {
    let found = found.cloned().unwrap_or_default();
    let error = match (&found.source, found.login.is_some()) {
        (Some(source), _) => error.cause(format!("asked with the login from {source}")),
        (None, true) => error.cause("asked with the login that was given"),
        (None, false) if found.read.is_empty() => {
            error.cause("asked anonymously: there is no file of logins")
        }
        (None, false) => {
            let read = found.read.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            error.cause(format!("asked anonymously: no login for {registry} in {read}"))
        }
    };
    let error = error.hint(format!("log in: `docker login {registry}` or `skopeo login {registry}`"));
    if status == 403 {
        return error
            .hint("see that this login may use the repository, and that the repository's name is right");
    }
    error
}

/// What `Retry-After` asks for: seconds or a date.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_clean_line() {
        assert_eq!(readable("a\n\u{1b}[31mb\u{202e}c\0", 100), "a [31mbc");
        assert_eq!(readable("äöü", 2), "äö…");
    }

    #[test]
    fn a_registrys_words_are_found() {
        let json = br#"{"errors":[{"code":"DENIED","message":"no","detail":{"x":1}},{"code":"B"}]}"#;
        assert_eq!(words(json).as_deref(), Some("DENIED: no; B"));
        assert_eq!(words(b"plain words\n").as_deref(), Some("plain words"));
        assert_eq!(words(b"<html>"), None);
        assert_eq!(words(b""), None);
        assert_eq!(words(b"\xff"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Mon, 30 Nov 2026 01:00:00 GMT").unwrap();
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Mon, 30 Nov 2026 01:00:09 GMT", now), Some(Duration::from_secs(9)));
        assert_eq!(retry_after("Mon, 30 Nov 2026 00:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn an_error_within_another_keeps_all_it_says() {
        let inner = Error::input("b").cause("c").place("p").hint("h");
        let outer = within("do a", inner);
        assert_eq!(outer.to_string(), "cannot do a: b: c (p)");
        assert_eq!((outer.class(), outer.hints()), (ErrorClass::Input, &["h".to_owned()][..]));
    }
}
