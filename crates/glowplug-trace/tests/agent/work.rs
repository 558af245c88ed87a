//! What is recorded besides imports: patterns, waits, connections, and what a function did until it was cut off.

use std::time::Duration;

use glowplug_core::NoProgress;
use glowplug_engine::EnvironmentSpec;
use glowplug_test::clients;
use glowplug_trace::{
    Import, ObserveOptions, Phase, Status, Trace, TraceContext, observe, observe_with, trace,
};

use crate::support::{Function, any_python, engine, paths};

const BUSY: &[(&str, &str)] = &[
    (
        "app.py",
        "import patterns\nimport sleepy\n\ndef handler(event, context):\n    import late\n    return late.ask()\n",
    ),
    ("patterns.py", "import re\nWORDS = re.compile('|'.join('word%d' % n for n in range(300)))\n"),
    ("sleepy.py", "import time\ntime.sleep(0.05)\n"),
    (
        "late.py",
        "import socket\n\ndef ask():\n    with socket.create_server(('127.0.0.1', 0)) as server:\n        \
         with socket.create_connection(('localhost', server.getsockname()[1])) as asking:\n            \
         return asking.getpeername()[1] == server.getsockname()[1]\n",
    ),
];

fn context() -> TraceContext {
    TraceContext {
        user_files: paths(&["app.py"]),
        edited: false,
        distributions: Vec::new(),
        runs: 1,
        agent_runs: 1,
        unpack_ms: vec![2.0, 2.0],
        package_bytes: Some(1_000_000),
        bandwidth_mbit: Some(8.0),
        cold_cache: false,
        unfit: Vec::new(),
        timeout: Duration::from_secs(1),
    }
}

fn import<'a>(trace: &'a Trace, module: &str) -> &'a Import {
    trace.imports.iter().find(|i| i.module == module).unwrap_or_else(|| panic!("no `{module}`"))
}

#[test]
fn patterns_waits_and_connections_are_told() {
    for python in clients() {
        let function = Function::new(&python, BUSY);
        let event = Some(("go", b"{}".as_slice()));
        let seen = observe(engine(), &function.spec, event).unwrap();
        let find = |module: &str| seen.imports.iter().find(|i| i.module == module).unwrap();
        let (patterns, sleepy) = (find("patterns"), find("sleepy"));
        assert!(patterns.regex_ms > Some(0.0) && patterns.regex_ms <= Some(patterns.self_ms), "{patterns:?}");
        assert_eq!((sleepy.regex_ms, sleepy.io_ms), (Some(0.0), None));
        let connected: Vec<(&str, &str, Phase, bool)> = seen
            .connections
            .iter()
            .map(|c| (c.kind.as_str(), c.address.split(':').next().unwrap(), c.phase, c.main))
            .collect();
        let resolved = ("resolve", "localhost", Phase::FirstInvoke, true);
        assert!(connected.contains(&resolved), "{}: {connected:?}", python.version);
        let last = connected.last().unwrap();
        assert_eq!((last.0, last.2, last.3), ("connect", Phase::FirstInvoke, true), "{connected:?}");

        let memory = ObserveOptions { memory: true, ..ObserveOptions::default() };
        let seen = observe_with(engine(), &function.spec, event, &memory).unwrap();
        let find = |module: &str| seen.imports.iter().find(|i| i.module == module).unwrap();
        let (asleep, awake) = (find("sleepy"), find("patterns"));
        assert!(asleep.io_ms.unwrap() > asleep.self_ms / 2.0, "{asleep:?}");
        assert!(awake.io_ms.unwrap() < asleep.io_ms.unwrap(), "{awake:?}");
    }
}

#[test]
fn the_parts_of_a_phase_add_up_to_it() {
    let function = Function::new(&any_python(), BUSY);
    let events = [("go".to_owned(), b"{}".to_vec())];
    let trace = trace(engine(), &function.spec, &events, &context(), &NoProgress).unwrap();
    let phases = &trace.phases;
    let median = |stat: Option<glowplug_core::Stat>| stat.unwrap().median;
    // A megabyte at 8 Mbit/s takes a second, and unpacking it took 2 ms.
    assert!((median(phases.fetch) - 1000.0).abs() < 1e-9 && (median(phases.provision) - 1002.0).abs() < 1e-9);
    let parts = &phases.runtime_parts;
    let sum = median(parts.interpreter) + median(parts.site) + median(parts.client);
    assert!((sum - median(phases.runtime)).abs() < 1e-6, "{phases:?}");
    let invoke = &phases.first_invoke_parts["go"];
    assert!(invoke.imports_ms > Some(0.0) && invoke.connect_ms > Some(0.0) && invoke.handler_ms.is_some());
    assert_eq!(phases.cold_cache, None);

    let kinds = &trace.kinds;
    let told =
        [kinds.find, kinds.read, kinds.compile, kinds.exec, kinds.gc, kinds.regex, kinds.io, kinds.rest];
    let known: f64 =
        told.iter().flatten().sum::<f64>() + kinds.native.unwrap_or(0.0) + kinds.unmarshal.unwrap_or(0.0);
    let own = trace.imports.iter().filter(|i| i.phase == Phase::Init && !i.runtime_provided);
    let sum: f64 = own.map(|i| i.self_ms).sum();
    // The waits come from another start.
    assert!((known - sum).abs() < sum * 0.25, "{known} of {sum}: {kinds:?}");
    assert_eq!((trace.compiled.missing, trace.compiled.stale), (4, 0), "app, patterns, sleepy, late");
    let places: Vec<(&str, &str)> =
        trace.lines.iter().map(|line| (line.place.as_str(), line.asks_for[0].as_str())).collect();
    assert_eq!(places[0], ("app.py:2", "sleepy"));
    assert!(
        places.contains(&("app.py:5", "late")) && places.contains(&("app.py:1", "patterns")),
        "{places:?}"
    );
    assert!(trace.connections.iter().any(|c| c.kind == "resolve" && c.event.as_deref() == Some("go")));
}

#[test]
fn a_cold_page_cache_is_measured_beside_a_warm_one() {
    let function = Function::new(&any_python(), BUSY);
    let events = [("go".to_owned(), b"{}".to_vec())];
    let context = TraceContext { cold_cache: true, ..context() };
    match trace(engine(), &function.spec, &events, &context, &NoProgress) {
        Ok(trace) => {
            let cold = trace.phases.cold_cache.unwrap();
            assert_eq!((cold.init.unwrap().runs, trace.phases.init.unwrap().runs), (1, 1));
            assert!(cold.first_invoke["go"].is_some() && cold.runtime.is_some());
        }
        // A folder for temporary files that is kept in memory.
        Err(error) => assert_eq!(error.message(), "cannot drop the package's files from the page cache"),
    }
}

#[test]
fn a_handler_that_hangs_is_cut_off_and_its_imports_are_kept() {
    let files = [
        ("app.py", "def handler(event, context):\n    import fine\n    import stuck\n"),
        ("fine.py", "X = 1\n"),
        ("stuck.py", "import colorsys\nwhile True:\n    pass\n"),
    ];
    let function = Function::new(&any_python(), &files);
    let unfit = vec![("hang".to_owned(), b"{}".to_vec())];
    let context = TraceContext { unfit, ..context() };
    let trace = trace(engine(), &function.spec, &[], &context, &NoProgress).unwrap();
    let told = |module: &str| {
        let import = import(&trace, module);
        (import.status, import.phase, import.event.as_deref())
    };
    assert_eq!(told("fine"), (Status::Ok, Phase::FirstInvoke, Some("hang")));
    assert_eq!(told("stuck"), (Status::Failed, Phase::FirstInvoke, Some("hang")));
    assert_eq!(told("colorsys"), (Status::Ok, Phase::FirstInvoke, Some("hang")));
    let stuck = import(&trace, "stuck");
    assert!(stuck.total_ms > import(&trace, "fine").total_ms);
    assert_eq!(trace.phases.first_invoke.get("hang"), None);
}

#[test]
fn an_import_that_ends_the_process_is_marked() {
    let files = [
        ("app.py", "import fine\nimport bad\n\ndef handler(event, context):\n    return 1\n"),
        ("fine.py", "X = 1\n"),
        ("bad.py", "import os\nos._exit(7)\n"),
    ];
    let function = Function::new(&any_python(), &files);
    let spec = EnvironmentSpec { timeout: Duration::from_secs(3), ..function.spec };
    let trace = trace(engine(), &spec, &[], &context(), &NoProgress).unwrap();
    assert!(trace.failure.as_deref().unwrap().starts_with("init: "), "{:?}", trace.failure);
    assert_eq!(import(&trace, "fine").status, Status::Ok);
    assert_eq!(
        (import(&trace, "bad").status, import(&trace, "app").status),
        (Status::Failed, Status::Failed)
    );
    assert_eq!(trace.imports.iter().filter(|i| i.module == "fine").count(), 1);
}

#[test]
fn threads_processes_and_what_was_loaded_already_are_told() {
    let files = [
        (
            "app.py",
            "import json\nimport os\nimport threading\nimport slow\n\ndef load():\n    import aside\n\nworker = \
             threading.Thread(target=load, name='loader')\nworker.start()\nworker.join()\nos.system('true')\n\ndef \
             handler(event, context):\n    import slow\n    return 1\n",
        ),
        ("slow.py", "import json\n"),
        ("aside.py", "X = 1\n"),
    ];
    for python in clients() {
        let function = Function::new(&python, &files);
        let events = [("go".to_owned(), b"{}".to_vec())];
        let trace = trace(engine(), &function.spec, &events, &context(), &NoProgress).unwrap();
        let aside = import(&trace, "aside");
        assert_eq!((aside.thread.as_str(), aside.phase), ("loader", Phase::Init), "{}", python.version);
        assert!(trace.subprocesses.iter().any(|p| p.event == "os.system" && p.phase == Phase::Init));
        let cached: Vec<(&str, &str, Phase, bool)> = trace
            .imports
            .iter()
            .filter(|i| i.status == Status::Cached)
            .map(|i| (i.module.as_str(), i.importer.as_str(), i.phase, i.runtime_provided))
            .collect();
        assert!(cached.contains(&("json", "app.py:1", Phase::Init, true)), "{}: {cached:?}", python.version);
        assert!(cached.contains(&("slow", "app.py:15", Phase::FirstInvoke, false)), "{cached:?}");
        // Only the user's own code: who else asks for what is there is of no interest.
        assert!(cached.iter().all(|(_, importer, ..)| importer.starts_with("app.py:")), "{cached:?}");
    }
}

#[test]
fn strange_functions_are_traced_all_the_same() {
    let long = format!("X = {}\n", vec!["1"; 1400].join(" + "));
    let files = [
        (
            "app.py",
            "import enum\nimport threading\nKNOWN = dict(__annotations__)\nlimit: int = 3\n\nclass Name(str, enum.Enum):\n    \
             A = 'colorsys'\n\n__import__(Name.A)\n\ndef load(name):\n    __import__(name)\n\nfor name in ('one', 'two', \
             'three', 'four'):\n    worker = threading.Thread(target=load, args=(name,))\n    worker.start()\n    \
             worker.join()\n\nimport wide\n\ndef handler(event, context):\n    return str(KNOWN)\n",
        ),
        ("one.py", ""),
        ("two.py", ""),
        ("three.py", ""),
        ("four.py", ""),
        ("wide.py", long.as_str()),
    ];
    for python in clients() {
        let function = Function::new(&python, &files);
        let context = TraceContext { user_files: paths(&["app.py", "wide.py"]), ..context() };
        let events = [("go".to_owned(), b"{}".to_vec())];
        let trace = trace(engine(), &function.spec, &events, &context, &NoProgress).unwrap();
        assert_eq!(trace.failure, None, "{}", python.version);
        assert_eq!(import(&trace, "colorsys").status, Status::Ok);
        assert!(trace.statements.iter().any(|s| s.text == "limit: int = 3"), "{}", python.version);
        for name in ["app", "one", "four"] {
            assert!(import(&trace, name).memory_kib.is_some(), "{}: {name}", python.version);
        }
        assert!(trace.unexplained_ms >= Some(0.0));
    }
}

#[test]
fn a_function_that_takes_the_agents_descriptors_is_told() {
    let app =
        "import os\nos.closerange(3, 4096)\nimport decimal\n\ndef handler(event, context):\n    return 1\n";
    let function = Function::new(&any_python(), &[("app.py", app)]);
    let trace = trace(engine(), &function.spec, &[], &context(), &NoProgress).unwrap();
    let failure = trace.failure.unwrap();
    assert!(failure.starts_with("only while it was traced") && failure.contains("descriptors"), "{failure}");
    assert!(trace.phases.init.is_some());
}

#[test]
fn what_happens_several_times_counts_each_time() {
    let app = "import time\ntime.sleep(0.01); time.sleep(0.03)\nfor _ in range(3):\n    try:\n        import absent\n    except \
               ImportError:\n        pass\n\ndef handler(event, context):\n    return 1\n";
    let function = Function::new(&any_python(), &[("app.py", app)]);
    let trace = trace(engine(), &function.spec, &[], &context(), &NoProgress).unwrap();
    let sleeping: Vec<f64> =
        trace.statements.iter().filter(|s| s.place == "app.py:2").map(|s| s.self_ms).collect();
    assert_eq!(sleeping.len(), 2);
    assert!(sleeping[0] < sleeping[1], "{sleeping:?}");
    assert_eq!(trace.imports.iter().filter(|i| i.module == "absent").count(), 3);
}
