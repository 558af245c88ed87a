//! Sends one blob: not at all where it is there, mounted where another repository has it, else from disk, the large ones
//! in parts that survive a broken connection.

use std::sync::Arc;

use glowplug_core::{Error, Result};
use ureq::http::Method;

use crate::address::{join, with_parameter, without_query};
use crate::attempts::{Attempts, Failure};
use crate::digest::Digest;
use crate::faults;
use crate::http::{Answer, Body};
use crate::layout::Layout;
use crate::limits::PART_BYTES;
use crate::manifest::Descriptor;
use crate::session::{Call, Session, UNTOLD};
use crate::transfers::Told;

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It was there.
    Present,
    /// The registry took it from another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// A blob on its way.
struct Upload<'a> {
    session: &'a Session<'a>,
    layout: &'a Layout,
    blob: &'a Descriptor,
    what: String,
    /// Where the registry takes the rest of an upload that was begun.
    location: Option<String>,
    /// Bytes that the registry has of it.
    offset: u64,
    /// Bytes of a part; 0 where the registry takes no parts.
    part: u64,
}

/// Sees that a blob is in the repository. `mounts` are repositories of the registry that may have it.
///
/// # Errors
/// Input: the layout's file is not what it is named. Surroundings: registry, network, login. Interrupted.
pub(crate) fn upload(
    session: &Session<'_>,
    layout: &Layout,
    blob: &Descriptor,
    mounts: &[&str],
) -> Result<Way> {
    let told = Told::new(session.watch.progress);
    let what = format!("send the blob {} to {}", blob.digest, session.reference);
    let mut upload = Upload { session, layout, blob, what, location: None, offset: 0, part: PART_BYTES };
    if upload.is_there()? {
        told.now(blob.size);
        return Ok(Way::Present);
    }
    if upload.mount(mounts)? {
        told.now(blob.size);
        return Ok(Way::Mounted);
    }
    upload.check_file()?;
    let mut attempts = Attempts::new(session.patience(), session.watch);
    loop {
        let before = upload.offset;
        match upload.attempt(&told) {
            Ok(()) => {
                told.now(blob.size);
                return Ok(Way::Sent);
            }
            Err(failure) => {
                let further = upload.offset > before;
                attempts.failed(failure, further).map_err(|error| faults::within(&upload.what, error))?;
                upload.resume()?;
            }
        }
    }
}

impl Upload<'_> {
    fn call(&self, method: Method, url: String, expects: &'static [u16]) -> Call {
        Call { method, url, headers: Vec::new(), body: Body::None, expects, what: self.what.clone() }
    }

    fn is_there(&self) -> Result<bool> {
        let url = self.session.url(&format!("blobs/{}", self.blob.digest));
        let answer = self.session.call(&self.call(Method::HEAD, url, &[200, 404]))?;
        let length = answer.number("content-length").filter(|_| answer.status == 200);
        if let Some(length) = length.filter(|length| *length != self.blob.size) {
            let error = Error::surroundings("the registry has a blob of this digest and another size")
                .place(without_query(&answer.url))
                .cause(format!("{length} bytes instead of {}", self.blob.size));
            return Err(faults::within(&self.what, error));
        }
        Ok(answer.status == 200)
    }

    /// Asks for a copy from other repositories. A registry that gives none opens an upload instead.
    fn mount(&mut self, repositories: &[&str]) -> Result<bool> {
        for repository in repositories {
            let url = with_parameter(&self.session.url("blobs/uploads/"), "mount", self.blob.digest.as_str());
            let url = with_parameter(&url, "from", repository);
            // One that may not be read there is sent.
            let answer = self.session.call(&self.call(Method::POST, url, &[201, 202, 400, 403, 404, 405]))?;
            match answer.status {
                201 => return Ok(true),
                202 => self.begun(&answer).map_err(|error| faults::within(&self.what, error))?,
                _ => {}
            }
        }
        Ok(false)
    }

    /// What is not what it is named is not worth sending.
    fn check_file(&self) -> Result<()> {
        let path = self.layout.path(&self.blob.digest);
        let wrong = |cause: String| {
            Error::input(format!("the layout has no whole blob {}", self.blob.digest))
                .place(path.as_str())
                .cause(cause)
                .hint("make or fetch the layout anew")
        };
        if !path.is_file() {
            return Err(wrong("there is no such file".to_owned()));
        }
        let (digest, length) = Digest::of_file(&path, &|| self.session.watch.check())?;
        if length != self.blob.size {
            return Err(wrong(format!("it has {length} bytes instead of {}", self.blob.size)));
        }
        if digest != self.blob.digest {
            return Err(wrong(format!("its bytes have the digest {digest}")));
        }
        Ok(())
    }

    fn attempt(&mut self, told: &Told<'_>) -> Result<(), Failure> {
        if self.location.is_none() {
            let call = self.call(Method::POST, self.session.url("blobs/uploads/"), &[202]);
            let answer = self.session.once(&call, UNTOLD)?;
            self.begun(&answer)?;
        }
        let location = self.location.clone().unwrap_or_default();
        if self.blob.size <= self.part || self.part == 0 {
            return self.finish(&location, self.file(0, self.blob.size), told);
        }
        while self.offset < self.blob.size {
            self.send_part(told)?;
        }
        let location = self.location.clone().unwrap_or(location);
        self.finish(&location, Body::None, told)
    }

    /// An upload was begun, or goes on: where, and in which parts.
    fn begun(&mut self, answer: &Answer) -> Result<()> {
        let location = answer.header("location").ok_or_else(|| {
            Error::surroundings("the registry does not say where it takes the blob")
                .place(without_query(&answer.url))
                .cause("its answer has no `Location`")
        })?;
        self.location = Some(join(&answer.url, location)?);
        if let Some(least) = answer.number("oci-chunk-min-length").filter(|_| self.part > 0) {
            self.part = self.part.max(least);
        }
        Ok(())
    }

    fn file(&self, offset: u64, length: u64) -> Body {
        Body::File { path: self.layout.path(&self.blob.digest), offset, length, sent: Arc::default() }
    }

    fn send_part(&mut self, told: &Told<'_>) -> Result<(), Failure> {
        let start = self.offset;
        let length = self.part.min(self.blob.size - start);
        let mut call = self.call(
            Method::PATCH,
            self.location.clone().unwrap_or_default(),
            &[202, 204, 400, 404, 405, 416, 501],
        );
        call.body = self.file(start, length);
        call.headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            ("content-range", format!("{start}-{}", start + length - 1)),
        ];
        let answer = self.session.once(&call, &|sent| told.now(start + sent))?;
        if !matches!(answer.status, 202 | 204) {
            if start == 0 && answer.status != 416 {
                // It takes no parts: the next attempt sends the whole.
                self.part = 0;
            }
            let error = Error::surroundings("the registry did not take a part of the blob")
                .place(without_query(&answer.url));
            return Err(Failure::passing(error.cause(format!("status {}", answer.status))));
        }
        self.offset = answer.header("range").and_then(received).unwrap_or(start + length);
        if self.offset > start + length {
            let error = Error::surroundings("the registry says that it has more than was sent");
            return Err(Failure::Final(error.place(without_query(&answer.url))));
        }
        told.now(self.offset);
        self.begun(&answer)?;
        Ok(())
    }

    /// The last request of an upload, or its only one, with the whole blob.
    fn finish(&self, location: &str, body: Body, told: &Told<'_>) -> Result<(), Failure> {
        let url = with_parameter(location, "digest", self.blob.digest.as_str());
        let mut call = self.call(Method::PUT, url, &[201, 204]);
        call.headers = vec![("content-type", "application/octet-stream".to_owned())];
        call.body = body;
        let offset = self.offset;
        let answer = self.session.once(&call, &|sent| told.now(offset + sent))?;
        match answer.header("docker-content-digest") {
            Some(stored) if stored.starts_with("sha256:") && stored != self.blob.digest.as_str() => {
                let error = Error::surroundings("the registry stored the blob under another digest")
                    .place(without_query(&answer.url));
                Err(Failure::Final(error.cause(faults::readable(stored, 100))))
            }
            _ => Ok(()),
        }
    }

    /// After a failure: how much of the upload the registry has, if it still knows it.
    fn resume(&mut self) -> Result<()> {
        let begun = self.location.take();
        let known = std::mem::take(&mut self.offset);
        let (Some(location), true) = (begun, known > 0 && self.part > 0) else { return Ok(()) };
        let call = self.call(Method::GET, location.clone(), &[200, 204]);
        match self.session.once(&call, UNTOLD) {
            Ok(answer) => {
                let has = answer.header("range").and_then(received);
                if let Some(has) = has.filter(|has| *has <= self.blob.size) {
                    self.offset = has;
                    self.location = Some(match answer.header("location") {
                        Some(next) => join(&answer.url, next)?,
                        None => location,
                    });
                }
                Ok(())
            }
            Err(Failure::Final(error)) if error.class() == glowplug_core::ErrorClass::Interrupted => {
                Err(error)
            }
            // An upload that it does not know any more begins anew.
            Err(_) => Ok(()),
        }
    }
}

/// Bytes that a registry has, by its `Range: 0-1023`, which tells the last one.
fn received(text: &str) -> Option<u64> {
    let (_, last) = text.trim().trim_start_matches("bytes=").split_once('-')?;
    match last.trim().parse::<u64>().ok()? {
        // Nothing at all is written like one byte.
        0 => Some(0),
        last => last.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has_is_read() {
        assert_eq!(received("0-1023"), Some(1024));
        assert_eq!(received("bytes=0-9"), Some(10));
        assert_eq!(received("0-0"), Some(0));
        assert_eq!(received("0"), None);
        assert_eq!(received("0-18446744073709551615"), None);
    }
}
