//! The parts of a comparison that need no explaining: each thing before and now.

use std::collections::BTreeMap;

use crate::document::{DistributionUse, Import, Trace};
use crate::records::{Phase, Status};
use crate::tree::place_of;

use super::ratio::{Noise, ratio};
use super::{DistributionChange, ModuleChange, PhaseChange, StatementChange};

/// Sizes that changed by less are the same, as a part.
const SAME_SIZE: f64 = 0.02;
/// Memory that changed by less is the same, in KiB.
const SAME_MEMORY_KIB: f64 = 256.0;

/// What differs in how the two were measured.
pub(super) fn conditions(old: &Trace, new: &Trace) -> Vec<String> {
    let mut said = Vec::new();
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            said.push(format!("{what}: {old} before, {new} now"));
        }
    };
    let (before, now) = (&old.environment, &new.environment);
    differs("function", old.function.name.clone(), new.function.name.clone());
    differs("Python", before.python.to_string(), now.python.to_string());
    differs("machine", old.function.architecture.to_string(), new.function.architecture.to_string());
    differs("memory", format!("{} MB", before.memory_mb), format!("{} MB", now.memory_mb));
    let cpu = |cpu: &str, boost: bool| if boost { format!("{cpu}, init boosted") } else { cpu.to_owned() };
    differs("CPU", cpu(&before.cpu, before.init_boost), cpu(&now.cpu, now.init_boost));
    differs("page cache", before.page_cache.clone(), now.page_cache.clone());
    let bandwidth = |mbit: Option<f64>| mbit.map_or("none".to_owned(), |mbit| format!("{mbit} Mbit/s"));
    differs("bandwidth", bandwidth(before.bandwidth_mbit), bandwidth(now.bandwidth_mbit));
    said
}

/// Each phase that either trace has.
pub(super) fn phases(old: &Trace, new: &Trace) -> Vec<PhaseChange> {
    let mut all = Vec::new();
    let mut push = |phase: &str, event: Option<&String>, old, new| {
        let (ratio, difference) = ratio(old, new);
        all.push(PhaseChange { phase: phase.to_owned(), event: event.cloned(), old, new, ratio, difference });
    };
    let (before, now) = (&old.phases, &new.phases);
    push("provision", None, before.provision, now.provision);
    push("runtime", None, before.runtime, now.runtime);
    push("init", None, before.init, now.init);
    for (name, before, now) in [
        ("first_invoke", &before.first_invoke, &now.first_invoke),
        ("warm_invoke", &before.warm_invoke, &now.warm_invoke),
    ] {
        let mut events: Vec<&String> = before.keys().chain(now.keys()).collect();
        events.sort();
        events.dedup();
        for event in events {
            push(name, Some(event), before.get(event).copied().flatten(), now.get(event).copied().flatten());
        }
    }
    all
}

/// The distributions that changed.
pub(super) fn distributions(old: &Trace, new: &Trace, noise: Noise) -> Vec<DistributionChange> {
    let mut pairs: BTreeMap<&str, (Option<&DistributionUse>, Option<&DistributionUse>)> = BTreeMap::new();
    for distribution in &old.distributions {
        pairs.entry(&distribution.name).or_default().0 = Some(distribution);
    }
    for distribution in &new.distributions {
        pairs.entry(&distribution.name).or_default().1 = Some(distribution);
    }
    let change = |(name, (old, new)): (&str, (Option<&DistributionUse>, Option<&DistributionUse>))| {
        DistributionChange {
            name: name.to_owned(),
            old_version: old.map(|d| d.version.clone()),
            new_version: new.map(|d| d.version.clone()),
            old_ms: old.map(|d| d.total_ms),
            new_ms: new.map(|d| d.total_ms),
            old_memory_kib: old.and_then(|d| d.memory_kib),
            new_memory_kib: new.and_then(|d| d.memory_kib),
            old_bytes: old.map(|d| d.bytes),
            new_bytes: new.map(|d| d.bytes),
        }
    };
    let mut all: Vec<DistributionChange> =
        pairs.into_iter().map(change).filter(|c| has_changed(c, noise)).collect();
    let weight = |c: &DistributionChange| (c.new_ms.unwrap_or(0.0) - c.old_ms.unwrap_or(0.0)).abs();
    all.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
    all
}

fn has_changed(change: &DistributionChange, noise: Noise) -> bool {
    let (old, new) = (change.old_bytes.unwrap_or(0) as f64, change.new_bytes.unwrap_or(0) as f64);
    let (was, is) = (change.old_memory_kib.unwrap_or(0.0), change.new_memory_kib.unwrap_or(0.0));
    change.old_version != change.new_version
        || noise.is_exceeded(change.old_ms, change.new_ms)
        || (new - old).abs() > SAME_SIZE * old.max(new)
        || ((is - was).abs() > SAME_MEMORY_KIB && noise.is_exceeded(Some(was), Some(is)))
}

/// What makes an import the same in two traces, whoever asks for it.
pub(super) type Key<'a> = (Phase, Option<&'a str>, &'a str);

/// Modules that were loaded, those of the runtime left out, by what makes them the same.
pub(super) fn loaded(trace: &Trace) -> BTreeMap<Key<'_>, usize> {
    let counts = |import: &Import| import.status == Status::Ok && !import.runtime_provided;
    let all = trace.imports.iter().enumerate().filter(|(_, import)| counts(import));
    all.map(|(index, import)| ((import.phase, import.event.as_deref(), &*import.module), index)).collect()
}

/// The modules that changed.
pub(super) fn modules(old: &Trace, new: &Trace, noise: Noise) -> Vec<ModuleChange> {
    let mut pairs: BTreeMap<Key<'_>, (Option<&Import>, Option<&Import>)> = BTreeMap::new();
    for (key, index) in loaded(old) {
        pairs.entry(key).or_default().0 = Some(&old.imports[index]);
    }
    for (key, index) in loaded(new) {
        pairs.entry(key).or_default().1 = Some(&new.imports[index]);
    }
    let change =
        |((phase, event, module), (old, new)): (Key<'_>, (Option<&Import>, Option<&Import>))| ModuleChange {
            module: module.to_owned(),
            distribution: new.or(old).and_then(|import| import.distribution.clone()),
            phase,
            event: event.map(str::to_owned),
            old_ms: old.map(|import| import.self_ms),
            new_ms: new.map(|import| import.self_ms),
        };
    let mut all: Vec<ModuleChange> =
        pairs.into_iter().map(change).filter(|c| noise.is_exceeded(c.old_ms, c.new_ms)).collect();
    let weight = |c: &ModuleChange| (c.new_ms.unwrap_or(0.0) - c.old_ms.unwrap_or(0.0)).abs();
    all.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.module.cmp(&b.module)));
    all
}

/// Where a statement is, and its own time.
type Timed = (String, f64);

/// The statements that changed. Lines move; the nth statement of a text in a file stays the nth.
pub(super) fn statements(old: &Trace, new: &Trace, noise: Noise) -> Vec<StatementChange> {
    let mut pairs: BTreeMap<(String, String, usize), [Option<Timed>; 2]> = BTreeMap::new();
    for (side, trace) in [old, new].into_iter().enumerate() {
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for statement in &trace.statements {
            let file = place_of(statement).0;
            let nth = seen.entry((file, &statement.text)).or_default();
            let key = (file.to_owned(), statement.text.clone(), *nth);
            *nth += 1;
            pairs.entry(key).or_default()[side] = Some((statement.place.clone(), statement.self_ms));
        }
    }
    let mut all: Vec<StatementChange> = pairs
        .into_iter()
        .map(|((_, text, _), [old, new])| StatementChange {
            place: new.as_ref().or(old.as_ref()).map(|(place, _)| place.clone()).unwrap_or_default(),
            text,
            old_ms: old.map(|(_, ms)| ms),
            new_ms: new.map(|(_, ms)| ms),
        })
        .filter(|change| noise.is_exceeded(change.old_ms, change.new_ms))
        .collect();
    let weight = |c: &StatementChange| (c.new_ms.unwrap_or(0.0) - c.old_ms.unwrap_or(0.0)).abs();
    all.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.place.cmp(&b.place)));
    all
}
