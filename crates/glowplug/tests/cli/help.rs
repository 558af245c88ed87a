//! What people read before they run anything.

use crate::support::Project;

#[test]
fn the_program_says_what_it_does() {
    let outcome = Project::empty().run(&["--help"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @r"
    Makes Python serverless functions start fast, and proves by replay that nothing changed

    Usage: glowplug <COMMAND>

    Commands:
      build   Build a smaller and faster artifact, and verify by replay that it behaves the same
      doctor  Find what costs time or bytes for nothing, with what to do about it
      serve   Serve functions on this machine through Lambda's own API, until stopped
      trace   Show where the cold start of a function goes, import by import
      tune    Find the memory size that suits a function: latency and cost by size, before and after

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Examples:
      See where the cold start of a function goes:
        glowplug trace path/to/function

      Build a faster artifact, proved by replay to behave the same:
        glowplug build path/to/function

      Find what is in its package for nothing:
        glowplug doctor path/to/function

      Find the memory size that suits it:
        glowplug tune path/to/function

      Run it here as Lambda would, for boto3 and the AWS CLI:
        glowplug serve path/to/function

      Read the result with a program:
        glowplug build path/to/function --format json > report.json

    Exit codes: 0 done, 1 the function or a check failed, 2 wrong usage,
    3 the surroundings failed (disk, network, missing interpreter), 130 interrupted
    ");
}

#[test]
fn build_explains_its_options() {
    let outcome = Project::empty().run(&["build", "-h"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @r"
    Build a smaller and faster artifact, and verify by replay that it behaves the same

    Usage: glowplug build [OPTIONS] [PATH]...

    Arguments:
      [PATH]...  The function: a source folder, a folder that already holds its dependencies, or a zip;
                 several give a folder each [default: .]

    Options:
          --out <DIR>              Output folder; it is replaced only when the build succeeds, and only
                                   if glowplug made it [default: glowplug-out]
          --kind <KIND>            What to make; may be repeated [default: zip] [possible values: zip,
                                   layers, image]
          --fleet <FILE>           With `--kind layers`: a file that says how often dependencies move
                                   and functions start, and what a byte counts
          --base <REF>             With `--kind image`: what it stands on, with the function's Python:
                                   an image in a registry (`python:3.12-slim`), `oci:FOLDER[:TAG]` or
                                   `rootfs:FOLDER`
          --platform <PLATFORM>    For which machine: `linux/amd64`, `linux/arm64` [default: the
                                   function's own]. Several, with commas or repeated, give an image
                                   each, and an index of them
          --image-format <FORMAT>  How an image's layers are packed [default: estargz] [possible values:
                                   gzip, estargz, zstd-chunked]
          --entrypoint <WHAT>      What starts in an image [default: lambda] [possible values: lambda,
                                   http]
          --push <REF>             Push the image to a registry, under this name
          --plain-http             Speak plain HTTP to registries; with one on this machine that is the
                                   default
          --lazy <LEVEL>           How far imports are deferred to first use [default: balanced]
                                   [possible values: off, safe, balanced, aggressive]
          --trim <LEVEL>           Which files are left out [default: safe] [possible values: off, safe,
                                   reachable, observed]
          --objective <OBJECTIVE>  What the plan makes small where init and first requests disagree
                                   [default: balanced] [possible values: cost, speed, balanced]
          --keep <PATTERN>         Never leave out files that match this pattern; may be repeated
          --holdout <FILE>         An event that planning does not see and the result is checked
                                   against; may be repeated
          --plan <FILE>            Build from this plan instead of profiling
          --locked                 Build from the project's `glowplug.lock`, and fail if it is missing
                                   or stale
          --update-lock            Profile anew and write the plan to the project's `glowplug.lock`
          --fresh                  Plan, replay and measure anew, even where nothing has changed since
                                   an earlier build
          --no-verify              Do not replay the events; the report then says that nothing was
                                   proved
          --runs <N>               Interleaved pairs of runs behind each figure [default: 8]
          --html <FILE>            Write the report, with a trace of before and after, as one
                                   self-contained HTML page
          --bandwidth <MBIT>       For the page, and for `--kind zip --kind image`: the bandwidth at
                                   which the package is fetched, in Mbit/s
          --diff                   Print the edits as a diff of the sources and build nothing
          --explain <MODULE>       Print what the plan decides about a module, and why, and build
                                   nothing
      -h, --help                   Print help (see more with '--help')

    Common options:
          --format <FORMAT>          Output for people or for programs [default: text] [possible values:
                                     text, json]
          --function <NAME>          Which function of a template that defines several
          --python <VERSION|PATH>    Python version or interpreter to run the function with [default:
                                     the function's own version]
          --memory <MB>              Memory size of the function in MB [default: the function's own]
          --cpu <CPU>                Measure with the whole CPU, or with the share that the memory size
                                     gives on Lambda (1769 MB is one vCPU) [default: unlimited]
                                     [possible values: unlimited, share]
          --init-boost <INIT_BOOST>  With `--cpu share`: give init a whole vCPU for up to 10 s, as
                                     Lambda does [default: on] [possible values: on, off]
          --cache-dir <DIR>          Where fetched tools and packages are kept [default: glowplug in the
                                     user's cache folder] [env: GLOWPLUG_CACHE_DIR]
          --offline                  Fetch nothing: use only what the cache folder holds
      -q, --quiet                    Say nothing but the result and errors
      -v, --verbose                  Say more: all decisions and refusals, not only the most important
                                     ones
          --color <WHEN>             Colour the output; `NO_COLOR` in the environment turns `auto` off
                                     [default: auto] [possible values: auto, always, never]

    Examples:
      Build the function in this folder; the artifact and its plan go to glowplug-out/:
        glowplug build

      Check the result against events that planning has not seen:
        glowplug build examples/report --holdout examples/report/holdout/late_returns.json

      See which imports would be deferred, as the source a person would read, and build nothing:
        glowplug build --diff

      Make an image that loads lazily, push it, and see whether a zip would start sooner:
        glowplug build --kind zip --kind image --base python:3.12-slim --push registry.example/report:1

      Make it for two machines, under one name:
        glowplug build --kind image --base python:3.12-slim --platform linux/amd64,linux/arm64 --push
        registry.example/report:1

      Ask why a module is, or is not, deferred:
        glowplug build --explain pandas

      Build several functions, and the layers that they share, into a folder each:
        glowplug build functions/orders functions/users --kind layers

      Keep the plan in the project, then build the same bytes from it everywhere, without profiling:
        glowplug build --update-lock
        glowplug build --locked
    ");
}

#[test]
fn trace_explains_its_options() {
    let outcome = Project::empty().run(&["trace", "-h"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @r"
    Show where the cold start of a function goes, import by import

    Usage: glowplug trace [OPTIONS] [PATH]

    Arguments:
      [PATH]  The function: a source folder, a folder that already holds its dependencies, or a zip
              [default: .]

    Options:
          --runs <N>                Runs behind each median [default: 5]
          --event <FILE>            Trace this event instead of the configured ones; may be repeated
          --top <N>                 How many imports and statements to show [default: 20]
          --sort <KEY>              Order of the imports [default: total] [possible values: total, self,
                                    start, memory, unused]
          --filter <MODULE>         Only modules of this name and below, for example `pandas`
          --bandwidth <MBIT>        Add the time to fetch the package at this bandwidth to provisioning,
                                    in Mbit/s
          --cold-cache              Measure too with the package's files out of the page cache, as they
                                    are after it was fetched
          --compare <OLD>           Show what grew and what shrank since an earlier trace, or against
                                    another function: a JSON file, or a path as PATH is
          --html <FILE>             Write the trace as one self-contained HTML page
          --export <FORMAT=TARGET>  Write the trace for another tool; may be repeated. FORMAT is otlp,
                                    chrome, speedscope, importtime or xray; TARGET a file, for otlp also
                                    a collector's address (http://localhost:4318), for xray also a
                                    daemon's (udp://127.0.0.1:2000)
      -h, --help                    Print help (see more with '--help')

    Common options:
          --format <FORMAT>          Output for people or for programs [default: text] [possible values:
                                     text, json]
          --function <NAME>          Which function of a template that defines several
          --python <VERSION|PATH>    Python version or interpreter to run the function with [default:
                                     the function's own version]
          --memory <MB>              Memory size of the function in MB [default: the function's own]
          --cpu <CPU>                Measure with the whole CPU, or with the share that the memory size
                                     gives on Lambda (1769 MB is one vCPU) [default: unlimited]
                                     [possible values: unlimited, share]
          --init-boost <INIT_BOOST>  With `--cpu share`: give init a whole vCPU for up to 10 s, as
                                     Lambda does [default: on] [possible values: on, off]
          --cache-dir <DIR>          Where fetched tools and packages are kept [default: glowplug in the
                                     user's cache folder] [env: GLOWPLUG_CACHE_DIR]
          --offline                  Fetch nothing: use only what the cache folder holds
      -q, --quiet                    Say nothing but the result and errors
      -v, --verbose                  Say more: all decisions and refusals, not only the most important
                                     ones
          --color <WHEN>             Colour the output; `NO_COLOR` in the environment turns `auto` off
                                     [default: auto] [possible values: auto, always, never]

    Examples:
      Where does the cold start of the function in this folder go?
        glowplug trace

      Only what pandas brings, the slowest bodies first:
        glowplug trace examples/report --filter pandas --sort self

      Every import with its read, unmarshal, compile and exec times:
        glowplug trace examples/report --format json > trace.json

      What has changed since then, and which dependency did it?
        glowplug trace examples/report --compare trace.json

      A page to show to a colleague, and the spans for a collector:
        glowplug trace examples/report --html trace.html --export otlp=http://localhost:4318
    ");
}

#[test]
fn tune_explains_its_options() {
    let outcome = Project::empty().run(&["tune", "-h"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn the_version_is_one_line() {
    let outcome = Project::empty().run(&["--version"]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, format!("glowplug {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_has_exit_code_2_and_says_what_is_right() {
    let project = Project::empty();
    for (arguments, expected) in [
        (&["buidl"][..], "a similar subcommand exists: 'build'"),
        (&["build", "--lazy", "very"], "[possible values: off, safe, balanced, aggressive]"),
        (&["build", "--locked", "--update-lock"], "cannot be used with"),
        (&["build", "--memory", "64"], "64 is not in 128..=10240"),
        (&["trace", "--runs", "0"], "must be at least 1"),
        (&[], "Usage: glowplug"),
    ] {
        let text = project.fails(2, arguments);
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
