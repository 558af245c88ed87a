// Which colour and which words an item of the tree gets: by distribution, by use, by kind of work.

import { isOwn, isUnused, ownerOf } from "./model.js";

export const MODES = [
  ["distribution", "Distribution"],
  ["use", "Used or not"],
  ["kind", "Kind of work"],
];

const KINDS = [
  ["find_ms", "find", "finding"],
  ["read_ms", "read", "reading"],
  ["compile_ms", "compile", "compiling"],
  ["unmarshal_ms", "unmarshal", "unmarshalling"],
  ["exec_ms", "exec", "running its body"],
  ["native_ms", "native", "loading native code"],
];
const HUES = ["c1", "c2", "c3", "c4", "c5", "c6", "c8"];

/** Gives each item `{ key, name }` for a mode; the same distribution has the same colour in all models. */
export function painter(mode, models) {
  if (mode === "use") return paintUse;
  if (mode === "kind") return paintKind;
  return paintDistribution(models);
}

function paintDistribution(models) {
  const times = new Map();
  for (const { data } of models.flatMap((model) => model.imports)) {
    if (data.distribution && !data.runtime_provided) times.set(data.distribution, (times.get(data.distribution) ?? 0) + data.self_ms);
  }
  const dearest = [...times].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const hues = new Map(dearest.slice(0, HUES.length).map((name, index) => [name, HUES[index]]));
  return (item) => {
    if (item.type !== "import") return item.type === "statement" ? { key: "own", name: "your code" } : { key: "group", name: "phase" };
    const owner = ownerOf(item.node.data);
    if (owner === "your code") return { key: "own", name: owner };
    if (owner === "runtime" || owner === "Python itself" || owner === "not loaded") return { key: owner === "runtime" ? "runtime" : "python", name: owner === "not loaded" ? "Python itself" : owner };
    return hues.has(owner) ? { key: hues.get(owner), name: owner } : { key: "other", name: "other distributions" };
  };
}

function paintUse(item) {
  if (item.type !== "import") return item.type === "statement" ? { key: "own", name: "your code" } : { key: "group", name: "phase" };
  const { node } = item;
  if (isOwn(node.data)) return { key: "own", name: "your code" };
  if (node.data.runtime_provided) return { key: "runtime", name: "runtime" };
  if (isUnused(node)) return { key: "unused", name: "paid and not used" };
  return node.users.size > 0 ? { key: "c2", name: "used by an event" } : { key: "python", name: "not judged" };
}

function paintKind(item) {
  if (item.type === "group") return { key: "group", name: "phase" };
  if (item.type === "statement") return { key: "own", name: "statement of your code" };
  let best = { key: "rest", name: "not measured", value: 0 };
  for (const [field, key, name] of KINDS) {
    const value = item.node.data[field];
    if (value > best.value) best = { key, name: `mostly ${name}`, value };
  }
  return best;
}
