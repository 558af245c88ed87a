//! What to export and where to, as a user writes it: `FORMAT=TARGET`.

use std::fmt;
use std::str::FromStr;

use camino::Utf8PathBuf;
use glowplug_core::{Error, Result};

use super::variables::Encoding;

/// A format that another tool reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenTelemetry's protocol.
    Otlp,
    /// Chrome's trace events.
    Chrome,
    /// speedscope's own.
    Speedscope,
    /// What `python -X importtime` prints.
    Importtime,
    /// AWS X-Ray's segment documents.
    Xray,
}

impl Format {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Otlp, Self::Chrome, Self::Speedscope, Self::Importtime, Self::Xray];

    /// As a user writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Chrome => "chrome",
            Self::Speedscope => "speedscope",
            Self::Importtime => "importtime",
            Self::Xray => "xray",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where an export goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(Utf8PathBuf),
    /// A collector: the whole URL that is posted to.
    Http(String),
    /// A daemon: `host:port`.
    Udp(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path.as_str()),
            Self::Http(url) => f.write_str(url),
            Self::Udp(address) => write!(f, "udp://{address}"),
        }
    }
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The format.
    pub format: Format,
    /// Where it goes; an address only where the format has one.
    pub target: Target,
}

impl Export {
    /// How a file holds OTLP: as JSON where its name says so.
    pub(crate) fn encoding(&self) -> Encoding {
        match &self.target {
            Target::File(path) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) => {
                Encoding::Json
            }
            _ => Encoding::Protobuf,
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.format, self.target)
    }
}

impl FromStr for Export {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, target)) = text.split_once('=') else {
            return Err(unknown(&format!("`{text}` is not an export: it has no `=`")));
        };
        let Some(format) = Format::ALL.into_iter().find(|format| format.name() == name) else {
            return Err(unknown(&format!("`{name}` is not a format to export to")));
        };
        Ok(Self { format, target: read_target(format, target)? })
    }
}

fn unknown(message: &str) -> Error {
    Error::usage(message)
        .hint("write FORMAT=TARGET, FORMAT being otlp, chrome, speedscope, importtime or xray: `--export chrome=trace.json`")
}

fn read_target(format: Format, text: &str) -> Result<Target> {
    let wrong = |why: &str, hint: &str| Err(Error::usage(why).place(format!("{format}={text}")).hint(hint));
    if text.is_empty() {
        return wrong("an export needs a target", "name a file: `--export chrome=trace.json`");
    }
    if text == "-" {
        return wrong("an export does not go to standard output", "name a file; `/dev/stdout` is one");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(Target::File(text.into()));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match (format, scheme.to_ascii_lowercase().as_str()) {
        (Format::Otlp, "http" | "https") if !authority.is_empty() => {
            let path = &rest[authority.len()..];
            let bare = path.is_empty() || path == "/";
            Ok(Target::Http(if bare { format!("{scheme}://{authority}/v1/traces") } else { text.to_owned() }))
        }
        (Format::Xray, "udp")
            if rest.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            }) =>
        {
            Ok(Target::Udp(rest.to_owned()))
        }
        (Format::Otlp, _) => wrong(
            "otlp goes to a file or to a collector",
            "for example `--export otlp=http://localhost:4318`",
        ),
        (Format::Xray, _) => {
            wrong("xray goes to a file or to a daemon", "for example `--export xray=udp://127.0.0.1:2000`")
        }
        _ => wrong(
            &format!("{format} goes to a file"),
            "only otlp (http://, https://) and xray (udp://) can be sent",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> String {
        match text.parse::<Export>() {
            Ok(Export { target: Target::File(path), .. }) => format!("file {path}"),
            Ok(Export { target: Target::Http(url), .. }) => url,
            Ok(Export { target: Target::Udp(address), .. }) => format!("udp {address}"),
            Err(error) => format!("{}: {}", error.message(), error.hints().join("; ")),
        }
    }

    #[test]
    fn targets_are_files_collectors_and_daemons() {
        assert_eq!(target("chrome=out/trace.json"), "file out/trace.json");
        assert_eq!(target("importtime=a=b"), "file a=b");
        assert_eq!(target("otlp=spans.binpb"), "file spans.binpb");
        assert_eq!(target("otlp=http://localhost:4318"), "http://localhost:4318/v1/traces");
        assert_eq!(target("otlp=https://collector/"), "https://collector/v1/traces");
        assert_eq!(target("otlp=https://collector/otlp/v1/traces"), "https://collector/otlp/v1/traces");
        assert_eq!(target("otlp=https://collector?tenant=1"), "https://collector?tenant=1");
        assert_eq!(target("xray=udp://127.0.0.1:2000"), "udp 127.0.0.1:2000");
        assert_eq!(target("xray=udp://[::1]:2000"), "udp [::1]:2000");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        let formats = "otlp, chrome, speedscope, importtime or xray";
        for text in ["zipkin=x", "trace.json", "=x", "Chrome=x"] {
            assert!(target(text).contains(formats), "{}", target(text));
        }
        assert!(target("chrome=").contains("needs a target"));
        assert!(target("chrome=-").contains("/dev/stdout"));
        assert!(target("chrome=http://x").contains("chrome goes to a file"));
        for text in ["otlp=udp://x:1", "otlp=http://", "otlp=http:///v1/traces"] {
            assert!(target(text).contains("a collector"), "{}", target(text));
        }
        for text in
            ["xray=http://x", "xray=udp://x", "xray=udp://:2000", "xray=udp://x:99999", "xray=udp://x:0"]
        {
            assert!(target(text).contains("a daemon"), "{}", target(text));
        }
    }
}
