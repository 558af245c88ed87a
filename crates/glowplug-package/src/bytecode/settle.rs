//! Makes marshalled code the same whatever the process that wrote it had seen before.
//!
//! `marshal` marks an object for later reference when anybody holds it besides the writer, which depends on what
//! else the process has loaded (bugs.python.org/issue34093); and a text of one character, which exists once, is
//! written as interned once anybody has interned it. Here the marks of objects that nothing refers to go, the
//! references are renumbered, and such texts are interned, in place: the bytes load to the same code, and depend on
//! it alone.
//! Format: `Python/marshal.c` of CPython 3.9 to 3.13.

use glowplug_core::PythonVersion;

/// Bit of a type byte: the object gets the next number.
const FLAG_REF: u8 = 0x80;
/// Nesting beyond which the input is not followed; the interpreter's own limit is 2000.
const DEEPEST: usize = 2000;

/// Settles the marshalled object at the start of `data`; leaves it as it is where the format is not understood.
pub(super) fn settle(data: &mut [u8], version: PythonVersion) {
    let mut walk =
        Walk { data, at: 0, version, marked: Vec::new(), references: Vec::new(), characters: Vec::new() };
    if walk.object(0).is_none() {
        return;
    }
    let Walk { marked, references, characters, .. } = walk;
    for place in characters {
        // `z` and `u` become `Z` and `t`; the mark stays.
        data[place] = (data[place] & FLAG_REF) | if data[place] & !FLAG_REF == b'u' { b't' } else { b'Z' };
    }
    let mut used = vec![false; marked.len()];
    for (_, number) in &references {
        match used.get_mut(*number) {
            Some(used) => *used = true,
            None => return,
        }
    }
    let mut numbers = vec![0_u32; marked.len()];
    let mut next = 0;
    for ((number, used), place) in numbers.iter_mut().zip(used).zip(marked) {
        if used {
            *number = next;
            next += 1;
        } else {
            data[place] &= !FLAG_REF;
        }
    }
    for (place, number) in references {
        data[place..place + 4].copy_from_slice(&numbers[number].to_le_bytes());
    }
}

struct Walk<'a> {
    data: &'a [u8],
    at: usize,
    version: PythonVersion,
    /// Type bytes of the objects that have numbers, in their order.
    marked: Vec<usize>,
    /// Where a reference's number stands, and the number.
    references: Vec<(usize, usize)>,
    /// Type bytes of texts of at most one character that are not interned.
    characters: Vec<usize>,
}

impl Walk<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|end| *end <= self.data.len())?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn long(&mut self) -> Option<i32> {
        let bytes = self.data.get(self.at..self.at.checked_add(4)?)?;
        self.at += 4;
        Some(i32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn objects(&mut self, count: usize, depth: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.object(depth + 1).map(drop))
    }

    /// One object; false for the mark that ends a dictionary.
    fn object(&mut self, depth: usize) -> Option<bool> {
        if depth > DEEPEST {
            return None;
        }
        let start = self.at;
        let kind = self.byte()?;
        if kind & FLAG_REF != 0 {
            self.marked.push(start);
        }
        match kind & !FLAG_REF {
            b'0' => return Some(false),
            b'N' | b'F' | b'T' | b'S' | b'.' => {}
            b'i' => self.skip(4)?,
            b'g' => self.skip(8)?,
            b'y' => self.skip(16)?,
            b'l' => {
                let digits = self.long()?.unsigned_abs() as usize;
                self.skip(digits.checked_mul(2)?)?;
            }
            b's' | b't' | b'u' | b'a' | b'A' => {
                let length = self.length()?;
                let first = self.data.get(self.at).copied();
                self.skip(length)?;
                // Up to U+00FF, in UTF-8.
                if kind & !FLAG_REF == b'u' && length == 2 && matches!(first, Some(0xc2 | 0xc3)) {
                    self.characters.push(start);
                }
            }
            b'z' | b'Z' => {
                let length = self.byte()?;
                self.skip(length.into())?;
                if kind & !FLAG_REF == b'z' && length <= 1 {
                    self.characters.push(start);
                }
            }
            b')' => {
                let count = self.byte()?;
                self.objects(count.into(), depth)?;
            }
            b'(' | b'[' | b'<' | b'>' => {
                let count = self.length()?;
                self.objects(count, depth)?;
            }
            b'{' => while self.object(depth + 1)? {},
            b'r' => {
                let place = self.at;
                let number = self.length()?;
                self.references.push((place, number));
            }
            b'c' => self.code(depth)?,
            _ => return None,
        }
        Some(true)
    }

    /// A code object: numbers, objects, the first line, the tables.
    fn code(&mut self, depth: usize) -> Option<()> {
        let (numbers, objects, tables) =
            if self.version >= PythonVersion::new(3, 11) { (5, 8, 2) } else { (6, 8, 1) };
        self.skip(numbers * 4)?;
        self.objects(objects, depth)?;
        self.skip(4)?;
        self.objects(tables, depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PYTHON: PythonVersion = PythonVersion::new(3, 12);

    fn settled(data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        settle(&mut data, PYTHON);
        data
    }

    #[test]
    fn marks_without_references_go_and_the_rest_are_renumbered() {
        // ("a", "b", the second again), every one of them marked.
        let written = b"\xa9\x03\xda\x01a\xda\x01br\x02\x00\x00\x00";
        assert_eq!(settled(written), b")\x03Z\x01a\xda\x01br\x00\x00\x00\x00");
        assert_eq!(settled(&settled(written)), settled(written));
    }

    #[test]
    fn single_characters_are_interned() {
        assert_eq!(
            settled(b")\x04z\x01{z\x02ab\xf5\x02\0\0\0\xc3\xa9z\0"),
            b")\x04Z\x01{z\x02abt\x02\0\0\0\xc3\xa9Z\0"
        );
    }

    #[test]
    fn what_is_not_understood_stays() {
        for data in [&b"\xa9\x03\xda\x01a"[..], b"\xa9\x01?", b"", b"\xa9\x01r\x07\x00\x00\x00"] {
            assert_eq!(settled(data), data);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            settled(&data);
        }
    }
}
