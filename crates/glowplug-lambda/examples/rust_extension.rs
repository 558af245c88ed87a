//! An extension of the tests, made with the unmodified `lambda-extension`: notes what it hears in `/tmp/heard`.
#![expect(clippy::unwrap_used, reason = "a program of the tests")]

use std::io::Write;

use lambda_extension::{
    Error, Extension, LambdaEvent, LambdaTelemetry, NextEvent, SharedService, service_fn,
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events(&["INVOKE", "SHUTDOWN"])
        .with_events_processor(service_fn(event))
        .with_telemetry_processor(SharedService::new(service_fn(records)))
        .with_telemetry_types(&["platform", "function", "extension"])
        .run()
        .await
}

fn note(what: &str) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open("/tmp/heard");
    writeln!(file.unwrap(), "{what}").unwrap();
}

async fn event(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(invoke) => note(&format!("invoke {}", invoke.request_id)),
        NextEvent::Shutdown(shutdown) => note(&format!("shutdown {}", shutdown.shutdown_reason)),
    }
    Ok(())
}

async fn records(records: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for record in records {
        // Its types are the crate's: what it cannot read does not get here.
        let kind = format!("{:?}", record.record);
        note(&format!("record {}", kind.split([' ', '(']).next().unwrap_or_default()));
    }
    Ok(())
}
