//! Limits on what a registry may send, each with its reason.

/// Bytes of all blobs of one image. Lambda takes no image of more than 10 GB.
pub const MAX_IMAGE_BYTES: u64 = 10_000_000_000;

/// Bytes of a manifest or an index. The distribution specification has registries take at least 4 MiB; what is more is no
/// manifest.
pub const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// Indexes within indexes. One level is usual, two are seen.
pub(crate) const MAX_INDEX_DEPTH: usize = 4;

/// Manifests of one image: platforms with their attestations. The largest official images have some forty.
pub(crate) const MAX_MANIFESTS: usize = 1000;

/// Bytes of an error's or a token's body that are read.
pub(crate) const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// Redirects of one request, as browsers and curl count them.
pub(crate) const MAX_REDIRECTS: usize = 10;

/// Transfers at the same time, as docker has them.
pub(crate) const TRANSFERS: usize = 3;

/// Blobs up to this size are sent in one request, larger ones in parts of it, so that a dropped connection costs at most
/// one part.
pub(crate) const PART_BYTES: u64 = 32 * 1024 * 1024;
