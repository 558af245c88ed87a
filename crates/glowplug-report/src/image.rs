//! An image that a build made, what a start fetches of it, and how that compares with the zip: types and text.

use glowplug_core::{format_bytes, format_ms};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::render::View;
use crate::style::Style;
use crate::text::wrap;

/// A container image in an OCI layout folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    /// `gzip`, `estargz` or `zstd-chunked`.
    pub format: String,
    /// What it stands on, as on the command line.
    pub base: String,
    /// Digest of its manifest.
    pub digest: String,
    /// `lambda` or `http`.
    pub entrypoint: String,
    /// From the lowest up.
    pub layers: Vec<ImageLayer>,
    /// Compressed bytes of all layers.
    pub bytes: u64,
    /// Uncompressed bytes of all layers.
    pub uncompressed_bytes: u64,
    /// What a start fetches before the first response, by event, in bytes; of every event that could be traced here.
    pub fetched_bytes: IndexMap<String, u64>,
    /// The same for a snapshotter that fetches what is before the prefetch landmark in any case.
    pub prefetching_bytes: IndexMap<String, u64>,
    /// Of how many native libraries a start fetches parts, by event.
    #[serde(default)]
    pub libraries_in_parts: IndexMap<String, usize>,
    /// Where the bill of materials is, as the user can type it.
    pub sbom: String,
    /// What names it for ever in the registry that it was pushed to.
    pub pushed: Option<String>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// `base`, `runtime`, `dependencies` or `application`.
    pub name: String,
    /// Digest of the compressed layer.
    pub digest: String,
    /// Its compressed size.
    pub bytes: u64,
    /// The size of its archive.
    pub uncompressed_bytes: u64,
    /// Files, folders and links in it.
    pub entries: usize,
    /// Files at its beginning that a start reads.
    pub hot: usize,
    /// Files after those of which a start reads a small part.
    #[serde(default)]
    pub hot_parts: usize,
}

/// Zip and image compared for one stated way to get them to where they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Bandwidth that both are fetched with, in Mbit/s.
    pub bandwidth_mbit: f64,
    /// What is taken to be cached, in words.
    pub model: String,
    /// In the order in which they are shown.
    pub ways: Vec<DeliveryWay>,
    /// `zip` or `image`.
    pub recommended: String,
    /// Why, with the figures.
    pub why: String,
}

/// One way, by its parts; times in ms, weighted over the events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryWay {
    /// `zip`, `image`, or `image, base cached`.
    pub name: String,
    /// Bytes fetched before the first response.
    pub fetched_bytes: u64,
    /// To fetch them.
    pub fetch_ms: f64,
    /// To unpack them, measured here; an image's chunks are unpacked as they are read, and count with the start.
    pub unpack_ms: f64,
    /// Init and first invoke on the engine.
    pub start_ms: Option<f64>,
    /// All of it.
    pub total_ms: Option<f64>,
}

/// What the text report says of an image.
pub(crate) fn render_image(image: &ImageReport, view: &View) -> String {
    let mut out = String::new();
    let bytes = format_bytes(image.bytes);
    let mut text =
        format!("image: {bytes} in {} layers ({}) on {}", image.layers.len(), image.format, image.base);
    let dearest = image.fetched_bytes.iter().max_by_key(|(_, bytes)| **bytes);
    if let Some((event, most)) = dearest.filter(|_| image.bytes > 0) {
        let share = *most as f64 / image.bytes as f64;
        text += &format!(
            ", of which a start fetches {} before its first response ({share:.2})",
            format_bytes(*most)
        );
        let parts = image.libraries_in_parts.get(event).copied().unwrap_or(0);
        if parts > 0 {
            let libraries = if parts == 1 { "library" } else { "libraries" };
            text += &format!(", with parts of {parts} {libraries}");
        }
    }
    out += &wrap(&text, view.width, 2);
    out.push('\n');
    for layer in &image.layers {
        let line = format!(
            "  {:<13} {:>9}  {} entries, {} of them first{}",
            layer.name,
            format_bytes(layer.bytes),
            layer.entries,
            layer.hot,
            if layer.hot_parts > 0 { format!(", then {} in parts", layer.hot_parts) } else { String::new() }
        );
        out += &format!("{line}\n");
    }
    out
}

/// The comparison with the zip.
pub(crate) fn render_delivery(delivery: &Delivery, view: &View) -> String {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), format_ms);
    let title = format!("zip or image, at {} Mbit/s", delivery.bandwidth_mbit);
    let mut out = Style::paint(view.style.strong, &title) + "\n";
    out += "                       fetched     fetch    unpack     start     total\n";
    for way in &delivery.ways {
        out += &format!(
            "{:<19} {:>10} {:>9} {:>9} {:>9} {:>9}\n",
            way.name,
            format_bytes(way.fetched_bytes),
            format_ms(way.fetch_ms),
            format_ms(way.unpack_ms),
            ms(way.start_ms),
            ms(way.total_ms)
        );
    }
    let text = format!("{}: {} ({})", delivery.recommended, delivery.why, delivery.model);
    out += &wrap(&text, view.width, 2);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_and_the_comparison_are_told_in_figures() {
        let image = ImageReport {
            format: "estargz".into(),
            base: "rootfs:base".into(),
            digest: "sha256:00".into(),
            entrypoint: "lambda".into(),
            layers: vec![ImageLayer {
                name: "dependencies".into(),
                digest: "sha256:01".into(),
                bytes: 34_000_000,
                uncompressed_bytes: 110_000_000,
                entries: 3100,
                hot: 212,
                hot_parts: 31,
            }],
            bytes: 60_000_000,
            uncompressed_bytes: 200_000_000,
            fetched_bytes: [("health".to_owned(), 6_000_000), ("report".to_owned(), 12_000_000)].into(),
            prefetching_bytes: IndexMap::new(),
            libraries_in_parts: [("health".to_owned(), 4), ("report".to_owned(), 31)].into(),
            sbom: String::new(),
            pushed: None,
        };
        let way = |name: &str, fetched: u64, unpack_ms: f64| DeliveryWay {
            name: name.into(),
            fetched_bytes: fetched,
            fetch_ms: fetched as f64 / 62_500.0,
            unpack_ms,
            start_ms: Some(74.6),
            total_ms: Some(fetched as f64 / 62_500.0 + unpack_ms + 74.6),
        };
        let delivery = Delivery {
            bandwidth_mbit: 500.0,
            model: "nothing is cached".into(),
            ways: vec![way("zip", 35_600_000, 900.0), way("image", 7_000_000, 0.0)],
            recommended: "image".into(),
            why: "187 ms to the first response, the zip 1544 ms".into(),
        };
        let view = View { style: Style::plain(), width: 80, all: false };
        insta::assert_snapshot!(format!(
            "{}\n{}",
            render_image(&image, &view),
            render_delivery(&delivery, &view)
        ));
    }
}
