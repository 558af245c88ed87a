// The section with the import tree: what is shown, in which colours, what is searched for, and what is chosen.

import { choice, h, newId, picker, section, settled } from "./dom.js";
import { MODES, painter } from "./colours.js";
import { detailsOf } from "./details.js";
import { eventsThatImport, forestOf } from "./forest.js";
import { icicle } from "./icicle.js";
import { describe, MARKS, marksOf } from "./words.js";
import { many, ms } from "./format.js";

const ORDERS = [["start", "As they ran"], ["time", "Dearest first"]];
const KEYS = "Click or Enter zooms in, Escape goes back, arrow keys walk, Home shows all; Ctrl and wheel zoom freely.";

/** The section; `null` where nothing was imported. */
export function importTree(models) {
  if (models.every((model) => model.imports.length === 0)) return null;
  const state = { mode: "distribution", order: "start", event: eventsThatImport(models)[0], text: "" };
  const details = h("div", { class: "details", role: "region", tabindex: "0", "aria-label": "Details" }, detailsOf(null));
  const tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const panels = models.map((model) => panelOf(model, models.length > 1, details, tip));
  const key = h("div", { class: "keys" });
  const found = h("p", { class: "found", role: "status", "aria-live": "polite" });

  const forests = () => panels.map(({ model }) => forestOf(model, state.event, state.order));
  function show() {
    const all = forests();
    const scale = Math.max(...all.map((forest) => forest.value), 1e-9);
    panels.forEach((panel, index) => panel.chart.show(all[index], scale));
    paint();
    search();
  }
  function paint() {
    const colour = painter(state.mode, models);
    for (const panel of panels) panel.chart.paint(colour);
    key.replaceChildren(...keyOf(panels, colour));
  }
  function search() {
    const text = state.text.trim().toLowerCase();
    const hits = panels.map(({ chart }) => (text ? matching(chart.root, text) : null));
    panels.forEach(({ chart }, index) => chart.mark(hits[index]));
    found.textContent = text ? hits.map((set, index) => counted(set, panels[index], panels.length > 1)).join("; ") : "";
    state.hits = hits;
    state.next = 0;
  }
  function goToHit() {
    const all = state.hits?.flatMap((set, index) => [...(set ?? [])].map((item) => ({ item, chart: panels[index].chart }))) ?? [];
    if (all.length === 0) return;
    all.sort((a, b) => b.item.value - a.item.value);
    const { item, chart } = all[state.next % all.length];
    state.next += 1;
    chart.choose(item, false);
  }
  const controls = controlsOf(models, state, { show, paint, search, goToHit });
  requestAnimationFrame(show);
  return section(
    "Import tree",
    { note: `Width is an import's own time with that of all below it; from starts with the agent. ${KEYS}` },
    controls,
    found,
    h("div", { class: "tree-layout" }, h("div", { class: "tree-charts" }, panels.map((panel) => panel.element), key), details),
    tip,
  );
}

function controlsOf(models, state, act) {
  const events = eventsThatImport(models);
  const slowly = settled(act.search);
  const input = h("input", {
    type: "search",
    id: newId("search"),
    placeholder: "module or statement",
    autocomplete: "off",
    spellcheck: "false",
    oninput: ({ target }) => ((state.text = target.value), slowly()),
    onkeydown: (event) => {
      if (event.key === "Enter") (event.preventDefault(), act.goToHit());
    },
  });
  return h(
    "div",
    { class: "controls" },
    h("label", { class: "picker search" }, h("span", {}, "Search"), input),
    choice("Colour", MODES, state.mode, (mode) => ((state.mode = mode), act.paint())),
    choice("Order", ORDERS, state.order, (order) => ((state.order = order), act.show())),
    events.length > 1 ? picker("First invoke", events.map((name) => [name, name]), state.event, (event) => ((state.event = event), act.show())) : null,
  );
}

/** One chart with its way back. */
function panelOf(model, several, details, tip) {
  const trail = h("nav", { class: "trail", "aria-label": several ? `Zoomed to, ${model.label}` : "Zoomed to" });
  const chart = icicle({
    label: several ? `Import tree, ${model.label}` : "Import tree",
    scale: 1,
    paint: () => ({ key: "other" }),
    selected: (item) => details.replaceChildren(detailsOf(item, model)),
    moved: (path) => trail.replaceChildren(...crumbs(path, chart, model)),
    hovered: (item, event) => hover(tip, item, event),
  });
  const heading = several ? h("h3", {}, model.label) : null;
  return { model, chart, element: h("div", { class: "tree-panel" }, heading, trail, chart.element) };
}

function crumbs(path, chart) {
  const names = path.map((item) => (item.depth === 0 ? "everything" : item.data.name));
  const links = path.slice(0, -1).map((item, index) => [h("button", { type: "button", class: "link", onclick: () => (chart.zoomTo(item), chart.choose(path[index + 1])) }, names[index]), h("span", { "aria-hidden": "true" }, " › ")]);
  const last = path.at(-1);
  return [...links.flat(), h("b", { "aria-current": "true" }, names.at(-1)), h("span", { class: "dim" }, ` ${ms(last.value)}`)];
}

function hover(tip, item, event) {
  tip.hidden = !item;
  if (!item) return;
  tip.textContent = describe(item);
  const right = event.clientX > innerWidth / 2;
  tip.style.top = `${event.clientY + 16}px`;
  tip.style.left = right ? "auto" : `${event.clientX + 12}px`;
  tip.style.right = right ? `${document.documentElement.clientWidth - event.clientX + 12}px` : "auto";
}

function matching(root, text) {
  return new Set(root.descendants().filter((item) => item.depth > 0 && item.data.type !== "group" && item.data.name.toLowerCase().includes(text)));
}

function counted(hits, { chart, model }, several) {
  const all = chart.root.descendants().filter((item) => item.depth > 0 && item.data.type !== "group").length;
  const own = [...hits].reduce((sum, item) => sum + (item.data.own ?? 0), 0);
  const where = several ? `${model.label}: ` : "";
  return hits.size === 0 ? `${where}nothing matches` : `${where}${hits.size} of ${many(all, "item")} match, ${ms(own)} of their own`;
}

/** The colours and marks that are in the charts. */
function keyOf(panels, colour) {
  const colours = new Map();
  const marks = new Set();
  for (const { chart } of panels) {
    chart.root.each((item) => {
      if (item.depth === 0 || item.data.type === "group") return;
      const { key, name } = colour(item.data);
      const entry = colours.get(`${key} ${name}`) ?? { key, name, own: 0 };
      entry.own += item.data.own ?? 0;
      colours.set(`${key} ${name}`, entry);
      for (const mark of marksOf(item.data)) marks.add(mark);
    });
  }
  const byTime = [...colours.values()].sort((a, b) => b.own - a.own);
  return [
    h("ul", { class: "legend" }, byTime.map(({ key, name, own }) => h("li", {}, h("i", { class: `swatch k-${key}`, "aria-hidden": "true" }), h("span", {}, name), panels.length === 1 ? h("span", { class: "number dim" }, ms(own)) : null))),
    h("ul", { class: "legend" }, MARKS.filter(([mark]) => marks.has(mark)).map(([, sign, words]) => h("li", {}, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", {}, words)))),
  ];
}
