//! Lambda's limits and ours, each with its source.

use std::time::Duration;

/// Init of an on-demand function may take 10 s; then it is stopped and repeated at the first invoke under the
/// function's own timeout ("Lambda execution environment lifecycle" in the Lambda developer guide).
pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer of a function: 6 MiB and 100 bytes (`MaxPayloadSize` of AWS's runtime interface emulator).
pub(crate) const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024 + 100;

/// Largest streamed answer: 200 MB ("Lambda quotas" in the developer guide).
pub(crate) const MAX_STREAM_BYTES: usize = 200 * 1024 * 1024;

/// Memory size that has one whole vCPU ("Configure Lambda function memory" in the developer guide).
pub(crate) const MEMORY_MB_PER_VCPU: f64 = 1769.0;

/// Open files of a process ("Lambda quotas").
pub(crate) const OPEN_FILES: u64 = 1024;

/// Processes and threads of an environment ("Lambda quotas").
pub(crate) const PROCESSES: u64 = 1024;

/// Output kept of one environment. Ours: far above what a replay needs, far below what hurts.
pub(crate) const LOG_BYTES: usize = 16 * 1024 * 1024;

/// How long a process that has reported an init error gets to end by itself.
pub(crate) const EXIT_GRACE: Duration = Duration::from_secs(1);

/// How long the launcher gets until the interpreter is executed; a defect or a broken host otherwise.
pub(crate) const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Period of the processor quota, in µs, as measured on Lambda.
pub(crate) const CPU_PERIOD_US: u64 = 20_000;
