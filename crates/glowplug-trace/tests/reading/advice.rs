//! What to do next.

use std::collections::BTreeMap;

use glowplug_core::Stat;
use glowplug_trace::{
    Advice, Import, Phase, Ruling, Rulings, Statement, Status, Trace, advise as advise_ruled, event_names,
    failing_import, failing_statement, is_usage_known,
};
use insta::assert_snapshot;

use crate::samples::{broken, laid_out, node, sample, stat, trace_of, troubled};

fn told(advice: &[Advice]) -> String {
    let lines: Vec<String> =
        advice.iter().map(|a| format!("{:7.1} {}: {}", a.saves_ms, a.subject, a.text)).collect();
    lines.join("\n")
}

/// What static analysis would say of the sample's sources.
fn ruled() -> Rulings {
    [("app.py:7", Ruling::UsedAt(15)), ("app.py:8", Ruling::MayWait), ("app.py:9", Ruling::MayWait)]
        .map(|(place, ruling)| (place.to_owned(), ruling))
        .into()
}

fn advise(trace: &Trace) -> Vec<Advice> {
    advise_ruled(trace, &BTreeMap::new(), &ruled())
}

fn about<'a>(advice: &'a [Advice], subject: &str) -> &'a Advice {
    advice.iter().find(|one| one.subject == subject).unwrap_or_else(|| panic!("{subject}: {advice:?}"))
}

fn statement(place: &str, text: &str, self_ms: f64) -> Statement {
    Statement {
        place: place.to_owned(),
        text: text.to_owned(),
        start_ms: 45.0,
        self_ms,
        cpu_ms: Some(self_ms),
        imports_ms: None,
        phase: Phase::Init,
        event: None,
    }
}

#[test]
fn what_saves_most_first() {
    assert_snapshot!(told(&advise(&sample())), @r#"
    464.4 requirements: no event imports polars (110 MB of 270 MB): leave out of the requirements what nothing else needs
    102.6 pandas: pandas (app.py:8): 205 ms, used by 1 of 2 events: `glowplug build` defers it where that pays
     58.0 boto3: boto3 (app.py:7): 58.0 ms, none of 2 events ran anything of it: app.py:15 uses it as the module loads; it can wait once that use stands in a function
     35.0 app.py:13: app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start, 60.0 ms of it imports, used by 1 of 2 events: do it on first use
     31.0 app.py:15: app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start, mostly waiting: do it on first use, unless every request needs it
      0.0 package: the dependencies hold 270 MB, and the package takes 1140 ms to fetch and unpack: `glowplug build` leaves out what no code reads
    "#);
}

#[test]
fn what_a_build_has_made_is_not_sent_to_the_build_again() {
    let mut trace = troubled();
    trace.function.built = true;
    let advice = advise(&trace);
    assert!(!advice.is_empty() && advice.iter().all(|advice| advice.command.is_none()), "{advice:?}");
    assert_snapshot!(told(&advice), @r#"
    102.6 pandas: pandas (app.py:8): 205 ms besides compiling, used by 1 of 2 events: `glowplug build --explain pandas` says why it was left
     58.0 boto3: boto3 (app.py:7): 58.0 ms besides compiling, none of 2 events ran anything of it: app.py:15 uses it as the module loads; it can wait once that use stands in a function
     35.0 app.py:13: app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start besides compiling, 60.0 ms of it imports, used by 1 of 2 events: do it on first use
     31.0 app.py:15: app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start, mostly waiting: do it on first use, unless every request needs it
      0.0 processes: init starts `git rev-parse HEAD`: find out while packaging what does not change between starts
    "#);
}

#[test]
fn compiling_is_promised_once() {
    let trace = troubled();
    let advice = advise(&trace);
    assert_snapshot!(told(&advice), @r#"
    1124.1 bytecode: 43 modules have no bytecode, and compiling takes 1124 ms of every cold start: `glowplug build` ships it
     464.4 requirements: no event imports polars (110 MB of 270 MB): leave out of the requirements what nothing else needs
     102.6 pandas: pandas (app.py:8): 205 ms besides compiling, used by 1 of 2 events: `glowplug build` defers it where that pays
      58.0 boto3: boto3 (app.py:7): 58.0 ms besides compiling, none of 2 events ran anything of it: app.py:15 uses it as the module loads; it can wait once that use stands in a function
      35.0 app.py:13: app.py:13 `model = pickle.loads(MODEL)`: 70.0 ms of every cold start besides compiling, 60.0 ms of it imports, used by 1 of 2 events: do it on first use
      31.0 app.py:15: app.py:15 `client = boto3.client("s3")`: 31.0 ms of every cold start, mostly waiting: do it on first use, unless every request needs it
       0.0 package: the dependencies hold 270 MB, and the package takes 1140 ms to fetch and unpack: `glowplug build` leaves out what no code reads
       0.0 processes: init starts `git rev-parse HEAD`: find out while packaging what does not change between starts
    "#);
    let of_init: f64 = advice
        .iter()
        .filter(|a| !["requirements", "package"].contains(&a.subject.as_str()))
        .map(|a| a.saves_ms)
        .sum();
    assert!(of_init < trace.phases.init.unwrap().median, "{of_init}");
}

#[test]
fn events_weigh_what_they_are_said_to() {
    let saved = |weights: &[(&str, f64)]| {
        let weights: BTreeMap<String, f64> = weights.iter().map(|(e, w)| ((*e).to_owned(), *w)).collect();
        let advice = advise_ruled(&sample(), &weights, &ruled());
        advice.iter().find(|a| a.subject == "pandas").map(|a| (a.saves_ms, a.command.clone()))
    };
    let rare = saved(&[("health", 0.9), ("process_data", 0.1)]).unwrap();
    assert!((rare.0 - 0.9 * 205.0).abs() < 1.0, "{rare:?}");
    assert_eq!(rare.1.as_deref(), Some("glowplug build"));
    // At 512 MB a handler is 3.5 times slower than init: what 40 % of the requests need is deferred for speed alone,
    // and of what 60 % need only that is left to speak of which no event ran.
    let often = saved(&[("health", 0.6), ("process_data", 0.4)]).unwrap();
    assert_eq!(often.1.as_deref(), Some("glowplug build --objective speed"));
    let mostly = saved(&[("health", 0.4), ("process_data", 0.6)]).unwrap();
    assert!((mostly.0 - 25.0).abs() < 0.1, "{mostly:?}");
}

#[test]
fn what_every_event_needs_is_left_alone() {
    let mut trace = sample();
    for used_by in
        trace.imports.iter_mut().map(|i| &mut i.used_by).chain(trace.lines.iter_mut().map(|l| &mut l.used_by))
    {
        *used_by = vec!["health".to_owned(), "process_data".to_owned()];
    }
    for distribution in &mut trace.distributions {
        distribution.used_by = vec!["health".to_owned(), "process_data".to_owned()];
    }
    let subjects: Vec<String> = advise(&trace).into_iter().map(|a| a.subject).collect();
    // Who needs the client nobody knows.
    assert_eq!(subjects, ["requirements", "app.py:15", "package"]);
}

#[test]
fn without_events_nobody_knows_what_is_used() {
    let mut trace = sample();
    trace.phases.first_invoke.clear();
    for import in &mut trace.imports {
        import.used_by.clear();
        import.event = None;
    }
    let subjects: Vec<String> = advise(&trace).into_iter().map(|a| a.subject).collect();
    assert_eq!(subjects, ["app.py:13", "app.py:15", "package"]);
}

#[test]
fn small_things_are_not_worth_a_word() {
    let app = node("app", "bootstrap.py:1", 500.0, vec![node("numpy", "app.py:2", 4.0, Vec::new())])
        .used_by(&["health", "process_data"]);
    let mut trace: Trace = trace_of(vec![app]);
    trace.lines.clear();
    trace.distributions.clear();
    trace.statements = vec![Statement {
        place: "app.py:3".to_owned(),
        text: "settings = Settings()".to_owned(),
        start_ms: 45.0,
        self_ms: 4.9,
        cpu_ms: Some(4.9),
        imports_ms: None,
        phase: glowplug_trace::Phase::Init,
        event: None,
    }];
    // 4.9 ms are less than 1 % of init.
    assert_eq!(told(&advise(&trace)), "");
    trace.statements[0].self_ms = 40.0;
    assert_snapshot!(told(&advise(&trace)), @"   40.0 app.py:3: app.py:3 `settings = Settings()`: 40.0 ms of every cold start, mostly waiting: do it on first use, unless every request needs it");
    trace.statements[0].text = "class Settings(BaseSettings):".to_owned();
    assert_eq!(told(&advise(&trace)), "");
}

#[test]
fn a_slow_statement_of_an_unused_module_is_promised_once() {
    let settings = node("app.settings", "app.py:2", 40.0, Vec::new());
    let app = node("app", "bootstrap.py:1", 1.0, vec![settings]).used_by(&["health", "process_data"]);
    let mut trace: Trace = trace_of(vec![app]);
    trace.distributions.clear();
    trace.statements = vec![Statement {
        place: "app/settings.py:2".to_owned(),
        text: "SETTINGS = load()".to_owned(),
        start_ms: 40.2,
        self_ms: 39.5,
        cpu_ms: Some(39.5),
        imports_ms: None,
        phase: glowplug_trace::Phase::Init,
        event: None,
    }];
    let advice: Vec<(String, f64)> = advise(&trace).into_iter().map(|a| (a.subject, a.saves_ms)).collect();
    assert_eq!(advice, [("app/settings.py:2".to_owned(), 39.5)]);
}

#[test]
fn what_the_build_refuses_is_not_promised() {
    let of = |ruling: Option<Ruling>, trace: &Trace| {
        let mut rulings = ruled();
        rulings.remove("app.py:8");
        rulings.extend(ruling.map(|ruling| ("app.py:8".to_owned(), ruling)));
        let advice = advise_ruled(trace, &BTreeMap::new(), &rulings);
        let pandas = about(&advice, "pandas");
        let remedy = pandas.text.rsplit_once("events: ").map(|(_, remedy)| remedy.to_owned()).unwrap();
        (remedy, pandas.command.clone())
    };
    let trace = sample();
    let (remedy, command) = of(Some(Ruling::MayWait), &trace);
    assert_eq!(
        (remedy.as_str(), command.as_deref()),
        ("`glowplug build` defers it where that pays", Some("glowplug build"))
    );
    for (ruling, said) in [
        (Some(Ruling::UsedAt(30)), "app.py:30 uses it as the module loads"),
        (Some(Ruling::Nested), "within another statement"),
        (
            Some(Ruling::Refused("the name is bound again, line 9".to_owned())),
            "leaves it: the name is bound again",
        ),
        (None, "where nothing uses it as the module loads"),
    ] {
        let (remedy, command) = of(ruling, &trace);
        assert!(remedy.contains(said), "{remedy}");
        assert_eq!(command, None, "{remedy}");
    }
    // A second import of it that stays loads it all the same.
    let mut twice = sample();
    let again = twice.imports.iter().find(|import| import.module == "pandas").unwrap().clone();
    twice.imports.push(Import {
        importer: "warm.py:2".to_owned(),
        status: Status::Cached,
        self_ms: 0.0,
        ..again
    });
    let (remedy, command) = of(Some(Ruling::MayWait), &twice);
    assert!(remedy.contains("warm.py:2 imports it too") && command.is_none(), "{remedy}");
}

#[test]
fn who_needs_what_a_statement_makes_is_not_claimed() {
    let mut trace = sample();
    trace.phases.first_invoke.remove("process_data");
    trace.imports.retain(|import| import.event.is_none());
    let advice = advise(&trace);
    // No event ran boto3, and the client may be in every answer.
    let client = about(&advice, "app.py:15");
    assert!(client.text.ends_with("unless every request needs it"), "{}", client.text);
    assert!(!client.text.contains("event"), "{}", client.text);
}

#[test]
fn statements_of_a_first_invoke_are_not_init() {
    let mut trace = sample();
    let mut slow = statement("lazy.py:2", "busy(200)", 200.0);
    (slow.phase, slow.event) = (Phase::FirstInvoke, Some("health".to_owned()));
    trace.statements.push(slow);
    assert!(advise(&trace).iter().all(|one| one.subject != "lazy.py:2"));
}

#[test]
fn a_place_is_told_once() {
    let mut trace = sample();
    let text = "from util import busy; busy(15)";
    for self_ms in [0.01, 15.0, 15.0] {
        trace.statements.push(statement("plugins.py:1", text, self_ms));
    }
    let advice = advise(&trace);
    assert_eq!(advice.iter().filter(|one| one.subject == "plugins.py:1").count(), 1);
    assert!((about(&advice, "plugins.py:1").saves_ms - 30.01).abs() < 1e-9);
}

#[test]
fn an_event_that_was_cut_off_may_use_anything() {
    let told = |failure: &str| {
        let mut trace = sample();
        trace.failure = Some(failure.to_owned());
        let subjects: Vec<String> = advise(&trace).into_iter().map(|one| one.subject).collect();
        (is_usage_known(&trace), subjects)
    };
    let (known, subjects) =
        told("the handler does not answer event `hang`: Task timed out (events/hang.json)");
    assert!(!known && subjects.iter().all(|s| s != "pandas" && s != "requirements"), "{subjects:?}");
    let (known, subjects) = told("first invoke, health: ValueError: boom");
    assert!(known && subjects.contains(&"pandas".to_owned()), "{subjects:?}");
    let mut trace = sample();
    trace.cut_off = vec!["hang".to_owned()];
    assert!(!is_usage_known(&trace));
    assert!(event_names(&trace).contains("hang"));
}

#[test]
fn a_function_that_cannot_start_has_one_thing_to_do() {
    let trace = broken();
    assert_eq!(failing_import(&trace).unwrap().importer, "app.py:8");
    assert_snapshot!(told(&advise(&trace)), @"    0.0 pandas: app.py:8 imports `pandas`, which fails, so the function cannot start: add what brings it to the requirements");
    // Where the text names no module, the innermost failed import is it, and one that was caught is not.
    let mut trace = broken();
    trace.failure = Some("init: Runtime.ImportModuleError: cannot import name 'x'".to_owned());
    assert_eq!(failing_import(&trace).unwrap().importer, "app.py:8");
    let caught =
        node("brotli", "app.py:2", 0.1, Vec::new()).with(|i| i.status = glowplug_trace::Status::Failed);
    let app = node("app", "bootstrap.py:53", 1.0, vec![caught, node("boto3", "app.py:7", 30.0, Vec::new())])
        .with(|i| i.status = glowplug_trace::Status::Failed);
    trace.imports = laid_out(vec![app]);
    assert_eq!(failing_import(&trace).unwrap().module, "app");
}

#[test]
fn provisioning_that_nobody_measured_is_not_advised_about() {
    let mut trace = sample();
    trace.phases.provision = None;
    assert!(advise(&trace).iter().all(|a| !["requirements", "package"].contains(&a.subject.as_str())));
    trace.phases.init = Some(Stat { median: 1e6, ..stat(1.0, 0.1) });
    assert!(advise(&trace).is_empty());
}

#[test]
fn the_statement_that_raised_is_named() {
    let failed = |import: &mut Import| import.status = Status::Failed;
    let caught = node("brotli", "app.py:2", 0.1, Vec::new()).with(failed);
    let app = node("app", "bootstrap.py:53", 5.0, vec![caught]).with(failed);
    let mut trace = broken();
    trace.failure = Some("init: KeyError: 'missing'".to_owned());
    trace.imports = laid_out(vec![app]);
    trace.statements = vec![statement("app.py:4", "Z = {}['missing']", 0.01)];
    // It ran after the import that was caught.
    assert_eq!(failing_import(&trace).unwrap().module, "app");
    assert_eq!(failing_statement(&trace).unwrap().place, "app.py:4");
    assert_snapshot!(told(&advise(&trace)), @"    0.0 app: app.py:4 `Z = {}['missing']` fails, so the function cannot start: correct that first");
    trace.failure = Some("init: Sandbox.Timedout: Task timed out after 10.00 seconds".to_owned());
    assert_eq!(failing_statement(&trace), None);
    assert!(advise(&trace)[0].text.contains("does not end in the time that init has"));
}
