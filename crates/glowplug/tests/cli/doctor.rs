//! What the doctor finds in packages that were made for it, and where it stays silent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Project;

/// Python's version in these packages: nothing is run.
const VERSION: &str = "3.12";
/// Enough text for a rule on files to speak.
const LONG: usize = 20_000;

/// Writes an installed distribution into `function/`: its files, their list, its metadata.
fn install(
    project: &Project,
    name: &str,
    version: &str,
    files: &[(&str, Vec<u8>)],
    more: &str,
    plugin: &str,
) {
    let info = format!("{}-{version}.dist-info", name.replace('-', "_"));
    let mut record = String::new();
    for (path, contents) in files {
        project.write(&format!("function/{path}"), contents);
        record += &format!("{path},,\n");
    }
    for file in ["METADATA", "RECORD", "entry_points.txt"] {
        record += &format!("{info}/{file},,\n");
    }
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\nText.\n");
    project.write(&format!("function/{info}/METADATA"), metadata);
    project.write(&format!("function/{info}/RECORD"), record);
    project.write(&format!("function/{info}/entry_points.txt"), plugin);
}

fn module(project: &Project, name: &str, source: &str) {
    let path = format!("{}.py", name.replace('-', "_"));
    install(project, name, "1.0", &[(&path, source.as_bytes().to_vec())], "", "");
}

/// A native library as far as its header goes, for this machine type.
fn elf(machine: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x7F, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    bytes.extend(3_u16.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.resize(length, 0);
    bytes
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|index| b'a' + (index % 23) as u8).collect()
}

fn configured(project: &Project) {
    let head = format!("handler = \"app.handler\"\npython = \"{VERSION}\"\narchitecture = \"x86_64\"\n");
    project.write("function/glowplug.toml", head);
}

/// A function's folder in which every rule that needs no start has something to say.
fn messy() -> Project {
    let project = Project::empty();
    configured(&project);
    project.write(
        "function/app.py",
        "import boto3\nimport requests\nimport unread\nfrom shapes import Shape\nimport big\n\ns3 = boto3.client('s3')\n\n\n\
         def area(shape: Shape):\n    return requests.get('http://localhost', timeout=1).text\n\n\n\
         def handler(event, context):\n    return [area(event), big.a, s3]\n",
    );
    project.write("function/requirements.txt", "boto3==1.0\nidle==1.0\nrequests==1.0\npytest==1.0\n");
    project.write("function/tests/test_app.py", "import checker\n");
    project.write("function/settings.yaml", "driver: driver\n");
    project.write("function/email.py", "X = 1\n");
    project.write("function/hidden.py", "X = 1\n");
    for name in ["requests", "unread", "shapes", "checker", "driver", "tzdata"] {
        module(&project, name, "Shape = get = 1\n");
    }
    install(
        &project,
        "idle",
        "1.0",
        &[("idle.py", b"import helper\n".to_vec())],
        "Requires-Dist: helper\n",
        "",
    );
    module(&project, "helper", "");
    install(&project, "addon", "1.0", &[("addon.py", Vec::new())], "", "[app.plugins]\na = addon\n");
    install(&project, "pytest", "1.0", &[("pytest.py", Vec::new())], "", "[pytest11]\na = a\n");
    module(&project, "tomli", "");
    install(&project, "twice", "1.0", &[("twice.py", Vec::new())], "", "[x.y]\na = b\n");
    install(&project, "twice", "2.0", &[("twice.py", Vec::new())], "", "[x.y]\na = b\n");
    install(&project, "hidden-lib", "1.0", &[("hidden/__init__.py", Vec::new())], "", "[x.y]\na = b\n");
    sdk(&project);
    big(&project);
    project
}

fn sdk(project: &Project) {
    let data = |service: &str| (format!("botocore/data/{service}/2016/service-2.json"), text(LONG));
    let data: Vec<(String, Vec<u8>)> = [data("s3"), data("ec2")].into();
    let mut files: Vec<(&str, Vec<u8>)> =
        data.iter().map(|(path, contents)| (path.as_str(), contents.clone())).collect();
    files.push(("botocore/__init__.py", Vec::new()));
    install(project, "botocore", "1.0", &files, "", "");
    let boto3 = [("boto3/__init__.py", b"import botocore\ndef client(name): ...\n".to_vec())];
    install(project, "boto3", "1.0", &boto3, "Requires-Dist: botocore\n", "");
}

fn big(project: &Project) {
    install(
        project,
        "big",
        "1.0",
        &[
            ("big/__init__.py", b"a = 1\n".to_vec()),
            ("big/old.py", b"a = 2\n".to_vec()),
            ("big/__pycache__/old.cpython-312.pyc", vec![0; 32]),
            ("big/tests/test_big.py", text(LONG)),
            ("big/docs/index.rst", text(LONG)),
            ("big/types.pyi", text(LONG)),
            ("big/old.py.orig", text(LONG)),
            ("big/Names.txt", b"1".to_vec()),
            ("big/names.txt", b"2".to_vec()),
            ("big/foreign.so", elf(183, 64)),
            ("big/strange.cpython-39-x86_64-linux-gnu.so", elf(62, 64)),
        ],
        "",
        "",
    );
    let library = elf(62, 70_000);
    install(
        project,
        "lib-a",
        "1.0",
        &[("lib_a/liba.so", library.clone()), ("lib_a/__init__.py", Vec::new())],
        "",
        "[x.y]\na = b\n",
    );
    install(
        project,
        "lib-b",
        "1.0",
        &[("lib_b/liba.so", library), ("lib_b/__init__.py", Vec::new())],
        "",
        "[x.y]\na = b\n",
    );
    // A wheel that serves several machines has a fitting library too, this one has not.
    install(project, "arm-only", "1.0", &[("arm_only.so", elf(183, 64))], "", "[x.y]\na = b\n");
}

fn found(project: &Project, more: &[&str]) -> Vec<Value> {
    let outcome = project.run(&[&["doctor", "function", "--runs", "0", "--format", "json"], more].concat());
    let document = outcome.json();
    assert_eq!(document["schema"], "glowplug.findings/1");
    document["findings"].as_array().unwrap().clone()
}

fn codes(findings: &[Value]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn every_rule_speaks_of_a_package_made_for_it() {
    let project = messy();
    let findings = found(&project, &[]);
    // GP124 needs a real library with symbols, GP126 a start, GP131 a library of a newer system, GP150 and GP151 much.
    let expected = BTreeSet::from([
        "GP101", "GP102", "GP103", "GP104", "GP105", "GP106", "GP107", "GP108", "GP109", "GP110", "GP120",
        "GP121", "GP122", "GP123", "GP125", "GP130", "GP132", "GP133", "GP140", "GP141", "GP152",
    ]);
    assert_eq!(codes(&findings), expected);
    let told: Vec<String> = findings
        .iter()
        .map(|f| {
            format!(
                "{} {}: {}",
                f["code"].as_str().unwrap(),
                f["place"].as_str().unwrap(),
                f["message"].as_str().unwrap()
            )
        })
        .collect();
    // Plugins, what a text names, and what Python itself reads are not called unused.
    for name in ["addon", "driver", "tzdata"] {
        assert!(!told.iter().any(|line| line.contains(&format!("`{name}`"))), "{name}: {told:#?}");
    }
    let outcome = project.run(&["doctor", "function", "--runs", "0"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    insta::assert_snapshot!("messy", outcome.stdout);
}

#[test]
fn nothing_is_said_of_a_tidy_package() {
    let project = Project::empty();
    configured(&project);
    project.write(
        "function/app.py",
        "from __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\nimport requests\nimport base\n\
         from shapes import Shape\nimport patches  # noqa: F401\nimport numbers_lib as numbers_lib\n\n\
         if TYPE_CHECKING:\n    import hints\n\ntry:\n    import fast\nexcept ImportError:\n    fast = None\n\n\n\
         def area(shape: Shape) -> hints.Area:\n    other: Shape = Shape()\n    return other\n\n\n\
         def handler(event, context):\n    with requests.Session() as session:\n        return area(session.get(event['url'])), fast, base\n",
    );
    for name in ["requests", "shapes", "patches", "numbers-lib", "fast", "base", "hints"] {
        module(&project, name, "");
    }
    // Needed by what is needed, in a function alone, and by its metadata alone.
    module(&project, "deep", "");
    install(&project, "wide", "1.0", &[("wide.py", b"def f():\n    import deep\n".to_vec())], "", "");
    project.write("function/base.py", "def f():\n    import wide\n");
    install(&project, "wanting", "1.0", &[("wanting.py", Vec::new())], "Requires-Dist: silent\n", "");
    module(&project, "silent", "");
    project.write("function/lazy.py", "import importlib\nX = importlib.import_module('wanting')\n");
    let findings = found(&project, &["--ignore", "GP140,GP109"]);
    let told: Vec<&Value> =
        findings.iter().filter(|f| !f["message"].as_str().unwrap().contains("`hints`")).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn rules_are_chosen_and_fail_on_demand() {
    let project = messy();
    assert_eq!(
        codes(&found(&project, &["--select", "GP101", "--select", "GP13"])),
        BTreeSet::from(["GP101", "GP130", "GP132", "GP133"])
    );
    assert!(!codes(&found(&project, &["--ignore", "gp101"])).contains("GP101"));
    let failed = project.run(&["doctor", "function", "--runs", "0", "--select", "GP101", "--fail-on", "any"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stdout.contains("GP101") && failed.stderr.contains("`--fail-on`"), "{failed:?}");
    let other =
        project.run(&["doctor", "function", "--runs", "0", "--select", "GP101", "--fail-on", "GP130"]);
    assert_eq!(other.code, Some(0), "{other:?}");
    assert_eq!(project.run(&["doctor", "function", "--select", "GP999"]).code, Some(2));
    assert_eq!(project.run(&["trace", "function", "--format", "sarif"]).code, Some(2));
}

#[test]
fn sarif_has_a_rule_and_a_place_for_every_result() {
    let project = messy();
    let outcome = project.run(&["doctor", "function", "--runs", "0", "--format", "sarif"]);
    let document = outcome.json();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 20);
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let location = &result["locations"][0]["physicalLocation"];
        let uri = location["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains(' '), "{uri}");
        if let Some(line) = location["region"]["startLine"].as_u64() {
            assert!(line > 0);
        }
    }
}

#[test]
fn a_layer_and_a_zip_are_looked_at_without_their_sources() {
    let project = messy();
    pack(&project, "function", "function.zip", "");
    let outcome = project.run(&["doctor", "function.zip", "--runs", "0", "--format", "json"]);
    let document = outcome.json();
    assert_eq!((&document["kind"], &document["python"]), (&"zip".into(), &VERSION.into()));
    assert!(codes(document["findings"].as_array().unwrap()).contains("GP101"), "{document}");

    pack(&project, "function/big", "layer.zip", "python/lib/python3.12/site-packages/big/");
    let outcome = project.run(&["doctor", "layer.zip", "--format", "json"]);
    let document = outcome.json();
    assert_eq!((&document["kind"], &document["python"]), (&"layer".into(), &VERSION.into()));
    let found = codes(document["findings"].as_array().unwrap());
    assert!(found.contains("GP130") && !found.contains("GP101"), "{document}");
    assert!(
        document["not_seen"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line.as_str().unwrap().contains("no handler"))
    );
}

/// Zips a folder below the root.
fn pack(project: &Project, folder: &str, zip: &str, prefix: &str) {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::fs::File::create(project.root.join(zip)).unwrap());
    let from = project.root.join(folder);
    for entry in walkdir::WalkDir::new(&from).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(&from).unwrap().to_str().unwrap().to_owned();
            writer.start_file(format!("{prefix}{path}"), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&fs_err::read(entry.path()).unwrap()).unwrap();
        }
    }
    writer.finish().unwrap();
}

#[test]
fn an_image_is_looked_at_in_its_working_folder_and_site_folders() {
    let project = messy();
    let site = "usr/local/lib/python3.12/site-packages";
    let mut layer = tar::Builder::new(Vec::new());
    let mut put = |path: &str, contents: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        layer.append_data(&mut header, path, contents).unwrap();
    };
    for entry in walkdir::WalkDir::new(project.root.join("function")).sort_by_file_name() {
        let entry = entry.unwrap();
        let path =
            entry.path().strip_prefix(project.root.join("function")).unwrap().to_str().unwrap().to_owned();
        if entry.file_type().is_file() {
            let own = ["app.py", "requirements.txt", "settings.yaml", "hidden.py"].contains(&path.as_str());
            let folder = if own { "srv/app" } else { site };
            put(&format!("{folder}/{path}"), &fs_err::read(entry.path()).unwrap());
        }
    }
    let blob = |bytes: &[u8], media_type: &str| {
        let hex = crate::support::digest(bytes);
        project.write(&format!("image/blobs/sha256/{hex}"), bytes);
        let media_type = format!("application/vnd.oci.image.{media_type}");
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let layer = blob(&layer.into_inner().unwrap(), "layer.v1.tar");
    let config = json!({"os": "linux", "architecture": "arm64",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "config": {"WorkingDir": "/srv/app", "Cmd": ["python", "-m", "helper"]}});
    let config = blob(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    let tagged = |tag: &str| {
        let mut manifest = blob(manifest.as_bytes(), "manifest.v1+json");
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        manifest
    };
    project.write("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({"schemaVersion": 2, "manifests": [tagged("one")]});
    project.write("image/index.json", index.to_string());
    let document = project.run(&["doctor", "image", "--format", "json"]).json();
    // By its name too.
    assert_eq!(
        project.run(&["doctor", "image:one", "--format", "json"]).json()["findings"],
        document["findings"]
    );
    let errors = project.fails(1, &["doctor", "image:two"]);
    assert!(errors.contains("the layout has no image `two`") && errors.contains("it has `one`"), "{errors}");
    assert_eq!(
        (&document["kind"], &document["python"], &document["architecture"]),
        (&"image".into(), &VERSION.into(), &"arm64".into())
    );
    let findings = document["findings"].as_array().unwrap();
    // The runtime and the C library are the image's own; the command names the helper of what else is idle.
    let found = codes(findings);
    assert!(found.contains("GP101") && found.contains("GP102") && found.contains("GP108"), "{document}");
    assert!(!found.contains("GP104") && !found.contains("GP110"), "{document}");
    let idle = findings.iter().find(|f| f["message"].as_str().unwrap().contains("`idle`")).unwrap();
    assert_eq!(
        (&idle["place"], &idle["message"]),
        (&"requirements.txt:2".into(), &"nothing imports `idle`".into())
    );
    // Its libraries are for this machine now, but the one that is for the other.
    let foreign = findings.iter().filter(|f| f["code"] == "GP130");
    assert!(
        foreign.clone().count() > 0
            && foreign.clone().all(|f| f["message"].as_str().unwrap().contains("x86_64"))
    );
}

#[test]
fn a_system_around_a_function_is_not_its_package() {
    let project = Project::empty();
    let site = "root/usr/local/lib/python3.12/site-packages";
    project.write("root/etc/passwd", "root:x:0:0::/:/bin/sh\n");
    for library in ["root/lib/x86_64-linux-gnu/libc.so.6", "root/usr/lib/x86_64-linux-gnu/libc.so.6"] {
        project.write(library, elf(183, 70_000));
    }
    project.write("root/usr/lib/python3/dist-packages/apt.py", "import nowhere\n");
    project.write(
        "root/var/task/app.py",
        "import unread\nimport used\n\n\ndef handler(event, context):\n    return used.X\n",
    );
    project.write(&format!("{site}/unread.py"), "X = 1\n");
    project.write(&format!("{site}/used.py"), "X = 1\n");
    let document = project.run(&["doctor", "root", "--format", "json"]).json();
    assert_eq!((&document["kind"], &document["python"]), (&"image".into(), &VERSION.into()));
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(codes(findings), BTreeSet::from(["GP140"]), "{document}");
    assert!(!document.to_string().contains("libc.so"), "{document}");
}

#[test]
fn a_source_that_cannot_be_parsed_lacks_no_bytecode() {
    let project = Project::empty();
    configured(&project);
    project.write("function/app.py", "def handler(event, context):\n    return 1\n");
    project.write("function/broken.py", "def f(\n");
    let told = project.run(&["doctor", "function", "--runs", "0", "--format", "json"]).json();
    assert!(told["not_seen"].to_string().contains("`broken.py` is no Python 3.12 source"), "{told}");
    assert_eq!(told["findings"][0]["place"], "app.py", "{told}");
    assert!(!told["findings"].to_string().contains("broken.py"), "{told}");
}

#[test]
fn slow_distributions_as_they_are_installed() {
    let project = Project::empty();
    let config = format!("handler = \"app.handler\"\npython = \"{}\"\n", project.python);
    project.write("function/glowplug.toml", config);
    project.write(
        "function/requirements.txt",
        "boto3==1.40.76\nrequests==2.32.5\npandas==2.2.3\npytest==8.4.2\n",
    );
    project.write(
        "function/app.py",
        "import boto3\nimport requests\n\ns3 = boto3.client('s3')\n\n\n\
         def handler(event, context):\n    return requests.get(event['url'], timeout=1).text, s3.list_buckets()\n",
    );
    let findings = found(&project, &[]);
    let said = |code: &str, text: &str| {
        findings.iter().any(|f| f["code"] == code && f["message"].as_str().unwrap().contains(text))
    };
    for (code, text) in [
        ("GP104", "`boto3`"),
        ("GP105", "`requests` is used in 1 place"),
        ("GP107", "`pytest`"),
        ("GP120", "`pandas 2.2.3` ships"),
        ("GP120", "`numpy"),
        ("GP122", "`numpy"),
        ("GP125", "`botocore 1.40.76` ships"),
    ] {
        assert!(said(code, text), "{code} {text}: {findings:#?}");
    }
    // pandas has entry points, by which others load it. Wheels for this machine and this Python, each once.
    let codes = codes(&findings);
    for code in ["GP101", "GP106", "GP108", "GP109", "GP110", "GP130", "GP131", "GP132", "GP133", "GP152"] {
        assert!(!codes.contains(code), "{code}: {findings:#?}");
    }
}

#[test]
fn what_cannot_be_read_is_one_error() {
    let project = messy();
    project.write("damaged.zip", b"PK\x03\x04 and then nothing");
    project.write("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let gone = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 9,
        "digest": format!("sha256:{}", "0".repeat(64))});
    project.write("image/index.json", json!({"schemaVersion": 2, "manifests": [gone]}).to_string());
    let evil = std::fs::File::create(project.root.join("evil.zip")).unwrap();
    let mut writer = zip::ZipWriter::new(evil);
    writer.start_file("../evil", zip::write::SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
    for (path, message) in [
        ("nowhere", "there is no function at `nowhere`"),
        ("damaged.zip", "cannot read the zip"),
        ("evil.zip", "leads out of it"),
        ("image", "a blob of the layout is missing"),
    ] {
        let errors = project.fails(1, &["doctor", path]);
        assert!(errors.contains(message), "{path}: {errors}");
    }
}

#[test]
fn a_traced_start_gives_milliseconds_and_shows_data_that_nobody_opened() {
    let project =
        Project::new("import heavy\nimport used\n\n\ndef handler(event, context):\n    return used.read()\n");
    let event = project.event("one", "{}");
    project.configure(&event);
    install(&project, "heavy", "1.0", &[("heavy.py", b"X = sum(range(400000))\n".to_vec())], "", "");
    let source = b"import os\ndef read():\n    return len(open(os.path.join(os.path.dirname(__file__), 'a.bin')).read())\n";
    let large = vec![b'x'; 1_100_000];
    let files =
        [("used/__init__.py", source.to_vec()), ("used/a.bin", large.clone()), ("used/idle/b.bin", large)];
    install(&project, "used", "1.0", &files, "", "");
    let outcome = project.run(&["doctor", "function", "--runs", "1", "--format", "json"]);
    let document = outcome.json();
    assert_eq!(document["traced"], true, "{document}");
    let findings = document["findings"].as_array().unwrap();
    let one = |code: &str| {
        findings.iter().find(|f| f["code"] == code).unwrap_or_else(|| panic!("{code}: {document}"))
    };
    assert!(one("GP102")["saves_ms"].as_f64().unwrap() > 0.0);
    assert!(one("GP140")["saves_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(one("GP126")["place"], "used/idle/b.bin");
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn the_page_describes_every_rule_as_the_program_does() {
    let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md")).unwrap();
    for rule in glowplug_doctor::RULES {
        let row =
            format!("| [`{}`](#{}-{}) | {} |", rule.code, rule.code.to_lowercase(), rule.name, rule.sentence);
        assert!(page.contains(&row), "docs/doctor.md lacks: {row}");
        let heading = format!("### {} {}", rule.code, rule.name);
        let section =
            page.split(&heading).nth(1).unwrap_or_else(|| panic!("docs/doctor.md lacks: {heading}"));
        let section = section.split("\n### ").next().unwrap();
        assert!(section.contains("*Silent*"), "{}: where it stays silent", rule.code);
        assert!(section.contains("*Remedy*"), "{}: its remedy", rule.code);
    }
}
