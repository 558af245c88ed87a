// Every figure of every size, and of every event, as tables: the charts in numbers.

import { section } from "../dom.js";
import { grid } from "../grid.js";
import { interval, median, ms, NOT_MEASURED } from "../format.js";
import { isFailure, marksOf, stateOf, usd, whyNot } from "./model.js";

const rowsOf = ({ forms }) => forms.flatMap((form) => form.tiers.map((tier) => ({ form, tier })));
const size = { name: "Size", value: ({ tier }) => tier.memory_mb, show: ({ tier }) => `${tier.memory_mb} MB`, number: true };
const form = { name: "Form", value: (row) => row.form.label };
const number = (name, value, write = ms) => ({ name, value: (row) => value(row) ?? null, show: (row) => write(value(row)), number: true });

/** The state with the sign that the charts have for it. */
function signed(tier) {
  const sign = isFailure(tier) ? "✕" : { measured: "●", modelled: "○" }[stateOf(tier)];
  return sign ? `${sign} ${stateOf(tier)}` : stateOf(tier);
}

/** Forms as filters, where there are two. */
function filtersOf({ forms }) {
  return forms.length > 1 ? forms.map((one) => ({ name: `Only ${one.label}`, keep: (row) => row.form === one })) : [];
}

/** The section with all sizes. */
export function sizes(model) {
  const percentiles = (name, key) => ["p50", "p90", "p99"].map((of) => number(`${name} ${of}`, ({ tier }) => tier[key]?.[of]));
  return section(
    "All sizes",
    { note: "Percentiles are of single invokes, over the events by their weights; billed time, mean latency and cost at the rate of cold starts. What is modelled was not run." },
    grid({
      label: "Sizes in figures",
      rows: rowsOf(model),
      noun: ["row", "rows"],
      placeholder: "size, state, reason",
      sort: { column: 0, down: false },
      filters: [...filtersOf(model), { name: "Only measured", keep: ({ tier }) => tier.measured }],
      columns: [
        size,
        ...(model.forms.length > 1 ? [form] : []),
        { name: "State", value: ({ tier }) => stateOf(tier), show: ({ tier }) => signed(tier) },
        { name: "Stands out", value: (row) => (row.form === model.chosenFrom ? marksOf(model.report, row.tier.memory_mb).join(", ") : "") },
        ...percentiles("Cold", "cold_ms"),
        ...percentiles("Warm", "warm_ms"),
        number("Mean latency", ({ tier }) => tier.latency_ms?.median),
        number("Billed", ({ tier }) => tier.billed_ms),
        number("$ per million", ({ tier }) => tier.usd_per_million, usd),
        number("Peak memory", ({ tier }) => tier.peak_mb, (value) => (typeof value === "number" ? `${value.toFixed(0)} MB` : NOT_MEASURED)),
        { name: "Why not chosen", value: (row) => whyNot(model, row.form, row.tier), wide: true },
      ],
    }),
  );
}

/** The section with the figures of single events; `null` where none has any. */
export function byEvent(model) {
  const rows = rowsOf(model).flatMap((row) => Object.entries(row.tier.events).map(([event, figures]) => ({ ...row, event, figures }))).filter(({ figures }) => figures.cold_ms || figures.warm_ms);
  if (rows.length === 0) return null;
  const figure = (name, key) => ({ name, value: ({ figures }) => figures[key]?.median ?? null, show: ({ figures, tier }) => (tier.measured ? `${median(figures[key])} ${interval(figures[key])}`.trim() : median(figures[key])), number: true });
  return section(
    "By event",
    { note: "Medians with their 95 % intervals; cold is init and the first invoke together." },
    grid({
      label: "Events in figures",
      rows,
      placeholder: "event, size",
      sort: { column: 0, down: false },
      filters: [...filtersOf(model), { name: "Only measured", keep: ({ tier }) => tier.measured }],
      columns: [
        size,
        ...(model.forms.length > 1 ? [form] : []),
        { name: "Event", value: ({ event }) => event },
        { name: "State", value: ({ tier }) => stateOf(tier), show: ({ tier }) => signed(tier) },
        figure("Init", "init_ms"),
        figure("Cold", "cold_ms"),
        figure("Warm", "warm_ms"),
      ],
    }),
  );
}
