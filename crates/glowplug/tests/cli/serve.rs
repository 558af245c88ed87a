//! `glowplug serve`: what it prints, that it serves, that it watches, that nothing of it stays.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PYTHON, Project, SmallDisk};

const APP: &str =
    "import os\nprint('loading')\ndef handler(event, context):\n    return {'says': 'one', 'event': event}\n";

/// Invokes that `slow_faults` makes.
const FAULTS: &str = "10000";

/// The program, serving; ended with the test, whatever becomes of that.
pub(crate) struct Serving {
    child: Option<Child>,
    address: String,
    pub(crate) first: Value,
}

impl Serving {
    pub(crate) fn start(project: &Project, more: &[&str]) -> Self {
        Self::start_with(project, more, &[])
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same, without a scheme.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same with more variables.
    fn start_with(project: &Project, more: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_of(project, "function", more, variables)
    }

    /// The same of another path.
    pub(crate) fn start_of(project: &Project, path: &str, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = [&["serve", path, "--port", "0", "--format", "json", "--price", "-q"], more].concat();
        let mut command = project.command(&arguments);
        command.envs(variables.iter().copied());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it does not serve: {:?}", child.wait_with_output());
        let first: Value = serde_json::from_str(&line).unwrap();
        let address = first["endpoint"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child: Some(child), address, first }
    }

    /// Invokes: the status, and the payload.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = event.to_string();
        write!(
            stream,
            "POST /2015-03-31/functions/{function}/invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// Ctrl-C: how it ended, and what it said at the end.
    pub(crate) fn stop(mut self) -> (Option<i32>, Value) {
        let child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_function_is_served_until_ctrl_c() {
    let project = Project::new(APP);
    let serving = Serving::start(&project, &[]);
    assert_eq!(serving.first["schema"], "glowplug.serve/1");
    assert_eq!(serving.first["functions"], json!(["demo"]));
    let event = json!({"a": [1, null]});
    for _ in 0..2 {
        assert_eq!(serving.invoke("demo", &event), (200, json!({"says": "one", "event": event})));
    }
    assert_eq!(serving.invoke("other", &event).0, 404);
    assert!(!project.running().is_empty());
    let (code, price) = serving.stop();
    assert_eq!(code, Some(0));
    assert_eq!(price["functions"]["demo"]["invokes"], 2);
    assert!(price["functions"]["demo"]["usd"].as_f64().unwrap() > 0.0, "{price}");
    assert_eq!(project.running(), Vec::<i32>::new());
    // The log that CloudWatch would keep.
    let logs: Vec<_> = fs_err::read_dir(project.root.join(".glowplug/logs/demo")).unwrap().collect();
    let [log] = logs.as_slice() else { panic!("{logs:?}") };
    let text = fs_err::read_to_string(log.as_ref().unwrap().path()).unwrap();
    assert!(text.starts_with("INIT_START ") && text.contains("\nloading\n"), "{text}");
    assert_eq!(text.matches("REPORT RequestId: ").count(), 2, "{text}");
}

#[test]
fn prices_of_ones_own_count() {
    let project = Project::new(APP);
    let built_in = include_str!("../../../glowplug-capacity/src/prices.toml");
    let table = built_in
        .replacen("usd_per_million = 0.20", "usd_per_million = 1_000_000", 1)
        .lines()
        .map(|line| if line.starts_with("dated") { "dated = \"2020-02-02\"" } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    project.write("mine.toml", &table);
    let serving = Serving::start(&project, &["--prices", "mine.toml", "--region", "ap-east-1"]);
    assert_eq!(serving.invoke("demo", &json!(1)).0, 200);
    let (_, price) = serving.stop();
    assert_eq!((&price["prices"], &price["region"]), (&"2020-02-02".into(), &"ap-east-1".into()));
    let usd = price["functions"]["demo"]["usd"].as_f64().unwrap();
    assert!((1.0..1.1).contains(&usd), "a dollar for the request: {price}");
    // What cannot be read is told before anything is served.
    project.write("mine.toml", table.replacen("[requests]", "[request]", 1));
    let text = project.fails(1, &["serve", "function", "--port", "0", "--prices", "mine.toml"]);
    assert!(text.contains("the table of prices cannot be read") && text.contains("mine.toml"), "{text}");
}

#[test]
fn what_changes_is_served_anew() {
    let project = Project::new(APP);
    let serving = Serving::start(&project, &["--watch"]);
    assert_eq!(serving.invoke("demo", &json!(1)).1["says"], "one");
    // What cannot be served is told, and the old one goes on.
    project.write("function/glowplug.toml", "handler = 7\n");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(serving.invoke("demo", &json!(1)).1["says"], "one");
    project.configure("");
    project.write("function/app.py", APP.replace("'one'", "'two'"));
    let mut says = Value::Null;
    for _ in 0..300 {
        says = serving.invoke("demo", &json!(1)).1["says"].clone();
        if says == "two" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(says, "two");
    // The configuration alone changes what is served too.
    let source = "def handler(e, c):\n    return {'says': c.memory_limit_in_mb}\n";
    project.write("function/app.py", source);
    for (memory, expected) in [("", "128"), ("memory = 256\n", "256")] {
        project.configure(memory);
        for _ in 0..300 {
            says = serving.invoke("demo", &json!(1)).1["says"].clone();
            if says == expected {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(says, expected);
    }
    assert_eq!(serving.stop().0, Some(0));
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn the_emulators_variables_are_read_in_its_place() {
    let source = "def other(e, c):\n    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.get_remaining_time_in_millis() > 6_000]\n";
    let project = Project::new(&(APP.to_owned() + source));
    let variables = [
        ("AWS_LAMBDA_FUNCTION_NAME", "theirs"),
        ("AWS_LAMBDA_FUNCTION_HANDLER", "app.other"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_TIMEOUT", "60"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
    ];
    let serving = Serving::start_with(&project, &["--rie"], &variables);
    assert_eq!(serving.first["functions"], json!(["theirs"]));
    assert_eq!(serving.invoke("function", &json!({})), (200, json!(["theirs", "7", "256", true])));
    assert_eq!(serving.stop().0, Some(0));
    // Elsewhere the configuration alone counts.
    let serving = Serving::start_with(&project, &[], &variables);
    assert_eq!(serving.invoke("demo", &json!(1)).1["says"], "one");
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn environments_come_from_a_snapshot_with_a_warm_event_in_it() {
    let can = glowplug_engine::Engine::new().unwrap().capabilities().clone();
    if let Err(missing) = can.forks() {
        println!("this host cannot keep forks apart: {missing}");
        return;
    }
    let source = "import os\nMADE, SEEN = os.getpid(), []\ndef handler(e, c):\n    SEEN.append(e)\n    return {'forked': os.getpid() != MADE, 'seen': SEEN}\n";
    let project = Project::new(source);
    project.write("warm.json", "\"warm\"");
    let serving = Serving::start(&project, &["--start", "snapshot", "--warm-event", "warm.json"]);
    let expected = json!({"forked": true, "seen": ["warm", "cold"]});
    assert_eq!(serving.invoke("demo", &json!("cold")), (200, expected));
    assert_eq!(serving.stop().0, Some(0));
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn a_warm_event_is_for_snapshots_and_is_json() {
    let project = Project::new(APP);
    project.write("warm.json", "{no");
    for (more, code, said) in [
        (&[][..], 2, "`--warm-event` is served before a snapshot"),
        (&["--start", "snapshot"][..], 1, "the warm event is no JSON"),
    ] {
        let arguments = [&["serve", "function", "--port", "0", "--warm-event", "warm.json"], more].concat();
        let output = project.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}

#[test]
fn people_read_where_it_is_and_what_is_enforced() {
    let project = Project::new(APP);
    let mut child = project
        .command(&["serve", "function", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.by_ref().take(4).collect();
    assert!(said[0].starts_with("Serving on http://127.0.0.1:"), "{said:?}");
    assert_eq!(said[1], "  demo");
    assert!(said[2].starts_with("Enforced: ") && said[3].starts_with("Not enforced: "), "{said:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_host_whose_disk_is_full_says_so_and_serves_on_when_there_is_room() {
    const WRITER: &str = "import os, time
def handler(event, context):
    time.sleep(event['sleep'])
    try:
        with open('/tmp/file', 'wb') as file:
            file.write(os.urandom(event['mb'] << 20))
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    os.remove('/tmp/file')
";
    let project = Project::new(WRITER);
    // The runtime client is there afterwards: fetching it takes room, too.
    drop(Serving::start(&project, &[]));
    let Some(small) = SmallDisk::mount(&project, "24m") else { return };
    let serving = Serving::start_with(&project, &[], &[("TMPDIR", small.0.as_str())]);
    let ask = |mb: u32, sleep: f64| serving.invoke("demo", &json!({ "mb": mb, "sleep": sleep }));
    assert_eq!(ask(1, 0.0), (200, Value::Null));
    let hog = small.0.join("hog");
    let mut file = fs_err::File::create(&hog).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // More at once than there are disks made beforehand.
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(8, 1.0))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    drop(file);
    fs_err::remove_file(&hog).unwrap();
    let again = ask(1, 0.0);
    let (code, _) = serving.stop();
    let left = small.holds();
    for (status, answer) in &answers {
        let told = if *status == 200 {
            // The disk below is full (28), which its file system may call an error of the device (5).
            [28, 5].map(Value::from).contains(answer)
        } else {
            let text = answer.to_string();
            *status == 500 && text.contains("No space left on device") && text.contains(small.0.as_str())
        };
        assert!(told, "{answers:?}");
    }
    assert!(answers.iter().any(|(status, _)| *status == 500), "{answers:?}");
    assert_eq!((again, code, left), ((200, Value::Null), Some(0), Vec::new()), "{answers:?}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let project = Project::new(APP);
    project.write("second/app.py", APP);
    project.write("second/glowplug.toml", project.read("function/glowplug.toml"));
    insta::assert_snapshot!(project.fails(2, &["serve", "function", "second"]), @r"
    error: two functions are called `demo`
      cause: function and second

    hint: give one of them another `name` in its `glowplug.toml`
    ");
    insta::assert_snapshot!(project.fails(2, &["serve", "--rie"]), @r"
    error: `--rie` serves one function
      cause: 0 were given

    hint: leave `--rie` out: every function has its own path then
    ");
    assert!(project.fails(1, &["serve", "nowhere"]).starts_with("error: "));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = project.run(&["serve", "function", "--port", &port, "--state", "s"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stderr.contains("cannot listen on 127.0.0.1:"), "{said:?}");
}

/// Ten thousand invokes of a function that does everything wrong, and a program that is killed on the way.
#[test]
fn slow_faults() {
    faults(FAULTS, &[]);
}

/// The same of forks.
#[test]
fn slow_faults_of_forks() {
    faults("3000", &["--start", "snapshot"]);
}

fn faults(invokes: &str, options: &[&str]) {
    let project = Project::empty();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/faults.py");
    let program = assert_cmd::cargo::cargo_bin!("glowplug");
    let done = Command::new("python3")
        .arg(script)
        .arg(program)
        .args([project.root.as_str(), PYTHON.as_str(), invokes])
        .args(options)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
