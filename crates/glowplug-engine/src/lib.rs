//! A local Lambda: execution environments for Python functions, driven through the Runtime API by the unmodified
//! runtime client (`awslambdaric`).
//!
//! ```text
//!  caller ── Engine::start / Environment::invoke ──┐
//!                                               Exchange ◄── HTTP ── runtime client ── handler
//!  kernel ── supervisor thread (output, network, end) ──┘            (own view, limits, filter)
//! ```
//!
//! - [`Engine`] finds out once what the host can enforce ([`Capabilities`]).
//! - An [`Environment`] is a process of its own with `/var/task`, `/opt`, a private `/tmp`, Lambda's variables, the
//!   memory limit, the processor share and the network policy. It is reused from event to event; after a crash or a
//!   timeout the next event starts its process anew, `/tmp` kept.
//! - [`Init`] and [`Invocation`] carry what was measured, with clock points whose meaning each field's text gives.
//!
//! Invariants: no process, folder, mount or control group outlives its environment, whatever the function does; the
//! function sees nothing of the engine (no variable, argument, descriptor or frame in its tracebacks).

mod api;
mod cgroup;
mod clock;
mod disk;
mod disks;
mod effects;
mod engine;
mod environment;
mod exchange;
mod extensions;
mod forks;
mod guard;
mod image_view;
mod launch;
mod lifecycle;
mod limits;
mod network;
mod outcome;
mod output;
mod payload;
mod places;
mod process;
mod request;
mod serving;
mod snapshot;
mod sources;
mod spec;
mod start_code;
mod supervisor;
mod telemetry;
mod variables;
mod view;
mod workshop;

pub use engine::{Capabilities, Engine};
pub use environment::Environment;
pub use exchange::{Part, Parts};
pub use outcome::{Finished, Init, InitOutcome, Invocation, Outcome};
pub use payload::{error_message, platform_type, random_share, uuid};
pub use process::EXEC_WRAPPER;
pub use request::Request;
pub use serving::Listener;
pub use snapshot::{Started, Template};
pub use spec::{
    AgentSpec, Cpu, EnvironmentSpec, Identity, ImageSpec, Initialization, LATEST, Network, SnapshotSpec,
};
pub use variables::{
    ACCESS_KEY, ACCOUNT, REGION, SECRET_KEY, SESSION_TOKEN, function_arn, is_reserved, log_stream, trace_id,
};
