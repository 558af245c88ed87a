//! Reads the part of Python's `marshal` format, version 2, that the agent writes.
//!
//! Source: `Python/marshal.c`; version 2 has no references, and the agent writes plain containers only.

use glowplug_core::{Error, Result};

/// Containers in the agent's output nest four deep; more is damage, and would cost stack.
const DEPTH: usize = 16;

/// A value of the agent's output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// A list or a tuple.
    List(Vec<Self>),
    /// A dictionary with text keys, in its order.
    Map(Vec<(String, Self)>),
}

/// Reads one value that fills `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?.ok_or_else(|| damaged("a value is missing", reader.at))?;
    if reader.at == bytes.len() { Ok(value) } else { Err(damaged("there is more than one value", reader.at)) }
}

fn damaged(what: &str, at: usize) -> Error {
    Error::surroundings("the tracing agent's output is damaged")
        .cause(format!("{what} at byte {at}"))
        .hint("run the command again; a function that writes to descriptors it did not open can cause this")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// `None` is the end mark of a dictionary.
    fn value(&mut self, depth: usize) -> Result<Option<Value>> {
        if depth > DEPTH {
            return Err(damaged("values nest too deep", self.at));
        }
        let kind = self.take(1)?[0];
        Ok(Some(match kind {
            b'0' => return Ok(None),
            b'N' => Value::None,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'i' => Value::Int(i64::from(self.int32()?)),
            b'l' => Value::Int(self.long()?),
            b'u' | b't' => Value::Text(self.text()?),
            b's' => Value::Bytes(self.bytes()?),
            b'[' | b'(' => Value::List(self.list(depth)?),
            b'{' => Value::Map(self.map(depth)?),
            _ => return Err(damaged("an unknown kind of value", self.at - 1)),
        }))
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| damaged("a value ends early", self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn int32(&mut self) -> Result<i32> {
        let taken = self.take(4)?;
        Ok(i32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    fn count(&mut self) -> Result<usize> {
        let count = self.int32()?;
        // Every element takes a byte at least: a larger count is damage, and must not reserve memory.
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.bytes.len() - self.at)
            .ok_or_else(|| damaged("an impossible length", self.at))
    }

    /// Digits of 15 bits, least significant first; a negative count is a negative number.
    fn long(&mut self) -> Result<i64> {
        let count = self.int32()?;
        let mut value: i128 = 0;
        if count.unsigned_abs() > 5 {
            return Err(damaged("a number is too large", self.at));
        }
        for digit in 0..count.unsigned_abs() {
            let taken = self.take(2)?;
            value |= i128::from(u16::from_le_bytes([taken[0], taken[1]]) & 0x7FFF) << (15 * digit);
        }
        let value = if count < 0 { -value } else { value };
        i64::try_from(value).map_err(|_| damaged("a number is too large", self.at))
    }

    /// UTF-8 in which lone surrogates may stand, from file names that are not text.
    fn text(&mut self) -> Result<String> {
        let count = self.count()?;
        Ok(String::from_utf8_lossy(self.take(count)?).into_owned())
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        let count = self.count()?;
        Ok(self.take(count)?.to_vec())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>> {
        let count = self.count()?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(self.value(depth + 1)?.ok_or_else(|| damaged("a list ends early", self.at))?);
        }
        Ok(list)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Value)>> {
        let mut map = Vec::new();
        while let Some(key) = self.value(depth + 1)? {
            let Value::Text(key) = key else {
                return Err(damaged("a key is not text", self.at));
            };
            let value = self.value(depth + 1)?.ok_or_else(|| damaged("a key has no value", self.at))?;
            map.push((key, value));
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // python3 -c 'import marshal; print(marshal.dumps({"a": [(1, -5, None, True, "é")], "b": 4404786638948}, 2))'
    const SAMPLE: &[u8] = b"{u\x01\x00\x00\x00a[\x01\x00\x00\x00(\x05\x00\x00\x00i\x01\x00\x00\x00i\xfb\xff\xff\xffNTu\x02\x00\x00\x00\xc3\xa9u\x01\x00\x00\x00bl\x03\x00\x00\x00d0|#\x06\x100";

    #[test]
    fn what_python_writes_is_read() {
        let Value::Map(map) = parse(SAMPLE).unwrap() else { panic!("not a map") };
        assert_eq!(map[0].0, "a");
        let row = Value::List(vec![
            Value::Int(1),
            Value::Int(-5),
            Value::None,
            Value::Bool(true),
            Value::Text("é".to_owned()),
        ]);
        assert_eq!(map[0].1, Value::List(vec![row]));
        assert_eq!(map[1].1, Value::Int(4_404_786_638_948));
    }

    #[test]
    fn every_truncation_is_an_error() {
        for length in 0..SAMPLE.len() {
            assert!(parse(&SAMPLE[..length]).is_err(), "{length} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn a_length_beyond_the_input_reserves_nothing() {
        assert!(parse(b"[\xff\xff\xff\x7f").is_err());
        assert!(parse(b"u\xff\xff\xff\xffx").is_err());
    }
}
