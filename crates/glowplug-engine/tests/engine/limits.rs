//! Memory, processor share, processes, and that nothing stays behind.

use std::time::Duration;

use glowplug_core::ErrorClass;
use glowplug_engine::{Cpu, Engine};

use crate::support::{Function, engine, exit, success};

#[test]
fn too_much_memory_kills_the_process() {
    let function = Function::new("def handler(e, c):\n    return len(bytearray(e * 1024 * 1024))\n")
        .with(|spec| spec.memory_mb = 128);
    let mut environment = function.ready();
    assert_eq!(success(&environment.invoke(b"10").unwrap(), b""), 10 * 1024 * 1024);
    if !engine().capabilities().memory_limit {
        println!("this host cannot enforce the memory limit");
        return;
    }
    let invocation = environment.invoke(b"400").unwrap();
    assert!(exit(&invocation).ends_with(r#"Runtime exited with error: signal: killed"}"#));
    assert_eq!(success(&environment.invoke(b"1").unwrap(), b""), 1024 * 1024);
}

#[test]
fn a_fork_bomb_is_bounded_and_taken_down() {
    if !engine().capabilities().process_limit {
        println!("this host cannot limit processes");
        return;
    }
    let source = "
import os, time
def handler(event, context):
    children = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            children += 1
    except OSError as error:
        return [children < 1024, error.strerror]
";
    let function = Function::new(source).with(|spec| spec.memory_mb = 3000);
    let (invocation, finished) = function.once("{}");
    assert_eq!(success(&invocation, &finished.log)[1], "Resource temporarily unavailable");
    assert_eq!(success(&invocation, b"")[0], true);
}

#[test]
fn a_small_share_spends_less_processor_time_than_wall_time() {
    if !engine().capabilities().cpu_share {
        let function = Function::new("").with(|spec| spec.cpu = Cpu::Share { init_boost: true });
        let error = function.engine.start(&function.spec).unwrap_err();
        assert_eq!(
            (error.class(), error.hints()),
            (ErrorClass::Surroundings, &["use `--cpu unlimited`".to_owned()][..])
        );
        return;
    }
    // A tenth of a vCPU: 60 ms of work need at least 400 ms, however fast or slow the host is.
    let source = "
import time
def work(ms):
    until = time.process_time() + ms / 1000
    while time.process_time() < until:
        pass
work(60)
def handler(event, context):
    work(60)
";
    let share = |init_boost| {
        let function = Function::new(source).with(|spec| {
            spec.memory_mb = 177;
            spec.cpu = Cpu::Share { init_boost };
        });
        let (mut environment, init) = function.start();
        let invocation = environment.invoke(b"{}").unwrap();
        success(&invocation, &environment.log());
        (init, invocation)
    };
    let (slow, throttled) = share(false);
    assert!(slow.init_ms > 5.0 * 60.0, "{slow:?}");
    assert!(
        throttled.duration_ms > 5.0 * 60.0 && throttled.cpu_ms < throttled.duration_ms / 3.0,
        "{throttled:?}"
    );
    let (_, throttled) = share(true);
    assert!(throttled.duration_ms > 5.0 * 60.0, "{throttled:?}");
}

#[test]
fn limits_are_lambdas() {
    let source = "import resource\ndef handler(e, c):\n    return [resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)]\n";
    assert_eq!(Function::new(source).answer("{}"), serde_json::json!([[1024, 1024], [0, 0]]));
}

#[test]
fn an_engine_leaves_nothing_behind() {
    let engine = Engine::new().unwrap();
    let function =
        Function::new("import time\nopen('/tmp/x', 'w').close()\ndef handler(e, c):\n    time.sleep(60)\n")
            .with(|spec| spec.timeout = Duration::from_secs(1));
    let (mut environment, _) = engine.start(&function.spec).unwrap();
    let (forgotten, _) = engine.start(&function.spec).unwrap();
    environment.invoke(b"{}").unwrap();
    let places = places(&engine);
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("glowplug"), "{mounts}");
    assert!(!places.is_empty());
    drop(environment);
    drop(forgotten);
    drop(engine);
    for place in places {
        assert!(!place.exists(), "{}", place.display());
    }
}

/// Folders and control groups whose names are those of an engine's environments.
fn places(engine: &Engine) -> Vec<std::path::PathBuf> {
    let text = format!("{engine:?}");
    let folder = text.split('"').find(|part| part.contains("/glowplug-engine-")).unwrap();
    let name = std::path::Path::new(folder).file_name().unwrap().to_string_lossy().into_owned();
    let mut found = vec![std::path::PathBuf::from(folder)];
    for controller in ["cpu", "memory", "pids", "."] {
        let base = std::path::Path::new("/sys/fs/cgroup").join(controller);
        for entry in base.read_dir().into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn an_engine_with_many_open_files_still_gives_functions_their_own_limit() {
    Engine::raise_open_files();
    let held: Vec<_> = (0..1100).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
    if held.len() < 1100 {
        println!("this host does not allow a thousand open files");
        return;
    }
    let source =
        "import resource\ndef handler(e, c):\n    return resource.getrlimit(resource.RLIMIT_NOFILE)\n";
    assert_eq!(Function::new(source).answer("1"), serde_json::json!([1024, 1024]));
}
