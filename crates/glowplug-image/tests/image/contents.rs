//! Images read from layouts that are made here: layers over layers, whiteouts, and what is damaged.

use std::io::{Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, ErrorClass, NoProgress, format_hex};
use glowplug_image::{ImageConfig, ImageFiles, is_layout, read_image};
use serde_json::{Value, json};
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
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(&unpacked(layer))).collect();
        let layers: Vec<Value> = layers.iter().map(|layer| layout.blob(layer, layer_type(layer))).collect();
        // An index in an index, as `docker buildx` writes them.
        let manifests = ["arm64", "amd64"].map(|machine| {
            let config = json!({"architecture": machine, "os": "linux", "config": {
                "Env": ["A=b"], "WorkingDir": "/app", "Entrypoint": ["python"], "Cmd": ["-m", machine]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids}});
            let config = layout.blob(config.to_string().as_bytes(), "config.v1+json");
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
            let mut named = layout.blob(manifest.as_bytes(), "manifest.v1+json");
            named["platform"] = json!({"architecture": machine, "os": "linux"});
            named
        });
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        let inner = layout.blob(index.as_bytes(), "index.v1+json");
        fs::write(layout.root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout.top(&[inner]);
        layout
    }

    fn top(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.root.join("index.json"), index.to_string()).unwrap();
    }

    fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = digest(bytes);
        fs::write(self.root.join("blobs/sha256").join(&digest["sha256:".len()..]), bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{media_type}");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn out(&self) -> Utf8PathBuf {
        self.root.with_file_name("out")
    }

    fn read(&self) -> glowplug_core::Result<ImageFiles> {
        self.read_for(&[Architecture::Arm64])
    }

    fn read_for(&self, machines: &[Architecture]) -> glowplug_core::Result<ImageFiles> {
        let wanted = |_: &ImageConfig, path: &Utf8Path| path.starts_with("app");
        read_image(&self.root, None, machines, &wanted, &self.out(), &NoProgress)
    }

    fn files(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(self.out()).sort_by_file_name();
        let files = walk.into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        files.map(|e| e.path().strip_prefix(self.out()).unwrap().to_str().unwrap().to_owned()).collect()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", format_hex(&Sha256::digest(bytes)))
}

fn layer_type(layer: &[u8]) -> &'static str {
    match layer {
        [0x1F, 0x8B, ..] => "layer.v1.tar+gzip",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "layer.v1.tar+zstd",
        _ => "layer.v1.tar",
    }
}

/// What a layer unpacks to, as far as it does.
fn unpacked(layer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match layer_type(layer) {
        "layer.v1.tar+gzip" => drop(flate2::read::GzDecoder::new(layer).read_to_end(&mut bytes)),
        "layer.v1.tar+zstd" => bytes = zstd::decode_all(layer).unwrap(),
        _ => bytes = layer.to_vec(),
    }
    bytes
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
    assert_eq!(image.config.command, ["python", "-m", "arm64"]);
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
    refused(&Layout::new(&[whole[..whole.len() / 2].to_vec()]), "a layer cannot be unpacked");
    refused(
        &Layout::new(&[b"no tar at all, but long enough to be looked at".repeat(20)]),
        "a layer cannot be unpacked",
    );

    let layout = Layout::new(std::slice::from_ref(&whole));
    let blob = layout.root.join("blobs/sha256").join(&digest(&whole)["sha256:".len()..]);
    fs::remove_file(&blob).unwrap();
    refused(&layout, "a blob of the layout is missing");
    let mut other = whole.clone();
    other[whole.len() / 2] ^= 1;
    fs::write(&blob, other).unwrap();
    assert!(layout.read().unwrap_err().where_().is_some());

    refused(
        &Layout::new(&[packed(&[("app/../../evil.py", "1")])]),
        "the layer holds an absolute path or one that climbs out: `app/../../evil.py`",
    );
    let layout = Layout::new(&[]);
    layout.top(&[]);
    refused(&layout, "the layout has no image");
}

#[test]
fn the_first_machine_that_it_is_there_for_is_chosen() {
    let both = [Architecture::X86_64, Architecture::Arm64];
    let layout = Layout::new(&[]);
    let architecture = |machines: &[Architecture]| layout.read_for(machines).unwrap().config.architecture;
    assert_eq!(architecture(&both), Architecture::X86_64);
    assert_eq!(architecture(&[Architecture::Arm64, Architecture::X86_64]), Architecture::Arm64);
    // The images themselves in `index.json`, as some tools list them.
    let index: Value = serde_json::from_slice(&fs::read(layout.root.join("index.json")).unwrap()).unwrap();
    let inner = index["manifests"][0]["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    let inner: Value =
        serde_json::from_slice(&fs::read(layout.root.join("blobs/sha256").join(inner)).unwrap()).unwrap();
    layout.top(inner["manifests"].as_array().unwrap());
    assert_eq!(architecture(&both), Architecture::X86_64);
    assert_eq!(architecture(&[Architecture::Arm64]), Architecture::Arm64);
    layout.top(&inner["manifests"].as_array().unwrap()[..1]);
    assert_eq!(architecture(&both), Architecture::Arm64);
}

#[test]
fn what_is_no_file_is_passed_over() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut put = |name: &[u8], kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
    };
    put(b"dev/null", tar::EntryType::Char);
    put(b"app/disk", tar::EntryType::Block);
    put(b"app/pipe", tar::EntryType::Fifo);
    put(b"app/\xff.py", tar::EntryType::Regular);
    put(b"app/a.py", tar::EntryType::Regular);
    put(b"app/a.py", tar::EntryType::Regular);
    let layout = Layout::new(&[builder.into_inner().unwrap()]);
    layout.read().unwrap();
    assert_eq!(layout.files(), ["app/a.py"]);
}
