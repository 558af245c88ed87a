//! Layers: published, shown, removed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, functions, page};
use crate::error::ApiError;
use crate::model::{LayerVersion, Layers, base64_of_hex};
use crate::names::{is_word, layer_arn};
use crate::policy::Policy;
use crate::service::{Service, State};
use crate::time;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publication {
    description: Option<String>,
    #[serde(default)]
    content: Content,
    #[serde(default)]
    compatible_runtimes: Vec<String>,
    #[serde(default)]
    compatible_architectures: Vec<String>,
    license_info: Option<String>,
}

impl Service {
    /// `PublishLayerVersion`.
    pub(crate) fn publish_layer(&self, name: &str, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Publication = body(bytes)?;
        if !is_word(name) {
            return Err(ApiError::constraint(
                name,
                "layerName",
                "satisfy regular expression pattern: [a-zA-Z0-9-_]+",
            ));
        }
        let code = functions::CodeInput {
            zip_file: input.content.zip_file,
            s3_bucket: input.content.s3_bucket,
            ..functions::CodeInput::default()
        };
        let code = self.keep(&code)?;
        let turn = self.turn();
        let mut layers = self.lock().layers.get(name).cloned().unwrap_or_default();
        let number = layers.next;
        let version = LayerVersion {
            code,
            description: input.description.unwrap_or_default(),
            runtimes: input.compatible_runtimes,
            architectures: input.compatible_architectures,
            license: input.license_info,
            created: time::modified(time::now()),
            policy: Policy::default(),
            policy_revision: String::new(),
        };
        let shown = self.shown_layer(name, number, &version);
        layers.next += 1;
        layers.versions.insert(number, version);
        turn.put_layers(name, layers)?;
        Ok(shown)
    }

    /// `GetLayerVersion`.
    pub(crate) fn get_layer(&self, name: &str, version: &str) -> Result<Value, ApiError> {
        let state = self.lock();
        let (number, layer) = found(&state, name, version)?;
        Ok(self.shown_layer(name, number, layer))
    }

    /// `GetLayerVersionByArn`.
    pub(crate) fn get_layer_by_arn(&self, arn: &str) -> Result<Value, ApiError> {
        let mut parts = arn.rsplitn(3, ':');
        let (version, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.get_layer(name, version)
    }

    /// `DeleteLayerVersion`; functions that use it go on, and one that is not there is deleted too.
    pub(crate) fn delete_layer(&self, name: &str, version: &str) -> Result<(), ApiError> {
        let turn = self.turn();
        let Some(mut layers) = self.lock().layers.get(name).cloned() else { return Ok(()) };
        if let Ok(number) = version.parse::<u64>() {
            layers.versions.remove(&number);
        }
        turn.put_layers(name, layers)
    }

    /// `ListLayers`: the latest version of each.
    pub(crate) fn list_layers(&self, marker: Option<&str>, most: Option<&str>) -> Result<Value, ApiError> {
        let state = self.lock();
        let latest = state.layers.iter().filter_map(|(name, layers)| {
            let (number, version) = layers.versions.last_key_value()?;
            Some(json!({
                "LayerName": name,
                "LayerArn": layer_arn(name, None),
                "LatestMatchingVersion": shown_item(name, *number, version),
            }))
        });
        page("Layers", latest.collect(), marker, most)
    }

    /// `ListLayerVersions`, the newest first.
    pub(crate) fn list_layer_versions(
        &self,
        name: &str,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        let state = self.lock();
        let versions = state.layers.get(name).map(|layers| &layers.versions).into_iter().flatten();
        page(
            "LayerVersions",
            versions.rev().map(|(n, version)| shown_item(name, *n, version)).collect(),
            marker,
            most,
        )
    }

    /// Changes a version of a layer.
    pub(super) fn change_layer<T>(
        &self,
        name: &str,
        version: &str,
        change: impl FnOnce(&mut LayerVersion) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let turn = self.turn();
        let number = found(&self.lock(), name, version)?.0;
        let mut layers = self.lock().layers.get(name).cloned().unwrap_or_default();
        let layer = layers.versions.get_mut(&number).ok_or_else(|| missing(name, version))?;
        let value = change(layer)?;
        turn.put_layers(name, layers)?;
        Ok(value)
    }

    fn shown_layer(&self, name: &str, number: u64, version: &LayerVersion) -> Value {
        let mut shown = shown_item(name, number, version);
        shown["LayerArn"] = json!(layer_arn(name, None));
        shown["Content"] = json!({
            "Location": format!("file://{}", self.0.store.zip(&version.code)),
            "CodeSize": version.code.bytes,
            "CodeSha256": base64_of_hex(&version.code.sha256),
        });
        shown
    }
}

/// `LayerVersionsListItem` of the service model.
fn shown_item(name: &str, number: u64, version: &LayerVersion) -> Value {
    let mut shown = json!({
        "LayerVersionArn": layer_arn(name, Some(number)),
        "Version": number,
        "Description": version.description,
        "CreatedDate": version.created,
    });
    if !version.runtimes.is_empty() {
        shown["CompatibleRuntimes"] = json!(version.runtimes);
    }
    if !version.architectures.is_empty() {
        shown["CompatibleArchitectures"] = json!(version.architectures);
    }
    if let Some(license) = &version.license {
        shown["LicenseInfo"] = json!(license);
    }
    shown
}

/// A version of a layer with its number.
pub(super) fn found<'s>(
    state: &'s State,
    name: &str,
    version: &str,
) -> Result<(u64, &'s LayerVersion), ApiError> {
    let number: Option<u64> = version.parse().ok();
    let layer = number.and_then(|number| Some((number, state.layers.get(name)?.versions.get(&number)?)));
    layer.ok_or_else(|| missing(name, version))
}

fn missing(name: &str, version: &str) -> ApiError {
    ApiError::not_found(format!("Layer version {} does not exist.", layer_arn_of(name, version)))
}

fn layer_arn_of(name: &str, version: &str) -> String {
    format!("{}:{version}", layer_arn(name, None))
}

impl Layers {
    /// The version that an ARN names, among all layers.
    pub(crate) fn find<'l>(
        all: &'l std::collections::BTreeMap<String, Self>,
        arn: &str,
    ) -> Option<&'l LayerVersion> {
        let (rest, number) = arn.rsplit_once(':')?;
        let name = rest.rsplit(':').next()?;
        let number: u64 = number.parse().ok()?;
        let version = all.get(name)?.versions.get(&number)?;
        (layer_arn(name, Some(number)) == arn).then_some(version)
    }
}
