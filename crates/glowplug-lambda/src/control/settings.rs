//! What `CreateFunction` and `UpdateFunctionConfiguration` can set: read, checked, entered. What is not here is refused, with
//! its name.

use std::collections::BTreeMap;

use glowplug_core::PythonVersion;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::image::ImageConfig;
use crate::model::{Configuration, FileSystem, LayerUse, Layers, Logging, PROVIDED, Vpc, python};
use crate::names::{Named, is_word};
use crate::service::State;

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

/// Longest description (`Description` of the service model).
const LONGEST_DESCRIPTION: usize = 256;

/// The first runtime that takes SnapStart, and the largest `/tmp` with it ("Supported features and limitations" of
/// SnapStart in the developer guide).
const FIRST_SNAP_START: PythonVersion = PythonVersion::new(3, 12);
const SNAP_START_EPHEMERAL_MB: u32 = 512;

/// Members of the service model that are not here, and why: a function that needs one would not be what was asked for.
const ABSENT: [(&str, &str); 7] = [
    ("CodeSigningConfigArn", "there are no code signing configurations here"),
    ("TenancyConfig", "environments are not kept apart by tenant here"),
    ("CapacityProviderConfig", "there are no managed instances here"),
    ("DurableConfig", "there are no durable executions here"),
    ("RuntimeConfig", "there are no runtimes beside Lambda's own for Python here"),
    ("AcceleratorConfig", "there are no accelerators here"),
    ("PublishTo", "versions are published by number alone here"),
];

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
    log_group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tracing {
    mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart {
    apply_on: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetter {
    target_arn: Option<String>,
}

/// What `CreateFunction` and `UpdateFunctionConfiguration` have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    pub(super) runtime: Option<String>,
    pub(super) role: Option<String>,
    pub(super) handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<Variables>,
    ephemeral_storage: Option<Ephemeral>,
    logging_config: Option<LoggingInput>,
    pub(super) layers: Option<Vec<String>>,
    tracing_config: Option<Tracing>,
    snap_start: Option<SnapStart>,
    dead_letter_config: Option<DeadLetter>,
    vpc_config: Option<Vpc>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    file_system_configs: Option<Vec<FileSystem>>,
    pub(super) image_config: Option<ImageConfig>,
    pub(super) revision_id: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl State {
    /// The layers that are named.
    pub(super) fn layer_uses(&self, arns: &[String]) -> Result<Vec<LayerUse>, ApiError> {
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
    pub(super) fn apply(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
        refuse_absent(&self.others)?;
        self.apply_texts(configuration)?;
        self.apply_sizes(configuration)?;
        if let Some(logging) = &self.logging_config {
            configuration.logging = logging.checked()?;
        }
        if let Some(environment) = &self.environment {
            check_variables(&environment.variables)?;
            configuration.environment.clone_from(&environment.variables);
        }
        if let Some(tracing) = &self.tracing_config {
            configuration.traced =
                one_of(tracing.mode.as_deref(), ["PassThrough", "Active"], "tracingConfig.mode")?;
        }
        if let Some(snap_start) = &self.snap_start {
            configuration.snap_start =
                one_of(snap_start.apply_on.as_deref(), ["None", "PublishedVersions"], "snapStart.applyOn")?;
        }
        self.apply_image(configuration)?;
        self.apply_on_aws(configuration)?;
        check_snap_start(configuration)
    }

    /// What belongs to images, and what does not go with them.
    fn apply_image(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
        let config = self.image_config.as_ref();
        let Some(image) = &mut configuration.image else {
            return match config {
                Some(config) if *config != ImageConfig::default() => {
                    Err(ApiError::invalid("ImageConfig: it belongs to functions whose PackageType is Image."))
                }
                _ => Ok(()),
            };
        };
        if self.runtime.is_some() || self.handler.is_some() || self.layers.is_some() {
            return Err(ApiError::invalid(
                "Please don't provide handler or runtime or layer when the intended function PackageType is Image.",
            ));
        }
        if let Some(config) = config {
            config.check()?;
            image.config.clone_from(config);
        }
        image.check_start()
    }

    fn apply_texts(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
        if let Some(runtime) = &self.runtime {
            if python(runtime).is_none() && !PROVIDED.contains(&runtime.as_str()) {
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
        if let Some(description) = &self.description
            && description.chars().count() > LONGEST_DESCRIPTION
        {
            let must = format!("have length less than or equal to {LONGEST_DESCRIPTION}");
            return Err(ApiError::constraint(description, "description", &must));
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
        Ok(())
    }

    fn apply_sizes(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
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
        Ok(())
    }

    /// What means something on AWS alone, and the dead letter target, which may be one of ours. An empty one removes it.
    fn apply_on_aws(&self, configuration: &mut Configuration) -> Result<(), ApiError> {
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        if let Some(dead_letter) = &self.dead_letter_config {
            configuration.dead_letter = dead_letter.target_arn.as_ref().and_then(filled);
        }
        if configuration.dead_letter.as_deref().is_some_and(|target| is_itself(target, configuration)) {
            return Err(ApiError::invalid("The function cannot be its own dead letter target."));
        }
        if let Some(key) = &self.kms_key_arn {
            configuration.on_aws.kms_key = filled(key);
        }
        if let Some(vpc) = &self.vpc_config {
            if vpc.subnet_ids.is_empty() != vpc.security_group_ids.is_empty() {
                return Err(ApiError::invalid(
                    "SubnetIds and SecurityIds must coexist or be both empty list.",
                ));
            }
            configuration.on_aws.vpc = (!vpc.subnet_ids.is_empty()).then(|| vpc.clone());
        }
        if let Some(file_systems) = &self.file_system_configs {
            configuration.on_aws.file_systems.clone_from(file_systems);
        }
        Ok(())
    }
}

/// Whether a target is the function of a configuration.
fn is_itself(target: &str, configuration: &Configuration) -> bool {
    Named::parse(target, None).is_ok_and(|named| named.function == configuration.function_name)
}

/// Whether the second of two words was given.
fn one_of(given: Option<&str>, words: [&str; 2], member: &str) -> Result<bool, ApiError> {
    match given {
        Some(word) if words.contains(&word) => Ok(word == words[1]),
        None => Ok(false),
        Some(other) => {
            let must = format!("satisfy enum value set: [{}]", words.join(", "));
            Err(ApiError::constraint(other, member, &must))
        }
    }
}

/// Refuses members that are not here; those that say nothing pass.
pub(super) fn refuse_absent(others: &BTreeMap<String, Value>) -> Result<(), ApiError> {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::Object(members) => !members.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    match ABSENT.iter().find(|(member, _)| others.get(*member).is_some_and(says)) {
        Some((member, why)) => Err(ApiError::invalid(format!("{member}: {why}."))),
        None => Ok(()),
    }
}

/// What SnapStart cannot be together with.
fn check_snap_start(configuration: &Configuration) -> Result<(), ApiError> {
    if !configuration.snap_start {
        return Ok(());
    }
    if configuration.image.is_some() {
        return Err(ApiError::invalid(
            "SnapStart is not supported for functions whose PackageType is Image.",
        ));
    }
    if python(&configuration.runtime).is_none_or(|python| python < FIRST_SNAP_START) {
        let runtime = &configuration.runtime;
        return Err(ApiError::invalid(format!(
            "{runtime} is not supported for SnapStart enabled functions."
        )));
    }
    if configuration.ephemeral_mb > SNAP_START_EPHEMERAL_MB {
        return Err(ApiError::invalid(format!(
            "EphemeralStorage of more than {SNAP_START_EPHEMERAL_MB} MB is not supported for SnapStart enabled functions."
        )));
    }
    if !configuration.on_aws.file_systems.is_empty() {
        return Err(ApiError::invalid(
            "FileSystemConfigs are not supported for SnapStart enabled functions.",
        ));
    }
    Ok(())
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
        if let Some(group) = &self.log_group
            && !(1..=512).contains(&group.len())
        {
            let must = "have length between 1 and 512";
            return Err(ApiError::constraint(group, "loggingConfig.logGroup", must));
        }
        Ok(Logging {
            json,
            group: self.log_group.clone(),
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
