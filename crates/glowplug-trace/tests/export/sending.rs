//! Sending, against small servers of our own that answer as we like.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use glowplug_core::{ErrorClass, Result};
use glowplug_trace::export::{Encoding, Export, ExportOptions, export};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use crate::samples::{large, options, trace};

/// A request as the server read it.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Reads a request with a length, or gives `None` where there is none.
pub(crate) fn read(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut block = vec![0; 65536];
    let mut fill = |bytes: &mut Vec<u8>| {
        let count = stream.read(&mut block).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&block[..count]);
        Some(())
    };
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        fill(&mut bytes)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while bytes.len() < end + 4 + length.unwrap_or(0) {
        fill(&mut bytes)?;
    }
    Some(Request { head, body: bytes[end + 4..].to_vec() })
}

/// A server that gives these answers, one a connection; its URL, and what it was sent.
fn server(answers: Vec<(u16, Vec<u8>)>) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(read(&mut stream).unwrap());
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
        requests
    });
    (url, thread)
}

fn post(url: &str, options: &ExportOptions) -> Result<()> {
    export(&trace(), &format!("otlp={url}").parse::<Export>().unwrap(), options)
}

#[test]
fn spans_are_posted_in_the_encoding_and_with_the_headers_that_were_asked_for() {
    let (url, thread) = server(vec![(200, Vec::new()), (200, b"{}".to_vec())]);
    let mut options = options();
    post(&url, &options).unwrap();
    options.otlp.encoding = Encoding::Json;
    options.otlp.headers = vec![("api-key".to_owned(), "secret".to_owned())];
    post(&url, &options).unwrap();
    let requests = thread.join().unwrap();
    assert!(requests[0].head.starts_with("POST /v1/traces HTTP/1.1"));
    assert!(requests[0].head.to_lowercase().contains("content-type: application/x-protobuf"));
    let sent = ExportTraceServiceRequest::decode(&*requests[0].body).unwrap();
    assert!(requests[1].head.to_lowercase().contains("content-type: application/json"));
    assert!(requests[1].head.contains("secret"));
    let json: ExportTraceServiceRequest = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(json, sent);
}

#[test]
fn a_busy_collector_is_asked_again() {
    let (url, thread) = server(vec![(503, Vec::new()), (429, Vec::new()), (200, Vec::new())]);
    post(&url, &options()).unwrap();
    assert_eq!(thread.join().unwrap().len(), 3);
}

#[test]
fn what_a_collector_refuses_is_an_error_with_its_words() {
    let (url, _) = server(vec![(401, b"no key".to_vec())]);
    let error = post(&url, &options()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    assert!(error.to_string().contains("status 401: no key"), "{error}");
    assert!(error.hints()[0].contains("OTEL_EXPORTER_OTLP_HEADERS"));

    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let (url, _) = server(vec![(200, answer.encode_to_vec())]);
    let error = post(&url, &options()).unwrap_err();
    assert!(error.to_string().contains("left out 3 of ") && error.to_string().contains("too old"), "{error}");

    let (url, _) = server(vec![(200, br#"{"partialSuccess":{"rejectedSpans":"3"}}"#.to_vec())]);
    let mut json = options();
    json.otlp.encoding = Encoding::Json;
    assert!(post(&url, &json).unwrap_err().to_string().contains("left out 3 of "));
}

#[test]
fn where_nobody_listens_the_error_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = post(&format!("http://{free}"), &options()).unwrap_err();
    assert!(error.to_string().contains(&format!("http://{free}/v1/traces")), "{error}");
    assert!(error.hints()[0].contains("4318"));

    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let daemon: Export = format!("xray=udp://{free}").parse().unwrap();
    let error = export(&trace(), &daemon, &options()).unwrap_err();
    assert!(error.hints()[0].contains("2000"), "{error}");
}

#[test]
fn a_daemon_gets_every_document_in_a_datagram_with_a_header() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = daemon.local_addr().unwrap();
    let sent: Export = format!("xray=udp://{address}").parse().unwrap();
    let text = String::from_utf8(crate::samples::rendered(&large(), "xray=x")).unwrap();
    let thread = std::thread::spawn(move || export(&large(), &sent, &options()));
    let mut block = vec![0; 65536];
    for expected in text.lines() {
        let count = daemon.recv(&mut block).unwrap();
        let datagram = std::str::from_utf8(&block[..count]).unwrap();
        let (header, document) = datagram.split_once('\n').unwrap();
        assert_eq!(header, r#"{"format":"json","version":1}"#);
        assert_eq!(document, expected);
    }
    thread.join().unwrap().unwrap();
}
