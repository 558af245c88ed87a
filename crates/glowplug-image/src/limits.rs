//! Every limit on what is read or written, with the reason for it.

use glowplug_core::{Error, format_bytes};

/// The largest image, uncompressed, in bytes (10 GB): "Lambda quotas",
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>. A base that unpacks to more is taken
/// for a decompression bomb.
pub const IMAGE_LIMIT: u64 = 10 * 1024 * 1024 * 1024;
/// Contents of one image that are kept for somebody to look at, in bytes: code, libraries, metadata, texts.
pub(crate) const LOOKED_AT_LIMIT: u64 = 4_000_000_000;
/// The largest manifest, index or configuration that is read, in bytes: what registries take for a manifest.
pub(crate) const JSON_LIMIT: u64 = 4 * 1024 * 1024;
/// The largest table of contents that is read, in bytes; readers of these formats stop at about as much.
pub(crate) const TOC_LIMIT: u64 = 150 * 1024 * 1024;
/// Entries of one layer: an archive of empty files would else fill the memory. Large images have some 200,000.
pub(crate) const ENTRY_LIMIT: usize = 2_000_000;
/// Bytes of one long name or extended header in a layer: extended attributes have at most 64 KiB each.
pub(crate) const EXTENSION_LIMIT: u64 = 1024 * 1024;
/// Bytes of a path or of a link's target, as on Linux (`PATH_MAX`).
pub(crate) const PATH_LIMIT: usize = 4096;
/// The last second of the year 9999: later ones have no text in a table (RFC 3339).
pub(crate) const LATEST: u64 = 253_402_300_799;
/// Indexes within indexes.
pub(crate) const INDEX_DEPTH: usize = 4;
/// How many of the largest a message names.
const NAMED: usize = 5;

/// Holds the uncompressed size of an image against a limit; `files` are the paths and sizes that a message may name.
pub(crate) fn check_size<'a>(
    layers: &[(&str, u64)],
    files: impl Iterator<Item = (&'a str, u64)>,
    limit: u64,
) -> Result<(), Error> {
    let total: u64 = layers.iter().map(|(_, bytes)| bytes).sum();
    if total <= limit {
        return Ok(());
    }
    let mut sorted: Vec<(&str, u64)> = files.collect();
    sorted.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    let list = |rows: &[(&str, u64)]| {
        let named: Vec<String> =
            rows.iter().map(|(name, bytes)| format!("`{name}` ({})", format_bytes(*bytes))).collect();
        named.join(", ")
    };
    sorted.truncate(NAMED);
    let mut error = Error::input(format!(
        "the image unpacks to {}, and Lambda takes at most {}",
        format_bytes(total),
        format_bytes(limit)
    ))
    .hint(format!("its layers are {}", list(layers)));
    if !sorted.is_empty() {
        error = error.hint(format!("the largest files are {}: drop what is not needed", list(&sorted)));
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_met_exactly_and_the_largest_are_named() {
        let files = || [("var/task/a", 3), ("var/task/model.bin", 40)].into_iter();
        assert!(check_size(&[("base", 7), ("application", 43)], files(), 50).is_ok());
        let error = check_size(&[("base", 8), ("application", 43)], files(), 50).unwrap_err();
        assert_eq!(error.message(), "the image unpacks to 51 B, and Lambda takes at most 50 B");
        assert_eq!(
            error.hints(),
            [
                "its layers are `base` (8 B), `application` (43 B)",
                "the largest files are `var/task/model.bin` (40 B), `var/task/a` (3 B): drop what is not needed"
            ]
        );
    }
}
