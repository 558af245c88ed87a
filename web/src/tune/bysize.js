// Figures by memory size, each form as a line: what was measured, modelled, and what failed.

import { h } from "../dom.js";
import { list } from "../format.js";
import { colour } from "../theme.js";
import { axis, drawing, mark, pen, styleOf } from "./drawing.js";
import { isFailure, isModelled, stateOf } from "./model.js";

/** Pixels that the name of a size takes on the axis. */
const NAME = 34;
/** Pixels above the plot, for the names of the sizes that stand out. */
const ABOVE = 34;

/** A chart of `value(tier)` under a heading; `write` gives a figure's text, `tick` that of the axis. */
export function bySize(model, { title, value, write, tick }) {
  const { element, draw } = drawing(() => chart(model, { title, value, write, tick }));
  return { element: h("div", { class: "by-size" }, h("h3", {}, title), element), draw };
}

function chart(model, { title, value, write, tick }) {
  const { forms } = model;
  const sizes = [...new Set(forms.flatMap(({ tiers }) => tiers.map((tier) => tier.memory_mb)))].sort((a, b) => a - b);
  const places = sizes.map(Math.log2);
  const at = (form, size) => form.tiers.find((tier) => tier.memory_mb === size);
  // Lines stop at sizes that do not work, and pass by those of which there is only no figure.
  const lines = forms.map((form) => sizes.map((size) => value(at(form, size)) ?? (at(form, size) && isFailure(at(form, size)) ? null : undefined)));
  const options = {
    padding: [ABOVE, 18, 0, 0],
    scales: { x: { time: false, range: range(places) }, y: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
    axes: [
      axis("memory size, MB", (place) => String(Math.round(2 ** place)), { size: 32, splits: (plot) => apart(places, plot.width) }),
      axis(null, tick, { size: 76 }),
    ],
    series: [
      { label: "size", value: (_, place) => (place === null || place === undefined ? "–" : `${Math.round(2 ** place)} MB`) },
      ...forms.map((form) => ({
        label: form.label,
        ...strokeOf(form),
        width: 2,
        spanGaps: false,
        points: { show: false },
        value: (_, figure, __, index) => told(at(form, sizes[index]), figure, write),
      })),
    ],
    hooks: {
      drawAxes: [(plot) => standing(plot, model.report)],
      draw: [(plot) => marks(plot, model, sizes, lines)],
    },
  };
  return { options, data: [places, ...lines], said: said(model, title, value, write) };
}

function strokeOf(form) {
  const { stroke, dash } = styleOf(form);
  return { stroke, dash };
}

/** Around all sizes, also around one. */
function range(places) {
  const [low, high] = [places[0] ?? 7, places.at(-1) ?? 7];
  const room = Math.max((high - low) * 0.04, 0.15);
  return [low - room, high + room];
}

/** The places whose names do not run into each other; the first and the last have theirs in any case. */
function apart(places, width) {
  const [low, high] = range(places);
  const step = (NAME * (high - low)) / Math.max(width - 110, 1);
  const last = places.at(-1);
  let end = -Infinity;
  return places.filter((place) => {
    if (place !== last && (place - end < step || last - place < step)) return false;
    end = place;
    return true;
  });
}

/** A figure with how it was come by, for the line below the chart. */
function told(tier, figure, write) {
  if (!tier) return "–";
  if (typeof figure !== "number") return isModelled(tier) ? "–" : stateOf(tier);
  return tier.measured ? write(figure) : `${write(figure)}, modelled`;
}

/** Lines at the chosen size and at the one that the function has, with their names above the plot. */
function standing(plot, { chosen, function: { memory_mb: now } }) {
  const tool = pen(plot);
  const { context, scale, box } = tool;
  const lines = chosen === now ? [[now, `◆ chosen, as it is: ${now}`, "--accent", [], 1]] : [[now, `now: ${now}`, "--text-2", [2, 3], 0], [chosen, `◆ chosen: ${chosen}`, "--accent", [], 1]];
  for (const [size, name, stroke, dash, row] of lines.filter(([of]) => of !== null)) {
    const [x] = tool.at(Math.log2(size), 0);
    if (x < box.left || x > box.left + box.width) continue;
    context.strokeStyle = context.fillStyle = colour(stroke);
    context.setLineDash(dash.map((length) => length * scale));
    context.lineWidth = 1.5 * scale;
    const top = box.top - (5 + 14 * row) * scale;
    context.beginPath();
    context.moveTo(x, top + 4 * scale);
    context.lineTo(x, box.top + box.height);
    context.stroke();
    const half = context.measureText(name).width / 2;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.fillText(name, Math.min(Math.max(x, box.left + half), box.left + box.width - half), top);
  }
  tool.done();
}

function marks(plot, { report, forms, chosenFrom }, sizes, lines) {
  const tool = pen(plot);
  forms.forEach((form, index) => {
    if (!plot.series[index + 1].show) return;
    const style = styleOf(form);
    form.tiers.forEach((tier) => {
      const figure = lines[index][sizes.indexOf(tier.memory_mb)];
      if (typeof figure === "number") mark(tool, tool.at(Math.log2(tier.memory_mb), figure), { ...style, hollow: !tier.measured, chosen: form === chosenFrom && tier.memory_mb === report.chosen });
    });
  });
  for (const [size, words] of failures(forms, sizes)) failure(tool, size, words);
  tool.done();
}

/** What to write at sizes that do not work; both forms together where both fail alike. */
function failures(forms, sizes) {
  return sizes.flatMap((size) => {
    const failed = forms.map((form) => [form.label, form.tiers.find((tier) => tier.memory_mb === size)]).filter(([, tier]) => tier && isFailure(tier));
    const states = new Set(failed.map(([, tier]) => stateOf(tier)));
    if (failed.length === 0) return [];
    const alike = failed.length === forms.length && states.size === 1;
    return [[size, alike ? [...states][0] : failed.map(([label, tier]) => `${label}: ${stateOf(tier)}`).join(", ")]];
  });
}

/** A cross on the axis, and its cause above it. */
function failure({ context, scale, at }, size, words) {
  const [x, bottom] = at(Math.log2(size), 0);
  const y = bottom - 9 * scale;
  context.strokeStyle = colour("--bad");
  context.lineWidth = 2.5 * scale;
  context.setLineDash([]);
  context.beginPath();
  for (const [dx, dy] of [[1, 1], [1, -1]]) {
    context.moveTo(x - 5 * dx * scale, y - 5 * dy * scale);
    context.lineTo(x + 5 * dx * scale, y + 5 * dy * scale);
  }
  context.stroke();
  context.translate(x, y - 11 * scale);
  context.rotate(-Math.PI / 2);
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colour("--ground");
  context.fillRect(-2 * scale, -7 * scale, context.measureText(words).width + 4 * scale, 14 * scale);
  context.fillStyle = colour("--bad");
  context.fillText(words, 0, 0);
  context.rotate(Math.PI / 2);
  context.translate(-x, -(y - 11 * scale));
}

/** The chart in words: each form from its smallest size to its largest, the chosen one, and what failed. */
function said({ report, forms }, title, value, write) {
  const parts = forms.map(({ label, tiers }) => {
    const figures = tiers.map((tier) => [tier, value(tier)]).filter(([, figure]) => typeof figure === "number");
    if (figures.length === 0) return `${label}: nothing measured`;
    const at = ([tier, figure]) => `${write(figure)} at ${tier.memory_mb} MB${tier.measured ? "" : " (modelled)"}`;
    const picked = figures.find(([tier]) => tier.memory_mb === report.chosen);
    const shown = [...new Set([figures[0], ...(picked ? [picked] : []), figures.at(-1)])];
    return `${label}: ${list(shown.map(at))}`;
  });
  const failed = failures(forms, [...new Set(forms.flatMap(({ tiers }) => tiers.map((tier) => tier.memory_mb)))]).map(([size, words]) => `${size} MB: ${words}`);
  const chosen = report.chosen === null ? [] : [`chosen: ${report.chosen} MB`];
  return `${title} by memory size. ${[...parts, ...failed, ...chosen].join(". ")}.`;
}
