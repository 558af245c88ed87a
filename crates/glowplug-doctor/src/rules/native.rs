//! Native libraries that the target cannot load, and those that ship more than once.

use std::collections::BTreeMap;

use crate::facts::{Facts, Native, NativeFault};
use crate::finding::{Finding, Level};

use super::{listed, plural};

/// Smaller copies are not worth a line, in bytes.
const FLOOR: u64 = 64 * 1024;

pub(super) fn machine(facts: &Facts) -> Vec<Finding> {
    let target = format!("Python {} on {}", facts.subject.python, facts.subject.architecture);
    let remedy = format!(
        "install the dependencies for {target}, for example with `requirements =` and `glowplug build`"
    );
    faults(facts, &remedy, |fault| match fault {
        NativeFault::Machine(what) | NativeFault::Damaged(what) => Some(what.clone()),
        _ => None,
    })
}

pub(super) fn glibc(facts: &Facts) -> Vec<Finding> {
    let remedy = "choose a version with a wheel for that glibc (`manylinux2014`, `manylinux_2_17`), or a newer Python: \
                  from 3.12 on, Lambda has glibc 2.34";
    faults(facts, remedy, |fault| match fault {
        NativeFault::Glibc(what) => Some(what.clone()),
        _ => None,
    })
}

pub(super) fn python(facts: &Facts) -> Vec<Finding> {
    let python = facts.subject.python;
    let remedy = format!("install the dependencies with Python {python}");
    faults(facts, &remedy, |fault| match fault {
        NativeFault::Python(version) => {
            Some(format!("is for Python {version}, and Python {python} does not see it"))
        }
        _ => None,
    })
}

/// One finding for each distribution, or for each file of the user's own.
fn faults(facts: &Facts, remedy: &str, of: impl Fn(&NativeFault) -> Option<String>) -> Vec<Finding> {
    let mut groups: BTreeMap<(Option<usize>, String), Vec<&Native>> = BTreeMap::new();
    for native in &facts.natives {
        if let Some(what) = native.fault.as_ref().and_then(&of) {
            groups.entry((native.distribution, what)).or_default().push(native);
        }
    }
    let told = groups.into_iter().map(|((owner, what), natives)| {
        let places: Vec<String> =
            natives.iter().map(|native| facts.shown(native.root, &native.path)).collect();
        let whose = owner.map_or_else(String::new, |owner| format!(" of `{}`", facts.named(owner)));
        let more = match natives.len() {
            1 => String::new(),
            more => format!(", and {} more like it", more - 1),
        };
        let message = format!("`{}`{whose} {what}{more}", natives[0].path.file_name().unwrap_or_default());
        Finding::new(Level::Error, places[0].clone(), message, remedy).at(places)
    });
    told.collect()
}

pub(super) fn duplicates(facts: &Facts) -> Vec<Finding> {
    let mut contents: BTreeMap<&str, Vec<&Native>> = BTreeMap::new();
    let mut names: BTreeMap<&str, Vec<&Native>> = BTreeMap::new();
    for native in facts.natives.iter().filter(|native| native.bytes >= FLOOR) {
        contents.entry(&native.digest).or_default().push(native);
        if let Some(soname) = &native.soname {
            names.entry(soname).or_default().push(native);
        }
    }
    let place = |native: &Native| facts.shown(native.root, &native.path);
    let mut found = Vec::new();
    for same in contents.values().filter(|same| same.len() > 1) {
        let places: Vec<String> = same.iter().map(|native| place(native)).collect();
        let message = format!("the same library ships {}", plural(same.len(), "time"));
        let remedy = "keep one: make the others links to it, or choose distributions that share it";
        let bytes = same[0].bytes * (same.len() as u64 - 1);
        found.push(
            Finding::new(Level::Note, places[1].clone(), message, remedy)
                .bytes(bytes, None)
                .guessed()
                .at(places),
        );
    }
    for (soname, same) in names {
        let mut unlike: Vec<&&Native> = same.iter().collect();
        unlike.sort_by_key(|native| &native.digest);
        unlike.dedup_by_key(|native| &native.digest);
        if unlike.len() < 2 {
            continue;
        }
        let mut places: Vec<String> = unlike.iter().map(|native| place(native)).collect();
        places.sort();
        let ticked: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
        let message = format!(
            "{} all call themselves `{soname}` and differ: the loader takes the first for all who ask for it",
            listed(&ticked)
        );
        let remedy = "choose versions of their distributions that were built together";
        found.push(Finding::new(Level::Note, places[1].clone(), message, remedy).at(places));
    }
    found
}
