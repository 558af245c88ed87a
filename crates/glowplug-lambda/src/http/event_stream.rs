//! Messages of an event stream (`application/vnd.amazon.eventstream`): a length, headers, a payload, two checksums.

/// Type of a header whose value is text.
const TEXT: u8 = 7;

/// Writes messages.
pub(super) struct Message;

impl Message {
    /// One event.
    pub(super) fn event(kind: &str, content: &str, payload: &[u8]) -> Vec<u8> {
        let mut headers = Vec::new();
        for (name, value) in [(":event-type", kind), (":content-type", content), (":message-type", "event")] {
            headers.push(name.len() as u8);
            headers.extend_from_slice(name.as_bytes());
            headers.push(TEXT);
            headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
            headers.extend_from_slice(value.as_bytes());
        }
        // Lengths and their checksum before, the checksum of all after it.
        let length = 12 + headers.len() + payload.len() + 4;
        let mut message = Vec::with_capacity(length);
        message.extend_from_slice(&(length as u32).to_be_bytes());
        message.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
        message.extend_from_slice(&headers);
        message.extend_from_slice(payload);
        message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_length() {
        let message = Message::event("PayloadChunk", "application/octet-stream", b"{}");
        assert_eq!(u32::from_be_bytes(message[..4].try_into().unwrap()) as usize, message.len());
        assert_eq!(message[12] as usize, ":event-type".len());
        assert_eq!(&message[message.len() - 6..message.len() - 4], b"{}");
    }
}
