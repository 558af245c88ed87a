//! Readers that count and hash what goes through them, and stop where there is more than there may be.

use std::fs::File;
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Counts and hashes what is read, keeps a copy where one is asked for.
pub(crate) struct Verified<R> {
    inner: R,
    hasher: Sha256,
    copy: Option<File>,
    read: u64,
    most: u64,
    /// Whether there was more than `most`.
    pub over: bool,
    /// A copy could not be written, which is nobody's fault but the disk's.
    pub copy_error: Option<io::Error>,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(inner: R, most: u64) -> Self {
        Self { inner, hasher: Sha256::new(), copy: None, read: 0, most, over: false, copy_error: None }
    }

    /// The same, with everything that is read written to this file too.
    pub(crate) fn copying(inner: R, most: u64, copy: Option<File>) -> Self {
        Self { copy, ..Self::new(inner, most) }
    }

    /// Reads what is left, so that size and digest are those of the whole.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(|_| ())
    }

    pub(crate) fn length(&self) -> u64 {
        self.read
    }

    pub(crate) fn digest(self) -> Digest {
        Digest::finish(self.hasher)
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read > self.most {
            self.over = true;
            return Err(io::Error::other("more bytes than there may be"));
        }
        self.hasher.update(&buffer[..count]);
        if let Some(copy) = &mut self.copy
            && let Err(error) = copy.write_all(&buffer[..count])
        {
            self.copy_error = Some(error);
            return Err(io::Error::other("the copy cannot be written"));
        }
        Ok(count)
    }
}
