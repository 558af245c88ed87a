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

/** The name, with its marks. */
export function labelOf({ data }) {
  const marks = new Set(marksOf(data));
  const signs = MARKS.filter(([key]) => marks.has(key)).map(([, sign]) => `${sign} `);
  return `${signs.join("")}${data.name}`;
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
