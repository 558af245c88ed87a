//! The control API: what a client asks of the account, as values of JSON. Errors, members and words are the service
//! model's.

mod aliases;
mod concurrency;
mod events;
mod functions;
mod layers;
mod permissions;
mod settings;
mod urls;
mod versions;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{ApiError, Code};
use crate::names::Named;
use crate::service::Service;

/// Reads the body of a request.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::new(Code::InvalidRequestContent, format!("Could not parse request body into json: {error}"))
    })
}

/// One page of a list: what follows `marker`, at most `most`, under its name, with the marker of the next page.
fn page(
    member: &str,
    items: Vec<Value>,
    marker: Option<&str>,
    most: Option<&str>,
) -> Result<Value, ApiError> {
    let refused = |name: &str| ApiError::invalid(format!("Invalid value for {name}"));
    let from: usize = match marker {
        Some(marker) => marker.parse().map_err(|_| refused("Marker"))?,
        None => 0,
    };
    let most: usize = match most {
        Some(most) => most.parse().map_err(|_| refused("MaxItems"))?,
        None => 50,
    };
    let next = from.saturating_add(most.max(1));
    let rest = items.len() > next;
    let shown: Vec<Value> = items.into_iter().skip(from).take(next - from).collect();
    let mut page = json!({member: shown});
    if rest {
        page["NextMarker"] = json!(next.to_string());
    }
    Ok(page)
}

impl Service {
    /// `GetAccountSettings`.
    pub(crate) fn account_settings(&self) -> Value {
        let state = self.lock();
        let limit = self.0.options.concurrency;
        let bytes: u64 = state.functions.values().map(|record| record.latest.code.bytes).sum();
        json!({
            "AccountLimit": {
                // "Lambda quotas" in the developer guide.
                "TotalCodeSize": 80_530_636_800_u64,
                "CodeSizeUnzipped": glowplug_package::UNZIPPED_LIMIT,
                "CodeSizeZipped": glowplug_package::DIRECT_UPLOAD_LIMIT,
                "ConcurrentExecutions": limit,
                "UnreservedConcurrentExecutions": limit.saturating_sub(state.reserved_total(None)),
            },
            "AccountUsage": {"TotalCodeSize": bytes, "FunctionCount": state.functions.len()},
        })
    }

    /// `ListTags`.
    pub(crate) fn tags(&self, arn: &str) -> Result<Value, ApiError> {
        self.look(&Named::parse(arn, None)?, |record| Ok(json!({"Tags": record.tags})))
    }

    /// `TagResource`.
    pub(crate) fn tag(&self, arn: &str, bytes: &[u8]) -> Result<(), ApiError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Input {
            tags: std::collections::BTreeMap<String, String>,
        }
        let input: Input = body(bytes)?;
        self.change(&Named::parse(arn, None)?, None, |record| {
            record.tags.extend(input.tags);
            Ok(())
        })
    }

    /// `UntagResource`.
    pub(crate) fn untag(&self, arn: &str, keys: &[String]) -> Result<(), ApiError> {
        self.change(&Named::parse(arn, None)?, None, |record| {
            record.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_pages() {
        let items = || (0..5).map(|number| json!(number)).collect();
        let first = page("Items", items(), None, Some("2")).unwrap();
        assert_eq!(first, json!({"Items": [0, 1], "NextMarker": "2"}));
        let last = page("Items", items(), Some("4"), Some("2")).unwrap();
        assert_eq!(last, json!({"Items": [4]}));
        assert_eq!(page("Items", items(), Some("9"), None).unwrap(), json!({"Items": []}));
        assert!(page("Items", items(), Some("x"), None).is_err());
    }
}
