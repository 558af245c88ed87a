//! What the command line and the environment say, as the values that the rooms take. Every flag is taken apart by
//! name, so that a new one cannot be forgotten.

mod tune;

use std::time::Duration;

use camino::Utf8PathBuf;

use glowplug_cli::{
    BuildArgs, CommonArgs, Cpu, DoctorArgs, Entrypoint, Format, ImageFormat, Kind, LazyLevel, Objective,
    ServeArgs, SortKey, Start, Toggle, TraceArgs, TrimLevel,
};
use glowplug_core::{Architecture, Cache, Error, Result};
use glowplug_doctor::Selection;
use glowplug_function::{Emulated, LoadOptions};
use glowplug_optimize::{
    self as optimize, BuildOptions, DoctorOptions, FleetSettings, ImageBase, ImageOptions, LayerFormat,
    PlanSource, Reference, TraceOptions,
};
use glowplug_report::TraceOrder;

pub(crate) use tune::{Aws, Tune};

use crate::platforms;

/// What all commands share.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// The interpreter asked for, by version or path.
    pub(crate) python: Option<String>,
    pub(crate) cpu: glowplug_engine::Cpu,
    pub(crate) cache: Cache,
    function: Option<String>,
    memory_mb: Option<u32>,
}

impl Common {
    /// Reads the common options; `variable` gives the environment's variables.
    ///
    /// # Errors
    /// Surroundings, where nothing says where the cache is.
    pub(crate) fn new(args: &CommonArgs, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let CommonArgs {
            format,
            function,
            python,
            memory,
            cpu,
            init_boost,
            cache_dir,
            offline,
            quiet,
            verbose,
            color: _,
        } = args;
        Ok(Self {
            json: *format == Format::Json,
            quiet: *quiet,
            verbose: *verbose,
            python: python.clone(),
            cpu: match cpu {
                Cpu::Unlimited => glowplug_engine::Cpu::Unlimited,
                Cpu::Share => glowplug_engine::Cpu::Share { init_boost: *init_boost == Toggle::On },
            },
            cache: Cache::new(cache_folder(cache_dir.clone(), variable)?, *offline),
            function: function.clone(),
            memory_mb: *memory,
        })
    }
}

/// The folder that was named, else ours in the user's cache folder (XDG Base Directory Specification), absolute:
/// children run elsewhere.
fn cache_folder(
    named: Option<Utf8PathBuf>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Utf8PathBuf> {
    let absolute = |name: &str| variable(name).map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    let folder = named
        .filter(|path| !path.as_str().is_empty())
        .or_else(|| absolute("XDG_CACHE_HOME").map(|path| path.join("glowplug")))
        .or_else(|| absolute("HOME").map(|path| path.join(".cache/glowplug")))
        .ok_or_else(|| {
            Error::surroundings("cannot tell where the cache folder is")
                .cause("neither `XDG_CACHE_HOME` nor `HOME` is set")
                .hint("name one with `--cache-dir DIR`")
        })?;
    camino::absolute_utf8(&folder).map_err(|error| Error::from(error).place(folder.as_str()))
}

/// What `glowplug build` does.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) paths: Vec<Utf8PathBuf>,
    pub(crate) load: LoadOptions,
    pub(crate) options: BuildOptions,
    /// The machines that were asked for, each once; none is the function's own.
    pub(crate) platforms: Vec<Architecture>,
    /// Whether what the functions share is made too, as layers.
    pub(crate) layers: bool,
    /// What the fleet's file says, where one is named.
    pub(crate) fleet: Option<FleetSettings>,
    pub(crate) html: Option<Utf8PathBuf>,
    pub(crate) show: Show,
}

/// What a build shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    /// It builds, and shows the report.
    Report,
    /// The edits; nothing is built.
    Diff,
    /// The decisions about a module; nothing is built.
    Explain(String),
}

impl Build {
    /// Reads the options of a build.
    ///
    /// # Errors
    /// Usage: an option is about one function, or about layers, and the others are not. Input: the fleet's file.
    pub(crate) fn new(args: BuildArgs, common: &Common) -> Result<Self> {
        check_together(&args)?;
        platforms::check(&args)?;
        let BuildArgs {
            path,
            out,
            kind,
            fleet,
            base,
            platform,
            image_format,
            entrypoint,
            push,
            plain_http,
            lazy,
            trim,
            objective,
            keep,
            holdout,
            plan,
            locked,
            update_lock,
            fresh,
            no_verify,
            runs,
            diff,
            explain,
            html,
            bandwidth,
            common: _,
        } = args;
        let platforms = platforms::machines(&platform);
        let plan = match (plan, locked, update_lock) {
            (Some(file), _, _) => PlanSource::File(file),
            (None, true, _) => PlanSource::Locked,
            (None, false, true) => PlanSource::Update,
            (None, false, false) => PlanSource::Auto,
        };
        Ok(Self {
            paths: path,
            layers: kind.contains(&Kind::Layers),
            fleet: fleet.map(|path| FleetSettings::read(&path)).transpose()?,
            load: LoadOptions {
                function: common.function.clone(),
                python: common.python.clone(),
                architecture: platforms.first().copied(),
                memory_mb: common.memory_mb,
                out: Some(out.clone()),
                keep,
                events: Vec::new(),
                emulated: Emulated::default(),
                handler_optional: false,
            },
            options: BuildOptions {
                out,
                lazy: lazy_level(lazy),
                trim: trim_level(trim),
                objective: self::objective(objective),
                holdout,
                plan,
                fresh,
                verify: !no_verify,
                runs,
                cpu: common.cpu,
                traces: html.is_some(),
                zip: kind.iter().any(|kind| *kind != Kind::Image),
                image: if kind.contains(&Kind::Image) {
                    Some(ImageOptions { plain_http, ..image_options(base, image_format, entrypoint, push)? })
                } else {
                    None
                },
                bandwidth_mbit: bandwidth,
            },
            platforms,
            html,
            show: match (diff, explain) {
                (_, Some(module)) => Show::Explain(module),
                (true, None) => Show::Diff,
                (false, None) => Show::Report,
            },
        })
    }
}

/// The image that is asked for.
///
/// # Errors
/// Usage: no base, or a name that no registry could have.
fn image_options(
    base: Option<String>,
    format: ImageFormat,
    entrypoint: Entrypoint,
    push: Option<String>,
) -> Result<ImageOptions> {
    let Some(base) = base else {
        return Err(Error::usage("`--kind image` needs a base").hint(
            "give one with the function's Python: `--base python:3.12-slim`, `oci:FOLDER` or `rootfs:FOLDER`",
        ));
    };
    let base = if let Some(path) = base.strip_prefix("rootfs:") {
        ImageBase::RootFs(path.into())
    } else if let Some(layout) = base.strip_prefix("oci:") {
        match layout.rsplit_once(':') {
            Some((path, image)) if !image.contains('/') => {
                ImageBase::Layout(path.into(), Some(image.to_owned()))
            }
            _ => ImageBase::Layout(layout.into(), None),
        }
    } else {
        ImageBase::Registry(reference(&base)?)
    };
    Ok(ImageOptions {
        base,
        format: match format {
            ImageFormat::Gzip => LayerFormat::Gzip,
            ImageFormat::Estargz => LayerFormat::EStargz,
            ImageFormat::ZstdChunked => LayerFormat::ZstdChunked,
        },
        entrypoint: match entrypoint {
            Entrypoint::Lambda => optimize::Entrypoint::Lambda,
            Entrypoint::Http => optimize::Entrypoint::Http,
        },
        push: push.as_deref().map(reference).transpose()?,
        plain_http: false,
    })
}

fn lazy_level(level: LazyLevel) -> optimize::LazyLevel {
    match level {
        LazyLevel::Off => optimize::LazyLevel::Off,
        LazyLevel::Safe => optimize::LazyLevel::Safe,
        LazyLevel::Balanced => optimize::LazyLevel::Balanced,
        LazyLevel::Aggressive => optimize::LazyLevel::Aggressive,
    }
}

fn trim_level(level: TrimLevel) -> optimize::TrimLevel {
    match level {
        TrimLevel::Off => optimize::TrimLevel::Off,
        TrimLevel::Safe => optimize::TrimLevel::Safe,
        TrimLevel::Reachable => optimize::TrimLevel::Reachable,
        TrimLevel::Observed => optimize::TrimLevel::Observed,
    }
}

fn objective(objective: Objective) -> optimize::Objective {
    match objective {
        Objective::Cost => optimize::Objective::Cost,
        Objective::Speed => optimize::Objective::Speed,
        Objective::Balanced => optimize::Objective::Balanced,
    }
}

/// A name on the command line that no registry could have is wrong usage.
fn reference(text: &str) -> Result<Reference> {
    text.parse().map_err(|error: Error| {
        let usage = Error::usage(error.message()).cause(error.causes().join("; "));
        error.hints().iter().fold(usage, Error::hint)
    })
}

/// Options that are about one function do not go with several, nor those of layers with one.
fn check_together(args: &BuildArgs) -> Result<()> {
    let one = [
        ("--plan", args.plan.is_some()),
        ("--holdout", !args.holdout.is_empty()),
        ("--html", args.html.is_some()),
        ("--bandwidth", args.bandwidth.is_some()),
        ("--diff", args.diff),
        ("--explain", args.explain.is_some()),
        ("--function", args.common.function.is_some()),
        ("--kind image", args.kind.contains(&Kind::Image)),
    ];
    let images = [("--base", args.base.is_some()), ("--push", args.push.is_some())];
    if let Some((name, _)) = images.iter().find(|(_, given)| *given && !args.kind.contains(&Kind::Image)) {
        return Err(
            Error::usage(format!("`{name}` is about an image, and none is made")).hint("add `--kind image`")
        );
    }
    let several = args.path.len() > 1;
    let layers = args.kind.contains(&Kind::Layers);
    if let Some((name, _)) = one.iter().find(|(_, given)| *given && several) {
        return Err(Error::usage(format!("`{name}` is about one function"))
            .cause(format!("{} were given", args.path.len()))
            .hint("build that function by itself"));
    }
    if layers && !several {
        return Err(Error::usage("`--kind layers` makes what several functions share")
            .cause("one was given")
            .hint("name all of them: `glowplug build functions/a functions/b --kind layers`"));
    }
    if args.fleet.is_some() && !layers {
        return Err(Error::usage("`--fleet` is about layers").hint("add `--kind layers`"));
    }
    Ok(())
}

/// What `glowplug trace` does.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) path: Utf8PathBuf,
    pub(crate) load: LoadOptions,
    pub(crate) options: TraceOptions,
    pub(crate) compare: Option<Utf8PathBuf>,
    pub(crate) html: Option<Utf8PathBuf>,
    pub(crate) export: Vec<String>,
    pub(crate) top: usize,
    pub(crate) order: TraceOrder,
    pub(crate) filter: Option<String>,
}

impl Trace {
    /// Reads the options of a trace.
    pub(crate) fn new(args: TraceArgs, common: &Common) -> Self {
        let TraceArgs {
            path,
            runs,
            event,
            top,
            sort,
            filter,
            bandwidth,
            cold_cache,
            compare,
            html,
            export,
            common: _,
        } = args;
        Self {
            path,
            load: LoadOptions {
                function: common.function.clone(),
                python: common.python.clone(),
                architecture: None,
                memory_mb: common.memory_mb,
                events: event,
                ..LoadOptions::default()
            },
            options: TraceOptions {
                python: common.python.clone(),
                runs,
                cpu: common.cpu,
                bandwidth_mbit: bandwidth,
                cold_cache,
            },
            compare,
            html,
            export,
            top,
            order: match sort {
                SortKey::Total => TraceOrder::Total,
                SortKey::Own => TraceOrder::Own,
                SortKey::Start => TraceOrder::Start,
                SortKey::Memory => TraceOrder::Memory,
                SortKey::Unused => TraceOrder::Unused,
            },
            filter,
        }
    }
}

/// What `glowplug doctor` does.
#[derive(Debug, Clone)]
pub(crate) struct Doctor {
    pub(crate) path: Utf8PathBuf,
    pub(crate) options: DoctorOptions,
    /// Rules whose findings are a failure.
    pub(crate) fail_on: Option<Selection>,
}

impl Doctor {
    /// Reads the options of `doctor`.
    ///
    /// # Errors
    /// Usage: a code that no rule has.
    pub(crate) fn new(args: DoctorArgs, common: &Common) -> Result<Self> {
        let DoctorArgs { path, runs, event, select, ignore, fail_on, common: _ } = args;
        let any = fail_on.iter().any(|text| text == "any");
        let fail_on = match fail_on.as_slice() {
            [] => None,
            _ if any => Some(Selection::default()),
            codes => Some(Selection::new(codes, &[])?),
        };
        Ok(Self {
            path,
            options: DoctorOptions {
                load: LoadOptions {
                    function: common.function.clone(),
                    python: common.python.clone(),
                    memory_mb: common.memory_mb,
                    events: event,
                    handler_optional: true,
                    ..LoadOptions::default()
                },
                runs,
                cpu: common.cpu,
                selection: Selection::new(&select, &ignore)?,
            },
            fail_on,
        })
    }
}

/// The options of `serve`.
#[derive(Debug, Clone)]
pub(crate) struct Serve {
    pub(crate) paths: Vec<Utf8PathBuf>,
    pub(crate) load: LoadOptions,
    pub(crate) options: glowplug_lambda::Options,
    pub(crate) port: u16,
    pub(crate) watch: bool,
    pub(crate) price: bool,
    pub(crate) rie: bool,
    pub(crate) warm_event: Option<Utf8PathBuf>,
}

/// Ports of ours, and of AWS's runtime interface emulator in its container's documentation.
const PORT: u16 = 9001;
const EMULATOR_PORT: u16 = 8080;

impl Serve {
    /// Reads the options of `serve`.
    ///
    /// # Errors
    /// Usage: with `--rie`, a variable of the emulator's is no number where it has to be one. Input: prices that cannot be
    /// read.
    pub(crate) fn new(
        args: ServeArgs,
        common: &Common,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let ServeArgs {
            path,
            port,
            idle,
            concurrency,
            state,
            start,
            warm_event,
            watch,
            price,
            prices,
            region,
            rie,
            common: _,
        } = args;
        let emulated = if rie { Emulated::new(variable)? } else { Emulated::default() };
        let told_version = emulated.version.clone();
        Ok(Self {
            paths: path,
            load: LoadOptions {
                function: common.function.clone(),
                python: common.python.clone(),
                memory_mb: common.memory_mb,
                emulated,
                ..LoadOptions::default()
            },
            options: glowplug_lambda::Options {
                state: Some(state),
                idle: Duration::from_secs(idle),
                concurrency,
                cpu: common.cpu,
                network: glowplug_engine::Network::Allow,
                snapshot: (start == Start::Snapshot).then(glowplug_engine::SnapshotSpec::default),
                private: vec![common.cache.trees(), common.cache.bytecode(), common.cache.analysis()],
                credentials: credentials(variable),
                prices: tune::read_prices(prices.as_deref())?,
                priced_region: tune::priced_region(region),
                told_version,
            },
            watch,
            price,
            port: port.unwrap_or(if rie { EMULATOR_PORT } else { PORT }),
            rie,
            warm_event,
        })
    }
}

/// The user's own keys, where the environment has them, as AWS's tools name them.
fn credentials(variable: &dyn Fn(&str) -> Option<String>) -> Option<glowplug_lambda::Credentials> {
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    Some(glowplug_lambda::Credentials {
        key_id: filled("AWS_ACCESS_KEY_ID")?,
        secret: filled("AWS_SECRET_ACCESS_KEY")?,
        token: filled("AWS_SESSION_TOKEN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_it_is_named_else_where_the_user_keeps_caches() {
        let environment = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let both = environment(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]);
        assert_eq!(cache_folder(Some("/named".into()), &both).unwrap(), "/named");
        assert_eq!(cache_folder(None, &both).unwrap(), "/x/glowplug");
        // The specification says to ignore relative paths.
        let relative = environment(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]);
        assert_eq!(cache_folder(None, &relative).unwrap(), "/h/.cache/glowplug");
        let error = cache_folder(None, &environment(&[])).unwrap_err();
        assert!(error.hints()[0].contains("--cache-dir"));
    }
}
