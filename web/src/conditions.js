// The conditions under which a trace or a build was measured, as they stand at the top of the page.

import { stat, percent } from "./format.js";

/** Facts of the latest trace, and of the build beside it, each with its name. */
export function conditions(models, report) {
  const model = models.at(-1);
  return [...(model ? factsOf(model) : []), ...(report ? reportFacts(report, Boolean(model)) : [])].filter(Boolean);
}

function factsOf({ trace }) {
  const { function: subject, environment } = trace;
  return [
    ["Handler", subject.handler],
    ["Python", `${environment.python}, ${subject.architecture}`],
    ["Memory", `${environment.memory_mb} MB`],
    ["CPU", cpu(environment)],
    ["Page cache", trace.phases.cold_cache ? `${environment.page_cache}, and cold beside it` : environment.page_cache],
    ["Bandwidth", environment.bandwidth_mbit ? `${environment.bandwidth_mbit} Mbit/s, modelled` : "not given: fetching is left out"],
    ["Tracing adds", overhead(environment)],
    ["Runs", runs(trace)],
  ];
}

/** Of a build; beside a trace, only what the trace does not say. */
function reportFacts({ function: subject, environment }, beside) {
  const alone = [
    ["Handler", subject.handler],
    ["Python", `${environment.python}, ${subject.architecture}`],
    ["Memory", `${environment.memory_mb} MB`],
    ["CPU", cpu(environment)],
    ["Page cache", environment.page_cache],
  ];
  return [
    ...(beside ? [] : alone),
    ["Made by", environment.tool],
    environment.not_enforced.length > 0 ? ["Not enforced here", environment.not_enforced.join("; ")] : null,
  ];
}

function cpu({ cpu, init_boost: boost }) {
  if (cpu !== "share") return cpu;
  return boost ? "share of the memory size; init has a whole vCPU" : "share of the memory size, init too";
}

/** What the agent costs; where its interval holds 0, no cost could be measured. */
function overhead({ agent_overhead: wall, agent_overhead_cpu: processor }) {
  const shown = processor ?? wall;
  if (!shown) return "not measured";
  if (shown.low <= 0 && shown.high >= 0) return "no measurable cost; totals are from starts without it";
  if (shown === processor && processor.median > 1 && wall) return `${stat(wall)} to init`;
  return processor ? `${stat(processor, percent)} of init's CPU time` : `${stat(wall)} to init`;
}

function runs({ phases }) {
  const counts = [phases.init, phases.runtime].filter(Boolean).map((figure) => figure.runs);
  return counts.length === 0 ? "none completed" : `${Math.max(...counts)} starts behind each median`;
}
