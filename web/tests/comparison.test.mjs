// Before and after: one scale, ratios with intervals, verdict; phases with their parts; memory.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { close, fixture, open, render } from "./browser.mjs";

let file;
let page;
let complaints;

before(() => {
  file = render({ before: fixture("before"), after: fixture("after"), report: fixture("report") });
});
beforeEach(async () => {
  ({ page, complaints } = await open(file));
  await page.locator(".item").first().waitFor();
});
after(close);

const widths = (selector) => page.locator(selector).evaluateAll((all) => all.map((element) => element.getBoundingClientRect().width));

test("the headline is the ratio, the table its parts with intervals", async () => {
  assert.match(await page.locator(".figure").textContent(), /8\.4× faster/);
  const row = page.getByRole("row", { name: /^Init Duration/ });
  assert.match(await row.textContent(), /398 ms.*48\.6 ms.*0\.119.*\[0\.116, 0\.144\].*88 % less/);
  assert.match(await page.getByRole("row", { name: /^Warm invoke, health/ }).first().textContent(), /no difference/);
});

test("both icicles are on one scale", async () => {
  const [first, second] = await page.getByRole("tree").evaluateAll((trees) => trees.map((tree) => tree.querySelector('.item[data-name="app"]')?.getBoundingClientRect().width ?? 0));
  assert.ok(first > 20 * second, `${first} and ${second} px`);
});

test("what was deferred is marked in the tree of the result", async () => {
  const tree = page.getByRole("tree", { name: /after/ });
  const item = tree.locator('.item[data-name="pandas"]');
  assert.match(await item.getAttribute("class"), /deferred/);
  assert.match(await item.textContent(), /^◷/);
});

test("the event decides the bars, and provisioning joins when asked", async () => {
  const label = () => page.locator("#phases .stack").nth(2).getAttribute("aria-label");
  const quick = await label();
  await page.locator("#phases").getByLabel("Event").selectOption("process_data");
  const slow = await label();
  assert.notEqual(slow, quick);
  assert.doesNotMatch(slow, /unpack/);
  await page.getByLabel("Provisioning in the bars").check();
  assert.match(await label(), /fetch \(modelled\).*unpack/);
});

test("a cold page cache stands beside the warm one", async () => {
  const { page: alone } = await open(render({ trace: fixture("before") }));
  const text = await alone.locator("#phases").innerText();
  assert.match(text, /cold page cache/i);
  assert.match(text, /2611 ms/);
});

test("the bars of phases are no wider than the whole", async () => {
  const [whole] = await widths("#phases .stack");
  const parts = await page.locator("#phases .stack").first().locator(".part").evaluateAll((all) => all.reduce((sum, part) => sum + part.getBoundingClientRect().width, 0));
  assert.ok(parts <= whole + 1);
});

test("kinds of work hold what is unexplained", async () => {
  assert.match(await page.locator("#kinds-of-work .stack").first().getAttribute("aria-label"), /compiling sources.*unexplained/);
  assert.match(await page.locator("#kinds-of-work .legend").nth(1).textContent(), /compiling sources.*not measured/);
});

test("memory is drawn, and said", async () => {
  assert.equal(await page.locator("#memory canvas").count(), 1);
  assert.match(await page.locator("#memory [role=img]").getAttribute("aria-label"), /before: imports add .* MiB/);
  const inked = await page.locator("#memory canvas").evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value !== 0));
  assert.ok(inked);
});

test("the verdict, its gaps, and what was found on the way", async () => {
  const text = await page.locator("#verdict").innerText();
  for (const words of ["answers as the original does", "Not proved", "Connections that were refused", "lazy:app.py:decimal"]) assert.match(text, new RegExp(words));
});

test("folds hold connections, processes and files", async () => {
  // What a fold holds is made after the click has been answered.
  const shown = page.locator("#besides-imports");
  await page.getByText("Connections and names looked up, before").click();
  await shown.getByText("s3.eu-west-1.amazonaws.com:443").waitFor();
  await page.getByText("Files opened, before").click();
  await shown.getByText("12 files").first().waitFor();
  assert.deepEqual(complaints, []);
});
