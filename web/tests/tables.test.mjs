// Tables: sorting, filtering, tabs; what was not measured is not 0.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";
import { close, fixture, keep, open, render } from "./browser.mjs";

let file;
let page;

before(() => {
  file = render({ before: fixture("before"), after: fixture("after"), report: fixture("report") });
});
beforeEach(async () => {
  ({ page } = await open(file));
  await page.getByLabel("Trace").selectOption("before");
});
after(close);

const region = (name) => page.getByRole("region", { name, exact: true });
const column = (name, index) => region(name).locator("tbody tr").evaluateAll((rows, at) => rows.map((row) => row.children[at].textContent), index);
const head = (name, text) => region(name).getByRole("columnheader", { name: text, exact: true });

test("a click on a heading sorts, a second one the other way round", async () => {
  assert.equal(await head("Imports", "Total").getAttribute("aria-sort"), "descending");
  const down = (await column("Imports", 1)).map(Number.parseFloat);
  assert.deepEqual(down, [...down].sort((a, b) => b - a));
  await head("Imports", "Module").getByRole("button").click();
  assert.equal(await head("Imports", "Module").getAttribute("aria-sort"), "ascending");
  assert.equal(await head("Imports", "Total").getAttribute("aria-sort"), "none");
  const up = await column("Imports", 0);
  assert.deepEqual(up, [...up].sort((a, b) => a.localeCompare(b)));
  await head("Imports", "Module").getByRole("button").press("Enter");
  assert.equal(await head("Imports", "Module").getAttribute("aria-sort"), "descending");
  assert.notDeepEqual(await column("Imports", 0), up);
});

test("what was not measured comes last in both directions", async () => {
  const memory = head("Imports", "Memory").getByRole("button");
  await page.getByRole("button", { name: /more of/ }).first().click();
  for (const press of [1, 2]) {
    await memory.click();
    const shown = await column("Imports", 6);
    const first = shown.indexOf("not measured");
    assert.ok(first > 0 && shown.slice(first).every((text) => text === "not measured"), `after ${press} presses`);
  }
});

test("paid and not used filters, and sorts", async () => {
  await page.locator("#tables").getByLabel("Paid and not used").check();
  const used = await column("Imports", 4);
  assert.ok(used.length > 0 && used.every((text) => text === "○ none"));
  await head("Imports", "Paid and not used").getByRole("button").click();
  assert.equal((await column("Imports", 0))[0], "boto3");
});

test("a filter counts what is left", async () => {
  await page.locator("#tables").getByLabel("Filter").fill("botocore");
  const status = page.locator("#tables [role=status]");
  await page.waitForFunction(() => / of /.test(document.querySelector("#tables [role=status]").textContent));
  const rows = await column("Imports", 0);
  assert.match(await status.textContent(), new RegExp(`^${rows.length} of \\d+ imports$`));
});

test("tabs change by arrow keys and show distributions, lines, statements", async () => {
  await page.getByRole("tab", { name: /Imports \(/ }).focus();
  await page.keyboard.press("ArrowRight");
  assert.match((await column("Distributions", 0)).join(" "), /pandas/);
  await page.keyboard.press("ArrowRight");
  assert.match((await column("Lines", 0)).join(" "), /app\.py:8/);
  await page.keyboard.press("ArrowRight");
  assert.match((await column("Statements", 1)).join(" "), /boto3\.client/);
});

test("decisions have state, reason and evidence, and can be searched", async () => {
  const table = region("Decisions about imports and code");
  assert.match(await table.textContent(), /◆ pinned/);
  assert.match(await table.textContent(), /every event's first request needs it/);
  await page.locator("#decisions").getByLabel("Filter").fill("answered differently");
  await page.waitForFunction(() => document.querySelectorAll("#decisions tbody tr").length === 1);
  await page.getByRole("tab", { name: /Files by rule/ }).click();
  assert.match(await region("Files by rule").textContent(), /scripts/);
});

test("what imports save only together is said on each of them", async () => {
  const report = JSON.parse(readFileSync(fixture("report"), "utf8"));
  const shared = { saves_ms: 0, together: { subject: "scipy.stats", saves_ms: 131.5 } };
  report.decisions = report.decisions.map((one) => (one.id === "lazy:app.py:boto3" ? { ...one, ...shared } : one));
  const made = render({ before: fixture("before"), after: fixture("after"), report: keep(report) });
  ({ page } = await open(made));
  const row = page.locator("tr", { hasText: "boto3" }).filter({ hasText: "✓ applied" }).first();
  assert.match(await row.textContent(), /131\.5 ms|132 ms/);
  assert.match(await row.textContent(), /with the other ways to scipy\.stats/);
});
