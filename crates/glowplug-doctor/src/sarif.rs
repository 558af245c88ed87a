//! Findings as SARIF 2.1.0, for code scanning: "Static Analysis Results Interchange Format",
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use serde_json::{Value, json};

use crate::finding::{Finding, Findings, Level};
use crate::rules::RULES;

/// Where the schema of the format is published.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run with all findings. `version` is that of the program.
pub fn sarif(findings: &Findings, version: &str) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code,
                "name": pascal(rule.name),
                "shortDescription": {"text": rule.sentence},
            })
        })
        .collect();
    let results: Vec<Value> = findings.findings.iter().map(result).collect();
    let notes: Vec<Value> =
        findings.not_seen.iter().map(|text| json!({"level": "note", "message": {"text": text}})).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "glowplug", "version": version, "rules": rules}},
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notes}],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let index = RULES.iter().position(|rule| rule.code == finding.code);
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    let others = finding.places.iter().filter(|place| **place != finding.place);
    let related: Vec<Value> = others.map(|place| location(place)).collect();
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": level,
        "message": {"text": format!("{}. {}.", capital(&finding.message), capital(&finding.remedy))},
        "locations": [location(&finding.place)],
        "partialFingerprints": {"finding/v1": format!("{}:{}", finding.code, path_of(&finding.place).0)},
        "properties": {
            "saves_ms": finding.saves_ms,
            "saves_bytes": finding.saves_bytes,
            "saves_zip_bytes": finding.saves_zip_bytes,
            "estimated": finding.estimated,
            "remedy": finding.remedy,
        },
    });
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

/// A path and its line, where it has one.
fn path_of(place: &str) -> (&str, Option<u32>) {
    match place.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?))) {
        Some((path, line)) if line > 0 => (path, Some(line)),
        _ => (place, None),
    }
}

fn location(place: &str) -> Value {
    let (path, line) = path_of(place);
    let mut physical = json!({"artifactLocation": {"uri": uri(path)}});
    if let Some(line) = line {
        physical["region"] = json!({"startLine": line});
    }
    json!({"physicalLocation": physical})
}

/// A path as a relative reference (RFC 3986): what is not unreserved is escaped, `/` apart.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    if out.is_empty() { ".".to_owned() } else { out }
}

/// `UnusedDistribution` for `unused-distribution`.
fn pascal(name: &str) -> String {
    name.split('-').map(capital).collect()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_references() {
        assert_eq!(uri("a b/ü.py"), "a%20b/%C3%BC.py");
        assert_eq!(uri("."), ".");
        assert_eq!(path_of("app.py:12"), ("app.py", Some(12)));
        assert_eq!(path_of("a:b"), ("a:b", None));
        assert_eq!(pascal("unused-distribution"), "UnusedDistribution");
    }
}
