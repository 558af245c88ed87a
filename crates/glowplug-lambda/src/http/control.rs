//! Which operation of the control API a request means.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Asked, Reply, reply};
use crate::error::{ApiError, Code};
use crate::names::{Named, layer_name};
use crate::service::Service;

/// Status and body of an answer.
type Done = Result<(u16, Value), ApiError>;

/// The operations of the control API.
pub(super) fn control(asked: &Asked, service: &Service) -> Result<Reply, ApiError> {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let (marker, most) = asked.page();
    let (status, value) = match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["2015-03-31", "functions"]) => {
            let all = asked.query("FunctionVersion") == Some("ALL");
            (200, service.list_functions(all, marker, most)?)
        }
        ("POST", ["2015-03-31", "functions"]) => (201, service.create_function(&asked.body)?),
        (_, [date, "functions", name, rest @ ..]) => function(asked, service, date, name, rest)?,
        (_, ["2018-10-31", "layers", rest @ ..]) => layers(asked, service, rest)?,
        (_, ["2017-03-31", "tags", arn]) => tags(asked, service, arn)?,
        ("GET", ["2016-08-19", "account-settings"]) => (200, service.account_settings()),
        // None of these is kept: that is what a client can be told.
        ("GET", ["2015-03-31", "event-source-mappings"]) => (200, json!({"EventSourceMappings": []})),
        _ => return Err(unknown()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(match value {
        Value::Null => reply(status, None, Vec::new()),
        value => reply(status, Some("application/json"), value.to_string().into_bytes()),
    })
}

/// Those of one function; `path` is what follows its name, `date` the version of the API that the operation came with.
fn function(asked: &Asked, service: &Service, date: &str, name: &str, path: &[&str]) -> Done {
    let named = &asked.named(name)?;
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    Ok(match (date, asked.method.as_str(), path) {
        ("2015-03-31", "GET", []) => (200, service.get_function(named)?),
        ("2015-03-31", "DELETE", []) => gone(service.delete_function(named))?,
        ("2015-03-31", "PUT", ["code"]) => (200, service.update_code(named, body)?),
        ("2015-03-31", "GET", ["configuration"]) => (200, service.get_configuration(named)?),
        ("2015-03-31", "PUT", ["configuration"]) => (200, service.update_configuration(named, body)?),
        ("2015-03-31", "GET", ["versions"]) => (200, service.list_versions(named, marker, most)?),
        ("2015-03-31", "POST", ["versions"]) => (201, service.publish_version(named, body)?),
        ("2015-03-31", _, ["aliases", rest @ ..]) => aliases(asked, service, named, rest)?,
        ("2015-03-31", "GET", ["policy"]) => (200, service.get_policy(named)?),
        ("2015-03-31", "POST", ["policy"]) => (201, service.add_permission(named, body)?),
        ("2015-03-31", "DELETE", ["policy", id]) => {
            gone(service.remove_permission(named, id, asked.query("RevisionId")))?
        }
        ("2017-10-31", "PUT", ["concurrency"]) => (200, service.put_reserved(named, body)?),
        ("2017-10-31", "DELETE", ["concurrency"]) => gone(service.delete_reserved(named))?,
        ("2019-09-30", "GET", ["concurrency"]) => (200, service.get_reserved(named)?),
        ("2019-09-30", _, ["provisioned-concurrency"]) => provisioned(asked, service, named)?,
        ("2019-09-25", _, ["event-invoke-config", rest @ ..]) => events(asked, service, named, rest)?,
        ("2021-10-31", "POST", ["url"]) => (201, service.put_url(named, false, body)?),
        ("2021-10-31", "PUT", ["url"]) => (200, service.put_url(named, true, body)?),
        ("2021-10-31", "DELETE", ["url"]) => gone(service.delete_url(named))?,
        ("2021-10-31", "GET", ["url"]) => (200, service.get_url(named)?),
        ("2021-10-31", "GET", ["urls"]) => (200, service.list_urls(named, marker, most)?),
        // None of these is kept: that is what a client can be told.
        ("2021-07-20", "GET", ["runtime-management-config"]) => {
            service.get_configuration(named)?;
            (200, json!({"UpdateRuntimeOn": "Auto", "FunctionArn": named.arn()}))
        }
        ("2020-06-30", "GET", ["code-signing-config"]) => {
            service.get_configuration(named)?;
            (200, json!({"CodeSigningConfigArn": "", "FunctionName": named.function}))
        }
        _ => return Err(unknown()),
    })
}

fn aliases(asked: &Asked, service: &Service, named: &Named, path: &[&str]) -> Done {
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    Ok(match (asked.method.as_str(), path) {
        ("GET", []) => (200, service.list_aliases(named, asked.query("FunctionVersion"), marker, most)?),
        ("POST", []) => (201, service.create_alias(named, body)?),
        ("GET", [alias]) => (200, service.get_alias(named, alias)?),
        ("PUT", [alias]) => (200, service.update_alias(named, alias, body)?),
        ("DELETE", [alias]) => gone(service.delete_alias(named, alias))?,
        _ => return Err(unknown()),
    })
}

fn provisioned(asked: &Asked, service: &Service, named: &Named) -> Done {
    let (marker, most) = asked.page();
    Ok(match asked.method.as_str() {
        "PUT" => (202, service.put_provisioned(named, &asked.body)?),
        "GET" if asked.query("List") == Some("ALL") => (200, service.list_provisioned(named, marker, most)?),
        "GET" => (200, service.get_provisioned(named)?),
        "DELETE" => gone(service.delete_provisioned(named))?,
        _ => return Err(unknown()),
    })
}

fn events(asked: &Asked, service: &Service, named: &Named, path: &[&str]) -> Done {
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    Ok(match (asked.method.as_str(), path) {
        ("PUT", []) => (200, service.put_event_configuration(named, false, body)?),
        ("POST", []) => (200, service.put_event_configuration(named, true, body)?),
        ("GET", []) => (200, service.get_event_configuration(named)?),
        ("DELETE", []) => gone(service.delete_event_configuration(named))?,
        ("GET", ["list"]) => (200, service.list_event_configurations(named, marker, most)?),
        _ => return Err(unknown()),
    })
}

/// Those of layers; `path` is what follows `layers`.
fn layers(asked: &Asked, service: &Service, path: &[&str]) -> Done {
    let (marker, most) = asked.page();
    let body = asked.body.as_ref();
    let revision = asked.query("RevisionId");
    let [name, path @ ..] = path else {
        return match (asked.method.as_str(), asked.query("find")) {
            ("GET", Some("LayerVersion")) => {
                Ok((200, service.get_layer_by_arn(asked.query("Arn").unwrap_or_default())?))
            }
            ("GET", _) => Ok((200, service.list_layers(marker, most)?)),
            _ => Err(unknown()),
        };
    };
    let name = layer_name(name);
    Ok(match (asked.method.as_str(), path) {
        ("POST", ["versions"]) => (201, service.publish_layer(name, body)?),
        ("GET", ["versions"]) => (200, service.list_layer_versions(name, marker, most)?),
        ("GET", ["versions", version]) => (200, service.get_layer(name, version)?),
        ("DELETE", ["versions", version]) => gone(service.delete_layer(name, version))?,
        ("GET", ["versions", version, "policy"]) => (200, service.get_layer_policy(name, version)?),
        ("POST", ["versions", version, "policy"]) => {
            (201, service.add_layer_permission(name, version, revision, body)?)
        }
        ("DELETE", ["versions", version, "policy", id]) => {
            gone(service.remove_layer_permission(name, version, id, revision))?
        }
        _ => return Err(unknown()),
    })
}

fn tags(asked: &Asked, service: &Service, arn: &str) -> Done {
    match asked.method.as_str() {
        "GET" => Ok((200, service.tags(arn)?)),
        "POST" => gone(service.tag(arn, &asked.body)),
        "DELETE" => {
            let keys = asked.query.iter().filter(|(key, _)| key == "tagKeys").map(|(_, value)| value.clone());
            gone(service.untag(arn, &keys.collect::<Vec<_>>()))
        }
        _ => Err(unknown()),
    }
}

/// The answer where there is nothing to say.
fn gone(done: Result<(), ApiError>) -> Done {
    done.map(|()| (204, Value::Null))
}

fn unknown() -> ApiError {
    ApiError::new(Code::UnknownOperation, "This operation is not served here.")
}
