//! Logins with a password, against a real registry.

use fs_err as fs;
use glowplug_core::{Architecture, NoProgress, Result};
use glowplug_registry::{Access, Credentials, Image, Platforms, Pulled, pull, push};
use insta::assert_snapshot;

use crate::layouts::{Folder, sample};
use crate::server::{PASSWORD, Server, USER, access, access_as, text};

fn fetch(server: &Server, folder: &Folder, access: &Access) -> Result<Pulled> {
    let layout = folder.path.join("layout");
    pull(&server.reference("app:1"), Platforms::One(Architecture::X86_64), &layout, access, &NoProgress)
}

#[test]
fn the_right_login_opens_and_others_are_told_where_they_came_from() {
    let Some(server) = Server::with_login() else { return };
    let folder = Folder::new();
    let (made, _) = sample(folder.path.join("made"));
    let known = access_as(USER, PASSWORD);
    push(&made.path, &Image::Only, &server.reference("app:1"), &[], &known, &NoProgress).unwrap();
    fetch(&server, &folder, &known).unwrap();

    let error = |access: &Access| text(&fetch(&server, &folder, access).unwrap_err());
    assert_snapshot!(error(&access()), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: the registry answered with status 401: UNAUTHORIZED: authentication required: asked anonymously: there is no file of logins (http://[HOST]/v2/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
    assert_snapshot!(error(&access_as(USER, "wrong-word")), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: the registry answered with status 401: UNAUTHORIZED: authentication required: asked with the login that was given (http://[HOST]/v2/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
    let empty = folder.path.join("config.json");
    fs::write(&empty, "{}").unwrap();
    let absent = folder.path.join("absent.json");
    let files = |files: Vec<_>| Access { credentials: Credentials::from_files(files), ..access() };
    assert_snapshot!(error(&files(vec![absent.clone(), empty.clone()])), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: the registry answered with status 401: UNAUTHORIZED: authentication required: asked anonymously: no login for [HOST] in [FOLDER]/config.json (http://[HOST]/v2/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
    let pushed =
        push(&made.path, &Image::Only, &server.reference("app:1"), &[], &access(), &NoProgress).unwrap_err();
    assert!(
        pushed.to_string().contains("cannot send the blob") && pushed.to_string().contains("401"),
        "{pushed}"
    );

    // `reader:wrong-word` for the registry, then the right one for the repository, as podman keeps them.
    let both = folder.path.join("auth.json");
    let (wrong, right) = ("cmVhZGVyOndyb25nLXdvcmQ=", "cmVhZGVyOnMzY3JldC13b3Jk");
    let host = format!("127.0.0.1:{}", server.port);
    fs::write(&both, format!(r#"{{"auths":{{"{host}":{{"auth":"{wrong}"}}}}}}"#)).unwrap();
    let refused = error(&files(vec![both.clone()]));
    assert!(!refused.contains("wrong-word") && !refused.contains(wrong), "{refused}");
    assert_snapshot!(refused, @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/app:1: the registry answered with status 401: UNAUTHORIZED: authentication required: asked with the login from [FOLDER]/auth.json (http://[HOST]/v2/app/manifests/1)
    hint: log in: `docker login [HOST]` or `skopeo login [HOST]`
    "#);
    fs::write(
        &both,
        format!(r#"{{"auths":{{"{host}":{{"auth":"{wrong}"}},"{host}/app":{{"auth":"{right}"}}}}}}"#),
    )
    .unwrap();
    fetch(&server, &folder, &files(vec![absent, empty, both])).unwrap();
}
