//! Answers to a registry's challenge: `Basic`, or `Bearer` with a token from the server that the challenge names.
//!
//! The protocol is that of the distribution project (token authentication, and OAuth2 for identity tokens). Without a
//! login the token server is asked for an anonymous token, as public repositories have it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glowplug_core::Error;
use http_auth::{ChallengeRef, parse_challenges};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::address::{origin, with_parameter, without_query};
use crate::attempts::Failure;
use crate::credentials::{Found, Login, Secret};
use crate::faults;
use crate::http::{Answer, Body, Watch, exchange};
use crate::limits::MAX_ANSWER_BYTES;
use crate::session::UNTOLD;

/// Who is asked, and with what.
pub(crate) struct Question<'a> {
    pub agent: &'a Agent,
    /// The registry's name in references.
    pub registry: &'a str,
    /// Its scheme and host.
    pub root: &'a str,
    /// What we want to do.
    pub scopes: &'a [String],
    /// Who we are.
    pub found: Option<&'a Found>,
    pub watch: Watch<'a>,
}

/// A challenge that we can answer.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Question<'_> {
    /// The value of `Authorization` that answers a 401; `None` where we have none.
    pub(crate) fn answer(&self, refusal: &Answer) -> Result<Option<Secret>, Failure> {
        let headers = refusal.headers.get_all("www-authenticate");
        let challenge = headers.iter().filter_map(|value| read(value.to_str().ok()?)).max_by_key(rank);
        match (challenge, self.login()) {
            (_, Some(Login::Bearer(token))) => Ok(Some(Secret::new(format!("Bearer {}", token.reveal())))),
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                self.token(&realm, service.as_deref(), scope.as_deref()).map(Some)
            }
            (Some(Challenge::Basic), Some(Login::Password { user, secret })) => Ok(Some(basic(user, secret))),
            (Some(Challenge::Basic) | None, _) => Ok(None),
        }
    }

    fn login(&self) -> Option<&Login> {
        self.found.and_then(|found| found.login.as_ref())
    }

    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<Secret, Failure> {
        let failed = |message: &str| {
            Error::surroundings(format!("cannot log in to {}: {message}", self.registry))
                .place(without_query(realm))
        };
        let server = origin(realm).ok_or_else(|| {
            failed("it sends us to what is no HTTP URL").cause(faults::readable(realm, 200))
        })?;
        if server.scheme == "http" && self.root.starts_with("https:") {
            return Err(Failure::Final(failed("it would have the login sent over plain HTTP")));
        }
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        if scopes.is_empty() {
            scopes.extend(scope.iter().flat_map(|scope| scope.split(' ')));
        }
        let (request, body) = self.token_request(realm, service, &scopes).map_err(|_| {
            failed("the address of its token server, or the login, cannot be written in HTTP")
        })?;
        let answer = exchange(self.agent, request, &body, self.watch, UNTOLD)?;
        let text = answer.read(MAX_ANSWER_BYTES, self.watch)?.unwrap_or_default();
        if answer.status != 200 {
            return Err(faults::status(&answer, &text, self.found, self.registry));
        }
        // The error's own text would quote what it found.
        let token: Token = serde_json::from_slice(&text)
            .map_err(|_| failed("the answer of its token server is not JSON with a token"))?;
        let given = token.token.or(token.access_token).filter(|token| !token.is_empty());
        let token = given.ok_or_else(|| failed("the answer of its token server holds no token"))?;
        Ok(Secret::new(format!("Bearer {token}")))
    }

    fn token_request(
        &self,
        realm: &str,
        service: Option<&str>,
        scopes: &[&str],
    ) -> Result<(Request<()>, Body), ureq::http::Error> {
        if let Some(Login::Identity(token)) = self.login() {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("client_id", "glowplug"),
                ("scope", &scopes.join(" ")),
                ("refresh_token", token.reveal()),
            ];
            let encoded =
                form.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            let request = Request::builder()
                .method(Method::POST)
                .uri(realm)
                .header("content-type", "application/x-www-form-urlencoded");
            return Ok((request.body(())?, Body::Bytes(encoded.join("&").into_bytes())));
        }
        let mut url = realm.to_owned();
        if let Some(service) = service {
            url = with_parameter(&url, "service", service);
        }
        for scope in scopes {
            url = with_parameter(&url, "scope", scope);
        }
        let mut request = Request::builder().method(Method::GET);
        if let Some(Login::Password { user, secret }) = self.login() {
            url = with_parameter(&url, "account", user);
            request = request.header("authorization", basic(user, secret).reveal());
        }
        Ok((request.uri(url).body(())?, Body::None))
    }
}

/// Bearer before Basic: where both are offered, a token may do what a password may not.
fn rank(challenge: &Challenge) -> u8 {
    match challenge {
        Challenge::Basic => 0,
        Challenge::Bearer { .. } => 1,
    }
}

fn read(header: &str) -> Option<Challenge> {
    parse_challenges(header).ok()?.iter().filter_map(known).max_by_key(rank)
}

fn known(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    let realm = parameter("realm").filter(|_| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
    Some(Challenge::Bearer { realm, service: parameter("service"), scope: parameter("scope") })
}

fn basic(user: &str, secret: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", secret.reveal()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_whatever_their_case_and_order() {
        let header =
            r#"Basic realm="x", bEARER Realm="https://t/\"a",service="s s",scope="repository:a/b:pull,push""#;
        assert_eq!(
            read(header),
            Some(Challenge::Bearer {
                realm: "https://t/\"a".into(),
                service: Some("s s".into()),
                scope: Some("repository:a/b:pull,push".into())
            })
        );
        assert_eq!(read("basic realm=x"), Some(Challenge::Basic));
        assert_eq!(read("Negotiate"), None);
        assert_eq!(read("Bearer service=x"), None);
        assert_eq!(read("\"\""), None);
    }
}
