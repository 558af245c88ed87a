//! What people read of a report, as snapshots, and that it fits a terminal.

use glowplug_core::{
    Architecture, Decision, DecisionKind, DecisionState, Difference, Holdout, PythonVersion, Stat, Together,
    Verdict,
};
use glowplug_report::{
    Artifact, ArtifactKind, Environment, LayerMember, LayeredFunction, LayersBaseline, LayersBaselines,
    LayersCost, LayersObjective, LayersReport, LayersWeights, Measured, Ratio, Report, ReportFunction,
    SharedLayer, Style, View, render, render_explanation, render_fleet,
};
use indexmap::IndexMap;
use insta::assert_snapshot;

const PLAIN: View = View {
    style: Style {
        good: anstyle::Style::new(),
        warning: anstyle::Style::new(),
        bad: anstyle::Style::new(),
        strong: anstyle::Style::new(),
        dim: anstyle::Style::new(),
        hint: anstyle::Style::new(),
    },
    width: 80,
    all: false,
};

#[expect(clippy::unnecessary_wraps, reason = "as the fields want it")]
fn stat(median: f64, half: f64) -> Option<Stat> {
    Some(Stat { median, low: median - half, high: median + half, spread: half, runs: 40 })
}

fn by_event(values: &[(&str, f64, f64)]) -> IndexMap<String, Option<Stat>> {
    values.iter().map(|(name, median, half)| ((*name).to_owned(), stat(*median, *half))).collect()
}

fn measured(scale: f64) -> Measured {
    Measured {
        init_ms: stat(312.0 * scale, 3.0),
        init_cpu_ms: None,
        cold_cpu_ms: IndexMap::new(),
        cold_ms: by_event(&[("health", 313.0 * scale, 3.0), ("process_data", 330.0, 4.0)]),
        cold_weighted_ms: stat(314.0 * scale, 3.0),
        warm_ms: by_event(&[("health", 0.4, 0.02), ("process_data", 11.5, 0.2)]),
        memory_mb: by_event(&[("health", 131.0 * scale, 0.5), ("process_data", 134.0, 0.5)]),
        zip_bytes: Some((45_000_000.0 * scale) as u64),
        unzipped_bytes: Some((120_000_000.0 * scale) as u64),
        files: Some(4_210),
        modules: Some(771),
    }
}

fn decision(id: &str, kind: DecisionKind, subject: &str, place: &str, state: DecisionState) -> Decision {
    Decision {
        id: id.to_owned(),
        kind,
        subject: subject.to_owned(),
        place: place.to_owned(),
        state,
        saves_ms: None,
        together: None,
        saves_bytes: None,
        evidence: String::new(),
        reason: String::new(),
        events: Vec::new(),
    }
}

fn lazy(name: &str, line: u32, ms: f64, state: DecisionState, reason: &str) -> Decision {
    Decision {
        saves_ms: Some(ms),
        reason: reason.to_owned(),
        ..decision(&format!("lazy:app.py:{name}"), DecisionKind::Lazy, name, &format!("app.py:{line}"), state)
    }
}

fn drop(path: &str, bytes: u64, rule: &str, reason: &str) -> Decision {
    Decision {
        saves_bytes: Some(bytes),
        reason: reason.to_owned(),
        ..decision(&format!("drop:{path}"), DecisionKind::Drop, rule, path, DecisionState::Applied)
    }
}

fn report() -> Report {
    let function = ReportFunction {
        name: "report".to_owned(),
        handler: "app.handler".to_owned(),
        python: PythonVersion::new(3, 12),
        architecture: Architecture::X86_64,
        memory_mb: 512,
    };
    let environment = Environment {
        python: "3.12.1".to_owned(),
        memory_mb: 512,
        cpu: "unlimited".to_owned(),
        init_boost: true,
        page_cache: "warm".to_owned(),
        tool: "glowplug 0.1.0".to_owned(),
        not_enforced: Vec::new(),
    };
    let mut report = Report::new(function, environment);
    report.as_shipped = measured(4.2);
    report.before = measured(1.0);
    report.after = measured(0.24);
    report.ratio = Ratio {
        init: stat(0.24, 0.01),
        init_cpu: None,
        cold_cpu: IndexMap::new(),
        cold: by_event(&[("health", 0.24, 0.01), ("process_data", 1.01, 0.02)]),
        cold_weighted: stat(0.31, 0.01),
        warm: by_event(&[("health", 1.0, 0.02), ("process_data", 1.01, 0.03)]),
        memory: by_event(&[("health", 0.31, 0.01), ("process_data", 1.05, 0.01)]),
        zip_bytes: Some(0.62),
        unzipped_bytes: Some(0.58),
    };
    report.decisions = vec![
        lazy("pd", 8, 221.0, DecisionState::Applied, "the first request of process_data alone needs it"),
        lazy("boto3", 7, 18.2, DecisionState::Applied, "no event needs it"),
        drop(
            "botocore/data/ec2/service-2.json.gz",
            900_000,
            "aws-services",
            "no client of this service is made",
        ),
        drop(
            "botocore/data/rds/service-2.json.gz",
            400_000,
            "aws-services",
            "no client of this service is made",
        ),
        drop("pandas/tests/test_x.py", 14_000, "tests", "tests that nothing kept imports"),
        lazy("json", 3, 0.0, DecisionState::Refused, "the runtime imports it anyway"),
    ];
    report.verdict = Verdict { equal: Some(true), events: 2, replays: 24, ..Verdict::default() };
    report.artifacts = vec![Artifact {
        kind: ArtifactKind::Zip,
        path: "glowplug-out/report.zip".to_owned(),
        bytes: 27_900_000,
        sha256: "3b0c5e".repeat(10) + "abcd",
    }];
    report
}

#[test]
fn a_report_begins_with_what_matters() {
    assert_snapshot!(render(&report(), &PLAIN), @"
    report starts 4.2x faster: init 312 ms → 74.9 ms

                         as shipped   before    after  ratio [95 % interval]
    init                    1310 ms   312 ms  74.9 ms  0.24 [0.23, 0.25]
    cold health             1315 ms   313 ms  75.1 ms  0.24 [0.23, 0.25]
    cold process_data        330 ms   330 ms   330 ms  1.01 [0.99, 1.03] ~
    cold, weighted          1319 ms   314 ms  75.4 ms  0.31 [0.30, 0.32]
    warm health             0.40 ms  0.40 ms  0.40 ms  1.00 [0.98, 1.02] ~
    warm process_data       11.5 ms  11.5 ms  11.5 ms  1.01 [0.98, 1.04] ~
    memory health            550 MB   131 MB  31.4 MB  0.31 [0.30, 0.32]
    memory process_data      134 MB   134 MB   134 MB  1.05 [1.04, 1.06]
    zip                      189 MB  45.0 MB  10.8 MB  0.62
    unzipped                 504 MB   120 MB  28.8 MB  0.58
    files                      4210     4210     4210
    modules at init             771      771      771
    Python 3.12.1, unlimited CPU, page cache warm, medians of 40 runs; before: the
    same tree with valid bytecode; ~ no difference

    what changed (5 decisions), by what it saves
        221 ms  import on first use: pd (app.py:8): the first request of
                process_data alone needs it
       18.2 ms  import on first use: boto3 (app.py:7): no event needs it
        1.3 MB  leave out 2 files: no client of this service is made
       14.0 kB  leave out pandas/tests/test_x.py: tests that nothing kept imports

    left as it was (1 refusal), the most costly first
             -  import on first use: json (app.py:3): the runtime imports it anyway

    verified: same payloads, errors, logs and files for 2 events in 24 replays

    glowplug-out/report.zip  27.9 MB
    sha256 3b0c5e3b0c5e3b0c5e3b0c5e3b0c5e3b0c5e3b0c5e3b0c5e3b0c5e3b0c5eabcd
    next: aws lambda update-function-code --function-name report --zip-file fileb://glowplug-out/report.zip
    ");
}

#[test]
fn what_was_not_proved_stands_first() {
    let mut report = report();
    report.verdict = Verdict {
        not_proved: vec![
            "there are no events; one empty event was tried".to_owned(),
            "imports of libraries were left alone".to_owned(),
        ],
        blocked: vec!["empty: tcp 93.184.216.34:443".to_owned()],
        ..Verdict::default()
    };
    let text = render(&report, &PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_snapshot!(lines[..3].join("\n"), @"
    NOT PROVED to behave as before: there are no events; one empty event was tried

    report starts 4.2x faster: init 312 ms → 74.9 ms
    ");
    let verdict = lines.iter().position(|line| line.starts_with("not verified")).unwrap();
    assert_snapshot!(lines[verdict..verdict + 5].join("\n"), @r#"
    not verified
    not proved: imports of libraries were left alone
    blocked connection: empty: tcp 93.184.216.34:443
    hint: replays reach no network unless `[verify] network = "allow"` says so
    "#);
}

#[test]
fn pinned_decisions_are_named_with_their_differences() {
    let mut report = report();
    report.decisions[0].state = DecisionState::Pinned;
    report.decisions[0].reason = "the replay of process_data differed".to_owned();
    report.verdict.holdout = Holdout { events: 1, equal: Some(true) };
    report.verdict.varying = vec!["process_data: $.requestId".to_owned()];
    report.verdict.differences = vec![Difference {
        event: "process_data".to_owned(),
        replay: "cold".to_owned(),
        path: "$.body".to_owned(),
        before: "{\"revenue\": 29759.3}".to_owned(),
        after: "{\"revenue\": 0}".to_owned(),
        decisions: vec!["lazy:app.py:pd".to_owned()],
    }];
    let text = render(&report, &PLAIN);
    let from = text.find("what changed").unwrap();
    let to = text.find("glowplug-out").unwrap();
    assert_snapshot!(&text[from..to], @r#"
    what changed (4 decisions), by what it saves
       18.2 ms  import on first use: boto3 (app.py:7): no event needs it
        1.3 MB  leave out 2 files: no client of this service is made
       14.0 kB  leave out pandas/tests/test_x.py: tests that nothing kept imports

    tried and undone (1)
        221 ms  import on first use: pd (app.py:8): the replay of process_data
                differed

    left as it was (1 refusal), the most costly first
             -  import on first use: json (app.py:3): the runtime imports it anyway

    verified: same payloads, errors, logs and files for 2 events in 24 replays
    1 held-out event: same
    1 difference found on the way; 1 decision pinned, and the result behaves as the
      original
    process_data (cold), $.body: {"revenue": 29759.3} became {"revenue": 0}, by
      lazy:app.py:pd
    varies by itself, compared by type: process_data: $.requestId
    "#);
}

#[test]
fn nothing_gained_is_said_plainly() {
    let mut report = report();
    report.after = report.before.clone();
    report.ratio.init = stat(1.0, 0.02);
    report.decisions = Vec::new();
    report.environment.cpu = "share".to_owned();
    report.environment.not_enforced = vec!["the memory limit needs a writable cgroup".to_owned()];
    let text = render(&report, &PLAIN);
    assert_snapshot!(text.lines().next().unwrap(), @"report starts as fast as before: init 312 ms → 312 ms, no difference");
    assert!(text.contains("nothing was changed\n"));
    assert!(text.contains("the CPU share of 512 MB, init boosted"));
    assert!(text.contains("not enforced on this host: the memory limit needs a writable cgroup"));
}

#[test]
fn a_slower_result_is_called_slower() {
    let mut report = report();
    report.ratio.init = stat(1.2, 0.05);
    let text = render(&report, &PLAIN);
    assert!(text.starts_with("report starts 1.20x slower: "), "{text}");
}

#[test]
fn unmeasured_is_a_dash_and_null() {
    let mut report = report();
    report.as_shipped = Measured::default();
    let text = render(&report, &PLAIN);
    let init = text.lines().find(|line| line.starts_with("init")).unwrap();
    assert_eq!(init.split_whitespace().nth(1), Some("-"));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["as_shipped"]["init_ms"].is_null());
    assert!(json["advice"].is_null());
}

#[test]
fn it_fits_eighty_columns_whatever_the_names() {
    let mut report = report();
    let long = "an event with a name that no one would give it, would they \u{1b}[31m";
    for measured in [&mut report.as_shipped, &mut report.before, &mut report.after] {
        measured.cold_ms.insert(long.to_owned(), stat(1.0, 0.1));
    }
    report.ratio.cold.insert(long.to_owned(), stat(1.0, 0.1));
    let text = render(&report, &PLAIN);
    assert!(!text.contains('\u{1b}'));
    for line in text.lines().filter(|line| !line.starts_with("next:")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = render(&report(), &View { style: Style::coloured(), ..PLAIN });
    assert!(coloured.contains("\u{1b}["));
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        bare += &rest[..at];
        let end = rest[at..].find('m').unwrap();
        rest = &rest[at + end + 1..];
    }
    bare += rest;
    assert_eq!(bare, render(&report(), &PLAIN));
}

#[test]
fn many_decisions_are_cut_unless_all_are_asked_for() {
    let mut report = report();
    for line in 0..30 {
        report.decisions.push(lazy(
            &format!("m{line:02}"),
            line,
            1.0,
            DecisionState::Refused,
            "it registers",
        ));
    }
    assert!(render(&report, &PLAIN).contains("and 26 more: `-v` or `--format json` shows them"));
    assert!(!render(&report, &View { all: true, ..PLAIN }).contains("more: "));
}

#[test]
fn what_saves_only_together_is_said_once_with_what_it_saves() {
    let mut report = report();
    let way = |name: &str, line| {
        let why = "no event's first request needs it";
        let together = Some(Together { subject: "scipy.stats".to_owned(), saves_ms: 131.0 });
        let id = format!("lazy:app.py:{name}");
        let alone = lazy(name, line, 0.0, DecisionState::Applied, why);
        Decision { id, subject: "scipy.stats".to_owned(), together, ..alone }
    };
    report.decisions = vec![way("stats", 4), way("zscore", 9), way("trim", 12)];
    let text = render(&report, &PLAIN);
    assert!(
        text.contains("131 ms  import on first use: scipy.stats (app.py:4 and 2 others, together):"),
        "{text}"
    );
    assert!(text.contains("what changed (3 decisions)"), "{text}");
    let explained = render_explanation(None, &report.decisions[1..2], &Style::plain(), 80);
    assert!(
        explained.contains("saves with the other ways to it: 131 ms, of what loads with `scipy.stats`"),
        "{explained}"
    );
}

#[test]
fn a_package_over_the_direct_limit_goes_through_s3() {
    let mut report = report();
    report.artifacts[0].bytes = 60_000_000;
    assert!(render(&report, &PLAIN).contains("next: aws s3 cp glowplug-out/report.zip s3://BUCKET/"));
}

#[test]
fn explaining_a_decision_gives_its_evidence() {
    let mut chosen = report().decisions[0].clone();
    chosen.evidence = "the traced run of health never asks for it".to_owned();
    chosen.events = vec!["process_data".to_owned()];
    assert_snapshot!(render_explanation(None, &[chosen], &Style::plain(), 80), @"
    import on first use: pd (app.py:8): applied
      why: the first request of process_data alone needs it
      evidence: the traced run of health never asks for it
      saves: 221 ms
      needed by the first request of: process_data
      id: lazy:app.py:pd
    ");
}

#[test]
fn explaining_a_dropped_file_names_the_rule() {
    let chosen = &report().decisions[4..5];
    assert_snapshot!(render_explanation(None, chosen, &Style::plain(), 80), @"
    leave out pandas/tests/test_x.py: applied
      rule: tests
      why: tests that nothing kept imports
      saves: 14.0 kB
      id: drop:pandas/tests/test_x.py
    ");
}

#[test]
fn the_json_is_the_contract_and_reads_back() {
    let mut report = report();
    report.advice = Some("split the function".to_owned());
    report.verdict.differences = vec![Difference {
        event: "health".to_owned(),
        replay: "cold".to_owned(),
        path: "$".to_owned(),
        before: "1".to_owned(),
        after: "2".to_owned(),
        decisions: vec!["lazy:app.py:pd".to_owned()],
    }];
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(glowplug_test::lacks(glowplug_test::REPORT, &json), Vec::<String>::new());
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    let keys: Vec<String> =
        serde_json::to_value(&report).unwrap().as_object().unwrap().keys().cloned().collect();
    let order = [
        "schema",
        "function",
        "environment",
        "as_shipped",
        "before",
        "after",
        "ratio",
        "decisions",
        "verdict",
        "advice",
        "artifacts",
    ];
    assert_eq!(keys, order);
}

fn layers() -> LayersReport {
    let cost = |total: f64| LayersCost {
        stored: total / 2.0,
        downloaded: total / 3.0,
        republished: total / 6.0,
        mixed: 0.0,
        total,
    };
    let weights = LayersWeights { stored: 1.0, downloaded: 1.0, republished: 1.0, mixed: 0.1 };
    let objective = LayersObjective { weights, cost: cost(60e6), lower_bound: 57e6, exact: false, gap: 0.05 };
    let baselines = LayersBaselines {
        none: LayersBaseline { cost: cost(90e6), fits: true },
        everything: LayersBaseline { cost: cost(600e6), fits: false },
    };
    let mut layers = LayersReport::new(objective, baselines);
    let member = |name: &str| LayerMember {
        name: name.to_owned(),
        version: "2.0".to_owned(),
        digest: String::new(),
        bytes: 0,
        unzipped_bytes: 0,
        moves: 1.0,
        hot: true,
    };
    layers.layers.push(SharedLayer {
        name: "shared-numpy".to_owned(),
        path: "out/layers/shared-numpy.zip".to_owned(),
        bytes: 16_000_000,
        sha256: String::new(),
        unzipped_bytes: 0,
        python: PythonVersion::new(3, 12),
        architecture: Architecture::X86_64,
        members: vec![member("numpy"), member("six")],
        functions: vec!["report".to_owned(), "score".to_owned()],
    });
    layers.functions.push(LayeredFunction {
        name: "odd".to_owned(),
        layers: Vec::new(),
        own_layers: Vec::new(),
        zip: String::new(),
        bytes: 0,
        sha256: String::new(),
        unzipped_bytes: 0,
        refused: Some("with layers event `x` differs at `$.place`".to_owned()),
    });
    layers
}

#[test]
fn several_functions_are_a_line_each_and_their_layers() {
    let mut unproved = report();
    unproved.function.name = "odd".to_owned();
    unproved.verdict.equal = None;
    unproved.ratio.init = None;
    unproved.after.init_ms = None;
    let text = render_fleet(&[report(), unproved], Some(&layers()), "out", &PLAIN);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_snapshot!(text, @r"
                        init  ratio  cold ratio                zip  replay
    report  312 ms → 74.9 ms   0.24        0.31  45.0 MB → 10.8 MB  same
    odd                    -      -        0.31  45.0 MB → 10.8 MB  unproved

    layer shared-numpy  16.0 MB
      holds numpy 2.0, six 2.0
      for report, score
    odd attaches none: with layers event `x` differs at `$.place`

                                     stored  downloaded  republished  weighted sum
    no layers                       45.0 MB     30.0 MB      15.0 MB  90.0 MB
    one layer with all (too large)   300 MB      200 MB       100 MB  600 MB
    these layers                    30.0 MB     20.0 MB      10.0 MB  60.0 MB
    stored once, downloaded by cold starts, republished when one dependency moves;
    another choice could be at most 5.0 % smaller

    out/NAME/ has each function's zip, plan and report; out/layers.json says how to
    publish and attach the layers
    ");
}

#[test]
fn where_no_layer_pays_that_is_said() {
    let none = LayersReport { layers: Vec::new(), ..layers() };
    let text = render_fleet(&[report()], Some(&none), "out", &PLAIN);
    assert!(text.contains("no layer is worth sharing"), "{text}");
    let without = render_fleet(&[report()], None, "out", &PLAIN);
    assert!(!without.contains("layer"), "{without}");
}
