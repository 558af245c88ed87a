//! What a sound registry does not do: a mock that drops connections, is busy, lies, or sends what is no image.

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, NoProgress, Result};
use glowplug_registry::{Image, Platforms, Pulled, pull, push};
use insta::assert_snapshot;
use serde_json::json;

use crate::layouts::{Folder, MANIFEST, assert_valid, digest, noise, sample};
use crate::mock::{Mock, Reply, Request, digest_of};
use crate::server::{access, text};

const HERE: Platforms = Platforms::One(Architecture::X86_64);

/// A sample image behind a mock with a script.
struct Scene {
    folder: Folder,
    mock: Mock,
    made: Utf8PathBuf,
}

fn scene(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Scene {
    let folder = Folder::new();
    let (made, root) = sample(folder.path.join("made"));
    let mock = Mock::serve(&made.path, &root, script);
    Scene { folder, mock, made: made.path }
}

impl Scene {
    fn pull(&self) -> Result<Pulled> {
        let layout = self.folder.path.join("layout");
        let pulled = pull(&self.mock.reference(), HERE, &layout, &access(), &NoProgress);
        assert_valid(&layout);
        pulled
    }

    fn error(&self) -> String {
        text(&self.pull().unwrap_err())
    }
}

/// Whether a request is for the sample's largest layer.
fn layer(request: &Request) -> bool {
    request.is("GET", &format!("/blobs/{}", digest(&noise(2, 300_000))))
}

fn bytes() -> Vec<u8> {
    noise(2, 300_000)
}

#[test]
fn a_blob_goes_on_after_each_cut() {
    let scene = scene(|request| {
        (layer(request) && request.before < 3).then(|| match request.before {
            0 => Reply::new(200, bytes()).cut(100_000),
            1 => Reply::new(206, &bytes()[100_000..])
                .with("content-range", "bytes 100000-299999/300000")
                .cut(50_000),
            _ => Reply::new(206, &bytes()[150_000..])
                .with("content-range", "bytes 150000-299999/*")
                .chunked()
                .cut(0),
        })
    });
    scene.pull().unwrap();
    let ranges: Vec<String> = scene
        .mock
        .seen()
        .iter()
        .filter(|request| layer(request))
        .map(|request| request.header("range").to_owned())
        .collect();
    assert_eq!(ranges, ["", "bytes=100000-", "bytes=150000-", "bytes=150000-"]);
}

#[test]
fn a_blob_that_is_cut_each_time_names_host_blob_and_attempts() {
    let never = scene(|request| layer(request).then(|| Reply::new(200, bytes()).cut(0)));
    assert_snapshot!(never.error(), @r#"
    Surroundings: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: the connection broke: Peer disconnected: gave up after 4 attempts (http://[HOST]/v2/team/app/blobs/[DIGEST])
    hint: try again later; what has been moved so far is not moved again
    "#);
    assert_eq!(never.mock.seen().iter().filter(|request| layer(request)).count(), 4);
    // What arrived by then, and right, is kept for the next time.
    assert!(!crate::layouts::blobs(&never.folder.path.join("layout")).is_empty());
}

#[test]
fn servers_that_know_no_ranges_begin_anew() {
    let restarting = scene(|request| {
        let cut = if request.before == 0 { Some(200_000) } else { None };
        layer(request).then(|| Reply { cut, ..Reply::new(200, bytes()) })
    });
    restarting.pull().unwrap();
    let refusing = scene(|request| {
        (layer(request) && request.before < 2).then(|| match request.before {
            0 => Reply::new(200, bytes()).cut(200_000),
            _ => Reply::new(416, ""),
        })
    });
    refusing.pull().unwrap();
    let elsewhere = scene(|request| {
        (layer(request) && request.before < 2).then(|| match request.before {
            0 => Reply::new(200, bytes()).cut(200_000),
            _ => Reply::new(206, bytes()).with("content-range", "bytes 0-299999/300000"),
        })
    });
    elsewhere.pull().unwrap();
}

#[test]
fn what_passes_by_itself_is_waited_for() {
    for status in [408, 429, 500, 502, 503, 504] {
        let scene =
            scene(move |request| (request.before < 2).then(|| Reply::new(status, "<html>busy</html>")));
        scene.pull().unwrap_or_else(|error| panic!("{status}: {error}"));
    }
    let polite =
        scene(|request| (request.before == 0).then(|| Reply::new(429, "slowly").with("retry-after", "1")));
    polite.pull().unwrap();
}

#[test]
fn what_does_not_pass_is_given_up() {
    let busy = scene(|_| Some(Reply::new(500, r#"{"errors":[{"code":"UNKNOWN","message":"disk"}]}"#)));
    assert_snapshot!(busy.error(), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 500: UNKNOWN: disk: gave up after 4 attempts (http://[HOST]/v2/team/app/manifests/1)
    hint: try again later; what has been moved so far is not moved again
    "#);
    assert_eq!(busy.mock.seen().len(), 4);
    let strict = scene(|_| {
        Some(
            Reply::new(
                429,
                r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached your limit"}]}"#,
            )
            .with("retry-after", "3600"),
        )
    });
    assert_snapshot!(strict.error(), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 429: TOOMANYREQUESTS: you have reached your limit: the registry asks to wait 3600 s, more than the 2 s that are waited here (http://[HOST]/v2/team/app/manifests/1)
    hint: try again later, or log in: registries allow more to whom they know
    "#);
    assert_eq!(strict.mock.seen().len(), 1);
    let closed =
        scene(|_| Some(Reply::new(403, r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#)));
    assert_snapshot!(closed.error(), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 403: DENIED: not for you: asked anonymously: there is no file of logins (http://[HOST]/v2/team/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    hint: see that this login may use the repository, and that the repository's name is right
    "#);
    let nothing = scene(|_| Some(Reply::new(405, "")));
    assert_snapshot!(nothing.error(), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 405 (http://[HOST]/v2/team/app/manifests/1)
    hint: check that it is the address of a registry, and the repository's name
    "#);
}

#[test]
fn a_manifest_that_is_not_what_was_asked_for_is_refused() {
    let other = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": []}).to_string();
    let expected = digest(b"expected");
    let told = expected.clone();
    let lying = scene(move |request| {
        request.target.contains("/manifests/").then(|| {
            let config = json!({"mediaType": "a/b", "digest": digest(b"c"), "size": 1});
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
            Reply::new(200, manifest.to_string())
                .with("content-type", MANIFEST)
                .with("docker-content-digest", told.clone())
        })
    });
    assert_snapshot!(lying.error(), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry sent another manifest than its own header says: [DIGEST] instead of [DIGEST] (http://[HOST]/v2/team/app/manifests/1)");
    let by_digest = format!("127.0.0.1:{}/team/app@{expected}", lying.mock.port).parse().unwrap();
    let error = pull(&by_digest, HERE, &lying.folder.path.join("x"), &access(), &NoProgress).unwrap_err();
    assert_snapshot!(text(&error), @"Surroundings: cannot fetch the manifest `[DIGEST]` of [HOST]/team/app@[DIGEST]: the registry sent another manifest than was asked for: [DIGEST] instead of [DIGEST] (http://[HOST]/v2/team/app/manifests/[DIGEST])");

    let answer = |body: String, kind: &'static str| {
        let scene = scene(move |request| {
            request
                .target
                .contains("/manifests/")
                .then(|| Reply::new(200, body.clone()).with("content-type", kind))
        });
        scene.error()
    };
    assert_snapshot!(answer(other, MANIFEST), @"Input: cannot fetch the manifest `1` of [HOST]/team/app:1: the manifest is not as the specification has it: missing field `digest` at line 1 column 87 (http://[HOST]/v2/team/app/manifests/1)");
    assert_snapshot!(answer("<html>log in</html>".to_owned(), "text/html"), @"Input: cannot fetch the manifest `1` of [HOST]/team/app:1: the manifest is not JSON: expected value at line 1 column 1 (http://[HOST]/v2/team/app/manifests/1)");
    assert_snapshot!(answer("{}".to_owned(), "application/vnd.cncf.helm.chart.v1+json"), @r#"
    Input: cannot fetch the manifest `1` of [HOST]/team/app:1: `application/vnd.cncf.helm.chart.v1+json` is no kind of manifest that is known here (http://[HOST]/v2/team/app/manifests/1)
    hint: images and indexes of OCI, and Docker's manifests of version 2 and lists of them, are
    "#);
    assert_snapshot!(
        answer(json!({"schemaVersion": 1, "fsLayers": []}).to_string(), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        @r#"
        Input: cannot fetch the manifest `1` of [HOST]/team/app:1: the manifest is of schema 1, which registries gave up in 2019 (http://[HOST]/v2/team/app/manifests/1)
        hint: push the image anew with a current docker or skopeo, which write schema 2
        "#
    );
    assert_snapshot!(answer(" ".repeat(5_000_000), MANIFEST), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: it has more than 4194304 bytes (http://[HOST]/v2/team/app/manifests/1)");
}

#[test]
fn a_blob_with_other_bytes_is_fetched_once_more_and_then_refused() {
    let passing =
        scene(|request| (layer(request) && request.before == 0).then(|| Reply::new(200, noise(8, 300_000))));
    passing.pull().unwrap();
    let lying = scene(|request| layer(request).then(|| Reply::new(200, noise(8, 300_000))));
    assert_snapshot!(lying.error(), @r#"
    Surroundings: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: the registry sent other bytes than the digest promises: they have the digest [DIGEST]: twice (http://[HOST]/v2/team/app/blobs/[DIGEST])
    hint: the blob is corrupt there: push the image anew, or use another one
    "#);
    assert_eq!(lying.mock.seen().iter().filter(|request| layer(request)).count(), 2);
}

#[test]
fn a_blob_of_another_size_is_refused() {
    let longer = || noise(2, 300_001);
    let told = scene(move |request| layer(request).then(|| Reply::new(200, longer())));
    assert_snapshot!(told.error(), @"Surroundings: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: the registry sends another size than the manifest promises: 300001 bytes instead of 300000 (http://[HOST]/v2/team/app/blobs/[DIGEST])");
    let untold = scene(move |request| layer(request).then(|| Reply::new(200, longer()).chunked()));
    assert_snapshot!(untold.error(), @"Surroundings: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: the registry sends another size than the manifest promises: more than 300000 bytes (http://[HOST]/v2/team/app/blobs/[DIGEST])");
    let endless = scene(|request| layer(request).then(|| Reply::new(200, noise(2, 30_000_000)).chunked()));
    assert!(endless.error().contains("more than 300000 bytes"));
    let shorter = scene(|request| layer(request).then(|| Reply::new(200, noise(2, 299_999))));
    assert!(shorter.error().contains("299999 bytes instead of 300000"));
    let ranged = scene(|request| {
        layer(request).then(|| match request.before {
            0 => Reply::new(200, bytes()).cut(100_000),
            _ => Reply::new(206, &bytes()[100_000..]).with("content-range", "bytes 100000-299999/400000"),
        })
    });
    assert!(ranged.error().contains("400000 bytes instead of 300000"));
    let absent = scene(|request| layer(request).then(|| Reply::new(404, "")));
    assert_snapshot!(absent.error(), @r#"
    Input: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: the registry does not have it, although the image's manifest names it (http://[HOST]/v2/team/app/blobs/[DIGEST])
    hint: push the image anew, or use another one
    "#);
}

#[test]
fn redirects_end() {
    let round = scene(|request| Some(Reply::new(307, "").with("location", request.target.clone())));
    assert_snapshot!(round.error(), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry redirects without end: after 10 redirects it still does (http://[HOST]/v2/team/app/manifests/1)");
    assert_eq!(round.mock.seen().len(), 11);
    let away = scene(|_| Some(Reply::new(302, "").with("location", "ftp://elsewhere/?token=hush")));
    assert_snapshot!(away.error(), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry redirects to what is no HTTP URL: ftp://elsewhere/ (http://[HOST]/v2/team/app/manifests/1)");
    let nowhere = scene(|_| Some(Reply::new(301, "")));
    assert_snapshot!(nowhere.error(), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 301 (http://[HOST]/v2/team/app/manifests/1)");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_fetched() {
    let large = |size: u64| {
        scene(move |request| {
            request.target.contains("/manifests/").then(|| {
                let layer = json!({"mediaType": "a/b", "digest": digest(b"c"), "size": size});
                let config = json!({"mediaType": "a/b", "digest": digest(b"d"), "size": 1});
                let manifest =
                    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
                Reply::new(200, manifest.to_string()).with("content-type", MANIFEST)
            })
        })
    };
    let scene = large(10_000_000_000);
    assert_snapshot!(scene.error(), @r#"
    Input: [HOST]/team/app:1 is too large: 10000000001 bytes in layers, where 10.0 GB are allowed
    hint: Lambda takes images of up to 10 GB; choose a smaller base image
    "#);
    assert_eq!(scene.mock.count("GET", "/blobs/"), 0);
    assert!(!scene.folder.path.join("layout").exists());
}

#[test]
fn indexes_that_name_each_other_end() {
    // An index cannot hold its own digest, so that a lying registry is needed: each names the next one.
    let index = |depth: usize| {
        let mut text = String::from(r#"{"schemaVersion":2,"manifests":[]}"#);
        for _ in 0..depth {
            let below = json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(text.as_bytes()),
                "size": text.len(), "platform": {"os": "linux", "architecture": "amd64"}});
            text = json!({"schemaVersion": 2, "manifests": [below]}).to_string();
        }
        text
    };
    let scene = scene(move |request| {
        let name = request.target.rsplit('/').next().unwrap();
        let all: Vec<String> = (0..8).map(index).collect();
        let found =
            if name == "1" { all.last() } else { all.iter().find(|text| digest(text.as_bytes()) == name) };
        Some(Reply::new(200, found?.clone()).with("content-type", "application/vnd.oci.image.index.v1+json"))
    });
    assert_snapshot!(scene.error(), @"Input: [HOST]/team/app:1 is no sensible image: indexes are nested more than 4 deep");
    let layout = scene.folder.path.join("all");
    let error = pull(&scene.mock.reference(), Platforms::All, &layout, &access(), &NoProgress).unwrap_err();
    assert!(error.to_string().contains("nested more than 4 deep"), "{error}");
}

#[test]
fn a_registry_that_takes_no_parts_gets_the_whole() {
    let folder = Folder::new();
    let mut made = crate::layouts::Made::new(folder.path.join("made"));
    let content = noise(6, 40_000_000);
    let image = made.image("amd64", std::slice::from_ref(&content));
    let root = made.enter(image, None);
    let mock =
        Mock::serve(&made.path, &root, |request| (request.method == "PATCH").then(|| Reply::new(405, "")));
    push(&made.path, &Image::Only, &mock.reference(), &[], &access(), &NoProgress).unwrap();
    let sent: Vec<String> =
        mock.seen().iter().filter(|request| request.is("PUT", "/blobs/")).map(digest_of).collect();
    assert!(sent.contains(&digest(&content)));
}

#[test]
fn parts_are_of_the_size_that_the_registry_wants() {
    let folder = Folder::new();
    let mut made = crate::layouts::Made::new(folder.path.join("made"));
    let content = noise(6, 90_000_000);
    let image = made.image("amd64", &[content]);
    let root = made.enter(image, None);
    let mock = Mock::serve(&made.path, &root, |request| {
        request.is("POST", "/uploads/").then(|| {
            Reply::new(202, "")
                .with("location", "/v2/team/app/blobs/uploads/1")
                .with("oci-chunk-min-length", "50000000")
        })
    });
    push(&made.path, &Image::Only, &mock.reference(), &[], &access(), &NoProgress).unwrap();
    let parts: Vec<String> = mock
        .seen()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.header("content-range").to_owned())
        .collect();
    assert_eq!(parts, ["0-49999999", "50000000-89999999"]);
}

#[test]
fn a_push_that_is_answered_wrongly_is_told() {
    let scene = |script: fn(&Request) -> Option<Reply>| {
        let scene = scene(script);
        let error = push(&scene.made, &Image::Only, &scene.mock.reference(), &[], &access(), &NoProgress);
        text(&error.unwrap_err())
    };
    assert_snapshot!(scene(|request| request.is("POST", "uploads").then(|| Reply::new(202, ""))), @"Surroundings: cannot send the blob [DIGEST] to [HOST]/team/app:1: the registry does not say where it takes the blob: its answer has no `Location` (http://[HOST]/v2/team/app/blobs/uploads/)");
    assert_snapshot!(
        scene(|request| {
            let other = digest(b"other");
            request.is("PUT", "/manifests/").then(|| Reply::new(201, "").with("docker-content-digest", other))
        }),
        @"Surroundings: cannot push the manifest [DIGEST] to [HOST]/team/app:1: the registry stored it under another digest: [DIGEST] (http://[HOST]/v2/team/app/manifests/[DIGEST])"
    );
    assert_snapshot!(
        scene(|request| {
            request.is("PUT", "/manifests/").then(|| {
                Reply::new(400, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}"#)
            })
        }),
        @"Surroundings: cannot push the manifest [DIGEST] to [HOST]/team/app:1: the registry answered with status 400: MANIFEST_INVALID: manifest invalid (http://[HOST]/v2/team/app/manifests/[DIGEST])"
    );
    assert_snapshot!(
        scene(|request| {
            let right = request.is("HEAD", &digest(&bytes()));
            right.then(|| Reply::new(200, "").with("content-length", "7"))
        }),
        @"Surroundings: cannot send the blob [DIGEST] to [HOST]/team/app:1: the registry has a blob of this digest and another size: 7 bytes instead of 300000 (http://[HOST]/v2/team/app/blobs/[DIGEST])"
    );
    assert_snapshot!(scene(|request| request.is("PUT", "/blobs/").then(|| Reply::new(413, ""))), @r#"
    Surroundings: cannot send the blob [DIGEST] to [HOST]/team/app:1: the registry answered with status 413 (http://[HOST]/v2/team/app/blobs/uploads/1)
    hint: the registry, or a proxy before it, limits the size of what it takes
    "#);
}
