//! From runs to the figures of a size.

use glowplug_capacity::{Outcome, Round};
use glowplug_core::{Architecture, Stat, usd_of_invoke};
use glowplug_report::{EventFigures, Percentiles, TierStatus, TuneTier};
use indexmap::IndexMap;

use crate::tune::survey::Gathered;

/// What the figures depend on beside the runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix<'a> {
    /// The events with their shares.
    pub(super) events: &'a [(String, f64)],
    /// Share of invokes that start cold.
    pub(super) cold_rate: f64,
    pub(super) architecture: Architecture,
}

/// The figures of one form at one size.
pub(super) fn tier(memory_mb: u32, gathered: &Gathered, mix: Mix) -> TuneTier {
    let answered = gathered.rounds.iter().flatten().any(|round| round.outcome == Outcome::Answered);
    let (status, reason) = match &gathered.ended {
        None if answered => (TierStatus::Answered, None),
        None => (TierStatus::NotMeasured, Some("it was not run".to_owned())),
        Some(Outcome::OutOfMemory) => (TierStatus::OutOfMemory, Some("the memory was not enough".to_owned())),
        Some(Outcome::TimedOut) => {
            (TierStatus::TimedOut, Some("init or an invoke took longer than it may".to_owned()))
        }
        Some(Outcome::Failed { kind, message }) => (TierStatus::Failed, Some(format!("{kind}: {message}"))),
        Some(Outcome::Answered) => (TierStatus::Answered, None),
    };
    let works = status == TierStatus::Answered;
    let latency = works.then(|| Stat::of(&mixed(gathered, mix, &latency_ms))).flatten();
    let billed = works.then(|| Stat::of(&mixed(gathered, mix, &billed_ms))).flatten().map(|stat| stat.median);
    let all = || gathered.rounds.iter().flatten();
    let peak = all().filter_map(|round| round.peak_bytes).max();
    TuneTier {
        memory_mb,
        measured: status != TierStatus::NotMeasured,
        status,
        reason,
        cold_ms: works.then(|| percentiles(gathered, mix, &cold_ms)).flatten(),
        warm_ms: works.then(|| percentiles(gathered, mix, &warm_ms)).flatten(),
        latency_ms: latency,
        billed_ms: billed,
        usd_per_million: billed.map(|ms| usd_of_invoke(mix.architecture, memory_mb, ms) * 1e6),
        out_of_memory: status == TierStatus::OutOfMemory,
        peak_mb: peak.map(|bytes| bytes as f64 / f64::from(1 << 20)),
        events: events(gathered, mix),
    }
}

fn events(gathered: &Gathered, mix: Mix) -> IndexMap<String, EventFigures> {
    let of = |rounds: &[Round], value: &dyn Fn(&Round) -> Vec<f64>| {
        Stat::of(&rounds.iter().flat_map(value).collect::<Vec<f64>>())
    };
    let named = mix.events.iter().zip(&gathered.rounds).map(|((name, _), rounds)| {
        let figures = EventFigures {
            init_ms: of(rounds, &|round| round.cold.iter().map(|cold| ms(cold.init_us)).collect()),
            cold_ms: of(rounds, &cold_ms),
            warm_ms: of(rounds, &warm_ms),
        };
        (name.clone(), figures)
    });
    named.collect()
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

/// Init and the first invoke, of a cold start that was answered.
fn cold_ms(round: &Round) -> Vec<f64> {
    round.cold.iter().map(|cold| ms(cold.init_us + cold.first.wall_us)).collect()
}

fn warm_ms(round: &Round) -> Vec<f64> {
    round.warm.iter().map(|warm| ms(warm.wall_us)).collect()
}

/// What cold and warm take, each with its median.
fn latency_ms(round: &Round) -> Option<(f64, f64)> {
    Some((*cold_ms(round).first()?, Stat::of(&warm_ms(round))?.median))
}

/// What cold and warm are billed.
fn billed_ms(round: &Round) -> Option<(f64, f64)> {
    let warm: Vec<f64> = round.warm.iter().map(|warm| warm.billed_ms as f64).collect();
    Some((round.cold.as_ref()?.first.billed_ms as f64, Stat::of(&warm)?.median))
}

/// The mean over cold and warm invokes and over the events by their shares, one value for each round that has all events.
fn mixed(gathered: &Gathered, mix: Mix, value: &dyn Fn(&Round) -> Option<(f64, f64)>) -> Vec<f64> {
    let rounds = gathered.rounds.iter().map(Vec::len).min().unwrap_or(0);
    (0..rounds)
        .filter_map(|round| {
            let of = |(rounds, (_, weight)): (&Vec<Round>, &(String, f64))| {
                let (cold, warm) = value(&rounds[round])?;
                Some(weight * (mix.cold_rate * cold + (1.0 - mix.cold_rate) * warm))
            };
            gathered.rounds.iter().zip(mix.events).map(of).sum()
        })
        .collect()
}

/// Percentiles over single invokes, those of an event weighing its share together. Nearest rank: with few runs p99 is the
/// slowest one.
fn percentiles(gathered: &Gathered, mix: Mix, value: &dyn Fn(&Round) -> Vec<f64>) -> Option<Percentiles> {
    let mut samples: Vec<(f64, f64)> = Vec::new();
    for (rounds, (_, weight)) in gathered.rounds.iter().zip(mix.events) {
        let of_event: Vec<f64> = rounds.iter().flat_map(value).collect();
        let each = weight / of_event.len().max(1) as f64;
        samples.extend(of_event.into_iter().map(|sample| (sample, each)));
    }
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = samples.iter().map(|(_, weight)| weight).sum();
    let at = |share: f64| {
        let mut sum = 0.0;
        // Sums of shares are not exact.
        let wanted = total * share - 1e-9;
        let found = samples.iter().find(|(_, weight)| {
            sum += weight;
            sum >= wanted
        });
        found.or(samples.last()).map(|(sample, _)| *sample)
    };
    Some(Percentiles { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_capacity::{ColdStart, Invoke};

    fn round(cold: u64, warm: &[u64]) -> Round {
        let invoke = |ms: u64| Invoke { wall_us: ms * 1000, cpu_us: None, billed_ms: ms };
        Round {
            cold: Some(ColdStart {
                init_us: cold * 500,
                init_cpu_us: None,
                first: Invoke { billed_ms: cold, ..invoke(cold / 2) },
            }),
            warm: warm.iter().map(|ms| invoke(*ms)).collect(),
            peak_bytes: Some(64 << 20),
            outcome: Outcome::Answered,
        }
    }

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn cold_and_warm_are_mixed_by_their_rate_and_events_by_their_shares() {
        let events = [("a".to_owned(), 0.75), ("b".to_owned(), 0.25)];
        let mix = Mix { events: &events, cold_rate: 0.5, architecture: Architecture::X86_64 };
        let gathered =
            Gathered { rounds: vec![vec![round(100, &[20])], vec![round(200, &[40])]], ended: None };
        let tier = tier(1024, &gathered, mix);
        // 0.75 · (50 + 10) + 0.25 · (100 + 20)
        assert!(close(tier.latency_ms.map(|stat| stat.median), 75.0), "{tier:?}");
        assert!(close(tier.billed_ms, 75.0));
        assert!(close(tier.usd_per_million, 0.2 + 16.6667 * 0.075));
        let cold = tier.cold_ms.unwrap();
        assert!(close(Some(cold.p50), 100.0) && close(Some(cold.p90), 200.0));
        assert!(close(tier.peak_mb, 64.0));
    }

    #[test]
    fn a_size_that_failed_has_no_figures_but_a_reason() {
        let events = [("a".to_owned(), 1.0)];
        let mix = Mix { events: &events, cold_rate: 0.1, architecture: Architecture::Arm64 };
        for (outcome, status) in [
            (Outcome::OutOfMemory, TierStatus::OutOfMemory),
            (Outcome::TimedOut, TierStatus::TimedOut),
            (Outcome::Failed { kind: "E".into(), message: "m".into() }, TierStatus::Failed),
        ] {
            let failed = Round { outcome: outcome.clone(), ..round(10, &[]) };
            let gathered = Gathered { rounds: vec![vec![round(10, &[1]), failed]], ended: Some(outcome) };
            let tier = tier(128, &gathered, mix);
            assert_eq!((tier.status, tier.latency_ms, tier.usd_per_million), (status, None, None));
            assert!(tier.reason.is_some());
        }
        let none = tier(128, &Gathered { rounds: vec![Vec::new()], ended: None }, mix);
        assert_eq!((none.status, none.measured), (TierStatus::NotMeasured, false));
    }
}
