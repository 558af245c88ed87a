//! Tools of `bench/engine`: a client that invokes as fast as it gets answers, and a Runtime API that always has the next
//! event ready.
//!
//! ```text
//! load invoke URL CONNECTIONS SECONDS     invokes with `{"n": 1}`; prints latencies in µs and invokes a second
//! load canned PORT SECONDS                serves one runtime client; prints what a round takes, from asking for an event
//!                                         until asking for the next one, in µs
//! ```

#![expect(clippy::print_stdout, reason = "a tool of the bench")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const EVENT: &str = "{\"n\": 1}";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["invoke", url, connections, seconds] => invoke(url, connections.parse()?, seconds.parse()?),
        ["canned", port, seconds] => canned(port.parse()?, seconds.parse()?),
        _ => Err("load invoke URL CONNECTIONS SECONDS, or load canned PORT SECONDS".into()),
    }
}

/// Invokes over `connections` at once for some seconds.
fn invoke(url: &str, connections: usize, seconds: f64) -> Result<(), Box<dyn Error>> {
    let (host, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no http URL")?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{EVENT}",
        EVENT.len()
    );
    let began = Instant::now();
    let all: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| one_connection(host, &request, until).unwrap_or_default()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let took = began.elapsed().as_secs_f64();
    let mut latencies: Vec<u64> = all.into_iter().flatten().collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!(
        "{{\"invokes\": {}, \"per_second\": {:.1}, \"p50_us\": {}, \"p90_us\": {}, \"p99_us\": {}}}",
        latencies.len(),
        latencies.len() as f64 / took,
        at(0.5),
        at(0.9),
        at(0.99)
    );
    Ok(())
}

fn one_connection(host: &str, request: &str, until: Instant) -> Result<Vec<u64>, Box<dyn Error>> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let (mut writer, mut reader) = (stream.try_clone()?, BufReader::new(stream));
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let begin = Instant::now();
        writer.write_all(request.as_bytes())?;
        let body = message(&mut reader)?.1;
        latencies.push(begin.elapsed().as_micros() as u64);
        if !body.starts_with(b"{") && !body.starts_with(b"\"") {
            return Err("no answer of the function".into());
        }
    }
    Ok(latencies)
}

/// Serves the rounds of one runtime client.
fn canned(port: u16, seconds: f64) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut rounds = Vec::new();
    // The client opens a new connection when it likes.
    let mut until = None;
    while until.is_none_or(|until| Instant::now() < until) {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (mut writer, mut reader) = (stream.try_clone()?, BufReader::new(stream));
        let mut begin: Option<Instant> = None;
        while let Ok((first, _)) = message(&mut reader) {
            let until = *until.get_or_insert_with(|| Instant::now() + Duration::from_secs_f64(seconds));
            if Instant::now() >= until {
                break;
            }
            if first.starts_with("GET") {
                if let Some(begin) = begin.replace(Instant::now()) {
                    rounds.push(begin.elapsed().as_micros() as u64);
                }
                let deadline = 4_000_000_000_000_u64;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\nLambda-Runtime-Invoked-Function-Arn: a\r\nLambda-Runtime-Trace-Id: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{EVENT}",
                    EVENT.len()
                );
                writer.write_all(answer.as_bytes())?;
            } else {
                writer.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n")?;
            }
        }
    }
    rounds.sort_unstable();
    let p50 = rounds.get(rounds.len() / 2).copied().unwrap_or(0);
    println!(
        "{{\"rounds\": {}, \"per_second\": {:.1}, \"p50_us\": {p50}}}",
        rounds.len(),
        rounds.len() as f64 / seconds
    );
    Ok(())
}

/// Reads a message of HTTP/1.1: its first line, and its body.
fn message(reader: &mut BufReader<TcpStream>) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Err("closed".into());
    }
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}
