// Reads the relations off a trace: which import led to which, who used what, which events there are.

/** A trace with its tree; the rest of the page asks this and not the document. */
export function modelOf(label, trace) {
  const events = eventsOf(trace);
  // Without an event nobody can say what is used.
  const judged = events.length > 0;
  const imports = trace.imports.map((data, index) => ({ index, data, judged, children: [], above: null, users: new Set(data.used_by) }));
  connect(imports);
  findUsers(imports);
  return { label, trace, imports, events, conditions: trace.environment };
}

/** The events, in the order of the document. */
export function eventsOf(trace) {
  return [...new Set([...Object.keys(trace.phases.first_invoke), ...Object.keys(trace.phases.warm_invoke)])];
}

/** Whether a module is the function's own: in the tree, in no distribution. */
export function isOwn(data) {
  return data.distribution === null && typeof data.file === "string" && !data.file.startsWith("/");
}

/** What a module belongs to: its distribution, `your code`, Python, or the runtime. */
export function ownerOf(data) {
  if (data.distribution) return data.distribution;
  if (isOwn(data)) return "your code";
  if (data.runtime_provided) return "runtime";
  return data.status === "failed" ? "not loaded" : "Python itself";
}

/** Imports that init waited for and no event used; none where no event ran. */
export function isUnused(node) {
  const { data } = node;
  return node.judged && data.phase === "init" && !data.runtime_provided && data.status === "ok" && !isOwn(data) && node.users.size === 0;
}

/** What of an import no event used, itself and below, in ms; `null` where an event used it. */
export function unusedMs(node) {
  if (!isUnused(node)) return null;
  let total = 0;
  const pending = [node];
  while (pending.length > 0) {
    const at = pending.pop();
    total += at.data.self_ms;
    for (const child of at.children) if (isUnused(child)) pending.push(child);
  }
  return total;
}

/** Lambda's Init Duration: runtime and init, of starts without the agent. */
export function initDuration(phases) {
  if (!phases.runtime || !phases.init) return null;
  const sum = (key) => phases.runtime[key] + phases.init[key];
  return { median: sum("median"), low: sum("low"), high: sum("high"), spread: sum("spread"), runs: Math.min(phases.runtime.runs, phases.init.runs) };
}

/** The imports above one, the outermost first. */
export function pathOf(node) {
  const path = [];
  for (let at = node; at; at = at.above) path.unshift(at);
  return path;
}

const place = (data, module) => [data.phase, data.event ?? "", data.thread, module].join("\u0000");

/** The parent is the last import of that name that began before, in the same process and thread. */
function connect(imports) {
  const byName = new Map();
  for (const node of imports) {
    const key = place(node.data, node.data.module);
    byName.set(key, [...(byName.get(key) ?? []), node]);
  }
  for (const node of imports) {
    if (node.data.parent === null) continue;
    const same = byName.get(place(node.data, node.data.parent)) ?? [];
    const above = same.findLast((other) => other.index < node.index) ?? same.find((other) => other.index !== node.index);
    if (above && !leadsTo(node, above)) node.above = above;
  }
  for (const node of imports) node.above?.children.push(node);
}

/** Whether `above` is `node` or below it: a document made by others may hold a circle. */
function leadsTo(node, above) {
  for (let at = above; at; at = at.above) if (at === node) return true;
  return false;
}

/** A library is used where a module of its own below it is; what it shares with others is no use of it. */
function findUsers(imports) {
  const owner = ({ data }) => data.distribution ?? data.module.split(".")[0];
  for (const node of imports) {
    if (node.data.used_by.length === 0) continue;
    for (let at = node.above; at; at = at.above) {
      if (isOwn(at.data) || owner(at) === owner(node)) for (const event of node.data.used_by) at.users.add(event);
    }
  }
}
