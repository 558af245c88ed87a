// Memory over the time of a start: what each import added, summed up as they began.

import uPlot from "uplot";
import { h, picker, section } from "./dom.js";
import { kib, ms } from "./format.js";
import { colour, onTheme } from "./theme.js";

/** The section; `null` where memory was not measured. */
export function memory(models) {
  const measured = models.filter((model) => model.imports.some(({ data }) => typeof data.memory_kib === "number"));
  if (measured.length === 0) return null;
  const events = [...new Set(models.flatMap((model) => model.events))];
  const body = h("div", { class: "plots" });
  let event = events[0];
  let drawn = null;
  const draw = () => {
    const series = measured.map((model) => ({ label: model.label, points: pointsOf(model, event) }));
    drawn?.destroy();
    body.replaceChildren();
    drawn = plot(body, series);
    body.setAttribute("role", "img");
    body.setAttribute("aria-label", series.map(said).join(" "));
    summary.replaceChildren(...series.map((one) => h("p", {}, said(one))));
  };
  const summary = h("div", { class: "note" });
  requestAnimationFrame(draw);
  onTheme(draw);
  new ResizeObserver(() => drawn && drawn.width !== body.clientWidth && drawn.setSize({ width: body.clientWidth, height: 240 })).observe(body);
  return section(
    "Memory over time",
    { note: "Resident memory that imports added, from the start of the process, in a pass of its own; what was not measured is left out." },
    h("div", { class: "controls" }, events.length > 1 ? picker("Init, then the first invoke of", events.map((name) => [name, name]), event, (name) => ((event = name), draw())) : null),
    body,
    summary,
  );
}

/** Times, sums in MiB, and modules, of init and the first invoke of one event. */
function pointsOf(model, event) {
  const steps = model.imports
    .map(({ data }) => data)
    .filter((data) => typeof data.memory_kib === "number" && (data.phase === "init" || data.event === event))
    .sort((a, b) => a.start_ms - b.start_ms);
  let sum = 0;
  const points = { times: [], sums: [], modules: [], largest: null, total: 0 };
  for (const data of steps) {
    sum += data.memory_kib;
    points.times.push(data.start_ms);
    points.sums.push(sum / 1024);
    points.modules.push(data.module);
    if (!points.largest || data.memory_kib > points.largest.memory_kib) points.largest = data;
  }
  points.total = sum;
  return points;
}

function said({ label, points: { total, largest } }) {
  const most = largest ? `; the most by one module: ${kib(largest.memory_kib)} by ${largest.module}` : "";
  return `${label === "trace" ? "Imports" : `${label}: imports`} add ${kib(total)}${most}.`;
}

function plot(body, series) {
  const joined = series.length === 1 ? [series[0].points.times, series[0].points.sums] : uPlot.join(series.map(({ points }) => [unique(points.times), points.sums]));
  const names = new Map(series.flatMap(({ points }) => points.times.map((time, index) => [time, points.modules[index]])));
  const axis = { stroke: colour("--text-2"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
  const strokes = ["--series-1", "--series-2"];
  return new uPlot(
    {
      width: body.clientWidth || 600,
      height: 240,
      cursor: { y: false, points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [Math.min(0, low), Math.max(high * 1.08, 0.1)] } },
      legend: { live: true },
      axes: [
        { ...axis, space: 90, values: (_, ticks) => ticks.map((tick) => `${tick} ms`) },
        { ...axis, size: 66, values: (_, ticks) => ticks.map((tick) => `${tick} MiB`) },
      ],
      series: [
        { label: "at", value: (_, time) => (time === null || time === undefined ? "–" : `${ms(time)}, ${names.get(time) ?? ""}`) },
        ...series.map(({ label }, index) => ({
          label: label === "trace" ? "memory" : label,
          stroke: colour(strokes[index]),
          fill: index === 0 ? colour("--series-1-fill") : undefined,
          dash: index === 0 && series.length > 1 ? [5, 4] : undefined,
          width: 2,
          spanGaps: true,
          paths: uPlot.paths.stepped({ align: 1 }),
          points: { show: false },
          value: (_, value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} MiB`),
        })),
      ],
    },
    joined,
    body,
  );
}

/** Times that ascend strictly, as joining asks for. */
function unique(times) {
  let last = -Infinity;
  return times.map((time) => (last = time > last ? time : last + 1e-6));
}
