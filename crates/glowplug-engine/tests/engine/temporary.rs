//! `/tmp`: its size, what is kept there, and that its disk goes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glowplug_engine::{Engine, Identity, SnapshotSpec, Started};
use serde_json::{Value, json};

use crate::support::{Function, engine, success};

/// Fills `/tmp` and says how many MB went in, and what the system said then; empties it if asked.
const FILL: &str = r#"
import os, shutil
def handler(event, context):
    size, block = 0, b"x" * (1 << 20)
    try:
        with open("/tmp/" + event["to"], "wb", 0) as file:
            while size < event["most"] << 20:
                size += file.write(block)
        error = None
    except OSError as failure:
        error = failure.strerror
    if event.get("remove"):
        os.unlink("/tmp/" + event["to"])
    return [size >> 20, error, sorted(os.listdir("/tmp"))]
"#;

/// Whether disks can be had; says so where not.
fn enforced(engine: &Engine) -> bool {
    engine.temporary_limit().inspect_err(|why| println!("{why}")).is_ok()
}

fn sized(source: &str, size_mb: u32) -> Function {
    Function::new(source).with(|spec| spec.temporary_mb = Some(size_mb))
}

fn ask(environment: &mut glowplug_engine::Environment, event: &Value) -> Value {
    success(&environment.invoke(event.to_string().as_bytes()).unwrap(), b"")
}

#[test]
fn a_full_tmp_says_so_and_has_room_again() {
    let function = sized(FILL, 512).with(|spec| spec.memory_mb = 128);
    if !enforced(&function.engine) {
        return;
    }
    let mut environment = function.ready();
    let full = ask(&mut environment, &json!({"to": "all", "most": 4096, "remove": true}));
    let size = full[0].as_u64().unwrap();
    assert!((512..=520).contains(&size), "{full}");
    assert_eq!((&full[1], &full[2]), (&json!("No space left on device"), &json!([])));
    let again = ask(&mut environment, &json!({"to": "half", "most": 256}));
    assert_eq!(again, json!([256, null, ["half"]]));
    let another = ask(&mut function.ready(), &json!({"to": "one", "most": 1}));
    assert_eq!(another, json!([1, null, ["one"]]), "each environment has its own");
}

#[test]
fn a_larger_tmp_holds_more() {
    let function = sized(FILL, 600);
    if !enforced(&function.engine) {
        return;
    }
    let full = ask(&mut function.ready(), &json!({"to": "all", "most": 4096}));
    assert!((600..=608).contains(&full[0].as_u64().unwrap()), "{full}");
}

#[test]
fn files_outlive_the_process_and_not_the_environment() {
    let source = "
import os
def handler(event, context):
    if event == 'exit':
        open('/tmp/kept', 'w').write('1')
        os._exit(1)
    return [oct(os.stat('/tmp').st_mode), os.path.exists('/tmp/kept'), os.access('/tmp', os.W_OK), os.listdir('/tmp')]
";
    let function = sized(source, 512);
    let mut environment = function.ready();
    environment.invoke(br#""exit""#).unwrap();
    assert_eq!(ask(&mut environment, &json!(1)), json!(["0o41777", true, true, ["kept"]]));
    drop(environment);
    assert_eq!(ask(&mut function.ready(), &json!(1)), json!(["0o41777", false, true, []]));
}

#[test]
fn no_function_sees_a_disk_of_the_host() {
    let source = "
import os, stat
def handler(event, context):
    open('/dev/null', 'wb').write(b'x')
    os.urandom(1) and open('/dev/urandom', 'rb').read(1)
    found = [os.path.join('/dev', name) for name in os.listdir('/dev')]
    return [path for path in found if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode)]
";
    assert_eq!(sized(source, 512).answer("1"), json!([]));
}

#[test]
fn forks_have_disks_with_what_init_wrote() {
    let source = format!("open('/tmp/made', 'w').write('by init')\n{FILL}");
    let function = sized(&source, 512);
    let engine = &function.engine;
    if !enforced(engine) || engine.capabilities().forks().is_err() {
        return;
    }
    let (started, _, _) = engine.start_template(&function.spec, &SnapshotSpec::default()).unwrap();
    let Started::Template(template) = started else { panic!("{started:?}") };
    for _ in 0..2 {
        let (mut fork, _) = template.fork(Identity::default()).unwrap();
        let full = ask(&mut fork, &json!({"to": "all", "most": 4096}));
        assert!((511..=520).contains(&full[0].as_u64().unwrap()), "{full}");
        assert_eq!((&full[1], &full[2]), (&json!("No space left on device"), &json!(["all", "made"])));
    }
}

#[test]
fn without_root_tmp_has_no_size_and_that_is_said() {
    let engine = Arc::new(Engine::unprivileged().unwrap());
    let why = engine.temporary_limit().unwrap_err();
    assert!(why.starts_with("the size of `/tmp` is not enforced: "), "{why}");
    let full = ask(&mut sized(FILL, 512).by(&engine).ready(), &json!({"to": "x", "most": 1}));
    assert_eq!(full, json!([1, null, ["x"]]));
}

/// Set where this program is to be killed.
const DOOMED: &str = "GLOWPLUG_TEST_DOOMED";

/// Files of loop devices, by what the kernel says of them.
fn devices() -> BTreeSet<String> {
    let blocks = std::path::Path::new("/sys/block").read_dir().into_iter().flatten().flatten();
    blocks.filter_map(|block| fs_err::read_to_string(block.path().join("loop/backing_file")).ok()).collect()
}

#[test]
fn a_killed_engine_leaves_no_disk() {
    if std::env::var_os(DOOMED).is_some() {
        let function = sized(FILL, 512);
        let mut environment = function.ready();
        ask(&mut environment, &json!({"to": "x", "most": 1}));
        println!("ready {:?}", function.engine);
        // Until the test that has started this is gone.
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
    if !enforced(&engine()) {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "temporary::a_killed_engine_leaves_no_disk", "--nocapture"])
        .env(DOOMED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("ready ")).unwrap();
    let folder = line.split('"').find(|part| part.contains("/glowplug-engine-")).unwrap().to_owned();
    let of_it = || devices().into_iter().filter(|file| file.starts_with(&folder)).collect::<Vec<_>>();
    assert!(!of_it().is_empty(), "{:?} in {folder}", devices());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !of_it().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", of_it());
        std::thread::sleep(Duration::from_millis(20));
    }
    // What else it left the next one removes.
    drop(Engine::new().unwrap());
    assert!(!std::path::Path::new(&folder).exists());
}
