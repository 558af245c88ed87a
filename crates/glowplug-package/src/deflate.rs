//! Makes one file's contents as small as a zip can hold them: the best of several efforts.
//!
//! Deflate leaves the encoder free to choose matches and blocks. libdeflate's levels from 10 on
//! look for a nearly optimal parse, which on package trees is 3 to 4 % smaller than zlib's level 9;
//! 11 and 12 gain another 0.1 % and take up to twice as long, so that they are for small files.
//! Zopfli gains 0.4 % more at a hundredth of the speed, so that it is not here. Which efforts are tried depends on the size of
//! the contents alone: neither the machine nor the number of threads can show.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use glowplug_core::{Error, Result};
use libdeflater::{CompressionLvl, Compressor};

/// What other tools do: the level at which zlib starts.
const PLAIN_LEVEL: u32 = 6;
/// zlib's highest level. Its matches are sometimes a few bytes luckier in small files.
const HIGHEST_LEVEL: u32 = 9;
/// libdeflate's levels for the smallest files, of which each may win.
const SMALL_LEVELS: &[i32] = &[12, 11, 10];
/// Its level for those in the middle.
const MIDDLE_LEVELS: &[i32] = &[12];
/// Its level for large ones, so that 250 MB take seconds, not a minute.
const LARGE_LEVELS: &[i32] = &[10];
/// Contents up to this many bytes are tried with every effort.
const SMALL_BYTES: usize = 4 * 1024;
/// Contents beyond this many bytes are large.
const MIDDLE_BYTES: usize = 16 * 1024;

/// How much work goes into a smaller zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// zlib's level 6, as other tools write zips.
    Plain,
    /// The smallest of several efforts for each file.
    Best,
}

/// Contents as they go into a zip.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Whether `body` is a deflate stream; else it is the contents themselves.
    pub(crate) deflated: bool,
    pub(crate) body: Vec<u8>,
}

/// The encoders of one thread. Their tables are large, and are made once, when they are needed.
#[derive(Default)]
pub(crate) struct Encoders {
    made: Vec<(i32, Compressor)>,
}

impl Encoders {
    /// Packs `contents`; what no effort shortens is stored.
    ///
    /// Errors: a failed encoder (defect).
    pub(crate) fn pack(&mut self, contents: Vec<u8>, effort: Effort) -> Result<Packed> {
        let mut best: Option<Vec<u8>> = None;
        let mut offer = |body: Vec<u8>| {
            if body.len() < best.as_ref().map_or(contents.len(), Vec::len) {
                best = Some(body);
            }
        };
        match effort {
            _ if contents.is_empty() => {}
            Effort::Plain => offer(zlib(&contents, PLAIN_LEVEL)?),
            Effort::Best => {
                for level in levels(contents.len()) {
                    if let Some(body) = self.libdeflate(&contents, *level)? {
                        offer(body);
                    }
                }
                if contents.len() <= SMALL_BYTES {
                    offer(zlib(&contents, HIGHEST_LEVEL)?);
                }
            }
        }
        Ok(match best {
            Some(body) => Packed { deflated: true, body },
            None => Packed { deflated: false, body: contents },
        })
    }

    /// The stream of that level, if it is shorter than the contents.
    fn libdeflate(&mut self, contents: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
        if !self.made.iter().any(|(made, _)| *made == level) {
            let checked = CompressionLvl::new(level)
                .map_err(|error| Error::defect("libdeflate has no such level").cause(format!("{error:?}")))?;
            self.made.push((level, Compressor::new(checked)));
        }
        let Some((_, compressor)) = self.made.iter_mut().find(|(made, _)| *made == level) else {
            return Ok(None);
        };
        // No room for more than is useful: it gives up where the stream is no shorter.
        let mut body = vec![0; contents.len() - 1];
        let Ok(length) = compressor.deflate_compress(contents, &mut body) else { return Ok(None) };
        body.truncate(length);
        body.shrink_to_fit();
        Ok(Some(body))
    }
}

fn levels(bytes: usize) -> &'static [i32] {
    match bytes {
        _ if bytes <= SMALL_BYTES => SMALL_LEVELS,
        _ if bytes <= MIDDLE_BYTES => MIDDLE_LEVELS,
        _ => LARGE_LEVELS,
    }
}

fn zlib(contents: &[u8], level: u32) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    let written = encoder.write_all(contents).and_then(|()| encoder.finish());
    written.map_err(|error| Error::defect("cannot deflate").cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn unpacked(packed: &Packed) -> Vec<u8> {
        if !packed.deflated {
            return packed.body.clone();
        }
        let mut contents = Vec::new();
        flate2::read::DeflateDecoder::new(packed.body.as_slice()).read_to_end(&mut contents).unwrap();
        contents
    }

    #[test]
    fn the_best_effort_is_never_behind_zlib() {
        let text = include_bytes!("archive.rs");
        for contents in [text.to_vec(), text.repeat(3), text.repeat(12), vec![7; 300_000]] {
            let best = Encoders::default().pack(contents.clone(), Effort::Best).unwrap();
            let plain = Encoders::default().pack(contents.clone(), Effort::Plain).unwrap();
            assert!(best.deflated && best.body.len() <= plain.body.len());
            assert!(best.body.len() <= zlib(&contents, HIGHEST_LEVEL).unwrap().len());
            assert_eq!(unpacked(&best), contents);
        }
    }

    #[test]
    fn what_was_packed_before_does_not_show() {
        let (one, two) = (include_bytes!("archive.rs").to_vec(), include_bytes!("tree.rs").repeat(20));
        let mut used = Encoders::default();
        used.pack(two.clone(), Effort::Best).unwrap();
        let after = used.pack(one.clone(), Effort::Best).unwrap();
        assert_eq!(after, Encoders::default().pack(one, Effort::Best).unwrap());
        let again = used.pack(two.clone(), Effort::Best).unwrap();
        assert_eq!(again, Encoders::default().pack(two, Effort::Best).unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_contents_come_back(
            contents in prop_oneof![
                prop::collection::vec(0_u8..6, 0..400),
                prop::collection::vec(any::<u8>(), 0..400),
            ],
            repeats in prop_oneof![Just(1_usize), Just(60), Just(600)],
            effort in prop_oneof![Just(Effort::Plain), Just(Effort::Best)],
        ) {
            let contents = contents.repeat(repeats);
            let packed = Encoders::default().pack(contents.clone(), effort).unwrap();
            prop_assert!(packed.body.len() <= contents.len());
            prop_assert_eq!(unpacked(&packed), contents);
        }
    }
}
