//! A proxy that cuts connections: bytes go to a real server and back, until as many have passed as the test allows.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Which way is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    FromServer,
}

/// The proxy, which runs until the test's process ends.
pub(crate) struct Proxy {
    pub port: u16,
    /// Connections that were cut.
    pub cuts: Arc<AtomicUsize>,
    /// Bytes that passed the counted way.
    pub passed: Arc<AtomicU64>,
}

impl Proxy {
    /// Cuts a connection after `limit` bytes the one way, and does so `times` times; then it lets everything pass.
    pub(crate) fn before(server: u16, way: Way, limit: u64, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&cuts), Arc::clone(&passed));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for direction in [Way::ToServer, Way::FromServer] {
                    let (client, upstream) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                    let (from, to) = match direction {
                        Way::ToServer => (client, upstream),
                        Way::FromServer => (upstream, client),
                    };
                    let counted = (direction == way).then(|| (counters.clone(), limit, times));
                    thread::spawn(move || pump(from, to, counted));
                }
            }
        });
        Self { port, cuts, passed }
    }
}

type Counted = ((Arc<AtomicUsize>, Arc<AtomicU64>), u64, usize);

fn pump(mut from: TcpStream, mut to: TcpStream, counted: Option<Counted>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut here = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(((cuts, passed), limit, times)) = &counted {
            here += count as u64;
            if here > *limit && cuts.load(Ordering::SeqCst) < *times {
                cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
            passed.fetch_add(count as u64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
