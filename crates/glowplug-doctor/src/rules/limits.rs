//! Lambda's limits, and names that not every file system can tell apart.

use std::collections::BTreeMap;

use glowplug_core::format_bytes;

use crate::facts::{Facts, Kind};
use crate::finding::{Finding, Level};

use super::listed;

/// The largest unzipped package with its layers, and the largest zip that can be uploaded directly, in bytes: "Lambda
/// quotas", <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const UNZIPPED: u64 = 262_144_000;
const ZIPPED: u64 = 50 * 1024 * 1024;
/// From this part of a limit on it is near.
const NEAR: f64 = 0.9;

pub(super) fn unzipped(facts: &Facts) -> Vec<Finding> {
    if facts.subject.kind == Kind::Image {
        return Vec::new();
    }
    let bytes: u64 = facts.files.iter().map(|file| file.bytes).sum();
    let layers =
        if facts.roots.len() > 1 && facts.subject.kind != Kind::Layer { " with its layers" } else { "" };
    let remedy = format!("drop what it does not need of {}, or ship an image (10 GB)", largest(facts));
    limit(bytes, UNZIPPED)
        .map(|level| {
            let verb = if level == Level::Error { "takes" } else { "takes no more than" };
            let message = match level {
                Level::Error => format!(
                    "the package unzips to {}{layers}, and Lambda {verb} at most {}",
                    format_bytes(bytes),
                    format_bytes(UNZIPPED)
                ),
                _ => format!(
                    "the package unzips to {}{layers}; Lambda {verb} {}",
                    format_bytes(bytes),
                    format_bytes(UNZIPPED)
                ),
            };
            Finding::new(level, ".", message, remedy)
        })
        .into_iter()
        .collect()
}

pub(super) fn zipped(facts: &Facts) -> Vec<Finding> {
    let Some(bytes) = facts.zip_bytes.filter(|_| facts.subject.kind != Kind::Image) else {
        return Vec::new();
    };
    let about = if facts.zip_estimated { "about " } else { "" };
    let remedy = format!("upload it through S3, or drop what it does not need of {}", largest(facts));
    limit(bytes, ZIPPED)
        .map(|_| {
            let message = format!(
                "the zip has {about}{}; Lambda takes no more than {} in a direct upload",
                format_bytes(bytes),
                format_bytes(ZIPPED)
            );
            let finding = Finding::new(Level::Warning, ".", message, remedy);
            Finding { estimated: facts.zip_estimated, ..finding }
        })
        .into_iter()
        .collect()
}

fn limit(bytes: u64, most: u64) -> Option<Level> {
    match bytes as f64 / most as f64 {
        part if part > 1.0 => Some(Level::Error),
        part if part >= NEAR => Some(Level::Warning),
        _ => None,
    }
}

fn largest(facts: &Facts) -> String {
    let mut sorted: Vec<_> = facts.distributions.iter().collect();
    sorted.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    let named: Vec<String> = sorted
        .iter()
        .take(super::NAMED)
        .map(|d| format!("`{}` ({})", d.name, format_bytes(d.bytes)))
        .collect();
    if named.is_empty() { "the function's own files".to_owned() } else { listed(&named) }
}

pub(super) fn case_collisions(facts: &Facts) -> Vec<Finding> {
    let mut lower: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for file in &facts.files {
        let key = (file.root, file.path.as_str().to_lowercase());
        lower.entry(key).or_default().push(facts.shown(file.root, &file.path));
    }
    let told = lower.into_values().filter(|same| same.len() > 1).map(|same| {
        let ticked: Vec<String> = same.iter().map(|path| format!("`{path}`")).collect();
        let message =
            format!("{} differ in nothing but capitals: macOS and Windows keep one of them", listed(&ticked));
        Finding::new(Level::Note, same[0].clone(), message, "rename one of them").at(same)
    });
    told.collect()
}
