//! The table of contents that both formats with one share, and where it is found in a layer.
//!
//! Formats: <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>, and for zstd:chunked
//! `pkg/chunked/internal/minimal/compression.go` of <https://github.com/containers/storage>, which is its definition.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::FileExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8Path;
use glowplug_core::{Error, Result, format_bytes, iso8601};
use serde::{Deserialize, Serialize};

use crate::limits::TOC_LIMIT;
use crate::node::{Kind, Node, TOC_NAME};
use crate::oci::{Descriptor, Digest};

/// Annotation of an eStargz layer: the digest of the table's JSON.
pub(crate) const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation of an eStargz layer: the size of the uncompressed archive, in bytes.
pub(crate) const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// Annotation of a zstd:chunked layer: the digest of the compressed table.
pub(crate) const MANIFEST_CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Annotation of a zstd:chunked layer: offset, compressed and uncompressed length of the table, and its type.
pub(crate) const MANIFEST_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// Annotation of a zstd:chunked layer: offset, compressed and uncompressed length of the tar headers.
pub(crate) const TARSPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// The only type of table there is.
pub(crate) const MANIFEST_TYPE: u64 = 1;
/// Bytes of eStargz's footer.
pub(crate) const FOOTER_BYTES: u64 = 51;

/// The table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Toc {
    pub version: u32,
    pub entries: Vec<TocEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_split_digest: Option<Digest>,
}

/// An entry, or a further chunk of the one before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TocEntry {
    pub name: String,
    pub r#type: String,
    #[serde(skip_serializing_if = "zero")]
    pub size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub modtime: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub link_name: String,
    #[serde(skip_serializing_if = "no_mode")]
    pub mode: u32,
    #[serde(skip_serializing_if = "zero")]
    pub uid: u64,
    #[serde(skip_serializing_if = "zero")]
    pub gid: u64,
    /// Values in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    #[serde(skip_serializing_if = "zero")]
    pub offset: u64,
    /// zstd:chunked only: where the contents end.
    #[serde(skip_serializing_if = "zero")]
    pub end_offset: u64,
    #[serde(skip_serializing_if = "zero")]
    pub chunk_offset: u64,
    #[serde(skip_serializing_if = "zero")]
    pub chunk_size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chunk_digest: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn no_mode(value: &u32) -> bool {
    *value == 0
}

impl TocEntry {
    /// What a header says; contents are added later.
    pub(crate) fn of(node: &Node) -> Self {
        let (kind, link) = match &node.kind {
            Kind::Dir => ("dir", ""),
            Kind::File { .. } => ("reg", ""),
            Kind::Symlink(target) => ("symlink", target.as_str()),
            Kind::Link(target) => ("hardlink", target.as_str()),
        };
        Self {
            name: node.tar_name(),
            r#type: kind.into(),
            size: node.size(),
            modtime: if node.mtime == 0 { String::new() } else { rfc3339(node.mtime) },
            link_name: link.into(),
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            xattrs: node.xattrs.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect(),
            ..Self::default()
        }
    }
}

/// `2026-11-29T10:00:00Z`.
fn rfc3339(seconds: u64) -> String {
    let text = iso8601(std::time::Duration::from_secs(seconds));
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

/// A table as it stands in a layer.
#[derive(Debug)]
pub(crate) struct Found {
    pub toc: Toc,
    /// Where the last contents end at the latest.
    pub contents_end: u64,
    /// Compressed bytes of the table and the footer.
    pub bytes: u64,
}

/// Reads the table of a layer from its file, `None` where the layer has none.
///
/// Errors (input): a table that is damaged, too large, or not the one that the annotations promise.
pub(crate) fn read(file: &std::fs::File, layer: &Descriptor, path: &Utf8Path) -> Result<Option<Found>> {
    let found = if let Some(promised) = layer.annotations.get(TOC_DIGEST) {
        estargz(file, layer.size, promised)
    } else if let Some(promised) = layer.annotations.get(MANIFEST_CHECKSUM) {
        let position = layer.annotations.get(MANIFEST_POSITION).map_or("", String::as_str);
        chunked(file, layer.size, position, promised)
    } else {
        return Ok(None);
    };
    let wrong = |why: String| {
        Error::input("the table of contents of a layer is wrong").cause(why).place(path.as_str())
    };
    let found = found.map_err(wrong)?;
    if found.toc.version != 1 {
        return Err(wrong(format!("it has version {}", found.toc.version)));
    }
    Ok(Some(found))
}

fn read_at(file: &std::fs::File, offset: u64, length: u64) -> Result<Vec<u8>, String> {
    if length > TOC_LIMIT {
        return Err(format!("it has more than {}", format_bytes(TOC_LIMIT)));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// All of a reader that promises to be short.
fn limited(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(TOC_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TOC_LIMIT {
        return Err(format!("it has more than {}", format_bytes(TOC_LIMIT)));
    }
    Ok(bytes)
}

fn checked(bytes: &[u8], promised: &str) -> Result<(), String> {
    let is = Digest::of(bytes);
    if is.as_str() == promised {
        Ok(())
    } else {
        Err(format!("its digest is {is}, and {promised} is promised"))
    }
}

fn estargz(file: &std::fs::File, size: u64, promised: &str) -> Result<Found, String> {
    let start = size.checked_sub(FOOTER_BYTES).ok_or("the layer is shorter than a footer")?;
    let footer = read_at(file, start, FOOTER_BYTES)?;
    // Ten bytes of gzip header, two of the length of the extra field, four of its subfield's header.
    let offset = std::str::from_utf8(&footer[16..32]).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let offset = offset.filter(|offset| footer[32..38] == *b"STARGZ" && *offset < start);
    let offset = offset.ok_or("the layer does not end with a footer of eStargz")?;
    let member = read_at(file, offset, start - offset)?;
    let tar = limited(flate2::read::GzDecoder::new(member.as_slice()))?;
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let entry = entries.next().ok_or("the last entry is missing")?.map_err(|error| error.to_string())?;
    if entry.path_bytes() != TOC_NAME.as_bytes() {
        return Err(format!("the last entry is not `{TOC_NAME}`"));
    }
    let json = limited(entry)?;
    checked(&json, promised)?;
    let toc = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok(Found { toc, contents_end: offset, bytes: size - offset })
}

fn chunked(file: &std::fs::File, size: u64, position: &str, promised: &str) -> Result<Found, String> {
    let numbers: Vec<u64> = position.split(':').filter_map(|number| number.parse().ok()).collect();
    let &[offset, length, _, MANIFEST_TYPE] = numbers.as_slice() else {
        return Err(format!("`{position}` is no position"));
    };
    if offset < 8 || offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("`{position}` is not in the layer"));
    }
    let compressed = read_at(file, offset, length)?;
    checked(&compressed, promised)?;
    let json = limited(zstd::Decoder::new(compressed.as_slice()).map_err(|error| error.to_string())?)?;
    let toc = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    // The headers' copy and the footer are not needed to read files: the annotations say where the table is.
    Ok(Found { toc, contents_end: offset - 8, bytes: length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_fraction() {
        assert_eq!(rfc3339(1_566_296_443), "2019-08-20T10:20:43Z");
    }
}
