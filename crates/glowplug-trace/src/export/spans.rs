//! A trace as spans: one cold start for each event, its phases, imports and statements on one clock.

use std::collections::BTreeSet;

use glowplug_core::Stat;

use super::imports::Imports;
use super::layout::Draft;
use super::span::{ColdStart, Failure, Kind, Span, Value};
use super::{attributes, failures};
use crate::document::{Import, Trace};
use crate::records::Phase;

/// One cold start for each event, in the order of their names; one without an invoke where there is no event.
/// Imports and statements below `threshold_ms` are left out, except those whose failure ended init.
pub(crate) fn cold_starts(trace: &Trace, threshold_ms: f64) -> Vec<ColdStart> {
    let phases = &trace.phases;
    let invoked = phases.first_invoke.keys().chain(phases.warm_invoke.keys());
    let imported = trace.imports.iter().filter_map(|import| import.event.as_ref());
    let events: BTreeSet<&String> = invoked.chain(imported).collect();
    let of = |event| Assembly { trace, threshold_ms, event }.cold_start();
    if events.is_empty() { vec![of(None)] } else { events.into_iter().map(|event| of(Some(event))).collect() }
}

struct Assembly<'a> {
    trace: &'a Trace,
    threshold_ms: f64,
    event: Option<&'a str>,
}

impl Assembly<'_> {
    fn cold_start(&self) -> ColdStart {
        let failed = failures::of_init(self.trace);
        let mut phases = Vec::new();
        phases.extend(self.provision());
        phases.extend(self.started(failed.clone()));
        if failed.is_none() {
            phases.extend(self.event.and_then(|event| self.first_invoke(event)));
        }
        let name = self.event.map_or("cold start".to_owned(), |event| format!("cold start {event}"));
        let total = phases.iter().map(|phase| phase.duration).sum();
        let mut root = Draft::new(Kind::ColdStart, name, 0.0, total);
        root.attributes = attributes::of_cold_start(self.trace, self.event);
        root.failure = phases.iter().find_map(|phase| phase.failure.clone()).or(failed);
        root.children = consecutive(0.0, phases);
        let root = root.place(0.0, total);
        let warm = self.event.and_then(|event| self.warm_invoke(event, total));
        ColdStart { event: self.event.map(str::to_owned), root, warm }
    }

    fn provision(&self) -> Option<Draft> {
        let phases = &self.trace.phases;
        let mut provision = phase("provision", phases.provision.as_ref()?);
        let parts = [("fetch", &phases.fetch), ("unpack", &phases.unpack)];
        let known = parts.into_iter().filter_map(|(name, stat)| Some(phase(name, stat.as_ref()?)));
        provision.children = consecutive(0.0, known.collect());
        Some(provision)
    }

    /// Runtime and init. The agent makes the runtime start later: its clock is set by the first import of the
    /// function's own.
    fn started(&self, failed: Option<Failure>) -> Vec<Draft> {
        let phases = &self.trace.phases;
        let imports = Imports::new(self.trace, (Phase::Init, None), self.threshold_ms, failed.clone());
        let begins = imports.roots(false).map(|(_, import)| import.start_ms).reduce(f64::min);
        let early = |import: &Import| begins.is_none_or(|begins| import.start_ms < begins);
        let (before, late): (Vec<_>, Vec<_>) = imports.roots(true).partition(|(_, import)| early(import));
        let after: Vec<(usize, &Import)> = imports.roots(false).chain(late).collect();
        let begins = begins.or_else(|| end(&before)).unwrap_or(0.0);

        let cold = phases.cold_cache.as_ref();
        let (runtime_stat, init_stat) = (phases.runtime.as_ref(), phases.init.as_ref());
        let runtime_ms = runtime_stat.map_or(begins, |stat| stat.median);
        let init_ms = init_stat.map_or_else(|| end(&after).unwrap_or(begins) - begins, |stat| stat.median);

        let mut runtime = Draft::new(Kind::Phase, "runtime", 0.0, runtime_ms);
        runtime.attributes = attributes::of_phase(runtime_stat, cold.and_then(|cold| cold.runtime.as_ref()));
        runtime.clock = begins - runtime_ms;
        let provided = imports.drafts(before.into_iter().map(|(index, _)| index));
        runtime.children = self.runtime_parts((runtime.clock, begins), provided);

        let mut init = Draft::new(Kind::Phase, "init", 0.0, init_ms);
        init.attributes = attributes::of_phase(init_stat, cold.and_then(|cold| cold.init.as_ref()));
        init.attributes.extend(attributes::of_work(self.trace));
        init.clock = begins;
        init.failure = failed;
        init.children = imports.drafts(after.into_iter().map(|(index, _)| index));
        let empty = runtime_stat.is_none() && init_stat.is_none() && runtime_ms + init_ms <= 0.0;
        if empty { Vec::new() } else { vec![runtime, init] }
    }

    /// Interpreter and `site` from the start on, the client until the end, both on the agent's clock; the client holds
    /// what the runtime imports.
    fn runtime_parts(&self, (start, end): (f64, f64), provided: Vec<Draft>) -> Vec<Draft> {
        let parts = &self.trace.phases.runtime_parts;
        let named = [("interpreter", &parts.interpreter), ("site", &parts.site)];
        let known = named.into_iter().filter_map(|(name, stat)| Some(phase(name, stat.as_ref()?)));
        let mut placed = consecutive(start, known.collect());
        match &parts.client {
            Some(stat) => {
                let mut client = phase("client", stat);
                client.start = end - client.duration;
                client.clock = client.start;
                client.children = provided;
                placed.push(client);
            }
            None => placed.extend(provided),
        }
        placed
    }

    /// Imports that waited for the event are shown from its beginning: the trace does not say when they were.
    fn first_invoke(&self, event: &str) -> Option<Draft> {
        let phases = &self.trace.phases;
        let stat = phases.first_invoke.get(event).and_then(Option::as_ref);
        let failed = failures::of_invoke(self.trace, event);
        let imports =
            Imports::new(self.trace, (Phase::FirstInvoke, Some(event)), self.threshold_ms, failed.clone());
        let all: Vec<(usize, &Import)> = imports.roots(false).chain(imports.roots(true)).collect();
        if stat.is_none() && failed.is_none() && all.is_empty() {
            return None;
        }
        let begins = all.iter().map(|(_, import)| import.start_ms).reduce(f64::min).unwrap_or(0.0);
        let duration = stat.map_or_else(|| end(&all).unwrap_or(begins) - begins, |stat| stat.median);
        let cold = phases.cold_cache.as_ref().and_then(|cold| cold.first_invoke.get(event)?.as_ref());
        let mut invoke = Draft::new(Kind::FirstInvoke, "first invoke", 0.0, duration);
        invoke.attributes = attributes::of_phase(stat, cold);
        invoke.attributes.extend(attributes::of_invoke(self.trace, event));
        invoke.clock = begins;
        invoke.failure = failed;
        invoke.children = imports.drafts(all.into_iter().map(|(index, _)| index));
        Some(invoke)
    }

    fn warm_invoke(&self, event: &str, start: f64) -> Option<Span> {
        let stat = self.trace.phases.warm_invoke.get(event)?.as_ref()?;
        let mut warm = phase("warm invoke", stat);
        warm.kind = Kind::WarmInvoke;
        warm.attributes.push(("glowplug.event", Value::from(event)));
        let end = start + warm.duration;
        Some(warm.place(start, end))
    }
}

fn phase(name: &str, stat: &Stat) -> Draft {
    let mut draft = Draft::new(Kind::Phase, name, 0.0, stat.median);
    draft.attributes = attributes::of_phase(Some(stat), None);
    draft
}

/// One after the other from `start` on; what their own clocks show stays.
fn consecutive(start: f64, mut drafts: Vec<Draft>) -> Vec<Draft> {
    let mut at = start;
    for draft in &mut drafts {
        draft.start = at;
        at = draft.end();
    }
    drafts
}

/// When the last of these imports ended, on the agent's clock.
fn end(imports: &[(usize, &Import)]) -> Option<f64> {
    imports.iter().map(|(_, import)| import.start_ms + import.total_ms).reduce(f64::max)
}
