// Cost against latency: a mark for each size, the front of those that no other beats in both, the chosen one.

import { h } from "../dom.js";
import { list, ms } from "../format.js";
import { colour } from "../theme.js";
import { axis, drawing, mark, pen, styleOf } from "./drawing.js";
import { bestBy, share, usd } from "./model.js";

/** Pixels between a mark and its name, and a line's height. */
const GAP = 9;
const LINE = 15;

/** Pixels of the chart's height. */
const HEIGHT = 380;

/** The chart, of the form that is chosen from, and of the other one where that is asked for. */
export function front(model) {
  let both = false;
  const { element, draw } = drawing(() => chart(model, both ? model.forms : [model.chosenFrom]), HEIGHT);
  if (model.forms.length === 1) return element;
  const box = h("input", { type: "checkbox", onchange: ({ target }) => ((both = target.checked), draw()) });
  return [h("div", { class: "controls" }, h("label", { class: "check" }, box, h("span", {}, "Before the build, too"))), element];
}

function chart(model, forms) {
  const { report, chosenFrom } = model;
  const points = forms.flatMap((form) => form.tiers.filter((tier) => tier.latency_ms && typeof tier.usd_per_million === "number").map((tier) => ({ form, tier, x: tier.latency_ms.median, y: tier.usd_per_million })));
  points.sort((a, b) => a.x - b.x || a.y - b.y);
  const onFront = ({ form, tier }) => form === chosenFrom && report.pareto.includes(tier.memory_mb);
  const options = {
    padding: [14, 30, 0, 0],
    scales: { x: { time: false, range: around }, y: { range: around } },
    axes: [
      axis(`mean latency with ${share(report.parameters.cold_rate)} cold`, (tick) => `${tick} ms`, { size: 32, space: 70 }),
      axis("$ per million invokes", (tick) => `$${tick}`, { size: 62 }),
    ],
    series: [
      { label: "latency", value: (_, latency, __, index) => (latency === null || latency === undefined ? "–" : `${ms(latency)}${index === null ? "" : nameOf(points[index], forms)}`) },
      ...forms.map((form) => ({ label: form.label, stroke: styleOf(form).stroke, paths: () => null, points: { show: false }, value: (_, cost) => (typeof cost === "number" ? usd(cost) : "–") })),
      { label: "front", stroke: colour("--text-2"), width: 1.5, spanGaps: true, points: { show: false }, value: (_, cost) => (typeof cost === "number" ? usd(cost) : "–") },
    ],
    hooks: { draw: [(plot) => marks(plot, model, forms, points)] },
  };
  const costs = forms.map((form) => points.map((point) => (point.form === form ? point.y : null)));
  return { options, data: [points.map(({ x }) => x), ...costs, points.map((point) => (onFront(point) ? point.y : null))], said: said(model) };
}

const around = (_, low, high) => {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || high || 1) * 0.09;
  return [Math.max(low - room, 0), high + room];
};

function nameOf({ form, tier }, forms) {
  return ` at ${tier.memory_mb} MB${forms.length > 1 ? `, ${form.label}` : ""}${tier.measured ? "" : ", modelled"}`;
}

function marks(plot, { report, chosenFrom }, forms, points) {
  const tool = pen(plot);
  const shown = points.filter(({ form }) => plot.series[forms.indexOf(form) + 1].show);
  const drawn = shown.map((point) => ({ ...point, at: tool.at(point.x, point.y), rank: rankOf(point, report, chosenFrom) }));
  for (const { form, tier, at } of drawn) mark(tool, at, { ...styleOf(form), hollow: !tier.measured, chosen: form === chosenFrom && tier.memory_mb === report.chosen });
  names(tool, drawn);
  tool.done();
}

/** Which names come first where there is not room for all. */
function rankOf({ form, tier }, report, chosenFrom) {
  const size = tier.memory_mb;
  if (form !== chosenFrom) return size === report.function.memory_mb ? 3 : 5;
  if (size === report.chosen) return 0;
  if (bestBy(report, size).length > 0 || size === report.function.memory_mb) return 1;
  return report.pareto.includes(size) ? 2 : 4;
}

/** Names beside the marks, where neither a mark nor another name is. */
function names({ context, scale, box }, drawn) {
  const taken = drawn.map(({ at: [x, y] }) => ({ left: x - 5 * scale, right: x + 5 * scale, top: y - 5 * scale, bottom: y + 5 * scale }));
  context.fillStyle = colour("--text");
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (const { tier, rank, at: [x, y] } of [...drawn].sort((a, b) => a.rank - b.rank)) {
    const text = String(tier.memory_mb);
    const width = context.measureText(text).width;
    const gap = (rank === 0 ? GAP + 6 : GAP) * scale;
    const places = [[x + gap, y], [x - width / 2, y - gap - 4 * scale], [x - gap - width, y], [x - width / 2, y + gap + 4 * scale]];
    const frames = places.map(([left, middle]) => ({ left, middle, right: left + width, top: middle - (LINE / 2) * scale, bottom: middle + (LINE / 2) * scale }));
    const free = frames.find((frame) => frame.left > box.left && frame.right < box.left + box.width && frame.top > box.top && frame.bottom < box.top + box.height && !taken.some((other) => overlap(frame, other)));
    if (!free) continue;
    taken.push(free);
    context.fillText(text, free.left, free.middle);
  }
}

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function said({ report, chosenFrom }) {
  const at = (size) => chosenFrom.tiers.find((tier) => tier.memory_mb === size);
  const sizes = report.pareto.map(at).filter((tier) => tier?.latency_ms);
  const told = list(sizes.map((tier) => `${tier.memory_mb} MB (${ms(tier.latency_ms.median)}, ${usd(tier.usd_per_million)})`));
  const chosen = report.chosen === null ? "No size is chosen." : `Chosen: ${report.chosen} MB.`;
  return `Cost against latency. ${sizes.length > 0 ? `No other size is both faster and cheaper than ${told}.` : "No size has both."} ${chosen}`;
}
