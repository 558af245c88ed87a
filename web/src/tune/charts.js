// The sections with charts: latency by size, cold and warm, of all events or one; cost by size; cost against latency.

import { choice, h, picker, section } from "../dom.js";
import { ms } from "../format.js";
import { bySize } from "./bysize.js";
import { key } from "./drawing.js";
import { front } from "./front.js";
import { isFailure, isModelled, usd } from "./model.js";

const ALL = "all";

/** Latency by size. */
export function latency(model) {
  const { events } = model;
  const shown = { event: ALL, percentile: "p50" };
  const value = (field) => (tier) => (shown.event === ALL ? tier?.[field]?.[shown.percentile] : tier?.events[events[shown.event]]?.[field]?.median);
  const charts = [["Cold start", "cold_ms"], ["Warm invoke", "warm_ms"]].map(([title, field]) => bySize(model, { title, value: value(field), write: ms, tick: (tick) => `${tick} ms` }));
  const draw = () => charts.forEach((chart) => chart.draw());
  const percentiles = choice("Percentile", ["p50", "p90", "p99"].map((of) => [of, of]), "p50", (of) => ((shown.percentile = of), draw()));
  const pick = (event) => {
    shown.event = event;
    percentiles.hidden = event !== ALL;
    draw();
  };
  const options = [[ALL, "All, by their weights"], ...events.map((name, index) => [String(index), `${name}: medians`])];
  return section(
    "Latency by memory size",
    { note: "A cold start is init and the first invoke together, a warm invoke a later one. Sizes stand at equal ratios." },
    h("div", { class: "controls" }, events.length > 1 ? picker("Events", options, ALL, pick) : null, percentiles),
    h("div", { class: "columns" }, charts.map(({ element }) => element)),
    signs(model),
  );
}

/** Cost by size, and against latency. */
export function cost(model) {
  const byMemory = bySize(model, { title: "Cost of a million invokes", value: (tier) => tier?.usd_per_million, write: usd, tick: (tick) => `$${tick}` });
  return section(
    "Cost by memory size",
    { note: "Billed duration and requests at the rate of cold starts; the free tier is not counted." },
    byMemory.element,
    signs(model),
  );
}

/** Cost against latency. */
export function tradeOff(model) {
  return section(
    "Cost against latency",
    { note: "To the left is faster, down is cheaper. The line joins the sizes than which no other is both faster and cheaper; numbers are sizes in MB." },
    front(model),
    key([...formSigns(model), ["◆", "in a frame: chosen"], ["╲", "the front"]]),
  );
}

/** Shapes of the forms, filled and hollow. */
function formSigns({ forms }) {
  const two = forms.length > 1;
  const modelled = forms.some(({ tiers }) => tiers.some(isModelled));
  return [["●", two ? "before, measured" : "measured"], ...(two ? [["■", "after, measured"]] : []), ...(modelled ? [[two ? "○□" : "○", "hollow: modelled, not run"]] : [])];
}

function signs(model) {
  const failed = model.forms.some(({ tiers }) => tiers.some(isFailure));
  return key([...formSigns(model), ...(failed ? [["✕", "does not work at this size"]] : []), ["◆", "in a frame: chosen"]]);
}
