//! Who asks a registry: looked up for each registry where docker, podman and skopeo keep logins.
//!
//! The files, the first that knows the registry wins: `REGISTRY_AUTH_FILE` alone where it is set; else
//! `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`, and `config.json` in `DOCKER_CONFIG` or
//! `~/.docker`.

mod file;
mod helper;

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Progress, Result};

use crate::Reference;

/// What must never be printed: its debug form hides it, and there is no other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a header.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One way to prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password, or a token in its place.
        secret: Secret,
    },
    /// An identity token: a token server gives access tokens for it.
    Identity(Secret),
    /// A token that the registry itself takes.
    Bearer(Secret),
}

/// Where logins come from.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    fixed: Option<Login>,
    files: Vec<Utf8PathBuf>,
}

/// What a look-up found, and where it looked: for the hint of a refusal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The login, if any file knows the registry.
    pub login: Option<Login>,
    /// Where the login is from, for people.
    pub source: Option<String>,
    /// The files that were read.
    pub read: Vec<Utf8PathBuf>,
}

impl Credentials {
    /// Nobody: registries are asked anonymously.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// This login, whatever the registry.
    pub fn of(login: Login) -> Self {
        Self { fixed: Some(login), files: Vec::new() }
    }

    /// What these files know, in the format of docker's `config.json` or of `auth.json`. Those that do not exist are
    /// passed over.
    pub fn from_files(files: Vec<Utf8PathBuf>) -> Self {
        Self { fixed: None, files }
    }

    /// The files of docker, podman and skopeo, by the variables that these read.
    pub fn from_environment() -> Self {
        Self::from_variables(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self::from_files(vec![file.into()]);
        }
        let home = variable("HOME").map(Utf8PathBuf::from);
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let configuration =
            variable("XDG_CONFIG_HOME").map(Utf8PathBuf::from).or_else(|| below_home(".config"));
        let docker = variable("DOCKER_CONFIG").map(Utf8PathBuf::from).or_else(|| below_home(".docker"));
        let files = [
            variable("XDG_RUNTIME_DIR").map(|folder| Utf8Path::new(&folder).join("containers/auth.json")),
            configuration.map(|folder| folder.join("containers/auth.json")),
            docker.map(|folder| folder.join("config.json")),
        ];
        Self::from_files(files.into_iter().flatten().collect())
    }

    /// The login for a reference.
    ///
    /// # Errors
    /// Input: a file is not what it should be. Surroundings: it cannot be read, a helper program fails.
    pub(crate) fn find(&self, reference: &Reference, progress: &dyn Progress) -> Result<Found> {
        let mut found = Found::default();
        if let Some(login) = &self.fixed {
            found.login = Some(login.clone());
            return Ok(found);
        }
        for path in &self.files {
            let Some(logins) = file::read(path)? else { continue };
            found.read.push(path.clone());
            if let Some((login, source)) = logins.find(reference, path, progress)? {
                found.login = Some(login);
                found.source = Some(source);
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(variables: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        Credentials::from_variables(&value).files.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn variables_say_which_files_are_asked_in_which_order() {
        assert_eq!(files(&[("REGISTRY_AUTH_FILE", "/a.json"), ("HOME", "/h")]), ["/a.json"]);
        assert_eq!(
            files(&[("XDG_RUNTIME_DIR", "/run/1"), ("HOME", "/h")]),
            ["/run/1/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        assert_eq!(files(&[("DOCKER_CONFIG", "/d")]), ["/d/config.json"]);
        assert!(files(&[]).is_empty());
    }

    #[test]
    fn secrets_are_not_in_debug_forms() {
        let credentials = Credentials::of(Login::Password { user: "me".into(), secret: Secret::new("hush") });
        let text = format!("{credentials:?}");
        assert!(text.contains("me") && !text.contains("hush"), "{text}");
    }
}
