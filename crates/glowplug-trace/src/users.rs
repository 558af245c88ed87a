//! Who uses what an import line brings in: events, by their share of first requests, and the module that it
//! stands in, as that loads.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Line, Statement, Trace};
use crate::tree::{place_of, split_place};

/// Memory size that has one whole vCPU, MB (AWS Lambda developer guide, "Configure Lambda function memory").
const FULL_VCPU_MB: f64 = 1769.0;
/// From this share on all first requests use it: weights add up to 1 only nearly.
const ALL: f64 = 0.999;

/// The events of a trace and their shares of first requests.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    weights: BTreeMap<&'a str, f64>,
    /// Whether somebody has said what each weighs.
    weighted: bool,
    /// How many times slower a handler's CPU is than init's.
    slowdown: f64,
}

/// How deferring pays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deferral {
    /// Which part of its time is saved of the weighted cold start.
    pub(crate) saved_part: f64,
    /// Whether only the middle request gains, and all together lose: handlers have less CPU than init.
    pub(crate) for_speed: bool,
}

impl<'a> Events<'a> {
    /// The events that the trace speaks of; without weights all weigh the same.
    pub(crate) fn of(trace: &'a Trace, weights: &BTreeMap<String, f64>) -> Self {
        let mut names: BTreeSet<&str> = trace.phases.first_invoke.keys().map(String::as_str).collect();
        for import in &trace.imports {
            names.extend(import.used_by.iter().chain(&import.event).map(String::as_str));
        }
        let given =
            |name: &str| if weights.is_empty() { 1.0 } else { weights.get(name).copied().unwrap_or(0.0) };
        let sum: f64 = names.iter().map(|name| given(name)).sum();
        let share = (f64::from(trace.environment.memory_mb) / FULL_VCPU_MB).min(1.0);
        // Unless the boost is turned off, init has it on Lambda, whatever CPU was measured with.
        let boost = trace.environment.cpu != "share" || trace.environment.init_boost;
        Self {
            weighted: !weights.is_empty(),
            weights: names.into_iter().map(|name| (name, given(name) / sum.max(f64::MIN_POSITIVE))).collect(),
            slowdown: if boost { 1.0 / share.max(f64::MIN_POSITIVE) } else { 1.0 },
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.weights.len()
    }

    /// Whether the build defers what `used` events wait for in their first request; `None` where it does not, or
    /// nobody knows who uses it. The rule is the build's own.
    pub(crate) fn deferral(&self, used: &BTreeSet<&str>) -> Option<Deferral> {
        if self.weights.is_empty() {
            return None;
        }
        let weight: f64 = used.iter().filter_map(|event| self.weights.get(event)).sum();
        let by_default = !self.weighted || weight * self.slowdown < 1.0;
        (weight < ALL && (by_default || weight < 0.5))
            .then_some(Deferral { saved_part: 1.0 - weight, for_speed: !by_default })
    }

    /// `used by 1 of 3 events`.
    pub(crate) fn usage(&self, used: &BTreeSet<&str>) -> String {
        let count = used.iter().filter(|event| self.weights.contains_key(**event)).count();
        match (count, self.weights.len()) {
            (0, 1) => {
                let name = self.weights.keys().next().copied().unwrap_or_default();
                format!("not used by the only event, `{name}`")
            }
            (0, all) => format!("used by none of {all} events"),
            (count, all) => format!("used by {count} of {all} events"),
        }
    }
}

/// The first statement that uses a name which the import of `line` binds, while the module loads.
pub(crate) fn used_while_loading<'a>(trace: &'a Trace, line: &Line) -> Option<&'a Statement> {
    loading_uses(trace, line).next()
}

/// Whether that statement is among them.
pub(crate) fn is_used_by(trace: &Trace, line: &Line, statement: &Statement) -> bool {
    loading_uses(trace, line).any(|found| std::ptr::eq(found, statement))
}

fn loading_uses<'a>(trace: &'a Trace, line: &Line) -> impl Iterator<Item = &'a Statement> {
    let (file, at) = split_place(&line.place);
    let import = trace.statements.iter().find(|statement| statement.place == line.place);
    let names: Vec<String> = import.map(|import| bound_names(&import.text)).unwrap_or_default();
    let file = file.to_owned();
    trace.statements.iter().filter(move |statement| {
        let (in_file, line) = place_of(statement);
        in_file == file
            && line > at
            && !is_import(&statement.text)
            && names.iter().any(|name| mentions(&statement.text, name))
    })
}

/// Whether the line is inside another statement: its file's statements are known, and none starts there.
pub(crate) fn is_nested(trace: &Trace, line: &Line) -> bool {
    let file = split_place(&line.place).0;
    let mut same_file = trace.statements.iter().filter(|statement| place_of(statement).0 == file).peekable();
    same_file.peek().is_some() && !same_file.any(|statement| statement.place == line.place)
}

/// Whether the statement only defines or imports: there is nothing to make later.
pub(crate) fn is_definition(text: &str) -> bool {
    let begins = |word: &str| text.starts_with(word);
    is_import(text) || begins("def ") || begins("async def ") || begins("class ") || begins("@")
}

fn is_import(text: &str) -> bool {
    text.starts_with("import ") || text.starts_with("from ")
}

/// The names that the first line of an import statement binds.
fn bound_names(text: &str) -> Vec<String> {
    let list = match text.strip_prefix("from ") {
        Some(rest) => rest.split_once(" import ").map_or("", |(_, names)| names),
        None => text.strip_prefix("import ").unwrap_or(""),
    };
    let list = list.split('#').next().unwrap_or("");
    let name = |part: &str| {
        let part = part.trim_matches(|c: char| c.is_whitespace() || c == '(' || c == ')' || c == ';');
        let bound =
            part.rsplit_once(" as ").map_or_else(|| part.split('.').next().unwrap_or(""), |(_, alias)| alias);
        bound.trim().to_owned()
    };
    list.split(',').map(name).filter(|name| !name.is_empty() && name != "*").collect()
}

/// Whether `name` stands in the code of a statement's first line: as a word of its own, not after a dot, not in a
/// string that is all there is.
fn mentions(text: &str, name: &str) -> bool {
    if text.starts_with(['"', '\'']) {
        return false;
    }
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| word(c) || c == '.') && !after.is_some_and(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_import_binds() {
        assert_eq!(bound_names("import os.path, numpy as np"), ["os", "np"]);
        assert_eq!(bound_names("from a.b import (c, d as e,  # why"), ["c", "e"]);
        assert_eq!(bound_names("from a import *"), Vec::<String>::new());
    }

    #[test]
    fn words_not_parts_of_words() {
        assert!(mentions("client = boto3.client('s3')", "boto3"));
        assert!(!mentions("x = my.boto3", "boto3") && !mentions("boto3_client = None", "boto3"));
        assert!(!mentions("\"\"\"About boto3.\"\"\"", "boto3"));
    }
}
