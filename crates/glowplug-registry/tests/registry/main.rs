//! Pulls and pushes: against the registry that Debian packages (`docker-registry`), with skopeo as the second opinion,
//! and against a mock registry for what a sound one does not do.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail loudly and say what they could not cover"
)]

mod authentication;
mod faults;
mod interruptions;
mod layouts;
mod logins;
mod mock;
mod proxy;
mod pull;
mod push;
mod server;
mod transport;
