//! What becomes of asynchronous invokes: `FunctionEventInvokeConfig`.

use glowplug_engine::LATEST;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, page};
use crate::error::ApiError;
use crate::events::FILE;
use crate::model::{EventConfiguration, Record};
use crate::names::{Named, qualified_arn};
use crate::service::Service;
use crate::time;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destinations {
    on_failure: Option<Destination>,
    on_success: Option<Destination>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: Option<Destinations>,
}

impl Service {
    /// `PutFunctionEventInvokeConfig`, or, where `keeps`, `UpdateFunctionEventInvokeConfig`: what is not given stays.
    pub(crate) fn put_event_configuration(
        &self,
        named: &Named,
        keeps: bool,
        bytes: &[u8],
    ) -> Result<Value, ApiError> {
        let input: Input = body(bytes)?;
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.change(named, None, |record| {
            if record.resolve(Some(qualifier), 1.0).is_none() {
                return Err(named.unqualified_not_found());
            }
            let old = record.events.get(qualifier);
            let mut configuration = match old {
                Some(old) if keeps => old.clone(),
                None if keeps => return Err(missing(named, qualifier)),
                _ => EventConfiguration::default(),
            };
            input.apply(&named.function, &mut configuration)?;
            configuration.last_modified_s = time::now().as_secs();
            let shown = shown(named, qualifier, &configuration);
            record.events.insert(qualifier.to_owned(), configuration);
            Ok(shown)
        })
    }

    /// `GetFunctionEventInvokeConfig`.
    pub(crate) fn get_event_configuration(&self, named: &Named) -> Result<Value, ApiError> {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.look(named, |record| {
            let configuration = record.events.get(qualifier).ok_or_else(|| missing(named, qualifier))?;
            Ok(shown(named, qualifier, configuration))
        })
    }

    /// `DeleteFunctionEventInvokeConfig`.
    pub(crate) fn delete_event_configuration(&self, named: &Named) -> Result<(), ApiError> {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        self.change(named, None, |record| match record.events.remove(qualifier) {
            Some(_) => Ok(()),
            None => Err(missing(named, qualifier)),
        })
    }

    /// `ListFunctionEventInvokeConfigs`.
    pub(crate) fn list_event_configurations(
        &self,
        named: &Named,
        marker: Option<&str>,
        most: Option<&str>,
    ) -> Result<Value, ApiError> {
        let all = |record: &Record| {
            let all = record.events.iter();
            all.map(|(qualifier, configuration)| shown(named, qualifier, configuration)).collect()
        };
        self.look(named, |record| page("FunctionEventInvokeConfigs", all(record), marker, most))
    }
}

impl Input {
    fn apply(self, function: &str, configuration: &mut EventConfiguration) -> Result<(), ApiError> {
        if let Some(retries) = self.maximum_retry_attempts {
            if retries > 2 {
                let must = "have value less than or equal to 2";
                return Err(ApiError::constraint(&retries.to_string(), "maximumRetryAttempts", must));
            }
            configuration.retries = retries;
        }
        if let Some(age) = self.maximum_event_age_in_seconds {
            if !(60..=21_600).contains(&age) {
                let must = "have value between 60 and 21600";
                return Err(ApiError::constraint(&age.to_string(), "maximumEventAgeInSeconds", must));
            }
            configuration.age_s = age;
        }
        let Some(destinations) = self.destination_config else { return Ok(()) };
        let given =
            |one: Option<Destination>| one.and_then(|one| one.destination).filter(|text| !text.is_empty());
        configuration.on_failure = given(destinations.on_failure);
        configuration.on_success = given(destinations.on_success);
        for destination in configuration.on_failure.iter().chain(&configuration.on_success) {
            check_destination(function, destination)?;
        }
        Ok(())
    }
}

fn check_destination(function: &str, destination: &str) -> Result<(), ApiError> {
    if destination.starts_with(FILE) {
        return Ok(());
    }
    let named = Named::parse(destination, None).map_err(|_| {
        ApiError::invalid(format!(
            "The destination {destination} is served by nobody here: give a function's ARN or {FILE}PATH."
        ))
    })?;
    if named.function == function {
        return Err(ApiError::invalid("You can't specify the function as a destination for itself."));
    }
    Ok(())
}

fn missing(named: &Named, qualifier: &str) -> ApiError {
    let arn = qualified_arn(&named.function, Some(qualifier));
    ApiError::not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
}

fn shown(named: &Named, qualifier: &str, configuration: &EventConfiguration) -> Value {
    let mut destinations = json!({"OnSuccess": {}, "OnFailure": {}});
    for (name, destination) in
        [("OnFailure", &configuration.on_failure), ("OnSuccess", &configuration.on_success)]
    {
        if let Some(destination) = destination {
            destinations[name] = json!({"Destination": destination});
        }
    }
    json!({
        "LastModified": configuration.last_modified_s,
        "FunctionArn": qualified_arn(&named.function, Some(qualifier)),
        "MaximumRetryAttempts": configuration.retries,
        "MaximumEventAgeInSeconds": configuration.age_s,
        "DestinationConfig": destinations,
    })
}
