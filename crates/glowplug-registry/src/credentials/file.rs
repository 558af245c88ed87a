//! `config.json` of docker and `auth.json` of podman and skopeo: `auths`, `credHelpers`, `credsStore`.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use serde::Deserialize;

use super::helper::Question;
use super::{Login, Secret};
use crate::Reference;

/// What docker writes for its own registry instead of the host's name.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// The parts of a file that concern logins.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Logins {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Reads a file; `None` where there is none.
///
/// # Errors
/// Surroundings: it cannot be read. Input: it is not such a file. The error never quotes it.
pub(super) fn read(path: &Utf8Path) -> Result<Option<Logins>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => {
            return Err(Error::surroundings("cannot read the logins for registries")
                .cause(error)
                .hint("set REGISTRY_AUTH_FILE to the file that has them"));
        }
    };
    let wrong = |place: String, cause: &str| {
        Error::input("the file of logins for registries cannot be understood").place(place).cause(cause).hint(
            "log in anew with `docker login`, `podman login` or `skopeo login`, which write such a file",
        )
    };
    if text.trim().is_empty() {
        return Ok(Some(Logins::default()));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| {
        // The error's own text would quote what it found, which may be the secret.
        let cause = if error.is_data() { "a member is of the wrong type" } else { "it is not JSON" };
        wrong(format!("{path}:{}:{}", error.line(), error.column()), cause)
    })
}

impl Logins {
    /// The login for a reference, and where it is from.
    pub(super) fn find(
        &self,
        reference: &Reference,
        path: &Utf8Path,
        progress: &dyn Progress,
    ) -> Result<Option<(Login, String)>> {
        let registry = reference.registry();
        let server = if registry == "docker.io" { DOCKER_KEY } else { registry };
        let own = self
            .cred_helpers
            .as_ref()
            .and_then(|helpers| hosts(registry).iter().find_map(|host| helpers.get(host.as_str())));
        if let Some(program) = own.or(self.creds_store.as_ref()).filter(|program| !program.is_empty())
            && let Some(login) = Question::new(program, server, path).ask(progress)?
        {
            return Ok(Some((login, format!("docker-credential-{program}, which {path} names"))));
        }
        let Some(entry) = self.entry(reference) else { return Ok(None) };
        let login = entry.login().map_err(|cause| {
            Error::input(format!("the login for {registry} cannot be understood"))
                .place(path.as_str())
                .cause(cause)
                .hint(format!("log in anew: `docker login {registry}`"))
        })?;
        Ok(login.map(|login| (login, path.to_string())))
    }

    /// The entry of the longest key that the reference is below: `auth.json` may have one for each repository.
    fn entry(&self, reference: &Reference) -> Option<Entry> {
        let auths = self.auths.as_ref()?;
        let repository = reference.repository();
        let ends = repository.match_indices('/').map(|(at, _)| at).chain([repository.len()]);
        let mut scopes: Vec<&str> = ends.map(|end| &repository[..end]).collect();
        scopes.reverse();
        let registry = reference.registry();
        for host in hosts(registry) {
            let exact = scopes.iter().find_map(|scope| auths.get(&format!("{host}/{scope}")));
            if let Some(entry) = exact.or_else(|| auths.get(&host)) {
                return entry.clone();
            }
        }
        // Old keys are URLs.
        let same = |key: &str| {
            let bare = key.trim_start_matches("https://").trim_start_matches("http://");
            bare != key && hosts(registry).iter().any(|host| bare.split('/').next() == Some(host))
        };
        auths.iter().find(|(key, _)| same(key)).and_then(|(_, entry)| entry.clone())
    }
}

/// The names of a registry's host in such files.
fn hosts(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => {
            ["docker.io", "index.docker.io", "registry-1.docker.io", DOCKER_KEY].map(str::to_owned).to_vec()
        }
        other => vec![other.to_owned()],
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Login::Bearer(Secret::new(token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::Identity(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "`auth` is not UTF-8")?;
            let (user, secret) = text.split_once(':').ok_or("`auth` has no colon")?;
            // Docker pads the password with zeros.
            return Ok(Some(Login::Password {
                user: user.to_owned(),
                secret: Secret::new(secret.trim_end_matches('\0')),
            }));
        }
        Ok(match (given(&self.username), given(&self.password)) {
            (Some(user), Some(secret)) => Some(Login::Password { user, secret: Secret::new(secret) }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use glowplug_core::NoProgress;

    use super::*;

    fn user(file: &str, reference: &str) -> Option<String> {
        let logins: Logins = serde_json::from_str(file).unwrap();
        let found = logins.find(&reference.parse().unwrap(), Utf8Path::new("f"), &NoProgress).unwrap();
        found.map(|(login, _)| match login {
            Login::Password { user, secret } => format!("{user}:{}", secret.reveal()),
            Login::Identity(token) => format!("identity {}", token.reveal()),
            Login::Bearer(token) => format!("bearer {}", token.reveal()),
        })
    }

    #[test]
    fn the_nearest_entry_wins() {
        let file = r#"{"auths": {
            "host.example": {"auth": "YTph"},
            "host.example/team": {"auth": "YjpiOmI="},
            "host.example/team/app": {"username": "c", "password": "c"},
            "https://index.docker.io/v1/": {"identitytoken": "t"},
            "https://old.example/v2/": {"registrytoken": "r"},
            "empty.example": {}, "null.example": null}}"#;
        assert_eq!(user(file, "host.example/other").as_deref(), Some("a:a"));
        assert_eq!(user(file, "host.example/team/x/y").as_deref(), Some("b:b:b"));
        assert_eq!(user(file, "host.example/team/app").as_deref(), Some("c:c"));
        assert_eq!(user(file, "host.example/teams").as_deref(), Some("a:a"));
        assert_eq!(user(file, "python").as_deref(), Some("identity t"));
        assert_eq!(user(file, "old.example/a").as_deref(), Some("bearer r"));
        for none in ["empty.example/a", "null.example/a", "host.example:5000/a", "example/a.b"] {
            assert_ne!(user(file, none), Some("a:a".to_owned()), "{none}");
        }
        assert_eq!(user(file, "host.example:5000/a"), None);
    }

    #[test]
    fn errors_do_not_quote_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("config.json");
        for text in [r#"{"auths": {"h": {"auth": "hush""#, r#"{"auths": "hush"}"#, "hush"] {
            fs::write(&path, text).unwrap();
            let error = read(&path).err().unwrap();
            assert!(error.where_().unwrap().starts_with(path.as_str()), "{error:?}");
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        for text in
            [r#"{"auths": {"h.x": {"auth": "hush!"}}}"#, r#"{"auths": {"h.x": {"auth": "aHVzaA=="}}}"#]
        {
            let logins: Logins = serde_json::from_str(text).unwrap();
            let error = logins.find(&"h.x/a".parse().unwrap(), &path, &NoProgress).err().unwrap();
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        fs::write(&path, "").unwrap();
        assert!(read(&path).unwrap().is_some());
        assert!(read(&path.join("below")).unwrap().is_none());
    }
}
