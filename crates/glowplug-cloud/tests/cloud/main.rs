//! Functions in a Lambda: the SDK's own client, unmodified, against the service of `glowplug-lambda`; what that cannot be
//! made to say (refusals, throttling) says a mock.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod leaving;
mod measuring;
mod mock;
mod refusing;
mod support;
