// A chart that follows the theme and the width, with its words for those who do not see it; and how its marks are drawn.

import uPlot from "uplot";
import { h } from "../dom.js";
import { colour, onTheme } from "../theme.js";

/** `make()` gives `{ options, data, said }` of uPlot; `draw` draws anew. */
export function drawing(make, height = 300) {
  const element = h("div", { class: "plots" });
  const canvas = h("div", { role: "img" });
  element.append(canvas);
  let drawn = null;
  const draw = () => {
    drawn?.destroy();
    const { options, data, said } = make();
    canvas.setAttribute("aria-label", said);
    drawn = new uPlot({ width: element.clientWidth || 600, height, cursor: { y: false, points: { show: false } }, ...options }, data, canvas);
  };
  requestAnimationFrame(draw);
  onTheme(draw);
  new ResizeObserver(() => drawn && drawn.width !== element.clientWidth && drawn.setSize({ width: element.clientWidth, height })).observe(element);
  return { element, draw };
}

/** An axis in the page's colours; `write` gives a tick's text. */
export function axis(label, write, more = {}) {
  const line = { stroke: colour("--line"), width: 1 };
  const font = "12px system-ui, sans-serif";
  return { label, labelFont: font, labelSize: 20, stroke: colour("--text-2"), grid: line, ticks: line, font, values: (_, ticks) => ticks.map(write), ...more };
}

/** Colour, shape and dash of each form. */
export function styleOf(form) {
  if (form.key === "after") return { stroke: colour("--series-2"), shape: "square" };
  return { stroke: colour("--series-1"), shape: "circle", dash: form.alone ? undefined : [5, 4] };
}

/** What a mark is drawn with on the canvas of `plot`, in pixels of the page at a value. */
export function pen(plot) {
  const context = plot.ctx;
  const scale = uPlot.pxRatio;
  const at = (x, y) => [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
  context.save();
  context.font = `${12 * scale}px system-ui, sans-serif`;
  return { context, scale, at, box: plot.bbox, done: () => context.restore() };
}

/** Filled where it was measured, hollow and smaller where it was modelled; the chosen one in a frame. */
export function mark({ context, scale }, [x, y], { stroke, shape, hollow, chosen }) {
  const size = (hollow ? 3.5 : 4.5) * scale;
  outline(context, shape, x, y, size);
  context.fillStyle = hollow ? colour("--ground") : stroke;
  context.fill();
  context.lineWidth = 1.5 * scale;
  context.strokeStyle = stroke;
  context.setLineDash([]);
  context.stroke();
  if (!chosen) return;
  outline(context, "diamond", x, y, 12 * scale);
  context.lineWidth = 2 * scale;
  context.strokeStyle = colour("--accent");
  context.stroke();
}

function outline(context, shape, x, y, size) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  else {
    context.moveTo(x, y - size);
    for (const [dx, dy] of [[size, 0], [0, size], [-size, 0]]) context.lineTo(x + dx, y + dy);
    context.closePath();
  }
}

/** What the marks mean, for charts of `model`. */
export function key(entries) {
  return h("ul", { class: "legend" }, entries.map(([sign, words]) => h("li", {}, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", {}, words))));
}
