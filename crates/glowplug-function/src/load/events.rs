//! Events: read, checked to be JSON, their weights shared out.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};

use super::config::ConfigFile;
use super::source::Source;
use crate::Event;

/// Lambda takes no larger event, in bytes: "Lambda quotas",
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const LARGEST: usize = 6 * 1024 * 1024;

/// An event before its weight is known.
struct Entry {
    name: String,
    weight: Option<f64>,
    /// Where a message points to.
    place: String,
    event: Utf8PathBuf,
}

/// The configured events, in their order.
///
/// # Errors
/// Input: a missing file, no JSON, a name twice, a weight below 0.
pub(crate) fn configured(file: &ConfigFile) -> Result<Vec<Event>> {
    let mut entries = Vec::new();
    for entry in &file.config.event {
        let path = entry.path.get_ref();
        let name = entry.name.as_ref().map_or_else(|| stem(path), |name| name.get_ref().clone());
        let place = entry.name.as_ref().map_or_else(|| file.place(&entry.path), |name| file.place(name));
        if let Some(weight) = &entry.weight {
            check_weight(*weight.get_ref()).map_err(|error| error.place(file.place(weight)))?;
        }
        let weight = entry.weight.as_ref().map(|weight| *weight.get_ref());
        entries.push(Entry { name, weight, place, event: path.clone() });
    }
    read(&file.source, entries)
}

/// `events/*.json` by name, with equal weights.
///
/// # Errors
/// Input: no JSON.
pub(crate) fn by_convention(source: &Source) -> Result<Vec<Event>> {
    let folder = Utf8Path::new("events");
    let files =
        source.names(folder).into_iter().filter(|name| Utf8Path::new(name).extension() == Some("json"));
    let entries = files.map(|name| {
        let event = folder.join(&name);
        Entry { name: stem(&event), weight: None, place: source.place(&event), event }
    });
    read(source, entries.collect())
}

/// The files that the command line names, with equal weights.
///
/// # Errors
/// Input: a missing file, no JSON, two of one name.
pub(crate) fn named(paths: &[Utf8PathBuf]) -> Result<Vec<Event>> {
    let entries = paths.iter().map(|path| Entry {
        name: stem(path),
        weight: None,
        place: path.to_string(),
        event: path.clone(),
    });
    read(&Source::Folder(Utf8PathBuf::from(".")), entries.collect())
}

fn stem(path: &Utf8Path) -> String {
    path.file_stem().unwrap_or_default().to_owned()
}

fn check_weight(weight: f64) -> Result<()> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(Error::input(format!("the weight {weight} is not a number from 0 on"))
        .hint("weights are shares of first requests, for example `weight = 0.9`"))
}

fn read(source: &Source, entries: Vec<Entry>) -> Result<Vec<Event>> {
    let weights = shares(&entries.iter().map(|entry| entry.weight).collect::<Vec<_>>());
    let weights = weights.map_err(|error| match entries.first() {
        Some(first) => error.place(first.place.clone()),
        None => error,
    })?;
    let mut seen = BTreeSet::new();
    let mut events = Vec::new();
    for (entry, weight) in entries.into_iter().zip(weights) {
        if !seen.insert(entry.name.clone()) {
            return Err(Error::input(format!("two events are named `{}`", entry.name))
                .place(entry.place)
                .hint("give one of them another `name`"));
        }
        let Some(payload) = source.read(&entry.event)? else {
            return Err(
                Error::input(format!("the event file `{}` does not exist", entry.event)).place(entry.place)
            );
        };
        check_payload(source, &entry.event, &payload)?;
        events.push(Event { name: entry.name, path: source.path(&entry.event), payload, weight });
    }
    Ok(events)
}

fn check_payload(source: &Source, path: &Utf8Path, payload: &[u8]) -> Result<()> {
    if payload.len() > LARGEST {
        return Err(Error::input(format!(
            "the event has {} bytes, and Lambda takes at most {LARGEST}",
            payload.len()
        ))
        .place(source.place(path)));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).map(|_| ()).map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        Error::input("the event is not JSON").cause(reason).place(format!(
            "{}:{}:{}",
            source.place(path),
            error.line(),
            error.column()
        ))
    })
}

/// Weights that sum to 1. Events without one share what the others leave.
fn shares(weights: &[Option<f64>]) -> Result<Vec<f64>> {
    let given: f64 = weights.iter().flatten().sum();
    let missing = weights.iter().filter(|weight| weight.is_none()).count();
    if missing == weights.len() {
        return Ok(vec![1.0 / missing as f64; missing]);
    }
    let rest = 1.0 - given;
    if missing > 0 && rest <= 0.0 {
        return Err(Error::input("the weights leave nothing for the events that have none")
            .cause(format!("those given sum to {given}"))
            .hint("give every event a weight, or keep their sum under 1"));
    }
    let filled: Vec<f64> = weights.iter().map(|weight| weight.unwrap_or(rest / missing as f64)).collect();
    let sum: f64 = filled.iter().sum();
    if sum <= 0.0 {
        return Err(Error::input("all events have the weight 0").hint("give at least one of them a share"));
    }
    Ok(filled.into_iter().map(|weight| weight / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn weights_sum_to_one() {
        assert_eq!(shares(&[None, None, None, None]).unwrap(), [0.25; 4]);
        assert_eq!(shares(&[Some(3.0), Some(1.0)]).unwrap(), [0.75, 0.25]);
        let filled = shares(&[Some(0.5), None, None]).unwrap();
        assert_eq!(filled, [0.5, 0.25, 0.25]);
        assert!(shares(&[]).unwrap().is_empty());
        assert!(shares(&[Some(0.0)]).is_err());
        assert!(shares(&[Some(1.0), None]).is_err());
    }

    #[test]
    fn what_is_no_json_names_line_and_column() {
        let keep = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(keep.path().join("bad.json")).unwrap();
        fs::write(&path, "{\n  \"a\": 1,\n  \"b\" 2\n}\n").unwrap();
        let error = named(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(error.where_(), Some(format!("{path}:3:7").as_str()));
        assert_eq!(error.causes(), ["expected `:`"]);
    }

    #[test]
    fn names_are_unique() {
        let keep = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(keep.path().join("a.json")).unwrap();
        fs::write(&path, "{}").unwrap();
        let error = named(&[path.clone(), path]).unwrap_err();
        assert_eq!(error.message(), "two events are named `a`");
    }
}
