//! Which Python and which machine a function runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A minor version of Python, for example 3.12; written as that text in JSON and TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PythonVersion {
    /// Always 3 for what we support.
    pub major: u8,
    /// 9 for Python 3.9.
    pub minor: u8,
}

impl PythonVersion {
    /// The oldest version that glowplug supports.
    pub const OLDEST: Self = Self { major: 3, minor: 9 };

    /// Makes a version from its two numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// The tag in the names of bytecode files, for example `cpython-312`.
    pub fn cache_tag(self) -> String {
        format!("cpython-{}{}", self.major, self.minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for PythonVersion {
    type Err = Error;

    /// Accepts `3.12`, `3.12.1`, `python3.12` (the Lambda runtime's name).
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("`{text}` is not a Python version"))
                .hint("write the minor version, for example `python = \"3.12\"`")
        };
        let digits = text.trim().trim_start_matches("python");
        let mut parts = digits.split('.');
        let major = parts.next().and_then(|p| p.parse().ok()).ok_or_else(bad)?;
        let minor = parts.next().and_then(|p| p.parse().ok()).ok_or_else(bad)?;
        Ok(Self { major, minor })
    }
}

impl TryFrom<String> for PythonVersion {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PythonVersion> for String {
    fn from(version: PythonVersion) -> Self {
        version.to_string()
    }
}

/// Lambda's two machine types, spelt as Lambda spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM (Graviton).
    Arm64,
}

impl Architecture {
    /// The machine that this process runs on; `None` where Lambda has no such machine.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The platform as images name it: Go's words for Linux on this machine.
    pub fn platform(self) -> &'static str {
        match self {
            Self::X86_64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

impl FromStr for Architecture {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(Error::input(format!("`{text}` is not an architecture of Lambda"))
                .hint("use `x86_64` or `arm64`")),
        }
    }
}

/// The C library of the system that a function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// Lambda's own, and that of most distributions.
    #[default]
    Glibc,
    /// That of Alpine Linux: for container images alone.
    Musl,
}

impl Libc {
    /// That of this machine: it has musl's loader and not glibc's.
    pub fn host() -> Self {
        let there = |path: &str| std::path::Path::new(path).exists();
        let machine = std::env::consts::ARCH;
        let glibc = there("/lib64/ld-linux-x86-64.so.2") || there("/lib/ld-linux-aarch64.so.1");
        if !glibc && there(&format!("/lib/ld-musl-{machine}.so.1")) { Self::Musl } else { Self::Glibc }
    }

    /// As it is written at the end of an extension module's tag, for example `x86_64-linux-gnu`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Glibc => "gnu",
            Self::Musl => "musl",
        }
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

impl FromStr for Libc {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "glibc" => Ok(Self::Glibc),
            "musl" => Ok(Self::Musl),
            _ => Err(Error::input(format!("`{text}` is not a C library"))
                .hint("use `glibc`, or `musl` for images on Alpine Linux")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        for text in ["3.12", "3.12.1", "python3.12"] {
            assert_eq!(text.parse::<PythonVersion>().unwrap(), PythonVersion::new(3, 12));
        }
        assert!("three".parse::<PythonVersion>().is_err());
        assert!(PythonVersion::new(3, 9) < PythonVersion::new(3, 10));
    }
}
