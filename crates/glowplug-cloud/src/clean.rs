//! Taking everything back: the versions that bear a mark are deleted, `$LATEST` is made what it was.

use std::fmt;

use glowplug_core::{Cache, Error, Result};

use crate::calls::{DESCRIPTION, Version};
use crate::connect::AwsTarget;
use crate::fault::Refusal;
use crate::journal::Journal;
use crate::latest::Owner;
use crate::mark::VARIABLE;

/// What a clean-up did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanUp {
    /// Versions that were deleted in it.
    pub deleted: u32,
    /// Versions that somebody uses, and why they stay.
    pub kept: Vec<(String, String)>,
    /// Whether `$LATEST` had to be changed back.
    pub restored: bool,
}

impl AwsTarget {
    /// Takes back what sessions that were killed have left of the function, of this machine or another.
    ///
    /// # Errors
    /// Surroundings where Lambda cannot be reached, does not permit it, or where a session is running.
    pub fn clean(&self, cache: &Cache) -> Result<CleanUp> {
        self.check()?;
        let shown = self.configuration(None).map_err(Refusal::error)?;
        let journal =
            Journal::open(cache, shown.function_arn().unwrap_or_default(), self.endpoint.as_deref())?;
        self.clean_noted(&journal)
    }

    /// The same, where the cache folder says that a session of this machine was killed; nothing where none was.
    ///
    /// # Errors
    /// As of [`AwsTarget::clean`].
    pub fn recover(&self, cache: &Cache) -> Result<Option<CleanUp>> {
        self.check()?;
        let shown = self.configuration(None).map_err(Refusal::error)?;
        let journal =
            Journal::open(cache, shown.function_arn().unwrap_or_default(), self.endpoint.as_deref())?;
        if journal.left()?.is_none() {
            return Ok(None);
        }
        self.clean_noted(&journal).map(Some)
    }

    /// What the journal says was left, then whatever else bears a mark.
    pub(crate) fn clean_noted(&self, journal: &Journal) -> Result<CleanUp> {
        let mut of_note = CleanUp::default();
        if let Some(note) = journal.left()? {
            let owner =
                Owner::Session { name: note.session, original_mb: note.original_mb, set_mb: note.set_mb };
            of_note = self.take_back(&owner)?;
        }
        let mut done = self.take_back(&Owner::Anybody)?;
        done.deleted += of_note.deleted;
        done.restored |= of_note.restored;
        journal.forget()?;
        Ok(done)
    }

    /// Restores `$LATEST` and deletes the marked versions. All of it is tried, even where a part fails. The user cannot
    /// interrupt it.
    pub(crate) fn take_back(&self, owner: &Owner) -> Result<CleanUp> {
        let mut left = Left::default();
        let restored = match self.restore_latest(owner) {
            // The function is gone, and all of it.
            Err(Refusal::Absent(_)) => return Ok(CleanUp::default()),
            Err(refusal) => {
                left.latest = Some(owner.clone());
                left.because(refusal);
                false
            }
            Ok(restored) => restored,
        };
        let mut done = self.delete_marked(owner, &mut left);
        done.restored = restored;
        match left.reason.take() {
            None => Ok(done),
            Some(refusal) => Err(self.unfinished(refusal, &left)),
        }
    }

    fn delete_marked(&self, owner: &Owner, left: &mut Left) -> CleanUp {
        let mut done = CleanUp::default();
        let found = match self.marked_versions() {
            Ok(found) => found,
            Err(refusal) => {
                left.unlisted = true;
                left.because(refusal);
                return done;
            }
        };
        for (version, mark) in found {
            if matches!(owner, Owner::Session { name, .. } if *name != mark.session) {
                continue;
            }
            match self.delete(&version) {
                Ok(()) | Err(Refusal::Absent(_)) => done.deleted += 1,
                // An alias points to it, or it has provisioned concurrency: somebody has taken it into use.
                Err(Refusal::Busy(error)) => {
                    done.kept.push((version.to_string(), error.causes().join(": ")));
                }
                Err(refusal) => {
                    left.versions.push(version);
                    left.because(refusal);
                }
            }
        }
        done
    }

    /// Deletes one version at once. Where that fails, the clean-up tries it again.
    pub(crate) fn drop_version(&self, version: &Version) {
        let _ = self.delete(version);
    }

    /// What is left, why, and how it goes.
    fn unfinished(&self, refusal: Refusal, left: &Left) -> Error {
        let why = refusal.error();
        let error = Error::surroundings(format!("`{}` is not as it was: {left}", self.named.function))
            .cause(why.message());
        let error = why.causes().iter().fold(error, Error::cause);
        let error = why.hints().iter().fold(error, Error::hint);
        error.hint(format!("then take back what is left: `{}`", self.clean_command()))
    }
}

/// What a clean-up could not take back.
#[derive(Debug, Default)]
struct Left {
    /// Whose changes of `$LATEST` may still be there.
    latest: Option<Owner>,
    versions: Vec<Version>,
    /// Which versions there are could not be asked.
    unlisted: bool,
    /// The first refusal: the others mostly say the same.
    reason: Option<Refusal>,
}

impl Left {
    fn because(&mut self, refusal: Refusal) {
        self.reason.get_or_insert(refusal);
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match &self.latest {
            Some(Owner::Session { original_mb, .. }) => parts.push(format!(
                "`$LATEST` may have the variable `{VARIABLE}` and another memory size than its {original_mb} MB"
            )),
            Some(Owner::Anybody) => {
                parts.push(format!("`$LATEST` may have the variable `{VARIABLE}` and another memory size"));
            }
            None => {}
        }
        match self.versions.as_slice() {
            [] if self.unlisted => parts.push(format!("versions described as `{DESCRIPTION}` may be left")),
            [] => {}
            [one] => parts.push(format!("version {one} is left")),
            several => {
                let names: Vec<&str> = several.iter().map(Version::as_str).collect();
                parts.push(format!("versions {} are left", names.join(", ")));
            }
        }
        f.write_str(&parts.join("; "))
    }
}
