// What an item of the import tree is called, and what sets it apart besides colour.

import { isUnused, ownerOf } from "./model.js";
import { ms } from "./format.js";

/** The marks that stand before a name: failed, deferred, runtime, not used. */
export const MARKS = [
  ["failed", "✕", "failed"],
  ["deferred", "◷", "imported in the first invoke"],
  ["provided", "◇", "provided by the runtime"],
  ["unused", "○", "paid and not used"],
  ["statement", "›", "statement of your code"],
];

/** Which marks hold. */
export function marksOf(item) {
  if (item.type === "statement") return ["statement"];
  if (item.type !== "import") return ["group"];
  const { node } = item;
  const marks = [];
  if (node.data.status === "failed") marks.push("failed");
  if (node.data.phase === "first_invoke") marks.push("deferred");
  if (node.data.runtime_provided) marks.push("provided");
  if (isUnused(node)) marks.push("unused");
  return marks;
}

/** Pixels that a character takes, and the item's edges. */
const CHARACTER = 7;
const EDGES = 12;

/** The name, with its marks; a module that does not fit in `pixels` loses packages at its front first. */
export function labelOf({ data }, pixels) {
  const marks = new Set(marksOf(data));
  const signs = MARKS.filter(([key]) => marks.has(key)).map(([, sign]) => `${sign} `).join("");
  const room = (pixels - EDGES) / CHARACTER - signs.length;
  if (room < 3) return signs.trim();
  let name = data.name;
  if (data.type === "import") {
    for (let dot = data.name.indexOf("."); name.length > room && dot > 0; dot = data.name.indexOf(".", dot + 1)) name = `…${data.name.slice(dot + 1)}`;
  }
  return `${signs}${name}`;
}

/** One sentence for those who cannot see the width. */
export function describe(item) {
  const { data, value } = item;
  const marks = new Set(marksOf(data));
  const said = MARKS.filter(([key]) => marks.has(key)).map(([, , words]) => words);
  const owner = data.type === "import" ? [ownerOf(data.node.data)] : [];
  const below = item.children?.length ? [`${item.children.length} below`] : [];
  return [data.name, ms(value), ...owner, ...said, ...below].join(", ");
}
