//! The errors of Lambda's API, each with its code, its status and the shape of its body.
//!
//! Names, statuses and members are those of the API version `2015-03-31` as botocore's service model has them.

use serde_json::{Value, json};

/// What a client is told in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Why too many requests are too many.
    pub(crate) reason: Option<&'static str>,
}

/// The codes that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    ResourceNotFound,
    ProvisionedConcurrencyConfigNotFound,
    InvalidRequestContent,
    InvalidParameterValue,
    Validation,
    ResourceConflict,
    PreconditionFailed,
    PolicyLengthExceeded,
    RequestTooLarge,
    TooManyRequests,
    Service,
    UnknownOperation,
    AccessDenied,
}

impl Code {
    /// Status, name on the wire, and how the member that holds the message is spelt.
    fn shape(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::ResourceNotFound => (404, "ResourceNotFoundException", "Message"),
            Self::ProvisionedConcurrencyConfigNotFound => {
                (404, "ProvisionedConcurrencyConfigNotFoundException", "message")
            }
            Self::InvalidRequestContent => (400, "InvalidRequestContentException", "message"),
            Self::InvalidParameterValue => (400, "InvalidParameterValueException", "message"),
            Self::Validation => (400, "ValidationException", "message"),
            Self::ResourceConflict => (409, "ResourceConflictException", "message"),
            Self::PreconditionFailed => (412, "PreconditionFailedException", "message"),
            Self::PolicyLengthExceeded => (400, "PolicyLengthExceededException", "message"),
            Self::RequestTooLarge => (413, "RequestTooLargeException", "message"),
            Self::TooManyRequests => (429, "TooManyRequestsException", "message"),
            Self::Service => (500, "ServiceException", "Message"),
            Self::AccessDenied => (403, "AccessDeniedException", "Message"),
            Self::UnknownOperation => (404, "UnknownOperationException", "message"),
        }
    }

    pub(crate) fn status(self) -> u16 {
        self.shape().0
    }

    pub(crate) fn name(self) -> &'static str {
        self.shape().1
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceNotFound, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceConflict, message)
    }

    /// A value that the model's constraints refuse, in the words of AWS's validation.
    pub(crate) fn constraint(value: &str, member: &str, must: &str) -> Self {
        Self::new(
            Code::Validation,
            format!(
                "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
                 Member must {must}"
            ),
        )
    }

    /// What is to be changed has been changed by somebody else.
    pub(crate) fn stale_revision() -> Self {
        Self::new(
            Code::PreconditionFailed,
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
        )
    }

    /// Too many at once.
    pub(crate) fn throttled(reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::new(Code::TooManyRequests, "Rate Exceeded.") }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        let (status, _, spelt) = self.code.shape();
        let kind = if status < 500 { "User" } else { "Service" };
        let mut body = json!({"Type": kind, spelt: self.message});
        if matches!(self.code, Code::Validation | Code::UnknownOperation) {
            body = json!({spelt: self.message});
        }
        if let Some(reason) = self.reason {
            body["Reason"] = json!(reason);
        }
        body
    }
}

impl From<glowplug_core::Error> for ApiError {
    fn from(error: glowplug_core::Error) -> Self {
        let causes = error.causes().join(": ");
        let text = if causes.is_empty() { error.to_string() } else { format!("{error}: {causes}") };
        Self::new(Code::Service, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_members_of_the_model() {
        let missing = ApiError::not_found("Function not found: x");
        assert_eq!(missing.body(), json!({"Type": "User", "Message": "Function not found: x"}));
        let throttled = ApiError::throttled("ConcurrentInvocationLimitExceeded");
        assert_eq!(
            throttled.body(),
            json!({"Type": "User", "message": "Rate Exceeded.", "Reason": "ConcurrentInvocationLimitExceeded"})
        );
        assert_eq!((throttled.code.status(), throttled.code.name()), (429, "TooManyRequestsException"));
        let refused = ApiError::constraint("a b", "functionName", "satisfy regular expression pattern: x");
        assert!(refused.body().get("Type").is_none());
    }
}
