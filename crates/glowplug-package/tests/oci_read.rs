//! Images read from layouts that are made here: layers over layers, whiteouts, and what is damaged.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, ErrorClass, NoProgress, format_hex};
use glowplug_package::{Image, is_layout, read_image};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A layout in a folder of its own.
struct Layout {
    _keep: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl Layout {
    fn new(layers: &[Vec<u8>]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(keep.path().join("image")).unwrap();
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        let layout = Self { _keep: keep, root };
        let config = json!({"architecture": "arm64", "os": "linux", "config": {
            "Env": ["A=b"], "WorkingDir": "/app", "Entrypoint": ["python"], "Cmd": ["-m", "app"]}});
        let config = layout.blob(config.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(|layer| json!({"digest": layout.blob(layer)})).collect();
        let manifest = layout.blob(
            json!({"schemaVersion": 2, "config": {"digest": config}, "layers": layers})
                .to_string()
                .as_bytes(),
        );
        let index = json!({"schemaVersion": 2, "manifests": [
            {"digest": manifest, "platform": {"architecture": "arm64", "os": "linux"}}]});
        // An index in an index, as `docker buildx` writes them.
        let inner = layout.blob(index.to_string().as_bytes());
        fs::write(layout.root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(layout.root.join("index.json"), json!({"manifests": [{"digest": inner}]}).to_string())
            .unwrap();
        layout
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let hex = format_hex(&Sha256::digest(bytes));
        fs::write(self.root.join("blobs/sha256").join(&hex), bytes).unwrap();
        format!("sha256:{hex}")
    }

    fn out(&self) -> Utf8PathBuf {
        self.root.with_file_name("out")
    }

    fn read(&self) -> glowplug_core::Result<Image> {
        let wanted = |_: &glowplug_package::ImageConfig, path: &Utf8Path| path.starts_with("app");
        read_image(&self.root, None, &wanted, &self.out(), &NoProgress)
    }

    fn files(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(self.out()).sort_by_file_name();
        let files = walk.into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        files.map(|e| e.path().strip_prefix(self.out()).unwrap().to_str().unwrap().to_owned()).collect()
    }
}

/// A tar of files; a name that starts with `>` is a link to its contents, `=` a hard link.
fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let linked = name.strip_prefix('>').map(|name| (name, tar::EntryType::Symlink));
        let linked = linked.or_else(|| name.strip_prefix('=').map(|name| (name, tar::EntryType::Link)));
        if let Some((name, kind)) = linked {
            header.set_entry_type(kind);
            header.set_size(0);
            builder.append_link(&mut header, name, text).unwrap();
        } else {
            // The builder refuses paths that lead out: the header's own field does not.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(text.len() as u64);
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn upper_layers_replace_and_delete_whatever_they_are_packed_with() {
    let layout = Layout::new(&[
        packed(&[
            ("app/a.py", "1"),
            ("app/b/c.py", "2"),
            ("app/b/d.py", "3"),
            ("app/e/f.py", "4"),
            ("etc/x", "5"),
        ]),
        gzip(&packed(&[
            ("./app/a.py", "new"),
            ("app/b/.wh.c.py", ""),
            ("/app/e/own.py", "6"),
            ("app/e/.wh..wh..opq", ""),
        ])),
        zstd::encode_all(
            packed(&[(">app/link.py", "/etc/passwd"), ("=app/second.py", "app/a.py")]).as_slice(),
            1,
        )
        .unwrap(),
    ]);
    assert!(is_layout(&layout.root));
    let image = layout.read().unwrap();
    assert_eq!((image.layers, image.links), (3, 1));
    assert_eq!(image.config.architecture, "arm64");
    assert_eq!(image.config.command, ["python", "-m", "app"]);
    assert_eq!(layout.files(), ["app/a.py", "app/b/d.py", "app/e/own.py", "app/second.py"]);
    assert_eq!(fs::read_to_string(layout.out().join("app/second.py")).unwrap(), "new");
}

#[test]
fn a_folder_may_take_the_place_of_a_file_and_a_file_that_of_a_folder() {
    let layout = Layout::new(&[
        packed(&[("app/a", "file"), ("app/b/c.py", "1")]),
        packed(&[("app/a/x.py", "2"), ("app/b", "file")]),
    ]);
    layout.read().unwrap();
    assert_eq!(layout.files(), ["app/a/x.py", "app/b"]);
}

#[test]
fn data_keeps_its_size_alone() {
    let layout = Layout::new(&[packed(&[("app/model.bin", &"x".repeat(5000))])]);
    layout.read().unwrap();
    let file = layout.out().join("app/model.bin");
    assert_eq!(fs::metadata(&file).unwrap().len(), 5000);
    assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_damaged_is_an_input_error_that_names_it() {
    let refused = |layout: &Layout, message: &str| {
        let error = layout.read().unwrap_err();
        assert_eq!((error.class(), error.message()), (ErrorClass::Input, message), "{error}");
        assert!(error.where_().is_some(), "{error}");
    };
    let whole = gzip(&packed(&[("app/a.py", &"text ".repeat(4000))]));
    refused(&Layout::new(&[whole[..whole.len() / 2].to_vec()]), "cannot read a layer of the image");
    refused(
        &Layout::new(&[b"no tar at all, but long enough to be looked at".repeat(20)]),
        "cannot read a layer of the image",
    );

    let layout = Layout::new(std::slice::from_ref(&whole));
    let digest = format_hex(&Sha256::digest(&whole));
    let blob = layout.root.join("blobs/sha256").join(&digest);
    fs::remove_file(&blob).unwrap();
    refused(&layout, &format!("the layout lacks the blob `sha256:{digest}`"));
    fs::write(&blob, gzip(&packed(&[("app/other.py", "1")]))).unwrap();
    refused(&layout, "a blob of the layout is not what its digest says");

    refused(
        &Layout::new(&[packed(&[("app/../../evil.py", "1")])]),
        "a layer holds a path that leads out of it: `app/../../evil.py`",
    );
    let layout = Layout::new(&[]);
    fs::write(layout.root.join("index.json"), "{").unwrap();
    refused(&layout, "cannot read a document of the layout");
    fs::write(layout.root.join("index.json"), r#"{"manifests": [{"digest": "sha256:../../etc/passwd"}]}"#)
        .unwrap();
    refused(&layout, "`sha256:../../etc/passwd` is not a SHA-256 digest");
    fs::write(layout.root.join("index.json"), r#"{"manifests": []}"#).unwrap();
    refused(&layout, "the layout names no image");
}

#[test]
fn the_machine_that_is_asked_for_is_chosen() {
    let layout = Layout::new(&[]);
    let wanted = |_: &glowplug_package::ImageConfig, _: &Utf8Path| true;
    let image =
        read_image(&layout.root, Some(Architecture::Arm64), &wanted, &layout.out(), &NoProgress).unwrap();
    assert_eq!(image.config.architecture, "arm64");
}
