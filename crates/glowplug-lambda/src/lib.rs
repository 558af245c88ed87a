//! The Lambda service on one machine: the API through which clients make, change and invoke functions, and the
//! environments that run them.
//!
//! ```text
//!  boto3, AWS CLI ── HTTP ──► Server ──► Service ──► Pool ──► Environment (glowplug-engine)
//!                                           │
//!                                         Store (functions, zips, accepted events)
//! ```
//!
//! - [`Service`] is an account: functions with versions, aliases and concurrency. Every operation takes and gives what
//!   the service model of Lambda (`2015-03-31`) has; errors have its codes and shapes.
//! - [`Server`] gives it an address.
//!
//! Invariants: what a client was told to exist is on the disk; an accepted asynchronous event is run, or sent to its
//! destination, also after a crash; no more invokes run at once than the account and the function may have.

mod changes;
mod control;
mod error;
mod events;
mod folder;
mod history;
mod http;
mod image;
mod invoke;
mod journal;
mod keeper;
mod model;
mod names;
mod policy;
mod pool;
mod queue;
mod service;
mod signature;
mod status;
mod store;
mod template;
mod time;
mod unpacked;

pub use history::Bill;
pub use http::Server;
pub use image::{Image, is_layout, local_image};
pub use service::{ACCOUNT_CONCURRENCY, LocalFunction, Log, Options, RuntimeFolder, Runtimes, Service};
pub use signature::Credentials;
