// Every kind of document gives a page that is whole: no error, no request, nothing wider than the window.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, fixture, keep, open, render } from "./browser.mjs";
import { large } from "./large.mjs";

after(close);

const PAGES = {
  "one trace": { trace: fixture("before") },
  "before, after and report": { before: fixture("before"), after: fixture("after"), report: fixture("report") },
  "a function that failed": { trace: fixture("failed") },
  "a document without the newer fields": { trace: fixture("old") },
  "hostile names": { trace: fixture("hostile") },
  "a report alone": { report: fixture("report") },
  nothing: {},
};

for (const [name, documents] of Object.entries(PAGES)) {
  for (const width of [360, 800, 1600]) {
    test(`${name}, ${width} wide, is whole`, async () => {
      const { page, complaints, requests } = await open(render(documents, "Cold start"), { width });
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.equal(await page.locator("h1").textContent(), "Cold start");
      assert.deepEqual(complaints, []);
      assert.deepEqual(requests, []);
      const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(inner <= outer, `${inner} px in a window of ${outer} px`);
    });
  }
}

test("hostile names are text", async () => {
  const { page } = await open(render({ trace: fixture("hostile") }, "</title><script>window.hit=3</script>"));
  for (const fold of await page.locator("summary").all()) await fold.click();
  await page.getByRole("tab", { name: /Statements/ }).click();
  await page.waitForTimeout(100);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.match(await page.locator(".failure").textContent(), /<img src=x/);
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.locator("main script").count(), 0);
});

test("the policy lets nothing in", async () => {
  const { page, complaints } = await open(render({ trace: fixture("before") }));
  const answer = await page.evaluate(() => fetch("http://127.0.0.1:9/").then(() => "went", () => "refused"));
  assert.equal(answer, "refused");
  assert.match(complaints.join("\n"), /Content Security Policy/);
});

test("a failure stands first and the import that failed is marked", async () => {
  const { page } = await open(render({ trace: fixture("failed") }));
  const alert = page.getByRole("alert");
  assert.match(await alert.textContent(), /No module named 'reportlab'/);
  const failed = page.locator('.item.failed[data-name="reportlab"]');
  if ((await failed.count()) === 0) await page.locator('.item[data-name="app"]').click();
  assert.match(await page.locator('.item[data-name="app"]').getAttribute("aria-label"), /failed/);
  assert.match(await page.locator("table", { hasText: "Init: your module" }).first().textContent(), /not measured/);
});

test("3000 imports: drawn, searched, and in portions", async () => {
  const { page, complaints } = await open(render({ trace: keep(large(3000)) }));
  assert.ok((await page.locator(".item").count()) > 10);
  assert.ok((await page.locator(".item").count()) < 3000, "what is too narrow is drawn together");
  await page.getByLabel("Search").fill("package7.");
  await page.getByText(/of 3000 items match/).waitFor();
  assert.equal(await page.locator("tbody tr", { has: page.locator("code") }).count() < 400, true);
  const rows = page.getByRole("region", { name: "Imports" }).locator("tbody tr");
  assert.equal(await rows.count(), 50);
  await page.getByRole("button", { name: /Show 500 more/ }).click();
  assert.equal(await rows.count(), 550);
  assert.deepEqual(complaints, []);
});
