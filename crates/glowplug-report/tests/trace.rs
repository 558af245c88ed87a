//! What people read of a trace, and of two.

#[path = "../../glowplug-trace/tests/reading/samples.rs"]
#[allow(dead_code, reason = "what is made for the tests of `glowplug-trace` too")]
mod samples;

use glowplug_core::Stat;
use glowplug_report::{Style, TraceOrder, TraceView, render_comparison, render_trace};
use glowplug_trace::{Cause, Phase, Trace, advise, compare};
use insta::assert_snapshot;
use samples::{broken, find, node, nodes, sample, stat, trace_of, troubled};
use unicode_width::UnicodeWidthStr;

fn view(order: TraceOrder, width: usize) -> TraceView {
    TraceView { style: Style::plain(), width, top: 20, order, filter: None }
}

fn advised(mut trace: Trace) -> Trace {
    trace.advice = advise(&trace);
    trace
}

/// The text, where no line is wider than the terminal. Words that are longer are not in the samples.
fn fitting(text: String, width: usize) -> String {
    for line in text.lines() {
        assert!(line.width() <= width, "{} columns: {line}", line.width());
    }
    text
}

#[test]
fn a_trace_at_80_columns() {
    let text = fitting(render_trace(&advised(sample()), &view(TraceOrder::Total, 80)), 80);
    assert_snapshot!(text, @r#"
    report starts in 408 ms and imports 42 modules of its own; 205 ms of it pandas
      at app.py:8, used by 1 of 2 events

    phase                       median  95 % interval   spread  runs
    provision                  1140 ms   [1137, 1143]   4.5 ms     8  █████████
      fetch, 800 Mbit/s         453 ms       modelled                 ░░░░
      unpack                    687 ms     [684, 690]   4.5 ms     8      ░░░░░
    runtime start              34.7 ms   [34.1, 35.3]  0.90 ms     8           █
      interpreter              10.8 ms   [10.4, 11.2]  0.60 ms     8           ░
      site                      2.4 ms     [2.3, 2.5]  0.15 ms     8            ░
      runtime client           21.4 ms   [21.1, 21.7]  0.45 ms     8            ░
    init                        374 ms     [368, 380]   9.0 ms     8            ███
    first invoke health        0.60 ms   [0.55, 0.65]  0.08 ms     8              █
    first invoke process_data  11.5 ms   [11.0, 12.0]  0.75 ms     8              █
      imports                   2.2 ms         traced                             ░
      handler                   9.6 ms         traced                             ░
    warm invoke health         0.40 ms   [0.38, 0.42]  0.03 ms     8
    warm invoke process_data         -
    Python 3.12, unlimited CPU, page cache warm; tracing itself took no measurable
      time and 1.8 % more CPU time in init; figures are from starts without it,
      except where it says traced

    init by kind of work
    ██████████████████████████████████████████████████████████▓▓▓▓▓▓▓▓▒▒▒▒░░░░······
    █ running bodies 271 ms, ▓ unmarshalling 37.3 ms, ▒ finding modules 18.6 ms,
    ░ reading 18.6 ms, importing itself 18.6 ms, garbage collection 6.0 ms,
    regular expressions 2.5 ms, unexplained 1.0 ms,
    together 374 ms with the agent, 374 ms without

    imports (13 of 44)                       total     self  used by
    app                                     369 ms  44.0 ms      all  ██████████████
      pandas                                205 ms   8.0 ms   1 of 2    ████████
        pandas.core.api                     102 ms  90.0 ms   1 of 2       ████
          … 30 more                        12.0 ms
        numpy                              70.0 ms  40.0 ms   1 of 2    ███
          numpy.linalg                     30.0 ms  30.0 ms   1 of 2    █
        pandas.io.formats.style            25.0 ms  25.0 ms     none           █
      sklearn.tree                         60.0 ms  60.0 ms   1 of 2            ██
      boto3                                58.0 ms   3.0 ms     none  ██
        botocore.session                   55.0 ms  20.0 ms     none  ██
          botocore.docs                    35.0 ms  35.0 ms     none  █
      warm                                  1.5 ms   1.5 ms      all            █
    xml.etree.ElementTree (Thread-1 (war…   4.0 ms   4.0 ms     none               █
    pandas.core.methods.to_dict             2.2 ms   2.2 ms   1 of 2               ░
    … 1 more                               0.10 ms
    ░ imported by the first invoke of process_data; none: paid for at init, and no
      event ran anything of it

    lines that import                modules     time   memory  used by
    app.py:8 pandas                       36   205 ms  21.0 MB  1 of 2
    app.py:7 boto3                         3  58.0 ms   5.9 MB  none
    warm.py:4 xml.etree.ElementTree        1   4.0 ms   0.4 MB  none

    statements of your code     time  imports
    app.py:13                70.0 ms  60.0 ms  model = pickle.loads(MODEL)
    app.py:15                31.0 ms           client = boto3.client("s3")

    distributions          time   memory     size  used by
    pandas 2.2.3         137 ms  14.0 MB  43.0 MB  1 of 2
    numpy 2.2.6         70.0 ms   7.2 MB  58.0 MB  1 of 2
    scikit-learn 1.6.1  60.0 ms   6.1 MB  40.0 MB  1 of 2
    botocore 1.40.76    55.0 ms   5.6 MB  18.0 MB  none
    boto3 1.40.76        3.0 ms   0.3 MB   1.0 MB  none
    … 1 more

    thread during init: Thread-1 (warm), 1 module, 4.0 ms beside the main thread

    what to do next, and what it saves of a cold start
      464 ms  no event imports polars (110 MB of 270 MB): leave out of the
              requirements what nothing else needs
      103 ms  pandas (app.py:8): 205 ms, used by 1 of 2 events: it can wait where
              nothing uses it as the module loads
     58.0 ms  boto3 (app.py:7): 58.0 ms, none of 2 events ran anything of it: it can
              wait where nothing uses it as the module loads
     35.0 ms  app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start,
              60.0 ms of it imports, used by 1 of 2 events: do it on first use
     31.0 ms  app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start,
              mostly waiting: do it on first use, unless every request needs it
           -  the dependencies hold 270 MB, and the package takes 1140 ms to fetch
              and unpack: `glowplug build` leaves out what no code reads
    "#);
}

#[test]
fn everything_that_can_be_wrong() {
    let text = fitting(render_trace(&advised(troubled()), &view(TraceOrder::Total, 80)), 80);
    assert_snapshot!(text, @r#"
    report starts in 1526 ms and imports 42 modules of its own; 820 ms of it pandas
      at app.py:8, used by 1 of 2 events

    phase                       median  cold files  95 % interval   spread  runs
    provision                  1140 ms               [1137, 1143]   4.5 ms     8
      fetch, 800 Mbit/s         453 ms                   modelled
      unpack                    687 ms                 [684, 690]   4.5 ms     8
    runtime start              34.7 ms     35.3 ms   [34.1, 35.3]  0.90 ms     8
      interpreter              10.8 ms               [10.4, 11.2]  0.60 ms     8
      site                      2.4 ms                 [2.3, 2.5]  0.15 ms     8
      runtime client           21.4 ms               [21.1, 21.7]  0.45 ms     8
    init                       1491 ms     1720 ms   [1485, 1497]   9.0 ms     8
    first invoke health        0.60 ms     0.60 ms   [0.55, 0.65]  0.08 ms     8
    first invoke process_data  11.5 ms               [11.0, 12.0]  0.75 ms     8
      imports                   2.2 ms                     traced
      handler                   9.6 ms                     traced
    warm invoke health         0.40 ms               [0.38, 0.42]  0.03 ms     8
    warm invoke process_data         -
    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░▒█████████████████████████████████████████████
    ░ provision  ▒ runtime  █ init  ▓ first invoke
    Python 3.12, unlimited CPU, page cache warm; tracing itself took no measurable
      time and 1.8 % more CPU time in init; figures are from starts without it,
      except where it says traced
    43 modules without bytecode: compiling costs 1124 ms in every start

    init by kind of work
    ████████████████████████████████████████████████████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒░··
    █ compiling 1124 ms, ▓ running bodies 271 ms, ▒ unmarshalling 37.3 ms,
    ░ finding modules 18.6 ms, reading 18.6 ms, importing itself 18.6 ms,
    unexplained 1.0 ms, together 1498 ms with the agent, 1491 ms without

    imports (13 of 44)                       total     self  used by
    app                                    1474 ms   176 ms      all  ██████████████
      pandas                                820 ms  32.0 ms   1 of 2    ████████
        pandas.core.api                     408 ms   360 ms   1 of 2       ████
          … 30 more                        48.0 ms
        numpy                               280 ms   160 ms   1 of 2    ███
          numpy.linalg                      120 ms   120 ms   1 of 2    █
        pandas.io.formats.style             100 ms   100 ms     none           █
      sklearn.tree                          240 ms   240 ms   1 of 2            ██
      boto3                                 232 ms  12.0 ms     none  ██
        botocore.session                    220 ms  80.0 ms     none  ██
          botocore.docs                     140 ms   140 ms     none  █
      warm                                  6.0 ms   6.0 ms      all            █
    xml.etree.ElementTree (Thread-1 (war…  16.0 ms  16.0 ms     none               █
    pandas.core.methods.to_dict             8.8 ms   8.8 ms   1 of 2               ░
    … 1 more                               0.10 ms
    ░ imported by the first invoke of process_data; none: paid for at init, and no
      event ran anything of it

    lines that import                modules     time   memory  used by
    app.py:8 pandas                       36   820 ms  21.0 MB  1 of 2
    app.py:7 boto3                         3   232 ms   5.9 MB  none
    warm.py:4 xml.etree.ElementTree        1  16.0 ms   0.4 MB  none

    statements of your code     time  imports
    app.py:13                 250 ms   240 ms  model = pickle.loads(MODEL)
    app.py:15                31.0 ms           client = boto3.client("s3")

    distributions          time   memory     size  used by
    pandas 2.2.3         549 ms  14.0 MB  43.0 MB  1 of 2
    numpy 2.2.6          280 ms   7.2 MB  58.0 MB  1 of 2
    scikit-learn 1.6.1   240 ms   6.1 MB  40.0 MB  1 of 2
    botocore 1.40.76     220 ms   5.6 MB  18.0 MB  none
    boto3 1.40.76       12.0 ms   0.3 MB   1.0 MB  none
    … 1 more

    thread during init: Thread-1 (warm), 1 module, 16.0 ms beside the main thread
    process started during init: `git rev-parse HEAD`, whose work is in no import
    connection during init: db.example.com:5432, 25.0 ms

    what to do next, and what it saves of a cold start
     1124 ms  43 modules have no bytecode, and compiling takes 1124 ms of every cold
              start: `glowplug build` ships it
      464 ms  no event imports polars (110 MB of 270 MB): leave out of the
              requirements what nothing else needs
      103 ms  pandas (app.py:8): 205 ms besides compiling, used by 1 of 2 events: it
              can wait where nothing uses it as the module loads
     58.0 ms  boto3 (app.py:7): 58.0 ms besides compiling, none of 2 events ran
              anything of it: it can wait where nothing uses it as the module loads
     35.0 ms  app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start
              besides compiling, 60.0 ms of it imports, used by 1 of 2 events: do it
              on first use
     31.0 ms  app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start,
              mostly waiting: do it on first use, unless every request needs it
              … 2 more: `--format json` shows them
    "#);
}

#[test]
fn a_narrow_terminal() {
    let view = TraceView { top: 8, ..view(TraceOrder::Total, 60) };
    assert_snapshot!(fitting(render_trace(&advised(troubled()), &view), 60), @r#"
    report starts in 1526 ms and imports 42 modules of its own;
      820 ms of it pandas at app.py:8, used by 1 of 2 events

    phase                      median  cold files  95 % interval
    provision                 1140 ms              [1137, 1143]
      fetch, 800 Mbit/s        453 ms              modelled
      unpack                   687 ms              [684, 690]
    runtime start             34.7 ms     35.3 ms  [34.1, 35.3]
      interpreter             10.8 ms              [10.4, 11.2]
      site                     2.4 ms              [2.3, 2.5]
      runtime client          21.4 ms              [21.1, 21.7]
    init                      1491 ms     1720 ms  [1485, 1497]
    first invoke health       0.60 ms     0.60 ms  [0.55, 0.65]
    first invoke process_da…  11.5 ms              [11.0, 12.0]
      imports                  2.2 ms              traced
      handler                  9.6 ms              traced
    warm invoke health        0.40 ms              [0.38, 0.42]
    warm invoke process_data        -
    ░░░░░░░░░░░░░░░░░░░░░░░░░░██████████████████████████████████
    ░ provision  ▒ runtime  █ init  ▓ first invoke
    Python 3.12, unlimited CPU, page cache warm; tracing itself
      took no measurable time and 1.8 % more CPU time in init;
      figures are from starts without it, except where it says
      traced
    43 modules without bytecode: compiling costs 1124 ms in
      every start

    init by kind of work
    █████████████████████████████████████████████▓▓▓▓▓▓▓▓▓▓▓▒░··
    █ compiling 1124 ms, ▓ running bodies 271 ms,
    ▒ unmarshalling 37.3 ms, ░ finding modules 18.6 ms,
    reading 18.6 ms, importing itself 18.6 ms,
    unexplained 1.0 ms,
    together 1498 ms with the agent, 1491 ms without

    imports (8 of 44)       total     self  used by
    app                   1474 ms   176 ms      all
      pandas               820 ms  32.0 ms   1 of 2
        pandas.core.api    408 ms   360 ms   1 of 2
          … 30 more       48.0 ms
        numpy              280 ms   160 ms   1 of 2
          … 1 more         120 ms
        … 2 more           100 ms
      sklearn.tree         240 ms   240 ms   1 of 2
      boto3                232 ms  12.0 ms     none
        botocore.session   220 ms  80.0 ms     none
          botocore.docs    140 ms   140 ms     none
    … 3 more              30.8 ms
    none: paid for at init, and no event ran anything of it

    lines that import                   time   memory  used by
    app.py:8 pandas                   820 ms  21.0 MB  1 of 2
    app.py:7 boto3                    232 ms   5.9 MB  none
    warm.py:4 xml.etree.ElementTree  16.0 ms   0.4 MB  none

    statements of your code     time  imports
    app.py:13                 250 ms   240 ms  model = pickle.…
    app.py:15                31.0 ms           client = boto3.…

    distributions          time   memory     size  used by
    pandas 2.2.3         549 ms  14.0 MB  43.0 MB  1 of 2
    numpy 2.2.6          280 ms   7.2 MB  58.0 MB  1 of 2
    scikit-learn 1.6.1   240 ms   6.1 MB  40.0 MB  1 of 2
    botocore 1.40.76     220 ms   5.6 MB  18.0 MB  none
    boto3 1.40.76       12.0 ms   0.3 MB   1.0 MB  none
    … 1 more

    thread during init: Thread-1 (warm), 1 module, 16.0 ms
      beside the main thread
    process started during init: `git rev-parse HEAD`, whose
      work is in no import
    connection during init: db.example.com:5432, 25.0 ms

    what to do next, and what it saves of a cold start
     1124 ms  43 modules have no bytecode, and compiling takes
              1124 ms of every cold start: `glowplug build`
              ships it
      464 ms  no event imports polars (110 MB of 270 MB): leave
              out of the requirements what nothing else needs
      103 ms  pandas (app.py:8): 205 ms besides compiling, used
              by 1 of 2 events: it can wait where nothing uses
              it as the module loads
     58.0 ms  boto3 (app.py:7): 58.0 ms besides compiling, none
              of 2 events ran anything of it: it can wait where
              nothing uses it as the module loads
     35.0 ms  app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms
              of every cold start besides compiling, 60.0 ms of
              it imports, used by 1 of 2 events: do it on first
              use
     31.0 ms  app.py:15 `client = boto3.client("s3")`: 31.0 ms
              of every cold start, mostly waiting: do it on
              first use, unless every request needs it
              … 2 more: `--format json` shows them
    "#);
}

#[test]
fn a_wide_terminal() {
    let view = TraceView { top: 8, ..view(TraceOrder::Total, 120) };
    assert_snapshot!(fitting(render_trace(&advised(troubled()), &view), 120), @r#"
    report starts in 1526 ms and imports 42 modules of its own; 820 ms of it pandas at app.py:8, used by 1 of 2 events

    phase                       median  cold files  95 % interval   spread  runs
    provision                  1140 ms               [1137, 1143]   4.5 ms     8  ██████████████
      fetch, 800 Mbit/s         453 ms                   modelled                 ░░░░░
      unpack                    687 ms                 [684, 690]   4.5 ms     8       ░░░░░░░░░
    runtime start              34.7 ms     35.3 ms   [34.1, 35.3]  0.90 ms     8                █
      interpreter              10.8 ms               [10.4, 11.2]  0.60 ms     8                ░
      site                      2.4 ms                 [2.3, 2.5]  0.15 ms     8                ░
      runtime client           21.4 ms               [21.1, 21.7]  0.45 ms     8                ░
    init                       1491 ms     1720 ms   [1485, 1497]   9.0 ms     8                ██████████████████
    first invoke health        0.60 ms     0.60 ms   [0.55, 0.65]  0.08 ms     8                                 █
    first invoke process_data  11.5 ms               [11.0, 12.0]  0.75 ms     8                                 █
      imports                   2.2 ms                     traced                                                ░
      handler                   9.6 ms                     traced                                                ░
    warm invoke health         0.40 ms               [0.38, 0.42]  0.03 ms     8
    warm invoke process_data         -
    Python 3.12, unlimited CPU, page cache warm; tracing itself took no measurable time and 1.8 % more CPU time in init;
      figures are from starts without it, except where it says traced
    43 modules without bytecode: compiling costs 1124 ms in every start

    init by kind of work
    ██████████████████████████████████████████████████████████████████████████████████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒░····
    █ compiling 1124 ms, ▓ running bodies 271 ms, ▒ unmarshalling 37.3 ms, ░ finding modules 18.6 ms, reading 18.6 ms,
    importing itself 18.6 ms, unexplained 1.0 ms, together 1498 ms with the agent, 1491 ms without

    imports (8 of 44)       total     self  used by
    app                   1474 ms   176 ms      all  ███████████████████████████████████████
      pandas               820 ms  32.0 ms   1 of 2        ██████████████████████
        pandas.core.api    408 ms   360 ms   1 of 2                ███████████
          … 30 more       48.0 ms
        numpy              280 ms   160 ms   1 of 2        ████████
          … 1 more         120 ms
        … 2 more           100 ms
      sklearn.tree         240 ms   240 ms   1 of 2                              ███████
      boto3                232 ms  12.0 ms     none  ██████
        botocore.session   220 ms  80.0 ms     none  ██████
          botocore.docs    140 ms   140 ms     none  ████
    … 3 more              30.8 ms
    none: paid for at init, and no event ran anything of it

    lines that import                modules     time   memory  used by
    app.py:8 pandas                       36   820 ms  21.0 MB  1 of 2
    app.py:7 boto3                         3   232 ms   5.9 MB  none
    warm.py:4 xml.etree.ElementTree        1  16.0 ms   0.4 MB  none

    statements of your code     time  imports
    app.py:13                 250 ms   240 ms  model = pickle.loads(MODEL)
    app.py:15                31.0 ms           client = boto3.client("s3")

    distributions          time   memory     size  used by
    pandas 2.2.3         549 ms  14.0 MB  43.0 MB  1 of 2
    numpy 2.2.6          280 ms   7.2 MB  58.0 MB  1 of 2
    scikit-learn 1.6.1   240 ms   6.1 MB  40.0 MB  1 of 2
    botocore 1.40.76     220 ms   5.6 MB  18.0 MB  none
    boto3 1.40.76       12.0 ms   0.3 MB   1.0 MB  none
    … 1 more

    thread during init: Thread-1 (warm), 1 module, 16.0 ms beside the main thread
    process started during init: `git rev-parse HEAD`, whose work is in no import
    connection during init: db.example.com:5432, 25.0 ms

    what to do next, and what it saves of a cold start
     1124 ms  43 modules have no bytecode, and compiling takes 1124 ms of every cold start: `glowplug build` ships it
      464 ms  no event imports polars (110 MB of 270 MB): leave out of the requirements what nothing else needs
      103 ms  pandas (app.py:8): 205 ms besides compiling, used by 1 of 2 events: it can wait where nothing uses it as the
              module loads
     58.0 ms  boto3 (app.py:7): 58.0 ms besides compiling, none of 2 events ran anything of it: it can wait where nothing
              uses it as the module loads
     35.0 ms  app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start besides compiling, 60.0 ms of it imports,
              used by 1 of 2 events: do it on first use
     31.0 ms  app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start, mostly waiting: do it on first use,
              unless every request needs it
              … 2 more: `--format json` shows them
    "#);
}

#[test]
fn paid_and_not_used() {
    let text = fitting(render_trace(&advised(sample()), &view(TraceOrder::Unused, 80)), 80);
    let from = text.find("paid for").unwrap();
    assert_snapshot!(&text[from..], @r#"
    paid for at init and used by no event: 87.0 ms
    module                            with all below  modules  asked for at
    boto3                                    58.0 ms        3  app.py:7
    pandas.io.formats.style                  25.0 ms        1  pandas/__init__.py:40
    xml.etree.ElementTree (Thread-1…          4.0 ms        1  warm.py:4

    lines that import                modules     time   memory  used by
    app.py:8 pandas                       36   205 ms  21.0 MB  1 of 2
    app.py:7 boto3                         3  58.0 ms   5.9 MB  none
    warm.py:4 xml.etree.ElementTree        1   4.0 ms   0.4 MB  none

    statements of your code     time  imports
    app.py:13                70.0 ms  60.0 ms  model = pickle.loads(MODEL)
    app.py:15                31.0 ms           client = boto3.client("s3")

    distributions that no event used     time  memory     size  used by
    botocore 1.40.76                  55.0 ms  5.6 MB  18.0 MB  none
    boto3 1.40.76                      3.0 ms  0.3 MB   1.0 MB  none
    polars 1.30.0                           -       -   110 MB  not imported

    thread during init: Thread-1 (warm), 1 module, 4.0 ms beside the main thread

    what to do next, and what it saves of a cold start
      464 ms  no event imports polars (110 MB of 270 MB): leave out of the
              requirements what nothing else needs
      103 ms  pandas (app.py:8): 205 ms, used by 1 of 2 events: it can wait where
              nothing uses it as the module loads
     58.0 ms  boto3 (app.py:7): 58.0 ms, none of 2 events ran anything of it: it can
              wait where nothing uses it as the module loads
     35.0 ms  app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start,
              60.0 ms of it imports, used by 1 of 2 events: do it on first use
     31.0 ms  app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start,
              mostly waiting: do it on first use, unless every request needs it
           -  the dependencies hold 270 MB, and the package takes 1140 ms to fetch
              and unpack: `glowplug build` leaves out what no code reads
    "#);
}

#[test]
fn other_orders_within_a_filter() {
    let shown = |order| {
        let view = TraceView { filter: Some("pandas".to_owned()), top: 3, ..view(order, 80) };
        let text = fitting(render_trace(&sample(), &view), 80);
        text[text.find("imports (").unwrap()..].to_owned()
    };
    let orders = [TraceOrder::Total, TraceOrder::Own, TraceOrder::Start, TraceOrder::Memory];
    assert_snapshot!(orders.map(shown).join("\n"), @"
    imports (3 of 34)            total     self  used by
    pandas                      205 ms   8.0 ms   1 of 2  █████████
      pandas.core.api           102 ms  90.0 ms   1 of 2     █████
        … 30 more              12.0 ms
      pandas.io.formats.style  25.0 ms  25.0 ms     none          █
    … 1 more                    2.2 ms
    none: paid for at init, and no event ran anything of it

    imports (3 of 34)          total     self  used by  asked for at
    pandas.core.api           102 ms  90.0 ms   1 of 2  pandas/__init__…
    pandas.io.formats.style  25.0 ms  25.0 ms     none  pandas/__init__…
    pandas                    205 ms   8.0 ms   1 of 2  app.py:8
    none: paid for at init, and no event ran anything of it

    imports (3 of 34)     total     self  used by
    pandas               205 ms   8.0 ms   1 of 2  █████████
    pandas.core.api      102 ms  90.0 ms   1 of 2     █████
    pandas.core.small0  0.40 ms  0.40 ms   1 of 2     █

    imports (3 of 34)          total     self  used by  memory
    pandas.core.api           102 ms  90.0 ms   1 of 2  9.2 MB
    pandas.io.formats.style  25.0 ms  25.0 ms     none  2.6 MB
    pandas                    205 ms   8.0 ms   1 of 2  0.8 MB
    none: paid for at init, and no event ran anything of it
    ");
    let none = TraceView { filter: Some("nump".to_owned()), ..view(TraceOrder::Own, 80) };
    assert!(render_trace(&sample(), &none).contains("nothing of `nump` was imported"));
}

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
    trace.failure =
        Some("init: Sandbox.Timedout: RequestId: 1-2 Error: Task timed out after 10.00 seconds".to_owned());
    let text = fitting(render_trace(&advised(trace), &view(TraceOrder::Total, 80)), 80);
    assert!(text.contains("timed out in the import of `pandas` by app.py:8"), "{text}");
    assert!(
        text.contains("app (timed out)") && !text.contains("(failed)") && !text.contains("fails"),
        "{text}"
    );

    let mut trace = broken();
    trace.failure = Some("init: KeyError: KeyError: 'missing'".to_owned());
    trace.imports.retain(|import| import.module == "app");
    let mut raised = sample().statements[3].clone();
    (raised.text, raised.self_ms) = ("Z = {}['missing']".to_owned(), 0.01);
    trace.statements = vec![raised];
    let text = render_trace(&advised(trace), &view(TraceOrder::Total, 80));
    assert!(text.contains("the function failed: init: KeyError: 'missing'"), "{text}");
    assert!(text.contains("app.py:13 (failed)"), "{text}");
}

#[test]
fn what_is_measured_apart_never_leaves_less_than_nothing() {
    let mut trace = sample();
    trace.unexplained_ms = Some(-2.8);
    let text = render_trace(&trace, &view(TraceOrder::Total, 80));
    assert!(text.contains("unexplained 0") && !text.contains("-2.8"), "{text}");
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
