//! Fetches one blob into a layout: checked while it streams, continued where a connection broke.

use std::io::{Seek, SeekFrom, Write};

use camino::Utf8PathBuf;
use glowplug_core::{Error, Result};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use ureq::http::Method;

use crate::address::without_query;
use crate::attempts::{Attempts, Failure};
use crate::digest::Digest;
use crate::faults;
use crate::http::{Answer, Body};
use crate::layout::Layout;
use crate::manifest::Descriptor;
use crate::session::{Call, Session, UNTOLD};
use crate::transfers::Told;

/// A blob on its way.
struct Partial<'a> {
    blob: &'a Descriptor,
    /// Where it will be.
    path: Utf8PathBuf,
    file: NamedTempFile,
    hasher: Sha256,
    have: u64,
    /// Whether all its bytes were there once, and wrong.
    was_wrong: bool,
}

/// Fetches a blob that is not there, or not right.
///
/// # Errors
/// Surroundings: the registry, the network or the disk. Input: the registry does not have it. Interrupted.
pub(crate) fn download(session: &Session<'_>, layout: &Layout, blob: &Descriptor) -> Result<()> {
    let what = format!("fetch the blob {} of {}", blob.digest, session.reference);
    let told = Told::new(session.watch.progress);
    let mut attempts = Attempts::new(session.patience(), session.watch);
    let mut partial = Partial {
        blob,
        path: layout.path(&blob.digest),
        file: layout.partial()?,
        hasher: Sha256::new(),
        have: 0,
        was_wrong: false,
    };
    loop {
        let before = partial.have;
        match partial.attempt(session, &what, &told) {
            Ok(()) => return layout.keep(partial.file, &blob.digest),
            Err(failure) => {
                let further = partial.have > before;
                attempts.failed(failure, further).map_err(|error| faults::within(&what, error))?;
            }
        }
    }
}

impl Partial<'_> {
    fn attempt(&mut self, session: &Session<'_>, what: &str, told: &Told<'_>) -> Result<(), Failure> {
        // A connection may break after the last byte.
        if self.have == 0 || self.have < self.blob.size {
            let answer = session.once(&self.call(session, what), UNTOLD)?;
            self.begin(&answer)?;
            while let Some(bytes) = answer.next(session.watch)? {
                self.take(&bytes, &answer)?;
                told.now(self.have);
            }
            if self.have < self.blob.size {
                let cause = format!("after {} of {} bytes", self.have, self.blob.size);
                return Err(Failure::passing(at(&answer, "the answer ended early").cause(cause)));
            }
        }
        let found = Digest::finish(self.hasher.clone());
        if found == self.blob.digest {
            return Ok(());
        }
        self.restart()?;
        let error = Error::surroundings("the registry sent other bytes than the digest promises")
            .place(session.url(&format!("blobs/{}", self.blob.digest)))
            .cause(format!("they have the digest {found}"));
        // Once may be the way that they took; twice is what is stored there.
        if std::mem::replace(&mut self.was_wrong, true) {
            return Err(Failure::Final(
                error
                    .cause("twice")
                    .hint("the blob is corrupt there: push the image anew, or use another one"),
            ));
        }
        Err(Failure::passing(error))
    }

    fn call(&self, session: &Session<'_>, what: &str) -> Call {
        let headers = match self.have {
            0 => Vec::new(),
            have => vec![("range", format!("bytes={have}-"))],
        };
        Call {
            method: Method::GET,
            url: session.url(&format!("blobs/{}", self.blob.digest)),
            headers,
            body: Body::None,
            expects: &[200, 206, 404, 416],
            what: what.to_owned(),
        }
    }

    /// Whether the answer goes on where we are.
    fn begin(&mut self, answer: &Answer) -> Result<(), Failure> {
        let size = self.blob.size;
        match answer.status {
            404 => {
                return Err(Failure::Final(
                    Error::input("the registry does not have it, although the image's manifest names it")
                        .place(without_query(&answer.url))
                        .hint("push the image anew, or use another one"),
                ));
            }
            416 => {
                self.restart()?;
                return Err(Failure::passing(at(answer, "the registry does not go on where it was left")));
            }
            206 => {
                let (start, whole) = answer.header("content-range").and_then(range).unwrap_or_default();
                if whole.is_some_and(|whole| whole != size) {
                    return Err(wrong_size(answer, size, whole));
                }
                if start != self.have {
                    self.restart()?;
                    let error = at(answer, "the registry goes on elsewhere than it was asked to");
                    return Err(Failure::passing(error.cause(format!("from byte {start}"))));
                }
            }
            // Some servers know no ranges and begin anew.
            _ => self.restart()?,
        }
        let length = answer.number("content-length");
        if length.is_some_and(|length| length != size - self.have) {
            return Err(wrong_size(answer, size, length.map(|length| length + self.have)));
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], answer: &Answer) -> Result<(), Failure> {
        let have = self.have + bytes.len() as u64;
        if have > self.blob.size {
            return Err(wrong_size(answer, self.blob.size, None));
        }
        // Of the file itself, since errors of the temporary one would name a path that nobody knows.
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|error| Error::from(error).place(self.path.as_str()))?;
        self.hasher.update(bytes);
        self.have = have;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        (self.hasher, self.have) = (Sha256::new(), 0);
        let file = self.file.as_file_mut();
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(Error::from)?;
        Ok(())
    }
}

fn at(answer: &Answer, message: &str) -> Error {
    Error::surroundings(message).place(without_query(&answer.url))
}

fn wrong_size(answer: &Answer, promised: u64, sent: Option<u64>) -> Failure {
    let error = at(answer, "the registry sends another size than the manifest promises");
    Failure::Final(match sent {
        Some(sent) => error.cause(format!("{sent} bytes instead of {promised}")),
        None => error.cause(format!("more than {promised} bytes")),
    })
}

/// The start and, where it is told, the whole length in `bytes 5-9/10`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(range("bytes */10"), None);
        assert_eq!(range("items 5-9/10"), None);
    }
}
