//! The figures for other tools: CSV, and what AWS Lambda Power Tuning gives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::tune::{TuneReport, TuneTier};

/// The page that draws what is in its address (README of AWS Lambda Power Tuning, "Data visualization").
const PAGE: &str = "https://lambda-power-tuning.show/";

/// A row for each form and size; what was not measured is empty.
///
/// # Errors
/// None for values that came from runs: the writer has memory to write to.
pub fn tune_csv(report: &TuneReport) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "form",
        "memory_mb",
        "status",
        "cold_p50_ms",
        "cold_p90_ms",
        "cold_p99_ms",
        "warm_p50_ms",
        "warm_p90_ms",
        "warm_p99_ms",
        "latency_ms",
        "billed_ms",
        "usd_per_million",
        "peak_mb",
    ])?;
    let forms = [("before", Some(&report.before)), ("after", report.after.as_ref())];
    for (name, form) in forms {
        for tier in form.into_iter().flat_map(|form| &form.tiers) {
            writer.write_record(row(name, tier))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(form: &str, tier: &TuneTier) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let status = serde_json::to_value(tier.status).ok();
    let mut row = vec![
        form.to_owned(),
        tier.memory_mb.to_string(),
        status.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
    ];
    for times in [tier.cold_ms, tier.warm_ms] {
        row.extend([times.map(|t| t.p50), times.map(|t| t.p90), times.map(|t| t.p99)].map(number));
    }
    row.extend(
        [tier.latency_ms.map(|stat| stat.median), tier.billed_ms, tier.usd_per_million, tier.peak_mb]
            .map(number),
    );
    row
}

/// The output of AWS Lambda Power Tuning: the chosen size, its cost and duration of one invoke, and the page's address.
/// Running here costs nothing, which `executionCost` and `lambdaCost` say. `null` where no size was chosen.
pub fn power_tuning(report: &TuneReport) -> Value {
    let Some(chosen) = report.chosen.and_then(|size| report.tier(size)) else { return Value::Null };
    json!({
        "power": chosen.memory_mb,
        "cost": chosen.usd_per_million.map(|usd| usd / 1e6),
        "duration": chosen.latency_ms.map(|stat| stat.median),
        "stateMachine": {"executionCost": 0, "lambdaCost": 0, "visualization": visualization(report)},
    })
}

/// Sizes as 16-bit integers, times in ms and costs in dollars as 32-bit floats, little endian, in base64.
fn visualization(report: &TuneReport) -> String {
    let (mut sizes, mut times, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for tier in &report.tiers {
        if let (Some(latency), Some(usd)) = (tier.latency_ms, tier.usd_per_million) {
            sizes.extend((tier.memory_mb as u16).to_le_bytes());
            times.extend((latency.median as f32).to_le_bytes());
            costs.extend(((usd / 1e6) as f32).to_le_bytes());
        }
    }
    format!("{PAGE}#{};{};{}", STANDARD.encode(sizes), STANDARD.encode(times), STANDARD.encode(costs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::text::tests::report;

    #[test]
    fn the_address_holds_the_figures() {
        let value = power_tuning(&report());
        assert_eq!(value["power"], 512);
        let address = value["stateMachine"]["visualization"].as_str().unwrap();
        let (_, data) = address.split_once('#').unwrap();
        let parts: Vec<Vec<u8>> = data.split(';').map(|part| STANDARD.decode(part).unwrap()).collect();
        let sizes: Vec<i16> = parts[0].chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        assert_eq!(sizes, [256, 512, 1024]);
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.chunks(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        };
        assert_eq!(floats(&parts[1]), [40.0, 20.0, 12.0]);
        assert!((floats(&parts[2])[0] - 4.0e-7).abs() < 1e-9);
    }

    #[test]
    fn rows_have_a_cell_for_every_column() {
        let text = tune_csv(&report()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 8);
        assert_eq!(
            (&rows[0][0], &rows[0][1], &rows[0][2], &rows[0][3]),
            ("before", "128", "out_of_memory", "")
        );
        assert_eq!((&rows[5][0], &rows[5][1], &rows[5][11]), ("after", "256", "0.4000"));
    }
}
