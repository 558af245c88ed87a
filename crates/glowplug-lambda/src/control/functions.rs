//! Functions: made, shown, changed, removed.

use std::collections::BTreeMap;

use base64::Engine as _;
use glowplug_core::ErrorClass;
use glowplug_engine::{LATEST, uuid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, page};
use crate::error::{ApiError, Code};
use crate::model::{self, Configuration, LayerUse, Layers, Logging, Record};
use crate::names::{Named, is_word};
use crate::service::{Service, State};
use crate::time;

/// Bounds of the memory size in MB ("Lambda quotas" in the developer guide).
const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;

/// Bounds of the timeout in seconds (the same page).
const TIMEOUT_S: std::ops::RangeInclusive<u32> = 1..=900;

/// Bounds of `/tmp` in MB (the same page).
const EPHEMERAL_MB: std::ops::RangeInclusive<u32> = 512..=10_240;

/// Layers of a function (the same page).
const MOST_LAYERS: usize = 5;

/// Bytes of names and values of environment variables together (the same page).
const MOST_VARIABLES: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variables {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ephemeral {
    size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingInput {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
}

/// Where code comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CodeInput {
    pub(super) zip_file: Option<String>,
    pub(super) s3_bucket: Option<String>,
    pub(super) image_uri: Option<String>,
}

/// What `CreateFunction` and `UpdateFunctionConfiguration` have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<Variables>,
    ephemeral_storage: Option<Ephemeral>,
    logging_config: Option<LoggingInput>,
    layers: Option<Vec<String>>,
    revision_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Creation {
    function_name: Option<String>,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    code: CodeInput,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CodeUpdate {
    #[serde(flatten)]
    code: CodeInput,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
}

impl Service {
    /// `CreateFunction`.
    pub(crate) fn create_function(&self, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Creation = body(bytes)?;
        let named = Named::parse(input.function_name.as_deref().unwrap_or_default(), None)?;
        if input.package_type.as_deref() == Some("Image") || input.code.image_uri.is_some() {
            return Err(ApiError::invalid("Images are not run here: create the function from a zip."));
        }
        let missing = |member: &str| ApiError::constraint("null", member, "not be null");
        let settings = &input.settings;
        let mut configuration = Configuration {
            function_name: named.function.clone(),
            version: LATEST.to_owned(),
            runtime: settings.runtime.clone().ok_or_else(|| missing("runtime"))?,
            role: settings.role.clone().ok_or_else(|| missing("role"))?,
            handler: settings.handler.clone().ok_or_else(|| missing("handler"))?,
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            environment: BTreeMap::new(),
            architecture: architecture(input.architectures.as_deref())?
                .unwrap_or_else(|| "x86_64".to_owned()),
            ephemeral_mb: 512,
            logging: Logging::default(),
            code: model::Code { sha256: String::new(), bytes: 0 },
            layers: Vec::new(),
            last_modified: String::new(),
            revision: String::new(),
        };
        settings.apply(&mut configuration)?;
        if let Some(arns) = &settings.layers {
            configuration.layers = self.lock().layer_uses(arns)?;
        }
        let exists = || ApiError::conflict(format!("Function already exist: {}", named.function));
        if self.lock().functions.contains_key(&named.function) {
            return Err(exists());
        }
        configuration.code = self.keep(&input.code)?;
        touch(&mut configuration);
        let mut record = Record::new(configuration.clone(), input.tags);
        if input.publish {
            configuration = record.publish(None);
        }
        let mut state = self.lock();
        if state.functions.contains_key(&named.function) {
            return Err(exists());
        }
        self.0.store.put(&named.function, Some(&record))?;
        state.functions.insert(named.function, record);
        Ok(configuration.shown(input.publish))
    }

    /// `GetFunction`.
    pub(crate) fn get_function(&self, named: &Named) -> Result<Value, ApiError> {
        self.look(named, |record| {
            let configuration = record
                .resolve(named.qualifier.as_deref(), 1.0)
                .ok_or_else(|| named.unqualified_not_found())?;
            let zip = self.0.store.zip(&configuration.code);
            let mut shown = json!({
                "Configuration": configuration.shown(named.qualifier.is_some()),
                "Code": {"RepositoryType": "S3", "Location": format!("file://{zip}")},
            });
            if !record.tags.is_empty() {
                shown["Tags"] = json!(record.tags);
            }
            if let Some(reserved) = record.reserved {
                shown["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
            }
            Ok(shown)
        })
    }

    /// `GetFunctionConfiguration`.
    pub(crate) fn get_configuration(&self, named: &Named) -> Result<Value, ApiError> {
        self.look(named, |record| {
            let configuration = record.resolve(named.qualifier.as_deref(), 1.0);
            let configuration = configuration.ok_or_else(|| named.unqualified_not_found())?;
            Ok(configuration.shown(named.qualifier.is_some()))
        })
    }

    /// `ListFunctions`.
    pub(crate) fn list_functions(
        &self,
        all_versions: bool,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        let state = self.lock();
        let mut shown = Vec::new();
        for record in state.functions.values() {
            shown.push(record.latest.shown(all_versions));
            if all_versions {
                shown.extend(record.versions.values().map(|configuration| configuration.shown(true)));
            }
        }
        page("Functions", shown, marker, most)
    }

    /// `UpdateFunctionCode`.
    pub(crate) fn update_code(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: CodeUpdate = body(bytes)?;
        self.look(named, |_| Ok(()))?;
        let code = self.keep(&input.code)?;
        let architecture = architecture(input.architectures.as_deref())?;
        let apply = |record: &mut Record| {
            check_revision(&record.latest, input.revision_id.as_deref())?;
            record.latest.code = code;
            if let Some(architecture) = architecture {
                record.latest.architecture = architecture;
            }
            touch(&mut record.latest);
            Ok(if input.publish { record.publish(None) } else { record.latest.clone() })
        };
        let configuration = if input.dry_run {
            self.look(named, |record| apply(&mut record.clone()))?
        } else {
            self.change(named, Some(LATEST), apply)?
        };
        Ok(configuration.shown(input.publish))
    }

    /// `UpdateFunctionConfiguration`.
    pub(crate) fn update_configuration(&self, named: &Named, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Settings = body(bytes)?;
        let layers = input.layers.as_ref().map(|arns| self.lock().layer_uses(arns)).transpose()?;
        self.change(named, Some(LATEST), |record| {
            check_revision(&record.latest, input.revision_id.as_deref())?;
            input.apply(&mut record.latest)?;
            if let Some(layers) = layers {
                record.latest.layers = layers;
            }
            touch(&mut record.latest);
            Ok(record.latest.shown(false))
        })
    }

    /// `DeleteFunction`: a version where one is named, else all of it.
    pub(crate) fn delete_function(&self, named: &Named) -> Result<(), ApiError> {
        if let Some(version) = &named.qualifier {
            let number = version.parse::<u64>().ok();
            // As it is written everywhere else.
            let version = &number.map_or_else(|| version.clone(), |number| number.to_string());
            return self.change(named, Some(version), |record| {
                if version == LATEST {
                    return Err(ApiError::invalid(
                        "$LATEST version cannot be deleted without deleting the function.",
                    ));
                }
                let uses =
                    |alias: &model::Alias| &alias.version == version || alias.weights.contains_key(version);
                if record.aliases.values().any(uses) {
                    return Err(ApiError::conflict(format!(
                        "Version {version} of the function is in use by an alias."
                    )));
                }
                let Some(number) = number else {
                    return Err(ApiError::invalid("Deletion of aliases is not currently supported."));
                };
                record.versions.remove(&number);
                record.forget(version);
                Ok(())
            });
        }
        let mut state = self.lock();
        if !state.functions.contains_key(&named.function) {
            return Err(named.unqualified_not_found());
        }
        self.0.store.put(&named.function, None)?;
        state.functions.remove(&named.function);
        let retired = state.retire(&named.function, None);
        drop(state);
        self.end(retired);
        Ok(())
    }

    /// Takes the zip of a request in.
    pub(super) fn keep(&self, code: &CodeInput) -> Result<model::Code, ApiError> {
        let Some(text) = &code.zip_file else {
            let told = if code.s3_bucket.is_some() {
                "There is no S3 here: give the zip's bytes (ZipFile)."
            } else {
                "Please provide a source for function code."
            };
            return Err(ApiError::invalid(told));
        };
        let zip = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| {
            ApiError::new(
                Code::InvalidRequestContent,
                "Could not parse request body into json: ZipFile is no base64",
            )
        })?;
        if zip.len() as u64 > glowplug_package::DIRECT_UPLOAD_LIMIT {
            return Err(ApiError::new(
                Code::RequestTooLarge,
                format!("Request must be smaller than {} bytes", glowplug_package::DIRECT_UPLOAD_LIMIT),
            ));
        }
        self.0.store.keep(&zip).map_err(|error| match error.class() {
            ErrorClass::Surroundings => ApiError::from(error),
            _ => ApiError::invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ),
        })
    }
}

impl State {
    /// The layers that are named.
    fn layer_uses(&self, arns: &[String]) -> Result<Vec<LayerUse>, ApiError> {
        if arns.len() > MOST_LAYERS {
            return Err(ApiError::invalid(format!(
                "Function cannot have more than {MOST_LAYERS} layers attached."
            )));
        }
        let find = |arn: &String| {
            let version = Layers::find(&self.layers, arn)
                .ok_or_else(|| ApiError::invalid(format!("Layer version {arn} does not exist.")))?;
            Ok(LayerUse { arn: arn.clone(), code: version.code.clone() })
        };
        arns.iter().map(find).collect()
    }
}

impl Settings {
    /// Enters what was given.
    fn apply(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
        if let Some(runtime) = &self.runtime {
            if model::python(runtime).is_none() && !model::PROVIDED.contains(&runtime.as_str()) {
                return Err(ApiError::invalid(format!(
                    "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [python3.9, python3.10, python3.11, python3.12, python3.13, python3.14, provided.al2, provided.al2023] or be a valid ARN"
                )));
            }
            configuration.runtime.clone_from(runtime);
        }
        if let Some(handler) = &self.handler
            && (handler.is_empty()
                || handler.len() > 128
                || handler.contains(|c: char| c.is_whitespace() || c == '\0'))
        {
            let must =
                "satisfy regular expression pattern: [^\\s]+ and have length less than or equal to 128";
            return Err(ApiError::constraint(handler, "handler", must));
        }
        for (given, member) in [
            (&self.role, &mut configuration.role),
            (&self.handler, &mut configuration.handler),
            (&self.description, &mut configuration.description),
        ] {
            if let Some(given) = given {
                member.clone_from(given);
            }
        }
        for (given, member, name, bounds) in [
            (self.timeout, &mut configuration.timeout_s, "timeout", TIMEOUT_S),
            (self.memory_size, &mut configuration.memory_mb, "memorySize", MEMORY_MB),
            (
                self.ephemeral_storage.as_ref().map(|storage| storage.size),
                &mut configuration.ephemeral_mb,
                "ephemeralStorage.size",
                EPHEMERAL_MB,
            ),
        ] {
            let Some(given) = given else { continue };
            let (least, most) = bounds.into_inner();
            if given < least {
                let must = format!("have value greater than or equal to {least}");
                return Err(ApiError::constraint(&given.to_string(), name, &must));
            }
            if given > most {
                let must = format!("have value less than or equal to {most}");
                return Err(ApiError::constraint(&given.to_string(), name, &must));
            }
            *member = given;
        }
        if let Some(logging) = &self.logging_config {
            configuration.logging = logging.checked()?;
        }
        if let Some(environment) = &self.environment {
            check_variables(&environment.variables)?;
            configuration.environment.clone_from(&environment.variables);
        }
        Ok(())
    }
}

impl LoggingInput {
    fn checked(&self) -> Result<Logging, ApiError> {
        let json = match self.log_format.as_deref() {
            None | Some("Text") => false,
            Some("JSON") => true,
            Some(other) => {
                let must = "satisfy enum value set: [JSON, Text]";
                return Err(ApiError::constraint(other, "loggingConfig.logFormat", must));
            }
        };
        for (level, known, name) in [
            (
                &self.application_log_level,
                &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"][..],
                "loggingConfig.applicationLogLevel",
            ),
            (&self.system_log_level, &["DEBUG", "INFO", "WARN"][..], "loggingConfig.systemLogLevel"),
        ] {
            let Some(level) = level else { continue };
            if !known.contains(&level.as_str()) {
                let must = format!("satisfy enum value set: [{}]", known.join(", "));
                return Err(ApiError::constraint(level, name, &must));
            }
            if !json {
                return Err(ApiError::invalid(
                    "Your LoggingConfig is invalid: log levels can only be set where LogFormat is JSON.",
                ));
            }
        }
        Ok(Logging {
            json,
            application_level: self.application_log_level.clone(),
            system_level: self.system_log_level.clone(),
        })
    }
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_VARIABLES {
        return Err(ApiError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {bytes}"
        )));
    }
    if let Some(name) = variables.iter().find(|(_, value)| value.contains('\0')).map(|(name, _)| name) {
        return Err(ApiError::invalid(format!(
            "The value of the environment variable {name} holds a zero byte."
        )));
    }
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| glowplug_engine::is_reserved(name)).collect();
    if !reserved.is_empty() {
        return Err(ApiError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    let bad = variables.keys().find(|name| {
        !is_word(name) || name.contains('-') || !name.starts_with(|first: char| first.is_ascii_alphabetic())
    });
    match bad {
        Some(name) => Err(ApiError::constraint(
            name,
            "environment.variables",
            "satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+",
        )),
        None => Ok(()),
    }
}

/// The one architecture of a list.
fn architecture(given: Option<&[String]>) -> Result<Option<String>, ApiError> {
    match given {
        None | Some([]) => Ok(None),
        Some([one]) if one == "x86_64" || one == "arm64" => Ok(Some(one.clone())),
        Some(others) => Err(ApiError::constraint(
            &format!("[{}]", others.join(", ")),
            "architectures",
            "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]",
        )),
    }
}

fn check_revision(configuration: &Configuration, given: Option<&str>) -> Result<(), ApiError> {
    match given {
        Some(given) if given != configuration.revision => Err(ApiError::stale_revision()),
        _ => Ok(()),
    }
}

/// It has changed now.
fn touch(configuration: &mut Configuration) {
    configuration.last_modified = time::modified(time::now());
    configuration.revision = uuid();
}
