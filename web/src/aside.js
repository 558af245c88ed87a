// What happened besides imports: connections, processes, files; folded.

import { fold, h, section } from "./dom.js";
import { bytes, ms } from "./format.js";
import { grid } from "./grid.js";

const when = (row) => (row.phase === "first_invoke" ? (row.event ? `first invoke, ${row.event}` : "first invoke") : "init");
const code = (text) => h("code", {}, text);

/** The section. */
export function aside(models) {
  return section("Besides imports", {}, models.map((model) => foldsOf(model, models.length > 1)));
}

function foldsOf({ label, trace }, several) {
  const name = (text) => (several ? `${text}, ${label}` : text);
  return h(
    "div",
    {},
    lazily(name("Connections and names looked up"), trace.connections, connections),
    lazily(name("Processes started"), trace.subprocesses, subprocesses),
    lazily(name("Files opened"), trace.files, files),
  );
}

/** A fold whose table is made when it is first opened. */
function lazily(title, rows, make) {
  if (rows.length === 0) return fold(title, "none", h("p", { class: "dim" }, "None was seen."));
  const element = fold(title, String(rows.length));
  element.addEventListener("toggle", () => element.childElementCount === 1 && element.append(make(title, rows)));
  return element;
}

function connections(label, rows) {
  return grid({
    label,
    rows,
    sort: { column: 2, down: true },
    columns: [
      { name: "Address", value: (row) => row.address, show: (row) => code(row.address) },
      { name: "What", value: (row) => (row.kind === "resolve" ? "name looked up" : row.kind === "connect" ? "connection" : row.kind) },
      { name: "Time", value: (row) => row.total_ms, show: (row) => ms(row.total_ms), number: true },
      { name: "When", value: when },
    ],
  });
}

function subprocesses(label, rows) {
  return grid({
    label,
    rows,
    sort: { column: 2, down: false },
    columns: [
      { name: "Started", value: (row) => row.what, show: (row) => code(row.what), wide: true },
      { name: "How", value: (row) => row.event, show: (row) => code(row.event) },
      { name: "When", value: when },
    ],
  });
}

function files(label, rows) {
  return grid({
    label,
    rows,
    noun: ["file", "files"],
    sort: { column: 1, down: false },
    columns: [
      { name: "File", value: (row) => row.path, show: (row) => code(row.path), wide: true },
      { name: "Order", value: (row) => row.order, number: true },
      { name: "Size", value: (row) => row.bytes, show: (row) => bytes(row.bytes), number: true },
    ],
  });
}
