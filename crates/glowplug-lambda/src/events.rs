//! Asynchronous invokes: accepted once they are on the disk, run until they succeed, tried again as Lambda does, and in
//! the end told to the function's destinations and its dead letter target.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use glowplug_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{ApiError, Code};
use crate::invoke::{Answer, Call, MOST_ASYNCHRONOUS};
use crate::model::EventConfiguration;
use crate::names::Named;
use crate::queue::{self, Attribute};
use crate::service::Service;
use crate::time;

/// How long Lambda waits before it runs a failed event again ("Error handling for asynchronous invocation" in the
/// developer guide), by the number of the attempt that failed.
const PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// Between tries of an event that could not be run at all: from one second up to five minutes (the same page).
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// How long after its acceptance the end of an event is still told to a destination that does not take it.
const TELLING: Duration = Duration::from_hours(12);

/// What a destination begins with that is a file.
pub(crate) const FILE: &str = "file:///";

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
    /// What was to become of it when it was accepted.
    configuration: EventConfiguration,
    /// The dead letter target, if there is one that is served here.
    #[serde(default)]
    dead_letter: Option<String>,
    /// It has come to its end.
    #[serde(default)]
    ended: bool,
    /// What is still to be told of that.
    #[serde(default)]
    letters: Vec<Letter>,
}

/// A record on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    /// A function's ARN, or `file:///PATH`.
    destination: String,
    record: Value,
    /// It is a message of a queue: a function gets it as queues give them.
    queued: bool,
}

/// The condition in the record of an event that succeeded.
const SUCCESS: &str = "Success";

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
        self.check_invocable(named)?;
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
            configuration: self.event_configuration(named),
            dead_letter: self.dead_letter(named),
            ended: false,
            letters: Vec::new(),
        };
        self.0.store.put_event(&event.request_id, Some(&event))?;
        let id = event.request_id.clone();
        self.lock().waiting.insert(id.clone(), event);
        Ok(id)
    }

    /// Takes out events whose time has come, at most so many.
    pub(crate) fn due(&self, most: usize) -> Vec<Event> {
        let now = now_ms();
        let mut state = self.lock();
        let due = state.waiting.iter().filter(|(_, event)| event.due_ms <= now).take(most);
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        due.iter().filter_map(|id| state.waiting.remove(id)).collect()
    }

    /// Runs an event once and sees to what comes after.
    pub(crate) async fn run_event(&self, event: Event) {
        let mut result = Err(ApiError::new(Code::Service, "the event was not run"));
        if !event.ended {
            match event.call() {
                Ok(call) => {
                    let (sender, receiver) = tokio::sync::oneshot::channel();
                    let answered = Box::new(move |answer| {
                        // Nobody has gone away: it is waited for below.
                        let _ = sender.send(answer);
                    });
                    self.invoke(call, Some(event.request_id.clone()), answered).await;
                    result = receiver.await.unwrap_or(result);
                }
                Err(error) => result = Err(error.into()),
            }
        }
        let service = self.clone();
        // It may wait for the disk.
        let _ = tokio::task::spawn_blocking(move || service.follow_up(event, &result)).await;
    }

    /// Writes down what becomes of an event after a try. What the disk does not take stays as it was there: the event runs
    /// again when the program starts anew.
    fn follow_up(&self, mut event: Event, result: &Result<Answer, ApiError>) {
        if !event.ended {
            let configuration = event.configuration.clone();
            let condition = match event.after(result, &configuration, now_ms()) {
                Next::Again(due_ms) => return self.put_off(event, due_ms),
                Next::Done => SUCCESS,
                Next::Failed(condition) => condition,
            };
            event.ended = true;
            event.letters = event.letters_of(condition, result);
        }
        let mut error = None;
        event.letters.retain(|letter| match self.send(letter) {
            Ok(()) => false,
            Err(failed) => {
                error = Some(failed);
                true
            }
        });
        if let Some(error) = error {
            let now = now_ms();
            if now < event.accepted_ms + TELLING.as_millis() as u64 {
                return self.put_off(event, now + LONGEST_BACKOFF.as_millis() as u64);
            }
            (self.0.log)(&event.function, "events", format!("{}: {error}\n", event.request_id).as_bytes());
        }
        let _ = self.0.store.put_event(&event.request_id, None);
    }

    fn put_off(&self, mut event: Event, due_ms: u64) {
        event.due_ms = due_ms;
        let _ = self.0.store.put_event(&event.request_id, Some(&event));
        self.lock().waiting.insert(event.request_id.clone(), event);
    }

    fn event_configuration(&self, named: &Named) -> EventConfiguration {
        let qualifier = named.qualifier.as_deref().unwrap_or(glowplug_engine::LATEST);
        let state = self.lock();
        let found = state.functions.get(&named.function).and_then(|record| record.events.get(qualifier));
        found.cloned().unwrap_or_default()
    }

    /// Where events that fail for good go, if it is a place that is served here.
    fn dead_letter(&self, named: &Named) -> Option<String> {
        let state = self.lock();
        let record = state.functions.get(&named.function)?;
        let target = record.resolve(named.qualifier.as_deref(), 1.0)?.dead_letter.clone();
        target.filter(|target| target.starts_with(FILE) || Named::parse(target, None).is_ok())
    }

    /// Sends a record to a file, a line each, or to a function.
    fn send(&self, letter: &Letter) -> Result<()> {
        let Letter { destination, record, queued } = letter;
        if let Some(path) = destination.strip_prefix("file://") {
            use std::io::Write as _;
            let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(format!("{record}\n").as_bytes())?;
            file.sync_all()?;
            return Ok(());
        }
        let named = Named::parse(destination, None).map_err(|error| unsent(destination, &error))?;
        let event = if *queued { json!({"Records": [record]}) } else { record.clone() };
        let body = event.to_string().into_bytes().into();
        let call = Call::new(named, body);
        self.accept(&call).map(|_| ()).map_err(|error| unsent(destination, &error))
    }
}

fn unsent(destination: &str, error: &ApiError) -> Error {
    Error::input("cannot tell a destination of an event").cause(&error.message).place(destination)
}

fn now_ms() -> u64 {
    time::now().as_millis() as u64
}

impl Event {
    fn call(&self) -> Result<Call> {
        let body = base64::engine::general_purpose::STANDARD
            .decode(&self.payload)
            .map_err(|error| Error::defect("an event in the database is no base64").cause(error))?;
        let named = Named { function: self.function.clone(), qualifier: self.qualifier.clone() };
        Ok(Call {
            client_context: self.client_context.clone(),
            trace_id: self.trace_id.clone(),
            ..Call::new(named, body.into())
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

    /// What is told of its end, and to whom.
    fn letters_of(&self, condition: &str, result: &Result<Answer, ApiError>) -> Vec<Letter> {
        let succeeded = condition == SUCCESS;
        let destination =
            if succeeded { &self.configuration.on_success } else { &self.configuration.on_failure };
        let record = destination.as_ref().map(|destination| Letter {
            destination: destination.clone(),
            record: self.record(condition, result),
            queued: false,
        });
        let dead = self.dead_letter.as_ref().filter(|_| !succeeded).map(|target| Letter {
            destination: target.clone(),
            record: self.dead_letter_message(result),
            queued: true,
        });
        record.into_iter().chain(dead).collect()
    }

    /// The record of an invoke ("Asynchronous invocation record" in the developer guide).
    fn record(&self, condition: &str, result: &Result<Answer, ApiError>) -> Value {
        let named = Named { function: self.function.clone(), qualifier: self.qualifier.clone() };
        let invokes = if condition == SUCCESS { self.attempts + 1 } else { self.attempts };
        let mut record = json!({
            "version": "1.0",
            "timestamp": time::logged(time::now()),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": named.arn(),
                "condition": condition,
                "approximateInvokeCount": invokes,
            },
            "requestPayload": json_of(&self.bytes()),
        });
        if let Ok(answer) = result {
            record["responseContext"] = json!({"statusCode": 200, "executedVersion": answer.version});
            if answer.failed {
                record["responseContext"]["functionError"] = json!("Unhandled");
            }
            record["responsePayload"] = json_of(&answer.payload);
        }
        record
    }

    /// The message of a dead letter queue, as SQS gives messages to functions: the event, with what became of it
    /// ("Dead-letter queues" in the developer guide).
    fn dead_letter_message(&self, result: &Result<Answer, ApiError>) -> Value {
        let (status, message) = match result {
            Ok(answer) => {
                let told = json_of(&answer.payload)["errorMessage"].as_str().map(str::to_owned);
                (200, told.unwrap_or_default())
            }
            Err(error) => (error.code.status(), error.message.clone()),
        };
        let attributes = BTreeMap::from([
            ("RequestID", Attribute { kind: "String", value: self.request_id.clone() }),
            ("ErrorCode", Attribute { kind: "Number", value: status.to_string() }),
            // The first kilobyte of it (the same page).
            ("ErrorMessage", Attribute { kind: "String", value: message.chars().take(1024).collect() }),
        ]);
        queue::message(&self.function, &String::from_utf8_lossy(&self.bytes()), &attributes, now_ms())
    }

    /// Its payload.
    fn bytes(&self) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(&self.payload).unwrap_or_default()
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
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
            configuration: EventConfiguration::default(),
            dead_letter: None,
            ended: false,
            letters: Vec::new(),
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
        let record = event.record("RetriesExhausted", &result);
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
        assert_eq!(record["requestPayload"], json!({"a": 1}));
        assert_eq!(record["responsePayload"], json!({"errorType": "E"}));
        assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    }

    #[test]
    fn the_end_of_an_event_is_told_to_those_whom_it_concerns() {
        let mut event = event();
        let told = |event: &Event, condition| {
            let letters = event.letters_of(condition, &answer(condition != SUCCESS));
            letters.into_iter().map(|letter| letter.destination).collect::<Vec<_>>()
        };
        assert_eq!(told(&event, SUCCESS), Vec::<String>::new());
        event.configuration.on_success = Some("good".to_owned());
        event.configuration.on_failure = Some("bad".to_owned());
        event.dead_letter = Some("dead".to_owned());
        assert_eq!(told(&event, SUCCESS), ["good"]);
        assert_eq!(told(&event, "RetriesExhausted"), ["bad", "dead"]);
        let message = event.dead_letter_message(&Err(ApiError::not_found("gone")));
        assert_eq!(message["body"], "{\"a\":1}");
        assert_eq!(message["messageAttributes"]["ErrorCode"]["stringValue"], "404");
        assert_eq!(message["messageAttributes"]["RequestID"]["stringValue"], "id");
    }
}
