// What every page that is a file has around its sections: the top with facts, theme and contents, the foot.

import { h } from "./dom.js";
import { themeChoice } from "./theme.js";

/**
 * Puts a page where its document waits for it: `facts` are `[name, text]`, `sections` `[name, element]` in their order;
 * `nothing` is said where there is none.
 */
export function showPage({ title, facts, sections, nothing }) {
  for (const [name, section] of sections) section.id = name.toLowerCase().replaceAll(" ", "-");
  const main = h("main", { id: "main", tabindex: "-1" }, sections.map(([, section]) => section));
  if (sections.length === 0) main.append(h("p", {}, nothing));
  document.getElementById("page").replaceWith(
    h("a", { class: "skip", href: "#main" }, "Skip to the summary"),
    h("header", {}, h("div", { class: "bar" }, h("p", { class: "brand" }, "glowplug"), themeChoice()), h("h1", {}, title), factList(facts), contents(sections)),
    main,
    h("footer", {}, h("p", {}, "Written by glowplug. This file is complete: it loads nothing from a network.")),
  );
}

function factList(facts) {
  if (facts.length === 0) return null;
  return h(
    "dl",
    { class: "facts", "aria-label": "Conditions" },
    facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

function contents(sections) {
  if (sections.length < 3) return null;
  const links = sections.map(([name, section]) => h("li", {}, h("a", { href: `#${section.id}` }, name)));
  return h("nav", { "aria-label": "Contents" }, h("ul", { class: "contents" }, links));
}
