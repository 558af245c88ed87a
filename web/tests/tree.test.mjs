// The import tree: zoom and walk by mouse and keyboard, search, colours, marks.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { close, fixture, open, render } from "./browser.mjs";

let file;
let page;
let complaints;

before(() => {
  file = render({ trace: fixture("before") });
});
beforeEach(async () => {
  ({ page, complaints } = await open(file));
  await item("app").waitFor();
});
after(close);

const item = (name) => page.locator(`.item[data-name="${name}"]`);
const trail = async () => (await page.locator(".trail").innerText()).replace(/ [\d.]+ ms$/, "");
const widthOf = async (name) => (await item(name).boundingBox()).width;
const focused = () => page.evaluate(() => document.activeElement?.dataset?.name);

test("widths are in proportion to time", async () => {
  const document = JSON.parse(await page.locator("#data").textContent());
  const below = (name) => {
    const own = document.traces[0][1].imports.filter((entry) => entry.phase === "init");
    const sum = (module) => own.filter((entry) => entry.parent === module).reduce((total, entry) => total + sum(entry.module), own.find((entry) => entry.module === module).self_ms);
    return sum(name);
  };
  const [pandas, boto3] = [await widthOf("pandas"), await widthOf("boto3")];
  assert.ok(Math.abs(pandas / boto3 - below("pandas") / below("boto3")) < 0.05, `${pandas} and ${boto3} px`);
});

test("a click zooms in, Escape and the trail go back", async () => {
  const narrow = await widthOf("pandas");
  await item("pandas").click();
  assert.ok((await widthOf("pandas")) > narrow * 1.2);
  assert.equal(await item("boto3").count(), 0);
  assert.match(await trail(), /everything › init › app › pandas/);
  await page.keyboard.press("Escape");
  assert.match(await trail(), /› app$/);
  assert.equal(await focused(), "pandas");
  await page.locator(".trail").getByRole("button", { name: "everything" }).click();
  assert.equal(await trail(), "everything");
  assert.equal(await widthOf("pandas"), narrow);
  assert.deepEqual(complaints, []);
});

test("the keyboard walks, zooms and returns", async () => {
  await item("app").focus();
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "boto3");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "pandas");
  await page.keyboard.press("Enter");
  assert.match(await trail(), /› pandas$/);
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await focused(), "pandas");
  await page.keyboard.press("ArrowUp");
  assert.equal(await focused(), "pandas");
  await page.keyboard.press("Home");
  assert.equal(await trail(), "everything");
  assert.deepEqual(complaints, []);
});

test("exactly one item is in the order of the tabulator", async () => {
  assert.equal(await page.locator('.item[tabindex="0"]').count(), 1);
  await item("pandas").click();
  assert.equal(await page.locator('.item[tabindex="0"]').count(), 1);
  assert.equal(await page.locator('.item[tabindex="0"]').getAttribute("data-name"), "pandas");
});

test("the wheel with Ctrl zooms, without it scrolls the page", async () => {
  const narrow = await widthOf("pandas");
  await item("pandas").hover();
  await page.mouse.wheel(0, 200);
  await page.waitForTimeout(100);
  assert.equal(await widthOf("pandas"), narrow);
  await item("pandas").hover();
  await page.keyboard.down("Control");
  await page.mouse.wheel(0, -400);
  await page.keyboard.up("Control");
  await page.waitForTimeout(100);
  assert.notEqual(await widthOf("pandas"), narrow);
});

test("search marks and counts what matches, and says so", async () => {
  const document = JSON.parse(await page.locator("#data").textContent());
  const expected = document.traces[0][1].imports.filter((entry) => entry.module.includes("botocore")).length;
  await page.getByLabel("Search").fill("BOTOCORE");
  const status = page.locator("#import-tree [role=status]");
  await page.waitForFunction((count) => document.querySelector("#import-tree [role=status]").textContent.startsWith(`${count} of `), expected);
  assert.equal(await status.getAttribute("aria-live"), "polite");
  assert.match(await item("botocore.session").getAttribute("class"), /\bhit\b/);
  assert.match(await item("pandas").getAttribute("class"), /\bmiss\b/);
  await page.getByLabel("Search").press("Enter");
  assert.match(await page.locator(".details").textContent(), /botocore/);
  await page.getByLabel("Search").fill("no such module");
  await page.getByText("nothing matches").waitFor();
  await page.getByLabel("Search").fill("");
  await page.waitForFunction(() => !document.querySelector(".item.miss"));
});

test("colours: by distribution, by use, by kind of work, each with its words", async () => {
  const colourOf = (name) => item(name).evaluate((element) => getComputedStyle(element).backgroundColor);
  const keys = page.locator(".keys");
  const seen = new Set([await colourOf("boto3")]);
  assert.match(await keys.textContent(), /pandas.*numpy/s);
  await page.getByRole("button", { name: "Used or not" }).click();
  assert.match(await keys.textContent(), /paid and not used/);
  seen.add(await colourOf("boto3"));
  assert.notEqual(await colourOf("boto3"), await colourOf("pandas"));
  await page.getByRole("button", { name: "Kind of work" }).click();
  assert.match(await keys.textContent(), /mostly compiling/);
  assert.equal(await page.getByRole("button", { name: "Kind of work" }).getAttribute("aria-pressed"), "true");
  assert.ok(seen.size > 1);
});

test("unused, failed, deferred and runtime-provided are told apart without colour", async () => {
  assert.match(await item("boto3").textContent(), /^○/);
  assert.match(await item("boto3").getAttribute("aria-label"), /paid and not used/);
  assert.doesNotMatch(await item("pandas").textContent(), /○/);
  const legend = await page.locator(".keys").textContent();
  for (const words of ["failed", "imported in the first invoke", "provided by the runtime", "paid and not used"]) assert.match(legend, new RegExp(words));
});

test("the details name the importer, the steps, memory, bytecode and who used it", async () => {
  await item("boto3").click();
  const text = await page.locator(".details").innerText();
  for (const words of ["app.py:7", "Itself", "compile", "Memory", "missing", "none"]) assert.match(text, new RegExp(words));
});

test("a statement of the function's own code is in the tree", async () => {
  const statement = page.locator(".item.statement");
  await statement.first().click();
  assert.match(await page.locator(".details").innerText(), /app\.py:12/);
});

test("dearest first puts pandas before boto3", async () => {
  const left = async (name) => (await item(name).boundingBox()).x;
  assert.ok((await left("boto3")) < (await left("pandas")));
  await page.getByRole("button", { name: "Dearest first" }).click();
  assert.ok((await left("pandas")) < (await left("boto3")));
});
