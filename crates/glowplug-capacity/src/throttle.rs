//! How long work takes on a part of a vCPU.
//!
//! The kernel enforces the part as a quota in periods ("CFS Bandwidth Control" in its documentation). It looks at ticks alone
//! whether the quota is used up: what was run beyond it until then is owed, and the processes stand still until the quotas
//! of later periods have paid for it. So a burst that ends before a tick finds it beyond its quota is not slowed at all.

/// Length of a quota's period, in ms: what the engine sets (FACTS: 20 ms reproduces Lambda's steps).
pub const PERIOD_MS: f64 = 20.0;
/// From one tick to the next, in ms: `CONFIG_HZ=250`, the kernel's default, that of Amazon Linux, too.
pub(crate) const TICK_MS: f64 = 4.0;
/// At how many moments of a period and of a tick work begins.
const MOMENTS: usize = 12;
/// Quotas of work after which each further one takes a period.
const STEADY: f64 = 6.0;
/// The golden ratio's part: its multiples spread evenly (Knuth, The Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: f64 = 0.618_033_988_749_895;

/// The `number`th of places between 0 and 1 that lie evenly, however many there are.
pub fn spread(number: usize) -> f64 {
    (number as f64 * GOLDEN).fract()
}

/// ms that `work` ms of one vCPU take on `cpus` of it, less than one: the mean over when in a period and between two ticks it
/// begins, with a whole quota.
pub(crate) fn throttled(work: f64, cpus: f64) -> f64 {
    let quota = cpus * PERIOD_MS;
    if !work.is_finite() || work <= 0.0 {
        return work;
    }
    let whole = ((work / quota).floor() - STEADY).max(0.0);
    let rest = work - whole * quota;
    let from = |moment: usize| {
        let refill = PERIOD_MS * (moment as f64 + 0.5) / MOMENTS as f64;
        run(rest, quota, refill, TICK_MS * spread(moment))
    };
    whole * PERIOD_MS + (0..MOMENTS).map(from).sum::<f64>() / MOMENTS as f64
}

/// ms until `left` ms of work are done, where the next quota comes at `refill` and the kernel looks at `tick`.
fn run(mut left: f64, quota: f64, mut refill: f64, mut tick: f64) -> f64 {
    let (mut now, mut unused) = (0.0, quota);
    loop {
        let next = refill.min(tick);
        if now + left <= next {
            return now + left;
        }
        left -= next - now;
        unused -= next - now;
        now = next;
        if refill <= now {
            unused = (unused + quota).min(quota);
            refill += PERIOD_MS;
        }
        if tick <= now {
            tick += TICK_MS;
            if unused <= 0.0 {
                let periods = (-unused / quota).floor();
                now = refill + periods * PERIOD_MS;
                unused += (periods + 1.0) * quota;
                refill = now + PERIOD_MS;
                tick += ((now - tick) / TICK_MS).ceil().max(0.0) * TICK_MS;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_ends_before_a_tick_is_not_slowed() {
        // A quota of 2 ms, and 3 ms of work: one more than the quota, owed and never paid for.
        assert!((run(3.0, 2.0, 20.0, 3.5) - 3.0).abs() < 1e-9);
        // A tick that finds it within its quota lets it go on to the next one.
        assert!((run(3.0, 2.0, 20.0, 1.0) - 3.0).abs() < 1e-9);
        // One that does not stops it: half a millisecond is owed, and the next quota pays for it.
        assert!((run(3.0, 2.0, 20.0, 2.5) - 20.5).abs() < 1e-9);
        // 2.2 ms owed take two quotas.
        assert!((run(5.0, 2.0, 20.0, 0.2) - 40.8).abs() < 1e-9);
        assert!(throttled(0.0, 0.1) == 0.0 && throttled(f64::NAN, 0.1).is_nan());
    }

    proptest! {
        #[test]
        fn long_work_takes_its_time_by_the_share(work in 1.0..20_000.0_f64, cpus in 0.0724..0.99_f64) {
            let took = throttled(work, cpus);
            // The last that is run beyond a quota is not paid for, and the first period may begin late.
            let (least, most) = (work / cpus - PERIOD_MS - TICK_MS / cpus, work / cpus + PERIOD_MS);
            prop_assert!(took >= least.max(work - 1e-6) && took <= most, "{least} {took} {most}");
        }
    }
}
