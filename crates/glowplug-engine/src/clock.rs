//! The clocks and counters that measurements come from.

use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A point in a process's life: wall clock and processor time spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// `CLOCK_MONOTONIC` in ns.
    pub(crate) at_ns: u64,
    /// Processor time of the process so far in ns; `None` where it could not be read.
    pub(crate) cpu_ns: Option<u64>,
}

impl Stamp {
    /// Now, for the process.
    pub(crate) fn now(pid: i32) -> Self {
        let at_ns = monotonic_ns();
        Self { at_ns, cpu_ns: process_cpu_ns(pid) }
    }

    /// Processor time since an earlier stamp in ms; 0 where one of them is missing.
    pub(crate) fn cpu_ms_since(self, earlier: Self) -> f64 {
        match (self.cpu_ns, earlier.cpu_ns) {
            (Some(now), Some(then)) => to_ms(now.saturating_sub(then)),
            _ => 0.0,
        }
    }

    /// Wall time since an earlier stamp in ms.
    pub(crate) fn ms_since(self, earlier: Self) -> f64 {
        to_ms(self.at_ns.saturating_sub(earlier.at_ns))
    }
}

/// ns as ms.
pub(crate) fn to_ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// `CLOCK_MONOTONIC` in ns.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Time since 1970.
pub(crate) fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Processor time of all threads of a process in ns, from the process's own clock.
pub(crate) fn process_cpu_ns(pid: i32) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The number of a process's clock: the inverted process id, and 2 for time as the scheduler counts it (Linux,
    // include/linux/posix-timers_types.h). The C library would ask the kernel for a resolution to make it.
    let clock: libc::clockid_t = (!pid << 3) | 2;
    #[expect(unsafe_code, reason = "no safe wrapper reads another process's processor clock")]
    // SAFETY: the call writes to a live local of the right type and keeps no pointer.
    let read = unsafe { libc::clock_gettime(clock, &raw mut time) == 0 };
    read.then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// What the kernel tells of a process, kept open: it is asked after every event.
#[derive(Debug)]
pub(crate) struct Status(Option<fs_err::File>);

impl Status {
    pub(crate) fn of(pid: i32) -> Self {
        Self(fs_err::File::open(format!("/proc/{pid}/status")).ok())
    }

    /// Largest resident size in KiB (`VmHWM`); 0 where the process is gone.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        // The kernel gives the whole of it at the first read: asking for its length first would be no use.
        let mut status = [0_u8; 4096];
        let read = self.0.as_ref().and_then(|file| file.file().read_at(&mut status, 0).ok());
        field_kib(&String::from_utf8_lossy(&status[..read.unwrap_or(0)]), "VmHWM:")
    }
}

/// [`Status::peak_memory_kib`] of a process that is asked once.
pub(crate) fn peak_memory_kib(pid: i32) -> u64 {
    Status::of(pid).peak_memory_kib()
}

fn field_kib(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_clock_and_memory_are_readable() {
        let pid = std::process::id().cast_signed();
        assert!(process_cpu_ns(pid).is_some_and(|ns| ns > 0));
        assert!(peak_memory_kib(pid) > 0);
        // Linux gives no number above 2^22 (`PID_MAX_LIMIT`).
        let nobody = (1 << 22) + 1;
        assert_eq!(process_cpu_ns(nobody), None);
        assert_eq!(peak_memory_kib(nobody), 0);
    }

    #[test]
    fn status_fields_are_found_by_name() {
        let status = "VmPeak:\t  99 kB\nVmHWM:\t  1234 kB\n";
        assert_eq!(field_kib(status, "VmHWM:"), 1234);
        assert_eq!(field_kib(status, "VmSwap:"), 0);
    }

    #[test]
    fn a_missing_clock_is_not_a_negative_time() {
        let early = Stamp { at_ns: 5_000_000, cpu_ns: Some(2_000_000) };
        let late = Stamp { at_ns: 7_500_000, cpu_ns: None };
        assert!((late.ms_since(early) - 2.5).abs() < 1e-9);
        assert!(late.cpu_ms_since(early).abs() < 1e-9);
    }
}
