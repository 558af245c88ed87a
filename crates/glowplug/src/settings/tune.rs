//! What `glowplug tune` is asked for, read from its flags.

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_capacity::Prices;
use glowplug_cli::{Target, Toggle, TuneArgs};
use glowplug_core::{Error, Result};
use glowplug_function::LoadOptions;
use glowplug_optimize::{BuildOptions, ChoiceOptions, Objective, PlanSource, TuneOptions};

use super::Common;

/// The region whose prices the built-in table has.
const PRICED_REGION: &str = "us-east-1";

/// The user's table of prices, else the built-in one.
pub(super) fn read_prices(path: Option<&Utf8Path>) -> Result<Prices> {
    match path {
        Some(path) => Prices::parse(&fs_err::read_to_string(path)?, path.as_str()),
        None => Prices::built_in(),
    }
}

/// The region whose prices count.
pub(super) fn priced_region(named: Option<String>) -> String {
    named.unwrap_or_else(|| PRICED_REGION.to_owned())
}

/// What `glowplug tune` does.
#[derive(Debug, Clone)]
pub(crate) struct Tune {
    pub(crate) path: Utf8PathBuf,
    pub(crate) load: LoadOptions,
    pub(crate) options: TuneOptions,
    pub(crate) choice: ChoiceOptions,
    pub(crate) apply: bool,
    pub(crate) yes: bool,
    pub(crate) html: Option<Utf8PathBuf>,
    pub(crate) export: Vec<String>,
    /// Where the function is, if that is not this machine.
    pub(crate) aws: Option<Aws>,
}

/// A function behind Lambda's API.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    pub(crate) options: glowplug_cloud::Options,
    /// Payloads; none for an empty event.
    pub(crate) events: Vec<Utf8PathBuf>,
    pub(crate) clean: bool,
}

impl Tune {
    /// Reads the options of `tune`. `init_boost` is the common flag's.
    ///
    /// # Errors
    /// Input: prices that cannot be read. Usage: options of one target with the other.
    pub(crate) fn new(args: TuneArgs, common: &Common) -> Result<Self> {
        let TuneArgs {
            path,
            objective,
            balanced_weight,
            cold_rate,
            tiers,
            grid,
            runs,
            event,
            no_build,
            lazy,
            trim,
            prices,
            region,
            apply,
            yes,
            html,
            export,
            target,
            endpoint_url,
            profile,
            clean,
            common: shared,
        } = args;
        let remote = [endpoint_url.is_some(), profile.is_some(), clean].contains(&true);
        if target == Target::Local && remote {
            return Err(Error::usage(
                "`--endpoint-url`, `--profile` and `--clean` are about a function in Lambda",
            )
            .hint("add `--target aws`"));
        }
        if target == Target::Aws && apply {
            return Err(Error::usage("`--apply` writes into the files of a function on this machine")
                .hint("set the size of a function in Lambda where you deploy it from"));
        }
        let prices = read_prices(prices.as_deref())?;
        let aws = (target == Target::Aws).then(|| Aws {
            options: glowplug_cloud::Options {
                function: path.to_string(),
                qualifier: None,
                region: region.clone(),
                profile,
                endpoint_url,
            },
            events: event.clone(),
            clean,
        });
        let build = BuildOptions {
            // Nothing is written there.
            out: "glowplug-out".into(),
            lazy: super::lazy_level(lazy),
            trim: super::trim_level(trim),
            objective: Objective::Balanced,
            holdout: Vec::new(),
            plan: PlanSource::Auto,
            fresh: false,
            verify: true,
            runs: None,
            cpu: glowplug_engine::Cpu::Unlimited,
            traces: false,
            zip: true,
            image: None,
            bandwidth_mbit: None,
        };
        Ok(Self {
            aws,
            load: LoadOptions {
                function: common.function.clone(),
                python: common.python.clone(),
                memory_mb: common.memory_mb,
                out: Some(build.out.clone()),
                events: event,
                ..LoadOptions::default()
            },
            path,
            options: TuneOptions {
                build: (!no_build).then_some(build),
                python: common.python.clone(),
                share: common.cpu != glowplug_engine::Cpu::Unlimited,
                init_boost: shared.init_boost == Toggle::On,
            },
            choice: ChoiceOptions {
                sizes: tiers,
                grid,
                runs,
                objective: super::objective(objective),
                balanced_weight,
                cold_rate,
                prices,
                region: priced_region(region),
            },
            apply,
            yes,
            html,
            export,
        })
    }
}
