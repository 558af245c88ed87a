//! Two transcripts of the same replay: equal, or where they differ.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::Difference;
use serde_json::Value;

/// Longest value shown in a difference, in characters.
const SHOWN: usize = 200;

/// What stands for a value that the user leaves out of the comparison.
pub(crate) const IGNORED: &str = "<ignored>";

/// What stands for a file that is not there.
const ABSENT: &str = "absent";

/// The place of the names of files below `/tmp`, where these vary.
const NAMES: &str = "names in /tmp";

/// What one invocation let the outside see, with ids and times masked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The event's name.
    pub(crate) event: String,
    /// `success`, `error`, `exit` or `timeout`; `init-error` where no invocation was reached.
    pub(crate) outcome: &'static str,
    /// The payload; text that is not JSON becomes a string.
    pub(crate) payload: Value,
    /// Masked log lines.
    pub(crate) log: Vec<String>,
}

/// What one fresh process let the outside see.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Transcript {
    /// One for each invocation, in order.
    pub(crate) answers: Vec<Answer>,
    /// Path under `/tmp` → content hash or kind.
    pub(crate) tmp: BTreeMap<String, String>,
    /// Connections that the network policy refused, each once: the event in which it was first tried, or `init`.
    pub(crate) blocked: Vec<(String, String)>,
}

/// Places, as `event/path`, that vary when the original is replayed against itself.
pub(crate) type Varying = BTreeSet<String>;

/// One raw difference: event, path, both values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) event: String,
    pub(crate) path: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Found {
    /// The keys under which this variation is remembered.
    pub(crate) fn keys(&self) -> Vec<String> {
        let renamed = self.path.starts_with("/tmp/") && (self.before == ABSENT || self.after == ABSENT);
        let names = renamed.then(|| key(&self.event, NAMES));
        names.into_iter().chain([key(&self.event, &self.path)]).collect()
    }

    pub(crate) fn into_difference(self, replay: &str) -> Difference {
        Difference {
            event: self.event,
            replay: replay.to_owned(),
            path: self.path,
            before: self.before,
            after: self.after,
            decisions: Vec::new(),
        }
    }
}

/// All differences that `varying` does not excuse. A varying place still has to keep its JSON type.
pub(crate) fn compare(before: &Transcript, after: &Transcript, varying: &Varying) -> Vec<Found> {
    compare_without(before, after, varying, &BTreeSet::new())
}

/// The same, where lines of the log that deferred values write while they are made (`told`, as [`untimed`] has them)
/// may be there or not.
pub(crate) fn compare_without(
    before: &Transcript,
    after: &Transcript,
    varying: &Varying,
    told: &BTreeSet<String>,
) -> Vec<Found> {
    let mut comparison = Comparison { event: "", varying, told, found: Vec::new() };
    for (left, right) in before.answers.iter().zip(&after.answers) {
        comparison.event = &left.event;
        if left.outcome == right.outcome {
            comparison.values("$", &left.payload, &right.payload);
            comparison.logs(&left.log, &right.log);
        } else {
            let show = |answer: &Answer| format!("{} {}", answer.outcome, shorten(&answer.payload));
            comparison.push("outcome", show(left), show(right));
        }
    }
    comparison.event = before.answers.last().map_or("", |answer| &answer.event);
    if before.answers.len() != after.answers.len() {
        comparison.push("invocations", before.answers.len().to_string(), after.answers.len().to_string());
    }
    comparison.files(&before.tmp, &after.tmp);
    comparison.found
}

/// A masked line of the log without the request that it belongs to: the same line is written in init and in an event.
pub(crate) fn untimed(line: &str) -> String {
    line.replace("<id>", "")
}

/// The places of all values of a payload that are compared, what the user ignores left out.
pub(crate) fn leaves(payload: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(payload, "$", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| collect(value, &format!("{path}.{key}"), found));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| collect(value, &format!("{path}[{index}]"), found));
        }
        Value::String(text) if text == IGNORED => {}
        Value::String(text) => match json_within(text) {
            Some(inner) => collect(&inner, path, found),
            None => found.push(path.to_owned()),
        },
        _ => found.push(path.to_owned()),
    }
}

/// JSON that a text holds, as the `body` of an answer for API Gateway does.
fn json_within(text: &str) -> Option<Value> {
    let inner: Value =
        if text.starts_with(['{', '[']) { serde_json::from_str(text).ok()? } else { return None };
    let filled = inner.as_object().is_some_and(|map| !map.is_empty())
        || inner.as_array().is_some_and(|list| !list.is_empty());
    filled.then_some(inner)
}

/// The key under which one place is remembered as varying.
fn key(event: &str, path: &str) -> String {
    format!("{event}: {path}")
}

struct Comparison<'a> {
    event: &'a str,
    varying: &'a Varying,
    told: &'a BTreeSet<String>,
    found: Vec<Found>,
}

impl Comparison<'_> {
    fn varies(&self, path: &str) -> bool {
        self.varying.contains(&key(self.event, path))
    }

    fn push(&mut self, path: &str, before: String, after: String) {
        if !self.varies(path) {
            self.found.push(Found { event: self.event.to_owned(), path: path.to_owned(), before, after });
        }
    }

    fn values(&mut self, path: &str, left: &Value, right: &Value) {
        match (left, right) {
            _ if left == right => {}
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let (x, y) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                    self.values(&format!("{path}.{key}"), x, y);
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (x, y)) in a.iter().zip(b).enumerate() {
                    self.values(&format!("{path}[{index}]"), x, y);
                }
            }
            (Value::String(a), Value::String(b)) => match (json_within(a), json_within(b)) {
                // Equal values in another form, another order of keys for example, are a difference of the text.
                (Some(x), Some(y)) if x != y => self.values(path, &x, &y),
                _ => self.leaf(path, left, right),
            },
            _ => self.leaf(path, left, right),
        }
    }

    fn leaf(&mut self, path: &str, left: &Value, right: &Value) {
        if self.varies(path) && std::mem::discriminant(left) == std::mem::discriminant(right) {
            return;
        }
        let (before, after) = (shorten(left), shorten(right));
        self.found.push(Found { event: self.event.to_owned(), path: path.to_owned(), before, after });
    }

    /// Line by line where there are as many, so that one varying line excuses no other.
    fn logs(&mut self, left: &[String], right: &[String]) {
        let counted = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !self.told.contains(&untimed(line))).cloned().collect()
        };
        let (left, right) = (&counted(left), &counted(right));
        if left == right || self.varies("log") {
            return;
        }
        if left.len() == right.len() {
            for (index, (a, b)) in left.iter().zip(right).enumerate().filter(|(_, (a, b))| a != b) {
                self.push(&format!("log[{index}]"), clip(a), clip(b));
            }
            return;
        }
        let index = left.iter().zip(right).position(|(a, b)| a != b).unwrap_or(left.len().min(right.len()));
        let show = |lines: &[String]| lines.get(index).map_or_else(|| "no such line".to_owned(), |l| clip(l));
        self.push("log", show(left), show(right));
    }

    fn files(&mut self, left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) {
        // Names that vary by themselves are only counted.
        let named = !self.varies(NAMES) || left.len() != right.len();
        let paths: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for path in paths {
            let (before, after) = (left.get(path), right.get(path));
            let both = before.is_some() && after.is_some();
            if before != after && (both || named) {
                let show = |side: Option<&String>| side.cloned().unwrap_or_else(|| ABSENT.to_owned());
                self.push(&format!("/tmp/{path}"), show(before), show(after));
            }
        }
    }
}

fn shorten(value: &Value) -> String {
    clip(&value.to_string())
}

fn clip(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn transcript(payload: Value) -> Transcript {
        Transcript {
            answers: vec![Answer {
                event: "e".into(),
                outcome: "success",
                payload,
                log: vec!["hello".into()],
            }],
            ..Transcript::default()
        }
    }

    #[test]
    fn a_changed_leaf_is_named_by_its_path() {
        let found = compare(
            &transcript(json!({"a": [1, {"b": 2}]})),
            &transcript(json!({"a": [1, {"b": 3}]})),
            &Varying::new(),
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].path.as_str(), found[0].before.as_str(), found[0].after.as_str()),
            ("$.a[1].b", "2", "3")
        );
    }

    #[test]
    fn a_varying_place_keeps_its_type() {
        let varying = Varying::from(["e: $.id".to_owned()]);
        assert!(compare(&transcript(json!({"id": 1})), &transcript(json!({"id": 2})), &varying).is_empty());
        assert_eq!(
            compare(&transcript(json!({"id": 1})), &transcript(json!({"id": "x"})), &varying).len(),
            1
        );
    }

    #[test]
    fn what_a_deferred_value_logs_may_come_later_or_never() {
        let log = |lines: &[&str]| {
            let mut one = transcript(json!(1));
            one.answers[0].log = lines.iter().map(|line| (*line).to_owned()).collect();
            one
        };
        let told = BTreeSet::from(["[INFO] found".to_owned()]);
        let found = |a: &[&str], b: &[&str]| compare_without(&log(a), &log(b), &Varying::new(), &told).len();
        assert_eq!(found(&["[INFO] found", "a"], &["a"]), 0);
        assert_eq!(found(&["[INFO] found", "a"], &["a", "[INFO]<id> found"]), 0);
        assert_eq!(found(&["[INFO] found", "a"], &["b"]), 1);
        assert_eq!(found(&["[INFO] other", "a"], &["a"]), 1);
    }

    #[test]
    fn outcome_log_and_files_count() {
        let before = transcript(json!(1));
        let mut after = before.clone();
        after.answers[0].log.push("more".into());
        after.tmp.insert("x".into(), "dir".into());
        let paths: Vec<String> =
            compare(&before, &after, &Varying::new()).into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["log", "/tmp/x"]);
        after.answers[0].outcome = "error";
        assert_eq!(compare(&before, &after, &Varying::new())[0].path, "outcome");
    }

    #[test]
    fn json_in_a_text_is_compared_by_its_values_and_then_by_its_form() {
        let body = |text: &str| transcript(json!({"statusCode": 200, "body": text}));
        let before = body(r#"{"a":1,"id":"x"}"#);
        let paths = |after: &Transcript, varying: &Varying| -> Vec<String> {
            compare(&before, after, varying).into_iter().map(|f| f.path).collect()
        };
        assert_eq!(paths(&body(r#"{"a":2,"id":"y"}"#), &Varying::new()), ["$.body.a", "$.body.id"]);
        let varying = Varying::from(["e: $.body.id".to_owned()]);
        assert_eq!(paths(&body(r#"{"a":2,"id":"y"}"#), &varying), ["$.body.a"]);
        assert_eq!(paths(&body(r#"{"id":"x","a":1}"#), &varying), ["$.body"]);
        assert_eq!(leaves(&before.answers[0].payload), ["$.statusCode", "$.body.a", "$.body.id"]);
    }

    #[test]
    fn one_varying_line_excuses_no_other() {
        let lines = |lines: &[&str]| {
            let mut one = transcript(json!(1));
            one.answers[0].log = lines.iter().map(|l| (*l).to_owned()).collect();
            one
        };
        let varying = Varying::from(["e: log[0]".to_owned()]);
        assert!(compare(&lines(&["a 1", "b"]), &lines(&["a 2", "b"]), &varying).is_empty());
        assert_eq!(compare(&lines(&["a 1", "b"]), &lines(&["a 2", "c"]), &varying)[0].path, "log[1]");
    }

    #[test]
    fn files_with_names_of_their_own_are_counted() {
        let with = |names: &[&str]| {
            let mut one = transcript(json!(1));
            one.tmp = names.iter().map(|n| ((*n).to_owned(), "hash".to_owned())).collect();
            one
        };
        let found = compare(&with(&["x1"]), &with(&["x2"]), &Varying::new());
        let varying: Varying = found.iter().flat_map(Found::keys).collect();
        assert!(compare(&with(&["x1"]), &with(&["x3"]), &varying).is_empty());
        assert_eq!(compare(&with(&["x1"]), &with(&["x3", "x4"]), &varying).len(), 2);
    }
}
