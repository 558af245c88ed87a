//! The tar headers of a layer with a hole for each file's contents, in the format of
//! <https://github.com/vbatts/tar-split>: what containers/storage puts a layer together again from, byte by byte,
//! after it has fetched only the chunks that it lacked.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glowplug_core::{Error, Result};
use serde::Serialize;

/// A file with its contents left out.
const FILE: u8 = 1;
/// Bytes of the archive as they are.
const SEGMENT: u8 = 2;
/// The reversed polynomial of ISO 3309, as Go's `hash/crc64` has it.
const ISO: u64 = 0xD800_0000_0000_0000;

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    r#type: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    payload: Option<String>,
    position: usize,
}

/// Written as the layer is.
pub(crate) struct TarSplit {
    out: zstd::Encoder<'static, Vec<u8>>,
    bytes: u64,
    position: usize,
    /// Bytes since the last file.
    pending: Vec<u8>,
}

/// What was written.
pub(crate) struct Written {
    pub compressed: Vec<u8>,
    pub uncompressed_bytes: u64,
}

impl TarSplit {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let out = zstd::Encoder::new(Vec::new(), level).map_err(|error| failed(&error))?;
        Ok(Self { out, bytes: 0, position: 0, pending: Vec::new() })
    }

    /// Headers and padding.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The entry whose header was just given; `crc` is of its contents, where it has any.
    pub(crate) fn file(&mut self, name: &str, size: u64, crc: Option<u64>) -> Result<()> {
        self.flush()?;
        let payload = crc.map(|crc| STANDARD.encode(crc.to_be_bytes()));
        let size = (size > 0).then_some(size);
        self.line(&Line { r#type: FILE, name, size, payload, position: self.position })
    }

    fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let payload = Some(STANDARD.encode(std::mem::take(&mut self.pending)));
        self.line(&Line { r#type: SEGMENT, name: "", size: None, payload, position: self.position })
    }

    fn line(&mut self, line: &Line<'_>) -> Result<()> {
        let mut text =
            serde_json::to_vec(line).map_err(|error| Error::defect("cannot write JSON").cause(error))?;
        text.push(b'\n');
        self.out.write_all(&text).map_err(|error| failed(&error))?;
        self.bytes += text.len() as u64;
        self.position += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Written> {
        self.flush()?;
        let compressed = self.out.finish().map_err(|error| failed(&error))?;
        Ok(Written { compressed, uncompressed_bytes: self.bytes })
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::surroundings("cannot compress").cause(error)
}

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ ISO } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// CRC-64 of further bytes; begin with 0.
pub(crate) fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    !bytes.iter().fold(!crc, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_gos_tests() {
        // From `crc64_test.go` of Go's standard library.
        assert_eq!(crc64(0, b""), 0);
        assert_eq!(crc64(0, b"a"), 0x3420_0000_0000_0000);
        assert_eq!(crc64(crc64(0, b"ab"), b"c"), 0x3776_c420_0000_0000);
    }
}
