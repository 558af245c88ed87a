//! Settings that AWS's runtime interface emulator reads from its environment, and that stand above a configuration.
//!
//! Names, and that an empty one is none, as in its source (`cmd/aws-lambda-rie/handlers.go`).

use std::str::FromStr;

use glowplug_core::{Error, Result};

pub(crate) const NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
pub(crate) const HANDLER: &str = "AWS_LAMBDA_FUNCTION_HANDLER";
pub(crate) const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
pub(crate) const TIMEOUT: &str = "AWS_LAMBDA_FUNCTION_TIMEOUT";

const VERSION: &str = "AWS_LAMBDA_FUNCTION_VERSION";

/// Another name of [`HANDLER`], where that is not set.
const OTHER_HANDLER: &str = "_HANDLER";

/// What was set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Emulated {
    /// The function's name.
    pub name: Option<String>,
    /// What it is told of its version.
    pub version: Option<String>,
    pub(crate) handler: Option<String>,
    /// MB.
    pub memory_mb: Option<u32>,
    /// Seconds.
    pub timeout_s: Option<u32>,
}

impl Emulated {
    /// Reads the variables.
    ///
    /// # Errors
    /// Usage: one that is a number is none.
    pub fn new(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        Ok(Self {
            name: filled(NAME),
            version: filled(VERSION),
            handler: filled(HANDLER).or_else(|| filled(OTHER_HANDLER)),
            memory_mb: filled(MEMORY).map(|text| number(MEMORY, &text)).transpose()?,
            timeout_s: filled(TIMEOUT).map(|text| number(TIMEOUT, &text)).transpose()?,
        })
    }
}

fn number(name: &str, text: &str) -> Result<u32> {
    u32::from_str(text).map_err(|error| {
        Error::usage(format!("`{text}` is no number"))
            .cause(error)
            .place(name)
            .hint("set the variable to a whole number, or unset it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_the_emulator_reads_them() {
        let of = |pairs: &'static [(&str, &str)]| {
            Emulated::new(&move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[(NAME, ""), (TIMEOUT, "")]).unwrap(), Emulated::default());
        assert_eq!(of(&[("_HANDLER", "a.b")]).unwrap().handler.as_deref(), Some("a.b"));
        let all = of(&[(NAME, "f"), (HANDLER, "c.d"), ("_HANDLER", "a.b"), (MEMORY, "256"), (TIMEOUT, "7")])
            .unwrap();
        assert_eq!((all.name.as_deref(), all.handler.as_deref()), (Some("f"), Some("c.d")));
        assert_eq!((all.memory_mb, all.timeout_s), (Some(256), Some(7)));
        assert_eq!(of(&[(VERSION, "7")]).unwrap().version.as_deref(), Some("7"));
        assert!(of(&[(TIMEOUT, "3s")]).is_err());
    }
}
