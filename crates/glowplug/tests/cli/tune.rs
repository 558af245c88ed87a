//! `glowplug tune`: sizes and the choice, what fails at a size, an interruption, `--apply`, exports, the page.

use serde_json::Value;

use crate::serve::Serving;
use crate::support::{PLAIN, Project, signal};

/// Busy with the processor.
const BUSY: &str = "def handler(event, context):\n    return sum(i * i for i in range(40000))\n";

/// Needs 200 MB.
const LARGE: &str = "def handler(event, context):\n    data = bytearray(200 << 20)\n    return len(data)\n";

/// Waits longer than it may.
const SLOW: &str = "import time\ndef handler(event, context):\n    time.sleep(3)\n";

fn tune<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["tune", "function", "--runs", "2", "--no-build"], more].concat()
}

fn tuned(project: &Project, more: &[&str]) -> Value {
    project.run(&tune(&[&["--format", "json"], more].concat())).json()
}

/// The document that a page holds.
fn page(project: &Project, file: &str) -> Value {
    let html = String::from_utf8(project.read(file)).unwrap();
    assert!(html.starts_with("<!doctype html>"), "{html:.80}");
    let (_, rest) = html.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The status of each size, the smallest first.
fn statuses(report: &Value) -> Vec<&str> {
    report["tiers"].as_array().unwrap().iter().map(|tier| tier["status"].as_str().unwrap()).collect()
}

#[test]
fn sizes_have_figures_and_one_is_chosen() {
    let project = Project::new(BUSY);
    let before = project.files();
    // Scaled from processor time: this holds where the share cannot be limited, too.
    let report = tuned(&project, &["--tiers", "1024,256,512,256", "--cpu", "unlimited"]);
    assert_eq!(report["schema"], "glowplug.tune/1");
    assert_eq!(glowplug_test::lacks(glowplug_test::TUNE, &report), Vec::<String>::new());
    assert_eq!(statuses(&report), ["answered"; 3]);
    assert_eq!(
        (&report["runs"], &report["grid_runs"], &report["complete"]),
        (&6.into(), &6.into(), &true.into())
    );
    assert_eq!((&report["after"], &report["model_error"]), (&Value::Null, &Value::Null));
    let sizes: Vec<u64> =
        report["tiers"].as_array().unwrap().iter().filter_map(|t| t["memory_mb"].as_u64()).collect();
    assert_eq!(sizes, [256, 512, 1024]);
    for tier in report["tiers"].as_array().unwrap() {
        for figure in ["cold_ms", "warm_ms"] {
            let [p50, p90, p99] = ["p50", "p90", "p99"].map(|name| tier[figure][name].as_f64().unwrap());
            assert!(0.0 < p50 && p50 <= p90 && p90 <= p99, "{tier}");
        }
        assert!(tier["usd_per_million"].as_f64().unwrap() > 0.2, "{tier}");
        assert!(tier["billed_ms"].as_f64().unwrap() >= 1.0, "{tier}");
    }
    for objective in ["speed", "cost", "balanced"] {
        assert!(sizes.contains(&report["best"][objective].as_u64().unwrap()), "{report}");
    }
    assert_eq!(report["chosen"], report["best"]["balanced"]);
    assert_eq!(project.files(), before, "a choice writes nothing");
}

#[test]
fn before_and_after_a_build_stand_side_by_side() {
    let project = Project::new(PLAIN);
    let before = project.files();
    let arguments =
        ["tune", "function", "--runs", "2", "--tiers", "256", "--cpu", "unlimited", "--format", "json"];
    let report = project.run(&arguments).json();
    assert_eq!(glowplug_test::lacks(glowplug_test::TUNE, &report), Vec::<String>::new());
    assert_eq!(report["after"]["tiers"], report["tiers"]);
    assert_eq!(report["before"]["tiers"][0]["status"], "answered");
    assert_eq!(project.files(), before);
}

#[test]
fn too_little_memory_is_told_and_not_chosen() {
    let project = Project::new(LARGE);
    let report = tuned(&project, &["--tiers", "128,512", "--cpu", "unlimited"]);
    assert_eq!(statuses(&report), ["out_of_memory", "answered"]);
    assert_eq!((&report["chosen"], &report["lowest_mb"]), (&512.into(), &512.into()));
    assert_eq!(report["tiers"][0]["out_of_memory"], true);
}

#[test]
fn a_function_that_works_at_no_size_is_an_error_with_its_cause() {
    for (app, settings, told) in [
        ("import os\ndef handler(event, context):\n    os._exit(3)\n", "", "exit status 3"),
        (SLOW, "timeout = 1\n", "raise `timeout`"),
    ] {
        let project = Project::new(app);
        project.configure(settings);
        let outcome = project.run(&tune(&["--tiers", "256,512", "--cpu", "unlimited"]));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains("works at none of the memory sizes"), "{outcome:?}");
        assert!(outcome.stderr.contains(told), "{outcome:?}");
        assert_eq!(project.running(), Vec::<i32>::new());
    }
}

#[test]
fn what_cannot_be_done_is_told_before_anything_runs() {
    let project = Project::new(PLAIN);
    for (more, told) in [
        (&["--tiers", "64"][..], "64 is not in 128..=10240"),
        (&["--cold-rate", "1.5"], "must be from 0 to 1"),
        (&["--export", "csv"], "names no target"),
        (&["--export", "yaml=x"], "is not a format"),
        (&["--apply"], "nobody can answer"),
        (&["--html", "function"], "the target is a folder"),
        (&["--html", "function/app.py/page.html"], "the target is below a file"),
    ] {
        let text = project.fails(2, &tune(more));
        assert!(text.contains(told), "{more:?}: {text}");
    }
}

#[test]
fn an_interruption_shows_what_was_measured() {
    let project = Project::new(SLOW);
    project.configure("timeout = 10\n");
    let child = project.start_until_running(&tune(&[
        "--tiers",
        "256,512,1024",
        "--cpu",
        "unlimited",
        "--format",
        "json",
        "--html",
        "page.html",
    ]));
    // The first start is not counted; whichever it is, what was measured is a document.
    std::thread::sleep(std::time::Duration::from_secs(5));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["complete"], false);
    assert_eq!(page(&project, "page.html"), report);
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn the_chosen_size_is_written_where_it_stands() {
    let choose: &[&str] = &["--tiers", "512", "--cpu", "unlimited", "--apply", "--yes"];
    let project = Project::new(PLAIN);
    project.configure("memory = 256 # MB\n");
    let outcome = project.run(&tune(choose));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("+memory = 512 # MB"), "{outcome:?}");
    assert!(
        String::from_utf8(project.read("function/glowplug.toml")).unwrap().contains("memory = 512 # MB\n")
    );

    let python = &project.python;
    let choose = [choose, &["--python", python]].concat();
    let template = format!(
        "# ours\nResources:\n  Demo:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: app.handler\n      \
         Runtime: python{python}\n      MemorySize: 256 # MB\n"
    );
    let serverless = "functions:\n  demo:\n    handler: app.handler\n    memorySize: 256 # MB\n".to_owned();
    let toml =
        format!("[tool.glowplug]\nhandler = \"app.handler\"\npython = \"{python}\"\nmemory = 256 # MB\n");
    for (file, text) in
        [("template.yaml", template), ("serverless.yml", serverless), ("pyproject.toml", toml)]
    {
        let project = Project::empty();
        project.write("function/app.py", PLAIN);
        project.write(&format!("function/{file}"), &text);
        let outcome = project.run(&tune(&choose));
        assert_eq!(outcome.code, Some(0), "{file}: {outcome:?}");
        let written = String::from_utf8(project.read(&format!("function/{file}"))).unwrap();
        assert_eq!(written, text.replace("256", "512"), "{file}");
    }
}

#[test]
fn a_size_that_is_a_reference_is_refused() {
    let project = Project::empty();
    project.write("function/app.py", PLAIN);
    let template = format!(
        "Parameters:\n  Memory: {{Type: Number, Default: 256}}\nResources:\n  Demo:\n    Type: AWS::Serverless::Function\n    \
         Properties:\n      Handler: app.handler\n      Runtime: python{}\n      MemorySize: !Ref Memory\n",
        project.python
    );
    project.write("function/template.yaml", template);
    let text = project.fails(1, &tune(&["--tiers", "512", "--apply", "--yes"]));
    assert!(text.contains("`MemorySize` is a reference"), "{text}");
    assert!(text.contains("template.yaml:9"), "{text}");
}

#[test]
fn the_page_holds_the_document_and_a_name_cannot_leave_it() {
    let project = Project::new(PLAIN);
    project.write("function/event.json", "{}");
    project.configure("[[event]]\nname = \"</script><script>alert(1)</script>\"\npath = \"event.json\"\n");
    let report = tuned(&project, &["--tiers", "256,512", "--cpu", "unlimited", "--html", "pages/sizes.html"]);
    assert_eq!(page(&project, "pages/sizes.html"), report);
    assert!(report["tiers"][0]["events"]["</script><script>alert(1)</script>"].is_object(), "{report}");
    let html = String::from_utf8(project.read("pages/sizes.html")).unwrap();
    assert!(html.contains("<title>demo, tuned</title>"));
    assert!(!html.contains("<script>alert"));
}

#[test]
fn a_page_that_cannot_be_written_keeps_nothing_else_from_being_shown() {
    let project = Project::new(PLAIN);
    let more = ["--html", "/proc/sizes.html", "--export", "csv=sizes.csv", "--format", "json"];
    let outcome = project.run(&tune(&[&["--tiers", "256", "--cpu", "unlimited"], &more[..]].concat()));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("/proc/"), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["chosen"], 256);
    assert!(!project.read("sizes.csv").is_empty());
}

#[test]
fn other_tools_get_their_forms() {
    let project = Project::new(PLAIN);
    let exports = ["--export", "csv=sizes.csv", "--export", "power-tuning=tuned.json"];
    let outcome = project.run(&tune(&[&["--tiers", "256,512", "--cpu", "unlimited"], &exports[..]].concat()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let csv = String::from_utf8(project.read("sizes.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let tuned: Value = serde_json::from_slice(&project.read("tuned.json")).unwrap();
    assert!([256, 512].contains(&tuned["power"].as_u64().unwrap()), "{tuned}");
    let address = tuned["stateMachine"]["visualization"].as_str().unwrap();
    assert!(address.starts_with("https://lambda-power-tuning.show/#AAEAAg==;"), "{address}");
}

#[test]
fn a_function_behind_lambdas_api_is_tuned_and_left_as_it_was() {
    let project = Project::new(BUSY);
    project.configure("memory = 256\n");
    let serving = Serving::start(&project, &[]);
    let url = serving.url();
    let aws =
        ["tune", "demo", "--target", "aws", "--endpoint-url", &url, "--runs", "1", "--tiers", "256,512"];
    let question = project.run(&aws);
    assert_eq!(question.code, Some(2), "{question:?}");
    assert!(question.stderr.contains("add `--yes`"), "{question:?}");
    let report =
        project.run(&[&aws[..], &["--yes", "--format", "json", "--html", "page.html"]].concat()).json();
    assert_eq!(page(&project, "page.html"), report);
    assert_eq!(
        (&report["parameters"]["target"], &report["function"]["memory_mb"]),
        (&"aws".into(), &256.into())
    );
    assert_eq!(statuses(&report), ["answered"; 2]);
    assert!([256, 512].map(Value::from).contains(&report["chosen"]), "{report}");
    let here = tuned(&project, &["--tiers", "256,512"]);
    assert_eq!(here["best"]["cost"].is_number(), report["best"]["cost"].is_number());
    // Nothing is left to take back.
    let again = project.run(&["tune", "demo", "--target", "aws", "--endpoint-url", &url, "--clean"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{again:?}");
    assert!(!again.stderr.contains("were deleted"), "{again:?}");
}

#[test]
fn what_belongs_to_one_target_is_refused_with_the_other() {
    let project = Project::new(PLAIN);
    for (more, told) in [
        (&["--clean"][..], "add `--target aws`"),
        (&["--target", "aws", "--apply", "--yes"], "deploy it from"),
        (&["--prices", "none.toml"], "none.toml"),
    ] {
        let outcome = project.run(&tune(more));
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.contains(told), "{more:?}: {outcome:?}");
    }
}
