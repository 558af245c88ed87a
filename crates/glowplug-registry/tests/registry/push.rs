//! Pushes to a real registry.

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Architecture, NoProgress};
use glowplug_registry::{Image, Platforms, Reference, pull, push};
use insta::assert_snapshot;
use serde_json::Value;

use crate::layouts::{Folder, Made, assert_valid, blobs, digest, sample, sample_index};
use crate::server::{Server, access, have, skopeo, text};

fn manifest_at(server: &Server, name: &str) -> Vec<u8> {
    let url = format!("http://127.0.0.1:{}/v2/{name}", server.port);
    let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    ureq::get(&url).header("accept", accept).call().unwrap().body_mut().read_to_vec().unwrap()
}

#[test]
fn skopeo_sees_and_copies_what_was_pushed() {
    let (Some(server), true) = (Server::start(), have(&["skopeo"])) else { return };
    let folder = Folder::new();
    let (made, expected) = sample(folder.path.join("made"));
    let reference = server.reference("team/app:1");
    let pushed = push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap();
    assert_eq!(pushed.digest, expected);
    assert_eq!(pushed.reference, format!("127.0.0.1:{}/team/app@{expected}", server.port));
    let address = server.address("team/app:1");
    assert_eq!(digest(&skopeo(&["inspect", "--raw", "--tls-verify=false", &address])), expected);
    let copy = folder.path.join("copy");
    skopeo(&["copy", "--src-tls-verify=false", &address, &format!("oci:{copy}:1")]);
    assert_eq!(blobs(&copy), blobs(&made.path));
}

#[test]
fn blobs_that_are_there_are_not_sent_and_others_repositories_are_taken_from() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let base = server.reference("base:1");
    let push_to = |reference: &Reference, mounts: &[Reference]| {
        push(&made.path, &Image::Only, reference, mounts, &access(), &NoProgress).unwrap()
    };
    let first = push_to(&base, &[]);
    assert!(first.sent > 400_000 && first.mounted == 0 && first.present == 0, "{first:?}");
    let second = push_to(&base, &[]);
    assert_eq!((second.sent, second.present), (0, first.sent));
    let mounted = push_to(&server.reference("team/app:1"), &[server.reference("absent"), base]);
    assert_eq!((mounted.sent, mounted.mounted), (0, first.sent));
    // A repository of another registry is no help.
    let elsewhere = "localhost:1/base:1".parse().unwrap();
    assert_eq!(push_to(&server.reference("other"), &[elsewhere]).sent, first.sent);
}

#[test]
fn an_index_goes_with_all_its_images_and_by_digest_alone_too() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, index, [_, arm]) = sample_index(folder.path.join("made"));
    let named = Image::Named("all".to_owned());
    push(&made.path, &named, &server.reference("app:1"), &[], &access(), &NoProgress).unwrap();
    assert_eq!(digest(&manifest_at(&server, "app/manifests/1")), index);
    assert_eq!(digest(&manifest_at(&server, &format!("app/manifests/{arm}"))), arm);
    let one = Image::Digest(arm.clone());
    let by_digest = format!("127.0.0.1:{}/one@{arm}", server.port).parse().unwrap();
    assert_eq!(push(&made.path, &one, &by_digest, &[], &access(), &NoProgress).unwrap().digest, arm);
    assert_eq!(digest(&manifest_at(&server, &format!("one/manifests/{arm}"))), arm);
    let tags = ureq::get(format!("http://127.0.0.1:{}/v2/one/tags/list", server.port)).call();
    assert!(matches!(tags, Err(ureq::Error::StatusCode(404))), "no tag was made: {tags:?}");
}

#[test]
fn what_is_about_an_image_goes_with_it() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let mut made = Made::new(folder.path.join("made"));
    let image = made.image("amd64", &[vec![1; 5000]]);
    let subject = made.enter(image.clone(), Some("1"));
    let sbom = made.about(&image, "application/vnd.cyclonedx+json");
    let signature = made.about(&sbom, "application/vnd.test.signature");
    let stranger = made.image("amd64", &[vec![2; 10]]);
    let unrelated = made.about(&stranger, "application/vnd.test.unrelated");
    let signature_digest = made.enter(signature, None);
    let sbom_digest = made.enter(sbom, None);
    let unrelated_digest = made.enter(unrelated, None);
    for _ in 0..2 {
        let reference = server.reference("app:1");
        let pushed = push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap();
        assert_eq!((pushed.digest.as_str(), pushed.referrers), (subject.as_str(), 2));
    }
    let list = |subject: &str| -> Value {
        let name = format!("app/manifests/{}", subject.replace(':', "-"));
        serde_json::from_slice(&manifest_at(&server, &name)).unwrap()
    };
    // This registry is older than the API for referrers, so that the list is under a tag.
    let about = list(&subject)["manifests"].clone();
    assert_eq!(about.as_array().unwrap().len(), 1);
    assert_eq!(about[0]["digest"], sbom_digest.as_str());
    assert_eq!(about[0]["artifactType"], "application/vnd.cyclonedx+json");
    assert_eq!(about[0]["annotations"]["made"], "here");
    assert_eq!(list(&sbom_digest)["manifests"][0]["digest"], signature_digest.as_str());
    let absent = ureq::get(format!("http://127.0.0.1:{}/v2/app/manifests/{unrelated_digest}", server.port))
        .header("accept", "application/vnd.oci.image.manifest.v1+json")
        .call();
    assert!(matches!(absent, Err(ureq::Error::StatusCode(404))), "{absent:?}");
}

#[test]
fn nothing_is_sent_of_a_layout_that_is_not_whole() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let (index, ..) = sample_index(folder.path.join("index"));
    let error = |layout: &Utf8Path, image: &Image, name: &str| {
        let error = push(layout, image, &server.reference(name), &[], &access(), &NoProgress).unwrap_err();
        text(&error)
    };
    let missing = Image::Named("2".to_owned());
    assert_snapshot!(error(&made.path, &missing, "app"), @"Input: the layout has no image named `2`: it names 1");
    let other = format!("app@{}", digest(b"other"));
    assert_snapshot!(error(&made.path, &Image::Only, &other), @r#"
    Input: the reference names another digest than the image has: the image has [DIGEST], the reference [DIGEST] ([HOST]/app@[DIGEST])
    hint: leave the digest out of the reference
    "#);
    assert_snapshot!(error(&folder.path.join("none"), &Image::Only, "app"), @r#"
    Input: the folder is not an OCI layout: there is no such folder ([FOLDER]/none)
    hint: a layout has `oci-layout`, `index.json` and `blobs/sha256`
    "#);

    let layer = made.path.join("blobs").join(digest(&crate::layouts::noise(2, 300_000)).replace(':', "/"));
    fs::write(&layer, crate::layouts::noise(9, 300_000)).unwrap();
    assert_snapshot!(error(&made.path, &Image::Only, "app"), @r#"
    Input: the layout has no whole blob [DIGEST]: its bytes have the digest [DIGEST] ([FOLDER]/made/blobs/sha256/8921211f006135690e63f88d52ec9e35e24b9a071ac8c74e6dfc8f9d2cfdbcdd)
    hint: make or fetch the layout anew
    "#);
    fs::remove_file(&layer).unwrap();
    assert_snapshot!(error(&made.path, &Image::Only, "app"), @r#"
    Input: the layout lacks a blob of the image ([FOLDER]/made/blobs/sha256/8921211f006135690e63f88d52ec9e35e24b9a071ac8c74e6dfc8f9d2cfdbcdd)
    hint: make or fetch the layout anew
    "#);

    let manifest = fs::read_dir(index.path.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("layers\":[{")))
        .unwrap();
    fs::remove_file(manifest).unwrap();
    assert_snapshot!(error(&index.path, &Image::Only, "app"), @"Input: the layout has no whole manifest [DIGEST]: entity not found ([FOLDER]/index/blobs/sha256/e3e3adfa6bda25dc6846f8e837f53c7027dd2a2f5aca60a9161952d814c69972)");
    let tags = ureq::get(format!("http://127.0.0.1:{}/v2/app/tags/list", server.port)).call();
    assert!(matches!(tags, Err(ureq::Error::StatusCode(404))), "{tags:?}");
}

#[test]
fn several_images_need_a_name() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let mut made = Made::new(folder.path.join("made"));
    for (name, byte) in [("old", 1), ("new", 2)] {
        let image = made.image("amd64", &[vec![byte; 100]]);
        made.enter(image, Some(name));
    }
    let reference = server.reference("app:1");
    let error = push(&made.path, &Image::Only, &reference, &[], &access(), &NoProgress).unwrap_err();
    assert_snapshot!(text(&error), @r#"
    Input: the layout has 2 images: it names old, new
    hint: say which: by its name, or by its digest
    "#);
    push(&made.path, &"new".parse().unwrap(), &reference, &[], &access(), &NoProgress).unwrap();
    let layout = folder.path.join("layout");
    pull(&reference, Platforms::One(Architecture::X86_64), &layout, &access(), &NoProgress).unwrap();
    assert_valid(&layout);
}
