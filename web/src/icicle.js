// Draws one import tree as an icicle: a row a level, widths by time. Zooms and walks by mouse, wheel and keyboard.

import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import { h } from "./dom.js";
import { describe, labelOf, marksOf } from "./words.js";

const ROW = 23;
/** Narrower than this many pixels, items are drawn together. */
const SMALL = 2;

/**
 * An icicle on the scale from 0 to `scale` ms.
 * `selected(item)` is called with what is under the focus, `moved(path)` with what the view is zoomed to.
 */
export function icicle({ label, scale, paint, selected, moved, hovered }) {
  const canvas = h("div", { class: "icicle-items", role: "tree", "aria-label": label });
  const view = h("div", { class: "icicle" }, canvas);
  const drawn = new Map();
  let root = null;
  let focus = null;
  let current = null;
  let colour = paint;
  let matches = null;
  let full = scale;
  let transform = zoomIdentity;
  let drawnWidth = 0;

  const zoomer = zoom()
    .scaleExtent([1, 1e5])
    .filter((event) => (event.type === "wheel" ? event.ctrlKey || event.metaKey : event.type !== "dblclick" && !event.touches && !event.button))
    .on("zoom", (event) => {
      transform = event.transform;
      view.classList.toggle("moving", Boolean(event.sourceEvent));
      draw();
    });
  const selection = select(view).call(zoomer).on("dblclick.zoom", null);

  const width = () => view.clientWidth || 800;
  const domain = () => transform.rescaleX(scaleLinear([0, full], [0, width()])).domain();

  /** Shows the span of one item over the whole width, its row on top. */
  function zoomTo(item, tell = true) {
    focus = item;
    const [from, to] = item.depth === 0 ? [0, full] : [item.x0, Math.max(item.x1, item.x0 + 1e-6)];
    const k = full / (to - from);
    view.classList.remove("moving");
    drawnWidth = width();
    zoomer.translateExtent([[0, -Infinity], [width(), Infinity]]);
    selection.call(zoomer.transform, zoomIdentity.translate((-from / full) * width() * k, 0).scale(k));
    view.scrollTop = 0;
    if (tell) moved(item.ancestors().reverse());
  }

  function draw() {
    if (!root) return;
    const [from, to] = domain();
    const perMs = width() / (to - from);
    const visible = itemsBetween(root, focus, from, to, perMs);
    const first = focus.depth === 0 ? 1 : focus.depth;
    const kept = new Set();
    let deepest = first;
    for (const { item, x0, x1, crumbs } of visible) {
      const key = crumbs ? `crumbs ${item.parent.key} ${x0}` : item.key;
      kept.add(key);
      const element = drawn.get(key) ?? (crumbs ? h("div", { class: "crumbs", "aria-hidden": "true" }) : elementOf(item));
      if (!drawn.has(key)) canvas.append(element);
      drawn.set(key, element);
      const left = (Math.max(x0, from) - from) * perMs;
      element.style.left = `${left}px`;
      element.style.width = `${Math.max((Math.min(x1, to) - from) * perMs - left - 1, 1)}px`;
      element.style.top = `${(item.depth - first) * ROW}px`;
      if (!crumbs) dress(element, item, perMs);
      deepest = Math.max(deepest, item.depth);
    }
    for (const [key, element] of drawn) if (!kept.has(key)) (element.remove(), drawn.delete(key));
    canvas.style.height = `${(deepest - first + 1) * ROW}px`;
    rove();
  }

  function elementOf(item) {
    const element = h("div", { class: "item", role: "treeitem", tabindex: "-1", "aria-level": String(item.depth), "aria-selected": "false", "data-key": item.key, "data-name": item.data.name }, h("span", {}));
    element.setAttribute("aria-label", describe(item));
    return element;
  }

  function dress(element, item, perMs) {
    const { key } = colour(item.data);
    const hit = matches?.has(item);
    const pixels = Number.parseFloat(element.style.width);
    element.className = ["item", `k-${key}`, ...marksOf(item.data), matches ? (hit ? "hit" : "miss") : "", pixels < 30 ? "narrow" : ""].join(" ").trim();
    element.firstChild.textContent = labelOf(item, pixels);
  }

  /** Of the items that are drawn, exactly one is in the order of the tabulator. */
  function rove() {
    for (const element of canvas.querySelectorAll('[tabindex="0"]')) element.tabIndex = -1;
    const item = current && drawn.has(current.key) ? current : root.descendants().find((at) => at.depth > 0 && drawn.has(at.key));
    if (item) drawn.get(item.key).tabIndex = 0;
  }

  function choose(item, focusIt = true) {
    if (!item || item.depth === 0) return;
    if (!drawn.has(item.key)) zoomTo(item.parent.depth > 0 ? item.parent : root);
    if (!drawn.has(item.key)) zoomTo(item);
    drawn.get(current?.key)?.setAttribute("aria-selected", "false");
    current = item;
    const element = drawn.get(item.key);
    element?.setAttribute("aria-selected", "true");
    rove();
    if (focusIt) element?.focus({ preventScroll: true });
    element?.scrollIntoView({ block: "nearest", inline: "nearest" });
    selected(item);
  }

  function back() {
    if (focus.depth === 0) return false;
    const from = focus;
    zoomTo(focus.parent.depth > 1 || focus.parent.data.type === "import" ? focus.parent : root);
    choose(from);
    return true;
  }

  const at = (event) => root?.byKey.get(event.target.closest?.(".item")?.dataset.key);
  view.addEventListener("click", (event) => {
    const item = at(event);
    if (!item) return;
    zoomTo(item === focus && item.parent ? (item.parent.depth === 0 ? root : item.parent) : item);
    choose(item);
  });
  view.addEventListener("pointermove", (event) => hovered(event.pointerType === "touch" ? null : at(event), event));
  view.addEventListener("pointerleave", () => hovered(null));
  view.addEventListener("keydown", (event) => {
    const item = current ?? at(event);
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const sideways = (step) => siblingsOf(item)[siblingsOf(item).indexOf(item) + step];
    const steps = {
      ArrowRight: () => choose(sideways(1)),
      ArrowLeft: () => choose(sideways(-1)),
      ArrowUp: () => choose(item.parent),
      ArrowDown: () => choose(item.children?.find((child) => drawn.has(child.key)) ?? item.children?.[0]),
      Enter: () => (zoomTo(item), choose(item)),
      " ": () => (zoomTo(item), choose(item)),
      Escape: back,
      Backspace: back,
      Home: () => (zoomTo(root), choose(root.children?.[0])),
    };
    if (!steps[event.key]) return;
    if (event.key === "Escape" && focus.depth === 0) return;
    event.preventDefault();
    steps[event.key]();
  });
  view.addEventListener("focusin", (event) => {
    const item = at(event);
    if (item && item !== current) choose(item, false);
  });
  new ResizeObserver(() => {
    if (root && width() !== drawnWidth) zoomTo(focus, false);
  }).observe(view);

  return {
    element: view,
    zoomTo,
    choose,
    back,
    get root() {
      return root;
    },
    show(forest, newScale = full) {
      root = keyed(forest);
      full = newScale;
      current = null;
      for (const element of drawn.values()) element.remove();
      drawn.clear();
      zoomTo(root);
    },
    paint(next) {
      colour = next;
      draw();
    },
    mark(found) {
      matches = found;
      draw();
    },
  };
}

const siblingsOf = (item) => item.parent.children;

/** Gives each item a key, by its place in the tree. */
function keyed(root) {
  root.byKey = new Map();
  root.key = "r";
  root.each((item) => {
    if (item.parent) item.key = `${item.parent.key}.${item.parent.children.indexOf(item)}`;
    root.byKey.set(item.key, item);
  });
  return root;
}

/** What is to be drawn between two times; neighbours that are too narrow become one. */
function itemsBetween(root, focus, from, to, perMs) {
  const found = [];
  const walk = (parent) => {
    let run = null;
    for (const item of parent.children ?? []) {
      if (item.x1 <= from || item.x0 >= to) continue;
      if ((item.x1 - item.x0) * perMs < SMALL) {
        if (!run) found.push((run = { item, x0: item.x0, x1: item.x1, crumbs: true }));
        run.x1 = item.x1;
        continue;
      }
      run = null;
      found.push({ item, x0: item.x0, x1: item.x1 });
      walk(item);
    }
  };
  if (focus.depth === 0) walk(root);
  else {
    found.push({ item: focus, x0: focus.x0, x1: focus.x1 });
    walk(focus);
  }
  return found;
}
