//! Large data files that no traced start opened. Only where every event was traced to its end, and only files that
//! Python alone would open: what a native library reads, no trace shows.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::facts::{Facts, File, FileUse, RootKind};
use crate::finding::{Finding, Level};

use super::plural;

/// Distributions whose data has a rule of its own: which of it a client needs, its service says.
const APART: &[&str] = &["boto3", "botocore"];
/// What is smaller altogether, in a folder, is not worth a line; in bytes.
const LARGE: u64 = 1024 * 1024;

pub(super) fn untouched(facts: &Facts) -> Vec<Finding> {
    let Some(traced) = facts.traced.as_ref().filter(|traced| traced.is_complete) else { return Vec::new() };
    let native: BTreeSet<usize> = facts.natives.iter().filter_map(|native| native.distribution).collect();
    let trimmed: BTreeSet<&Utf8Path> = facts.trimmed.iter().map(|file| file.path.as_path()).collect();
    let is_open = |file: &&File| {
        file.used_as == FileUse::Data
            && facts.roots[file.root].kind == RootKind::Task
            && file.distribution.is_none_or(|owner| !native.contains(&owner))
            && !traced.opened.contains(&file.path)
            && !trimmed.contains(file.path.as_path())
    };
    let mut folders: BTreeMap<(Option<usize>, Utf8PathBuf), Vec<&File>> = BTreeMap::new();
    for file in facts.files.iter().filter(is_open) {
        let parts: Vec<&str> = file.path.components().map(|part| part.as_str()).collect();
        let depth = parts.len().saturating_sub(1).min(2);
        folders.entry((file.distribution, parts[..depth].iter().collect())).or_default().push(file);
    }
    let mut found = Vec::new();
    for ((owner, folder), files) in folders {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        // What nothing imports goes as a whole.
        let idle = owner.is_some_and(|owner| !facts.distributions[owner].is_loaded);
        let apart = owner.is_some_and(|owner| APART.contains(&facts.distributions[owner].key.as_str()));
        if bytes < LARGE || idle || apart {
            continue;
        }
        let zip_bytes = files.iter().map(|file| file.zip_bytes).sum();
        let place = if files.len() == 1 { files[0].path.to_string() } else { format!("{folder}/") };
        let whose = owner.map_or_else(String::new, |owner| format!(" of `{}`", facts.named(owner)));
        let events = plural(traced.events.len(), "traced event");
        let message = format!(
            "none of {events} opened {}{whose}",
            match files.len() {
                1 => "this file".to_owned(),
                more => format!("these {more} files"),
            }
        );
        let remedy = "leave them out of the package if no event needs them, or trace the events that do";
        found.push(Finding::new(Level::Note, place, message, remedy).bytes(bytes, zip_bytes).guessed());
    }
    found
}
