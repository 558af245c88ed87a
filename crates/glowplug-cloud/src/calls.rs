//! The operations of Lambda's API that are used, one function each.
//!
//! Deleting takes a [`Version`], which is always a number: a call without one would delete the function.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{Environment, ProvisionedConcurrencyConfigListItem};
use glowplug_core::{Error, Result};

use crate::connect::AwsTarget;
use crate::fault::{Asked, Refusal};
use crate::mark::{Mark, VARIABLE};

/// What a version of ours says of itself, for whoever finds one.
pub(crate) const DESCRIPTION: &str = "made by glowplug tune, to be deleted";

/// The number of a published version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(String);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AwsTarget {
    pub(crate) fn asked(&self, action: &'static str) -> Asked<'_> {
        Asked { action, function: &self.named.function, region: &self.region }
    }

    /// Waits for a call to its end.
    fn call<T, E>(
        &self,
        action: &'static str,
        sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.whole(sent).map_err(|error| self.asked(action).refused(error))
    }

    /// `GetFunctionConfiguration` of `$LATEST`, or of a version or alias.
    pub(crate) fn configuration(
        &self,
        qualifier: Option<&str>,
    ) -> Result<GetFunctionConfigurationOutput, Refusal> {
        let call = self.client.get_function_configuration().function_name(&self.named.function);
        self.call("GetFunctionConfiguration", call.set_qualifier(qualifier.map(str::to_owned)).send())
    }

    /// `UpdateFunctionConfiguration`: memory size and variables, unless the revision is another.
    pub(crate) fn update(
        &self,
        memory_mb: u32,
        variables: &BTreeMap<String, String>,
        revision: Option<&str>,
    ) -> Result<(), Refusal> {
        let variables = variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let call = self
            .client
            .update_function_configuration()
            .function_name(&self.named.function)
            .memory_size(i32::try_from(memory_mb).unwrap_or(i32::MAX))
            .environment(Environment::builder().set_variables(Some(variables)).build())
            .set_revision_id(revision.map(str::to_owned));
        self.call("UpdateFunctionConfiguration", call.send()).map(drop)
    }

    /// `PublishVersion` of what bears this mark, unless code or revision are others.
    pub(crate) fn publish(
        &self,
        shown: &GetFunctionConfigurationOutput,
        mark: &Mark,
    ) -> Result<Version, Refusal> {
        let call = self
            .client
            .publish_version()
            .function_name(&self.named.function)
            .description(DESCRIPTION)
            .set_code_sha256(shown.code_sha256.clone())
            .set_revision_id(shown.revision_id.clone());
        let published = self.call("PublishVersion", call.send())?;
        let marked = published.environment.as_ref().and_then(|environment| environment.variables.as_ref());
        let is_ours = marked.and_then(|variables| variables.get(VARIABLE)) == Some(&mark.to_string());
        let version = published.version.as_deref().and_then(Version::parse);
        version.filter(|_| is_ours).ok_or(Refusal::Changed)
    }

    /// `DeleteFunction` of one version.
    pub(crate) fn delete(&self, version: &Version) -> Result<(), Refusal> {
        let call = self.client.delete_function().function_name(&self.named.function);
        self.call("DeleteFunction", call.qualifier(version.as_str()).send()).map(drop)
    }

    /// `ListVersionsByFunction`: the versions that bear a mark.
    pub(crate) fn marked_versions(&self) -> Result<Vec<(Version, Mark)>, Refusal> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let call = self.client.list_versions_by_function().function_name(&self.named.function);
            let page = self.call("ListVersionsByFunction", call.set_marker(marker).send())?;
            for shown in page.versions() {
                let variables = shown.environment.as_ref().and_then(|given| given.variables.as_ref());
                let marked = variables.and_then(|variables| variables.get(VARIABLE));
                let mark = marked
                    .and_then(|value| Mark::of(&BTreeMap::from([(VARIABLE.to_owned(), value.clone())])));
                let version = shown.version.as_deref().and_then(Version::parse);
                found.extend(version.zip(mark));
            }
            marker = page.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// `ListProvisionedConcurrencyConfigs`.
    pub(crate) fn provisioned(&self) -> Result<Vec<ProvisionedConcurrencyConfigListItem>, Refusal> {
        let call = self.client.list_provisioned_concurrency_configs().function_name(&self.named.function);
        self.call("ListProvisionedConcurrencyConfigs", call.into_paginator().items().send().try_collect())
    }

    /// `GetFunctionConcurrency`: what is reserved for the function.
    pub(crate) fn reserved(&self) -> Result<Option<u32>, Refusal> {
        let call = self.client.get_function_concurrency().function_name(&self.named.function);
        let found = self.call("GetFunctionConcurrency", call.send())?;
        Ok(found.reserved_concurrent_executions.and_then(|reserved| u32::try_from(reserved).ok()))
    }
}

/// What may be missing for want of permission.
pub(crate) fn unless_denied<T>(found: Result<T, Refusal>) -> Result<Result<T, Error>> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Refusal::Denied(error)) => Ok(Err(error)),
        Err(other) => Err(other.error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_number_can_be_deleted() {
        assert_eq!(Version::parse("12").unwrap().as_str(), "12");
        for text in ["", "$LATEST", "live", "1a", "-1", "+1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
