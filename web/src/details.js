// Everything that is known of one import or statement.

import { h } from "./dom.js";
import { isOwn, isUnused, ownerOf, pathOf, unusedMs } from "./model.js";
import { bytes, kib, ms, NOT_MEASURED, users } from "./format.js";

const STEPS = [
  ["find_ms", "find"],
  ["read_ms", "read"],
  ["compile_ms", "compile"],
  ["unmarshal_ms", "unmarshal"],
  ["exec_ms", "run the body"],
  ["native_ms", "load native code"],
  ["gc_ms", "garbage collection, within"],
  ["regex_ms", "patterns, within"],
  ["io_ms", "waiting, within"],
];

/** The panel for an item of the tree. */
export function detailsOf(item, model) {
  if (!item) return h("p", { class: "dim" }, "Choose an import to see what it costs and who asked for it.");
  if (item.data.type === "statement") return statement(item.data.statement);
  if (item.data.type === "group") return group(item);
  return imported(item, model);
}

function facts(rows) {
  return h("dl", { class: "details-list" }, rows.filter(Boolean).map(([name, value, dim]) => h("div", {}, h("dt", {}, name), h("dd", { class: dim || value === NOT_MEASURED ? "dim" : null }, value))));
}

function group(item) {
  return h("div", {}, h("h3", {}, item.data.name), facts([["Imports, with all below", String(item.descendants().length - 1)], ["Their time", ms(item.value)]]));
}

function statement(found) {
  return h(
    "div",
    {},
    h("h3", {}, h("code", {}, found.text)),
    facts([["Place", h("code", {}, found.place)], ["Its own time", ms(found.self_ms)], ["Processor time", ms(found.cpu_ms)], ["Imports that it makes happen", ms(found.imports_ms)], ["Began at", ms(found.start_ms)]]),
  );
}

function imported(item, model) {
  const { node } = item.data;
  const { data } = node;
  const chain = pathOf(node).slice(0, -1).map((above) => above.data.module);
  return h(
    "div",
    {},
    h("h3", {}, h("code", {}, data.module)),
    h("p", { class: "tags" }, tags(node).map((text) => h("span", { class: "tag" }, text))),
    facts([
      ["With all below", ms(data.total_ms)],
      ["Itself", ms(data.self_ms)],
      ["Belongs to", ownerOf(data)],
      ["Imported at", data.importer ? h("code", {}, data.importer) : "no Python code asked"],
      chain.length > 0 ? ["Through", h("span", { class: "chain" }, chain.join(" › "))] : null,
      ["Used by", used(node, model)],
      isUnused(node) ? ["Unused, with what hangs on it", ms(unusedMs(node))] : null,
      ["Memory", kib(data.memory_kib)],
      ["Processor time", ms(data.cpu_ms)],
      ["Read", bytes(data.bytes_read)],
      ["Bytecode", data.bytecode === "none" ? "needs none" : data.bytecode],
      ["Began at", ms(data.start_ms)],
      data.thread === "MainThread" ? null : ["Thread", data.thread],
      data.file ? ["File", h("code", {}, data.file)] : null,
    ]),
    h("h4", {}, "Its own time, by step"),
    facts(STEPS.map(([key, name]) => [name, ms(data[key])])),
  );
}

function used(node, model) {
  const { data } = node;
  if (data.runtime_provided) return "the runtime itself";
  if (isOwn(data) && node.users.size === 0) return "your code";
  return users([...node.users], model.events.length);
}

function tags(node) {
  const { data } = node;
  return [
    data.status === "failed" ? "✕ failed" : null,
    data.phase === "first_invoke" ? `◷ in the first invoke: ${data.event}` : null,
    data.runtime_provided ? "◇ provided by the runtime" : null,
    isUnused(node) ? "○ paid and not used" : null,
    data.bytecode === "stale" || data.bytecode === "missing" ? `bytecode ${data.bytecode}` : null,
  ].filter(Boolean);
}
