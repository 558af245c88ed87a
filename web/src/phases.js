// Where a cold start goes, phase by phase: bars on one scale, medians with their intervals in a table.

import { h, picker, section } from "./dom.js";
import { interval, median, ms, NOT_MEASURED } from "./format.js";
import { bar, legend, sum } from "./bars.js";

const PARTS = [
  ["fetch", "fetch (modelled)"],
  ["unpack", "unpack"],
  ["interpreter", "interpreter"],
  ["site", "site"],
  ["client", "runtime client"],
  ["runtime-start", "runtime start"],
  ["init", "init"],
  ["invoke", "first invoke"],
];
const NAMES = new Map(PARTS);

/** The section, with a choice of event where there are several. */
export function phases(models) {
  const events = [...new Set(models.flatMap((model) => model.events))];
  const body = h("div", {});
  let event = events[0];
  let provision = false;
  const draw = () => body.replaceChildren(...models.length > 0 ? drawn(models, event, provision) : []);
  const hasProvision = models.some(({ trace }) => trace.phases.provision);
  draw();
  return section(
    "Phases",
    { note: "Medians of starts without the agent. The parts of a first invoke are from starts with it." },
    h(
      "div",
      { class: "controls" },
      events.length > 1 ? picker("Event", events.map((name) => [name, name]), event, (name) => ((event = name), draw())) : null,
      hasProvision
        ? h("label", { class: "check" }, h("input", { type: "checkbox", onchange: ({ target }) => ((provision = target.checked), draw()) }), h("span", {}, "Provisioning in the bars"))
        : null,
    ),
    body,
  );
}

function drawn(models, event, provision) {
  const rows = models.flatMap((model) => barsOf(model, event, provision, models.length > 1));
  const scale = Math.max(...rows.map((row) => sum(row.parts)), 1e-9);
  const used = new Set(rows.flatMap((row) => row.parts.filter((part) => part.value > 0).map((part) => part.key)));
  return [
    h("div", { class: "bars" }, rows.map((row) => bar(row.label, row.parts, scale))),
    legend(PARTS.filter(([key]) => used.has(key)).map(([key, name]) => ({ key, name }))),
    ...models.map((model) => table(model, event, models.length > 1)),
  ];
}

function barsOf({ label, trace }, event, provision, several) {
  const { phases } = trace;
  const name = (what) => (several ? `${label}, ${what}` : what);
  const rows = [{ label: name(phases.cold_cache ? "warm page cache" : "cold start"), parts: startParts(phases, event, provision) }];
  if (phases.cold_cache) rows.push({ label: name("cold page cache"), parts: coldParts(phases, event, provision) });
  return rows;
}

const part = (key, stat) => ({ key, name: NAMES.get(key), value: stat ? stat.median : null });

function provisionParts(phases) {
  return phases.fetch || phases.unpack
    ? [part("fetch", phases.fetch), part("unpack", phases.unpack)]
    : [part("unpack", phases.provision)];
}

function startParts(phases, event, provision) {
  const { interpreter, site, client } = phases.runtime_parts;
  const whole = interpreter || site || client;
  return [
    ...(provision ? provisionParts(phases) : []),
    ...(whole ? [part("interpreter", interpreter), part("site", site), part("client", client)] : [part("runtime-start", phases.runtime)]),
    part("init", phases.init),
    part("invoke", phases.first_invoke[event]),
  ];
}

function coldParts({ cold_cache: cold, ...phases }, event, provision) {
  return [...(provision ? provisionParts(phases) : []), part("runtime-start", cold.runtime), part("init", cold.init), part("invoke", cold.first_invoke[event])];
}

function table({ label, trace, events }, event, several) {
  const { phases } = trace;
  const cold = phases.cold_cache;
  const rows = [
    ["Provision", phases.provision, undefined, 0],
    ["fetch, modelled", phases.fetch, undefined, 1],
    ["unpack", phases.unpack, undefined, 1],
    ["Runtime start", phases.runtime, cold?.runtime, 0],
    ["interpreter", phases.runtime_parts.interpreter, undefined, 1],
    ["site", phases.runtime_parts.site, undefined, 1],
    ["runtime client", phases.runtime_parts.client, undefined, 1],
    ["Init: your module and all it imports", phases.init, cold?.init, 0],
    ...events.filter((name) => name === event).flatMap((name) => eventRows(phases, name)),
  ];
  const head = ["Phase", "Median", "95 % interval", "Quartiles' distance", "Runs", ...(cold ? ["Cold page cache", "95 % interval"] : [])];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Phases in figures${several ? `, ${label}` : ""}` },
    h(
      "table",
      { class: "plain" },
      several ? h("caption", {}, label) : h("caption", { class: "hidden" }, "Phases in figures"),
      h("thead", {}, h("tr", {}, head.map((name, index) => h("th", { scope: "col", class: index > 0 ? "number" : null }, name)))),
      h("tbody", {}, rows.filter(([, stat, , depth]) => depth === 0 || stat).map((row) => tableRow(row, cold))),
    ),
  );
}

function eventRows(phases, name) {
  const cold = phases.cold_cache?.first_invoke[name];
  const parts = phases.first_invoke_parts[name];
  const traced = (text, value) => (typeof value === "number" ? [[text, { median: value, traced: true }, undefined, 1]] : []);
  return [
    [`First invoke, ${name}`, phases.first_invoke[name], cold, 0],
    ...(parts ? [...traced("imports", parts.imports_ms), ...traced("connections", parts.connect_ms), ...traced("handler and runtime client", parts.handler_ms)] : []),
    [`Warm invoke, ${name}`, phases.warm_invoke[name], undefined, 0],
  ];
}

function tableRow([name, stat, coldStat, depth], cold) {
  const number = (text) => h("td", { class: text === NOT_MEASURED || text === "" ? "number dim" : "number" }, text);
  const figures = stat?.traced
    ? [number(ms(stat.median)), h("td", { class: "number dim" }, "traced"), number(""), number("")]
    : [number(median(stat)), number(interval(stat)), number(stat && stat.runs > 1 ? ms(stat.spread) : ""), number(stat ? String(stat.runs) : "")];
  const besides = cold ? (coldStat === undefined ? [number(""), number("")] : [number(median(coldStat)), number(interval(coldStat))]) : [];
  return h("tr", {}, h("th", { scope: "row", class: depth > 0 ? "inner" : null }, name), figures, besides);
}
