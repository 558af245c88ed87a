// The import tree as the icicle draws it: groups by phase, imports, and the statements of the function's own code.

import { hierarchy, partition } from "d3-hierarchy";
import { isOwn } from "./model.js";

/** Statements under this many ms are left in their module's own time. */
const SMALL_STATEMENT_MS = 0.1;

/** Laid out from 0 to the sum of all own times; `order` is `start` or `time`. */
export function forestOf(model, event, order) {
  const root = hierarchy({ type: "root", name: model.label, children: groupsOf(model, event) });
  root.sum((item) => Math.max(item.own ?? 0, 0));
  root.sort(order === "time" ? (a, b) => b.value - a.value : (a, b) => a.data.start - b.data.start);
  return partition().size([root.value || 1, root.height + 1])(root);
}

/** Events in whose first invoke something was imported, the one with the most first. */
export function eventsThatImport(models) {
  const times = new Map();
  for (const { data } of models.flatMap((model) => model.imports)) {
    if (data.phase === "first_invoke") times.set(data.event, (times.get(data.event) ?? 0) + data.self_ms);
  }
  return [...times.keys()].sort((a, b) => times.get(b) - times.get(a));
}

function groupsOf(model, event) {
  const groups = new Map();
  for (const node of model.imports) {
    if (node.above || (node.data.phase === "first_invoke" && node.data.event !== event)) continue;
    const [key, name, place] = groupOf(node.data);
    if (!groups.has(key)) groups.set(key, { type: "group", name, start: place, own: 0, children: [] });
    groups.get(key).children.push(node);
  }
  const statements = statementsByFile(model.trace, event);
  return [...groups.values()].map((group) => ({ ...group, children: group.children.map((node) => itemOf(node, statements)) }));
}

function groupOf(data) {
  const thread = data.thread === "MainThread" ? "" : `, thread ${data.thread}`;
  if (data.phase === "first_invoke") return [`2${thread}`, `first invoke: ${data.event}${thread}`, 2e9];
  if (data.runtime_provided) return [`0${thread}`, `runtime${thread}`, 0];
  return [`1${thread}`, `init${thread}`, thread ? 1e9 : 1];
}

const fileOf = (place) => place.replace(/:\d+$/, "");

function statementsByFile(trace, event) {
  const byFile = new Map();
  for (const statement of trace.statements) {
    if (statement.self_ms < SMALL_STATEMENT_MS || (statement.phase === "first_invoke" && statement.event !== event)) continue;
    const key = `${statement.phase} ${fileOf(statement.place)}`;
    byFile.set(key, [...(byFile.get(key) ?? []), statement]);
  }
  return byFile;
}

/** An import; the time of its statements is taken out of its own. */
function itemOf(node, statements) {
  const { data } = node;
  const key = `${data.phase} ${data.file}`;
  const own = isOwn(data) ? (statements.get(key) ?? []) : [];
  statements.delete(key);
  const inner = own.map((statement) => ({ type: "statement", name: statement.text, start: statement.start_ms, own: statement.self_ms, statement }));
  const rest = data.self_ms - own.reduce((sum, statement) => sum + statement.self_ms, 0);
  return {
    type: "import",
    name: data.module,
    start: data.start_ms,
    own: rest,
    node,
    children: [...node.children.map((child) => itemOf(child, statements)), ...inner],
  };
}
