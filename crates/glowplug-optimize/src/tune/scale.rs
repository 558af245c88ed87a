//! What a run without a processor limit would have taken under one.

/// Wall time in µs at a share of processors, from wall and processor time at full speed.
///
/// The time in which the processor was not busy stays as it is: it was spent waiting. The rest is served by as many
/// processors as were busy on average, or by the share where that is less. Throttling in periods is left out: it evens
/// out over more than a few of them.
pub(super) fn at_share(wall_us: u64, cpu_us: u64, share: f64) -> u64 {
    let (wall, cpu) = (wall_us as f64, cpu_us as f64);
    let busy = if wall > 0.0 { (cpu / wall).max(1.0) } else { 1.0 };
    let waiting = (wall - cpu / busy).max(0.0);
    (waiting + cpu / share.min(busy)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stretches_and_waiting_does_not() {
        assert_eq!(at_share(1000, 1000, 0.5), 2000);
        assert_eq!(at_share(1000, 0, 0.1), 1000);
        assert_eq!(at_share(1000, 400, 0.5), 600 + 800);
        assert_eq!(at_share(0, 0, 0.5), 0);
    }

    #[test]
    fn more_than_was_used_is_of_no_use() {
        assert_eq!(at_share(1000, 900, 3.0), 1000);
        // Two processors were busy: at two nothing changes, at one it takes twice as long.
        assert_eq!(at_share(1000, 2000, 2.0), 1000);
        assert_eq!(at_share(1000, 2000, 4.0), 1000);
        assert_eq!(at_share(1000, 2000, 1.0), 2000);
    }
}
