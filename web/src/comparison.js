// What a build has changed: time, memory and size before and after, with their ratios.

import { h, section } from "./dom.js";
import { bytes, interval, median, NOT_MEASURED } from "./format.js";

const count = (value) => (typeof value === "number" ? String(Math.round(value)) : NOT_MEASURED);
const megabytes = (value) => (typeof value === "number" ? `${value.toFixed(1)} MB` : NOT_MEASURED);
const plain = (value) => value.toFixed(3);

/** The section. */
export function comparison(models, report) {
  const rows = rowsOf(report);
  const head = ["", "As shipped", "Before", "After", "After by before", "95 % interval", "Reading"];
  return section(
    "Before and after",
    { note: "As shipped is what your own tools make; before is the same with valid bytecode, so that the ratio does not count what bytecode alone gains. Ratios of times and memory are of interleaved pairs." },
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Before and after in figures" },
      h(
        "table",
        { class: "plain" },
        h("caption", { class: "hidden" }, "Before and after in figures"),
        h("thead", {}, h("tr", {}, head.map((name, index) => (index === 0 ? h("td", {}) : h("th", { scope: "col", class: "number" }, name))))),
        h("tbody", {}, rows.map(tableRow)),
      ),
    ),
    artifacts(report),
  );
}

/** Name, writer, the three figures, and the ratio: a figure with an interval, or a number. */
function rowsOf({ as_shipped: shipped, before, after, ratio }) {
  const all = [shipped, before, after];
  const events = Object.keys(after.cold_ms);
  const by = (name, key, of) => [name, median, all.map((one) => one[key]), of];
  const each = (name, key, of, write) => events.map((event) => [`${name}, ${event}`, (stat) => median(stat, write), all.map((one) => one[key][event]), of[event]]);
  return [
    by("Init Duration", "init_ms", ratio.init),
    by("Init, processor time", "init_cpu_ms", ratio.init_cpu),
    ...each("Cold start", "cold_ms", ratio.cold),
    by("Cold start, weighted", "cold_weighted_ms", ratio.cold_weighted),
    ...each("Warm invoke", "warm_ms", ratio.warm),
    ...each("Peak memory", "memory_mb", ratio.memory, megabytes),
    ["Package, zip", bytes, all.map((one) => one.zip_bytes), ratio.zip_bytes],
    ["Package, unpacked", bytes, all.map((one) => one.unzipped_bytes), ratio.unzipped_bytes],
    ["Files", count, all.map((one) => one.files), share(before.files, after.files)],
    ["Modules that init imports", count, all.map((one) => one.modules), share(before.modules, after.modules)],
  ];
}

const share = (before, after) => (before > 0 && typeof after === "number" ? after / before : null);

function tableRow([name, write, figures, ratio]) {
  const number = (text, extra = "") => h("td", { class: `number ${text === NOT_MEASURED ? "dim" : ""} ${extra}`.trim() }, text);
  const plainRatio = typeof ratio === "number";
  const value = plainRatio ? plain(ratio) : median(ratio, plain);
  const [word, look] = reading(ratio);
  return h("tr", {}, h("th", { scope: "row" }, name), figures.map((figure) => number(write(figure))), number(value), number(plainRatio ? "exact" : interval(ratio, plain)), number(word, look));
}

function reading(ratio) {
  if (ratio === null || ratio === undefined) return ["", ""];
  const { low, high, median: middle } = typeof ratio === "number" ? { low: ratio, high: ratio, median: ratio } : ratio;
  if (low <= 1 && high >= 1) return ["no difference", ""];
  const part = `${Math.abs((1 - middle) * 100).toFixed(0)} %`;
  return middle < 1 ? [`▼ ${part} less`, "good"] : [`▲ ${part} more`, "bad"];
}

function artifacts({ artifacts: files }) {
  if (files.length === 0) return null;
  return h("ul", { class: "artifacts" }, files.map((file) => h("li", {}, h("code", {}, file.path), ` ${bytes(file.bytes)}, sha256 `, h("code", { class: "hash" }, file.sha256))));
}
