//! Merges configuration, template and defaults into a [`Function`], every value checked.

use camino::{Utf8Path, Utf8PathBuf};
use globset::Glob;
use glowplug_core::{Architecture, Error, PythonVersion, Result};

use super::config::{ConfigFile, Plain};
use super::source::Source;
use super::{Found, defaults, events, handler};
use crate::{Event, Function, LoadOptions, Network, PackageConfig, VerifyConfig, emulated, interpreter};

/// Lambda's range of memory sizes in MB, and what a function without one gets.
const MEMORY_MB: (u32, u32, u32) = (128, 10_240, 128);
/// Lambda's range of timeouts in seconds, and what a function without one gets.
const TIMEOUT_S: (u32, u32, u32) = (1, 900, 3);
/// Files of ours at the top of a folder.
const OURS: [&str; 2] = ["glowplug.toml", "glowplug.lock"];
/// The output folder by default; recognised by the plan in it.
const OUT: &str = "glowplug-out";
/// Variables that Lambda sets itself and refuses in a configuration: "Using Lambda environment variables",
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
const RESERVED: [&str; 8] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "TZ",
];

pub(super) fn merge(found: Found, options: &LoadOptions) -> Result<Function> {
    Merger { found, options }.merge()
}

struct Merger<'a> {
    found: Found,
    options: &'a LoadOptions,
}

impl Merger<'_> {
    fn merge(mut self) -> Result<Function> {
        let mut notes = std::mem::take(&mut self.found.notes);
        notes.extend(self.found.template.iter().flat_map(|template| template.notes.iter().cloned()));
        let python = self.python(&mut notes)?;
        let name = self.name()?;
        let architecture = self.architecture()?;
        let memory_mb = self.memory()?;
        let timeout_s = self.timeout()?;
        let layers = self.layers()?;
        let requirements = self.requirements(&mut notes)?;
        let handler = self.handler(python, requirements.is_some() || !layers.is_empty(), &mut notes)?;
        let events = self.events()?;
        let verify = self.verify()?;
        let package = self.package()?;
        let excluded = self.excluded();
        let environment = self.environment(&mut notes);
        let Found { root, code, .. } = self.found;
        Ok(Function {
            root,
            code,
            name,
            handler,
            python,
            architecture,
            memory_mb,
            timeout_s,
            environment,
            requirements,
            layers,
            events,
            verify,
            package,
            excluded,
            notes,
        })
    }

    fn config(&self) -> Option<&ConfigFile> {
        self.found.config.as_ref()
    }

    fn name(&self) -> Result<String> {
        let configured = self.config().and_then(|file| Some((file, file.config.name.as_ref()?)));
        let given = match (&self.options.emulated.name, configured) {
            (Some(name), _) => Some((name, emulated::NAME.to_owned())),
            (None, configured) => configured.map(|(file, name)| (name.get_ref(), file.place(name))),
        };
        if let Some((text, place)) = given {
            let fits = !text.is_empty()
                && text.len() <= defaults::LONGEST_NAME
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if !fits {
                return Err(Error::input(format!("`{text}` is not a name that Lambda takes"))
                    .place(place)
                    .hint(format!("use up to {} letters, digits, `-` and `_`", defaults::LONGEST_NAME)));
            }
            return Ok(text.clone());
        }
        if let Some(template) = &self.found.template {
            return Ok(defaults::sanitised(&template.name));
        }
        let path = self.found.root.canonicalize_utf8().unwrap_or_else(|_| self.found.root.clone());
        let name = if path.is_file() { path.file_stem() } else { path.file_name() };
        Ok(defaults::sanitised(name.unwrap_or_default()))
    }

    fn python(&self, notes: &mut Vec<String>) -> Result<PythonVersion> {
        let located = |text: &str, place: String| match text.parse::<PythonVersion>() {
            Ok(version) => Ok((version, place)),
            Err(error) => Err(error.place(place)),
        };
        let configured = self.config().and_then(|file| Some((file, file.config.python.as_ref()?)));
        let template =
            self.found.template.as_ref().and_then(|template| Some((template, template.runtime.as_ref()?)));
        let (version, place) = match (&self.options.python, configured, template) {
            (Some(requested), ..) if interpreter::is_path(requested) => {
                (interpreter::at(Utf8Path::new(requested))?.version, "--python".to_owned())
            }
            (Some(requested), ..) => located(requested, "--python".to_owned())?,
            (None, Some((file, value)), _) => located(value.get_ref(), file.place(value))?,
            (None, None, Some((template, runtime))) => located(runtime, template.place.clone())?,
            (None, None, None) => (defaults::python(&self.found.source, notes)?, self.found.root.to_string()),
        };
        if version < PythonVersion::OLDEST || version.major != PythonVersion::OLDEST.major {
            return Err(Error::input(format!("Python {version} is not supported"))
                .place(place)
                .hint(format!("the oldest version that is supported is {}", PythonVersion::OLDEST)));
        }
        Ok(version)
    }

    fn architecture(&self) -> Result<Architecture> {
        if let Some(asked) = self.options.architecture {
            return Ok(asked);
        }
        if let Some((file, value)) =
            self.config().and_then(|file| Some((file, file.config.architecture.as_ref()?)))
        {
            return value.get_ref().parse().map_err(|error: Error| error.place(file.place(value)));
        }
        if let Some((template, value)) =
            self.found.template.as_ref().and_then(|t| Some((t, t.architecture.as_ref()?)))
        {
            return value.parse().map_err(|error: Error| error.place(template.place.clone()));
        }
        // Lambda's own default, where a template leaves it out.
        let standard =
            if self.found.template.is_some() { Some(Architecture::X86_64) } else { Architecture::host() };
        Ok(standard.unwrap_or(Architecture::X86_64))
    }

    fn memory(&self) -> Result<u32> {
        let configured = self.config().and_then(|file| Some((file, file.config.memory.as_ref()?)));
        let (value, place) = match (self.options.memory_mb, self.options.emulated.memory_mb, configured) {
            (Some(value), ..) => (value, "--memory".to_owned()),
            (None, Some(value), _) => (value, emulated::MEMORY.to_owned()),
            (None, None, Some((file, value))) => (*value.get_ref(), file.place(value)),
            (None, None, None) => self.templates(|template| template.memory, MEMORY_MB.2),
        };
        in_range("memory", value, "MB", MEMORY_MB).map_err(|error| error.place(place))
    }

    fn timeout(&self) -> Result<u32> {
        let configured = self.config().and_then(|file| Some((file, file.config.timeout.as_ref()?)));
        let (value, place) = match (self.options.emulated.timeout_s, configured) {
            (Some(value), _) => (value, emulated::TIMEOUT.to_owned()),
            (None, Some((file, value))) => (*value.get_ref(), file.place(value)),
            (None, None) => self.templates(|template| template.timeout, TIMEOUT_S.2),
        };
        in_range("timeout", value, "s", TIMEOUT_S).map_err(|error| error.place(place))
    }

    fn templates(&self, value: impl Fn(&super::Template) -> Option<u32>, standard: u32) -> (u32, String) {
        match &self.found.template {
            Some(template) => (value(template).unwrap_or(standard), template.place.clone()),
            None => (standard, String::new()),
        }
    }

    fn layers(&self) -> Result<Vec<Utf8PathBuf>> {
        let configured = self.config().filter(|file| !file.config.layers.is_empty());
        let listed: Vec<(Utf8PathBuf, String)> = match (configured, &self.found.template) {
            (Some(file), _) => {
                let layers = file.config.layers.iter();
                layers.map(|layer| (resolved(&file.source, layer.get_ref()), file.place(layer))).collect()
            }
            (None, Some(template)) => {
                let layers = template.layers.iter();
                layers
                    .map(|layer| (super::source::shown(&self.found.root, layer), template.place.clone()))
                    .collect()
            }
            (None, None) => Vec::new(),
        };
        for (layer, place) in &listed {
            if !layer.exists() {
                return Err(Error::input(format!("the layer `{layer}` does not exist")).place(place.as_str()));
            }
        }
        Ok(listed.into_iter().map(|(layer, _)| layer).collect())
    }

    fn requirements(&self, notes: &mut Vec<String>) -> Result<Option<Utf8PathBuf>> {
        if self.found.code.is_file() {
            return Ok(None);
        }
        if let Some((file, value)) =
            self.config().and_then(|file| Some((file, file.config.requirements.as_ref()?)))
        {
            if value.get_ref().as_str().is_empty() {
                return Ok(None);
            }
            let path = resolved(&file.source, value.get_ref());
            if !path.is_file() {
                return Err(Error::input(format!("the requirements file `{path}` does not exist"))
                    .place(file.place(value)));
            }
            return Ok(Some(path));
        }
        if defaults::is_built(&self.found.source) {
            notes.push("the folder holds installed distributions: nothing is installed for it".to_owned());
            return Ok(None);
        }
        defaults::requirements(&self.found.source)
    }

    fn handler(&self, python: PythonVersion, elsewhere: bool, notes: &mut Vec<String>) -> Result<String> {
        let source = &self.found.source;
        let configured = self.config().and_then(|file| Some((file, file.config.handler.as_ref()?)));
        let template =
            self.found.template.as_ref().and_then(|template| Some((template, template.handler.as_ref()?)));
        let (text, place) = match (&self.options.emulated.handler, configured, template) {
            (Some(handler), ..) => (handler.clone(), emulated::HANDLER.to_owned()),
            (None, Some((file, value)), _) => (value.get_ref().clone(), file.place(value)),
            (None, None, Some((template, value))) => (value.clone(), template.place.clone()),
            (None, None, None) => {
                return handler::find(source, python).or_else(|error| {
                    if !self.options.handler_optional {
                        return Err(error);
                    }
                    notes.push(error.to_string());
                    Ok(String::new())
                });
            }
        };
        handler::check(source, &text, python, elsewhere, &place)?;
        Ok(text)
    }

    fn events(&self) -> Result<Vec<Event>> {
        if !self.options.events.is_empty() {
            return events::named(&self.options.events);
        }
        if let Some(file) = self.config().filter(|file| !file.config.event.is_empty()) {
            return events::configured(file);
        }
        let own = events::by_convention(&self.found.source)?;
        // Beside a template of several functions, nothing says whose events they are.
        let shared = self.found.template.as_ref().is_some_and(|template| !template.alone);
        if !own.is_empty() || shared || self.found.root.is_file() {
            return Ok(own);
        }
        events::by_convention(&Source::Folder(self.found.root.clone()))
    }

    fn verify(&self) -> Result<VerifyConfig> {
        let Some(file) = self.config() else { return Ok(VerifyConfig::default()) };
        let verify = &file.config.verify;
        let network = match verify.network.as_ref().map(|value| (value.get_ref().as_str(), value)) {
            None | Some(("deny", _)) => Network::Deny,
            Some(("allow", _)) => Network::Allow,
            Some(("record", value)) => {
                return Err(Error::input("`network = \"record\"` is not available yet")
                    .place(file.place(value))
                    .hint("use `deny`, or `allow` where the function may reach the network during replay"));
            }
            Some((other, value)) => {
                return Err(Error::input(format!("`{other}` is not a network policy"))
                    .place(file.place(value))
                    .hint("use `deny` or `allow`"));
            }
        };
        let command = |text: &String| Some(text.clone()).filter(|text| !text.trim().is_empty());
        Ok(VerifyConfig {
            network,
            setup: command(&verify.setup),
            ignore: verify.ignore.clone(),
            accept_unproved: verify.accept_unproved,
            command: command(&verify.command),
        })
    }

    fn package(&self) -> Result<PackageConfig> {
        let mut package = PackageConfig::default();
        if let Some(file) = self.config() {
            for pattern in &file.config.package.keep {
                check_pattern(pattern.get_ref()).map_err(|error| error.place(file.place(pattern)))?;
                package.keep.push(pattern.get_ref().clone());
            }
            if let Some(libc) = &file.config.package.libc {
                package.libc =
                    libc.get_ref().parse().map_err(|error: Error| error.place(file.place(libc)))?;
            }
            package.build_from_source = file.config.package.build_from_source;
            package.runtime_provided.clone_from(&file.config.package.runtime_provided);
        }
        for pattern in &self.options.keep {
            check_pattern(pattern).map_err(|error| Error::usage(error.message()).place("--keep"))?;
            package.keep.push(pattern.clone());
        }
        Ok(package)
    }

    fn environment(&mut self, notes: &mut Vec<String>) -> std::collections::BTreeMap<String, String> {
        let mut environment =
            self.found.template.take().map(|template| template.environment).unwrap_or_default();
        let configured = self.found.config.as_mut().map(|file| std::mem::take(&mut file.config.environment));
        environment.extend(
            configured.unwrap_or_default().into_iter().map(|(name, value)| (name, Plain::into_text(value))),
        );
        for name in environment.keys() {
            if RESERVED.contains(&name.as_str()) || name.starts_with("AWS_LAMBDA_") {
                notes.push(format!("Lambda sets the variable `{name}` itself and refuses one of that name"));
            }
        }
        environment
    }

    /// Paths below the code that never ship.
    fn excluded(&self) -> Vec<Utf8PathBuf> {
        let Source::Folder(folder) = &self.found.source else { return Vec::new() };
        let mut excluded: Vec<Utf8PathBuf> = OURS.iter().map(Utf8PathBuf::from).collect();
        if folder.join(OUT).join("glowplug.lock").is_file() {
            excluded.push(OUT.into());
        }
        let absolute = camino::absolute_utf8(folder).unwrap_or_else(|_| folder.clone());
        let below = |path: &Utf8Path| {
            let path = camino::absolute_utf8(path).ok()?;
            let inside = path.strip_prefix(&absolute).ok()?;
            (!inside.as_str().is_empty()).then(|| inside.to_owned())
        };
        excluded.extend(self.options.out.as_deref().and_then(below));
        if let Some(file) = self.config() {
            let events = file.config.event.iter().map(|event| event.path.get_ref());
            excluded.extend(events.filter_map(|path| below(&file.source.path(path)?)));
        }
        excluded.sort();
        excluded.dedup();
        excluded
    }
}

/// A configured path, relative to its configuration; in a zip there is nothing outside to point to.
fn resolved(source: &Source, path: &Utf8Path) -> Utf8PathBuf {
    source.path(path).unwrap_or_else(|| path.to_owned())
}

fn in_range(what: &str, value: u32, unit: &str, (low, high, _): (u32, u32, u32)) -> Result<u32> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::input(format!("the {what} {value} {unit} is not in Lambda's range"))
        .hint(format!("use {low} to {high} {unit}")))
}

fn check_pattern(pattern: &str) -> Result<()> {
    Glob::new(pattern)
        .map(|_| ())
        .map_err(|error| Error::input(format!("`{pattern}` is not a pattern")).cause(error.kind()))
}
