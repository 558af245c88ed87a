//! Connections that break on the way to a real registry, and TLS.

use std::sync::atomic::{AtomicU64, Ordering};

use glowplug_core::{Architecture, NoProgress, Progress};
use glowplug_registry::{Access, Image, Platforms, pull, push};
use insta::assert_snapshot;

use crate::layouts::{Folder, Made, assert_valid, blobs, noise, sample};
use crate::proxy::{Proxy, Way};
use crate::server::{Server, access, reference, text};

const HERE: Platforms = Platforms::One(Architecture::X86_64);

/// Adds up what it is told.
#[derive(Default)]
struct Sum(AtomicU64, AtomicU64);

impl Progress for Sum {
    fn start(&self, _: &str, total: Option<u64>) {
        self.1.store(total.unwrap(), Ordering::SeqCst);
    }
    fn advance(&self, units: u64) {
        self.0.fetch_add(units, Ordering::SeqCst);
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

/// A layout with one layer of so many bytes.
fn large(folder: &Folder, bytes: usize) -> Made {
    let mut made = Made::new(folder.path.join("made"));
    let image = made.image("amd64", &[noise(7, bytes)]);
    made.enter(image, None);
    made
}

#[test]
fn a_download_goes_on_where_the_connection_broke() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let made = large(&folder, 20_000_000);
    push(&made.path, &Image::Only, &server.reference("app:1"), &[], &access(), &NoProgress).unwrap();
    let proxy = Proxy::before(server.port, Way::FromServer, 4_000_000, 3);
    let (layout, sum) = (folder.path.join("layout"), Sum::default());
    pull(&reference(proxy.port, "app:1"), HERE, &layout, &access(), &sum).unwrap();
    assert_eq!(blobs(&layout), blobs(&made.path));
    assert_valid(&layout);
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 3);
    let passed = proxy.passed.load(Ordering::SeqCst);
    assert!(passed < 24_000_000, "what had arrived was not sent again: {passed}");
    assert_eq!(sum.0.load(Ordering::SeqCst), sum.1.load(Ordering::SeqCst));
}

#[test]
fn an_upload_in_parts_survives_broken_connections() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let made = large(&folder, 100_000_000);
    let proxy = Proxy::before(server.port, Way::ToServer, 45_000_000, 2);
    let sum = Sum::default();
    let pushed =
        push(&made.path, &Image::Only, &reference(proxy.port, "app:1"), &[], &access(), &sum).unwrap();
    assert!(pushed.sent >= 100_000_000);
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 2);
    assert_eq!(sum.0.load(Ordering::SeqCst), sum.1.load(Ordering::SeqCst));
    let layout = folder.path.join("layout");
    pull(&server.reference("app:1"), HERE, &layout, &access(), &NoProgress).unwrap();
    assert_eq!(blobs(&layout), blobs(&made.path));
}

#[test]
fn an_upload_in_one_request_begins_anew() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let made = large(&folder, 3_000_000);
    let proxy = Proxy::before(server.port, Way::ToServer, 1_000_000, 2);
    push(&made.path, &Image::Only, &reference(proxy.port, "app:1"), &[], &access(), &NoProgress).unwrap();
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 2);
    let layout = folder.path.join("layout");
    pull(&server.reference("app:1"), HERE, &layout, &access(), &NoProgress).unwrap();
    assert_eq!(blobs(&layout), blobs(&made.path));
}

#[test]
fn an_upload_that_breaks_each_time_is_given_up() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let made = large(&folder, 3_000_000);
    let proxy = Proxy::before(server.port, Way::ToServer, 1_000_000, usize::MAX);
    let error = push(&made.path, &Image::Only, &reference(proxy.port, "app:1"), &[], &access(), &NoProgress)
        .unwrap_err();
    let text = text(&error);
    assert!(text.contains("Surroundings: cannot send the blob [DIGEST] to [HOST]/app:1"), "{text}");
    assert!(text.contains("gave up after 4 attempts"), "{text}");
    let tag = ureq::get(format!("http://127.0.0.1:{}/v2/app/manifests/1", server.port)).call();
    assert!(matches!(tag, Err(ureq::Error::StatusCode(404))), "{tag:?}");
}

#[test]
fn a_certificate_must_be_trusted() {
    let Some(server) = Server::with_tls() else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let reference = server.reference("app:1");
    let with = |access: &Access| push(&made.path, &Image::Only, &reference, &[], access, &NoProgress);
    let strict = Access { plain_http: Some(false), ..access() };
    assert_snapshot!(text(&with(&strict).unwrap_err()), @r#"
    Surroundings: cannot send the blob [DIGEST] to [HOST]/app:1: no secure connection: invalid peer certificate: UnknownIssuer (https://[HOST]/v2/app/blobs/[DIGEST])
    hint: set SSL_CERT_FILE to a PEM file with the certificate of the authority that signed the registry's
    "#);
    // On loopback plain HTTP is spoken unless told otherwise.
    assert_snapshot!(text(&with(&access()).unwrap_err()), @r#"
    Surroundings: cannot send the blob [DIGEST] to [HOST]/app:1: the registry answered with status 400 (http://[HOST]/v2/app/blobs/[DIGEST])
    hint: if that registry speaks HTTPS, do not ask it over plain HTTP
    "#);
    let trusting =
        Access { certificates: Some(server.folder.path.join("certificate.pem")), ..strict.clone() };
    with(&trusting).unwrap();
    let wrong = Access { certificates: Some(server.folder.path.join("config.yml")), ..strict };
    assert_snapshot!(text(&with(&wrong).unwrap_err()), @"Input: cannot read the certificates to trust: it has no certificate in PEM ([FOLDER]/config.yml)");
}

#[test]
fn a_registry_without_tls_is_told_from_a_broken_one() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let access = Access { plain_http: Some(false), ..access() };
    let error = pull(&server.reference("app:1"), HERE, &folder.path.join("layout"), &access, &NoProgress);
    assert_snapshot!(text(&error.unwrap_err()), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: no secure connection: received corrupt message of type InvalidContentType (https://[HOST]/v2/app/manifests/1)
    hint: if that registry speaks plain HTTP, allow it to (`--plain-http`)
    "#);
}

#[test]
fn nobody_at_the_address_is_an_error_that_names_it() {
    let folder = Folder::new();
    // The port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = pull(&reference(port, "app:1"), HERE, &folder.path.join("layout"), &access(), &NoProgress);
    assert_snapshot!(text(&error.unwrap_err()), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: nobody listens there: Connection refused (os error 111): gave up after 4 attempts (http://[HOST]/v2/app/manifests/1)
    hint: check the host and the port
    hint: try again later; what has been moved so far is not moved again
    "#);
}
