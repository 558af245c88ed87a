// Figures that change while they are looked at: their element stays, its text follows.

import { h } from "../dom.js";

/** Named figures in a row; `names` are what they are called. */
export function figures(label, names, kind = "") {
  const values = names.map(() => h("dd", {}));
  const element = h("dl", { class: `facts ${kind}`.trim(), "aria-label": label }, names.map((name, at) => h("div", {}, h("dt", {}, name), values[at])));
  return { element, update: (texts) => texts.forEach((text, at) => say(values[at], String(text))) };
}

/** Sets a text where it is another one: what is selected stays selected. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
