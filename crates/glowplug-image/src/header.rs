//! The tar header of an entry: ustar where that can say it, with a PAX record for each value that it cannot.

use tar::{EntryType, Header};

use crate::node::{Kind, Node};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;
/// The largest user or group that seven octal digits can tell.
const MOST_ID: u64 = 0o777_7777;
/// The largest size that eleven octal digits can tell.
const MOST_SIZE: u64 = 0o777_7777_7777;
/// What PAX calls extended attributes.
pub(crate) const XATTR: &str = "SCHILY.xattr.";

/// All blocks before an entry's contents.
pub(crate) fn header(node: &Node) -> Vec<u8> {
    let name = node.tar_name();
    let link = match &node.kind {
        Kind::Symlink(target) | Kind::Link(target) => target.as_str(),
        Kind::Dir | Kind::File { .. } => "",
    };
    let mut records = Vec::new();
    let mut head = Header::new_ustar();
    head.set_entry_type(match node.kind {
        Kind::Dir => EntryType::Directory,
        Kind::File { .. } => EntryType::Regular,
        Kind::Symlink(_) => EntryType::Symlink,
        Kind::Link(_) => EntryType::Link,
    });
    head.set_mode(node.mode);
    if let Some(ustar) = head.as_ustar_mut() {
        put(&mut records, "path", &name, &mut ustar.name);
        put(&mut records, "linkpath", link, &mut ustar.linkname);
    }
    number(&mut records, "uid", node.uid, MOST_ID, |value| head.set_uid(value));
    number(&mut records, "gid", node.gid, MOST_ID, |value| head.set_gid(value));
    number(&mut records, "mtime", node.mtime, MOST_SIZE, |value| head.set_mtime(value));
    number(&mut records, "size", node.size(), MOST_SIZE, |value| head.set_size(value));
    for (key, value) in &node.xattrs {
        record(&mut records, &format!("{XATTR}{key}"), value);
    }
    head.set_cksum();
    let mut bytes = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        bytes.extend(extension(&records));
    }
    bytes.extend_from_slice(head.as_bytes());
    bytes
}

/// The zeros that fill the last block of contents of this size.
pub(crate) fn padding(size: u64) -> Vec<u8> {
    vec![0; (BLOCK - (size % BLOCK as u64) as usize) % BLOCK]
}

/// A text into its field, and into a record where that cannot hold it.
fn put(records: &mut Vec<u8>, key: &str, text: &str, field: &mut [u8]) {
    if text.is_ascii() && text.len() <= field.len() {
        field[..text.len()].copy_from_slice(text.as_bytes());
        return;
    }
    record(records, key, text.as_bytes());
    // What readers without PAX see: as much as fits, without bytes that are no ASCII.
    for (slot, byte) in field.iter_mut().zip(text.bytes()) {
        *slot = if byte.is_ascii() { byte } else { b'_' };
    }
}

/// A number into its field, and into a record where its digits cannot hold it.
fn number(records: &mut Vec<u8>, key: &str, value: u64, most: u64, mut set: impl FnMut(u64)) {
    if value <= most {
        set(value);
    } else {
        set(0);
        record(records, key, value.to_string().as_bytes());
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits (POSIX, `pax`).
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// The first of these records as key and value, and what follows it; `None` where it is damaged.
///
/// The library's own reader takes a record to end at the first line feed, but names and capabilities may hold one.
pub(crate) fn split_record(records: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let blank = records.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..blank]).ok()?.parse().ok()?;
    let (record, after) = records.split_at_checked(length)?;
    let inner = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = inner.iter().position(|&byte| byte == b'=')?;
    Some((std::str::from_utf8(&inner[..equals]).ok()?, &inner[equals + 1..], after))
}

/// The entry that holds the records of the next one.
fn extension(records: &[u8]) -> Vec<u8> {
    let mut head = Header::new_ustar();
    head.set_entry_type(EntryType::XHeader);
    let name = b"././@PaxHeader";
    if let Some(ustar) = head.as_ustar_mut() {
        ustar.name[..name.len()].copy_from_slice(name);
    }
    head.set_mode(0o644);
    head.set_uid(0);
    head.set_gid(0);
    head.set_mtime(0);
    head.set_size(records.len() as u64);
    head.set_cksum();
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(records);
    bytes.extend(padding(records.len() as u64));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Data;

    /// What a plain reader makes of one entry.
    fn read(node: &Node) -> (String, String, u64, u64) {
        let mut bytes = header(node);
        bytes.resize(bytes.len() + 1024, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let link = entry.link_name_bytes().map(|b| String::from_utf8(b.to_vec()).unwrap());
        let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
        (path, link.unwrap_or_default(), entry.header().uid().unwrap(), entry.header().mtime().unwrap())
    }

    #[test]
    fn odd_and_long_names_read_back() {
        for name in
            ["a", "ü", "a\nb", "a\\b\"c'd e", "100%", &"x".repeat(100), &"y/".repeat(400), "\u{1f600}"]
        {
            let name = name.trim_end_matches('/');
            let node = Node::new(name, Kind::Symlink(format!("{name}-target")), 0o777);
            assert_eq!(read(&node), (name.to_owned(), format!("{name}-target"), 0, 0));
        }
        assert_eq!(read(&Node::new("a/b", Kind::Dir, 0o755)).0, "a/b/");
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in [1, 5, 90, 91, 92, 93, 94, 95, 96, 97, 98, 990, 991, 992, 993, 994] {
            let mut records = Vec::new();
            record(&mut records, "k", &vec![b'v'; length]);
            let text = String::from_utf8(records).unwrap();
            let (said, _) = text.split_once(' ').unwrap();
            assert_eq!(said.parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn capabilities_and_large_users_are_records() {
        let mut node = Node::new(
            "ping",
            Kind::File { data: Data::Bytes(Vec::new().into()), size: 0, twin: None },
            0o4755,
        );
        node.xattrs.insert("security.capability".into(), vec![1, 0, b'\n', 255]);
        node.uid = 4_000_000_000;
        let bytes = header(&node);
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[124..135]).unwrap(), 8).unwrap();
        let (key, value, rest) = split_record(&bytes[BLOCK..BLOCK + size]).unwrap();
        assert_eq!((key, value), ("uid", b"4000000000".as_slice()));
        let (key, value, rest) = split_record(rest).unwrap();
        assert_eq!((key, value), ("SCHILY.xattr.security.capability", [1, 0, b'\n', 255].as_slice()));
        assert!(rest.is_empty());
        assert_eq!(bytes.len(), 3 * BLOCK);
    }

    #[test]
    fn damaged_records_are_told() {
        for records in ["", "x", "5 a=", "6 a=b", "99 a=b\n", "4 ab\n", "0 \n", "18446744073709551615 a=b\n"]
        {
            assert!(split_record(records.as_bytes()).is_none(), "{records}");
        }
    }
}
