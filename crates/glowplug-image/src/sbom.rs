//! The software bill of materials: CycloneDX 1.6 as JSON, <https://cyclonedx.org/docs/1.6/json/>.

use glowplug_core::{Result, format_hex};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::oci::{self, to_bytes};
use crate::request::{Component, ImageRequest, Licence};

/// The document for an image; it has no time and its serial number is made of its contents, so that the same image
/// has the same one.
pub(crate) fn document(request: &ImageRequest) -> Result<Vec<u8>> {
    let mut rows: Vec<&Component> = request.components.iter().collect();
    rows.sort_by(|a, b| (&a.name, &a.version, &a.purl).cmp(&(&b.name, &b.version, &b.purl)));
    rows.dedup();
    let mut components: Vec<Value> =
        rows.iter().enumerate().map(|(index, row)| component(index, row)).collect();
    if let Some(python) = request.python {
        components.push(json!({
            "type": "platform",
            "bom-ref": "python",
            "name": "python",
            "version": python.to_string(),
            "purl": format!("pkg:generic/python@{python}"),
        }));
    }
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "tools": { "components": [{
                "type": "application",
                "name": "glowplug",
                "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": request.name,
                "properties": [{ "name": "oci:architecture", "value": oci::name(request.architecture) }],
            },
        },
        "components": components,
    });
    document["serialNumber"] = serial(&to_bytes(&document)?).into();
    to_bytes(&document)
}

fn component(index: usize, row: &Component) -> Value {
    let mut made = json!({
        "type": "library",
        "bom-ref": format!("{index}-{}", row.name),
        "name": row.name,
        "version": row.version,
    });
    match &row.licence {
        Some(Licence::Expression(text)) => made["licenses"] = json!([{ "expression": text }]),
        Some(Licence::Name(text)) => made["licenses"] = json!([{ "license": { "name": text } }]),
        None => {}
    }
    if let Some(purl) = &row.purl {
        made["purl"] = purl.as_str().into();
    }
    made
}

/// A UUID of version 8 (RFC 9562: made as one likes) from a hash.
fn serial(bytes: &[u8]) -> String {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(bytes)[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    let groups = [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]];
    format!("urn:uuid:{}", groups.map(format_hex).join("-"))
}
