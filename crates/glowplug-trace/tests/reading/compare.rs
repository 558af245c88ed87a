//! What has changed from one trace to another.

use glowplug_trace::{Cause, Comparison, Difference, Phase, Trace, compare, read_trace};
use insta::assert_snapshot;

use crate::samples::{distributions, find, node, nodes, sample, stat, trace_of, troubled};

fn told(comparison: &Comparison) -> String {
    let versions = |v: &Option<(String, String)>| {
        v.as_ref().map_or(String::new(), |(old, new)| format!(" {old} → {new}"))
    };
    let mut text = String::new();
    for b in &comparison.blame {
        let place = b.place.as_deref().unwrap_or("-");
        text += &format!(
            "{:+.1} {:?} {}{} {place} {}\n",
            b.change_ms,
            b.cause,
            b.subject,
            versions(&b.versions),
            b.modules
        );
    }
    text + &comparison
        .unexplained_ms
        .map_or("nothing known\n".to_owned(), |ms| format!("{ms:+.1} unexplained\n"))
}

/// pandas 2.3 is slower and imports pyarrow; `app.py` has a new import; numpy is the same.
fn bumped() -> Trace {
    let mut all = nodes();
    find(&mut all, &["app", "pandas"]).import.self_ms += 2.0;
    let api = find(&mut all, &["app", "pandas", "pandas.core.api"]);
    api.import.self_ms += 40.0;
    api.below.push(node(
        "pyarrow",
        "pandas/compat/pyarrow.py:9",
        60.0,
        vec![node("pyarrow.lib", "pyarrow/__init__.py:1", 30.0, Vec::new())],
    ));
    let app = find(&mut all, &["app"]);
    app.import.self_ms += 24.0;
    app.below.push(node(
        "yaml",
        "app.py:10",
        12.0,
        vec![node("yaml.loader", "yaml/__init__.py:8", 6.0, Vec::new())],
    ));
    let mut trace = trace_of(all);
    trace.distributions = distributions(&trace.imports);
    "2.3.0".clone_into(&mut trace.distributions[0].version);
    let client = trace.statements.iter_mut().filter(|s| s.place == "app.py:15");
    client.for_each(|s| s.self_ms = 55.0);
    trace
}

#[test]
fn a_trace_does_not_differ_from_itself() {
    let comparison = compare(&sample(), &sample());
    assert!(comparison.phases.iter().all(|p| matches!(p.difference, Difference::None | Difference::Unknown)));
    assert!(
        comparison.blame.is_empty()
            && comparison.distributions.is_empty()
            && comparison.conditions.is_empty()
    );
    assert!(comparison.modules.is_empty() && comparison.statements.is_empty());
    assert_eq!(comparison.unexplained_ms, Some(0.0));
}

#[test]
fn the_bump_and_the_new_line_are_told_apart() {
    let comparison = compare(&sample(), &bumped());
    assert_snapshot!(told(&comparison), @r#"
    +132.0 Version pandas 2.2.3 → 2.3.0 - 35
    +24.0 Own client = boto3.client("s3") app.py:15 1
    +18.0 Added yaml app.py:10 2
    +0.0 unexplained
    "#);
    let init = comparison.phases.iter().find(|p| p.phase == "init").unwrap();
    assert_eq!(init.difference, Difference::Slower);
    let pandas = &comparison.distributions[0];
    assert_eq!(
        (pandas.old_version.as_deref(), pandas.new_version.as_deref()),
        (Some("2.2.3"), Some("2.3.0"))
    );
    assert_eq!(comparison.statements[0].place, "app.py:15");
    let dearest: Vec<&str> = comparison.modules.iter().map(|m| m.module.as_str()).take(3).collect();
    assert_eq!(dearest, ["pyarrow", "pandas.core.api", "pyarrow.lib"]);
    // The way back tells the same with the other sign.
    let back = compare(&bumped(), &sample());
    let sums = |c: &Comparison| c.blame.iter().map(|b| b.change_ms).sum::<f64>();
    assert!((sums(&comparison) + sums(&back)).abs() < 1e-9);
    assert!(back.blame.iter().any(|b| b.cause == Cause::Removed && b.subject == "yaml"));
}

#[test]
fn missing_bytecode_is_a_cause_of_its_own() {
    let comparison = compare(&sample(), &troubled());
    assert_snapshot!(told(&comparison), @"
    +1117.5 Bytecode bytecode - 42
    -0.0 unexplained
    ");
}

#[test]
fn what_moved_to_the_first_invoke_is_deferred_not_removed() {
    let mut now = sample();
    let start = now.imports.iter().find(|i| i.module == "pandas").map(|i| i.start_ms).unwrap();
    for import in
        now.imports.iter_mut().filter(|i| i.start_ms >= start && !["warm", "app"].contains(&&*i.module))
    {
        import.phase = Phase::FirstInvoke;
        import.event = Some("process_data".to_owned());
    }
    now.phases.init = Some(stat(135.0, 2.0));
    let comparison = compare(&sample(), &now);
    let first = &comparison.blame[0];
    assert_eq!(
        (first.cause, &*first.subject, first.place.as_deref()),
        (Cause::Deferred, "pandas", Some("app.py:8"))
    );
    let back = compare(&now, &sample());
    assert_eq!(back.blame[0].cause, Cause::Advanced);
}

#[test]
fn other_conditions_are_named() {
    let mut other = sample();
    other.environment.memory_mb = 1024;
    other.environment.page_cache = "cold".to_owned();
    other.phases.init = None;
    let comparison = compare(&sample(), &other);
    assert_eq!(
        comparison.conditions,
        ["memory: 512 MB before, 1024 MB now", "page cache: warm before, cold now"]
    );
    assert_eq!(comparison.unexplained_ms, None);
    assert!(comparison.phases.iter().any(|p| p.phase == "init" && p.difference == Difference::Unknown));
}

#[test]
fn traces_come_back_as_they_were_kept() {
    let trace = troubled();
    assert_eq!(read_trace(&serde_json::to_string(&trace).unwrap()).unwrap(), trace);
}

#[test]
fn other_documents_are_refused_with_a_sentence() {
    let refused = |text: &str| {
        let error = read_trace(text).unwrap_err();
        assert_eq!(error.class().exit_code(), 1);
        format!("{error}\n  {}\n", error.hints().join("; "))
    };
    let texts = [
        r#"{"schema": "glowplug.trace/2"}"#,
        r#"{"schema": "glowplug.report/1"}"#,
        r#"{"schema": "glowplug.trace/1", "function": 3}"#,
        "[]",
        "import time: self [us]",
    ];
    assert_snapshot!(texts.map(refused).concat(), @"
    this is `glowplug.trace/2`; this glowplug reads `glowplug.trace/1`
      trace again with this glowplug, or update it
    this is `glowplug.report/1`, not a trace (`glowplug.trace/1`)
      trace again: `glowplug trace PATH --format json > FILE`
    this says `glowplug.trace/1`, but does not have its form: invalid type: integer `3`, expected struct FunctionUse
      trace again: `glowplug trace PATH --format json > FILE`
    this is not a trace: it names no `schema`
      trace again: `glowplug trace PATH --format json > FILE`
    this is not a trace: it is not JSON: expected value at line 1 column 1
      trace again: `glowplug trace PATH --format json > FILE`
    ");
}
