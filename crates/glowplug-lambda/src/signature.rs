//! Whether a request is signed by somebody whom the account knows: Signature Version 4, in the `Authorization` header or
//! in the query.
//!
//! As in "Signature Version 4 signing process" of the IAM user guide; tried with the vectors of AWS's own test suite. The
//! region of a signature may be any: on this machine it says where a client believes to be.

use std::time::Duration;

use glowplug_core::format_hex;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use crate::time;

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the clock of a client may be off, and the longest life of a signature in a query (the same guide).
const SKEW: Duration = Duration::from_mins(5);
const LONGEST_LIFE: Duration = Duration::from_hours(7 * 24);

/// What is written as it is in a canonical request; in paths the slash too.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The keys that functions find in their environment.
const OF_FUNCTIONS: (&str, &str, &str) =
    (glowplug_engine::ACCESS_KEY, glowplug_engine::SECRET_KEY, glowplug_engine::SESSION_TOKEN);

/// Keys with which requests can be signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`, where they are temporary.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those that functions find in their environment.
    pub(crate) fn of_functions() -> Self {
        let (key_id, secret, token) = OF_FUNCTIONS;
        Self { key_id: key_id.to_owned(), secret: secret.to_owned(), token: Some(token.to_owned()) }
    }
}

/// A request, as it was sent.
#[derive(Debug)]
pub(crate) struct Message<'m> {
    pub(crate) method: &'m str,
    pub(crate) path: &'m str,
    pub(crate) query: &'m str,
    pub(crate) headers: &'m HeaderMap,
    pub(crate) body: &'m [u8],
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unsigned,
    /// What is missing, or wrong, in what it says of its signature.
    Incomplete(String),
    /// Nobody here has this key, or this session.
    Unknown,
    /// Its time is over, or has not come.
    Untimely(String),
    Wrong,
}

/// What a request says of its signature.
#[derive(Debug)]
struct Claim {
    key_id: String,
    /// Date, region, service and the last word.
    scope: String,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
    /// `20261129T100000Z`.
    at: String,
    /// How long it holds.
    life: Duration,
    token: Option<String>,
    in_query: bool,
}

/// Finds out who signed a request for a service, at `now` since 1970.
///
/// # Errors
/// Nobody, nobody who is known, or not this request.
pub(crate) fn signer<'c>(
    message: &Message<'_>,
    service: &str,
    known: &'c [Credentials],
    now: Duration,
) -> Result<&'c Credentials, Refusal> {
    let claim = message.claim()?;
    let mut scope = claim.scope.split('/');
    let (date, _region, named, last) = (scope.next(), scope.next(), scope.next(), scope.next());
    if named != Some(service) || last != Some("aws4_request") || scope.next().is_some() {
        return Err(Refusal::Incomplete(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    if date != claim.at.get(..8) {
        return Err(Refusal::Incomplete(
            "Date in Credential scope does not match YYYYMMDD from X-Amz-Date.".to_owned(),
        ));
    }
    claim.check_time(now)?;
    let credentials = known.iter().find(|one| one.key_id == claim.key_id && one.token == claim.token);
    let credentials = credentials.ok_or(Refusal::Unknown)?;
    let text = format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        claim.at,
        claim.scope,
        format_hex(&Sha256::digest(message.canonical(&claim)?))
    );
    let mut key = format!("AWS4{}", credentials.secret).into_bytes();
    for part in claim.scope.split('/') {
        key = keyed(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    // Compared in constant time.
    keyed(&key, text.as_bytes()).verify_slice(&claim.signature).map_err(|_| Refusal::Wrong)?;
    Ok(credentials)
}

fn keyed(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("keys have any length"));
    mac.update(text);
    mac
}

impl Message<'_> {
    fn claim(&self) -> Result<Claim, Refusal> {
        if let Some(authorization) = self.header("authorization") {
            return self.claim_of_header(&authorization);
        }
        if self.parameter("X-Amz-Algorithm").is_some() || self.parameter("X-Amz-Signature").is_some() {
            return self.claim_of_query();
        }
        Err(Refusal::Unsigned)
    }

    fn claim_of_header(&self, authorization: &str) -> Result<Claim, Refusal> {
        let Some(rest) = authorization.strip_prefix(ALGORITHM) else { return Err(Refusal::Unsigned) };
        let part = |name: &str| {
            let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).ok_or_else(|| {
                Refusal::Incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let at = self.header("x-amz-date").ok_or_else(|| {
            Refusal::Incomplete(
                "Authorization header requires existence of a 'X-Amz-Date' header.".to_owned(),
            )
        })?;
        let token = self.header("x-amz-security-token");
        let claim =
            Claim::new(&part("Credential")?, &part("SignedHeaders")?, &part("Signature")?, at, token)?;
        Ok(claim)
    }

    fn claim_of_query(&self) -> Result<Claim, Refusal> {
        let part = |name: &str| {
            self.parameter(name).ok_or_else(|| {
                Refusal::Incomplete(format!("AWS query-string parameters must include '{name}'."))
            })
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Refusal::Incomplete(format!("X-Amz-Algorithm must be {ALGORITHM}.")));
        }
        let life = part("X-Amz-Expires")?.parse().map(Duration::from_secs).ok();
        let life = life.filter(|life| *life <= LONGEST_LIFE).ok_or_else(|| {
            Refusal::Incomplete("X-Amz-Expires must be a number of seconds up to 604800.".to_owned())
        })?;
        let (credential, headers) = (part("X-Amz-Credential")?, part("X-Amz-SignedHeaders")?);
        let token = self.parameter("X-Amz-Security-Token");
        let claim = Claim::new(&credential, &headers, &part("X-Amz-Signature")?, part("X-Amz-Date")?, token)?;
        Ok(Claim { life, in_query: true, ..claim })
    }

    /// The canonical request.
    fn canonical(&self, claim: &Claim) -> Result<String, Refusal> {
        let mut headers = String::new();
        for name in &claim.signed_headers {
            // A header that was signed and is gone.
            let value = self.header(name).ok_or(Refusal::Wrong)?;
            headers.push_str(&format!("{name}:{value}\n"));
        }
        Ok(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            percent_encode(normal(self.path).as_bytes(), PATH),
            self.canonical_query(claim),
            claim.signed_headers.join(";"),
            format_hex(&Sha256::digest(self.body)),
        ))
    }

    fn canonical_query(&self, claim: &Claim) -> String {
        let encoded = |text: &str| {
            let decoded: Vec<u8> = percent_decode_str(text).collect();
            percent_encode(&decoded, QUERY).to_string()
        };
        let mut pairs: Vec<(String, String)> = self
            .pairs()
            .map(|(key, value)| (encoded(key), encoded(value)))
            .filter(|(key, _)| !(claim.in_query && key == "X-Amz-Signature"))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join("&")
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        let found = self.pairs().find(|(key, _)| *key == name);
        found.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// The values of a header as they are signed: in a row, each without spaces around and with single ones within.
    fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter().map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        });
        let values: Vec<String> = values.collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

impl Claim {
    fn new(
        credential: &str,
        headers: &str,
        signature: &str,
        at: String,
        token: Option<String>,
    ) -> Result<Self, Refusal> {
        let bad = |what: &str| Err(Refusal::Incomplete(what.to_owned()));
        let Some((key_id, scope)) = credential.split_once('/') else {
            return bad("Credential must have the form KEY/DATE/REGION/SERVICE/aws4_request.");
        };
        let signed_headers: Vec<String> = headers.split(';').map(str::to_owned).collect();
        if !signed_headers.iter().any(|name| name == "host") {
            return bad("'Host' must be a 'SignedHeader' in the AWS Authorization.");
        }
        let is_time = at.len() == 16
            && at.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !is_time {
            return bad("Date must be in ISO-8601 'basic format', as in 20261129T100000Z.");
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            scope: scope.to_owned(),
            signed_headers,
            signature: from_hex(signature).ok_or(Refusal::Wrong)?,
            at,
            life: SKEW,
            token,
            in_query: false,
        })
    }

    /// Times of this form have the order of their texts.
    fn check_time(&self, now: Duration) -> Result<(), Refusal> {
        let (at, told) = (&self.at, time::basic(now));
        let minutes = |span: Duration| span.as_secs() / 60;
        let first = time::basic(now.saturating_sub(self.life));
        if *at < first {
            let span = minutes(self.life);
            return Err(Refusal::Untimely(format!(
                "Signature expired: {at} is now earlier than {first} ({told} - {span} min.)"
            )));
        }
        let last = time::basic(now + SKEW);
        if *at > last {
            let span = minutes(SKEW);
            return Err(Refusal::Untimely(format!(
                "Signature not yet current: {at} is still later than {last} ({told} + {span} min.)"
            )));
        }
        Ok(())
    }
}

/// A path without `.`, `..` and slashes that follow each other (RFC 3986, 5.2.4, and AWS's rule for slashes).
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len() / 2)
        .map(|at| text.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const HEADERS: &[(&str, &str)] = &[("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];

    /// 2015-08-30, 12:36:00 UTC: when the requests of AWS's test suite were signed.
    const AT: Duration = Duration::from_mins(24_015_636);

    fn keys(token: Option<&str>) -> Credentials {
        Credentials {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// A request of the suite, its signed headers and its signature.
    fn check(
        (method, url, body): (&str, &str, &str),
        more: &[(&str, &str)],
        (signed, signature): (&str, &str),
        now: Duration,
    ) -> Result<(), Refusal> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut headers = HeaderMap::new();
        let authorization = format!(
            "{ALGORITHM} Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature={signature}"
        );
        let all = HEADERS.iter().chain(more).copied().chain([("authorization", authorization.as_str())]);
        for (name, value) in all {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let token = more.iter().find(|(name, _)| *name == "x-amz-security-token").map(|(_, value)| *value);
        let message = Message { method, path, query, headers: &headers, body: body.as_bytes() };
        signer(&message, "service", &[keys(token)], now).map(|_| ())
    }

    #[test]
    fn the_vectors_of_awss_test_suite_hold() {
        let plain = "host;x-amz-date";
        let vanilla = (plain, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let spaced = [("my-header1", "value1"), ("my-header2", "\"a   b   c\"")];
        let twice = [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")];
        let query = format!("/?{unreserved}={unreserved}");
        for (request, more, signature) in [
            (("GET", "/", ""), &[][..], vanilla),
            (("GET", "/./", ""), &[], vanilla),
            (
                ("GET", &query, ""),
                &[],
                (plain, "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
            ),
            (
                ("GET", "/ሴ", ""),
                &[],
                (plain, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            ),
            (
                ("GET", "//example//", ""),
                &[],
                (plain, "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
            ),
            (
                ("GET", "/", ""),
                &spaced,
                (
                    "host;my-header1;my-header2;x-amz-date",
                    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
                ),
            ),
            (
                ("GET", "/", ""),
                &twice,
                (
                    "host;my-header1;x-amz-date",
                    "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
                ),
            ),
            (
                ("POST", "/", "Param1=value1"),
                &[form],
                (
                    "content-type;host;x-amz-date",
                    "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
                ),
            ),
            (
                ("POST", "/", ""),
                &[("x-amz-security-token", token)],
                (
                    "host;x-amz-date;x-amz-security-token",
                    "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
                ),
            ),
        ] {
            assert_eq!(check(request, more, signature, AT), Ok(()), "{request:?}");
        }
    }

    #[test]
    fn what_was_changed_is_late_or_is_missing_is_refused() {
        let vanilla = ("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        let get = ("GET", "/", "");
        let minute = Duration::from_mins(1);
        assert_eq!(check(get, &[], vanilla, AT + 5 * minute), Ok(()));
        let Err(Refusal::Untimely(told)) = check(get, &[], vanilla, AT + 6 * minute) else {
            panic!("expired")
        };
        assert_eq!(
            told,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z (20150830T124200Z - 5 min.)"
        );
        assert!(matches!(check(get, &[], vanilla, AT.saturating_sub(6 * minute)), Err(Refusal::Untimely(_))));
        for changed in [("POST", "/", ""), ("GET", "/a", ""), ("GET", "/?a", ""), ("GET", "/", "a")] {
            assert_eq!(check(changed, &[], vanilla, AT), Err(Refusal::Wrong), "{changed:?}");
        }
        assert_eq!(check(get, &[], ("host;x-amz-date", "xyz"), AT), Err(Refusal::Wrong));
        assert_eq!(check(get, &[], ("gone;host", vanilla.1), AT), Err(Refusal::Wrong));
        assert!(matches!(check(get, &[], ("x-amz-date", vanilla.1), AT), Err(Refusal::Incomplete(_))));
        let headers = HeaderMap::new();
        let message = Message { method: "GET", path: "/", query: "", headers: &headers, body: b"" };
        assert_eq!(signer(&message, "service", &[keys(None)], AT).unwrap_err(), Refusal::Unsigned);
    }

    #[test]
    fn paths_are_made_normal() {
        for (path, expected) in
            [("", "/"), ("/", "/"), ("//a//", "/a/"), ("/a/../b", "/b"), ("/a/./b/..", "/a"), ("/..", "/")]
        {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_claim_brings_the_check_down(header in "[ -~]{0,80}", query in "[ -~]{0,80}", date in "[ -~é]{0,16}") {
            let mut headers = HeaderMap::new();
            for (name, value) in [("authorization", format!("{ALGORITHM} {header}")), ("x-amz-date", date)] {
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let message = Message { method: "GET", path: &query, query: &query, headers: &headers, body: b"" };
            prop_assert!(signer(&message, "lambda", &[keys(None)], AT).is_err());
            let message = Message { headers: &HeaderMap::new(), ..message };
            prop_assert!(signer(&message, "lambda", &[keys(None)], AT).is_err());
        }
    }
}
