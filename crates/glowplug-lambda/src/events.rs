//! Asynchronous invokes: accepted once they are on the disk, run until they succeed, tried again as Lambda does, and in
//! the end sent to where the function's failures go.

use std::time::Duration;

use base64::Engine as _;
use glowplug_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{ApiError, Code};
use crate::invoke::{Answer, Call, MOST_ASYNCHRONOUS};
use crate::model::EventConfiguration;
use crate::names::Named;
use crate::service::Service;
use crate::time;

/// How long Lambda waits before it runs a failed event again ("Error handling for asynchronous invocation" in the
/// developer guide), by the number of the attempt that failed.
const PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// Between tries of an event that could not be run at all: from one second up to five minutes (the same page).
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// An accepted event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) function: String,
    pub(crate) qualifier: Option<String>,
    pub(crate) request_id: String,
    /// The payload, in base64.
    payload: String,
    client_context: Option<String>,
    trace_id: Option<String>,
    /// Times that the function has run for it.
    attempts: u32,
    /// Times that it could not be run since.
    refusals: u32,
    /// When it was accepted, in ms since 1970.
    accepted_ms: u64,
    /// When it runs next, in ms since 1970.
    pub(crate) due_ms: u64,
}

/// What becomes of an event after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    Done,
    /// Again, at this time in ms since 1970.
    Again(u64),
    /// Never again, and why.
    Failed(&'static str),
}

impl Service {
    /// Takes an event in: when this returns it is on the disk and will be run. Gives its request's id.
    pub(crate) fn accept(&self, call: &Call) -> Result<String, ApiError> {
        let payload = call.event(MOST_ASYNCHRONOUS)?;
        let named = &call.named;
        self.look(named, |record| match record.resolve(named.qualifier.as_deref(), 1.0) {
            Some(_) => Ok(()),
            None => Err(named.not_found()),
        })
        .map_err(|error| if error.code == Code::ResourceNotFound { named.not_found() } else { error })?;
        let now = now_ms();
        let event = Event {
            function: named.function.clone(),
            qualifier: named.qualifier.clone(),
            request_id: glowplug_engine::uuid(),
            payload: base64::engine::general_purpose::STANDARD.encode(&payload),
            client_context: call.client_context.clone(),
            trace_id: call.trace_id.clone(),
            attempts: 0,
            refusals: 0,
            accepted_ms: now,
            due_ms: now,
        };
        self.0.store.put_event(&event.request_id, Some(&event))?;
        let id = event.request_id.clone();
        self.lock().waiting.insert(id.clone(), event);
        Ok(id)
    }

    /// Takes out the events whose time has come.
    pub(crate) fn due(&self) -> Vec<Event> {
        let now = now_ms();
        let mut state = self.lock();
        let due: Vec<String> =
            state.waiting.iter().filter(|(_, event)| event.due_ms <= now).map(|(id, _)| id.clone()).collect();
        due.iter().filter_map(|id| state.waiting.remove(id)).collect()
    }

    /// Runs an event once and sees to what comes after. Blocks.
    pub(crate) fn run_event(&self, mut event: Event) -> Result<()> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (call, id) = (event.call()?, event.request_id.clone());
        let service = self.clone();
        self.0.engine.handle().spawn(async move {
            let answered = Box::new(move |answer| {
                // Nobody has gone away: the thread below waits.
                let _ = sender.send(answer);
            });
            service.invoke(call, Some(id), answered).await;
        });
        let result = receiver.recv();
        let result = result.unwrap_or_else(|_| Err(ApiError::new(Code::Service, "the event was not run")));
        let configuration = self.event_configuration(&event);
        match event.after(&result, &configuration, now_ms()) {
            Next::Done => {}
            Next::Again(due_ms) => {
                event.due_ms = due_ms;
                self.0.store.put_event(&event.request_id, Some(&event))?;
                self.lock().waiting.insert(event.request_id.clone(), event);
                return Ok(());
            }
            Next::Failed(condition) => {
                if let Some(destination) = &configuration.on_failure {
                    self.send(destination, &event.failure(condition, &result))?;
                }
            }
        }
        self.0.store.put_event(&event.request_id, None)
    }

    fn event_configuration(&self, event: &Event) -> EventConfiguration {
        let qualifier = event.qualifier.as_deref().unwrap_or(glowplug_engine::LATEST);
        let state = self.lock();
        let found = state.functions.get(&event.function).and_then(|record| record.events.get(qualifier));
        found.cloned().unwrap_or_default()
    }

    /// Sends a record of a failure to a file, a line each, or to a function.
    fn send(&self, destination: &str, record: &Value) -> Result<()> {
        if let Some(path) = destination.strip_prefix("file://") {
            use std::io::Write as _;
            let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(format!("{record}\n").as_bytes())?;
            file.sync_all()?;
            return Ok(());
        }
        let named = Named::parse(destination, None).map_err(|error| unsent(destination, &error))?;
        let body = record.to_string().into_bytes().into();
        let call = Call { named, body, client_context: None, trace_id: None, wants_log: false };
        self.accept(&call).map(|_| ()).map_err(|error| unsent(destination, &error))
    }
}

fn unsent(destination: &str, error: &ApiError) -> Error {
    Error::input("cannot send a failed event to its destination").cause(&error.message).place(destination)
}

fn now_ms() -> u64 {
    time::now().as_millis() as u64
}

impl Event {
    fn call(&self) -> Result<Call> {
        let body = base64::engine::general_purpose::STANDARD
            .decode(&self.payload)
            .map_err(|error| Error::defect("an event in the database is no base64").cause(error))?;
        Ok(Call {
            named: Named { function: self.function.clone(), qualifier: self.qualifier.clone() },
            body: body.into(),
            client_context: self.client_context.clone(),
            trace_id: self.trace_id.clone(),
            wants_log: false,
        })
    }

    /// What becomes of it after a try, at `now`, in ms since 1970. What the function did is counted, that it could not run
    /// is not.
    fn after(
        &mut self,
        result: &Result<Answer, ApiError>,
        configuration: &EventConfiguration,
        now_ms: u64,
    ) -> Next {
        let pause = match result {
            Ok(answer) if !answer.failed => return Next::Done,
            Ok(_) => {
                self.attempts += 1;
                self.refusals = 0;
                if self.attempts > configuration.retries {
                    return Next::Failed("RetriesExhausted");
                }
                PAUSES[(self.attempts as usize - 1).min(PAUSES.len() - 1)]
            }
            Err(error) if error.code == Code::ResourceNotFound => return Next::Failed("RetriesExhausted"),
            Err(_) => {
                self.refusals += 1;
                FIRST_BACKOFF.saturating_mul(1 << (self.refusals - 1).min(16)).min(LONGEST_BACKOFF)
            }
        };
        let due = now_ms + pause.as_millis() as u64;
        if due > self.accepted_ms + u64::from(configuration.age_s) * 1000 {
            return Next::Failed("EventAgeExceeded");
        }
        Next::Again(due)
    }

    /// The record of a failure ("Asynchronous invocation record" in the developer guide).
    fn failure(&self, condition: &str, result: &Result<Answer, ApiError>) -> Value {
        let payload = base64::engine::general_purpose::STANDARD.decode(&self.payload).unwrap_or_default();
        let json_of = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let named = Named { function: self.function.clone(), qualifier: self.qualifier.clone() };
        let mut record = json!({
            "version": "1.0",
            "timestamp": time::logged(time::now()),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": named.arn(),
                "condition": condition,
                "approximateInvokeCount": self.attempts,
            },
            "requestPayload": json_of(&payload),
        });
        if let Ok(answer) = result {
            record["responseContext"] =
                json!({"statusCode": 200, "executedVersion": answer.version, "functionError": "Unhandled"});
            record["responsePayload"] = json_of(&answer.payload);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            function: "f".to_owned(),
            qualifier: None,
            request_id: "id".to_owned(),
            payload: base64::engine::general_purpose::STANDARD.encode("{\"a\":1}"),
            client_context: None,
            trace_id: None,
            attempts: 0,
            refusals: 0,
            accepted_ms: 1_000_000,
            due_ms: 1_000_000,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as an invoke gives it")]
    fn answer(failed: bool) -> Result<Answer, ApiError> {
        Ok(Answer {
            request_id: "id".to_owned(),
            trace_id: String::new(),
            version: "$LATEST".to_owned(),
            payload: b"{\"errorType\":\"E\"}".to_vec(),
            failed,
            log_tail: Vec::new(),
        })
    }

    #[test]
    fn a_failed_event_is_run_twice_more() {
        let (mut event, configuration) = (event(), EventConfiguration::default());
        let mut after = |result| event.after(&result, &configuration, 1_000_000);
        assert_eq!(after(answer(true)), Next::Again(1_060_000));
        assert_eq!(after(answer(true)), Next::Again(1_120_000));
        assert_eq!(after(answer(true)), Next::Failed("RetriesExhausted"));
        assert_eq!(after(answer(false)), Next::Done);
    }

    #[test]
    fn what_could_not_run_is_tried_until_it_is_too_old() {
        let (mut event, configuration) = (event(), EventConfiguration { age_s: 60, ..Default::default() });
        let busy = || Err(ApiError::throttled("ConcurrentInvocationLimitExceeded"));
        assert_eq!(event.after(&busy(), &configuration, 1_000_000), Next::Again(1_001_000));
        assert_eq!(event.after(&busy(), &configuration, 1_001_000), Next::Again(1_003_000));
        assert_eq!(event.attempts, 0);
        assert_eq!(event.after(&busy(), &configuration, 1_058_000), Next::Failed("EventAgeExceeded"));
        let gone = Err(ApiError::not_found("gone"));
        assert_eq!(event.after(&gone, &configuration, 1_000_000), Next::Failed("RetriesExhausted"));
    }

    #[test]
    fn the_record_of_a_failure_tells_request_and_answer() {
        let mut event = event();
        let result = answer(true);
        event.after(&result, &EventConfiguration { retries: 0, ..Default::default() }, 1_000_000);
        let record = event.failure("RetriesExhausted", &result);
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
        assert_eq!(record["requestPayload"], json!({"a": 1}));
        assert_eq!(record["responsePayload"], json!({"errorType": "E"}));
        assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    }
}
