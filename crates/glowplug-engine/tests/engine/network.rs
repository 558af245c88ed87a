//! The network policy: loopback works, everything else fails at once and is listed.

use std::net::TcpListener;

use glowplug_engine::Network;
use serde_json::json;

use crate::support::{Function, engine, success};

fn enforced() -> bool {
    let enforced = engine().capabilities().network_policy;
    if !enforced {
        println!("this host cannot enforce the policy: {:?}", engine().capabilities().notes);
    }
    enforced
}

#[test]
fn the_outside_is_unreachable_and_listed() {
    if !enforced() {
        return;
    }
    // 192.0.2.0/24 and 2001:db8::/32 are for documentation: nobody answers there.
    let source = "
import errno, socket
def attempt(call):
    try:
        call()
        return 'reached'
    except OSError as error:
        return '%s: %s' % (type(error).__name__, error)
def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def message():
    udp().sendmsg([b'x'], [], 0, ('192.0.2.3', 9))
def handler(event, context):
    return [attempt(lambda: socket.create_connection(('192.0.2.1', 80))),
            attempt(lambda: socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))),
            attempt(lambda: udp().sendto(b'x', ('192.0.2.2', 123))),
            attempt(message),
            attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)).split(':')[0],
            attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))]
";
    let (invocation, finished) = Function::new(source).once("{}");
    let unreachable = "OSError: [Errno 101] Network is unreachable";
    let expected = json!([
        unreachable,
        unreachable,
        unreachable,
        unreachable,
        "PermissionError",
        "OSError: [Errno 97] Address family not supported by protocol"
    ]);
    assert_eq!(success(&invocation, &finished.log), expected);
    let expected = ["tcp 192.0.2.1:80", "tcp [2001:db8::1]:443", "udp 192.0.2.2:123", "udp 192.0.2.3:9"];
    assert_eq!(finished.blocked, expected);
}

#[test]
fn name_lookups_fail_at_once_and_are_listed() {
    if !enforced() {
        return;
    }
    let source = "
import socket
def handler(event, context):
    try:
        return socket.getaddrinfo('example.com', 443)[0][4][0]
    except socket.gaierror as error:
        return error.errno == socket.EAI_AGAIN or error.errno == socket.EAI_NONAME
";
    let (invocation, finished) = Function::new(source).once("{}");
    assert_eq!(success(&invocation, &finished.log), true);
    assert!(!finished.blocked.is_empty());
    assert!(
        finished.blocked.iter().all(|line| line.starts_with("udp ") && line.ends_with(":53 (dns)")),
        "{:?}",
        finished.blocked
    );
}

#[test]
fn loopback_and_local_sockets_work() {
    let source = "
import http.server, socket, threading, urllib.request
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'page')
    def log_message(self, *args):
        pass
def udp(family, address):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    receiver.bind(address)
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.sendto(b'one', receiver.getsockname())
    return receiver.recv(10).decode()
def handler(event, context):
    server = http.server.HTTPServer(('127.0.0.1', 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = 'http://localhost:%d/' % server.server_port
    page = urllib.request.urlopen(url, timeout=5).read().decode()
    server.shutdown()
    return [page, udp(socket.AF_INET, ('127.0.0.1', 0)), udp(socket.AF_UNIX, '/tmp/socket')]
";
    let (invocation, finished) = Function::new(source).once("{}");
    assert_eq!(success(&invocation, &finished.log), json!(["page", "one", "one"]));
    assert!(finished.blocked.is_empty(), "{:?}", finished.blocked);
    assert_eq!(
        finished.tmp.get("socket").map(String::as_str),
        engine().capabilities().mounts.then_some("socket")
    );
}

#[test]
fn children_and_threads_are_under_the_policy_too() {
    if !enforced() {
        return;
    }
    let source = "
import subprocess, sys, threading, socket
def handler(event, context):
    code = 'import socket; print(socket.socket().connect_ex((\"192.0.2.7\", 80)))'
    child = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip()
    found = []
    thread = threading.Thread(target=lambda: found.append(socket.socket().connect_ex(('192.0.2.8', 80))))
    thread.start()
    thread.join()
    return [child, found]
";
    let (invocation, finished) = Function::new(source).once("{}");
    assert_eq!(success(&invocation, &finished.log), json!(["101", [101]]));
    assert_eq!(finished.blocked, ["tcp 192.0.2.7:80", "tcp 192.0.2.8:80"]);
}

#[test]
fn an_attempt_at_import_is_listed_as_well() {
    if !enforced() {
        return;
    }
    let source = "import socket\nE = socket.socket().connect_ex(('192.0.2.9', 443))\ndef handler(e, c):\n    return E\n";
    let (invocation, finished) = Function::new(source).once("{}");
    assert_eq!(success(&invocation, &finished.log), 101);
    assert_eq!(finished.blocked, ["tcp 192.0.2.9:443"]);
}

/// Answers with what connecting to each port of the event gives.
const KNOCKS: &str = "
import socket
def knock(port, timeout):
    caller = socket.socket()
    caller.settimeout(timeout)
    try:
        caller.connect(('127.0.0.1', port))
        return 'reached'
    except OSError as error:
        return error.errno
    finally:
        caller.close()
def handler(event, context):
    return [[knock(port, timeout) for timeout in (None, 5)] for port in event]
";

#[test]
fn ports_of_the_engine_are_closed_in_either_policy() {
    if !enforced() {
        return;
    }
    let (service, open) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    // Kept: the functions' engine is this one as long as somebody has it.
    let guarding = engine();
    guarding.guard(port(&service));
    let other =
        Function::new("import os\ndef handler(e, c):\n    return os.environ['AWS_LAMBDA_RUNTIME_API']\n");
    let mut other_runs = other.ready();
    let told = other_runs.invoke(b"{}").unwrap();
    let api = success(&told, b"").as_str().unwrap().rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let event = json!([port(&service), api, port(&open), 1]).to_string();
    let answer = |network, service_access| {
        let function = Function::new(KNOCKS).with(|spec| {
            spec.network = network;
            spec.service_access = service_access;
        });
        function.answer(&event)
    };
    let (reached, refused) = (json!(["reached", "reached"]), json!([111, 111]));
    for network in [Network::Deny, Network::Allow] {
        assert_eq!(answer(network, false), json!([refused, refused, reached, refused]));
    }
    assert_eq!(answer(Network::Allow, true), json!([reached, refused, reached, refused]));
}

#[test]
fn connections_that_do_not_wait_work_under_the_policy() {
    let source = "
import asyncio, socket
async def talk():
    async def answer(reader, writer):
        writer.write(b'got ' + await reader.read(10))
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    writer.write(b'it')
    writer.write_eof()
    text = (await reader.read()).decode()
    server.close()
    return text
def handler(event, context):
    return asyncio.run(talk())
";
    for network in [Network::Deny, Network::Allow] {
        assert_eq!(Function::new(source).with(|spec| spec.network = network).answer("{}"), "got it");
    }
}

#[test]
fn hidden_files_are_not_there() {
    if !engine().capabilities().mounts {
        return;
    }
    let function = Function::new(
        "import os\ndef handler(event, context):\n    return [sorted(os.listdir(event[0])), open(event[1]).read()]\n",
    );
    // Not below `/tmp`, which is not the host's anyway.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = camino::Utf8Path::from_path(folder.path()).unwrap().to_owned();
    let (hidden, file) = (at.join("hidden"), at.join("secret"));
    fs_err::create_dir(&hidden).unwrap();
    fs_err::write(hidden.join("one"), "1").unwrap();
    fs_err::write(&file, "2").unwrap();
    let event = json!([hidden, file]).to_string();
    assert_eq!(function.answer(&event), json!([["one"], "2"]));
    let function = function.with(|spec| spec.hidden = vec![hidden.clone(), file.clone(), at.join("none")]);
    assert_eq!(function.answer(&event), json!([[], ""]));
    assert_eq!(fs_err::read_to_string(file).unwrap(), "2");
}

#[test]
fn local_sockets_are_found_where_the_function_sees_them() {
    let source = "
import os, socket, threading
def serve(address):
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    threading.Thread(target=lambda: server.accept()[0].sendall(b'here'), daemon=True).start()
def ask(address):
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(5)
    try:
        caller.connect(address)
        return caller.recv(10).decode()
    except OSError as error:
        return error.errno
def handler(event, context):
    os.chdir('/tmp')
    os.mkdir('/tmp/real')
    os.symlink('/tmp/real', '/tmp/link')
    for address in ('/tmp/one', '/tmp/two', '/tmp/real/three', '\\0abstract-%d' % os.getpid()):
        serve(address)
    found = [ask('/tmp/one'), ask('two'), ask('/tmp/link/three'), ask('\\0abstract-%d' % os.getpid())]
    return found + [ask('/tmp/none'), socket.socket().connect_ex(('127.0.0.1', 1))]
";
    for network in [Network::Deny, Network::Allow] {
        let answer = Function::new(source).with(|spec| spec.network = network).answer("{}");
        assert_eq!(answer, json!(["here", "here", "here", "here", 2, 111]));
    }
}

#[test]
fn what_a_call_says_cannot_be_exchanged_while_it_is_judged() {
    if !enforced() {
        return;
    }
    // Memory that cannot be read, descriptors that are not there or of another kind: never the kernel's own look.
    let source = "
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
INET = struct.pack('=HH', socket.AF_INET, socket.htons(1)) + bytes([127, 0, 0, 1]) + bytes(8)
def connect(descriptor, address, length):
    libc.connect(descriptor, address, length)
    return ctypes.get_errno()
def handler(event, context):
    local, inet = socket.socket(socket.AF_UNIX), socket.socket()
    return [connect(inet.fileno(), ctypes.c_void_p(1), 16), connect(999, INET, 16),
            connect(local.fileno(), INET, 16), libc.open_by_handle_at(-100, INET, 0), ctypes.get_errno()]
";
    let answer = Function::new(source).with(|spec| spec.network = Network::Allow).answer("{}");
    assert_eq!(answer, json!([14, 9, 22, -1, 1]));
}
