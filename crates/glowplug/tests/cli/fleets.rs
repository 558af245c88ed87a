//! Several functions at once, and the layers that they share.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use crate::serve::Serving;
use crate::support::{Project, digest};

/// Publishes the layers of `layers.json` to a server, creates the functions with their zips and layers, and prints what
/// each answers.
const PUBLISH: &str = r#"
import base64, json, sys, urllib.request
endpoint, python, event = sys.argv[1:]
def call(path, body):
    request = urllib.request.Request(endpoint + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))
def packed(path):
    return base64.b64encode(open(path, "rb").read()).decode()
document = json.load(open("out/layers.json"))
arns = {}
for layer in document["layers"]:
    made = call(f"/2018-10-31/layers/{layer['name']}/versions", {"Content": {"ZipFile": packed(layer["path"])}})
    arns[layer["name"]] = made["LayerVersionArn"]
answers = {}
for function in document["functions"]:
    name = "shared-" + function["name"]
    call("/2015-03-31/functions", {
        "FunctionName": name, "Runtime": f"python{python}", "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/x",
        "Code": {"ZipFile": packed(function["zip"])}, "Layers": [arns[layer] for layer in function["layers"]], "Timeout": 10,
    })
    answers[function["name"]] = call(f"/2015-03-31/functions/{name}/invocations", json.loads(event))
print(json.dumps(answers))
"#;

/// Writes a function `name` with an event.
fn function(project: &Project, name: &str, app: &str, more: &str) {
    project.write(&format!("{name}/app.py"), app);
    project.write(&format!("{name}/events/one.json"), r#"{"word": "façade"}"#);
    let toml = format!(
        "name = \"{name}\"\nhandler = \"app.handler\"\npython = \"{}\"\n{more}[[event]]\npath = \"events/one.json\"\n",
        project.python
    );
    project.write(&format!("{name}/glowplug.toml"), toml);
}

/// Puts a distribution with one module into a function's folder, as an installer does.
fn install(project: &Project, function: &str, name: &str, version: &str, source: &str) {
    let info = format!("{name}-{version}.dist-info");
    project.write(&format!("{function}/{name}/__init__.py"), source);
    project.write(
        &format!("{function}/{info}/METADATA"),
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
    );
    let record = format!("{name}/__init__.py,,\n{info}/METADATA,,\n{info}/RECORD,,\n");
    project.write(&format!("{function}/{info}/RECORD"), record);
}

/// A module that is worth sharing.
fn large(text: &str) -> String {
    format!(
        "{text}\nWORDS = {:?}\n",
        (0..4000).map(|n| digest(&[n as u8, (n >> 8) as u8])).collect::<Vec<_>>()
    )
}

const USES_LIB: &str = "import lib\n\n\ndef handler(event, context):\n    return {'value': lib.VALUE}\n";

/// Names in a zip below the root.
fn names(project: &Project, path: &str) -> BTreeSet<String> {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(project.read(path))).unwrap();
    archive.file_names().map(|name| name.unwrap().to_string()).collect()
}

/// Builds into `out/`.
fn build(project: &Project, functions: &[&str], more: &[&str]) -> Value {
    let arguments =
        [&["build"], functions, &["--out", "out", "--runs", "1", "--format", "json"], more].concat();
    project.run(&arguments).json()
}

/// Layer → functions that attach it.
fn users(layers: &Value) -> BTreeMap<String, Value> {
    let all = layers["layers"].as_array().unwrap().iter();
    all.map(|layer| (layer["name"].as_str().unwrap().to_owned(), layer["functions"].clone())).collect()
}

#[test]
fn slow_functions_share_real_distributions_and_answer_as_before() {
    let project = Project::empty();
    let one = "import iniconfig\nimport six\n\n\ndef handler(event, context):\n    return [iniconfig.__name__, six.text_type(event['word'])]\n";
    let two = "import idna\nimport iniconfig\nimport six\n\n\ndef handler(event, context):\n    return [idna.encode(event['word']).decode(), iniconfig.__name__, six.PY3]\n";
    let three = "import idna\n\n\ndef handler(event, context):\n    try:\n        import six\n    except ImportError:\n        six = None\n    return [idna.encode(event['word']).decode(), six is None]\n";
    for (name, app, needs) in [
        ("one", one, "iniconfig==2.0.0\nsix==1.17.0\n"),
        ("two", two, "iniconfig==2.0.0\nsix==1.17.0\nidna==3.10\n"),
        ("three", three, "idna==3.10\n"),
    ] {
        function(&project, name, app, "");
        project.write(&format!("{name}/requirements.txt"), needs);
    }
    let built = build(&project, &["one", "two", "three"], &["--kind", "layers"]);
    assert_eq!(built["schema"], "glowplug.fleet/1");
    let layers = &built["layers"];
    assert_eq!(layers["schema"], "glowplug.layers/1");
    let stored: Value = serde_json::from_slice(&project.made("layers.json")).unwrap();
    assert_eq!(&stored, layers);
    assert_eq!(
        users(layers),
        [
            ("shared-idna".to_owned(), json!(["two", "three"])),
            ("shared-iniconfig".to_owned(), json!(["one", "two"])),
            ("shared-six".to_owned(), json!(["one", "two"])),
        ]
        .into()
    );
    for layer in layers["layers"].as_array().unwrap() {
        let path = layer["path"].as_str().unwrap();
        assert_eq!(layer["sha256"], digest(&project.read(path)));
        assert!(names(&project, path).iter().all(|name| name.starts_with("python/")));
    }
    let idna = names(&project, "out/layers/shared-idna.zip");
    let tag = format!("cpython-{}", project.python.replace('.', ""));
    assert!(idna.contains("python/idna/core.py"), "{idna:?}");
    assert!(idna.contains(&format!("python/idna/__pycache__/core.{tag}.pyc")), "{idna:?}");
    assert!(idna.contains("python/idna-3.10.dist-info/METADATA"), "{idna:?}");
    for (at, name) in ["one", "two", "three"].into_iter().enumerate() {
        let report = &built["reports"][at];
        assert_eq!(report["verdict"]["equal"], true, "{report}");
        let zip = names(&project, &format!("out/{name}/{name}.zip"));
        assert!(
            zip.contains("app.py") && !zip.iter().any(|name| name.contains("idna") || name.contains("six"))
        );
        assert_eq!(
            report["artifacts"][0]["sha256"],
            digest(&project.read(&format!("out/{name}/{name}.zip")))
        );
        let attached: u64 =
            report["layers"].as_array().unwrap().iter().map(|layer| layer["bytes"].as_u64().unwrap()).sum();
        assert_eq!(
            report["after"]["zip_bytes"],
            report["artifacts"][0]["bytes"].as_u64().unwrap() + attached
        );
        let own: Value = serde_json::from_slice(&project.made(&format!("{name}/report.json"))).unwrap();
        assert_eq!(&own, report);
    }
    let objective = &layers["objective"];
    let total = |cost: &Value| cost["total"].as_f64().unwrap();
    assert_eq!(objective["exact"], true);
    assert!(total(&objective["cost"]) < total(&layers["baselines"]["none"]["cost"]));
    assert!(total(&objective["cost"]) < total(&layers["baselines"]["everything"]["cost"]));
    answers_from_a_server(&project);
}

/// The layers as they are published, attached and invoked through Lambda's own API.
fn answers_from_a_server(project: &Project) {
    project.write("function/app.py", "def handler(event, context): ...\n");
    project.configure("");
    let serving = Serving::start(project, &[]);
    let endpoint = serving.first["endpoint"].as_str().unwrap();
    let output = Command::new("python3")
        .args(["-c", PUBLISH, endpoint, &project.python, r#"{"word": "façade"}"#])
        .current_dir(&project.root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "one": ["iniconfig", "façade"],
        "two": ["xn--faade-zra", "iniconfig", true],
        "three": ["xn--faade-zra", true],
    });
    assert_eq!(answers, expected);
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn several_functions_get_a_folder_each() {
    let project = Project::empty();
    for name in ["one", "two"] {
        function(&project, name, &format!("def handler(event, context):\n    return {name:?}\n"), "");
    }
    let built = build(&project, &["one", "two"], &[]);
    assert_eq!(built["layers"], Value::Null);
    for (at, name) in ["one", "two"].into_iter().enumerate() {
        assert_eq!(built["reports"][at]["function"]["name"], name);
        assert_eq!(built["reports"][at]["artifacts"][0]["path"], format!("out/{name}/{name}.zip"));
        assert!(built["reports"][at].get("layers").is_none(), "a report without layers is as it always was");
        assert!(names(&project, &format!("out/{name}/{name}.zip")).contains("app.py"));
        assert!(project.root.join(format!("out/{name}/glowplug.lock")).is_file());
    }
    assert!(!project.root.join("out/layers.json").exists() && !project.root.join("out/earlier.txt").exists());
    let table = project.run(&["build", "one", "two", "--out", "out", "--runs", "1"]);
    assert!(table.stdout.contains("one") && table.stdout.contains("same"), "{table:?}");
}

#[test]
fn a_function_that_differs_with_layers_ships_without_and_the_others_share() {
    let project = Project::empty();
    let tells = "import lib\n\n\ndef handler(event, context):\n    return {'place': lib.__file__}\n";
    for (name, app) in [("tells", tells), ("one", USES_LIB), ("two", USES_LIB)] {
        function(&project, name, app, "");
        install(&project, name, "lib", "1.0", &large("VALUE = 1"));
    }
    let built = build(&project, &["tells", "one", "two"], &["--kind", "layers"]);
    let layers = &built["layers"];
    assert_eq!(users(layers), [("shared-lib".to_owned(), json!(["one", "two"]))].into());
    let refused = layers["functions"][0]["refused"].as_str().unwrap();
    assert!(refused.contains("/opt/python/lib/__init__.py"), "{refused}");
    assert!(names(&project, "out/tells/tells.zip").contains("lib/__init__.py"));
    assert!(!names(&project, "out/one/one.zip").contains("lib/__init__.py"));
    assert!(built["reports"].as_array().unwrap().iter().all(|report| report["verdict"]["equal"] == true));
}

#[test]
fn versions_that_differ_and_packages_of_two_owners_stay_apart() {
    let project = Project::empty();
    for (name, version) in [("one", "1.0"), ("two", "1.0"), ("other", "2.0"), ("mixed", "1.0")] {
        function(&project, name, USES_LIB, "");
        install(&project, name, "lib", version, &large(&format!("VALUE = {version}")));
    }
    // A file of its own in the distribution's package: only one place of `sys.path` gives a package.
    project.write("mixed/lib/own.py", "VALUE = 3\n");
    let uses_own = USES_LIB.replace("import lib\n", "import lib.own\n").replace("lib.VALUE", "lib.own.VALUE");
    project.write("mixed/app.py", uses_own);
    let built = build(&project, &["one", "two", "other", "mixed"], &["--kind", "layers"]);
    assert_eq!(users(&built["layers"]), [("shared-lib".to_owned(), json!(["one", "two"]))].into());
    for name in ["other", "mixed"] {
        assert!(names(&project, &format!("out/{name}/{name}.zip")).contains("lib/__init__.py"), "{name}");
    }
}

#[test]
fn the_same_plans_give_the_same_layers() {
    let project = Project::empty();
    for name in ["one", "two"] {
        function(&project, name, USES_LIB, "");
        install(&project, name, "lib", "1.0", &large("import decimal\nVALUE = 1"));
    }
    build(&project, &["one", "two"], &["--kind", "layers", "--update-lock"]);
    assert!(project.root.join("two/glowplug.lock").is_file());
    let read = || {
        ["out/layers/shared-lib.zip", "out/one/one.zip", "out/two/two.zip"]
            .map(|path| digest(&project.read(path)))
    };
    let first = read();
    build(&project, &["one", "two"], &["--kind", "layers", "--locked", "--fresh"]);
    assert_eq!(read(), first);
}

#[test]
fn a_file_says_how_often_things_move_and_start() {
    let project = Project::empty();
    for name in ["one", "two"] {
        function(&project, name, USES_LIB, "");
        install(&project, name, "lib", "1.0", &large("import more\nVALUE = 1"));
        install(&project, name, "more", "1.0", &large(""));
    }
    project.write(
        "fleet.toml",
        "most_layers = 1\n[moves]\nlib = 9\n[cold_starts]\none = 2.5\n[weights]\nmixed = 0\n",
    );
    let built =
        build(&project, &["one", "two"], &["--kind", "layers", "--fleet", "fleet.toml", "--no-verify"]);
    let layers = &built["layers"];
    assert_eq!(layers["layers"].as_array().unwrap().len(), 1);
    let members = layers["layers"][0]["members"].as_array().unwrap();
    assert_eq!((&members[0]["name"], &members[0]["moves"]), (&json!("lib"), &json!(9.0)));
    assert_eq!(layers["objective"]["weights"]["mixed"], 0.0);
    assert_eq!(
        built["reports"][0]["verdict"]["equal"],
        Value::Null,
        "nothing was replayed, and that is said"
    );
    project.write("fleet.toml", "[cold_starts]\nthree = 2.5\n");
    let fails = |more: &[&str]| {
        project.fails(
            1,
            &[&["build", "one", "two", "--out", "out", "--kind", "layers", "--fleet", "fleet.toml"], more]
                .concat(),
        )
    };
    assert!(fails(&[]).contains("`three`, which is not built"));
    project.write("fleet.toml", "[moves]\nlib = 1\n[wieghts]\nstored = 2\n");
    let text = fails(&[]);
    assert!(text.contains("fleet.toml:3") && text.contains("unknown field `wieghts`"), "{text}");
    project.write("fleet.toml", "most_layers = 9\n[moves]\nlib = 1\n");
    let text = fails(&[]);
    assert!(text.contains("at: fleet.toml:1") && text.contains("`most_layers` is 9"), "{text}");
    project.write("fleet.toml", "[moves]\nlib = 2\nlibb = 1\n");
    let text = fails(&["--no-verify"]);
    assert!(text.contains("`libb`") && text.contains("at: fleet.toml:3"), "{text}");
    assert!(text.contains("they have lib, more"), "{text}");
    project.write("fleet.toml", "[moves]\nlib = -1\n");
    assert!(fails(&["--no-verify"]).contains("`moves` of `lib` is -1"));
}

#[test]
fn what_does_not_go_together_is_refused_and_nothing_changes() {
    let project = Project::empty();
    function(&project, "one", "def handler(event, context): ...\n", "");
    function(&project, "two", "import nowhere_at_all\ndef handler(event, context): ...\n", "");
    function(&project, "layers", "def handler(event, context): ...\n", "");
    let fails = |code, more: &[&str]| project.fails(code, &[&["build", "--out", "out"], more].concat());
    assert!(fails(2, &["one", "--kind", "layers"]).contains("what several functions share"));
    assert!(fails(2, &["one", "two", "--fleet", "x.toml"]).contains("`--fleet` is about layers"));
    assert!(fails(2, &["one", "two", "--diff"]).contains("`--diff` is about one function"));
    assert!(fails(2, &["one", "one"]).contains("two functions are named `one`"));
    assert!(fails(2, &["one", "layers"]).contains("named `layers`"));
    let text = fails(1, &["one", "two", "--runs", "1"]);
    assert!(text.contains("`two`: the function fails while it starts"), "{text}");
}
