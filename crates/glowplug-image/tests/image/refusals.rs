//! Input that an image cannot be made of: one clear error each, and nothing written.

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use glowplug_core::{Architecture, ErrorClass, NoProgress, Progress};
use glowplug_image::{Base, ImageRequest, LayerFormat, write_image};
use proptest::prelude::*;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::support::{Written, blob_path, bytes, folder, link, noise, part, request, rich, write};
use crate::verify::sha;

/// The error of a request, after which nothing is left of it.
fn refused(request: &ImageRequest, root: &Utf8Path) -> glowplug_core::Error {
    let out = root.join("out");
    fs::create_dir_all(&out).unwrap();
    let error = write_image(request, &out.join("image"), &NoProgress).unwrap_err();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{error}");
    error
}

/// A base of one layer with these bytes, as its maker describes it.
struct Made {
    root: Utf8PathBuf,
    layer: Value,
    config: Value,
    manifest_type: &'static str,
}

impl Made {
    fn new(root: &Utf8Path, archive: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(archive).unwrap();
        let made = Self {
            root: root.join("base"),
            layer: Value::Null,
            config: json!({
                "architecture": if Architecture::host() == Some(Architecture::Arm64) { "arm64" } else { "amd64" },
                "os": "linux",
                "rootfs": { "type": "layers", "diff_ids": [sha(archive)] },
            }),
            manifest_type: "application/vnd.oci.image.manifest.v1+json",
        };
        fs::create_dir_all(made.root.join("blobs/sha256")).unwrap();
        let layer = made.put("application/vnd.oci.image.layer.v1.tar+gzip", &encoder.finish().unwrap());
        Self { layer, ..made }
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let descriptor = json!({ "mediaType": media_type, "digest": sha(bytes), "size": bytes.len() });
        fs::write(blob_path(&self.root, &descriptor), bytes).unwrap();
        descriptor
    }

    /// Completes the layout; the base of a request that converts it.
    fn base(&self) -> Base {
        let config = self.put("application/vnd.oci.image.config.v1+json", self.config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [self.layer] });
        let manifest = self.put(self.manifest_type, manifest.to_string().as_bytes());
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        fs::write(self.root.join("index.json"), index.to_string()).unwrap();
        fs::write(self.root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Base::Layout { path: self.root.clone(), image: None, convert: true }
    }

    fn refused(&self) -> String {
        let mut wanted = request(LayerFormat::EStargz);
        wanted.base = self.base();
        let error = refused(&wanted, self.root.parent().unwrap());
        assert_eq!(error.class(), ErrorClass::Input, "{error}");
        assert!(error.where_().is_some(), "{error}");
        error.to_string()
    }
}

/// An archive of these entries: path, type, link, contents.
fn archive(rows: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, kind, target, contents) in rows {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(contents.len() as u64);
        let ustar = header.as_ustar_mut().unwrap();
        ustar.name[..path.len()].copy_from_slice(path.as_bytes());
        ustar.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(contents);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn layers_that_lead_out_or_hold_devices_are_refused() {
    type Row = (&'static str, EntryType, &'static str, &'static [u8]);
    let cases: &[(&[Row], &str)] = &[
        (&[("/etc/passwd", FILE, "", b"x")], "an absolute path or one that climbs out: `/etc/passwd`"),
        (&[("a/../../x", FILE, "", b"x")], "an absolute path or one that climbs out: `a/../../x`"),
        (&[("../x", FILE, "", b"x")], "an absolute path or one that climbs out: `../x`"),
        (&[("a", EntryType::Symlink, "../x", b"")], "the link `a` leads out of the image, to `../x`"),
        (&[("a", EntryType::Link, "../x", b"")], "a hard link that leads out of it: `a`"),
        (&[("a", EntryType::Link, "b", b"")], "a hard link to what is not before it: `a` to `b`"),
        (&[("null", EntryType::Char, "", b"")], "a device: `null`"),
        (&[("disk", EntryType::Block, "", b"")], "a device: `disk`"),
        (&[("pipe", EntryType::Fifo, "", b"")], "a named pipe: `pipe`"),
        (&[("a", EntryType::GNUSparse, "", b"")], "a sparse file: `a`"),
        (&[("a", EntryType::new(b'Q'), "", b"")], "an entry of an unknown kind: `a`"),
        (&[("a", FILE, "", b"x"), ("a", FILE, "", b"y")], "one path twice: `a`"),
        (
            &[("a", EntryType::Symlink, "/etc", b""), ("a/passwd", FILE, "", b"x")],
            "an entry below a link or a file: `a/passwd`",
        ),
        (&[("x", EntryType::XHeader, "", b"99 path=a\n"), ("a", FILE, "", b"")], "a damaged PAX header"),
        (&[("x", EntryType::XHeader, "", b"22 GNU.sparse.major=1\n")], "a sparse file: `"),
    ];
    for (rows, told) in cases {
        let (_keep, root) = folder();
        let error = Made::new(&root, &archive(rows)).refused();
        assert!(error.contains(told), "{error}");
    }
    let (_keep, root) = folder();
    let long = vec![b'a'; 2 * 1024 * 1024];
    let error = Made::new(&root, &archive(&[("x", EntryType::GNULongName, "", &long)])).refused();
    assert!(error.contains("a header in the layer has more than 1.0 MB"), "{error}");
}

#[test]
fn what_a_base_says_of_itself_is_checked() {
    let entries = archive(&[("a", FILE, "", b"contents")]);
    let case = |change: &dyn Fn(&mut Made)| {
        let (_keep, root) = folder();
        let mut made = Made::new(&root, &entries);
        change(&mut made);
        made.refused()
    };
    let layer_file = |made: &Made| blob_path(&made.root, &made.layer);
    let error = case(&|made| fs::remove_file(layer_file(made)).unwrap());
    assert!(error.starts_with("a blob of the layout is missing"), "{error}");
    let error = case(&|made| {
        let bytes = fs::read(layer_file(made)).unwrap();
        fs::write(layer_file(made), &bytes[..bytes.len() - 9]).unwrap();
    });
    assert!(error.contains("bytes where") && error.contains("are promised"), "{error}");
    let error = case(&|made| {
        let mut bytes = fs::read(layer_file(made)).unwrap();
        bytes[4] ^= 1; // The time in the gzip header: it still unpacks to the same.
        fs::write(layer_file(made), &bytes).unwrap();
    });
    assert!(error.starts_with("a blob has another digest than its name"), "{error}");
    let error = case(&|made| {
        let mut bytes = fs::read(layer_file(made)).unwrap();
        bytes[20] ^= 0xff;
        fs::write(layer_file(made), &bytes).unwrap();
    });
    assert!(error.starts_with("a blob has another digest than its name"), "{error}");
    let error =
        case(&|made| made.layer = made.put("application/vnd.oci.image.layer.v1.tar+gzip", b"no gzip"));
    assert!(error.starts_with("a layer cannot be unpacked"), "{error}");
    let error = case(&|made| made.config["rootfs"]["diff_ids"] = json!([sha(b"other")]));
    assert!(
        error.starts_with("the layer unpacks to something else than the configuration promises"),
        "{error}"
    );
    let error = case(&|made| made.config["rootfs"]["diff_ids"] = json!([]));
    assert!(error.starts_with("the configuration counts 0 layers and the manifest 1"), "{error}");
    let error = case(&|made| made.config["architecture"] = "s390x".into());
    assert!(error.starts_with("the image is for linux/s390x"), "{error}");
    let error = case(&|made| made.config["os"] = "windows".into());
    assert!(error.starts_with("the image is for windows/"), "{error}");
    let error = case(&|made| made.layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+xz".into());
    assert!(error.starts_with("`application/vnd.oci.image.layer.v1.tar+xz` is no layer"), "{error}");
    let error = case(&|made| made.manifest_type = "application/vnd.docker.distribution.manifest.v1+json");
    assert!(error.contains("is neither a manifest nor an index"), "{error}");
    let error = case(&|made| made.layer["digest"] = "sha256:../../../etc/passwd".into());
    assert!(error.contains("is no SHA-256 digest"), "{error}");
}

#[test]
fn layouts_that_are_none_are_refused_and_images_are_named() {
    let (_keep, root) = folder();
    let on = |path: &Utf8Path, image: Option<&str>| {
        let mut wanted = request(LayerFormat::Gzip);
        wanted.base = Base::Layout { path: path.to_owned(), image: image.map(str::to_owned), convert: false };
        refused(&wanted, &root)
    };
    assert_eq!(on(&root.join("none"), None).message(), "this is no OCI layout");
    write(&rich(LayerFormat::Gzip), &root.join("base"));
    let error = on(&root.join("base"), Some("v2"));
    assert_eq!(error.message(), "the layout has no image `v2`");
    assert_eq!(error.hints(), ["name one by its tag or digest: it has `latest`"]);
    fs::write(root.join("base/index.json"), "{").unwrap();
    assert_eq!(on(&root.join("base"), None).message(), "a document of the layout cannot be read");
    fs::write(root.join("base/oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert_eq!(on(&root.join("base"), None).message(), "this OCI layout has a version that we do not know");
}

#[test]
fn entries_that_an_image_cannot_have_are_refused() {
    let (_keep, root) = folder();
    let with = |entries: Vec<glowplug_package::ArchiveEntry>| {
        let mut wanted = request(LayerFormat::EStargz);
        wanted.application = vec![part("/var/task", entries)];
        refused(&wanted, &root)
    };
    let error = with(vec![bytes("pkg/.wh.module.py", "")]);
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(error.message().contains("`var/task/pkg/.wh.module.py` would delete a file"), "{error}");
    let error = with(vec![link("up", "../../../etc/passwd")]);
    assert!(error.message().contains("leads out of the image"), "{error}");
    assert_eq!(with(vec![bytes("a", ""), bytes("a", "")]).class(), ErrorClass::Usage);
    assert_eq!(with(vec![bytes("a", ""), bytes("a/b", "")]).class(), ErrorClass::Usage);
    let mut wanted = request(LayerFormat::EStargz);
    wanted.application = vec![part("/", vec![bytes("stargz.index.json", "{}")])];
    assert!(refused(&wanted, &root).message().contains("belongs to the eStargz format"));
    wanted.name = "a b".into();
    assert_eq!(refused(&wanted, &root).class(), ErrorClass::Usage);
}

#[test]
fn a_place_that_is_taken_is_left_alone_and_a_layout_is_replaced() {
    let (_keep, root) = folder();
    fs::create_dir_all(root.join("mine")).unwrap();
    fs::write(root.join("mine/notes"), "x").unwrap();
    let error = write_image(&rich(LayerFormat::Gzip), &root.join("mine"), &NoProgress).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert_eq!(fs::read_to_string(root.join("mine/notes")).unwrap(), "x");
    let mut wanted = request(LayerFormat::Gzip);
    wanted.application = vec![part("/a", vec![bytes("x", "1")])];
    write(&wanted, &root.join("image"));
    wanted.application = vec![part("/a", vec![bytes("x", "2")])];
    write(&wanted, &root.join("image"));
    // Configuration, two manifests, the layer, the bill, the empty document: nothing of the first image.
    assert_eq!(fs::read_dir(root.join("image/blobs/sha256")).unwrap().count(), 6);
    let mut names: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["image", "image.cdx.json", "mine"]);
}

/// Stops after some looks at it.
struct StopAfter(std::sync::atomic::AtomicUsize);

impl Progress for StopAfter {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

#[test]
fn interruption_leaves_what_was_there() {
    let (_keep, root) = folder();
    let mut wanted = request(LayerFormat::EStargz);
    wanted.application = vec![part("/a", vec![bytes("x", "1")])];
    let first = write(&wanted, &root.join("image"));
    wanted.base = Base::Layout { path: root.join("image"), image: None, convert: true };
    wanted.dependencies = vec![part("/b", vec![bytes("y", noise("y", 100_000))])];
    let mut stopped = 0;
    for looks in 0.. {
        let progress = StopAfter(looks.into());
        match write_image(&wanted, &root.join("image"), &progress) {
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Interrupted);
                assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "the image and its bill of materials");
                let index = fs::read_to_string(root.join("image/index.json")).unwrap();
                assert!(index.contains(first.digest.as_str()));
                stopped += 1;
            }
            Ok(_) => break,
        }
    }
    assert!(stopped >= 4, "{stopped}");
}

#[test]
fn a_full_disk_leaves_nothing() {
    // A small disk of its own; only root can have one, and not everywhere.
    let (_keep, root) = folder();
    let disk = root.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.as_str()]);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        println!("not covered: a full disk, which needs the right to mount one");
        return;
    }
    let mut wanted = request(LayerFormat::Gzip);
    wanted.application = vec![part("/a", vec![bytes("x", noise("x", 3_000_000))])];
    let result = write_image(&wanted, &disk.join("image"), &NoProgress);
    let left = fs::read_dir(&disk).unwrap().count();
    let _ = std::process::Command::new("umount").arg(&disk).output();
    let error = result.unwrap_err();
    assert_eq!((error.class(), left), (ErrorClass::Surroundings, 0), "{error}");
    assert!(error.hints()[0].contains("free some disk space"), "{:?}", error.hints());
}

/// With the extensions that tools of other makers use.
fn extended_archive() -> Vec<u8> {
    archive(&[
        ("usr/", EntryType::Directory, "", b""),
        ("x", EntryType::XHeader, "", b"12 path=a/b\n"),
        ("short", FILE, "", b"contents"),
        ("usr/link", EntryType::Symlink, "../short", b""),
        ("y", EntryType::GNULongName, "", b"long/name\0"),
        ("long", FILE, "", &[7; 700]),
        ("z", EntryType::XHeader, "", b"32 SCHILY.xattr.user.a=con\ntent\n"),
        ("again", EntryType::Link, "a/b", b""),
    ])
}

#[test]
fn extensions_of_other_tools_are_read() {
    let (_keep, root) = folder();
    let whole = extended_archive();
    let mut wanted = request(LayerFormat::EStargz);
    wanted.base = Made::new(&root, &whole).base();
    write(&wanted, &root.join("image"));
    let (layer, blob) = Written::read(&root.join("image")).layers().remove(0);
    let names: Vec<String> =
        crate::verify::layer(&layer, &blob).into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a/", "a/b", "again", "long/", "long/name", "usr/", "usr/link"]);
}

/// A base as it would come from somebody who means harm: every digest is right, the archive is not.
fn damaged_archive() -> impl Strategy<Value = Vec<u8>> {
    let whole = extended_archive();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (changes, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()).prop_map(
        move |(changes, end, cut, sums)| {
            let mut bytes = whole.clone();
            for (at, byte) in changes {
                // Names, types and numbers are in the first bytes of a block.
                let at = at.index(bytes.len() / 512 * 160);
                bytes[at / 160 * 512 + at % 160] = byte;
            }
            if sums {
                right_sums(&mut bytes);
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        },
    )
}

/// Gives every header the checksum that it should have.
fn right_sums(archive: &mut [u8]) {
    for block in archive.chunks_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn damaged_archives_are_errors_or_images_and_never_more(archive in damaged_archive()) {
        let (_keep, root) = folder();
        let mut wanted = request(LayerFormat::EStargz);
        wanted.base = Made::new(&root, &archive).base();
        match write_image(&wanted, &root.join("image"), &NoProgress) {
            Ok(_) => {
                let (layer, blob) = Written::read(&root.join("image")).layers().remove(0);
                crate::verify::layer(&layer, &blob);
            }
            Err(error) => {
                prop_assert_eq!(error.class(), ErrorClass::Input, "{}", error);
                prop_assert!(!root.join("image").exists());
            }
        }
    }
}
