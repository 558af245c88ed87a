//! `build --kind image`: on a root file system made of this machine's Python, run under `runc`, pushed to a real registry.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::{Value, json};

use crate::support::{Project, digest};

const APP: &str = "\
import json
import xml.dom.minidom

def handler(event, context):
    if event.get('rawPath') == '/cold':
        return {'statusCode': 200, 'body': json.dumps({'who': 'cold'})}
    return {'path': event.get('rawPath', 'none'), 'name': context.function_name}
";

/// A function, and a base for it.
pub(crate) fn project() -> Project {
    let project = Project::new(APP);
    let lib = "function/lib-1.0.dist-info";
    project.write("function/lib/__init__.py", "VALUE = 1\n");
    project.write(
        &format!("{lib}/METADATA"),
        "Metadata-Version: 2.4\nName: lib\nVersion: 1.0\nLicense-Expression: MIT\n",
    );
    project.write(&format!("{lib}/RECORD"), "lib/__init__.py,,\n");
    project.configure(&project.event("ping", r#"{"rawPath": "/x"}"#));
    root_file_system(&project.python, &project.root.join("base"));
    project
}

/// The interpreter, its library and what both are linked with.
fn root_file_system(version: &str, root: &Utf8Path) {
    let ask = "import json, os, sys, sysconfig\n\
               print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path('stdlib')]))";
    let said = Command::new("python3").args(["-I", "-c", ask]).output().unwrap().stdout;
    let said: [Utf8PathBuf; 2] = serde_json::from_slice(&said).unwrap();
    let [executable, library] = said;
    place(&executable, &root.join(format!("usr/local/bin/python{version}")));
    let home = root.join(format!("usr/local/lib/python{version}"));
    let left_out = ["test", "site-packages", "dist-packages", "idlelib", "ensurepip", "lib2to3", "tkinter"];
    let mut linked = vec![executable];
    for entry in walkdir::WalkDir::new(&library).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !left_out.contains(&name.as_ref()) && !name.starts_with("config-")
    }) {
        let entry = entry.unwrap();
        let path = Utf8Path::from_path(entry.path()).unwrap();
        if entry.file_type().is_file() {
            place(path, &home.join(path.strip_prefix(&library).unwrap()));
            if path.extension() == Some("so") {
                linked.push(path.to_owned());
            }
        }
    }
    for binary in linked {
        let told = Command::new("ldd").arg(&binary).output().unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        let word = |line: &str| line.split_whitespace().find(|w| w.starts_with('/')).map(Utf8PathBuf::from);
        for library in told.lines().filter_map(word) {
            place(&library, &root.join(library.strip_prefix("/").unwrap()));
        }
    }
    // Lambda's runtime client is linked with these.
    let known = done(Command::new("sh").args(["-c", "PATH=$PATH:/sbin ldconfig -p"]));
    for name in ["libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"] {
        let line = known.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let library = Utf8Path::new(line.rsplit(' ').next().unwrap());
        place(library, &root.join(library.strip_prefix("/").unwrap()));
    }
    for folder in ["proc", "sys", "dev", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
}

fn place(from: &Utf8Path, to: &Utf8Path) {
    if !to.exists() && from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

fn has(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        println!("not covered: no {program}");
    }
    found
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds the image and gives the report.
pub(crate) fn image(project: &Project, more: &[&str]) -> Value {
    let base = format!("rootfs:{}", project.root.join("base"));
    let base = ["--base", base.as_str()];
    project.report(&[&["--kind", "image", "--runs", "1"], &base[..], more].concat())
}

#[test]
fn an_image_says_what_a_start_fetches_and_is_compared_with_the_zip() {
    let project = project();
    let report = image(&project, &["--kind", "zip"]);
    let kinds: Vec<&Value> = report["artifacts"].as_array().unwrap().iter().map(|a| &a["kind"]).collect();
    assert_eq!(kinds, ["zip", "image"]);
    let image = &report["image"];
    assert_eq!((&image["format"], &image["entrypoint"]), (&json!("estargz"), &json!("lambda")));
    let names: Vec<&Value> = image["layers"].as_array().unwrap().iter().map(|l| &l["name"]).collect();
    assert_eq!(names, ["base", "runtime", "dependencies", "application"]);
    assert!(
        image["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|layer| layer["hot"].as_u64() > Some(0) || layer["name"] == "dependencies")
    );
    let (fetched, all) = (image["fetched_bytes"]["ping"].as_u64().unwrap(), image["bytes"].as_u64().unwrap());
    assert!(0 < fetched && fetched < all, "{fetched} of {all}");
    let delivery = &report["delivery"];
    assert_eq!(delivery["bandwidth_mbit"], 500.0);
    let ways = delivery["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 3);
    assert_eq!(ways[0]["fetched_bytes"], report["artifacts"][0]["bytes"]);
    assert_eq!(ways[1]["fetched_bytes"], fetched);
    assert!(ways[2]["fetched_bytes"].as_u64().unwrap() < fetched);
    let bill: Value = serde_json::from_slice(&project.made("demo.oci.cdx.json")).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["components"][0]["name"]), (&json!("CycloneDX"), &json!("lib")));
    // The same plan gives the same image.
    let again = self::image(&project, &["--plan", "out/glowplug.lock", "--fresh"]);
    assert_eq!(again["image"]["digest"], image["digest"]);
    assert!(!project.root.join("out/demo.zip").exists(), "a zip that nobody asked for");
}

#[test]
fn an_image_serves_requests_under_runc() {
    if !has("umoci") || !has("runc") || fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("not covered: runc, which needs root here");
        return;
    }
    let project = project();
    image(&project, &["--entrypoint", "http"]);
    let bundle = project.root.join("bundle");
    let layout = format!("{}:demo", project.root.join("out/demo.oci"));
    done(Command::new("umoci").args(["unpack", "--image", &layout, bundle.as_str()]));
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let served = config["process"]["args"].clone();
    assert_eq!(served, json!([format!("/usr/local/bin/python{}", project.python), "-m", "glowplug_http"]));
    assert_eq!(config["process"]["cwd"], "/var/task");
    // The image's own command, and a client beside it in the same container.
    let client = format!(
        "import json, subprocess, sys, time, urllib.request as u\n\
        server = subprocess.Popen({served})\n\
        for _ in range(600):\n    \
            try:\n        told = [u.urlopen('http://127.0.0.1:8080' + p).read().decode() for p in ('/hello', '/cold')]\n        break\n    \
            except OSError: time.sleep(0.05)\n\
        print(json.dumps(told))\n\
        server.terminate()\nsys.exit(server.wait())\n"
    );
    config["process"]["args"] = json!([served[0], "-c", client]);
    config["process"]["terminal"] = false.into();
    fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
    let name = project.root.file_name().unwrap().trim_start_matches('.');
    let state = project.root.join("runc");
    let told =
        done(Command::new("runc").args(["--root", state.as_str(), "run", "--bundle", bundle.as_str(), name]));
    let told: [String; 2] = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told[0]).unwrap()["path"], "/hello");
    assert_eq!(told[1], r#"{"who": "cold"}"#);
}

/// `docker-registry` on a port of its own.
struct Registry(Child, u16);

impl Registry {
    fn start(folder: &Utf8Path) -> Self {
        let storage = folder.join("storage");
        let file = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\n\
             http: {{addr: '127.0.0.1:0', secret: test}}\n"
        );
        fs::write(&file, text).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", file.as_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.by_ref().find_map(|line| {
            let rest = line.split("listening on 127.0.0.1:").nth(1)?.to_owned();
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, port.expect("the registry did not start"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_image_goes_to_a_registry_and_others_stand_on_it() {
    if !has("docker-registry") || !has("skopeo") {
        return;
    }
    let project = project();
    let outside = tempfile::tempdir().unwrap();
    let registry = Registry::start(Utf8Path::from_path(outside.path()).unwrap());
    let name = format!("127.0.0.1:{}/demo:1", registry.1);
    let report = image(&project, &["--push", &name]);
    let digest = report["image"]["digest"].as_str().unwrap();
    assert_eq!(report["image"]["pushed"], format!("127.0.0.1:{}/demo@{digest}", registry.1));
    let source = format!("docker://{name}");
    let told = done(Command::new("skopeo").args(["inspect", "--tls-verify=false", &source]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["Digest"], digest);
    let stored: Value = serde_json::from_slice(&project.made("report.json")).unwrap();
    assert_eq!(stored["image"]["pushed"], report["image"]["pushed"]);
    // It holds this function, all of which is replaced by itself.
    let again = project.report(&["--kind", "image", "--base", &name, "--runs", "1"]);
    assert_eq!(again["image"]["base"], name);
    if !has("umoci") {
        return;
    }
    let layout = project.root.join("plain");
    let plain = format!("{layout}:base");
    done(Command::new("umoci").args(["init", "--layout", layout.as_str()]));
    done(Command::new("umoci").args(["new", "--image", &plain]));
    done(Command::new("umoci").args(["insert", "--image", &plain, project.root.join("base").as_str(), "/"]));
    let base = format!("127.0.0.1:{}/base:1", registry.1);
    let (from, to) = (format!("oci:{plain}"), format!("docker://{base}"));
    done(Command::new("skopeo").args(["copy", "--quiet", "--dest-tls-verify=false", &from, &to]));
    let on_it = ["--kind", "image", "--base", &base, "--image-format", "zstd-chunked", "--runs", "1"];
    let again = project.report(&on_it);
    assert_eq!(again["image"]["base"], base);
    assert_eq!(again["image"]["layers"][0]["name"], "base");
    for fetched in crate::remembered::cache().join("images").read_dir_utf8().unwrap().flatten() {
        if fetched.file_name().contains(&format!("_{}_", registry.1)) {
            fs::remove_dir_all(fetched.path()).unwrap();
        }
    }
}

#[test]
fn files_that_a_base_has_at_the_functions_place_are_replaced_or_refused() {
    let project = project();
    project.write("base/var/task/app.py", "def handler(event, context):\n    return 'an earlier one'\n");
    let report = image(&project, &[]);
    let layout = project.root.join("out/demo.oci");
    let last = report["image"]["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap();
    let blob = layout.join("blobs/sha256").join(last.trim_start_matches("sha256:"));
    let inside = Command::new("tar").args(["-xzO", "-f", blob.as_str(), "var/task/app.py"]).output().unwrap();
    assert_eq!(String::from_utf8(inside.stdout).unwrap(), APP);

    project.write("base/var/task/theirs.py", "X = 1\n");
    let base = format!("rootfs:{}", project.root.join("base"));
    let errors = project.build_fails(1, &["--kind", "image", "--base", &base, "--runs", "1"]);
    assert!(errors.contains("holds files of another function"), "{errors}");
    assert!(errors.contains("`theirs.py`") && !errors.contains("`app.py`"), "{errors}");
}

/// An OCI layout with an index of the base for both machines. That of the other machine has this one's files, its
/// interpreter marked as the other's: it is read, never run.
fn base_for_both(project: &Project) -> Utf8PathBuf {
    let layout = project.root.join("both");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let blob = |bytes: &[u8], media_type: &str| {
        let hex = digest(bytes);
        fs::write(layout.join("blobs/sha256").join(&hex), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": format!("sha256:{hex}"),
               "size": bytes.len()})
    };
    let python = project.root.join("base/usr/local/bin").join(format!("python{}", project.python));
    let mut manifests = Vec::new();
    for (machine, elf) in [("amd64", 62_u16), ("arm64", 183)] {
        let mut bytes = fs::read(&python).unwrap();
        bytes[18..20].copy_from_slice(&elf.to_le_bytes());
        fs::write(&python, bytes).unwrap();
        let root = project.root.join("base");
        let tar = Command::new("tar").args(["-C", root.as_str(), "-c", "."]).output().unwrap().stdout;
        let layer = blob(&tar, "layer.v1.tar");
        let config = json!({"os": "linux", "architecture": machine, "config": {},
                            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
        let config = blob(config.to_string().as_bytes(), "config.v1+json");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let mut named = blob(manifest.as_bytes(), "manifest.v1+json");
        named["platform"] = json!({"os": "linux", "architecture": machine});
        manifests.push(named);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let top = json!({"schemaVersion": 2, "manifests": [blob(index.as_bytes(), "index.v1+json")]});
    fs::write(layout.join("index.json"), top.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    layout
}

const BOTH: [&str; 8] =
    ["--kind", "image", "--entrypoint", "http", "--platform", "linux/amd64,linux/arm64", "--runs", "1"];

#[test]
fn images_for_two_machines_have_one_name() {
    if !cfg!(target_arch = "x86_64") {
        println!("not covered: the other machine is arm64 in this test");
        return;
    }
    let project = project();
    let base = format!("oci:{}", base_for_both(&project));
    let told = project.report(&[&BOTH[..], &["--base", &base]].concat());
    assert_eq!(told["schema"], "glowplug.images/1");
    let index = &told["index"];
    assert_eq!(index["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(index["pushed"], Value::Null);
    let stored: Value = serde_json::from_slice(&project.made("images.json")).unwrap();
    assert_eq!(&stored["index"], index);
    let [own, other] = [&told["reports"][0], &told["reports"][1]];
    assert_eq!(
        [&own["function"]["architecture"], &other["function"]["architecture"]],
        ["x86_64", "arm64"].map(Value::from).iter().collect::<Vec<_>>()[..]
    );
    assert_eq!((&own["verdict"]["equal"], &other["verdict"]["equal"]), (&json!(true), &Value::Null));
    // What cannot run here has shown nothing: neither what a start fetches nor which files of the function it reads.
    assert_ne!(own["image"]["fetched_bytes"], json!({}));
    assert_eq!((&other["image"]["fetched_bytes"], &other["delivery"]), (&json!({}), &Value::Null));
    assert_eq!(other["image"]["prefetching_bytes"], json!({}));
    let hot = |report: &Value, name: &str| {
        let layers = report["image"]["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["name"] == name).unwrap()["hot"].as_u64().unwrap()
    };
    assert!(hot(own, "application") > 0);
    for name in ["application", "dependencies", "runtime"] {
        assert_eq!(hot(other, name), 0, "{name}");
    }
    // One layout for both, and beside it a folder each.
    for (folder, report) in [("linux-amd64", own), ("linux-arm64", other)] {
        assert_eq!(report["artifacts"][0]["path"], "out/demo.oci");
        let stored: Value = serde_json::from_slice(&project.made(&format!("{folder}/report.json"))).unwrap();
        assert_eq!(stored["artifacts"], report["artifacts"]);
        assert!(project.root.join("out").join(folder).join("demo.oci.cdx.json").is_file());
        assert!(!project.root.join("out").join(folder).join("demo.oci").exists(), "it is there twice");
    }
    assert!(!project.root.join("out/earlier.txt").exists());
    pushed_and_pulled(&project, &base);
}

/// With a registry: both machines get theirs by the one name.
fn pushed_and_pulled(project: &Project, base: &str) {
    if !has("docker-registry") || !has("skopeo") {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let outside = Utf8Path::from_path(outside.path()).unwrap();
    let registry = Registry::start(outside);
    let name = format!("127.0.0.1:{}/demo:1", registry.1);
    let told = project.report(&[&BOTH[..], &["--base", base, "--push", &name]].concat());
    let index = &told["index"];
    let whole = index["pushed"].as_str().unwrap();
    assert_eq!(whole, format!("127.0.0.1:{}/demo@{}", registry.1, index["digest"].as_str().unwrap()));
    let stored: Value = serde_json::from_slice(&project.made("images.json")).unwrap();
    assert_eq!(&stored["index"], index);
    for (at, machine) in ["amd64", "arm64"].into_iter().enumerate() {
        let copy = outside.join(machine);
        let (from, to) = (format!("docker://{name}"), format!("oci:{copy}:it"));
        done(Command::new("skopeo").args(["--override-os", "linux", "--override-arch", machine]).args([
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &from,
            &to,
        ]));
        let found: Value = serde_json::from_slice(&fs::read(copy.join("index.json")).unwrap()).unwrap();
        let report = &told["reports"][at];
        assert_eq!(found["manifests"][0]["digest"], report["image"]["digest"], "{machine}");
        let named = report["image"]["pushed"].as_str().unwrap();
        assert!(named.ends_with(report["image"]["digest"].as_str().unwrap()), "{named}");
    }
}

#[test]
fn what_is_about_one_machine_does_not_go_with_two() {
    let project = Project::new(APP);
    let two = ["--platform", "linux/amd64,arm64"];
    let mut told = String::new();
    for (code, more) in [
        (2, &[][..]),
        (2, &["--kind", "image", "--base", "rootfs:base"]),
        (2, &["--kind", "image", "--base", "python:3.12", "--locked"]),
        (1, &["--kind", "image", "--base", "oci:nowhere"]),
    ] {
        told += &format!("{}\n---\n", project.build_fails(code, &[&two[..], more].concat()));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_cannot_be_an_image_is_told_before_anything_is_built() {
    let project = Project::new(APP);
    fs::create_dir_all(project.root.join("empty")).unwrap();
    let mut told = String::new();
    for (code, more) in [
        (2, &["--kind", "image"][..]),
        (2, &["--base", "python:3.12"]),
        (2, &["--kind", "image", "--base", "rootfs:empty", "--push", "UPPER/CASE"]),
        (1, &["--kind", "image", "--base", "rootfs:nowhere"]),
        (1, &["--kind", "image", "--base", "rootfs:empty", "--no-verify", "--runs", "1"]),
    ] {
        told += &format!("{}\n---\n", project.build_fails(code, more));
    }
    insta::assert_snapshot!(told.replace(&project.python, "[VERSION]"));
}
