//! Images in the hands of the tools that people use: `skopeo` reads and copies them, `umoci` unpacks them, `runc` runs
//! Python from them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, NoProgress};
use glowplug_image::{Base, LayerFormat, Ownership, TouchedFile, startup_files};
use glowplug_test::{newest, run};
use serde_json::{Value, json};

use crate::python::{PYTHON, root_file_system};
use crate::support::{FORMATS, bytes, folder, has, part, request, rich, write};

#[test]
fn skopeo_reads_and_copies_every_format() {
    if !has("skopeo") {
        return;
    }
    for format in FORMATS {
        let (_keep, root) = folder();
        let summary = write(&rich(format), &root.join("image"));
        let source = format!("oci:{}:latest", root.join("image"));
        let told: Value =
            serde_json::from_str(&run(Command::new("skopeo").args(["inspect", &source]))).unwrap();
        assert_eq!(told["Digest"], summary.digest.as_str());
        assert_eq!(told["Os"], "linux");
        assert_eq!(told["Labels"]["team"], "ledger");
        let layers: Vec<&str> = summary.layers.iter().map(|layer| layer.digest.as_str()).collect();
        assert_eq!(told["Layers"], json!(layers));
        let copy = root.join("copy");
        run(Command::new("skopeo").args(["copy", "--quiet", &source, &format!("dir:{copy}")]));
        for layer in &summary.layers {
            let original = fs::read(root.join("image/blobs/sha256").join(layer.digest.hex())).unwrap();
            assert!(fs::read(copy.join(layer.digest.hex())).unwrap() == original, "byte for byte");
        }
    }
}

#[test]
fn umoci_unpacks_what_was_put_in() {
    if !has("umoci") {
        return;
    }
    for format in [LayerFormat::Gzip, LayerFormat::EStargz] {
        let (_keep, root) = folder();
        write(&rich(format), &root.join("image"));
        let bundle = unpack(&root, "image");
        let task = bundle.join("rootfs/var/task");
        assert_eq!(fs::read_to_string(task.join("app.py")).unwrap(), "import lib.a\n");
        assert_eq!(fs::read_to_string(task.join("odd/new\nline \"quoted\" \\ back")).unwrap(), "x");
        assert_eq!(fs::read_to_string(task.join("odd/ünï/日本.txt")).unwrap(), "x");
        assert_eq!(fs::read_to_string(task.join("odd/Case")).unwrap(), "upper");
        assert_eq!(fs::read_to_string(task.join("lib/c.py")).unwrap(), "b = 2\n");
        assert!(fs::read(task.join("big/zeros.bin")).unwrap() == vec![0; 5 * 1024 * 1024]);
        let mode = |path: &str| fs::metadata(bundle.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("rootfs/usr/bin/run"), 0o755);
        assert_eq!(mode("rootfs/var/task/app.py"), 0o644);
    }
}

/// Unpacks the image `name`, as another user without being root.
fn unpack(root: &Utf8Path, name: &str) -> Utf8PathBuf {
    let bundle = root.join("bundle");
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", &format!("{}:latest", root.join(name))]);
    if !is_root() {
        umoci.arg("--rootless");
    }
    run(umoci.arg(&bundle));
    bundle
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn python_runs_from_an_image_under_runc() {
    if !has("umoci") || !has("runc") || !is_root() {
        println!("not covered: runc, which needs root here");
        return;
    }
    let (_keep, root) = folder();
    let rootfs = root.join("rootfs");
    root_file_system(newest(), &rootfs);
    let base = Base::RootFs { path: rootfs, ownership: Ownership::Root };
    let started = startup_files(&base, Architecture::host().unwrap(), PYTHON.into(), &NoProgress).unwrap();
    assert!(started.missing.is_empty(), "{:?}", started.missing);
    let mut wanted = request(LayerFormat::EStargz);
    wanted.base = base;
    wanted.hot = started.files.into_iter().map(TouchedFile::from).collect();
    wanted.application = vec![part("/var/task", vec![bytes("app.py", PROGRAM)])];
    wanted.entrypoint = vec![PYTHON.into(), "-v".into(), "/var/task/app.py".into()];
    wanted.cmd = vec!["world".into()];
    let summary = write(&wanted, &root.join("image"));
    assert!(summary.layers[0].hot >= 3, "{:?}", summary.layers[0]);
    let bundle = unpack(&root, "image");
    let (out, err) = run_bundle(&bundle, &root);
    assert_eq!(out, "hello world /var/task {\"a\": 1}\n", "{err}");
    // The bytecode of the base is as valid as it was: no source is compiled at a start.
    let compiled: Vec<&str> =
        err.lines().filter(|l| l.contains("code object from '/usr/local") && l.contains(".py'")).collect();
    assert!(compiled.is_empty(), "{compiled:?}");
    assert!(err.contains("matches /usr/local/lib/python"), "{err}");
}

const PROGRAM: &str = "import json, os, sys\n\
                       print('hello', sys.argv[1], os.getcwd(), json.dumps({'a': 1}))\n";

/// Standard output and error of the container.
fn run_bundle(bundle: &Utf8Path, root: &Utf8Path) -> (String, String) {
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
    let name = format!("glowplug-{}", std::process::id());
    let output = Command::new("runc")
        .args(["--root", root.join("runc").as_str(), "run", "--bundle", bundle.as_str(), &name])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{out}{err}");
    (out, err)
}

/// Where Debian puts the Go libraries that define the formats.
const GO_LIBRARIES: &str = "/usr/share/gocode/src/github.com/containers/storage/pkg/chunked";

#[test]
fn slow_reference_implementations_read_both_formats() {
    if !Utf8Path::new(GO_LIBRARIES).exists() || Command::new("go").arg("version").output().is_err() {
        println!("not covered: the reference implementations (bench/image/upstream.go names their packages)");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/image/upstream.sh");
    let (_keep, root) = folder();
    let told = |format| {
        let layout = root.join(format!("{format:?}"));
        let mut wanted = rich(format);
        // Debian's version of containers/storage does not read escapes in a table; later ones do.
        wanted.dependencies[0].entries.retain(|entry| !entry.path.as_str().contains('"'));
        let summary = write(&wanted, &layout);
        let said = run(Command::new(script).arg(&layout).arg(root.join("unpacked")));
        assert_eq!(said.lines().count(), summary.layers.len());
        said
    };
    // Each file that is not empty, and a landmark; three files have several chunks.
    let estargz = told(LayerFormat::EStargz);
    let counts: Vec<&str> =
        estargz.lines().filter_map(|line| line.split_once(": ")).map(|(_, c)| c).collect();
    assert_eq!(
        counts,
        [
            "eStargz, 3 files, 3 chunks, prefetch landmark: true",
            "eStargz, 10 files, 16 chunks, prefetch landmark: true",
            "eStargz, 2 files, 2 chunks, prefetch landmark: false",
        ]
    );
    let chunked = told(LayerFormat::ZstdChunked);
    assert!(chunked.lines().all(|line| line.contains("zstd:chunked, unpacked")), "{chunked}");
    let task = root.join("unpacked/1/var/task");
    assert!(
        fs::read(task.join("big/weights.bin")).unwrap()
            == crate::support::noise("weights", 9 * 1024 * 1024 + 77)
    );
    assert!(fs::read(task.join("big/zeros.bin")).unwrap() == vec![0; 5 * 1024 * 1024]);
    assert_eq!(fs::read_to_string(task.join("lib/a.py")).unwrap(), "a = 1\n".repeat(1000));
    assert_eq!(fs::read_link(task.join("lib/c.py")).unwrap().to_str(), Some("b.py"));
    assert_eq!(fs::read_to_string(task.join("odd/ünï/日本.txt")).unwrap(), "x");
}
