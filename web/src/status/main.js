// The page of a running server: asks for its status again and again, and shows it.

import { h } from "../dom.js";
import { themeChoice } from "../theme.js";
import { account, lastInvokes } from "./account.js";
import { functionCard } from "./function.js";

const DOCUMENT = "/_glowplug/status";
const PAUSE_MS = 1000;

const lost = h("p", { class: "warning lost", role: "status" });
const summary = account();
const cards = h("div", {});
const none = h("p", { class: "dim", hidden: true }, "There is no function yet: make one through the API, or start the server with a path.");
const invokes = lastInvokes();
const shown = new Map();

/** Shows a status: what is there already stays, and changes its figures. */
function show(status) {
  summary.update(status);
  for (const [name, card] of shown) {
    if (status.functions.some((one) => one.name === name)) continue;
    card.element.remove();
    shown.delete(name);
  }
  for (const one of status.functions) {
    if (!shown.has(one.name)) shown.set(one.name, functionCard(status.endpoint));
    const card = shown.get(one.name);
    card.update(one);
    if (!card.element.isConnected) cards.append(card.element);
  }
  none.hidden = status.functions.length > 0;
  invokes.update(status.last);
}

/** Asks once, and again after a while; while nobody looks, nothing is asked. */
async function ask() {
  try {
    if (!document.hidden) {
      const answer = await fetch(DOCUMENT, { cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.json());
      lost.textContent = "";
    }
  } catch {
    lost.textContent = "The server does not answer: what is shown is what it was at last.";
  }
  setTimeout(ask, PAUSE_MS);
}

document.getElementById("page").replaceWith(
  h("a", { class: "skip", href: "#main" }, "Skip to the functions"),
  h("header", {}, h("div", { class: "bar" }, h("p", { class: "brand" }, "glowplug"), themeChoice()), h("h1", {}, "Lambda on this machine"), lost, summary.element),
  h("main", { id: "main", tabindex: "-1" }, none, cards, invokes.element),
  h("footer", {}, h("p", {}, "Told by the server that runs here; nothing can be changed on this page.")),
);
ask();
