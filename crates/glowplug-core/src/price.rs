//! What Lambda's time costs.

use crate::python::Architecture;

/// The region whose prices these are, and when they were looked up.
pub const PRICES_REGION: &str = "us-east-1";
/// The month of the prices.
pub const PRICES_DATE: &str = "2026-11";

/// Price of a request in US dollars ("AWS Lambda Pricing").
pub const USD_PER_REQUEST: f64 = 0.20 / 1e6;

/// Price of a second of a GB in US dollars, of the first volume tier ("AWS Lambda Pricing").
pub const fn usd_per_gb_second(architecture: Architecture) -> f64 {
    match architecture {
        Architecture::X86_64 => 0.000_016_666_7,
        Architecture::Arm64 => 0.000_013_333_4,
    }
}

/// What an invoke costs in US dollars, the request included, the free tier apart; a GB is 1024 MB.
pub fn usd_of_invoke(architecture: Architecture, memory_mb: u32, billed_ms: f64) -> f64 {
    let gb_seconds = f64::from(memory_mb) / 1024.0 * billed_ms / 1000.0;
    USD_PER_REQUEST + gb_seconds * usd_per_gb_second(architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_seconds_of_a_gigabyte_are_priced_as_the_page_has_them() {
        let usd = |architecture| usd_of_invoke(architecture, 1024, 1000.0) * 1e6;
        assert!((usd(Architecture::X86_64) - 16.8667).abs() < 1e-6);
        assert!((usd(Architecture::Arm64) - 13.5334).abs() < 1e-6);
        assert!((usd_of_invoke(Architecture::X86_64, 128, 0.0) - 0.2e-6).abs() < 1e-15);
    }
}
