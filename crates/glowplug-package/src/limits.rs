//! Lambda's limits on a zip package, and what to do when one is met.

use glowplug_core::{Error, Result, format_bytes};

use crate::Distribution;

/// The largest zip that can be uploaded directly, in bytes (50 MB): "Lambda quotas",
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const DIRECT_UPLOAD_LIMIT: u64 = 50 * 1024 * 1024;
/// The largest unzipped package including layers, in bytes (250 MB), from the same page.
pub const UNZIPPED_LIMIT: u64 = 262_144_000;
/// How many distributions a message names.
const NAMED: usize = 5;

/// Holds the sizes of a package against Lambda's limits.
///
/// Gives the remarks that a person should read: a zip over [`DIRECT_UPLOAD_LIMIT`] can still be
/// deployed through S3. Error (input): more than [`UNZIPPED_LIMIT`] cannot be deployed as a zip at
/// all; the largest of `distributions` are named.
pub fn check_limits(
    zip_bytes: u64,
    unzipped_bytes: u64,
    distributions: &[Distribution],
) -> Result<Vec<String>> {
    if unzipped_bytes > UNZIPPED_LIMIT {
        return Err(Error::input(format!(
            "the package unzips to {}, and Lambda takes at most {}",
            format_bytes(unzipped_bytes),
            format_bytes(UNZIPPED_LIMIT)
        ))
        .hint(format!("the largest distributions are {}: drop the ones that the function does not need", largest(distributions)))
        .hint("list what the runtime brings (boto3, botocore) as `runtime_provided`, or ship a container image (10 GB)"));
    }
    if zip_bytes > DIRECT_UPLOAD_LIMIT {
        return Ok(vec![format!(
            "the zip has {}, and Lambda takes at most {} directly: upload it through S3, or drop some of {}",
            format_bytes(zip_bytes),
            format_bytes(DIRECT_UPLOAD_LIMIT),
            largest(distributions)
        )]);
    }
    Ok(Vec::new())
}

fn largest(distributions: &[Distribution]) -> String {
    let mut sorted: Vec<&Distribution> = distributions.iter().collect();
    sorted.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    let named: Vec<String> =
        sorted.iter().take(NAMED).map(|d| format!("`{}` ({})", d.name, format_bytes(d.bytes))).collect();
    if named.is_empty() { "the function's own files".to_owned() } else { named.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(name: &str, bytes: u64) -> Distribution {
        Distribution {
            name: name.into(),
            version: "1".into(),
            files: 1,
            bytes,
            dist_info: format!("{name}-1.dist-info").into(),
            top_level: Vec::new(),
        }
    }

    #[test]
    fn limits_are_met_exactly() {
        assert!(check_limits(DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_package_that_lambda_refuses_is_an_error_that_names_the_heaviest() {
        let error = check_limits(
            1,
            UNZIPPED_LIMIT + 1,
            &[distribution("small", 5), distribution("scipy", 90_000_000)],
        )
        .unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
        assert_eq!(error.message(), "the package unzips to 262 MB, and Lambda takes at most 262 MB");
        assert!(error.hints()[0].contains("`scipy` (90.0 MB), `small` (5 B)"), "{:?}", error.hints());
    }

    #[test]
    fn a_zip_too_large_for_direct_upload_is_a_remark() {
        let remarks = check_limits(DIRECT_UPLOAD_LIMIT + 1, 1, &[distribution("numpy", 60_000_000)]).unwrap();
        assert!(remarks[0].contains("through S3") && remarks[0].contains("`numpy`"), "{remarks:?}");
    }
}
