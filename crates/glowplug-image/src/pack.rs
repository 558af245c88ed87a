//! Writes one layer: compresses its pieces on all cores, puts them one after the other, and notes where they are.
//!
//! A batch of pieces is in memory at a time, never a whole layer.

use std::io::{BufWriter, Write};

use glowplug_core::{Error, Progress, Result};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::compress::{self, GZIP_HEADER, LAST_BLOCK, ZSTD_LEVEL};
use crate::header::{BLOCK, header, padding};
use crate::node::{Data, Kind, Node, TOC_NAME};
use crate::oci::{Compression, Descriptor, Digest, to_bytes};
use crate::order::Ordered;
use crate::pieces::{Piece, Segment, pieces};
use crate::request::LayerFormat;
use crate::tarsplit::{TarSplit, crc64};
use crate::toc::{
    FOOTER_BYTES, MANIFEST_CHECKSUM, MANIFEST_POSITION, MANIFEST_TYPE, TARSPLIT_POSITION, TOC_DIGEST, Toc,
    TocEntry, UNCOMPRESSED_SIZE,
};

/// Uncompressed bytes of a batch: bounds memory, yet keeps every core busy.
const BATCH_BYTES: u64 = 32 * 1024 * 1024;
/// Pieces of a batch.
const BATCH_PIECES: usize = 8192;
/// The last bytes of a zstd:chunked layer.
const CHUNKED_MAGIC: &[u8; 8] = b"GNUlInUx";

/// A layer that was written.
#[derive(Debug)]
pub(crate) struct Packed {
    pub descriptor: Descriptor,
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Size of the uncompressed archive.
    pub uncompressed_bytes: u64,
}

/// Writes a layer into `out`.
pub(crate) fn pack(
    layer: &Ordered,
    format: LayerFormat,
    out: impl Write,
    progress: &dyn Progress,
) -> Result<Packed> {
    let mut writer = Writer::new(&layer.nodes, format, out)?;
    let mut pieces = pieces(&layer.nodes, format);
    loop {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let batch = next_batch(&mut pieces);
        if batch.is_empty() {
            return writer.finish();
        }
        let done: Vec<Done> = batch
            .into_par_iter()
            .map(|piece| compress_piece(piece, &layer.nodes, format))
            .collect::<Result<_>>()?;
        for piece in done {
            progress.advance(piece.plain.len() as u64);
            writer.piece(&piece)?;
        }
    }
}

fn next_batch(pieces: &mut impl Iterator<Item = Piece>) -> Vec<Piece> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES && batch.len() < BATCH_PIECES {
        let Some(piece) = pieces.next() else { break };
        bytes += piece.bytes;
        batch.push(piece);
    }
    batch
}

/// A piece, uncompressed and compressed.
struct Done {
    segments: Vec<Segment>,
    plain: Vec<u8>,
    packed: Vec<u8>,
    /// Of the contents that it begins with, in the formats with a table.
    chunk: Option<Digest>,
    crc32: crc32fast::Hasher,
}

fn compress_piece(piece: Piece, nodes: &[Node], format: LayerFormat) -> Result<Done> {
    let mut plain = Vec::with_capacity(piece.bytes as usize);
    for segment in &piece.segments {
        match segment {
            Segment::Header { bytes, .. } | Segment::Raw(bytes) => plain.extend_from_slice(bytes),
            Segment::Payload { node, offset, length } => {
                let Kind::File { data, .. } = &nodes[*node].kind else {
                    return Err(Error::defect("an entry without contents is read"));
                };
                plain.extend(data.read(*offset, *length)?);
            }
        }
    }
    let packed = compress::compress(&plain, format)?;
    let mut crc32 = crc32fast::Hasher::new();
    let mut chunk = None;
    match (format, piece.segments.first()) {
        (LayerFormat::Gzip, _) => crc32.update(&plain),
        (_, Some(Segment::Payload { length, .. })) => chunk = Some(Digest::of(&plain[..*length])),
        _ => {}
    }
    Ok(Done { segments: piece.segments, plain, packed, chunk, crc32 })
}

/// The layer's file, and all that is known of it so far.
struct Writer<'a, W: Write> {
    nodes: &'a [Node],
    format: LayerFormat,
    out: BufWriter<W>,
    position: u64,
    blob: Sha256,
    plain: Sha256,
    plain_bytes: u64,
    crc32: crc32fast::Hasher,
    entries: Vec<TocEntry>,
    /// Index in `entries` of the file whose contents are being written, and their hash so far.
    file: usize,
    contents: Sha256,
    crc64: u64,
    tar_split: Option<TarSplit>,
}

impl<'a, W: Write> Writer<'a, W> {
    fn new(nodes: &'a [Node], format: LayerFormat, out: W) -> Result<Self> {
        let tar_split = match format {
            LayerFormat::ZstdChunked => Some(TarSplit::new(ZSTD_LEVEL)?),
            _ => None,
        };
        let mut writer = Self {
            nodes,
            format,
            out: BufWriter::new(out),
            position: 0,
            blob: Sha256::new(),
            plain: Sha256::new(),
            plain_bytes: 0,
            crc32: crc32fast::Hasher::new(),
            entries: Vec::new(),
            file: 0,
            contents: Sha256::new(),
            crc64: 0,
            tar_split,
        };
        if format == LayerFormat::Gzip {
            writer.write(&GZIP_HEADER)?;
        }
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.blob.update(bytes);
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn count(&mut self, plain: &[u8]) {
        self.plain.update(plain);
        self.plain_bytes += plain.len() as u64;
    }

    fn piece(&mut self, piece: &Done) -> Result<()> {
        let start = self.position;
        self.count(&piece.plain);
        self.write(&piece.packed)?;
        if self.format == LayerFormat::Gzip {
            self.crc32.combine(&piece.crc32);
            return Ok(());
        }
        let mut at = 0;
        for segment in &piece.segments {
            match segment {
                Segment::Header { node, bytes } => {
                    at += bytes.len();
                    self.header(&self.nodes[*node], bytes)?;
                }
                Segment::Raw(bytes) => {
                    at += bytes.len();
                    if let Some(split) = &mut self.tar_split {
                        split.raw(bytes);
                    }
                }
                Segment::Payload { node, offset, length } => {
                    let contents = &piece.plain[at..at + length];
                    at += length;
                    let digest =
                        piece.chunk.as_ref().ok_or_else(|| Error::defect("contents without a digest"))?;
                    self.payload(&self.nodes[*node], *offset, contents, start, digest)?;
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, node: &Node, bytes: &[u8]) -> Result<()> {
        self.file = self.entries.len();
        self.entries.push(TocEntry::of(node));
        if let Some(split) = &mut self.tar_split {
            split.raw(bytes);
            if node.size() == 0 {
                split.file(&node.tar_name(), 0, None)?;
            }
        }
        Ok(())
    }

    /// Contents of the file whose header came before, compressed from `start` to where we are.
    fn payload(
        &mut self,
        node: &Node,
        offset: u64,
        contents: &[u8],
        start: u64,
        digest: &Digest,
    ) -> Result<()> {
        let length = contents.len() as u64;
        let size = node.size();
        let whole = length == size;
        let last = offset + length == size;
        if offset == 0 {
            self.contents = Sha256::new();
            self.crc64 = 0;
        } else {
            let chunk = TocEntry {
                name: node.path.clone(),
                r#type: "chunk".into(),
                chunk_offset: offset,
                ..TocEntry::default()
            };
            self.entries.push(chunk);
        }
        let estargz = self.format == LayerFormat::EStargz;
        if let Some(entry) = self.entries.last_mut() {
            entry.offset = start;
            // eStargz leaves the size out of the last chunk, zstd:chunked out of a file that is one chunk.
            if if estargz { !last } else { !whole } {
                entry.chunk_size = length;
            }
            if estargz || !whole {
                entry.chunk_digest = digest.to_string();
            }
        }
        if !whole {
            self.contents.update(contents);
        }
        if let Some(split) = &mut self.tar_split {
            self.crc64 = crc64(self.crc64, contents);
            if last {
                split.file(&node.path, size, Some(self.crc64))?;
            }
        }
        if last {
            let hash = std::mem::take(&mut self.contents);
            let entry = &mut self.entries[self.file];
            entry.digest = if whole { digest.to_string() } else { Digest::finish(hash).to_string() };
            if !estargz {
                entry.end_offset = self.position;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Packed> {
        let (compression, annotations) = match self.format {
            LayerFormat::Gzip => {
                self.write(&LAST_BLOCK)?;
                let sum = std::mem::take(&mut self.crc32).finalize();
                self.write(&sum.to_le_bytes())?;
                // The size modulo 2^32 (RFC 1952).
                self.write(&(self.plain_bytes as u32).to_le_bytes())?;
                (Compression::Gzip, Vec::new())
            }
            LayerFormat::EStargz => (Compression::Gzip, self.finish_estargz()?),
            LayerFormat::ZstdChunked => (Compression::Zstd, self.finish_chunked()?),
        };
        self.out.flush()?;
        let mut descriptor =
            Descriptor::new(compression.media_type(), Digest::finish(self.blob), self.position);
        descriptor.annotations =
            annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Packed { descriptor, diff_id: Digest::finish(self.plain), uncompressed_bytes: self.plain_bytes })
    }

    /// The table as the last entry of the archive, in a gzip member of its own, and the footer that says where it is.
    fn finish_estargz(&mut self) -> Result<Vec<(&'static str, String)>> {
        let toc = Toc { version: 1, entries: std::mem::take(&mut self.entries), tar_split_digest: None };
        let json = to_bytes(&toc)?;
        let digest = Digest::of(&json);
        let size = json.len() as u64;
        let kind = Kind::File { data: Data::Gone, size, twin: None };
        let mut plain = header(&Node::new(TOC_NAME, kind, 0o444));
        plain.extend(json);
        plain.extend(padding(size));
        plain.extend([0; 2 * BLOCK]);
        let start = self.position;
        self.count(&plain);
        self.write(&compress::member(&plain)?)?;
        self.write(&footer(start))?;
        Ok(vec![(TOC_DIGEST, digest.to_string()), (UNCOMPRESSED_SIZE, self.plain_bytes.to_string())])
    }

    /// Table, tar headers and footer, each in a frame that decoders skip.
    fn finish_chunked(&mut self) -> Result<Vec<(&'static str, String)>> {
        let split = self.tar_split.take().ok_or_else(|| Error::defect("no tar headers"))?.finish()?;
        let toc = Toc {
            version: 1,
            entries: std::mem::take(&mut self.entries),
            tar_split_digest: Some(Digest::of(&split.compressed)),
        };
        let json = to_bytes(&toc)?;
        let table = compress::frame(&json)?;
        let header = 8;
        let table_at = self.position + header;
        self.write(&compress::skippable(&table)?)?;
        let split_at = self.position + header;
        self.write(&compress::skippable(&split.compressed)?)?;
        let numbers = [
            table_at,
            table.len() as u64,
            json.len() as u64,
            MANIFEST_TYPE,
            split_at,
            split.compressed.len() as u64,
            split.uncompressed_bytes,
        ];
        let mut footer: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        footer.extend(CHUNKED_MAGIC);
        self.write(&compress::skippable(&footer)?)?;
        Ok(vec![
            (MANIFEST_CHECKSUM, Digest::of(&table).to_string()),
            (MANIFEST_POSITION, format!("{}:{}:{}:{}", numbers[0], numbers[1], numbers[2], numbers[3])),
            (TARSPLIT_POSITION, format!("{}:{}:{}", numbers[4], numbers[5], numbers[6])),
        ])
    }
}

/// An empty gzip member whose extra field says where the table is.
fn footer(table: u64) -> Vec<u8> {
    let field = format!("{table:016x}STARGZ");
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    footer.extend((field.len() as u16 + 4).to_le_bytes());
    footer.extend(b"SG");
    footer.extend((field.len() as u16).to_le_bytes());
    footer.extend(field.as_bytes());
    // A last and stored block of no bytes, then the checksum and the size of nothing.
    footer.extend([1, 0, 0, 0xff, 0xff]);
    footer.extend([0; 8]);
    debug_assert_eq!(footer.len() as u64, FOOTER_BYTES, "the footer has a fixed size");
    footer
}
