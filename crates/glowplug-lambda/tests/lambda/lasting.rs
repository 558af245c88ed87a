//! What outlives a service, and where the emulator's clients look for it.

use camino::Utf8Path;
use serde_json::{Value, json};

use crate::support::Running;

/// Asks over HTTP: status and body.
fn ask(method: &str, running: &Running, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}{path}", running.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = match method {
        "GET" => agent.get(&url).call().unwrap(),
        "PUT" => agent.put(&url).send(body.to_string()).unwrap(),
        _ => agent.post(&url).send(body.to_string()).unwrap(),
    };
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

/// A zip with `app.py`, in base64: stored, made by hand, since nothing here writes zips.
fn zip() -> String {
    use std::process::Command;
    let program = "import base64, io, zipfile\nf = io.BytesIO()\nz = zipfile.ZipFile(f, 'w')\nz.writestr('app.py', 'def handler(e, c):\\n    return e\\n')\nz.close()\nprint(base64.b64encode(f.getvalue()).decode())\n";
    let interpreter = &glowplug_test::newest().path;
    let done = Command::new(interpreter).args(["-c", program]).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn create(running: &Running) {
    let body = json!({
        "FunctionName": "f", "Runtime": format!("python{}", crate::support::python().version), "Role": "r",
        "Handler": "app.handler", "Code": {"ZipFile": zip()}, "Publish": true,
    });
    let (status, made) = ask("POST", running, "/2015-03-31/functions", &body);
    assert_eq!(status, 201, "{made}");
}

#[test]
fn functions_are_there_when_the_service_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    {
        let running = Running::start(Some(folder));
        create(&running);
        let alias = json!({"Name": "live", "FunctionVersion": "1"});
        assert_eq!(ask("POST", &running, "/2015-03-31/functions/f/aliases", &alias).0, 201);
    }
    let running = Running::start(Some(folder));
    let (status, got) = ask("GET", &running, "/2015-03-31/functions/f?Qualifier=live", &Value::Null);
    assert_eq!((status, &got["Configuration"]["Version"]), (200, &json!("1")));
    let event = json!({"a": [1]});
    assert_eq!(ask("POST", &running, "/2015-03-31/functions/f:live/invocations", &event), (200, event));
}

#[test]
fn the_emulators_path_means_the_one_function() {
    let running = Running::start(None);
    create(&running);
    let event = json!({"a": "b"});
    assert_eq!(
        ask("POST", &running, "/2015-03-31/functions/function/invocations", &event),
        (200, event.clone())
    );
    assert_eq!(ask("POST", &running, "/2015-03-31/functions/f/invocations", &event), (200, event));
}

#[test]
fn what_is_not_served_is_said() {
    let running = Running::start(None);
    for (method, path) in [
        ("POST", "/2015-03-31/event-source-mappings"),
        ("POST", "/"),
        ("GET", "/2020-06-30/functions/f/code-signing-config"),
    ] {
        let (status, body) = ask(method, &running, path, &Value::Null);
        assert_eq!((status, &body["message"]), (404, &json!("This operation is not served here.")), "{path}");
    }
}
