//! `glowplug serve`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_cli::ServeArgs;
use glowplug_core::{Error, NoProgress, Progress, PythonVersion, Result};
use glowplug_engine::{Capabilities, Engine};
use glowplug_function::Function;
use glowplug_lambda::{LocalFunction, Log, RuntimeFolder, Runtimes, Server, Service};
use glowplug_optimize::{Ready, ready};
use serde_json::json;
use walkdir::{DirEntry, WalkDir};

use crate::commands::load;
use crate::console::Console;
use crate::errors;
use crate::settings::Serve as Settings;

/// How often the user's wish to stop is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// Log files that are kept open.
const OPEN_LOGS: usize = 256;

/// How often files are looked at, with `--watch`.
const WATCH: Duration = Duration::from_millis(300);

/// Serves until the user stops it.
pub(crate) fn serve(console: &Console, args: ServeArgs) -> Result<()> {
    let settings = Settings::new(args, &console.common);
    let functions: Vec<Function> =
        settings.paths.iter().map(|path| load(console, path, &settings.load)).collect::<Result<_>>()?;
    if settings.rie && functions.len() != 1 {
        return Err(Error::usage("`--rie` serves one function")
            .cause(format!("{} were given", functions.len()))
            .hint("leave `--rie` out: every function has its own path then"));
    }
    refuse_twins(&functions)?;
    Engine::raise_open_files();
    let engine = Engine::new()?;
    // Trees live as long as they are served.
    let mut trees: Vec<Ready> =
        functions.iter().map(|function| prepare(console, function)).collect::<Result<_>>()?;
    let log = log(console, settings.options.state.as_deref())?;
    let service = Service::open(engine.clone(), settings.options.clone(), runtimes(console, &trees), log)?;
    for (function, tree) in functions.iter().zip(&trees) {
        service.add(local(function, tree));
    }
    let emulated = settings.rie.then(|| functions.first().map(|function| function.name.clone())).flatten();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let server = Server::start(service.clone(), address, emulated)?;
    console.progress.clear();
    greet(console, &service, server.address, engine.capabilities())?;
    // Environments of a tree may still run when another one takes its place.
    let mut old: Vec<Option<Ready>> = trees.iter().map(|_| None).collect();
    let mut seen: Vec<Fingerprint> = functions.iter().map(|function| fingerprint(&function.root)).collect();
    while !console.progress.interrupted() {
        std::thread::sleep(if settings.watch { WATCH } else { GLANCE });
        if settings.watch {
            for (at, path) in settings.paths.iter().enumerate() {
                let now = fingerprint(&functions[at].root);
                if now != seen[at] {
                    seen[at] = now;
                    reload(console, &service, path, &settings, &mut trees[at], &mut old[at]);
                }
            }
        }
    }
    drop(server);
    service.stop();
    if settings.price { tell_price(console, &service) } else { Ok(()) }
}

/// What the invokes would have cost, by function.
fn tell_price(console: &Console, service: &Service) -> Result<()> {
    let bills = service.bills();
    if console.common.json {
        let shown: BTreeMap<&String, _> = bills
            .iter()
            .map(|(name, bill)| {
                (name, json!({"invokes": bill.invokes, "billed_ms": bill.billed_ms, "usd": bill.usd}))
            })
            .collect();
        return console
            .printer
            .data(&format!("{}\n", json!({"schema": "glowplug.price/1", "functions": shown})));
    }
    let mut text = String::new();
    for (name, bill) in &bills {
        text.push_str(&format!(
            "{name}: {} invokes, {} ms billed, ${:.6}; a million such ${:.2}\n",
            bill.invokes,
            bill.billed_ms,
            bill.usd,
            bill.usd / bill.invokes as f64 * 1e6
        ));
    }
    console.printer.data(&text)
}

fn prepare(console: &Console, function: &Function) -> Result<Ready> {
    let common = &console.common;
    ready(function, common.python.as_deref(), &common.cache, &console.progress)
}

/// Serves a function as its files are now; what cannot be served is told, and the old one goes on.
fn reload(
    console: &Console,
    service: &Service,
    path: &Utf8Path,
    settings: &Settings,
    tree: &mut Ready,
    old: &mut Option<Ready>,
) {
    let loaded = glowplug_function::load(path, &settings.load)
        .and_then(|function| prepare(console, &function).map(|tree| (function, tree)));
    console.progress.clear();
    match loaded {
        Ok((function, new)) if new.digest != tree.digest => {
            service.add(local(&function, &new));
            *old = Some(std::mem::replace(tree, new));
            console.progress.note(&format!("`{}` is served as it is now", function.name));
        }
        Ok(_) => {}
        Err(error) => console.printer.error(&errors::text(&error, &console.printer.error_style())),
    }
}

/// Path → size and time of change of a function's files.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What a function's files look like; folders that begin with a dot, and those that tools fill, do not count.
fn fingerprint(root: &Utf8Path) -> Fingerprint {
    let counts = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || !(name.starts_with('.')
                || name == "__pycache__"
                || name == "node_modules"
                || is_environment(entry))
    };
    let files = WalkDir::new(root).into_iter().filter_entry(counts).flatten();
    files
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.into_path(), (metadata.len(), metadata.modified().ok())))
        })
        .collect()
}

/// Whether a folder is a virtual environment.
fn is_environment(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && entry.path().join("pyvenv.cfg").exists()
}

fn refuse_twins(functions: &[Function]) -> Result<()> {
    let mut by_name: BTreeMap<&str, &Utf8Path> = BTreeMap::new();
    for function in functions {
        if let Some(other) = by_name.insert(&function.name, &function.root) {
            return Err(Error::usage(format!("two functions are called `{}`", function.name))
                .cause(format!("{other} and {}", function.root))
                .hint("give one of them another `name` in its `glowplug.toml`"));
        }
    }
    Ok(())
}

fn local(function: &Function, tree: &Ready) -> LocalFunction {
    LocalFunction {
        name: function.name.clone(),
        handler: function.handler.clone(),
        python: function.python,
        architecture: function.architecture,
        memory_mb: function.memory_mb,
        timeout_s: function.timeout_s,
        environment: function.environment.clone(),
        tree: tree.tree.clone(),
        layers: tree.layers.clone(),
        digest: tree.digest.clone(),
        bytes: tree.bytes,
    }
}

/// Finds interpreters and runtime clients: those of the served functions first, others once they are asked for.
fn runtimes(console: &Console, trees: &[Ready]) -> Runtimes {
    let folder = |runtime: &glowplug_function::Runtime| RuntimeFolder {
        python: runtime.python.clone(),
        packages: runtime.packages.clone(),
    };
    let known: BTreeMap<PythonVersion, RuntimeFolder> =
        trees.iter().map(|tree| (tree.runtime.interpreter.version, folder(&tree.runtime))).collect();
    let (known, cache) = (Mutex::new(known), console.common.cache.clone());
    Box::new(move |version| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&version) {
            return Ok(found.clone());
        }
        let found = folder(&glowplug_function::runtime(version, None, &cache, &NoProgress)?);
        known.insert(version, found.clone());
        Ok(found)
    })
}

/// Writes what functions log to standard error, and to a file for each log stream, as CloudWatch would keep them.
fn log(console: &Console, state: Option<&Utf8Path>) -> Result<Log> {
    let folder = state.map(|state| state.join("logs"));
    if let Some(folder) = &folder {
        fs::create_dir_all(folder)?;
    }
    let quiet = console.common.quiet;
    let files: Mutex<BTreeMap<Utf8PathBuf, fs::File>> = Mutex::default();
    Ok(Box::new(move |function, stream, text| {
        // Lines of two invokes do not mix.
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        if !quiet {
            // Nothing can be said where standard error itself is broken.
            let _ = std::io::stderr().write_all(text);
        }
        let Some(folder) = &folder else { return };
        if files.len() >= OPEN_LOGS {
            files.clear();
        }
        let path = folder.join(function).join(stream.replace('/', "-") + ".log");
        // A full disk keeps no function from running.
        let _ = append(&mut files, path, text);
    }))
}

fn append(
    files: &mut BTreeMap<Utf8PathBuf, fs::File>,
    path: Utf8PathBuf,
    text: &[u8],
) -> std::io::Result<()> {
    match files.entry(path) {
        Entry::Occupied(mut open) => open.get_mut().write_all(text),
        Entry::Vacant(free) => {
            if let Some(folder) = free.key().parent() {
                fs::create_dir_all(folder)?;
            }
            let file = fs::OpenOptions::new().create(true).append(true).open(free.key())?;
            free.insert(file).write_all(text)
        }
    }
}

/// Says where it is, what it serves, and what this host does not let it enforce.
fn greet(console: &Console, service: &Service, address: SocketAddr, can: &Capabilities) -> Result<()> {
    let functions = service.functions();
    if console.common.json {
        let line = json!({
            "schema": "glowplug.serve/1",
            "endpoint": format!("http://{address}"),
            "functions": functions,
            "enforced": {
                "files": can.mounts,
                "processes": can.process_namespace,
                "memory": can.memory_limit,
                "cpu": can.cpu_share,
                "process_count": can.process_limit,
                "frozen": can.freezer,
                "network": false,
            },
            "notes": can.notes,
        });
        return console.printer.data(&format!("{line}\n"));
    }
    let mut text = format!("Serving on http://{address}\n");
    for function in &functions {
        text.push_str(&format!("  {function}\n"));
    }
    if functions.is_empty() {
        text.push_str("  no function yet: make one through the API\n");
    }
    let enforced = [
        (can.mounts, "/var/task and /opt read-only, a /tmp of its own"),
        (can.memory_limit, "the memory size"),
        (can.process_limit, "1024 processes"),
        (can.process_namespace, "its processes end with it"),
        (can.freezer, "it stands still between events"),
    ];
    let list = |wanted: bool| {
        let names: Vec<&str> =
            enforced.iter().filter(|(holds, _)| *holds == wanted).map(|(_, name)| *name).collect();
        names.join("; ")
    };
    text.push_str(&format!("Enforced: {}\n", list(true)));
    let missing = list(false);
    let missing = if missing.is_empty() {
        "the network (open to functions)".to_owned()
    } else {
        missing + "; the network (open to functions)"
    };
    text.push_str(&format!("Not enforced: {missing}\n"));
    for note in &can.notes {
        text.push_str(&format!("  {note}\n"));
    }
    console.printer.data(&text)
}
