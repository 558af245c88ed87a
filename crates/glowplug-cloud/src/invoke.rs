//! One invoke of a version: sent once, since whoever repeats it finds its environment warm; only what Lambda has refused
//! without running the function is sent again.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::Config;
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glowplug_core::{Error, Result};
use serde_json::Value;

use crate::calls::Version;
use crate::connect::AwsTarget;
use crate::fault::Refusal;
use crate::latest::Patience;
use crate::report::Report;

/// How often a refused invoke is sent.
const TRIES: u32 = 10;

/// The first and the longest wait between two of them, unless Lambda says how long.
const WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(20));

/// The longest wait that Lambda may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// What an invoke may take beyond the function's timeout: an init that takes too long (10 s, then 130 s for snapshots), an
/// environment that has to be found, the way there and back.
const BEYOND: Duration = Duration::from_mins(4);

/// An invoke that the function has answered, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) report: Report,
    /// The error's type and message, where the function failed.
    pub(crate) failure: Option<(String, String)>,
}

impl AwsTarget {
    /// Invokes a version and reads what Lambda reports of it.
    pub(crate) fn invoke(&self, version: &Version, payload: &[u8], timeout_s: u32) -> Result<Answer> {
        let mut wait = WAIT.0;
        for left in (0..TRIES).rev() {
            match self.invoke_once(version, payload, timeout_s)? {
                Ok(output) => return self.answer(version, &output),
                Err(Refusal::Throttled { after, .. }) if left > 0 => {
                    self.pause(after.unwrap_or(wait).min(LONGEST_WAIT), Patience::UntilInterrupted)?;
                }
                Err(Refusal::Busy(_)) if left > 0 => self.pause(wait, Patience::UntilInterrupted)?,
                Err(refusal) => return Err(refusal.error()),
            }
            wait = (wait * 2).min(WAIT.1);
        }
        Err(Error::defect("an invoke was tried no time"))
    }

    fn invoke_once(
        &self,
        version: &Version,
        payload: &[u8],
        timeout_s: u32,
    ) -> Result<Result<InvokeOutput, Refusal>> {
        let patience = Duration::from_secs(timeout_s.into()) + BEYOND;
        let timeouts =
            TimeoutConfig::builder().operation_timeout(patience).operation_attempt_timeout(patience);
        let once = Config::builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts.build());
        let call = self
            .client
            .invoke()
            .function_name(&self.named.function)
            .qualifier(version.as_str())
            .invocation_type(InvocationType::RequestResponse)
            .log_type(LogType::Tail)
            .payload(Blob::new(payload));
        let done = self.stoppable(call.customize().config_override(once).send())?;
        Ok(done.map_err(|error| self.asked("InvokeFunction").refused(error)))
    }

    fn answer(&self, version: &Version, output: &InvokeOutput) -> Result<Answer> {
        let log = output.log_result().and_then(|log| STANDARD.decode(log).ok()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let report = Report::read(&log).ok_or_else(|| {
            Error::surroundings(format!(
                "Lambda reported nothing of an invoke of `{}:{version}`",
                self.named.function
            ))
            .cause("the end of its log has no REPORT line and no record `platform.report`")
            .hint("see whether the function's logging is changed, and whether what answers is Lambda")
        })?;
        let failure = output.function_error().map(|kind| {
            let payload = output.payload().map(Blob::as_ref).unwrap_or_default();
            let said: Value = serde_json::from_slice(payload).unwrap_or_default();
            let text = |name: &str, other: &str| said[name].as_str().unwrap_or(other).to_owned();
            (text("errorType", kind), text("errorMessage", ""))
        });
        Ok(Answer { report, failure })
    }
}
