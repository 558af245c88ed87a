// Init by kind of work: one bar a trace, with what could not be explained as a part of its own.

import { h, section } from "./dom.js";
import { bar, legend, sum } from "./bars.js";
import { list, many, ms } from "./format.js";

const KINDS = [
  ["find", "finding modules"],
  ["read", "reading files"],
  ["compile", "compiling sources"],
  ["unmarshal", "unmarshalling bytecode"],
  ["exec", "running module bodies"],
  ["native", "loading native libraries"],
  ["gc", "collecting garbage"],
  ["regex", "compiling patterns"],
  ["io", "waiting"],
  ["rest", "the importer's own work"],
  ["unexplained", "unexplained"],
];

/** The section; `null` where no trace measured it. */
export function kinds(models) {
  const rows = models.map((model) => ({ ...model, parts: partsOf(model.trace) })).filter((row) => sum(row.parts) > 0);
  if (rows.length === 0) return null;
  const scale = Math.max(...rows.map((row) => sum(row.parts)));
  const several = models.length > 1;
  return section(
    "Kinds of work",
    { note: "Init with the agent. Each moment counts once: collections, patterns and waits are taken out of the kind in which they happened." },
    h("div", { class: "bars" }, rows.map((row) => bar(several ? row.label : "init", row.parts, scale))),
    h(
      "div",
      { class: "columns" },
      rows.map((row) => h("div", {}, several ? h("h3", {}, row.label) : null, legend(row.parts, sum(row.parts)), compiled(row.trace))),
    ),
  );
}

function partsOf(trace) {
  const value = (key) => (key === "unexplained" ? trace.unexplained_ms : trace.kinds[key]);
  return KINDS.map(([key, name]) => ({ key, name, value: value(key) }));
}

function compiled({ compiled: { missing, stale, compile_ms: cost } }) {
  if (missing + stale === 0) return null;
  const parts = [missing > 0 ? `${many(missing, "module")} without bytecode` : "", stale > 0 ? `${many(stale, "module")} with stale bytecode` : ""].filter(Boolean);
  return h("p", { class: "warning" }, `Compiled in every start: ${list(parts)}. That takes ${ms(cost).replace(" ", "\u00a0")}.`);
}
