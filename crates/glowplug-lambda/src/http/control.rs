//! Which operation of the control API a request means.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Asked, Reply, reply};
use crate::error::{ApiError, Code};
use crate::names::layer_name;
use crate::service::Service;

/// The operations of the control API.
pub(super) fn control(asked: &Asked, service: &Service) -> Result<Reply, ApiError> {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let (get, put, post, delete) = (&Method::GET, &Method::PUT, &Method::POST, &Method::DELETE);
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    let (status, value) = match (&asked.method, path.as_slice()) {
        (m, ["2015-03-31", "functions"]) if m == get => {
            let all = asked.query("FunctionVersion") == Some("ALL");
            (200, service.list_functions(all, marker, most)?)
        }
        (m, ["2015-03-31", "functions"]) if m == post => (201, service.create_function(body)?),
        (m, ["2015-03-31", "functions", name]) if m == get => {
            (200, service.get_function(&asked.named(name)?)?)
        }
        (m, ["2015-03-31", "functions", name]) if m == delete => {
            service.delete_function(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2015-03-31", "functions", name, "code"]) if m == put => {
            (200, service.update_code(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "configuration"]) if m == get => {
            (200, service.get_configuration(&asked.named(name)?)?)
        }
        (m, ["2015-03-31", "functions", name, "configuration"]) if m == put => {
            (200, service.update_configuration(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "versions"]) if m == get => {
            (200, service.list_versions(&asked.named(name)?, marker, most)?)
        }
        (m, ["2015-03-31", "functions", name, "versions"]) if m == post => {
            (201, service.publish_version(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases"]) if m == get => {
            (200, service.list_aliases(&asked.named(name)?, asked.query("FunctionVersion"), marker, most)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases"]) if m == post => {
            (201, service.create_alias(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == get => {
            (200, service.get_alias(&asked.named(name)?, alias)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == put => {
            (200, service.update_alias(&asked.named(name)?, alias, body)?)
        }
        (m, ["2015-03-31", "functions", name, "aliases", alias]) if m == delete => {
            service.delete_alias(&asked.named(name)?, alias)?;
            (204, Value::Null)
        }
        (m, ["2015-03-31", "functions", name, "policy"]) if m == get => {
            (200, service.get_policy(&asked.named(name)?)?)
        }
        (m, ["2015-03-31", "functions", name, "policy"]) if m == post => {
            (201, service.add_permission(&asked.named(name)?, body)?)
        }
        (m, ["2015-03-31", "functions", name, "policy", id]) if m == delete => {
            service.remove_permission(&asked.named(name)?, id, asked.query("RevisionId"))?;
            (204, Value::Null)
        }
        (m, ["2017-10-31", "functions", name, "concurrency"]) if m == put => {
            (200, service.put_reserved(&asked.named(name)?, body)?)
        }
        (m, ["2017-10-31", "functions", name, "concurrency"]) if m == delete => {
            service.delete_reserved(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2019-09-30", "functions", name, "concurrency"]) if m == get => {
            (200, service.get_reserved(&asked.named(name)?)?)
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == put => {
            (202, service.put_provisioned(&asked.named(name)?, body)?)
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == get => {
            let named = asked.named(name)?;
            if asked.query("List") == Some("ALL") {
                (200, service.list_provisioned(&named, marker, most)?)
            } else {
                (200, service.get_provisioned(&named)?)
            }
        }
        (m, ["2019-09-30", "functions", name, "provisioned-concurrency"]) if m == delete => {
            service.delete_provisioned(&asked.named(name)?)?;
            (204, Value::Null)
        }
        (m, ["2019-09-25", "functions", name, "event-invoke-config"]) => {
            let named = asked.named(name)?;
            if m == put || m == post {
                (200, service.put_event_configuration(&named, m == post, body)?)
            } else if m == delete {
                service.delete_event_configuration(&named)?;
                (204, Value::Null)
            } else {
                (200, service.get_event_configuration(&named)?)
            }
        }
        (m, ["2019-09-25", "functions", name, "event-invoke-config", "list"]) if m == get => {
            (200, service.list_event_configurations(&asked.named(name)?, marker, most)?)
        }
        (m, ["2021-10-31", "functions", name, "url"]) => {
            let named = asked.named(name)?;
            if m == post {
                (201, service.put_url(&named, false, body)?)
            } else if m == put {
                (200, service.put_url(&named, true, body)?)
            } else if m == delete {
                service.delete_url(&named)?;
                (204, Value::Null)
            } else {
                (200, service.get_url(&named)?)
            }
        }
        (m, ["2021-10-31", "functions", name, "urls"]) if m == get => {
            (200, service.list_urls(&asked.named(name)?, marker, most)?)
        }
        (_, ["2018-10-31", "layers", rest @ ..]) => layers(asked, service, rest)?,
        // Nothing of these is kept: that there is none is what a client can be told.
        (m, ["2015-03-31", "event-source-mappings"]) if m == get => (200, json!({"EventSourceMappings": []})),
        (m, ["2021-07-20", "functions", name, "runtime-management-config"]) if m == get => {
            let named = asked.named(name)?;
            service.get_configuration(&named)?;
            (200, json!({"UpdateRuntimeOn": "Auto", "FunctionArn": named.arn()}))
        }
        (m, ["2016-08-19", "account-settings"]) if m == get => (200, service.account_settings()),
        (m, ["2017-03-31", "tags", arn]) if m == get => (200, service.tags(arn)?),
        (m, ["2017-03-31", "tags", arn]) if m == post => {
            service.tag(arn, body)?;
            (204, Value::Null)
        }
        (m, ["2017-03-31", "tags", arn]) if m == delete => {
            let keys = asked.query.iter().filter(|(key, _)| key == "tagKeys").map(|(_, value)| value.clone());
            service.untag(arn, &keys.collect::<Vec<_>>())?;
            (204, Value::Null)
        }
        _ => return Err(unknown()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(match value {
        Value::Null => reply(status, None, Vec::new()),
        value => reply(status, Some("application/json"), value.to_string().into_bytes()),
    })
}

/// Those of layers; `path` is what follows `layers`.
fn layers(asked: &Asked, service: &Service, path: &[&str]) -> Result<(u16, Value), ApiError> {
    let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    let revision = asked.query("RevisionId");
    Ok(match (&asked.method, path) {
        (m, []) if m == get => match asked.query("find") {
            Some("LayerVersion") => (200, service.get_layer_by_arn(asked.query("Arn").unwrap_or_default())?),
            _ => (200, service.list_layers(marker, most)?),
        },
        (m, [name, "versions"]) if m == post => (201, service.publish_layer(layer_name(name), body)?),
        (m, [name, "versions"]) if m == get => {
            (200, service.list_layer_versions(layer_name(name), marker, most)?)
        }
        (m, [name, "versions", version]) if m == get => (200, service.get_layer(layer_name(name), version)?),
        (m, [name, "versions", version]) if m == delete => {
            service.delete_layer(layer_name(name), version)?;
            (204, Value::Null)
        }
        (m, [name, "versions", version, "policy"]) if m == get => {
            (200, service.get_layer_policy(layer_name(name), version)?)
        }
        (m, [name, "versions", version, "policy"]) if m == post => {
            (201, service.add_layer_permission(layer_name(name), version, revision, body)?)
        }
        (m, [name, "versions", version, "policy", id]) if m == delete => {
            service.remove_layer_permission(layer_name(name), version, id, revision)?;
            (204, Value::Null)
        }
        _ => return Err(unknown()),
    })
}

fn unknown() -> ApiError {
    ApiError::new(Code::UnknownOperation, "This operation is not served here.")
}
