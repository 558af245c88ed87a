//! Digests as OCI writes them: `sha256:` and 64 hexadecimal digits.

use std::fmt;
use std::io::Read;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Result, format_hex};
use sha2::{Digest as _, Sha256};

/// Bytes that are read from a file at once.
const BUFFER: usize = 256 * 1024;

/// The SHA-256 of a blob. Its text is safe as a file name and in a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(String);

impl Digest {
    /// Reads `sha256:…`.
    ///
    /// # Errors
    /// Input: another algorithm, or not 64 lower-case hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |cause: &str| {
            Error::input(format!("`{}` is not a digest", crate::faults::readable(text, 100))).cause(cause)
        };
        let (algorithm, digits) =
            text.split_once(':').ok_or_else(|| wrong("it has no algorithm before a colon"))?;
        if algorithm != "sha256" {
            return Err(wrong("only sha256 is supported"));
        }
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.bytes().all(hexadecimal) {
            return Err(wrong("sha256 has 64 lower-case hexadecimal digits"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// Of all that a hasher has seen.
    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", format_hex(&hasher.finalize())))
    }

    /// Of a file, whose length comes with it. `check` is asked between reads whether to go on.
    pub(crate) fn of_file(path: &Utf8Path, check: &dyn Fn() -> Result<()>) -> Result<(Self, u64)> {
        let mut file = fs::File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        let mut length = 0;
        loop {
            check()?;
            match file.read(&mut buffer)? {
                0 => return Ok((Self::finish(hasher), length)),
                count => {
                    hasher.update(&buffer[..count]);
                    length += count as u64;
                }
            }
        }
    }

    /// The hexadecimal digits alone: the file's name in `blobs/sha256`.
    pub(crate) fn digits(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The whole text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_sha256_is_taken() {
        let right = Digest::of(b"");
        assert_eq!(right.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Digest::parse(right.as_str()).unwrap(), right);
        for wrong in ["", "sha256", "sha256:", "sha256:../../etc/passwd", "sha512:00"] {
            assert!(Digest::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Digest::parse(&right.as_str().to_uppercase()).is_err());
        assert!(Digest::parse(&format!("sha256:{}", "A".repeat(64))).is_err());
    }
}
