//! The service as clients see it: boto3 and the AWS command line, unmodified, against it.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod clients;
mod http_entry;
mod images;
mod lasting;
/// The same small root file system as in the tests of images.
#[path = "../../../glowplug-image/tests/image/python.rs"]
mod python;
mod support;
