//! What Lambda or the way to it refuses, as an error that a person can act on.

use std::time::Duration;

use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use glowplug_core::Error;

/// What an operation was, for its errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The IAM action that allows it, without `lambda:`.
    pub(crate) action: &'static str,
    /// The function's name or ARN.
    pub(crate) function: &'a str,
    pub(crate) region: &'a str,
}

/// Why an operation was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The function is not as it was when its revision was read.
    Changed,
    /// Another change of the function is under way, or it is not ready yet.
    Busy(Error),
    /// Too many requests; `after` is what Lambda asks to wait.
    Throttled { after: Option<Duration>, error: Error },
    /// The function or the version is not there.
    Absent(Error),
    /// There is no permission.
    Denied(Error),
    /// Anything else.
    Other(Error),
}

impl Refusal {
    /// The error, for those who know no way round it.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Changed => changed(&[]),
            Self::Busy(error)
            | Self::Throttled { error, .. }
            | Self::Absent(error)
            | Self::Denied(error)
            | Self::Other(error) => error,
        }
    }
}

impl Asked<'_> {
    /// Sorts an error of the SDK.
    pub(crate) fn refused<E>(&self, error: SdkError<E, HttpResponse>) -> Refusal
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let Some(service) = error.as_service_error() else { return self.unreachable(&error) };
        let code = service.meta().code().unwrap_or_default().to_owned();
        let said = service.meta().message().unwrap_or("it says no more").to_owned();
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let Self { action, function, region } = *self;
        let refused = |message: String| Error::surroundings(message).cause(format!("{code}: {said}"));
        match code.as_str() {
            "PreconditionFailedException" => Refusal::Changed,
            "ResourceConflictException" | "SnapStartNotReadyException" | "ResourceNotReadyException" => {
                Refusal::Busy(refused(format!("Lambda is busy with `{function}`: lambda:{action} was refused")))
            }
            "ResourceNotFoundException" => Refusal::Absent(
                Error::input(format!("there is no function `{function}` in {region}"))
                    .cause(said)
                    .hint("check the name, the region (`--region`, `AWS_REGION`) and the account (`--profile`, `AWS_PROFILE`)"),
            ),
            "AccessDeniedException" | "AccessDenied" => Refusal::Denied(
                refused(format!("no permission for lambda:{action} on `{function}`"))
                    .hint(format!("allow `lambda:{action}` for the user or role; docs/tune-aws.md has the whole policy")),
            ),
            "UnrecognizedClientException" | "InvalidSignatureException" | "ExpiredTokenException"
            | "ExpiredToken" | "InvalidClientTokenId" | "MissingAuthenticationTokenException" => Refusal::Other(
                refused("Lambda does not accept the credentials".to_owned())
                    .hint("log in again (`aws sso login`, `aws configure`), or choose another `--profile`"),
            ),
            // Accounts may have less than Lambda's 10240 MB.
            "InvalidParameterValueException" if action == "UpdateFunctionConfiguration" && said.contains("MemorySize") => {
                Refusal::Other(
                    Error::input(format!("`{function}` cannot have one of the memory sizes"))
                        .cause(format!("{code}: {said}"))
                        .hint("name the sizes that the account allows with `--tiers`"),
                )
            }
            "TooManyRequestsException" | "ThrottlingException" | "Throttling" => self.throttled(&error, said),
            _ if status == 429 => self.throttled(&error, said),
            _ => Refusal::Other(refused(format!("lambda:{action} on `{function}` failed"))),
        }
    }

    fn throttled<E>(&self, error: &SdkError<E, HttpResponse>, said: String) -> Refusal {
        let response = error.raw_response();
        let after = response
            .and_then(|response| response.headers().get("retry-after"))
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        let body = response.and_then(|response| response.body().bytes()).unwrap_or_default();
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let reason = body["Reason"].as_str().unwrap_or("Throttled");
        let hint = match reason {
            "ReservedFunctionConcurrentInvocationLimitExceeded" => {
                "the function's reserved concurrency is used up, or is 0: tune it while it is not busy, or raise it"
            }
            "ConcurrentInvocationLimitExceeded" => {
                "the account's concurrency is used up: try again when it is not"
            }
            "ConcurrentSnapshotCreateLimitExceeded" => "too many snapshots are being made: try again later",
            _ => "others in the account use this API too: try again later",
        };
        let message = format!("Lambda throttled lambda:{} on `{}`", self.action, self.function);
        let error = Error::surroundings(message).cause(format!("{reason}: {said}")).hint(hint);
        Refusal::Throttled { after, error }
    }

    /// No answer came.
    fn unreachable<E>(&self, error: &SdkError<E, HttpResponse>) -> Refusal
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let message = match error {
            SdkError::TimeoutError(_) => "Lambda did not answer in time",
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "Lambda did not answer in time",
            SdkError::ResponseError(_) => "what answers does not speak the API of Lambda",
            _ => "cannot reach Lambda",
        };
        Refusal::Other(
            Error::surroundings(format!("{message}: lambda:{} on `{}`", self.action, self.function))
                .cause(causes(error))
                .hint("check the network, the region and `--endpoint-url`"),
        )
    }
}

/// Somebody else has changed the function while it was tuned.
pub(crate) fn changed(what: &[&str]) -> Error {
    let error = Error::input("somebody changed the function while it was tuned")
        .hint("their change is left as it is; start again when nobody is deploying it");
    if what.is_empty() { error } else { error.cause(format!("changed: {}", what.join(", "))) }
}

/// An error of the SDK with its causes, in one line.
pub(crate) fn causes<E: std::error::Error>(error: &E) -> String {
    let text = DisplayErrorContext(error).to_string();
    // The debug form follows the readable one in brackets.
    text.split_once(" (").map_or(text.as_str(), |(said, _)| said).to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::config::http::HttpResponse;
    use aws_sdk_lambda::error::ErrorMetadata;
    use aws_sdk_lambda::operation::invoke::InvokeError;
    use aws_sdk_lambda::primitives::SdkBody;

    use super::*;

    fn refused(status: u16, code: &str, body: &str, retry_after: Option<&'static str>) -> Refusal {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", seconds);
        }
        let meta = ErrorMetadata::builder().code(code).message("Rate Exceeded.").build();
        let asked = Asked { action: "InvokeFunction", function: "f", region: "eu-west-1" };
        asked.refused(SdkError::service_error(InvokeError::generic(meta), response))
    }

    #[test]
    fn throttling_says_why_and_for_how_long() {
        let body = r#"{"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}"#;
        let Refusal::Throttled { after, error } = refused(429, "TooManyRequestsException", body, Some("3"))
        else {
            panic!("another refusal");
        };
        assert_eq!(after, Some(Duration::from_secs(3)));
        assert_eq!(error.message(), "Lambda throttled lambda:InvokeFunction on `f`");
        assert!(error.causes()[0].starts_with("ReservedFunctionConcurrent"), "{error:?}");
        assert!(error.hints()[0].contains("reserved concurrency"), "{error:?}");
        let unknown = refused(429, "Anything", "no JSON", Some("soon"));
        assert!(matches!(unknown, Refusal::Throttled { after: None, .. }), "{unknown:?}");
    }

    #[test]
    fn refusals_are_told_apart() {
        assert!(matches!(refused(412, "PreconditionFailedException", "", None), Refusal::Changed));
        assert!(matches!(refused(409, "ResourceConflictException", "", None), Refusal::Busy(_)));
        assert!(matches!(refused(404, "ResourceNotFoundException", "", None), Refusal::Absent(_)));
        assert!(matches!(refused(403, "AccessDeniedException", "", None), Refusal::Denied(_)));
        assert!(matches!(refused(500, "ServiceException", "", None), Refusal::Other(_)));
    }
}
