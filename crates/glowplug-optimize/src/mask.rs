//! What differs between any two runs and means nothing: ids, times, addresses, the place of the tree.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath};

use glowplug_core::{Error, LAYER_ROOT, Result, TASK_ROOT};

use crate::compare::IGNORED;

/// Names that Python's `tempfile` makes.
const TEMPORARY: &str = r"\btmp[a-z0-9_]{8}\b";

/// Pattern and what stands for it in a masked log line.
static LOG_MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "<id>"),
        (r"(Root=)?\b1-[0-9a-f]{8}-[0-9a-f]{24}\b(;Parent=[0-9a-f]{16})?", "<trace>"),
        // Milliseconds since 1970, from 2001 to 2065.
        (r"\b[12]\d{12}\b", "<time>"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"0x[0-9a-f]{6,16}", "<address>"),
        (TEMPORARY, "tmp<random>"),
        (r"\b\d+(\.\d+)?(e-?\d+)? ?(ns|µs|us|ms|s|sec|seconds)\b", "<duration>"),
    ]
    .into_iter()
    .filter_map(|(pattern, name)| Regex::new(pattern).ok().map(|regex| (regex, name)))
    .collect()
});

static TEMPORARY_NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(TEMPORARY).unwrap_or_else(|error| unreachable!("{error}")));

/// A text without what differs between any two runs.
pub(crate) fn steady(text: &str) -> String {
    LOG_MASKS.iter().fold(text.to_owned(), |text, (regex, name)| regex.replace_all(&text, *name).into_owned())
}

/// Masks what one process let the outside see.
#[derive(Debug)]
pub(crate) struct Mask<'a> {
    /// Real folder of the tree, which the function sees where mounts are not possible.
    pub(crate) tree: &'a str,
    /// Paths that the user leaves out of the comparison.
    pub(crate) ignore: &'a [JsonPath],
    /// Whether distributions of the tree lie in shared layers: where files are named to people, in logs and stack
    /// traces, they count as they are in the original.
    pub(crate) layered: bool,
}

impl Mask<'_> {
    /// Log bytes as masked lines; the last lines of a truncated log count as they are.
    pub(crate) fn log(&self, log: &[u8]) -> Vec<String> {
        let line = |line: &str| steady(&self.told(line).replace(self.tree, TASK_ROOT));
        String::from_utf8_lossy(log).lines().map(line).collect()
    }

    /// A text for people, with the places of files as in the original.
    fn told(&self, text: &str) -> String {
        let layer = format!("{LAYER_ROOT}/");
        if self.layered { text.replace(&layer, &format!("{TASK_ROOT}/")) } else { text.to_owned() }
    }

    /// The payload of an answer that says what failed and where.
    pub(crate) fn error(&self, payload: &[u8], request_id: &str) -> Value {
        self.payload(self.told(&String::from_utf8_lossy(payload)).as_bytes(), request_id)
    }

    /// Paths below `/tmp` with what they hold; names that Python's `tempfile` made are numbered instead.
    pub(crate) fn files(tmp: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut masked = BTreeMap::new();
        // In the order of the contents, so that the numbers do not follow the random names.
        let mut files: Vec<(String, String)> = tmp.into_iter().collect();
        files.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        for (path, holds) in files {
            let name = TEMPORARY_NAME.replace_all(&path, "tmp<random>").into_owned();
            let mut free = name.clone();
            let mut number = 1;
            while masked.contains_key(&free) {
                number += 1;
                free = format!("{name}#{number}");
            }
            masked.insert(free, holds);
        }
        masked
    }

    /// The payload of an answer that no request of ours is behind: ids in it are the engine's.
    pub(crate) fn failure(&self, payload: &[u8]) -> Value {
        let text = String::from_utf8_lossy(payload);
        let text =
            LOG_MASKS.first().map_or_else(|| text.clone(), |(ids, name)| ids.replace_all(&text, *name));
        self.error(text.as_bytes(), "")
    }

    /// A payload as JSON (text where it is none), without the request's id and what the user ignores.
    pub(crate) fn payload(&self, payload: &[u8], request_id: &str) -> Value {
        let text = String::from_utf8_lossy(payload).replace(self.tree, TASK_ROOT);
        let text = if request_id.is_empty() { text } else { text.replace(request_id, "<id>") };
        let mut value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        for path in self.ignore {
            let places: Vec<String> =
                path.query_located(&value).locations().map(NormalizedPath::to_json_pointer).collect();
            for pointer in places {
                if let Some(slot) = value.pointer_mut(&pointer) {
                    *slot = Value::String(IGNORED.to_owned());
                }
            }
        }
        value
    }
}

/// Parses `[verify] ignore`.
///
/// # Errors
/// An input error that names the path that RFC 9535 does not know.
pub(crate) fn parse_ignores(paths: &[String]) -> Result<Vec<JsonPath>> {
    paths
        .iter()
        .map(|path| {
            JsonPath::parse(path).map_err(|cause| {
                Error::input(format!("`{path}` in `[verify] ignore` is not a JSONPath"))
                    .cause(cause)
                    .hint("write for example `$.requestId` or `$.items[*].time`")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_ids_and_addresses_leave_the_log() {
        let mask = Mask { tree: "/tmp/tree", ignore: &[], layered: false };
        let powertools =
            br#"{"Timestamp":1795905260503,"xray_trace_id":"1-6b1f6f0e-000000000000000000000001"}"#;
        assert_eq!(mask.log(powertools), [r#"{"Timestamp":<time>,"xray_trace_id":"<trace>"}"#]);
        let log = b"[INFO]\t2026-11-24T08:00:00.123Z\t6b1f6f0e-0000-4000-8000-000000000001\t<A at 0x7f00aabbccdd> took 12.5 ms\n/tmp/tree/app.py\n";
        assert_eq!(
            mask.log(log),
            ["[INFO]\t<time>\t<id>\t<A at <address>> took <duration>", "/var/task/app.py"]
        );
    }

    #[test]
    fn where_a_file_of_a_layer_lies_counts_in_answers_and_not_in_messages() {
        let traced = br#"{"stackTrace":["  File \"/opt/python/lib/a.py\""]}"#;
        let answered = br#"{"place":"/opt/python/lib/a.py"}"#;
        let mask = Mask { tree: "/build/tree", ignore: &[], layered: true };
        assert_eq!(mask.error(traced, ""), json!({"stackTrace": ["  File \"/var/task/lib/a.py\""]}));
        assert_eq!(mask.log(b"/opt/python/lib/a.py:3: Warning"), ["/var/task/lib/a.py:3: Warning"]);
        assert_eq!(mask.payload(answered, ""), json!({"place": "/opt/python/lib/a.py"}));
        let plain = Mask { layered: false, ..mask };
        assert_eq!(plain.error(answered, ""), json!({"place": "/opt/python/lib/a.py"}));
    }

    #[test]
    fn ignored_places_and_request_ids_leave_the_payload() {
        let ignore = parse_ignores(&["$.items[*].at".to_owned()]).unwrap();
        let mask = Mask { tree: "/t", ignore: &ignore, layered: false };
        let value = mask.payload(br#"{"items":[{"at":1,"v":2}],"id":"abc"}"#, "abc");
        assert_eq!(value, json!({"items": [{"at": "<ignored>", "v": 2}], "id": "<id>"}));
        assert_eq!(mask.payload(b"not json", ""), json!("not json"));
    }

    #[test]
    fn random_names_are_numbered_by_what_they_hold() {
        let files = |names: [&str; 3]| {
            let held = ["b", "a", "dir"];
            Mask::files(names.into_iter().zip(held).map(|(n, h)| (n.to_owned(), h.to_owned())).collect())
        };
        let one = files(["tmpaaaaaaaa.txt", "tmpzzzzzzzz.txt", "kept"]);
        assert_eq!(one, files(["tmpzzzzzzzz.txt", "tmpaaaaaaaa.txt", "kept"]));
        assert_eq!(one.keys().collect::<Vec<_>>(), ["kept", "tmp<random>.txt", "tmp<random>.txt#2"]);
    }

    #[test]
    fn a_bad_path_is_named() {
        let error = parse_ignores(&["requestId".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`requestId`"));
    }
}
