//! Functions: made, shown, changed, removed.

use std::collections::BTreeMap;

use base64::Engine as _;
use camino::Utf8PathBuf;
use glowplug_core::ErrorClass;
use glowplug_engine::{LATEST, uuid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::settings::{Settings, refuse_absent};
use super::{body, page};
use crate::error::{ApiError, Code};
use crate::image::Image;
use crate::model::{self, Configuration, Record};
use crate::names::Named;
use crate::service::Service;
use crate::time;

/// Where code comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CodeInput {
    pub(super) zip_file: Option<String>,
    pub(super) s3_bucket: Option<String>,
    pub(super) image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    pub(super) source_key: Option<String>,
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
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Service {
    /// `CreateFunction`.
    pub(crate) fn create_function(&self, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Creation = body(bytes)?;
        let named = Named::parse(input.function_name.as_deref().unwrap_or_default(), None)?;
        let of_image = match input.package_type.as_deref() {
            None => input.code.image_uri.is_some(),
            Some("Zip") => false,
            Some("Image") => true,
            Some(other) => {
                return Err(ApiError::constraint(
                    other,
                    "packageType",
                    "satisfy enum value set: [Image, Zip]",
                ));
            }
        };
        let missing = |member: &str| ApiError::constraint("null", member, "not be null");
        let settings = &input.settings;
        let mut configuration = Configuration {
            role: settings.role.clone().ok_or_else(|| missing("role"))?,
            ..Configuration::new(named.function.clone())
        };
        if let Some(architecture) = architecture(input.architectures.as_deref())? {
            configuration.architecture = architecture;
        }
        if of_image {
            let uri = input.code.image_uri.as_deref();
            configuration.image = Some(Image::find(uri, &configuration.architecture)?.0);
        } else {
            configuration.runtime = settings.runtime.clone().ok_or_else(|| missing("runtime"))?;
            configuration.handler = settings.handler.clone().ok_or_else(|| missing("handler"))?;
        }
        settings.apply(&mut configuration)?;
        if let Some(arns) = &settings.layers {
            configuration.layers = self.lock().layer_uses(arns)?;
        }
        let exists = || ApiError::conflict(format!("Function already exist: {}", named.function));
        if self.lock().functions.contains_key(&named.function) {
            return Err(exists());
        }
        self.take(&mut configuration, &input.code)?;
        configuration.on_aws.source_key.clone_from(&input.code.source_key);
        touch(&mut configuration);
        let mut record = Record::new(configuration.clone(), input.tags);
        if input.publish {
            configuration = record.publish(None);
        }
        let turn = self.turn();
        // Somebody else may have been quicker.
        if self.lock().functions.contains_key(&named.function) {
            return Err(exists());
        }
        drop(turn.put(&named.function, Some(record))?);
        Ok(configuration.shown(input.publish))
    }

    /// `GetFunction`.
    pub(crate) fn get_function(&self, named: &Named) -> Result<Value, ApiError> {
        let (mut shown, configuration) = self.look(named, |record| {
            let configuration = record
                .resolve(named.qualifier.as_deref(), 1.0)
                .ok_or_else(|| named.unqualified_not_found())?;
            let mut shown = json!({
                "Configuration": configuration.shown(named.qualifier.is_some()),
                "Code": match &configuration.image {
                    Some(image) => image.location(&configuration.code.sha256),
                    None => json!({"RepositoryType": "S3"}),
                },
            });
            if let Some(key) = &configuration.on_aws.source_key {
                shown["Code"]["SourceKMSKeyArn"] = json!(key);
            }
            if !record.tags.is_empty() {
                shown["Tags"] = json!(record.tags);
            }
            if let Some(reserved) = record.reserved {
                shown["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
            }
            Ok((shown, configuration.clone()))
        })?;
        if configuration.image.is_none() {
            shown["Code"]["Location"] = json!(format!("file://{}", self.code_of(&configuration)));
        }
        Ok(shown)
    }

    /// Where its code is: the zip, or what was given in its place, of which a version has a copy.
    fn code_of(&self, configuration: &Configuration) -> Utf8PathBuf {
        let store = &self.0.store;
        let local = self.lock().local_files(configuration).and_then(|files| files.source.clone());
        let kept = Some(store.zip(&configuration.code)).filter(|zip| zip.exists());
        kept.or(local).unwrap_or_else(|| store.tree(&configuration.code))
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
        refuse_absent(&input.others)?;
        self.look(named, |_| Ok(()))?;
        let architecture = architecture(input.architectures.as_deref())?;
        let mut taken = self.look(named, |record| Ok(record.latest.clone()))?;
        if let Some(architecture) = &architecture {
            taken.architecture.clone_from(architecture);
        }
        self.take(&mut taken, &input.code)?;
        let apply = |record: &mut Record| {
            check_revision(&record.latest, input.revision_id.as_deref())?;
            record.latest.code = taken.code;
            record.latest.image = taken.image;
            record.latest.on_aws.source_key = input.code.source_key;
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
            if let Some(image) = &record.latest.image {
                let local = self.lock().local_files(&record.latest).map(|files| files.tree.clone());
                image.check_folder(&local.unwrap_or_else(|| self.0.store.tree(&record.latest.code)))?;
            }
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
        let turn = self.turn();
        self.look(named, |_| Ok(()))?;
        let mut state = turn.put(&named.function, None)?;
        let retired = state.retire(&named.function, None);
        drop(state);
        drop(turn);
        self.end(retired);
        Ok(())
    }

    /// Takes the code of a request in, of the kind that the function has.
    fn take(&self, configuration: &mut Configuration, code: &CodeInput) -> Result<(), ApiError> {
        let Some(known) = &configuration.image else {
            configuration.code = self.keep(code)?;
            return Ok(());
        };
        if code.zip_file.is_some() || code.s3_bucket.is_some() {
            return Err(ApiError::invalid(
                "Please don't provide a zip when the function's PackageType is Image: give ImageUri.",
            ));
        }
        let (mut image, found) = Image::find(code.image_uri.as_deref(), &configuration.architecture)?;
        image.config = known.config.clone();
        image.check_start()?;
        configuration.code = self.0.store.keep_image(&found).map_err(crate::image::refused)?;
        image.check_folder(&self.0.store.tree(&configuration.code))?;
        configuration.image = Some(image);
        Ok(())
    }

    /// Takes the zip of a request in.
    pub(super) fn keep(&self, code: &CodeInput) -> Result<model::Code, ApiError> {
        if code.image_uri.is_some() {
            return Err(ApiError::invalid("ImageUri goes with functions whose PackageType is Image."));
        }
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
