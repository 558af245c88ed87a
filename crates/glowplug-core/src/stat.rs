//! A measured figure with its uncertainty.

use serde::{Deserialize, Serialize};

/// Resamples drawn for an interval: enough for two digits, cheap enough for hundreds of modules.
const RESAMPLES: usize = 1000;

/// Median of several runs, the 95 % bootstrap interval of that median, and the interquartile range.
/// The unit is the field's that holds it (ms, MB or a ratio).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// The middle value.
    pub median: f64,
    /// Lower end of the 95 % interval of the median.
    pub low: f64,
    /// Upper end of the 95 % interval of the median.
    pub high: f64,
    /// Interquartile range of the runs.
    pub spread: f64,
    /// How many runs.
    pub runs: usize,
}

impl Stat {
    /// Summarises samples; `None` where there are none. The bootstrap is seeded, so that the same
    /// samples give the same interval. Percentile bootstrap: Efron and Tibshirani, 1993, chapter 13.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.iter().copied().filter(|v| v.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let mut draw = vec![0.0; sorted.len()];
        let [(low, high)] = intervals(sorted.len(), |drawn| {
            for (slot, at) in draw.iter_mut().zip(drawn) {
                *slot = sorted[*at];
            }
            draw.sort_by(f64::total_cmp);
            [quantile(&draw, 0.5)]
        });
        Some(Self {
            median: quantile(&sorted, 0.5),
            low,
            high,
            spread: quantile(&sorted, 0.75) - quantile(&sorted, 0.25),
            runs: sorted.len(),
        })
    }

    /// Ratios of interleaved pairs, `after[i] / before[i]`: drift of the machine cancels out.
    pub fn of_ratios(after: &[f64], before: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> =
            after.iter().zip(before).filter(|(_, b)| **b > 0.0).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }

    /// Whether the interval excludes `value`: otherwise there is no difference to speak of.
    pub fn differs_from(&self, value: f64) -> bool {
        self.low > value || self.high < value
    }
}

/// 95 % bootstrap intervals of figures of a sample of `units` independent parts: `figures` is given the places of the parts
/// that were drawn. Seeded, so that the same sample gives the same intervals; percentile bootstrap, as for [`Stat::of`].
pub fn intervals<const N: usize>(
    units: usize,
    mut figures: impl FnMut(&[usize]) -> [f64; N],
) -> [(f64, f64); N] {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut drawn = vec![0; units];
    let mut found: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        for slot in &mut drawn {
            *slot = random.below(units);
        }
        for (values, value) in found.iter_mut().zip(figures(&drawn)) {
            values.push(value);
        }
    }
    found.map(|mut values| {
        values.sort_by(f64::total_cmp);
        (quantile(&values, 0.025), quantile(&values, 0.975))
    })
}

/// The value below which a share `q` of the sorted samples lies: linear interpolation between closest ranks (type 7 of Hyndman and Fan, 1996).
///
/// # Panics
/// Where there are no samples.
#[inline]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = q * (sorted.len() - 1) as f64;
    let below = rank.floor() as usize;
    let above = rank.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (rank - below as f64)
}

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016.
struct Random(u64);

impl Random {
    #[inline]
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (value as usize * bound) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_interval_of_a_known_sample() {
        let samples: Vec<f64> = (1..=101).map(f64::from).collect();
        let stat = Stat::of(&samples).unwrap();
        assert!((stat.median - 51.0).abs() < 1e-9);
        assert!((stat.spread - 50.0).abs() < 1e-9);
        assert!(stat.low < 51.0 && stat.low > 40.0, "{stat:?}");
        assert!(stat.high > 51.0 && stat.high < 62.0, "{stat:?}");
        assert_eq!(stat.runs, 101);
    }

    #[test]
    fn nothing_measured_is_none() {
        assert!(Stat::of(&[]).is_none());
    }

    #[test]
    fn ratios_are_paired() {
        let ratio = Stat::of_ratios(&[1.0, 20.0, 3.0], &[2.0, 40.0, 6.0]).unwrap();
        assert!((ratio.median - 0.5).abs() < 1e-12 && !ratio.differs_from(0.5));
        assert!(ratio.differs_from(1.0));
    }
}
