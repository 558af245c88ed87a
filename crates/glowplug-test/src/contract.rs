//! The documents that other programs read, as they are promised: every field, and what kind of value it holds.

use serde_json::{Value, json};

/// `glowplug.trace/1`. `STAT` stands for a figure with its interval, `EVENT` for any event's name.
pub const TRACE: &str = r#"{"schema":"glowplug.trace/1",
 "function":{"name":"","handler":"","python":"","architecture":"","memory_mb":0,"built":false},
 "environment":{"python":"","memory_mb":0,"cpu":"","init_boost":true,"page_cache":"","agent_overhead":"STAT",
                "agent_overhead_cpu":"STAT","bandwidth_mbit":null},
 "phases":{"provision":"STAT","runtime":"STAT","init":"STAT","first_invoke":{"EVENT":"STAT"},"warm_invoke":{"EVENT":"STAT"},
           "fetch":"STAT","unpack":"STAT","runtime_parts":{"interpreter":"STAT","site":"STAT","client":"STAT"},
           "first_invoke_parts":{"EVENT":{"imports_ms":0,"connect_ms":0,"handler_ms":0}},"cold_cache":null},
 "imports":[{"module":"","parent":"","distribution":"","importer":"","status":"","phase":"","event":null,"thread":"",
             "start_ms":0,"self_ms":0,"total_ms":0,"cpu_ms":0,"find_ms":0,"read_ms":0,"compile_ms":0,"unmarshal_ms":0,
             "exec_ms":0,"native_ms":0,"gc_ms":0,"regex_ms":0,"io_ms":0,"memory_kib":0,"bytes_read":0,
             "runtime_provided":false,"bytecode":"","used_by":[""]}],
 "statements":[{"place":"","text":"","start_ms":0,"self_ms":0,"cpu_ms":0,"imports_ms":0,"phase":"","event":null}],
 "lines":[{"place":"","asks_for":[""],"modules":0,"total_ms":0,"memory_kib":0,"phase":"","event":null,"used_by":[""]}],
 "kinds":{"find":0,"read":0,"compile":0,"unmarshal":0,"exec":0,"native":0,"gc":0,"regex":0,"io":0,"rest":0},
 "compiled":{"missing":0,"stale":0,"compile_ms":0},"cut_off":[""],
 "connections":[{"kind":"","address":"","phase":"","event":null,"total_ms":0}],
 "advice":[{"subject":"","text":"","saves_ms":0,"command":""}],
 "distributions":[{"name":"","version":"","total_ms":0,"memory_kib":0,"bytes":0,"bytes_by_kind":{},"used_by":[""]}],
 "files":[{"path":"","order":0,"bytes":0,"touched_bytes":0}],"unexplained_ms":0,"subprocesses":[{"event":"","what":"","phase":""}],"failure":null}"#;

/// `glowplug.report/1`, in the same way.
pub const REPORT: &str = r#"{"schema":"glowplug.report/1",
 "function":{"name":"","handler":"","python":"","architecture":"","memory_mb":0},
 "environment":{"python":"","memory_mb":0,"cpu":"","init_boost":true,"page_cache":"","tool":"","not_enforced":[""]},
 "as_shipped":"MEASURED","before":"MEASURED","after":"MEASURED",
 "ratio":{"init":"STAT","cold":{"EVENT":"STAT"},"cold_weighted":"STAT","warm":{"EVENT":"STAT"},"memory":{"EVENT":"STAT"},
          "zip_bytes":0,"unzipped_bytes":0},
 "decisions":[{"id":"","kind":"","subject":"","place":"","state":"","saves_ms":0,"saves_bytes":0,"evidence":"","reason":"","events":[""]}],
 "verdict":{"equal":true,"events":0,"replays":0,"not_proved":[""],"varying":[""],"blocked":[""],"holdout":{"events":0,"equal":null},
            "tests":null,"differences":[{"event":"","replay":"","path":"","before":"","after":"","decisions":[""]}]},
 "advice":"","artifacts":[{"kind":"","path":"","bytes":0,"sha256":""}]}"#;

/// `glowplug.tune/1`, in the same way.
pub const TUNE: &str = r#"{"schema":"glowplug.tune/1",
 "function":{"name":"","architecture":"","memory_mb":0},
 "parameters":{"target":"","cpu":"","init_boost":true,"cold_rate":0,"objective":"","balanced_weight":0,"region":"","prices":""},
 "tiers":["TIER"],"best":{"speed":0,"cost":0,"balanced":0},"chosen":0,"pareto":[0],"lowest_mb":0,"runs":0,"grid_runs":0,
 "model_error":0,"before":{"tiers":["TIER"]},"after":{"tiers":["TIER"]},"advice":"","complete":true,"notes":[""]}"#;

/// Where `actual` lacks what is promised, or has another kind of value there; `null` fits everywhere.
///
/// # Panics
/// Where the promise is no JSON.
pub fn lacks(promised: &str, actual: &Value) -> Vec<String> {
    let promised: Value = serde_json::from_str(promised).unwrap();
    let mut found = Vec::new();
    compare(&promised, actual, "$", &mut found);
    found
}

fn compare(promised: &Value, actual: &Value, at: &str, found: &mut Vec<String>) {
    let whole = match promised.as_str() {
        Some("STAT") => json!({"median": 0, "low": 0, "high": 0, "spread": 0, "runs": 0}),
        Some("MEASURED") => json!({
            "init_ms": "STAT", "cold_ms": {"EVENT": "STAT"}, "cold_weighted_ms": "STAT", "warm_ms": {"EVENT": "STAT"},
            "memory_mb": {"EVENT": "STAT"}, "zip_bytes": 0, "unzipped_bytes": 0, "files": 0, "modules": 0
        }),
        Some("TIER") => json!({
            "memory_mb": 0, "measured": true, "status": "", "reason": "", "cold_ms": {"p50": 0, "p90": 0, "p99": 0},
            "warm_ms": {"p50": 0, "p90": 0, "p99": 0}, "latency_ms": "STAT", "billed_ms": 0, "usd_per_million": 0,
            "out_of_memory": true, "peak_mb": 0,
            "events": {"EVENT": {"init_ms": "STAT", "init_cpu_ms": "STAT", "cold_ms": "STAT", "warm_ms": "STAT"}}
        }),
        _ => promised.clone(),
    };
    match (&whole, actual) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(promised), Value::Object(actual)) => {
            if let Some(each) = promised.get("EVENT") {
                actual.iter().for_each(|(name, value)| compare(each, value, &format!("{at}.{name}"), found));
                return;
            }
            for (name, promised) in promised {
                match actual.get(name) {
                    Some(value) => compare(promised, value, &format!("{at}.{name}"), found),
                    None => found.push(format!("{at}.{name} is missing")),
                }
            }
        }
        (Value::Array(promised), Value::Array(actual)) => {
            for (index, value) in actual.iter().enumerate() {
                compare(&promised[0], value, &format!("{at}[{index}]"), found);
            }
        }
        (promised, actual) if std::mem::discriminant(promised) == std::mem::discriminant(actual) => {}
        (_, actual) => found.push(format!("{at} is {actual}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_of_another_kind_is_named() {
        let promised = r#"{"a": 0, "b": {"EVENT": "STAT"}, "c": [{"d": ""}], "e": ""}"#;
        let stat = json!({"median": 1.5, "low": 1, "high": 2, "spread": 0, "runs": 3});
        let actual = json!({"a": 1, "b": {"go": stat, "no": null}, "c": [{"d": "x"}], "e": null, "more": 1});
        assert_eq!(lacks(promised, &actual), Vec::<String>::new());
        let actual = json!({"a": "1", "b": {"go": {"median": 1}}, "c": [{}], "e": null});
        let found = lacks(promised, &actual);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(
            found.contains(&"$.a is \"1\"".to_owned()) && found.contains(&"$.c[0].d is missing".to_owned()),
            "{found:?}"
        );
    }
}
