//! One interpreter process with all that belongs to it: its Runtime API, its supervisor, its end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags};
use serde_json::{Value, json};

use crate::api::Server;
use crate::cgroup::Killer;
use crate::clock::{Stamp, Status, epoch};
use crate::environment::Environment;
use crate::exchange::Exchange;
use crate::forks::{Forks, pair};
use crate::guard::{Guard, Ports, Routes, RuntimePort};
use crate::launch::steps::{Step, c_string};
use crate::launch::{Companion, Isolation, Keeper, Launch, Launched, Program, launch};
use crate::network::{Blocked, Policy};
use crate::output::{Output, OutputPipe};
use crate::spec::{AgentSpec, EnvironmentSpec, Initialization, Network};
use crate::start_code::StartCode;
use crate::supervisor::{Started, Watched, supervise, watch_fork};
use crate::telemetry::Kind;
use crate::variables::{log_stream, variables};
use crate::view::View;

/// The variable that names a program of a function or a layer which starts the runtime.
pub const EXEC_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// What has a process wait to be forked.
const SNAPSHOT: &str = include_str!("../../../python/glowplug_agent/snapshot.py");

/// What a process is made from.
pub(crate) struct Making<'a> {
    pub(crate) runtime: &'a tokio::runtime::Handle,
    pub(crate) isolation: Isolation,
    pub(crate) spec: &'a EnvironmentSpec,
    pub(crate) view: View,
    pub(crate) cgroups: Vec<OwnedFd>,
    pub(crate) thaw: Option<OwnedFd>,
    pub(crate) output: Arc<Output>,
    pub(crate) blocked: Arc<Blocked>,
    pub(crate) ports: &'a Arc<Ports>,
    /// Layers, on the host.
    pub(crate) opt: &'a Utf8Path,
    /// When init has to be over.
    pub(crate) deadline: Instant,
    /// Whether there is a filter that keeps to the network policy, and to the process's own ports.
    pub(crate) filters: bool,
    pub(crate) start: &'a StartCode,
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

/// What ends a process with all its descendants.
#[derive(Debug)]
enum Life {
    Keeper(Keeper),
    /// A fork has no namespace of its own: its control groups know its descendants.
    Fork {
        killer: Killer,
        routes: Arc<Routes>,
    },
}

/// A process; it and all its descendants are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) exchange: Arc<Exchange>,
    life: Life,
    supervisor: Option<JoinHandle<()>>,
    pipe: Arc<OutputPipe>,
    companions: Option<Arc<OutputPipe>>,
    started: Started,
    /// Where the clock points of the phase "runtime" come from, which a fork does not have.
    mark: Option<OwnedFd>,
    pub(crate) pid: i32,
    status: Status,
    /// Where forks of it are asked for, and where these find their own Runtime APIs.
    pub(crate) forks: Option<Arc<Forks>>,
    routes: Arc<Routes>,
    _server: Server,
    _port: RuntimePort,
}

impl Process {
    /// Starts it; what becomes of it the exchange says.
    pub(crate) fn start(making: Making<'_>) -> Result<Self> {
        let Making {
            runtime,
            isolation,
            spec,
            view,
            cgroups,
            thaw,
            output,
            blocked,
            ports,
            opt,
            deadline,
            filters,
            start,
            stop,
        } = making;
        let exchange = Arc::new(Exchange::new(stop, crate::api::extensions::about(spec)));
        let restores = spec.identity.initialization == Initialization::SnapStart;
        let server = Server::start(runtime, Arc::clone(&exchange), restores)?;
        let port = ports.runtime(server.address.port());
        let guard = Guard::new(ports, server.address.port(), spec.service_access);
        let identity = &spec.identity;
        let stream = identity.log_stream.clone().unwrap_or_else(|| log_stream(&identity.version, epoch()));
        let variables = variables(spec, &view.places, &server.address.to_string(), &stream);
        exchange.telemetry.guard(guard.clone());
        let companions = announced(&exchange, companions(spec, &view, &variables, opt)?);
        let accompanied = companions.len();
        let routes = Arc::clone(guard.routes());
        if spec.snapshot.is_some() {
            // It goes no further than to its restore call.
            exchange.hold();
        }
        let (forks, theirs) = spec.snapshot.as_ref().map(|_| pair()).transpose()?.unzip();
        let plan = Launch {
            isolation,
            program: Some(executed(spec, &view, &variables, theirs, companions, start)?),
            steps: view.steps,
            root: view.root,
            directory: c_string(view.directory)?,
            cgroups,
            thaw,
            filter: filters.then_some(spec.network),
        };
        let launched = launch(&plan).map_err(crate::launch::Failure::into_error)?;
        exchange.set_pid(launched.pid);
        let pid = launched.pid;
        routes.root(pid);
        let started = Started::default();
        // Answers the filter's questions, which may come as soon as the interpreter runs.
        let Launched { keeper, control, listener, output: pipe, companions_output, mark, .. } = launched;
        let said = forks.as_ref().map(rustix::io::dup).transpose().map_err(std::io::Error::from)?;
        let go = rustix::io::dup(&control).map_err(std::io::Error::from)?;
        let heard = || Arc::clone(&exchange.telemetry);
        let companions = OutputPipe::new(companions_output, Arc::clone(&output), heard(), Kind::Extension);
        let companions = (accompanied > 0).then(|| Arc::new(companions));
        let pipe = Arc::new(OutputPipe::new(pipe, output, heard(), Kind::Function));
        let supervisor = supervise(Watched {
            control,
            policy: listener.map(|listener| Policy::new(listener, spec.network, guard, blocked)),
            output: Arc::clone(&pipe),
            exchange: Arc::clone(&exchange),
            started: Arc::clone(&started),
            forks: said,
            companions: companions.clone(),
        })?;
        for _ in 0..accompanied {
            crate::launch::accompany(&go);
        }
        exchange.wait_registered(deadline);
        crate::launch::go(&go);
        Ok(Self {
            exchange,
            life: Life::Keeper(keeper),
            supervisor: Some(supervisor),
            pipe,
            companions,
            started,
            mark: Some(mark),
            pid,
            status: Status::of(pid),
            forks: forks.map(|forks| Arc::new(Forks::new(forks))),
            routes,
            _server: server,
            _port: port,
        })
    }

    /// Has it forked for an environment, which sees the folder `temporary` of its view as `/tmp`.
    pub(crate) fn fork(
        &self,
        environment: &Environment,
        forks: &Arc<Forks>,
        temporary: &str,
    ) -> Result<Self> {
        let killer = environment.group.killer().ok_or_else(|| broken("there is no control group"))?;
        let about = crate::api::extensions::about(&environment.spec);
        let exchange = Arc::new(Exchange::new(Arc::clone(&environment.engine.stop), about));
        let server = Server::start(environment.engine.runtime(), Arc::clone(&exchange), true)?;
        let port = environment.engine.ports.runtime(server.address.port());
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from)?;
        rustix::io::ioctl_fionbio(&reader, true).map_err(std::io::Error::from)?;
        let started = Started::default();
        let disk = environment.room.disk().map(|disk| disk.entrance()).transpose()?;
        let born = forks.fork((temporary, disk), &writer, &environment.group.entrances()?)?;
        let (pid, inner_pid) = (born.pid, born.inner_pid);
        exchange.set_pid(pid);
        let life = Life::Fork { killer, routes: Arc::clone(&self.routes) };
        self.routes.add(pid, server.address.port());
        let output = Arc::clone(&environment.output);
        let telemetry = Arc::clone(&exchange.telemetry);
        let pipe = Arc::new(OutputPipe::new(reader, output, telemetry, Kind::Function));
        let mut process = Self {
            exchange: Arc::clone(&exchange),
            life,
            supervisor: None,
            pipe: Arc::clone(&pipe),
            companions: None,
            started,
            mark: None,
            pid,
            status: Status::of(pid),
            forks: None,
            routes: Arc::default(),
            _server: server,
            _port: port,
        };
        let watched = Pid::from_raw(pid).ok_or_else(|| broken("the fork has no number"))?;
        let watched =
            rustix::process::pidfd_open(watched, PidfdFlags::empty()).map_err(std::io::Error::from)?;
        process.supervisor = Some(watch_fork(watched, inner_pid, pipe, exchange, Arc::clone(forks))?);
        process.exchange.hold();
        born.go();
        Ok(process)
    }

    /// Has a fork go on that waits in its restore call. What it did before is not the function's.
    pub(crate) fn release(&self) {
        if matches!(self.life, Life::Fork { .. }) {
            *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.exchange.stamp());
            self.exchange.release();
        }
    }

    /// When the interpreter was executed; now, if that was not seen.
    pub(crate) fn started(&self) -> Stamp {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| self.exchange.stamp())
    }

    /// The clock points of the phase "runtime", if it has ended.
    pub(crate) fn boundary(&self) -> Option<Boundary> {
        let mut bytes = [0_u8; 24];
        let count = rustix::io::read(self.mark.as_ref()?, &mut bytes).ok()?;
        if count != bytes.len() {
            return None;
        }
        let number = |from: usize| bytes[from..from + 8].try_into().ok().map(u64::from_le_bytes);
        let end = Stamp { at_ns: number(0)?, cpu_ns: number(8) };
        Some(Boundary { end, first_line_ns: number(16)? })
    }

    /// Largest resident size so far in KiB; 0 where the process is gone.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.status.peak_memory_kib()
    }

    /// Makes sure that all output written so far is kept.
    pub(crate) fn drain_output(&self) {
        self.pipe.drain();
    }

    /// Tells subscribers what has no line break yet.
    pub(crate) fn finish_lines(&self) {
        self.pipe.finish_line();
        if let Some(companions) = &self.companions {
            companions.finish_line();
        }
    }

    /// Ends the process with all its descendants, and keeps the rest of its output.
    pub(crate) fn end(&mut self) {
        match &mut self.life {
            Life::Keeper(keeper) => keeper.end(),
            Life::Fork { killer, routes } => {
                killer.kill();
                routes.remove(self.pid);
            }
        }
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

/// Says that extensions are about to be started, or that they are too many.
fn announced(exchange: &Exchange, (found, count): (Vec<(String, Companion)>, usize)) -> Vec<Companion> {
    if count > found.len() {
        exchange.extensions.too_many(count);
    }
    if !found.is_empty() {
        exchange.telemetry.expect();
    }
    let (names, companions): (Vec<String>, Vec<Companion>) = found.into_iter().unzip();
    exchange.extensions.expect(&names);
    companions
}

/// The interpreter, or the function's own program, with all that it gets.
fn executed(
    spec: &EnvironmentSpec,
    view: &View,
    variables: &BTreeMap<String, String>,
    forks: Option<OwnedFd>,
    companions: Vec<Companion>,
    start: &StartCode,
) -> Result<Program> {
    let (settings, agent_output) = settings(spec, view, start)?;
    let program = program(spec, &view.program);
    Ok(Program {
        path: c_string(program.first().cloned().unwrap_or_default())?,
        arguments: program.into_iter().map(c_string).collect::<Result<_>>()?,
        variables: listed(variables)?,
        settings,
        agent_output,
        forks,
        companions,
    })
}

/// Variables as a program gets them.
fn listed(variables: &BTreeMap<String, String>) -> Result<Vec<CString>> {
    variables.iter().map(|(name, value)| c_string(format!("{name}={value}"))).collect()
}

/// Variables that extensions do not get ("Lambda Extensions API" in the developer guide).
const NOT_FOR_EXTENSIONS: [&str; 10] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
];

/// Extensions that are programs: what is in `/opt/extensions` and no folder, by their names, and how many there are: of too
/// many none is started.
fn companions(
    spec: &EnvironmentSpec,
    view: &View,
    variables: &BTreeMap<String, String>,
    opt: &Utf8Path,
) -> Result<(Vec<(String, Companion)>, usize)> {
    let folder = opt.join("extensions");
    if !spec.extensions || !folder.is_dir() {
        return Ok((Vec::new(), 0));
    }
    let mut own = variables.clone();
    own.retain(|name, _| !NOT_FOR_EXTENSIONS.contains(&name.as_str()));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        // Links lead somewhere; what cannot be executed fails as it does on Lambda.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|data| data.is_dir());
        if let (false, Ok(name)) = (is_folder, entry.file_name().into_string()) {
            let path = c_string(format!("{}/extensions/{name}", view.places.opt))?;
            found.insert(name, Companion { path, variables: listed(&own)? });
        }
    }
    let count = found.len();
    let started = if count > crate::extensions::MOST { Vec::new() } else { found.into_iter().collect() };
    Ok((started, count))
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

/// What `bootstrap.py` reads in a file without a name, and the file that the agent writes.
fn settings(spec: &EnvironmentSpec, view: &View, start: &StartCode) -> Result<(OwnedFd, Option<OwnedFd>)> {
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
    let snapshot = spec.snapshot.as_ref().map(|snapshot| {
        json!({
            "source": SNAPSHOT, "folder": crate::view::FORKS, "empty": view.places.home,
            "event": snapshot.warm_event,
        })
    });
    let settings = json!({
        "agent": agent,
        "snapshot": snapshot,
        "write_bytecode": spec.write_bytecode,
        "opt": view.places.opt,
        "runtime": view.places.runtime,
    });
    let file = rustix::fs::memfd_create("glowplug", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(std::io::Error::from)?;
    let mut file = std::fs::File::from(file);
    if !spec.own_runtime {
        file.write_all(&start.of(&spec.python))?;
    }
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
    let plan =
        Launch { isolation, steps, root, directory, program: None, cgroups, thaw: None, filter: policy };
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
