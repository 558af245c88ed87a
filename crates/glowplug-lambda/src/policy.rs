//! Resource policies: who may use a function or a layer, in statements as Lambda writes them.
//!
//! They are kept and shown. Nothing here asks them: all who reach this machine's loopback are the account itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, Code};
use crate::names::is_word;

/// Largest policy in bytes ("Lambda quotas" in the developer guide: 20 KB).
const MOST_BYTES: usize = 20_480;

/// Longest id of a statement (`StatementId` of the service model).
const LONGEST_ID: usize = 100;

/// The statements of one function, version, alias or layer version, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Policy(Vec<Value>);

/// A statement to be: what `AddPermission` and `AddLayerVersionPermission` give.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) principal: String,
    /// The ARN of what may be used.
    pub(crate) resource: String,
    /// Operator, key and value, in Lambda's order.
    pub(crate) conditions: Vec<(&'static str, &'static str, Option<String>)>,
}

impl Policy {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a statement, and gives it as a client is shown it.
    ///
    /// # Errors
    /// There is one with its id, its principal is none, or the policy gets too large.
    pub(crate) fn add(&mut self, statement: Statement) -> Result<String, ApiError> {
        check_id(&statement.id)?;
        if self.0.iter().any(|known| known["Sid"] == statement.id.as_str()) {
            return Err(ApiError::conflict(format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement.",
                statement.id
            )));
        }
        let written = statement.written()?;
        let text = written.to_string();
        self.0.push(written);
        let bytes = self.shown().len();
        if bytes > MOST_BYTES {
            return Err(ApiError::new(
                Code::PolicyLengthExceeded,
                format!("The final policy size ({bytes}) is bigger than the limit ({MOST_BYTES})."),
            ));
        }
        Ok(text)
    }

    /// Removes the statement with this id.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn remove(&mut self, id: &str) -> Result<(), ApiError> {
        if self.is_empty() {
            return Err(ApiError::not_found("No policy is associated with the given resource."));
        }
        let before = self.0.len();
        self.0.retain(|statement| statement["Sid"] != id);
        if self.0.len() == before {
            return Err(ApiError::not_found(format!("Statement {id} is not found in resource policy.")));
        }
        Ok(())
    }

    /// The document.
    pub(crate) fn shown(&self) -> String {
        json!({"Version": "2012-10-17", "Id": "default", "Statement": self.0}).to_string()
    }
}

impl Statement {
    fn written(self) -> Result<Value, ApiError> {
        let mut written = json!({
            "Sid": self.id,
            "Effect": "Allow",
            "Principal": principal(&self.principal)?,
            "Action": self.action,
            "Resource": self.resource,
        });
        let mut conditions = Map::new();
        for (operator, key, value) in self.conditions {
            let Some(value) = value else { continue };
            let keys = conditions.entry(operator).or_insert_with(|| json!({}));
            keys[key] = json!(value);
        }
        if !conditions.is_empty() {
            written["Condition"] = Value::Object(conditions);
        }
        Ok(written)
    }
}

/// How a policy writes who is meant: everybody, an account, a user or role, or a service.
fn principal(text: &str) -> Result<Value, ApiError> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if text == "*" {
        return Ok(json!("*"));
    }
    if is_account {
        return Ok(json!({"AWS": format!("arn:aws:iam::{text}:root")}));
    }
    if text.starts_with("arn:aws") && text.split(':').nth(2) == Some("iam") {
        return Ok(json!({"AWS": text}));
    }
    // A domain such as `s3.amazonaws.com`.
    if text.contains('.') && text.split('.').all(is_word) {
        return Ok(json!({"Service": text}));
    }
    Err(ApiError::invalid("The provided principal was invalid. Please check the principal and try again."))
}

fn check_id(id: &str) -> Result<(), ApiError> {
    if is_word(id) && id.len() <= LONGEST_ID {
        return Ok(());
    }
    let must =
        "satisfy regular expression pattern: ([a-zA-Z0-9-_]+) and have length less than or equal to 100";
    Err(ApiError::constraint(id, "statementId", must))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(id: &str, principal: &str) -> Statement {
        Statement {
            id: id.to_owned(),
            action: "lambda:InvokeFunction".to_owned(),
            principal: principal.to_owned(),
            resource: "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned(),
            conditions: vec![
                ("StringEquals", "AWS:SourceAccount", Some("123456789012".to_owned())),
                ("StringEquals", "lambda:EventSourceToken", None),
                ("ArnLike", "AWS:SourceArn", Some("arn:aws:s3:::b".to_owned())),
            ],
        }
    }

    #[test]
    fn statements_read_as_lambda_writes_them() {
        let mut policy = Policy::default();
        let text = policy.add(statement("s", "s3.amazonaws.com")).unwrap();
        assert_eq!(
            text,
            r#"{"Sid":"s","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}}"#
        );
        let document = format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{text}]}}"#);
        assert_eq!(policy.shown(), document);
    }

    #[test]
    fn principals_are_everybody_accounts_roles_and_services() {
        assert_eq!(principal("*").unwrap(), "*");
        assert_eq!(principal("123456789012").unwrap(), json!({"AWS": "arn:aws:iam::123456789012:root"}));
        let role = "arn:aws:iam::123456789012:role/r";
        assert_eq!(principal(role).unwrap(), json!({"AWS": role}));
        for bad in ["", "me", "s3.", "a b.c", "arn:aws:s3:::b"] {
            assert!(principal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_there_once_and_a_policy_has_an_end() {
        let mut policy = Policy::default();
        assert!(policy.remove("s").unwrap_err().message.starts_with("No policy"));
        policy.add(statement("s", "*")).unwrap();
        assert_eq!(policy.add(statement("s", "*")).unwrap_err().code, Code::ResourceConflict);
        assert_eq!(policy.add(statement("a b", "*")).unwrap_err().code, Code::Validation);
        assert!(policy.remove("t").unwrap_err().message.starts_with("Statement t "));
        policy.remove("s").unwrap();
        assert!(policy.is_empty());
        let refused = (0..200).find_map(|n| policy.add(statement(&format!("s{n}"), "*")).err()).unwrap();
        assert_eq!(refused.code, Code::PolicyLengthExceeded);
    }
}
