//! What the standard variables of OpenTelemetry say; whoever calls reads them.

use glowplug_core::{Error, Result};

/// How spans are written for a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `http/protobuf`, which every collector takes.
    #[default]
    Protobuf,
    /// `http/json`.
    Json,
}

/// How OTLP is sent, and what is said of who sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Otlp {
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`; a file's name decides for itself.
    pub encoding: Encoding,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: names and values.
    pub headers: Vec<(String, String)>,
    /// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`: they replace ours of the same names.
    pub resource: Vec<(String, String)>,
}

impl Otlp {
    /// Reads the variables through `lookup`. Those for traces alone (`OTEL_EXPORTER_OTLP_TRACES_…`) come first, and
    /// empty ones count as not there.
    ///
    /// # Errors
    /// Usage: a variable that is not well-formed, and gRPC.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let value = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let exporter = |end: &str| {
            ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].iter().find_map(|start| {
                let name = format!("{start}{end}");
                value(&name).map(|found| (name, found))
            })
        };
        let encoding = match exporter("PROTOCOL") {
            None => Encoding::Protobuf,
            Some((name, protocol)) => match protocol.trim() {
                "http/protobuf" => Encoding::Protobuf,
                "http/json" => Encoding::Json,
                _ => {
                    return Err(Error::usage(format!("glowplug does not speak `{protocol}`"))
                        .place(name)
                        .hint("set it to `http/protobuf` or `http/json`"));
                }
            },
        };
        let headers = exporter("HEADERS").map_or(Ok(Vec::new()), |(name, text)| pairs(&name, &text))?;
        let mut resource = Vec::new();
        if let Some(text) = value("OTEL_RESOURCE_ATTRIBUTES") {
            resource = pairs("OTEL_RESOURCE_ATTRIBUTES", &text)?;
        }
        if let Some(service) = value("OTEL_SERVICE_NAME") {
            resource.retain(|(name, _)| name != "service.name");
            resource.push(("service.name".to_owned(), service));
        }
        Ok(Self { encoding, headers, resource })
    }
}

/// `a=b,c=d`, values percent-encoded as in W3C baggage.
fn pairs(variable: &str, text: &str) -> Result<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let pair = entry.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            let decoded = pair
                .filter(|(name, _)| !name.is_empty())
                .and_then(|(name, value)| Some((name.to_owned(), decode(value)?)));
            // Headers hold secrets: the entry is not repeated.
            decoded.ok_or_else(|| {
                Error::usage("cannot read a variable")
                    .place(variable)
                    .cause("an entry is not `name=value`, the value percent-encoded")
                    .hint("for example `api-key=1234,tenant=a%20b`")
            })
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(others.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Otlp> {
        Otlp::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn variables_for_traces_come_first_and_empty_ones_do_not_count() {
        assert_eq!(read(&[]).unwrap(), Otlp::default());
        let read_all = read(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%3D, tenant = 1 ,"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", " "),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a"),
            ("OTEL_SERVICE_NAME", "report"),
        ])
        .unwrap();
        assert_eq!(read_all.encoding, Encoding::Json);
        assert_eq!(read_all.headers, [pair("api-key", "a b="), pair("tenant", "1")]);
        assert_eq!(read_all.resource, [pair("team", "a"), pair("service.name", "report")]);
        let traces = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ];
        assert_eq!(read(&traces).unwrap().encoding, Encoding::Protobuf);
    }

    #[test]
    fn a_malformed_variable_is_named_and_its_secret_is_not() {
        for value in ["api-key", "=secret", "a=%zz", "a=%f", "a=%ff"] {
            let error = read(&[("OTEL_EXPORTER_OTLP_HEADERS", value)]).unwrap_err().to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("secret"), "{error}");
        }
        let error = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(error.hints()[0].contains("http/protobuf"));
    }
}
