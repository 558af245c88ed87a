//! Who is who: ids from a seed, and the function's names in a cloud that it is not in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As the local engine tells the function.
pub(crate) const REGION: &str = "us-east-1";
/// Likewise: the account that AWS uses in its documentation.
pub(crate) const ACCOUNT: &str = "123456789012";
/// Likewise: the version of a function that was never published.
pub(crate) const VERSION: &str = "$LATEST";

/// The function's ARN.
pub(crate) fn arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// A trace id that both OpenTelemetry and X-Ray take: it begins with the time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId {
    seconds: u32,
    unique: u128,
}

impl TraceId {
    /// 16 bytes.
    pub(crate) fn bytes(self) -> [u8; 16] {
        ((u128::from(self.seconds) << 96) | self.unique).to_be_bytes()
    }

    /// As X-Ray writes it.
    pub(crate) fn xray(self) -> String {
        format!("1-{:08x}-{:024x}", self.seconds, self.unique)
    }
}

/// Ids, the same from the same seed. SplitMix64: Steele, Lea and Flood, 2014.
#[derive(Debug, Clone)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Of a span: never 0, which would mean none.
    pub(crate) fn span(&mut self) -> u64 {
        self.next().max(1)
    }

    /// Of a trace that begins at this time.
    pub(crate) fn trace(&mut self, start_ns: u64) -> TraceId {
        let unique = (u128::from(self.next()) << 64 | u128::from(self.next())) >> 32;
        TraceId { seconds: (start_ns / 1_000_000_000) as u32, unique: unique.max(1) }
    }

    /// As Lambda gives every request one.
    pub(crate) fn request(&mut self) -> String {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        let random = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{random:032x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

/// Since 1970, in ns.
pub(crate) fn epoch_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_well_formed_and_come_from_the_seed() {
        let mut ids = Ids::new(7);
        let trace = ids.trace(0x5840_6520 * 1_000_000_000);
        assert!(trace.xray().starts_with("1-58406520-"));
        assert_eq!(trace.xray().len(), 35);
        let hex = format!("{:032x}", u128::from_be_bytes(trace.bytes()));
        assert_eq!(hex, trace.xray()[2..].replace('-', ""));
        let request = ids.request();
        assert_eq!((request.len(), &request[14..15]), (36, "4"));
        assert!("89ab".contains(&request[19..20]));
        assert_eq!(Ids::new(7).trace(0).bytes()[4..], trace.bytes()[4..]);
        assert_ne!(Ids::new(8).trace(0).bytes()[4..], trace.bytes()[4..]);
    }
}
