// The page of memory sizes: whole for every kind of document, and it says in words and tables what it draws.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { close, findings, fixture, keep, open, render } from "./browser.mjs";

after(close);

const documentOf = (name) => JSON.parse(readFileSync(fixture(name), "utf8"));

/** A page of a document, or of a fixture by its name, once its charts are drawn. */
async function opened(document, options) {
  const shown = await open(render({ tune: typeof document === "string" ? fixture(document) : keep(document) }), options);
  await shown.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return shown;
}

/** One that was interrupted before anything was measured. */
function nothing() {
  const document = documentOf("tune-interrupted");
  const tiers = document.tiers.map((tier) => ({ ...tier, measured: false, status: "not_measured", cold_ms: null, warm_ms: null, latency_ms: null, billed_ms: null, usd_per_million: null, peak_mb: null, events: {} }));
  return { ...document, tiers, before: { tiers }, chosen: null, best: { speed: null, cost: null, balanced: null }, pareto: [], lowest_mb: null, advice: null, notes: [], runs: 0 };
}

/** One in which everything that can be named is named badly. */
function hostile() {
  const bad = "</script><script>window.hit=1</script><img src=x onerror=window.hit=2>";
  const document = documentOf("tune-failed");
  const rename = (tier) => ({ ...tier, reason: tier.reason && bad, events: Object.fromEntries(Object.entries(tier.events).map(([name, figures]) => [name + bad, figures])) });
  const tiers = document.tiers.map(rename);
  const parameters = { ...document.parameters, region: bad, prices: bad, target: bad };
  return { ...document, function: { ...document.function, name: bad }, parameters, tiers, before: { tiers }, advice: bad, notes: [bad] };
}

const PAGES = { "before and after": "tune", "sizes that fail": "tune-failed", "an interrupted run": "tune-interrupted", "nothing measured": nothing(), "hostile names": hostile() };

for (const [name, document] of Object.entries(PAGES)) {
  for (const [scheme, width] of [["light", 360], ["dark", 1280], ["light", 1600]]) {
    test(`${name}, ${scheme}, ${width} wide: whole, and axe finds nothing`, async () => {
      const { page, complaints, requests } = await opened(document, { scheme, width });
      assert.deepEqual(await findings(page), []);
      const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(inner <= outer, `${inner} px in a window of ${outer} px`);
      assert.deepEqual(complaints, []);
      assert.deepEqual(requests, []);
    });
  }
}

const label = (page, title) => page.getByRole("img", { name: new RegExp(`^${title}`) }).getAttribute("aria-label");
const row = (page, region, ...texts) => texts.reduce((rows, hasText) => rows.filter({ hasText }), page.getByRole("region", { name: region }).locator("tbody tr"));

test("the choice stands first, with what it gives and the best by each objective", async () => {
  const { page } = await opened("tune");
  assert.equal(await page.locator("h1").textContent(), "report, tuned");
  const summary = page.locator("#summary");
  assert.match(await summary.locator(".figure").textContent(), /1769 MB.*instead of 512 MB/);
  const text = await summary.innerText();
  for (const words of ["1769 MB starts 1.7 times faster than 512 MB for 11 % more money", "1 % of requests cold", "72 runs instead of 180", "off by 28.62 %", "128 MB is the smallest size with enough memory", "3008 MB is slower than 1769 MB"]) assert.ok(text.includes(words), `${words} in ${text}`);
  assert.match(await row(page, "The best sizes", "Chosen").textContent(), /1769 MB61\.7 ms.*\$0\.278×0\.38×1\.1/);
  assert.match(await row(page, "The best sizes", "Cheapest").textContent(), /128 MB.*\$0\.246/);
});

test("charts say what they draw, by percentile and by event", async () => {
  const { page } = await opened("tune");
  assert.match(await label(page, "Cold start"), /before: 662 ms at 128 MB, 559 ms at 1769 MB and .* at 3008 MB\. after: 69\.4 ms at 128 MB, 61\.7 ms at 1769 MB .*chosen: 1769 MB/);
  assert.match(await label(page, "Cost of a million"), /after: \$0\.246 at 128 MB, \$0\.278 at 1769 MB/);
  assert.match(await label(page, "Cost against latency"), /faster and cheaper than 128 MB \(22\.0 ms, \$0\.246\), 512 MB .* and 1769 MB .*Chosen: 1769 MB/);
  const p99 = page.getByRole("button", { name: "p99", exact: true });
  await p99.focus();
  await page.keyboard.press("Enter");
  assert.match(await label(page, "Cold start"), /after: 6092 ms at 128 MB/);
  await page.getByRole("combobox", { name: "Events" }).selectOption("health: medians");
  assert.equal(await p99.isVisible(), false);
  assert.match(await label(page, "Warm invoke"), /after: 0\.7\d ms at 128 MB/);
  assert.doesNotMatch(await label(page, "Cold start"), /6092/);
});

const drawn = (page, at) => page.locator("canvas").nth(at).evaluate((canvas) => canvas.toDataURL());
const COLD = 0;
const COST = 2;
const FRONT = 3;

test("modelled sizes, failures and the chosen size do not look like others", async () => {
  const usual = documentOf("tune");
  const picture = async (document, at) => drawn((await opened(document)).page, at);
  const changed = (change) => {
    const after = { tiers: usual.after.tiers.map((tier) => (tier.memory_mb === 1024 ? { ...tier, ...change } : tier)) };
    return { ...usual, after, tiers: after.tiers };
  };
  for (const at of [COLD, COST, FRONT]) {
    const first = await picture(usual, at);
    assert.equal(await picture(changed({}), at), first, "the same document gives the same picture");
    for (const [name, other] of [["modelled", changed({ measured: false, status: "not_measured" })], ["chosen", { ...usual, chosen: 512 }]]) {
      assert.notEqual(await picture(other, at), first, `${name}, canvas ${at}`);
    }
  }
  const gone = { cold_ms: null, warm_ms: null, latency_ms: null, usd_per_million: null, events: {} };
  const absent = await picture(changed({ ...gone, measured: false, status: "not_measured" }), COLD);
  assert.notEqual(await picture(changed({ ...gone, status: "failed", reason: "it failed" }), COLD), absent);
});

test("under the pointer stand the size and its figures, and that they are modelled", async () => {
  const { page } = await opened("tune");
  const plot = page.locator("#cost .u-over");
  const { width, height } = await plot.boundingBox();
  const told = new Set();
  for (let x = 5; x < width - 5; x += 10) {
    await plot.hover({ position: { x, y: height / 2 } });
    told.add(await page.locator("#cost .u-legend").innerText());
  }
  const lines = [...told].map((text) => text.replace(/\s+/g, " ").trim());
  assert.ok(lines.some((text) => /^size192 MBbefore\$0\.257, modelledafter\$0\.252, modelled$/.test(text)), lines.join("\n"));
  assert.ok(lines.some((text) => /^size128 MBbefore\$0\.246after\$0\.246$/.test(text)), lines.join("\n"));
});

test("the other form joins the front when it is asked for", async () => {
  const { page } = await opened("tune");
  const alone = await drawn(page, FRONT);
  await page.getByLabel("Before the build, too").check();
  assert.notEqual(await drawn(page, FRONT), alone);
});

test("all sizes are in a table, with why they are not chosen; it filters", async () => {
  const { page } = await opened("tune");
  const rows = row(page, "Sizes in figures");
  assert.equal(await rows.count(), 30);
  assert.match(await row(page, "Sizes in figures", /^1769 MBafter/).textContent(), /● measured◆ chosen, fastest, balanced61\.7 ms69\.3 ms484 ms.*70 MB$/);
  assert.match(await row(page, "Sizes in figures", /^512 MBafter/).textContent(), /◇ front, now.*1769 MB is better by both together$/);
  assert.match(await row(page, "Sizes in figures", /^1024 MBafter/).textContent(), /1769 MB is no slower and no dearer$/);
  assert.match(await row(page, "Sizes in figures", /^640 MBafter/).textContent(), /○ modelled.*only sizes that were run are chosen$/);
  const part = page.locator("#all-sizes");
  await part.getByLabel("Only measured").check();
  await part.getByLabel("Only after").check();
  assert.equal(await rows.count(), 6);
  await part.getByRole("button", { name: "$ per million" }).click();
  assert.match(await rows.first().textContent(), /^3008 MB/);
});

test("why a size is not chosen follows from the objective", async () => {
  const reason = async (document, size) => row((await opened(document)).page, "Sizes in figures", `${size} MB`).locator("td").last().textContent();
  const failed = documentOf("tune-failed");
  assert.equal(await reason(failed, 1769), "512 MB is cheaper");
  assert.equal(await reason(failed, 384), "512 MB is no slower and no dearer");
  const speed = { ...failed, chosen: 1769, parameters: { ...failed.parameters, objective: "speed" } };
  assert.equal(await reason(speed, 1024), "1769 MB is faster");
  assert.equal(await reason(speed, 1769), "");
  const near = { ...speed, chosen: 1024 };
  assert.equal(await reason(near, 1769), "hardly faster than 1024 MB, which is smaller");
});

test("events have their own figures with intervals", async () => {
  const { page } = await opened("tune");
  assert.match(await row(page, "Events in figures", /^1769 MBafterprocess_data/).textContent(), /● measured69\.8 ms \[.*455 ms \[.*/);
});

test("sizes that fail are told with their cause, in charts and tables", async () => {
  const { page } = await opened("tune-failed");
  const text = await page.locator("#summary").innerText();
  assert.match(text, /At 128 MB: it ran out of memory\./);
  assert.match(text, /At 192 and 256 MB: it took longer than it may\./);
  assert.match(await label(page, "Cold start"), /128 MB: out of memory\. .*256 MB: timed out/);
  assert.match(await row(page, "Sizes in figures", /^128 MB/).textContent(), /✕ out of memory.*it ran out of memory$/);
  assert.match(await row(page, "Sizes in figures", /^256 MB/).textContent(), /✕ timed out.*it took longer than it may$/);
});

test("an interruption is told, with what there was until then, or that there was nothing", async () => {
  const { page } = await opened("tune-interrupted");
  assert.match(await page.locator("#summary").innerText(), /Interrupted\. What is shown is what had been measured until then\.[^]*1769 MB[^]*6 of 90 runs were made/);
  const { page: empty } = await opened(nothing());
  assert.match(await empty.locator("#summary").innerText(), /no size yet[^]*interrupted before one could be chosen/);
  assert.equal(await empty.locator("canvas").count(), 0);
  assert.match(await row(empty, "Sizes in figures", /^128 MB/).textContent(), /not measured.*not run before the interruption$/);
});

test("hostile names are text", async () => {
  const { page } = await opened(hostile());
  await page.getByRole("combobox", { name: "Events" }).selectOption({ index: 1 });
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator("main img, main script, header img, header script").count(), 0);
  assert.match(await page.locator("h1").textContent(), /^<\/script><script>window\.hit=1<\/script><img src=x/);
});

test("charts follow the theme, and on paper they are light and the controls are gone", async () => {
  const { page } = await opened("tune");
  const light = await drawn(page, COST);
  await page.getByRole("button", { name: "Dark" }).click();
  assert.notEqual(await drawn(page, COST), light);
  await page.emulateMedia({ media: "print" });
  await page.waitForFunction((expected) => document.querySelectorAll("canvas")[2].toDataURL() === expected, light);
  assert.equal(await page.locator(".controls").first().isVisible(), false);
});
