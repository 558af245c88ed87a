// For everybody: axe finds nothing serious in either theme and at either width; themes change; motion can be off.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { close, findings, fixture, open, render } from "./browser.mjs";

after(close);

const PAGES = {
  "a trace": { trace: fixture("before") },
  "before and after": { before: fixture("before"), after: fixture("after"), report: fixture("report") },
  "a failure": { trace: fixture("failed") },
};

for (const [name, documents] of Object.entries(PAGES)) {
  // Each theme and each width once: they have nothing to do with each other.
  for (const [scheme, width] of [["light", 360], ["dark", 1280]]) {
    test(`${name}, ${scheme}, ${width} wide: axe finds nothing`, async () => {
      const { page } = await open(render(documents), { width, scheme });
      await page.locator(".item").first().waitFor();
      assert.deepEqual(await findings(page), []);
      await page.locator(".item").nth(2).click();
      await page.getByRole("button", { name: "Used or not" }).click();
      await page.getByLabel("Search").fill("pandas");
      for (const fold of await page.locator("summary").all()) await fold.click();
      await page.waitForTimeout(150);
      assert.deepEqual(await findings(page), []);
    });
  }
}

test("the theme follows the system until one is chosen", async () => {
  const { page } = await open(render(PAGES["a trace"]), { scheme: "dark" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole("button", { name: "Light" }).click();
  const light = await ground();
  assert.notEqual(light, dark);
  await page.getByRole("button", { name: "Auto" }).click();
  assert.equal(await ground(), dark);
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await ground(), light);
});

test("everything can be reached with the tabulator, and what is in focus is seen", async () => {
  const { page } = await open(render(PAGES["a trace"]));
  const reached = new Set();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    const [tag, outline] = await page.evaluate(() => {
      const element = document.activeElement;
      return [`${element.tagName} ${element.getAttribute("role") ?? ""}`.trim(), getComputedStyle(element).outlineStyle];
    });
    reached.add(tag);
    assert.notEqual(outline, "none", `${tag} shows no focus`);
    if (tag === "TH" || tag === "SUMMARY") break;
  }
  for (const tag of ["A", "BUTTON", "SELECT", "INPUT", "DIV treeitem", "BUTTON tab"]) assert.ok(reached.has(tag), `${tag} of ${[...reached]}`);
});

test("on paper there are no controls, and the page is light", async () => {
  const { page } = await open(render(PAGES["a trace"]), { scheme: "dark" });
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  assert.equal(await page.locator(".controls").first().isVisible(), false);
  const ground = await page.evaluate(() => getComputedStyle(document.body).color);
  assert.match(ground, /rgb\(27, 30, 33\)/);
});

test("without scripts the page says what is missing", async () => {
  const html = readFileSync(render(PAGES["a trace"]), "utf8");
  assert.match(html, /<noscript>.*allow scripts.*<\/noscript>/);
});
