// Light or dark: as the system says until the reader chooses, for this page alone.

import { choice, h } from "./dom.js";

const listeners = new Set();

/** Calls `redraw` whenever the colours change: for what is drawn on a canvas. */
export function onTheme(redraw) {
  listeners.add(redraw);
}

/** The buttons that choose. */
export function themeChoice() {
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", notify);
  return choice("Theme", [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]], "auto", (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    notify();
  });
}

/** A colour that the style sheet names, as it is in the present theme. */
export function colour(name) {
  const probe = h("i", { hidden: true, style: { color: `var(${name})` } });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function notify() {
  for (const redraw of listeners) redraw();
}
