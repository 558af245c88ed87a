//! The configuration of an image: that of its base, with what was asked for on top.

use serde_json::{Map, Value, json};

use crate::oci::{CREATED, Digest, Platform};
use crate::request::ImageRequest;

/// One layer, as the configuration tells of it.
pub(crate) struct Layer<'a> {
    pub name: &'a str,
    pub diff_id: &'a Digest,
    /// Whether it is the base's, whose history tells of it already.
    pub of_base: bool,
}

/// Makes the configuration.
pub(crate) fn config(base: Option<&Value>, request: &ImageRequest, layers: &[Layer<'_>]) -> Value {
    let mut whole = base.and_then(Value::as_object).cloned().unwrap_or_default();
    // Docker's notes on how the base was built: they are not of this image.
    for gone in ["container", "container_config", "docker_version", "id", "parent"] {
        whole.remove(gone);
    }
    let platform = Platform::of(request.architecture);
    whole.insert("created".into(), CREATED.into());
    whole.insert("architecture".into(), platform.architecture.into());
    whole.insert("os".into(), platform.os.into());
    let mut inner = whole.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    start(&mut inner, request);
    whole.insert("config".into(), Value::Object(inner));
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    whole.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    let history = history(whole.get("history"), layers);
    whole.insert("history".into(), history);
    Value::Object(whole)
}

/// How a container starts.
fn start(inner: &mut Map<String, Value>, request: &ImageRequest) {
    if !request.entrypoint.is_empty() {
        inner.insert("Entrypoint".into(), json!(request.entrypoint));
        inner.remove("Cmd"); // It was meant for the base's entry point.
    }
    if !request.cmd.is_empty() {
        inner.insert("Cmd".into(), json!(request.cmd));
    }
    if let Some(folder) = &request.working_dir {
        inner.insert("WorkingDir".into(), folder.as_str().into());
    }
    let mut variables: Vec<String> = strings(inner.get("Env"));
    for (key, value) in &request.env {
        let line = format!("{key}={value}");
        match variables.iter_mut().find(|known| known.split('=').next() == Some(key)) {
            Some(known) => *known = line,
            None => variables.push(line),
        }
    }
    if !variables.is_empty() {
        inner.insert("Env".into(), json!(variables));
    }
    let mut labels = inner.get("Labels").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in &request.labels {
        labels.insert(key.clone(), value.as_str().into());
    }
    labels.sort_keys();
    if !labels.is_empty() {
        inner.insert("Labels".into(), Value::Object(labels));
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One entry for each layer; a base's own history is kept where it tells of each of its layers.
fn history(base: Option<&Value>, layers: &[Layer<'_>]) -> Value {
    let told = base.and_then(Value::as_array).cloned().unwrap_or_default();
    let filled = told.iter().filter(|entry| entry["empty_layer"] != true).count();
    let of_base = layers.iter().filter(|layer| layer.of_base).count();
    let keeps = filled == of_base;
    let mut entries = if keeps { told } else { Vec::new() };
    for layer in layers.iter().filter(|layer| !keeps || !layer.of_base) {
        entries.push(json!({ "created": CREATED, "created_by": format!("glowplug: {}", layer.name) }));
    }
    Value::Array(entries)
}
