//! Compresses one piece: the same bytes for the same piece, on any thread.

use std::io::Write;

use flate2::{Compress, Compression, FlushCompress, GzBuilder, Status};
use glowplug_core::{Error, Result};

use crate::request::LayerFormat;

/// Deflate effort: 9 takes half as long again as 6 and gains under 1 % on package trees.
const DEFLATE_EFFORT: u32 = 6;
/// zstd's level: higher ones take several times as long for a few per cent.
pub(crate) const ZSTD_LEVEL: i32 = 9;
/// The system in a gzip header, "unknown" (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;
/// Header of the one gzip member of a plain layer: deflate, no flags, no time, unknown system.
pub(crate) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, UNKNOWN_SYSTEM];
/// A last and empty block of deflate, with fixed codes.
pub(crate) const LAST_BLOCK: [u8; 2] = [3, 0];

/// A piece, compressed as the format has it.
pub(crate) fn compress(bytes: &[u8], format: LayerFormat) -> Result<Vec<u8>> {
    match format {
        LayerFormat::Gzip => block(bytes),
        LayerFormat::EStargz => member(bytes),
        LayerFormat::ZstdChunked => frame(bytes),
    }
}

/// A part of a gzip member that ends at a whole byte, so that further parts can follow (as `pigz` does it).
fn block(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut state = Compress::new(Compression::new(DEFLATE_EFFORT), false);
    let mut out = Vec::with_capacity(bytes.len() / 2 + 1024);
    loop {
        if out.capacity() - out.len() < 1024 {
            out.reserve(out.capacity().max(64 * 1024));
        }
        let done = state.total_in() as usize;
        let status =
            state.compress_vec(&bytes[done..], &mut out, FlushCompress::Sync).map_err(|e| failed(&e))?;
        let all_in = state.total_in() as usize == bytes.len();
        // With room left in the buffer, the flush has come to its end.
        if all_in && out.len() < out.capacity() {
            return Ok(out);
        }
        if status == Status::StreamEnd {
            return Err(Error::defect("a deflate stream ended before it was told to"));
        }
    }
}

/// A whole gzip member.
pub(crate) fn member(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzBuilder::new()
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::with_capacity(bytes.len() / 2 + 1024), Compression::new(DEFLATE_EFFORT));
    out.write_all(bytes).and_then(|()| out.finish()).map_err(|error| failed(&error))
}

/// A whole zstd frame. Each has a context of its own: what an earlier frame left in one cannot show.
pub(crate) fn frame(bytes: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(|error| failed(&error))
}

/// A frame that decoders skip (RFC 8878, section 3.1.2).
pub(crate) fn skippable(bytes: &[u8]) -> Result<Vec<u8>> {
    let length =
        u32::try_from(bytes.len()).map_err(|_| Error::input("a table of contents has more than 4 GB"))?;
    let mut frame = vec![0x50, 0x2a, 0x4d, 0x18];
    frame.extend(length.to_le_bytes());
    frame.extend_from_slice(bytes);
    Ok(frame)
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::defect("cannot compress").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn blocks_join_to_one_member() {
        let noise: Vec<u8> =
            (0..300_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let zeros = vec![0; 100_000];
        let parts: [&[u8]; 5] = [b"hello", &noise, b"", &zeros, b"x"];
        let mut gzip = GZIP_HEADER.to_vec();
        let mut sum = crc32fast::Hasher::new();
        let mut size = 0;
        for part in parts {
            gzip.extend(block(part).unwrap());
            sum.update(part);
            size += part.len() as u32;
        }
        gzip.extend(LAST_BLOCK);
        gzip.extend(sum.finalize().to_le_bytes());
        gzip.extend(size.to_le_bytes());
        let mut decoder = flate2::bufread::GzDecoder::new(gzip.as_slice());
        let mut back = Vec::new();
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == parts.concat());
        assert!(decoder.into_inner().is_empty(), "one member and nothing after it");
    }
}
