//! Points in time as Lambda writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-11-29T10:00:00.123+0000`, as configurations have it.
pub(crate) fn modified(at: Duration) -> String {
    glowplug_core::iso8601(at) + "+0000"
}

/// `2026-11-29T10:00:00.123Z`, as log lines have it.
pub(crate) fn logged(at: Duration) -> String {
    glowplug_core::iso8601(at) + "Z"
}

/// `29/Nov/2026:10:00:00 +0000`, as events of function URLs have it.
pub(crate) fn common_log(at: Duration) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = glowplug_core::civil_date(at.as_secs() / 86_400);
    let of_day = at.as_secs() % 86_400;
    let month = MONTHS[(month as usize).saturating_sub(1) % MONTHS.len()];
    format!(
        "{day:02}/{month}/{year:04}:{:02}:{:02}:{:02} +0000",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// `20261129T100000Z`, as signatures have it.
pub(crate) fn basic(at: Duration) -> String {
    let text = glowplug_core::iso8601(Duration::from_secs(at.as_secs()));
    let digits: String = text.chars().filter(|c| !"-:".contains(*c)).take("20261129T100000".len()).collect();
    digits + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_lambda_writes_them() {
        let at = Duration::from_millis(1_000_000_000_123);
        assert_eq!(modified(at), "2001-09-09T01:46:40.123+0000");
        assert_eq!(logged(at), "2001-09-09T01:46:40.123Z");
        assert_eq!(basic(at), "20010909T014640Z");
        assert_eq!(common_log(at), "09/Sep/2001:01:46:40 +0000");
    }
}
