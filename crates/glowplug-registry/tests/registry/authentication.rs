//! Tokens: a mock registry that asks for one, and a mock token server, in one.

use std::sync::{Arc, Mutex};

use glowplug_core::{Architecture, NoProgress};
use glowplug_registry::{Access, Credentials, Image, Login, Platforms, Secret, pull, push};
use insta::assert_snapshot;

use crate::layouts::{Folder, assert_valid, sample};
use crate::mock::{Mock, Reply, Request};
use crate::server::{access, access_as, text};

const HERE: Platforms = Platforms::One(Architecture::X86_64);

/// Asks for the token `open`, which `tokens` gives to whom it likes.
fn guard(request: &Request, tokens: impl Fn(&Request) -> Reply) -> Option<Reply> {
    if request.target.starts_with("/token") {
        return Some(tokens(request));
    }
    if request.header("authorization") == "Bearer open" {
        return None;
    }
    let realm = format!(r#"Bearer realm="http://127.0.0.1:{}/token",service="mock registry""#, request.port);
    Some(
        Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}"#)
            .with("www-authenticate", realm),
    )
}

fn granted() -> Reply {
    Reply::new(200, r#"{"token":"open","expires_in":300}"#)
}

#[test]
fn public_repositories_are_read_with_an_anonymous_token() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let mock = Mock::serve(&made.path, &digest, |request| guard(request, |_| granted()));
    let layout = folder.path.join("layout");
    pull(&mock.reference(), HERE, &layout, &access(), &NoProgress).unwrap();
    assert_valid(&layout);
    let asked: Vec<Request> = mock.seen().into_iter().filter(|request| request.is("GET", "/token")).collect();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!(asked[0].target, "/token?service=mock%20registry&scope=repository:team/app:pull");
    assert_eq!(asked[0].header("authorization"), "");
}

#[test]
fn a_push_asks_for_all_that_it_needs_with_the_login() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let mock = Mock::serve(&made.path, &digest, |request| {
        guard(request, |request| match request.header("authorization") {
            // me:hush
            "Basic bWU6aHVzaA==" => granted(),
            _ => Reply::new(401, ""),
        })
    });
    let base = crate::server::reference(mock.port, "base");
    let known = access_as("me", "hush");
    push(&made.path, &Image::Only, &mock.reference(), &[base], &known, &NoProgress).unwrap();
    let asked = mock.seen().into_iter().find(|request| request.is("GET", "/token")).unwrap();
    assert!(
        asked.target.ends_with("&scope=repository:team/app:pull,push&scope=repository:base:pull&account=me"),
        "{}",
        asked.target
    );

    let wrong = access_as("me", "wrong");
    let error = pull(&mock.reference(), HERE, &folder.path.join("layout"), &wrong, &NoProgress).unwrap_err();
    assert_snapshot!(text(&error), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 401: asked with the login that was given (http://[HOST]/token)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
}

#[test]
fn an_identity_token_is_changed_for_an_access_token() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let mock = Mock::serve(&made.path, &digest, |request| {
        guard(request, |request| {
            let form = String::from_utf8(request.body.clone()).unwrap();
            let right = request.method == "POST"
                && form.contains("grant_type=refresh%5Ftoken")
                && form.contains("refresh_token=id%2Bentity")
                && form.contains("scope=repository%3Ateam%2Fapp%3Apull");
            if right { Reply::new(200, r#"{"access_token":"open"}"#) } else { Reply::new(400, form) }
        })
    });
    let credentials = Credentials::of(Login::Identity(Secret::new("id+entity")));
    let access = Access { credentials, ..access() };
    pull(&mock.reference(), HERE, &folder.path.join("layout"), &access, &NoProgress).unwrap();
}

#[test]
fn a_token_that_expires_on_the_way_is_asked_for_again() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let given: Arc<Mutex<u32>> = Arc::default();
    let mock = Mock::serve(&made.path, &digest, move |request| {
        let mut given = given.lock().unwrap();
        let current = format!("Bearer token-{given}");
        if request.target.starts_with("/token") {
            *given += 1;
            return Some(Reply::new(200, format!(r#"{{"token":"token-{given}"}}"#)));
        }
        // The token of the manifest is no good for blobs any more.
        let expired = request.target.contains("/blobs/") && *given < 2;
        if request.header("authorization") == current && !expired {
            return None;
        }
        let realm = format!(r#"Bearer realm="http://127.0.0.1:{}/token""#, request.port);
        Some(Reply::new(401, "").with("www-authenticate", realm))
    });
    pull(&mock.reference(), HERE, &folder.path.join("layout"), &access(), &NoProgress).unwrap();
    assert_eq!(mock.count("GET", "/token"), 2);
}

#[test]
fn a_token_that_opens_nothing_and_token_servers_that_give_none_are_told() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let error = |tokens: fn(&Request) -> Reply| {
        let mock = Mock::serve(&made.path, &digest, move |request| guard(request, tokens));
        let layout = folder.path.join("layout");
        text(&pull(&mock.reference(), HERE, &layout, &access(), &NoProgress).unwrap_err())
    };
    assert_snapshot!(error(|_| Reply::new(200, r#"{"token":"other"}"#)), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 401: UNAUTHORIZED: who?: asked anonymously: there is no file of logins (http://[HOST]/v2/team/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
    assert_snapshot!(error(|_| Reply::new(200, "hush")), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: cannot log in to [HOST]: the answer of its token server is not JSON with a token (http://[HOST]/token)");
    assert_snapshot!(error(|_| Reply::new(200, "{}")), @"Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: cannot log in to [HOST]: the answer of its token server holds no token (http://[HOST]/token)");
    assert_snapshot!(error(|_| Reply::new(403, r#"{"errors":[{"code":"DENIED","message":"not you"}]}"#)), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 403: DENIED: not you: asked anonymously: there is no file of logins (http://[HOST]/token)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    hint: see that this login may use the repository, and that the repository's name is right
    "#);
    assert_snapshot!(error(|_| Reply::new(503, "")), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry answered with status 503: gave up after 4 attempts (http://[HOST]/token)
    hint: try again later; what has been moved so far is not moved again
    "#);
}

#[test]
fn other_hosts_never_see_the_login() {
    let folder = Folder::new();
    let (made, digest) = sample(folder.path.join("made"));
    let store = Mock::serve(&made.path, &digest, |_| None);
    let port = store.port;
    let mock = Mock::serve(&made.path, &digest, move |request| {
        if request.header("authorization").is_empty() {
            return Some(Reply::new(401, "").with("www-authenticate", "Basic realm=\"mock\""));
        }
        let away = request.target.contains("/blobs/");
        away.then(|| {
            Reply::new(307, "")
                .with("location", format!("http://127.0.0.1:{port}{}?signed=1", request.target))
        })
    });
    pull(&mock.reference(), HERE, &folder.path.join("layout"), &access_as("me", "hush"), &NoProgress)
        .unwrap();
    assert!(mock.seen().iter().any(|request| !request.header("authorization").is_empty()));
    let fetched = store.seen();
    assert!(fetched.len() >= 4 && fetched.iter().all(|request| request.header("authorization").is_empty()));
}
