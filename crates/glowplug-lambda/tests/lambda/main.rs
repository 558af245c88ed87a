//! The service as clients see it: boto3 and the AWS command line, unmodified, against it.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod clients;
mod http_entry;
mod lasting;
mod support;
