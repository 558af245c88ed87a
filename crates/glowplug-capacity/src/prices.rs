//! The table of prices, and what invocations cost by it.

use glowplug_core::{Architecture, Error, Result};
use serde::Deserialize;

/// The table that comes with this version.
const BUILT_IN: &str = include_str!("prices.toml");

/// MB in a GB, as Lambda bills them: 1024.
const MB_PER_GB: f64 = 1024.0;

/// `/tmp` that costs nothing, in MB.
pub const FREE_EPHEMERAL_MB: u32 = 512;

/// What Lambda costs, in USD. Read from a file by [`Prices::parse`]; the built-in one is [`Prices::built_in`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The day on which the figures were read, as `2026-11-23`.
    pub dated: String,
    /// Where they were read.
    pub source: String,
    requests: Requests,
    duration: ByArchitecture<Vec<Step>>,
    ephemeral_storage: EphemeralStorage,
    provisioned: ByArchitecture<Provisioned>,
    snapstart: SnapStart,
    free: Free,
    #[serde(default)]
    region: Vec<Region>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByArchitecture<T> {
    x86_64: T,
    arm64: T,
}

impl<T> ByArchitecture<T> {
    fn of(&self, architecture: Architecture) -> &T {
        match architecture {
            Architecture::X86_64 => &self.x86_64,
            Architecture::Arm64 => &self.arm64,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requests {
    usd_per_million: f64,
}

/// One step of the monthly volume; the last one has no end.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    up_to_gb_s: Option<f64>,
    usd_per_gb_s: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct EphemeralStorage {
    usd_per_gb_s: f64,
}

/// Provisioned concurrency, for each GB and second.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// For each second that an environment is kept ready.
    pub configured_usd_per_gb_s: f64,
    /// For each second that it serves.
    pub used_usd_per_gb_s: f64,
}

/// Snapshots of managed runtimes other than Java.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapStart {
    /// For each second that a published version keeps its snapshot.
    pub cache_usd_per_gb_s: f64,
    /// For each environment that is restored, by its memory.
    pub restore_usd_per_gb: f64,
}

/// What a month has for nothing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Free {
    pub requests: f64,
    pub gb_s: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    name: String,
    duration_factor: f64,
    #[serde(rename = "source")]
    _source: String,
}

/// Where and on what a function runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub architecture: Architecture,
    /// As AWS names it; one without figures of its own costs what the base does.
    pub region: String,
    /// Size of `/tmp` in MB.
    pub ephemeral_mb: u32,
}

impl Prices {
    /// The table of this version.
    ///
    /// # Errors
    /// A defect: the table is not readable.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN, "the built-in prices")
    }

    /// Reads a table in the format of `prices.toml`.
    ///
    /// # Errors
    /// Input: it is no TOML, lacks a figure, has one that is unknown, negative or not finite, or steps that do not rise.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let wrong = |cause: String| {
            Error::input("the table of prices cannot be read").cause(cause).place(place).hint(
                "its format is described in docs/prices.md; a table replaces the built-in one as a whole",
            )
        };
        let prices: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        prices.check().map_err(wrong)?;
        Ok(prices)
    }

    fn check(&self) -> std::result::Result<(), String> {
        for (name, figure) in self.figures() {
            if !figure.is_finite() || figure < 0.0 {
                return Err(format!("`{name}` is {figure}; a price is a number from 0 on"));
            }
        }
        for (name, steps) in [("x86_64", &self.duration.x86_64), ("arm64", &self.duration.arm64)] {
            let Some((last, before)) = steps.split_last() else {
                return Err(format!("`duration.{name}` has no step"));
            };
            let ends: Vec<f64> = before.iter().filter_map(|step| step.up_to_gb_s).collect();
            if last.up_to_gb_s.is_some() || ends.len() != before.len() || !ends.is_sorted() {
                return Err(format!("the steps of `duration.{name}` have to rise, and the last has no end"));
            }
        }
        Ok(())
    }

    fn figures(&self) -> Vec<(&str, f64)> {
        let mut figures = vec![
            ("requests.usd_per_million", self.requests.usd_per_million),
            ("ephemeral_storage.usd_per_gb_s", self.ephemeral_storage.usd_per_gb_s),
            ("snapstart.cache_usd_per_gb_s", self.snapstart.cache_usd_per_gb_s),
            ("snapstart.restore_usd_per_gb", self.snapstart.restore_usd_per_gb),
            ("free.requests", self.free.requests),
            ("free.gb_s", self.free.gb_s),
        ];
        for architecture in [Architecture::X86_64, Architecture::Arm64] {
            let provisioned = self.provisioned.of(architecture);
            figures.push(("provisioned.configured_usd_per_gb_s", provisioned.configured_usd_per_gb_s));
            figures.push(("provisioned.used_usd_per_gb_s", provisioned.used_usd_per_gb_s));
            let steps = self.duration.of(architecture).iter();
            figures.extend(steps.map(|step| ("duration.usd_per_gb_s", step.usd_per_gb_s)));
        }
        figures.extend(self.region.iter().map(|region| ("region.duration_factor", region.duration_factor)));
        figures
    }

    fn factor(&self, region: &str) -> f64 {
        self.region.iter().find(|known| known.name == region).map_or(1.0, |known| known.duration_factor)
    }

    /// USD for one invocation of `billed_ms` at `memory_mb`, at the first step of the monthly volume: the request, its
    /// GB-seconds, and those of `/tmp` beyond the free part.
    pub fn invocation(&self, place: &Place, memory_mb: u32, billed_ms: f64) -> f64 {
        let seconds = billed_ms / 1000.0;
        let first = self.duration.of(place.architecture).first().map_or(0.0, |step| step.usd_per_gb_s);
        let duration = f64::from(memory_mb) / MB_PER_GB * seconds * first * self.factor(&place.region);
        let storage = f64::from(place.ephemeral_mb.saturating_sub(FREE_EPHEMERAL_MB)) / MB_PER_GB
            * seconds
            * self.ephemeral_storage.usd_per_gb_s;
        self.requests.usd_per_million / 1e6 + duration + storage
    }

    /// USD for a million invocations of which a share `cold_rate` starts cold.
    pub fn per_million(
        &self,
        place: &Place,
        memory_mb: u32,
        cold_billed_ms: f64,
        warm_billed_ms: f64,
        cold_rate: f64,
    ) -> f64 {
        let cold = self.invocation(place, memory_mb, cold_billed_ms);
        let warm = self.invocation(place, memory_mb, warm_billed_ms);
        1e6 * (cold_rate * cold + (1.0 - cold_rate) * warm)
    }

    /// USD for a month: each step of the volume at its price, with what is free taken off first if that is wanted.
    pub fn month(&self, place: &Place, requests: f64, gb_s: f64, free: bool) -> f64 {
        let (free_requests, free_gb_s) = if free { (self.free.requests, self.free.gb_s) } else { (0.0, 0.0) };
        let (mut left, mut from, mut usd) = ((gb_s - free_gb_s).max(0.0), 0.0, 0.0);
        for step in self.duration.of(place.architecture) {
            let width = step.up_to_gb_s.map_or(f64::INFINITY, |end| end - from);
            let here = left.min(width);
            usd += here * step.usd_per_gb_s * self.factor(&place.region);
            left -= here;
            from += width;
        }
        usd + (requests - free_requests).max(0.0) * self.requests.usd_per_million / 1e6
    }

    /// Provisioned concurrency on a machine.
    pub fn provisioned(&self, architecture: Architecture) -> &Provisioned {
        self.provisioned.of(architecture)
    }

    /// Snapshots.
    pub fn snapstart(&self) -> &SnapStart {
        &self.snapstart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Place {
        Place { architecture: Architecture::X86_64, region: "us-east-1".to_owned(), ephemeral_mb: 512 }
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-9 * right.abs().max(1e-12), "{left} is not {right}");
    }

    #[test]
    fn a_million_short_invocations_cost_what_the_calculator_says() {
        let prices = Prices::built_in().unwrap();
        // 1,000,000 x 0.1 s x 1 GB = 100,000 GB-s.
        close(prices.per_million(&here(), 1024, 100.0, 100.0, 0.5), 0.20 + 1.66667);
        let arm = Place { architecture: Architecture::Arm64, ..here() };
        close(prices.per_million(&arm, 512, 200.0, 100.0, 0.25), 0.20 + 62_500.0 * 0.000_013_333_4);
        let dear = Place { region: "ap-east-1".to_owned(), ..here() };
        close(prices.per_million(&dear, 1024, 100.0, 100.0, 0.0), 0.20 + 1.66667 * 1.3752);
        let roomy = Place { ephemeral_mb: 512 + 1024, ..here() };
        close(prices.per_million(&roomy, 1024, 100.0, 100.0, 0.0), 0.20 + 1.66667 + 0.00309);
    }

    #[test]
    fn a_month_goes_through_the_steps_of_the_volume() {
        let prices = Prices::built_in().unwrap();
        close(prices.month(&here(), 1e6, 400_000.0, true), 0.0);
        close(prices.month(&here(), 2e6, 400_000.0, false), 0.40 + 6.66668);
        let three = 6e9 * 0.000_016_666_7 + 9e9 * 0.000_015 + 1e9 * 0.000_013_333_4;
        close(prices.month(&here(), 0.0, 16e9, false), three);
    }

    #[test]
    fn a_table_with_a_mistake_is_refused_with_its_name() {
        let swap = |from: &str, to: &str| {
            let text = BUILT_IN.replacen(from, to, 1);
            assert_ne!(text, BUILT_IN);
            let error = Prices::parse(&text, "mine.toml").unwrap_err();
            assert_eq!(error.where_(), Some("mine.toml"));
            error.causes().join(" ")
        };
        assert!(swap("usd_per_million = 0.20", "usd_per_million = -1").contains("usd_per_million"));
        assert!(swap("usd_per_million = 0.20", "").contains("usd_per_million"));
        assert!(swap("dated =", "date =").contains("date"));
        assert!(swap("up_to_gb_s = 6_000_000_000", "up_to_gb_s = 16_000_000_000").contains("rise"));
        assert!(swap("up_to_gb_s = 6_000_000_000\n", "").contains("rise"));
        assert!(swap("0.0000166667", "nan").contains("number"));
    }
}
