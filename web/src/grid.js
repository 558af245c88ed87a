// A table that sorts, filters and shows its rows in portions.

import { h, newId, settled } from "./dom.js";
import { many } from "./format.js";

const PORTION = 50;

/**
 * `columns` are `{ name, value(row), show(row)?, number?, wide? }`; `value` is what is sorted and searched by, and
 * `null` comes last in both directions. `filters` are `{ name, keep(row) }`.
 */
export function grid({ label, rows, columns, sort, filters = [], placeholder = "text", noun = ["row", "rows"] }) {
  const state = { column: sort?.column ?? 0, down: sort?.down ?? true, text: "", limit: PORTION, on: new Set() };
  const count = h("p", { class: "found", role: "status", "aria-live": "polite" });
  const body = h("tbody", {});
  const heads = columns.map((column, index) => headOf(column, () => sortBy(index)));
  const more = h("button", { type: "button", class: "more", onclick: () => ((state.limit += 10 * PORTION), draw()) });
  const haystacks = rows.map((row) => columns.map((column) => String(column.value(row) ?? "")).join("\n").toLowerCase());
  const indexed = rows.map((row, index) => ({ row, text: haystacks[index], index }));

  function sortBy(index) {
    state.down = state.column === index ? !state.down : Boolean(columns[index].number);
    state.column = index;
    draw();
  }
  function draw() {
    const kept = indexed.filter(({ row, text }) => text.includes(state.text) && [...state.on].every((filter) => filter.keep(row)));
    const ordered = kept.sort(comparer(columns[state.column], state.down));
    heads.forEach((head, index) => head.setAttribute("aria-sort", index === state.column ? (state.down ? "descending" : "ascending") : "none"));
    body.replaceChildren(...ordered.slice(0, state.limit).map(({ row }) => rowOf(row, columns)));
    const hidden = ordered.length - state.limit;
    more.hidden = hidden <= 0;
    more.textContent = `Show ${Math.min(hidden, 10 * PORTION)} more of ${hidden}`;
    const all = many(rows.length, ...noun);
    count.textContent = ordered.length === rows.length ? all : `${ordered.length} of ${all}`;
  }
  draw();
  const slowly = settled(draw);
  return h(
    "div",
    { class: "grid" },
    h(
      "div",
      { class: "controls" },
      h("label", { class: "picker search" }, h("span", {}, "Filter"), h("input", { type: "search", id: newId("filter"), placeholder, autocomplete: "off", spellcheck: "false", oninput: ({ target }) => ((state.text = target.value.trim().toLowerCase()), (state.limit = PORTION), slowly()) })),
      filters.map((filter) => h("label", { class: "check" }, h("input", { type: "checkbox", onchange: ({ target }) => (state.on[target.checked ? "add" : "delete"](filter), draw()) }), h("span", {}, filter.name))),
      count,
    ),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, h("caption", { class: "hidden" }, label), h("thead", {}, h("tr", {}, heads)), body)),
    more,
  );
}

function headOf(column, onclick) {
  return h("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": "none" }, h("button", { type: "button", onclick }, column.name, h("span", { class: "arrow", "aria-hidden": "true" })));
}

function rowOf(row, columns) {
  return h(
    "tr",
    {},
    columns.map((column, index) => {
      const shown = column.show ? column.show(row) : (column.value(row) ?? "");
      const dim = shown === "not measured";
      return h(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, class: [column.number ? "number" : "", column.wide ? "wide" : "", dim ? "dim" : ""].join(" ").trim() || null }, shown);
    }),
  );
}

function comparer(column, down) {
  const sign = down ? -1 : 1;
  return (a, b) => {
    const [left, right] = [column.value(a.row), column.value(b.row)];
    const missing = (value) => value === null || value === undefined;
    if (missing(left) || missing(right)) return missing(left) - missing(right) || a.index - b.index;
    const order = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right));
    return sign * order || a.index - b.index;
  };
}
