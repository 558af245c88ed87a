//! Reserved and provisioned concurrency.

use glowplug_engine::LATEST;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, page};
use crate::error::{ApiError, Code};
use crate::model::{Provisioned, Record};
use crate::names::{Named, qualified_arn};
use crate::service::{Service, State, UNRESERVED_MINIMUM};
use crate::time;

/// A version is started in one way ("Supported features and limitations" of SnapStart in the developer guide).
pub(super) const NOT_WITH_SNAP_START: &str =
    "Provisioned Concurrency is not supported for SnapStart enabled functions.";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReservedInput {
    reserved_concurrent_executions: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProvisionedInput {
    provisioned_concurrent_executions: Option<u32>,
}

impl Service {
    /// `PutFunctionConcurrency`.
    pub(crate) fn put_reserved(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: ReservedInput = body(bytes)?;
        let wanted = input
            .reserved_concurrent_executions
            .ok_or_else(|| ApiError::constraint("null", "reservedConcurrentExecutions", "not be null"))?;
        let account = self.0.options.concurrency;
        let minimum = UNRESERVED_MINIMUM.min(account);
        self.change(named, None, |record| {
            let others = self.lock().reserved_total(Some(&named.function));
            if wanted.saturating_add(others).saturating_add(minimum) > account {
                return Err(ApiError::invalid(format!(
                    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{minimum}]."
                )));
            }
            let provisioned = record.provisioned_total();
            if wanted < provisioned {
                return Err(ApiError::invalid(format!(
                    " ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned concurrency [{provisioned}]."
                )));
            }
            record.reserved = Some(wanted);
            Ok(json!({"ReservedConcurrentExecutions": wanted}))
        })
    }

    /// `GetFunctionConcurrency`.
    pub(crate) fn get_reserved(&self, named: &Named) -> Result<Value, ApiError> {
        self.look(named, |record| {
            Ok(match record.reserved {
                Some(reserved) => json!({"ReservedConcurrentExecutions": reserved}),
                None => json!({}),
            })
        })
    }

    /// `DeleteFunctionConcurrency`.
    pub(crate) fn delete_reserved(&self, named: &Named) -> Result<(), ApiError> {
        self.change(named, None, |record| {
            record.reserved = None;
            Ok(())
        })
    }

    /// `PutProvisionedConcurrencyConfig`.
    pub(crate) fn put_provisioned(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: ProvisionedInput = body(bytes)?;
        let requested =
            input.provisioned_concurrent_executions.filter(|count| *count > 0).ok_or_else(|| {
                let must = "have value greater than or equal to 1";
                ApiError::constraint("0", "provisionedConcurrentExecutions", must)
            })?;
        let qualifier = qualifier(named)?;
        let account = self.0.options.concurrency;
        let last_modified = time::modified(time::now());
        self.change(named, None, |record| {
            check_published(named, record, qualifier)?;
            let others = record.provisioned_total()
                - record.provisioned.get(qualifier).map_or(0, |provisioned| provisioned.requested);
            let room = record.reserved.unwrap_or(account.saturating_sub(UNRESERVED_MINIMUM.min(account)));
            if others.saturating_add(requested) > room {
                let what = if record.reserved.is_some() {
                    "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
                } else {
                    "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency"
                };
                return Err(ApiError::invalid(what));
            }
            let provisioned = Provisioned { requested, last_modified: last_modified.clone() };
            record.provisioned.insert(qualifier.to_owned(), provisioned);
            Ok(())
        })?;
        // It is tried again.
        let mut state = self.lock();
        let state = &mut *state;
        let record = state.functions.get(&named.function);
        if let Some(found) = record.and_then(|record| record.resolve(Some(qualifier), 1.0)) {
            state.unready.remove(&found.revision);
        }
        Ok(json!({
            "RequestedProvisionedConcurrentExecutions": requested,
            "AllocatedProvisionedConcurrentExecutions": 0,
            "AvailableProvisionedConcurrentExecutions": 0,
            "Status": "IN_PROGRESS",
            "LastModified": last_modified,
        }))
    }

    /// `GetProvisionedConcurrencyConfig`.
    pub(crate) fn get_provisioned(&self, named: &Named) -> Result<Value, ApiError> {
        let qualifier = qualifier(named)?;
        let state = self.lock();
        let record = state.functions.get(&named.function).ok_or_else(|| named.unqualified_not_found())?;
        state.provisioned(named, record, qualifier).ok_or_else(|| {
            ApiError::new(
                Code::ProvisionedConcurrencyConfigNotFound,
                "No Provisioned Concurrency Config found for this function",
            )
        })
    }

    /// `DeleteProvisionedConcurrencyConfig`.
    pub(crate) fn delete_provisioned(&self, named: &Named) -> Result<(), ApiError> {
        let qualifier = qualifier(named)?;
        self.change(named, None, |record| {
            record.provisioned.remove(qualifier);
            Ok(())
        })
    }

    /// `ListProvisionedConcurrencyConfigs`.
    pub(crate) fn list_provisioned(
        &self,
        named: &Named,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        let state = self.lock();
        let record = state.functions.get(&named.function).ok_or_else(|| named.unqualified_not_found())?;
        let shown = record.provisioned.keys().filter_map(|qualifier| {
            let mut shown = state.provisioned(named, record, qualifier)?;
            shown["FunctionArn"] = json!(qualified_arn(&named.function, Some(qualifier)));
            Some(shown)
        });
        page("ProvisionedConcurrencyConfigs", shown.collect(), marker, most)
    }
}

impl State {
    /// How far the provisioned concurrency of a qualifier is.
    fn provisioned(&self, named: &Named, record: &Record, qualifier: &str) -> Option<Value> {
        let provisioned = record.provisioned.get(qualifier)?;
        let requested = provisioned.requested;
        let configuration = record.resolve(Some(qualifier), 1.0)?;
        let key = (named.function.clone(), configuration.version.clone());
        let there = self.pools.get(&key).map_or(0, |pool| pool.provisioned()).min(requested);
        let failed = self.unready.get(&configuration.revision);
        let mut shown = json!({
            "RequestedProvisionedConcurrentExecutions": requested,
            "AllocatedProvisionedConcurrentExecutions": there,
            "AvailableProvisionedConcurrentExecutions": there,
            "Status": if failed.is_some() { "FAILED" } else if there < requested { "IN_PROGRESS" } else { "READY" },
            "LastModified": provisioned.last_modified,
        });
        if let Some(failed) = failed {
            shown["StatusReason"] = json!(failed);
        }
        Some(shown)
    }
}

/// The version or the alias that is meant; `$LATEST` cannot be provisioned.
fn qualifier(named: &Named) -> Result<&str, ApiError> {
    match named.qualifier.as_deref() {
        Some(qualifier) if qualifier != LATEST => Ok(qualifier),
        Some(_) => Err(ApiError::invalid(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        )),
        None => Err(ApiError::constraint("null", "qualifier", "not be null")),
    }
}

/// Refuses a qualifier that does not mean a published version, or one that starts from a snapshot.
fn check_published(named: &Named, record: &Record, qualifier: &str) -> Result<(), ApiError> {
    match record.resolve(Some(qualifier), 1.0) {
        None => Err(ApiError::not_found(format!(
            "Cannot find alias arn: {}",
            qualified_arn(&named.function, Some(qualifier))
        ))),
        Some(found) if found.version == LATEST => {
            Err(ApiError::invalid("Alias with weights can not be used with Provisioned Concurrency"))
        }
        Some(found) if found.snap_start => Err(ApiError::invalid(NOT_WITH_SNAP_START)),
        Some(_) => Ok(()),
    }
}
