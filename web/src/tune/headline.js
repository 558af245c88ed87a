// The first answer: which size, what moving there gives, the best by each objective, and what to know of the figures.

import { h, section, spans } from "../dom.js";
import { list, ms, ratio } from "../format.js";
import { isFailure, isModelled, share, stateOf, usd } from "./model.js";

/** The section. */
export function headline(model) {
  const { report } = model;
  return section(
    "Summary",
    {},
    report.complete ? null : h("p", { class: "warning" }, h("b", {}, "Interrupted. "), "What is shown is what had been measured until then."),
    choice(report),
    report.advice ? h("p", { class: "advice-line" }, h("b", {}, spans(report.advice))) : null,
    h("p", {}, `By ${objective(report)}, with ${share(report.parameters.cold_rate)} of requests cold.`),
    standing(model),
    facts(model).map((fact) => h("p", {}, fact)),
    failures(model).map((text) => h("p", { class: "warning" }, text)),
    notes(report),
  );
}

function choice({ chosen, complete, function: subject }) {
  const figure = (large, small) => h("p", { class: "figure" }, h("b", {}, large), small ? h("span", { class: "range" }, small) : null);
  if (chosen === null) return figure(complete ? "no size works" : "no size yet", complete ? null : "interrupted before one could be chosen");
  return chosen === subject.memory_mb ? figure(`${chosen} MB`, "as it is now") : figure(`${chosen} MB`, `instead of ${subject.memory_mb} MB`);
}

/** What is made small. */
export function objective({ parameters }) {
  if (parameters.objective !== "balanced") return parameters.objective;
  return `speed and cost balanced, cost counting ${parameters.balanced_weight}`;
}

/** The sizes that are best by something, against the one that the function has. */
function standing({ report, chosenFrom }) {
  const { best, chosen, function: subject } = report;
  const at = (size) => chosenFrom.tiers.find((tier) => tier.memory_mb === size);
  const now = at(subject.memory_mb);
  const rows = [["Chosen", chosen], ["Fastest", best.speed], ["Cheapest", best.cost], ["Balanced", best.balanced], ["Now", subject.memory_mb]].map(([name, size]) => [name, at(size)]).filter(([, tier]) => tier);
  if (rows.length < 2) return null;
  const head = ["", "Size", "Cold p50", "Warm p50", "Mean latency", "$ per million", "Latency against now", "Cost against now"];
  const by = (value, against) => (against > 0 && typeof value === "number" ? ratio(value / against) : "–");
  const cells = (tier) => [
    `${tier.memory_mb} MB`,
    ms(tier.cold_ms?.p50),
    ms(tier.warm_ms?.p50),
    ms(tier.latency_ms?.median),
    usd(tier.usd_per_million),
    by(tier.latency_ms?.median, now?.latency_ms?.median),
    by(tier.usd_per_million, now?.usd_per_million),
  ];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "The best sizes" },
    h(
      "table",
      { class: "plain" },
      h("caption", { class: "hidden" }, "The best sizes"),
      h("thead", {}, h("tr", {}, head.map((name, index) => (index === 0 ? h("td", {}) : h("th", { scope: "col", class: "number" }, name))))),
      h("tbody", {}, rows.map(([name, tier]) => h("tr", { class: name.toLowerCase() }, h("th", { scope: "row" }, name === "Chosen" ? "◆ Chosen" : name), cells(tier).map((text) => h("td", { class: "number" }, text))))),
    ),
  );
}

function facts({ report, forms, chosenFrom }) {
  const { lowest_mb: lowest, runs, grid_runs: grid, model_error: error } = report;
  const peak = chosenFrom.tiers.find((tier) => tier.memory_mb === lowest)?.peak_mb;
  const enough = typeof peak === "number" ? [`${lowest} MB is the smallest size with enough memory: ${peak.toFixed(0)} MB of it in use (${((100 * peak) / lowest).toFixed(0)} %).`] : [];
  if (!report.complete) return [...enough, `${runs} of ${grid} runs were made.`];
  if (!forms.some(({ tiers }) => tiers.some(isModelled))) return [...enough, `${runs} runs: every size was measured.`];
  const off = error === null ? "too few sizes were run to say how far the model is off" : `the model is off by ${share(error)} at sizes that it had not seen`;
  return [...enough, `${runs} runs instead of ${grid}; ${off}.`];
}

/** A sentence for each cause, with the sizes that it made fail. */
function failures({ forms }) {
  const sizes = new Map();
  for (const { label, tiers } of forms) {
    for (const tier of tiers.filter(isFailure)) {
      const what = tier.reason ?? stateOf(tier);
      const cause = forms.length > 1 ? `${label}, ${what}` : what;
      sizes.set(cause, [...(sizes.get(cause) ?? []), tier.memory_mb]);
    }
  }
  return [...sizes].map(([cause, all]) => `At ${list(all.map(String))} MB: ${cause}.`);
}

function notes({ notes: all }) {
  if (all.length === 0) return null;
  return [h("h3", {}, "To know"), h("ul", { class: "notes" }, all.map((note) => h("li", {}, spans(note))))];
}
