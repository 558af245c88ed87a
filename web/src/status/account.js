// What concerns all functions: the account at the top, the last invokes at the end.

import { h, section } from "../dom.js";
import { many, ms } from "../format.js";
import { figures } from "./figures.js";

const NAMES = ["Endpoint", "Functions", "Running now", "Events that wait"];

/** The account. */
export function account() {
  const shown = figures("Account", NAMES);
  return {
    element: shown.element,
    update({ endpoint, functions, concurrency, events_waiting: waiting }) {
      shown.update([endpoint, functions.length, `${many(concurrency.busy, "invoke")} of ${concurrency.limit}`, waiting]);
    },
  };
}

const COLUMNS = [
  ["Function", (run) => run.function],
  ["Version", (run) => run.version],
  ["Ended", (run) => new Date(run.ended_ms).toLocaleTimeString()],
  ["Status", (run) => (run.status === "success" ? run.status : h("b", { class: "bad" }, run.status))],
  ["Duration", (run) => ms(run.duration_ms), true],
  ["Init", (run) => (run.init_ms === null ? "" : ms(run.init_ms)), true],
  ["Memory", (run) => `${run.memory_mb} MB`, true],
  ["Request", (run) => h("code", {}, run.request_id)],
];

/** The last invokes, the newest first. */
export function lastInvokes() {
  const body = h("tbody", {});
  const heads = COLUMNS.map(([name, , number]) => h("th", { scope: "col", class: number ? "number" : null }, name));
  const table = h("table", {}, h("caption", { class: "hidden" }, "The last invokes"), h("thead", {}, h("tr", {}, heads)), body);
  const frame = h("div", { class: "scroll plain", tabindex: "0", role: "region", "aria-label": "Table of the last invokes" }, table);
  const none = h("p", { class: "dim" }, "No invoke has ended yet.");
  let newest = null;
  function update(runs) {
    frame.hidden = runs.length === 0;
    none.hidden = runs.length > 0;
    const now = runs[0]?.request_id ?? null;
    if (now === newest) return;
    newest = now;
    body.replaceChildren(...runs.map(rowOf));
  }
  update([]);
  return { element: section("The last invokes", {}, none, frame), update };
}

function rowOf(run) {
  const cells = COLUMNS.map(([, show, number], at) => h(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: number ? "number" : null }, show(run)));
  return h("tr", {}, cells);
}
