// One function: what it is, how to call it, what it has done.

import { h } from "../dom.js";
import { many } from "../format.js";
import { figures, say } from "./figures.js";

const COUNTS = ["Idle", "Busy", "Provisioned", "Invokes", "Cold starts", "Errors", "Throttled", "Billed"];

/** The card of a function. */
export function functionCard(endpoint) {
  const heading = h("h2", {});
  const note = h("p", { class: "note" });
  const command = h("code", {});
  const copied = h("span", { class: "dim", role: "status" });
  const counts = figures("Environments and invokes", COUNTS, "counts");
  const more = h("details", { class: "fold more-of" });
  const element = h(
    "section",
    {},
    heading,
    note,
    h("p", { class: "command" }, command, h("button", { type: "button", onclick: copy }, "Copy"), copied),
    counts.element,
    more,
  );
  let known = "";

  async function copy() {
    try {
      await navigator.clipboard.writeText(command.textContent);
      copied.textContent = "copied";
    } catch {
      copied.textContent = "select it and copy it: this browser does not let the page";
    }
  }
  function update(one) {
    say(heading, one.name);
    element.setAttribute("aria-label", one.name);
    say(note, [one.runtime, one.handler, `${one.memory_mb} MB`, `${one.timeout_s} s`, one.architecture].join(", "));
    say(command, `curl -d '{}' ${endpoint}/2015-03-31/functions/${one.name}/invocations`);
    const { environments: there, invokes } = one;
    counts.update([there.idle, there.busy, there.provisioned, invokes.total, invokes.cold, invokes.errors, invokes.throttles, `${one.billed_ms} ms`]);
    const details = detailsOf(one);
    const now = JSON.stringify(details);
    if (now === known) return;
    known = now;
    more.replaceChildren(h("summary", {}, "Versions, addresses, settings"), h("ul", {}, details.map(([name, text]) => h("li", {}, `${name}: `, text))));
  }
  return { element, update };
}

function detailsOf(one) {
  const aliases = Object.entries(one.aliases).map(([name, alias]) => {
    const others = Object.entries(alias.weights).map(([version, weight]) => `, ${(weight * 100).toFixed(0)} % to ${version}`);
    return `${name} → ${alias.version}${others.join("")}`;
  });
  return [
    ["Versions", one.versions.length === 0 ? "none is published" : one.versions.join(", ")],
    ["Aliases", aliases.length === 0 ? "none" : aliases.join("; ")],
    ["Addresses", one.urls.length === 0 ? "none" : one.urls.map(({ url, signed }) => (signed ? `${url} (signed requests)` : url)).join("; ")],
    ["Reserved concurrency", one.reserved === null ? "none" : many(one.reserved, "invoke")],
    ["Variables", one.variables.length === 0 ? "none" : one.variables.join(", ")],
  ];
}
