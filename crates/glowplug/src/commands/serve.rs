//! `glowplug serve`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use glowplug_cli::ServeArgs;
use glowplug_core::{Error, NoProgress, Progress, PythonVersion, Result};
use glowplug_engine::Engine;
use glowplug_function::Function;
use glowplug_lambda::{LocalFunction, RuntimeFolder, Runtimes, Server, Service};
use glowplug_optimize::ready;
use serde_json::json;
use walkdir::{DirEntry, WalkDir};

use crate::commands::load;
use crate::commands::serve_log::Writer;
use crate::console::Console;
use crate::errors;
use crate::settings::Serve as Settings;

/// How often the user's wish to stop is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// How often files are looked at, with `--watch`.
const WATCH: Duration = Duration::from_millis(300);

/// Serves until the user stops it.
pub(crate) fn serve(console: &Console, args: ServeArgs) -> Result<()> {
    let mut settings = Settings::new(args, &console.common, &|name| std::env::var(name).ok())?;
    warm(&mut settings)?;
    let functions: Vec<Given> =
        settings.paths.iter().map(|path| given(console, path, &settings, true)).collect::<Result<_>>()?;
    if settings.rie && functions.len() != 1 {
        return Err(Error::usage("`--rie` serves one function")
            .cause(format!("{} were given", functions.len()))
            .hint("leave `--rie` out: every function has its own path then"));
    }
    refuse_twins(&functions)?;
    Engine::raise_open_files();
    let engine = Engine::new()?;
    engine.prepare_temporary();
    let mut served: Vec<LocalFunction> =
        functions.iter().map(|given| prepare(console, given)).collect::<Result<_>>()?;
    let logs = settings.options.state.as_ref().map(|state| state.join("logs"));
    let writer = Writer::start(logs.as_deref(), console.common.quiet)?;
    let service = Service::open(engine.clone(), settings.options.clone(), runtimes(console), writer.log())?;
    for function in &served {
        service.add(function.clone());
    }
    let emulated = settings.rie.then(|| functions.first().map(|given| given.name().to_owned())).flatten();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let server = Server::start(service.clone(), address, emulated)?;
    console.progress.clear();
    greet(console, &service, server.address, &engine)?;
    let mut seen: Vec<Fingerprint> = functions.iter().map(|given| fingerprint(given.root())).collect();
    while !console.progress.interrupted() {
        std::thread::sleep(if settings.watch { WATCH } else { GLANCE });
        if settings.watch {
            for (at, path) in settings.paths.iter().enumerate() {
                let now = fingerprint(functions[at].root());
                if now != seen[at] {
                    seen[at] = now;
                    reload(console, &service, path, &settings, &mut served[at]);
                }
            }
        }
    }
    drop(server);
    service.stop();
    let lost = writer.finish();
    if lost > 0 {
        console
            .progress
            .note(&format!("the log lines of {lost} invokes were lost: nobody read them in time"));
    }
    if settings.price { tell_price(console, &service) } else { Ok(()) }
}

/// Reads the event that is served before a snapshot.
fn warm(settings: &mut Settings) -> Result<()> {
    let Some(path) = &settings.warm_event else { return Ok(()) };
    let Some(snapshot) = &mut settings.options.snapshot else {
        return Err(Error::usage("`--warm-event` is served before a snapshot")
            .hint("add `--start snapshot`: otherwise every environment has an init of its own"));
    };
    let event = fs_err::read_to_string(path)?;
    serde_json::from_str::<serde_json::Value>(&event)
        .map_err(|error| Error::input("the warm event is no JSON").place(path.as_str()).cause(error))?;
    snapshot.warm_event = Some(event);
    Ok(())
}

/// What the invokes would have cost, by function.
fn tell_price(console: &Console, service: &Service) -> Result<()> {
    let bills = service.bills();
    let (prices, region) = service.prices();
    if console.common.json {
        let shown: BTreeMap<&String, _> = bills
            .iter()
            .map(|(name, bill)| {
                (name, json!({"invokes": bill.invokes, "billed_ms": bill.billed_ms, "usd": bill.usd}))
            })
            .collect();
        return console
            .printer
            .data(&format!("{}\n", json!({"schema": "glowplug.price/1", "functions": shown, "prices": prices.dated, "region": region})));
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
    text.push_str(&format!("prices of {} in {region}\n", prices.dated));
    console.printer.data(&text)
}

/// What a path was found to be.
enum Given {
    Function(Box<Function>),
    /// An OCI image layout, unpacked.
    Image(Box<LocalFunction>),
}

impl Given {
    fn name(&self) -> &str {
        match self {
            Self::Function(function) => &function.name,
            Self::Image(image) => &image.name,
        }
    }

    fn root(&self) -> &Utf8Path {
        match self {
            Self::Function(function) => &function.root,
            Self::Image(image) => &image.source,
        }
    }
}

/// Finds it out; `says` has it tell what is worth saying about a function.
fn given(console: &Console, path: &Utf8Path, settings: &Settings, says: bool) -> Result<Given> {
    if !glowplug_lambda::is_layout(path) {
        let function = if says {
            load(console, path, &settings.load)
        } else {
            glowplug_function::load(path, &settings.load)
        };
        return Ok(Given::Function(Box::new(function?)));
    }
    let cache = console.common.cache.images().join("served");
    let emulated = &settings.load.emulated;
    let memory_mb = settings.load.memory_mb.or(emulated.memory_mb);
    let mut image = glowplug_lambda::local_image(path, &cache, memory_mb, &console.progress)?;
    image.name = emulated.name.clone().unwrap_or(image.name);
    image.timeout_s = emulated.timeout_s.unwrap_or(image.timeout_s);
    Ok(Given::Image(Box::new(image)))
}

fn prepare(console: &Console, given: &Given) -> Result<LocalFunction> {
    let function = match given {
        Given::Function(function) => function,
        Given::Image(image) => return Ok((**image).clone()),
    };
    let common = &console.common;
    let tree = ready(function, common.python.as_deref(), &common.cache, &console.progress)?;
    Ok(LocalFunction {
        name: function.name.clone(),
        handler: function.handler.clone(),
        python: function.python,
        architecture: function.architecture,
        memory_mb: function.memory_mb,
        timeout_s: function.timeout_s,
        environment: function.environment.clone(),
        source: function.root.clone(),
        tree: tree.tree.clone(),
        layers: tree.layers.clone(),
        digest: tree.digest.clone(),
        bytes: tree.bytes,
        image: None,
        keeps: Arc::new(tree),
    })
}

/// Serves a function as its files are now; what cannot be served is told, and the old one goes on.
fn reload(
    console: &Console,
    service: &Service,
    path: &Utf8Path,
    settings: &Settings,
    served: &mut LocalFunction,
) {
    let loaded = given(console, path, settings, false).and_then(|given| prepare(console, &given));
    console.progress.clear();
    match loaded {
        Ok(new) if !new.is_as(served) => {
            service.add(new.clone());
            console.progress.note(&format!("`{}` is served as it is now", new.name));
            *served = new;
        }
        Ok(_) => {}
        Err(error) => console.printer.error(&errors::text(&error, &console.printer.error_style())),
    }
}

/// Path → size and time of change of a function's files.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What a function's files look like. What never ships does not count, nor what running the sources leaves beside them.
fn fingerprint(root: &Utf8Path) -> Fingerprint {
    let counts = |entry: &DirEntry| {
        entry.depth() == 0
            || !(entry.file_name() == "__pycache__"
                || Utf8Path::from_path(entry.path()).is_some_and(glowplug_function::never_ships))
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

fn refuse_twins(functions: &[Given]) -> Result<()> {
    let mut by_name: BTreeMap<&str, &Utf8Path> = BTreeMap::new();
    for function in functions {
        if let Some(other) = by_name.insert(function.name(), function.root()) {
            return Err(Error::usage(format!("two functions are called `{}`", function.name()))
                .cause(format!("{other} and {}", function.root()))
                .hint("give one of them another `name` in its `glowplug.toml`"));
        }
    }
    Ok(())
}

/// Finds interpreters and runtime clients, which the cache keeps.
fn runtimes(console: &Console) -> Runtimes {
    let (cache, requested) = (console.common.cache.clone(), console.common.python.clone());
    let known: Mutex<BTreeMap<PythonVersion, RuntimeFolder>> = Mutex::default();
    Box::new(move |version| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&version) {
            return Ok(found.clone());
        }
        // The interpreter that was asked for, where it is of this version.
        let asked = glowplug_function::runtime(version, requested.as_deref(), &cache, &NoProgress);
        let found = match asked {
            Err(_) if requested.is_some() => glowplug_function::runtime(version, None, &cache, &NoProgress)?,
            other => other?,
        };
        let found = RuntimeFolder { python: found.python, packages: found.packages };
        known.insert(version, found.clone());
        Ok(found)
    })
}

/// Says where it is, what it serves, and what this host does not let it enforce.
fn greet(console: &Console, service: &Service, address: SocketAddr, engine: &Engine) -> Result<()> {
    let (can, sized) = (engine.capabilities(), engine.temporary_limit());
    let notes: Vec<&String> = can.notes.iter().chain(sized.as_ref().err()).collect();
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
                "temporary": sized.is_ok(),
                "process_count": can.process_limit,
                "frozen": can.freezer,
                "ports": can.network_policy,
                "network": false,
            },
            "notes": notes,
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
        (can.mounts, "/var/task and /opt read-only, a /tmp of its own, no files of other functions"),
        (can.network_policy, "ports of this program closed to functions"),
        (can.memory_limit, "the memory size"),
        (sized.is_ok(), "the size of /tmp"),
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
    let missing = if missing.is_empty() { missing } else { missing + "; " };
    text.push_str(&format!("Not enforced: {missing}the network (open to functions)\n"));
    for note in notes {
        text.push_str(&format!("  {note}\n"));
    }
    console.printer.data(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ships_is_not_watched() {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(keep.path()).unwrap();
        let write = |path: &str| {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        };
        for path in [
            "app.py",
            ".config/settings.json",
            ".git/HEAD",
            "node_modules/a/index.js",
            "__pycache__/app.pyc",
            "env/pyvenv.cfg",
            "env/lib/a.py",
            ".glowplug/lambda.redb",
        ] {
            write(path);
        }
        let seen: Vec<PathBuf> = fingerprint(root).into_keys().collect();
        assert_eq!(seen, [root.join(".config/settings.json"), root.join("app.py")]);
    }
}
