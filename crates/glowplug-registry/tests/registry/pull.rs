//! Pulls from a real registry.

use fs_err as fs;
use glowplug_core::{Architecture, NoProgress};
use glowplug_registry::{Image, Platforms, Reference, pull, push};
use insta::assert_snapshot;

use crate::layouts::{Folder, assert_valid, blobs, sample, sample_index};
use crate::server::{Server, access, have, skopeo, text};

const HERE: Platforms = Platforms::One(Architecture::X86_64);

/// What skopeo says the digest is.
fn digest_at(server: &Server, name: &str) -> String {
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &server.address(name)]);
    crate::layouts::digest(&raw)
}

#[test]
fn what_skopeo_copied_there_arrives_byte_for_byte() {
    let (Some(server), true) = (Server::start(), have(&["skopeo"])) else { return };
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let source = format!("oci:{}:1", made.path);
    skopeo(&["copy", "--dest-tls-verify=false", &source, &server.address("team/app:1")]);
    let layout = folder.path.join("layout");
    let reference = server.reference("team/app:1");
    let pulled = pull(&reference, HERE, &layout, &access(), &NoProgress).unwrap();
    assert_eq!((&pulled.digest, &pulled.source), (&digest, &digest));
    assert_eq!(pulled.fetched, pulled.bytes);
    assert_eq!(blobs(&layout), blobs(&made.path));
    assert_valid(&layout);
    let again = format!("oci:{layout}:1");
    assert_eq!(crate::layouts::digest(&skopeo(&["inspect", "--raw", &again])), digest);
}

#[test]
fn what_is_there_and_right_is_not_fetched_again() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let reference = server.reference("app:1");
    push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap();
    let layout = folder.path.join("layout");
    let first = pull(&reference, HERE, &layout, &access(), &NoProgress).unwrap();
    assert!(first.fetched > 400_000);
    assert_eq!(pull(&reference, HERE, &layout, &access(), &NoProgress).unwrap().fetched, 0);
    // Of the right length, and wrong; and too short.
    let layer = layout.join("blobs/sha256").join(blobs(&layout).into_iter().next().unwrap());
    let bytes = fs::read(&layer).unwrap();
    for wrong in [vec![0; bytes.len()], vec![1]] {
        fs::write(&layer, wrong).unwrap();
        let pulled = pull(&reference, HERE, &layout, &access(), &NoProgress).unwrap();
        assert!(pulled.fetched <= bytes.len() as u64);
        assert_eq!(fs::read(&layer).unwrap(), bytes);
    }
    let by_digest: Reference = format!("127.0.0.1:{}/app@{digest}", server.port).parse().unwrap();
    assert_eq!(pull(&by_digest, HERE, &layout, &access(), &NoProgress).unwrap().digest, digest);
    assert_valid(&layout);
}

#[test]
fn an_index_is_resolved_or_kept_whole() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, index, [intel, arm]) = sample_index(folder.path.join("made"));
    let reference = server.reference("app");
    push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap();
    for (architecture, digest) in [(Architecture::X86_64, &intel), (Architecture::Arm64, &arm)] {
        let layout = folder.path.join(architecture.to_string());
        let pulled = pull(&reference, Platforms::One(architecture), &layout, &access(), &NoProgress).unwrap();
        assert_eq!((&pulled.digest, &pulled.source), (digest, &index));
        assert_eq!(blobs(&layout).len(), 3, "a manifest, a configuration, a layer");
        assert_valid(&layout);
        let entries = fs::read_to_string(layout.join("index.json")).unwrap();
        assert!(entries.contains(r#""os":"linux""#), "{entries}");
    }
    let layout = folder.path.join("all");
    let pulled = pull(&reference, Platforms::All, &layout, &access(), &NoProgress).unwrap();
    assert_eq!(pulled.digest, index);
    assert_eq!(blobs(&layout), blobs(&made.path));
    assert_valid(&layout);
}

#[test]
fn dockers_own_format_is_read_too() {
    let (Some(server), true) = (Server::start(), have(&["skopeo"])) else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let source = format!("oci:{}:1", made.path);
    skopeo(&["copy", "--format", "v2s2", "--dest-tls-verify=false", &source, &server.address("app:1")]);
    let layout = folder.path.join("layout");
    let pulled = pull(&server.reference("app:1"), HERE, &layout, &access(), &NoProgress).unwrap();
    assert_eq!(pulled.media_type, "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(pulled.digest, digest_at(&server, "app:1"));
    assert_valid(&layout);
    // And back, under another name.
    push(&layout, &Image::Only, &server.reference("copy:2"), &[], &access(), &NoProgress).unwrap();
    assert_eq!(digest_at(&server, "copy:2"), pulled.digest);
}

#[test]
fn what_does_not_exist_is_named() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, _, _) = sample_index(folder.path.join("made"));
    push(&made.path, &Image::Only, &server.reference("app:1"), &[], &access(), &NoProgress).unwrap();
    let mut other = crate::layouts::Made::new(folder.path.join("other"));
    let image = other.image("s390x", &[vec![1]]);
    other.enter(image, None);
    push(&other.path, &Image::Only, &server.reference("app:mainframe"), &[], &access(), &NoProgress).unwrap();
    let layout = folder.path.join("layout");
    let error = |name: &str| {
        let error = pull(&server.reference(name), HERE, &layout, &access(), &NoProgress).unwrap_err();
        assert_valid(&layout);
        text(&error)
    };
    assert_snapshot!(error("nothing/here:1"), @r#"
    Input: there is no repository `nothing/here` at [HOST]: MANIFEST_UNKNOWN: manifest unknown (http://[HOST]/v2/nothing/here/manifests/1)
    hint: check the name; a private one may need a login
    "#);
    assert_snapshot!(error("app:2"), @r#"
    Input: `app` at [HOST] has no tag `2`: MANIFEST_UNKNOWN: manifest unknown (http://[HOST]/v2/app/manifests/2)
    hint: tags there: 1, mainframe
    "#);
    assert_snapshot!(error(&format!("app@{}", crate::layouts::digest(b"nothing"))), @r#"
    Input: `app` at [HOST] has nothing with the digest [DIGEST]: MANIFEST_UNKNOWN: manifest unknown (http://[HOST]/v2/app/manifests/[DIGEST])
    hint: tags there: 1, mainframe
    "#);
    assert_snapshot!(error("app:mainframe"), @r#"
    Input: [HOST]/app:mainframe is not there for Linux on x86_64: it is there for linux/s390x
    hint: choose another image or another architecture
    "#);
}

#[test]
fn a_folder_that_is_something_else_stays_as_it_was() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let reference = server.reference("app:1");
    push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap();
    let layout = folder.path.join("mine");
    fs::create_dir(&layout).unwrap();
    fs::write(layout.join("work.txt"), "mine").unwrap();
    let error = pull(&reference, HERE, &layout, &access(), &NoProgress).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(fs::read_dir(&layout).unwrap().count(), 1);
}
