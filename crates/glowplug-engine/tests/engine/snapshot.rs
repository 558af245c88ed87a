//! Environments that are forks of an initialised process.

use std::sync::Arc;

use glowplug_engine::{Environment, Identity, InitOutcome, Outcome, SnapshotSpec, Started, Template};
use serde_json::{Value, json};

use crate::support::{Function, engine, exit, success, with_variable};

fn possible() -> bool {
    let possible = engine().capabilities().forks();
    if let Err(missing) = possible {
        println!("this host cannot keep forks apart: {missing}");
    }
    possible.is_ok()
}

fn started(function: &Function, event: Option<&str>) -> Started {
    let snapshot = SnapshotSpec { warm_event: event.map(str::to_owned) };
    let (started, init, output) = function.engine.start_template(&function.spec, &snapshot).unwrap();
    assert!(init.outcome == InitOutcome::Ready, "{:?} {}", init.outcome, String::from_utf8_lossy(&output));
    started
}

fn template(function: &Function) -> Arc<Template> {
    match started(function, None) {
        Started::Template(template) => template,
        Started::Refused(reasons) => panic!("{reasons:?}"),
    }
}

fn fork(template: &Arc<Template>) -> Environment {
    let (environment, init) = template.fork(Identity::default()).unwrap();
    let log = String::from_utf8_lossy(&environment.log()).into_owned();
    assert!(init.outcome == InitOutcome::Ready, "{:?} {log}", init.outcome);
    environment
}

fn ask(environment: &mut Environment, event: &Value) -> Value {
    let invocation = environment.invoke(event.to_string().as_bytes()).unwrap();
    success(&invocation, &environment.log())
}

const STATE: &str = "
import os, random, subprocess, sys, uuid
import snapshot_restore_py as snapshot
SAID = []
@snapshot.register_before_snapshot
def before():
    SAID.append('before')
@snapshot.register_after_restore
def after():
    SAID.append('after %d' % os.getpid())
MADE = os.getpid()
FILE = open(__file__)
COUNT = 0
def handler(event, context):
    global COUNT
    COUNT += 1
    if event.get('exit') is not None:
        os._exit(event['exit'])
    if 'print' in event:
        print(event['print'])
    if 'sleep' in event:
        import time
        time.sleep(event['sleep'])
    if 'write' in event:
        open('/tmp/' + event['write'], 'w').close()
    if 'leave' in event:
        subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True, env={'SNAPSHOT_LEFT': '1'})
    here = os.getpid()
    return {'count': COUNT, 'forked': MADE != here, 'said': [text.replace(str(here), 'here') for text in SAID],
            'random': random.random(), 'line': FILE.readline(), 'tmp': sorted(os.listdir('/tmp')), 'pid': here,
            'modules': [name for name in ('ctypes', '_ctypes') if name in sys.modules], 'uid': os.getuid(),
            'forks': os.listdir('/var/forks'), 'kind': os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'],
            'stream': 'AWS_LAMBDA_LOG_STREAM_NAME' in os.environ, 'key': 'AWS_ACCESS_KEY_ID' in os.environ,
            'child': subprocess.run(['/bin/sh', '-c', 'ls /tmp'], capture_output=True, text=True).stdout.split()}
";

#[test]
fn forks_share_what_init_made_and_nothing_after_it() {
    if !possible() {
        return;
    }
    let function = Function::new(STATE);
    let template = template(&function);
    assert_eq!(template.notes(), &[] as &[String]);
    let (mut one, mut two) = (fork(&template), fork(&template));
    let (first, other) = (ask(&mut one, &json!({"write": "one"})), ask(&mut two, &json!({"write": "two"})));
    assert_eq!((&first["count"], &first["forked"]), (&json!(1), &json!(true)));
    assert_eq!(first["said"], json!(["before", "after here"]));
    assert_eq!((&first["tmp"], &other["tmp"]), (&json!(["one"]), &json!(["two"])));
    assert_eq!((&first["child"], &other["child"]), (&json!(["one"]), &json!(["two"])));
    assert_ne!(first["random"], other["random"]);
    assert_ne!(first["pid"], other["pid"]);
    // Each reads the file from its beginning.
    assert_eq!((&first["line"], &other["line"]), (&json!("\n"), &json!("\n")));
    assert_eq!((&first["modules"], &first["forks"]), (&json!([]), &json!([])));
    assert_eq!(
        (&first["kind"], &first["stream"], &first["key"]),
        (&json!("snap-start"), &json!(false), &json!(false))
    );
    assert_eq!(first["uid"], json!(rustix::process::getuid().as_raw()));
    let again = ask(&mut one, &json!({"print": "hello"}));
    assert_eq!((&again["count"], &again["tmp"]), (&json!(2), &json!(["one"])));
    assert!(String::from_utf8_lossy(&one.log()).contains("hello"));
    assert!(!String::from_utf8_lossy(&two.log()).contains("hello"));
}

#[test]
fn forks_end_and_come_back_apart() {
    if !possible() {
        return;
    }
    let function = Function::new(STATE).with(|spec| spec.timeout = std::time::Duration::from_secs(2));
    let template = template(&function);
    let (mut one, mut two) = (fork(&template), fork(&template));
    ask(&mut one, &json!({"write": "kept", "leave": 1}));
    assert_eq!(with_variable("SNAPSHOT_LEFT="), 1);
    let told = one.invoke(b"{\"exit\": 7}").unwrap();
    assert!(exit(&told).contains("exit status 7"), "{}", exit(&told));
    // Restored anew, with its files.
    let back = ask(&mut one, &json!({}));
    assert_eq!((&back["count"], &back["tmp"]), (&json!(1), &json!(["kept"])));
    assert_eq!(with_variable("SNAPSHOT_LEFT="), 0);
    let late = one.invoke(b"{\"sleep\": 60}").unwrap();
    assert!(matches!(late.outcome, Outcome::TimedOut(_)), "{:?}", late.outcome);
    assert_eq!(ask(&mut one, &json!({}))["count"], 1);
    assert_eq!(ask(&mut two, &json!({}))["count"], 1);
    drop(one);
    assert_eq!(ask(&mut two, &json!({}))["count"], 2);
    drop(template);
    // It is there as long as its forks are.
    assert_eq!(ask(&mut two, &json!({}))["count"], 3);
}

#[test]
fn what_init_wrote_is_in_every_fork() {
    if !possible() {
        return;
    }
    let source = "
import os, tempfile
os.makedirs('/tmp/a/b')
open('/tmp/a/b/one', 'w').write('1')
os.symlink('a/b/one', '/tmp/link')
LOG = open('/tmp/log', 'w+')
LOG.write('init ')
LOG.flush()
def handler(event, context):
    LOG.write(event)
    LOG.flush()
    return [open('/tmp/link').read(), open('/tmp/log').read()]
";
    let function = Function::new(source);
    let template = template(&function);
    let (mut one, mut two) = (fork(&template), fork(&template));
    assert_eq!(ask(&mut one, &json!("x")), json!(["1", "init x"]));
    assert_eq!(ask(&mut two, &json!("y")), json!(["1", "init y"]));
    assert_eq!(ask(&mut one, &json!("z")), json!(["1", "init xz"]));
}

#[test]
fn a_warm_event_is_served_before() {
    if !possible() {
        return;
    }
    let function = Function::new(STATE);
    let Started::Template(template) = started(&function, Some("{\"write\": \"warm\"}")) else {
        panic!("it was refused")
    };
    let answer = ask(&mut fork(&template), &json!({}));
    assert_eq!((&answer["count"], &answer["tmp"]), (&json!(2), &json!(["warm"])));
    assert_eq!(answer["said"], json!(["before", "after here"]));
    let failing = Function::new("def handler(event, context):\n    raise KeyError(event)\n");
    let Started::Refused(reasons) = started(&failing, Some("1")) else { panic!("it was forked") };
    assert_eq!(reasons, ["the warm event failed: KeyError: 1"]);
}

#[test]
fn what_cannot_be_shared_is_refused_by_name() {
    if !possible() {
        return;
    }
    let cases = [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), name='ticker', daemon=True).start()",
            "a live thread, `ticker`",
        ),
        (
            "import socket\nS = socket.create_server(('127.0.0.1', 0))\nC = socket.create_connection(S.getsockname())",
            "an open network socket to 127.0.0.1:",
        ),
        ("import asyncio\nL = asyncio.new_event_loop()", "an event loop (epoll)"),
        ("import os\nP = os.pipe()", "an open pipe"),
        ("import tempfile\nT = tempfile.TemporaryFile()", "an open file that has no name any more, `/tmp/"),
        (
            "import sqlite3\nB = sqlite3.connect('/tmp/b')\nB.execute('create table t (n)')\nB.commit()",
            "an open database, `/tmp/b`",
        ),
        ("import mmap\nM = mmap.mmap(-1, 4096)", "memory that is shared, `/dev/zero (deleted)`"),
        ("import subprocess\nC = subprocess.Popen(['/bin/sleep', '99'])", "another process, `sleep`"),
    ];
    for (source, expected) in cases {
        let function = Function::new(&format!("{source}\ndef handler(event, context):\n    return event\n"));
        let Started::Refused(reasons) = started(&function, None) else { panic!("forked: {source}") };
        assert!(reasons.iter().any(|reason| reason.starts_with(expected)), "{expected}: {reasons:?}");
    }
}

#[test]
fn what_init_leaves_does_not_stand_in_the_way() {
    if !possible() {
        return;
    }
    let source = "
import http.client, os, signal, tempfile
from urllib.parse import urlparse
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.alarm(2)
NAMED = tempfile.NamedTemporaryFile('w+')
os.chdir('/tmp')
# As the SDKs do when a client is made.
PLACE = urlparse(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
CALLER = http.client.HTTPConnection(PLACE.netloc)
CALLER.request('GET', PLACE.path, headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})
KEY = CALLER.getresponse().read()
def handler(event, context):
    NAMED.write(event)
    NAMED.flush()
    open('relative', 'a').write(event)
    kept = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    return [open(NAMED.name).read(), open('/tmp/relative').read(), b'AccessKeyId' in KEY, kept]
";
    let function = Function::new(source);
    let template = template(&function);
    let (mut one, mut two) = (fork(&template), fork(&template));
    assert_eq!(ask(&mut one, &json!("a")), json!(["a", "a", true, true]));
    // Longer than the timer of init.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(ask(&mut two, &json!("b")), json!(["b", "b", true, true]));
    assert_eq!(ask(&mut one, &json!("c")), json!(["ac", "ac", true, true]));
}

#[test]
fn what_cannot_be_forked_runs_no_hook_of_a_restore() {
    if !possible() {
        return;
    }
    let source = "import os, snapshot_restore_py\nP = os.pipe()\n@snapshot_restore_py.register_after_restore\ndef hook():\n    print('restored')\ndef handler(e, c):\n    return 1\n";
    let function = Function::new(source);
    let snapshot = SnapshotSpec::default();
    let (started, _, output) = function.engine.start_template(&function.spec, &snapshot).unwrap();
    assert!(matches!(started, Started::Refused(_)));
    assert!(!String::from_utf8_lossy(&output).contains("restored"), "{}", String::from_utf8_lossy(&output));
}

#[test]
fn what_is_left_running_by_init_is_refused() {
    if !possible() {
        return;
    }
    let source = "import subprocess\nsubprocess.run(['/bin/sh', '-c', '(sleep 99) >/dev/null 2>&1 &'])\ndef handler(e, c):\n    return 1\n";
    let function = Function::new(source);
    let Started::Refused(reasons) = started(&function, None) else { panic!("it was forked") };
    assert_eq!(reasons, ["another process, `sleep`"]);
}

#[test]
fn environments_of_a_snapshot_that_is_gone_say_so() {
    if !possible() {
        return;
    }
    let source = "import os\ndef handler(event, context):\n    if event:\n        os.kill(os.getppid(), 9)\n        __import__('time').sleep(60)\n    return 1\n";
    let function = Function::new(source);
    let template = template(&function);
    let (mut one, two) = (fork(&template), fork(&template));
    assert!(!two.is_orphaned());
    let told = one.invoke(b"1").unwrap();
    assert!(exit(&told).contains("signal: killed"), "{}", exit(&told));
    // The end is noticed in a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !template.is_gone() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(template.is_gone() && two.is_orphaned() && template.fork(Identity::default()).is_err());
}

#[test]
fn generators_of_init_are_told_of() {
    if !possible() {
        return;
    }
    let source = "import random\nclass Mine(random.Random):\n    pass\nR = Mine(3)\nS = random.SystemRandom()\ndef handler(event, context):\n    return R.random()\n";
    let function = Function::new(source);
    let template = template(&function);
    let [note] = template.notes() else { panic!("{:?}", template.notes()) };
    assert!(note.starts_with("1 `app.Mine` made at init: "), "{note}");
}

#[test]
fn hooks_that_fail_are_errors() {
    if !possible() {
        return;
    }
    let hook = |name: &str| {
        let source = format!(
            "import snapshot_restore_py\n@snapshot_restore_py.{name}\ndef hook():\n    raise ValueError('no')\ndef handler(e, c):\n    return 1\n"
        );
        Function::new(&source)
    };
    let function = hook("register_before_snapshot");
    let (_, init, _) = function.engine.start_template(&function.spec, &SnapshotSpec::default()).unwrap();
    let InitOutcome::Error { error_type, .. } = &init.outcome else { panic!("{:?}", init.outcome) };
    assert_eq!(error_type, "ValueError");
    let function = hook("register_after_restore");
    let template = template(&function);
    let (mut environment, init) = template.fork(Identity::default()).unwrap();
    assert!(matches!(init.outcome, InitOutcome::Error { .. }), "{:?}", init.outcome);
    let told = environment.invoke(b"{}").unwrap();
    assert!(matches!(told.outcome, Outcome::HandlerError(_)), "{:?}", told.outcome);
}
