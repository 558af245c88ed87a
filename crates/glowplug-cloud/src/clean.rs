//! Taking everything back: the versions that bear a mark are deleted, `$LATEST` is made what it was.

use glowplug_core::{Cache, Error, Result};

use crate::calls::Version;
use crate::connect::AwsTarget;
use crate::fault::Refusal;
use crate::journal::Journal;
use crate::latest::Owner;

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
        let mut restored = false;
        if let Some(note) = journal.left()? {
            let owner =
                Owner::Session { name: note.session, original_mb: note.original_mb, set_mb: note.set_mb };
            restored = self.restore_latest(&owner).map_err(|refusal| self.unfinished(refusal))?;
        }
        let mut done = self.take_back(&Owner::Anybody)?;
        done.restored |= restored;
        journal.forget()?;
        Ok(done)
    }

    /// Restores `$LATEST` and deletes the marked versions. Both are tried even where the other fails. The user cannot
    /// interrupt it.
    pub(crate) fn take_back(&self, owner: &Owner) -> Result<CleanUp> {
        let restored = match self.restore_latest(owner) {
            // The function is gone, and all of it.
            Err(Refusal::Absent(_)) => return Ok(CleanUp::default()),
            other => other.map_err(|refusal| self.unfinished(refusal)),
        };
        let deleted = self.delete_marked(owner);
        let mut done = deleted?;
        done.restored = restored?;
        Ok(done)
    }

    fn delete_marked(&self, owner: &Owner) -> Result<CleanUp> {
        let mut done = CleanUp::default();
        let found = self.marked_versions().map_err(|refusal| self.unfinished(refusal))?;
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
                Err(other) => return Err(self.unfinished(other)),
            }
        }
        Ok(done)
    }

    /// Deletes one version at once. Where that fails, the clean-up tries it again.
    pub(crate) fn drop_version(&self, version: &Version) {
        let _ = self.delete(version);
    }

    fn unfinished(&self, refusal: Refusal) -> Error {
        refusal.error().hint(format!(
            "not everything is taken back yet: run `glowplug tune --target aws --clean {}` when this is mended",
            self.named.function
        ))
    }
}
