// What the build decided, and why: files that are left out by rule, all else one by one.

import { h, section, spans } from "./dom.js";
import { bytes, many, ms } from "./format.js";
import { grid } from "./grid.js";
import { tabs } from "./tabs.js";

const STATES = { applied: "✓ applied", pinned: "◆ pinned", refused: "– refused" };
const KINDS = {
  lazy: "deferred import",
  global: "deferred value",
  drop: "file left out",
  strip: "symbols stripped",
  bytecode: "bytecode shipped",
  regex: "patterns from a table",
  compile: "sources compiled",
  gc: "collection off",
  bundle: "bytecode bundled",
  threads: "thread pools fitted",
};
const WORDS = { applied: "it is in the artifact", pinned: "it was tried and undone", refused: "a rule forbids it" };

/** The section; `null` without decisions. */
export function decisions({ decisions: all }) {
  if (all.length === 0) return null;
  const perFile = (decision) => decision.kind === "drop" || decision.kind === "strip";
  const single = all.filter((decision) => !perFile(decision));
  const files = all.filter(perFile);
  const panels = [
    single.length > 0 ? [`Imports and code (${single.length})`, () => table("Decisions about imports and code", single)] : null,
    files.length > 0 ? [`Files by rule (${rulesOf(files).length})`, () => rules(files)] : null,
    files.length > 0 ? [`Files (${files.length})`, () => table("Decisions about files", files)] : null,
  ].filter(Boolean);
  return section("Decisions", { note: states(all) }, tabs("Decisions", panels));
}

function states(all) {
  const counts = Object.keys(STATES).map((state) => [state, all.filter((decision) => decision.state === state).length]);
  return `${counts.filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}: ${WORDS[state]}`).join("; ")}.`;
}

function table(label, rows) {
  const present = Object.keys(STATES).filter((state) => rows.some((row) => row.state === state));
  const filters = present.length > 1 ? present.map((state) => ({ name: `Without ${state}`, keep: (row) => row.state !== state })) : [];
  return grid({
    label,
    rows,
    filters,
    noun: ["decision", "decisions"],
    placeholder: "subject, place, reason",
    sort: { column: 4, down: true },
    columns: [
      { name: "State", value: (row) => row.state, show: (row) => h("span", { class: `state ${row.state}` }, STATES[row.state] ?? row.state) },
      { name: "What", value: (row) => KINDS[row.kind] ?? row.kind },
      { name: "Subject", value: (row) => row.subject, show: (row) => h("code", {}, row.subject) },
      { name: "Place", value: (row) => row.place, show: (row) => h("code", {}, row.place) },
      { name: "Saves", value: saving, show: savings, number: true },
      { name: "Reason", value: (row) => row.reason, show: (row) => spans(row.reason), wide: true },
      { name: "Evidence", value: (row) => row.evidence, show: (row) => spans(row.evidence), wide: true },
      { name: "Needed by", value: (row) => row.events.join(", ") },
    ],
  });
}

/** Whether it saves nothing that shows alone, and something with others; of what is in the artifact. */
function withOthers({ state, saves_ms: time, together }) {
  return state === "applied" && together && !(time >= 0.005);
}

/** Time first, then bytes. */
function saving(decision) {
  const { saves_ms: time, saves_bytes: size } = decision;
  if (withOthers(decision)) return 1e12 + decision.together.saves_ms;
  if (typeof time === "number") return 1e12 + time;
  return typeof size === "number" ? size : null;
}

function savings(decision) {
  const { saves_ms: time, saves_bytes: size, together } = decision;
  if (withOthers(decision)) return `${ms(together.saves_ms)} with the other ways to ${together.subject}`;
  const parts = [typeof time === "number" ? ms(time) : null, typeof size === "number" ? bytes(size) : null].filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : "not measured";
}

function rulesOf(files) {
  const groups = new Map();
  for (const file of files) {
    const key = `${file.kind} ${file.subject} ${file.state}`;
    const group = groups.get(key) ?? { ...file, count: 0, size: null, reasons: new Set(), example: file.place };
    group.count += 1;
    if (typeof file.saves_bytes === "number") group.size = (group.size ?? 0) + file.saves_bytes;
    group.reasons.add(file.reason);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function rules(files) {
  return grid({
    label: "Files by rule",
    rows: rulesOf(files),
    noun: ["rule", "rules"],
    sort: { column: 3, down: true },
    columns: [
      { name: "Rule", value: (row) => row.subject, show: (row) => h("code", {}, row.subject) },
      { name: "State", value: (row) => row.state, show: (row) => h("span", { class: `state ${row.state}` }, STATES[row.state] ?? row.state) },
      { name: "Files", value: (row) => row.count, number: true },
      { name: "Saves", value: (row) => row.size, show: (row) => bytes(row.size), number: true },
      { name: "Reason", value: (row) => [...row.reasons].slice(0, 2).join("; "), show: (row) => reasons(row.reasons), wide: true },
      { name: "For example", value: (row) => row.example, show: (row) => h("code", {}, row.example), wide: true },
    ],
  });
}

function reasons(all) {
  const [first, ...rest] = all;
  return spans(rest.length > 0 ? `${first}; and ${many(rest.length, "other reason")}` : first);
}
