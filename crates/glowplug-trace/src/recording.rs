//! What an agent has written in the life of one process, as it wrote it: nanoseconds and absolute paths.

use glowplug_core::{Error, Result};

use crate::marshal::{self, Value};

/// Start of every chunk; `phases.py` describes the format.
const MAGIC: &[u8] = b"GPT1";
/// The magic and the length of the rest.
const HEADER: usize = 8;

/// One import; durations leave out nested imports, `total` apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImportRow {
    pub(crate) module: String,
    pub(crate) parent: String,
    pub(crate) importer_file: String,
    pub(crate) importer_line: i64,
    pub(crate) importer_module: String,
    pub(crate) thread: String,
    pub(crate) phase: i64,
    pub(crate) begin: i64,
    pub(crate) total: i64,
    pub(crate) own: i64,
    /// In a memory pass.
    pub(crate) cpu: Option<i64>,
    pub(crate) find: Option<i64>,
    pub(crate) read: Option<i64>,
    pub(crate) unmarshal: Option<i64>,
    pub(crate) compile: Option<i64>,
    pub(crate) exec: Option<i64>,
    pub(crate) native: Option<i64>,
    pub(crate) gc: i64,
    pub(crate) bytes: Option<i64>,
    /// A bytecode file was read and not used.
    pub(crate) stale: bool,
    /// KiB.
    pub(crate) memory: Option<i64>,
    pub(crate) failed: bool,
    pub(crate) origin: Option<String>,
    /// Compiling regular expressions; part of the other times.
    pub(crate) regex: i64,
    /// Neither running nor ready to run; in a memory pass.
    pub(crate) wait: Option<i64>,
    /// False: written when it began, by an agent that tells at once.
    pub(crate) over: bool,
}

/// One top-level statement of the user's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatementRow {
    pub(crate) file: String,
    pub(crate) line: i64,
    pub(crate) end_line: i64,
    pub(crate) phase: i64,
    pub(crate) begin: i64,
    pub(crate) own: i64,
    /// In a memory pass.
    pub(crate) cpu: Option<i64>,
    pub(crate) module: String,
    /// The imports within.
    pub(crate) imports: i64,
}

/// A deferred import that was needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LazyRow {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) phase: i64,
    pub(crate) file: String,
    pub(crate) line: i64,
    pub(crate) at: i64,
}

/// A file opened, by its first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) path: String,
    pub(crate) bytes: i64,
    pub(crate) phase: i64,
}

/// An import of what was loaded already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachedRow {
    pub(crate) module: String,
    pub(crate) file: String,
    pub(crate) line: i64,
    pub(crate) importer_module: String,
    pub(crate) phase: i64,
    pub(crate) thread: String,
}

/// A name looked up or a connection opened, from Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionRow {
    /// `resolve` or `connect`.
    pub(crate) kind: String,
    pub(crate) address: String,
    pub(crate) phase: i64,
    pub(crate) begin: i64,
    pub(crate) took: i64,
    /// On the thread that handles events.
    pub(crate) main: bool,
}

/// A module that had functions run, and the file they are in; natives have no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageRow {
    pub(crate) module: String,
    pub(crate) file: String,
    pub(crate) phase: i64,
}

/// Everything from one process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recording {
    /// Where the function's tree was mounted.
    pub(crate) task_root: String,
    /// Modules that the interpreter itself had loaded.
    pub(crate) preloaded: Vec<String>,
    /// Number of the phase (0: init, 1: first invocation), its start and its end; the first entry counts.
    pub(crate) phases: Vec<(i64, i64, i64)>,
    pub(crate) imports: Vec<ImportRow>,
    pub(crate) statements: Vec<StatementRow>,
    pub(crate) lazy: Vec<LazyRow>,
    pub(crate) files: Vec<FileRow>,
    /// Of mapped files, by path: where each touched part begins and ends, in turn; `None` where that is not known.
    pub(crate) parts: Vec<(String, Option<Vec<i64>>)>,
    /// Audit event, what was started, phase.
    pub(crate) subprocesses: Vec<(String, String, i64)>,
    pub(crate) cached: Vec<CachedRow>,
    pub(crate) connections: Vec<ConnectionRow>,
    pub(crate) usage: Vec<UsageRow>,
    /// Phase, entry of `sys.modules`, and the own name of the module there where that is another entry.
    pub(crate) aliases: Vec<(i64, String, String)>,
    /// The process ended while it wrote: the last chunk is lost.
    pub(crate) truncated: bool,
}

impl Recording {
    /// Reads an agent's output. A last chunk that is cut off is left out and noted; anything else that
    /// is not the format is an error.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self> {
        let mut recording = Self::default();
        while !bytes.is_empty() {
            if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
                return Err(damaged("a chunk does not start with its mark"));
            }
            let body = bytes.get(MAGIC.len()..HEADER).and_then(|length| {
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
                bytes[HEADER..].get(..length)
            });
            let Some(body) = body else {
                recording.truncated = true;
                break;
            };
            recording.chunk(marshal::parse(body)?)?;
            bytes = &bytes[HEADER + body.len()..];
        }
        Ok(recording)
    }

    /// When a phase began and ended; `None` where it did not end orderly.
    pub(crate) fn phase(&self, number: i64) -> Option<(i64, i64)> {
        self.phases.iter().find(|(n, _, _)| *n == number).map(|(_, begin, end)| (*begin, *end))
    }

    fn chunk(&mut self, value: Value) -> Result<()> {
        let Value::Map(sections) = value else { return Err(damaged("a chunk is not a dictionary")) };
        for (name, rows) in sections {
            let Value::List(rows) = rows else { return Err(damaged("a section is not a list")) };
            for row in rows {
                let row = if let Value::Bytes(packed) = row { marshal::parse(&packed)? } else { row };
                let Value::List(fields) = row else { return Err(damaged("a row is not a tuple")) };
                self.row(&name, &mut Row(fields.into_iter()))?;
            }
        }
        Ok(())
    }

    fn row(&mut self, section: &str, row: &mut Row) -> Result<()> {
        match section {
            "hello" => {
                row.next()?; // The interpreter's version, which the caller knows.
                self.task_root = row.text()?;
                let Value::List(names) = row.next()? else { return Err(damaged("no list of modules")) };
                self.preloaded = names
                    .into_iter()
                    .filter_map(|name| if let Value::Text(name) = name { Some(name) } else { None })
                    .collect();
            }
            "phases" => self.phases.push((row.int()?, row.int()?, row.int()?)),
            "imports" => self.imports.push(row.import()?),
            "statements" => self.statements.push(row.statement()?),
            "lazy" => self.lazy.push(LazyRow {
                module: row.text()?,
                name: row.text()?,
                phase: row.int()?,
                file: row.text()?,
                line: row.int()?,
                at: row.int()?,
            }),
            "files" => {
                self.files.push(FileRow { path: row.text()?, bytes: row.int()?, phase: row.int()? });
            }
            "parts" => self.parts.push((row.text()?, row.optional_ints()?)),
            "subprocesses" => self.subprocesses.push((row.text()?, row.text()?, row.int()?)),
            "cached" => self.cached.push(CachedRow {
                module: row.text()?,
                file: row.text()?,
                line: row.int()?,
                importer_module: row.text()?,
                phase: row.int()?,
                thread: row.text()?,
            }),
            "connections" => self.connections.push(ConnectionRow {
                kind: row.text()?,
                address: row.text()?,
                phase: row.int()?,
                begin: row.int()?,
                took: row.int()?,
                main: row.flag()?,
            }),
            "aliases" => self.aliases.push((row.int()?, row.text()?, row.text()?)),
            "usage" => {
                self.usage.push(UsageRow { module: row.text()?, file: row.text()?, phase: row.int()? });
            }
            _ => return Err(damaged("an unknown section")),
        }
        Ok(())
    }
}

fn damaged(what: &str) -> Error {
    Error::surroundings("the tracing agent's output is damaged")
        .cause(what)
        .hint("run the command again; a function that writes to descriptors it did not open can cause this")
}

/// The fields of a row, in the order in which the agent writes them.
struct Row(std::vec::IntoIter<Value>);

impl Row {
    fn next(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| damaged("a row is too short"))
    }

    fn text(&mut self) -> Result<String> {
        self.optional_text()?.ok_or_else(|| damaged("a text is missing"))
    }

    fn optional_text(&mut self) -> Result<Option<String>> {
        match self.next()? {
            Value::Text(text) => Ok(Some(text)),
            Value::None => Ok(None),
            _ => Err(damaged("a text is missing")),
        }
    }

    fn int(&mut self) -> Result<i64> {
        self.optional_int()?.ok_or_else(|| damaged("a number is missing"))
    }

    fn optional_int(&mut self) -> Result<Option<i64>> {
        match self.next()? {
            Value::Int(int) => Ok(Some(int)),
            Value::None => Ok(None),
            _ => Err(damaged("a number is missing")),
        }
    }

    fn optional_ints(&mut self) -> Result<Option<Vec<i64>>> {
        let list = match self.next()? {
            Value::None => return Ok(None),
            Value::List(list) => list,
            _ => return Err(damaged("a list is missing")),
        };
        let int =
            |value| if let Value::Int(int) = value { Ok(int) } else { Err(damaged("a number is missing")) };
        list.into_iter().map(int).collect::<Result<_>>().map(Some)
    }

    fn flag(&mut self) -> Result<bool> {
        if let Value::Bool(flag) = self.next()? { Ok(flag) } else { Err(damaged("a flag is missing")) }
    }

    fn import(&mut self) -> Result<ImportRow> {
        Ok(ImportRow {
            module: self.text()?,
            parent: self.text()?,
            importer_file: self.text()?,
            importer_line: self.int()?,
            importer_module: self.text()?,
            thread: self.text()?,
            phase: self.int()?,
            begin: self.int()?,
            total: self.int()?,
            own: self.int()?,
            cpu: self.optional_int()?,
            find: self.optional_int()?,
            read: self.optional_int()?,
            unmarshal: self.optional_int()?,
            compile: self.optional_int()?,
            exec: self.optional_int()?,
            native: self.optional_int()?,
            gc: self.int()?,
            bytes: self.optional_int()?,
            stale: self.flag()?,
            memory: self.optional_int()?,
            failed: self.flag()?,
            origin: self.optional_text()?,
            regex: self.int()?,
            wait: self.optional_int()?,
            over: self.flag()?,
        })
    }

    fn statement(&mut self) -> Result<StatementRow> {
        Ok(StatementRow {
            file: self.text()?,
            line: self.int()?,
            end_line: self.int()?,
            phase: self.int()?,
            begin: self.int()?,
            own: self.int()?,
            cpu: self.optional_int()?,
            module: self.text()?,
            imports: self.int()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // python3 -c 'import marshal; print(marshal.dumps({"phases": [(0, 5, 9)]}, 2))'
    const BODY: &[u8] =
        b"{t\x06\x00\x00\x00phases[\x01\x00\x00\x00(\x03\x00\x00\x00i\x00\x00\x00\x00i\x05\x00\x00\x00i\x09\x00\x00\x000";

    fn chunk(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        [MAGIC, &length.to_le_bytes(), body].concat()
    }

    #[test]
    fn chunks_add_up() {
        let recording = Recording::parse(&[chunk(BODY), chunk(BODY)].concat()).unwrap();
        assert_eq!(recording.phases.len(), 2);
        assert_eq!(recording.phase(0), Some((5, 9)));
        assert_eq!(recording.phase(1), None);
        assert!(!recording.truncated);
    }

    #[test]
    fn a_cut_off_chunk_is_left_out_and_noted() {
        let whole = chunk(BODY);
        for length in 1..whole.len() {
            let recording = Recording::parse(&[&whole[..], &whole[..length]].concat()).unwrap();
            assert_eq!(
                (recording.phases.len(), recording.truncated),
                (1, true),
                "{length} bytes of the second"
            );
        }
    }

    #[test]
    fn anything_else_is_an_error_with_a_hint() {
        for bytes in [
            b"hello".to_vec(),
            chunk(b"N"),
            chunk(&BODY[..BODY.len() - 1]),
            chunk(b"{u\x01\x00\x00\x00x[\x01\x00\x00\x00(\x00\x00\x00\x000"),
        ] {
            let error = Recording::parse(&bytes).unwrap_err();
            assert_eq!(error.message(), "the tracing agent's output is damaged");
            assert!(!error.hints().is_empty());
        }
    }
}
