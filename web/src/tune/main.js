// The page of memory sizes: reads the document and puts its sections together, in the order in which they answer questions.

import { showPage } from "../frame.js";
import { cost, latency, tradeOff } from "./charts.js";
import { headline, objective } from "./headline.js";
import { modelOf, share } from "./model.js";
import { byEvent, sizes } from "./sizes.js";

const TARGETS = { local: "this machine", aws: "AWS Lambda" };

/** How it was run and priced, each fact with its name. */
function factsOf({ function: subject, parameters, runs, grid_runs: grid }) {
  const cpu = parameters.cpu === "share" ? "share of the memory size" : "not limited: times are scaled from processor time";
  return [
    ["Memory now", `${subject.memory_mb} MB`],
    ["Architecture", subject.architecture],
    ["Run on", TARGETS[parameters.target] ?? parameters.target],
    ["CPU", parameters.init_boost ? `${cpu}; init has a whole vCPU` : `${cpu}; init too`],
    ["Cold starts", `${share(parameters.cold_rate)} of requests`],
    ["Chosen by", objective({ parameters })],
    ["Prices", `${parameters.region}, ${parameters.prices}`],
    ["Runs", `${runs} of ${grid}`],
  ];
}

function start() {
  const report = JSON.parse(document.getElementById("data").textContent);
  const model = modelOf(report);
  const drawn = model.forms.some(({ tiers }) => tiers.some((tier) => tier.latency_ms));
  const sections = [
    ["Summary", headline(model)],
    drawn ? ["Latency", latency(model)] : null,
    drawn ? ["Cost", cost(model)] : null,
    drawn ? ["Cost against latency", tradeOff(model)] : null,
    ["All sizes", sizes(model)],
    ["By event", byEvent(model)],
  ].filter((entry) => entry && entry[1]);
  showPage({ title: document.title, facts: factsOf(report), sections, nothing: "" });
}

start();
