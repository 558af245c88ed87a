//! `docker-registry` from Debian on a port of its own, and skopeo.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::Error;
use glowplug_registry::{Access, Credentials, Login, Patience, Reference, Secret};

use crate::layouts::Folder;

/// A login that [`Server::with_login`] takes, and the line for it in a file of `htpasswd` (bcrypt with four rounds).
pub(crate) const USER: &str = "reader";
pub(crate) const PASSWORD: &str = "s3cret-word";
const PASSWORDS: &str = "reader:$2b$04$M6VQP8Cb0ktBqGgQwWKqh.Rp1kvaA3bXjrPGt89ORmUGCBPEcmr1S\n";

/// A registry that ends with the test.
pub(crate) struct Server {
    child: Child,
    pub folder: Folder,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether these programs are here; says which are not.
pub(crate) fn have(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let here =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if here.is_err() {
            println!("not covered here: no {program}");
        }
        here.is_ok()
    })
}

impl Server {
    /// `None` where there is no such program.
    pub(crate) fn start() -> Option<Self> {
        Self::with(|_| String::new())
    }

    /// One that asks for [`USER`] and [`PASSWORD`].
    pub(crate) fn with_login() -> Option<Self> {
        Self::with(|folder| {
            let passwords = folder.join("passwords");
            fs::write(&passwords, PASSWORDS).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n")
        })
    }

    /// One with a certificate that it signed itself, `certificate.pem` in its folder.
    pub(crate) fn with_tls() -> Option<Self> {
        if !have(&["openssl"]) {
            return None;
        }
        Self::with(|folder| {
            let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .args(["-keyout", key.as_str(), "-out", certificate.as_str()])
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
            format!("tls: {{certificate: {certificate}, key: {key}}}")
        })
    }

    fn with(more: impl FnOnce(&Utf8Path) -> String) -> Option<Self> {
        if !have(&["docker-registry"]) {
            return None;
        }
        let folder = Folder::new();
        let root = folder.path.join("storage");
        let more = more(&folder.path);
        let (http, rest) = if more.starts_with("tls") { (more.as_str(), "") } else { ("", more.as_str()) };
        let comma = if http.is_empty() { "" } else { ", " };
        let configuration = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n\
             http: {{addr: '127.0.0.1:0', secret: test{comma}{http}}}\n{rest}"
        );
        let file = folder.path.join("config.yml");
        fs::write(&file, configuration).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", file.as_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.split("listening on 127.0.0.1:").nth(1).map(|rest| {
                rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
            });
            seen.push(line);
            port
        });
        // Whoever does not read what it says stops it in the end.
        std::thread::spawn(move || lines.for_each(drop));
        let port = port.unwrap_or_else(|| panic!("the registry did not start: {seen:#?}"));
        Some(Self { child, folder, port })
    }

    /// `127.0.0.1:PORT/NAME`.
    pub(crate) fn reference(&self, name: &str) -> Reference {
        reference(self.port, name)
    }

    /// The address as skopeo wants it.
    pub(crate) fn address(&self, name: &str) -> String {
        format!("docker://127.0.0.1:{}/{name}", self.port)
    }
}

pub(crate) fn reference(port: u16, name: &str) -> Reference {
    format!("127.0.0.1:{port}/{name}").parse().unwrap()
}

/// Anonymous, with waits that tests can afford.
pub(crate) fn access() -> Access {
    Access {
        patience: Patience {
            attempts: 4,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_secs(2),
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            answer: Duration::from_secs(20),
        },
        ..Access::default()
    }
}

/// With a password.
pub(crate) fn access_as(user: &str, password: &str) -> Access {
    let login = Login::Password { user: user.to_owned(), secret: Secret::new(password) };
    Access { credentials: Credentials::of(login), ..access() }
}

/// Runs skopeo and gives what it prints.
pub(crate) fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An error as a person reads it, with what differs between runs left out.
pub(crate) fn text(error: &Error) -> String {
    let mut lines = vec![format!("{:?}: {error}", error.class())];
    lines.extend(error.hints().iter().map(|hint| format!("hint: {hint}")));
    let mut text = lines.join("\n");
    for (pattern, short) in [
        ("sha256[:-]([0-9a-f]{64})", "[DIGEST]"),
        ("127.0.0.1:[0-9]+", "[HOST]"),
        ("/tmp/[^/ ,]+", "[FOLDER]"),
    ] {
        text = replace(&text, pattern, short);
    }
    text
}

fn replace(text: &str, pattern: &str, by: &str) -> String {
    regex::Regex::new(pattern).unwrap().replace_all(text, by).into_owned()
}
