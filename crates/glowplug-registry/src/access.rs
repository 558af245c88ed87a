//! How registries are reached: who asks, over which protocol, and for how long they are waited for.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::Credentials;

/// How to reach a registry.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Who asks.
    pub credentials: Credentials,
    /// Whether to speak plain HTTP (`--plain-http`). Where this is `None`, loopback gets it and no other host.
    pub plain_http: Option<bool>,
    /// A PEM file of the only certificates that are trusted, instead of the public authorities.
    pub certificates: Option<Utf8PathBuf>,
    /// How long to wait and how often to try.
    pub patience: Patience,
}

impl Access {
    /// What the surroundings say: the files and helpers of [`Credentials::from_environment`], and `SSL_CERT_FILE`.
    pub fn from_environment() -> Self {
        let file = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            credentials: Credentials::from_environment(),
            certificates: file("SSL_CERT_FILE").map(Utf8PathBuf::from),
            ..Self::default()
        }
    }
}

/// How long to wait for a registry, and how often to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in a row that bring nothing new before it is an error. What was fetched or sent already is kept.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles with each.
    pub first_wait: Duration,
    /// The longest wait, also where the registry asks for one (`Retry-After`): a longer one is an error.
    pub longest_wait: Duration,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long nothing may move on a connection.
    pub stall: Duration,
    /// How long a registry may think over a request that it has in full: storing a blob takes it a while.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_mins(1),
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            answer: Duration::from_mins(3),
        }
    }
}
