//! How events, answers and connections go through the exchange.

use hyper::body::Bytes;

use super::*;

const NOW: Stamp = Stamp { at_ns: 1, cpu_ns: None };

fn event(id: &str) -> Event {
    Event {
        request_id: id.to_owned(),
        invocation_id: String::new(),
        arn: String::new(),
        trace_id: String::new(),
        client_context: None,
        cognito_identity: None,
        timeout: Duration::from_secs(1),
        body: Bytes::from_static(b"{}"),
        parts: None,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

#[test]
fn an_event_goes_to_one_poll_and_its_answer_back() {
    let (exchange, connection) =
        (Exchange::new(Arc::default(), serde_json::Value::Null), Arc::new(Connection::default()));
    exchange.poll(NOW).unwrap();
    assert!(matches!(exchange.wait_init(soon()), Some(InitEnd::Ready(_))));
    assert!(exchange.take(&connection).is_none());
    exchange.offer(event("a"));
    assert_eq!(exchange.take(&connection).unwrap().request_id, "a");
    assert!(exchange.take(&connection).is_none());
    assert!(matches!(exchange.expects("b", None), Err(Refusal::WrongRequest)));
    assert!(matches!(exchange.expects("a", Some("other")), Err(Refusal::WrongRequest)));
    assert!(exchange.expects("a", Some("")).is_ok());
    exchange.answer("a", Reply::Response(b"1".to_vec()), NOW).unwrap();
    assert!(matches!(exchange.wait_answer(soon()), Some(Ok(_))));
    let again = exchange.answer("a", Reply::Response(Vec::new()), NOW).unwrap_err();
    assert_eq!(again, Refusal::WrongState { from: "RuntimeResponseSent", to: "RuntimeResponseSent" });
    assert!(!exchange.wait_ready(soon()));
    exchange.poll(NOW).unwrap();
    assert!(exchange.wait_ready(soon()));
}

#[test]
fn an_event_on_a_dead_connection_is_offered_again() {
    let (exchange, dead) =
        (Exchange::new(Arc::default(), serde_json::Value::Null), Arc::new(Connection::default()));
    exchange.poll(NOW).unwrap();
    exchange.offer(event("a"));
    exchange.take(&dead).unwrap();
    let refused = Refusal::WrongState { from: "RuntimeRunning", to: "RuntimeReady" };
    assert_eq!(exchange.poll(NOW), Err(refused));
    exchange.disconnected(&dead);
    exchange.poll(NOW).unwrap();
    assert_eq!(exchange.take(&Arc::new(Connection::default())).unwrap().request_id, "a");
}

#[test]
fn a_poll_that_waits_gets_the_event_of_a_connection_that_dies() {
    let (exchange, dying) =
        (Exchange::new(Arc::default(), serde_json::Value::Null), Arc::new(Connection::default()));
    exchange.poll(NOW).unwrap();
    exchange.poll(NOW).unwrap();
    let waiting = exchange.waiting();
    exchange.offer(event("a"));
    exchange.take(&dying).unwrap();
    exchange.disconnected(&dying);
    assert_eq!(exchange.take(&Arc::new(Connection::default())).unwrap().request_id, "a");
    drop(waiting);
    // Nobody waits: the process has the event and may answer on another connection.
    exchange.answer("a", Reply::Response(Vec::new()), NOW).unwrap();
}

#[test]
fn init_errors_come_once_and_only_during_init() {
    let exchange = Exchange::new(Arc::default(), serde_json::Value::Null);
    let error = InitError { error_type: "X".to_owned(), payload: Vec::new(), stamp: NOW };
    exchange.init_error(error.clone()).unwrap();
    assert!(matches!(exchange.wait_init(soon()), Some(InitEnd::Failed(_))));
    assert!(exchange.init_error(error.clone()).is_err());
    assert!(exchange.poll(NOW).is_err());
    let ready = Exchange::new(Arc::default(), serde_json::Value::Null);
    ready.poll(NOW).unwrap();
    assert!(ready.init_error(error).is_err());
}
