//! Aliases: names for versions.

use std::collections::BTreeMap;

use glowplug_engine::{LATEST, uuid};
use serde::Deserialize;
use serde_json::Value;

use super::concurrency::NOT_WITH_SNAP_START;
use super::{body, page};
use crate::error::ApiError;
use crate::model::{Alias, Record};
use crate::names::{Named, is_word, qualified_arn};
use crate::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<Routing>,
    revision_id: Option<String>,
}

impl Service {
    /// `CreateAlias`.
    pub(crate) fn create_alias(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Input = body(bytes)?;
        let name = input.name.unwrap_or_default();
        if !is_word(&name) || name.bytes().all(|byte| byte.is_ascii_digit()) {
            let pattern = "satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
            return Err(ApiError::constraint(&name, "name", pattern));
        }
        self.change(named, None, |record| {
            if record.aliases.contains_key(&name) {
                let arn = qualified_arn(&named.function, Some(&name));
                return Err(ApiError::conflict(format!("Alias already exists: {arn}")));
            }
            let mut alias = Alias {
                version: input.function_version.unwrap_or_default(),
                description: input.description.unwrap_or_default(),
                weights: input.routing_config.unwrap_or_default().additional_version_weights,
                revision: uuid(),
            };
            check(named, record, &mut alias)?;
            let shown = alias.shown(&named.function, &name);
            record.aliases.insert(name.clone(), alias);
            Ok(shown)
        })
    }

    /// `GetAlias`.
    pub(crate) fn get_alias(&self, named: &Named, name: &str) -> Result<Value, ApiError> {
        self.look(named, |record| Ok(found(named, record, name)?.shown(&named.function, name)))
    }

    /// `UpdateAlias`.
    pub(crate) fn update_alias(&self, named: &Named, name: &str, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Input = body(bytes)?;
        self.change(named, None, |record| {
            let mut alias = found(named, record, name)?.clone();
            if input.revision_id.is_some_and(|revision| revision != alias.revision) {
                return Err(ApiError::stale_revision());
            }
            alias.version = input.function_version.unwrap_or(alias.version);
            alias.description = input.description.unwrap_or(alias.description);
            if let Some(routing) = input.routing_config {
                alias.weights = routing.additional_version_weights;
            }
            alias.revision = uuid();
            check(named, record, &mut alias)?;
            let snaps = record.version(&alias.version).is_some_and(|version| version.snap_start);
            if snaps && record.provisioned.contains_key(name) {
                return Err(ApiError::invalid(NOT_WITH_SNAP_START));
            }
            let shown = alias.shown(&named.function, name);
            record.aliases.insert(name.to_owned(), alias);
            Ok(shown)
        })
    }

    /// `DeleteAlias`; one that is not there is deleted too.
    pub(crate) fn delete_alias(&self, named: &Named, name: &str) -> Result<(), ApiError> {
        self.change(named, None, |record| {
            record.aliases.remove(name);
            record.forget(name);
            Ok(())
        })
    }

    /// `ListAliases`, of one version where it is named.
    pub(crate) fn list_aliases(
        &self,
        named: &Named,
        version: Option<&str>,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        self.look(named, |record| {
            let wanted =
                record.aliases.iter().filter(|(_, alias)| version.is_none_or(|v| alias.version == v));
            let shown = wanted.map(|(name, alias)| alias.shown(&named.function, name)).collect();
            page("Aliases", shown, marker, most)
        })
    }
}

fn found<'r>(named: &Named, record: &'r Record, name: &str) -> Result<&'r Alias, ApiError> {
    record.aliases.get(name).ok_or_else(|| {
        ApiError::not_found(format!("Alias not found: {}", qualified_arn(&named.function, Some(name))))
    })
}

/// Whether an alias names versions that there are, and shares between two published ones. A weight of 0 is none.
fn check(named: &Named, record: &Record, alias: &mut Alias) -> Result<(), ApiError> {
    for version in std::iter::once(&alias.version).chain(alias.weights.keys()) {
        if record.version(version).is_none() {
            let arn = qualified_arn(&named.function, Some(version));
            return Err(ApiError::not_found(format!("Function not found: {arn}")));
        }
    }
    if alias.weights.is_empty() {
        return Ok(());
    }
    if alias.weights.len() > 1 {
        return Err(ApiError::invalid(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    if alias.version == LATEST || alias.weights.contains_key(LATEST) {
        return Err(ApiError::invalid(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ));
    }
    if alias.weights.contains_key(&alias.version) {
        return Err(ApiError::invalid(format!(
            "Invalid function version {}. Function version {} is already included in routing configuration.",
            alias.version, alias.version
        )));
    }
    if alias.weights.values().any(|weight| !(0.0..=1.0).contains(weight)) {
        return Err(ApiError::constraint(
            &format!("{:?}", alias.weights),
            "routingConfig.additionalVersionWeights",
            "satisfy constraint: [Member must have value between 0.0 and 1.0]",
        ));
    }
    alias.weights.retain(|_, weight| *weight > 0.0);
    Ok(())
}
