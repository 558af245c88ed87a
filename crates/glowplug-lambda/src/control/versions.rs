//! Versions: published and listed.

use glowplug_engine::uuid;
use serde::Deserialize;
use serde_json::Value;

use super::{body, page};
use crate::error::ApiError;
use crate::model::{Configuration, Record};
use crate::names::Named;
use crate::service::Service;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publication {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

impl Record {
    /// Publishes `$LATEST`, unless it is what was published last.
    pub(super) fn publish(&mut self, description: Option<String>) -> Configuration {
        let same = |published: &Configuration| {
            let as_latest = Configuration {
                version: self.latest.version.clone(),
                description: self.latest.description.clone(),
                revision: self.latest.revision.clone(),
                last_modified: self.latest.last_modified.clone(),
                ..published.clone()
            };
            as_latest == self.latest
        };
        if let Some(published) = self.versions.values().next_back().filter(|published| same(published)) {
            return published.clone();
        }
        let number = self.next_version;
        self.next_version += 1;
        let published = Configuration {
            version: number.to_string(),
            description: description.unwrap_or_else(|| self.latest.description.clone()),
            revision: uuid(),
            ..self.latest.clone()
        };
        self.versions.insert(number, published.clone());
        published
    }
}

impl Service {
    /// `PublishVersion`.
    pub(crate) fn publish_version(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Publication = body(bytes)?;
        self.change(named, None, |record| {
            let latest = &record.latest;
            if input.code_sha256.is_some_and(|sha| sha != latest.code_sha256()) {
                return Err(ApiError::invalid(format!(
                    "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST. Please try again with the CodeSHA256 in $LATEST.",
                    latest.code_sha256()
                )));
            }
            if input.revision_id.is_some_and(|revision| revision != latest.revision) {
                return Err(ApiError::stale_revision());
            }
            // Its files may change; a version stays.
            let files = self.lock().local_files(&record.latest).cloned();
            if let Some(files) = files {
                self.0.store.keep_tree(&record.latest.code, &files.tree, &files.layers)?;
            }
            Ok(record.publish(input.description).shown(true))
        })
    }

    /// `ListVersionsByFunction`.
    pub(crate) fn list_versions(
        &self,
        named: &Named,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        self.look(named, |record| {
            let versions = std::iter::once(&record.latest).chain(record.versions.values());
            page("Versions", versions.map(|configuration| configuration.shown(true)).collect(), marker, most)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::tests::configuration;

    #[test]
    fn the_same_is_published_once() {
        let mut record = Record::new(configuration("$LATEST"), BTreeMap::new());
        assert_eq!(record.publish(None).version, "1");
        assert_eq!(record.publish(Some("again".to_owned())).version, "1");
        record.latest.memory_mb = 256;
        assert_eq!(record.publish(Some("more".to_owned())).version, "2");
        record.versions.remove(&2);
        record.latest.memory_mb = 512;
        assert_eq!(record.publish(None).version, "3", "numbers are never given twice");
    }
}
