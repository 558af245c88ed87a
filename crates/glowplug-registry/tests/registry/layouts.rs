//! Small OCI layouts of random bytes, made here; and what a layout must be at any time.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::format_hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A folder of the test's own that is deleted with it.
pub(crate) struct Folder {
    _temporary: tempfile::TempDir,
    pub path: Utf8PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temporary.path().to_path_buf()).unwrap();
        Self { _temporary: temporary, path }
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", format_hex(&Sha256::digest(bytes)))
}

/// Bytes that do not compress and are the same at every run. They begin as gzip does, so that skopeo takes them for
/// compressed and leaves them alone.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend_from_slice(b"\x1f\x8b\x08");
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A layout that is being made.
pub(crate) struct Made {
    pub path: Utf8PathBuf,
    entries: Vec<Value>,
}

impl Made {
    pub(crate) fn new(path: Utf8PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let made = Self { path, entries: Vec::new() };
        made.write_index();
        made
    }

    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries});
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// Adds a blob and gives its descriptor.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.path.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Adds an image with layers of these bytes.
    pub(crate) fn image(&self, architecture: &str, layers: &[Vec<u8>]) -> Value {
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>()},
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer)).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut entry = self.blob(MANIFEST, manifest.to_string().as_bytes());
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    }

    /// Adds an index over these.
    pub(crate) fn index(&self, entries: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        self.blob(INDEX, index.to_string().as_bytes())
    }

    /// Adds an artifact about another manifest.
    pub(crate) fn about(&self, subject: &Value, kind: &str) -> Value {
        let config = self.blob("application/vnd.oci.empty.v1+json", b"{}");
        let content = self.blob("text/plain", kind.as_bytes());
        let subject =
            json!({"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config,
            "layers": [content], "subject": subject, "annotations": {"made": "here"},
        });
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Enters a descriptor into the layout's index.
    pub(crate) fn enter(&mut self, mut entry: Value, name: Option<&str>) -> String {
        let digest = entry["digest"].as_str().unwrap().to_owned();
        if let Some(name) = name {
            entry["annotations"]["org.opencontainers.image.ref.name"] = name.into();
        }
        self.entries.push(entry);
        self.write_index();
        digest
    }
}

/// A layout with one image of three layers, and its digest.
pub(crate) fn sample(path: Utf8PathBuf) -> (Made, String) {
    let mut made = Made::new(path);
    let image = made.image("amd64", &[noise(1, 100_000), noise(2, 300_000), noise(3, 10)]);
    let digest = made.enter(image, Some("1"));
    (made, digest)
}

/// A layout with an image for each architecture of Lambda, its index's digest, and theirs.
pub(crate) fn sample_index(path: Utf8PathBuf) -> (Made, String, [String; 2]) {
    let mut made = Made::new(path);
    let images = [made.image("amd64", &[noise(4, 5000)]), made.image("arm64", &[noise(5, 6000)])];
    let index = made.index(&images);
    let digests = images.map(|image| image["digest"].as_str().unwrap().to_owned());
    let digest = made.enter(index, Some("all"));
    (made, digest, digests)
}

/// The blobs of a layout by name, with every one checked against its digest; nothing half-written beside them.
pub(crate) fn blobs(layout: &Utf8Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(digest(&fs::read(entry.path()).unwrap()), format!("sha256:{name}"), "{layout}");
        names.push(name);
    }
    names.sort();
    names
}

/// That a layout is not there at all, or valid: nothing half-written, and nothing entered whose parts are missing.
pub(crate) fn assert_valid(layout: &Utf8Path) {
    if !layout.exists() {
        return;
    }
    let names = blobs(layout);
    let mut left: Vec<String> = fs::read_dir(layout)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["blobs", "index.json", "oci-layout"]);
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    for entry in index["manifests"].as_array().unwrap() {
        assert_complete(layout, &names, entry);
    }
}

fn assert_complete(layout: &Utf8Path, names: &[String], descriptor: &Value) {
    let digest = descriptor["digest"].as_str().unwrap();
    assert!(names.iter().any(|name| digest == format!("sha256:{name}")), "{digest} is missing");
    if descriptor["mediaType"]
        .as_str()
        .is_some_and(|kind| kind.contains("manifest") || kind.contains("index"))
    {
        let path = layout.join("blobs").join(digest.replace(':', "/"));
        let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let lists = [&manifest["manifests"], &manifest["layers"]];
        for below in lists.into_iter().filter_map(Value::as_array).flatten().chain(manifest.get("config")) {
            assert_complete(layout, names, below);
        }
    }
}
