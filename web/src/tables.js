// The tables: imports, distributions, lines of the function's own code, its statements.

import { h, picker, section } from "./dom.js";
import { grid } from "./grid.js";
import { tabs } from "./tabs.js";
import { isUnused, ownerOf, unusedMs } from "./model.js";
import { bytes, kib, ms, users } from "./format.js";

const MARKS = { failed: "✕ failed", cached: "there already" };

/** The section; with two traces, one of them at a time. */
export function tables(models) {
  if (models.length === 1) return section("Tables", {}, tablesOf(models[0]));
  const body = h("div", {}, tablesOf(models.at(-1)));
  const choose = (label) => body.replaceChildren(tablesOf(models.find((model) => model.label === label)));
  return section("Tables", {}, h("div", { class: "controls" }, picker("Trace", models.map(({ label }) => [label, label]), models.at(-1).label, choose)), body);
}

function tablesOf(model) {
  const { trace } = model;
  return tabs("Tables", [
    [`Imports (${trace.imports.length})`, () => imports(model)],
    [`Distributions (${trace.distributions.length})`, () => distributions(model)],
    [`Lines (${trace.lines.length})`, () => lines(model)],
    [`Statements (${trace.statements.length})`, () => statements(model)],
  ]);
}

const code = (text) => h("code", {}, text);
const number = (name, value, write = ms) => ({ name, value, show: (row) => write(value(row)), number: true });
const whenOf = (row) => (row.phase === "first_invoke" ? `first invoke, ${row.event}` : "init");

/** `◷ health` where there is little room; in full for those who listen. */
function when(row) {
  return row.phase === "first_invoke" ? h("span", { class: "when", title: whenOf(row) }, h("span", { "aria-hidden": "true" }, "◷ "), h("span", { class: "hidden" }, "first invoke, "), row.event) : "init";
}

function imports(model) {
  return grid({
    label: "Imports",
    rows: model.imports,
    noun: ["import", "imports"],
    placeholder: "module, distribution, place",
    sort: { column: 1, down: true },
    filters: [
      ...(model.events.length > 0 ? [{ name: "Paid and not used", keep: isUnused }] : []),
      { name: "Without the runtime's", keep: ({ data }) => !data.runtime_provided },
    ],
    columns: [
      { name: "Module", value: ({ data }) => data.module, show: ({ data }) => code(data.module) },
      number("Total", ({ data }) => data.total_ms),
      number("Self", ({ data }) => data.self_ms),
      ...(model.events.length > 0 ? [{ ...number("Paid and not used", unusedMs), show: (node) => (isUnused(node) ? ms(unusedMs(node)) : "") }] : []),
      { name: "Used by", value: ({ users: set }) => [...set].join(", "), show: (node) => usedBy(node, model) },
      { name: "Belongs to", value: ({ data }) => ownerOf(data) },
      number("Memory", ({ data }) => data.memory_kib, kib),
      { name: "Bytecode", value: ({ data }) => (data.bytecode === "none" ? "needs none" : data.bytecode) },
      { name: "When", value: ({ data }) => whenOf(data), show: ({ data }) => [when(data), MARKS[data.status] ? `, ${MARKS[data.status]}` : ""] },
      { name: "Imported at", value: ({ data }) => data.importer, show: ({ data }) => code(data.importer), wide: true },
    ],
  });
}

function usedBy(node, model) {
  if (node.data.runtime_provided) return "◇ runtime";
  if (isUnused(node)) return "○ none";
  return node.users.size > 0 ? users([...node.users], model.events.length) : "";
}

function distributions(model) {
  const events = model.events.length;
  return grid({
    label: "Distributions",
    rows: model.trace.distributions,
    noun: ["distribution", "distributions"],
    sort: { column: 2, down: true },
    filters: events > 0 ? [{ name: "Paid and not used", keep: (row) => row.used_by.length === 0 }] : [],
    columns: [
      { name: "Distribution", value: (row) => row.name, show: (row) => code(row.name) },
      { name: "Version", value: (row) => row.version },
      number("Time", (row) => row.total_ms),
      number("Memory", (row) => row.memory_kib, kib),
      number("Size", (row) => row.bytes, bytes),
      { name: "Used by", value: (row) => row.used_by.join(", "), show: (row) => (row.used_by.length === 0 && events > 0 ? "○ none" : users(row.used_by, events)) },
      { name: "Of its size", value: (row) => Object.entries(row.bytes_by_kind).sort((a, b) => b[1] - a[1]).map(([kind, size]) => `${kind} ${bytes(size)}`).join(", "), wide: true },
    ],
  });
}

function lines(model) {
  const events = model.events.length;
  if (model.trace.lines.length === 0) return h("p", { class: "dim" }, "No line of your own code imports other people's.");
  return grid({
    label: "Lines",
    rows: model.trace.lines,
    noun: ["line", "lines"],
    sort: { column: 2, down: true },
    filters: events > 0 ? [{ name: "Paid and not used", keep: (row) => row.used_by.length === 0 }] : [],
    columns: [
      { name: "Line", value: (row) => row.place, show: (row) => code(row.place) },
      { name: "Asks for", value: (row) => row.asks_for.join(", "), show: (row) => code(row.asks_for.join(", ")) },
      number("Time", (row) => row.total_ms),
      number("Modules", (row) => row.modules, String),
      number("Memory", (row) => row.memory_kib, kib),
      { name: "Used by", value: (row) => row.used_by.join(", "), show: (row) => (row.used_by.length === 0 && events > 0 ? "○ none" : users(row.used_by, events)) },
      { name: "When", value: whenOf, show: when },
    ],
  });
}

function statements(model) {
  if (model.trace.statements.length === 0) return h("p", { class: "dim" }, "No statement was traced.");
  return grid({
    label: "Statements",
    rows: model.trace.statements,
    noun: ["statement", "statements"],
    sort: { column: 2, down: true },
    columns: [
      { name: "Place", value: (row) => row.place, show: (row) => code(row.place) },
      { name: "Statement", value: (row) => row.text, show: (row) => code(row.text), wide: true },
      number("Its own time", (row) => row.self_ms),
      number("Imports within", (row) => row.imports_ms),
      number("Processor time", (row) => row.cpu_ms),
      { name: "When", value: whenOf, show: when },
    ],
  });
}
