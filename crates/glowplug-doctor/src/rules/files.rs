//! Files that the trimming rules of a build prove useless at run time, told by kind.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::facts::{Facts, Trimmed};
use crate::finding::{Finding, Level};

use super::listed;

/// A distribution whose share is smaller is told together with others like it, in bytes.
const OWN_LINE: u64 = 256 * 1024;
/// Less than this altogether is not worth a line, in bytes.
const FLOOR: u64 = 16 * 1024;
/// What does it all.
const BUILD: &str = "`glowplug build` leaves them out; `keep` under `[package]` keeps what you need";

pub(super) fn tests(facts: &Facts) -> Vec<Finding> {
    told(facts, &["tests"], ["test file", "test files"], BUILD)
}

pub(super) fn documentation(facts: &Facts) -> Vec<Finding> {
    told(
        facts,
        &["docs", "aws-docs"],
        ["file of documentation and examples", "files of documentation and examples"],
        BUILD,
    )
}

pub(super) fn build_files(facts: &Facts) -> Vec<Finding> {
    told(
        facts,
        &["headers", "stubs", "link-time"],
        ["file for compilers, linkers and type checkers", "files for compilers, linkers and type checkers"],
        BUILD,
    )
}

pub(super) fn leftovers(facts: &Facts) -> Vec<Finding> {
    let rules = [
        "foreign-bytecode",
        "foreign-native",
        "foreign-platform",
        "installer-notes",
        "litter",
        "path-files",
        "scripts",
    ];
    told(
        facts,
        &rules,
        [
            "file for installers, editors, other systems or other Pythons",
            "files for installers, editors, other systems or other Pythons",
        ],
        BUILD,
    )
}

pub(super) fn symbols(facts: &Facts) -> Vec<Finding> {
    told(
        facts,
        &["symbols"],
        ["native library with symbols for debuggers", "native libraries with symbols for debuggers"],
        "`glowplug build` strips them; by hand, `strip --strip-debug` before packing",
    )
}

pub(super) fn aws_services(facts: &Facts) -> Vec<Finding> {
    told(
        facts,
        &["aws-services"],
        [
            "file that describes an AWS service no client names",
            "files that describe AWS services no client names",
        ],
        BUILD,
    )
}

/// A finding for each distribution with a large share; `what` is one of what is counted, and several, and one for the rest.
fn told(facts: &Facts, rules: &[&str], what: [&str; 2], remedy: &str) -> Vec<Finding> {
    let mut by_owner: BTreeMap<Option<usize>, Vec<&Trimmed>> = BTreeMap::new();
    for file in facts.trimmed.iter().filter(|file| rules.contains(&file.rule.as_str())) {
        by_owner.entry(file.distribution).or_default().push(file);
    }
    let (large, small): (Vec<_>, Vec<_>) =
        by_owner.into_iter().partition(|(owner, files)| owner.is_some() && sum(files) >= OWN_LINE);
    let mut found: Vec<Finding> = large
        .into_iter()
        .map(|(owner, files)| {
            let of = owner.map(|index| format!("`{}` ships ", facts.named(index))).unwrap_or_default();
            finding(facts, &files, &format!("{of}{}", counted(files.len(), what)), remedy)
        })
        .collect();
    let rest: Vec<&Trimmed> = small.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    if sum(&rest) >= FLOOR {
        let owners: Vec<String> = small
            .iter()
            .filter_map(|(owner, _)| owner.map(|index| format!("`{}`", facts.distributions[index].name)))
            .collect();
        let of = if owners.is_empty() { String::new() } else { format!(" in {}", listed(&owners)) };
        found.push(finding(facts, &rest, &format!("{}{of}", counted(rest.len(), what)), remedy));
    }
    found
}

fn counted(count: usize, what: [&str; 2]) -> String {
    format!("{count} {}", what[usize::from(count != 1)])
}

fn sum(files: &[&Trimmed]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

fn finding(facts: &Facts, files: &[&Trimmed], message: &str, remedy: &str) -> Finding {
    // The folder that weighs most stands for all.
    let mut folders: BTreeMap<Utf8PathBuf, u64> = BTreeMap::new();
    for file in files {
        let path = facts.shown(file.root, &file.path);
        let path = Utf8PathBuf::from(path);
        let folder = match file.rule.as_str() {
            "tests" | "docs" => outermost(&path, &file.rule),
            "symbols" => path.clone(),
            _ => path.parent().map(Utf8PathBuf::from).unwrap_or_default(),
        };
        *folders.entry(if folder.as_str().is_empty() { path } else { folder }).or_default() += file.bytes;
    }
    let mut folders: Vec<(Utf8PathBuf, u64)> = folders.into_iter().collect();
    folders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let place = folders.first().map(|(folder, _)| folder.to_string()).unwrap_or_default();
    let places = folders.into_iter().map(|(folder, _)| folder.into_string()).collect();
    let zip_bytes = files.iter().map(|file| file.zip_bytes).sum();
    Finding::new(Level::Warning, place, message, remedy).bytes(sum(files), zip_bytes).at(places)
}

/// The folder of tests or documentation that a file is in, the outermost of each nest.
fn outermost(path: &camino::Utf8Path, rule: &str) -> Utf8PathBuf {
    let names: &[&str] = if rule == "tests" {
        &["tests", "test", "_tests", "selftest"]
    } else {
        &["doc", "docs", "examples", "samples", "benchmarks"]
    };
    let mut folder = Utf8PathBuf::new();
    for part in path.parent().into_iter().flat_map(camino::Utf8Path::components) {
        folder.push(part.as_str());
        if names.contains(&part.as_str().to_lowercase().as_str()) {
            return folder;
        }
    }
    path.to_owned()
}
