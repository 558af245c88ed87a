//! `glowplug tune --target aws` on a function that `glowplug serve` has: the same choice as here, and a function that is
//! afterwards what it was, whoever kills, interrupts, refuses or changes what.

use std::process::{Child, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::gate::{Api, DENIED, Gate};
use crate::serve::Serving;
use crate::support::{PLAIN, Project, signal};

/// Waits while the test does something.
const SLOW: &str = "import time\ndef handler(event, context):\n    time.sleep(2)\n";

/// Busy for a time of the processor's, whatever share of it there is, and then waits: more memory is faster by far and
/// costs more by far.
const BUSY: &str = "import time\n
def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass\n
work(0.1)\n
def handler(event, context):
    work(0.04)
    time.sleep(0.1)
";

fn tune<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["tune", "demo", "--target", "aws", "--yes", "--endpoint-url", url], more].concat()
}

/// A function of 512 MB with a version and an alias, served.
fn served(app: &str) -> (Project, Serving) {
    let project = Project::new(app);
    project.configure("memory = 512\ntimeout = 10\n");
    let serving = Serving::start(&project, &[]);
    Api(serving.address()).publish_live();
    (project, serving)
}

/// A tuning under way, as soon as `is_there` says so.
fn started(project: &Project, url: &str, more: &[&str], is_there: impl Fn() -> bool) -> Child {
    let mut command = project.command(&tune(url, more));
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !is_there() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where a document has no figure.
fn nulls(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(at.to_owned()),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| nulls(value, &format!("{at}.{name}"), found));
        }
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, value)| nulls(value, &format!("{at}[{index}]"), found));
        }
        _ => {}
    }
}

#[test]
fn slow_the_choice_behind_lambdas_api_is_the_one_that_is_made_here() {
    let project = Project::new(BUSY);
    project.configure("memory = 512\ntimeout = 30\n");
    project.write("empty.json", "{}");
    let serving = Serving::start(&project, &["--cpu", "share"]);
    if serving.first["enforced"]["cpu"] != true {
        println!("skipped: this machine cannot limit the processor");
        return;
    }
    let choice = ["--tiers", "128,512,1769", "--runs", "2", "--event", "empty.json", "--format", "json"];
    let there = project.run(&tune(&serving.url(), &choice)).json();
    let here = project.run(&[&["tune", "function", "--no-build"], &choice[..]].concat()).json();
    assert_eq!(here["best"], json!({"speed": 1769, "cost": 128, "balanced": 512}), "{here}");
    assert_eq!((&there["best"], &there["chosen"]), (&here["best"], &here["chosen"]), "{there}");
    // The same quantities, too: what one of them has measured, the other one has, but for the processor's time, which Lambda
    // does not report.
    for part in ["tiers", "parameters", "pareto", "lowest_mb", "runs", "grid_runs", "advice"] {
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        nulls(&here[part], part, &mut one);
        nulls(&there[part], part, &mut other);
        other.retain(|name| !name.ends_with(".init_cpu_ms"));
        assert_eq!(one, other, "{here}\n{there}");
    }
    for equal in ["pareto", "lowest_mb", "runs", "grid_runs"] {
        assert_eq!(here[equal], there[equal], "{equal}");
    }
    assert_eq!(here["parameters"]["cpu"], there["parameters"]["cpu"]);
    assert_eq!(glowplug_test::lacks(glowplug_test::TUNE, &there), Vec::<String>::new());
}

#[test]
fn what_a_killed_one_has_left_is_taken_back_by_the_next_one() {
    let (project, serving) = served(PLAIN);
    let (api, url) = (Api(serving.address()), serving.url());
    let before = api.seen();
    let mut child = started(&project, &url, &["--tiers", "256", "--runs", "10"], || api.is_marked());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(api.seen(), before, "nothing was left: the test shows nothing");
    let next = project.run(&tune(&url, &["--tiers", "256", "--runs", "1"]));
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(next.stderr.contains("an earlier tuning of this function was killed"), "{next:?}");
    assert!(next.stderr.contains("versions were deleted"), "{next:?}");
    assert_eq!(api.seen(), before);
}

#[test]
fn what_a_killed_one_has_left_is_taken_back_with_clean() {
    let (project, serving) = served(SLOW);
    let (api, url) = (Api(serving.address()), serving.url());
    let before = api.seen();
    let runs = || !project.running().is_empty();
    let mut child = started(&project, &url, &["--tiers", "256", "--runs", "3"], runs);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(api.versions().len() >= 3, "{:?}", api.versions());
    let clean = project.run(&tune(&url, &["--clean"]));
    assert_eq!((clean.code, clean.stdout.as_str()), (Some(0), ""), "{clean:?}");
    assert!(clean.stderr.contains("versions were deleted"), "{clean:?}");
    assert_eq!(api.seen(), before);
    let again = project.run(&tune(&url, &["--clean"]));
    assert!(!again.stderr.contains("deleted"), "{again:?}");
}

#[test]
fn an_interrupted_one_leaves_nothing_and_shows_what_it_has() {
    let (project, serving) = served(SLOW);
    let (api, url) = (Api(serving.address()), serving.url());
    let before = api.seen();
    let more = ["--tiers", "256", "--runs", "3", "--format", "json"];
    // While it is invoked, and while versions are published.
    let invoked = || !project.running().is_empty();
    let published = || api.versions().len() > 2;
    for (signalled, is_there) in [("INT", &invoked as &dyn Fn() -> bool), ("TERM", &published)] {
        let child = started(&project, &url, &more, is_there);
        signal(&child, signalled);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["complete"], false, "{report}");
        assert!(errors(&output).contains("versions were deleted"), "{output:?}");
        assert_eq!(api.seen(), before, "{signalled}");
    }
}

#[test]
fn versions_that_may_not_be_deleted_are_named_with_what_deletes_them() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let before = api.seen();
    let refuses = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&refuses);
    let gate = Gate::start(serving.address(), move |method, _| {
        if method == "DELETE" && asked.load(Ordering::SeqCst) { DENIED } else { None }
    });
    let more = ["--tiers", "256", "--runs", "2", "--format", "json"];
    let outcome = project.run(&tune(&gate.url, &more));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["chosen"], 256, "what was measured is shown all the same");
    for told in [
        "`demo` is not as it was: versions 2, 3 are left",
        "no permission for lambda:DeleteFunction",
        "allow `lambda:DeleteFunction`",
        &format!("`glowplug tune --target aws --clean demo --endpoint-url {}`", gate.url),
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
    assert_eq!(api.seen()["function"], before["function"], "what may be taken back is");
    let still = project.run(&tune(&gate.url, &["--clean"]));
    assert_eq!(still.code, Some(3), "{still:?}");
    refuses.store(false, Ordering::SeqCst);
    let clean = project.run(&tune(&gate.url, &["--clean"]));
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert_eq!(api.seen(), before);
}

#[test]
fn a_configuration_that_may_not_be_set_back_is_named() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let before = api.seen();
    let (changes, refuses) = (AtomicU32::new(0), Arc::new(AtomicBool::new(true)));
    let asked = Arc::clone(&refuses);
    let gate = Gate::start(serving.address(), move |method, path| {
        let is_change = method == "PUT" && path.ends_with("/configuration");
        let is_later = is_change && changes.fetch_add(1, Ordering::SeqCst) > 0;
        if is_later && asked.load(Ordering::SeqCst) { DENIED } else { None }
    });
    let outcome = project.run(&tune(&gate.url, &["--tiers", "256", "--runs", "1"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
    for told in [
        "`$LATEST` may have the variable `GLOWPLUG_TUNE` and another memory size than its 512 MB",
        "no permission for lambda:UpdateFunctionConfiguration",
        "--clean demo",
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
    assert_eq!(api.versions(), ["1"], "versions are deleted all the same");
    refuses.store(false, Ordering::SeqCst);
    let clean = project.run(&tune(&gate.url, &["--clean"]));
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert!(clean.stderr.contains("`$LATEST` is as it was"), "{clean:?}");
    assert_eq!(api.seen(), before);
}

#[test]
fn a_service_that_is_gone_is_told_with_what_may_be_left() {
    let (project, serving) = served(SLOW);
    let url = serving.url();
    let runs = || !project.running().is_empty();
    let child = started(&project, &url, &["--tiers", "256", "--runs", "2"], runs);
    serving.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = errors(&output);
    for told in ["`demo` is not as it was", "versions described as `made by glowplug", "cannot reach Lambda"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(text.contains(&format!("--clean demo --endpoint-url {url}")), "{text}");
}

#[test]
fn a_missing_permission_is_told_and_nothing_is_left() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let before = api.seen();
    for (method, end, action) in [
        ("PUT", "/configuration", "lambda:UpdateFunctionConfiguration"),
        ("POST", "/versions", "lambda:PublishVersion"),
        ("POST", "/invocations", "lambda:InvokeFunction"),
    ] {
        let gate = Gate::start(serving.address(), move |asked, path| {
            let path = path.split('?').next().unwrap_or_default();
            if asked == method && path.ends_with(end) { DENIED } else { None }
        });
        let outcome = project.run(&tune(&gate.url, &["--tiers", "256", "--runs", "2"]));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("no permission for {action}")), "{outcome:?}");
        assert_eq!(api.seen(), before, "{action}");
    }
}

#[test]
fn a_size_that_the_account_does_not_have_is_told_and_nothing_is_left() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let before = api.seen();
    let gate = Gate::start(serving.address(), |method, path| {
        let said = "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 3008";
        let is_change = method == "PUT" && path.ends_with("/configuration");
        is_change.then_some((400, "InvalidParameterValueException", said))
    });
    let outcome = project.run(&tune(&gate.url, &["--tiers", "4096", "--runs", "1"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("less than or equal to 3008"), "{outcome:?}");
    assert!(outcome.stderr.contains("that the account allows with `--tiers`"), "{outcome:?}");
    assert_eq!(api.seen(), before);
}

#[test]
fn a_function_that_does_not_start_is_told_and_nothing_is_left() {
    let app = "import os\nif 'GLOWPLUG_TUNE' in os.environ:\n    raise LookupError('no table')\n";
    let (project, serving) = served(&format!("{app}{PLAIN}"));
    let api = Api(serving.address());
    let before = api.seen();
    let outcome = project.run(&tune(&serving.url(), &["--tiers", "256,512", "--runs", "3"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("works at none of the memory sizes"), "{outcome:?}");
    assert!(outcome.stderr.contains("LookupError: no table"), "{outcome:?}");
    assert_eq!(api.seen(), before);
}

#[test]
fn a_function_that_changes_meanwhile_ends_it_and_the_change_stays() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let before = api.seen();
    let (address, invokes) = (serving.address().to_owned(), AtomicU32::new(0));
    let gate = Gate::start(serving.address(), move |_, path| {
        if path.contains("/invocations") && invokes.fetch_add(1, Ordering::SeqCst) == 0 {
            Api(&address).ask("PUT", "/2015-03-31/functions/demo/configuration", &json!({"Timeout": 77}));
        }
        None
    });
    let outcome = project.run(&tune(&gate.url, &["--tiers", "256,1024", "--runs", "1"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("somebody changed the function while it was tuned"), "{outcome:?}");
    assert!(outcome.stderr.contains("changed: timeout"), "{outcome:?}");
    let mut expected = before;
    expected["function"]["Timeout"] = 77.into();
    assert_eq!(api.seen(), expected);
}

#[test]
fn an_alias_with_provisioned_concurrency_keeps_it_and_is_told() {
    let (project, serving) = served(PLAIN);
    let api = Api(serving.address());
    let provisioned = "/2019-09-30/functions/demo/provisioned-concurrency?Qualifier=live";
    api.ask("PUT", provisioned, &json!({"ProvisionedConcurrentExecutions": 1}));
    let before = api.seen();
    let url = serving.url();
    let arguments = [
        &["tune", "demo:live", "--target", "aws", "--yes", "--endpoint-url", &url][..],
        &["--tiers", "256", "--runs", "1", "--format", "json"],
    ]
    .concat();
    let report = project.run(&arguments).json();
    let notes = report["notes"].as_array().unwrap();
    let told = |note: &Value| note.as_str().unwrap().starts_with("`live` keeps 1 environments ready");
    assert!(notes.iter().any(told), "{report}");
    assert_eq!(report["tiers"][0]["status"], "answered", "{report}");
    assert_eq!(api.seen(), before);
    let still = api.ask("GET", provisioned, &Value::Null);
    assert_eq!(still["RequestedProvisionedConcurrentExecutions"], 1, "{still}");
}
