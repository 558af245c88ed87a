//! What the tests of images share: requests, layouts read as plain JSON, tools that may be absent.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, NoProgress, PythonVersion};
use glowplug_image::{
    Base, Component, ImageRequest, ImageSummary, LayerFormat, Licence, Part, TouchedFile, write_image,
};
use glowplug_package::{ArchiveEntry, Contents};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) const FORMATS: [LayerFormat; 3] =
    [LayerFormat::Gzip, LayerFormat::EStargz, LayerFormat::ZstdChunked];

pub(crate) fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
    (folder, path)
}

pub(crate) fn bytes(path: &str, contents: impl Into<Vec<u8>>) -> ArchiveEntry {
    ArchiveEntry { path: path.into(), source: Contents::Bytes(contents.into()), executable: false }
}

pub(crate) fn link(path: &str, target: &str) -> ArchiveEntry {
    ArchiveEntry { path: path.into(), source: Contents::Symlink(target.into()), executable: false }
}

pub(crate) fn part(at: &str, entries: Vec<ArchiveEntry>) -> Part {
    Part { at: at.into(), entries }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: &str, length: usize) -> Vec<u8> {
    let start = Sha256::digest(seed);
    let mut state = start.iter().take(8).fold(1, |word: u64, byte| (word << 8) | u64::from(*byte));
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image for the tests' machine with nothing in it yet.
pub(crate) fn request(format: LayerFormat) -> ImageRequest {
    ImageRequest {
        name: "latest".into(),
        base: Base::Scratch,
        architecture: Architecture::host().unwrap(),
        python: Some(PythonVersion::new(3, 12)),
        format,
        runtime: Vec::new(),
        dependencies: Vec::new(),
        application: Vec::new(),
        hot: Vec::new(),
        entrypoint: vec!["/usr/bin/python3".into(), "-m".into(), "awslambdaric".into()],
        cmd: vec!["app.handler".into()],
        env: BTreeMap::from([("LAMBDA_TASK_ROOT".into(), "/var/task".into())]),
        working_dir: Some("/var/task".into()),
        labels: BTreeMap::from([
            ("org.opencontainers.image.title".into(), "report".into()),
            ("team".into(), "ledger".into()),
        ]),
        components: vec![Component {
            name: "requests".into(),
            version: "2.32.3".into(),
            licence: Some(Licence::Expression("Apache-2.0".into())),
            purl: Some("pkg:pypi/requests@2.32.3".into()),
        }],
    }
}

/// An image with something of everything: three layers, hot files in two of them, a file of several chunks, a library
/// that is needed in parts, links, odd names, an empty file.
pub(crate) fn rich(format: LayerFormat) -> ImageRequest {
    let mut request = request(format);
    let run = ArchiveEntry { executable: true, ..bytes("usr/bin/run", "#!/bin/sh\nexec true\n".repeat(50)) };
    request.runtime =
        vec![part("/", vec![run]), part("/var/runtime", vec![bytes("client.py", "client = 1\n")])];
    request.dependencies = vec![part(
        "/var/task",
        vec![
            bytes("big/weights.bin", noise("weights", 9 * 1024 * 1024 + 77)),
            bytes("big/zeros.bin", vec![0; 5 * 1024 * 1024]),
            bytes("lib/a.py", "a = 1\n".repeat(1000)),
            bytes("lib/b.py", "b = 2\n"),
            bytes("lib/empty.py", ""),
            link("lib/c.py", "b.py"),
            bytes("lib/fast.so", noise("fast", 900 * 1024 + 5)),
            link("lib/absolute", "/var/runtime"),
            bytes("odd/new\nline \"quoted\" \\ back", "x"),
            bytes("odd/ünï/日本.txt", "x"),
            bytes(&format!("odd/{}/{}.py", "deep/".repeat(30).trim_end_matches('/'), "n".repeat(180)), "x"),
            bytes("odd/Case", "upper"),
            bytes("odd/case", "lower"),
        ],
    )];
    request.application = vec![part("/var/task", vec![bytes("app.py", "import lib.a\n")])];
    request.hot = ["/var/runtime/client.py", "/var/task/lib/c.py", "/var/task/big/weights.bin", "/none"]
        .map(TouchedFile::from)
        .to_vec();
    // One of its four chunks.
    let parts = Some(vec![(0, 4096)].into());
    request.hot.push(TouchedFile { path: "/var/task/lib/fast.so".into(), parts });
    request
}

pub(crate) fn write(request: &ImageRequest, layout: &Utf8Path) -> ImageSummary {
    write_image(request, layout, &NoProgress).unwrap_or_else(|error| panic!("{error}: {:?}", error.hints()))
}

/// A layout as anybody would read it.
pub(crate) struct Written {
    root: Utf8PathBuf,
    pub(crate) index: Value,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
}

impl Written {
    /// Of a layout with one image; every blob has the digest that it is named by.
    pub(crate) fn read(root: &Utf8Path) -> Self {
        for blob in fs::read_dir(root.join("blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            let is = glowplug_core::format_hex(&Sha256::digest(fs::read(&path).unwrap()));
            assert_eq!(path.file_name().unwrap().to_str(), Some(is.as_str()));
        }
        let read = |path: Utf8PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
        assert_eq!(read(root.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
        let index = read(root.join("index.json"));
        let at = |descriptor: &Value| blob_path(root, descriptor);
        let manifest = read(at(&index["manifests"][0]));
        let config = read(at(&manifest["config"]));
        Self { root: root.to_owned(), index, manifest, config }
    }

    pub(crate) fn layers(&self) -> Vec<(Value, Vec<u8>)> {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| (layer.clone(), self.blob(layer))).collect()
    }

    pub(crate) fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let bytes = fs::read(blob_path(&self.root, descriptor)).unwrap();
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    }
}

pub(crate) fn blob_path(root: &Utf8Path, descriptor: &Value) -> Utf8PathBuf {
    root.join("blobs/sha256").join(descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap())
}
/// Whether a tool is there; says so where it is not.
pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("not covered: no {tool}");
    }
    found
}
