//! Extensions that are programs, from their start to their end.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use fs_err as fs;
use glowplug_engine::{Network, Outcome};
use serde_json::json;

use crate::support::{Function, success};

/// Notes in `/tmp` that it is there, and why it ends.
const PROGRAM: &str = r#"
import http.client, json, os, sys
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
def ask(method, path, body, headers):
    client = http.client.HTTPConnection(HOST, int(PORT))
    client.request(method, "/2020-01-01/extension" + path, body, headers)
    answer = client.getresponse()
    return answer.headers, json.loads(answer.read())
name = {"Lambda-Extension-Name": os.path.basename(sys.argv[0])}
headers, _ = ask("POST", "/register", json.dumps({"events": ["SHUTDOWN"]}), name)
me = {"Lambda-Extension-Identifier": headers["Lambda-Extension-Identifier"]}
open("/tmp/started", "a").write("1")
_, event = ask("GET", "/event/next", None, me)
open("/tmp/" + event["shutdownReason"], "w").close()
"#;

const APP: &str = "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: open('/tmp/signalled', 'w').close())\ndef handler(event, context):\n    time.sleep(event.get('sleep', 0))\n    if event.get('exit'):\n        os._exit(1)\n    return sorted(os.listdir('/tmp')) + [open('/tmp/started').read()]\n";

fn function(program: &str) -> Function {
    let function = Function::new(APP);
    let path = function.root.join("layer/extensions/watch");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let interpreter = &glowplug_test::newest().path;
    fs::write(&path, format!("#!{interpreter}\n{program}")).unwrap();
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let layer = function.root.join("layer");
    function.with(|spec| {
        spec.layers = vec![layer];
        spec.network = Network::Allow;
        spec.timeout = Duration::from_secs(2);
    })
}

#[test]
fn they_start_before_the_function_and_hear_why_they_end() {
    let function = function(PROGRAM);
    if !function.engine.capabilities().mounts {
        println!("this host has no `/opt` of its own for them");
        return;
    }
    let mut environment = function.ready();
    let mut ask = |event: &serde_json::Value| environment.invoke(event.to_string().as_bytes()).unwrap();
    assert_eq!(success(&ask(&json!({})), b""), json!(["started", "1"]));
    assert!(matches!(ask(&json!({"sleep": 60})).outcome, Outcome::TimedOut(_)));
    // Started anew with the runtime, and told why; the runtime hears a signal, as on Lambda where there are extensions.
    assert_eq!(success(&ask(&json!({})), b""), json!(["signalled", "started", "timeout", "11"]));
    assert!(matches!(ask(&json!({"exit": 1})).outcome, Outcome::Exited(_)));
    let again = success(&ask(&json!({})), b"");
    assert_eq!(again, json!(["failure", "signalled", "started", "timeout", "111"]));
    let left = environment.finish().unwrap().tmp;
    assert!(left.contains_key("spindown"), "{left:?}");
}

#[test]
fn others_do_not_start_them() {
    let function = function(PROGRAM).with(|spec| spec.extensions = false);
    let (invocation, finished) = function.with(|spec| spec.timeout = Duration::from_secs(30)).once("{}");
    assert!(matches!(invocation.outcome, Outcome::HandlerError(_)), "{:?}", invocation.outcome);
    assert!(!finished.tmp.contains_key("started"));
}
