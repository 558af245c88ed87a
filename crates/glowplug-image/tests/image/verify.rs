//! Verifiers of the two formats, written from their specifications and sharing nothing with the writer:
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>, and for zstd:chunked the definition
//! in containers/storage. Each checks a layer against itself, and gives what is in it as a plain tar reader sees it.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use serde_json::Value;
use sha2::{Digest, Sha256};

const CHUNK: u64 = 4 * 1024 * 1024;
const LIBRARY_CHUNK: u64 = 256 * 1024;

/// An entry as a plain tar reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) mode: u64,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) link: String,
    pub(crate) contents: Vec<u8>,
}

pub(crate) fn sha(bytes: &[u8]) -> String {
    format!("sha256:{}", glowplug_core::format_hex(&Sha256::digest(bytes)))
}

/// The uncompressed archive of a layer, by its media type.
pub(crate) fn plain(layer: &Value, blob: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match layer["mediaType"].as_str().unwrap() {
        "application/vnd.oci.image.layer.v1.tar+gzip" => {
            MultiGzDecoder::new(blob).read_to_end(&mut out).unwrap();
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" => {
            zstd::Decoder::new(blob).unwrap().read_to_end(&mut out).unwrap();
        }
        other => panic!("{other}"),
    }
    out
}

/// Every entry of an archive; the archive ends with two blocks of zeros and nothing after them.
pub(crate) fn entries(archive: &[u8]) -> Vec<Entry> {
    assert!(archive.len() >= 1024 && archive.len().is_multiple_of(512));
    let (body, end) = archive.split_at(archive.len() - 1024);
    assert!(end.iter().all(|&byte| byte == 0));
    let mut reader = tar::Archive::new(body);
    let mut found = Vec::new();
    let mut records = BTreeMap::new();
    // Raw: the library's reader of PAX records splits them at line feeds.
    for entry in reader.entries().unwrap().raw(true) {
        let mut entry = entry.unwrap();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let header = entry.header();
        if header.entry_type() == tar::EntryType::XHeader {
            records = pax(&contents);
            continue;
        }
        let said = std::mem::take(&mut records);
        let number = |key: &str| said.get(key).map(|text| text.parse::<u64>().unwrap());
        found.push(Entry {
            name: said.get("path").cloned().unwrap_or_else(|| text(&entry.path_bytes())),
            kind: match header.entry_type() {
                tar::EntryType::Regular => "reg",
                tar::EntryType::Directory => "dir",
                tar::EntryType::Symlink => "symlink",
                tar::EntryType::Link => "hardlink",
                other => panic!("{other:?}"),
            },
            mode: u64::from(header.mode().unwrap()),
            owner: (
                number("uid").unwrap_or_else(|| header.uid().unwrap()),
                number("gid").unwrap_or_else(|| header.gid().unwrap()),
            ),
            mtime: header.mtime().unwrap(),
            link: match said.get("linkpath") {
                Some(link) => link.clone(),
                None => entry.link_name_bytes().map(|bytes| text(&bytes)).unwrap_or_default(),
            },
            contents,
        });
    }
    found
}

/// `LENGTH KEY=VALUE` and a line feed, again and again.
fn pax(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|&byte| byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..blank]).unwrap().parse().unwrap();
        let (record, rest) = bytes.split_at(length);
        let record = std::str::from_utf8(&record[blank + 1..]).unwrap();
        let (key, value) = record.strip_suffix('\n').unwrap().split_once('=').unwrap();
        records.insert(key.to_owned(), value.to_owned());
        bytes = rest;
    }
    records
}

/// Checks a layer of eStargz and gives its entries, without the table.
pub(crate) fn estargz(layer: &Value, blob: &[u8]) -> Vec<Entry> {
    // Footer: an empty gzip member of 51 bytes whose extra field holds the table's offset.
    let (body, footer) = blob.split_at(blob.len() - 51);
    assert_eq!(footer[..4], [0x1f, 0x8b, 8, 4], "gzip, deflate, an extra field");
    assert_eq!(footer[10..12], 26_u16.to_le_bytes());
    assert_eq!(footer[12..14], *b"SG");
    assert_eq!(footer[14..16], 22_u16.to_le_bytes());
    assert_eq!(footer[32..38], *b"STARGZ");
    let mut empty = Vec::new();
    GzDecoder::new(footer).read_to_end(&mut empty).unwrap();
    assert!(empty.is_empty());
    let hex = std::str::from_utf8(&footer[16..32]).unwrap();
    let toc_at = usize::from_str_radix(hex, 16).unwrap();
    // Table: the last entry, alone in its member.
    let archive = plain(layer, blob);
    let mut all = entries(&archive);
    let table = all.pop().unwrap();
    assert_eq!((table.name.as_str(), table.kind), ("stargz.index.json", "reg"));
    let mut member = Vec::new();
    let mut decoder = GzDecoder::new(&body[toc_at..]);
    decoder.read_to_end(&mut member).unwrap();
    assert!(decoder.into_inner().is_empty(), "the table's member ends where the footer begins");
    assert_eq!(entries(&member), std::slice::from_ref(&table));
    assert_eq!(layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"], sha(&table.contents));
    let size = archive.len().to_string();
    assert_eq!(layer["annotations"]["io.containers.estargz.uncompressed-size"], size);
    let toc: Value = serde_json::from_slice(&table.contents).unwrap();
    assert_eq!(toc["version"], 1);
    check_table(&toc, &all, |row, length| {
        // A gzip member begins there, and begins with the contents.
        let offset = row["offset"].as_u64().unwrap() as usize;
        assert_eq!(blob[offset..offset + 2], [0x1f, 0x8b]);
        let mut contents = Vec::new();
        GzDecoder::new(&blob[offset..toc_at]).take(length).read_to_end(&mut contents).unwrap();
        assert_eq!(row["chunkDigest"], sha(&contents));
        contents
    });
    check_landmark(&all);
    all
}

/// Checks a layer of zstd:chunked and gives its entries.
pub(crate) fn chunked(layer: &Value, blob: &[u8]) -> Vec<Entry> {
    let note = |name: &str| -> String {
        let key = format!("io.github.containers.zstd-chunked.{name}");
        layer["annotations"][&key].as_str().unwrap_or_else(|| panic!("{key}")).to_owned()
    };
    let numbers = |text: String| text.split(':').map(|n| n.parse().unwrap()).collect::<Vec<u64>>();
    let manifest = numbers(note("manifest-position"));
    let split = numbers(note("tarsplit-position"));
    assert_eq!((manifest.len(), manifest[3], split.len()), (4, 1, 3));
    // Each is in a frame that decoders skip.
    let skippable = |offset: u64, length: u64| -> &[u8] {
        let at = offset as usize;
        assert_eq!(blob[at - 8..at - 4], [0x50, 0x2a, 0x4d, 0x18]);
        assert_eq!(blob[at - 4..at], (length as u32).to_le_bytes());
        &blob[at..at + length as usize]
    };
    let unpack = |frame: &[u8], length: u64| {
        let bytes = zstd::decode_all(frame).unwrap();
        assert_eq!(bytes.len() as u64, length);
        bytes
    };
    let frame = skippable(manifest[0], manifest[1]);
    assert_eq!(note("manifest-checksum"), sha(frame));
    let toc: Value = serde_json::from_slice(&unpack(frame, manifest[2])).unwrap();
    assert_eq!(toc["version"], 1);
    let split_frame = skippable(split[0], split[1]);
    assert_eq!(toc["tarSplitDigest"], sha(split_frame));
    let lines = unpack(split_frame, split[2]);
    // The footer repeats the positions.
    let footer = skippable(blob.len() as u64 - 64, 64);
    let words: Vec<u64> =
        footer[..56].chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [manifest.as_slice(), split.as_slice()].concat());
    assert_eq!(footer[56..], *b"GNUlInUx");
    let archive = plain(layer, blob);
    let all = entries(&archive);
    let ends = ends(&toc);
    let mut files = BTreeMap::new();
    check_table(&toc, &all, |row, length| {
        let offset = row["offset"].as_u64().unwrap();
        let contents = unpack(&blob[offset as usize..ends[&offset] as usize], length);
        if let Some(digest) = row["chunkDigest"].as_str() {
            assert_eq!(digest, sha(&contents));
        }
        let file: &mut Vec<u8> = files.entry(row["name"].as_str().unwrap().to_owned()).or_default();
        file.extend_from_slice(&contents);
        contents
    });
    assert!(rebuild(&lines, &files) == archive, "chunks and headers give the archive, byte by byte");
    all
}

/// Where each chunk ends: where the next begins, or its file does.
fn ends(toc: &Value) -> BTreeMap<u64, u64> {
    let mut ends = BTreeMap::new();
    let rows = toc["entries"].as_array().unwrap();
    let mut end = 0;
    for (index, row) in rows.iter().enumerate() {
        if let Some(file_end) = row["endOffset"].as_u64() {
            end = file_end;
        }
        let next = rows.get(index + 1).filter(|next| next["type"] == "chunk");
        if let Some(offset) = row["offset"].as_u64() {
            ends.insert(offset, next.map_or(end, |next| next["offset"].as_u64().unwrap()));
        }
    }
    ends
}

/// Puts an archive together from tar-split's lines and the files' contents.
fn rebuild(lines: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let decode = |value: &Value| {
        base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
    };
    let mut archive = Vec::new();
    for (position, line) in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["position"], position);
        match line["type"].as_u64() {
            Some(2) => archive.extend(decode(&line["payload"])),
            Some(1) if line["size"].as_u64().unwrap_or(0) > 0 => {
                let contents = &files[line["name"].as_str().unwrap()];
                assert_eq!(line["size"], contents.len());
                assert_eq!(decode(&line["payload"]), crc64(contents).to_be_bytes());
                archive.extend_from_slice(contents);
            }
            Some(1) => {}
            other => panic!("{other:?}"),
        }
    }
    archive
}

/// CRC-64 of ISO 3309, bit by bit.
fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = u64::MAX;
    for byte in bytes {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = if crc % 2 == 1 { (crc / 2) ^ 0xD800_0000_0000_0000 } else { crc / 2 };
        }
    }
    u64::MAX - crc
}

/// The table has a row for each entry, in their order, and its chunks are the contents.
fn check_table(toc: &Value, all: &[Entry], mut chunk: impl FnMut(&Value, u64) -> Vec<u8>) {
    let rows = toc["entries"].as_array().unwrap();
    let mut next = 0;
    for entry in all {
        let row = &rows[next];
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| row[key].as_u64().unwrap_or_default();
        assert_eq!((text("name"), text("type").as_str()), (entry.name.clone(), entry.kind));
        assert_eq!(number("mode"), entry.mode);
        assert_eq!((number("uid"), number("gid")), entry.owner);
        assert_eq!(number("size"), entry.contents.len() as u64);
        assert_eq!(text("linkName"), entry.link);
        assert_eq!(row["modtime"].is_string(), entry.mtime != 0);
        let mut contents = Vec::new();
        let size = entry.contents.len() as u64;
        if size > 0 {
            assert_eq!(text("digest"), sha(&entry.contents));
            let most = if entry.name.contains(".so") { LIBRARY_CHUNK } else { CHUNK };
            let last = |row: &Value| row["chunkOffset"].as_u64().unwrap_or(0) + most >= size;
            while (contents.len() as u64) < size {
                let row = &rows[next];
                assert_eq!(row["name"], entry.name.as_str());
                assert_eq!(row["chunkOffset"].as_u64().unwrap_or(0), contents.len() as u64);
                let stated = row["chunkSize"].as_u64();
                let length = stated.unwrap_or(size - contents.len() as u64);
                assert!(length <= most && (stated.is_some() || last(row)), "{row}");
                contents.extend(chunk(row, length));
                next += 1;
            }
        } else {
            assert!(row["offset"].is_null() && row["digest"].is_null());
            next += 1;
        }
        assert!(contents == entry.contents, "{}", entry.name);
    }
    assert_eq!(next, rows.len());
}

/// Exactly one landmark; the one that ends the prefetched files is not first, the other is.
fn check_landmark(all: &[Entry]) {
    let marks: Vec<usize> = (0..all.len()).filter(|&i| all[i].name.ends_with(".landmark")).collect();
    let &[at] = marks.as_slice() else { panic!("{marks:?}") };
    assert_eq!(all[at].contents, [0xf]);
    match all[at].name.as_str() {
        ".prefetch.landmark" => assert!(all[..at].iter().any(|entry| !entry.contents.is_empty())),
        ".no.prefetch.landmark" => assert_eq!(at, 0),
        other => panic!("{other}"),
    }
}

/// Checks a layer of whichever format and gives its entries without landmarks.
pub(crate) fn layer(layer: &Value, blob: &[u8]) -> Vec<Entry> {
    let notes = &layer["annotations"];
    let mut all = if notes["containerd.io/snapshot/stargz/toc.digest"].is_string() {
        estargz(layer, blob)
    } else if notes["io.github.containers.zstd-chunked.manifest-checksum"].is_string() {
        chunked(layer, blob)
    } else {
        entries(&plain(layer, blob))
    };
    all.retain(|entry| !entry.name.ends_with(".landmark"));
    let mut seen = std::collections::BTreeSet::new();
    for entry in &all {
        let name = entry.name.trim_end_matches('/');
        for (at, _) in name.match_indices('/') {
            assert!(seen.contains(&name[..at]), "{name} comes before its folder");
        }
        assert!(seen.insert(name.to_owned()), "{name} comes twice");
    }
    all
}
