//! The account: its functions, the environments that run them, and how many of them at once.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_capacity::Prices;
use glowplug_core::{Architecture, Error, PythonVersion, Result};
use glowplug_engine::{Cpu, Engine, EnvironmentSpec, Identity, LATEST, Network, SnapshotSpec};

use crate::error::ApiError;
use crate::events::Event;
use crate::history::History;
use crate::image::Image;
use crate::model::{self, Code, Configuration, Layers, Record};
use crate::names::Named;
use crate::pool::Pool;
use crate::signature::Credentials;
use crate::store::Store;
use crate::time;

/// How long the end waits for what is just ending.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// By so many threads environments are ended at the end.
const STOPPING: usize = 16;

/// Invokes at once in an account ("Lambda quotas" in the developer guide: the default).
pub const ACCOUNT_CONCURRENCY: u32 = 1000;

/// Of these, what reserved concurrency may not take (the same page).
pub(crate) const UNRESERVED_MINIMUM: u32 = 100;

/// An interpreter and the runtime client for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeFolder {
    /// The `python` of an empty virtual environment.
    pub python: Utf8PathBuf,
    /// The folder that holds the runtime client.
    pub packages: Utf8PathBuf,
}

/// Finds the runtime for a version of Python.
pub type Runtimes = Box<dyn Fn(PythonVersion) -> Result<RuntimeFolder> + Send + Sync>;

/// Takes what an invoke wrote: the function's name, its log stream, the lines.
pub type Log = Box<dyn Fn(&str, &str, &[u8]) + Send + Sync>;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that keeps functions made through the API; `None` keeps them in memory alone, zips in a folder that
    /// ends with the program.
    pub state: Option<Utf8PathBuf>,
    /// How long an environment waits for another event before it ends.
    pub idle: Duration,
    /// Invokes at once.
    pub concurrency: u32,
    /// Processor time of environments.
    pub cpu: Cpu,
    /// What they may reach.
    pub network: Network,
    /// Folders that no function sees, beside the account's own and those of other functions.
    pub private: Vec<Utf8PathBuf>,
    /// Whether environments are forked from an initialised one, and how that is made ready.
    pub snapshot: Option<SnapshotSpec>,
    /// Whose signatures function URLs accept, beside those of functions themselves.
    pub credentials: Option<Credentials>,
    /// What invokes would cost.
    pub prices: Prices,
    /// The region whose prices these are; functions see the engine's own.
    pub priced_region: String,
    /// What functions and logs are told in the place of `$LATEST`, as AWS's emulator does.
    pub told_version: Option<String>,
}

/// A function of the file system, which is there as long as the program runs.
#[derive(Debug, Clone)]
pub struct LocalFunction {
    /// Its name.
    pub name: String,
    /// As Lambda writes it.
    pub handler: String,
    /// Minor version of Python.
    pub python: PythonVersion,
    /// Machine type.
    pub architecture: Architecture,
    /// MB.
    pub memory_mb: u32,
    /// Seconds.
    pub timeout_s: u32,
    /// Its own variables.
    pub environment: BTreeMap<String, String>,
    /// The folder or the file that it comes from.
    pub source: Utf8PathBuf,
    /// What it sees as `/var/task`.
    pub tree: Utf8PathBuf,
    /// What it sees as `/opt`.
    pub layers: Vec<Utf8PathBuf>,
    /// SHA-256 of the tree, in hex.
    pub digest: String,
    /// Size of the tree's files in bytes.
    pub bytes: u64,
    /// Where the tree is the root file system of an image: how that starts. Handler and version of Python mean nothing then.
    pub image: Option<Image>,
    /// What the tree lives by: dropped when no environment and no version needs it any more.
    pub keeps: Arc<dyn Any + Send + Sync>,
}

impl LocalFunction {
    /// Whether the other one is served in the same way, wherever its tree lies.
    pub fn is_as(&self, other: &Self) -> bool {
        let Self {
            name,
            handler,
            python,
            architecture,
            memory_mb,
            timeout_s,
            environment,
            source: _,
            tree: _,
            layers: _,
            digest,
            image,
            bytes: _,
            keeps: _,
        } = self;
        let same = (name, handler, python, architecture)
            == (&other.name, &other.handler, &other.python, &other.architecture);
        same && (memory_mb, timeout_s, environment, digest, image)
            == (&other.memory_mb, &other.timeout_s, &other.environment, &other.digest, &other.image)
    }
}

/// A function with this variable may use the service itself (`AWS_ENDPOINT_URL_LAMBDA` of the AWS SDKs and tools guide).
const SERVICE_ENDPOINT: &str = "AWS_ENDPOINT_URL_LAMBDA";

/// Files of a version.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// `None` where the store has them.
    pub(crate) source: Option<Utf8PathBuf>,
    pub(crate) tree: Utf8PathBuf,
    pub(crate) layers: Vec<Utf8PathBuf>,
    keeps: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) functions: BTreeMap<String, Record>,
    pub(crate) layers: BTreeMap<String, Layers>,
    /// What is known of functions that were given as paths in an earlier life, until they are given again.
    remembered: BTreeMap<String, Record>,
    /// Functions of the file system, by their names and the hashes of their files.
    local: BTreeMap<(String, String), Files>,
    /// Function and version → its environments.
    pub(crate) pools: BTreeMap<(String, String), Arc<Pool>>,
    /// Function → invokes that run now.
    pub(crate) busy: BTreeMap<String, u32>,
    /// Configurations for which no environment could be made ahead, by their revisions, and why.
    pub(crate) unready: BTreeMap<String, String>,
    /// Revisions of configurations for which a snapshot was made, or tried to.
    pub(crate) prepared: BTreeSet<String>,
    /// Accepted events that wait, by request id.
    pub(crate) waiting: BTreeMap<String, Event>,
}

/// The Lambda service of one account; shared between threads by its handle.
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    runtimes: Runtimes,
    pub(crate) log: Log,
    pub(crate) store: Store,
    /// Where the store is, if it ends with the program.
    _temporary: Option<tempfile::TempDir>,
    state: Mutex<State>,
    pub(crate) history: Mutex<History>,
    /// Orders changes; never waited for by who holds the state.
    pub(crate) turn: Mutex<()>,
    /// Where the server listens.
    address: OnceLock<SocketAddr>,
    /// The end has come.
    pub(crate) stopping: AtomicBool,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// An invoke that may run; it counts until its ticket is dropped.
pub(crate) struct Admitted {
    /// What it runs.
    pub(crate) configuration: Configuration,
    /// The environments for it, if there are some already.
    pub(crate) pool: Option<Arc<Pool>>,
    pub(crate) ticket: Ticket,
}

/// One of the invokes that may run at once.
pub(crate) struct Ticket {
    service: Service,
    function: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.service.lock();
        if let Some(busy) = state.busy.get_mut(&self.function) {
            *busy = busy.saturating_sub(1);
        }
    }
}

impl Service {
    /// Opens the account with the functions that its folder keeps.
    ///
    /// # Errors
    /// Surroundings: the folder cannot be used.
    pub fn open(engine: Engine, options: Options, runtimes: Runtimes, log: Log) -> Result<Self> {
        let (folder, temporary) = if let Some(folder) = &options.state {
            (folder.clone(), None)
        } else {
            let temporary = tempfile::Builder::new().prefix("glowplug-lambda-").tempdir()?;
            let path = Utf8PathBuf::try_from(temporary.path().to_owned())
                .map_err(|error| Error::surroundings("a temporary path is not UTF-8").cause(error))?;
            (path, Some(temporary))
        };
        let store = Store::open(&folder)?;
        let functions = store.functions()?;
        let layers = store.layers()?;
        let versions = layers.values().flat_map(|layers| layers.versions.values());
        let of_layers = versions.map(|version| version.code.sha256.as_str());
        let remembered = store.local_functions()?;
        let records = functions.values().chain(remembered.values());
        let used: BTreeSet<&str> = records.flat_map(Record::codes).chain(of_layers).collect();
        store.remove_unused(&used)?;
        let waiting = store.events()?;
        let state = Mutex::new(State { functions, layers, remembered, waiting, ..State::default() });
        let address = OnceLock::new();
        let stopping = AtomicBool::new(false);
        let inner = Inner {
            engine,
            options,
            runtimes,
            log,
            store,
            _temporary: temporary,
            state,
            history: Mutex::default(),
            turn: Mutex::default(),
            address,
            stopping,
        };
        Ok(Self(Arc::new(inner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a function of the file system, or puts its new files in the place of the old ones.
    pub fn add(&self, function: LocalFunction) {
        let configuration = Configuration {
            runtime: if function.image.is_some() {
                String::new()
            } else {
                format!("python{}", function.python)
            },
            role: format!("arn:aws:iam::{}:role/local", glowplug_engine::ACCOUNT),
            handler: function.handler,
            timeout_s: function.timeout_s,
            memory_mb: function.memory_mb,
            environment: function.environment,
            architecture: function.architecture.to_string(),
            code: Code { sha256: function.digest.clone(), bytes: function.bytes },
            image: function.image,
            last_modified: time::modified(time::now()),
            revision: glowplug_engine::uuid(),
            ..Configuration::new(function.name.clone())
        };
        let LocalFunction { name, source, tree, layers, digest, keeps, .. } = function;
        let turn = self.turn();
        let mut state = self.lock();
        state
            .local
            .insert((name.clone(), digest), Files { source: Some(source), tree, layers, keeps: Some(keeps) });
        // What is served no more lives as long as its environments do; versions have their copies.
        let served = configuration.code.sha256.clone();
        state.local.retain(|(function, digest), _| *function != name || *digest == served);
        let known = state.remembered.remove(&name).or_else(|| state.functions.remove(&name));
        let record = match known {
            Some(known) => Record { latest: configuration, ..known },
            None => Record::new(configuration, BTreeMap::new()),
        };
        state.functions.insert(name.clone(), record);
        let retired = state.retire(&name, Some(LATEST));
        drop(state);
        drop(turn);
        self.end(retired);
    }

    /// The service has an address now.
    pub(crate) fn set_address(&self, address: SocketAddr) {
        self.0.engine.guard(address.port());
        // A second server answers too; addresses name the first.
        let _ = self.0.address.set(address);
    }

    /// Where the service is reached.
    pub(crate) fn endpoint(&self) -> String {
        self.0.address.get().map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// Everybody whose signatures are accepted.
    pub(crate) fn credentials(&self) -> Vec<Credentials> {
        std::iter::once(Credentials::of_functions()).chain(self.0.options.credentials.clone()).collect()
    }

    /// Names of all functions.
    pub fn functions(&self) -> Vec<String> {
        self.lock().functions.keys().cloned().collect()
    }

    /// Looks at a function.
    pub(crate) fn look<T>(
        &self,
        named: &Named,
        look: impl FnOnce(&Record) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let state = self.lock();
        look(state.functions.get(&named.function).ok_or_else(|| named.unqualified_not_found())?)
    }

    /// Whether there is what a client wants to invoke.
    pub(crate) fn check_invocable(&self, named: &Named) -> Result<(), ApiError> {
        let state = self.lock();
        let record = state.functions.get(&named.function);
        let found = record.and_then(|record| record.resolve(named.qualifier.as_deref(), 1.0));
        found.map(|_| ()).ok_or_else(|| named.not_found())
    }

    /// Lets an invoke run, if it may.
    pub(crate) fn admit(&self, named: &Named) -> Result<Admitted, ApiError> {
        let mut state = self.lock();
        let record = state.functions.get(&named.function).ok_or_else(|| named.not_found())?;
        let chance = glowplug_engine::random_share();
        let configuration =
            record.resolve(named.qualifier.as_deref(), chance).ok_or_else(|| named.not_found())?.clone();
        let room = state.check_room(&named.function, self.0.options.concurrency);
        room.inspect_err(|_| self.throttled(&named.function))?;
        *state.busy.entry(named.function.clone()).or_insert(0) += 1;
        let key = (configuration.function_name.clone(), configuration.version.clone());
        let pool = state.pools.get(&key).cloned();
        let ticket = Ticket { service: self.clone(), function: named.function.clone() };
        Ok(Admitted { configuration, pool, ticket })
    }

    /// The environments of a version, made where there are none.
    pub(crate) fn pool(&self, configuration: Configuration) -> Result<Arc<Pool>, ApiError> {
        let key = (configuration.function_name.clone(), configuration.version.clone());
        if let Some(pool) = self.lock().pools.get(&key) {
            return Ok(Arc::clone(pool));
        }
        // Outside the lock: a runtime may have to be fetched.
        let (spec, keeps) = self.spec(&configuration)?;
        let mut state = self.lock();
        // The function may have been changed meanwhile; this invoke still runs what it was admitted for.
        let current = state.functions.get(&key.0).and_then(|record| record.version(&key.1));
        let stays = current == Some(&configuration);
        let snapshot = self.snapshot(&configuration);
        let pool = Arc::new(Pool::new(configuration, spec, keeps, snapshot));
        if stays {
            return Ok(Arc::clone(state.pools.entry(key).or_insert(pool)));
        }
        pool.retire();
        Ok(pool)
    }

    /// The version as functions and logs tell it.
    fn told_version(&self, configuration: &Configuration) -> String {
        let told = self.0.options.told_version.as_ref().filter(|_| configuration.version == LATEST);
        told.unwrap_or(&configuration.version).clone()
    }

    /// How its environments are made, and what their tree lives by.
    fn spec(
        &self,
        configuration: &Configuration,
    ) -> Result<(EnvironmentSpec, Option<Arc<dyn Any + Send + Sync>>), ApiError> {
        let local = self.lock().local_files(configuration).cloned();
        let mut files = local.unwrap_or_else(|| Files {
            source: None,
            tree: self.0.store.tree(&configuration.code),
            layers: self.0.store.layers_of_tree(&configuration.code),
            keeps: None,
        });
        files.layers.extend(configuration.layers.iter().map(|layer| self.0.store.tree(&layer.code)));
        let python = model::python(&configuration.runtime);
        let own_runtime = python.is_none();
        // Not used where the function brings its own runtime.
        let python = python.unwrap_or(PythonVersion::new(3, 0));
        let runtime = if own_runtime { RuntimeFolder::default() } else { (self.0.runtimes)(python)? };
        let arm = configuration.architecture == Architecture::Arm64.to_string();
        let spec = EnvironmentSpec {
            python: runtime.python,
            packages: runtime.packages,
            own_runtime,
            image: configuration.image.as_ref().map(Image::spec),
            tree: files.tree.clone(),
            layers: files.layers,
            handler: configuration.image.as_ref().map_or(&configuration.handler, Image::handler).clone(),
            function_name: configuration.function_name.clone(),
            identity: Identity { version: self.told_version(configuration), ..Identity::default() },
            python_version: python,
            architecture: if arm { Architecture::Arm64 } else { Architecture::X86_64 },
            memory_mb: configuration.memory_mb,
            temporary_mb: Some(configuration.ephemeral_mb),
            timeout: Duration::from_secs(u64::from(configuration.timeout_s)),
            environment: configuration
                .environment
                .clone()
                .into_iter()
                .chain(configuration.logging.variables())
                .collect(),
            cpu: self.0.options.cpu,
            network: self.0.options.network,
            service_access: configuration.environment.contains_key(SERVICE_ENDPOINT),
            log_group: configuration.logging.group.clone(),
            hidden: self.hidden_from(&configuration.function_name, files.source.as_deref()),
            hash_seed: None,
            extensions: true,
            snapshot: None,
            agent: None,
            write_bytecode: false,
        };
        Ok((spec, files.keeps))
    }

    /// Whether the environments of a configuration are forked from an initialised one.
    pub(crate) fn snapshot(&self, configuration: &Configuration) -> Option<SnapshotSpec> {
        let published = configuration.snap_start && configuration.version != LATEST;
        let wanted = self.0.options.snapshot.clone().or(published.then(SnapshotSpec::default));
        wanted.filter(|_| model::python(&configuration.runtime).is_some())
    }

    /// What a function does not see: the account's own files, and other functions.
    fn hidden_from(&self, function: &str, source: Option<&Utf8Path>) -> Vec<Utf8PathBuf> {
        let state = self.lock();
        let others = state.local.iter().filter(|((name, _), _)| name != function);
        let others = others.flat_map(|(_, files)| files.source.iter().chain([&files.tree]));
        let all = others.chain(&self.0.options.private).chain([self.0.store.folder()]);
        // A function that lies within another one is not hidden from itself.
        all.filter(|path| !source.is_some_and(|source| source.starts_with(path))).cloned().collect()
    }

    /// Ends environments that nobody will use again, on a thread that may wait.
    pub(crate) fn end(&self, pools: Vec<Arc<Pool>>) {
        let waiting: Vec<_> = pools.iter().flat_map(|pool| pool.retire()).collect();
        if !waiting.is_empty() {
            self.0.engine.handle().spawn_blocking(move || drop(waiting));
        }
    }

    /// Ends all environments; what runs is stopped. Returns when nothing of them is left, or after a few seconds.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.0.engine.stop();
        let pools: Vec<_> = std::mem::take(&mut self.lock().pools).into_values().collect();
        let mut waiting: Vec<_> = pools.iter().flat_map(|pool| pool.retire()).collect();
        drop(pools);
        // Extensions have some time to end: all of them at once.
        std::thread::scope(|scope| {
            while !waiting.is_empty() {
                let part = waiting.split_off(waiting.len().saturating_sub(waiting.len().div_ceil(STOPPING)));
                scope.spawn(move || drop(part));
            }
        });
        let deadline = Instant::now() + LAST_PATIENCE;
        // The keeper and invokes that are told that they are interrupted hold the service too.
        while (Arc::strong_count(&self.0) > 1 || self.0.engine.environments() > 0)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl State {
    /// Whether one more invoke of a function may run.
    ///
    /// # Errors
    /// 429 with the reason.
    fn check_room(&self, function: &str, account: u32) -> Result<(), ApiError> {
        let busy = |name: &str| self.busy_of(name);
        let reserved = self.functions.get(function).and_then(|record| record.reserved);
        if let Some(reserved) = reserved {
            if busy(function) >= reserved {
                return Err(ApiError::throttled("ReservedFunctionConcurrentInvocationLimitExceeded"));
            }
            return Ok(());
        }
        let unreserved = self.functions.iter().filter(|(_, record)| record.reserved.is_none());
        let running: u32 = unreserved.map(|(name, _)| busy(name)).sum();
        if running >= account.saturating_sub(self.reserved_total(None)) {
            return Err(ApiError::throttled("ConcurrentInvocationLimitExceeded"));
        }
        Ok(())
    }

    /// Invokes of a function that run now.
    pub(crate) fn busy_of(&self, function: &str) -> u32 {
        self.busy.get(function).copied().unwrap_or(0)
    }

    /// Concurrency that functions have for themselves, one apart.
    pub(crate) fn reserved_total(&self, but: Option<&str>) -> u32 {
        let others = self.functions.iter().filter(|(name, _)| Some(name.as_str()) != but);
        others.filter_map(|(_, record)| record.reserved).sum()
    }

    /// The files of a version, if they are those of a path.
    pub(crate) fn local_files(&self, configuration: &Configuration) -> Option<&Files> {
        let Configuration { function_name, code, .. } = configuration;
        self.local.get(&(function_name.clone(), code.sha256.clone()))
    }

    /// Takes out the environments of a version, or of all: they end when they are dropped, or come back.
    pub(crate) fn retire(&mut self, function: &str, version: Option<&str>) -> Vec<Arc<Pool>> {
        let concerned = |key: &(String, String)| key.0 == function && version.is_none_or(|v| v == key.1);
        let keys: Vec<_> = self.pools.keys().filter(|key| concerned(key)).cloned().collect();
        keys.iter().filter_map(|key| self.pools.remove(key)).collect()
    }
}
