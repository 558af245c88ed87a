//! The values of this room.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, Libc, PythonVersion};

use crate::emulated::Emulated;

/// What the command line says about the function, over what its files say.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Which function of a template with several (`--function`).
    pub function: Option<String>,
    /// `--python`, a version or a path to an interpreter.
    pub python: Option<String>,
    /// `--platform`: the machine, whatever the configuration says.
    pub architecture: Option<Architecture>,
    /// `--memory`, in MB.
    pub memory_mb: Option<u32>,
    /// The output folder, never packaged.
    pub out: Option<Utf8PathBuf>,
    /// `--keep` patterns, added to the configured ones.
    pub keep: Vec<String>,
    /// `--event` files, which replace the configured ones.
    pub events: Vec<Utf8PathBuf>,
    /// With `--rie`, what the environment says in the place of the configuration.
    pub emulated: Emulated,
    /// Whether a folder or zip in which no handler is found is taken all the same, with an empty one.
    pub handler_optional: bool,
}

/// Everything that is known about a function before anything is installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The folder or zip that the user named.
    pub root: Utf8PathBuf,
    /// Folder of the code inside `root` (a template's `CodeUri`); `root` itself without one. For a zip, the zip.
    pub code: Utf8PathBuf,
    /// Its name: configured, else the template's, else the folder's.
    pub name: String,
    /// As Lambda writes it: `app.handler`; empty where there may be none and none was found.
    pub handler: String,
    /// The runtime's minor version.
    pub python: PythonVersion,
    /// The machine type.
    pub architecture: Architecture,
    /// Memory size in MB.
    pub memory_mb: u32,
    /// Longest time of one invoke in seconds.
    pub timeout_s: u32,
    /// Its own environment variables.
    pub environment: BTreeMap<String, String>,
    /// The file that uv installs from, if there is one and the dependencies are not there already.
    pub requirements: Option<Utf8PathBuf>,
    /// Folders or zips that will be under `/opt`.
    pub layers: Vec<Utf8PathBuf>,
    /// In the order of the configuration, weights summing to 1.
    pub events: Vec<Event>,
    /// `[verify]`.
    pub verify: VerifyConfig,
    /// `[package]`.
    pub package: PackageConfig,
    /// Files and folders that never ship, relative to `code`: the output folder, the configuration, configured events.
    /// What development tools keep for themselves (`.git`, virtual environments, …) stays behind wherever it is.
    pub excluded: Vec<Utf8PathBuf>,
    /// Things worth telling the user that are no errors.
    pub notes: Vec<String>,
}

/// An event that is replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The key in JSON.
    pub name: String,
    /// Where it was read from.
    pub path: Option<Utf8PathBuf>,
    /// JSON text.
    pub payload: Vec<u8>,
    /// Share of first requests, 0 to 1.
    pub weight: f64,
}

/// `[verify]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyConfig {
    /// What a replayed function may reach.
    pub network: Network,
    /// A command that starts what the function needs locally.
    pub setup: Option<String>,
    /// JSONPaths left out of the comparison.
    pub ignore: Vec<String>,
    /// Go on where an event's whole payload varies by itself.
    pub accept_unproved: bool,
    /// The user's own tests, run on the built tree.
    pub command: Option<String>,
}

/// What a replayed function may reach over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Loopback alone.
    #[default]
    Deny,
    /// Everything.
    Allow,
}

/// `[package]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageConfig {
    /// Whether uv may build from source distributions.
    pub build_from_source: bool,
    /// Distributions that the Lambda runtime brings.
    pub runtime_provided: Vec<String>,
    /// Patterns of files that are never dropped.
    pub keep: Vec<String>,
    /// The C library of the system that the package is for.
    pub libc: Libc,
}

/// An interpreter on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The executable itself, links resolved.
    pub path: Utf8PathBuf,
    /// Its minor version.
    pub version: PythonVersion,
    /// For example `3.12.1`.
    pub full_version: String,
}

/// What starts a function: an interpreter and the runtime client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The interpreter that was found.
    pub interpreter: Interpreter,
    /// `bin/python` of an empty virtual environment of it, in the cache.
    pub python: Utf8PathBuf,
    /// Folder that holds `awslambdaric` and what it needs, in the cache.
    pub packages: Utf8PathBuf,
    /// Version of `awslambdaric`.
    pub client_version: String,
}

/// The function as Lambda would have it in `/var/task`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The folder.
    pub root: Utf8PathBuf,
    /// Paths of the user's own files, relative to the root.
    pub user_files: BTreeSet<Utf8PathBuf>,
    /// Unpacked layers, in the order of the configuration; later ones go over earlier ones under `/opt`.
    pub layers: Vec<Utf8PathBuf>,
    /// SHA-256 over the sorted paths, modes, link targets and contents of the tree and the layers, as hex.
    pub digest: String,
}
