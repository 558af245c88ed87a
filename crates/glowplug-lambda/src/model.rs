//! Functions as they are kept: configurations of versions, aliases, concurrency, and how clients see them.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::PythonVersion;
use glowplug_engine::LATEST;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::image::Image;
use crate::names::qualified_arn;
use crate::policy::Policy;

/// Runtimes for functions that bring their own `bootstrap`.
pub(crate) const PROVIDED: [&str; 2] = ["provided.al2", "provided.al2023"];

/// The version of Python that a runtime's name means, if it means one.
pub(crate) fn python(runtime: &str) -> Option<PythonVersion> {
    runtime.strip_prefix("python")?.parse().ok()
}

/// Everything that an account holds of one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// `$LATEST`.
    pub(crate) latest: Configuration,
    /// Published versions by their numbers.
    pub(crate) versions: BTreeMap<u64, Configuration>,
    /// The number of the next one: numbers are never given twice.
    pub(crate) next_version: u64,
    pub(crate) aliases: BTreeMap<String, Alias>,
    /// Reserved concurrency.
    pub(crate) reserved: Option<u32>,
    /// Provisioned concurrency by version number or alias.
    pub(crate) provisioned: BTreeMap<String, Provisioned>,
    pub(crate) tags: BTreeMap<String, String>,
    /// What becomes of asynchronous invokes, by `$LATEST`, version number or alias.
    pub(crate) events: BTreeMap<String, EventConfiguration>,
    /// Addresses over HTTP, by `$LATEST` or alias.
    #[serde(default)]
    pub(crate) urls: BTreeMap<String, Url>,
    /// Who may use it, by `$LATEST` for the function itself, version number or alias; none of them is empty.
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// An address of a function over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Url {
    /// Whether requests must be signed.
    pub(crate) signed: bool,
    /// `RESPONSE_STREAM` in place of `BUFFERED`.
    pub(crate) streams: bool,
    /// `Cors` of the service model, as it was given.
    pub(crate) cors: Option<Value>,
    pub(crate) created: String,
    pub(crate) last_modified: String,
}

/// What becomes of asynchronous invokes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventConfiguration {
    /// Times that a failed event is run again.
    pub(crate) retries: u32,
    /// How old an event may get, in seconds.
    pub(crate) age_s: u32,
    /// Where the records of those go that failed for good: a function's ARN, or `file:///PATH`.
    pub(crate) on_failure: Option<String>,
    /// And of those that succeeded.
    #[serde(default)]
    pub(crate) on_success: Option<String>,
    /// In seconds since 1970.
    pub(crate) last_modified_s: u64,
}

impl Default for EventConfiguration {
    /// Lambda's own: two retries within six hours.
    fn default() -> Self {
        Self { retries: 2, age_s: 21_600, on_failure: None, on_success: None, last_modified_s: 0 }
    }
}

/// The configuration of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) function_name: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    /// `python3.12`.
    pub(crate) runtime: String,
    pub(crate) role: String,
    pub(crate) handler: String,
    pub(crate) description: String,
    pub(crate) timeout_s: u32,
    pub(crate) memory_mb: u32,
    pub(crate) environment: BTreeMap<String, String>,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: String,
    /// Size of `/tmp` in MB.
    pub(crate) ephemeral_mb: u32,
    #[serde(default)]
    pub(crate) logging: Logging,
    pub(crate) code: Code,
    /// Set where the code is an image; there is no runtime and no handler then.
    #[serde(default)]
    pub(crate) image: Option<Image>,
    /// Later ones over earlier ones.
    #[serde(default)]
    pub(crate) layers: Vec<LayerUse>,
    /// Whether requests are traced (`TracingConfig`: `Active` in place of `PassThrough`).
    #[serde(default)]
    pub(crate) traced: bool,
    /// Whether published versions start from a snapshot (`SnapStart`: `PublishedVersions` in place of `None`); said of
    /// `$LATEST`, it is so for what is published of it.
    #[serde(default)]
    pub(crate) snap_start: bool,
    /// Where asynchronous events go that failed for good.
    #[serde(default)]
    pub(crate) dead_letter: Option<String>,
    #[serde(default)]
    pub(crate) on_aws: OnAws,
    /// ISO 8601 with milliseconds and the offset, as Lambda writes it.
    pub(crate) last_modified: String,
    pub(crate) revision: String,
}

/// What means something on AWS alone: kept and shown, so that what sets it goes on working.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OnAws {
    pub(crate) vpc: Option<Vpc>,
    /// The key of the environment's variables.
    pub(crate) kms_key: Option<String>,
    /// The key of the zip.
    pub(crate) source_key: Option<String>,
    pub(crate) file_systems: Vec<FileSystem>,
}

/// `VpcConfig` of the service model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Vpc {
    pub(crate) subnet_ids: Vec<String>,
    pub(crate) security_group_ids: Vec<String>,
    ipv6_allowed_for_dual_stack: bool,
}

/// `FileSystemConfig` of the service model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FileSystem {
    arn: String,
    local_mount_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s3_files_config: Option<Value>,
}

/// How a version logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Logging {
    /// JSON in place of text.
    pub(crate) json: bool,
    /// The least level of the function's own lines, for JSON.
    pub(crate) application_level: Option<String>,
    /// The least level of the service's lines, for JSON.
    pub(crate) system_level: Option<String>,
    /// The log group, where it is not the function's own.
    #[serde(default)]
    pub(crate) group: Option<String>,
}

impl Logging {
    /// `LoggingConfig` of the service model.
    fn shown(&self, function: &str) -> Value {
        let group = self.group.clone().unwrap_or_else(|| format!("/aws/lambda/{function}"));
        if !self.json {
            return json!({"LogFormat": "Text", "LogGroup": group});
        }
        json!({
            "LogFormat": "JSON",
            "ApplicationLogLevel": self.application_level.as_deref().unwrap_or("INFO"),
            "SystemLogLevel": self.system_level.as_deref().unwrap_or("INFO"),
            "LogGroup": group,
        })
    }

    /// The variables that tell the runtime client.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let format = ("AWS_LAMBDA_LOG_FORMAT", if self.json { "JSON" } else { "Text" });
        let level = self.application_level.as_deref().unwrap_or("INFO");
        let level = self.json.then_some(("AWS_LAMBDA_LOG_LEVEL", level));
        std::iter::once(format)
            .chain(level)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Which code a version runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// SHA-256 of the zip, or of the folder's listing, in hex.
    pub(crate) sha256: String,
    /// Size of the zip in bytes; of a folder, the sum of its files.
    pub(crate) bytes: u64,
}

/// A layer that a version uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerUse {
    pub(crate) arn: String,
    pub(crate) code: Code,
}

/// All versions of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layers {
    pub(crate) versions: BTreeMap<u64, LayerVersion>,
    /// The number of the next one.
    pub(crate) next: u64,
}

impl Default for Layers {
    fn default() -> Self {
        Self { versions: BTreeMap::new(), next: 1 }
    }
}

/// A version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerVersion {
    pub(crate) code: Code,
    pub(crate) description: String,
    pub(crate) runtimes: Vec<String>,
    pub(crate) architectures: Vec<String>,
    pub(crate) license: Option<String>,
    pub(crate) created: String,
    /// Who may use it.
    #[serde(default)]
    pub(crate) policy: Policy,
    #[serde(default)]
    pub(crate) policy_revision: String,
}

/// A name for a version, or for two of them by weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) version: String,
    pub(crate) description: String,
    /// Share of the invokes that another version gets: at most one entry, 0 to 1.
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) revision: String,
}

/// How many environments are to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provisioned {
    pub(crate) requested: u32,
    pub(crate) last_modified: String,
}

impl Record {
    pub(crate) fn new(latest: Configuration, tags: BTreeMap<String, String>) -> Self {
        Self {
            latest,
            versions: BTreeMap::new(),
            next_version: 1,
            aliases: BTreeMap::new(),
            reserved: None,
            provisioned: BTreeMap::new(),
            tags,
            events: BTreeMap::new(),
            urls: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }

    /// The configuration of `$LATEST` or of a published version.
    pub(crate) fn version(&self, version: &str) -> Option<&Configuration> {
        if version == LATEST {
            return Some(&self.latest);
        }
        self.versions.get(&version.parse().ok()?)
    }

    /// The configuration that a qualifier means; of an alias with weights its own version, unless `chance`, from 0 to 1,
    /// falls into the other's share.
    pub(crate) fn resolve(&self, qualifier: Option<&str>, chance: f64) -> Option<&Configuration> {
        let qualifier = qualifier.unwrap_or(LATEST);
        let Some(alias) = self.aliases.get(qualifier) else { return self.version(qualifier) };
        let mut from = 0.0;
        for (version, weight) in &alias.weights {
            from += weight;
            if chance < from {
                return self.version(version);
            }
        }
        self.version(&alias.version)
    }

    /// The revision of `$LATEST`, of a version, or of an alias itself.
    pub(crate) fn revision(&self, qualifier: &str) -> Option<&str> {
        let alias = self.aliases.get(qualifier).map(|alias| alias.revision.as_str());
        alias.or_else(|| self.version(qualifier).map(|configuration| configuration.revision.as_str()))
    }

    /// Removes what hangs on a version or an alias that is gone.
    pub(crate) fn forget(&mut self, qualifier: &str) {
        self.provisioned.remove(qualifier);
        self.events.remove(qualifier);
        self.urls.remove(qualifier);
        self.policies.remove(qualifier);
    }

    /// Environments of a version that are to be ready, whatever qualifier asks for them.
    pub(crate) fn provisioned_for(&self, version: &str) -> u32 {
        let means =
            |qualifier: &str| self.resolve(Some(qualifier), 1.0).is_some_and(|c| c.version == version);
        let asked = self.provisioned.iter().filter(|(qualifier, _)| means(qualifier));
        asked.map(|(_, provisioned)| provisioned.requested).sum()
    }

    /// Environments that are to be ready in all.
    pub(crate) fn provisioned_total(&self) -> u32 {
        self.provisioned.values().map(|provisioned| provisioned.requested).sum()
    }

    /// Hashes of the code that some version runs.
    pub(crate) fn codes(&self) -> BTreeSet<&str> {
        let versions = std::iter::once(&self.latest).chain(self.versions.values());
        versions.flat_map(Configuration::codes).map(|code| code.sha256.as_str()).collect()
    }
}

impl Configuration {
    /// `$LATEST` with what Lambda sets where nothing is said; runtime, role, handler and code are missing.
    pub(crate) fn new(function_name: String) -> Self {
        Self {
            function_name,
            version: LATEST.to_owned(),
            runtime: String::new(),
            role: String::new(),
            handler: String::new(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            environment: BTreeMap::new(),
            architecture: "x86_64".to_owned(),
            ephemeral_mb: 512,
            logging: Logging::default(),
            code: Code { sha256: String::new(), bytes: 0 },
            image: None,
            layers: Vec::new(),
            traced: false,
            snap_start: false,
            dead_letter: None,
            on_aws: OnAws::default(),
            last_modified: String::new(),
            revision: String::new(),
        }
    }

    /// Its code and that of its layers.
    fn codes(&self) -> impl Iterator<Item = &Code> {
        std::iter::once(&self.code).chain(self.layers.iter().map(|layer| &layer.code))
    }

    /// The hash of the code as Lambda writes it: of images the digest as it is.
    pub(crate) fn code_sha256(&self) -> String {
        if self.image.is_some() { self.code.sha256.clone() } else { base64_of_hex(&self.code.sha256) }
    }

    /// `FunctionConfiguration` of the service model. `qualified` gives the ARN its version.
    pub(crate) fn shown(&self, qualified: bool) -> Value {
        let mut shown = json!({
            "FunctionName": self.function_name,
            "FunctionArn": qualified_arn(&self.function_name, qualified.then_some(self.version.as_str())),
            "Role": self.role,
            "CodeSize": self.code.bytes,
            "Description": self.description,
            "Timeout": self.timeout_s,
            "MemorySize": self.memory_mb,
            "LastModified": self.last_modified,
            "CodeSha256": self.code_sha256(),
            "Version": self.version,
            "TracingConfig": {"Mode": if self.traced { "Active" } else { "PassThrough" }},
            "RevisionId": self.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": if self.image.is_some() { "Image" } else { "Zip" },
            "Architectures": [self.architecture],
            "EphemeralStorage": {"Size": self.ephemeral_mb},
            "SnapStart": {
                "ApplyOn": if self.snap_start { "PublishedVersions" } else { "None" },
                "OptimizationStatus": if self.snap_start && self.version != LATEST { "On" } else { "Off" },
            },
            "LoggingConfig": self.logging.shown(&self.function_name),
        });
        if let Some(image) = &self.image {
            image.show(&mut shown);
        } else {
            shown["Runtime"] = json!(self.runtime);
            shown["Handler"] = json!(self.handler);
        }
        if !self.layers.is_empty() {
            let layers =
                self.layers.iter().map(|layer| json!({"Arn": layer.arn, "CodeSize": layer.code.bytes}));
            shown["Layers"] = layers.collect();
        }
        if !self.environment.is_empty() {
            shown["Environment"] = json!({"Variables": self.environment});
        }
        if let Some(target) = &self.dead_letter {
            shown["DeadLetterConfig"] = json!({"TargetArn": target});
        }
        self.on_aws.show(&mut shown);
        shown
    }
}

impl OnAws {
    fn show(&self, shown: &mut Value) {
        if let Some(vpc) = &self.vpc {
            shown["VpcConfig"] = json!(vpc);
        }
        if let Some(key) = &self.kms_key {
            shown["KMSKeyArn"] = json!(key);
        }
        if !self.file_systems.is_empty() {
            shown["FileSystemConfigs"] = json!(self.file_systems);
        }
    }
}

impl Alias {
    /// `AliasConfiguration` of the service model.
    pub(crate) fn shown(&self, function: &str, name: &str) -> Value {
        let mut shown = json!({
            "AliasArn": qualified_arn(function, Some(name)),
            "Name": name,
            "FunctionVersion": self.version,
            "Description": self.description,
            "RevisionId": self.revision,
        });
        if !self.weights.is_empty() {
            shown["RoutingConfig"] = json!({"AdditionalVersionWeights": self.weights});
        }
        shown
    }
}

/// A hash in hex as base64, which is how Lambda writes it.
pub(crate) fn base64_of_hex(hex: &str) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|at| hex.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn configuration(version: &str) -> Configuration {
        Configuration {
            version: version.to_owned(),
            runtime: "python3.12".to_owned(),
            role: "arn:aws:iam::123456789012:role/r".to_owned(),
            handler: "app.handler".to_owned(),
            code: Code { sha256: "00ff".to_owned(), bytes: 2 },
            last_modified: "2026-11-29T00:00:00.000+0000".to_owned(),
            revision: "r".to_owned(),
            ..Configuration::new("report".to_owned())
        }
    }

    #[test]
    fn qualifiers_are_resolved() {
        let mut record = Record::new(configuration("$LATEST"), BTreeMap::new());
        for number in [1, 2] {
            record.versions.insert(number, configuration(&number.to_string()));
        }
        let weights = BTreeMap::from([("2".to_owned(), 0.25)]);
        let alias =
            Alias { version: "1".to_owned(), description: String::new(), weights, revision: String::new() };
        record.aliases.insert("live".to_owned(), alias);
        let version = |qualifier: Option<&str>, chance: f64| {
            record.resolve(qualifier, chance).map(|found| found.version.clone())
        };
        assert_eq!(version(None, 0.0).as_deref(), Some("$LATEST"));
        assert_eq!(version(Some("2"), 0.9).as_deref(), Some("2"));
        assert_eq!(version(Some("live"), 0.24).as_deref(), Some("2"));
        assert_eq!(version(Some("live"), 0.25).as_deref(), Some("1"));
        assert_eq!(version(Some("3"), 0.0), None);
        assert_eq!(version(Some("other"), 0.0), None);
    }

    #[test]
    fn hashes_are_shown_in_base64() {
        assert_eq!(configuration("1").shown(true)["CodeSha256"], "AP8=");
        assert_eq!(
            configuration("1").shown(true)["FunctionArn"],
            "arn:aws:lambda:us-east-1:123456789012:function:report:1"
        );
    }
}
