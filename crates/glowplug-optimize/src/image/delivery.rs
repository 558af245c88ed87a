//! Zip or image: what each has to bring before the first response, at one bandwidth.
//!
//! The model: nothing is cached but what is said to be; a zip is fetched whole and unpacked, with the time that took
//! here; of an image the chunks that the first response needs are fetched, and unpacked as they are read, which the
//! start's own time holds as far as it shows. The start is what the engine measured of the same tree. Round trips are
//! not counted.

use std::time::Duration;

use glowplug_image::{FetchSummary, ImageSummary};
use glowplug_report::{Delivery, DeliveryWay, Report};

use crate::ground::Ground;
use crate::options::BuildOptions;

/// Where no bandwidth is given, in Mbit/s. What a small environment in a data centre gets, in round figures.
const BANDWIDTH_MBIT: f64 = 500.0;
/// Bits of a byte, by thousands of ms in a second and bytes in a megabyte.
const BYTES_PER_MBIT_MS: f64 = 125.0;
/// Layers that functions on one base have in common.
const SHARED: [&str; 2] = ["base", "runtime"];
/// The model, as the report says it.
const MODEL: &str = "nothing is cached but what is said to be; fetched before the first response; no round trips; \
                     the zip unpacked on this machine";
/// A gain below this share is none.
const WORTH: f64 = 0.05;

/// Adds what one event fetches, by the event's share.
pub(super) fn count(
    report: &mut Report,
    ground: &Ground,
    event: &str,
    fetched: &FetchSummary,
    summary: &ImageSummary,
) {
    let all: f64 = ground.events.iter().map(|event| event.weight).sum();
    let weight = ground.events.iter().find(|known| known.name == event).map_or(0.0, |event| event.weight);
    let share = if all > 0.0 { weight / all } else { 1.0 / ground.events.len().max(1) as f64 };
    let shared: u64 = summary
        .layers
        .iter()
        .zip(&fetched.layers)
        .filter(|(layer, _)| SHARED.contains(&layer.name.as_str()))
        .map(|(_, fetched)| fetched.table_bytes + fetched.chunk_bytes)
        .sum();
    let delivery = report.delivery.get_or_insert_with(|| Delivery {
        bandwidth_mbit: BANDWIDTH_MBIT,
        model: String::new(),
        ways: ["zip", "image", "image, base cached"].map(way).to_vec(),
        recommended: String::new(),
        why: String::new(),
    });
    let own = fetched.fetched_bytes - shared;
    for (way, bytes) in delivery.ways.iter_mut().skip(1).zip([fetched.fetched_bytes, own]) {
        way.fetched_bytes += (bytes as f64 * share).round() as u64;
    }
}

fn way(name: &str) -> DeliveryWay {
    DeliveryWay {
        name: name.to_owned(),
        fetched_bytes: 0,
        fetch_ms: 0.0,
        unpack_ms: 0.0,
        start_ms: None,
        total_ms: None,
    }
}

/// Adds the zip, the times, and what they say.
pub(super) fn compare(report: &mut Report, options: &BuildOptions, unpacked: Duration) {
    let zip = report.after.zip_bytes.unwrap_or(0);
    let start = report.after.cold_weighted_ms.map(|start| start.median);
    let Some(delivery) = &mut report.delivery else { return };
    delivery.bandwidth_mbit = options.bandwidth_mbit.unwrap_or(BANDWIDTH_MBIT);
    MODEL.clone_into(&mut delivery.model);
    delivery.ways[0].fetched_bytes = zip;
    delivery.ways[0].unpack_ms = unpacked.as_secs_f64() * 1000.0;
    for way in &mut delivery.ways {
        way.fetch_ms = way.fetched_bytes as f64 / (delivery.bandwidth_mbit * BYTES_PER_MBIT_MS);
        way.start_ms = start;
        way.total_ms = start.map(|start| way.fetch_ms + way.unpack_ms + start);
    }
    let total = |way: &DeliveryWay| way.fetch_ms + way.unpack_ms + start.unwrap_or(0.0);
    let (zip, image) = (total(&delivery.ways[0]), total(&delivery.ways[1]));
    let told = format!("{zip:.0} ms to the first response as a zip, {image:.0} ms as an image");
    (delivery.recommended, delivery.why) = if image < zip * (1.0 - WORTH) {
        ("image".to_owned(), told)
    } else if zip < image * (1.0 - WORTH) {
        ("zip".to_owned(), told)
    } else {
        ("zip".to_owned(), format!("{told}: no difference, and a zip needs no registry"))
    };
}
