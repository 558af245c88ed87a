//! Permissions of functions and of layers: added, removed, shown.

use glowplug_engine::{LATEST, uuid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, layers};
use crate::error::{ApiError, Code};
use crate::model::{LayerVersion, Record};
use crate::names::{Named, layer_arn, qualified_arn};
use crate::policy::Statement;
use crate::service::Service;

/// The one action that a function's address asks for.
const INVOKE_URL: &str = "lambda:InvokeFunctionUrl";

/// The one thing that others can be allowed to do with a layer.
const GET_LAYER: &str = "lambda:GetLayerVersion";

/// `AddPermission` of the service model.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Addition {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    revision_id: Option<String>,
}

/// `AddLayerVersionPermission` of the service model.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LayerAddition {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    organization_id: Option<String>,
}

impl Service {
    /// `AddPermission`.
    pub(crate) fn add_permission(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Addition = body(bytes)?;
        self.change(named, None, |record| {
            let qualifier = policy_of(named, record)?.to_owned();
            check_revision(record, &qualifier, input.revision_id.as_deref())?;
            let statement = input.statement(named)?;
            let text = record.policies.entry(qualifier.clone()).or_default().add(statement)?;
            renew(record, &qualifier);
            Ok(json!({"Statement": text}))
        })
    }

    /// `RemovePermission`.
    pub(crate) fn remove_permission(
        &self,
        named: &Named,
        id: &str,
        revision: Option<&str>,
    ) -> Result<(), ApiError> {
        let removed = self.change(named, None, |record| {
            let qualifier = policy_of(named, record)?.to_owned();
            check_revision(record, &qualifier, revision)?;
            let policy = record.policies.entry(qualifier.clone()).or_default();
            policy.remove(id)?;
            if policy.is_empty() {
                record.policies.remove(&qualifier);
            }
            renew(record, &qualifier);
            Ok(())
        });
        match removed {
            Err(error) if error == named.unqualified_not_found() => {
                let arn = qualified_arn(&named.function, None);
                Err(ApiError::not_found(format!("No policy found for: {arn}")))
            }
            removed => removed,
        }
    }

    /// `GetPolicy`.
    pub(crate) fn get_policy(&self, named: &Named) -> Result<Value, ApiError> {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.look(named, |record| {
            let policy = record.policies.get(qualifier);
            let policy =
                policy.ok_or_else(|| ApiError::not_found("The resource you requested does not exist."))?;
            Ok(json!({"Policy": policy.shown(), "RevisionId": record.revision(qualifier)}))
        })
    }

    /// `AddLayerVersionPermission`.
    pub(crate) fn add_layer_permission(
        &self,
        name: &str,
        version: &str,
        revision: Option<&str>,
        bytes: &[u8],
    ) -> Result<Value, ApiError> {
        let input: LayerAddition = body(bytes)?;
        let action = given(input.action, "action")?;
        if action != GET_LAYER {
            let must = format!("satisfy regular expression pattern: {GET_LAYER}");
            return Err(ApiError::constraint(&action, "action", &must));
        }
        let statement = Statement {
            id: given(input.statement_id, "statementId")?,
            action,
            principal: given(input.principal, "principal")?,
            resource: format!("{}:{version}", layer_arn(name, None)),
            conditions: vec![("StringEquals", "aws:PrincipalOrgID", input.organization_id)],
        };
        self.change_layer(name, version, |layer| {
            check_layer_revision(layer, revision)?;
            let text = layer.policy.add(statement)?;
            layer.policy_revision = uuid();
            Ok(json!({"Statement": text, "RevisionId": layer.policy_revision}))
        })
    }

    /// `RemoveLayerVersionPermission`.
    pub(crate) fn remove_layer_permission(
        &self,
        name: &str,
        version: &str,
        id: &str,
        revision: Option<&str>,
    ) -> Result<(), ApiError> {
        self.change_layer(name, version, |layer| {
            check_layer_revision(layer, revision)?;
            layer.policy.remove(id)?;
            layer.policy_revision = uuid();
            Ok(())
        })
    }

    /// `GetLayerVersionPolicy`.
    pub(crate) fn get_layer_policy(&self, name: &str, version: &str) -> Result<Value, ApiError> {
        let state = self.lock();
        let (_, layer) = layers::found(&state, name, version)?;
        if layer.policy.is_empty() {
            return Err(ApiError::not_found("No policy is associated with the given resource."));
        }
        Ok(json!({"Policy": layer.policy.shown(), "RevisionId": layer.policy_revision}))
    }
}

impl Addition {
    fn statement(self, named: &Named) -> Result<Statement, ApiError> {
        let action = given(self.action, "action")?;
        let is_word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        let operation = action.strip_prefix("lambda:");
        if action != "*" && !operation.is_some_and(|name| name == "*" || is_word(name)) {
            let must = "satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])";
            return Err(ApiError::constraint(&action, "action", must));
        }
        if let Some(kind) = &self.function_url_auth_type {
            if !["NONE", "AWS_IAM"].contains(&kind.as_str()) {
                let must = "satisfy enum value set: [AWS_IAM, NONE]";
                return Err(ApiError::constraint(kind, "functionUrlAuthType", must));
            }
            if action != INVOKE_URL {
                return Err(ApiError::invalid(format!(
                    "FunctionUrlAuthType is only supported for {INVOKE_URL} action"
                )));
            }
        }
        let via_url = self.invoked_via_function_url.map(|via| via.to_string());
        Ok(Statement {
            id: given(self.statement_id, "statementId")?,
            action,
            principal: given(self.principal, "principal")?,
            resource: named.arn(),
            conditions: vec![
                ("StringEquals", "lambda:FunctionUrlAuthType", self.function_url_auth_type),
                ("Bool", "lambda:InvokedViaFunctionUrl", via_url),
                ("StringEquals", "aws:PrincipalOrgID", self.principal_org_id),
                ("StringEquals", "AWS:SourceAccount", self.source_account),
                ("StringEquals", "lambda:EventSourceToken", self.event_source_token),
                ("ArnLike", "AWS:SourceArn", self.source_arn),
            ],
        })
    }
}

/// A member that the model requires.
fn given(value: Option<String>, member: &str) -> Result<String, ApiError> {
    value.ok_or_else(|| ApiError::constraint("null", member, "not be null"))
}

/// The qualifier under which a function keeps the policy that is meant; without any, that of the function itself.
fn policy_of<'n>(named: &'n Named, record: &Record) -> Result<&'n str, ApiError> {
    match named.qualifier.as_deref() {
        None => Ok(LATEST),
        Some(LATEST) => Err(ApiError::invalid("We currently do not support adding policies for $LATEST.")),
        Some(qualifier) if record.aliases.contains_key(qualifier) => Ok(qualifier),
        // `01` is no other version than `1`.
        Some(qualifier) if !qualifier.starts_with('0') && record.version(qualifier).is_some() => {
            Ok(qualifier)
        }
        Some(qualifier) if qualifier.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(ApiError::not_found(format!("Function not found: {}", named.arn())))
        }
        Some(_) => Err(ApiError::not_found(format!("Cannot find alias arn: {}", named.arn()))),
    }
}

fn check_revision(record: &Record, qualifier: &str, given: Option<&str>) -> Result<(), ApiError> {
    match given {
        Some(given) if Some(given) != record.revision(qualifier) => Err(ApiError::stale_revision()),
        _ => Ok(()),
    }
}

/// What a policy belongs to has changed with it.
fn renew(record: &mut Record, qualifier: &str) {
    let revision = if let Some(alias) = record.aliases.get_mut(qualifier) {
        Some(&mut alias.revision)
    } else if qualifier == LATEST {
        Some(&mut record.latest.revision)
    } else {
        let version = qualifier.parse().ok().and_then(|number: u64| record.versions.get_mut(&number));
        version.map(|configuration| &mut configuration.revision)
    };
    if let Some(revision) = revision {
        *revision = uuid();
    }
}

fn check_layer_revision(layer: &LayerVersion, given: Option<&str>) -> Result<(), ApiError> {
    match given {
        Some(given) if given != layer.policy_revision => Err(ApiError::new(
            Code::PreconditionFailed,
            "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id",
        )),
        _ => Ok(()),
    }
}
