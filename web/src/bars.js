// Stacked bars on one scale: each part with its share, its name and its figure in a legend.

import { h } from "./dom.js";
import { ms, percent } from "./format.js";

/** One bar: `parts` are `{ key, name, value, note }`, widths in parts of `scale`. */
export function bar(label, parts, scale) {
  const known = parts.filter((part) => part.value > 0);
  const total = known.reduce((sum, part) => sum + part.value, 0);
  const said = known.map((part) => `${part.name} ${ms(part.value)}`).join(", ");
  return h(
    "div",
    { class: "bar-row" },
    h("div", { class: "bar-label" }, h("span", {}, label), h("b", {}, total > 0 ? ms(total) : "not measured")),
    h(
      "div",
      { class: "stack", role: "img", "aria-label": `${label}: ${said || "not measured"}` },
      known.map((part) =>
        h(
          "span",
          { class: `part k-${part.key}${part.value < scale / 100 ? " sliver" : ""}`, title: `${part.name}: ${ms(part.value)}`, style: { width: `${(100 * part.value) / scale}%` } },
          h("em", {}, part.name),
        ),
      ),
    ),
  );
}

/** The names of the colours, with each part's figure and share where there is one bar. */
export function legend(parts, total) {
  return h(
    "ul",
    { class: "legend" },
    parts.map((part) =>
      h(
        "li",
        {},
        h("i", { class: `swatch k-${part.key}`, "aria-hidden": "true" }),
        h("span", {}, part.name),
        total === undefined ? null : h("span", { class: "number" }, ms(part.value)),
        total === undefined || typeof part.value !== "number" ? null : h("span", { class: "number dim" }, percent(part.value / total)),
      ),
    ),
  );
}

/** Sum of what was measured. */
export function sum(parts) {
  return parts.reduce((total, part) => total + (part.value > 0 ? part.value : 0), 0);
}
