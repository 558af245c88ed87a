//! Where the lines of served functions go: to standard error, and to a file for each log stream, as CloudWatch would keep
//! them. A thread of its own writes: a terminal that stands still holds no function up.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use glowplug_lambda::Log;

/// Log files that are kept open.
const OPEN_LOGS: usize = 256;

/// Invokes whose lines may wait to be written; those of more are lost, and counted.
const WAITING: usize = 10_000;

/// How long lines wait for others that are written with them: one by one they would wake the writing thread for each invoke.
const TOGETHER: Duration = Duration::from_millis(5);

/// How long the end of the program waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(2);

enum Message {
    /// Function, log stream, lines.
    Lines(String, String, Vec<u8>),
    /// All before this is to be written, and then this is to be told.
    Flush(SyncSender<()>),
}

/// The writing thread.
pub(super) struct Writer {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    /// Starts it; `folder` holds the files.
    ///
    /// # Errors
    /// Surroundings: the folder cannot be made.
    pub(super) fn start(folder: Option<&Utf8Path>, quiet: bool) -> Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
        }
        let (sender, receiver) = sync_channel(WAITING);
        let folder = folder.map(Utf8Path::to_owned);
        std::thread::Builder::new()
            .name("glowplug-log".to_owned())
            .spawn(move || write(&receiver, folder.as_deref(), quiet))
            .map_err(|error| Error::surroundings("cannot start a thread").cause(error))?;
        Ok(Self { sender, lost: Arc::default() })
    }

    /// What takes the lines of invokes; it never waits.
    pub(super) fn log(&self) -> Log {
        let (sender, lost) = (self.sender.clone(), Arc::clone(&self.lost));
        Box::new(move |function, stream, text| {
            let message = Message::Lines(function.to_owned(), stream.to_owned(), text.to_vec());
            if sender.try_send(message).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Has all that there is written, as far as that does not take long; gives the number of invokes whose lines are lost.
    pub(super) fn finish(self) -> u64 {
        let (told, done) = sync_channel(1);
        if self.sender.try_send(Message::Flush(told)).is_ok() {
            // A reader that stands still keeps the program from nothing.
            let _: std::result::Result<(), RecvTimeoutError> = done.recv_timeout(PATIENCE);
        }
        self.lost.load(Ordering::Relaxed)
    }
}

fn write(receiver: &Receiver<Message>, folder: Option<&Utf8Path>, quiet: bool) {
    let mut files = BTreeMap::new();
    while let Ok(first) = receiver.recv() {
        std::thread::sleep(TOGETHER);
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            match message {
                Message::Lines(function, stream, text) => {
                    if let Some(folder) = folder {
                        let path = folder.join(function).join(stream.replace('/', "-") + ".log");
                        // A full disk keeps no function from running.
                        let _ = append(&mut files, path, &text);
                    }
                    if !quiet {
                        // Nothing can be said where standard error itself is broken.
                        let _ = std::io::stderr().write_all(&text);
                    }
                }
                Message::Flush(told) => {
                    let _ = told.try_send(());
                }
            }
        }
    }
}

fn append(
    files: &mut BTreeMap<Utf8PathBuf, fs::File>,
    path: Utf8PathBuf,
    text: &[u8],
) -> std::io::Result<()> {
    if files.len() >= OPEN_LOGS {
        files.clear();
    }
    match files.entry(path) {
        Entry::Occupied(mut open) => open.get_mut().write_all(text),
        Entry::Vacant(free) => {
            if let Some(folder) = free.key().parent() {
                fs::create_dir_all(folder)?;
            }
            let file = fs::OpenOptions::new().create(true).append(true).open(free.key())?;
            free.insert(file).write_all(text)
        }
    }
}
