// What the replay has shown: the same answers or not, and how far that was checked.

import { h, section } from "./dom.js";
import { many } from "./format.js";

/** The section. */
export function verdict({ verdict: found }) {
  const [sign, sentence, look] = judged(found);
  return section(
    "Verdict",
    {},
    h("p", { class: `verdict ${look}` }, h("b", { "aria-hidden": "true" }, sign), h("span", {}, sentence)),
    notes("Not proved", found.not_proved),
    notes("Varies in the original itself, compared by type only", found.varying),
    notes("Logged when a value is made at its first use, later than before or never", found.moved_logs),
    notes("Connections that were refused", found.blocked),
    holdout(found),
    differences(found.differences),
  );
}

function judged({ equal, events, replays }) {
  const scope = `${many(events, "event")}, ${many(replays, "replay")}`;
  if (equal === true) return ["✓", `The artifact answers as the original does: ${scope}.`, "good"];
  if (equal === false) return ["✕", `The artifact answers differently: ${scope}.`, "bad"];
  return ["!", `Nothing was proved: ${scope}.`, "warn"];
}

function notes(title, entries) {
  if (entries.length === 0) return null;
  return h("div", {}, h("h3", {}, title), h("ul", {}, entries.map((entry) => h("li", {}, entry))));
}

function holdout({ holdout: out, tests }) {
  const lines = [];
  if (out.events > 0) lines.push(`${many(out.events, "event")} that took no part in planning: ${said(out.equal)}.`);
  if (tests !== null) lines.push(`Your own tests on the built tree: ${tests ? "passed" : "failed"}.`);
  return lines.map((line) => h("p", {}, line));
}

function said(equal) {
  return equal === null ? "not compared" : equal ? "same answers" : "other answers";
}

function differences(all) {
  if (all.length === 0) return null;
  const head = ["Event", "Replay", "What", "Before", "After", "Decisions at fault"];
  return h(
    "div",
    {},
    h("h3", {}, "Differences found on the way; the decisions at fault were undone"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Differences" },
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, all.map((one) => h("tr", {}, h("th", { scope: "row" }, one.event), [one.replay, one.path, one.before, one.after, one.decisions.join(", ")].map((text) => h("td", {}, h("code", {}, text)))))),
      ),
    ),
  );
}
