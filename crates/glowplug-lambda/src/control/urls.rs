//! Addresses of functions over HTTP: `FunctionUrlConfig`.

use glowplug_engine::LATEST;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, page};
use crate::error::ApiError;
use crate::http::url_of;
use crate::model::Url;
use crate::names::{Named, qualified_arn};
use crate::service::Service;
use crate::time;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    auth_type: Option<String>,
    invoke_mode: Option<String>,
    cors: Option<Value>,
}

impl Service {
    /// `CreateFunctionUrlConfig`, or, where it `changes` one, `UpdateFunctionUrlConfig`.
    pub(crate) fn put_url(&self, named: &Named, changes: bool, bytes: &[u8]) -> Result<Value, ApiError> {
        let input: Input = body(bytes)?;
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        let now = time::logged(time::now());
        self.change(named, None, |record| {
            if qualifier != LATEST && !record.aliases.contains_key(qualifier) {
                return Err(ApiError::not_found(format!("Function not found: {}", named.arn())));
            }
            let mut url = match record.urls.get(qualifier) {
                Some(_) if !changes => {
                    return Err(ApiError::conflict(format!(
                        "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists for this Lambda function",
                        named.arn()
                    )));
                }
                None if changes => return Err(missing()),
                Some(url) => url.clone(),
                None => Url {
                    signed: false,
                    streams: false,
                    cors: None,
                    created: now.clone(),
                    last_modified: String::new(),
                },
            };
            url.last_modified = now;
            input.apply(changes, &mut url)?;
            let mut shown = self.shown_url(named, qualifier, &url);
            if let Some(members) = shown.as_object_mut().filter(|_| !changes) {
                // What has just been made has not been changed.
                members.remove("LastModifiedTime");
            }
            record.urls.insert(qualifier.to_owned(), url);
            Ok(shown)
        })
    }

    /// `GetFunctionUrlConfig`.
    pub(crate) fn get_url(&self, named: &Named) -> Result<Value, ApiError> {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.look(named, |record| {
            let url = record.urls.get(qualifier).ok_or_else(missing)?;
            Ok(self.shown_url(named, qualifier, url))
        })
    }

    /// `DeleteFunctionUrlConfig`.
    pub(crate) fn delete_url(&self, named: &Named) -> Result<(), ApiError> {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.change(named, None, |record| record.urls.remove(qualifier).map(|_| ()).ok_or_else(missing))
    }

    /// `ListFunctionUrlConfigs`.
    pub(crate) fn list_urls(
        &self,
        named: &Named,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        self.look(named, |record| {
            let urls = record.urls.iter().map(|(qualifier, url)| self.shown_url(named, qualifier, url));
            page("FunctionUrlConfigs", urls.collect(), marker, most)
        })
    }

    fn shown_url(&self, named: &Named, qualifier: &str, url: &Url) -> Value {
        let qualifier = (qualifier != LATEST).then_some(qualifier);
        let mut shown = json!({
            "FunctionUrl": url_of(&self.endpoint(), &named.function, qualifier),
            "FunctionArn": qualified_arn(&named.function, qualifier),
            "AuthType": if url.signed { "AWS_IAM" } else { "NONE" },
            "InvokeMode": if url.streams { "RESPONSE_STREAM" } else { "BUFFERED" },
            "CreationTime": url.created,
            "LastModifiedTime": url.last_modified,
        });
        if let Some(cors) = &url.cors {
            shown["Cors"] = cors.clone();
        }
        shown
    }
}

impl Input {
    fn apply(self, changes: bool, url: &mut Url) -> Result<(), ApiError> {
        match self.auth_type.as_deref() {
            Some("NONE") => url.signed = false,
            Some("AWS_IAM") => url.signed = true,
            None if changes => {}
            other => {
                let must = "satisfy enum value set: [AWS_IAM, NONE]";
                return Err(ApiError::constraint(other.unwrap_or("null"), "authType", must));
            }
        }
        match self.invoke_mode.as_deref() {
            None => {}
            Some("BUFFERED") => url.streams = false,
            Some("RESPONSE_STREAM") => url.streams = true,
            Some(other) => {
                let must = "satisfy enum value set: [RESPONSE_STREAM, BUFFERED]";
                return Err(ApiError::constraint(other, "invokeMode", must));
            }
        }
        if self.cors.is_some() {
            url.cors = self.cors;
        }
        Ok(())
    }
}

fn missing() -> ApiError {
    ApiError::not_found("The resource you requested does not exist.")
}
