//! What the account looks like at this moment, for people: the document behind the page at `/`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::history::{Counts, History, Run};
use crate::http::url_of;
use crate::model::{Configuration, Record};
use crate::service::{Service, State};
use crate::time;

/// Name and version of the document.
const SCHEMA: &str = "glowplug.status/1";

/// Environments of a function.
#[derive(Debug, Default)]
struct Environments {
    idle: usize,
    provisioned: u32,
    idle_provisioned: u32,
}

impl Service {
    /// The document. Values of variables are not in it.
    pub(crate) fn status(&self) -> Value {
        let endpoint = self.endpoint();
        let state = self.lock();
        let environments = state.environments();
        let history = self.history();
        let busy: u32 = state.busy.values().sum();
        let function = |(name, record): (&String, &Record)| {
            let there = environments.get(name.as_str());
            function(record, &endpoint, there, state.busy_of(name), &history)
        };
        json!({
            "schema": SCHEMA,
            "endpoint": endpoint,
            "now_ms": time::now().as_millis() as u64,
            "concurrency": {"limit": self.0.options.concurrency, "busy": busy},
            "events_waiting": state.waiting.len(),
            "functions": state.functions.iter().map(function).collect::<Vec<_>>(),
            "last": history.last().map(run).collect::<Vec<_>>(),
        })
    }
}

impl Environments {
    /// The part of the provisioned ones that is busy (`ProvisionedConcurrencyUtilization` of CloudWatch).
    fn utilization(&self) -> Option<f64> {
        let busy = self.provisioned.saturating_sub(self.idle_provisioned);
        (self.provisioned > 0).then(|| f64::from(busy) / f64::from(self.provisioned))
    }
}

impl State {
    fn environments(&self) -> BTreeMap<&str, Environments> {
        let mut all: BTreeMap<&str, Environments> = BTreeMap::new();
        for ((function, _), pool) in &self.pools {
            let there = all.entry(function).or_default();
            there.idle += pool.idle();
            there.provisioned += pool.provisioned();
            there.idle_provisioned += pool.idle_provisioned();
        }
        all
    }
}

fn function(
    record: &Record,
    endpoint: &str,
    there: Option<&Environments>,
    busy: u32,
    history: &History,
) -> Value {
    let Configuration { function_name, runtime, handler, architecture, .. } = &record.latest;
    let Counts { bill, cold, errors, throttles, provisioned, spillover } = history.counts(function_name);
    let aliases: BTreeMap<&String, Value> = record
        .aliases
        .iter()
        .map(|(name, alias)| (name, json!({"version": alias.version, "weights": alias.weights})))
        .collect();
    let urls = record.urls.iter().map(|(qualifier, url)| {
        let alias = record.aliases.contains_key(qualifier).then_some(qualifier.as_str());
        json!({"qualifier": qualifier, "url": url_of(endpoint, function_name, alias), "signed": url.signed})
    });
    json!({
        "name": function_name,
        "runtime": runtime,
        "handler": handler,
        "architecture": architecture,
        "memory_mb": record.latest.memory_mb,
        "timeout_s": record.latest.timeout_s,
        "variables": record.latest.environment.keys().collect::<Vec<_>>(),
        "versions": record.versions.keys().collect::<Vec<_>>(),
        "aliases": aliases,
        "urls": urls.collect::<Vec<_>>(),
        "reserved": record.reserved,
        "environments": {
            "idle": there.map_or(0, |there| there.idle),
            "busy": busy,
            "provisioned": there.map_or(0, |there| there.provisioned),
        },
        "invokes": {
            "total": bill.invokes, "cold": cold, "errors": errors, "throttles": throttles,
            "provisioned": provisioned, "spillover": spillover,
        },
        "provisioned_utilization": there.and_then(Environments::utilization),
        "billed_ms": bill.billed_ms,
        "usd": bill.usd,
    })
}

fn run(run: &Run) -> Value {
    json!({
        "function": run.function,
        "version": run.version,
        "request_id": run.request_id,
        "ended_ms": run.ended_ms,
        "status": run.status,
        "duration_ms": run.duration_ms,
        "init_ms": run.init_ms,
        "memory_mb": run.memory_mb,
    })
}
