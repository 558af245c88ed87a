//! A collector that others wrote: rotel takes our spans and hands them on, and what arrives is what was sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use flate2::read::GzDecoder;
use fs_err as fs;
use glowplug_test::{interpreters, python_with, run};
use glowplug_trace::export::{Encoding, Export, export};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tempfile::TempDir;

use crate::samples::{options_of_now, trace};
use crate::sending::read;

/// How long the collector may take to start or to hand spans on.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running rotel, ended with this value.
struct Collector {
    process: Child,
    url: String,
    folder: TempDir,
}

impl Collector {
    /// Hands on to `next`.
    fn start((agent, libraries): (String, String), next: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (http, grpc) = (free(), free());
        let process = Command::new(agent)
            .env("LD_LIBRARY_PATH", libraries)
            .args([
                "start",
                "--otlp-http-endpoint",
                &http.to_string(),
                "--otlp-grpc-endpoint",
                &grpc.to_string(),
            ])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &format!("http://{next}")])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .stdout(fs::File::create(folder.path().join("log")).unwrap().into_file())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let collector = Self { process, url: format!("http://{http}"), folder };
        let begun = Instant::now();
        while TcpStream::connect(http).is_err() {
            assert!(begun.elapsed() < PATIENCE, "rotel does not listen: {}", collector.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        collector
    }

    fn log(&self) -> String {
        let path = Utf8PathBuf::from_path_buf(self.folder.path().join("log")).unwrap();
        String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, and the folder of the interpreter's library that it is linked with; `None` where no interpreter here
/// has it.
fn agent() -> Option<(String, String)> {
    let library = "import sysconfig as s; print(s.get_config_var('LIBDIR'), s.get_config_var('INSTSONAME'))";
    let shared = interpreters().iter().rev().filter(|interpreter| interpreter.version.minor >= 11);
    let found = shared.into_iter().find_map(|interpreter| {
        let told = run(Command::new(&interpreter.path).args(["-c", library]));
        let (folder, name) = told.trim().split_once(' ')?;
        let there = name.contains(".so") && Utf8PathBuf::from(folder).join(name).exists();
        there.then(|| (interpreter, folder.to_owned()))
    });
    let (interpreter, libraries) = found?;
    let python = python_with(interpreter, "collector", &["rotel==0.0.1a15"]);
    let find = "import pathlib, rotel; print(pathlib.Path(rotel.__file__).parent / 'rotel-agent')";
    Some((run(Command::new(python).args(["-c", find])).trim().to_owned(), libraries))
}

/// An address on which nobody listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Where the collector hands on to: gives every request's body.
fn backend() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (sender, mut stream) = (sender.clone(), stream);
            std::thread::spawn(move || {
                while let Some(request) = read(&mut stream) {
                    let mut body = Vec::new();
                    // rotel compresses, whatever it is told.
                    GzDecoder::new(&*request.body).read_to_end(&mut body).unwrap();
                    let _ = sender.send(body);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            });
        }
    });
    (address, receiver)
}

#[test]
fn slow_a_real_collector_takes_the_spans_as_protobuf_and_as_json() {
    let Some(agent) = agent() else {
        println!("not here: rotel needs a Python from 3.11 with a shared library");
        return;
    };
    let (address, arrived) = backend();
    let collector = Collector::start(agent, address);
    let mut options = options_of_now();
    let file: Export = "otlp=spans.binpb".parse().unwrap();
    let written = glowplug_trace::export::render(&trace(), &file, &options).unwrap();
    let sent = ExportTraceServiceRequest::decode(&*written).unwrap();
    let target: Export = format!("otlp={}", collector.url).parse().unwrap();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        options.otlp.encoding = encoding;
        export(&trace(), &target, &options).unwrap();
        let body =
            arrived.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing arrived: {}", collector.log()));
        assert_eq!(ExportTraceServiceRequest::decode(&*body).unwrap(), sent, "{encoding:?}");
    }
    assert!(collector.log().contains("cold start process_data"), "{}", collector.log());
    // Something else than spans is refused, and the refusal reaches the user.
    let wrong: Export = format!("otlp={}/v1/nothing", collector.url).parse().unwrap();
    assert!(export(&trace(), &wrong, &options).unwrap_err().to_string().contains("status 4"));
}
