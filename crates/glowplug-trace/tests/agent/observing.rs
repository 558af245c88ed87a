//! What an observation holds, on every interpreter.

use std::collections::BTreeSet;
use std::process::Command;

use glowplug_engine::Outcome;
use glowplug_test::{clients, run};
use glowplug_trace::{
    Bytecode, ImportRecord, Observation, ObserveOptions, Phase, Status, observe, observe_with,
};

use crate::fixtures::FILES;
use crate::support::{Function, any_python, engine, paths, write};

fn user_files() -> ObserveOptions {
    ObserveOptions { user_files: paths(&["app.py", "lib/other.py"]), ..ObserveOptions::default() }
}

fn find<'a>(observation: &'a Observation, module: &str) -> &'a ImportRecord {
    let found: Vec<&ImportRecord> = observation.imports.iter().filter(|r| r.module == module).collect();
    assert_eq!(found.len(), 1, "`{module}`: {found:?}");
    found[0]
}

#[test]
fn imports_are_told_with_importer_parent_phase_and_steps() {
    for python in clients() {
        let function = Function::new(&python, FILES);
        let observation =
            observe_with(engine(), &function.spec, Some(("go", b"{}".as_slice())), &user_files()).unwrap();
        assert!(observation.complete);
        let answer = &observation.invocation.as_ref().unwrap().outcome;
        let Outcome::Success(payload) = answer else { panic!("{answer:?}") };
        let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(value, serde_json::json!({"value": 42, "doc": "A function.", "before": 5}));

        let app = find(&observation, "app");
        assert_eq!((app.status, app.phase, app.parent.as_deref()), (Status::Ok, Phase::Init, None));
        assert_eq!((app.runtime_provided, app.importer_module.as_str()), (false, "awslambdaric.bootstrap"));
        let package = find(&observation, "lib");
        assert_eq!((package.importer.as_str(), package.parent.as_deref()), ("app.py:3", Some("app")));
        let heavy = find(&observation, "lib.heavy");
        assert_eq!((heavy.importer.as_str(), heavy.parent.as_deref()), ("app.py:3", Some("app")));
        assert_eq!(heavy.file.as_ref().unwrap(), "lib/heavy.py");
        let nested = find(&observation, "colorsys");
        assert_eq!(
            (nested.importer.as_str(), nested.parent.as_deref()),
            ("lib/heavy.py:1", Some("lib.heavy"))
        );
        assert_eq!(find(&observation, "lib.other").importer, "app.py:4");
        let absent = find(&observation, "absent");
        assert_eq!(
            (absent.status, absent.importer.as_str(), absent.loaded()),
            (Status::Failed, "app.py:6", false)
        );
        assert!(absent.find_ms.is_none() || absent.exec_ms.is_none());
        let late = find(&observation, "lib.late");
        assert_eq!((late.phase, late.event.as_deref()), (Phase::FirstInvoke, Some("go")));
        assert_eq!((late.importer.as_str(), late.parent.as_deref()), ("app.py:16", None));

        // The runtime's own: on the way to the handler.
        assert!(find(&observation, "json").runtime_provided);
        assert!(!heavy.runtime_provided && !nested.runtime_provided && !late.runtime_provided);

        for record in &observation.imports {
            assert!(record.self_ms >= 0.0 && record.self_ms <= record.total_ms, "{record:?}");
            let steps = [
                record.find_ms,
                record.read_ms,
                record.compile_ms,
                record.unmarshal_ms,
                record.exec_ms,
                record.native_ms,
            ];
            let sum: f64 = steps.iter().flatten().sum();
            assert!(steps.iter().flatten().all(|ms| *ms >= 0.0), "{record:?}");
            assert!(sum <= record.self_ms + 0.01, "{record:?}");
            assert_eq!(record.memory_kib, None);
        }
        // What is imported within is in the total, and not in the own time.
        assert!(heavy.total_ms >= heavy.self_ms + nested.total_ms - 0.01);
        let starts: Vec<f64> = observation.imports.iter().map(|r| r.start_ms).collect();
        assert!(starts.is_sorted() && starts[0] > 0.0);
        assert!(observation.loaded(Phase::Init).contains("lib.heavy"));
        assert!(!observation.loaded(Phase::Init).contains("lib.late"));
        assert!(observation.loaded(Phase::FirstInvoke).contains("lib.late"));
        assert!(observation.preloaded.contains("sys"));
    }
}

#[test]
fn statements_of_the_users_own_modules_are_timed_and_run_once() {
    for python in clients() {
        let function = Function::new(&python, FILES);
        let observation = observe_with(engine(), &function.spec, None, &user_files()).unwrap();
        let lines: Vec<(&str, u32, u32)> =
            observation.statements.iter().map(|s| (s.file.as_str(), s.line, s.end_line)).collect();
        let expected = [
            ("app.py", 1, 1),
            ("app.py", 2, 2),
            ("app.py", 3, 3),
            ("app.py", 4, 4),
            ("lib/other.py", 1, 4),
            ("app.py", 5, 8),
            ("app.py", 10, 11),
            ("app.py", 15, 20),
            ("app.py", 23, 23),
        ];
        assert_eq!(lines, expected, "Python {}", python.version);
        assert_eq!(observation.statements[6].text, "VALUE = lib.heavy.compute(");
        let app = find(&observation, "app");
        let own: f64 = observation.statements.iter().filter(|s| s.module == "app").map(|s| s.self_ms).sum();
        assert!(own <= app.self_ms, "{own} of {}", app.self_ms);
        // Without the list there are none, and the modules run whole.
        assert!(observe(engine(), &function.spec, None).unwrap().statements.is_empty());
    }
}

#[test]
fn bytecode_is_valid_stale_or_missing() {
    let python = any_python();
    let function = Function::new(&python, FILES);
    let seen = |module: &str| find(&observe(engine(), &function.spec, None).unwrap(), module).clone();
    let missing = seen("lib.heavy");
    assert_eq!(missing.bytecode, Bytecode::Missing);
    assert!(missing.compile_ms.is_some() && missing.unmarshal_ms.is_none());
    run(Command::new(&python.interpreter).args(["-m", "compileall", "-q"]).arg(&function.spec.tree));
    let valid = seen("lib.heavy");
    assert_eq!(valid.bytecode, Bytecode::Valid);
    assert!(valid.compile_ms.is_none() && valid.unmarshal_ms.is_some() && valid.bytes_read > Some(0));
    write(
        &function.spec.tree,
        &[("lib/heavy.py", "import colorsys\ndef compute(n):\n    return 1000000000000\n")],
    );
    assert_eq!(seen("lib.heavy").bytecode, Bytecode::Stale);
    let native = observe(engine(), &function.spec, None).unwrap();
    let library = native.imports.iter().find(|r| r.native_ms.is_some()).unwrap();
    assert_eq!((library.bytecode, library.exec_ms), (Bytecode::None, None));
}

#[test]
fn a_module_loaded_by_hand_in_a_thread_and_again_is_told() {
    for python in clients() {
        let app = "import importlib, importlib.util, os, threading, tool\n\
                   place = os.path.join(os.path.dirname(__file__), 'plugin.py')\n\
                   spec = importlib.util.spec_from_file_location('plugin', place)\n\
                   plugin = importlib.util.module_from_spec(spec)\n\
                   spec.loader.exec_module(plugin)\n\
                   importlib.reload(tool)\n\
                   def work():\n    import threaded\n\
                   thread = threading.Thread(target=work, name='worker')\nthread.start()\nthread.join()\n\
                   def handler(event, context):\n    return plugin.tool.X\n";
        let function = Function::new(
            &python,
            &[("app.py", app), ("plugin.py", "import tool\n"), ("tool.py", "X = 1\n"), ("threaded.py", "")],
        );
        let observation = observe(engine(), &function.spec, Some(("go", b"{}"))).unwrap();
        let plugin = find(&observation, "plugin");
        assert_eq!((plugin.importer.as_str(), plugin.parent.as_deref()), ("app.py:5", Some("app")));
        let threaded = find(&observation, "threaded");
        assert_eq!((threaded.thread.as_str(), threaded.parent.as_deref()), ("worker", None));
        assert_eq!(threaded.importer, "app.py:8");
        let tools: Vec<&str> =
            observation.imports.iter().filter(|r| r.module == "tool").map(|r| r.importer.as_str()).collect();
        assert_eq!(tools, ["app.py:1", "app.py:6"], "Python {}", python.version);
    }
}

#[test]
fn a_lazy_load_is_told_with_the_place_of_first_use() {
    for python in clients() {
        let function = Function::new(&python, FILES);
        let observation =
            observe(engine(), &function.spec, Some(("sparse", br#"{"lazy": true}"#.as_slice()))).unwrap();
        let loads: Vec<_> = observation.lazy_loads.iter().collect();
        assert_eq!(loads.len(), 1);
        assert_eq!((loads[0].module.as_str(), loads[0].name.as_str()), ("app", "pandas"));
        assert_eq!((loads[0].phase, loads[0].event.as_deref()), (Phase::FirstInvoke, Some("sparse")));
        assert_eq!((loads[0].file.as_str(), loads[0].line), ("app.py", 19));
    }
}

#[test]
fn passes_of_their_own_tell_memory_files_processes_and_cached_imports() {
    for python in clients() {
        let app = "import lib.heavy, subprocess\nimport lib.heavy as again\nblob = open(__file__.replace('app.py', 'data.bin')).read()\n\
                   def handler(event, context):\n    subprocess.run(['true'], check=True)\n    import lib.heavy\n    return len(blob)\n";
        let mut files = FILES.to_vec();
        files[0] = ("app.py", app);
        files.push(("data.bin", "0123456789"));
        let function = Function::new(&python, &files);
        let options = ObserveOptions { memory: true, files: true, cached: true, ..ObserveOptions::default() };
        let observation = observe_with(engine(), &function.spec, Some(("go", b"{}")), &options).unwrap();
        assert!(find(&observation, "lib.heavy").memory_kib.is_some());
        let data = observation.files.iter().find(|file| file.path == "data.bin").unwrap();
        assert_eq!((data.bytes, data.phase), (10, Phase::Init));
        let order: Vec<usize> = observation.files.iter().map(|file| file.order).collect();
        assert!(order.iter().copied().eq(0..order.len()));
        let native = observation.files.iter().any(|file| file.path.as_str().contains("runtime_client."));
        assert!(native, "a mapped native library is a file");
        let whole = observation.files.iter().all(|file| file.parts.is_none());
        assert!(whole, "what the process that was started touched is not known");
        let process = &observation.subprocesses[0];
        assert!(process.phase == Phase::FirstInvoke && process.what.contains("true"), "{process:?}");
        let places: BTreeSet<(&str, Phase)> = observation
            .cached
            .iter()
            .filter(|cached| cached.module == "lib.heavy")
            .map(|cached| (cached.importer.as_str(), cached.phase))
            .collect();
        assert_eq!(places, BTreeSet::from([("app.py:2", Phase::Init), ("app.py:6", Phase::FirstInvoke)]));
    }
}

/// A library that depends on nothing but the C library, which is beside it.
fn maths() -> Option<Vec<u8>> {
    let maps = fs_err::read_to_string("/proc/self/maps").unwrap();
    let place = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6"))?;
    fs_err::read(place.replace("libc.so.6", "libm.so.6")).ok()
}

#[test]
fn of_a_mapped_library_the_touched_pages_are_told_and_one_that_is_read_is_whole() {
    let Some(maths) = maths() else {
        println!("not covered: no C library of glibc's");
        return;
    };
    // What nobody looks at: nothing refers to the end of the file.
    let size = maths.len().next_multiple_of(4096) + (1 << 20);
    for python in clients() {
        let app = "import ctypes, os\nhere = os.path.dirname(__file__)\n\
                   mapped = ctypes.CDLL(here + '/mapped.so')\nread = ctypes.CDLL(here + '/read.so')\n\
                   def handler(event, context):\n    with open(here + '/read.so', 'rb') as file:\n        return len(file.read(1))\n";
        let function = Function::new(&python, &[("app.py", app)]);
        for name in ["mapped.so", "read.so"] {
            let mut bytes = maths.clone();
            bytes.resize(size, 0);
            fs_err::write(function.spec.tree.join(name), bytes).unwrap();
        }
        let options = ObserveOptions { files: true, ..ObserveOptions::default() };
        let observation = observe_with(engine(), &function.spec, Some(("go", b"{}")), &options).unwrap();
        let find = |name: &str| observation.files.iter().find(|file| file.path == name).unwrap();
        assert_eq!(find("read.so").parts, None, "Python {}", python.version);
        let mapped = find("mapped.so");
        let parts = mapped.parts.as_ref().unwrap();
        assert_eq!(mapped.bytes, size as u64);
        assert!(parts.meet(0, 4096), "the header: {parts:?}");
        assert!(!parts.meet(mapped.bytes - (1 << 19), mapped.bytes), "{parts:?}");
        assert!(parts.bytes() > 4096 && parts.bytes() < maths.len() as u64, "{parts:?}");
    }
}

#[test]
fn what_a_process_wrote_before_it_ended_is_kept() {
    let function = Function::new(
        &any_python(),
        &[
            ("app.py", "import part\ndef handler(event, context):\n    import os\n    os._exit(3)\n"),
            ("part.py", ""),
        ],
    );
    let observation = observe(engine(), &function.spec, Some(("go", b"{}"))).unwrap();
    assert!(!observation.complete);
    assert!(matches!(observation.invocation.as_ref().unwrap().outcome, Outcome::Exited(_)));
    assert_eq!(find(&observation, "part").importer, "app.py:1");
}

#[test]
fn exiting_at_import_is_written_too() {
    let function =
        Function::new(&any_python(), &[("app.py", "import part\nraise SystemExit(3)\n"), ("part.py", "")]);
    let observation = observe(engine(), &function.spec, None).unwrap();
    assert!(observation.complete);
    assert!(find(&observation, "part").loaded() && !find(&observation, "app").loaded());
}

#[test]
fn a_function_that_closes_all_descriptors_does_not_notice() {
    let app = "import part\ndef handler(event, context):\n    import os\n    os.close(1000)\n    return 1\n";
    let function = Function::new(&any_python(), &[("app.py", app), ("part.py", "")]);
    let observation = observe(engine(), &function.spec, Some(("go", b"{}"))).unwrap();
    assert_eq!(observation.invocation.as_ref().unwrap().outcome, Outcome::Success(b"1".to_vec()));
    assert!(!observation.complete && find(&observation, "part").loaded());
}

#[test]
fn places_are_relative_where_the_tree_cannot_be_mounted_too() {
    let function = Function::new(&any_python(), FILES);
    let plain = glowplug_engine::Engine::plain().unwrap();
    let observation = observe_with(&plain, &function.spec, None, &user_files()).unwrap();
    assert_eq!(find(&observation, "lib.heavy").importer, "app.py:3");
    assert_eq!(find(&observation, "lib.heavy").file.as_ref().unwrap(), "lib/heavy.py");
    assert_eq!(observation.statements.len(), 9);
}
