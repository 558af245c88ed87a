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
const INVOKE = [
  ["c1", "imports_ms", "imports"],
  ["c5", "connect_ms", "connections"],
  ["invoke", "handler_ms", "handler and runtime client"],
];

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
    { note: "Medians of starts without the agent." },
    h(
      "div",
      { class: "controls" },
      events.length > 1 ? picker("Event", events.map((name) => [name, name]), event, (name) => ((event = name), draw())) : null,
      hasProvision
        ? h("label", { class: "check" }, h("input", { type: "checkbox", onchange: ({ target }) => ((provision = target.checked), draw()) }), h("span", {}, "Provisioning in the bars"))
        : null,
    ),
    body,
    invokes(models),
  );
}

/** What each first invoke is made of, all events on one scale. */
function invokes(models) {
  const rows = models.flatMap(({ label, trace }) =>
    Object.entries(trace.phases.first_invoke_parts).map(([event, parts]) => ({
      event,
      label: models.length > 1 ? `${event}, ${label}` : event,
      parts: INVOKE.map(([key, field, name]) => ({ key, name, value: parts[field] })),
    })),
  );
  if (rows.length === 0) return null;
  rows.sort((a, b) => a.event.localeCompare(b.event));
  const scale = Math.max(...rows.map((row) => sum(row.parts)), 1e-9);
  return h(
    "div",
    {},
    h("h3", {}, "First invokes, by event"),
    h("p", { class: "note" }, "Imports and connections that the event waits for, and the rest; from starts with the agent."),
    h("div", { class: "bars" }, rows.map((row) => bar(row.label, row.parts, scale))),
    legend(INVOKE.map(([key, , name]) => ({ key, name }))),
  );
}

function drawn(models, event, provision) {
  const rows = models.flatMap((model) => barsOf(model, event, provision, models.length > 1));
  const scale = Math.max(...rows.map((row) => sum(row.parts)), 1e-9);
  const used = new Set(rows.flatMap((row) => row.parts.filter((part) => part.value > 0).map((part) => part.key)));
  return [
    h("div", { class: "bars" }, rows.map((row) => bar(row.label, row.parts, scale))),
    legend(PARTS.filter(([key]) => used.has(key)).map(([key, name]) => ({ key, name }))),
    table(models, event),
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

/** The rows of one trace, by name: the figure, and the one with a cold page cache. */
function figuresOf({ trace: { phases }, events }, event) {
  const cold = phases.cold_cache;
  const { interpreter, site, client } = phases.runtime_parts;
  const rows = [
    ["Provision", phases.provision],
    ["fetch, modelled", phases.fetch, { inner: true }],
    ["unpack", phases.unpack, { inner: true }],
    ["Runtime start", phases.runtime, { cold: cold?.runtime }],
    ["interpreter", interpreter, { inner: true }],
    ["site", site, { inner: true }],
    ["runtime client", client, { inner: true }],
    ["Init: your module and all it imports", phases.init, { cold: cold?.init }],
  ];
  if (events.includes(event)) {
    rows.push([`First invoke, ${event}`, phases.first_invoke[event], { cold: cold?.first_invoke[event] }]);
    rows.push([`Warm invoke, ${event}`, phases.warm_invoke[event]]);
  }
  return new Map(rows.map(([name, stat, more]) => [name, { stat, ...more }]));
}

/** One trace with all that is known of each figure, or two with their medians beside each other. */
function table(models, event) {
  const several = models.length > 1;
  const figures = models.map((model) => figuresOf(model, event));
  const names = [...new Set(figures.flatMap((rows) => [...rows.keys()]))];
  const shown = names.filter((name) => figures.some((rows) => rows.has(name) && (!rows.get(name).inner || rows.get(name).stat)));
  const cold = models.map(({ trace }) => Boolean(trace.phases.cold_cache));
  const heads = models.flatMap(({ label }, index) => {
    const of = (text) => (several ? `${label}: ${text}` : text);
    return [of("median"), of("95 % interval"), ...(several ? [] : ["quartiles apart", "runs"]), ...(cold[index] ? [of("cold page cache"), "95 % interval"] : [])];
  });
  const cells = (rows, name, index) => {
    const { stat, cold: coldStat } = rows.get(name) ?? {};
    const wide = several ? [] : [stat && stat.runs > 1 ? ms(stat.spread) : "", stat ? String(stat.runs) : ""];
    const besides = cold[index] ? (coldStat === undefined ? ["", ""] : [median(coldStat), interval(coldStat)]) : [];
    return [median(stat), interval(stat), ...wide, ...besides];
  };
  return frame(
    h("tr", {}, h("th", { scope: "col" }, "Phase"), heads.map((text) => h("th", { scope: "col", class: "number" }, text))),
    shown.map((name) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: figures.some((rows) => rows.get(name)?.inner) ? "inner" : null }, name),
        figures.flatMap((rows, index) => cells(rows, name, index)).map((text) => h("td", { class: text === NOT_MEASURED ? "number dim" : "number" }, text)),
      ),
    ),
  );
}

function frame(head, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Phases in figures" },
    h("table", { class: "plain" }, h("caption", { class: "hidden" }, "Phases in figures"), h("thead", {}, head), h("tbody", {}, rows)),
  );
}
