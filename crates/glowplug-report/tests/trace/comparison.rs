//! Two traces side by side.

use glowplug_report::{Style, render_comparison};
use glowplug_trace::{Cause, Trace, compare};
use insta::assert_snapshot;

use crate::fitting;
use crate::samples::{find, node, nodes, sample, trace_of, troubled};

/// pandas is newer and slower, a line is new, boto3 is gone, and a client takes longer.
fn changed() -> Trace {
    let mut all = nodes();
    find(&mut all, &["app"]).below.retain(|n| n.import.module != "boto3");
    let api = find(&mut all, &["app", "pandas", "pandas.core.api"]);
    api.import.self_ms += 140.0;
    let app = find(&mut all, &["app"]);
    app.import.self_ms += 24.0;
    app.below.push(node(
        "yaml",
        "app.py:10",
        12.0,
        vec![node("yaml.loader", "yaml/__init__.py:8", 6.0, Vec::new())],
    ));
    let mut trace = trace_of(all);
    "2.3.0".clone_into(&mut trace.distributions[0].version);
    trace.distributions[0].bytes += 20_000_000;
    trace.distributions.retain(|d| d.name != "polars");
    let client = trace.statements.iter_mut().filter(|s| s.place == "app.py:15");
    client.for_each(|s| s.self_ms = 55.0);
    trace.environment.memory_mb = 1024;
    trace
}

#[test]
fn a_comparison() {
    let comparison = compare(&sample(), &changed());
    let shown = |width| fitting(render_comparison(&comparison, &Style::plain(), width, 20), width);
    assert_snapshot!(shown(80), @r#"
    report starts 1.33x slower: init 374 ms → 498 ms
    not measured alike: memory: 512 MB before, 1024 MB now

    phase                       before      now  ratio [95 % interval]
    provision                  1140 ms  1140 ms  1.00 [1.00, 1.00] ~
    runtime start              34.7 ms  34.7 ms  1.00 [0.98, 1.02] ~
    init                        374 ms   498 ms  1.33 [1.31, 1.36]
    first invoke health        0.60 ms  0.60 ms  1.00 [0.89, 1.13] ~
    first invoke process_data  11.5 ms  11.5 ms  1.00 [0.94, 1.06] ~
    warm invoke health         0.40 ms  0.40 ms  1.00 [0.93, 1.07] ~
    ~ no difference: the interval holds 1

    what did it, in own time of modules at init
      +140 ms  pandas 2.2.3 → 2.3.0, in 33 modules
     -58.0 ms  boto3 is not imported any more (app.py:7): 3 modules
     +24.0 ms  your own statement `client = boto3.client("s3")` (app.py:15)
     +18.0 ms  yaml is imported now (app.py:10): 2 modules
      0.00 ms  neither of these: the machine, small changes, the agent's own time

    distributions                       time      memory  size
    pandas 2.2.3 → 2.3.0     137 ms → 277 ms     14.0 MB  43.0 MB → 63.0 MB
    botocore 1.40.76             55.0 ms → -  5.6 MB → -  18.0 MB
    boto3 1.40.76                 3.0 ms → -  0.3 MB → -  1.0 MB
    polars 1.30.0 (removed)                -           -  110 MB → -

    modules            before      now  change
    pandas.core.api   90.0 ms   230 ms  +140 ms
    botocore.docs     35.0 ms        -  gone
    app               44.0 ms  68.0 ms  +24.0 ms
    botocore.session  20.0 ms        -  gone
    yaml                    -  12.0 ms  new
    yaml.loader             -   6.0 ms  new
    boto3              3.0 ms        -  gone

    statements of your code   before      now  change
    app.py:15                31.0 ms  55.0 ms  +24.0 ms  client = boto3.client…
    "#);
    shown(60);
    shown(120);
    let same = render_comparison(&compare(&sample(), &sample()), &Style::plain(), 80, 20);
    assert_snapshot!(same, @"
    report starts as fast as before: init 374 ms → 374 ms, no difference

    phase                       before      now  ratio [95 % interval]
    provision                  1140 ms  1140 ms  1.00 [1.00, 1.00] ~
    runtime start              34.7 ms  34.7 ms  1.00 [0.98, 1.02] ~
    init                        374 ms   374 ms  1.00 [0.98, 1.02] ~
    first invoke health        0.60 ms  0.60 ms  1.00 [0.89, 1.13] ~
    first invoke process_data  11.5 ms  11.5 ms  1.00 [0.94, 1.06] ~
    warm invoke health         0.40 ms  0.40 ms  1.00 [0.93, 1.07] ~
    ~ no difference: the interval holds 1
    ");
}

#[test]
fn every_cause_is_a_sentence() {
    let mut comparison = compare(&sample(), &troubled());
    let one = comparison.blame[0].clone();
    let causes = [
        Cause::Version,
        Cause::Added,
        Cause::Removed,
        Cause::Deferred,
        Cause::Advanced,
        Cause::Bytecode,
        Cause::Own,
        Cause::Python,
        Cause::Same,
    ];
    comparison.blame = causes
        .into_iter()
        .map(|cause| glowplug_trace::Blame { cause, subject: "thing".to_owned(), modules: 1, ..one.clone() })
        .collect();
    let text = fitting(render_comparison(&comparison, &Style::plain(), 80, 20), 80);
    assert_snapshot!(&text[text.find("what did it").unwrap()..], @"
    what did it, in own time of modules at init
     +1118 ms  thing, in 1 module
     +1118 ms  thing is imported now: 1 module
     +1118 ms  thing is not imported any more: 1 module
     +1118 ms  thing is imported in the first invoke instead: 1 module
     +1118 ms  thing is imported at init, not in the first invoke: 1 module
     +1118 ms  1 module without valid bytecode that had it
     +1118 ms  your own module thing
     +1118 ms  Python, in 1 module
     +1118 ms  1 module of the same versions: the machine, or chance
     -0.00 ms  neither of these: the machine, small changes, the agent's own time

    distributions                   time   memory  size
    pandas 2.2.3         137 ms → 549 ms  14.0 MB  43.0 MB
    numpy 2.2.6         70.0 ms → 280 ms   7.2 MB  58.0 MB
    scikit-learn 1.6.1  60.0 ms → 240 ms   6.1 MB  40.0 MB
    botocore 1.40.76    55.0 ms → 220 ms   5.6 MB  18.0 MB
    boto3 1.40.76       3.0 ms → 12.0 ms   0.3 MB  1.0 MB

    modules                   before      now  change
    pandas.core.api          90.0 ms   360 ms  +270 ms
    sklearn.tree             60.0 ms   240 ms  +180 ms
    app                      44.0 ms   176 ms  +132 ms
    numpy                    40.0 ms   160 ms  +120 ms
    botocore.docs            35.0 ms   140 ms  +105 ms
    numpy.linalg             30.0 ms   120 ms  +90.0 ms
    pandas.io.formats.style  25.0 ms   100 ms  +75.0 ms
    botocore.session         20.0 ms  80.0 ms  +60.0 ms
    pandas                    8.0 ms  32.0 ms  +24.0 ms
    xml.etree.ElementTree     4.0 ms  16.0 ms  +12.0 ms
    … 33 more: `--format json` shows them
    ");
}
