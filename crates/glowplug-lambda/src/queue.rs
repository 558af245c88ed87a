//! Messages as SQS gives them to functions ("Using Lambda with Amazon SQS" in the developer guide).

use std::collections::BTreeMap;

use glowplug_core::format_hex;
use glowplug_engine::{ACCOUNT, REGION, uuid};
use md5::{Digest, Md5};
use serde_json::{Value, json};

/// An attribute that the sender gives, which is a text or a number as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// `String` or `Number`.
    pub(crate) kind: &'static str,
    pub(crate) value: String,
}

/// A message that is received for the first time, from the queue of this name, at `now_ms` since 1970.
pub(crate) fn message(
    queue: &str,
    body: &str,
    attributes: &BTreeMap<&'static str, Attribute>,
    now_ms: u64,
) -> Value {
    let shown: BTreeMap<&str, Value> = attributes
        .iter()
        .map(|(name, Attribute { kind, value })| {
            let shown =
                json!({"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": kind});
            (*name, shown)
        })
        .collect();
    json!({
        "messageId": uuid(),
        "receiptHandle": uuid(),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now_ms.to_string(),
            // The service has no user of its own.
            "SenderId": ACCOUNT,
            "ApproximateFirstReceiveTimestamp": now_ms.to_string(),
        },
        "messageAttributes": shown,
        "md5OfBody": format_hex(&Md5::digest(body)),
        "md5OfMessageAttributes": format_hex(&of_attributes(attributes)),
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"),
        "awsRegion": REGION,
    })
}

/// By name; of each its name, its kind, that it is text, and its value ("Calculating the MD5 message digest for message
/// attributes" in the SQS developer guide).
fn of_attributes(attributes: &BTreeMap<&'static str, Attribute>) -> Vec<u8> {
    let mut digest = Md5::new();
    let add = |digest: &mut Md5, text: &str| {
        digest.update((text.len() as u32).to_be_bytes());
        digest.update(text);
    };
    for (name, Attribute { kind, value }) in attributes {
        add(&mut digest, name);
        add(&mut digest, kind);
        digest.update([1]);
        add(&mut digest, value);
    }
    digest.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_members_of_sqs() {
        let attribute = Attribute { kind: "String", value: "v".to_owned() };
        let told = message("f", "hello", &BTreeMap::from([("A", attribute)]), 7);
        assert_eq!(told["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
        // md5 of 00000001 A 00000006 String 01 00000001 v.
        let listed = b"\0\0\0\x01A\0\0\0\x06String\x01\0\0\0\x01v";
        assert_eq!(told["md5OfMessageAttributes"], format_hex(&Md5::digest(listed)));
        assert_eq!(told["attributes"]["SentTimestamp"], "7");
        assert_eq!(told["eventSourceARN"], format!("arn:aws:sqs:{REGION}:{ACCOUNT}:f"));
        let shown =
            json!({"stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"});
        assert_eq!(told["messageAttributes"], json!({"A": shown}));
        assert!(told["receiptHandle"].is_string() && told["messageId"] != told["receiptHandle"]);
    }
}
