//! A function of the tests, made with the unmodified `lambda_runtime`: answers, fails, or streams, as its event says.

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    run(service_fn(answer)).await
}

async fn answer(event: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    if let Some(message) = event.payload["fail"].as_str() {
        return Err(message.into());
    }
    let (mut sender, body) = channel();
    let text = format!("{} {}", event.context.env_config.function_name, event.payload);
    tokio::spawn(async move {
        for word in text.split_inclusive(' ') {
            // A client that has gone away needs no more.
            if sender.send_data(word.to_owned().into()).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::from(body))
}
