//! Lambda's API as `serve` speaks it, asked directly, and through a gate that refuses what a test wants refused.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// Whether a request goes on; otherwise its status, error type and message.
pub(crate) type Verdict = Option<(u16, &'static str, &'static str)>;

/// That of a user who lacks a permission.
pub(crate) const DENIED: Verdict =
    Some((403, "AccessDeniedException", "User: me is not authorized to perform this"));

/// Where requests pass on their way to a service, by method and path.
pub(crate) struct Gate {
    pub(crate) url: String,
}

impl Gate {
    pub(crate) fn start(
        address: &str,
        decide: impl Fn(&str, &str) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (address, decide) = (address.to_owned(), Arc::new(decide));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (address, decide) = (address.clone(), Arc::clone(&decide));
                // Who hangs up in the middle was killed, or is gone.
                std::thread::spawn(move || pass(stream, &address, &*decide).unwrap_or_default());
            }
        });
        Self { url }
    }
}

/// One request of a connection, which is closed after it.
fn pass(mut client: TcpStream, address: &str, decide: &dyn Fn(&str, &str) -> Verdict) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    let (head, wanted) = loop {
        let read = client.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&bytes[..read]);
        let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..at]).into_owned();
        break (head.clone(), at + 4 + content_length(&head));
    };
    while seen.len() < wanted {
        let read = client.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&bytes[..read]);
    }
    let body = &seen[head.len() + 4..];
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if let Some((status, kind, message)) = decide(method, path) {
        let body = json!({"Type": "User", "message": message, "Message": message}).to_string();
        return write!(
            client,
            "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nx-amzn-ErrorType: {kind}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    let mut service = TcpStream::connect(address)?;
    let mut lines = head.split("\r\n");
    write!(service, "{}\r\nConnection: close\r\n", lines.next().unwrap_or_default())?;
    for line in lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:")) {
        write!(service, "{line}\r\n")?;
    }
    service.write_all(b"\r\n")?;
    service.write_all(body)?;
    std::io::copy(&mut service, &mut client).map(|_| ())
}

fn content_length(head: &str) -> usize {
    let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default()
}

/// Lambda's API at an address, without its SDK.
pub(crate) struct Api<'a>(pub(crate) &'a str);

impl Api<'_> {
    /// A request about the function `demo`, and the JSON that answers it.
    pub(crate) fn ask(&self, method: &str, end: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(self.0).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {end} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {end}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }

    pub(crate) fn configuration(&self) -> Value {
        self.ask("GET", "/2015-03-31/functions/demo/configuration", &Value::Null)
    }

    /// Publishes a version, and points the alias `live` at it.
    pub(crate) fn publish_live(&self) {
        let version = self.ask("POST", "/2015-03-31/functions/demo/versions", &json!({}));
        let alias = json!({"Name": "live", "FunctionVersion": version["Version"]});
        self.ask("POST", "/2015-03-31/functions/demo/aliases", &alias);
    }

    /// Names of the published versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let shown = self.ask("GET", "/2015-03-31/functions/demo/versions", &Value::Null);
        let names = shown["Versions"].as_array().unwrap().iter().filter_map(|one| one["Version"].as_str());
        names.filter(|name| *name != "$LATEST").map(str::to_owned).collect()
    }

    /// Whether `$LATEST` bears the mark of a tuning.
    pub(crate) fn is_marked(&self) -> bool {
        self.configuration()["Environment"]["Variables"]["GLOWPLUG_TUNE"].is_string()
    }

    /// All that a tuning may not change: what is set, versions and aliases.
    pub(crate) fn seen(&self) -> Value {
        let mut shown = self.configuration();
        for changes in ["RevisionId", "LastModified"] {
            shown.as_object_mut().unwrap().remove(changes);
        }
        let mut aliases = self.ask("GET", "/2015-03-31/functions/demo/aliases", &Value::Null);
        json!({"function": shown, "versions": self.versions(), "aliases": aliases["Aliases"].take()})
    }
}
