//! Moves OCI content between registries and OCI layout folders on disk, and does nothing else: [`pull`] and [`push`].
//!
//! Formats: the OCI distribution specification 1.1 (the HTTP API), the OCI image specification 1.1 (layouts, indexes,
//! manifests), and Docker's image manifest version 2 with its manifest lists, which are read and passed on as they are.
//!
//! A layout stays valid at every moment: a blob appears under its name when all its bytes are there and their digest is
//! right, a manifest after everything it names, an entry of `index.json` last. In a registry the tag is moved last.
//!
//! One request is `http`; redirects, authentication and what a status means are `session`; trying again is `attempts`.
//! HTTP is ureq's, not that of a registry client: `http.rs` says why.

mod access;
mod address;
mod attempts;
mod authentication;
mod credentials;
mod digest;
mod download;
mod faults;
mod http;
mod layout;
mod limits;
mod manifest;
mod platform;
mod pull;
mod push;
mod reference;
mod referrers;
mod session;
mod transfers;
mod upload;

pub use access::{Access, Patience};
pub use credentials::{Credentials, Login, Secret};
pub use limits::{MAX_IMAGE_BYTES, MAX_MANIFEST_BYTES};
pub use platform::Platforms;
pub use pull::{Pulled, pull};
pub use push::{Image, Pushed, push};
pub use reference::Reference;
