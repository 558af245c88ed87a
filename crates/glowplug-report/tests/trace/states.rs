//! What is failed, unknown, unmeasured or hostile.

use glowplug_core::Stat;
use glowplug_report::{Style, TraceOrder, TraceView, render_trace};
use glowplug_trace::Phase;
use insta::assert_snapshot;

use crate::samples::{broken, sample, stat, troubled};
use crate::{advised, fitting, view};

#[test]
fn a_failure_stands_first_with_its_import() {
    let text = fitting(render_trace(&advised(broken()), &view(TraceOrder::Total, 80)), 80);
    assert_snapshot!(text, @r#"
    the function failed: init: Runtime.ImportModuleError: Unable to import module
      'app': No module named 'pandas'
    it failed in the import of `pandas` by app.py:8

    report did not reach its handler

    phase           median  95 % interval   spread  runs
    runtime start  34.7 ms   [34.1, 35.3]  0.90 ms     8  █████████████
    init                 -
    Python 3.12, unlimited CPU, page cache warm

    imports (3 of 3)     total     self  used by
    app (failed)       31.3 ms   1.0 ms        -  ██████████████
      boto3            30.0 ms  30.0 ms        -  █████████████
      pandas (failed)  0.30 ms  0.30 ms        -               █

    distributions     time  memory    size  used by
    boto3 1.40.76  30.0 ms  3.1 MB  1.0 MB  -

    what to do next, and what it saves of a cold start
           -  app.py:8 imports `pandas`, which fails, so the function cannot start:
              add what brings it to the requirements
    "#);
}

#[test]
fn what_was_not_measured_is_not_zero() {
    let mut trace = sample();
    trace.phases.first_invoke.insert("health".to_owned(), None);
    trace.environment.agent_overhead = None;
    trace.environment.agent_overhead_cpu = None;
    trace.phases.provision = None;
    trace.phases.fetch = None;
    trace.phases.unpack = None;
    for import in &mut trace.imports {
        import.memory_kib = None;
    }
    for distribution in &mut trace.distributions {
        distribution.memory_kib = None;
    }
    let text = render_trace(&trace, &view(TraceOrder::Memory, 80));
    assert!(!text.contains(" 0.0 MB") && !text.contains(" 0.00 ms"), "{text}");
    assert!(!text.contains("provision") && !text.contains("tracing itself"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("first invoke health") && line.trim_end().ends_with('-')),
        "{text}"
    );
}

#[test]
fn tracing_that_costs_nothing_measurable_is_not_a_negative_cost() {
    let costs = |wall: glowplug_core::Stat, processor: Option<glowplug_core::Stat>| {
        let mut trace = sample();
        trace.environment.agent_overhead = Some(wall);
        trace.environment.agent_overhead_cpu = processor;
        let text = render_trace(&trace, &view(TraceOrder::Total, 400));
        let line = text.lines().find(|line| line.contains("tracing itself")).unwrap().to_owned();
        line.split("; ").nth(1).unwrap().to_owned()
    };
    assert_eq!(costs(stat(-1.0, 4.0), None), "tracing itself: no measurable cost");
    assert_eq!(costs(stat(-1.0, 4.0), Some(stat(0.01, 0.02))), "tracing itself: no measurable cost");
    assert_eq!(costs(stat(12.0, 4.0), None), "tracing itself took 12.0 ms more of init");
    assert_eq!(
        costs(stat(-1.0, 4.0), Some(stat(0.018, 0.01))),
        "tracing itself took no measurable time and 1.8 % more CPU time in init"
    );
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = TraceView { style: Style::coloured(), ..view(TraceOrder::Total, 80) };
    assert!(render_trace(&sample(), &coloured).contains('\u{1b}'));
    assert!(!render_trace(&sample(), &view(TraceOrder::Total, 80)).contains('\u{1b}'));
    // What functions name themselves does not reach the terminal as it is.
    let mut hostile = sample();
    hostile.imports[3].module = "a\u{1b}[31mb".to_owned();
    hostile.failure = Some("\u{1b}]0;title\u{7}".to_owned());
    hostile.subprocesses = troubled().subprocesses;
    hostile.subprocesses[0].what = "\u{1b}[2J".to_owned();
    assert!(!render_trace(&advised(hostile), &view(TraceOrder::Total, 80)).contains('\u{1b}'));
}

#[test]
fn nobody_knows_who_needs_what_a_statement_makes() {
    let mut trace = sample();
    trace.lines.clear();
    trace.statements.retain(|s| s.place == "app.py:15");
    let text = render_trace(&trace, &view(TraceOrder::Total, 200));
    let headline = text.lines().next().unwrap();
    assert!(!headline.contains("app.py:15"), "less than a tenth of init is not worth it: {headline}");
    trace.statements[0].self_ms = 200.0;
    let text = render_trace(&trace, &view(TraceOrder::Total, 200));
    assert!(
        text.lines().next().unwrap().ends_with(r#"`client = boto3.client("s3")` at app.py:15"#),
        "{text}"
    );
}

#[test]
fn many_events_are_folded() {
    let mut trace = sample();
    for index in 0..10 {
        trace.phases.first_invoke.insert(format!("event{index}"), Some(stat(f64::from(index), 0.1)));
    }
    let text = render_trace(&trace, &view(TraceOrder::Total, 80));
    assert!(text.contains("… 8 more events, first invokes of 6.0 ms at most"), "{text}");
}

#[test]
fn statements_of_a_first_invoke_are_no_part_of_the_headline() {
    let mut trace = sample();
    let mut slow = trace.statements[3].clone();
    (slow.place, slow.text, slow.self_ms) = ("lazy.py:2".to_owned(), "busy(900)".to_owned(), 900.0);
    (slow.phase, slow.event) = (Phase::FirstInvoke, Some("health".to_owned()));
    trace.statements.push(slow);
    let text = render_trace(&trace, &view(TraceOrder::Total, 80));
    let headline = text.split("\n\n").next().unwrap();
    assert!(headline.contains("pandas") && !headline.contains("busy"), "{headline}");
    assert!(text.contains("lazy.py:2 (in health)"), "{text}");
}

#[test]
fn what_a_cut_off_event_uses_is_not_known() {
    let mut trace = sample();
    trace.failure = Some("the handler does not answer event `hang`: timed out (events/hang.json)".to_owned());
    trace.cut_off = vec!["hang".to_owned()];
    let text = render_trace(&trace, &view(TraceOrder::Total, 80));
    assert!(!text.contains("none") && !text.contains("no event"), "{text}");
    let row = |name: &str| {
        text.lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert!(row("numpy.linalg ").contains("1+ of 3"), "{}", row("numpy.linalg "));
    assert!(row("botocore.docs ").contains("  -  "), "{}", row("botocore.docs "));
    let unused = render_trace(&trace, &view(TraceOrder::Unused, 80));
    assert!(unused.contains("nobody knows what is not used"), "{unused}");
    assert!(!unused.contains("no event used"), "{unused}");
}

#[test]
fn one_run_has_no_interval_and_two_tell_nothing_of_the_agent() {
    let mut trace = sample();
    trace.phases.init = Some(Stat { runs: 1, ..stat(374.0, 0.0) });
    trace.environment.agent_overhead = Some(Stat { runs: 2, ..stat(5.0, 0.1) });
    let text = render_trace(&trace, &view(TraceOrder::Total, 80));
    let init = text.lines().find(|line| line.starts_with("init  ")).unwrap();
    assert_eq!(init.split_whitespace().take(6).collect::<Vec<_>>(), ["init", "374", "ms", "-", "-", "1"]);
    assert!(text.contains("too few"), "{text}");
    assert!(!text.contains("tracing itself took"), "{text}");
}

#[test]
fn a_start_that_hangs_or_raises_says_where() {
    let mut trace = broken();
    trace.failure = Some("init: Sandbox.Timedout: Task timed out after 10.00 seconds".to_owned());
    let text = fitting(render_trace(&advised(trace), &view(TraceOrder::Total, 80)), 80);
    assert!(text.contains("timed out in the import of `pandas` by app.py:8"), "{text}");
    assert!(
        text.contains("app (timed out)") && !text.contains("(failed)") && !text.contains("fails"),
        "{text}"
    );

    let mut trace = broken();
    trace.failure = Some("init: KeyError: 'missing'".to_owned());
    trace.imports.retain(|import| import.module == "app");
    let mut raised = sample().statements[3].clone();
    (raised.text, raised.self_ms) = ("Z = {}['missing']".to_owned(), 0.01);
    trace.statements = vec![raised];
    let text = render_trace(&advised(trace), &view(TraceOrder::Total, 80));
    assert!(text.contains("the function failed: init: KeyError: 'missing'"), "{text}");
    assert!(text.contains("app.py:13 (failed)"), "{text}");
}

#[test]
fn words_that_no_line_has_room_for_are_broken() {
    let long = "x".repeat(150);
    let mut trace = sample();
    trace.function.name.clone_from(&long);
    trace.failure = Some(format!("first invoke, health: ValueError: {long}"));
    trace.lines[0].place = format!("{long}.py:8");
    trace.lines[0].asks_for = vec![long.clone()];
    trace.imports[1].module.clone_from(&long);
    trace.statements[3].place = format!("{long}.py:8");
    trace.statements[3].text.clone_from(&long);
    trace.connections.clone_from(&troubled().connections);
    trace.connections[0].address.clone_from(&long);
    trace.connections[0].event = Some(long.clone());
    trace.connections[0].phase = Phase::FirstInvoke;
    let warm = trace.phases.warm_invoke["health"];
    trace.phases.first_invoke.insert(long.clone(), warm);
    for order in [TraceOrder::Total, TraceOrder::Own, TraceOrder::Unused] {
        for width in [60, 80] {
            let text = fitting(render_trace(&advised(trace.clone()), &view(order, width)), width);
            // Broken, not cut: what failed is told whole.
            let unbroken = text.split("\n\n").next().unwrap().replace("\n  ", "");
            assert!(unbroken.contains(&long), "{unbroken}");
        }
    }
}
