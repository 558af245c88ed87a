//! Which of an index's images are wanted.

use std::fmt;

use glowplug_core::{Architecture, Error, Result};
use serde::Deserialize;

use crate::manifest::Descriptor;

/// Which platforms of an image to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platforms {
    /// Linux on this architecture: the index is resolved to one image.
    One(Architecture),
    /// All there are: the index is kept with everything below it.
    All,
}

/// A platform as indexes and configurations write it, in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// How well an image for this platform runs on Linux on that architecture; `None` where it does not. The plain
    /// variant is right for every machine; those that ask for more come after it.
    fn fits(&self, wanted: Architecture) -> Option<u8> {
        if !self.os.is_empty() && self.os != "linux" {
            return None;
        }
        let variant = self.variant.as_deref().unwrap_or_default();
        match (wanted, self.architecture.as_str(), variant) {
            (Architecture::X86_64, "amd64", "" | "v1") | (Architecture::Arm64, "arm64", "" | "v8") => Some(0),
            (Architecture::X86_64, "amd64", _) | (Architecture::Arm64, "arm64", _) => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or =
            |text: &str| if text.is_empty() { "?".to_owned() } else { crate::faults::readable(text, 30) };
        write!(f, "{}/{}", or(&self.os), or(&self.architecture))?;
        match self.variant.as_deref().filter(|variant| !variant.is_empty()) {
            Some(variant) => write!(f, "/{}", or(variant)),
            None => Ok(()),
        }
    }
}

/// The entry of an index for Linux on an architecture. Of several that fit equally the first is taken, as docker does.
///
/// # Errors
/// Input: there is none; the error lists those there are.
pub(crate) fn select<'a>(
    entries: &'a [Descriptor],
    wanted: Architecture,
    image: &str,
) -> Result<&'a Descriptor> {
    let fitting = entries.iter().filter_map(|entry| {
        let rank = entry.platform.as_ref()?.fits(wanted)?;
        Some((rank, entry))
    });
    if let Some((_, entry)) = fitting.min_by_key(|(rank, _)| *rank) {
        return Ok(entry);
    }
    // An index of one image that says nothing of its platform: the image's configuration does.
    if let [only] = entries
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let mut there: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        // Attestations stand beside the images they are about.
        .filter(|platform| platform.os != "unknown")
        .map(ToString::to_string)
        .collect();
    there.dedup();
    Err(missing(image, wanted, &there))
}

/// Refuses an image whose configuration names another platform.
///
/// # Errors
/// Input: it does.
pub(crate) fn check(configuration: &[u8], wanted: Architecture, image: &str) -> Result<()> {
    // Artifacts have configurations of other kinds.
    let Ok(platform) = serde_json::from_slice::<Platform>(configuration) else { return Ok(()) };
    if platform.architecture.is_empty() || platform.fits(wanted).is_some() {
        return Ok(());
    }
    Err(missing(image, wanted, &[platform.to_string()]))
}

fn missing(image: &str, wanted: Architecture, there: &[String]) -> Error {
    let error = Error::input(format!("{image} is not there for Linux on {wanted}"));
    match there {
        [] => error.cause("its index names no platform"),
        there => error
            .cause(format!("it is there for {}", there.join(", ")))
            .hint("choose another image or another architecture"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(platforms: &[&str]) -> Vec<Descriptor> {
        let entry = |text: &&str| {
            let mut parts = text.split('/').map(str::to_owned);
            Descriptor {
                platform: (!text.is_empty()).then(|| Platform {
                    os: parts.next().unwrap_or_default(),
                    architecture: parts.next().unwrap_or_default(),
                    variant: parts.next(),
                }),
                ..Descriptor::example(text.as_bytes())
            }
        };
        platforms.iter().map(entry).collect()
    }

    fn chosen(platforms: &[&str], wanted: Architecture) -> String {
        let entries = entries(platforms);
        match select(&entries, wanted, "app") {
            Ok(entry) => entry.platform.as_ref().map_or("-".to_owned(), ToString::to_string),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_plainest_image_of_the_architecture_is_taken() {
        let all = ["windows/amd64", "linux/amd64/v3", "linux/amd64", "unknown/unknown", "linux/arm64/v8"];
        assert_eq!(chosen(&all, Architecture::X86_64), "linux/amd64");
        assert_eq!(chosen(&all, Architecture::Arm64), "linux/arm64/v8");
        assert_eq!(chosen(&["linux/amd64/v2"], Architecture::X86_64), "linux/amd64/v2");
        assert_eq!(chosen(&[""], Architecture::X86_64), "-");
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        assert_eq!(
            chosen(&["linux/amd64", "unknown/unknown", "linux/arm/v7"], Architecture::Arm64),
            "app is not there for Linux on arm64: it is there for linux/amd64, linux/arm/v7"
        );
        assert_eq!(
            chosen(&[], Architecture::Arm64),
            "app is not there for Linux on arm64: its index names no platform"
        );
        let error =
            check(br#"{"os":"linux","architecture":"s390x"}"#, Architecture::Arm64, "app").unwrap_err();
        assert!(error.to_string().ends_with("it is there for linux/s390x"), "{error}");
        assert!(check(b"{}", Architecture::Arm64, "app").is_ok());
        assert!(check(b"[1]", Architecture::Arm64, "app").is_ok());
    }
}
