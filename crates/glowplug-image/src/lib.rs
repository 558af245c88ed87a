//! Package trees as OCI images on disk, without a daemon and without a registry.
//!
//! [`write_image`] lays trees on a base and writes a complete OCI layout folder: layers from what changes least to
//! what changes most, in each layer first what a start reads; a table of contents, so that a snapshotter fetches
//! files when they are asked for; configuration, labels, a bill of materials. [`index_of`] joins images for several
//! machines. [`fetched_before`] tells, from the tables as written, what a start has to fetch. [`startup_files`] finds
//! what every start of an interpreter reads. [`read_image`] unpacks what somebody wants to look at.
//!
//! Every byte that is written depends on the request and on what it names, never on times, users, the order of a
//! folder or the number of threads. Every byte that is read is checked against its digest, and what is in a base is
//! input like any other.

mod compress;
mod config;
mod contents;
mod fetch;
mod header;
mod image;
mod index;
mod layout;
mod limits;
mod node;
mod oci;
mod order;
mod pack;
mod pieces;
mod request;
mod rootfs;
mod sbom;
mod staging;
mod startup;
mod tarsplit;
mod toc;
mod tree;
mod unlayer;
mod unpack;
mod verified;
mod view;

pub use contents::{ImageConfig, ImageFiles, is_layout, read_image};
pub use fetch::{FetchSummary, LayerFetch, fetched_before};
pub use image::{ImageSummary, LayerSummary, write_image};
pub use index::{IndexSummary, index_of};
pub use limits::IMAGE_LIMIT;
pub use oci::Digest;
pub use request::{Base, Component, ImageRequest, LayerFormat, Licence, Ownership, Part, TouchedFile};
pub use startup::{BaseFiles, StartupFiles, startup_files};
pub use unpack::{LayoutImage, StartConfig};
