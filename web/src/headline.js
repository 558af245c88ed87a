// The first answer: how long a start takes, what of it could be saved, and whether something failed.

import { h, section, spans } from "./dom.js";
import { initDuration } from "./model.js";
import { interval, median, ms, many } from "./format.js";

/** Failure, duration and advice. */
export function headline(models, report) {
  const latest = models.at(-1);
  return section(
    "Summary",
    {},
    models.map((model) => failure(model, models.length > 1)),
    report ? built(report) : latest ? traced(latest) : null,
    report?.advice ? h("p", {}, h("b", {}, "What you could change yourself: "), spans(report.advice)) : null,
    advice(latest, models.length > 1),
  );
}

function failure({ label, trace }, several) {
  if (!trace.failure) return null;
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("strong", {}, several ? `The function failed (${label}): ` : "The function failed: "),
    h("code", {}, trace.failure),
    h("p", {}, "What happened until then is shown; an import that failed is marked ✕."),
  );
}

function traced({ trace }) {
  const total = initDuration(trace.phases);
  const modules = trace.imports.filter((data) => data.phase === "init" && data.status === "ok" && !data.runtime_provided).length;
  return h(
    "div",
    { class: "hero" },
    total
      ? [h("p", { class: "figure" }, h("b", {}, median(total)), h("span", { class: "range" }, interval(total))), h("p", {}, "Init Duration: runtime start and init, the median of starts without the agent.")]
      : h("p", {}, "Init Duration was not measured: no start without the agent got through init."),
    h("p", {}, `${many(modules, "module")} imported in init besides what the runtime brings.`),
    largest(trace),
  );
}

function largest(trace) {
  const line = trace.lines.filter((entry) => entry.phase === "init").sort((a, b) => b.total_ms - a.total_ms)[0];
  if (!line) return null;
  return h("p", {}, "The dearest line of your code is ", h("code", {}, line.place), ` (${line.asks_for.join(", ")}): ${ms(line.total_ms)}, ${many(line.modules, "module")}.`);
}

function built({ function: subject, before, after, ratio }) {
  if (!before.init_ms || !after.init_ms || !ratio.init) {
    return h("div", { class: "hero" }, h("p", {}, `${subject.name} was built; its start was not measured.`));
  }
  const { median: by, low, high } = ratio.init;
  const same = low <= 1 && high >= 1;
  const word = same ? "as fast as before: no difference" : by < 1 ? `${times(1 / by)} faster` : `${times(by)} slower`;
  return h(
    "div",
    { class: "hero" },
    h("p", { class: "figure" }, h("b", {}, word)),
    h("p", {}, `Init Duration ${ms(before.init_ms.median)} → ${ms(after.init_ms.median)}, ratio ${by.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}] over interleaved pairs. Before has valid bytecode already.`),
  );
}

function times(by) {
  return `${by.toFixed(by < 10 ? 1 : 0)}×`;
}

function advice(model, several) {
  const all = model?.trace.advice ?? [];
  if (all.length === 0) return null;
  const most = Math.max(...all.map((entry) => entry.saves_ms), 0);
  const items = all.map((entry) =>
    h(
      "li",
      {},
      h("span", { class: "saves" }, entry.saves_ms > 0 ? `−${ms(entry.saves_ms)}` : "no figure"),
      h("span", { class: "meter", "aria-hidden": "true" }, entry.saves_ms > 0 ? h("i", { style: { width: `${(100 * entry.saves_ms) / most}%` } }) : null),
      h("span", {}, spans(entry.text)),
    ),
  );
  return h("div", { class: "advice" }, h("h3", {}, several ? `What to do next (${model.label})` : "What to do next"), h("p", { class: "note" }, "What it would save of a cold start, by the events' weights; estimated from the trace, each moment promised once."), h("ol", {}, items));
}
