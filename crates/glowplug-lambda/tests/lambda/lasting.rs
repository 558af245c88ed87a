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
fn versions_of_paths_are_there_when_the_path_is_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let (state, code) = (folder.join("state"), folder.join("code"));
    fs_err::create_dir(&code).unwrap();
    let write = |says: &str| {
        let source = format!("def handler(e, c):\n    return ['{says}', c.function_version]\n");
        fs_err::write(code.join("app.py"), source).unwrap();
    };
    let says = |running: &Running, name: &str| {
        ask("POST", running, &format!("/2015-03-31/functions/{name}/invocations"), &json!({}))
    };
    write("one");
    {
        let running = Running::start(Some(&state));
        running.add("p", &code, "1");
        let published = ask("POST", &running, "/2015-03-31/functions/p/versions", &json!({}));
        assert_eq!((published.0, &published.1["Version"]), (201, &json!("1")));
        let alias = json!({"Name": "live", "FunctionVersion": "1"});
        assert_eq!(ask("POST", &running, "/2015-03-31/functions/p/aliases", &alias).0, 201);
        // A version stays as it is, though the path changes.
        write("two");
        running.add("p", &code, "2");
        assert_eq!(says(&running, "p:live"), (200, json!(["one", "1"])));
        assert_eq!(says(&running, "p"), (200, json!(["two", "$LATEST"])));
        // Neither has a zip: one is the path, the other the account's copy.
        for (name, path) in [("p", Some(&code)), ("p:live", None)] {
            let (_, got) = ask("GET", &running, &format!("/2015-03-31/functions/{name}"), &Value::Null);
            let place = got["Code"]["Location"].as_str().unwrap().strip_prefix("file://").unwrap();
            assert!(Utf8Path::new(place).join("app.py").is_file(), "{got}");
            assert!(path.is_none_or(|path| path == place), "{got}");
        }
    }
    {
        let running = Running::start(Some(&state));
        assert_eq!(says(&running, "p").0, 404, "nobody has given the path");
    }
    write("three");
    let running = Running::start(Some(&state));
    running.add("p", &code, "3");
    assert_eq!(says(&running, "p:live"), (200, json!(["one", "1"])));
    assert_eq!(says(&running, "p"), (200, json!(["three", "$LATEST"])));
    let published = ask("POST", &running, "/2015-03-31/functions/p/versions", &json!({}));
    assert_eq!(published.1["Version"], json!("2"), "numbers are never given twice");
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
        ("GET", "/2024-08-31/functions/f/recursion-config"),
    ] {
        let (status, body) = ask(method, &running, path, &Value::Null);
        assert_eq!((status, &body["message"]), (404, &json!("This operation is not served here.")), "{path}");
    }
}
