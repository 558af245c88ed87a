//! What loads for events alone is planned too, and modules with second names keep their place.

use serde_json::Value;

use crate::support::Project;

/// Takes long enough for its gain to be seen on a busy machine.
const HEAVY: &str = "TABLE = [n * n for n in range(1_500_000)]\ndef work():\n    return 'deep'\n";

fn decision<'r>(report: &'r Value, id: &str) -> &'r Value {
    let decisions = report["decisions"].as_array().unwrap();
    decisions.iter().find(|d| d["id"] == id).unwrap_or(&Value::Null)
}

#[test]
fn what_an_event_loads_need_not_load_all_of_itself() {
    let project = Project::new(
        "def handler(event, context):\n    if 'draw' not in event:\n        return 'ok'\n    import lib.plugin\n    return lib.plugin.draw(event['draw'])\n",
    );
    project.write("function/lib/__init__.py", "");
    project.write(
        "function/lib/plugin.py",
        "from lib import heavy\ndef draw(how):\n    return heavy.work() if how == 'deep' else 'flat'\n",
    );
    project.write("function/lib/heavy.py", HEAVY);
    let events = [project.event("health", "{}"), project.event("flat", r#"{"draw": "flat"}"#)];
    project.configure(&events.concat());
    project.write("deep.json", r#"{"draw": "deep"}"#);
    let report = project.report(&["--holdout", "deep.json"]);
    assert_eq!(decision(&report, "lazy:lib/plugin.py:heavy")["state"], "applied", "{report}");
    assert_eq!(report["verdict"]["equal"], true);
    assert_eq!(report["verdict"]["holdout"]["equal"], true);
}

#[test]
fn a_module_that_is_asked_for_by_a_second_name_is_loaded_once() {
    let project = Project::new(
        "import r\ndef handler(event, context):\n    if not event:\n        return r.go()\n    \
         import r.packages.u.probe as second\n    import u.probe as first\n    return first is second\n",
    );
    project.write("function/u/__init__.py", "from . import pool\n");
    project.write(
        "function/u/pool.py",
        "from . import probe\ndef go(deep=False):\n    return probe.work() if deep else 'ok'\n",
    );
    project.write("function/u/probe.py", HEAVY);
    project.write(
        "function/r/__init__.py",
        "import u\nfrom . import packages\ndef go():\n    return u.pool.go()\n",
    );
    project.write(
        "function/r/packages.py",
        "import sys\nimport u\nfor name in list(sys.modules):\n    if name == 'u' or name.startswith('u.'):\n        \
         sys.modules['r.packages.' + name] = sys.modules[name]\n",
    );
    project.configure(&project.event("go", "{}"));
    project.write("twice.json", r#"{"twice": true}"#);
    let report = project.report(&["--holdout", "twice.json"]);
    let probe = decision(&report, "lazy:u/pool.py:probe");
    assert_eq!(probe["state"], "refused", "{report}");
    assert!(probe["reason"].as_str().unwrap().contains("`r.packages.u.probe`"), "{probe}");
    assert_eq!(report["verdict"]["holdout"]["equal"], true);
}

#[test]
fn what_could_warn_waits_where_filters_change_if_it_does_not() {
    let project = Project::new(
        "import warnings\nimport quiet\nimport loud\n\ndef handler(event, context):\n    \
         with warnings.catch_warnings():\n        warnings.simplefilter('error')\n        \
         return [quiet.work(), loud.work()] if event else 'ok'\n",
    );
    let module = |guard: &str| format!("import warnings\n{guard}\n{HEAVY}");
    project.write(
        "function/quiet.py",
        module("try:\n    import json\nexcept ImportError:\n    warnings.warn('no json')"),
    );
    project.write("function/loud.py", module("warnings.warn('old', DeprecationWarning)"));
    project.configure(&project.event("health", "{}"));
    project.write("work.json", r#"{"work": true}"#);
    let report = project.report(&["--holdout", "work.json"]);
    assert_eq!(decision(&report, "lazy:app.py:quiet")["state"], "applied", "{report}");
    let loud = decision(&report, "lazy:app.py:loud");
    assert_eq!(loud["state"], "refused", "{loud}");
    assert_eq!(loud["reason"], "loading it later warns of a DeprecationWarning");
    assert_eq!(report["verdict"]["holdout"]["equal"], true, "{report}");
}
