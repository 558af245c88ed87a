// Panels of which one is shown, by the usual keys.

import { h, newId } from "./dom.js";

/** `panels` are `[name, make]`; a panel is made when it is first shown. */
export function tabs(label, panels) {
  const made = new Map();
  const body = h("div", { role: "tabpanel", class: "tab-panel" });
  body.id = newId("panel");
  const buttons = panels.map(([name], index) =>
    h("button", { type: "button", role: "tab", id: newId("tab"), "aria-controls": body.id, onclick: () => show(index), onkeydown: (event) => walk(event, index) }, name),
  );
  function show(index) {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-selected", String(at === index));
      button.tabIndex = at === index ? 0 : -1;
    });
    if (!made.has(index)) made.set(index, panels[index][1]());
    body.setAttribute("aria-labelledby", buttons[index].id);
    body.replaceChildren(made.get(index));
  }
  function walk(event, index) {
    const last = buttons.length - 1;
    const to = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index === 0 ? last : index - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
    buttons[to].focus();
  }
  show(0);
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": label }, buttons), body);
}
