//! Init, invokes, what the function sees, what is measured.

use std::sync::Arc;

use glowplug_engine::{AgentSpec, Engine, InitOutcome};
use serde_json::json;

use crate::support::{Function, any_python, engine, success, with_variable};

const ECHO: &str = "
import os
COUNT = 0
def handler(event, context):
    global COUNT
    COUNT += 1
    print('hello', event['n'])
    return {'count': COUNT, 'event': event, 'arn': context.invoked_function_arn,
            'name': context.function_name, 'memory': context.memory_limit_in_mb,
            'left': 0 < context.get_remaining_time_in_millis() <= 30000,
            'trace': os.environ['_X_AMZN_TRACE_ID']}
";

#[test]
fn every_interpreter_serves_events_in_one_process() {
    let pythons = glowplug_test::clients();
    assert!(!pythons.is_empty());
    for python in pythons {
        println!("Python {}", python.version);
        let function = Function::on(&python, ECHO);
        let (mut environment, init) = function.start();
        assert_eq!(init.outcome, InitOutcome::Ready, "{}", String::from_utf8_lossy(&environment.log()));
        for count in 1..=3 {
            let invocation = environment.invoke(format!("{{\"n\": {count}}}").as_bytes()).unwrap();
            let answer = success(&invocation, &environment.log());
            assert_eq!(answer["count"], count);
            assert_eq!(answer["event"], json!({"n": count}));
            assert_eq!(answer["arn"], "arn:aws:lambda:us-east-1:123456789012:function:tested");
            assert_eq!((&answer["name"], &answer["memory"]), (&json!("tested"), &json!("512")));
            assert_eq!(answer["left"], true);
            assert!(answer["trace"].as_str().unwrap().starts_with("Root=1-"));
            assert_eq!(String::from_utf8_lossy(&invocation.log), format!("hello {count}\n"));
        }
        let finished = environment.finish().unwrap();
        assert_eq!(String::from_utf8_lossy(&finished.log), "hello 1\nhello 2\nhello 3\n");
        assert_eq!((finished.tmp.len(), finished.blocked.len()), (0, 0));
    }
}

#[test]
fn the_runtime_client_of_before_is_served_too() {
    let interpreters = glowplug_test::interpreters();
    let python = interpreters.iter().find(|found| found.version == any_python().version).unwrap();
    let function = Function::on(&glowplug_test::client_before(python), ECHO);
    let mut environment = function.ready();
    for count in 1..=2 {
        let invocation = environment.invoke("{\"n\": \"é\"}".as_bytes()).unwrap();
        assert_eq!(success(&invocation, &environment.log())["count"], count);
    }
    let failing = Function::on(&glowplug_test::client_before(python), "import nowhere\n");
    assert!(
        matches!(failing.start().1.outcome, InitOutcome::Error { error_type, .. } if error_type == "Runtime.ImportModuleError")
    );
}

#[test]
fn phases_are_measured_and_add_up() {
    let function = Function::new(
        "import time\ntime.sleep(0.05)\nsum(range(3_000_000))\ndef handler(e, c):\n    time.sleep(0.03)\n    sum(range(1_000_000))\n",
    );
    let (mut environment, init) = function.start();
    // Lower bounds hold however busy the host is.
    assert!(init.init_ms >= 50.0, "{init:?}");
    assert!(init.runtime_ms > 0.0 && init.runtime_ms < init.runtime_ms + init.init_ms);
    let whole = (init.ready_ns - init.process_start_ns) as f64 / 1e6;
    assert!((init.runtime_ms + init.init_ms - whole).abs() < 0.001, "{init:?}");
    let runtime_cpu = init.runtime_cpu_ms.unwrap();
    assert!(runtime_cpu > 0.0 && runtime_cpu < init.cpu_ms, "{init:?}");
    assert!(init.peak_memory_kib > 1000);
    let invocation = environment.invoke(b"{}").unwrap();
    assert!(invocation.duration_ms >= 30.0 && invocation.cpu_ms > 0.0, "{invocation:?}");
    assert!(invocation.start_ns >= init.ready_ns && invocation.end_ns > invocation.start_ns);
    assert!(invocation.peak_memory_kib >= init.peak_memory_kib);
}

#[test]
fn the_function_sees_lambda_and_nothing_of_the_engine() {
    let source = "
import os, sys, threading
# The listing's own is closed when it is looked at.
LISTED = os.listdir('/proc/self/fd')
FDS = [f for f in LISTED if os.path.lexists('/proc/self/fd/' + f)]
STDIN = os.readlink('/proc/self/fd/0')
def handler(event, context):
    return {'argv': sys.argv, 'path': sys.path, 'environ': dict(os.environ), 'cwd': os.getcwd(),
            'fds': FDS, 'stdin': STDIN,
            'finders': [type(f).__name__ if not isinstance(f, type) else f.__name__ for f in sys.meta_path],
            'main': sys.modules['__main__'].__file__, 'file': __file__, 'bytecode': sys.dont_write_bytecode,
            'prefix': sys.prefix, 'root': sorted(os.listdir('/var/task'))}
";
    let function = Function::new(source)
        .with(|spec| drop(spec.environment.insert("STAGE".to_owned(), "test".to_owned())));
    let answer = function.answer("{}");
    if !engine().capabilities().mounts {
        println!("this host allows no view of its own: the paths are not compared");
        return;
    }
    let version = any_python().version;
    assert_eq!(answer["argv"], json!(["/var/runtime/bootstrap.py"]));
    assert_eq!((&answer["cwd"], &answer["file"]), (&json!("/var/task"), &json!("/var/task/app.py")));
    assert_eq!(
        (&answer["main"], &answer["prefix"]),
        (&json!("/var/runtime/bootstrap.py"), &json!("/var/lang"))
    );
    assert_eq!((&answer["bytecode"], &answer["root"]), (&json!(true), &json!(["app.py"])));
    let packages = format!("/opt/python/lib/python{version}/site-packages");
    let path: Vec<&str> = answer["path"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let (first, rest) = path.split_at(4);
    assert_eq!(first, ["/var/task", &packages, "/opt/python", "/var/runtime"]);
    // The standard library, the environment's own packages; layers that are not there come once more, as on Lambda.
    let (library, last) = rest.split_at(3);
    assert!(library.iter().all(|path| path.contains("/lib/python3")), "{path:?}");
    assert_eq!(last, [&format!("/var/lang/lib/python{version}/site-packages"), &packages, "/opt/python"]);
    let expected_finders = json!(["BuiltinImporter", "FrozenImporter", "PathFinder"]);
    assert_eq!(answer["finders"], expected_finders);
    let names: Vec<&String> = answer["environ"].as_object().unwrap().keys().collect();
    assert!(names.iter().all(|name| !name.to_lowercase().contains("glowplug")), "{names:?}");
    let environ = &answer["environ"];
    assert_eq!((&environ["STAGE"], &environ["PYTHONPATH"]), (&json!("test"), &json!("/var/runtime")));
    assert_eq!(environ["TZ"], ":UTC");
    for absent in ["CARGO", "USER", "AWS_PROFILE", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"] {
        assert!(environ.get(absent).is_none(), "{absent}");
    }
    assert_eq!((&answer["fds"], &answer["stdin"]), (&json!(["0", "1", "2"]), &json!("/dev/null")));
}

#[test]
fn the_tree_is_read_only_and_tmp_is_private() {
    let source = "
import errno, os
def refused(path):
    try:
        open(path, 'w').close()
    except OSError as error:
        return errno.errorcode[error.errno]
def handler(event, context):
    os.makedirs('/tmp/cache/deep', exist_ok=True)
    with open('/tmp/cache/x.txt', 'w') as f:
        f.write('hello')
    os.symlink('x.txt', '/tmp/cache/link')
    return {'tmp': sorted(os.listdir('/tmp')), 'task': refused('/var/task/new'), 'usr': refused('/usr/new'),
            'opt': refused('/opt/new'), 'home': refused(os.path.expanduser('~/new')), 'pid': os.getpid(),
            'self': os.readlink('/proc/self')}
";
    let function = Function::new(source);
    let (invocation, finished) = function.once("{}");
    let answer = success(&invocation, &finished.log);
    if !engine().capabilities().mounts {
        println!("this host allows no view of its own");
        return;
    }
    assert_eq!(answer["tmp"], json!(["cache"]));
    for place in ["task", "usr", "opt", "home"] {
        assert_eq!(answer[place], "EROFS", "{place}");
    }
    assert_eq!((&answer["pid"], &answer["self"]), (&json!(2), &json!("2")));
    let tmp: Vec<(&str, &str)> =
        finished.tmp.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
    assert_eq!(
        tmp,
        [
            ("cache", "dir"),
            ("cache/deep", "dir"),
            ("cache/link", "link:x.txt"),
            ("cache/x.txt", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ]
    );
    assert!(!function.root.join("tree/new").exists());
}

#[test]
fn layers_lie_over_each_other_and_pth_files_count() {
    let source = "import one, two, three\ndef handler(e, c):\n    return [one.V, two.V, three.V]\n";
    let version = any_python().version;
    let packages = format!("b/python/lib/python{version}/site-packages");
    let function = Function::new(source)
        .file("a/python/one.py", "V = 'a'\n")
        .file("a/python/two.py", "V = 'a'\n")
        .file(&format!("{packages}/two.py"), "V = 'b'\n")
        .file("tree/extra.pth", "vendored\n")
        .file("tree/vendored/three.py", "V = 'pth'\n");
    let layers = vec![function.root.join("a"), function.root.join("b")];
    let function = function.with(|spec| spec.layers = layers);
    assert_eq!(function.answer("{}"), json!(["a", "b", "pth"]));
}

#[test]
fn the_hash_seed_makes_runs_repeatable() {
    let source = "def handler(e, c):\n    return hash('glowplug')\n";
    let run = |seed| Function::new(source).with(|spec| spec.hash_seed = Some(seed)).answer("{}");
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn an_agent_is_loaded_before_the_runtime_client_and_writes_to_its_file() {
    let agent = "
import sys
def install(config):
    out = open(config['output'], 'w')
    out.write('%s %s' % (config['word'], 'awslambdaric' in sys.modules))
    out.close()
    sys.agent_was_here = True
";
    let source = "import os, sys\ndef handler(e, c):\n    return [sys.agent_was_here, sorted(os.listdir('/proc/self/fd'))[:5]]\n";
    let function = Function::new(source).file("agent.py", agent);
    let (source, output) = (function.root.join("agent.py"), function.root.join("output"));
    let config = json!({"output": output, "word": "d\u{e9}j\u{e0}\n\"vu\"", "on": true, "none": null});
    let function = function.with(|spec| spec.agent = Some(AgentSpec { source, config }));
    assert_eq!(function.answer("{}")[0], true);
    assert_eq!(fs_err::read_to_string(&output).unwrap(), "d\u{e9}j\u{e0}\n\"vu\" False");
}

#[test]
fn bytecode_is_written_only_when_asked_for() {
    let source = "import helper\ndef handler(e, c):\n    return 1\n";
    for write in [false, true] {
        let function =
            Function::new(source).file("tree/helper.py", "").with(|spec| spec.write_bytecode = write);
        assert_eq!(function.answer("{}"), 1);
        assert_eq!(function.root.join("tree/__pycache__").exists(), write);
    }
}

#[test]
fn environments_run_side_by_side() {
    let function = Function::new(
        "import os\ndef handler(e, c):\n    open('/tmp/x', 'a').write(e)\n    return open('/tmp/x').read()\n",
    );
    let function = &function;
    std::thread::scope(|scope| {
        let runs: Vec<_> = ["a", "b", "c", "d"]
            .map(|letter| scope.spawn(move || function.answer(&format!("\"{letter}\""))))
            .into_iter()
            .collect();
        let answers: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert_eq!(answers, ["a", "b", "c", "d"]);
    });
}

#[test]
fn with_fewer_rights_the_same_function_gives_the_same_answers() {
    let source = "
import os, socket
open('/tmp/x' if 'TMPDIR' not in os.environ else os.environ['TMPDIR'] + '/x', 'w').close()
def handler(event, context):
    return [event, os.getcwd() == os.environ['LAMBDA_TASK_ROOT'], socket.socket().connect_ex(('192.0.2.1', 80)),
            os.listdir(os.path.expanduser('~')), os.getuid()]
";
    for engine in [Engine::unprivileged().unwrap(), Engine::plain().unwrap()] {
        println!("{:?}", engine.capabilities());
        let engine = Arc::new(engine);
        let function = Function::new(source).file("layer/python/extra.py", "").by(&engine);
        let layers = vec![function.root.join("layer")];
        let function = function.with(|spec| spec.layers = layers);
        let (mut environment, init) = function.start();
        assert_eq!(init.outcome, InitOutcome::Ready, "{}", String::from_utf8_lossy(&environment.log()));
        let invocation = environment.invoke(b"7").unwrap();
        let answer = success(&invocation, &environment.log());
        let own = rustix::process::getuid().as_raw();
        let reached = if engine.capabilities().network_policy { 101 } else { answer[2].as_i64().unwrap() };
        assert_eq!(answer, json!([7, true, reached, [], own]));
        let finished = environment.finish().unwrap();
        assert_eq!(finished.tmp.keys().collect::<Vec<_>>(), ["x"]);
    }
}

#[test]
fn without_namespaces_descendants_are_swept() {
    let engine = Arc::new(Engine::plain().unwrap());
    let source = "
import os, time
def handler(event, context):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        os.wait()
    return 1
";
    let marker = format!("GLOWPLUG_SWEPT_{}", std::process::id());
    let function = Function::new(source)
        .by(&engine)
        .with(|spec| drop(spec.environment.insert(marker.clone(), "1".to_owned())));
    let mut environment = function.ready();
    assert_eq!(success(&environment.invoke(b"{}").unwrap(), &environment.log()), 1);
    assert_eq!(with_variable(&marker), 4);
    environment.finish().unwrap();
    assert_eq!(with_variable(&marker), 0);
}
