//! One interpreter process with all that belongs to it: its Runtime API, its supervisor, its end.

use std::io::{Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use serde_json::{Value, json};

use crate::api::Server;
use crate::clock::{Stamp, epoch, peak_memory_kib};
use crate::exchange::Exchange;
use crate::guard::{Guard, Ports, RuntimePort};
use crate::launch::steps::{Step, c_string};
use crate::launch::{Isolation, Keeper, Launch, Program, launch};
use crate::network::{Blocked, Policy};
use crate::output::{Output, OutputPipe};
use crate::spec::{AgentSpec, EnvironmentSpec, Network};
use crate::supervisor::{Started, Watched, supervise};
use crate::variables::{log_stream, variables};
use crate::view::View;

/// The variable that names a program of a function or a layer which starts the runtime.
pub const EXEC_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// What a process is made from.
pub(crate) struct Making<'a> {
    pub(crate) runtime: &'a tokio::runtime::Handle,
    pub(crate) isolation: Isolation,
    pub(crate) spec: &'a EnvironmentSpec,
    pub(crate) view: View,
    pub(crate) cgroups: Vec<OwnedFd>,
    pub(crate) output: Arc<Output>,
    pub(crate) blocked: Arc<Blocked>,
    pub(crate) ports: &'a Arc<Ports>,
    /// Whether there is a filter that keeps to the network policy, and to the process's own ports.
    pub(crate) filters: bool,
    /// Set when the engine is stopped.
    pub(crate) stop: Arc<AtomicBool>,
}

/// When the phase "runtime" went from one part to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// The interpreter ran its first line of the runtime, on `CLOCK_MONOTONIC`.
    pub(crate) first_line_ns: u64,
    /// The handler's module was first looked for.
    pub(crate) end: Stamp,
}

/// A process; it and all its descendants are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) exchange: Arc<Exchange>,
    keeper: Keeper,
    supervisor: Option<JoinHandle<()>>,
    pipe: Arc<OutputPipe>,
    started: Started,
    mark: OwnedFd,
    pid: i32,
    _server: Server,
    _port: RuntimePort,
}

impl Process {
    /// Starts it; what becomes of it the exchange says.
    pub(crate) fn start(making: Making<'_>) -> Result<Self> {
        let Making { runtime, isolation, spec, view, cgroups, output, blocked, ports, filters, stop } =
            making;
        let exchange = Arc::new(Exchange::new(stop));
        let server = Server::start(runtime, Arc::clone(&exchange))?;
        let port = ports.runtime(server.address.port());
        let guard = Guard::new(ports, server.address.port(), spec.service_access);
        let identity = &spec.identity;
        let stream = identity.log_stream.clone().unwrap_or_else(|| log_stream(&identity.version, epoch()));
        let variables = variables(spec, &view.places, &server.address.to_string(), &stream);
        let variables: Result<Vec<_>> =
            variables.iter().map(|(name, value)| c_string(format!("{name}={value}"))).collect();
        let (settings, agent_output) = settings(spec, &view)?;
        let program = program(spec, &view.program);
        let plan = Launch {
            isolation,
            steps: view.steps,
            root: view.root,
            directory: c_string(view.places.task)?,
            program: Some(Program {
                path: c_string(program.first().cloned().unwrap_or_default())?,
                arguments: program.into_iter().map(c_string).collect::<Result<_>>()?,
                variables: variables?,
                settings,
                agent_output,
            }),
            cgroups,
            filter: filters.then_some(spec.network),
        };
        let launched = launch(&plan).map_err(crate::launch::Failure::into_error)?;
        exchange.set_pid(launched.pid);
        let pid = launched.pid;
        let started = Started::default();
        // Answers the filter's questions, which may come as soon as the interpreter runs.
        let (keeper, control, listener, pipe, mark) = launched.into_parts();
        let go = rustix::io::dup(&control).map_err(std::io::Error::from)?;
        let pipe = Arc::new(OutputPipe::new(pipe, output));
        let supervisor = supervise(Watched {
            control,
            policy: listener.map(|listener| Policy::new(listener, spec.network, guard, blocked)),
            output: Arc::clone(&pipe),
            exchange: Arc::clone(&exchange),
            started: Arc::clone(&started),
        })?;
        crate::launch::go(&go);
        let supervisor = Some(supervisor);
        Ok(Self { exchange, keeper, supervisor, pipe, started, mark, pid, _server: server, _port: port })
    }

    /// When the interpreter was executed; now, if that was not seen.
    pub(crate) fn started(&self) -> Stamp {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| self.exchange.stamp())
    }

    /// The clock points of the phase "runtime", if it has ended.
    pub(crate) fn boundary(&self) -> Option<Boundary> {
        let mut bytes = [0_u8; 24];
        let count = rustix::io::read(&self.mark, &mut bytes).ok()?;
        if count != bytes.len() {
            return None;
        }
        let number = |from: usize| bytes[from..from + 8].try_into().ok().map(u64::from_le_bytes);
        let end = Stamp { at_ns: number(0)?, cpu_ns: number(8) };
        Some(Boundary { end, first_line_ns: number(16)? })
    }

    /// Largest resident size so far in KiB; 0 where the process is gone.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        peak_memory_kib(self.pid)
    }

    /// Makes sure that all output written so far is kept.
    pub(crate) fn drain_output(&self) {
        self.pipe.drain();
    }

    /// Ends the process with all its descendants, and keeps the rest of its output.
    pub(crate) fn end(&mut self) {
        self.keeper.end();
        if let Some(supervisor) = self.supervisor.take() {
            // It cannot panic; and if it did, there would be nothing more to do here.
            let _ = supervisor.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is executed, by way of the function's wrapper if it has one: as in the start script of Lambda's own runtimes, one
/// that is not there ends with the shell's status 127 ("Modifying the runtime environment" in the developer guide).
fn program(spec: &EnvironmentSpec, program: &[Utf8PathBuf]) -> Vec<String> {
    let program = program.iter().map(ToString::to_string);
    match spec.environment.get(EXEC_WRAPPER) {
        Some(wrapper) if !spec.own_runtime && !wrapper.is_empty() => {
            let shell = ["/bin/sh", "-c", "exec \"$0\" \"$@\"", wrapper.as_str()];
            shell.map(str::to_owned).into_iter().chain(program).collect()
        }
        _ => program.collect(),
    }
}

/// The settings for `bootstrap.py` in a file without a name, and the file that the agent writes.
fn settings(spec: &EnvironmentSpec, view: &View) -> Result<(OwnedFd, Option<OwnedFd>)> {
    let (agent, output) = match &spec.agent {
        None => (Value::Null, None),
        Some(agent) => {
            let output = agent_output(agent)?;
            let source = fs::read_to_string(&agent.source)?;
            let agent = json!({
                "path": agent.source, "source": source, "config": agent.config, "has_output": output.is_some(),
            });
            (agent, output)
        }
    };
    let settings = json!({
        "agent": agent,
        "write_bytecode": spec.write_bytecode,
        "opt": view.places.opt,
        "runtime": view.places.runtime,
    });
    let file = rustix::fs::memfd_create("glowplug", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(std::io::Error::from)?;
    let mut file = std::fs::File::from(file);
    file.write_all(settings.to_string().as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok((file.into(), output))
}

fn agent_output(agent: &AgentSpec) -> Result<Option<OwnedFd>> {
    let Some(path) = agent.config.get("output").and_then(Value::as_str) else {
        return Ok(None);
    };
    let file = fs::File::create(Utf8Path::new(path))?;
    Ok(Some(file.into_parts().0.into()))
}

/// Tries out whether an isolation works here, with or without a filter and control groups.
pub(crate) fn rehearse(
    isolation: Isolation,
    steps: Vec<Step>,
    root: Option<std::ffi::CString>,
    cgroups: Vec<OwnedFd>,
    filter: bool,
) -> Result<(), crate::launch::Failure> {
    let directory = c"/".to_owned();
    let policy = filter.then_some(Network::Deny);
    let plan = Launch { isolation, steps, root, directory, program: None, cgroups, filter: policy };
    let launched = launch(&plan)?;
    if filter && launched.pid == 0 {
        return Err(crate::launch::Failure::hidden_process());
    }
    Ok(())
}

/// Something is wrong with the environment itself and not with the function.
pub(crate) fn broken(reason: &str) -> Error {
    Error::surroundings("cannot start an execution environment").cause(reason)
}
