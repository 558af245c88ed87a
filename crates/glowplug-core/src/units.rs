//! Bytes, milliseconds, hashes and dates as people write and read them.

use crate::{Error, Result};

/// Reads `10 MB`, `512 KiB`, `1000`: decimal units are powers of 1000, binary ones of 1024.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(Error::input(format!("`{text}` is not a size")).hint("write for example `10 MB`")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| Error::input(format!("`{text}` is not a size")).hint("write for example `10 MB`"))?;
    Ok((number * factor) as u64)
}

/// Bytes with a decimal unit and three significant digits: `17.5 MB`.
pub fn format_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    let (value, unit) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (value / 1e3, "kB"),
        1_000_000..1_000_000_000 => (value / 1e6, "MB"),
        _ => (value / 1e9, "GB"),
    };
    if value < 100.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Milliseconds with a precision that fits: `0.42 ms`, `7.3 ms`, `312 ms`.
pub fn format_ms(ms: f64) -> String {
    if ms.abs() < 1.0 {
        format!("{ms:.2} ms")
    } else if ms.abs() < 100.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// Lower-case hexadecimal digits.
pub fn format_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `2026-11-29T10:00:00.123`, in UTC, of a time since 1970; what follows it depends on who reads it.
pub fn iso8601(at: std::time::Duration) -> String {
    let seconds = at.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        at.subsec_millis()
    )
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`).
pub fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        assert_eq!(parse_bytes("10 MB").unwrap(), 10_000_000);
        assert_eq!(parse_bytes("1.5KiB").unwrap(), 1536);
        assert!(parse_bytes("ten").is_err());
        assert_eq!(format_bytes(17_512_345), "17.5 MB");
        assert_eq!(format_bytes(999), "999 B");
        assert_eq!(format_ms(312.4), "312 ms");
        assert_eq!(format_ms(0.421), "0.42 ms");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_781), (2026, 11, 24));
    }

    #[test]
    fn bytes_print_as_two_digits_each() {
        assert_eq!(format_hex(&[0, 0x0a, 0xff]), "000aff");
    }
}
