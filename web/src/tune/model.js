// A `glowplug.tune/1` document as what is drawn and told: its forms, what became of each size, which sizes stand out.

/** What became of a size, by what the document says of it. */
const FAILURES = { out_of_memory: "out of memory", timed_out: "timed out", failed: "failed" };

/** The document with its forms: the function as it is, and what a build makes of it. */
export function modelOf(report) {
  const before = { key: "before", label: report.after ? "before" : "as it is", alone: !report.after, tiers: report.before.tiers };
  const forms = report.after ? [before, { key: "after", label: "after", tiers: report.after.tiers }] : [before];
  const events = [...new Set(forms.flatMap(({ tiers }) => tiers.flatMap((tier) => Object.keys(tier.events))))];
  return { report, forms, chosenFrom: forms.at(-1), events };
}

/** `measured`, `modelled`, `not measured`, or how it failed. */
export function stateOf(tier) {
  if (tier.status in FAILURES) return FAILURES[tier.status];
  if (tier.status === "answered") return "measured";
  if (tier.latency_ms) return "modelled";
  return tier.out_of_memory ? "too small" : "not measured";
}

/** Whether a size has figures that nobody measured. */
export function isModelled(tier) {
  return !tier.measured && Boolean(tier.latency_ms);
}

/** Whether a size does not work: an absence that is drawn, other than one that nobody looked at. */
export function isFailure(tier) {
  return tier.out_of_memory || tier.status in FAILURES;
}

/** By which objectives a size is the best. */
export function bestBy({ best }, size) {
  return [["fastest", best.speed], ["cheapest", best.cost], ["balanced", best.balanced]].filter(([, of]) => of === size).map(([name]) => name);
}

/** What stands out of a size of the form that is chosen from, the most telling first. */
export function marksOf(report, size) {
  const place = report.chosen === size ? ["◆ chosen"] : report.pareto.includes(size) ? ["◇ front"] : [];
  return [...place, ...bestBy(report, size), ...(size === report.function.memory_mb ? ["now"] : [])];
}

/** Why a size is not the chosen one; empty for that one. */
export function whyNot(model, form, tier) {
  const { report } = model;
  const size = tier.memory_mb;
  if (tier.reason) return tier.reason;
  if (stateOf(tier) === "too small") return "a larger size ran out of memory";
  if (stateOf(tier) === "not measured") return report.complete ? "not run" : "not run before the interruption";
  if (form !== model.chosenFrom) return "";
  if (stateOf(tier) === "modelled") return "only sizes that were run are chosen";
  if (report.chosen === size || report.chosen === null) return "";
  const better = betterThan(model, tier);
  if (better) return `${better} MB is no slower and no dearer`;
  return narrowly(report, chosenOf(model), tier);
}

function chosenOf({ report, chosenFrom }) {
  return chosenFrom.tiers.find((tier) => tier.memory_mb === report.chosen);
}

/** Against the chosen size by the objective alone; sizes that differ by next to nothing count as equal there. */
function narrowly({ parameters: { objective }, chosen }, best, tier) {
  if (objective === "speed") return tier.latency_ms.median > best.latency_ms.median ? `${chosen} MB is faster` : `hardly faster than ${chosen} MB, which is smaller`;
  if (objective === "cost") return tier.usd_per_million > best.usd_per_million ? `${chosen} MB is cheaper` : `hardly cheaper than ${chosen} MB, which is faster`;
  return `${chosen} MB is better by both together`;
}

/** A size of the front that is at least as fast and as cheap, the chosen one first. */
function betterThan({ report, chosenFrom }, tier) {
  const beats = (other) => other?.latency_ms && other.memory_mb !== tier.memory_mb && other.latency_ms.median <= tier.latency_ms.median && other.usd_per_million <= tier.usd_per_million;
  const sizes = [report.chosen, ...report.pareto];
  return sizes.find((size) => beats(chosenFrom.tiers.find((other) => other.memory_mb === size)));
}

/** A share as people write it: `1 %`, `0.5 %`. */
export function share(part) {
  return `${Number((part * 100).toFixed(2))} %`;
}

/** Dollars for a million invokes. */
export function usd(value) {
  return typeof value === "number" ? `$${value.toFixed(3)}` : "not measured";
}
