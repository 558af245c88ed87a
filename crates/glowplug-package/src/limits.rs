//! Lambda's limits on a zip package, and what could go where one is met.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{DecisionKind, DecisionState, Error, Result, format_bytes};

use crate::distribution::source_of_bytecode;
use crate::{PackageTree, TrimContext, TrimLevel, normalise_name, trim};

/// The largest zip that can be uploaded directly, in bytes (50 MB): "Lambda quotas",
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const DIRECT_UPLOAD_LIMIT: u64 = 50 * 1024 * 1024;
/// The largest unzipped package including layers, in bytes (250 MB), from the same page.
pub const UNZIPPED_LIMIT: u64 = 262_144_000;
/// How many distributions a message names.
const NAMED: usize = 5;
/// What every Python runtime of Lambda brings, and nothing but the AWS SDK uses: "Runtime-included
/// SDK versions", <https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html>.
const RUNTIME_BRINGS: &[&str] = &["boto3", "botocore", "jmespath", "s3transfer"];

/// What a distribution weighs in a package, and what of it could go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weight {
    /// As its metadata spells it.
    pub name: String,
    /// Sizes of its files that ship added up, its bytecode included.
    pub bytes: u64,
    /// Whether something that the function imports leads to it.
    pub used: bool,
    /// Bytes that a rule leaves out, and a `keep` pattern holds.
    pub kept_bytes: u64,
    /// Bytes that a rule leaves out at level `safe`, and the chosen level does not.
    pub untrimmed_bytes: u64,
}

impl Weight {
    fn is_in_runtime(&self) -> bool {
        RUNTIME_BRINGS.contains(&normalise_name(&self.name).as_str())
    }
}

/// What the distributions of `tree` weigh in a package of `shipped`: paths and sizes. `used` are
/// indexes of distributions; `context` is what the package was trimmed with.
///
/// Errors: as [`trim`].
pub fn weigh(
    tree: &PackageTree,
    shipped: &[(Utf8PathBuf, u64)],
    used: &BTreeSet<usize>,
    context: &TrimContext,
) -> Result<Vec<Weight>> {
    let mut weights: Vec<Weight> = tree
        .distributions
        .iter()
        .enumerate()
        .map(|(index, d)| Weight { name: d.name.clone(), used: used.contains(&index), ..Weight::default() })
        .collect();
    let mut sizes: BTreeMap<&Utf8Path, (usize, u64)> = BTreeMap::new();
    for (path, bytes) in shipped {
        let own = tree.file(path).and_then(|file| file.distribution);
        let source = || source_of_bytecode(path).and_then(|source| tree.file(&source)?.distribution);
        if let Some(index) = own.or_else(source) {
            weights[index].bytes += bytes;
            sizes.insert(path, (index, *bytes));
        }
    }
    let dropped = |keep| -> Result<BTreeSet<String>> {
        let trimmed = trim(tree, &TrimContext { level: TrimLevel::Safe, keep, ..context.clone() })?;
        let drops = trimmed.decisions.into_iter().filter(|decision| {
            decision.kind == DecisionKind::Drop && decision.state == DecisionState::Applied
        });
        Ok(drops.map(|decision| decision.place).collect())
    };
    let (with_keep, without) = (dropped(context.keep)?, dropped(&[])?);
    for path in without {
        let Some((index, bytes)) = sizes.get(Utf8Path::new(&path)) else { continue };
        if !with_keep.contains(&path) {
            weights[*index].kept_bytes += bytes;
        } else if context.level == TrimLevel::Off {
            weights[*index].untrimmed_bytes += bytes;
        }
    }
    weights.retain(|weight| weight.bytes > 0);
    Ok(weights)
}

/// Holds the sizes of a package against Lambda's limits.
///
/// Gives the remarks that a person should read: a zip over [`DIRECT_UPLOAD_LIMIT`] can still be
/// deployed through S3. Error (input): more than [`UNZIPPED_LIMIT`] cannot be deployed as a zip at
/// all. Both name the largest of `weights`, and what could go, the surest first.
pub fn check_limits(zip_bytes: u64, unzipped_bytes: u64, weights: &[Weight]) -> Result<Vec<String>> {
    if unzipped_bytes > UNZIPPED_LIMIT {
        let error = Error::input(format!(
            "the package unzips to {}, and Lambda takes at most {} (250 MiB)",
            format_bytes(unzipped_bytes),
            format_bytes(UNZIPPED_LIMIT)
        ))
        .cause(format!("the largest are {}", largest(weights)));
        let error = suggestions(weights).into_iter().fold(error, Error::hint);
        return Err(error.hint("or ship a container image, which may hold 10 GB"));
    }
    if zip_bytes > DIRECT_UPLOAD_LIMIT {
        let mut remark = vec![format!(
            "the zip has {}, and Lambda takes at most {} (50 MiB) directly: upload it through S3, or drop some of {}",
            format_bytes(zip_bytes),
            format_bytes(DIRECT_UPLOAD_LIMIT),
            largest(weights)
        )];
        remark.extend(suggestions(weights));
        return Ok(vec![remark.join("; ")]);
    }
    Ok(Vec::new())
}

fn largest(weights: &[Weight]) -> String {
    let every: Vec<(&Weight, u64)> = weights.iter().map(|weight| (weight, weight.bytes)).collect();
    if every.is_empty() { "the function's own files".to_owned() } else { named(every) }
}

/// What could go, the surest first.
fn suggestions(weights: &[Weight]) -> Vec<String> {
    let some = |bytes: &dyn Fn(&Weight) -> u64| -> Vec<(&Weight, u64)> {
        weights.iter().map(|weight| (weight, bytes(weight))).filter(|(_, bytes)| *bytes > 0).collect()
    };
    let mut found = Vec::new();
    let unused = some(&|weight| if weight.used { 0 } else { weight.bytes });
    if !unused.is_empty() {
        found.push(format!(
            "nothing that the function imports leads to {}: take out of its requirements what brings that",
            named(unused)
        ));
    }
    let provided = some(&|weight| if weight.used && weight.is_in_runtime() { weight.bytes } else { 0 });
    if !provided.is_empty() {
        let list: Vec<String> = provided.iter().map(|(weight, _)| format!("\"{}\"", weight.name)).collect();
        let list = list.join(", ");
        found.push(format!(
            "Lambda's runtime brings {}: set `runtime_provided = [{list}]` under `[package]` if its version will do",
            named(provided)
        ));
    }
    let untrimmed = some(&|weight| weight.untrimmed_bytes);
    if !untrimmed.is_empty() {
        found.push(format!("`--trim safe` leaves out files of {}", named(untrimmed)));
    }
    let kept = some(&|weight| weight.kept_bytes);
    if !kept.is_empty() {
        found.push(format!("`keep` holds tests and the like of {}", named(kept)));
    }
    found
}

/// The heaviest, with their bytes.
fn named(mut weights: Vec<(&Weight, u64)>) -> String {
    weights.sort_by(|a, b| (b.1, &a.0.name).cmp(&(a.1, &b.0.name)));
    let shown = weights.iter().take(NAMED);
    let mut names: Vec<String> =
        shown.map(|(weight, bytes)| format!("`{}` ({})", weight.name, format_bytes(*bytes))).collect();
    if weights.len() > NAMED {
        let bytes = weights.iter().skip(NAMED).map(|(_, bytes)| bytes).sum();
        names.push(format!("{} more ({})", weights.len() - NAMED, format_bytes(bytes)));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(name: &str, bytes: u64, used: bool) -> Weight {
        Weight { name: name.into(), bytes, used, ..Weight::default() }
    }

    #[test]
    fn limits_are_met_exactly() {
        assert!(check_limits(DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_package_that_lambda_refuses_is_an_error_that_says_what_could_go() {
        let weights = [
            weight("small", 5, true),
            weight("scipy", 90_000_000, false),
            weight("botocore", 24_000_000, true),
            weight("boto3", 1_000_000, true),
            Weight { kept_bytes: 17_000_000, ..weight("pandas", 60_000_000, true) },
            Weight { untrimmed_bytes: 1_000, ..weight("numpy", 40_000_000, true) },
        ];
        let error = check_limits(1, UNZIPPED_LIMIT + 1, &weights).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
        assert_eq!(
            error.message(),
            "the package unzips to 262 MB, and Lambda takes at most 262 MB (250 MiB)"
        );
        let said = [error.causes(), error.hints()].concat().join("\n");
        insta::assert_snapshot!(said, @r#"
        the largest are `scipy` (90.0 MB), `pandas` (60.0 MB), `numpy` (40.0 MB), `botocore` (24.0 MB), `boto3` (1.0 MB), 1 more (5 B)
        nothing that the function imports leads to `scipy` (90.0 MB): take out of its requirements what brings that
        Lambda's runtime brings `botocore` (24.0 MB), `boto3` (1.0 MB): set `runtime_provided = ["botocore", "boto3"]` under `[package]` if its version will do
        `--trim safe` leaves out files of `numpy` (1.0 kB)
        `keep` holds tests and the like of `pandas` (17.0 MB)
        or ship a container image, which may hold 10 GB
        "#);
    }

    #[test]
    fn a_zip_too_large_for_direct_upload_is_a_remark() {
        let remarks = check_limits(DIRECT_UPLOAD_LIMIT + 1, 1, &[weight("numpy", 60_000_000, true)]).unwrap();
        insta::assert_snapshot!(remarks.join("\n"), @"the zip has 52.4 MB, and Lambda takes at most 52.4 MB (50 MiB) directly: upload it through S3, or drop some of `numpy` (60.0 MB)");
        let remarks =
            check_limits(DIRECT_UPLOAD_LIMIT + 1, 1, &[weight("numpy", 60_000_000, false)]).unwrap();
        assert!(remarks[0].contains("; nothing that the function imports leads to `numpy`"), "{remarks:?}");
    }
}
