//! Whole views, in every width and order.

use glowplug_report::{TraceOrder, TraceView, render_trace};
use insta::assert_snapshot;

use crate::samples::{sample, troubled};
use crate::{advised, fitting, view};

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
