//! Cuts the tar stream of a layer into pieces that are compressed each on its own.
//!
//! Where the cuts are is the whole difference between the formats, and depends on nothing but the entries: so threads
//! may compress pieces in any order.

use crate::header::{BLOCK, header, padding};
use crate::node::{Kind, Node};
use crate::request::LayerFormat;

/// Contents of one chunk, in bytes: what the stargz tools use.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
/// Contents of one chunk of a native library, in bytes. They are mapped, and a start touches some of their pages. What
/// smaller chunks cost and save is in `docs/images.md`.
const LIBRARY_CHUNK_BYTES: u64 = 256 * 1024;
/// Uncompressed bytes of one block of a plain layer.
const PLAIN_BYTES: u64 = 1024 * 1024;

/// Contents of one chunk of this entry at most, in bytes, in the formats with a table of contents. By the name, so
/// that cuts depend on nothing that has to be read: `x.so`, `x.so.1`.
pub(crate) fn chunk_bytes(node: &Node) -> u64 {
    let name = node.path.rsplit('/').next().unwrap_or_default();
    let library = name.split('.').skip(1).any(|part| part == "so");
    if library { LIBRARY_CHUNK_BYTES } else { CHUNK_BYTES }
}

/// A run of the tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// All header blocks of the entry with this index.
    Header { node: usize, bytes: Vec<u8> },
    /// Padding.
    Raw(Vec<u8>),
    /// Contents of the entry with this index.
    Payload { node: usize, offset: u64, length: usize },
}

/// What is compressed at once. In the formats with a table of contents, a payload is the first segment of its piece.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub segments: Vec<Segment>,
    pub bytes: u64,
}

impl Piece {
    fn push(&mut self, segment: Segment) {
        self.bytes += match &segment {
            Segment::Header { bytes, .. } | Segment::Raw(bytes) => bytes.len() as u64,
            Segment::Payload { length, .. } => *length as u64,
        };
        self.segments.push(segment);
    }
}

/// The segments of a layer, one after the other.
struct Segments<'a> {
    nodes: &'a [Node],
    index: usize,
    /// `None` before the header of the entry, then how much of its contents is done.
    done: Option<u64>,
    format: LayerFormat,
    end: Option<Vec<u8>>,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let Some(node) = self.nodes.get(self.index) else {
            return self.end.take().map(Segment::Raw);
        };
        let Some(done) = self.done else {
            self.done = Some(0);
            return Some(Segment::Header { node: self.index, bytes: header(node) });
        };
        let size = if matches!(node.kind, Kind::File { .. }) { node.size() } else { 0 };
        if done < size {
            let most = if self.format == LayerFormat::Gzip { PLAIN_BYTES } else { chunk_bytes(node) };
            let length = (size - done).min(most);
            self.done = Some(done + length);
            return Some(Segment::Payload { node: self.index, offset: done, length: length as usize });
        }
        self.index += 1;
        self.done = None;
        let padding = padding(size);
        if padding.is_empty() { self.next() } else { Some(Segment::Raw(padding)) }
    }
}

/// The pieces of a layer.
pub(crate) struct Pieces<'a> {
    segments: std::iter::Peekable<Segments<'a>>,
    format: LayerFormat,
}

/// Cuts a layer. The two blocks of zeros that end a tar archive are in the last piece, except that eStargz has them
/// after its table of contents.
pub(crate) fn pieces(nodes: &[Node], format: LayerFormat) -> Pieces<'_> {
    let end = (format != LayerFormat::EStargz).then(|| vec![0; 2 * BLOCK]);
    let segments = Segments { nodes, index: 0, done: None, format, end };
    Pieces { segments: segments.peekable(), format }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let mut piece = Piece::default();
        piece.push(self.segments.next()?);
        while let Some(next) = self.segments.peek() {
            let payload_next = matches!(next, Segment::Payload { .. });
            let payload_before = matches!(piece.segments.last(), Some(Segment::Payload { .. }));
            let cut = match self.format {
                LayerFormat::Gzip => piece.bytes >= PLAIN_BYTES,
                // What follows a file's contents, up to the next contents, shares their gzip member, as the
                // reference implementation has it: a header alone compresses badly.
                LayerFormat::EStargz => payload_next,
                // Readers take a frame for contents and nothing else.
                LayerFormat::ZstdChunked => payload_next || payload_before,
            };
            if cut {
                break;
            }
            piece.push(self.segments.next()?);
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Data;

    fn nodes() -> Vec<Node> {
        let file =
            |path: &str, size| Node::new(path, Kind::File { data: Data::Gone, size, twin: None }, 0o644);
        vec![
            Node::new("d", Kind::Dir, 0o755),
            file("d/big", CHUNK_BYTES + 5),
            file("empty", 0),
            file("x", 512),
        ]
    }

    /// `r` for headers and padding, `p` for contents, a blank between pieces.
    fn shape(format: LayerFormat) -> String {
        let letter = |segment: &Segment| if matches!(segment, Segment::Payload { .. }) { 'p' } else { 'r' };
        let shapes: Vec<String> =
            pieces(&nodes(), format).map(|piece| piece.segments.iter().map(letter).collect()).collect();
        shapes.join(" ")
    }

    #[test]
    fn libraries_have_smaller_chunks() {
        let most = |path: &str| chunk_bytes(&Node::new(path, Kind::Dir, 0o755));
        for path in ["a/b.so", "b.cpython-311-x86_64-linux-gnu.so", "libx-1.so.5.0.0"] {
            assert_eq!(most(path), LIBRARY_CHUNK_BYTES, "{path}");
        }
        for path in ["a.so/b", "so", "b.sox", "model.bin"] {
            assert_eq!(most(path), CHUNK_BYTES, "{path}");
        }
    }

    #[test]
    fn each_format_cuts_where_its_readers_look() {
        assert_eq!(shape(LayerFormat::EStargz), "rr p prrr p");
        assert_eq!(shape(LayerFormat::ZstdChunked), "rr p p rrr p r");
        assert_eq!(shape(LayerFormat::Gzip), "rrp p p p prrrpr");
    }
}
