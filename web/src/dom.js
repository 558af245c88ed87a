// Makes elements. Text is always set as text, never as markup: names in a trace are not ours.

/** An element: attributes as they are named in HTML, `on…` as listeners, children as nodes or text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "vars") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Text whose `parts` in backticks are code. */
export function spans(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? h("code", {}, part) : part));
}

let ids = 0;

/** An id that no other element has. */
export function newId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

/** A section with a heading, named by it. */
export function section(title, { id, level = 2, note } = {}, ...children) {
  const heading = newId("heading");
  return h(
    "section",
    { id, "aria-labelledby": heading },
    h(`h${level}`, { id: heading }, title),
    note ? h("p", { class: "note" }, note) : null,
    ...children,
  );
}

/** A fold that is opened by its summary. */
export function fold(title, count, ...children) {
  return h("details", { class: "fold" }, h("summary", {}, title, count === null ? "" : h("span", { class: "count" }, count)), ...children);
}

/** Buttons of which one is pressed; `choose` gets its value. */
export function choice(label, options, value, choose) {
  const group = h("div", { class: "choice", role: "group", "aria-label": label });
  const buttons = options.map(([key, text]) =>
    h("button", { type: "button", "aria-pressed": String(key === value), "data-value": key, onclick: () => press(key) }, text),
  );
  function press(key) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === key));
    choose(key);
  }
  group.append(h("span", { class: "choice-label", "aria-hidden": "true" }, label), ...buttons);
  return group;
}

/** A named drop-down; `choose` gets the value. */
export function picker(label, options, value, choose) {
  const select = h(
    "select",
    { onchange: (event) => choose(event.target.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
  );
  return h("label", { class: "picker" }, h("span", {}, label), select);
}

/** Runs `work` once input has been still for a moment. */
export function settled(work, wait = 90) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait);
  };
}
